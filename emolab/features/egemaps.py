"""The 88 eGeMAPS functionals of openSMILE: an option, since its licence allows non-commercial purposes only.

Source: Eyben et al. 2016, version 02, as the package opensmile computes it. emolab neither contains it nor installs it
unasked.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.features.base import SoundVector
from emolab.features.cache import cached_features, source_digest


class EgemapsVector(SoundVector):
    """The 88 eGeMAPS functionals of an utterance, (n_utterances, 88) float32, scaled."""

    def __init__(self, kind: Any = "egemaps", *, speeds: Sequence[float] = ()) -> None:
        super().__init__(kind, speeds=speeds)

    def raw(self, corpus: Corpus, speed: float = 1.0) -> list[NDArray[np.float32]]:
        """Return (88,) float32 for each utterance, from the cache where they are there.

        Raises:
            ModuleNotFoundError: If opensmile is not installed.
            ValueError: If utterances are too short; they are named.
        """
        compute = partial(_egemaps, _smile(), round(media.SAMPLE_RATE / speed))
        digest = " ".join([source_digest(__file__, media.__file__), version("opensmile"), f"speed={speed}"])
        return cached_features(self.kind, corpus.audio_paths(), compute, version=digest, progress=self.kind)

    @property
    def feature_names(self) -> list[str]:
        """Name the columns as openSMILE does."""
        return list(_smile().feature_names)


def _egemaps(smile: Any, sample_rate: int, path: Path) -> NDArray[np.float32]:
    """Return the 88 functionals of a file."""
    wave = media.read_audio(path, sample_rate=sample_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it fills with NaN; said below
        values = smile.process_signal(wave, media.SAMPLE_RATE).to_numpy(np.float32)[0]
    if not np.isfinite(values).all():
        raise ValueError(f"{path} lasts {len(wave) / media.SAMPLE_RATE:.3f} s, too short for openSMILE.")
    return values


@lru_cache
def _smile() -> Any:
    try:
        import opensmile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "opensmile is not installed; where your purpose is non-commercial, as its licence demands, get it with "
            'pip install "emolab[egemaps]", or take audio/svm, which needs nothing.'
        ) from error
    functionals = opensmile.FeatureLevel.Functionals
    return opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=functionals)
