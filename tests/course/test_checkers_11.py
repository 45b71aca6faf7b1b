"""The checkers of chapter 11: a right answer, a typical slip that is named, and an untouched stub."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from emolab.course.progress import check

WITHOUT = {"audio": 0.4, "text": 0.7}  # UA without each modality


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_gate_is_a_softmax_over_what_is_there() -> None:
    assert check("11.1", lambda s, there: s.masked_fill(~there, -torch.inf).softmax(dim=1)).state == "correct"
    assert "after the softmax" in check("11.1", lambda s, there: s.softmax(dim=1) * there).message
    assert "use `there`" in check("11.1", lambda s, there: s.softmax(dim=1)).message
    assert "exp(0)" in check("11.1", lambda s, there: (s * there).softmax(dim=1)).message
    assert "dim=1" in check("11.1", lambda s, there: s.softmax(dim=0)).message
    assert "sum to 1" in check("11.1", lambda s, there: s).message
    assert check("11.1", lambda s, there: ...).state == "not attempted"


def test_most_relied_on_is_the_modality_that_is_missed_most(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(recognizer: Any, part: str) -> Any:
        return SimpleNamespace(metrics={"ua": SimpleNamespace(value=WITHOUT[part])})

    monkeypatch.setattr("emolab.evaluation.evaluate", evaluate)
    given = SimpleNamespace(modalities=("audio", "text")), SimpleNamespace(without=lambda modality: modality)
    assert check("11.2", "audio", *given).state == "correct"
    assert "falls lower without another" in check("11.2", "text", *given).message
    assert "none of audio, text" in check("11.2", "smell", *given).message
    assert check("11.2", ..., *given).state == "not attempted"


def test_number_to_beat_without_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.course.checkers.fusion.beats", lambda answer, held_out, goal: f"the goal is {goal:.2f}")
    assert check("11.3", "a recognizer", [], 0.7).message == "the goal is 0.70"
    assert check("11.3", ..., [], 0.7).state == "not attempted"
