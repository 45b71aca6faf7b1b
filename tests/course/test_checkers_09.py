"""The checkers of chapter 09: a right answer, a typical slip that is named, and an untouched stub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emolab.course.progress import check

SCORES = {("audio", "text"): [0.6, 0.7], ("audio", "video"): [0.8, 0.5], ("text", "video"): [0.4, 0.4]}


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def root(rows: Any) -> Any:
    return np.sqrt((rows**2).sum(axis=1).mean())


def test_block_scale_is_learned_from_the_training_set() -> None:
    assert check("09.1", lambda train, other: other / root(train)).state == "correct"
    assert "learn the scale from `train`" in check("09.1", lambda train, other: other / root(other)).message
    assert "take its root" in check("09.1", lambda train, other: other / root(train) ** 2).message
    assert "many columns" in check("09.1", lambda train, other: other / np.sqrt((train**2).mean())).message
    assert "mean squared length 1" in check("09.1", lambda train, other: other).message
    assert check("09.1", lambda train, other: ...).state == "not attempted"


def test_best_pair_is_chosen_on_validation() -> None:
    given = ["audio", "text", "video"], lambda pair: (SCORES[tuple(pair)], [])
    assert check("09.2", ("video", "audio"), *given).state == "correct"
    assert "another pair reaches more" in check("09.2", ("audio", "text"), *given).message
    assert "no pair" in check("09.2", ("audio", "smell"), *given).message
    assert check("09.2", ..., *given).state == "not attempted"


def test_number_to_beat_without_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.course.checkers.fusion.beats", lambda answer, held_out, goal: f"the goal is {goal:.2f}")
    assert check("09.3", "a recognizer", [], 0.7).message == "the goal is 0.70"
    assert check("09.3", ..., [], 0.7).state == "not attempted"
