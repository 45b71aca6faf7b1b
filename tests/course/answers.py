"""Answers to exercises and what their checkers say of them, a table for each group of chapters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

FIVE = "abcde"  # utterances, as far as a checker of a goal counts them


class Case(NamedTuple):
    """An answer, what the chapter gives its checker besides, and what the checker says.

    Attributes:
        exercise: Such as "03.1".
        said: "correct", "not attempted", or part of the sentence that names what is wrong.
        answer: The learner's.
        given: What else the checker takes, or a function that makes it.
        instead: Names of functions that would take long, and what takes their place.
    """

    exercise: str
    said: str
    answer: Any
    given: Sequence[Any] | Callable[[], Sequence[Any]]
    instead: Mapping[str, Any]


class Given(NamedTuple):
    """An answer that is checked with something else than the others of its exercise."""

    answer: Any
    given: Sequence[Any]


def cases(
    exercise: str,
    right: Any,
    slips: Mapping[str, Any],
    *,
    given: Sequence[Any] | Callable[[], Sequence[Any]] = (),
    instead: Mapping[str, Any] | None = None,
) -> Iterator[Case]:
    """List the cases of an exercise: the right answer, the untouched stub, and each slip by what is said of it."""
    untouched = (lambda *_: ...) if inspect.isfunction(right) else ...
    for said, answer in {"correct": right, "not attempted": untouched, **slips}.items():
        own, others = answer if isinstance(answer, Given) else (answer, given)
        yield Case(exercise, said, own, others, instead or {})


def reaching(ua: float, **attributes: Any) -> Any:
    """Make what reaches a UA where `SCORED` is put in place of the evaluation."""
    return SimpleNamespace(ua=ua, **attributes)


def _evaluate(recognizer: Any, _: Any) -> Any:
    return SimpleNamespace(metrics={"ua": SimpleNamespace(value=recognizer.ua)})


SCORED = {"emolab.evaluation.evaluate": _evaluate}


def goal(exercise: str, ua: float, *given: Any) -> Iterator[Case]:
    """List the cases of a goal that is reached on held-out utterances."""
    missed = {f"it reaches UA {ua - 0.01:.3f} on 5 utterances; the goal is {ua:.2f}": reaching(ua - 0.01)}
    return cases(exercise, reaching(ua), missed, given=[FIVE, *given], instead=SCORED)
