"""Explanations for the ear: the recording, in which what adds nothing is soft."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d

from emolab.explain.explanation import Attribution
from emolab.media import SAMPLE_RATE

FADE_S = 0.020  # from one gain to the next, so that nothing clicks


def sonify(explained: Attribution, wave: ArrayLike, *, floor_db: float = -24.0) -> NDArray[np.float32]:
    """Turn down the parts of a recording that add nothing to the emotion explained.

    The unit that adds most stays as loud as it is, those that add nothing or speak against the emotion are turned down
    by `floor_db`, and the others by their share of the way, in dB. Where no unit adds anything, all is turned down.

    Args:
        explained: Its units have spans, as those of sound do.
        wave: (samples,), mono, 16 kHz, full scale 1.
        floor_db: Gain of what adds nothing, dB, below 0.

    Returns:
        (samples,) float32.

    Raises:
        ValueError: If the wave is not mono, `floor_db` is not below 0, or a unit has no span.
    """
    sound = np.asarray(wave, np.float32)
    if sound.ndim != 1 or not floor_db < 0:
        given = f"wave has shape {sound.shape}, floor_db is {floor_db}"
        raise ValueError(f"{given}; expected (samples,), and a gain below 0 dB. Read the file with emolab.media.")
    if n_without := int(np.isnan(explained.spans).any(axis=1).sum()):
        raise ValueError(
            f"{n_without} of {len(explained)} units of {explained.utterance_id!r} have no span, such as "
            f"{explained.names[0]!r}; expected seconds for each. Explain the sound: modality audio."
        )
    positive = np.maximum(explained.values, 0)
    share = positive / max(positive.max(initial=0), np.finfo(float).tiny)
    level = np.full(len(sound), floor_db)
    for (first, end), part in zip(np.rint(explained.spans * SAMPLE_RATE).astype(int), share, strict=True):
        level[first:end] = (1 - part) * floor_db
    gain = uniform_filter1d(10 ** (level / 20), round(FADE_S * SAMPLE_RATE), mode="nearest")
    return sound * gain.astype(np.float32)
