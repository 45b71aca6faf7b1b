"""The checkers of chapter 18: a right, a typically wrong and an untouched answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emolab import load_corpus
from emolab.corpora import Corpus
from emolab.course.progress import check
from emolab.explain.explanation import few_of
from emolab.late_fusion import Posteriors


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def shares(truths: list[np.ndarray]) -> list[float]:
    return [float(np.mean(marks)) for marks in truths]


def test_18_1_chance_level() -> None:
    kept = check("18.1", lambda truths: np.mean([share for share in shares(truths) if 0 < share < 1]))
    assert kept.state == "correct"
    assert "Long utterances" in check("18.1", lambda truths: np.mean(np.concatenate([*truths[:2]]))).message
    assert "leave it out" in check("18.1", lambda truths: np.mean(shares(truths))).message
    assert check("18.1", lambda truths: ...).state == "not attempted"


def test_18_2_turned_round() -> None:
    index = pd.MultiIndex.from_tuples([("light", "text"), ("large", "text")])
    blocks = pd.DataFrame({"faithfulness": [0.5, 0.8], "stability": [1.0, 0.3]}, index)
    assert check("18.2", "faithfulness", blocks).state == "correct"
    assert "light · text is first as well" in check("18.2", "stability", blocks).message
    assert "there is one" in check("18.2", "none", blocks).message
    assert "no column" in check("18.2", "gini", blocks).message
    assert check("18.2", "none", blocks[["stability"]]).state == "correct"
    assert check("18.2", ..., blocks).state == "not attempted"


class CountsWords(Posteriors):
    """Adds up its words: the longer a word, the more it speaks for the first emotion."""

    partial = False

    def __init__(self, corpus: Corpus) -> None:
        super().__init__("counts", pd.DataFrame([[1.0, 0.0]], columns=["a", "b"]), ["text"])
        self.emotions = corpus.emotions

    def logits(self, utterances: Corpus) -> np.ndarray:  # type: ignore[override]
        sums = [sum(map(len, text.split())) for text in utterances.texts()]
        return np.outer(sums, np.arange(len(self.emotions)) == 0).astype(float)

    def predict_proba(self, utterances: Corpus) -> np.ndarray:  # type: ignore[override]
        return np.eye(len(self.emotions))[np.zeros(len(utterances), int)]


def left_out(value: object, n_units: int) -> np.ndarray:
    return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))  # type: ignore[operator]


def test_18_3_faithful_explainer() -> None:
    held_out = few_of(load_corpus("sample").view(), 4)
    assert check("18.3", left_out, CountsWords(held_out), held_out).state == "correct"
    wrong = check("18.3", lambda value, n_units: np.arange(n_units) % 2, CountsWords(held_out), held_out)
    assert "mean infidelity" in wrong.message
    assert check("18.3", lambda value, n_units: ..., CountsWords(held_out), held_out).state == "not attempted"
