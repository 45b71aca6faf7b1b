"""Checkers of chapters 00 to 02: corpora and honest evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from emolab.course.exercises import attempted, beats, exercise, number

RATINGS = ["valence", "arousal", "dominance"]
SPEAKERS, DIALOGUES, LINKED = "abbcdefe", "11223456", [0, 0, 0, 0, 1, 2, 3, 2]  # b and c meet nobody of d, e, f
N_SPEAKERS, N_EACH, N_FEATURES = 12, 10, 2000
CHANCE, LEARNED = 0.65, 0.75  # accuracies of two emotions: above is a leak, below is no model


@exercise("00.1")
def majority_of_training(answer: Any, train: pd.Series, test: pd.Series) -> str | None:
    """Take the share of test utterances that carry the training set's most frequent emotion."""
    slips = {"that is the share in the training set itself: count in the test set.": (train == train.mode()[0]).mean()}
    slips |= {"the test set's own most frequent emotion is not known beforehand.": (test == test.mode()[0]).mean()}
    slips |= {"that is the chance level of UA; the question is about accuracy.": 1 / train.nunique()}
    return number(answer, (test == train.mode()[0]).mean(), slips)


@exercise("00.2")
def ua_of_confusion(answer: Any, counts: np.ndarray) -> str | None:
    """Take the mean over the emotions of the diagonal divided by the sum of the row."""
    right = np.diag(counts)
    slips = {"that is the accuracy: average the recalls of the emotions.": right.sum() / counts.sum()}
    slips |= {"that is the mean precision: divide by the sums of the rows.": np.mean(right / counts.sum(axis=0))}
    return number(answer, float(np.mean(right / counts.sum(axis=1))), slips)


@exercise("00.3")
def text_alone(answer: Any, held_out: Any) -> str | None:
    """Take a recognizer of text alone that reaches UA 0.65."""
    if tuple(answer.modalities) != ("text",):
        return f"it takes {' and '.join(answer.modalities)}; the goal is for text alone."
    return beats(answer, held_out, 0.65)


@exercise("01.2")
def majority_in_views(answer: Any, labels: Mapping[str, pd.Series], whole: pd.Series) -> str | None:
    """Take of each view the share of its most frequent emotion."""
    for view, own in labels.items():
        most = own.value_counts().max()
        slips = {"divide by the utterances of the view, not of the corpus.": most / len(whole)}
        slips |= {"that is the chance level of UA, not of accuracy.": 1 / own.nunique()}
        if wrong := number(answer[view], most / len(own), slips):
            return f"{view}: {wrong}"
    return None


@exercise("01.3")
def emotion_of_ratings(answer: Any, held_out: pd.DataFrame) -> str | None:
    """Take a function of the three ratings that reaches UA 0.78."""
    named = attempted(answer(held_out[RATINGS].copy()))
    right = pd.Series(np.asarray(named) == held_out["emotion"].to_numpy(), index=held_out["emotion"])
    ua = right.groupby(level=0).mean().mean()
    return None if ua >= 0.78 else f"it reaches UA {ua:.3f}; the goal is 0.78. Does it use dominance?"


@exercise("02.1")
def groups_of_linked_speakers(answer: Any) -> str | None:
    """Take the groups of speakers who are linked by dialogues, under any names."""
    found, speaker, dialogue = [*attempted(answer(SPEAKERS, DIALOGUES))], np.array([*SPEAKERS]), np.array([*DIALOGUES])
    if len(found) != len(SPEAKERS):
        return f"{len(found)} groups for {len(SPEAKERS)} utterances: return one for each."
    same, linked = (np.equal.outer(each, each) for each in (np.unique(found, return_inverse=True)[1], np.array(LINKED)))
    for name, ids in (("speaker", speaker), ("dialogue", dialogue)):
        if (np.equal.outer(ids, ids) & ~same).any():
            return f"a {name} is in two groups."
    return None if (same == linked).all() else "more groups are possible: these hold speakers who never meet."


@exercise("02.2")
def predictions_without_leak(answer: Any) -> str | None:
    """Try the function on noise, on features that tell the speaker, and on features that tell the emotion."""
    rng, speaker = np.random.default_rng(0), np.tile(np.arange(N_SPEAKERS), N_EACH)
    noise, usual = rng.normal(size=(len(speaker), N_FEATURES)), rng.permutation(N_SPEAKERS)[speaker] % 2
    y, mostly = rng.integers(2, size=len(speaker)), np.where(rng.random(len(speaker)) < 0.9, usual, 1 - usual)
    voices, signal = 4 * np.eye(N_SPEAKERS)[speaker] + noise[:, :N_SPEAKERS], noise + 2 * (y[:, None] & 1)
    tried = {"noise": (noise, y), "voices": (voices, mostly), "signal": (signal, y)}
    right = {name: np.mean(attempted(answer(x, labels, speaker)) == labels) for name, (x, labels) in tried.items()}
    if right["noise"] > CHANCE:
        return f"on pure noise it reaches {right['noise']:.2f}: the features are still selected on all rows."
    if right["voices"] > CHANCE:
        return f"it recognises speakers ({right['voices']:.2f}): each must be on one side only."
    return None if right["signal"] > LEARNED else f"where there is something to learn it reaches {right['signal']:.2f}."


@exercise("02.3")
def recognizer_without_leak(answer: Any, fold: Any, ua: float) -> str | None:
    """Fit the recognizer to the training and validation set, and test it on the test set."""
    from emolab.recognizer import Recognizer

    if not isinstance(answer, Recognizer):
        return "expected a recognizer, not yet fitted, such as recipe(name) or LightRecognizer(…) return."
    answer.fit(fold.train, fold.valid)
    return beats(answer, fold.test, ua)
