"""Checkers of chapter 17."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer

MOST_COALITIONS, MOST_ERROR = 6, 0.2


@exercise("17.1")
def two_values(answer: Any) -> str | None:
    """Divide 4 between two units that have 2 and 3 alone."""
    slips: dict[tuple[float, ...], str] = {}
    slips |= {(2, 3): "that is what each has alone", (1, 2): "that is what each adds last, which is ablation"}
    slips[(2.5, 1.5)] = "audio comes first in the answer, then text"
    found = tuple(np.round(np.asarray(answer, float).ravel(), 2).tolist())
    wrong = "take the mean over both orders of what each adds"
    return None if found == (1.5, 2.5) else f"{found}: {slips.get(found, wrong)}."


@exercise("17.2")
def without_one(answer: Any, recognizer: Recognizer, five: Corpus, missing: str) -> str | None:
    """Explain the utterances that lack a modality."""
    from emolab.explain import explain

    left = explain(recognizer, five.without(missing), "shapley")
    found, right = np.asarray(answer, float), np.array(left.values)
    if found.shape != right.shape:
        return f"it has shape {found.shape}; expected {right.shape}, a row an utterance and a column a modality."
    if found[:, left[0].names.index(missing)].any():
        return f"{missing} is never there, so it adds 0 to every coalition: remove it before you explain."
    return None if np.allclose(found, right, atol=0.01) else "the values of the other modalities change as well."


@exercise("17.3")
def few_coalitions(answer: Any, recognizer: Recognizer, held_out: Corpus) -> str | None:
    """Come close to exact Shapley values with few coalitions, on held-out utterances."""
    from emolab.explain import explain

    counts = []

    def counted(value: Any, n: int) -> Any:
        asked: set[bytes] = set()

        def noted(masks: Any) -> Any:
            asked.update(mask.tobytes() for mask in np.atleast_2d(masks) > 0)
            return value(masks)

        found = answer(noted, n)
        counts.append(len(asked))
        return found

    attempted(answer(lambda masks: np.zeros(len(np.atleast_2d(masks))), 3))
    found, exact = explain(recognizer, held_out, counted), explain(recognizer, held_out, "shapley")
    if max(counts) > MOST_COALITIONS:
        return f"it asks for {max(counts)} coalitions; at most {MOST_COALITIONS} are allowed."
    error = np.abs(np.array(found.values) - np.array(exact.values)).mean()
    return None if error <= MOST_ERROR else f"its mean error is {error:.3f} logits; the goal is {MOST_ERROR}."
