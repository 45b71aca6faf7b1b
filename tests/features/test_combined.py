"""Combined extractors: concatenated blocks, aligned frames, dialogue context, and missing modalities."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus, load_corpus
from emolab.corpora.degraded import drop
from emolab.features.audio import Classical8, Functionals, Mfcc
from emolab.features.base import FeatureExtractor
from emolab.features.combined import (
    N_CONTEXT_COLUMNS,
    AlignedFrames,
    Concatenated,
    DialogueContext,
    SpeakerNormalized,
    align_frames,
    dialogue_rows,
)
from emolab.features.text import Tfidf
from emolab.models.light import logistic_regression
from emolab.models.sequence import Lstm, Mlp
from emolab.recipes import recipe
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

    def transform(self, corpus: Corpus) -> list[NDArray[np.float32]]:
        return [np.full((4, 2), 1 + emotion, np.float32) for emotion in corpus.targets()]

    def sizes(self) -> dict[str, int]:
        return {"n_features": 2}


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


def concatenated(**how: Any) -> Concatenated:
    return Concatenated([Classical8(), Tfidf(min_count=1)], **how)


def aligned(hop_s: float = 0.05) -> AlignedFrames:
    return AlignedFrames([Mfcc(n_mfcc=4, hop_s=0.02), Slow()], hop_s=hop_s)


def dense(rows: Any) -> NDArray[Any]:
    return rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)


# ---------------------------------------------------------------- concatenated


def test_concatenated_puts_the_blocks_of_its_extractors_together(corpus: Corpus) -> None:
    joined = concatenated()
    joined.fit(corpus)
    sound, words = joined.features
    expected = np.hstack([sound.transform(corpus), words.transform(corpus).toarray()])
    np.testing.assert_allclose(dense(joined.transform(corpus)), expected)
    assert joined.feature_names == [*sound.feature_names, *words.feature_names]
    assert joined.sizes() == {"n_features": expected.shape[1]}
    assert joined.modalities == ("audio", "text")


@pytest.mark.parametrize("as_matrix", [False, True])
def test_concatenated_scaled_gives_every_block_the_same_mean_squared_length(as_matrix: bool, corpus: Corpus) -> None:
    joined = concatenated(scaled=True, dense=as_matrix)
    joined.fit(corpus)
    rows = dense(joined.transform(corpus))
    lengths = [np.square(block).sum(axis=1).mean() for block in np.split(rows, [joined.widths[0]], axis=1)]
    np.testing.assert_allclose(lengths, rows.shape[1] / 2 if as_matrix else 1.0, rtol=1e-4)
    if as_matrix:
        assert np.square(rows).mean() == pytest.approx(1, rel=1e-4)
        assert rows.dtype == np.float32


def test_concatenated_learns_its_scales_from_the_training_part_alone(corpus: Corpus) -> None:
    joined = concatenated(scaled=True)
    joined.fit(corpus.select(np.arange(N) < 8))
    scales = list(joined.scales)
    joined.transform(corpus)
    assert list(joined.scales) == scales
    assert joined.transform(corpus.select(np.arange(N) == 3)).shape[0] == 1


def test_concatenated_leaves_a_block_that_is_always_zero_as_it_is(corpus: Corpus) -> None:
    joined = concatenated(scaled=True)
    joined.fit(corpus.select(np.arange(N) == 0))  # the mean of one utterance is itself, so its sound becomes zeros
    assert np.isfinite(joined.scales).all()
    assert np.isfinite(dense(joined.transform(corpus))).all()


@pytest.mark.parametrize("missing", ["audio", "text"])
@pytest.mark.parametrize("as_matrix", [False, True])
def test_concatenated_puts_zeros_where_a_modality_is_missing(missing: str, as_matrix: bool, corpus: Corpus) -> None:
    joined = concatenated(scaled=True, dense=as_matrix)
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


def test_concatenated_fits_each_front_end_to_the_utterances_that_have_its_modality(corpus: Corpus) -> None:
    partly = drop(corpus, "audio", 0.5)
    joined, alone = concatenated(), Classical8()
    joined.fit(partly)
    alone.fit(partly.select(partly.has("audio")))
    np.testing.assert_array_equal(joined.features[0].mean, alone.mean)  # type: ignore[attr-defined]


def test_concatenated_repeats_the_blocks_that_have_fewer_copies(corpus: Corpus) -> None:
    joined = Concatenated([Functionals(speeds=(0.9, 1.1)), Tfidf(min_count=1)])
    joined.fit(corpus)
    plain, *others = [dense(rows) for rows in joined.training_copies(corpus)]
    assert len(others) == 2
    np.testing.assert_array_equal(plain, dense(joined.transform(corpus)))
    edge = joined.widths[0]
    for other in others:
        np.testing.assert_array_equal(other[:, edge:], plain[:, edge:])
        assert not np.allclose(other[:, :edge], plain[:, :edge])


def test_concatenated_of_one_modality_cannot_do_without_it() -> None:
    assert LightRecognizer("both", concatenated(), logistic_regression(1)).partial
    spelt = Concatenated([Tfidf(), Tfidf(characters=(2, 3))])
    assert not LightRecognizer("words", spelt, logistic_regression(1)).partial


# ---------------------------------------------------------------- aligned in time


def test_align_frames_by_hand() -> None:
    quick, slow = np.arange(8.0)[:, None], np.array([[10.0], [20.0]])
    np.testing.assert_allclose(align_frames(quick, 0.032, 0.064)[:, 0], [0.5, 2.5, 4.5, 6.5])
    # the fourth tick lasts from 0.192 to 0.256 s, and the second frame begins at 0.2 s
    expected = [10, 10, 10, (8 * 10 + 56 * 20) / 64, 20, 20]
    np.testing.assert_allclose(align_frames(slow, 0.2, 0.064)[:, 0], expected, rtol=1e-6)


frames = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.floats(-100, 100, width=32), min_size=n, max_size=n).map(lambda row: np.array(row)[:, None])
)
times = st.sampled_from([0.01, 0.02, 0.032, 0.04, 0.05, 0.064, 0.1, 0.2, 0.5])


@given(values=frames, hop_s=times, aligned_hop_s=times)
def test_align_frames_stays_within_the_frames_and_lasts_as_long(
    values: NDArray[np.float64], hop_s: float, aligned_hop_s: float
) -> None:
    ticks = align_frames(values, hop_s, aligned_hop_s)
    assert ticks.dtype == np.float32
    assert abs(len(ticks) * aligned_hop_s - len(values) * hop_s) <= max(
        aligned_hop_s / 2 + 1e-9, aligned_hop_s - len(values) * hop_s
    )
    assert values.min() - 1e-3 <= ticks.min()
    assert ticks.max() <= values.max() + 1e-3


@given(values=frames, hop_s=times)
def test_align_frames_of_the_same_clock_changes_nothing(values: NDArray[np.float64], hop_s: float) -> None:
    np.testing.assert_allclose(align_frames(values, hop_s, hop_s), values, atol=1e-3)


@given(values=frames, factor=st.integers(2, 5))
def test_align_frames_there_and_back_loses_nothing(values: NDArray[np.float64], factor: int) -> None:
    finer = align_frames(values, 0.1, 0.1 / factor)
    assert len(finer) == factor * len(values)
    np.testing.assert_allclose(finer, np.repeat(values, factor, axis=0), atol=1e-3)
    np.testing.assert_allclose(align_frames(finer, 0.1 / factor, 0.1), values, atol=1e-3)


def test_align_frames_of_nothing_is_nothing() -> None:
    assert align_frames(np.zeros((0, 3)), 0.1, 0.2).shape == (0, 3)


@pytest.mark.parametrize("wrong", [(0.0, 0.1), (0.1, -1.0)])
def test_align_frames_says_that_time_must_pass(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"hop_s=.*, aligned_hop_s=.*; expected positive seconds. Correct the numbers"):
        align_frames(np.zeros((2, 1)), *wrong)


def test_aligned_frames_put_frames_of_the_same_moment_together(corpus: Corpus) -> None:
    joined = aligned()
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
def test_aligned_frames_puts_zeros_where_a_modality_is_missing(missing: str, gone: slice, corpus: Corpus) -> None:
    joined = aligned()
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


@pytest.mark.parametrize("make", [concatenated, lambda: concatenated(scaled=True, dense=True), aligned])
def test_combined_extractors_survive_pickling(make: Any, corpus: Corpus) -> None:
    joined = make()
    joined.fit(corpus)
    again = pickle.loads(pickle.dumps(joined))
    for one, other in zip(joined.transform(corpus), again.transform(corpus), strict=True):
        np.testing.assert_array_equal(dense(one), dense(other))
    assert again.sizes() == joined.sizes()
    assert again.modalities == joined.modalities


def light() -> Recognizer:
    return LightRecognizer("early/tiny", concatenated(scaled=True), logistic_regression(1, c=1.0, scale=False))


def network() -> Recognizer:
    def build(sizes: dict[str, int], n_emotions: int) -> Mlp:
        return Mlp.build(**sizes, n_emotions=n_emotions, n_hidden=(8,))

    return NetworkRecognizer("early/tiny", concatenated(scaled=True, dense=True), build, QUICK, seed=1)


def network_on_frames() -> Recognizer:
    def build(sizes: dict[str, int], n_emotions: int) -> Lstm:
        return Lstm.build(**sizes, n_emotions=n_emotions, n_hidden=8, n_dense=8, dropout=0.0)

    return NetworkRecognizer("early/tiny", aligned(), build, QUICK, seed=1)


@pytest.mark.parametrize("make", [light, network, network_on_frames])
def test_recognizers_of_combined_extractors_learn_save_load_and_do_without(
    make: Any, corpus: Corpus, tmp_path: Path
) -> None:
    recognizer = make()
    recognizer.fit(corpus, corpus)
    assert recognizer.predict(corpus) == corpus.table["emotion"].tolist()
    recognizer.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept", trusted=make is network_on_frames)  # whose class is a test's
    assert loaded.partial
    assert loaded.modalities == recognizer.modalities
    for missing in recognizer.modalities:
        for worse in (corpus, corpus.without(missing), drop(corpus, missing, 0.5)):
            probabilities = recognizer.predict_proba(worse)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)
            np.testing.assert_allclose(loaded.predict_proba(worse), probabilities, rtol=1e-5)
    with pytest.raises(ValueError, match=r"needs \w+ or \w+, but corpus .* has only"):
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


# ---------------------------------------------------------------- dialogue context


ROWS = (  # dialogue, turn, speaker, number that is said: shuffled, with gaps, two dialogues between each other
    ("b", 7, "Ann", 27.0),
    ("a", 5, "Bob", 15.0),
    ("b", 0, "Bob", 20.0),
    ("a", 0, "Ann", 10.0),
    ("a", 9, "Ann", 19.0),
    ("b", 3, "Cem", 23.0),
    ("a", 2, "Bob", 12.0),
)
DIALOGUES = {"a": [10, 12, 15, 19], "b": [20, 23, 27]}  # what is said, in order


class SaidNumber(FeatureExtractor):
    """The number that is said, and a one."""

    modality = "text"

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, 2) float32."""
        return np.array([[float(text), 1.0] for text in corpus.texts()], dtype=np.float32).reshape(-1, 2)


