"""Checkers of chapter 16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emolab.course.exercises import attempted, exercise, number

GOAL = 0.9


@exercise("16.1")
def lost_in_words(answer: Any, explanation: Sequence[Any]) -> str | None:
    """Take the share of the tokens' absolute attributions that is lost in the words."""
    kept = sum(np.abs(item.values).sum() for item in explanation)
    kept /= sum(np.abs(item.native).sum() for item in explanation)
    slips = {"that is the share that remains; what is lost?": kept, "give a share, not per cent.": 100 * (1 - kept)}
    return number(answer, float(1 - kept), slips)


@exercise("16.2")
def mean_rank(answer: Any, values: Sequence[Any], cues: Sequence[Any]) -> str | None:
    """Take the mean rank of the code word, 1 for the most attended word."""
    ranks = [list(np.argsort(-own, kind="stable")).index(cue[0]) for own, cue in zip(values, cues, strict=True)]
    slips = {
        "the first rank is 1, not 0.": np.mean(ranks),
        "you counted from the least attended word.": np.mean([*map(len, values)]) - np.mean(ranks),
        "that is where the code word stands in the text; rank the words by attention.": np.mean(cues),
    }
    return number(answer, float(np.mean(ranks)) + 1, slips)


@exercise("16.3")
def finds_the_code_word(answer: Any, recognizer: Any, held_out: Any) -> str | None:
    """Explain held-out texts by the learner's function: its first word is the code word in 90 % of them."""
    from emolab.explain import explain, measures

    attempted(answer(lambda masks: np.zeros(len(masks)), 3))
    found = explain(recognizer, held_out, answer, "true").values
    truth = [np.isin(np.arange(len(own)), cue) for own, cue in zip(found, held_out.table["cue_words"], strict=True)]
    rate = np.nanmean([*map(measures.pointing_game, found, truth)])
    return (
        None if rate >= GOAL else f"it points at the code word in {rate:.0%} of {len(found)} texts; the goal is 90 %."
    )
