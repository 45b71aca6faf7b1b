"""Checkers of chapter 13: a right answer, the usual slips, and untouched stubs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emolab.course.progress import check
from emolab.results import holm


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def stepwise(p: Any) -> Any:
    values = np.asarray(p, float)
    return values * (len(values) - values.argsort().argsort())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (holm, "correct"),
        (lambda p: np.minimum(np.asarray(p) * len(p), 1), "Bonferroni"),
        (lambda p: np.sort(holm(p)), "not sorted"),
        (lambda p: np.minimum(stepwise(p), 1), "running maximum"),
        (lambda p: np.maximum.accumulate(np.sort(stepwise(p)))[np.argsort(np.argsort(p))], "at most 1"),
        (lambda p: p, "becomes"),
        (lambda _: ..., "not attempted"),
    ],
)
def test_holms_correction(answer: Any, said: str) -> None:
    assert said in repr(check("13.1", answer))


def front(costs: Any, scores: Any) -> Any:
    a = np.column_stack([costs, -np.asarray(scores)])
    return ~((a[:, None] <= a[None]).all(axis=2) & (a[:, None] < a[None]).any(axis=2)).any(axis=0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (front, "correct"),
        (lambda costs, scores: front(costs[:, :1], scores), "first cost only"),
        (lambda costs, scores: ~front(costs, scores), "turn the mask round"),
        (lambda *_: [True, False, True, False, False], "both stay"),
        (lambda *_: [True] * 5, "it marks"),
        (lambda *_: ..., "not attempted"),
    ],
)
def test_pareto_front_of_two_costs(answer: Any, said: str) -> None:
    assert said in repr(check("13.2", answer))


def test_a_budget_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = SimpleNamespace(metrics={"ua": SimpleNamespace(value=0.7)})
    monkeypatch.setattr("emolab.evaluation.evaluate", lambda *_: scored)
    assert check("13.3", SimpleNamespace(n_parameters=100), [0] * 5, 100, 0.6).state == "correct"
    assert "0.700" in check("13.3", SimpleNamespace(n_parameters=100), [0] * 5, 100, 0.8).message
    assert "the budget is 100" in check("13.3", SimpleNamespace(n_parameters=101), [0] * 5, 100, 0.6).message
    assert check("13.3", ..., [0] * 5, 100, 0.6).state == "not attempted"
