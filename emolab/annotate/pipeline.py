"""From a recording to its table of segments: speech, speakers, words, emotions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import av
import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab.annotate import speakers as voice
from emolab.annotate import speech
from emolab.annotate.annotation import UNITS, Annotation, P
from emolab.annotate.formats import read_annotation
from emolab.annotate.speech import BLOCK_S, Block, Wave, speech_blocks, turns_in
from emolab.annotate.words import NONE, Transcriber, Word, spread, transcriber
from emolab.corpora import Corpus, load_corpus
from emolab.features.base import cached_features, source_digest
from emolab.media import SAMPLE_RATE, audio_seconds, read_audio
from emolab.recipes import Preset, fit_or_load, kept_in
from emolab.recognizer import Recognizer
from emolab.splits import folds_of
from emolab.storage import atomic_write, progress, toml_beside, weights_root

TABLE = toml_beside(__file__, "annotate.toml")
PLANE: dict[str, Sequence[float]] = TABLE["plane"]
OF_PLANE = "each emotion's place, chosen by hand after Russell 1980, weighted by its probability; not measured"
SEED = 7  # of the default models
UNKNOWN = "unknown"  # the speaker, while a block is worked on


Samples = tuple[int, int]  # the first of a turn and the one behind its last, into the recording


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

    def run(self, folder: Path | None, *, show: bool) -> Iterator[Work]:
        """Yield the work on each block; what `folder` holds of it is taken from there."""
        kept = [*_kept(folder)] if folder else []
        yield from kept
        number, skip = len(kept), kept[-1].end if kept else 0
        seconds = max(0.0, audio_seconds(self.path) - skip / SAMPLE_RATE)
        blocks = speech_blocks(self.path, self.turns, skip=skip)
        try:
            for block in progress(blocks, self.path.name, total=max(1, round(seconds / BLOCK_S)), show=show):
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
        found = voice.voices(cuts) if self.tells_voices else np.zeros((len(cuts), 0), np.float32)
        return Work(block.end, block.turns, words, self.emotions(block, cuts, words), found)

    def emotions(self, block: Block, cuts: Sequence[Wave], words: Sequence[Sequence[Word]]) -> NDArray[np.float64]:
        """Return (n_turns, n_emotions) calibrated probabilities, NaN where the model lacks what it needs."""
        found = np.full((len(cuts), len(self.recognizer.emotions)), np.nan)
        corpus = self.utterances(block, cuts, words)
        there = self.recognizer.covers(corpus) if len(corpus) else np.zeros(0, bool)
        if there.any():
            found[there] = self.recognizer.calibrated(self.recognizer.predict_proba(corpus.select(there)))
        return found

    def utterances(self, block: Block, cuts: Sequence[Wave], words: Sequence[Sequence[Word]]) -> Corpus:
        """Return the turns of a block as utterances: sound in memory, words, and the film if that is asked for."""
        takes, rows = self.recognizer.modalities, []
        film = str(self.path.resolve()) if "video" in takes and has_film(self.path) else None
        for number, (first, last) in enumerate(block.turns):
            text = " ".join(word.word for word in words[number])
            about = {"utterance_id": str(number), "speaker": UNKNOWN, "dialogue_id": self.path.stem, "turn": number}
            times = {"video_path": film, "video_start": first / SAMPLE_RATE, "video_end": last / SAMPLE_RATE}
            rows.append(about | {"text": text or None} | (times if film else {}))
        corpus = Corpus.from_rows("turns", rows, emotions=(), root=Path())
        heard = {str(number): cut for number, cut in enumerate(cuts)} if "audio" in takes else {}
        return corpus.with_media(audio=heard)


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
    _check(path, known, n_speakers, words_only=words_only)
    recognizer, learned = recognizer_of(model, words_only=words_only)
    asr, transcribe = transcriber(asr) if own is None else ("transcript", transcriber(NONE)[1])
    spans = None if known is None else [(_sample(row.start), _sample(row.end)) for row in known.segments.itertuples()]
    words = None if own is None else spread(own)
    job = Job(path, recognizer, transcribe, words, spans, known is None and not words_only)
    state = [path.stat().st_size, path.stat().st_mtime_ns, source_digest(__file__), learned, asr, words_only, spans]
    key = hashlib.sha256(repr([*state, None if words is None else words.to_csv()]).encode()).hexdigest()[:16]
    done = [*job.run(folder and folder / key, show=show_progress)]
    return finished(
        path.name, done, recognizer, {**learned, "asr": asr}, known=known, n_speakers=n_speakers, names=names
    )


def finished(
    media: str,
    done: Sequence[Work],
    recognizer: Recognizer,
    about: dict[str, Any],
    *,
    known: Annotation | None = None,
    n_speakers: int | None = None,
    names: Sequence[str] = (),
) -> Annotation:
    """Tell the speakers of all turns apart, and make the annotation."""
    who, told = _who(done, known, n_speakers or len(names) or None)
    given = dict(enumerate(names))
    named = [each if isinstance(each, str) else given.get(each, f"Speaker {each + 1}") for each in who]
    facts = {"diarization": told, "units": UNITS, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    return assembled(media, done, recognizer, named, about | facts)


def _check(path: Path, known: Annotation | None, n_speakers: int | None, *, words_only: bool) -> None:
    """Raise ValueError if options do not fit together, or turns do not fit the recording."""
    if n_speakers and (known is not None or (words_only and n_speakers > 1)):
        why = "words_only, where voices are not told apart" if known is None else "turns, which say who speaks"
        raise ValueError(f"{n_speakers} speakers or names, and {why}; expected one of the two. Leave one out.")
    seconds = audio_seconds(path)
    if known is not None and len(known) and (last := known.segments["start"].max()) >= seconds:
        found = f"the last turn begins at {last:.1f} s, but {path} ends at {seconds:.1f} s"
        raise ValueError(f"{found}; expected turns of this recording. Give the file that was made from it.")


def _annotation(given: Annotation | Path | str | None) -> Annotation | None:
    return given if given is None or isinstance(given, Annotation) else read_annotation(given)


def _sample(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def _kept(folder: Path) -> Iterator[Work]:
    """Yield the work that is kept, block by block, up to the first that is missing or damaged."""
    with suppress(Exception):  # a damaged pickle fails in many ways
        for number in count():
            yield joblib.load(folder / f"{number:05}.joblib")


def has_film(path: Path) -> bool:
    """Tell whether a file has moving pictures; the cover of an album is none."""
    with av.open(str(path)) as container:
        return any(stream.average_rate and stream.frames != 1 for stream in container.streams.video)


def shared_out(transcript: pd.DataFrame, block: Block) -> list[list[Word]]:
    """Give each word of a transcript that lies in a block to the turn nearest in time, with its times into the turn."""
    found: list[list[Word]] = [[] for _ in block.turns]
    edges = np.array(block.turns, np.float64).reshape(-1, 2) / SAMPLE_RATE
    middle = (transcript["start"] + transcript["end"]) / 2
    here = (middle >= block.start / SAMPLE_RATE) & (middle < block.end / SAMPLE_RATE)
    for row in transcript[here].itertuples() if len(edges) else ():
        time = (row.start + row.end) / 2
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
    if model is None:
        made, corpus = default_recognizer("words" if words_only else "voice")
        learned = {"trained on": corpus.name, "synthetic": corpus.synthetic}
    else:
        made = model if isinstance(model, Recognizer) else Recognizer.load(model)
        learned = {"trained on": None, "synthetic": False}
    if words_only and made.modalities != ("text",):
        taken = " and ".join(made.modalities)
        raise ValueError(f"words_only, and {made.name} takes {taken}; expected a model of text. Give such a model.")
    facts: dict[str, Any] = {"model": made.name, "version": version("emolab"), "emotions": [*made.emotions]}
    facts |= {"modalities": [*made.modalities], "temperature": made.temperature, "unsure below": made.unsure_below}
    placed = all(emotion in PLANE for emotion in made.emotions)
    return made, {**facts, **learned, "valence and arousal": OF_PLANE if placed else "unknown for these emotions"}


@lru_cache
def default_recognizer(kind: str) -> tuple[Recognizer, Corpus]:
    """Return the model that annotates where none is named, for "voice" or "words", and the corpus it learned from."""
    for row in TABLE["models"][kind]:
        if "weights" in row and not (weights_root() / row["weights"]).is_dir():
            continue
        with suppress(FileNotFoundError):
            corpus = load_corpus(row["corpus"]).view()
            return trained(row["recipe"], corpus, preset=row["preset"]), corpus
    raise AssertionError("the sample is built where it is missing")


def trained(recipe: str, corpus: Corpus, *, preset: Preset = "full") -> Recognizer:
    """Train a recipe on the first fold of a corpus and calibrate it on the fold's test set, or load what was kept."""
    fold = folds_of(as_turns(corpus))[0]
    recognizer = fit_or_load(recipe, fold, preset=preset)
    if not recognizer.unsure_below:
        recognizer.calibrate(recognizer.predict_proba(fold.test), fold.test.targets())
        recognizer.save(kept_in(recipe, fold, preset=preset, seed=SEED))
    return recognizer


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


