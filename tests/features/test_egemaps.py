from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emolab.corpora import Corpus
from emolab.features import egemaps
from emolab.features.egemaps import EgemapsVector
from emolab.recipes import recipe
from emolab.recognizer import Recognizer

LOUDNESS = {"angry": 0.5, "sad": 0.01}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    egemaps._smile.cache_clear()
    yield
    egemaps._smile.cache_clear()


def corpus(root: Path, *, seconds: float = 0.5) -> Corpus:
    """Eight utterances of noise; how loud they are tells the emotion."""
    rows = []
    for number in range(8):
        emotion = ("angry", "sad")[number % 2]
        wave = np.random.default_rng(number).normal(0, LOUDNESS[emotion] / 3, round(16_000 * seconds))
        soundfile.write(root / f"{number}.wav", wave, 16_000)
        rows.append({"utterance_id": str(number), "emotion": emotion, "audio_path": f"{number}.wav", "speaker": "a"})
    return Corpus.from_rows("noise", rows, emotions=("angry", "sad"), root=root)


def test_egemaps_says_in_one_sentence_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    told = r"^opensmile is not installed; where your purpose is non-commercial, .*emolab\[egemaps\].*audio/svm[^.]*\.$"
    few = corpus(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=told):
        recipe("audio/egemaps-svm").fit(few, few)


def test_egemaps_learns_saves_and_loads(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    few = corpus(tmp_path)
    recognizer = recipe("audio/egemaps-svm")
    recognizer.fit(few, few)
    assert recognizer.predict(few) == few.table["emotion"].tolist()
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_allclose(loaded.predict_proba(few), recognizer.predict_proba(few))
    assert recognizer.feature_matrix(few).shape == (8, 88)


def test_egemaps_are_the_published_numbers_by_their_names(tmp_path: Path) -> None:
    opensmile = pytest.importorskip("opensmile")
    extractor, few = EgemapsVector(), corpus(tmp_path)
    first = extractor.raw(few)[0]
    levels = opensmile.FeatureLevel.Functionals
    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=levels)
    expected = smile.process_file(tmp_path / "0.wav")
    assert extractor.feature_names == list(expected.columns)
    np.testing.assert_allclose(first, expected.to_numpy()[0], rtol=1e-3, atol=1e-3)


def test_egemaps_names_utterances_that_are_too_short(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    with pytest.raises(ValueError, match=r"egemaps failed for 8 of 8 files.*lasts 0\.010 s, too short for openSMILE"):
        EgemapsVector().raw(corpus(tmp_path, seconds=0.01))
