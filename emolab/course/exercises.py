"""What checkers of exercises are made of; they stand in `checkers` or, where a table is enough, in exercises.toml."""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.recognizer import Recognizer
from emolab.storage import toml_beside

Checker = Callable[..., str | None]  # (answer, what the chapter's cells found) -> what is wrong; None if nothing
CHECKERS: dict[str, Checker] = {}  # by name, such as "03.1"
TOLERANCE = 0.005  # an answer rounded to two decimals is right


class NotAttempted(Exception):
    """The answer is still the stub's."""


def exercise(name: str) -> Callable[[Checker], Checker]:
    """Register a function as the checker of an exercise, such as "03.1" for the first of chapter 03."""

    def register(checker: Checker) -> Checker:
        CHECKERS[name] = checker
        return checker

    return register


def attempted(answer: Any) -> Any:
    """Return an answer as it is; raise `NotAttempted` if it is the stub's `...`."""
    if answer is ...:
        raise NotAttempted
    return answer


def number(answer: Any, right: float, slips: Mapping[str, float] | None = None) -> str | None:
    """Compare a number with the right one; return None if it is, else what probably went wrong.

    Args:
        answer: The learner's number, or an interval with a `value`.
        right: The right one.
        slips: What the learner probably did, as a whole sentence, and the number that this gives.
    """
    found = float(getattr(answer, "value", answer))
    for slip, value in [(None, right), *(slips or {}).items()]:
        if math.isclose(found, value, rel_tol=0, abs_tol=TOLERANCE):
            return slip
    return f"{found:.3f} is too {'high' if found > right else 'low'}."


def alike(found: Any, right: Any, slips: Mapping[str, Any], otherwise: str) -> str | None:
    """Compare an array with the right one; return None if it is, the slip that gives it, or else `otherwise`."""

    def same(value: Any) -> bool:
        return np.shape(found) == np.shape(value) and np.allclose(found, value, equal_nan=True)

    return None if same(right) else next((slip for slip, value in slips.items() if same(value)), otherwise)


def tried(answer: Callable[..., Any], tries: Sequence[Mapping[str, Any]]) -> str | None:
    """Try a function on known arguments; return None if it is right each time, else what probably went wrong.

    Args:
        answer: The learner's function.
        tries: Of one exercise in exercises.toml, whose head says what they hold.
    """
    for row in tries:
        given: list[Any] = [np.array(own) for own in row.get("arrays", ())]
        if "tensors" in row:
            import torch

            given += [torch.tensor(own) for own in row["tensors"]]
        given += [[*map(tuple, own)] for own in row.get("pairs", ())]
        given += deepcopy(row.get("given", []))
        found, slips = attempted(answer(*given)), row.get("slips", {})
        if "otherwise" in row:
            told = {"found": np.asarray(found).tolist(), "shape": tuple(np.shape(found))}
            wrong = alike(found, row["right"], slips, row["otherwise"].format(**told))
        else:
            wrong = number(found, row["right"], slips)
        if wrong:
            return wrong
    return None


def beats(recognizer: Recognizer, held_out: Corpus, goal: float, *, metric: str = "ua") -> str | None:
    """Return None if a recognizer reaches a goal, such as a UA or CCC, on utterances it was not trained on."""
    from emolab.evaluation import evaluate

    reached = evaluate(recognizer, held_out).metrics[metric].value
    wrong = f"it reaches {metric.upper()} {reached:.3f} on {len(held_out)} utterances; the goal is {goal:.2f}."
    return None if reached >= goal else wrong


CHECKERS |= {name: partial(tried, tries=tries) for name, tries in toml_beside(__file__, "exercises.toml").items()}
