"""What a model reads: words, and a vocabulary that numbers them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PAD = 0  # number of the filler after a short utterance
UNKNOWN = 1  # number of every word that training did not hold, or held too seldom
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?|[!?…]")


def words(text: str) -> list[str]:
    """Cut a text into lower-case words, and the signs that carry feeling: ! ? and …

    Apostrophes stay inside and at the end of words, three dots become …, all other signs are left out.

    Example:
        >>> words("I can't -- WAIT... Really?!")
        ['i', "can't", 'wait', '…', 'really', '?', '!']
    """
    plain = text.lower().replace("’", "'").replace("...", "…")
    return _TOKEN.findall(plain)


@dataclass(frozen=True)
class Vocabulary:
    """Numbers for words: 0 is padding, 1 any unknown word, then the words of training, the most frequent first."""

    terms: tuple[str, ...]
    _number: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._number.update((term, number) for number, term in enumerate(self.terms, start=UNKNOWN + 1))
        if len(self._number) < len(self.terms):
            twice = [term for term, n in Counter(self.terms).items() if n > 1]
            raise ValueError(f"terms occur twice: {twice[:5]}; expected each once. Build it with Vocabulary.fit.")

    @classmethod
    def fit(cls, texts: Iterable[str], *, min_count: int = 1) -> Vocabulary:
        """Number the words that occur at least `min_count` times in `texts`, which should be training texts only.

        Raises:
            ValueError: If not one word is left.
        """
        counts = Counter(word for text in texts for word in words(text))
        kept = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
        if not kept:
            raise ValueError(
                f"none of {len(counts)} different words occurs {min_count} times; expected at least one. "
                "Give more training texts, or lower min_count."
            )
        return cls(tuple(kept))

    def __len__(self) -> int:
        """Count the numbers in use, padding and unknown included: the rows that an embedding needs."""
        return len(self.terms) + UNKNOWN + 1

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return (words,) int64, the number of each word; a text without a word is one unknown word."""
        numbers = [self._number.get(word, UNKNOWN) for word in words(text)]
        return np.array(numbers or [UNKNOWN], np.int64)

    def to_json(self) -> str:
        """Return the terms as a JSON list."""
        return json.dumps(self.terms, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Build the vocabulary that `to_json` wrote.

        Raises:
            ValueError: If the text is not a JSON list of words.
        """
        try:
            terms = json.loads(text)
        except ValueError:
            terms = None
        if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
            raise ValueError(
                f"{text[:40]!r} is no vocabulary; expected a JSON list of words as Vocabulary.to_json writes it. "
                "Save the recognizer again."
            )
        return cls(tuple(terms))
