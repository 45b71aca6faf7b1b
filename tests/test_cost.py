"""What a recognizer costs, measured on toy recognizers whose cost is known."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from emolab import cost as costs
from emolab.corpora import Corpus
from emolab.cost import measure_cost

N_FRAMES, N_IN, N_HIDDEN = 7, 10, 16
LSTM = N_FRAMES * 2 * 4 * N_HIDDEN * (N_IN + N_HIDDEN)  # a multiplication and an addition for each weight and frame


class Toy:
    """Takes a while, notes what it is asked, and says that all emotions are as likely."""

    name, modalities, emotions = "audio/toy", ("audio",), ("calm", "sad")
    n_parameters, n_trainable = 10, 4

    def __init__(self, network: nn.Module | None = None, *inputs: torch.Tensor, wait_s: float = 0.0) -> None:
        self.network, self.inputs, self.wait_s = network, inputs, wait_s
        self.heard: list[Path] = []
        self.caches: set[str] = set()

    def save(self, folder: Path) -> None:
        (folder / "member-0").mkdir(parents=True)
        for name in ("recognizer.json", "member-0/weights"):
            (folder / name).write_bytes(b"1" * 1_000)

    def predict_proba(self, corpus: Corpus) -> np.ndarray:
        self.caches.add(os.environ["EMOLAB_CACHE"])
        self.heard += [path for path in corpus.audio_paths() if path.read_bytes()]
        time.sleep(self.wait_s)
        if self.network is not None:
            with torch.inference_mode():
                self.network(*self.inputs)
        return np.full((len(corpus), 2), 0.5)


def heard(root: Path, n: int = 50) -> Corpus:
    for number in range(n):
        (root / f"{number}.wav").write_bytes(b"sound")
    rows = [{"utterance_id": str(i), "speaker": "a", "emotion": "sad", "audio_path": f"{i}.wav"} for i in range(n)]
    return Corpus.from_rows("own", rows, emotions=("calm", "sad"), root=root)


def test_measure_cost_times_single_utterances(tmp_path: Path) -> None:
    cost = measure_cost(Toy(wait_s=0.005), heard(tmp_path), train_s=1.5)
    assert (cost["parameters"], cost["trainable"], cost["train_s"], cost["flops"]) == (10, 4, 1.5, None)
    assert cost["disk_mb"] == 0.002
    assert 5 <= cost["latency_ms_p50"] <= cost["latency_ms_p95"] < 500
    assert 20 < cost["peak_mb"] < 20_000


@pytest.mark.parametrize("n", [1, 2, 50])
def test_measure_cost_starts_from_an_empty_cache(tmp_path: Path, n: int) -> None:
    toy, before = Toy(), os.environ["EMOLAB_CACHE"]
    measure_cost(toy, heard(tmp_path, n))
    singles = toy.heard[: min(n, 32)]
    assert len({*singles}) == len(singles)  # no utterance was timed twice; the first two only warm up
    assert before not in toy.caches
    assert os.environ["EMOLAB_CACHE"] == before
    assert not any(Path(cache).exists() for cache in toy.caches)  # and leaves nothing behind


def test_measure_cost_restores_the_cache_when_predicting_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOLAB_CACHE")
    corpus = heard(tmp_path, 3)
    (tmp_path / "1.wav").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.wav"):
        measure_cost(Toy(), corpus)
    assert "EMOLAB_CACHE" not in os.environ


@pytest.mark.parametrize(
    ("network", "inputs", "expected"),
    [
        (nn.Linear(3, 5), (torch.ones(1, 3),), 2 * 3 * 5),
        (nn.Conv1d(2, 4, 3), (torch.ones(1, 2, 9),), 2 * 2 * 4 * 3 * 7),
        (nn.LSTM(N_IN, N_HIDDEN, batch_first=True), (torch.ones(1, N_FRAMES, N_IN),), LSTM),
        (
            nn.LSTM(N_IN, N_HIDDEN, batch_first=True, bidirectional=True),
            (pack_padded_sequence(torch.ones(1, N_FRAMES, N_IN), torch.tensor([N_FRAMES]), batch_first=True),),
            2 * LSTM,
        ),
        (  # per frame: queries, keys and values, the way out, the two dense layers; per pair of frames: two products
            nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(),
            (torch.ones(1, 7, 16),),
            7 * 2 * (16 * 48 + 16 * 16 + 2 * 16 * 32) + 2 * 2 * 7 * 7 * 16,
        ),
    ],
)
def test_measure_cost_counts_operations(
    tmp_path: Path, network: nn.Module, inputs: tuple[torch.Tensor, ...], expected: int
) -> None:
    assert measure_cost(Toy(network, *inputs), heard(tmp_path, 3))["flops"] == expected


def test_measure_cost_takes_the_throughput_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "N_TIMED", 1)
    cost = measure_cost(Toy(wait_s=0.1), heard(tmp_path))  # a call takes 0.1 s, however many utterances it is about
    assert 100 < cost["throughput"] <= 32 / 0.1


def test_a_process_that_has_not_imported_torch_does_not_do_so_to_count_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert costs._flops(None, None) is None  # type: ignore[arg-type]
    assert "torch" not in sys.modules
