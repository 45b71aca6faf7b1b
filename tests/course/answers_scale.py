"""Answers to the exercises of chapter 21."""

from __future__ import annotations

from math import ceil

from tests.course.answers import cases

SECONDS = [3.0, 3.0, 3.0, 3.0, 6.0]  # of two workers one is ready after 9 s at best, after 12 in this order


def size(overhead: float, work: float, share: float) -> float:
    return overhead * (1 - share) / (share * work)


CASES = [
    *cases(
        "21.1",
        lambda *given: ceil(size(*given)),
        {
            "round up: with fewer": lambda *given: int(size(*given)),
            "whole utterances": size,
            "the overhead may be at most that share": lambda *given: 1,
            "the share of the work alone": lambda overhead, work, share: ceil(overhead / (share * work)),
            "at least one utterance": lambda *given: ceil(size(*given)) if size(*given) > 1 else 0,
            "too high": lambda *given: 60,
        },
    ),
    *cases(
        "21.2",
        lambda gradients, sizes: sizes @ gradients / sizes.sum(),
        {
            "counts each process alike": lambda gradients, sizes: gradients.mean(axis=0),
            "that is a sum": lambda gradients, sizes: sizes @ gradients,
            "not of processes": lambda gradients, sizes: sizes @ gradients / len(sizes),
            "you made [1.0, -2.0]": lambda gradients, sizes: gradients[0],
        },
    ),
    *cases(
        "21.3",
        [4, 0, 1, 2, 3],
        {"ready after 12.0 s; the goal is 9.0 s": [0, 1, 2, 3, 4], "every number from 0 to 4 once": [4, 0, 1, 2]},
        given=[SECONDS, 2, 9.0],
    ),
]
