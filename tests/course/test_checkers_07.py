"""The checkers of chapter 07: a right answer, a typically wrong one, and none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from emolab.course.progress import check

TEXTS = ["no unhappy day", "day"]  # four words, of which one is cut


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def tokenize(text: str) -> list[str]:
    return text.replace("unhappy", "un ##happy").split()


def schedule(step: float, n_steps: int, n_warm_up: int, highest: float) -> float:
    return highest * min(step / n_warm_up, (n_steps - step) / (n_steps - n_warm_up))


def without_warm_up(step: float, n_steps: int, n_warm_up: int, highest: float) -> float:
    return highest * (n_steps - step) / n_steps


def without_decay(step: float, n_steps: int, n_warm_up: int, highest: float) -> float:
    return highest * min(step / n_warm_up, 1)


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [
        (0.25, "correct", ""),
        (1.25, "incorrect", "number of tokens a word"),
        (0.2, "incorrect", "share of *tokens*"),
        (25, "incorrect", "per cent"),
        (..., "not attempted", ""),
    ],
)
def test_share_of_words_cut(answer: object, state: str, slip: str) -> None:
    verdict = check("07.1", answer, SimpleNamespace(tokenize=tokenize), TEXTS)
    assert verdict.state == state
    assert slip in verdict.message


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [
        (schedule, "correct", ""),
        (without_warm_up, "incorrect", "half-way through the warm-up"),
        (without_decay, "incorrect", "0 at the end"),
        (lambda *_: ..., "not attempted", ""),
    ],
)
def test_learning_rate(answer: object, state: str, slip: str) -> None:
    verdict = check("07.2", answer)
    assert verdict.state == state
    assert slip in verdict.message


@pytest.mark.parametrize(
    ("reached", "state", "slip"),
    [(0.9, "correct", ""), (0.4, "incorrect", "the goal is"), (None, "not attempted", "")],
)
def test_number_to_beat(reached: float | None, state: str, slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(metrics={"ua": SimpleNamespace(value=reached)})
    monkeypatch.setattr("emolab.evaluation.evaluate", lambda recognizer, held_out: report)
    verdict = check("07.3", ... if reached is None else "recognizer", [1, 2], {})
    assert verdict.state == state
    assert slip in verdict.message


def test_number_to_beat_wants_an_own_recognizer() -> None:
    model = object()
    assert "make one of your own" in check("07.3", model, [1, 2], {"a model of the chapter": model}).message
