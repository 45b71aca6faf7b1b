from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from emolab.corpora import Corpus
from emolab.recipes import fuse, recipe
from emolab.recognizer import Recognizer

EMOTIONS = ("angry", "happy", "sad")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    said = [(speaker, emotion) for speaker in "abc" for emotion in EMOTIONS for _ in range(4)]
    rows = [{"speaker": speaker, "emotion": emotion, "text": f"so {emotion}"} for speaker, emotion in said]
    rows = [{"utterance_id": str(number), **row} for number, row in enumerate(rows)]
    return Corpus.from_rows("tiny", rows, emotions=EMOTIONS, root=Path())


def fitted(corpus: Corpus) -> Recognizer:
    recognizer = recipe("text/logistic-regression")
    recognizer.fit(corpus, corpus)
    return recognizer


def test_calibrate_finds_the_temperature_that_overconfident_probabilities_were_made_with(corpus: Corpus) -> None:
    rng, recognizer = np.random.default_rng(7), fitted(corpus)
    logits = rng.normal(size=(20_000, 3))
    honest = softmax(logits, axis=1)
    targets = (rng.random((20_000, 1)) > honest.cumsum(axis=1)).sum(axis=1)  # drawn with these probabilities
    sure = softmax(2.5 * logits, axis=1)
    recognizer.calibrate(sure, targets, coverage=0.8)
    assert recognizer.temperature == pytest.approx(2.5, rel=0.05)
    np.testing.assert_allclose(recognizer.calibrated(sure), honest, atol=0.02)
    assert np.mean(recognizer.calibrated(sure).max(axis=1) < recognizer.unsure_below) == pytest.approx(0.2, abs=1e-3)


def test_an_uncalibrated_recognizer_leaves_probabilities_as_they_are(corpus: Corpus) -> None:
    recognizer = fitted(corpus)
    given = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    np.testing.assert_array_equal(recognizer.calibrated(given), given)
    assert recognizer.unsure_below == 0


def test_calibration_is_saved_and_ends_with_the_next_fit(corpus: Corpus, tmp_path: Path) -> None:
    recognizer = fitted(corpus)
    recognizer.calibrate(recognizer.predict_proba(corpus), corpus.targets())
    recognizer.save(tmp_path / "model")
    loaded = Recognizer.load(tmp_path / "model")
    assert (loaded.temperature, loaded.unsure_below) == (recognizer.temperature, recognizer.unsure_below)
    assert loaded.unsure_below > 0
    recognizer.fit(corpus, corpus)
    assert (recognizer.temperature, recognizer.unsure_below) == (1, 0)


def test_late_fusion_whose_members_are_calibrated_is_calibrated_as_a_whole(corpus: Corpus) -> None:
    members = [recipe("text/logistic-regression"), recipe("text/random-forest")]
    fused = fuse(members, "product")
    fused.fit(corpus, corpus)
    fused.calibrate(fused.predict_proba(corpus), corpus.targets())
    np.testing.assert_allclose(fused.calibrated(fused.predict_proba(corpus)).sum(axis=1), 1)
