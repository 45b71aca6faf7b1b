"""Answers to the exercises of chapters 06 to 08."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from emolab.corpora import Corpus
from tests.course.answers import FIVE, SCORED, cases, goal, reaching

TEXTS = ["no unhappy day", "day"]  # four words, of which one is cut
TOKENIZER = SimpleNamespace(tokenize=lambda text: text.replace("unhappy", "un ##happy").split())
ROWS = [{"utterance_id": str(n), "speaker": "a", "emotion": "sad" if n else "happy"} for n in range(4)]
FOUR = Corpus.from_rows("tiny", ROWS, emotions=("happy", "sad"), root=Path())
OF_THE_CHAPTER = reaching(0.9)


def fitted_once(train: Any, other: Any) -> Any:
    vectorizer = TfidfVectorizer()
    return vectorizer.fit_transform(train), vectorizer.transform(other)


def fitted_twice(train: Any, other: Any) -> Any:
    return TfidfVectorizer().fit_transform(train), TfidfVectorizer().fit_transform(other)


def fitted_on_all(train: Any, other: Any) -> Any:
    vectorizer = TfidfVectorizer().fit([*train, *other])
    return vectorizer.transform(train), vectorizer.transform(other)


def masked_mean(states: Tensor, lengths: Tensor) -> Tensor:
    mask = torch.arange(states.shape[1]) < lengths[:, None]
    return (states * mask[..., None]).sum(dim=1) / lengths[:, None]


def schedule(step: float, n_steps: int, n_warm_up: int, highest: float) -> float:
    return highest * min(step / n_warm_up, (n_steps - step) / (n_steps - n_warm_up))


def backwards(clips: Tensor, lengths: Tensor) -> Tensor:
    turned = clips.clone()
    for number, length in enumerate(lengths):
        turned[number, :length] = clips[number, :length].flip(0)
    return turned


CASES = [
    *cases(
        "06.1",
        fitted_once,
        {"was fitted, too": fitted_twice, "fit on train_texts alone": fitted_on_all},
    ),
    *cases(
        "06.2",
        masked_mean,
        {
            "padding is in the mean": lambda states, lengths: states.mean(dim=1),
            "padding is in the sum": lambda states, lengths: states.sum(dim=1) / lengths[:, None],
            "": lambda states, lengths: states,
        },
    ),
    *goal("06.3", 0.67),
    *cases(
        "07.1",
        0.25,
        {"number of tokens a word": 1.25, "share of *tokens*": 0.2, "per cent": 25},
        given=[TOKENIZER, TEXTS],
    ),
    *cases(
        "07.2",
        schedule,
        {
            "half-way through the warm-up": lambda step, n_steps, n_warm_up, highest: highest * (1 - step / n_steps),
            "0 at the end": lambda step, n_steps, n_warm_up, highest: highest * min(step / n_warm_up, 1),
        },
    ),
    *cases(
        "07.3",
        reaching(0.9),
        {"the goal is": reaching(0.4), "make one of your own": OF_THE_CHAPTER},
        given=[FIVE, {"a model of the chapter": OF_THE_CHAPTER}],
        instead=SCORED,
    ),
    *cases("08.1", 0.5, {"that is the accuracy": 0.75, "one answer is right": 0.0}, given=[FOUR]),
    *cases(
        "08.2",
        backwards,
        {
            "padding was reversed": lambda clips, lengths: clips.flip(1),
            "clips changed places": lambda clips, lengths: clips.flip(0),
            "nothing changed": lambda clips, lengths: clips,
        },
    ),
    *goal("08.3", 0.56),
]
