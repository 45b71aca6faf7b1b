"""Answers to the exercises of chapters 00 to 02."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from emolab import Corpus, Fold, LightRecognizer
from emolab.features.text import Tfidf
from emolab.models.light import logistic_regression
from tests.course.answers import FIVE, SCORED, Given, cases, reaching

TRAIN, TEST = pd.Series(["sad"] * 4 + ["happy"] * 3 + ["calm"] * 3), pd.Series(["sad"] * 2 + ["happy"] * 8)
COUNTS = np.array([[8, 2], [3, 1]])
LABELS = {"four": pd.Series(list("aaab")), "six": pd.Series(list("aabc"))}
WHOLE = pd.Series(list("aaabbbbbbb"))
HELD_OUT = pd.DataFrame({"valence": [2.0, 2.0, 4.0], "arousal": 3.0, "dominance": [1.0, 4.0, 3.0]})
HELD_OUT["emotion"] = ["sad", "angry", "happy"]


def observed(a: list[str], b: list[str]) -> float:
    return float(np.mean(np.array(a) == np.array(b)))


def by_all(table: pd.DataFrame) -> np.ndarray:
    return np.where(table["valence"] > 3, "happy", np.where(table["dominance"] > 2, "angry", "sad"))


def by_valence(table: pd.DataFrame) -> np.ndarray:
    return np.where(table["valence"] > 3, "happy", "sad")


def linked(speaker: Any, dialogue: Any) -> list[Any]:
    sets, first = DisjointSet(speaker), dict[Any, Any]()
    for who, where in zip(speaker, dialogue, strict=True):
        sets.merge(who, first.setdefault(where, who))
    return [sets[who] for who in speaker]


def clean(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    model = make_pipeline(StandardScaler(), SelectKBest(f_classif, k=10), SVC())
    return cross_val_predict(model, x, y, groups=speaker, cv=GroupKFold(5))


def selected_on_everything(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    best = SelectKBest(f_classif, k=10).fit_transform(x, y)
    return cross_val_predict(SVC(), best, y, groups=speaker, cv=GroupKFold(5))


def speakers_shared(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    return cross_val_predict(make_pipeline(SelectKBest(f_classif, k=10), SVC()), x, y, cv=5)


def toy_fold() -> Fold:
    """Make a fold of twelve speakers in which one word tells the emotion."""
    rows = [
        {"utterance_id": f"{who}-{n}", "speaker": f"s{who}", "emotion": emotion, "text": f"{word} {who} {n}"}
        for who in range(12)
        for n, (emotion, word) in enumerate([("happy", "good"), ("sad", "bad")] * 2)
    ]
    parts = [rows[:24], rows[24:32], rows[32:]]
    train, valid, test = (Corpus.from_rows("toy", part, emotions=("happy", "sad"), root=Path()) for part in parts)
    return Fold("toy/1", train, valid, test)


def words() -> LightRecognizer:
    return LightRecognizer("words", Tfidf(min_count=2), logistic_regression(0, c=1.0, scale=False))


FOLD = toy_fold()
CASES = [
    *cases(
        "00.1",
        0.2,
        {"training set itself": 0.4, "not known": 0.8, "chance level of UA": 1 / 3},
        given=[TRAIN, TEST],
    ),
    *cases(
        "00.2",
        0.525,
        {"accuracy": 9 / 14, "precision": np.mean([8 / 11, 1 / 3]), "too high": 0.9},
        given=[COUNTS],
    ),
    *cases(
        "00.3",
        reaching(0.7, modalities=("text",)),
        {
            "0.600": reaching(0.6, modalities=("text",)),
            "text alone": reaching(0.9, modalities=("audio", "text")),
        },
        given=[FIVE],
        instead=SCORED,
    ),
    *cases(
        "01.1",
        cohen_kappa_score,
        {
            "take chance off": observed,
            "sum of products": lambda a, b: (observed(a, b) - 1 / 3) / (1 - 1 / 3),
            "full agreement gives 1": lambda a, b: observed(a, b) - 0.45,
        },
    ),
    *cases(
        "01.2",
        {"four": 0.75, "six": 0.5},
        {
            "four: divide by the utterances of the view": {"four": 0.3, "six": 0.2},
            "six: that is the chance level of UA": {"four": 0.75, "six": 1 / 3},
        },
        given=[LABELS, WHOLE],
    ),
    *cases("01.3", by_all, {"0.667; the goal is 0.78": by_valence}, given=[HELD_OUT]),
    *cases(
        "02.1",
        linked,
        {
            "a dialogue is in two groups": lambda speaker, dialogue: [*speaker],
            "a speaker is in two groups": lambda speaker, dialogue: [*dialogue],
            "more groups are possible": lambda speaker, dialogue: [0] * len(speaker),
            "2 groups for 8 utterances": lambda speaker, dialogue: [0, 1],
        },
    ),
    *cases(
        "02.2",
        clean,
        {
            "selected on all rows": selected_on_everything,
            "it recognises speakers": speakers_shared,
            "where there is something to learn": lambda x, y, speaker: np.zeros_like(y),
        },
    ),
    *cases(
        "02.3",
        words(),
        {"the goal is 1.01": Given(words(), [FOLD, 1.01]), "expected a recognizer": 0.95},
        given=[FOLD, 0.9],
    ),
]
