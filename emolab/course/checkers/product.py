"""Checkers of chapters 20 and 21: from model to product, scaling out."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from emolab.corpora import Corpus
from emolab.course.exercises import exercise
from emolab.recognizer import Recognizer


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
