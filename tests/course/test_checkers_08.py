"""The checkers of chapter 08 on answers that are right, typically wrong, and untouched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emolab.corpora import Corpus
from emolab.course.progress import check


@pytest.fixture(autouse=True)
def own_progress(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def four_utterances() -> Corpus:
    rows = [{"utterance_id": str(n), "speaker": "a", "emotion": "sad" if n else "happy"} for n in range(4)]
    return Corpus.from_rows("tiny", rows, emotions=("happy", "sad"), root=Path())


def test_frozen_faces_get_one_answer() -> None:
    test = four_utterances()
    assert check("08.1", 0.5, test).state == "correct"
    assert "that is the accuracy" in check("08.1", 0.75, test).message
    assert "one answer is right" in check("08.1", 0.0, test).message
    assert check("08.1", ..., test).state == "not attempted"


def reversed_frames(clips, lengths):
    turned = clips.clone()
    for number, length in enumerate(lengths):
        turned[number, :length] = clips[number, :length].flip(0)
    return turned


def test_backwards_leaves_the_padding_behind() -> None:
    assert check("08.2", reversed_frames).state == "correct"
    assert "padding was reversed" in check("08.2", lambda clips, lengths: clips.flip(1)).message
    assert "clips changed places" in check("08.2", lambda clips, lengths: clips.flip(0)).message
    assert "nothing changed" in check("08.2", lambda clips, lengths: clips).message
    assert check("08.2", lambda clips, lengths: ...).state == "not attempted"


@pytest.mark.parametrize(("n_right", "state"), [(4, "correct"), (1, "incorrect")])
def test_number_to_beat_is_a_score_on_the_test_set(n_right: int, state: str) -> None:
    corpus = four_utterances()
    guesses = np.eye(2)[[int((n > 0) == (n < n_right)) for n in range(4)]]
    made = {"name": "own", "training_data": "training set", "predict_proba": lambda _: guesses}
    verdict = check("08.3", SimpleNamespace(emotions=corpus.emotions, **made), corpus)
    assert verdict.state == state
    assert ("the goal is 0.56" in verdict.message) == (state == "incorrect")
    assert check("08.3", ..., corpus).state == "not attempted"
