"""The checkers of chapter 16: a right answer, a typically wrong one, and none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.course.progress import check

ITEMS = [SimpleNamespace(native=np.array([0.0, 2.0, -1.0, 1.0]), values=np.array([1.0, 1.0]))]  # half is lost
ATTENDED, CUES = [np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.6, 0.3])], [(2,), (2,)]  # rank 2 in both


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [(0.5, "correct", ""), (50, "incorrect", "not per cent"), (0.1, "incorrect", "low"), (..., "not attempted", "")],
)
def test_lost_in_words(answer: object, state: str, slip: str) -> None:
    verdict = check("16.1", answer, ITEMS)
    assert verdict.state == state
    assert slip in verdict.message


def test_lost_in_words_names_what_remains() -> None:
    items = [SimpleNamespace(native=np.array([3.0, -1.0]), values=np.array([1.0]))]
    assert "remains" in check("16.1", 0.25, items).message


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [(2, "correct", ""), (1, "incorrect", "not 0"), (3.4, "incorrect", "high"), (..., "not attempted", "")],
)
def test_mean_rank(answer: object, state: str, slip: str) -> None:
    verdict = check("16.2", answer, ATTENDED, CUES)
    assert verdict.state == state
    assert slip in verdict.message


def leave_one_out(value: Any, n_units: int) -> Any:
    return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [
        (leave_one_out, "correct", ""),
        (lambda value, n_units: -leave_one_out(value, n_units), "incorrect", "the goal is 90 %"),
        (lambda value, n_units: ..., "not attempted", ""),
    ],
)
def test_finds_the_code_word(answer: Any, state: str, slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def explained(recognizer: Any, utterances: Any, method: Any, target: str) -> SimpleNamespace:
        return SimpleNamespace(values=[method(lambda masks: masks[:, 1] * 2.0, 3)] * 2)  # only word 1 counts

    monkeypatch.setattr("emolab.explain.explain", explained)
    held_out = SimpleNamespace(table=pd.DataFrame({"cue_words": [(1,), (1,)]}))
    verdict = check("16.3", answer, None, held_out)
    assert verdict.state == state
    assert slip in verdict.message
