"""Checkers of chapter 13."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise
from emolab.results import holm

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer


@exercise("13.1")
def corrected(answer: Callable[[Any], Any]) -> str | None:
    """Correct p values by Holm's method, in the order they came in."""
    p = np.array([0.2, 0.03, 0.9, 0.01, 0.035, 0.6])
    found, right, by_rank = np.asarray(attempted(answer(p.tolist())), float), holm(p), p * (6 - p.argsort().argsort())
    slips = {"it multiplies all by m: that is Bonferroni's correction.": np.minimum(p * 6, 1)}
    slips["return them in the order in which they came, not sorted."] = np.sort(right)
    slips["a corrected p may not be smaller than that of a smaller p: take the running maximum."] = by_rank.clip(max=1)
    slips["a p value is at most 1."] = np.maximum.accumulate(np.sort(by_rank))[p.argsort().argsort()]
    wrong = next((slip for slip, value in slips.items() if np.array_equal(found.round(6), value.round(6))), None)
    return None if np.allclose(found, right) else wrong or f"{p} becomes {found.round(3)}, not {right.round(3)}."


@exercise("13.2")
def on_front(answer: Callable[[Any, Any], Any]) -> str | None:
    """Mark what no other row dominates in two costs and a score."""
    costs, scores = np.array([[1, 9], [2, 2], [3, 1], [3, 3], [2, 2]]), np.array([0.5, 0.6, 0.55, 0.58, 0.6])
    marks = "".join("FT"[bool(mark)] for mark in attempted(answer(costs, scores)))
    slips = {"TTFFT": "it looks at the first cost only.", "FFFTF": "it marks the dominated rows: turn the mask round."}
    slips |= dict.fromkeys(["TFTFF", "TTTFF", "TFTFT"], "of two equal rows neither dominates the other: both stay.")
    return None if marks == "TTTFT" else slips.get(marks, f"it marks {marks}; look at {costs.tolist()}, {scores}.")


@exercise("13.3")
def within_budget(answer: Recognizer, held_out: Corpus, budget: int, ua: float) -> str | None:
    """Reach a UA with few parameters."""
    if answer.n_parameters > budget:
        return f"it has {answer.n_parameters:,} parameters; the budget is {budget:,}."
    return beats(answer, held_out, ua)
