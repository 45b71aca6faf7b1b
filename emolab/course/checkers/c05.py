"""Checkers of chapter 05."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emolab.course.exercises import attempted, beats, exercise, number


@exercise("05.1")
def receptive_field(answer: Any, kernels: Sequence[int], strides: Sequence[int], rate: int) -> str | None:
    """Take the milliseconds of sound that one frame depends on."""
    samples, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        samples, hop = samples + (kernel - 1) * hop, hop * stride
    slips = {"that is the step from one frame to the next; a frame sees a little more.": 1000 * hop / rate}
    slips["that is in samples: divide by the sample rate, and take milliseconds."] = samples
    return number(answer, 1000 * samples / rate, slips)


@exercise("05.2")
def mean_and_deviation(answer: Any) -> str | None:
    """Try the learner's function on a padded batch whose padding is not zero."""
    import torch

    hidden, n = torch.linspace(-3, 5, 24).reshape(2, 4, 3).square(), torch.tensor([4, 2])
    found = attempted(answer(hidden, n))
    alone = [(own[:k].mean(dim=0), own[:k].std(dim=0, correction=0)) for own, k in zip(hidden, n.tolist(), strict=True)]
    right = torch.stack([torch.cat(each) for each in alone])
    if found.shape != right.shape:
        return (
            f"its shape is {tuple(found.shape)} for hidden states {tuple(hidden.shape)}; expected {tuple(right.shape)}."
        )
    wrong = ~torch.isclose(found, right, atol=1e-4)
    if wrong[:, :3].any():
        return "the means differ for an utterance with padding: add up real frames only, and divide by their number."
    return "the means are right; the deviations count padded frames, or divide by n - 1." if wrong.any() else None


@exercise("05.3")
def beats_the_frozen_head(answer: Any, held_out: Any) -> str | None:
    """Take a recognizer that reaches a UA of 0.45."""
    return beats(answer, held_out, 0.45)
