"""Checkers of chapter 21: scaling out."""

import heapq
from collections.abc import Sequence
from typing import Any

from emolab.course.exercises import exercise


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
