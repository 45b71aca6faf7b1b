"""Text features: words, a vocabulary that numbers them, word vectors, token ids and TF-IDF."""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus, some
from emolab.features.base import SETTINGS, FeatureExtractor

PAD = 0  # number of the filler after a short utterance
UNKNOWN = 1  # number of every word that training did not hold, or held too seldom
GZIP = b"\x1f\x8b"  # how a compressed file begins, whatever its name
N_QUOTED = 30  # characters of a broken line that a message shows
HEADER = re.compile(r"\d+ \d+")  # word2vec's first line: number of words, numbers a word
NUMBER_BEHIND = re.compile(r" [-+]?[\d.]*\d(e[-+]?\d+)?$", re.ASCII)  # that of a line with too many
_UNSPACED = SETTINGS["text"]["unspaced"]  # a letter of a script without blanks between words
_CHARACTER = f"{_UNSPACED}{SETTINGS['text']['marks']}*"
_TOKEN = re.compile(rf"{_CHARACTER}|(?:(?!{_UNSPACED})[^\W_])+(?:'(?:(?!{_UNSPACED})[^\W_])+)*'?|[!?…]")
UNIT = re.compile(rf"(?:{_CHARACTER}|(?!{_UNSPACED})\S)(?:(?!{_UNSPACED})\S)*")
_GAP = re.compile(f" (?={_UNSPACED})")


def words(text: str) -> list[str]:
    """Cut a text into lower-case words, and the signs that carry feeling: ! ? and …

    Apostrophes stay inside and at the end of words, three dots become …, all other signs are left out. Scripts that
    put no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut into characters.

    Example:
        >>> words("I can't -- WAIT... Really?!")
        ['i', "can't", 'wait', '…', 'really', '?', '!']
    """
    return _TOKEN.findall(text.lower().replace("’", "'").replace("...", "…").replace("！", "!").replace("？", "?"))


def text_units(text: str) -> list[str]:
    """Cut a text at its blanks, and before each character of a script without blanks; signs stay with what they follow.

    These are the units of explanations; each holds none, one or several of the `words`.
    """
    return UNIT.findall(text)


def joined_units(units: Iterable[str]) -> str:
    """Join units to a text, with a blank between them where the script has blanks."""
    return _GAP.sub("", " ".join(units))