def _who(done: Sequence[Work], known: Annotation | None, n_speakers: int | None) -> tuple[list[Any], str]:
    """Return who speaks in each turn, a number or a name, and how that is told."""
    if known is not None:
        speakers: dict[int, list[str]] = defaultdict(list)  # by the first sample of their turns
        for row in known.segments.itertuples():
            speakers[_sample(row.start)].append(row.speaker)
        return [speakers[first].pop(0) for each in done for first, _ in each.turns], "turns made elsewhere"
    vectors = [each.voices for each in done if len(each.turns)]
    if not vectors or not vectors[0].shape[1]:
        return [0] * sum(len(each.turns) for each in done), "none: all is one speaker"
    who = voice.cluster(np.concatenate(vectors), n_speakers)
    n = f"{n_speakers} speakers" if n_speakers else f"{len({*who})} speakers, estimated"
    return [*who], f"{voice.encoder_name()}, clusters of {n}"


def assembled(
    media: str, done: Sequence[Work], recognizer: Recognizer, who: Sequence[str], about: dict[str, Any]
) -> Annotation:
    """Make the table of segments out of what was recognized block by block."""
    turns, words = [turn for each in done for turn in each.turns], [own for each in done for own in each.words]
    emotions, shares = (
        recognizer.emotions,
        np.concatenate([np.zeros((0, len(recognizer.emotions))), *(each.probabilities for each in done)]),
    )
    times = np.array(turns, np.float64).reshape(-1, 2) / SAMPLE_RATE
    table = pd.DataFrame({"start": times[:, 0], "end": times[:, 1], "speaker": who})
    table["text"] = [" ".join(word.word for word in own) for own in words]
    told = ~np.isnan(shares).any(axis=1)
    order = np.argsort(-np.nan_to_num(shares), axis=1, kind="stable")
    for place, column in enumerate(("emotion", "second")[: len(emotions)]):
        table[column] = pd.Series([emotions[number] for number in order[:, place]], dtype="string").where(told)
    table["confidence"] = shares.max(axis=1, initial=0.0, where=told[:, None]) * np.where(told, 1.0, np.nan)
    table["unsure"] = ~(table["confidence"] >= recognizer.unsure_below)
    if all(emotion in PLANE for emotion in emotions):
        table[["valence", "arousal"]] = shares @ np.array([PLANE[emotion] for emotion in emotions])
    shares_of = pd.DataFrame(shares, columns=[P + emotion for emotion in emotions])
    rows = [
        (times[turn, 0] + word.start, times[turn, 0] + word.end, word.word, turn, word.confidence)
        for turn, own in enumerate(words)
        for word in own
    ]
    spoken = pd.DataFrame(rows, columns=["start", "end", "word", "segment", "confidence"])
    seconds = done[-1].end / SAMPLE_RATE if done else 0.0
    return Annotation(table.join(shares_of), spoken, media, seconds, about)
