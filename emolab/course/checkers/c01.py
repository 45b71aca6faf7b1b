"""Checkers of chapter 01."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from emolab.course.exercises import attempted, exercise, number

RATINGS = ["valence", "arousal", "dominance"]


@exercise("01.1")
def cohens_kappa(answer: Any) -> str | None:
    """Try the function on annotators who name the emotions differently often."""
    first, second = list("aaaaaaabbc"), list("aaaaabbbbb")
    slips = {"that is the share of equal labels: take chance off.": 0.7}
    slips |= {"the chance of equal labels is not 1 / number of labels: it is the sum of products of shares.": 0.55}
    slips |= {"divide by 1 - chance, so that full agreement gives 1.": 0.25}
    return number(attempted(answer(first, second)), 5 / 11, slips) or number(attempted(answer(second, second)), 1.0)


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
