"""The checkers of chapter 00: right, typically wrong and untouched answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.course import check

TRAIN, TEST = pd.Series(["sad"] * 4 + ["happy"] * 3 + ["calm"] * 3), pd.Series(["sad"] * 2 + ["happy"] * 8)
COUNTS = np.array([[8, 2], [3, 1]])


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


@pytest.mark.parametrize("name", ["00.1", "00.2", "00.3"])
def test_an_untouched_answer_is_not_attempted(name: str) -> None:
    assert check(name, ..., None, None).state == "not attempted"


@pytest.mark.parametrize(
    ("answer", "named"), [(0.2, ""), (0.4, "training set itself"), (0.8, "not known"), (1 / 3, "chance level of UA")]
)
def test_majority_of_the_training_set(answer: float, named: str) -> None:
    verdict = check("00.1", answer, TRAIN, TEST)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


@pytest.mark.parametrize(
    ("answer", "named"), [(0.525, ""), (9 / 14, "accuracy"), (np.mean([8 / 11, 1 / 3]), "precision"), (0.9, "too high")]
)
def test_ua_of_a_confusion_matrix(answer: float, named: str) -> None:
    verdict = check("00.2", answer, COUNTS)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


@pytest.mark.parametrize(
    ("modalities", "ua", "named"),
    [(("text",), 0.7, ""), (("text",), 0.6, "0.600"), (("audio", "text"), 0.9, "text alone")],
)
def test_number_to_beat(modalities: tuple[str, ...], ua: float, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(recognizer: Any, held_out: Any) -> Any:
        return SimpleNamespace(metrics={"ua": SimpleNamespace(value=ua)})

    monkeypatch.setattr("emolab.evaluation.evaluate", scored)
    verdict = check("00.3", SimpleNamespace(modalities=modalities), [0] * 9)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message
