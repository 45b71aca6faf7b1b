"""Answers to the exercises of chapter 20."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.course.answers import cases

SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.45, 0.55]])  # the last one is left out at 3 of 4
HELD_OUT = SimpleNamespace(targets=lambda: np.array([0, 1, 1, 0]))


def hits(true: Any, found: Any, tolerance: float, *, edges: Sequence[int] = (0, 1), again: bool = False) -> int:
    free, n = [*found], 0
    for turn in true:
        near = [each for each in free if all(abs(each[edge] - turn[edge]) <= tolerance for edge in edges)]
        for each in near if again else near[:1]:
            free.remove(each)
            n += 1
    return n


def f1(true: Any, found: Any, tolerance: float, **how: Any) -> float:
    return 2 * hits(true, found, tolerance, **how) / (len(true) + len(found))


def reached(confidence: Any, right: Any) -> tuple[Any, Any]:
    order = np.argsort(-confidence)
    return confidence[order], np.cumsum(right[order]) / np.arange(1, len(order) + 1)


def threshold(confidence: Any, right: Any, accuracy: float, *, further: int = 0) -> float:
    falling, share = reached(confidence, right)
    return float(falling[np.flatnonzero(share >= accuracy)[-1] + further])


def first(confidence: Any, right: Any, accuracy: float) -> float:
    falling, share = reached(confidence, right)
    return float(falling[np.flatnonzero(share < accuracy)[0] - 1])


def answering(shares: Any) -> Any:
    return SimpleNamespace(predict_proba=lambda _: np.asarray(shares))


CASES = [
    *cases(
        "20.1",
        lambda true, found, tolerance: f1(true, found, tolerance),
        {
            "found twice is one hit": lambda true, found, tolerance: f1(true, found, tolerance, again=True),
            "the end counts too": lambda true, found, tolerance: f1(true, found, tolerance, edges=[0]),
            "that is the recall": lambda true, found, tolerance: hits(true, found, tolerance) / len(true),
            "that is the precision": lambda true, found, tolerance: hits(true, found, tolerance) / len(found),
            "twice the hits": lambda true, found, tolerance: f1(true, found, tolerance) / 2,
            "too high": lambda true, found, tolerance: 1.0,
        },
    ),
    *cases(
        "20.2",
        threshold,
        {
            "comes back further down": first,
            "take the one before it": lambda *given: threshold(*given, further=1),
            "not the confidence itself": lambda confidence, right, accuracy: confidence[confidence >= accuracy].min(),
            "that answers all turns": lambda confidence, right, accuracy: confidence.min(),
            "too high": lambda confidence, right, accuracy: 0.99,
        },
    ),
    *cases(
        "20.3",
        answering(SHARES),
        {"of its 3 most confident answers 0.333 are right; the goal is 0.600": answering(SHARES[:, ::-1])},
        given=[HELD_OUT, 0.75, 0.6],
    ),
]
