"""Who speaks: voice embeddings that are computed on the spot, clustered, and forgotten."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray

from emolab.annotate.speech import Wave
from emolab.features.audio import mfcc
from emolab.media import SAMPLE_RATE

PACKAGE, WEIGHTS = "resemblyzer", "resemblyzer/pretrained.pt"  # Apache-2.0; Wan et al. 2018
N_MELS, N_UNITS, N_LAYERS, N_FFT, HOP = 40, 256, 3, 400, 160  # of its encoder
WINDOW, STEP = 160, 40  # frames of 10 ms that it is given at once
LOUDNESS_DB = -30.0  # to which quieter turns are raised
ALIKE = 0.66  # mean cosine of all turns from which on one speaker is alone; RAVDESS: one .62 to .74, several .56 to .65
MOST_SPEAKERS = 6  # that are looked for where their number is not known
Vectors = NDArray[np.float32]  # (n_turns, n_features)


@lru_cache
def encoder() -> Any:
    """Return the voice encoder of Resemblyzer, a torch module; None if the package is not installed.

    Its weights alone are read: the package itself would import webrtcvad, which needs a compiler.
    """
    import torch

    try:
        weights = Path(str(distribution(PACKAGE).locate_file(WEIGHTS)))
    except PackageNotFoundError:
        return None
    network = torch.nn.ModuleDict(
        {
            "lstm": torch.nn.LSTM(N_MELS, N_UNITS, N_LAYERS, batch_first=True),
            "linear": torch.nn.Linear(N_UNITS, N_UNITS),
        }
    )
    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    network.load_state_dict({name: value for name, value in state.items() if not name.startswith("similarity")})
    return network.eval()


def encoder_name() -> str:
    """Return what embeddings are made of."""
    return f"Resemblyzer {version(PACKAGE)}" if encoder() else "MFCC statistics"


def voices(turns: Sequence[Wave]) -> Vectors:
    """Return an embedding of the voice in each turn, of length 1."""
    found = [_d_vector(turn) if encoder() else _statistics(turn) for turn in turns]
    return np.stack(found).astype(np.float32) if found else np.zeros((0, 1), np.float32)


def _d_vector(turn: Wave) -> Vectors:
    """Return the mean of the encoder's embeddings of windows of 1.6 s."""
    import torch

    level = 10 * np.log10(np.mean(np.square(turn)) + 1e-12)
    raised = turn * np.float32(10 ** (max(0.0, LOUDNESS_DB - level) / 20))
    filled = np.pad(raised, (0, max(0, WINDOW * HOP - len(turn))))
    mel = librosa.feature.melspectrogram(y=filled, sr=SAMPLE_RATE, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS).T
    windows = np.stack([mel[start : start + WINDOW] for start in range(0, len(mel) - WINDOW + 1, STEP)])
    with torch.inference_mode():
        _, (hidden, _) = encoder()["lstm"](torch.from_numpy(windows.astype(np.float32)))
        vectors = torch.relu(encoder()["linear"](hidden[-1]))
        mean = torch.nn.functional.normalize(vectors, dim=1).mean(dim=0)
    return np.asarray(mean / mean.norm())


def _statistics(turn: Wave) -> Vectors:
    """Return mean and deviation of the MFCCs, but for the first, which is loudness."""
    frames = mfcc(turn)[:, 1:]
    both = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    return np.asarray(both / max(float(np.linalg.norm(both)), 1e-9), np.float32)


def cluster(vectors: Vectors, n_speakers: int | None = None) -> NDArray[np.int64]:
    """Tell speakers apart, (n_turns,): 0 for the one who speaks first, 1 for the next new one, ….

    Args:
        vectors: What `voices` returned.
        n_speakers: How many there are; None takes the number, up to `MOST_SPEAKERS`, whose clusters are most distinct
            by their silhouette.

    Raises:
        ValueError: If there are fewer turns than speakers.
    """
    n = len(vectors)
    if n_speakers is not None and not 1 <= n_speakers <= max(n, 1):
        raise ValueError(f"{n_speakers} speakers in {n} turns; expected at least one turn each. Correct the number.")
    alike = n > 0 and float((vectors @ vectors.T).mean()) > ALIKE
    if n < 3 or n_speakers == 1 or (n_speakers is None and alike):
        return np.arange(n) if n_speakers == n else np.zeros(n, np.int64)
    centred = vectors - vectors.mean(axis=0)
    points = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    numbers = [n_speakers] if n_speakers else [*range(2, min(MOST_SPEAKERS, n - 1) + 1)]
    labels = max((_clusters(points, number) for number in numbers), key=lambda own: _distinct(points, own))
    first = {label: order for order, label in enumerate(dict.fromkeys(labels.tolist()))}
    return np.array([first[label] for label in labels.tolist()])


def _clusters(points: Vectors, number: int) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(number, n_init=20, random_state=0).fit_predict(points), np.int64)


def _distinct(points: Vectors, labels: NDArray[np.int64]) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(points, labels, metric="cosine"))
