from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from emolab import Corpus, Fold, LightRecognizer
from emolab.course.progress import check
from emolab.features.text import Tfidf
from emolab.models.light import logistic_regression


@pytest.fixture(autouse=True)
def own_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def linked(speaker: Any, dialogue: Any) -> list[Any]:
    sets, first = DisjointSet(speaker), {}
    for who, where in zip(speaker, dialogue, strict=True):
        sets.merge(who, first.setdefault(where, who))
    return [sets[who] for who in speaker]


def test_groups_are_those_of_linked_speakers() -> None:
    assert check("02.1", linked).state == "correct"
    assert check("02.1", lambda speaker, dialogue: ...).state == "not attempted"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda speaker, dialogue: [*speaker], "a dialogue is in two groups"),
        (lambda speaker, dialogue: [*dialogue], "a speaker is in two groups"),
        (lambda speaker, dialogue: [0] * len(speaker), "more groups are possible"),
        (lambda speaker, dialogue: [0, 1], "2 groups for 8 utterances"),
    ],
)
def test_groups_slips_are_named(wrong: Any, message: str) -> None:
    verdict = check("02.1", wrong)
    assert verdict.state == "incorrect"
    assert message in verdict.message


def clean(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    model = make_pipeline(StandardScaler(), SelectKBest(f_classif, k=10), SVC())
    return cross_val_predict(model, x, y, groups=speaker, cv=GroupKFold(5))


def selected_on_everything(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    best = SelectKBest(f_classif, k=10).fit_transform(x, y)
    return cross_val_predict(SVC(), best, y, groups=speaker, cv=GroupKFold(5))


def speakers_shared(x: NDArray[Any], y: NDArray[Any], speaker: NDArray[Any]) -> NDArray[Any]:
    return cross_val_predict(make_pipeline(SelectKBest(f_classif, k=10), SVC()), x, y, cv=5)


def test_predictions_without_leak_are_correct() -> None:
    assert check("02.2", clean).state == "correct"
    assert check("02.2", lambda x, y, speaker: ...).state == "not attempted"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (selected_on_everything, "selected on all rows"),
        (speakers_shared, "it recognises speakers"),
        (lambda x, y, speaker: np.zeros_like(y), "where there is something to learn"),
    ],
)
def test_leaks_of_predictions_are_named(wrong: Any, message: str) -> None:
    verdict = check("02.2", wrong)
    assert verdict.state == "incorrect"
    assert message in verdict.message


def toy_fold() -> Fold:
    """Make a fold of twelve speakers in which one word tells the emotion."""
    rows = [
        {"utterance_id": f"{who}-{n}", "speaker": f"s{who}", "emotion": emotion, "text": f"{word} {who} {n}"}
        for who in range(12)
        for n, (emotion, word) in enumerate([("happy", "good"), ("sad", "bad")] * 2)
    ]
    corpora = [
        Corpus.from_rows("toy", rows[a:b], emotions=("happy", "sad"), root=Path()) for a, b in ((0, 24), (24, 32))
    ]
    return Fold("toy/1", *corpora, Corpus.from_rows("toy", rows[32:], emotions=("happy", "sad"), root=Path()))


def test_a_recognizer_must_be_one_and_reach_the_goal() -> None:
    fold, model = toy_fold(), logistic_regression(0, c=1.0, scale=False)
    assert check("02.3", LightRecognizer("words", Tfidf(min_count=2), model), fold, 0.9).state == "correct"
    assert "the goal is 1.01" in check("02.3", LightRecognizer("words", Tfidf(), model), fold, 1.01).message
    assert "expected a recognizer" in check("02.3", 0.95, fold, 0.9).message
    assert check("02.3", ..., fold, 0.9).state == "not attempted"
