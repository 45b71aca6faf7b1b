"""Controls: corpora in which one known thing alone tells the emotion, or in which a modality tells nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import sawtooth

from emolab import media
from emolab.corpora.corpus import TRUTH, Corpus
from emolab.corpora.degraded import pink_noise
from emolab.explain.explanation import UNIT_S
from emolab.media import SAMPLE_RATE

CODE_WORDS = ("blicket", "dax", "fep", "gazzer", "modi", "toma", "wug", "zav")  # mean nothing; one an emotion
LONGEST_S = 2.0  # seconds of a hum
CUE_S = 0.4  # seconds of it that tell the emotion
HUM_HZ = 150.0  # its pitch
LEVEL = 0.1  # of full scale
PAUSE, P_PAUSE = SAMPLE_RATE * 100 // 1000, 0.3  # samples, 100 ms; how many of these are silent
FADE = SAMPLE_RATE * 5 // 1000  # samples, 5 ms
STEP = 1.5  # the pitch goes up or down by this factor, a fifth
WOBBLE_HZ = 8.0  # how often it goes up and down where it wobbles
N_MOVES = 3  # up, down, and both in turn


def planted_words(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Give every utterance an emotion by chance, and one word, at a place by chance, that alone tells it.

    The words mean nothing: only a model that learned this corpus knows them. cue_words says where they are.

    Args:
        corpus: Its texts are kept, its emotions and other truths are not.
        seed: Of emotions and places.

    Raises:
        ValueError: If there are more emotions than code words.
    """
    if len(corpus.emotions) > len(CODE_WORDS):
        raise ValueError(
            f"{len(corpus.emotions)} emotions; expected at most {len(CODE_WORDS)}, one for each code word. Take a "
            "view with fewer."
        )
    rng, texts = np.random.default_rng(seed), [text.split() for text in corpus.texts()]
    labels = _drawn(corpus.emotions, len(corpus), rng)
    places = [int(rng.integers(len(words) + 1)) for words in texts]
    spoken = [
        " ".join([*words[:place], CODE_WORDS[corpus.emotions.index(label)], *words[place:]])
        for words, place, label in zip(texts, places, labels, strict=True)
    ]
    cues = pd.Series([(place,) for place in places], dtype=object)
    return _relabelled(corpus, labels, text=spoken, cue_words=cues, shown_text=labels)


def planted_pitch(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Give every utterance one of three emotions by chance, and a hum in which one stretch of pitch alone tells it.

    The hum is as long as the voice, at most 2 s, and has pauses by chance, so that silence says nothing. For 0.4 s its
    pitch is a fifth higher for the first emotion, a fifth lower for the second, both in turn for the third. cue_start
    and cue_end say when: four units of 100 ms.

    Args:
        corpus: Its sounds give the lengths; its first three emotions that are not neutral are used.
        seed: Of emotions, pauses and moments.
    """
    rng = np.random.default_rng(seed)
    emotions = tuple(emotion for emotion in corpus.emotions if emotion != "neutral")[:N_MOVES]
    labels = _drawn(emotions, len(corpus), rng)
    hums, starts = {}, []
    for name, path, label in zip(corpus.table["utterance_id"], corpus.audio_paths(), labels, strict=True):
        seconds = min(max(len(media.read_audio(path)) / SAMPLE_RATE, 2 * CUE_S), LONGEST_S)
        starts.append(UNIT_S * int(rng.integers(int((seconds - CUE_S) / UNIT_S + 1e-6) + 1)))  # units are told apart
        hums[name] = hum(round(seconds * SAMPLE_RATE), emotions.index(label), starts[-1], rng)
    begins = np.round(starts, 3)
    truth = {"cue_start": begins, "cue_end": np.round(begins + CUE_S, 3), "shown_audio": labels}
    return replace(_relabelled(corpus, labels, **truth), emotions=emotions).with_media(audio=hums)


def hum(n_samples: int, move: int, start: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Hum with pauses, (n_samples,) float32; from `start` on, in seconds, the pitch makes a move."""
    seconds = np.arange(n_samples) / SAMPLE_RATE
    inside = (seconds >= start) & (seconds < start + CUE_S)
    steps = np.array([1.0, -1.0, 0.0])[move] + (move == 2) * np.sign(np.sin(2 * np.pi * WOBBLE_HZ * (seconds - start)))
    f0 = HUM_HZ * STEP ** (inside * steps)
    sounding = np.repeat(rng.random(-(-n_samples // PAUSE)) >= P_PAUSE, PAUSE)[:n_samples] | inside
    gain = uniform_filter1d(sounding.astype(np.float64), FADE)
    return (LEVEL * rng.uniform(0.5, 1.5) * gain * sawtooth(2 * np.pi * np.cumsum(f0) / SAMPLE_RATE)).astype(np.float32)


def noise_for_sound(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Put noise in the place of every voice, as long as before: a modality that tells nothing."""
    rng, noises = np.random.default_rng(seed), {}
    for name, path in zip(corpus.table["utterance_id"], corpus.audio_paths(), strict=True):
        n = len(media.read_audio(path))
        noise = pink_noise(max(n, SAMPLE_RATE), rng)[:n]
        noises[name] = (LEVEL * noise / max(float(noise.std()), 1e-9)).astype(np.float32)
    return corpus.with_media(audio=noises)


def shuffled_labels(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Deal the emotions out anew by chance: what is learned from them is nothing."""
    labels = np.random.default_rng(seed).permutation(corpus.table["emotion"].to_numpy())
    return replace(corpus, table=corpus.table.assign(emotion=pd.Series(labels, dtype="string")))


def _drawn(emotions: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """Draw emotions by chance, all equally often."""
    return [str(name) for name in rng.permutation(np.resize(np.array(emotions), n))]


def _relabelled(corpus: Corpus, labels: Sequence[str], **columns: object) -> Corpus:
    """Return the corpus with other emotions and other truths; those that no longer hold are gone."""
    table = corpus.table.drop(columns=[name for name in TRUTH if name in corpus.table])
    table = table.assign(emotion=labels, **columns)
    types = {name: "string" for name in ("emotion", "text", "shown_text", "shown_audio") if name in table}
    return replace(corpus, table=table.astype(types))
