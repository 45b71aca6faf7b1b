"""Checkers of chapters 20 to 22: from model to product, scaling out, beyond one label."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora import Corpus
from emolab.course.exercises import alike, attempted, beats, exercise
from emolab.recognizer import Recognizer
from emolab.splits import Fold

ROWS = ("sss-", "csss", "aac-", "saaa", "-ccc", "css-", "c--c", "sscc", "ccc-")  # utterances; a column each rater
VOTES = pd.DataFrame([[*row] for row in ROWS], columns=[*"ABCD"]).replace("-", np.nan)


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


@exercise("22.2")
def accuracies(answer: Callable[[pd.DataFrame], Any]) -> str | None:
    """Try the function on nine utterances and four raters who did not all vote."""
    slips = {
        "the rater's own vote is in the majority; drop it first.": [0.5, 0.875, 0.875, 1],
        "where the rater did not vote nothing is right or wrong; leave these rows out.": [1 / 3, 0.75, 0.6, 1 / 3],
        "one other rater is no majority; ask for two at least.": [0.5, 1, 0.75, 1],
        "leave out rows in which the others name several emotions.": [0.5, 0.75, 0.625, 0.8],
    }
    found = pd.Series(attempted(answer(VOTES.copy()))).reindex(VOTES.columns)
    otherwise = "something else is off; try it on a few rows by hand."
    return alike(found.to_numpy(float), [0.4, 1, 0.75, 1], slips, otherwise)


@exercise("22.3")
def rates_well(answer: Recognizer, fold: Fold, goal: float) -> str | None:
    """Fit a regressor of arousal and test it once."""
    if answer.target != "arousal":
        return f'it learns {answer.target}; ask for the rating: target="arousal".'
    answer.fit(fold.train, fold.valid)
    return beats(answer, fold.test, goal, metric="ccc")
