"""The checkers of chapter 04."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emolab.course.progress import check
from emolab.recognizer import NetworkRecognizer


class Length(nn.Module):
    """Answers by the length alone: the first class up to three steps."""

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        return torch.stack([lengths <= 3, lengths > 3], dim=1).float()


class Given(NetworkRecognizer):
    """A fitted recognizer of known inputs."""

    def __init__(self) -> None:
        self.network = Length()

    def inputs(self, corpus: Any) -> Any:
        return [corpus]


CLIPS = [np.zeros((n, 2), np.float32) for n in (2, 3, 5, 6)]  # two of four answers depend on the padding


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_changed_by_padding_is_a_share() -> None:
    assert check("04.1", 0.5, Given(), CLIPS).state == "correct"
    assert "count" in check("04.1", 2, Given(), CLIPS).message
    assert "too low" in check("04.1", 0.0, Given(), CLIPS).message
    assert check("04.1", ..., Given(), CLIPS).state == "not attempted"


def test_lstm_parameters_counts_what_torch_has() -> None:
    def count(n_biases: int, *, directions: bool = True) -> Any:
        return lambda n_in, n, both: (2 if both and directions else 1) * 4 * n * (n_in + n + n_biases)

    assert sum(weights.numel() for weights in nn.LSTM(5, 3).parameters()) == 120
    assert check("04.2", count(2)).state == "correct"
    assert "two biases" in check("04.2", count(1)).message
    assert "missing" in check("04.2", count(0)).message
    assert "twice" in check("04.2", count(2, directions=False)).message
    assert check("04.2", lambda n_in, n, both: ...).state == "not attempted"


def test_number_to_beat_is_for_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.course.checkers.audio.beats", lambda recognizer, held_out, ua: None)
    assert check("04.3", Given(), CLIPS).state == "correct"
    assert "network" in check("04.3", object(), CLIPS).message
    assert check("04.3", ..., CLIPS).state == "not attempted"
