"""Answers to the exercises of chapters 09 to 13."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch

from emolab.results import holm
from tests.course.answers import FIVE, SCORED, cases, goal, reaching

SCORES = {("audio", "text"): [0.6, 0.7], ("audio", "video"): [0.8, 0.5], ("text", "video"): [0.4, 0.4]}
PAIRS = [["audio", "text", "video"], lambda pair: (SCORES[tuple(pair)], [])]
WITHOUT = {"audio": 0.4, "text": 0.7}  # UA without each modality
FUSED = [SimpleNamespace(modalities=("audio", "text")), SimpleNamespace(without=lambda modality: modality)]


def without(_: Any, modality: str) -> Any:
    return SimpleNamespace(metrics={"ua": SimpleNamespace(value=WITHOUT[modality])})


def root(rows: Any) -> Any:
    return np.sqrt((rows**2).sum(axis=1).mean())


def votes(probabilities: Any) -> Any:
    return np.eye(probabilities.shape[2])[probabilities.argmax(axis=2)].sum(axis=0)


def gate(scores: Any, there: Any) -> Any:
    return scores.masked_fill(~there, -torch.inf).softmax(dim=1)


def may_read(n: int, before: int, after: int) -> Any:
    distance = np.arange(n)[None, :] - np.arange(n)[:, None]
    return (-before <= distance) & (distance <= after)


def own_last(dialogues: Any, turns: Any, speakers: Any, *, by: tuple[str, ...] = ("d", "s"), sort: str = "t") -> Any:
    table = pd.DataFrame({"d": dialogues, "t": turns, "s": speakers, "row": range(len(turns))})
    before = table.sort_values(sort, kind="stable").groupby([*by])["row"].shift()
    return before.sort_index().fillna(-1).astype(int).tolist()


def live(ua: float, after: int = 0) -> Any:
    return reaching(ua, features=[SimpleNamespace(after=after)])


def stepwise(p: Any) -> Any:
    values = np.asarray(p, float)
    return values * (len(values) - values.argsort().argsort())


def front(costs: Any, scores: Any) -> Any:
    a = np.column_stack([costs, -np.asarray(scores)])
    return ~((a[:, None] <= a[None]).all(axis=2) & (a[:, None] < a[None]).any(axis=2)).any(axis=0)


CASES = [
    *cases(
        "09.1",
        lambda train, other: other / root(train),
        {
            "learn the scale from `train`": lambda train, other: other / root(other),
            "take its root": lambda train, other: other / root(train) ** 2,
            "many columns": lambda train, other: other / np.sqrt((train**2).mean()),
            "mean squared length 1": lambda train, other: other,
        },
    ),
    *cases(
        "09.2",
        ("video", "audio"),
        {"another pair reaches more": ("audio", "text"), "no pair": ("audio", "smell")},
        given=PAIRS,
    ),
    *goal("09.3", 0.70, 0.70),
    *cases(
        "10.1",
        lambda p: (votes(p) + 0.01 * p.mean(axis=0)).argmax(axis=1),
        {
            "count votes first": lambda p: p.mean(axis=0).argmax(axis=1),
            "not the first": lambda p: votes(p).argmax(axis=1),
            "expected two positions": votes,
        },
    ),
    *cases(
        "10.2",
        lambda p: np.nanmean(p, axis=0),
        {
            "leave that member out": lambda p: p.mean(axis=0),
            "counted as zeros": lambda p: np.nan_to_num(p).mean(axis=0),
            "axis 0": lambda p: np.nan_to_num(p).mean(axis=2),
        },
    ),
    *goal("10.3", 0.70, 0.70),
    *cases(
        "11.1",
        gate,
        {
            "after the softmax": lambda scores, there: scores.softmax(dim=1) * there,
            "use `there`": lambda scores, there: scores.softmax(dim=1),
            "exp(0)": lambda scores, there: (scores * there).softmax(dim=1),
            "dim=1": lambda scores, there: scores.softmax(dim=0),
            "sum to 1": lambda scores, there: scores,
        },
    ),
    *cases(
        "11.2",
        "audio",
        {"falls lower without another": "text", "none of audio, text": "smell"},
        given=FUSED,
        instead={"emolab.evaluation.evaluate": without},
    ),
    *goal("11.3", 0.70, 0.70),
    *cases(
        "12.1",
        may_read,
        {
            "rows and columns": lambda n, before, after: may_read(n, before, after).T,
            "itself": lambda n, before, after: may_read(n, before, after) & ~np.eye(n, dtype=bool),
            "all earlier turns": lambda n, before, after: may_read(n, n, after),
            "other turns": lambda n, before, after: np.zeros((n, n), bool),
        },
    ),
    *cases(
        "12.2",
        own_last,
        {
            "order of the rows": lambda *columns: own_last(*columns, sort="row"),
            "anyone": lambda *columns: own_last(*columns, by=("d",)),
            "crosses dialogues": lambda *columns: own_last(*columns, by=("s",)),
            "it returns": lambda *columns: [-1] * 7,
        },
    ),
    *cases(
        "12.3",
        live(0.6),
        {"0.590 on 5 utterances": live(0.59), "later": live(0.9, after=8)},
        given=[FIVE, 0.6],
        instead=SCORED,
    ),
    *cases(
        "13.1",
        holm,
        {
            "Bonferroni": lambda p: np.minimum(np.asarray(p) * len(p), 1),
            "not sorted": lambda p: np.sort(holm(p)),
            "running maximum": lambda p: np.minimum(stepwise(p), 1),
            "at most 1": lambda p: np.maximum.accumulate(np.sort(stepwise(p)))[np.argsort(np.argsort(p))],
            "becomes": lambda p: p,
        },
    ),
    *cases(
        "13.2",
        front,
        {
            "first cost only": lambda costs, scores: front(costs[:, :1], scores),
            "turn the mask round": lambda costs, scores: ~front(costs, scores),
            "both stay": lambda costs, scores: [True, False, True, False, False],
            "it marks": lambda costs, scores: [True] * 5,
        },
    ),
    *cases(
        "13.3",
        reaching(0.6, n_parameters=100),
        {"0.590": reaching(0.59, n_parameters=100), "the budget is 100": reaching(0.9, n_parameters=101)},
        given=[FIVE, 100, 0.6],
        instead=SCORED,
    ),
]
