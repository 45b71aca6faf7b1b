"""Checkers of chapter 11."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer


@exercise("11.1")
def gate(answer: Callable[..., Any]) -> str | None:
    """Try the function on three utterances: all there, one missing, one alone."""
    import torch

    scores = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [-3.0, 5.0, 5.0]])
    there = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    found = attempted(answer(scores.clone(), there)).detach()
    if found.shape == scores.shape and torch.allclose(found, scores.masked_fill(~there, -torch.inf).softmax(dim=1)):
        return None
    slips = {
        "a row sums to less than 1: missing modalities were set to 0 after the softmax.": scores.softmax(1) * there,
        "missing modalities still have a weight: use `there`.": scores.softmax(1),
        "a score of 0 is not a weight of 0: the softmax gives it exp(0).": (scores * there).softmax(1),
        "take the softmax over the modalities, dim=1; yours runs over the utterances.": scores.softmax(0),
    }
    same = [slip for slip, wrong in slips.items() if found.shape == wrong.shape and torch.allclose(found, wrong)]
    return same[0] if same else "each row should sum to 1, with 0 where a modality is missing."


@exercise("11.2")
def most_relied_on(answer: Any, recognizer: Recognizer, valid: Corpus) -> str | None:
    """Take the modality whose removal lowers UA most on the validation set."""
    from emolab.evaluation import evaluate

    less = {each: evaluate(recognizer, valid.without(each)).metrics["ua"].value for each in recognizer.modalities}
    if answer not in less:
        return f"{answer!r} is none of {', '.join(less)}."
    if np.isclose(less[answer], min(less.values())):
        return None
    return f"without {answer} UA is {less[answer]:.3f}; it falls lower without another one. The lowest score is wanted."


@exercise("11.3")
def hardened(answer: Any, held_out: Corpus, goal: float) -> str | None:
    """Reach the goal on test utterances without audio."""
    return beats(answer, held_out, goal)
