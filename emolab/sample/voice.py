"""Speech of the sample corpora: espeak-ng through ctypes, ten voices and more, emotion as prosody."""

import ctypes
from collections import namedtuple
from collections.abc import Sequence
from itertools import accumulate

import espeakng_loader
import numpy as np
import soxr
from numpy.typing import NDArray

from emolab.storage import settings_beside, toml_beside

SAMPLE_RATE = 16_000  # Hz, of everything that is written
SYNCHRONOUS, UTF8, SSML, BY_CHARACTER, WORD_EVENT = 2, 1, 0x10, 1, 1  # names of espeak's speak_lib.h
TOP = {1: 450, 2: 200, 3: 99, 4: 99}  # espeak's parameters (rate, volume, pitch, range) and their highest values

# One speaker's voice, and how it changes over a whole utterance or the stretch of a cue; units are in cast.toml
Voice = namedtuple("Voice", "variant pitch pitch_range rate level_db")
Prosody = namedtuple("Prosody", "pitch pitch_range rate level_db brightness", defaults=(0.0, 1.0, 1.0, 0.0, 0.0))
# Audio of one utterance: wave (samples,) float32 at 16 kHz, full scale 1; its cue in seconds (NaN: none); and when each
# word begins, in seconds: a word that espeak joins to the one before begins with it
Speech = namedtuple("Speech", "wave cue_start cue_end word_starts")
CAST, DESIGN = toml_beside(__file__, "cast.toml"), settings_beside(__file__, "design.toml", "voice")
WOMEN, MEN, ACTORS = ([Voice(*person["voice"]) for person in CAST[group]] for group in ("women", "men", "actors"))
PROSODIES = {  # emotion: of a whole utterance, and on top of that, of the cue's stretch
    emotion: (Prosody(*facts["whole"]), Prosody(*facts["cue"])) for emotion, facts in CAST["emotions"].items()
}


class _Event(ctypes.Structure):
    """What espeak tells of a word: its place in the text, from 1, and the sample at which it begins."""

    _numbers = ("type", "unique_identifier", "text_position", "length", "audio_position", "sample")
    _fields_ = (*((name, ctypes.c_int) for name in _numbers), ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8))


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesiser:
    """espeak-ng, once a process.

    Its noise source keeps state: the same sound comes only from a fresh process that speaks the same texts in the
    same order. So the corpora are spoken in processes of their own.

    Raises:
        OSError: If espeak-ng does not start, or a voice is not there.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        self.sample_rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, str(data).encode(), 0)
        if self.sample_rate <= 0:
            raise OSError(f"espeak-ng did not start with the data in {data}; install the wheel espeakng-loader again.")
        self._callback = _Callback(self._receive)  # espeak keeps only a pointer: hold on to it
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, ssml: str, voice: Voice, prosody: Prosody) -> tuple[NDArray[np.float32], dict[int, float]]:
        """Speak; return (samples,) float32 at `sample_rate` and where each word begins: position in `ssml`, seconds."""
        if self._library.espeak_SetVoiceByName(f"en-us+{voice.variant}".encode()):
            raise OSError(f"espeak-ng has no voice variant {voice.variant!r}; install the wheel espeakng-loader again.")
        pitch = voice.pitch + prosody.pitch / DESIGN.semitones_a_step
        values = (voice.rate * prosody.rate, DESIGN.espeak_volume, pitch, voice.pitch_range * prosody.pitch_range)
        for (parameter, top), value in zip(TOP.items(), values, strict=True):
            self._library.espeak_SetParameter(parameter, int(np.clip(np.rint(value), 0, top)), 0)
        self._pieces: list[NDArray[np.int16]] = []
        self._begins: dict[int, float] = {}
        text = ssml.encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, BY_CHARACTER, 0, UTF8 | SSML, None, None)
        return np.concatenate(self._pieces).astype(np.float32) / np.float32(32_768), self._begins

    def _receive(self, wave: object, n_samples: int, events: Sequence[_Event]) -> int:
        if wave and n_samples > 0:
            self._pieces.append(np.ctypeslib.as_array(wave, (n_samples,)).copy())  # type: ignore[arg-type]
        place = 0
        while events[place].type:  # a list that ends in type 0
            if events[place].type == WORD_EVENT:
                self._begins.setdefault(events[place].text_position - 1, events[place].sample / self.sample_rate)
            place += 1
        return 0


def say(
    synthesiser: Synthesiser, text: str, voice: Voice, emotion: str, *, rng: np.random.Generator, intensity: float = 1.0
) -> Speech:
    """Speak a text so that the voice shows an emotion: all through, and most on one or two words that are drawn."""
    words = text.split()
    first, n_words = draw_cue_words(rng, words)
    whole, cue = draw_prosody(rng, emotion, intensity), PROSODIES[emotion][1]
    strength = intensity * rng.uniform(0.8, 1.2)
    ssml, begins = mark_up(words, first, n_words, cue, strength)
    wave, times = synthesiser.speak(ssml, voice, whole)
    known = [times.get(begin) for begin in begins]  # espeak joins a few short words; those have no time
    starts = heard_from(known)
    wave = soxr.resample(wave, synthesiser.sample_rate, SAMPLE_RATE)
    wave = brighten(wave * decibels(DESIGN.level_db - voice.level_db + whole.level_db), whole.brightness)
    loud = np.flatnonzero(np.abs(wave) > DESIGN.silence)
    wave = wave[: int(loud[-1] + DESIGN.tail_s * SAMPLE_RATE)]
    if emotion == "neutral":
        return Speech(limit(wave), np.nan, np.nan, starts)
    ends = (time for time in known[first + n_words :] if time is not None)
    start, end = starts[first], next(ends, int(loud[-1]) / SAMPLE_RATE)
    wave = stress(wave, start, end, cue, strength)
    return Speech(limit(wave), round(start, 3), round(end, 3), starts)


def heard_from(known: Sequence[float | None]) -> tuple[float, ...]:
    """Say when each word begins, in seconds: one without a time of its own begins with the last that has one."""
    return tuple(accumulate(known, lambda before, time: before if time is None else time, initial=0.0))[1:]


def draw_cue_words(rng: np.random.Generator, words: Sequence[str]) -> tuple[int, int]:
    """Draw the words that carry the voice's cue: a long one, or it and the next; return the first and how many."""
    long = [place for place, word in enumerate(words) if len(word.strip(".,")) >= DESIGN.min_cue_letters]
    first = int(rng.choice(long or [len(words) - 1]))
    return first, min(int(rng.integers(1, 3)), len(words) - first)


