"""Front ends joined: blocks side by side, frames on one clock, and what happens where a modality is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.corpora.degraded import drop
from emolab.features.base import FeatureExtractor, SoundFrames, SoundVector, Tfidf, extractor_from_state
from emolab.features.joined import AlignedFrames, Concatenated, align_frames
from emolab.models.light import logistic_regression
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.training import TrainingConfig

EMOTIONS = ("angry", "sad")
PITCH = {"angry": 400, "sad": 120}
WORD = {"angry": "furious", "sad": "gloomy"}
QUICK = TrainingConfig(n_epochs=30, batch_size=4, learning_rate=0.01, patience=None)
N = 16


class Slow(FeatureExtractor):
    """Stands for a face: two numbers every 0.1 s, which only follow the emotion."""

    modality = "video"
    hop_s = 0.1

    def fit(self, corpus: Corpus) -> None:
        pass

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        return [np.full((4, 2), 1 + emotion, np.float32) for emotion in corpus.targets()]

    def sizes(self) -> dict[str, int]:
        return {"n_features": 2}

    def state(self) -> dict[str, Any]:
        return {"kind": "Slow", "options": {}, "learned": {}}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Tones of one of two pitches, a word that fits, and the name of a film that nobody opens."""
    root = tmp_path_factory.mktemp("tones")
    rows = []
    for number in range(N):
        emotion = EMOTIONS[number % 2]
        seconds = np.arange(4800 + 160 * number) / 16_000
        soundfile.write(root / f"{number}.wav", 0.3 * np.sin(2 * np.pi * PITCH[emotion] * seconds), 16_000)
        row = {"utterance_id": str(number), "speaker": "a", "emotion": emotion, "text": f"we went {WORD[emotion]}"}
        rows.append({**row, "audio_path": f"{number}.wav", "video_path": "film.mp4"})
    return Corpus.from_rows("tones", rows, emotions=EMOTIONS, root=root)


def beside(**how: Any) -> Concatenated:
    return Concatenated([SoundVector("classical8"), Tfidf(min_count=1)], **how)


def one_clock(hop_s: float = 0.05) -> AlignedFrames:
    return AlignedFrames([SoundFrames("mfcc", n_mfcc=4, hop_s=0.02), Slow()], hop_s=hop_s)


def dense(rows: Any) -> NDArray[Any]:
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


# ---------------------------------------------------------------- side by side


def test_beside_lays_the_blocks_of_its_front_ends_side_by_side(corpus: Corpus) -> None:
    joined = beside()
    joined.fit(corpus)
    sound, words = joined.features
    expected = np.hstack([sound.transform(corpus), words.transform(corpus).toarray()])
    np.testing.assert_allclose(dense(joined.transform(corpus)), expected)
    assert joined.feature_names == [*sound.feature_names, *words.feature_names]
    assert joined.sizes() == {"n_features": expected.shape[1]}
    assert joined.modalities == ("audio", "text")


@pytest.mark.parametrize("as_matrix", [False, True])
def test_beside_scaled_gives_every_block_the_same_mean_squared_length(as_matrix: bool, corpus: Corpus) -> None:
    joined = beside(scaled=True, dense=as_matrix)
    joined.fit(corpus)
    rows = dense(joined.transform(corpus))
    lengths = [np.square(block).sum(axis=1).mean() for block in np.split(rows, [joined.widths[0]], axis=1)]
    np.testing.assert_allclose(lengths, rows.shape[1] / 2 if as_matrix else 1.0, rtol=1e-4)
    if as_matrix:
        assert np.square(rows).mean() == pytest.approx(1, rel=1e-4)
        assert rows.dtype == np.float32


def test_beside_learns_its_scales_from_the_training_part_alone(corpus: Corpus) -> None:
    joined = beside(scaled=True)
    joined.fit(corpus.select(np.arange(N) < 8))
    shares = list(joined.shares)
    joined.transform(corpus)
    assert list(joined.shares) == shares
    assert joined.transform(corpus.select(np.arange(N) == 3)).shape[0] == 1


def test_beside_leaves_a_block_that_is_always_zero_as_it_is(corpus: Corpus) -> None:
    joined = beside(scaled=True)
    joined.fit(corpus.select(np.arange(N) == 0))  # the mean of one utterance is itself, so its sound becomes zeros
    assert np.isfinite(joined.shares).all()
    assert np.isfinite(dense(joined.transform(corpus))).all()