class SaidLayers(SaidNumber):
    """Two layers of three numbers each, the second ten times as large and turned round."""

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, 2, 3) float32."""
        numbers = np.array([float(text) for text in corpus.texts()], dtype=np.float32)
        layer = np.stack([numbers, numbers**2 / 10, np.ones_like(numbers)], axis=1)
        return np.stack([layer, 10 * layer[:, ::-1]], axis=1)


def corpus_of(rows: Sequence[tuple[str | None, int | None, str, float]]) -> Corpus:
    named = [
        {"utterance_id": f"{dialogue}{turn}-{place}", "dialogue_id": dialogue, "turn": turn, "speaker": speaker}
        | {"emotion": "sad", "text": str(number)}
        for place, (dialogue, turn, speaker, number) in enumerate(rows)
    ]
    return Corpus.from_rows("talk", named, emotions=("sad", "angry"), root=Path("."))


def windows(rows: Sequence[tuple[str | None, int | None, str, float]], before: int, after: int = 0) -> Any:
    corpus = corpus_of(rows)
    turns = DialogueContext([SaidNumber()], before=before, after=after)
    turns.fit(corpus)
    return turns.transform(corpus)


def said(window: NDArray[np.float32]) -> list[float]:
    return window[:, 0].tolist()


def test_windows_by_hand_before_only() -> None:
    seen = windows(ROWS, before=2)
    assert [said(window) for window in seen] == [
        [20, 23, 27],
        [10, 12, 15],
        [20],
        [10],
        [12, 15, 19],
        [20, 23],
        [10, 12],
    ]
    assert seen[4].tolist() == [[12, 1, 0, 0], [15, 1, 0, 0], [19, 1, 1, 1]]  # Bob, Bob, then Ann who is classified
    assert seen[1].tolist() == [[10, 1, 0, 0], [12, 1, 1, 0], [15, 1, 1, 1]]
    assert {window.dtype for window in seen} == {np.dtype(np.float32)}


def test_windows_by_hand_before_and_after() -> None:
    seen = windows(ROWS, before=1, after=2)
    assert [said(window) for window in seen] == [
        [23, 27],
        [12, 15, 19],
        [20, 23, 27],
        [10, 12, 15],
        [15, 19],
        [20, 23, 27],
        [10, 12, 15, 19],
    ]
    assert [window[:, 3].tolist().index(1) for window in seen] == [1, 1, 0, 0, 1, 1, 1]
    assert seen[3].tolist() == [[10, 1, 1, 1], [12, 1, 0, 0], [15, 1, 0, 0]]


def test_without_context_a_window_is_the_turn_alone() -> None:
    assert [said(window) for window in windows(ROWS, before=0)] == [[number] for *_, number in ROWS]


talks = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 12), st.sampled_from(["Ann", "Bob"]), st.integers(0, 99).map(float)
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row[:2],
)
reach = st.integers(0, 4)


@settings(max_examples=40)
@given(talks, reach, reach)
def test_windows_hold_the_nearest_turns_of_the_own_dialogue_in_order(rows: Any, before: int, after: int) -> None:
    for (dialogue, turn, speaker, number), window in zip(rows, windows(rows, before, after), strict=True):
        own = sorted(row for row in rows if row[0] == dialogue)
        place = [row[1] for row in own].index(turn)
        near = own[max(0, place - before) : place + after + 1]
        assert said(window) == [row[3] for row in near]
        assert window[:, 2].tolist() == [row[2] == speaker for row in near]
        assert window[:, 3].tolist() == [row[1] == turn for row in near]
        assert said(window)[window[:, 3].argmax()] == number


@settings(max_examples=40)
@given(talks, reach, st.randoms())
def test_causal_windows_stay_when_later_turns_and_other_dialogues_change(rows: Any, before: int, luck: Any) -> None:
    dialogue, turn, speaker, number = luck.choice(rows)
    changed = [(d, t, s, n) if d == dialogue and t <= turn else (d, t, "Dan", n + 500) for d, t, s, n in rows]
    gone = [row for row in rows if row[0] == dialogue and row[1] <= turn]
    place = rows.index((dialogue, turn, speaker, number))
    seen = windows(rows, before)[place]
    np.testing.assert_array_equal(seen, windows(changed, before)[place])
    np.testing.assert_array_equal(seen, windows(gone, before)[gone.index(rows[place])])


def test_windows_with_future_turns_change_with_them() -> None:
    changed = [*ROWS[:4], ("a", 9, "Ann", 99.0), *ROWS[5:]]
    for before_change, after_change, place in [(windows(ROWS, 2, 1), windows(changed, 2, 1), 1)]:
        assert said(before_change[place]) == [10, 12, 15, 19]
        assert said(after_change[place]) == [10, 12, 15, 99]


@settings(max_examples=30)
@given(st.permutations(range(len(ROWS))))
def test_the_order_of_the_rows_does_not_matter(order: Any) -> None:
    seen, shuffled = windows(ROWS, 3, 1), windows([ROWS[place] for place in order], 3, 1)
    for place, window in zip(order, shuffled, strict=True):
        np.testing.assert_array_equal(seen[place], window)


def test_places_are_those_of_each_dialogue_in_order() -> None:
    found = {ROWS[places[0]][0]: [ROWS[place][3] for place in places] for places in dialogue_rows(corpus_of(ROWS))}
    assert found == DIALOGUES


def test_what_a_selection_leaves_out_is_no_context() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([SaidNumber()], before=2)
    turns.fit(corpus)
    some = corpus.select(corpus.table["turn"] != 2)
    assert [said(window) for window in turns.transform(some)] == [
        [20, 23, 27],
        [10, 15],
        [20],
        [10],
        [10, 15, 19],
        [20, 23],
    ]


def test_layers_are_brought_to_one_scale_averaged_and_scaled_on_training() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([SaidLayers()], before=8)
    turns.fit(corpus)
    rows = np.array([[number, number**2 / 10, 1.0] for *_, number in ROWS])
    unit = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    mean = (unit + unit[:, ::-1]) / 2
    scaled = (mean - mean.mean(axis=0)) / np.maximum(mean.std(axis=0), 1e-5)
    own = np.stack([window[window[:, -1] == 1][0, :-2] for window in turns.transform(corpus)])
    np.testing.assert_allclose(own, scaled, atol=1e-3)
    assert turns.sizes() == {"n_features": 3, "both_ways": False}


def test_sparse_counts_are_taken_too() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([Tfidf(min_count=1)], before=1)
    turns.fit(corpus)
    assert turns.transform(corpus)[0].shape == (2, turns.n_features + N_CONTEXT_COLUMNS)


@pytest.mark.parametrize("extractor", [SaidNumber, SaidLayers])
@pytest.mark.parametrize("after", [0, 2])
def test_dialogue_context_survives_pickling(extractor: type[FeatureExtractor], after: int) -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([extractor()], before=3, after=after)
    turns.fit(corpus)
    again = pickle.loads(pickle.dumps(turns))
    assert again.sizes() == turns.sizes() == {"n_features": turns.n_features, "both_ways": after > 0}
    for window, same in zip(turns.transform(corpus), again.transform(corpus), strict=True):
        np.testing.assert_array_equal(window, same)


@pytest.mark.parametrize("lost", [("b", None), (None, 3)])
def test_a_corpus_without_dialogues_is_named(lost: tuple[str | None, int | None]) -> None:
    corpus = corpus_of([*ROWS, (*lost, "Ann", 0.0)])
    message = (
        r"1 of 8 utterances of corpus 'talk' have no dialogue_id or no turn, first .*-7; expected both.*Take a corp"
    )
    for says in (DialogueContext([SaidNumber()]).fit, DialogueContext([SaidNumber()]).transform, dialogue_rows):
        with pytest.raises(ValueError, match=message):
            says(corpus)


def test_dialogue_context_says_which_extractors_and_which_reach_they_take() -> None:
    with pytest.raises(ValueError, match=r"2 extractors, .*expected one.*Concatenated"):
        DialogueContext([SaidNumber(), SaidNumber()])
    with pytest.raises(ValueError, match=r"before=-1, after=0; expected .*0 or more.*correct"):
        DialogueContext([SaidNumber()], before=-1)


def test_windows_of_the_sample_stay_in_their_dialogue_and_never_look_ahead() -> None:
    corpus = load_corpus("sample").view()
    numbered = corpus.table.assign(text=pd.Series(range(len(corpus))).astype("string"))
    windowed = DialogueContext([SaidNumber()], before=8)
    numbers = Corpus("sample", numbered, corpus.emotions, corpus.root)
    windowed.fit(numbers)
    for own, window in enumerate(windowed.transform(numbers)):
        heard = numbered.iloc[window[:, 0].astype(int)]
        assert set(heard["dialogue_id"]) == {numbered["dialogue_id"][own]}
        assert heard["turn"].is_monotonic_increasing
        assert heard["turn"].iloc[-1] == numbered["turn"][own]
        assert len(heard) == 1 + min(8, int((numbered["dialogue_id"][:own] == numbered["dialogue_id"][own]).sum()))


# ---------------------------------------------------------------- one's own mean


class Given(FeatureExtractor):
    """Takes the number that stands in the text."""

    modality = "text"
    feature_names = ("number",)

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_utterances, 1)."""
        return np.array([[float(text)] for text in corpus.texts()])


