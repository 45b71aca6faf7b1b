"""Checkers of chapters 09 to 13: fusion, conversation, small against large."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.course.exercises import beats, exercise
from emolab.recognizer import Recognizer


@exercise("09.2")
def best_pair(answer: Any, modalities: Sequence[str], candidates: Callable[..., Any]) -> str | None:
    """Take the pair whose best candidate scores highest on the validation set."""
    pairs = {frozenset(pair): candidates(list(pair)) for pair in combinations(modalities, 2)}
    if (chosen := frozenset(answer)) not in pairs:
        return f"{answer!r} is no pair of {', '.join(modalities)}."
    if max(pairs[chosen][0]) == max(max(scores) for scores, _ in pairs.values()):
        return None
    return f"it reaches UA {max(pairs[chosen][0]):.3f} on the validation set; another pair reaches more."


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
