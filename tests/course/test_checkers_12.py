"""Checkers of chapter 12: a right answer, the usual slips, and untouched stubs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab.course import exercises
from emolab.course.progress import check


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def mask(n: int, before: int, after: int) -> Any:
    distance = np.arange(n)[None, :] - np.arange(n)[:, None]
    return (-before <= distance) & (distance <= after)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (mask, "correct"),
        (lambda n, before, after: mask(n, before, after).T, "rows and columns"),
        (lambda n, before, after: mask(n, before, after) & ~np.eye(n, dtype=bool), "itself"),
        (lambda n, _, after: mask(n, n, after), "all earlier turns"),
        (lambda n, before, after: np.zeros((n, n), bool), "other turns"),
        (lambda *_: ..., "not attempted"),
    ],
)
def test_which_turns_may_be_read(answer: Any, said: str) -> None:
    assert said in repr(check("12.1", answer))


def own_last(dialogues: Any, turns: Any, speakers: Any, *, by: tuple[str, ...] = ("d", "s"), sort: str = "t") -> Any:
    table = pd.DataFrame({"d": dialogues, "t": turns, "s": speakers, "row": range(len(turns))})
    before = table.sort_values(sort, kind="stable").groupby([*by])["row"].shift()
    return before.sort_index().fillna(-1).astype(int).tolist()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (own_last, "correct"),
        (lambda *given: own_last(*given, sort="row"), "order of the rows"),
        (lambda *given: own_last(*given, by=("d",)), "anyone"),
        (lambda *given: own_last(*given, by=("s",)), "crosses dialogues"),
        (lambda *given: [-1] * 7, "it returns"),
        (lambda *_: ..., "not attempted"),
    ],
)
def test_own_last_turn(answer: Any, said: str) -> None:
    assert said in repr(check("12.2", answer))


def test_a_live_recognizer_reads_no_later_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = SimpleNamespace(metrics={"ua": SimpleNamespace(value=0.7)})
    monkeypatch.setattr("emolab.evaluation.evaluate", lambda *_: scored)
    live, later = (SimpleNamespace(features=[SimpleNamespace(after=after)]) for after in (0, 8))
    assert exercises.beats(live, [0] * 5, 0.6) is None  # type: ignore[arg-type]
    assert check("12.3", live, [0] * 5, 0.6).state == "correct"
    assert "0.700 on 5 utterances" in check("12.3", live, [0] * 5, 0.8).message
    assert "later" in check("12.3", later, [0] * 5, 0.6).message
    assert check("12.3", ..., [0] * 5, 0.6).state == "not attempted"
