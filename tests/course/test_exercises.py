"""Exercises: verdicts, likely slips, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from emolab import cli
from emolab.course import check
from emolab.course.exercises import CHECKERS, attempted, beats, exercise, number
from emolab.course.progress import progress_file, progress_table, solved


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path / "local"))
    monkeypatch.setitem(
        CHECKERS, "99.1", lambda answer, right: number(answer, right, {"That is per cent.": 100 * right})
    )
    monkeypatch.setitem(CHECKERS, "99.2", lambda answer: None if attempted(answer(3)) == 9 else "that is no square.")


class Value(NamedTuple):
    value: float


@pytest.mark.parametrize(
    ("name", "answer", "given", "said"),
    [
        ("99.1", ..., (0.25,), "Exercise 99.1: not attempted. Fill in the cell above and run it and this one."),
        ("99.1", 0.25, (0.25,), "Exercise 99.1: correct"),
        ("99.1", Value(0.252), (0.25,), "Exercise 99.1: correct"),
        ("99.1", 25, (0.25,), "Exercise 99.1: incorrect. That is per cent."),
        ("99.1", 0.31, (0.25,), "Exercise 99.1: incorrect. 0.310 is too high."),
        ("99.1", 0.2, (0.25,), "Exercise 99.1: incorrect. 0.200 is too low."),
        ("99.1", "much", (0.25,), "Exercise 99.1: incorrect. ValueError: could not convert string to float: 'much'"),
        ("99.2", lambda n: ..., (), "Exercise 99.2: not attempted. Fill in the cell above and run it and this one."),
        ("99.2", lambda n: n * n, (), "Exercise 99.2: correct"),
        ("99.2", lambda n: 2 * n, (), "Exercise 99.2: incorrect. that is no square."),
        ("99.2", lambda n: n / 0, (), "Exercise 99.2: incorrect. ZeroDivisionError: division by zero"),
    ],
)
def test_check_says_correct_or_why_not_or_not_attempted(name: str, answer: Any, given: Any, said: str) -> None:
    verdict = check(name, answer, *given)
    assert repr(verdict) == said
    assert (name in solved()) == (verdict.state == "correct"), "only what is solved is remembered"


def test_check_names_the_exercises_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"no exercise '3\.1'; expected one of .*99\.1.*Correct the name"):
        check("3.1", 1)


def test_what_was_solved_stays_solved_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "99  99.1 –" in progress_table()
    check("99.1", 0.25, 0.25)
    first = progress_file().read_text()
    check("99.1", 0.5, 0.25)  # a wrong answer later takes nothing away
    assert progress_file().read_text() == first
    day = json.loads(first)["99.1"]
    assert cli.main(["progress"]) == 0
    told = capsys.readouterr().out
    assert f"99.1 {day}" in told
    assert told.strip().endswith(f"1 of {len(CHECKERS)} exercises solved")


def test_exercise_registers_a_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKERS, "99.3", None)

    @exercise("99.3")
    def yes(answer: bool) -> str | None:
        return None if answer else "no."

    assert CHECKERS["99.3"] is yes
    assert check("99.3", True).state == "correct"


def test_beats_tells_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import emolab.evaluation

    report = type("Report", (), {"metrics": {"ua": Value(0.6)}})
    monkeypatch.setattr(emolab.evaluation, "evaluate", lambda recognizer, corpus: report)
    assert beats(None, [1, 2], 0.6) is None  # type: ignore[arg-type]
    assert beats(None, [1, 2], 0.7) == "it reaches UA 0.600 on 2 utterances; the goal is 0.70."  # type: ignore[arg-type]
