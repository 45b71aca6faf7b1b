"""Measure how robust and how fair recognizers are: `python bench/robustness.py ravdess`, `sample` or `meld`.

Every recognizer is trained twice: on its training set as it is, and with degraded copies of it. Both are tested on the
same utterances, clean and degraded. The test's noise is of other material than that of training: babble of the test
set's speakers, whom training never heard, hum of another frequency, other rooms, the exact band of the telephone; and
music, Opus, clipping and level are in no training set. How many copies there are is chosen on the validation sets.
Then: words by recognizers of speech, a missing modality, calibration and "don't know", groups of speakers.

Trainings and answers are kept in the cache, so that a run that was stopped goes on; the end is kept in
data/results/robustness-CORPUS.json. Preset full: weights of the large models must be at hand.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import av
import joblib
import librosa
import numpy as np
import pandas as pd
from annotate import edits
from numpy.typing import ArrayLike, NDArray
from scipy.signal import fftconvolve
from scipy.stats import binomtest, t

from emolab import load_corpus
from emolab.annotate.words import transcriber
from emolab.corpora import Corpus
from emolab.corpora.degraded import babble, degraded, mixed, telephone, with_copies
from emolab.evaluation import (
    Interval,
    Report,
    aligned,
    clustered_interval,
    compare,
    evaluate,
    interval_of,
    pool,
)
from emolab.explain import explain, measures
from emolab.explain.maskers import masker_for
from emolab.explain.scorecard import truth_of
from emolab.media import SAMPLE_RATE, read_audio
from emolab.recipes import recipe
from emolab.recognizer import Recognizer
from emolab.results import INTERVALS, device, holm, versions
from emolab.splits import Fold, folds_of
from emolab.storage import atomic_write, cache_root, read_json, results_root, weights_root

Wave = NDArray[np.float32]
Floats = NDArray[np.float64]
Change = Callable[[Wave, np.random.Generator], Any]

ARMS = ("clean", "copies")
SEED = 7  # of recognizers
TRAIN_SEED, VALID_SEED, TEST_SEED = 1_000, 2_000, 3_000  # of noise, the first for each copy another
SNR_DB = (0.0, 20.0)  # of training copies
LEARNED = ("babble", "hum", "telephone", "room")  # kinds of training copies
N_ROOMS, T60_S, TRAIN_T60_S = 24, 0.6, (0.2, 0.8)
HUM_HZ, TRAIN_HUM_HZ, N_HARMONICS = 50.0, (55.0, 65.0), 20
BIT_RATE = 8_000  # bits a second, of Opus
SOUND_SPEED = 343.0  # m/s
SMALLEST, LARGEST = (3.0, 3.0, 2.4), (8.0, 6.0, 3.6)  # m, of rooms
WALL_M = 0.5  # between a wall and whoever speaks or listens, at least
CLIPPED, QUIET_DB = 0.10, -20.0  # share of the samples beyond the limit; level
NOTES = (0, 3, 7, 10, 12, 15, 19)  # semitones of chords
CHORD_S = 0.5
MAIN_CONDITIONS = (("clean", None), ("babble", 10.0), ("telephone", None))  # these also choose, on validation sets
SIDE_CONDITIONS = (
    *(("babble", 0.0), ("room", None), ("music", 0.0), ("opus", None), ("babble", 20.0), ("hum", 0.0)),
    *(("music", 10.0), ("hum", 10.0), ("clipping", None), ("level", None)),
)
N_COPIES = (1, 2)  # candidates
TOLERANCE = 0.02  # of the mean UA: the fewest copies are taken that are so near the best, since each costs a corpus
TEXT_CONDITIONS = (
    *(("clean", None), ("unpunctuated", None), ("typos", 0.05), ("typos", 0.10), ("typos", 0.20)),
    *(("misheard", 0.10), ("misheard", 0.25), ("misheard", 0.50)),
)
COVERAGE = 0.7  # of validation utterances, by which the threshold of "don't know" is chosen
N_EXPLAINED = 5  # utterances of each speaker
N_STUDIES, N_EACH = 4_000, (5, 12, 24, 50)  # of the simulated power, speakers in each group
GAPS = tuple(step / 100 for step in range(0, 41, 2))
ASR = ("pocketsphinx", "openai/whisper-tiny.en-ct2")
N_TRANSCRIBED = 5  # recordings of each speaker, where text tells nothing
MOST_NAMED = 40  # utterances that a speaker needs, to be compared with the others
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of utterances without a modality


@dataclass(frozen=True)
class Plan:
    """What is measured on a corpus.

    Attributes:
        recipes: Name and preset of each recognizer; by the first it is chosen how many copies there are.
        halved: Whether all but clean sound is tested on every second utterance, for the sake of time.
        fused: Those of `recipes` that take several modalities.
        explained: Recipe and modality whose explanations are compared between groups.
        text: A recipe of words, for misheard words; "" where text tells nothing.
    """

    recipes: Mapping[str, str]
    fused: Sequence[str] = ()
    explained: tuple[str, str] = ("", "")
    text: str = ""
    halved: bool = False


PLANS: Mapping[str, Plan] = {
    "ravdess": Plan(
        {
            **{"audio/discriminant": "full", "audio/whisper-base-light": "full"},
            **{"fusion/product/whisper-base+action-units": "full", "audio/svm": "full", "audio/mlp": "full"},
        },
        fused=("fusion/product/whisper-base+action-units",),
        explained=("audio/discriminant", "audio"),
        halved=True,
    ),
    "sample": Plan(
        {
            **{"audio/discriminant": "quick", "audio/mlp": "quick", "fusion/early/logistic-regression": "quick"},
            **{"fusion/product/ensemble+characters": "quick", "audio/svm": "quick"},
        },
        fused=("fusion/early/logistic-regression", "fusion/product/ensemble+characters"),
        explained=("audio/discriminant", "audio"),
        text="text/characters",
    ),
    "meld": Plan(
        {"text/svm": "full", "text/characters": "full", "text/minilm-frozen": "full"}, explained=("text/svm", "text")
    ),
}


# ---------------------------------------------------------------- what is done to sound


def hum(n: int, rng: np.random.Generator, hertz: float = HUM_HZ) -> Floats:
    """Draw mains hum: harmonics of a low tone, each softer by chance, (n,)."""
    times, order = np.arange(n) / SAMPLE_RATE, np.arange(1, N_HARMONICS + 1)[:, None]
    phases, levels = rng.uniform(0, 2 * np.pi, order.shape), rng.uniform(0.2, 1, order.shape) / order
    return np.asarray((levels * np.sin(2 * np.pi * hertz * order * times + phases)).sum(axis=0))


def music(n: int, rng: np.random.Generator) -> Floats:
    """Draw chords of plucked tones, two a second, (n,): like music in that it has harmonics and a beat."""
    length, parts = round(CHORD_S * SAMPLE_RATE), []
    for _ in range(-(-n // length)):
        root = 110.0 * 2 ** (rng.integers(12) / 12)
        notes = root * 2 ** (rng.choice(NOTES, 4, replace=False) / 12)
        parts.append(sum(hum(length, rng, note) for note in notes) * np.exp(-4 * np.arange(length) / length))
    return np.concatenate(parts)[:n]


def opus(wave: Wave, bit_rate: int = BIT_RATE) -> Wave:
    """Encode and decode a sound by Opus, the codec of calls over the internet (RFC 6716), at so many bits a second."""
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate, file = SAMPLE_RATE, io.BytesIO()
    with av.open(file, "w", format="ogg") as coded:
        stream = coded.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", bit_rate=bit_rate)
        coded.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    to_mono = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    with av.open(file, "r") as heard:
        parts = [part for each in (*heard.decode(audio=0), None) for part in to_mono.resample(each)]
    return librosa.util.fix_length(np.concatenate([part.to_ndarray()[0] for part in parts]), size=len(wave))


def room_response(reverberation_s: float, rng: np.random.Generator) -> Floats:
    """Draw a room and compute its impulse response, (samples,) at 16 kHz, by image sources (Allen and Berkley 1979).

    Room, speaker and listener are drawn. All walls reflect alike, as much as Eyring's formula asks for, and turn the
    sign: else the images would add up to a slow wave (Lehmann and Johansson 2008). Rooms that are not cubes reverberate
    up to a third longer than the formula says.

    Args:
        reverberation_s: Seconds in which sound falls by 60 dB (T60).
        rng: Draws the room.

    Returns:
        The response from the direct sound on, with an energy of 1.
    """
    size = rng.uniform(SMALLEST, LARGEST)
    spoken, heard = rng.uniform(WALL_M, size - WALL_M, (2, 3))
    surface, reach = 2 * size.prod() * (1 / size).sum(), SOUND_SPEED * reverberation_s
    squares, bounces = np.zeros(1), np.zeros(1)
    for side, own, other in zip(size, spoken, heard, strict=True):
        number = np.arange(-(reach // (2 * side)) - 1, reach // (2 * side) + 2)
        image = np.concatenate([2 * number * side + own, 2 * number * side - own]) - other
        walls = np.concatenate([2 * np.abs(number), np.abs(number) + np.abs(number - 1)])
        near = np.add.outer(squares, image**2)
        squares, bounces = near[near < reach**2], np.add.outer(bounces, walls)[near < reach**2]
    decay = 0.161 * size.prod() / (2 * surface * reverberation_s)  # of the amplitude, at each wall
    metres = np.sqrt(squares)
    place = np.round((metres - metres.min()) / SOUND_SPEED * SAMPLE_RATE).astype(int)
    response = np.bincount(place, (-np.exp(-decay)) ** bounces / metres)
    return response / np.sqrt(np.square(response).sum())


@lru_cache
def rooms(seed: int, low_s: float, high_s: float) -> list[Floats]:
    """Draw rooms: their impulse responses."""
    rng = np.random.default_rng(seed)
    return [room_response(rng.uniform(low_s, high_s), rng) for _ in range(N_ROOMS)]


def reverberant(wave: Wave, responses: Sequence[Floats], rng: np.random.Generator) -> Any:
    """Let a sound be heard in one of the rooms."""
    return fftconvolve(wave, responses[rng.integers(len(responses))])[: len(wave)]


def tested(kind: str, snr_db: float | None, voices: Sequence[Wave]) -> Change:
    """Return what a condition of the test does to a sound."""
    noises: Mapping[str, Callable[[int, np.random.Generator], Floats]] = {
        "babble": lambda n, rng: babble(voices, n, rng),
        "hum": hum,
        "music": music,
    }
    others: Mapping[str, Change] = {
        "telephone": lambda wave, rng: telephone(wave),
        "opus": lambda wave, rng: opus(wave),
        "room": lambda wave, rng: reverberant(wave, rooms(TEST_SEED, T60_S, T60_S), rng),
        "clipping": lambda wave, rng: np.clip(wave, *np.quantile(np.abs(wave), 1 - CLIPPED) * np.array([-1, 1])),
        "level": lambda wave, rng: wave * 10 ** (QUIET_DB / 20),
    }
    if snr_db is None:
        return others[kind]
    return lambda wave, rng: mixed(wave, noises[kind](len(wave), rng), snr_db)


def trained(voices: Sequence[Wave]) -> Change:
    """Return what a training copy is: one of `LEARNED`, drawn for each utterance."""

    def change(wave: Wave, rng: np.random.Generator) -> Any:
        kind, snr_db = rng.choice(LEARNED), rng.uniform(*SNR_DB)
        if kind == "telephone":
            return telephone(wave, (rng.uniform(200, 400), rng.uniform(3_000, 3_600)))
        if kind == "room":
            return reverberant(wave, rooms(TRAIN_SEED, *TRAIN_T60_S), rng)
        n = len(wave)
        noise = babble(voices, n, rng) if kind == "babble" else hum(n, rng, rng.uniform(*TRAIN_HUM_HZ))
        return mixed(wave, noise, snr_db)

    return change


# ---------------------------------------------------------------- what is done to words


@lru_cache
def sounding_alike() -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, ...], list[str]]]:
    """Return the phones of each word of pocketsphinx's dictionary, and the words that differ by one phone at most."""
    from pocketsphinx import get_model_path

    phones: dict[str, tuple[str, ...]] = {}
    for line in Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines():
        word, *spoken = line.split()
        if word.isalpha():
            phones[word] = tuple(spoken)
    return phones, neighbours(phones)


