"""From a recording to its table of segments: speech, speakers, words, emotions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from typing import Any

import av
import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab.annotate import speech
from emolab.annotate.annotation import UNITS, Annotation, P
from emolab.annotate.formats import read_annotation
from emolab.annotate.speakers import cluster, voices
from emolab.annotate.speech import Block, Samples, Wave, speech_blocks, turns_in
from emolab.annotate.words import NONE, Transcriber, Word, spread, transcriber
from emolab.corpora import Corpus, load_corpus
from emolab.corpora.degraded import add_noise, with_copies
from emolab.features.base import cached_features, source_digest
from emolab.features.video import Pictures
from emolab.media import SAMPLE_RATE, audio_seconds, read_audio
from emolab.recipes import Preset, kept_in, load_kept, recipe
from emolab.recognizer import Recognizer
from emolab.splits import folds_of
from emolab.storage import atomic_write, progress, toml_beside, weights_root

TABLE = toml_beside(__file__, "annotate.toml")
PLANE: dict[str, Sequence[float]] = TABLE["plane"]
OF_PLANE = "each emotion's place, chosen by hand after Russell 1980, weighted by its probability; not measured"
SEED, NOISE_DB = 7, 15.0  # of the default models


@dataclass(frozen=True)
class Work:
    """What was recognized in one block.

    Attributes:
        end: Where the next block begins, in samples.
        turns: The turns in it.
        words: Of each turn.
        probabilities: (n_turns, n_emotions), calibrated; NaN where the model lacks what it needs.
        voices: (n_turns, n_features), to tell speakers apart; empty where they are known.
    """

    end: int
    turns: list[Samples]
    words: list[list[Word]]
    probabilities: NDArray[np.float64]
    voices: NDArray[np.float32]


@dataclass
class Job:
    """A recording, and all that recognizes something in it."""

    path: Path
    recognizer: Recognizer
    transcribe: Transcriber
    transcript: pd.DataFrame | None = None
    turns: list[Samples] | None = None
    tells_voices: bool = True
    face: Callable[[float, float], Pictures | None] | None = None  # seen by a camera between two moments, s

    def run(self, folder: Path | None = None, *, show: bool = False) -> Iterator[Work]:
        """Yield the work on each block; what `folder` holds of it is taken from there."""
        number, skip = 0, 0
        with suppress(Exception):  # the first that is missing or damaged, which fails in many ways
            for number in count():
                yield (work := joblib.load(folder / f"{number:05}.joblib"))  # type: ignore[operator]
                skip = work.end
        left = audio_seconds(self.path) - skip / SAMPLE_RATE
        blocks = speech_blocks(self.path, self.turns, skip=skip)
        try:
            for block in progress(blocks, self.path.name, total=max(1, round(left / speech.SET.block_s)), show=show):
                work = self.work(block)
                if folder:
                    with atomic_write(folder / f"{number:05}.joblib") as part:
                        joblib.dump(work, part)
                number, skip = number + 1, work.end
                yield work
        except KeyboardInterrupt as stop:
            where = f"kept in {folder}, from where the same call goes on" if folder else "lost"
            raise KeyboardInterrupt(f"{skip / SAMPLE_RATE:.0f} s of {self.path} are done and {where}") from stop

    def work(self, block: Block) -> Work:
        """Recognize words, emotions and voices in a block."""
        cuts = block.cuts()
        words = self.transcribe(cuts) if self.transcript is None else shared_out(self.transcript, block)
        corpus = self.utterances(block, cuts, words)
        there = self.recognizer.covers(corpus) if len(corpus) else np.zeros(0, bool)
        found = np.full((len(cuts), len(self.recognizer.emotions)), np.nan)
        if there.any():
            found[there] = self.recognizer.calibrated(self.recognizer.predict_proba(corpus.select(there)))
        heard = voices(block.cuts(denoised=True)) if self.tells_voices else voices([])
        return Work(block.end, block.turns, words, found, heard)

    def utterances(self, block: Block, cuts: Sequence[Wave], words: Sequence[Sequence[Word]]) -> Corpus:
        """Return the turns of a block as utterances: sound in memory, words, and the film if that is asked for."""
        takes, rows = self.recognizer.modalities, []
        there = "video" in takes and self.path.is_file() and has_film(self.path)  # a microphone has no file
        film = {"video_path": str(self.path.resolve())} if there else {}
        for number, ((first, last), own) in enumerate(zip(block.turns, words, strict=True)):
            about = {"utterance_id": str(number), "speaker": "unknown", "dialogue_id": self.path.stem, "turn": number}
            times = {"video_start": first / SAMPLE_RATE, "video_end": last / SAMPLE_RATE} if film else {}
            rows.append(about | {"text": " ".join(word.word for word in own) or None} | film | times)
        corpus = Corpus.from_rows("turns", rows, emotions=(), root=Path())
        sounds = {str(place): cut for place, cut in enumerate(cuts) if "audio" in takes}
        turns = np.array(block.turns) / SAMPLE_RATE if self.face and "video" in takes else ()
        seen = {str(n): look for n, turn in enumerate(turns) if (look := self.face(*turn)) is not None}  # type: ignore[misc]
        return corpus.with_media(audio=sounds, video=seen or None)


def annotate(
    path: Path | str,
    *,
    model: Recognizer | Path | str | None = None,
    speakers: int | None = None,
    turns: Annotation | Path | str | None = None,
    names: Sequence[str] = (),
    transcript: Annotation | Path | str | None = None,
    words_only: bool = False,
    asr: str | None = None,
    folder: Path | None = None,
    show_progress: bool = True,
) -> Annotation:
    """Annotate a recording: who speaks when, the words, and the expression as raters would perceive it.

    Args:
        path: Sound file or film, of any length: it is worked on in blocks of a minute.
        model: A fitted recognizer, or its folder. None: the first of annotate.toml for which there is a corpus.
        speakers: How many there are; None: as many as `names`, else it is estimated.
        turns: Turns and speakers made elsewhere: RTTM, VTT, EAF or another format that `read_annotation` reads.
        names: Of the speakers in the order in which they appear.
        transcript: Words with times made elsewhere, in such a format; they are shared out to the turns by time.
        words_only: Infer nothing from voice or face: a model of text takes the words. Speakers come from `turns`,
            else all is one.
        asr: The recognizer of words, see `words.transcriber`.
        folder: Where each block's results are kept, so that a second call goes on where the first was stopped. It
            holds embeddings of voices until it is deleted.
        show_progress: Show a bar with the time left.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no sound, or options do not fit together or the recording.
        KeyboardInterrupt: If it is stopped; it says what is done and kept.
    """
    path, known, own = Path(path), _annotation(turns), _annotation(transcript)
    n_speakers = speakers or len(names) or None
    if n_speakers and (known is not None or (words_only and n_speakers > 1)):
        why = "words_only, where voices are not told apart" if known is None else "turns, which say who speaks"
        raise ValueError(f"{n_speakers} speakers or names, and {why}; expected one of the two. Leave one out.")
    last, seconds = 0.0 if known is None else known.segments["start"].max(), audio_seconds(path)
    if last >= seconds:
        found = f"the last turn begins at {last:.1f} s, but {path} ends at {seconds:.1f} s"
        raise ValueError(f"{found}; expected turns of this recording. Give the file that was made from it.")
    recognizer, about = recognizer_of(model, words_only=words_only)
    asr, transcribe = transcriber(asr) if own is None else ("transcript", transcriber(NONE)[1])
    words = None if own is None else spread(own)
    job = Job(path, recognizer, transcribe, words, samples_of(known), known is None and not words_only)
    state = [path.stat().st_size, path.stat().st_mtime_ns, source_digest(__file__), about, asr, words_only, job.turns]
    key = hashlib.sha256(repr([*state, None if words is None else words.to_csv()]).encode()).hexdigest()[:16]
    done = [*job.run(folder and folder / key, show=show_progress)]
    told = None if known is None else [*known.segments["speaker"]]
    about |= {"asr": asr, "diarization": "turns made elsewhere"}
    return finished(path.name, done, recognizer, about, told, n_speakers=n_speakers, names=names)


def _annotation(given: Annotation | Path | str | None) -> Annotation | None:
    return given if given is None or isinstance(given, Annotation) else read_annotation(given)


def samples_of(known: Annotation | None) -> list[Samples] | None:
    """Return the turns of an annotation in samples."""
    times = None if known is None else (known.segments[["start", "end"]] * SAMPLE_RATE).round().astype(int)
    return None if times is None else [*times.itertuples(index=False, name=None)]


def has_film(path: Path) -> bool:
    """Tell whether a file has moving pictures; the cover of an album is none."""
    with av.open(str(path)) as container:
        return any(stream.average_rate and stream.frames != 1 for stream in container.streams.video)


def shared_out(transcript: pd.DataFrame, block: Block) -> list[list[Word]]:
    """Give each word of a transcript that lies in a block to the turn nearest in time, with its times into the turn."""
    found: list[list[Word]] = [[] for _ in block.turns]
    edges = np.array(block.turns, np.float64).reshape(-1, 2) / SAMPLE_RATE
    middle = transcript[["start", "end"]].mean(axis=1)
    here = middle.between(block.start / SAMPLE_RATE, block.end / SAMPLE_RATE, inclusive="left") & (len(edges) > 0)
    for row, time in zip(transcript[here].itertuples(), middle[here], strict=True):
        turn = int(np.maximum(edges[:, 0] - time, time - edges[:, 1]).argmin())
        start, end = np.clip([row.start, row.end], *edges[turn]) - edges[turn, 0]
        found[turn].append(Word(float(start), float(end), str(row.word), float(row.confidence)))
    return found


def recognizer_of(
    model: Recognizer | Path | str | None = None, *, words_only: bool = False
) -> tuple[Recognizer, dict[str, Any]]:
    """Return a recognizer of emotions, and what an annotation says of it.

    Args:
        model: One that is fitted, or its folder; None: the first of annotate.toml for which there is a corpus. That
            one is trained on first use, and calibrated on speakers that it was not trained on.
        words_only: Whether it may take nothing but words.

    Raises:
        ValueError: If the model takes more than words, and may not.
    """
    about: dict[str, Any] = {"trained on": None, "synthetic": False}
    if model is None:
        made, corpus = default_recognizer("words" if words_only else "voice")
        about = {"trained on": corpus.name, "synthetic": corpus.synthetic}
    else:
        made = model if isinstance(model, Recognizer) else Recognizer.load(model)
    if words_only and made.modalities != ("text",):
        taken = " and ".join(made.modalities)
        raise ValueError(f"words_only, and {made.name} takes {taken}; expected a model of text. Give such a model.")
    about |= {"model": made.name, "version": version("emolab"), "emotions": [*made.emotions]}
    about |= {"modalities": [*made.modalities], "temperature": made.temperature, "unsure below": made.unsure_below}
    return made, about | {"valence and arousal": OF_PLANE if PLANE.keys() >= {*made.emotions} else "unknown"}


@lru_cache
def default_recognizer(kind: str) -> tuple[Recognizer, Corpus]:
    """Return the model that annotates where none is named, for "voice" or "words", and the corpus it learned from."""
    for row in TABLE["models"][kind]:
        if (weights_root() / row.get("weights", "")).is_dir() or "weights" not in row:
            with suppress(FileNotFoundError):
                corpus = load_corpus(row["corpus"]).view()
                return trained(row["recipe"], corpus, preset=row["preset"]), corpus
    raise AssertionError("the sample is built where it is missing")


def trained(name: str, corpus: Corpus, *, preset: Preset = "full") -> Recognizer:
    """Train a recipe on the first fold of a corpus and calibrate it on the fold's test set, or load what was kept.

    Of sound it also learns from copies with noise: without, noise of 20 dB took models of RAVDESS to chance level.
    """
    fold = folds_of(as_turns(corpus))[0]
    folder = kept_in(name, fold, preset=preset, seed=SEED)
    folder = folder.with_name(f"{folder.name}-{source_digest(__file__)}")
    if kept := load_kept(folder):
        return kept
    made, test = recipe(name, preset=preset, seed=SEED), with_noise(fold.test)
    made.fit(with_noise(fold.train), fold.valid)
    made.calibrate(made.predict_proba(test), test.targets())
    made.save(folder)
    return made


def with_noise(corpus: Corpus) -> Corpus:
    """Return utterances, and where they have sound a copy of each with pink noise `NOISE_DB` below it."""
    return with_copies(corpus, add_noise(corpus, NOISE_DB)) if "audio" in corpus.modalities else corpus


def as_turns(corpus: Corpus) -> Corpus:
    """Cut the silence before and after each utterance as it is cut from a recording, so that a model learns such."""
    if "audio" not in corpus.modalities:
        return corpus
    paths = corpus.audio_paths()
    ends = cached_features("turns", paths, _speech_in, version=source_digest(speech.__file__))
    first, last = np.array(ends).T
    return replace(corpus, table=corpus.table.assign(audio_start=first, audio_end=last))


def _speech_in(path: Any) -> NDArray[np.float64]:
    """Return where the first turn of a recording begins and the last one ends, in seconds; all of it where is none."""
    wave = read_audio(path)
    turns = turns_in(wave) or [(0, len(wave))]
    return np.array([turns[0][0], turns[-1][1]]) / SAMPLE_RATE


def finished(
    media: str,
    done: Sequence[Work],
    recognizer: Recognizer,
    about: dict[str, Any],
    told: Sequence[str] | None = None,
    *,
    n_speakers: int | None = None,
    names: Sequence[str] = (),
) -> Annotation:
    """Make the annotation out of the work on all blocks; where it is not `told`, tell who speaks in each turn."""
    emotions, parts = recognizer.emotions, [each for each in done if each.turns] or [*done[-1:]]
    turns, words = [*chain(*(each.turns for each in parts))], [*chain(*(each.words for each in parts))]
    if told is None:
        heard = np.concatenate([each.voices for each in parts])
        who, how = cluster(heard, len(turns), n_speakers or len(names) or None)
        given = dict(enumerate(names))
        told, about = [given.get(each, f"Speaker {each + 1}") for each in who], about | {"diarization": how}
    shares = np.concatenate([each.probabilities for each in parts])
    times = np.array(turns, np.float64).reshape(-1, 2) / SAMPLE_RATE
    table = pd.DataFrame({"start": times[:, 0], "end": times[:, 1], "speaker": [*told]})
    table["text"] = [" ".join(word.word for word in own) for own in words]
    order = np.argsort(-np.nan_to_num(shares), axis=1, kind="stable")
    for place, column in enumerate(("emotion", "second")[: len(emotions)]):
        labels = pd.Series([emotions[number] for number in order[:, place]], dtype="string")
        table[column] = labels.mask(np.isnan(shares).any(axis=1))
    table["confidence"] = shares.max(axis=1, initial=-np.inf) if len(emotions) else np.nan
    table["unsure"] = ~(table["confidence"] >= recognizer.unsure_below)
    if PLANE.keys() >= {*emotions}:
        table[["valence", "arousal"]] = shares @ np.array([PLANE[emotion] for emotion in emotions])
    rows = [(n, *word[:2] + times[n, 0], *word[2:]) for n, own in enumerate(words) for word in own]
    spoken = pd.DataFrame(rows, columns=["segment", "start", "end", "word", "confidence"])
    about |= {"units": UNITS, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    shares_of = pd.DataFrame(shares, columns=[P + emotion for emotion in emotions])
    return Annotation(table.join(shares_of), spoken, media, done[-1].end / SAMPLE_RATE, about)
