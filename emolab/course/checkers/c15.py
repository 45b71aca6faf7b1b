"""Checkers of chapter 15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.course.exercises import attempted, exercise, number
from emolab.recognizer import Recognizer

GOAL = 0.80  # relevance mass accuracy of the number to beat


@exercise("15.1")
def relevance_mass(answer: Callable[..., Any]) -> str | None:
    """Take a function that gives the share of the positive values on marked units."""
    values, marked = np.array([3.0, -2.0, 1.0, 0.0]), np.array([True, True, False, False])
    slips = {"values below 0 count as 0: take np.maximum(values, 0) first.": 0.5}
    slips |= {"values below 0 do not count with their size.": 5 / 6, "that is a sum: divide it by that of all.": 3.0}
    return number(attempted(answer(values, marked)), 0.75, slips)


@exercise("15.2")
def fewest_steps(answer: Any, recognizer: Recognizer, utterances: Corpus) -> str | None:
    """Take the smallest power of two whose convergence delta from the mean is below 2 %."""
    from emolab.explain import explain

    tried = [2**power for power in range(1, 8)]
    if answer not in tried:
        return f"{answer!r} is none of {tried}."
    for n in tried[: tried.index(answer) + 1]:
        why = explain(recognizer, utterances, "integrated-gradients", baseline="mean", n_steps=n)
        if why.relative_convergence_delta < 0.02:
            return None if n == answer else f"{n} steps are enough."
    return f"with {answer} steps the delta is {why.relative_convergence_delta:.1%}."


@exercise("15.3")
def attribution_number_to_beat(answer: Callable[..., Any], recognizer: Recognizer, held_out: Corpus) -> str | None:
    """Take an attribution method whose mean relevance mass accuracy on planted cues is 0.80."""
    from emolab.explain import explain, measures

    attempted(answer(lambda masks: np.zeros(len(masks)), 6))
    spans = zip(held_out.table["cue_start"], held_out.table["cue_end"], strict=True)
    reached = []
    for item, (start, end) in zip(explain(recognizer, held_out, answer), spans, strict=True):
        middle = item.spans.mean(axis=1)
        reached.append(measures.relevance_mass_accuracy(item.values, (middle > start) & (middle < end)))
    mean = float(np.nan_to_num(reached).mean())
    return None if mean >= GOAL else f"it reaches {mean:.3f} on {len(held_out)} hums; the goal is {GOAL:.2f}."
