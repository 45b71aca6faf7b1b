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
from emolab.media import SAMPLE_RATE
from emolab.storage import settings_beside

SET = settings_beside(__file__, "annotate.toml", "speakers")
INSTALL = f"pip install --no-deps {SET.package}"
Vectors = NDArray[np.float32]  # (n_turns, n_features)


@lru_cache
def encoder() -> Any:
    """Return the voice encoder of Resemblyzer, a torch module; None if the package is not installed.

    Its weights alone are read: the package itself would import webrtcvad, which needs a compiler.
    """
    import torch

    try:
        weights = Path(str(distribution(SET.package).locate_file(SET.weights)))
    except PackageNotFoundError:
        return None
    lstm = torch.nn.LSTM(SET.mel["n_mels"], SET.n_units, SET.n_layers, batch_first=True)
    network = torch.nn.ModuleDict({"lstm": lstm, "linear": torch.nn.Linear(SET.n_units, SET.n_units)})
    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    network.load_state_dict({name: value for name, value in state.items() if not name.startswith("similarity")})
    return network.eval()


def voices(turns: Sequence[Wave]) -> Vectors:
    """Return an embedding of the voice in each turn, of length 1; of length 0 where there is no encoder."""
    return np.array([_embedded(turn) for turn in turns if encoder()], np.float32).reshape(-1, SET.n_units)


def _embedded(turn: Wave) -> Vectors:
    """Return the mean of the encoder's embeddings of windows of 1.6 s."""
    import torch

    level = 10 * np.log10(np.mean(np.square(turn)) + 1e-12)
    raised = turn * np.float32(10 ** (max(0.0, SET.loudness_db - level) / 20))
    filled = np.pad(raised, (0, max(0, SET.window * SET.mel["hop_length"] - len(turn))))
    mel = librosa.feature.melspectrogram(y=filled, sr=SAMPLE_RATE, **SET.mel).T
    windows = np.stack([mel[start : start + SET.window] for start in range(0, len(mel) - SET.window + 1, SET.step)])
    with torch.inference_mode():
        _, (hidden, _) = encoder()["lstm"](torch.from_numpy(windows.astype(np.float32)))
        vectors = torch.relu(encoder()["linear"](hidden[-1]))
        mean = torch.nn.functional.normalize(vectors, dim=1).mean(dim=0)
    return np.asarray(mean / mean.norm())


def cluster(vectors: Vectors, n: int, n_speakers: int | None = None) -> tuple[NDArray[np.int64], str]:
    """Tell speakers apart.

    Args:
        vectors: What `voices` returned; nothing: all is one speaker.
        n: How many turns there are.
        n_speakers: How many speakers there are; None takes the number whose clusters are most distinct by their
            silhouette.

    Returns:
        (n,): 0 for the one who speaks first, 1 for the next new one, …; and how that is told.

    Raises:
        ValueError: If there are fewer turns than speakers, or nothing to tell voices apart by.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    one = np.zeros(n, np.int64), "all is one speaker"
    if n_speakers is not None and n_speakers != 1 and n and (n_speakers > n or not len(vectors)):
        why = "expected at least one turn each" if len(vectors) else "expected an encoder of voices"
        raise ValueError(f"{n_speakers} speakers in {n} turns; {why}. Correct the number, or {INSTALL}.")
    if not len(vectors) or n_speakers == 1 or n < 2:
        return one if len(vectors) else (one[0], f"all is one speaker; to tell voices apart, {INSTALL}")
    if n_speakers is None and (n == 2 or float((vectors @ vectors.T).mean()) > SET.alike):
        return one
    centred = vectors - vectors.mean(axis=0)
    points = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    numbers = [n_speakers] if n_speakers else [*range(2, min(SET.most, n - 1) + 1)]
    tried = [KMeans(number, n_init=SET.n_starts, random_state=0).fit_predict(points) for number in numbers]
    labels = max(tried, key=lambda own: silhouette_score(points, own, metric="cosine")) if tried[1:] else tried[0]
    first = {label: order for order, label in enumerate(dict.fromkeys(labels.tolist()))}
    told = f"{len(first)} speakers{'' if n_speakers else ', estimated'}, by {SET.package} {version(SET.package)}"
    return np.array([first[label] for label in labels.tolist()]), told
