"""Controls: corpora in which one known thing alone tells the emotion, or in which nothing does."""

from dataclasses import replace

import numpy as np
import pandas as pd

from emolab.corpora.corpus import TRUTH, Corpus
from emolab.explain.explanation import SET
from emolab.features.text import joined_units, text_units

CODE_WORDS = SET.code_words.split()  # mean nothing; one an emotion


def planted_words(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Give every utterance an emotion by chance, and one word, at a place by chance, that alone tells it.

    The words mean nothing: only a model that learned this corpus knows them. cue_words says where they are.

    Args:
        corpus: Its texts are kept, its emotions and other truths are not.
        seed: Of emotions and places.

    Raises:
        ValueError: If there are more emotions than code words.
    """
    if (n := len(corpus.emotions)) > (most := len(CODE_WORDS)):
        raise ValueError(f"{n} emotions; expected at most {most}, one for each code word. Take a view with fewer.")
    rng, texts = np.random.default_rng(seed), [text_units(text) for text in corpus.texts()]
    labels = rng.permutation(np.resize(np.array(corpus.emotions), len(corpus))).tolist()  # all equally often
    places = [int(rng.integers(len(words) + 1)) for words in texts]
    for words, place, label in zip(texts, places, labels, strict=True):
        words.insert(place, CODE_WORDS[corpus.emotions.index(label)])
    table = corpus.table.drop(columns=[*TRUTH], errors="ignore")  # what else was planted no longer tells the emotion
    table = table.assign(emotion=labels, shown_text=labels, text=[*map(joined_units, texts)])
    table = table.astype(dict.fromkeys(("emotion", "shown_text", "text"), "string"))
    return replace(corpus, table=table.assign(cue_words=pd.Series([(place,) for place in places], dtype=object)))


def shuffled_labels(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Deal the emotions out anew by chance: what is learned from them is nothing."""
    labels = np.random.default_rng(seed).permutation(corpus.table["emotion"].to_numpy())
    return replace(corpus, table=corpus.table.assign(emotion=pd.Series(labels, dtype="string")))
