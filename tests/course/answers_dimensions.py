"""Answers to the exercises of chapter 22."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from tests.course.answers import cases

FOLD = SimpleNamespace(train=(), valid=(), test=())


def stretched(known: Any, truth: Any, new: Any, *, ratio: Any = None) -> Any:
    return truth.mean() + (new - known.mean()) * (truth.std() / known.std() if ratio is None else ratio)


def accuracies(votes: pd.DataFrame, *, least: int = 2, missing_too: bool = False) -> pd.Series:
    found = {}
    for rater in votes:
        own, others = votes[rater], votes.drop(columns=rater)
        counts = (others.nunique(axis=1) == 1) & (others.count(axis=1) >= least) & (own.notna() | missing_too)
        found[rater] = (own == others.bfill(axis=1).iloc[:, 0])[counts].mean()
    return pd.Series(found)


def against_mode(votes: pd.DataFrame, *, own_too: bool) -> pd.Series:
    label = {rater: (votes if own_too else votes.drop(columns=rater)).mode(axis=1)[0] for rater in votes}
    return pd.Series({rater: (votes[rater] == label[rater])[votes[rater].notna()].mean() for rater in votes})


def regressor(ccc: float, target: str = "arousal") -> Any:
    return SimpleNamespace(ccc=ccc, target=target, fit=lambda *_: None)


def _evaluate(recognizer: Any, _: Any) -> Any:
    return SimpleNamespace(metrics={"ccc": SimpleNamespace(value=recognizer.ccc)})


CASES = [
    *cases(
        "22.1",
        lambda known, truth, new: stretched(known, truth, new),
        {
            "nothing is computed from `new`": lambda known, truth, new: stretched(new, truth, new),
            "upside down": lambda known, truth, new: stretched(known, truth, new, ratio=known.std() / truth.std()),
            "moved, not stretched": lambda known, truth, new: stretched(known, truth, new, ratio=1),
            "ratio of variances": lambda known, truth, new: stretched(
                known, truth, new, ratio=truth.var() / known.var()
            ),
            "something else is off": lambda known, truth, new: new,
        },
    ),
    *cases(
        "22.2",
        lambda votes: accuracies(votes),
        {
            "own vote is in the majority": lambda votes: against_mode(votes, own_too=True),
            "leave these rows out": lambda votes: accuracies(votes, missing_too=True),
            "one other rater is no majority": lambda votes: accuracies(votes, least=1),
            "the others name several": lambda votes: against_mode(votes, own_too=False),
            "something else is off": lambda votes: np.zeros(4),
        },
    ),
    *cases(
        "22.3",
        regressor(0.7),
        {
            "it reaches CCC 0.590 on 0 utterances; the goal is 0.60": regressor(0.59),
            'it learns votes; ask for the rating: target="arousal"': regressor(0.9, "votes"),
        },
        given=[FOLD, 0.6],
        instead={"emolab.evaluation.evaluate": _evaluate},
    ),
]
