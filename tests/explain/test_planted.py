"""Controls whose truth is known: what was planted is there, is marked, and is all there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from emolab.corpora import load_corpus
from emolab.corpora.corpus import TRUTH
from emolab.explain.explanation import sound_spans
from emolab.explain.planted import (
    CODE_WORDS,
    CUE_S,
    LEVEL,
    LONGEST_S,
    hum,
    noise_for_sound,
    planted_pitch,
    planted_words,
    shuffled_labels,
)
from tests.explain.conftest import EMOTIONS, talk

RATE = 16_000


@settings(max_examples=10)
@given(seed=st.integers(0, 50))
def test_planted_words_are_the_only_code_words_and_marked(seed: int) -> None:
    before = talk(20)
    after = planted_words(before, seed=seed)
    for old, new in zip(before.table.to_dict("records"), after.table.to_dict("records"), strict=True):
        words = new["text"].split()
        (place,) = new["cue_words"]
        assert words[place] == CODE_WORDS[EMOTIONS.index(new["emotion"])]
        assert [*words[:place], *words[place + 1 :]] == old["text"].split()
        assert new["shown_text"] == new["emotion"]
    assert not {*" ".join(before.texts()).split()} & {*CODE_WORDS}


def test_planted_words_depend_on_the_seed_and_are_evenly_dealt() -> None:
    corpus = talk(30)
    first, again, other = (planted_words(corpus, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first.table, again.table)
    assert first.texts() != other.texts()
    assert first.table["emotion"].value_counts().tolist() == [10, 10, 10]
    assert "shown_text" not in corpus.table  # what was given stays as it is


def test_the_rest_of_a_planted_text_says_nothing() -> None:
    corpus = planted_words(talk(300), seed=3)
    rest = [" ".join(word for word in text.split() if word not in CODE_WORDS) for text in corpus.texts()]
    counts = CountVectorizer().fit_transform(rest)
    model = MultinomialNB().fit(counts[:200], corpus.table["emotion"][:200])
    assert model.score(counts[200:], corpus.table["emotion"][200:]) < 0.45  # chance is a third


def test_older_truths_are_gone() -> None:
    sample = load_corpus("sample").view()
    sample = sample.select(np.arange(len(sample)) < 30)
    known = {column for column in TRUTH if column in planted_words(sample).table}
    assert known == {"cue_words", "shown_text"}
    heard = planted_pitch(sample)
    assert {column for column in TRUTH if column in heard.table} == {"cue_start", "cue_end", "shown_audio"}
    assert "neutral" not in heard.emotions
    assert heard.texts() == sample.texts()


def test_planted_words_need_a_code_word_for_each_emotion() -> None:
    corpus = talk(9)
    many = replace(corpus, emotions=(*EMOTIONS, *"abcdef"))
    with pytest.raises(ValueError, match=r"9 emotions; expected at most 8, one for each code word\. Take a view with"):
        planted_words(many)


def pitches(wave: np.ndarray) -> np.ndarray:
    """Hz in steps of 31.25 ms, by the distance of a sawtooth's jumps; NaN in pauses."""
    found = []
    for start in range(0, len(wave) - 500 + 1, 500):
        part = wave[start : start + 500]
        jumps = np.flatnonzero(np.diff(part) < -np.abs(part).max()) if np.abs(part).max() > 0.01 else []
        found.append(RATE / np.median(np.diff(jumps)) if len(jumps) > 2 else np.nan)
    return np.array(found)


@pytest.mark.parametrize(("move", "inside"), [(0, 225.0), (1, 100.0)])
def test_a_hum_goes_up_or_down_a_fifth_where_it_is_marked(move: int, inside: float) -> None:
    wave = hum(2 * RATE, move, 0.8, np.random.default_rng(0))
    hertz = pitches(wave)
    times = (np.arange(len(hertz)) + 0.5) * 500 / RATE
    cue = (times > 0.85) & (times < 1.15)
    np.testing.assert_allclose(hertz[cue], inside, rtol=0.05)
    outside = hertz[(times < 0.75) | (times > 1.25)]
    assert np.isnan(outside).any()  # there are pauses, but none in the cue
    np.testing.assert_allclose(outside[~np.isnan(outside)], 150, rtol=0.05)


def test_a_hum_of_the_third_emotion_goes_both_ways() -> None:
    hertz = pitches(hum(2 * RATE, 2, 0.8, np.random.default_rng(0)))[26:38]
    assert np.nanmax(hertz) > 200
    assert np.nanmin(hertz) < 120


def test_hums_are_as_long_as_the_voice_and_marked_at_whole_units() -> None:
    before = talk(40, longest_s=2.6)
    after = planted_pitch(before, seed=1)
    assert after.emotions == EMOTIONS
    for old, new, row in zip(before.audio_paths(), after.audio_paths(), after.table.to_dict("records"), strict=True):
        seconds = min(len(old.content) / RATE, LONGEST_S)
        assert len(new.content) == pytest.approx(seconds * RATE, abs=1)
        assert new.content.dtype == np.float32
        assert np.abs(new.content).max() < 1.6 * LEVEL
        assert row["cue_end"] - row["cue_start"] == pytest.approx(CUE_S)
        assert row["cue_start"] >= 0
        assert row["cue_end"] <= seconds + 1e-3
        middles = sound_spans(len(new.content) / RATE).mean(axis=1)
        assert ((middles > row["cue_start"]) & (middles < row["cue_end"])).sum() == 4
    assert after.table["cue_start"].nunique() > 5
    assert before.audio_paths()[0].content.any() == np.False_  # what was given stays as it is


def test_hums_of_short_voices_hold_the_whole_cue() -> None:
    corpus = talk(3)
    short = corpus.with_media(audio={name: np.zeros(1_600, np.float32) for name in corpus.table["utterance_id"]})
    assert {len(source.content) for source in planted_pitch(short).audio_paths()} == {round(2 * CUE_S * RATE)}


def test_noise_in_the_place_of_voices_is_as_long_as_they_and_alike_loud() -> None:
    before = talk(10)
    noisy, again = noise_for_sound(before, seed=2), noise_for_sound(before, seed=2)
    for old, new, same in zip(before.audio_paths(), noisy.audio_paths(), again.audio_paths(), strict=True):
        assert len(new.content) == len(old.content)
        assert new.content.std() == pytest.approx(LEVEL, rel=1e-3)
        np.testing.assert_array_equal(new.content, same.content)
    assert not np.array_equal(noisy.audio_paths()[0].content, noise_for_sound(before, seed=3).audio_paths()[0].content)
    pd.testing.assert_frame_equal(noisy.table, before.table)


def test_shuffled_labels_are_the_same_ones_dealt_anew() -> None:
    corpus = talk(60)
    dealt = shuffled_labels(corpus, seed=4)
    assert sorted(dealt.table["emotion"]) == sorted(corpus.table["emotion"])
    assert (dealt.table["emotion"] == corpus.table["emotion"]).mean() < 0.6
    assert dealt.table["emotion"].dtype == "string"
    assert dealt.texts() == corpus.texts()