def numbers(**of_speakers: list[float]) -> Corpus:
    rows = [(name, str(number)) for name, own in of_speakers.items() for number in own]
    facts = [{"utterance_id": f"u{n}", "speaker": who, "emotion": "sad", "text": t} for n, (who, t) in enumerate(rows)]
    return Corpus.from_rows("numbers", facts, emotions=("sad",), root=Path())


def test_speakers_are_standardised_each_by_their_own_utterances() -> None:
    extractor = SpeakerNormalized([Given()])
    extractor.fit(numbers(a=[-1, 1], b=[8, 12]))  # means 0 and 10, deviations 1 and 2
    assert [float(each[0]) for each in extractor.prior] == [5.0, 1.5]
    many = extractor.transform(numbers(c=[100.0, 104.0] * 1_000, d=[-3.0, -1.0] * 1_000))
    np.testing.assert_allclose(
        many[[0, 1, 2_000, 2_001], 0], [-1, 1, -1, 1], atol=0.06
    )  # it leans a little on the prior
    assert extractor.feature_names == ("number",)


def test_one_utterance_of_a_speaker_leans_on_the_training_set() -> None:
    extractor = SpeakerNormalized([Given()])
    extractor.fit(numbers(a=[-1, 1], b=[8, 12]))
    (row,) = extractor.transform(numbers(c=[8.0]))
    mean, deviation = (8 + 2 * 5) / 3, np.sqrt(2 * 1.5**2 / 3)
    assert row[0] == pytest.approx((8 - mean) / deviation, rel=1e-5)


