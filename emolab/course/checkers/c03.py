"""Checkers of chapter 03."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora import Corpus
from emolab.course.exercises import attempted, beats, exercise


@exercise("03.1")
def strongest_functional(answer: Any, functionals: pd.DataFrame, table: pd.DataFrame) -> str | None:
    """Take the name whose variance the emotions explain best, speakers' means subtracted."""
    own = functionals - functionals.groupby(table["speaker"]).transform("mean")
    within, as_recorded = (
        1 - (x - x.groupby(table["emotion"]).transform("mean")).var() / x.var() for x in (own, functionals)
    )
    if answer == within.idxmax():
        return None
    if answer == as_recorded.idxmax():
        return "that is the strongest one with the speakers' means left in: subtract them first."
    return f"{answer!r} explains {within.get(answer, float('nan')):.2f}; another one explains more."


@exercise("03.2")
def own_level(answer: Callable[..., Any]) -> str | None:
    """Take a function that subtracts each speaker's mean, tried on three speakers in mixed order."""
    values = np.array([[1.0, 10.0], [5.0, 0.0], [3.0, 20.0], [7.0, 4.0], [2.0, 2.0]])
    found = np.asarray(attempted(answer(values.copy(), np.array(["a", "b", "a", "b", "c"]))), float)
    if found.shape != values.shape:
        return f"it returns shape {found.shape} for values of shape {values.shape}; each utterance keeps its row."
    if np.allclose(found, [[-1, -5], [-1, -2], [1, 5], [1, 2], [0, 0]]):
        return None
    if np.allclose(found, values - values.mean(axis=0)):
        return "that subtracts the mean over all speakers: group by speaker first."
    return "some speaker's mean is not 0, or the differences within a speaker have changed: subtract only."


@exercise("03.3")
def light_number_to_beat(answer: Any, held_out: Corpus) -> str | None:
    """Take a recognizer with a UA of 0.70 on the test set."""
    return beats(answer, held_out, 0.70)
