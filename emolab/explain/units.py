"""Units that all models share: words, stretches of sound, frames; and which of a model's own steps lie in which."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.features.text import words
from emolab.recognizer import Recognizer

with warnings.catch_warnings():  # captum imports it, and it complains in notebooks that have no widgets
    warnings.simplefilter("ignore")
    import tqdm.auto  # noqa: F401

UNIT_S = 0.1  # seconds of sound
NO_TIME = math.nan
NOBODY = -1  # owner of a step that belongs to no unit, such as a mark at the beginning of a text

Masks = Sequence[NDArray[np.bool_]]  # for each utterance (n_coalitions, n_units), true where a unit stays
_WORD = re.compile(r"\S+")


def import_shap() -> Any:
    """Import shap, whose colour maps complain about the next matplotlib while they are made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


def parts_of(recognizer: Recognizer) -> Iterator[Any]:
    """Yield every front end that a recognizer reads by, those inside others and those of members included."""
    for member in getattr(recognizer, "members", ()):
        yield from parts_of(member)
    waiting: list[Any] = list(recognizer.features)
    for extractor in waiting:  # grows as it goes
        yield extractor
        waiting += getattr(extractor, "features", [])


def sound_spans(seconds: float) -> NDArray[np.float64]:
    """Return (n_units, 2) seconds from and to: stretches of 100 ms, the last one as long as there is sound."""
    n_units = max(1, math.ceil(round(seconds / UNIT_S, 6)))
    edges = np.arange(n_units + 1) * UNIT_S
    edges[-1] = seconds
    return np.stack([edges[:-1], edges[1:]], axis=1)


def frame_spans(n_frames: int, hop_s: float) -> NDArray[np.float64]:
    """Return (n_frames, 2) seconds from and to: each frame lasts until the next."""
    starts = np.arange(n_frames) * hop_s
    return np.stack([starts, starts + hop_s], axis=1)


def names_in_time(spans: NDArray[np.float64]) -> tuple[str, ...]:
    """Name stretches and frames by when they begin, such as "0.3 s"."""
    return tuple(f"{start:.1f} s" for start in spans[:, 0])


def owners_in_time(n_steps: int, hop_s: float, spans: NDArray[np.float64]) -> NDArray[np.int64]:
    """Say in which span each of some steps lies, (n_steps,): step k is at k * hop_s seconds."""
    places = np.searchsorted(spans[:, 0], np.arange(n_steps) * hop_s + 1e-9, side="right") - 1
    return np.clip(places, 0, len(spans) - 1)


def owners_of_words(text: str) -> NDArray[np.int64]:
    """Say for each of `words(text)`, or for the unknown word of a text without any, which of text.split() it is in."""
    counts = [len(words(word)) for word in text.split()]
    return np.repeat(np.arange(len(counts)), counts) if sum(counts) else np.full(1, NOBODY)


def owners_of_pieces(text: str, tokenizer: Any) -> NDArray[np.int64]:
    """Say for each piece that a tokenizer makes of a text, marks included, which of text.split() it is in."""
    starts = [match.start() for match in _WORD.finditer(text)]
    encoding = tokenizer.encode(text)
    places = [np.searchsorted(starts, end - 1, side="right") - 1 for _, end in encoding.offsets]
    return np.where(encoding.special_tokens_mask, NOBODY, places).astype(np.int64)


def summed(native: NDArray[np.floating], owners: NDArray[np.int64], n_units: int) -> NDArray[np.float64]:
    """Add up what a model's own steps, (n_steps, …), contribute to each unit, (n_units,)."""
    each = native.reshape(len(native), -1).sum(axis=1, dtype=np.float64)
    owned = owners != NOBODY
    return np.bincount(owners[owned], weights=each[owned], minlength=n_units).astype(np.float64)
