"""The checkers of chapter 17: a right, a typically wrong and an untouched answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.course.progress import check
from emolab.explain import perturbation
from emolab.explain.explanation import Attribution, Explanation, Options


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_17_1_two_values() -> None:
    assert check("17.1", (1.5, 2.5)).state == "correct"
    assert "ablation" in check("17.1", (1, 2)).message
    assert "alone" in check("17.1", [2, 3]).message
    assert check("17.1", ...).state == "not attempted"


def worth(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the larger of two redundant units, plus the third."""
    masks = np.atleast_2d(masks)
    return np.maximum(3.0 * masks[:, 0], 2.0 * masks[:, 1]) + masks[:, 2]


def explained(_: object, calls: object, method: object) -> Explanation:
    """Stand in for `explain`: one utterance of three modalities, the last one missing where `calls` says so."""
    names, spans = ("audio", "text", "video"), np.full((3, 2), np.nan)
    values = perturbation.estimate(method, worth, 3, Options("", "modality")) if callable(method) else [2.0, 1.0, 1.0]
    values = np.asarray(values, float) * ([1, 1, 0] if calls == "without video" else [1, 1, 1])
    return Explanation("", "", "modality", "", (Attribution("a", "sad", names, values, spans),))


class Five:
    def without(self, missing: str) -> str:
        return f"without {missing}"


def test_17_2_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.explain.explain", explained)
    five = Five()
    assert check("17.2", [[2.0, 1.0, 0.0]], None, five, "video").state == "correct"
    assert "adds 0" in check("17.2", [[2.0, 1.0, 1.0]], None, five, "video").message
    assert "others" in check("17.2", [[1.0, 1.0, 0.0]], None, five, "video").message.replace(
        "other modalities", "others"
    )
    assert "shape" in check("17.2", [2.0, 1.0, 0.0], None, five, "video").message
    assert check("17.2", ..., None, five, "video").state == "not attempted"


def test_17_3_few_coalitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.explain.explain", explained)

    def both_ways(value: object, n: int) -> NDArray[np.float64]:
        first = np.tril(np.ones((n + 1, n), bool), -1)
        there, back = (np.diff(value(masks)) for masks in (first, first[:, ::-1]))  # type: ignore[operator]
        return (there + back[::-1]) / 2

    def ablation(value: object, n: int) -> NDArray[np.float64]:
        return value(np.ones((1, n), bool)) - value(~np.eye(n, dtype=bool))  # type: ignore[operator]

    def every(value: object, n: int) -> NDArray[np.float64]:
        value(np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], bool))  # type: ignore[operator]
        return both_ways(value, n)

    corpus: Corpus | None = None
    assert check("17.3", both_ways, None, corpus).state == "correct"
    assert "mean error" in check("17.3", ablation, None, corpus).message
    assert "asks for 8" in check("17.3", every, None, corpus).message
    assert check("17.3", lambda value, n: ..., None, corpus).state == "not attempted"
