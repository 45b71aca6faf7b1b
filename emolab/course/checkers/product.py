"""Checkers of chapters 20 and 21: from model to product, scaling out."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.course.exercises import attempted, exercise, number
from emolab.recognizer import Recognizer

Turns = Sequence[tuple[float, float]]
TRUE: Turns = [(0.0, 1.0), (2.0, 3.0), (4.0, 6.0), (7.0, 8.0), (9.0, 10.0)]
FOUND: Turns = [(0.1, 1.1), (2.1, 3.6), (4.0, 4.9), (5.1, 6.5), (6.9, 8.1), (7.05, 8.0)]


@exercise("20.1")
def turns_f1(answer: Callable[[Turns, Turns, float], Any]) -> str | None:
    """Try the function where a turn is too long, one is split, one is found twice and one is missed."""
    slips = {
        "a turn belongs to one pair at most; one that is found twice is one hit.": 6 / 11,
        "the end counts too: both edges have to be near.": 8 / 11,
        "that is the recall, hits over true turns: F1 counts the found turns as well.": 2 / 5,
        "that is the precision, hits over found turns: F1 counts the true turns as well.": 2 / 6,
        "F1 is twice the hits over the number of turns in both lists.": 2 / 11,
    }
    return number(attempted(answer([*TRUE], [*FOUND], 0.25)), 4 / 11, slips)


@exercise("20.3")
def more_often_right(answer: Recognizer, held_out: Corpus, coverage: float, accuracy: float) -> str | None:
    """Reach an accuracy on the most confident utterances."""
    shares = answer.predict_proba(held_out)
    most = np.argsort(-shares.max(axis=1), kind="stable")[: round(coverage * len(shares))]
    reached = (shares.argmax(axis=1) == held_out.targets())[most].mean()
    wrong = f"of its {len(most)} most confident answers {reached:.3f} are right; the goal is {accuracy:.3f}."
    return None if reached >= accuracy else wrong


@exercise("21.3")
def schedule(answer: Any, seconds: Sequence[float], n_workers: int, goal: float) -> str | None:
    """Hand the tasks out in the order given, each to the worker that is free first."""
    order = [int(place) for place in answer]
    if sorted(order) != [*range(len(seconds))]:
        return f"expected every number from 0 to {len(seconds) - 1} once: the order in which the tasks are handed out."
    free = [0.0] * n_workers
    for place in order:
        heapq.heapreplace(free, free[0] + seconds[place])
    return None if max(free) <= goal else f"the last worker is ready after {max(free):.1f} s; the goal is {goal:.1f} s."
