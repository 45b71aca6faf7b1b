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
from emolab.explain.planted import CODE_WORDS, planted_words, shuffled_labels
from tests.explain.conftest import EMOTIONS, talk


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


def test_planted_words_need_a_code_word_for_each_emotion() -> None:
    corpus = talk(9)
    many = replace(corpus, emotions=(*EMOTIONS, *"abcdefghijklmn"))
    with pytest.raises(
        ValueError, match=r"17 emotions; expected at most 16, one for each code word\. Take a view with"
    ):
        planted_words(many)


def test_shuffled_labels_are_the_same_ones_dealt_anew() -> None:
    corpus = talk(60)
    dealt = shuffled_labels(corpus, seed=4)
    assert sorted(dealt.table["emotion"]) == sorted(corpus.table["emotion"])
    assert (dealt.table["emotion"] == corpus.table["emotion"]).mean() < 0.6
    assert dealt.table["emotion"].dtype == "string"
    assert dealt.texts() == corpus.texts()