def test_an_enrolled_speaker_is_known_by_what_was_enrolled() -> None:
    extractor = SpeakerNormalized([Given()])
    extractor.fit(numbers(a=[-1, 1], b=[8, 12]))
    extractor.enrol(numbers(c=[100.0, 104.0] * 1_000))
    np.testing.assert_allclose(extractor.transform(numbers(c=[104.0]))[0], [1], atol=0.06)
    extractor.fit(numbers(a=[-1, 1], b=[8, 12]))
    assert not extractor.enrolled


def test_frames_and_sparse_rows_have_no_speaker_mean() -> None:
    with pytest.raises(ValueError, match=r"Tfidf gives sparse rows; expected vectors of one length"):
        SpeakerNormalized([Tfidf(min_count=1)]).fit(numbers(a=[1, 2]))
    with pytest.raises(ValueError, match=r"2 extractors; expected one"):
        SpeakerNormalized([Given(), Given()])


def test_recipes_normalise_each_speaker_on_demand() -> None:
    made: Any = recipe("fusion/product/ensemble+action-units@per-speaker")
    assert made.per_speaker
    assert not recipe("fusion/product/ensemble+action-units").per_speaker
    assert all(isinstance(e, SpeakerNormalized) for m in made.members[0].members for e in m.features)
    with pytest.raises(KeyError, match=r"no recipe 'audio/svm@x'; expected a key .* @per-speaker behind it or not"):
        recipe("audio/svm@x")
