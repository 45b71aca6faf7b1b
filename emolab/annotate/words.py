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
from emolab.storage import settings_beside, weights_root

SPHINX, NONE = "pocketsphinx", "none"
SET = settings_beside(__file__, "annotate.toml", "words")
_own = local()  # a decoder for each thread


class Word(NamedTuple):
    """A word, its time in seconds into its turn, and the recognizer's confidence from 0 to 1; NaN: unknown."""

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
        folders = [folder for pattern in SET.at_hand for folder in weights_root().glob(pattern)]
        sizes = [(".en" not in folder.name, (folder / "model.bin").stat().st_size, folder) for folder in folders]
        asr = str(min(sizes)[2]) if sizes else SPHINX
    if asr == NONE:
        return NONE, lambda turns: [[] for _ in turns]
    if asr == SPHINX:
        return SPHINX, sphinx
    return f"faster-whisper {Path(asr).name}", _whisper(asr)


@lru_cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(joblib.cpu_count(), "pocketsphinx")  # it releases the interpreter


def sphinx(turns: Sequence[Wave]) -> list[list[Word]]:
    """Return the words of each turn by pocketsphinx's own English model."""
    return list(_pool().map(_heard, turns))


def _heard(wave: Wave) -> list[Word]:
    """Decode a turn; `reinit_feat` makes the decoder forget those before, which would change the words a little."""
    from pocketsphinx import Decoder

    if not hasattr(_own, "decoder"):
        _own.decoder = Decoder(**SET.sphinx)
    sound = wave * (SET.level / max(float(np.abs(wave).max(initial=0.0)), 1e-6))
    _own.decoder.reinit_feat()
    _own.decoder.start_utt()
    _own.decoder.process_raw((sound * np.iinfo(np.int16).max).astype(np.int16).tobytes(), full_utt=True)
    _own.decoder.end_utt()
    found = [each for each in (_own.decoder.seg() or ()) if each.word[0] not in "<["]  # pauses and noises
    ends = [(each.start_frame * SET.frame_s, (each.end_frame + 1) * SET.frame_s) for each in found]
    return [Word(*end, each.word.partition("(")[0], np.nan) for end, each in zip(ends, found, strict=True)]


def _whisper(weights: str) -> Transcriber:
    from faster_whisper import WhisperModel

    try:
        model: Any = WhisperModel(weights, device="cpu", compute_type="int8", cpu_threads=joblib.cpu_count())
    except Exception as error:  # of several libraries
        why = f"no recognizer of words {weights!r} ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
        raise OSError(f"{why}; expected a CTranslate2 folder or a name on the hub. Take asr={SPHINX!r}.") from error

    def words_of(turns: Sequence[Wave]) -> list[list[Word]]:
        size = round(SET.window_s * SAMPLE_RATE)
        pieces = [(number, at) for number, turn in enumerate(turns) for at in range(0, len(turn), size)]
        found: list[list[Word]] = [[] for _ in turns]
        for place in range(0, len(pieces), SET.n_pieces):
            some = pieces[place : place + SET.n_pieces]
            told = _batch(model, [turns[number][at : at + size] for number, at in some])
            for (number, at), words in zip(some, told, strict=True):
                shift = at / SAMPLE_RATE
                found[number] += [word._replace(start=word.start + shift, end=word.end + shift) for word in words]
        return found

    return words_of


def _batch(model: Any, waves: Sequence[Wave]) -> list[list[Word]]:
    """Transcribe sounds of up to 30 s at once.

    Each has a window of 30 s to itself, or of 15 if all fit into 10: with less padding Whisper repeats itself, and of
    turns joined in one window it takes words of one for words of the next.
    """
    from faster_whisper.audio import pad_or_trim
    from faster_whisper.tokenizer import Tokenizer

    n_frames = SET.long if max(map(len, waves)) > SET.short_s * SAMPLE_RATE else SET.long // 2
    encoded = model.encode(np.stack([pad_or_trim(model.feature_extractor(wave), n_frames) for wave in waves]))
    many = model.model.is_multilingual
    language = model.model.detect_language(encoded)[0][0][0].strip("<|>") if many else "en"
    tokenizer = Tokenizer(model.hf_tokenizer, many, task="transcribe", language=language)
    prompt = model.get_prompt(tokenizer, [], without_timestamps=True)
    seconds = [len(wave) / SAMPLE_RATE for wave in waves]
    limit = min(model.max_length, len(prompt) + SET.least_tokens + round(SET.tokens_a_second * max(seconds)))
    how = {"beam_size": 1, "max_length": limit, "return_no_speech_prob": True, "suppress_tokens": [-1]}
    results = model.model.generate(encoded, [prompt] * len(waves), **how)
    kept = [result.sequences_ids[0] if result.no_speech_prob < SET.no_speech else [] for result in results]
    tokens = [[token for token in own if token < tokenizer.eot] for own in kept]
    lengths = [max(1, round(length / SET.frame_s)) for length in seconds]
    aligned = model.find_alignment(tokenizer, tokens, encoded, lengths)
    return [_words(found, length) for found, length in zip(aligned, seconds, strict=True)]


def _words(aligned: Sequence[dict[str, Any]], seconds: float) -> list[Word]:
    """Join punctuation to the word before it, and keep times inside the sound: Whisper's last word may end later."""
    words: list[Word] = []
    for each in aligned:
        text = each["word"].strip()
        if words and not any(map(str.isalnum, text)):
            words[-1] = words[-1]._replace(word=words[-1].word + text)
        elif text:
            start, end = np.clip([each["start"], each["end"]], 0.0, seconds)
            words.append(Word(float(start), float(end), text, float(each["probability"])))
    return words


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
