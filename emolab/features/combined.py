"""Extractors that combine others before any model: concatenated vectors, aligned frames, and dialogue context."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from emolab.corpora.corpus import Corpus
from emolab.features.base import SMALLEST_DEVIATION, FeatureExtractor, Scaled, of_each

Rows = NDArray[np.float64]  # (n_utterances, …), or (…) of one
Statistics = tuple[Rows, Rows]  # mean and deviation
N_PRIOR = 2  # utterances that a speaker's mean and deviation are known by before any is heard
N_CONTEXT_COLUMNS = 2  # behind a turn's vector: same speaker as in the classified turn, is the classified turn


class Combined(FeatureExtractor):
    """Several extractors that are fitted together; of several modalities, one has to be there."""

    def __init__(self, features: Sequence[FeatureExtractor]) -> None:
        self.features = list(features)

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities that are taken."""
        return tuple(dict.fromkeys(modality for extractor in self.features for modality in extractor.modalities))

    def has(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where at least one modality is there."""
        return np.any([extractor.has(corpus) for extractor in self.features], axis=0)

    def fit(self, corpus: Corpus) -> None:
        """Fit each to the utterances that have its modality."""
        for extractor in self.features:
            extractor.fit(corpus.select(extractor.has(corpus)))


class Concatenated(Combined):
    """Concatenated vectors, (n_utterances, n_features); zeros where a modality is missing.

    Args:
        features: Extractors that give a row of features an utterance.
        scaled: Bring each block to a mean squared length of 1 over the training set, so that a modality of many large
            numbers does not drown one of few small ones. Source: the weighting of multiple factor analysis, Escofier
            and Pagès 1994, by the length of rows instead of the first singular value.
        dense: Give a dense float32 matrix even if a block is sparse, its numbers scaled to a mean square of 1, as
            networks want it.
    """

    def __init__(self, features: Sequence[FeatureExtractor], *, scaled: bool = False, dense: bool = False) -> None:
        super().__init__(features)
        self.scaled, self.dense = scaled, dense
        self.scales: Sequence[float] = [1.0] * len(self.features)
        self.widths: Sequence[int] = [0] * len(self.features)

    def fit(self, corpus: Corpus) -> None:
        """Fit each, then learn how large its rows are."""
        super().fit(corpus)
        blocks = [extractor.transform(corpus.select(extractor.has(corpus))) for extractor in self.features]
        self.widths = [block.shape[1] for block in blocks]
        if self.scaled:
            size = sum(self.widths) / len(blocks) if self.dense else 1.0
            rows = [sparse.csr_matrix(block, dtype=np.float64) for block in blocks]
            squares = [row.multiply(row).sum() / row.shape[0] for row in rows]
            self.scales = [float(np.sqrt(size / square)) if square else 1.0 for square in squares]  # 0: all zeros

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_utterances, n_features), sparse where a block is and `dense` is off."""
        return self._concatenated([self._blocks(place, corpus)[0] for place in range(len(self.features))])

    def training_copies(self, corpus: Corpus) -> list[Any]:
        """Return as many copies as the block that has most; those of the others are repeated."""
        blocks = [self._blocks(place, corpus, copies=True) for place in range(len(self.features))]
        n_copies = max(map(len, blocks))
        return [self._concatenated([own[number % len(own)] for own in blocks]) for number in range(n_copies)]

    def sizes(self) -> dict[str, Any]:
        """Return n_features, of all blocks."""
        return {"n_features": sum(self.widths)}

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """Name the columns, block by block."""
        return [name for extractor in self.features for name in extractor.feature_names]

    def _blocks(self, place: int, corpus: Corpus, *, copies: bool = False) -> list[Any]:
        """Return one block, or its training copies, with rows of zeros where its modality is missing."""
        extractor, there = self.features[place], self.features[place].has(corpus)
        if not there.any():
            return [np.zeros((len(corpus), self.widths[place]), dtype=np.float32)]
        some = corpus.select(there)
        blocks = extractor.training_copies(some) if copies else [extractor.transform(some)]
        put = sparse.identity(len(corpus), format="csr")[:, there]  # puts rows where the modality is there
        return [block * self.scales[place] if there.all() else put @ block * self.scales[place] for block in blocks]

    def _concatenated(self, blocks: Sequence[Any]) -> Any:
        if not any(sparse.issparse(block) for block in blocks):
            return np.hstack(blocks)
        joined = sparse.hstack(blocks, format="csr")
        return joined.toarray().astype(np.float32) if self.dense else joined


class SpeakerNormalized(Combined):
    """Vectors or layers of an extractor, standardised by mean and deviation of each speaker's own utterances.

    Those of a speaker are all that `transform` is given, or what `enrol` was given. No label is used, but recordings of
    the test speakers are: results are of a protocol of their own (per-speaker, unlabelled), which is legitimate where
    a speaker is known before the answer is wanted. Of few utterances, mean and deviation lean on those of the training
    set: as much as `N_PRIOR` utterances weigh.

    Args:
        features: One extractor that gives arrays of one shape.

    Raises:
        ValueError: If there is not one extractor, or it gives frames or sparse rows.
    """

    maskable = False

    def __init__(self, features: Sequence[FeatureExtractor]) -> None:
        super().__init__(features)
        if len(self.features) != 1:
            raise ValueError(f"{len(self.features)} extractors; expected one. Normalise each by itself.")
        self.enrolled: dict[str, Statistics] = {}
        self.prior: Statistics = (np.zeros(1), np.ones(1))

    @property
    def feature_names(self) -> Sequence[str]:  # type: ignore[override]
        """Name the columns."""
        return self.features[0].feature_names

    def fit(self, corpus: Corpus) -> None:
        """Fit the extractor; learn how speakers of the training set are on the average."""
        super().fit(corpus)
        found = self._of_speakers(self._stacked(self.features[0].transform(corpus)), corpus)
        means, deviations = (np.stack(each) for each in zip(*found.values(), strict=True))
        self.prior, self.enrolled = (means.mean(axis=0), deviations.mean(axis=0)), {}

    def enrol(self, corpus: Corpus) -> None:
        """Keep mean and deviation of each speaker in `corpus` for later; its labels are not looked at."""
        self.enrolled |= self._of_speakers(self._stacked(self.features[0].transform(corpus)), corpus, self.prior)

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, …) float32, standardised speaker by speaker."""
        return self._normalised(self.features[0].transform(corpus), corpus)

    def training_copies(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return the extractor's copies, each standardised by itself."""
        return [self._normalised(copy, corpus) for copy in self.features[0].training_copies(corpus)]

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of what is standardised."""
        return self.features[0].sizes()

    def _normalised(self, arrays: Any, corpus: Corpus) -> NDArray[np.float32]:
        stacked = self._stacked(arrays)
        known = {**self._of_speakers(stacked, corpus, self.prior), **self.enrolled}
        mean, deviation = (np.stack([known[name][part] for name in corpus.table["speaker"]]) for part in (0, 1))
        return ((stacked - mean) / deviation).astype(np.float32)

    def _stacked(self, arrays: Any) -> NDArray[np.float64]:
        if sparse.issparse(arrays) or len({np.shape(array) for array in arrays}) > 1:
            why = f"{type(self.features[0]).__name__} gives {'sparse rows' if sparse.issparse(arrays) else 'frames'}"
            raise ValueError(f"{why}; expected vectors of one length. Take functionals or an encoder's layers.")
        return np.stack([np.asarray(array, np.float64) for array in arrays])

    @staticmethod
    def _of_speakers(rows: Rows, corpus: Corpus, prior: Statistics | None = None) -> dict[str, Statistics]:
        """Return mean and deviation of each speaker; with a prior, those of few utterances lean on it."""
        found, (mean, deviation) = dict[str, Statistics](), prior or (np.zeros(1), np.zeros(1))
        for name, places in corpus.table.groupby("speaker").indices.items():
            own, share = rows[places], N_PRIOR / (len(places) + N_PRIOR) if prior else 0
            square = (1 - share) * own.var(axis=0) + share * deviation**2
            centre = (1 - share) * own.mean(axis=0) + share * mean
            found[str(name)] = (centre, np.maximum(np.sqrt(square), SMALLEST_DEVIATION))
        return found


class AlignedFrames(Combined):
    """Frames of several extractors aligned in time and concatenated, (frames, n_features) an utterance.

    Where a new frame spans several frames of a source, their mean is taken; where a source is slower, its frame is
    repeated. The longest source says how long the utterance is, and zeros stand where one is missing or over.

    Args:
        features: Extractors that give (frames, n_features) an utterance and have `hop_s`, seconds from frame to frame.
        hop_s: Seconds from aligned frame to frame.
    """

    def __init__(self, features: Sequence[FeatureExtractor], *, hop_s: float) -> None:
        super().__init__(features)
        self.hop_s = hop_s

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (frames, n_features) float32 for each utterance."""
        sources = []
        for extractor in self.features:
            empty, hop_s = np.zeros((0, extractor.sizes()["n_features"]), dtype=np.float32), extractor.hop_s  # type: ignore[attr-defined]
            own = of_each(extractor, corpus)[0]
            sources.append([align_frames(frames if len(frames) else empty, hop_s, self.hop_s) for frames in own])
        longest = [max(map(len, arrays)) for arrays in zip(*sources, strict=True)]
        padded = ([np.pad(a, ((0, n - len(a)), (0, 0))) for a, n in zip(own, longest, strict=True)] for own in sources)
        return [np.hstack(arrays) for arrays in zip(*padded, strict=True)]

    def sizes(self) -> dict[str, Any]:
        """Return n_features, of all sources."""
        return {"n_features": sum(extractor.sizes()["n_features"] for extractor in self.features)}


