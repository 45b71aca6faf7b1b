"""The checkers of all exercises: a right answer, the usual slips by name, and an untouched stub."""

from __future__ import annotations

from pathlib import Path

import pytest

from emolab.course import check
from emolab.course.exercises import CHECKERS
from tests.course import (
    answers_audio,
    answers_corpora,
    answers_dimensions,
    answers_explanation,
    answers_fusion,
    answers_product,
    answers_robustness,
    answers_scale,
    answers_text_and_video,
)
from tests.course.answers import Case

TABLES = [answers_corpora, answers_audio, answers_text_and_video, answers_fusion, answers_explanation, answers_product]
TABLES += [answers_dimensions, answers_robustness, answers_scale]
CASES = [case for table in TABLES for case in table.CASES]
STATES = ("correct", "not attempted")


@pytest.mark.parametrize("case", CASES, ids=[f"{case.exercise} {case.said}" for case in CASES])
def test_checker_says(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))
    for name, function in case.instead.items():
        monkeypatch.setattr(name, function)
    verdict = check(case.exercise, case.answer, *(case.given() if callable(case.given) else case.given))
    assert verdict.state == (case.said if case.said in STATES else "incorrect")
    assert case.said in repr(verdict)


def test_each_exercise_has_a_right_an_untouched_and_a_wrong_answer() -> None:
    of_each = {name: [case.said for case in CASES if case.exercise == name] for name in CHECKERS}
    assert [name for name, said in of_each.items() if not set(STATES) < set(said)] == []
