"""Explanations: what the parts of an utterance did for the logit of an emotion, on units that all models share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
        reference: The same logit when everything is taken away, as the baseline says.
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
        method: A key of `emolab.explain.METHODS`.
        modality: What the units are parts of: audio, text or video; "modality" where they are the modalities.
        baseline: What stands for a part that is taken away, such as silence.
        seconds: How long it took, for all utterances.
        stand_in: Whether the recognizer is a stand-in for a large one.
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

    @overload
    def __getitem__(self, place: int) -> Attribution: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Attribution, ...]: ...
    def __getitem__(self, place: int | slice) -> Attribution | tuple[Attribution, ...]:
        return self.items[place]

    def __iter__(self) -> Iterator[Attribution]:
        return iter(self.items)

    def __repr__(self) -> str:
        return (
            f"Explanation({self.method} of {self.recognizer}, {self.modality}, baseline {self.baseline}, "
            f"{len(self)} utterances, {self.seconds:.1f} s)"
        )

    @property
    def values(self) -> list[Floats]:
        """(n_units,) of each utterance."""
        return [item.values for item in self.items]

    @property
    def relative_convergence_delta(self) -> float:
        """Sum of the sizes of all gaps, over that of all differences between logit and reference; 0 is complete."""
        differences = sum(abs(item.logit - item.reference) for item in self.items)
        return float(sum(abs(item.convergence_delta) for item in self.items) / differences) if differences else np.nan

    def to_frame(self) -> pd.DataFrame:
        """Return one row a unit: utterance_id, emotion, unit, start, end (seconds), value."""
        rows = [
            (item.utterance_id, item.emotion, name, *span, value)
            for item in self.items
            for name, span, value in zip(item.names, item.spans, item.values, strict=True)
        ]
        return pd.DataFrame(rows, columns=["utterance_id", "emotion", "unit", "start", "end", "value"])
