"""Front ends that join others before any model sees them: vectors side by side, or frames on one clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.features.base import FeatureExtractor, extractor_from_state


class Joined(FeatureExtractor):
    """Several front ends that are fitted, saved and loaded together."""

    def __init__(self, features: Sequence[FeatureExtractor | Mapping[str, Any]]) -> None:
        self.features = [
            extractor if isinstance(extractor, FeatureExtractor) else extractor_from_state(extractor)
            for extractor in features
        ]

    @property
    def modalities(self) -> tuple[str, ...]:
        """All that the joined ones read; one of them has to be there, the others may be missing."""
        return tuple(dict.fromkeys(modality for extractor in self.features for modality in extractor.modalities))

    @property
    def partial(self) -> bool:  # type: ignore[override]
        """Whether there are several modalities, so that it can do without some."""
        return len(self.modalities) > 1

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        """Numbers of the frozen networks that belong to them."""
        return sum(extractor.n_parameters for extractor in self.features)

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """Names of the published weights that they bring."""
        return (
            " + ".join(dict.fromkeys(extractor.pretrained for extractor in self.features if extractor.pretrained))
            or None
        )

    def has(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where at least one modality is there."""
        return np.any([extractor.has(corpus) for extractor in self.features], axis=0)

    def fit(self, corpus: Corpus) -> None:
        """Fit each to the utterances that have its modality."""
        for extractor in self.features:
            extractor.fit(corpus.select(extractor.has(corpus)))

    def save_files(self, folder: Path) -> None:
        """Let each write its own."""
        for extractor in self.features:
            extractor.save_files(folder)

    def load_files(self, folder: Path) -> None:
        """Let each read its own."""
        for extractor in self.features:
            extractor.load_files(folder)

    def state(self) -> dict[str, Any]:
        """Return the states of all."""
        options = {"features": [extractor.state() for extractor in self.features]}
        return {"kind": type(self).__name__, "options": options, "learned": {}}


