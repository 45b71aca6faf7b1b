"""The checkers of chapter 10: a right answer, a typical slip that is named, and an untouched stub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emolab.course.progress import check


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def votes(probabilities: Any) -> Any:
    return np.eye(probabilities.shape[2])[probabilities.argmax(axis=2)].sum(axis=0)


def test_vote_counts_members_before_probabilities() -> None:
    assert check("10.1", lambda p: (votes(p) + 0.01 * p.mean(axis=0)).argmax(axis=1)).state == "correct"
    assert "count votes first" in check("10.1", lambda p: p.mean(axis=0).argmax(axis=1)).message
    assert "not the first" in check("10.1", lambda p: votes(p).argmax(axis=1)).message
    assert "expected two positions" in check("10.1", votes).message
    assert check("10.1", lambda p: ...).state == "not attempted"


def test_mean_of_present_leaves_missing_members_out() -> None:
    assert check("10.2", lambda p: np.nanmean(p, axis=0)).state == "correct"
    assert "leave that member out" in check("10.2", lambda p: p.mean(axis=0)).message
    assert "counted as zeros" in check("10.2", lambda p: np.nan_to_num(p).mean(axis=0)).message
    assert "axis 0" in check("10.2", lambda p: np.nan_to_num(p).mean(axis=2)).message
    assert check("10.2", lambda p: ...).state == "not attempted"


def test_number_to_beat_on_the_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.course.checkers.fusion.beats", lambda answer, held_out, goal: f"the goal is {goal:.2f}")
    assert check("10.3", "a recognizer", [], 0.7).message == "the goal is 0.70"
    assert check("10.3", ..., [], 0.7).state == "not attempted"
