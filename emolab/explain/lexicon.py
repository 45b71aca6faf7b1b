"""Words that name or voice an emotion, and a control of other words: do explanations point where people would?"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from emolab.features.text import words as tokens_of

N_NEAR = 5  # a control word is drawn among so many of the likest frequency


@cache
def emotion_words() -> Mapping[str, frozenset[str]]:
    """Return the words of each emotion that has a list, in lower case; emotion_words.toml says what they are worth."""
    lists = tomllib.loads((Path(__file__).parent / "emotion_words.toml").read_text(encoding="utf-8"))
    return MappingProxyType({emotion: frozenset(words.split()) for emotion, words in lists.items()})


def marks(text: str, emotion: str | None = None, *, among: Collection[str] | None = None) -> NDArray[np.bool_]:
    """Tell which words of a text are emotion words; "Angry!" is one, since case and signs do not count.

    Args:
        text: What is said.
        emotion: Whose words; those of any emotion where it is None. An emotion without a list, such as neutral or
            one of your own, marks nothing.
        among: Other words to look for instead, in lower case, such as those of `same_frequency`.

    Returns:
        (n_words,) bool over `text.split()`.

    Example:
        >>> marks("Angry! He is so angry, I am scared.", "angry").tolist()
        [True, False, False, False, True, False, False, False]
    """
    if among is None:
        lists = emotion_words()
        among = frozenset().union(*lists.values()) if emotion is None else lists.get(emotion, frozenset())
    return np.array([any(token in among for token in tokens_of(word)) for word in text.split()], dtype=bool)


def same_frequency(words: Iterable[str], texts: Iterable[str], *, seed: int) -> frozenset[str]:
    """Draw as many other words, about as frequent in the texts: the control for what frequency alone would explain.

    Each of `words` that occurs gets a partner that is no emotion word, drawn among the five of the likest frequency
    (by ratio) that are left; the most frequent words, which have the fewest likes, choose first. Words that do not
    occur mark nothing and get none.

    Args:
        words: In lower case, such as those of one emotion.
        texts: Where frequencies are counted: those that are explained.
        seed: Of the draw.

    Raises:
        ValueError: If the texts have too few other words.
    """
    counts = Counter(token for text in texts for token in tokens_of(text) if token[0].isalnum())
    words = {*words}
    present = sorted(words & counts.keys(), key=lambda word: (-counts[word], word))
    others = sorted(counts.keys() - words.union(*emotion_words().values()))
    if len(others) < len(present):
        raise ValueError(
            f"the texts have {len(others)} words that are no emotion words, for {len(present)} that are; expected at "
            "least as many. Count in more texts: those of the whole corpus."
        )
    rng = np.random.default_rng(seed)
    names, sizes, drawn = rng.permutation(others), np.log([counts[word] for word in present]), []
    frequency = np.log([counts[name] for name in names])
    for size in sizes:
        near = np.argsort(np.abs(frequency - size), kind="stable")[:N_NEAR]  # ties by the order of the shuffled names
        chosen = rng.choice(near)
        drawn.append(str(names[chosen]))
        names, frequency = np.delete(names, chosen), np.delete(frequency, chosen)
    return frozenset(drawn)