class Concatenated(Joined):
    """Vectors of several front ends laid side by side, (n_utterances, n_features); zeros where a modality is missing.

    Args:
        fronts: Give a row of features an utterance each.
        scaled: Bring each block to a mean squared length of 1 on the training part, so that a modality of many large
            numbers does not drown one of few small ones. Source: the weighting of multiple factor analysis, Escofier
            and Pagès 1994, by the length of rows instead of the first singular value.
        dense: Give a dense float32 matrix even if a block is sparse, its numbers scaled to a mean square of 1, as
            networks want it.
    """

    def __init__(
        self, features: Sequence[FeatureExtractor | Mapping[str, Any]], *, scaled: bool = False, dense: bool = False
    ) -> None:
        super().__init__(features)
        self.scaled, self.dense = scaled, dense
        self.shares: Sequence[float] = [1.0] * len(self.features)
        self.widths: Sequence[int] = [0] * len(self.features)

    def fit(self, corpus: Corpus) -> None:
        """Fit each, then learn how large its rows are."""
        super().fit(corpus)
        blocks = [extractor.transform(corpus.select(extractor.has(corpus))) for extractor in self.features]
        self.widths = [block.shape[1] for block in blocks]
        if self.scaled:
            size = sum(self.widths) / len(blocks) if self.dense else 1.0
            squares = [_square(block) for block in blocks]  # 0 where a front end found nothing that differs
            self.shares = [
                float(np.sqrt(size * block.shape[0] / square)) if square else 1.0
                for block, square in zip(blocks, squares, strict=True)
            ]

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_utterances, n_features), sparse where a block is and `dense` is off."""
        return self._beside([self._whole(place, corpus)[0] for place in range(len(self.features))])

    def versions(self, corpus: Corpus) -> list[Any]:
        """Return as many versions as the block that has most; the others are repeated."""
        blocks = [self._whole(place, corpus, versions=True) for place in range(len(self.features))]
        n_versions = max(map(len, blocks))
        return [self._beside([own[number % len(own)] for own in blocks]) for number in range(n_versions)]

    def sizes(self) -> dict[str, int]:
        """Return n_features, of all blocks."""
        return {"n_features": sum(self.widths)}

    @property
    def feature_names(self) -> list[str]:
        """Name the columns, block by block."""
        return [name for extractor in self.features for name in extractor.feature_names]

    def state(self) -> dict[str, Any]:
        """Return the states of all, and the scales."""
        state = super().state()
        options = {**state["options"], "scaled": self.scaled, "dense": self.dense}
        learned = {name: np.asarray(getattr(self, name)).tolist() for name in ("shares", "widths")}
        return {**state, "options": options, "learned": learned}

    def _whole(self, place: int, corpus: Corpus, *, versions: bool = False) -> list[Any]:
        """Return one block, or its versions, with rows of zeros where its modality is missing."""
        from scipy import sparse

        extractor, share = (
            self.features[place],
            float(self.shares[place]),
        )  # a numpy number would turn float32 into float64
        there = extractor.has(corpus)
        if not there.any():
            return [np.zeros((len(corpus), self.widths[place]), dtype=np.float32)]
        some = corpus.select(there)
        blocks = [block * share for block in (extractor.versions(some) if versions else [extractor.transform(some)])]
        if there.all():
            return blocks
        n, rows = int(there.sum()), np.flatnonzero(there)
        put = sparse.csr_matrix((np.ones(n), (rows, np.arange(n))), shape=(len(corpus), n))
        return [put @ block for block in blocks]

    def _beside(self, blocks: Sequence[Any]) -> Any:
        from scipy import sparse

        if not any(sparse.issparse(block) for block in blocks):
            return np.hstack(blocks)
        joined = sparse.hstack(blocks, format="csr")
        return joined.toarray().astype(np.float32) if self.dense else joined


class AlignedFrames(Joined):
    """Frames of several front ends brought to one clock and laid side by side, (frames, n_features) an utterance.

    Where a step of the clock holds several frames of a source, their mean is taken; where a source is slower, its
    frame is repeated. The longest source says how long the utterance is, and zeros stand where one is missing or over.

    Args:
        fronts: Give (frames, n_features) an utterance each, and say `hop_s`, the seconds from frame to frame.
        hop_s: Seconds from step to step of the clock.
    """

    def __init__(self, features: Sequence[FeatureExtractor | Mapping[str, Any]], *, hop_s: float) -> None:
        super().__init__(features)
        self.hop_s = hop_s

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (frames, n_features) float32 for each utterance."""
        return self._joined([self._frames(extractor, corpus) for extractor in self.features])

    def sizes(self) -> dict[str, int]:
        """Return n_features, of all sources."""
        return {"n_features": sum(extractor.sizes()["n_features"] for extractor in self.features)}

    def state(self) -> dict[str, Any]:
        """Return the states of all, and the clock."""
        state = super().state()
        return {**state, "options": {**state["options"], "hop_s": self.hop_s}}

    def _frames(self, extractor: Any, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Bring one source to the clock; no frames where it is missing."""
        there = extractor.has(corpus)
        arrays = iter(extractor.transform(corpus.select(there))) if there.any() else iter(())
        empty = np.zeros((0, extractor.sizes()["n_features"]), dtype=np.float32)
        return [align_frames(next(arrays), extractor.hop_s, self.hop_s) if here else empty for here in there]

    def _joined(self, sources: Sequence[Sequence[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
        joined = []
        for arrays in zip(*sources, strict=True):
            longest = max(map(len, arrays))
            joined.append(np.hstack([np.pad(array, ((0, longest - len(array)), (0, 0))) for array in arrays]))
        return joined


def align_frames(frames: NDArray[np.floating], hop_s: float, clock_s: float) -> NDArray[np.float32]:
    """Bring frames that come every `hop_s` seconds to a clock that ticks every `clock_s`.

    Args:
        frames: (n_frames, n_features); each is taken to last until the next.
        hop_s: Seconds from frame to frame.
        clock_s: Seconds from tick to tick.

    Returns:
        (n_ticks, n_features) float32: the mean over each tick, in which a frame counts as long as it lasts there. As
        many ticks as the frames fill, at least one if there are frames.

    Raises:
        ValueError: If one of the times is not positive.
    """
    if min(hop_s, clock_s) <= 0:
        raise ValueError(f"hop_s={hop_s}, clock_s={clock_s}; expected positive seconds. Correct the numbers.")
    n_frames = len(frames)
    if not n_frames:
        return np.zeros((0, frames.shape[1]), dtype=np.float32)
    n_ticks = max(1, round(n_frames * hop_s / clock_s))
    edges = np.minimum(np.arange(n_ticks + 1) * clock_s / hop_s, n_frames)[:, None]  # in frames
    whole = edges[:, 0].astype(int)
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0, dtype=np.float64)])
    until = sums[whole] + (edges - whole[:, None]) * frames[np.minimum(whole, n_frames - 1)]  # from the beginning
    return (np.diff(until, axis=0) / np.diff(edges, axis=0)).astype(np.float32)


def _square(block: Any) -> float:
    return float(
        block.multiply(block).sum() if hasattr(block, "multiply") else np.square(block, dtype=np.float64).sum()
    )
