"""Emotion words: that the lists can be found in texts, what is marked, and what the control draws."""

from __future__ import annotations

import doctest
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emolab.corpora.labels import EMOTIONS
from emolab.explain import lexicon
from emolab.explain.lexicon import emotion_words, marks, same_frequency
from emolab.features.text import words

LISTED = ("angry", "sad", "happy", "fearful", "surprised", "disgusted", "frustrated", "excited")
TEXTS = ["I am so happy, so glad", "the cat and the dog and the house", "a car went so far", "the sad dog is glad"]


def test_lists_are_of_the_emotions_that_have_words_and_can_be_found_in_texts() -> None:
    lists = emotion_words()
    assert set(lists) == set(LISTED) <= set(EMOTIONS)
    assert all(25 <= len(found) <= 40 for found in lists.values())
    assert [word for found in lists.values() for word in found if words(word) != [word]] == []
    assert all(emotion in found for emotion, found in lists.items())


def test_lists_hold_no_word_twice_and_cannot_be_changed() -> None:
    text = (lexicon.Path(lexicon.__file__).parent / "emotion_words.toml").read_text(encoding="utf-8")
    for found in lexicon.tomllib.loads(text).values():
        assert [word for word, count in Counter(found.split()).items() if count > 1] == []
    with pytest.raises(TypeError):
        emotion_words()["angry"] = frozenset()  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "emotion", "expected"),
    [
        ("Angry! so ANGRY...", "angry", [True, False, True]),
        ("I'm sad-eyed, you're glad", "sad", [False, True, False, False]),
        ("I'm sad-eyed, you're glad", None, [False, True, False, True]),
        ("so angry", "neutral", [False, False]),
        ("so angry", "bored", [False, False]),
        ("saddle -- ?!", "sad", [False, False, False]),
        ("", None, []),
    ],
)
def test_marks_words_whatever_their_case_and_signs(text: str, emotion: str | None, expected: list[bool]) -> None:
    assert marks(text, emotion).tolist() == expected


@given(st.text())
def test_marks_one_truth_value_a_word_and_any_emotion_is_their_union(text: str) -> None:
    found = [marks(text, emotion) for emotion in LISTED]
    assert all(mask.shape == (len(text.split()),) and mask.dtype == bool for mask in found)
    np.testing.assert_array_equal(marks(text), np.any(found, axis=0))


def test_marks_other_words_instead() -> None:
    assert marks("The dog is glad", "happy", among={"dog", "the"}).tolist() == [True, True, False, False]


@given(st.integers(0, 1000))
def test_same_frequency_draws_as_many_others_again_with_the_same_seed(seed: int) -> None:
    drawn = same_frequency(emotion_words()["happy"], TEXTS, seed=seed)
    assert len(drawn) == 2  # happy and glad occur
    assert drawn.isdisjoint(frozenset().union(*emotion_words().values()))
    assert drawn == same_frequency(sorted(emotion_words()["happy"]), reversed(TEXTS), seed=seed)


def test_same_frequency_finds_words_as_frequent_as_those_given() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{n}" for n in rng.zipf(1.5, 12) if n < 300) + " happy" * (n % 9 == 0) for n in range(900)]
    counts = Counter(token for text in texts for token in words(text))
    drawn = {word for seed in range(30) for word in same_frequency(["happy"], texts, seed=seed)}
    assert 3 <= len(drawn) <= 5
    assert all(0.7 < counts[word] / counts["happy"] < 1.5 for word in drawn)


def test_same_frequency_of_words_that_do_not_occur_is_empty() -> None:
    assert same_frequency(["furious"], TEXTS, seed=0) == frozenset()


def test_same_frequency_says_when_words_run_out() -> None:
    with pytest.raises(ValueError, match=r"have 1 words that are no emotion words, for 2 that are; expected.*Count in"):
        same_frequency(["happy", "glad"], ["happy glad so"], seed=0)


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(lexicon).failed == 0