def align_frames(frames: NDArray[np.floating], hop_s: float, aligned_hop_s: float) -> NDArray[np.float32]:
    """Bring frames that come every `hop_s` seconds to frames that come every `aligned_hop_s`.

    Args:
        frames: (n_frames, n_features); each is taken to last until the next.
        hop_s: Seconds from frame to frame.
        aligned_hop_s: Seconds from new frame to frame.

    Returns:
        (n_aligned, n_features) float32: the mean over each new frame, in which an old one counts as long as it lasts
        there. As many as the frames fill, at least one if there are frames.

    Raises:
        ValueError: If one of the times is not positive.
    """
    if min(hop_s, aligned_hop_s) <= 0:
        raise ValueError(f"{hop_s=}, {aligned_hop_s=}; expected positive seconds. Correct the numbers.")
    n_frames = len(frames)
    if not n_frames:
        return np.zeros((0, frames.shape[1]), dtype=np.float32)
    n_aligned = max(1, round(n_frames * hop_s / aligned_hop_s))
    edges = np.minimum(np.arange(n_aligned + 1) * aligned_hop_s / hop_s, n_frames)[:, None]  # in frames
    whole = edges[:, 0].astype(int)
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0, dtype=np.float64)])
    until = sums[whole] + (edges - whole[:, None]) * frames[np.minimum(whole, n_frames - 1)]  # from the beginning
    return (np.diff(until, axis=0) / np.diff(edges, axis=0)).astype(np.float32)


