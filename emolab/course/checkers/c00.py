"""Checkers of chapter 00."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emolab.course.exercises import beats, exercise, number


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