class Vocabulary:
    """Numbers for words: 0 is padding, 1 any unknown word, then the words of training, the most frequent first."""

    def __init__(self, terms: Iterable[str]) -> None:
        self.terms = tuple(dict.fromkeys(terms))
        self._number = {term: number for number, term in enumerate(self.terms, start=UNKNOWN + 1)}

    @classmethod
    def fit(cls, texts: Iterable[str], *, min_count: int = 1) -> Self:
        """Number the words that occur at least `min_count` times in `texts`, which should be training texts only.

        Raises:
            ValueError: If not one word is left.
        """
        counts = Counter(word for text in texts for word in words(text))
        kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
        if not kept:
            few = f"none of {len(counts)} different words occurs {min_count} times; expected at least one."
            raise ValueError(f"{few} Give more training texts, or lower min_count.")
        return cls(kept)

    def __len__(self) -> int:
        """Count the numbers in use, padding and unknown included: the rows that an embedding needs."""
        return len(self.terms) + UNKNOWN + 1

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return (words,) int64, the number of each word; a text without a word is one unknown word."""
        return np.array([self._number.get(word, UNKNOWN) for word in words(text)] or [UNKNOWN], np.int64)


def read_vectors(path: Path | str, terms: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """Read the vectors of some words from a file in the text format of GloVe or word2vec, compressed by gzip or not.

    A line holds a word and its numbers, apart by blanks; word2vec writes before them a line with the number of words
    and of numbers each. A word that the file has only with capitals is taken in that form.

    Args:
        path: The file; its encoding is UTF-8.
        terms: The words that are wanted, in lower case, such as those of a vocabulary.

    Returns:
        For each of these words that the file has: (width,) float32, as it stands there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is broken or of another width, the file is cut off, or it has none of the words.
    """
    path, wanted = Path(path), set(terms)
    if not path.is_file():
        why = f"no file of word vectors {path}; expected GloVe's or word2vec's text format."
        raise FileNotFoundError(f"{why} Fetch one, or leave the vectors out: the network then learns its own.")
    found: dict[str, NDArray[np.float32]] = {}
    number, n_words, n_promised, width = 0, 0, None, None
    try:
        with path.open("rb") as plain, gzip.open(path) if plain.peek().startswith(GZIP) else plain as file:
            for number, raw in enumerate(file, start=1):  # noqa: B007 (words may hold other ends)
                line = raw.decode("utf-8", "replace").replace("\t", " ").rstrip(" \r\n")
                if width is None and HEADER.fullmatch(line):
                    n_promised, width = map(int, line.split())
                elif line:
                    n_words, width = n_words + 1, width or max(1, line.count(" "))
                    word, *fields = line.rsplit(" ", width)  # from the right: a few of GloVe's words hold blanks
                    if len(fields) < width or NUMBER_BEHIND.search(word):
                        raise ValueError(f"{line.count(' ')} numbers after {line.split(' ')[0][:N_QUOTED]!r}")
                    key = word if word in wanted else word.lower()
                    if key in wanted and (word == key or key not in found):
                        found[key] = np.array(fields, np.float32)
                        if not np.isfinite(found[key]).all():
                            raise ValueError(f"not a finite number after {word!r}")
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        why = f"line {number} of {path} cannot be read: {error}; expected a word and {width or 'its'} numbers."
        raise ValueError(f"{why} Take GloVe's or word2vec's text format (not .bin), whole, as published.") from error
    if n_promised not in (None, n_words):
        raise ValueError(f"{path} promises {n_promised} words and has {n_words}; expected all. Fetch it again.")
    if not found:
        why = f"{path} has vectors of {n_words} words, but none of the {len(wanted)} words of training; expected some,"
        raise ValueError(f"{why} such as {some(sorted(wanted))}. Take vectors of the corpus's language.")
    return found


class Tokens(FeatureExtractor):
    """The token ids of the words of an utterance, (words,) int64; the vocabulary is that of the training set.

    Args:
        min_count: How often a word must occur in training to have an id of its own.
        weights: A file of word vectors, see `read_vectors`, that the network's embedding matrix starts from.
        frozen: Whether training leaves these vectors as they are.
    """

    modality = "text"

    def __init__(self, min_count: int = 2, weights: Path | str | None = None, frozen: bool = False) -> None:
        self.min_count, self.weights, self.frozen = min_count, weights, frozen
        self.vocabulary: Vocabulary | None = None
        self.vectors: dict[str, NDArray[np.float32]] = {}  # of the words that the file has

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """Name of the file of word vectors."""
        return Path(self.weights).name if self.weights else None

    def fit(self, corpus: Corpus) -> None:
        """Collect the vocabulary, and the vectors of its words where there is a file of them."""
        self.vocabulary = Vocabulary.fit(corpus.texts(), min_count=self.min_count)
        self.vectors = read_vectors(self.weights, self.vocabulary.terms) if self.weights else {}

    def transform(self, corpus: Corpus) -> list[NDArray[np.int64]]:
        """Return (words,) int64 for each utterance."""
        assert self.vocabulary is not None  # a recognizer fits its extractors before it uses them
        return [self.vocabulary.encode(text) for text in corpus.texts()]

    def sizes(self) -> dict[str, Any]:
        """Return the size of the vocabulary, n_words, and what a file of vectors settles."""
        settled = {"n_embedding": len(next(iter(self.vectors.values()))), "frozen": self.frozen} if self.vectors else {}
        return {"n_words": len(self.vocabulary or ()), **settled}

    def initialise(self, network: Any) -> None:
        """Give the network's embedding matrix the vectors of the file."""
        if self.vectors and self.vocabulary:
            places = np.array([self.vocabulary.encode(word)[0] for word in self.vectors])
            network.take_vectors(places, np.stack(list(self.vectors.values())))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: the network holds the vectors, so their file is not needed again."""
        return {**vars(self), "weights": self.pretrained}


class Tfidf(FeatureExtractor):
    """TF-IDF of words and pairs of words, (n_utterances, n_terms) sparse, rows of length 1; fitted on training texts.

    Source: Salton and Buckley 1988, with the sublinear term frequency 1 + log tf.

    Args:
        max_words: The most words in a row that make a term.
        min_count: The fewest training utterances that a term must occur in.
        characters: Take character n-grams of so many characters instead, from (2, 4) two to four, inside words.
    """

    modality = "text"

    def __init__(self, max_words: int = 2, min_count: int = 2, characters: Sequence[int] | None = None) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.max_words, self.min_count, self.characters = max_words, min_count, characters
        options: dict[str, Any] = {"tokenizer": words, "token_pattern": None, "ngram_range": (1, max_words)}
        if characters:
            options = {"analyzer": "char_wb", "ngram_range": tuple(characters)}
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, lowercase=bool(characters), min_df=min_count, **options)

    @property
    def terms(self) -> list[str]:
        """The words, pairs of words or character n-grams that are counted."""
        return self.vectorizer.get_feature_names_out().tolist()

    def fit(self, corpus: Corpus) -> None:
        """Collect the terms, and in how many texts each occurs."""
        texts = corpus.texts()
        try:
            self.vectorizer.fit(texts)
        except ValueError as error:
            few = f"no term occurs in {self.min_count} of the {len(texts)} training texts; expected at least one."
            raise ValueError(f"{few} Give more training texts, or lower min_count.") from error

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_utterances, n_terms) float64 sparse, rows of length 1 (0 where no term is known)."""
        return self.vectorizer.transform(corpus.texts())

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """Name the columns: the terms, character n-grams in quotes, so that they are not taken for words."""
        return [f"'{term}'" for term in self.terms] if self.characters else self.terms
