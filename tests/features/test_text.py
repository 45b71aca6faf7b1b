from __future__ import annotations

import gzip
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emolab.corpora import Corpus
from emolab.features.text import PAD, UNKNOWN, Tfidf, Tokens, Vocabulary, joined_units, read_vectors, text_units, words


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


@pytest.mark.parametrize(
    ("text", "expected", "units"),
    [
        ("他们为什么高兴？我不知道。", "他 们 为 什 么 高 兴 ? 我 不 知 道", "他 们 为 什 么 高 兴？ 我 不 知 道。"),
        ("東京はabcとても楽しい!", "東 京 は abc と て も 楽 し い !", "東 京 はabc と て も 楽 し い!"),
        ("ฉันดีใจ", "ฉั น ดี ใ จ", "ฉั น ดี ใ จ"),
        ("ຂ້ອຍ", "ຂ້ ອ ຍ", "ຂ້ ອ ຍ"),
        ("ကျွန်တော်", "ကျွ န် တော်", "ကျွ န် တော်"),
        ("나는 행복해요", "나는 행복해요", "나는 행복해요"),
        ("I love 東京, you?", "i love 東 京 you ?", "I love 東 京, you?"),
    ],
)
def test_scripts_without_blanks_are_cut_into_characters(text: str, expected: str, units: str) -> None:
    assert words(text) == expected.split(" ")
    assert text_units(text) == units.split(" ")
    assert joined_units(text_units(text)) == text.replace(" 東", "東")
    assert words(joined_units(text_units(text))) == words(text)


@given(text=st.text())
def test_units_are_the_text_and_hold_its_words(text: str) -> None:
    assert "".join(text_units(text)) == "".join(text.split())
    assert words(joined_units(text_units(text))) == words(text)


@given(text=st.text(alphabet=st.characters(max_codepoint=0x5FF)))
def test_units_are_what_stands_between_blanks_where_a_script_has_blanks(text: str) -> None:
    assert text_units(text) == text.split()
    assert joined_units(text.split()) == " ".join(text.split())


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


def test_vocabulary_says_when_no_word_is_left() -> None:
    with pytest.raises(ValueError, match=r"none of 2 different words occurs 5 times.*lower min_count"):
        Vocabulary.fit(["a b"], min_count=5)


def test_vocabulary_numbers_a_word_once() -> None:
    assert Vocabulary(("no", "yes", "no")).encode("yes no").tolist() == [3, 2]


WIDTH = 3
many_files = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
# as in published files: anything but what ends a word or a line; blanks only inside, and no number after one
spelt = st.text(st.characters(exclude_characters=" \t\r\n", exclude_categories=["Cs"]), min_size=1, max_size=8)
finite = st.floats(-10, 10, width=32)
vectors = st.lists(finite, min_size=WIDTH, max_size=WIDTH)
tables = st.dictionaries(spelt.map(str.lower), vectors, min_size=1, max_size=6)


def written(path: Path, table: dict[str, list[float]], *, headed: bool = False, end: str = "\n") -> Path:
    lines = [f"{len(table)} {WIDTH}"] if headed else []
    lines += [" ".join([word, *map(str, numbers)]) for word, numbers in table.items()]
    path.write_bytes(end.join([*lines, ""]).encode())
    return path


@many_files
@given(table=tables, headed=st.booleans(), packed=st.booleans(), end=st.sampled_from(["\n", "\r\n", " \n", "\n\n"]))
def test_read_vectors_gives_back_what_was_written(
    table: dict[str, list[float]], headed: bool, packed: bool, end: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "vectors.txt", table, headed=headed, end=end)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = read_vectors(path, [*table, "word that is not there"])
    assert found.keys() == table.keys()
    for word, numbers in table.items():
        np.testing.assert_array_equal(found[word], np.array(numbers, np.float32))
        assert found[word].dtype == np.float32


@many_files
@given(table=tables, place=st.integers(0, 5), n_numbers=st.integers(0, 6).filter(lambda n: n != WIDTH))
def test_read_vectors_names_the_line_of_another_width(
    table: dict[str, list[float]], place: int, n_numbers: int, tmp_path: Path
) -> None:
    lines = written(tmp_path / "vectors.txt", table).read_text().split("\n")[:-1]
    place = min(place + 1, len(lines))  # the first line says how wide the others are to be
    lines.insert(place, " ".join(["odd", *["0.5"] * n_numbers]))
    (tmp_path / "vectors.txt").write_bytes("\n".join(lines).encode())
    found, expected = f"{n_numbers} numbers after 'odd'", f"a word and {WIDTH} numbers"
    wrong = rf"line {place + 1} of .*vectors\.txt cannot be read: {found}; expected {expected}\. Take GloVe's"
    with pytest.raises(ValueError, match=wrong):
        read_vectors(tmp_path / "vectors.txt", table)


def test_read_vectors_takes_only_what_is_asked_for_and_capitals_where_nothing_else_is(tmp_path: Path) -> None:
    table = {"Paris": [1.0, 2, 3], "NO": [4.0, 5, 6], "no": [7.0, 8, 9], "No": [0.0, 0, 0], "yes": [1.0, 1, 1]}
    found = read_vectors(written(tmp_path / "vectors.txt", table), ["no", "paris", "maybe"])
    assert {word: vector.tolist() for word, vector in found.items()} == {"paris": [1, 2, 3], "no": [7, 8, 9]}


