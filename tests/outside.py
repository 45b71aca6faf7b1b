"""Probabilities from outside as a recognizer: what tests of late fusion and of explanations combine and explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.recognizer import Recognizer

Probabilities = NDArray[np.float64]  # (n_utterances, n_emotions)


class Posteriors(Recognizer):
    """Probabilities from outside, such as those that a paper publishes, to be evaluated and fused like any recognizer.

    Args:
        name: What tables call it.
        table: One row an utterance, indexed by utterance_id, and one column an emotion.
        modalities: What they were made from, for tables.
    """

    def __init__(self, name: str, table: pd.DataFrame, modalities: Sequence[str] = ()) -> None:
        super().__init__(name, [], modalities)
        self.table = table / table.to_numpy(np.float64).sum(axis=1)[:, None]

    @property
    def n_parameters(self) -> int:
        """Zero: the model that made the probabilities is not known."""
        return 0

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where the table has the utterance."""
        return corpus.table["utterance_id"].isin(self.table.index).to_numpy(bool)

    def _check_sets(self, train: Corpus, valid: Corpus) -> None:
        """Nothing is trained, so nothing can be missing."""

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        if {*self.table.columns} != {*train.emotions}:
            raise ValueError(f"{self.name} tells {list(self.table.columns)}; expected the same emotions.")

    def _predict_proba(self, corpus: Corpus) -> Probabilities:
        return self.table.loc[corpus.table["utterance_id"], list(self.emotions)].to_numpy()
