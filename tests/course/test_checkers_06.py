"""The checkers of chapter 06 on answers that are right, typically wrong, and untouched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from emolab.corpora import Corpus
from emolab.course.progress import check


@pytest.fixture(autouse=True)
def own_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def fitted_once(train, other):
    vectorizer = TfidfVectorizer()
    return vectorizer.fit_transform(train), vectorizer.transform(other)


def fitted_twice(train, other):
    return TfidfVectorizer().fit_transform(train), TfidfVectorizer().fit_transform(other)


def fitted_on_all(train, other):
    vectorizer = TfidfVectorizer().fit([*train, *other])
    return vectorizer.transform(train), vectorizer.transform(other)


def test_features_take_their_columns_from_training() -> None:
    assert check("06.1", fitted_once).state == "correct"
    assert "was fitted, too" in check("06.1", fitted_twice).message
    assert "fit on train_texts alone" in check("06.1", fitted_on_all).message
    assert check("06.1", lambda train, other: ...).state == "not attempted"


def masked_mean(states, lengths):
    mask = torch.arange(states.shape[1]) < lengths[:, None]
    return (states * mask[..., None]).sum(dim=1) / lengths[:, None]


def test_mean_leaves_the_padding_out() -> None:
    assert check("06.2", masked_mean).state == "correct"
    assert "padding is in the mean" in check("06.2", lambda states, lengths: states.mean(dim=1)).message
    assert "padding is in the sum" in check("06.2", lambda states, n: states.sum(dim=1) / n[:, None]).message
    assert check("06.2", lambda states, lengths: states).state == "incorrect"
    assert check("06.2", lambda states, lengths: ...).state == "not attempted"


def recognizer_and_test_set(n_right: int) -> tuple[SimpleNamespace, Corpus]:
    """Make a recognizer that names `n_right` of four utterances, and these utterances."""
    rows = [{"utterance_id": str(n), "speaker": "a", "emotion": "sad" if n % 2 else "happy"} for n in range(4)]
    corpus = Corpus.from_rows("tiny", rows, emotions=("happy", "sad"), root=Path())
    guesses = np.eye(2)[[(n + (n >= n_right)) % 2 for n in range(4)]]
    made = {"name": "own", "training_data": "training set", "predict_proba": lambda _: guesses}
    return SimpleNamespace(emotions=corpus.emotions, **made), corpus


def test_number_to_beat_is_a_score_on_the_test_set() -> None:
    assert check("06.3", *recognizer_and_test_set(4)).state == "correct"
    assert "UA 0.500" in check("06.3", *recognizer_and_test_set(2)).message
    assert check("06.3", ..., None).state == "not attempted"
