"""The checkers of chapter 15."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.course.progress import check


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_relevance_mass_counts_positive_values_only() -> None:
    def right(values: np.ndarray, marked: np.ndarray) -> float:
        positive = np.maximum(values, 0)
        return positive[marked].sum() / positive.sum()

    assert check("15.1", right).state == "correct"
    assert "maximum" in check("15.1", lambda values, marked: values[marked].sum() / values.sum()).message
    assert "size" in check("15.1", lambda values, marked: abs(values[marked]).sum() / abs(values).sum()).message
    assert "divide" in check("15.1", lambda values, marked: np.maximum(values, 0)[marked].sum()).message
    assert check("15.1", lambda values, marked: ...).state == "not attempted"


def test_fewest_steps_are_those_of_the_first_small_delta(monkeypatch: pytest.MonkeyPatch) -> None:
    def explained(*_: Any, n_steps: int, **__: Any) -> Any:
        return SimpleNamespace(relative_convergence_delta=0.1 / n_steps)  # below 2 % from 8 on

    monkeypatch.setattr("emolab.explain.explain", explained)
    assert check("15.2", 8, None, None).state == "correct"
    assert "8 steps are enough" in check("15.2", 32, None, None).message
    assert "2.5%" in check("15.2", 4, None, None).message
    assert "none of" in check("15.2", 5, None, None).message
    assert check("15.2", ..., None, None).state == "not attempted"


def test_number_to_beat_is_a_method_that_finds_planted_cues(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = np.array([[n / 10, (n + 1) / 10] for n in range(6)])

    def explained(recognizer: Any, utterances: Any, method: Any) -> Any:
        return [SimpleNamespace(spans=spans, values=method(lambda masks: masks[:, 1] * 1.0, 6))]

    monkeypatch.setattr("emolab.explain.explain", explained)

    class Hums(SimpleNamespace):
        def __len__(self) -> int:
            return 1

    hums = Hums(table=pd.DataFrame({"cue_start": [0.1], "cue_end": [0.2]}))
    assert check("15.3", lambda value, n: np.arange(n) == 1.0, None, hums).state == "correct"
    assert "goal is 0.80" in check("15.3", lambda value, n: np.ones(n), None, hums).message
    assert check("15.3", lambda value, n: ..., None, hums).state == "not attempted"