def test_read_vectors_reads_words_with_blanks_and_tabs_between(tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text("well\t1\t2\nat name@domain.com 3 4\n. . . 5 6\n\N{NO-BREAK SPACE} 7 8\n")
    assert read_vectors(tmp_path / "vectors.txt", ["well", ". . ."])["well"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (
            "well 1 2\nno 1 x\n",
            r"line 2 of .* cannot be read: could not convert .*'x'; expected a word and 2 n.* Take GloVe's",
        ),
        ("no 1 nan\n", r"line 1 of .*: not a finite number after 'no'; expected a word and 2 numbers"),
        ("no\n", r"line 1 of .*: 0 numbers after 'no'; expected a word and 1 numbers. Take .*not \.bin"),
        ("", r"has vectors of 0 words, but none of the 2 words of training; expected some, such as no, well"),
        ("3 2\nno 1 2\nwell 1 2\n", r"promises 3 words and has 2; expected all. Fetch it again"),
        ("oui 1 2\nnon 1 2\n", r"vectors of 2 words, but none of the 2 words .*the corpus's language"),
    ],
)
def test_read_vectors_says_what_is_wrong_with_a_file(content: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "vectors.txt").write_text(content)
    with pytest.raises(ValueError, match=wrong):
        read_vectors(tmp_path / "vectors.txt", ["well", "no"])


def test_read_vectors_finds_a_packed_file_cut_in_half_and_none_at_all(tmp_path: Path) -> None:
    table = {f"word{number}": np.random.default_rng(number).random(WIDTH).tolist() for number in range(200)}
    whole = gzip.compress(written(tmp_path / "vectors.txt.gz", table).read_bytes())
    (tmp_path / "vectors.txt.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"line \d+ of .*vectors\.txt\.gz cannot be read: Compressed file ended .* whole, as published"
    ):
        read_vectors(tmp_path / "vectors.txt.gz", table)
    missing = rf"no file of word vectors {re.escape(str(tmp_path / 'none'))}; expected GloVe's.*leave the vectors out"
    with pytest.raises(FileNotFoundError, match=missing):
        read_vectors(tmp_path / "none", table)


def said(*texts: str) -> Corpus:
    rows = [{"utterance_id": str(k), "speaker": "a", "emotion": "sad", "text": text} for k, text in enumerate(texts)]
    return Corpus.from_rows("said", rows, emotions=("sad",), root=Path())


def test_tokens_give_the_network_the_vectors_of_the_file_and_pickle_without_it(tmp_path: Path) -> None:
    path = written(tmp_path / "vectors.txt", {"no": [1.0, 2, 3], "rare": [4.0, 5, 6]})
    extractor, corpus = Tokens(min_count=2, weights=path, frozen=True), said("no no yes", "yes rare")
    extractor.fit(corpus)
    assert [ids.tolist() for ids in extractor.transform(corpus)] == [[2, 2, 3], [3, UNKNOWN]]
    assert extractor.sizes() == {"n_words": 4, "n_embedding": 3, "frozen": True}
    assert extractor.pretrained == "vectors.txt"

    class Network:
        def take_vectors(self, places: np.ndarray, values: np.ndarray) -> None:
            self.taken = places.tolist(), values.tolist()

    network = Network()
    extractor.initialise(network)
    assert network.taken == ([2], [[1, 2, 3]])
    saved = pickle.dumps(extractor)
    assert str(tmp_path).encode() not in saved  # no path of this machine
    path.unlink()
    again = pickle.loads(saved)
    assert [ids.tolist() for ids in again.transform(corpus)] == [[2, 2, 3], [3, UNKNOWN]]
    assert (again.sizes(), again.pretrained) == (extractor.sizes(), "vectors.txt")


def test_tfidf_by_hand() -> None:
    extractor, corpus = Tfidf(max_words=1, min_count=1), said("no no yes", "yes")
    extractor.fit(corpus)
    assert extractor.feature_names == ["no", "yes"]
    weights = [(1 + np.log(2)) * (1 + np.log(3 / 2)), 1.0]  # sublinear tf times smoothed idf
    np.testing.assert_allclose(extractor.transform(corpus).toarray(), [weights / np.linalg.norm(weights), [0, 1]])
    assert extractor.transform(said("maybe")).nnz == 0
    again = pickle.loads(pickle.dumps(extractor))
    np.testing.assert_array_equal(again.transform(corpus).toarray(), extractor.transform(corpus).toarray())


def test_tfidf_of_characters_names_its_columns_in_quotes_and_tells_capitals_from_none() -> None:
    extractor = Tfidf(characters=(2, 2), min_count=1)
    extractor.fit(said("NO!"))
    assert extractor.feature_names == ["' n'", "'! '", "'no'", "'o!'"]


@pytest.mark.parametrize("characters", [None, (2, 3)])
def test_tfidf_says_when_no_term_is_left(characters: tuple[int, int] | None) -> None:
    with pytest.raises(ValueError, match=r"no term occurs in 3 of the 2 training texts; expected at least.*min_count"):
        Tfidf(min_count=3, characters=characters).fit(said("no", "yes"))
