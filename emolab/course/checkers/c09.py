"""Checkers of chapter 09."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus


@exercise("09.1")
def block_scale(answer: Callable[..., Any]) -> str | None:
    """Try the function on two blocks of different length, and on a test set longer than the training set."""
    train, other = np.random.default_rng(1).normal(0, [[[3.0]], [[5.0]]], (2, 40, 7))
    factor, found = np.sqrt((train**2).sum(axis=1).mean()), np.asarray(attempted(answer(train, other)))
    slips = {
        "that is the length of `other`: learn the scale from `train`.": np.sqrt((other**2).sum(axis=1).mean()),
        "the mean squared length is still squared: take its root.": factor**2,
        "that is the mean square of a number; a row has many columns, so add them up first.": factor / np.sqrt(7),
    }
    if found.shape == other.shape and np.allclose(found, other / factor):
        return None
    same = [slip for slip, wrong in slips.items() if found.shape == other.shape and np.allclose(found, other / wrong)]
    return same[0] if same else "its rows should have the mean squared length 1 where `other` is `train`."


@exercise("09.2")
def best_pair(answer: Any, modalities: Sequence[str], candidates: Callable[..., Any]) -> str | None:
    """Take the pair whose best candidate scores highest on the validation set."""
    pairs = {frozenset(pair): candidates(list(pair)) for pair in combinations(modalities, 2)}
    if (chosen := frozenset(answer)) not in pairs:
        return f"{answer!r} is no pair of {', '.join(modalities)}."
    if max(pairs[chosen][0]) == max(max(scores) for scores, _ in pairs.values()):
        return None
    return f"it reaches UA {max(pairs[chosen][0]):.3f} on the validation set; another pair reaches more."


@exercise("09.3")
def without_audio(answer: Any, held_out: Corpus, goal: float) -> str | None:
    """Reach the goal on test utterances whose audio is missing."""
    return beats(answer, held_out, goal)
