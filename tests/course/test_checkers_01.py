"""The checkers of chapter 01: right, typically wrong and untouched answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from emolab.course import check

LABELS = {"four": pd.Series(list("aaab")), "six": pd.Series(list("aabc"))}
WHOLE = pd.Series(list("aaabbbbbbb"))
HELD_OUT = pd.DataFrame({"valence": [2.0, 2.0, 4.0], "arousal": 3.0, "dominance": [1.0, 4.0, 3.0]})
HELD_OUT["emotion"] = ["sad", "angry", "happy"]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_untouched_answers_are_not_attempted() -> None:
    verdicts = [check("01.1", lambda a, b: ...), check("01.2", ..., LABELS, WHOLE)]
    verdicts += [check("01.3", lambda table: ..., HELD_OUT)]
    assert {verdict.state for verdict in verdicts} == {"not attempted"}


def observed(a: list[str], b: list[str]) -> float:
    return float(np.mean(np.array(a) == np.array(b)))


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (cohen_kappa_score, ""),
        (observed, "take chance off"),
        (lambda a, b: (observed(a, b) - 1 / 3) / (1 - 1 / 3), "sum of products"),
        (lambda a, b: observed(a, b) - 0.45, "full agreement gives 1"),
    ],
)
def test_cohens_kappa(answer: Callable[..., Any], named: str) -> None:
    verdict = check("01.1", answer)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"four": 0.75, "six": 0.5}, ""),
        ({"four": 0.3, "six": 0.2}, "four: divide by the utterances of the view"),
        ({"four": 0.75, "six": 1 / 3}, "six: that is the chance level of UA"),
    ],
)
def test_majority_in_views(answer: dict[str, float], named: str) -> None:
    verdict = check("01.2", answer, LABELS, WHOLE)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message


def by_all(table: pd.DataFrame) -> np.ndarray:
    return np.where(table["valence"] > 3, "happy", np.where(table["dominance"] > 2, "angry", "sad"))


def by_valence(table: pd.DataFrame) -> np.ndarray:
    return np.where(table["valence"] > 3, "happy", "sad")


@pytest.mark.parametrize(("answer", "named"), [(by_all, ""), (by_valence, "0.667; the goal is 0.78")])
def test_emotion_of_ratings(answer: Callable[..., Any], named: str) -> None:
    verdict = check("01.3", answer, HELD_OUT)
    assert (verdict.state == "correct") == (not named)
    assert named in verdict.message
