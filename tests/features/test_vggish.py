from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft

from emolab.corpora import Corpus
from emolab.features import vggish
from emolab.features.vggish import PUBLISHED, VggishExamples, vggish_examples
from emolab.models.vggish import Vggish, VggishConfig

NOBODY = Corpus.from_rows("nobody", [], emotions=("calm",), root=Path())


@pytest.mark.parametrize(
    ("n_samples", "n_examples"), [(1, 1), (400, 1), (46_240, 1), (46_479, 1), (46_480, 2), (48_000, 2), (160_000, 4)]
)
def test_an_utterance_becomes_as_many_examples_as_it_takes(n_samples: int, n_examples: int) -> None:
    """192 frames begin 15 ms after each other and are 25 ms long: 191 * 240 + 400 = 46,240 samples."""
    examples = vggish_examples(np.ones(n_samples, np.float32))
    assert examples.shape == (n_examples, 192, 128)
    assert np.isfinite(examples).all()


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(vggish_examples(np.zeros(3_000, np.float32)), np.log(0.01), atol=2e-3)


def tone(hertz: float, size: float) -> np.ndarray:
    return (size * np.sin(2 * np.pi * hertz * np.arange(48_000) / 16_000)).astype(np.float32)


def test_a_tone_is_loudest_in_the_band_over_it() -> None:
    low, high = 1127 * np.log1p(np.array([725.0, 7_500.0]) / 700)  # the mel scale of HTK
    edges = 700 * np.expm1(np.linspace(low, high, 130) / 1127)
    band = int(vggish_examples(tone(2_000, 0.5))[0, 50].argmax())
    assert edges[band] < 2_000 < edges[band + 2]


def test_twice_the_amplitude_adds_log_2_since_magnitudes_are_taken_and_not_powers() -> None:
    soft, loud = (vggish_examples(tone(2_000, size))[0, 50].max() for size in (0.25, 0.5))
    assert loud - soft == pytest.approx(np.log(2), abs=0.01)


def test_every_band_holds_a_bin_between_725_and_7500_hz() -> None:
    filters, hertz = vggish.mel_filters(), fft.rfftfreq(512, 1 / 16_000)
    assert filters.shape == (257, 128)
    assert (filters > 0).any(axis=0).all()
    assert not filters[(hertz <= 725) | (hertz >= 7_500)].any()


def published(folder: Path, **others: torch.Tensor) -> Path:
    """Save a state dict in the published layout, with the embeddings that nobody needs here."""
    torch.manual_seed(4)
    weights = Vggish(VggishConfig(n_emotions=2)).features.state_dict()
    torch.save({f"features.{name}": w for name, w in weights.items()} | others, folder / "vggish.pth")
    return folder / "vggish.pth"


def test_published_weights_reach_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = published(tmp_path, **{"embeddings.0.weight": torch.zeros(2, 3)})
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    for weights in (str(file), "vggish.pth"):
        extractor, network = VggishExamples(weights), Vggish(VggishConfig(n_emotions=3))
        extractor.fit(NOBODY)
        extractor.start(network)
        torch.testing.assert_close(network.features[13].weight, torch.load(file)["features.13.weight"])
        assert extractor.pretrained in (weights, "vggish.pth")


def test_missing_and_broken_weights_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    network = Vggish(VggishConfig(n_emotions=3))
    with pytest.raises(FileNotFoundError, match=r"no weights 'vggish.*\.pth': .*torchvggish.*Put the file there"):
        VggishExamples(PUBLISHED).start(network)
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"cut.pth cannot be read as weights .*; expected .*Get the file again .*http"):
        VggishExamples("cut.pth").start(network)
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth does not fit Vggish: .*first features.0.bias. Expected .*http"):
        VggishExamples("other.pth").start(network)