@pytest.mark.parametrize("missing", ["audio", "text"])
@pytest.mark.parametrize("as_matrix", [False, True])
def test_beside_puts_zeros_where_a_modality_is_missing(missing: str, as_matrix: bool, corpus: Corpus) -> None:
    joined = beside(scaled=True, dense=as_matrix)
    joined.fit(corpus)
    whole = dense(joined.transform(corpus))
    edge = joined.widths[0]
    gone = slice(None, edge) if missing == "audio" else slice(edge, None)
    for share in (0.5, 1.0):
        worse = drop(corpus, missing, share)
        rows, there = dense(joined.transform(worse)), worse.has(missing)
        assert (rows[~there, gone] == 0).all()
        np.testing.assert_allclose(rows[there], whole[there], rtol=1e-6)
        kept = np.delete(whole, np.arange(whole.shape[1])[gone], axis=1)
        np.testing.assert_allclose(np.delete(rows, np.arange(whole.shape[1])[gone], axis=1), kept, rtol=1e-6)
    np.testing.assert_array_equal(dense(joined.transform(corpus.without(missing))), rows)
    assert joined.has(corpus.without(missing)).all()
    assert not joined.has(corpus.without("audio", "text")).any()


def test_beside_fits_each_front_end_to_the_utterances_that_have_its_modality(corpus: Corpus) -> None:
    partly = drop(corpus, "audio", 0.5)
    joined, alone = beside(), SoundVector("classical8")
    joined.fit(partly)
    alone.fit(partly.select(partly.has("audio")))
    np.testing.assert_array_equal(joined.features[0].mean, alone.mean)  # type: ignore[attr-defined]


def test_beside_repeats_the_blocks_that_have_fewer_versions(corpus: Corpus) -> None:
    joined = Concatenated([SoundVector("classical8", speeds=(0.9, 1.1)), Tfidf(min_count=1)])
    joined.fit(corpus)
    plain, *others = [dense(rows) for rows in joined.versions(corpus)]
    assert len(others) == 2
    np.testing.assert_array_equal(plain, dense(joined.transform(corpus)))
    edge = joined.widths[0]
    for other in others:
        np.testing.assert_array_equal(other[:, edge:], plain[:, edge:])
        assert not np.allclose(other[:, :edge], plain[:, :edge])


def test_beside_of_one_modality_cannot_do_without_it() -> None:
    assert beside().partial
    assert not Concatenated([Tfidf(), Tfidf(characters=(2, 3))]).partial


# ---------------------------------------------------------------- one clock


def test_on_clock_by_hand() -> None:
    quick, slow = np.arange(8.0)[:, None], np.array([[10.0], [20.0]])
    np.testing.assert_allclose(align_frames(quick, 0.032, 0.064)[:, 0], [0.5, 2.5, 4.5, 6.5])
    # the fourth tick lasts from 0.192 to 0.256 s, and the second frame begins at 0.2 s
    expected = [10, 10, 10, (8 * 10 + 56 * 20) / 64, 20, 20]
    np.testing.assert_allclose(align_frames(slow, 0.2, 0.064)[:, 0], expected, rtol=1e-6)


frames = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.floats(-100, 100, width=32), min_size=n, max_size=n).map(lambda row: np.array(row)[:, None])
)
times = st.sampled_from([0.01, 0.02, 0.032, 0.04, 0.05, 0.064, 0.1, 0.2, 0.5])


@given(values=frames, hop_s=times, clock_s=times)
def test_on_clock_stays_within_the_frames_and_lasts_as_long(
    values: NDArray[np.float64], hop_s: float, clock_s: float
) -> None:
    ticks = align_frames(values, hop_s, clock_s)
    assert ticks.dtype == np.float32
    assert abs(len(ticks) * clock_s - len(values) * hop_s) <= max(clock_s / 2 + 1e-9, clock_s - len(values) * hop_s)
    assert values.min() - 1e-3 <= ticks.min()
    assert ticks.max() <= values.max() + 1e-3


@given(values=frames, hop_s=times)
def test_on_clock_of_the_same_clock_changes_nothing(values: NDArray[np.float64], hop_s: float) -> None:
    np.testing.assert_allclose(align_frames(values, hop_s, hop_s), values, atol=1e-3)


@given(values=frames, factor=st.integers(2, 5))
def test_on_clock_there_and_back_loses_nothing(values: NDArray[np.float64], factor: int) -> None:
    finer = align_frames(values, 0.1, 0.1 / factor)
    assert len(finer) == factor * len(values)
    np.testing.assert_allclose(finer, np.repeat(values, factor, axis=0), atol=1e-3)
    np.testing.assert_allclose(align_frames(finer, 0.1 / factor, 0.1), values, atol=1e-3)


def test_on_clock_of_nothing_is_nothing() -> None:
    assert align_frames(np.zeros((0, 3)), 0.1, 0.2).shape == (0, 3)


