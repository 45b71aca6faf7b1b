"""What explanations of many utterances have in common: relevance over time, and the words that speak for an emotion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.evaluation import Interval
from emolab.explain.explanation import Explanation
from emolab.explain.lexicon import emotion_words
from emolab.explain.measures import clustered_interval
from emolab.explain.scorecard import sound_cues
from emolab.features.audio import SPEECH_RANGE_DB
from emolab.features.text import words

N_POINTS = 20  # of relative time, from the beginning of speech to its end
SIGNS = "!?…"
FEWEST = 5  # utterances that a word must be heard in, and points must be known of


def over_time(explanation: Explanation, corpus: Corpus) -> dict[str, dict[str, list[Interval]]]:
    """Average relevance, level and pitch over relative time, for each explained emotion.

    Args:
        explanation: Of sound, one `Attribution` an utterance of the corpus.
        corpus: The same utterances.

    Returns:
        For each emotion "relevance", "energy" (dB) and "f0" (logarithmic), each in standard deviations above its own
        mean in the utterance: `N_POINTS` means over utterances with 95 % intervals by speaker, from the first to the
        last stretch of speech.
    """
    tracks = {"relevance": [], "energy": [], "f0": []}  # type: dict[str, list[NDArray[np.float64]]]
    for item, path in zip(explanation, corpus.audio_paths(), strict=True):
        level, hertz = sound_cues(media.read_audio(path), item.spans)
        spoken = np.flatnonzero(level > level.max() - SPEECH_RANGE_DB)
        part = slice(spoken[0], spoken[-1] + 1)
        for name, track in (("relevance", item.values), ("energy", level), ("f0", np.log(hertz))):
            tracks[name].append(_stretched(_standardised(track[part])))
    emotions = np.array([item.emotion for item in explanation])
    speakers = corpus.table["speaker"].to_numpy()
    found = {}
    for emotion in dict.fromkeys(emotions.tolist()):
        here = emotions == emotion
        found[emotion] = {
            name: _averaged(np.array(rows)[here], speakers[here].tolist()) for name, rows in tracks.items()
        }
    return found


def _standardised(track: NDArray[np.float64]) -> NDArray[np.float64]:
    known = track[~np.isnan(track)]
    return (track - known.mean()) / max(float(known.std()), 1e-6) if len(known) else track


def _stretched(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bring (n_units,) to `N_POINTS`, each taking the unit that it falls in."""
    return track[np.minimum(np.arange(N_POINTS) * len(track) // N_POINTS, len(track) - 1)]


def _averaged(rows: NDArray[np.float64], speakers: Sequence[str]) -> list[Interval]:
    known = (~np.isnan(rows)).sum(axis=0)
    nothing = Interval(np.nan, np.nan, np.nan)
    means = [clustered_interval(column, speakers) for column in rows.T]
    return [mean if n >= FEWEST else nothing for mean, n in zip(means, known, strict=True)]


def top_words(explanation: Explanation, *, top: int = 10, fewest: int = FEWEST) -> pd.DataFrame:
    """Rank the words that speak most for each explained emotion.

    Args:
        explanation: Of words.
        top: Words an emotion.
        fewest: Occurrences, among the utterances of an emotion, that a word must have.

    Returns:
        One row a word: emotion, word (as `features.text.words` cuts it, without signs), mean value, n occurrences, and
        whether it is one of our words for this emotion.
    """
    rows = [
        (item.emotion, _plain(name), value)
        for item in explanation
        for name, value in zip(item.names, item.values, strict=True)
        if words(name)
    ]
    table = pd.DataFrame(rows, columns=["emotion", "word", "value"])
    means = table.groupby(["emotion", "word"], sort=False)["value"].agg(["mean", "size"]).reset_index()
    means = means[means["size"] >= fewest].sort_values("mean", ascending=False, kind="stable")
    best = means.groupby("emotion", sort=False).head(top).rename(columns={"mean": "value", "size": "n"})
    known = emotion_words()
    best["listed"] = [
        bool({*word.split()} & known.get(emotion, frozenset()))
        for emotion, word in zip(best["emotion"], best["word"], strict=True)
    ]
    return best.sort_values(["emotion", "value"], ascending=[True, False], kind="stable").reset_index(drop=True)


def _plain(name: str) -> str:
    """Return a word in small letters and without signs; signs that stand alone stay."""
    parts = words(name)
    return " ".join([part for part in parts if part not in SIGNS] or parts)
