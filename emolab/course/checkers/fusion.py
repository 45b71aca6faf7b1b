"""Checkers of chapters 09 to 13: fusion, conversation, small against large."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.course.exercises import alike, attempted, beats, exercise
from emolab.recognizer import Recognizer


@exercise("09.1")
def block_scale(answer: Callable[..., Any]) -> str | None:
    """Try the function on two blocks of different length, and on a test set longer than the training set."""
    train, other = np.random.default_rng(1).normal(0, [[[3.0]], [[5.0]]], (2, 40, 7))
    factor, found = np.sqrt((train**2).sum(axis=1).mean()), np.asarray(attempted(answer(train, other)))
    slips = {"that is the length of `other`: learn the scale from `train`.": np.sqrt((other**2).sum(axis=1).mean())}
    slips["the mean squared length is still squared: take its root."] = factor**2
    slips["that is the mean square of a number; a row has many columns, so add them up first."] = factor / np.sqrt(7)
    scaled = {slip: other / wrong for slip, wrong in slips.items()}
    otherwise = "its rows should have the mean squared length 1 where `other` is `train`."
    return alike(found, other / factor, scaled, otherwise)


@exercise("09.2")
def best_pair(answer: Any, modalities: Sequence[str], candidates: Callable[..., Any]) -> str | None:
    """Take the pair whose best candidate scores highest on the validation set."""
    pairs = {frozenset(pair): candidates(list(pair)) for pair in combinations(modalities, 2)}
    if (chosen := frozenset(answer)) not in pairs:
        return f"{answer!r} is no pair of {', '.join(modalities)}."
    if max(pairs[chosen][0]) == max(max(scores) for scores, _ in pairs.values()):
        return None
    return f"it reaches UA {max(pairs[chosen][0]):.3f} on the validation set; another pair reaches more."


@exercise("11.1")
def gate(answer: Callable[..., Any]) -> str | None:
    """Try the function on three utterances: all there, one missing, one alone."""
    import torch

    scores = torch.tensor([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0], [-3.0, 5.0, 5.0]])
    there = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])
    found = attempted(answer(scores.clone(), there)).detach()
    slips = {
        "a row sums to less than 1: missing modalities were set to 0 after the softmax.": scores.softmax(1) * there,
        "missing modalities still have a weight: use `there`.": scores.softmax(1),
        "a score of 0 is not a weight of 0: the softmax gives it exp(0).": (scores * there).softmax(1),
        "take the softmax over the modalities, dim=1; yours runs over the utterances.": scores.softmax(0),
    }
    otherwise = "each row should sum to 1, with 0 where a modality is missing."
    return alike(found, scores.masked_fill(~there, -torch.inf).softmax(dim=1), slips, otherwise)


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


@exercise("12.3")
def live(answer: Recognizer, held_out: Corpus, ua: float) -> str | None:
    """Reach a UA without turns that come later."""
    if any(getattr(extractor, "after", 0) for extractor in answer.features):
        return "it reads turns that come later, which nobody has in a live conversation."
    return beats(answer, held_out, ua)


@exercise("13.3")
def within_budget(answer: Recognizer, held_out: Corpus, budget: int, ua: float) -> str | None:
    """Reach a UA with few parameters."""
    if answer.n_parameters > budget:
        return f"it has {answer.n_parameters:,} parameters; the budget is {budget:,}."
    return beats(answer, held_out, ua)
