"""What a model of conversations sees: an utterance among the turns before it, and perhaps after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.features.base import SMALLEST_DEVIATION, FeatureExtractor
from emolab.features.joined import Joined


class DialogueContext(Joined):
    """Vectors of neighbouring turns, (turns, n_features + 2) float32 an utterance, in their order.

    The last two columns say whether a turn's speaker is that of the judged one (1 or 0), and which is the judged one.
    Turns come from the same corpus: those that a view or a split left out are not heard. A frozen encoder's layers,
    (n_layers, n_features), are brought to the same scale each and averaged.

    Args:
        fronts: One front end that gives a vector, or layers, an utterance.
        before: Turns heard before the judged one, at most.
        after: Turns heard after it, which nobody can in a live conversation.

    Raises:
        ValueError: If there is not one front end, or before or after is negative.
    """

    def __init__(
        self, features: Sequence[FeatureExtractor | Mapping[str, Any]], *, before: int = 8, after: int = 0
    ) -> None:
        super().__init__(features)
        if len(self.features) != 1:
            raise ValueError(
                f"{len(self.features)} front ends; expected one. Lay several side by side with Beside(fronts)."
            )
        if min(before, after) < 0:
            raise ValueError(f"before={before}, after={after}; expected 0 or more turns. Correct the numbers.")
        self.before, self.after = before, after
        self.mean: NDArray[np.float64] = np.zeros(1)
        self.deviation: NDArray[np.float64] = np.ones(1)
        self.n_features = 0

    def fit(self, corpus: Corpus) -> None:
        """Fit the front end; learn mean and deviation of what was averaged over layers."""
        dialogue_rows(corpus)  # tells at once where there are no dialogues
        super().fit(corpus)
        self.mean, self.deviation = np.zeros(1), np.ones(1)
        vectors, layered = self._vectors(corpus)
        self.n_features = vectors.shape[1]
        if layered:
            self.mean = vectors.mean(axis=0, dtype=np.float64)
            self.deviation = np.maximum(vectors.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        """Return (turns, n_features + 2) float32 for each utterance.

        Raises:
            ValueError: If utterances have no dialogue_id or no turn.
        """
        vectors, speakers = self._vectors(corpus)[0], corpus.table["speaker"].to_numpy()
        windows: list[NDArray[np.float32]] = [np.zeros((0, 0), dtype=np.float32)] * len(corpus)
        for places in dialogue_rows(corpus):
            for number, own in enumerate(places):
                near = places[max(0, number - self.before) : number + self.after + 1]
                facts = np.stack([speakers[near] == speakers[own], near == own], axis=1)
                windows[own] = np.hstack([vectors[near], facts.astype(np.float32)])
        return windows

    def sizes(self) -> dict[str, Any]:
        """Return the numbers of a turn, n_features, and whether turns that come later are heard."""
        return {"n_features": self.n_features, "both_ways": self.after > 0}

    def state(self) -> dict[str, Any]:
        """Return the state of the front end, the reach, and the scale."""
        state = super().state()
        options = {**state["options"], "before": self.before, "after": self.after}
        learned = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist(), "n_features": self.n_features}
        return {**state, "options": options, "learned": learned}

    def _vectors(self, corpus: Corpus) -> tuple[NDArray[np.float32], bool]:
        """Return (n_utterances, n_features), scaled, and whether they are averages of layers."""
        rows = self.features[0].transform(corpus)
        rows = rows.toarray() if hasattr(rows, "toarray") else np.stack(list(rows))  # counts of words are sparse
        array = np.asarray(rows, dtype=np.float32)
        if layered := array.ndim == 3:
            array = array - array.mean(axis=2, keepdims=True)
            array = (array / np.maximum(array.std(axis=2, keepdims=True), SMALLEST_DEVIATION)).mean(axis=1)
        return ((array - self.mean) / self.deviation).astype(np.float32), layered


def dialogue_rows(corpus: Corpus) -> list[NDArray[np.int64]]:
    """Return the rows of each dialogue, in the order of its turns.

    Raises:
        ValueError: If utterances have no dialogue_id or no turn.
    """
    table = corpus.table
    if lost := table.loc[table["dialogue_id"].isna() | table["turn"].isna(), "utterance_id"].tolist():
        raise ValueError(
            f"{len(lost)} of {len(table)} utterances of corpus {corpus.name!r} have no dialogue_id or no turn, first "
            f"{lost[0]}; expected both for each. Take a corpus of conversations, such as sample, iemocap or meld."
        )
    turns = table["turn"].to_numpy(np.int64)
    rows = table.groupby("dialogue_id", sort=False).indices.values()
    return [places[np.argsort(turns[places], kind="stable")] for places in rows]
