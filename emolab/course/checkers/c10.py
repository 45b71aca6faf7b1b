"""Checkers of chapter 10."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus

VOTES = np.array([[[0.5, 0.4, 0.1], [0.6, 0.3, 0.1]], [[0.5, 0.4, 0.1], [0.3, 0.6, 0.1]], [[0.0, 0.9, 0.1], [0, 0, 1]]])
LACKING = np.array([[[0.8, 0.2], [np.nan, np.nan], [0.5, 0.5]], [[0.4, 0.6], [0.1, 0.9], [0.3, 0.7]]])


@exercise("10.1")
def vote(answer: Callable[..., Any]) -> str | None:
    """Try the function on two votes: a majority that the mean would overrule, and a tie of three."""
    found = np.asarray(attempted(answer(VOTES.copy()))).tolist()
    slips = {  # by what the function returns
        (1, 2): "that is the emotion of the highest mean probability: count votes first.",
        (0, 0): "of emotions with equally many votes, the one with the highest mean probability wins, not the first.",
    }
    if found == [0, 2]:
        return None
    return slips.get(tuple(np.ravel(found)), f"for two utterances it returns {found}; expected two positions.")


@exercise("10.2")
def mean_of_present(answer: Callable[..., Any]) -> str | None:
    """Try the function on three utterances, of which one lacks a member."""
    found = np.asarray(attempted(answer(LACKING.copy())))
    if found.shape == (3, 2) and np.allclose(found, [[0.6, 0.4], [0.1, 0.9], [0.4, 0.6]]):
        return None
    if np.isnan(found).any():
        return "where a member is missing, the mean is NaN: leave that member out."
    if found.shape == (3, 2) and np.isclose(found[1].sum(), 0.5):
        return "a row sums to 0.5: the missing member was counted as zeros."
    return "take the mean over the members, axis 0, for each utterance and emotion."


@exercise("10.3")
def beat_best_member(answer: Any, held_out: Corpus, goal: float) -> str | None:
    """Reach the goal on the test set."""
    return beats(answer, held_out, goal)
