"""The checkers of chapter 14: right, typically wrong and untouched answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.course import check

HELD_OUT = SimpleNamespace(table=pd.DataFrame({"cue_words": [(0,), (2,)]}))


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_untouched_answers_are_not_attempted() -> None:
    verdicts = [check("14.1", lambda x, weights, background: ...), check("14.2", lambda values, cues: ...)]
    verdicts += [check("14.3", lambda value, n_words: ..., None, HELD_OUT)]
    assert {verdict.state for verdict in verdicts} == {"not attempted"}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (lambda x, w, b: w * (x - b.mean(axis=0)), ""),
        (lambda x, w, b: w * x, "counted from 0"),
        (lambda x, w, b: x - b.mean(axis=0), "you found"),
    ],
)
def test_linear_shap_values(answer: Callable[..., Any], named: str) -> None:
    verdict = check("14.1", answer)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (lambda values, cues: int(np.argmax(values) in cues), ""),
        (lambda values, cues: int(np.argmax(np.abs(values)) in cues), "not the largest size"),
        (lambda values, cues: int(values[list(cues)].max() > 0), "no hit if another word"),
        (lambda values, cues: int(len(cues) == 1 and np.argmax(values) in cues), "one of several"),
    ],
)
def test_pointing_game(answer: Callable[..., Any], named: str) -> None:
    verdict = check("14.2", answer)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


@pytest.mark.parametrize(("values", "named"), [([[1, 0, 0], [0, 0, 1]], ""), ([[1, 0, 0], [1, 0, 0]], "in 50%")])
def test_number_to_beat(values: list[list[float]], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.explain.explain", lambda *given: SimpleNamespace(values=values))
    verdict = check("14.3", lambda value, n_words: np.zeros(n_words), None, HELD_OUT)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message
