"""Explanations: what each unit of an utterance adds to the logit of an emotion, on units that all models share."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.features.text import UNIT, text_units, words
from emolab.storage import settings_beside

UNIT_S = 0.1  # seconds of sound
SET = settings_beside(__file__, "settings.toml")
NOBODY = -1  # owner of a step that belongs to no unit, such as a special token

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Explained = tuple[list["Attribution"], str]  # and the baseline that the method starts from


class Options(NamedTuple):
    """How an explanation is computed; see `emolab.explain.explain`."""

    method: str  # its name, for messages
    modality: str
    baseline: str | None = None
    n_steps: int = 32
    n_samples: int = 256
    background: Corpus | None = None
    seed: int = 0


@dataclass(frozen=True)
class Attribution:
    """One utterance, explained.

    Attributes:
        utterance_id: Of the utterance.
        emotion: The emotion whose logit is explained, less the mean of all logits, which decides nothing.
        names: (n_units,) words, "0.3 s" for the stretch or frame that begins there, modalities, or features.
        values: (n_units,) what each unit adds to the logit; below 0 it speaks against the emotion.
        spans: (n_units, 2) seconds from and to; NaN where a unit has no known time.
        native: The same at the model's own resolution: (frames, n_features) of sound, (tokens,), (frames, height,
            width) of faces, (n_features,); empty where a method knows the units only.
        native_names: Of the tokens or the features; empty where they go by number.
        logit: Of the emotion.
        reference: The same logit when every unit is at the baseline.
    """

    utterance_id: str
    emotion: str
    names: tuple[str, ...]
    values: Floats
    spans: Floats
    native: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    native_names: tuple[str, ...] = ()
    logit: float = np.nan
    reference: float = np.nan

    def __len__(self) -> int:
        return len(self.values)

    @property
    def convergence_delta(self) -> float:
        """How far the values miss the difference between logit and reference; NaN for methods that promise no sum."""
        return float(self.values.sum() - (self.logit - self.reference))

    @property
    def order(self) -> NDArray[np.int64]:
        """(n_units,) places of the units, the one that adds most first."""
        return np.argsort(-self.values, kind="stable")


@dataclass(frozen=True)
class Explanation(Sequence[Attribution]):
    """Utterances explained by one method, in the order of the corpus.

    Attributes:
        recognizer: Name of the recognizer.
        method: A key of `emolab.explain.METHODS`, or the name of a class or function.
        modality: What the units are parts of: audio, text or video; "modality" where they are the modalities.
        baseline: What stands for a unit that is removed, such as silence.
        items: One attribution an utterance.
        seconds: How long it took, for all utterances.
        stand_in: Whether a tiny random model stands where a large one belongs.
        synthetic: Whether the utterances are of the synthetic sample.
    """

    recognizer: str
    method: str
    modality: str
    baseline: str
    items: tuple[Attribution, ...]
    seconds: float = np.nan
    stand_in: bool = False
    synthetic: bool = False

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __repr__(self) -> str:
        of = f"{self.method} of {self.recognizer}, {self.modality}, baseline {self.baseline}"
        return f"Explanation({of}, {len(self)} utterances, {self.seconds:.1f} s)"

    @property
    def values(self) -> list[Floats]:
        """(n_units,) of each utterance."""
        return [item.values for item in self.items]

    @property
    def relative_convergence_delta(self) -> float:
        """Sum of the sizes of all convergence deltas, over that of all logits less their references; 0 is complete."""
        differences = sum(abs(item.logit - item.reference) for item in self.items)
        return float(sum(abs(item.convergence_delta) for item in self.items) / differences) if differences else np.nan

    def to_frame(self) -> pd.DataFrame:
        """Return one row a unit: utterance_id, emotion, unit, start, end (seconds), value."""
        units = [(own, *unit) for own in self.items for unit in zip(own.names, *own.spans.T, own.values, strict=True)]
        rows = [(item.utterance_id, item.emotion, *unit) for item, *unit in units]
        return pd.DataFrame(rows, columns=["utterance_id", "emotion", "unit", "start", "end", "value"])


@cache
def load_shap() -> Any:
    """Return SHAP, imported when one of its methods is asked for: it takes half a second and 80 MB."""
    with warnings.catch_warnings():  # of widgets that a notebook has not, and of colour maps in the next matplotlib
        warnings.simplefilter("ignore")
        import shap
        import tqdm.auto  # noqa: F401
    return shap


def of_shap(engine: Any) -> bool:
    """Whether an engine is a class of SHAP."""
    return isinstance(engine, type) and engine.__module__.startswith("shap.")


def few_of(corpus: Corpus, n: int) -> Corpus:
    """Return `n` utterances spread evenly over a corpus, always the same; all where there are fewer."""
    if n < 1:
        raise ValueError(f"{n} utterances of corpus {corpus.name!r}; expected at least 1. Take more.")
    kept = np.linspace(0, len(corpus) - 1, min(n, len(corpus))).round().astype(int)
    return corpus.select(np.isin(np.arange(len(corpus)), kept))


def sound_spans(seconds: float) -> Floats:
    """Return (n_units, 2) seconds from and to: stretches of 100 ms, the last one as long as there is sound."""
    n_units = max(1, math.ceil(round(seconds / UNIT_S, 6)))
    edges = np.append(np.arange(n_units) * UNIT_S, seconds)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def no_spans(n_units: int) -> Floats:
    """Return (n_units, 2) NaN, of units without a time."""
    return np.full((n_units, 2), np.nan)


def names_in_time(spans: Floats) -> tuple[str, ...]:
    """Name stretches and frames by when they begin, such as "0.3 s"."""
    return tuple(f"{start:.1f} s" for start in spans[:, 0])


def owners_in_time(n_steps: int, hop_s: float, spans: Floats) -> NDArray[np.int64]:
    """Return the span that each step of a model lies in, (n_steps,): step k is at k * hop_s seconds."""
    places = np.searchsorted(spans[:, 0], np.arange(n_steps) * hop_s + 1e-9, side="right") - 1
    return np.clip(places, 0, len(spans) - 1)


def owners_of_words(text: str) -> NDArray[np.int64]:
    """Return for each of `words(text)`, or for the unknown word of a text without any, its place in `text_units`."""
    counts = [len(words(unit)) for unit in text_units(text)]
    return np.repeat(np.arange(len(counts)), counts) if sum(counts) else np.full(1, NOBODY)


def owners_of_subwords(text: str, tokenizer: Any) -> NDArray[np.int64]:
    """Return for each subword of a text, special tokens included, its place in `text_units`."""
    starts = [match.start() for match in UNIT.finditer(text)]
    encoding = tokenizer.encode(text)
    places = [np.searchsorted(starts, end - 1, side="right") - 1 for _, end in encoding.offsets]
    return np.where(encoding.special_tokens_mask, NOBODY, places).astype(np.int64)


def summed(native: NDArray[np.floating], owners: NDArray[np.int64], n_units: int) -> Floats:
    """Add up what a model's own steps, (n_steps, …), contribute to each unit, (n_units,)."""
    each = native.reshape(len(native), -1).sum(axis=1, dtype=np.float64)
    owned = owners != NOBODY
    return np.bincount(owners[owned], weights=each[owned], minlength=n_units).astype(np.float64)
