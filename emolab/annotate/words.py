"""The words of each turn and their times: by faster-whisper, by pocketsphinx, or from a transcript."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import local
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd

from emolab.annotate.annotation import Annotation
from emolab.annotate.speech import Wave
from emolab.media import SAMPLE_RATE
from emolab.storage import weights_root

SPHINX, NONE = "pocketsphinx", "none"
AT_HAND = ("openai/whisper-*-ct2", "Systran/faster-whisper-*")  # CTranslate2 folders below weights_root()
WINDOW_S, GAP_S = 28.0, 0.6  # Whisper takes 30 s at once: turns share a window, with so much silence between two
NO_SPEECH = 0.6  # probability from which on Whisper's words are invented
TOKENS_A_SECOND = 10  # fast speech has 6; a decoder that repeats itself is stopped
LEVEL = 0.5  # peak that pocketsphinx is given
FRAME_S = 0.01  # of pocketsphinx
SETTINGS = {"samprate": SAMPLE_RATE, "cmn": "batch", "fwdflat": False, "maxhmmpf": 3_000, "loglevel": "FATAL"}


class Word(NamedTuple):
    """A word, its time in seconds into its turn, and the recognizer's confidence from 0 to 1."""

    start: float
    end: float
    word: str
    confidence: float


Transcriber = Callable[[Sequence[Wave]], list[list[Word]]]  # the words of each turn


def transcriber(asr: str | None = None) -> tuple[str, Transcriber]:
    """Return the name of a recognizer of words, and the function that gives the words of some turns.

    Args:
        asr: Folder of a Whisper model in CTranslate2's format or its name on the hub, such as "small"; "pocketsphinx"
            (English, offline, poor); "none". None takes a Whisper model below `weights_root()`, the smallest English
            one, else pocketsphinx.

    Raises:
        OSError: If there are no such weights.
    """
    if asr is None:
        folders = [folder for pattern in AT_HAND for folder in weights_root().glob(pattern)]
        sizes = [(".en" not in folder.name, (folder / "model.bin").stat().st_size, folder) for folder in folders]
        asr = str(min(sizes)[2]) if sizes else SPHINX
    if asr == NONE:
        return NONE, lambda turns: [[] for _ in turns]
    if asr == SPHINX:
        return SPHINX, sphinx
    return f"faster-whisper {Path(asr).name}", _whisper(asr)


_own = local()  # a decoder for each thread


@lru_cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(joblib.cpu_count(), "pocketsphinx")  # it releases the interpreter


def sphinx(turns: Sequence[Wave]) -> list[list[Word]]:
    """Return the words of each turn by pocketsphinx's own English model."""
    return list(_pool().map(_heard, turns))


def _heard(wave: Wave) -> list[Word]:
    """Decode a turn; a short, fixed noise before it makes the decoder forget what it decoded before."""
    from pocketsphinx import Decoder

    if not hasattr(_own, "decoder"):
        _own.decoder = Decoder(**SETTINGS)
    noise = np.random.default_rng(0).normal(0, 1e-3, SAMPLE_RATE // 4)
    for sound in (noise, wave * (LEVEL / max(float(np.abs(wave).max(initial=0.0)), 1e-6))):
        _own.decoder.start_utt()
        _own.decoder.process_raw((sound * np.iinfo(np.int16).max).astype(np.int16).tobytes(), full_utt=True)
        _own.decoder.end_utt()
    found = [each for each in (_own.decoder.seg() or ()) if each.word[0] not in "<["]  # pauses and noises
    log = _own.decoder.logmath
    return [
        Word(
            each.start_frame * FRAME_S, (each.end_frame + 1) * FRAME_S, each.word.partition("(")[0], log.exp(each.prob)
        )
        for each in found
    ]


def _whisper(weights: str) -> Transcriber:
    from faster_whisper import WhisperModel

    try:
        model: Any = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=joblib.cpu_count())
    except Exception as error:  # of several libraries
        why = f"no recognizer of words {weights!r} ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
        raise OSError(f"{why}; expected a CTranslate2 folder or a name on the hub. Take asr={SPHINX!r}.") from error

    def words_of(turns: Sequence[Wave]) -> list[list[Word]]:
        found: list[list[Word]] = [[] for _ in turns]
        for window in _windows([len(turn) for turn in turns]):
            _transcribe(model, turns, window, found)
        return found

    return words_of


def _windows(lengths: Sequence[int]) -> list[list[int]]:
    """Put turns, by their numbers, together as long as they fit into a window."""
    windows: list[list[int]] = []
    room = 0.0
    for number, length in enumerate(lengths):
        seconds = length / SAMPLE_RATE + GAP_S
        if not windows or seconds > room:
            windows.append([])
            room = WINDOW_S
        windows[-1].append(number)
        room -= seconds
    return windows


def _transcribe(model: Any, turns: Sequence[Wave], window: Sequence[int], found: list[list[Word]]) -> None:
    """Transcribe turns in one window; a word belongs to the turn in which its middle lies."""
    gap = np.zeros(round(GAP_S * SAMPLE_RATE), np.float32)
    sound = np.concatenate([part for number in window for part in (turns[number], gap)])
    starts = np.cumsum([0, *(len(turns[number]) + len(gap) for number in window)]) / SAMPLE_RATE
    limit = 16 + round(TOKENS_A_SECOND * len(sound) / SAMPLE_RATE)
    how = {"beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False, "max_new_tokens": min(limit, 220)}
    segments, _ = model.transcribe(sound, word_timestamps=True, **how)
    for word in (word for segment in segments if segment.no_speech_prob < NO_SPEECH for word in segment.words):
        place = max(0, int(np.searchsorted(starts, (word.start + word.end) / 2, side="right")) - 1)
        number = window[min(place, len(window) - 1)]
        limits = (0.0, len(turns[number]) / SAMPLE_RATE)  # of silence it makes words that end after the sound
        start, end = np.clip([word.start - starts[place], word.end - starts[place]], *limits)
        found[number].append(Word(float(start), float(end), word.word.strip(), float(word.probability)))


def spread(transcript: Annotation) -> pd.DataFrame:
    """Return the words of a transcript with their times: its own, or each cue's time shared out by letters."""
    if len(transcript.words):
        return transcript.words
    rows = []
    for row in transcript.segments.itertuples():
        words = str(row.text).split()
        edges = np.cumsum([0, *(len(word) + 1 for word in words)]) / max(1, sum(len(word) + 1 for word in words))
        times = row.start + (row.end - row.start) * edges
        rows += [(*times[place : place + 2], word, np.nan) for place, word in enumerate(words)]
    return pd.DataFrame(rows, columns=["start", "end", "word", "confidence"])