@pytest.mark.parametrize("wrong", [(0.0, 0.1), (0.1, -1.0)])
def test_on_clock_says_that_time_must_pass(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"hop_s=.*, clock_s=.*; expected positive seconds. Correct the numbers"):
        align_frames(np.zeros((2, 1)), *wrong)


def test_one_clock_lays_frames_of_the_same_moment_side_by_side(corpus: Corpus) -> None:
    joined = one_clock()
    joined.fit(corpus)
    sound, face = joined.features
    for row, heard, seen in zip(*(each.transform(corpus) for each in (joined, sound, face)), strict=True):
        ticks = align_frames(heard, 0.02, 0.05), align_frames(seen, 0.1, 0.05)
        assert len(row) == max(map(len, ticks))
        assert row.shape[1] == joined.sizes()["n_features"] == 6
        for block, own in zip(np.split(row, [4], axis=1), ticks, strict=True):
            np.testing.assert_array_equal(block[: len(own)], own)
            assert (block[len(own) :] == 0).all()  # the shorter source is over


@pytest.mark.parametrize(("missing", "gone"), [("audio", slice(0, 4)), ("video", slice(4, 6))])
def test_one_clock_puts_zeros_where_a_modality_is_missing(missing: str, gone: slice, corpus: Corpus) -> None:
    joined = one_clock()
    joined.fit(corpus)
    whole, worse = joined.transform(corpus), drop(corpus, missing, 0.5)
    for there, before, after in zip(worse.has(missing), whole, joined.transform(worse), strict=True):
        if there:
            np.testing.assert_array_equal(after, before)
        else:
            assert (after[:, gone] == 0).all()
            assert (np.delete(after, np.arange(6)[gone], axis=1) != 0).any()
    assert all((row[:, gone] == 0).all() for row in joined.transform(corpus.without(missing)))


# ---------------------------------------------------------------- kept, and before a model


@pytest.mark.parametrize("make", [beside, lambda: beside(scaled=True, dense=True), one_clock])
def test_joined_front_ends_come_back_from_their_state(make: Any, corpus: Corpus) -> None:
    joined = make()
    joined.fit(corpus)
    again = extractor_from_state(json.loads(json.dumps(joined.state())))
    assert json.dumps(again.state()) == json.dumps(joined.state())  # so that what was loaded can be saved again
    for one, other in zip(joined.transform(corpus), again.transform(corpus), strict=True):
        np.testing.assert_array_equal(dense(one), dense(other))
    assert again.sizes() == joined.sizes()
    assert again.modalities == joined.modalities


def light() -> Recognizer:
    extractor = beside(scaled=True)
    return LightRecognizer("early/tiny", [extractor], lambda: [logistic_regression(1, c=1.0, scale=False)])


def network() -> Recognizer:
    spec = {"kind": "mlp", "n_hidden": (8,)}
    return NetworkRecognizer("early/tiny", [beside(scaled=True, dense=True)], spec, QUICK, seed=1)


def network_on_frames() -> Recognizer:
    spec = {"kind": "lstm", "n_hidden": 8, "n_dense": 8, "dropout": 0.0}
    return NetworkRecognizer("early/tiny", [one_clock()], spec, QUICK, seed=1)


@pytest.mark.parametrize("make", [light, network, network_on_frames])
def test_recognizers_of_joined_front_ends_learn_save_load_and_do_without(
    make: Any, corpus: Corpus, tmp_path: Path
) -> None:
    recognizer = make()
    recognizer.fit(corpus, corpus)
    assert recognizer.predict(corpus) == corpus.table["emotion"].tolist()
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    assert loaded.partial
    assert loaded.modalities == recognizer.modalities
    for missing in recognizer.modalities:
        for worse in (corpus, corpus.without(missing), drop(corpus, missing, 0.5)):
            probabilities = recognizer.predict_proba(worse)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)
            np.testing.assert_allclose(loaded.predict_proba(worse), probabilities, rtol=1e-5)
    with pytest.raises(ValueError, match=r"have none of .*Expected at least one of them.*corpus.select"):
        loaded.predict(corpus.without(*recognizer.modalities))


@pytest.mark.parametrize("make", [light, network, network_on_frames])
def test_a_missing_modality_changes_no_other_utterance(make: Any, corpus: Corpus) -> None:
    recognizer = make()
    recognizer.fit(corpus, corpus)
    worse = drop(corpus, recognizer.modalities[0], 0.5)
    there = worse.has(recognizer.modalities[0])
    before, after = recognizer.predict_proba(corpus), recognizer.predict_proba(worse)
    np.testing.assert_allclose(after[there], before[there], atol=1e-5)
    assert np.abs(after[~there] - before[~there]).max() > 1e-3
