"""The jobs of workers, with a small model of sound and words; and that nothing of a recording stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from emolab.app import jobs
from emolab.media import SAMPLE_RATE, audio_seconds
from emolab.storage import cache_root
from tests.annotate import recordings
from tests.app.test_worker import film


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "fused"
    recordings.model("fusion/late/logistic-regression").save(folder)
    return folder


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    recordings.talk(tmp_path / "talk.wav", (0, 1))
    return tmp_path / "talk.wav"


def test_a_recording_is_annotated_and_explained_and_nothing_of_it_stays(
    talk: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    jobs.prepare(model)
    before = set(cache_root().rglob("*"))
    annotation = jobs.annotate(talk, model=model, words_only=False, names=["Ana", "Ben"])
    assert set(annotation.segments["speaker"]) <= {"Ana", "Ben"}
    assert len(annotation) >= 2
    row = annotation.segments.iloc[0].to_dict() | {"text": "what a day"}
    alone, found = jobs.why(talk, row, model=model, words_only=False)
    assert list(alone) == ["audio", "text"]
    assert [sum(shares.values()) for shares in alone.values()] == pytest.approx([1, 1])
    words, voice = found
    assert (words["modality"], words["names"]) == ("text", ("what", "a", "day"))
    assert len(voice["values"]) == len(voice["spans"]) == np.ceil(10 * (row["end"] - row["start"]) - 1e-6)
    assert voice["emotion"] == row["emotion"]
    assert set(cache_root().rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def test_a_segment_without_emotion_has_nothing_to_explain(talk: Path, model: Path) -> None:
    row = {"start": 0.0, "end": 1.0, "text": "", "emotion": pd.NA}
    assert jobs.why(talk, row, model=model, words_only=False) == ({}, [])


def test_a_model_of_conversations_tells_each_modality_alone_and_explains_no_words(talk: Path, tmp_path: Path) -> None:
    """It looks utterances up, so copies with words left out cannot be asked; the turn counts as a first one."""
    made: Any = recordings.model("conversation/causal/statistics+words")
    made.save(tmp_path / "model")
    row = {"start": 0.0, "end": 1.0, "text": "what a day", "emotion": made.emotions[0]}
    alone, found = jobs.why(talk, row, model=tmp_path / "model", words_only=False)
    assert list(alone) == ["audio", "text"]
    assert [sum(shares.values()) for shares in alone.values()] == pytest.approx([1, 1])
    assert found == []


def test_words_alone_are_asked_of_a_model_of_words(talk: Path, model: Path) -> None:
    with pytest.raises(ValueError, match="takes audio and text; expected a model of text"):
        jobs.annotate(talk, model=model, words_only=True, names=[])


def test_the_cache_comes_back_even_after_an_error() -> None:
    before, inside = os.environ["EMOLAB_CACHE"], ""
    try:
        with jobs.forgetful():
            inside = os.environ["EMOLAB_CACHE"]
            raise OSError("full")
    except OSError:
        assert os.environ["EMOLAB_CACHE"] == before != inside
    assert not Path(inside).exists()


def test_what_browsers_do_not_play_is_played_as_sound(tmp_path: Path) -> None:
    film(tmp_path / "film.avi")
    heard = jobs.playable(tmp_path / "film.avi", tmp_path / "page")
    assert heard == tmp_path / "page" / "film.ogg"
    assert audio_seconds(heard) == pytest.approx(1.0, abs=0.1)
    soundfile.write(tmp_path / "voice.wav", np.zeros(100), SAMPLE_RATE)
    assert jobs.playable(tmp_path / "voice.wav", tmp_path / "page") == tmp_path / "voice.wav"
