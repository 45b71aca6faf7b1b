"""Checkers of chapter 18."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emolab.course.exercises import attempted, exercise, number

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer

MOST_INFIDELITY = 0.05


@exercise("18.1")
def chance_level(answer: Callable[..., Any]) -> str | None:
    """Average the share of marked units over the utterances that say something."""
    truths = [[True, False], [True, False, False, False, False], [False, False, False], [True]]
    found = attempted(answer([np.array(marks) for marks in truths]))
    slips = {"Long utterances count more here: take the share of each utterance first, then their mean.": 2 / 7}
    slips["An utterance without a mark, or with marks only, is among them: leave it out."] = (0.5 + 0.2 + 1) / 4
    return number(found, 0.35, slips)


@exercise("18.2")
def turned_round(answer: Any, blocks: pd.DataFrame) -> str | None:
    """Take a column in which another recognizer is first than in the mean of all."""
    first = blocks.mean(axis=1).idxmax()
    turned = [name for name in blocks if blocks[name].idxmax() != first]
    if answer in (turned or ["none"]):
        return None
    if answer in blocks:
        return f"in {answer} {' · '.join(first)} is first as well."
    return f"{answer!r} is no column of blocks." if answer != "none" else "there is one: look at blocks.idxmax()."


@exercise("18.3")
def faithful_explainer(answer: Any, network: Recognizer, held_out: Corpus) -> str | None:
    """Measure the infidelity of an explainer on held-out utterances, as the scorecard does."""
    from emolab.explain import explain
    from emolab.explain.maskers import masker_for
    from emolab.explain.measures import infidelity

    attempted(answer(lambda masks: np.zeros(len(np.atleast_2d(masks))), 3))
    explanation, masker = explain(network, held_out, answer), masker_for(network, held_out, network.modalities[0])
    rng, full = np.random.default_rng(0), masker.ends()[0]
    masks = [rng.random((20, len(item))) < 0.7 for item in explanation]
    places, found = [network.emotions.index(item.emotion) for item in explanation], masker.logits(masks)
    given = zip(explanation.values, masks, full, found, places, strict=True)
    reached = np.nanmean([infidelity(v, m, whole[place], after[:, place]) for v, m, whole, after, place in given])
    if reached <= MOST_INFIDELITY:
        return None
    return f"its mean infidelity is {reached:.3f} on {len(held_out)} utterances; the goal is {MOST_INFIDELITY}."
