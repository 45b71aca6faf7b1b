"""Checkers of chapter 08."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emolab.course.exercises import attempted, beats, exercise, number

if TYPE_CHECKING:
    from emolab.corpora import Corpus

GOAL = 0.56  # UA on the sample


@exercise("08.1")
def frozen_faces(answer: Any, test: Corpus) -> str | None:
    """Take one divided by the number of emotions that occur."""
    counts = test.table["emotion"].value_counts()
    slips = {"zero would need an emotion that is never right: one answer is right for one emotion.": 0.0}
    slips |= {"that is the accuracy of one answer: average the recalls.": counts.max() / len(test)}
    return number(answer, 1 / len(counts), slips)


@exercise("08.2")
def backwards(answer: Any) -> str | None:
    """Take a function that reverses real frames and leaves the padding behind them."""
    import torch

    clips, lengths = torch.arange(1.0, 13).reshape(2, 3, 2), torch.tensor([3, 2])  # (batch, frames, pixels)
    right = torch.stack([clips[0].flip(0), clips[1][[1, 0, 2]]])
    found = attempted(answer(clips.clone(), lengths))
    slips = {"the padding was reversed, too, and now comes first: reverse clip[:length] only.": clips.flip(1)}
    slips |= {"the clips changed places, not their frames: that is another axis.": clips.flip(0)}
    slips |= {"the pixels were reversed: that is another axis.": clips.flip(2), "nothing changed.": clips}
    wrong = [slip for slip, value in slips.items() if found.shape == value.shape and torch.equal(found, value)]
    return None if found.shape == right.shape and torch.equal(found, right) else [*wrong, "frames are out of order."][0]


@exercise("08.3")
def number_to_beat(answer: Any, held_out: Corpus) -> str | None:
    """Take a recognizer of faces that reaches the goal on the test set."""
    return beats(answer, held_out, GOAL)