def neighbours(phones: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """List words by their phones, and by these with each one left open: words under one key differ by one at most."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for word, spoken in phones.items():
        for key in _keys(spoken):
            alike.setdefault(key, []).append(word)
    return alike


def _keys(spoken: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [spoken, *((*spoken[:place], "", *spoken[place + 1 :]) for place in range(len(spoken)))]


def misheard(text: str, rate: float, rng: np.random.Generator) -> str:
    """Replace, leave out and add words as a recognizer of speech might: simulated, with words that sound alike."""
    phones, alike = sounding_alike()
    heard = []
    for word in unpunctuated(text, 0, rng).split():
        fate = rng.random() / rate if rate else 1.0
        near = sorted({other for key in _keys(phones[word]) for other in alike[key]} - {word}) if word in phones else []
        if fate < 0.75 and near:
            heard.append(near[rng.integers(len(near))])
        elif fate >= 0.9:
            heard.append(word)
            if fate < 1:
                heard.append(heard[rng.integers(len(heard))])
    return " ".join(heard)


def unpunctuated(text: str, rate: float, rng: np.random.Generator) -> str:
    """Write a text as recognizers of speech do: small letters, no punctuation."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def typos(text: str, rate: float, rng: np.random.Generator) -> str:
    """Leave out, double or replace letters, or change them with the next one."""
    letters = list(text)
    for place in np.flatnonzero(rng.random(len(letters)) < rate):
        own, kind = letters[place], rng.integers(4)
        if kind == 3 and place + 1 < len(letters):
            letters[place], letters[place + 1] = letters[place + 1], own
        else:
            letters[place] = ("", own * 2, rng.choice(list(string.ascii_lowercase)), own)[kind]
    return "".join(letters)


TEXT_CHANGES = {"unpunctuated": unpunctuated, "typos": typos, "misheard": misheard}


def reworded(corpus: Corpus, change: Callable[[str, np.random.Generator], str], seed: int) -> Corpus:
    """Change every text; each utterance has a generator of its own."""
    pairs = zip(corpus.table["utterance_id"], corpus.texts(), strict=True)
    texts = [change(text, np.random.default_rng([seed, *name.encode()])) for name, text in pairs]
    return replace(corpus, table=corpus.table.assign(text=pd.array(texts, "string")))


def mistyped(text: str, rng: np.random.Generator) -> str:
    """Make a training copy of a text: typos, or words misheard."""
    kind = rng.choice(["typos", "misheard"])
    return TEXT_CHANGES[kind](text, rng.uniform(0, 0.2 if kind == "typos" else 0.5), rng)


# ---------------------------------------------------------------- trainings and answers


class Study:
    """A corpus, its folds, and what was computed on them so far."""

    def __init__(self, name: str, few: int = 0) -> None:
        self.name, self.plan, self.preset = name, PLANS[name], "full"
        corpus = load_corpus(name).view()
        if few:
            corpus = corpus.select(corpus.table.groupby(["speaker", "emotion"]).cumcount() < few)
        self.spoken = "audio" in corpus.modalities
        self.corpus = corpus
        self.folder, self.closed = cache_root() / "robustness" / f"{name}{few or ''}", False

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds of the corpus's protocol."""
        return folds_of(self.corpus)

    @cached_property
    def waves(self) -> dict[str, Wave]:
        """Every sound, read once."""
        paths = self.corpus.audio_paths()
        return {name: read_audio(path) for name, path in zip(self.corpus.table["utterance_id"], paths, strict=True)}

    @cached_property
    def conditions(self) -> Sequence[tuple[str, float | None]]:
        """What is tested."""
        return (*MAIN_CONDITIONS, *SIDE_CONDITIONS) if self.spoken else TEXT_CONDITIONS

    def path(self, name: str) -> Path:
        """Return the file that keeps something."""
        return self.folder / f"{name.replace('/', '-')}.joblib"

    def kept(self, name: str, compute: Callable[[], Any]) -> Any:
        """Return what is kept under a name, or compute and keep it."""
        path = self.path(name)
        if path.is_file():
            return joblib.load(path)
        if self.closed:
            raise FileNotFoundError(f"{name} is not measured yet")
        began, used = time.perf_counter(), time.process_time()
        made = compute()
        with atomic_write(path) as part:
            joblib.dump(made, part)
        print(f"{name}: {time.perf_counter() - began:.0f} s, {time.process_time() - used:.0f} s of CPU", flush=True)
        return made

    def changed(self, make: Callable[[Sequence[Wave]], Change], seed: int, speakers: Sequence[str] = ()) -> Corpus:
        """Change every sound; `make` is given recordings of others in the same test set, whom no training hears."""
        held, table = dict[str, Any](), self.corpus.table
        whole = self.corpus.with_media(audio=self.waves)
        for fold in self.folds:
            group = fold.test.table
            for speaker in sorted(group["speaker"].unique()):
                if speakers and speaker not in speakers:
                    continue
                others = [self.waves[name] for name in group["utterance_id"][group["speaker"] != speaker]]
                own = whole.select(table["speaker"] == speaker)
                found = degraded(own, make(others), seed=seed).in_memory["audio"]
                held |= {name: found[name] for name in own.table["utterance_id"]}
        kept = self.corpus.select(table["utterance_id"].isin(held))
        return replace(kept, in_memory={"audio": held})

    def under(self, condition: tuple[str, float | None], seed: int, speakers: Sequence[str] = ()) -> Corpus:
        """Return the corpus under a condition."""
        kind, grade = condition
        if kind == "clean":
            return self.corpus
        if self.spoken:
            return self.changed(lambda voices: tested(kind, grade, voices), seed, speakers)
        return reworded(self.corpus, lambda text, rng: TEXT_CHANGES[kind](text, grade or 0.0, rng), seed)

    @cached_property
    def copies(self) -> list[Corpus]:
        """Return training copies of all utterances."""
        numbers = range(max(N_COPIES) if not self.path("choice").is_file() else self.choose()["n_copies"])
        if self.spoken:
            return [self.changed(trained, TRAIN_SEED + number) for number in numbers]
        return [reworded(self.corpus, mistyped, TRAIN_SEED + number) for number in numbers]

    def fitted(self, name: str, n_copies: int, fold: Fold) -> Recognizer:
        """Train a recognizer on the training set and so many copies of it, and calibrate it on the validation set."""

        def train() -> Recognizer:
            own = [among(each, fold.train) for each in self.copies[:n_copies]]
            made = recipe(name, preset=self.plan.recipes.get(name, "quick"), seed=SEED, train_only=True)  # type: ignore[arg-type]
            made.fit(with_copies(fold.train, *own), fold.valid, train_only=True)
            made.calibrate(made.predict_proba(fold.valid), fold.valid.targets(), coverage=COVERAGE)
            return made

        return self.kept(f"model {name} {n_copies} {fold.name}", train)

    def choose(self) -> dict[str, Any]:
        """Choose the number of copies by the mean UA of the first recipe on validation sets, under three conditions.

        It is the smallest whose mean is at most `TOLERANCE` below the best.
        """
        name, *_ = self.plan.recipes

        def measure() -> dict[str, Any]:
            heard = sorted({each for fold in self.folds for each in fold.valid.table["speaker"]}) * self.spoken
            rows = []
            for condition in MAIN_CONDITIONS if self.spoken else (("clean", None), ("typos", 0.10), ("misheard", 0.25)):
                own = self.under(condition, VALID_SEED, heard)
                for n in (0, *N_COPIES):
                    sets = [(fold, among(own, fold.valid)) for fold in self.folds]
                    found = [evaluate(self.fitted(name, n, fold), each).metrics["ua"].value for fold, each in sets]
                    rows.append({"copies": n, "condition": label(condition), "ua": round(float(np.mean(found)), 5)})
            return {"recipe": name, "validation": rows}

        kept = self.kept("choice", measure)
        means = pd.DataFrame(kept["validation"]).groupby("copies")["ua"].mean()[list(N_COPIES)]
        return kept | {"n_copies": int(means.index[means >= means.max() - TOLERANCE].min())}

    @lru_cache(maxsize=1)  # noqa: B019 (there is one study)
    def tested_under(self, condition: tuple[str, float | None]) -> Corpus:
        """Return what is tested under a condition."""
        own = self.under(condition, TEST_SEED)
        if self.plan.halved and condition[0] != "clean":
            own = own.select(own.table.groupby(["speaker", "emotion"]).cumcount() % 2 == 0)
        return own

    def is_kept(self, condition: tuple[str, float | None], name: str) -> bool:
        """Tell whether answers are there already."""
        return self.path(f"answers {label(condition)} {name}").is_file()

    def answers(self, condition: tuple[str, float | None], name: str) -> dict[str, list[tuple[Report, float, float]]]:
        """Return, by arm, each fold's report under a condition, and how its recognizer is calibrated."""

        def measure() -> dict[str, Any]:
            own, found = self.tested_under(condition), dict[str, Any]()
            for arm, n in {"clean": 0, "copies": self.choose()["n_copies"]}.items():
                made = [(self.fitted(name, n, fold), among(own, fold.test)) for fold in self.folds]
                found[arm] = [(evaluate(each, test), each.temperature, each.unsure_below) for each, test in made]
            return found

        return self.kept(f"answers {label(condition)} {name}", measure)


def among(corpus: Corpus, part: Corpus) -> Corpus:
    """Keep the utterances that are in `part`."""
    return corpus.select(corpus.table["utterance_id"].isin(part.table["utterance_id"]))


def label(condition: tuple[str, float | None]) -> str:
    """Name a condition."""
    kind, grade = condition
    if grade is None:
        return kind
    return f"{kind}, {grade:g} dB" if kind in ("babble", "hum", "music") else f"{kind}, {grade:.0%}"


# ---------------------------------------------------------------- figures


def limits(interval: Interval) -> dict[str, float | None]:
    """Return an interval for JSON, which has no NaN."""
    return {name: None if np.isnan(value) else round(float(value), 5) for name, value in interval._asdict().items()}


def calibrated(parts: Sequence[tuple[Report, float, float]]) -> tuple[Report, NDArray[np.bool_]]:
    """Return the calibrated answers of all folds, and which of them are given rather than "don't know"."""
    reports, sure = [], []
    for one, temperature, threshold in parts:
        powers = one.probabilities ** (1 / temperature)
        shares = powers / powers.sum(axis=1, keepdims=True)
        reports.append(replace(one, probabilities=shares))
        sure.append(shares.max(axis=1) >= threshold)
    return pool(reports), np.concatenate(sure)


def degradation_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield what each recognizer scores under each condition, by arm, with differences paired over speakers."""
    for (kind, grade), name in product(study.conditions, study.plan.recipes):
        condition = (kind, grade)
        if not study.is_kept(condition, name):
            continue
        found, clean = study.answers(condition, name), study.answers(("clean", None), name)
        raw = {arm: pool([part[0] for part in found[arm]]) for arm in ARMS}
        row = {"recipe": name, "condition": label(condition), "kind": kind, "grade": grade, "n": raw["clean"].n}
        row["in training"] = kind in (*LEARNED, "typos", "misheard")
        for arm in ARMS:
            scaled, sure = calibrated(found[arm])
            right = np.array(scaled.predicted) == np.array(scaled.truth)
            before = pool([part[0] for part in clean[arm]])
            before = part_of(before, np.isin(before.utterances, raw[arm].utterances))
            shares = {"answered": sure, "accuracy": right, "accuracy of the answered": np.where(sure, right, np.nan)}
            row[arm] = {"ua": limits(raw[arm].metrics["ua"]), "ece": limits(scaled.metrics["ece"])}
            row[arm]["change"] = limits(compare(raw[arm], before).difference["ua"])
            row[arm] |= {key: limits(clustered_interval(each, scaled.clusters)) for key, each in shares.items()}
        yield row | {"gain": limits(compare(raw["copies"], raw["clean"]).difference["ua"])}


def gap(first: Floats, second: Floats, sizes: Sequence[float]) -> Interval:
    """Return first minus second, of two groups of speakers, with its interval.

    Args:
        first: (1 + n,) the value of all of the group, then without each speaker.
        second: (1 + m,) of the other group.
        sizes: (n + m,) utterances of each speaker.
    """
    both = np.concatenate([[first[0] - second[0]], first[1:] - second[0], first[0] - second[1:]])
    return interval_of(both, sizes)


def part_of(whole: Report, mask: ArrayLike) -> Report:
    """Keep some utterances of a report."""
    kept = np.flatnonzero(mask)
    chosen = {
        name: tuple(getattr(whole, name)[place] for place in kept) for name in ("truth", "clusters", "utterances")
    }
    return replace(whole, probabilities=whole.probabilities[kept], **chosen)


def group_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield scores by gender and by speaker, with gaps and corrected p values."""
    table = study.corpus.table.set_index("utterance_id")
    for name in (name for name in study.plan.recipes if study.is_kept(("clean", None), name)):
        whole, _ = calibrated(study.answers(("clean", None), name)["clean"])
        gender = genders(study, table.loc[[*whole.utterances]])
        groups = {each: part_of(whole, gender == each) for each in ("female", "male") if (gender == each).any()}
        for each, own in groups.items():
            scores = {metric: limits(own.metrics[metric]) for metric in ("ua", "ece")}
            yield {"recipe": name, "by": "gender", "group": each, "n": own.n, "speakers": len(own.sizes), **scores}
        if len(groups) > 1:
            first, second = groups.values()
            sizes = [*first.sizes, *second.sizes]
            gaps = {
                metric: limits(gap(first.replicates[metric], second.replicates[metric], sizes))
                for metric in ("ua", "ece")
            }
            yield {
                "recipe": name,
                "by": "gender",
                "group": "gap",
                "n": first.n + second.n,
                "speakers": len(sizes),
                **gaps,
            }
        yield from speaker_rows(name, whole)


def genders(study: Study, table: pd.DataFrame) -> NDArray[Any]:
    """Return the gender of each utterance's speaker: the corpus's own, or of MELD's six leading characters."""
    leading = {
        **dict.fromkeys(("Monica", "Phoebe", "Rachel"), "female"),
        **dict.fromkeys(("Chandler", "Joey", "Ross"), "male"),
    }
    known = table["gender"].astype("string")
    return known.fillna(table["speaker"].map(leading).astype("string")).fillna("").to_numpy(str)


def speaker_rows(name: str, whole: Report) -> Iterator[dict[str, Any]]:
    """Compare each speaker with all others: accuracy by an exact binomial test, corrected for all speakers by Holm."""
    clusters, right = np.array(whole.clusters), np.array(whole.predicted) == np.array(whole.truth)
    names, counts = np.unique(clusters, return_counts=True)
    names = names[counts >= MOST_NAMED]
    tests = []
    for each in names:
        own = clusters == each
        test = binomtest(int(right[own].sum()), int(own.sum()), float(right[~own].mean()))
        share = binomtest(int(right[own].sum()), int(own.sum())).proportion_ci(method="wilson")
        tests.append((test.pvalue, Interval(right[own].mean(), share.low, share.high), part_of(whole, own)))
    corrected = holm([test[0] for test in tests])
    for each, (p_value, accuracy, own), p_holm in zip(names, tests, corrected, strict=True):
        figures = {"ua": own.metrics["ua"].value, "ece": own.metrics["ece"].value, "p": p_value, "p (Holm)": p_holm}
        about = {"recipe": name, "by": "speaker", "group": str(each), "n": own.n, "accuracy": limits(accuracy)}
        yield about | {key: round(float(value), 5) for key, value in figures.items()}
    yield {"recipe": name, "by": "speaker", "group": "all", **spread_of(whole, names)}


def spread_of(whole: Report, names: Sequence[str]) -> dict[str, Any]:
    """Compare the worst speaker and the spread over speakers with those of speakers who are all alike."""
    clusters, truth = np.array(whole.clusters), pd.Index(whole.emotions).get_indexer(whole.truth)
    right = np.array(whole.predicted) == np.array(whole.truth)
    recall = np.array([right[truth == k].mean() if (truth == k).any() else 0 for k in range(len(whole.emotions))])
    rng, kept = np.random.default_rng(0), np.isin(clusters, names)
    owner, chance = pd.factorize(clusters[kept])[0], recall[truth[kept]]
    counts = np.bincount(owner)
    alike = np.array([np.bincount(owner, rng.random(len(owner)) < chance) / counts for _ in range(2_000)])
    own = np.bincount(owner, right[kept]) / counts
    figures = {"worst": own.min(), "worst if all were alike": alike.min(axis=1).mean(), "deviation": own.std(ddof=1)}
    figures["deviation if all were alike"] = alike.std(axis=1, ddof=1).mean()
    figures["p"] = (alike.std(axis=1, ddof=1) >= own.std(ddof=1)).mean()
    return {"speakers": len(names)} | {key: round(float(value), 4) for key, value in figures.items()}


def power(deviation: float) -> list[dict[str, Any]]:
    """Simulate how often a gap of a given size is shown, for groups of so many speakers, by the interval used here."""
    rng, rows = np.random.default_rng(0), []
    for n in N_EACH:
        drawn = rng.normal(0, deviation, (N_STUDIES, 2, n))
        difference = drawn[:, 0].mean(axis=1) - drawn[:, 1].mean(axis=1)
        squares = ((drawn - drawn.mean(axis=2, keepdims=True)) ** 2).sum(axis=(1, 2)) / (n - 1) ** 2
        margin = np.sqrt((2 * n - 1) / (2 * n) * squares) * t.ppf(0.975, 2 * n - 1)
        shown = [float((np.abs(difference + size) > margin).mean()) for size in GAPS]
        least = next((size for size, share in zip(GAPS, shown, strict=True) if share >= 0.8), None)
        rows.append(
            {"speakers in each": n, "gaps": GAPS, "shown": shown, "shown in 80 %": least, "covers": 1 - shown[0]}
        )
    return rows


def explanation_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield how well explanations name what the answer depends on, by gender."""
    name, modality = study.plan.explained
    parts = []
    for fold in study.folds:
        made = study.fitted(name, 0, fold)
        rank = fold.test.table.sample(frac=1, random_state=SEED).groupby("speaker").cumcount().sort_index()
        few = fold.test.select(rank.to_numpy() < (N_EXPLAINED if modality == "audio" else 200))
        found = explain(made, few, "ablation", modality=modality)
        masker, targets = masker_for(made, few, modality), [item.emotion for item in found]
        ranked = [measures.ranked_masks(item.values) for item in found]
        full, logits = masker.ends()[0], masker.logits([~most for most in ranked])
        places = [made.emotions.index(target) for target in targets]
        fall = [measures.mean_fall(float(full[k, p]), logits[k][:, p]) for k, p in enumerate(places)]
        truths = truth_of(few, masker, targets)
        hit = [measures.pointing_game(item.values, truth) for item, truth in zip(found, truths, strict=True)]
        table = few.table.assign(comprehensiveness=fall, **{"pointing game": hit})
        parts.append(table.assign(gender=genders(study, few.table)))
    table = pd.concat(parts)
    for measure in ("comprehensiveness", "pointing game"):
        known = table[table[measure].notna() & (table["gender"] != "")]
        if len(known):
            yield from _of_groups(known, measure, name, modality)


def _of_groups(table: pd.DataFrame, measure: str, name: str, modality: str) -> Iterator[dict[str, Any]]:
    about = {"recipe": name, "modality": modality, "measure": measure}
    replicates, sizes = {}, []
    for each, own in table.groupby("gender"):
        sums, counts = (own.groupby("speaker")[measure].agg(what).to_numpy(float) for what in ("sum", "count"))
        replicates[each] = np.append(sums.sum() / counts.sum(), (sums.sum() - sums) / (counts.sum() - counts))
        sizes += [*counts]
        yield about | {"group": str(each), "n": len(own), **limits(clustered_interval(own[measure], own["speaker"]))}
    if len(replicates) > 1:
        yield about | {"group": "gap", "n": len(table), **limits(gap(*replicates.values(), sizes))}


def without_modality(study: Study, fitted: Sequence[Recognizer], modality: str) -> Report:
    """Answer all test sets without a modality."""
    pairs = zip(fitted, study.folds, strict=True)
    return pool([evaluate(made, fold.test.without(modality)) for made, fold in pairs])


def missing_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield what fused recognizers score as a modality is missing in more and more utterances."""
    for name in study.plan.fused:
        modalities = study.fitted(name, 0, study.folds[0]).modalities
        whole = pool([part[0] for part in study.answers(("clean", None), name)["clean"]])
        for modality in modalities:
            hidden = [study.fitted(name, 0, fold) for fold in study.folds], modality
            without = study.kept(f"without {modality} {name}", partial(without_modality, study, *hidden))
            order = np.random.default_rng(SEED).permutation(whole.n)
            without = aligned(whole, without)
            for share in SHARES:
                gone = np.isin(np.arange(whole.n), order[: round(share * whole.n)])[:, None]
                mix = replace(whole, probabilities=np.where(gone, without.probabilities, whole.probabilities))
                yield {"recipe": name, "missing": modality, "share": share, "ua": limits(mix.metrics["ua"])}


# ---------------------------------------------------------------- misheard words


def heard_by(study: Study, asr: str) -> dict[str, str]:
    """Return the words that a recognizer of speech finds in each sound; speakers are kept one by one."""
    rank = study.corpus.table.sample(frac=1, random_state=SEED).groupby("speaker").cumcount().sort_index()
    chosen = study.corpus.table[(rank < N_TRANSCRIBED) | bool(study.plan.text)]

    def measure(names: Sequence[str]) -> dict[str, str]:
        _, transcribe = transcriber(asr if "/" not in asr else str(weights_root() / asr))
        return {name: " ".join(word.word for word in transcribe([study.waves[name]])[0]) for name in names}

    found: dict[str, str] = {}
    for speaker, own in chosen.groupby("speaker"):
        found |= study.kept(f"words {asr} {speaker}", partial(measure, own["utterance_id"].tolist()))
    return {name: found[name] for name in chosen["utterance_id"]}


def word_rows(study: Study) -> Iterator[dict[str, Any]]:
    """Yield the word errors of recognizers of speech, and what they cost a recognizer of words."""
    table, rng = study.corpus.table.set_index("utterance_id"), np.random.default_rng(0)
    for asr in ASR:
        heard = heard_by(study, asr)
        own = table.loc[[*heard]]
        said = [unpunctuated(text, 0, rng).split() for text in own["text"]]
        found = [unpunctuated(text, 0, rng).split() for text in heard.values()]
        wrong = np.array([edits(*pair) for pair in zip(said, found, strict=True)], float)
        lengths = np.array([len(words) for words in said], float)
        row: dict[str, Any] = {"asr": Path(asr).name, "n": len(own), "words": int(lengths.sum())}
        row["wer"] = limits(clustered_interval(wrong / lengths, own["speaker"], weights=lengths))
        by = pd.DataFrame({"wrong": wrong, "words": lengths}).groupby(own["emotion"].to_numpy()).sum()
        row["wer by emotion"] = (by["wrong"] / by["words"]).round(4).to_dict()
        if study.plan.text:
            row |= cost_of_words(study, heard, asr)
        yield row


def cost_of_words(study: Study, heard: Mapping[str, str], asr: str) -> dict[str, Any]:
    """Score a recognizer of words on what was said and on what was heard, trained on the one or on both."""
    name, corpus = study.plan.text, study.corpus
    texts = pd.array([heard[each] for each in corpus.table["utterance_id"]], "string")
    other = replace(corpus, table=corpus.table.assign(text=texts))

    def measure() -> dict[str, Report]:
        found: dict[str, list[Report]] = {}
        for fold in study.folds:
            sets, train = [among(each, fold.test) for each in (corpus, other)], among(other, fold.train)
            for arm, learned in {"clean": fold.train, "copies": with_copies(fold.train, train)}.items():
                made = recipe(name, preset="quick", seed=SEED, train_only=True)
                made.fit(learned, fold.valid, train_only=True)
                for what, own in zip(("said", "heard"), sets, strict=True):
                    found.setdefault(f"{arm}, {what}", []).append(evaluate(made, own))
        return {key: pool(parts) for key, parts in found.items()}

    reports = study.kept(f"text {name} {asr}", measure)
    row: dict[str, Any] = {key: limits(each.metrics["ua"]) for key, each in reports.items()}
    row["cost"] = limits(compare(reports["clean, heard"], reports["clean, said"]).difference["ua"])
    row["gain"] = limits(compare(reports["copies, heard"], reports["clean, heard"]).difference["ua"])
    return {"recipe": name, **row}


def measure(study: Study) -> None:
    """Answer all test sets: under the main conditions first, then by the quickest recognizer, the slowest last."""
    names = [*study.plan.recipes]
    first = [*product(study.conditions[:3], names[:3]), *((condition, names[0]) for condition in study.conditions)]
    for condition, name in (*first, *product(study.conditions, names[:-1]), *product(study.conditions, names)):
        study.answers(condition, name)


def record_of(study: Study) -> dict[str, Any]:
    """Return what is recorded, of all that is kept."""
    groups = list(group_rows(study))
    deviations = [row["deviation"] for row in groups if row["group"] == "all"]
    facts = {"corpus": study.name, "protocol": study.folds[0].protocol, "n": len(study.corpus), "seed": SEED}
    facts |= {"speakers": int(study.corpus.table["speaker"].nunique()), "synthetic": study.corpus.synthetic}
    facts |= {"intervals": INTERVALS, "learned": [*LEARNED] if study.spoken else ["typos", "misheard"]}
    facts |= {"choice": study.choose(), "versions": versions(), "device": device()}
    facts |= {"date": datetime.now(UTC).date().isoformat(), "command": f"python bench/robustness.py {study.name}"}
    facts |= {"degradations": list(degradation_rows(study)), "groups": groups, "power": power(max(deviations))}
    parts: dict[str, Callable[[], Any]] = {"missing": lambda: list(missing_rows(study))}
    parts["words"] = lambda: list(word_rows(study)) if study.spoken else []
    parts["explanations"] = lambda: study.kept("explanations", lambda: list(explanation_rows(study)))
    for name, measure_part in parts.items():
        facts[name] = []
        with suppress(FileNotFoundError):  # of what is kept alone, this is not there
            facts[name] = measure_part()
    return facts


def beside(recorded: Mapping[str, Any], facts: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return what is recorded, with the rows of some recipes put in anew.

    Raises:
        ValueError: What is recorded chose another number of copies, so that its rows are no neighbours of the new ones.
    """
    copies = recorded["choice"]["n_copies"]
    if copies != facts["choice"]["n_copies"]:
        raise ValueError(f"recorded with {copies} copies, not {facts['choice']['n_copies']}; measure all recipes again")
    both = dict(recorded) | {"date": facts["date"]}
    for part in ("degradations", "groups"):
        rows = [row for row in recorded[part] if row["recipe"] not in names]
        both[part] = rows + [row for row in facts[part] if row["recipe"] in names]
    conditions = list(dict.fromkeys(row["condition"] for row in facts["degradations"]))
    both["degradations"].sort(key=lambda row: conditions.index(row["condition"]))
    return both


def main() -> None:
    """Measure one corpus and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=PLANS)
    parser.add_argument("--few", type=int, default=0, help="utterances of each speaker and emotion, to try it out")
    parser.add_argument("--kept", action="store_true", help="answer no more; record what is kept")
    parser.add_argument("--only", nargs="+", default=[], help="measure these recipes; keep the recorded rows of others")
    options = parser.parse_args()
    study, first = Study(options.corpus, options.few), next(iter(PLANS[options.corpus].recipes))
    if options.only:  # the first chooses how many copies there are
        few = {name: how for name, how in study.plan.recipes.items() if name in (first, *options.only)}
        study.plan = replace(study.plan, recipes=few, fused=())
    study.closed = options.kept
    if not options.kept:
        measure(study)
    target = (study.folder if options.few else results_root()) / f"robustness-{study.name}.json"
    study.closed |= bool(options.only)
    facts = record_of(study)
    if options.only:
        facts = beside(read_json(target, remedy="Measure all recipes."), facts, options.only)
    with atomic_write(target) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"recorded in {target}")


if __name__ == "__main__":
    sys.exit(main())
