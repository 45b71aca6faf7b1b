"""Checkers of chapter 14."""

from __future__ import annotations

from typing import Any

import numpy as np

from emolab.course.exercises import attempted, exercise


@exercise("14.1")
def linear_shap_values(answer: Any) -> str | None:
    """Try the function on three features, one of which is at its mean."""
    x, weights, background = np.array([2.0, 1.0, 4.0]), np.array([1.0, 3.0, -0.5]), np.array([[0, 1, 0], [2, 1, 2.0]])
    found = np.asarray(attempted(answer(x, weights, background)), float)
    if np.allclose(found, weights * x):
        return "that is counted from 0: subtract the mean of the background from x."
    right = weights * (x - background.mean(axis=0))
    return None if np.allclose(found, right) else f"of {x} you found {found}; expected {right}."


@exercise("14.2")
def own_pointing_game(answer: Any) -> str | None:
    """Try the function on a hit, on a miss, and where the largest size is negative."""
    if float(attempted(answer(np.array([0.1, -0.9, 0.5]), (2,)))) != 1:
        return "of 0.1, -0.9 and 0.5 the third speaks most for it: take the largest value, not the largest size."
    if float(answer(np.array([0.1, 0.7, 0.5]), (0, 2))) != 0:
        return "a planted word with a value above 0 is no hit if another word has a larger one."
    return None if float(answer(np.array([0.1, 0.7, 0.5]), (0, 1))) == 1 else "one of several planted words is enough."


@exercise("14.3")
def own_attribution(answer: Any, recognizer: Any, held_out: Any) -> str | None:
    """Take an attribution method that finds the planted word in 90 % of the utterances."""
    from emolab.explain import explain
    from emolab.explain.measures import pointing_game

    attempted(answer(lambda masks: np.zeros(len(masks)), 3))
    values = explain(recognizer, held_out, answer, "true").values
    cues = held_out.table["cue_words"]
    hits = np.nanmean([pointing_game(v, np.isin(range(len(v)), cue)) for v, cue in zip(values, cues, strict=True)])
    return None if hits >= 0.90 else f"it finds the planted word in {hits:.0%} of the utterances; the goal is 90 %."
