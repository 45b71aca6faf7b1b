"""Recordings for tests: sentences of the sample's speakers, one after the other, and models that listen to them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from emolab.corpora import Corpus, load_corpus
from emolab.media import SAMPLE_RATE, read_audio
from emolab.recipes import recipe
from emolab.recognizer import Recognizer

GAP_S = 0.8
Spans = list[tuple[float, float]]


@lru_cache
def sentences(speaker: int, n: int) -> list[NDArray[np.float32]]:
    """Return `n` sentences of one of the sample's speakers, from the first loud sample to the last."""
    table = load_corpus("sample").table
    own = table[table["speaker"] == sorted(table["speaker"].unique())[speaker]].head(n)
    found = [read_audio(load_corpus("sample").root / path) for path in own["audio_path"]]
    loud = [np.flatnonzero(np.abs(wave) > 0.05 * np.abs(wave).max())[[0, -1]] for wave in found]
    return [wave[first:last] for wave, (first, last) in zip(found, loud, strict=True)]


def talk(path: Path, speakers: tuple[int, ...], *, gap_s: float = GAP_S, level: float = 1.0) -> Spans:
    """Write a recording in which speakers say a sentence each in turn; return where each begins and ends."""
    waves, spans, at = [np.zeros(round(gap_s * SAMPLE_RATE), np.float32)], [], gap_s
    for place, speaker in enumerate(speakers):
        wave = sentences(speaker, 6)[speakers[:place].count(speaker) % 6]
        waves += [wave, np.zeros(round(gap_s * SAMPLE_RATE), np.float32)]
        spans.append((at, at + len(wave) / SAMPLE_RATE))
        at = spans[-1][1] + gap_s
    soundfile.write(path, level * np.concatenate(waves), SAMPLE_RATE)
    return spans


@lru_cache
def model(name: str = "audio/logistic-regression") -> Recognizer:
    """Return a recognizer that learned from a few of the sample's utterances."""
    corpus = load_corpus("sample").view()
    few = corpus.select(corpus.table.groupby("emotion").cumcount() < 8)
    made = recipe(name)
    made.fit(few, few)
    made.calibrate(made.predict_proba(few), few.targets())
    return made


def labelled() -> Corpus:
    """Return the sample's usual view."""
    return load_corpus("sample").view()
