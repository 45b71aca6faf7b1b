"""The checkers of chapter 05: a right answer, a typically wrong one, and none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from emolab.course.progress import check

KERNELS, STRIDES = (10, 3), (5, 2)  # a frame depends on 20 samples; the next one begins 10 later


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def pooled(hidden: torch.Tensor, n_frames: torch.Tensor) -> torch.Tensor:
    mask, n = (torch.arange(hidden.shape[1]) < n_frames[:, None])[..., None], n_frames[:, None]
    mean = (hidden * mask).sum(dim=1) / n
    return torch.cat([mean, (((hidden - mean[:, None]).square() * mask).sum(dim=1) / n).sqrt()], dim=1)


def half_pooled(hidden: torch.Tensor, n_frames: torch.Tensor) -> torch.Tensor:
    return torch.cat([pooled(hidden, n_frames)[:, : hidden.shape[2]], hidden.std(dim=1, correction=0)], dim=1)


def unmasked(hidden: torch.Tensor, n_frames: torch.Tensor) -> torch.Tensor:
    return torch.cat([hidden.mean(dim=1), hidden.std(dim=1)], dim=1)


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [(20, "correct", ""), (10, "incorrect", "next"), (15, "incorrect", "window"), (..., "not attempted", "")],
)
def test_receptive_field(answer: object, state: str, slip: str) -> None:
    verdict = check("05.1", answer, KERNELS, STRIDES, 1_000)
    assert verdict.state == state
    assert slip in verdict.message


@pytest.mark.parametrize(
    ("answer", "state", "slip"),
    [
        (pooled, "correct", ""),
        (unmasked, "incorrect", "the means differ"),
        (half_pooled, "incorrect", "deviations count padded frames"),
        (lambda hidden, n: hidden.mean(dim=1), "incorrect", "shape"),
        (lambda hidden, n: ..., "not attempted", ""),
    ],
)
def test_mean_and_deviation(answer: object, state: str, slip: str) -> None:
    verdict = check("05.2", answer)
    assert verdict.state == state
    assert slip in verdict.message


@pytest.mark.parametrize(
    ("reached", "state", "slip"),
    [(0.55, "correct", ""), (0.5, "incorrect", "the goal is 0.55"), (None, "not attempted", "")],
)
def test_number_to_beat(reached: float | None, state: str, slip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(metrics={"ua": SimpleNamespace(value=reached)})
    monkeypatch.setattr("emolab.evaluation.evaluate", lambda recognizer, held_out: report)
    verdict = check("05.3", ... if reached is None else "recognizer", [1, 2])
    assert verdict.state == state
    assert slip in verdict.message