def draw_prosody(rng: np.random.Generator, emotion: str, intensity: float) -> Prosody:
    """Draw how a whole utterance is coloured; the distributions of the emotions overlap."""
    strength = intensity * rng.uniform(0.7, 1.3) * (rng.random() >= DESIGN.p_local_only)
    mean, drawn = PROSODIES[emotion][0], DESIGN.noise * rng.standard_normal(5)
    pitch, level_db, brightness = strength * np.array([mean.pitch, mean.level_db, mean.brightness]) + drawn[[0, 3, 4]]
    pitch_range, rate = np.exp(strength * np.log([mean.pitch_range, mean.rate]) + drawn[1:3]).tolist()
    return Prosody(pitch, pitch_range, rate, level_db, brightness)


def mark_up(words: Sequence[str], first: int, n_words: int, cue: Prosody, strength: float) -> tuple[str, list[int]]:
    """Write SSML with prosody on the cue's words; return it with the position of each word in it."""
    pitch, rate = (round(100 * factor) for factor in (2 ** (strength * cue.pitch / 12), cue.rate**strength))
    before = f"<prosody pitch='{pitch}%' range='{round(100 * cue.pitch_range)}%' rate='{rate}%'>"
    ssml, begins = "<speak>", []
    for place, word in enumerate(words):
        opens, closes = (place == end and cue != Prosody() for end in (first, first + n_words - 1))
        ssml += before * opens
        begins.append(len(ssml))
        ssml += word + "</prosody>" * closes + " "
    return f"{ssml.rstrip()}</speak>", begins


def stress(wave: NDArray[np.float32], start: float, end: float, cue: Prosody, strength: float) -> NDArray[np.float32]:
    """Make the stretch from `start` to `end`, in seconds, louder or softer, brighter or duller."""
    seconds = np.arange(len(wave)) / SAMPLE_RATE
    inside = np.clip(np.minimum(seconds - start, end - seconds) / DESIGN.cue_ramp_s, 0, 1).astype(np.float32)
    changed = brighten(wave, strength * cue.brightness) * decibels(strength * cue.level_db)
    return wave + inside * (changed - wave)


def brighten(wave: NDArray[np.float32], brightness: float) -> NDArray[np.float32]:
    """Tilt the spectrum: above 0 towards the high frequencies, below 0 the low ones; as loud as before."""
    before = np.concatenate([wave[:1], wave[:-1]])
    share = np.float32(np.clip(brightness, -1, 1) / 2)
    tilted = wave - share * before if share > 0 else (1 + share) * wave - share * before
    return tilted * np.sqrt(np.square(wave).mean() / max(np.square(tilted).mean(), np.float32(1e-12)))


def decibels(level: float) -> np.float32:
    """Turn a level in dB into a factor."""
    return np.float32(10 ** (level / 20))


def limit(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a wave down as a whole where its peak would clip."""
    return wave * np.float32(min(1.0, DESIGN.peak / max(float(np.abs(wave).max()), 1e-9)))