class DialogueContext(Combined, Scaled):
    """Vectors of neighbouring turns, (turns, n_features + 2) float32 an utterance, in their order.

    The last two columns say whether a turn's speaker is that of the classified one (1 or 0), and which is the
    classified one. Turns come from the same corpus, without those that a view or a split left out. A frozen encoder's
    layers, (n_layers, n_features), are standardised each, averaged, and scaled.

    Args:
        features: One extractor that gives a vector, or layers, an utterance.
        before: Turns before the classified one, at most.
        after: Turns after it, which a live conversation does not have.

    Raises:
        ValueError: If there is not one extractor, or before or after is negative.
    """

    maskable = False

    def __init__(self, features: Sequence[FeatureExtractor], *, before: int = 8, after: int = 0) -> None:
        super().__init__(features)
        if len(self.features) != 1 or min(before, after) < 0:
            why = f"{len(self.features)} extractors, before={before}, after={after}; expected one extractor and 0 or"
            raise ValueError(f"{why} more turns. Combine several extractors by Concatenated, or correct the numbers.")
        self.before, self.after, self.n_features = before, after, 0

    def fit(self, corpus: Corpus) -> None:
        """Fit the extractor; learn mean and deviation of what was averaged over layers."""
        dialogue_rows(corpus)  # tells at once where there are no dialogues
        super().fit(corpus)
        vectors, layered = self._vectors(corpus)
        self.n_features = vectors.shape[1]
        if layered:
            self.fit_scale(vectors)

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (turns, n_features + 2) float32 for each utterance.

        Raises:
            ValueError: If utterances have no dialogue_id or no turn.
        """
        vectors, speakers = self.scale(self._vectors(corpus)[0]), corpus.table["speaker"].to_numpy()
        windows: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(corpus)
        for rows in dialogue_rows(corpus):
            for number, own in enumerate(rows):
                near = rows[max(0, number - self.before) : number + self.after + 1]
                context = np.stack([speakers[near] == speakers[own], near == own], axis=1)  # N_CONTEXT_COLUMNS
                windows[own] = np.hstack([vectors[near], context.astype(np.float32)])
        return windows

    def sizes(self) -> dict[str, Any]:
        """Return the numbers of a turn, n_features, and whether turns that come later are taken."""
        return {"n_features": self.n_features, "both_ways": self.after > 0}

    def _vectors(self, corpus: Corpus) -> tuple[NDArray[np.float32], bool]:
        """Return (n_utterances, n_features), and whether they are averages of layers."""
        rows = self.features[0].transform(corpus)
        array = rows.toarray() if sparse.issparse(rows) else np.stack(list(rows))  # TF-IDF is sparse
        array = array.astype(np.float32)
        if array.ndim < 3:
            return array, False
        array = array - array.mean(axis=2, keepdims=True)
        return (array / np.maximum(array.std(axis=2, keepdims=True), SMALLEST_DEVIATION)).mean(axis=1), True


def dialogue_rows(corpus: Corpus) -> list[NDArray[np.int64]]:
    """Return the rows of each dialogue, in the order of its turns.

    Raises:
        ValueError: If utterances have no dialogue_id or no turn.
    """
    table = corpus.table
    if lost := table.loc[table["dialogue_id"].isna() | table["turn"].isna(), "utterance_id"].tolist():
        why = f"{len(lost)} of {len(table)} utterances of corpus {corpus.name!r} have no dialogue_id or no turn, first"
        raise ValueError(f"{why} {lost[0]}; expected both. Take a corpus of conversations, such as sample or iemocap.")
    turns = table["turn"].to_numpy(np.int64)
    rows = table.groupby("dialogue_id", sort=False).indices.values()
    return [own[np.argsort(turns[own], kind="stable")] for own in rows]
