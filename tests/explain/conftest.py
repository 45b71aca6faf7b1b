"""Corpora held in memory, and recognizers trained on them in a moment: what the tests of explanations share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.signal import sawtooth

from emolab.corpora import Corpus
from emolab.corpora.degraded import pink_noise
from emolab.explain.explanation import UNIT_S
from emolab.explain.planted import planted_words
from emolab.features.audio import Classical8, LogMel, Mfcc
from emolab.features.base import FeatureExtractor
from emolab.features.text import Tfidf, Tokens
from emolab.features.video import FaceFrames
from emolab.late_fusion import LateFusion
from emolab.media import SAMPLE_RATE
from emolab.models import light
from emolab.recipes import fuse, network_builder
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold
from emolab.training import TrainingConfig

EMOTIONS = ("angry", "happy", "sad")
SPEAKERS = "abcdefgh"
FILLERS = tuple("so we went home then it was late but they came over some old things".split())  # noqa: SIM905
PICTURES = (24, 24, 3)
WORD_LSTM = {"n_embedding": 16, "n_hidden": 8, "n_layers": 1, "n_dense": 8}
CNN_BILSTM = {"channels": (16, 16, 24, 24), "strides": (2, 2, 1, 2), "n_hidden": 16, "n_layers": 1, "n_dense": 16}
SMALL_CNN_BILSTM = {**CNN_BILSTM, "channels": (8, 8), "strides": (2, 2), "n_hidden": 8}
LONGEST_S = 2.0  # seconds of a hum
CUE_S = 0.4  # seconds of it that tell the emotion
HUM_HZ = 150.0  # its pitch
LEVEL = 0.1  # of full scale
PAUSE, P_PAUSE = SAMPLE_RATE * 100 // 1000, 0.3  # samples, 100 ms; how many of these are silent
FADE = SAMPLE_RATE * 5 // 1000  # samples, 5 ms
STEP = 1.5  # the pitch goes up or down by this factor, a fifth
WOBBLE_HZ = 8.0  # how often it goes up and down where it wobbles
N_MOVES = 3  # up, down, and both in turn
FACE_CNN = {"channels": (4, 6), "n_frame": 8}


def talk(n: int, *, seed: int = 0, longest_s: float = 1.4) -> Corpus:
    """Utterances of chance words with silence to hear and grey pictures to see: things are planted in them later."""
    rng, rows = np.random.default_rng(seed), []
    sounds, faces = {}, {}
    for number in range(n):
        name, words = f"u{number:03}", rng.choice(FILLERS, rng.integers(3, 9))
        rows.append({"utterance_id": name, "speaker": SPEAKERS[number * len(SPEAKERS) // n], "text": " ".join(words)})
        rows[-1]["emotion"] = EMOTIONS[number % 3]
        sounds[name] = np.zeros(int(16_000 * rng.uniform(0.8, longest_s)), np.float32)
        faces[name] = np.full((int(rng.integers(3, 7)), *PICTURES), 100, np.uint8)
    corpus = Corpus.from_rows("talk", rows, emotions=EMOTIONS, root=Path("nowhere"))
    return corpus.with_media(audio=sounds, video=faces)


def tones_and_faces(corpus: Corpus, *, seed: int = 0) -> Corpus:
    """Let a tone and the brightness of half of a moving picture tell the emotion as well."""
    rng, sounds, faces = np.random.default_rng(seed), {}, {}
    for name, emotion in zip(corpus.table["utterance_id"], corpus.targets(), strict=True):
        n = len(corpus.in_memory["audio"][name].content)
        tone = 0.1 * np.sin(2 * np.pi * (150, 450, 1_350)[emotion] * np.arange(n) / 16_000)
        sounds[name] = (tone + rng.normal(0, 0.005, n)).astype(np.float32)
        shape = corpus.in_memory["video"][name].content.shape
        pictures = rng.integers(80, 120, shape)
        pictures[:, :, 8 * emotion : 8 * emotion + 8] += 20 * np.arange(shape[0])[:, None, None, None]
        faces[name] = pictures.astype(np.uint8)
    return corpus.with_media(audio=sounds, video=faces)


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
    labels = [str(name) for name in rng.permutation(np.resize(np.array(emotions), len(corpus)))]
    hums, starts = {}, []
    for name, path, label in zip(corpus.table["utterance_id"], corpus.audio_paths(), labels, strict=True):
        seconds = min(max(len(path.content) / SAMPLE_RATE, 2 * CUE_S), LONGEST_S)
        starts.append(UNIT_S * int(rng.integers(int((seconds - CUE_S) / UNIT_S + 1e-6) + 1)))  # units are told apart
        hums[name] = hum(round(seconds * SAMPLE_RATE), emotions.index(label), starts[-1], rng)
    begins = np.round(starts, 3)
    truth = {"emotion": labels, "cue_start": begins, "cue_end": np.round(begins + CUE_S, 3), "shown_audio": labels}
    table = corpus.table.assign(**truth).astype({"emotion": "string", "shown_audio": "string"})
    return replace(corpus, table=table, emotions=emotions).with_media(audio=hums)


def hum(n_samples: int, move: int, start: float, rng: np.random.Generator) -> np.ndarray:
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
    rng = np.random.default_rng(seed)
    lengths = {name: len(source.content) for name, source in corpus.in_memory["audio"].items()}
    noises = {name: pink_noise(max(n, 16_000), rng)[:n] for name, n in lengths.items()}
    return corpus.with_media(audio={name: (0.1 * own / own.std()).astype(np.float32) for name, own in noises.items()})


def parted(corpus: Corpus, n_valid: int = 2, n_test: int = 2) -> Fold:
    """Part speakers: the last ones are tested, those before them are chosen by."""
    place = corpus.table["speaker"].map(SPEAKERS.index).to_numpy()
    edges = (len(SPEAKERS) - n_valid - n_test, len(SPEAKERS) - n_test)
    masks = (place < edges[0], (place >= edges[0]) & (place < edges[1]), place >= edges[1])
    return Fold("by-hand/1", *(corpus.select(mask) for mask in masks))


def config(n_epochs: int, rate: float = 0.01) -> TrainingConfig:
    return TrainingConfig(n_epochs=n_epochs, batch_size=16, learning_rate=rate, patience=None)


def network(
    name: str, extractor: FeatureExtractor, kind: str, sizes: dict[str, Any], n_epochs: int, **how: Any
) -> NetworkRecognizer:
    return NetworkRecognizer(name, extractor, network_builder(kind, sizes), config(n_epochs), seed=1, **how)


def joined_network(how: str, audio: NetworkRecognizer, n_epochs: int, **sizes: Any) -> Any:
    """Audio and words in one network."""
    words = network("text/tiny", Tokens(min_count=1), "WordLstm", WORD_LSTM, n_epochs)
    sizes = {"dropout": 0.0, "modality_dropout": 0.0, "auxiliary": False, **sizes}
    return fuse([audio, words], how, name=f"fusion/{how}", n_joined=8, n_dense=8, **sizes)


def fitted(recognizer: Any, fold: Fold) -> Any:
    recognizer.fit(fold.train, fold.valid)
    return recognizer


def light_reader(model: Any, **options: Any) -> LightRecognizer:
    return LightRecognizer("text/light", Tfidf(min_count=1, **options), model)


def correct(recognizer: Any, corpus: Corpus) -> Corpus:
    """Keep the utterances that a recognizer answers rightly."""
    return corpus.select(np.array(recognizer.predict(corpus)) == corpus.table["emotion"])


def truths(explanation: Any, corpus: Corpus) -> list[np.ndarray]:
    """Mark the planted units of each utterance."""
    marked = []
    for item, row in zip(explanation, corpus.table.to_dict("records"), strict=True):
        middles = item.spans.mean(axis=1)
        if "cue_start" in row:
            marked.append((middles > row["cue_start"]) & (middles < row["cue_end"]))
        else:
            marked.append(np.isin(np.arange(len(item)), list(row["cue_words"])))
    return marked


@pytest.fixture(scope="session")
def words_fold() -> Fold:
    """A code word alone tells the emotion."""
    return parted(planted_words(talk(160)))


@pytest.fixture(scope="session")
def senses_fold() -> Fold:
    """A word, a tone and a face tell the emotion, each alone."""
    return parted(tones_and_faces(planted_words(talk(96, longest_s=1.0))))


@pytest.fixture(scope="session")
def hums_fold() -> Fold:
    """A move of the pitch alone tells the emotion."""
    return parted(planted_pitch(talk(240, longest_s=2.0)), 1, 1)


@pytest.fixture(scope="session")
def svm(words_fold: Fold) -> LightRecognizer:
    return fitted(light_reader(light.linear_svm(1)), words_fold)


@pytest.fixture(scope="session")
def reader(words_fold: Fold) -> NetworkRecognizer:
    return fitted(network("text/tiny", Tokens(min_count=1), "WordLstm", WORD_LSTM, 40), words_fold)


@pytest.fixture(scope="session")
def listener(hums_fold: Fold) -> NetworkRecognizer:
    return fitted(network("audio/tiny", Mfcc(), "CnnBiLstm", CNN_BILSTM, 40), hums_fold)


@pytest.fixture(scope="session")
def tones_mlp(senses_fold: Fold) -> NetworkRecognizer:
    """Dense layers on statistics of the sound."""
    return fitted(network("audio/mlp", Classical8(), "Mlp", {"n_hidden": (8,)}, 20), senses_fold)


@pytest.fixture(scope="session")
def watcher(senses_fold: Fold) -> NetworkRecognizer:
    return fitted(network("video/tiny", FaceFrames(size=PICTURES[0], fps=5.0), "FaceCnn", FACE_CNN, 15), senses_fold)


@pytest.fixture(scope="session")
def senses(senses_fold: Fold, tones_mlp: NetworkRecognizer, watcher: NetworkRecognizer) -> LateFusion:
    """Hears, reads and sees, each sense for itself."""
    made = LateFusion("fusion/tiny", [tones_mlp, light_reader(light.linear_svm(1)), watcher], "product")
    return fitted(made, senses_fold)


@pytest.fixture(scope="session")
def joined(senses_fold: Fold) -> NetworkRecognizer:
    """Hears and reads in one network."""
    audio = network("audio/tiny", LogMel(n_mels=16), "CnnBiLstm", SMALL_CNN_BILSTM, 10)
    return fitted(joined_network("gated", audio, 10), senses_fold)
