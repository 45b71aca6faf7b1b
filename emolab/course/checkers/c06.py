"""Checkers of chapter 06."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emolab.course.exercises import attempted, beats, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus

GOAL = 0.67  # UA on the sample


@exercise("06.1")
def fitted_on_training_only(answer: Any) -> str | None:
    """Take a function whose columns and training rows depend on the training texts alone."""
    texts = ["good good day", "bad day", "good night"]
    (train, other), (again, _) = (attempted(answer(texts, [text])) for text in ("good zeppelin in the sky", "bad day"))
    if train.shape[1] != other.shape[1]:
        return f"{train.shape[1]} and {other.shape[1]} columns: the second matrix was fitted, too. Only transform it."
    if train.shape != again.shape or abs(train - again).max() > 0:
        return "other_texts change the training matrix: fit on train_texts alone, before you look at the others."
    whole = train.shape[0] == len(texts) and other.nnz
    return None if whole else "a row for each text was expected, with the known words in it."


@exercise("06.2")
def mean_over_tokens(answer: Any) -> str | None:
    """Take a function that averages real tokens, with anything in the padding."""
    import torch

    states, lengths = torch.tensor([[1.0, 3.0, 50.0], [2.0, 4.0, 6.0]])[..., None], torch.tensor([2, 3])
    found = attempted(answer(states, lengths))
    if tuple(found.shape) != (2, 1):
        return f"shape {tuple(found.shape)}; expected (2, 1), a vector for each text."
    slips = {"the padding is in the mean.": 54 / 3, "the padding is in the sum.": 54 / 2, "not divided by lengths.": 4}
    slips["the sum leaves the padding out, but is divided by the longest."] = 4 / 3
    wrong = [slip for slip, value in slips.items() if abs(float(found[0, 0]) - value) < 1e-3]
    right = torch.allclose(found[:, 0], torch.tensor([2.0, 4.0]))
    return None if right else [*wrong, "that is not the mean of the real tokens."][0]


@exercise("06.3")
def number_to_beat(answer: Any, held_out: Corpus) -> str | None:
    """Take a recognizer of words that reaches the goal on the test set."""
    return beats(answer, held_out, GOAL)
