"""Checkers of chapter 21: scaling out."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from emolab.course.exercises import alike, attempted, exercise, number


@exercise("21.1")
def tasks_of_a_size(answer: Callable[[float, float, float], Any]) -> str | None:
    """Try the function that gives the smallest number of utterances a task, on an overhead of 5 ms."""
    slips = {
        "round up: with fewer utterances the overhead is above the share.": 47,
        "a task holds whole utterances: round up.": 47.5,
        "the whole is overhead and work together; you took the share of the work alone.": 50,
        "that is the share of the work: the overhead may be at most that share.": 1,
    }
    wrong = number(attempted(answer(0.005, 0.002, 0.05)), 48, slips)
    return wrong or number(answer(0.005, 1.0, 0.05), 1, {"a task has at least one utterance.": 0})


@exercise("21.2")
def gradient_of_all(answer: Callable[..., Any]) -> str | None:
    """Try the function on three processes with batches of different sizes."""
    gradients, sizes = np.array([[1.0, -2.0], [4.0, 0.0], [0.0, 6.0]]), np.array([4, 1, 1])
    found = np.asarray(attempted(answer(gradients.copy(), sizes.copy())), float)
    slips = {
        "that counts each process alike; one with fewer utterances must count less.": gradients.mean(axis=0),
        "that is a sum: divide it by the number of utterances.": sizes @ gradients,
        "divide by the number of utterances, not of processes.": sizes @ gradients / len(sizes),
    }
    return alike(found, sizes @ gradients / sizes.sum(), slips, f"of {gradients.tolist()} you made {found.tolist()}.")


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
