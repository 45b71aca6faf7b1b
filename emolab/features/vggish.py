"""What VGGish hears: pieces of 3 s as log-mel pictures, with the numbers of the founding project."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.features.cache import cached_features, source_digest
from emolab.features.pretrained import Pretrained
from emolab.media import SAMPLE_RATE

Floats = NDArray[np.floating]

WINDOW_LENGTH = SAMPLE_RATE * 25 // 1000  # 400 samples, 25 ms, as in AudioSet
HOP_LENGTH = SAMPLE_RATE * 15 // 1000  # 240 samples, 15 ms; AudioSet took 10
N_FFT = 512  # the next power of two: bins 31.25 Hz apart
N_BANDS = 128  # mel bands; AudioSet took 64
LOWEST, HIGHEST = 725.0, 7_500.0  # Hz; below 725 such narrow bands would hold no bin, and above 7,500 is little voice
OFFSET = 0.01  # added before the logarithm, so that silence is log 0.01 = -4.6
N_FRAMES = 192  # in an example of 3 s: 16 times 12, so that four poolings leave a whole number; exactly 2.89 s
PUBLISHED = "vggish-10086976.pth"
ADDRESS = f"https://github.com/harritaylor/torchvggish/releases/download/v0.1/{PUBLISHED}"
STAND_IN_CHANNELS = (8, 16, 32, 32, 64, 64)


def vggish_examples(wave: NDArray[np.float32]) -> Floats:
    """Cut a wave into examples of 192 frames and turn each into a picture of 128 mel bands.

    Args:
        wave: (samples,) float32, mono, 16 kHz, full scale is 1.

    Returns:
        (n_examples, 192, 128) float16, natural logarithm of magnitude (not power) plus 0.01. There is at least one
        example; the last one is filled up with silence.
    """
    n_frames = max(1, 1 + (len(wave) - WINDOW_LENGTH) // HOP_LENGTH)
    n_whole = -(-n_frames // N_FRAMES) * N_FRAMES
    length = (n_whole - 1) * HOP_LENGTH + WINDOW_LENGTH
    filled = np.pad(wave, (0, max(0, length - len(wave))))[:length]
    frames = sliding_window_view(filled, WINDOW_LENGTH)[::HOP_LENGTH]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_LENGTH) / WINDOW_LENGTH)
    magnitude = np.abs(fft.rfft(frames * window.astype(np.float32), N_FFT, axis=1))
    log_mel = np.log(magnitude @ mel_filters() + OFFSET)
    return log_mel.reshape(-1, N_FRAMES, N_BANDS).astype(np.float16)


@lru_cache
def mel_filters() -> NDArray[np.float32]:
    """Return (N_FFT // 2 + 1, N_BANDS) weights: triangles as high as 1, straight on the mel scale of HTK."""
    low, high = _mel(np.array([LOWEST, HIGHEST]))
    edges = np.linspace(low, high, N_BANDS + 2)
    bins = _mel(fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.minimum(rising, falling).clip(min=0).astype(np.float32)


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127 * np.log1p(hertz / 700)


class VggishExamples(Pretrained):
    """Pictures of 3 s of sound, (n_examples, 192, 128) float16 an utterance, and the published weights for them.

    Its `weights` are a file of the published state dict, see `emolab.models.published.load_published`.
    """

    modality = "audio"
    hop_s = HOP_LENGTH / SAMPLE_RATE  # seconds from frame to frame inside the pictures

    def fit(self, corpus: Corpus) -> None:
        """Do nothing: nothing is learned from the corpus."""

    def start(self, network: Any) -> None:
        """Give the network the published weights."""
        if not self.stand_in:
            network.load_weights(self.weights)

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_examples, 192, 128) float16 for each utterance, from the cache where they are there."""
        version = source_digest(__file__, media.__file__)
        return cached_features("vggish", corpus.audio_paths(), _of_file, version=version, progress="VGGish")

    def sizes(self) -> dict[str, Any]:
        """Return the widths of a stand-in; the others are the published ones."""
        return {"channels": STAND_IN_CHANNELS} if self.stand_in else {}


def _of_file(path: Path) -> Floats:
    return vggish_examples(media.read_audio(path))
