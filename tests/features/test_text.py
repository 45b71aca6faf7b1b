from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emolab.features.text import PAD, UNKNOWN, Vocabulary, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't -- WAIT... Really?!", ["i", "can't", "wait", "…", "really", "?", "!"]),
        ("It’s 5 o'clock, goin' home", ["it's", "5", "o'clock", "goin'", "home"]),
        ("Ça va, señor? ÜBER", ["ça", "va", "señor", "?", "über"]),
        (" \t-- ,; ", []),
        ("", []),
    ],
)
def test_words_keeps_apostrophes_and_signs_of_feeling(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_of_any_text_are_lower_case_and_stay_the_same_when_cut_again(text: str) -> None:
    tokens = words(text)
    assert all(token and not token.isspace() for token in tokens)
    assert words(" ".join(tokens)) == tokens


def test_vocabulary_numbers_frequent_words_first_and_knows_no_others() -> None:
    vocabulary = Vocabulary.fit(["no no no", "yes no yes", "maybe"], min_count=2)
    assert vocabulary.terms == ("no", "yes")
    assert len(vocabulary) == 4
    assert vocabulary.encode("Yes, maybe NO").tolist() == [3, UNKNOWN, 2]
    assert vocabulary.encode("yes").dtype == "int64"


@given(st.text())
def test_vocabulary_encode_never_gives_padding_nor_nothing(text: str) -> None:
    numbers = Vocabulary(("no", "yes")).encode(text)
    assert len(numbers) >= 1
    assert PAD not in numbers
    assert numbers.max() < 4


def test_vocabulary_comes_back_from_json() -> None:
    vocabulary = Vocabulary.fit(["it's über …"])
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[1, 2]", "null"])
def test_vocabulary_from_json_rejects_what_it_did_not_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no vocabulary; expected a JSON list.*Save the recognizer again"):
        Vocabulary.from_json(text)


def test_vocabulary_says_when_no_word_is_left_or_one_is_there_twice() -> None:
    with pytest.raises(ValueError, match=r"none of 2 different words occurs 5 times.*lower min_count"):
        Vocabulary.fit(["a b"], min_count=5)
    with pytest.raises(ValueError, match=r"occur twice: \['no'\].*Vocabulary.fit"):
        Vocabulary(("no", "yes", "no"))
