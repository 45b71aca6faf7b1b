"""A corpus made worse on purpose: a modality that is missing; noise, or a telephone, in the sound.

How a recognizer fares as one of these grows is its degradation curve. The corpus that is given stays as it is. Of sound
every function takes and returns waves, (samples,) float32 at 16 kHz; `degraded` applies one to a corpus.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import librosa
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus

SNR_RANGE = (-30.0, 100.0)  # dB; noise that is louder would leave the range of a sound, less is lost in rounding
LOWEST_HZ = 20.0  # of the noise; below nothing is heard
N_TALKERS = 6  # of babble; of more, no word can be followed
BAND_HZ, TELEPHONE_RATE = (300, 3_400), 8_000  # ITU-T G.712, G.711
COPY = " · copy "  # between the utterance_id of an utterance and the number of its copy

Wave = NDArray[np.float32]
Change = Callable[[Wave, np.random.Generator], NDArray[np.floating]]


def drop(corpus: Corpus, modality: str, share: float, *, seed: int = 0) -> Corpus:
    """Let a modality be missing in a share of the utterances, drawn at random.

    With one seed the draws are nested: what is missing at a share of 0.2 is missing at 0.4 as well. Each modality has
    draws of its own. An utterance that never had the modality may be among those drawn.

    Args:
        corpus: Any corpus.
        modality: "audio", "text" or "video".
        share: From 0, none, to 1, all.
        seed: Of the draws.

    Raises:
        ValueError: If there is no such modality, or the share is not from 0 to 1.
    """
    if modality not in MODALITIES:
        raise ValueError(f"no modality {modality!r}; expected one of {', '.join(MODALITIES)}. Correct the name.")
    if not 0 <= share <= 1:
        raise ValueError(f"share={share}; expected 0, nothing, to 1, everything. Divide percents by 100.")
    order = np.random.default_rng([seed, list(MODALITIES).index(modality)]).permutation(len(corpus))
    gone = np.isin(np.arange(len(corpus)), order[: round(share * len(corpus))])
    column, lost = MODALITIES[modality], {*corpus.table["utterance_id"][gone]}
    held = {name: own for name, own in corpus.in_memory.get(modality, {}).items() if name not in lost}
    table = corpus.table.assign(**{column: corpus.table[column].mask(gone)})
    return replace(corpus, table=table, in_memory={**corpus.in_memory, modality: held})


def degraded(corpus: Corpus, change: Change, *, seed: int = 0) -> Corpus:
    """Change every sound; the changed sounds are held in memory, as by `Corpus.with_media`, and their features cached.

    Args:
        corpus: Utterances without sound stay without.
        change: Given a wave and a generator of random numbers, it returns another wave.
        seed: Of the generators; each utterance has one of its own.

    Raises:
        ValueError: If no utterance has sound, or a sound cannot be read.
        FileNotFoundError: If a sound is missing.
    """
    if "audio" not in corpus.modalities:
        why = f"no utterance of corpus {corpus.name!r} has audio; expected some that do. It has"
        raise ValueError(f"{why} {', '.join(corpus.modalities) or 'nothing'}: take another corpus.")
    held, there = dict(corpus.in_memory.get("audio", {})), corpus.select(corpus.has("audio"))
    for name, sound in zip(there.table["utterance_id"], there.audio_paths(), strict=True):
        wave = change(media.read_audio(sound), np.random.default_rng([seed, *name.encode()])).astype(np.float32)
        held[name] = media.InMemoryMedia(wave, hashlib.sha256(wave.tobytes()).hexdigest())
    return replace(corpus, in_memory={**corpus.in_memory, "audio": held})


def with_copies(corpus: Corpus, *copies: Corpus) -> Corpus:
    """Return the utterances and changed copies of them, to train on: what is learned then has to serve both.

    Args:
        corpus: A training set.
        copies: The same utterances or some of them, changed: by `degraded`, by `drop`, or other words. A copy gets an
            utterance_id and a dialogue_id of its own.
    """
    marked = []
    for number, copy in enumerate(copies, 1):
        mark = f"{COPY}{number}"
        table = copy.table.assign(**{own: copy.table[own] + mark for own in ("utterance_id", "dialogue_id")})
        held = {modality: {name + mark: own[name] for name in own} for modality, own in copy.in_memory.items()}
        marked.append(replace(copy, table=table, in_memory=held))
    return corpus.joined(*marked)


def add_noise(corpus: Corpus, snr_db: float, *, seed: int = 0) -> Corpus:
    """Add pink noise to every sound: see `degraded`.

    Pink noise has the same power in each octave, as have many rooms and streets, and speech roughly; most of white
    noise lies above speech. Noise shaped after the utterance itself would mask it more evenly, but it would carry on
    the voice's mean spectrum, and so some of the emotion. Sounds are floats, which no sum clips.

    Args:
        corpus: Utterances without sound stay without.
        snr_db: Power of the whole utterance, pauses included, over that of the noise, dB; from -30 to 100. Silence has
            no such ratio and stays silent.
        seed: Of the noise; each utterance has a noise of its own.

    Raises:
        ValueError: If the ratio is out of range, no utterance has sound, or a sound cannot be read.
        FileNotFoundError: If a sound is missing.
    """
    if not SNR_RANGE[0] <= snr_db <= SNR_RANGE[1]:
        raise ValueError(f"snr_db={snr_db}; expected {SNR_RANGE[0]:g} to {SNR_RANGE[1]:g} dB. Correct the number.")
    return degraded(corpus, lambda wave, rng: with_noise(wave, snr_db, rng), seed=seed)


def with_noise(wave: Wave, snr_db: float, rng: np.random.Generator) -> Wave:
    """Add pink noise to a sound; see `add_noise`."""
    noise = pink_noise(max(len(wave), media.SAMPLE_RATE), rng)  # of a moment there is no spectrum
    return mixed(wave, noise[: len(wave)], snr_db)


def mixed(wave: Wave, noise: NDArray[np.floating], snr_db: float) -> Wave:
    """Add a noise, as long as the sound, whose power lies `snr_db` below that of the whole sound."""
    power, own_power = (np.square(sound, dtype=np.float64).mean() for sound in (wave, noise))
    return (wave + np.sqrt(power / own_power * 10 ** (-snr_db / 10)) * noise).astype(np.float32)


def pink_noise(n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw noise whose power falls as 1 / frequency from 20 Hz on: (n_samples,) float64 at 16 kHz."""
    hertz = np.fft.rfftfreq(n_samples, 1 / media.SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    shaped = np.where(hertz < LOWEST_HZ, 0, spectrum / np.sqrt(np.maximum(hertz, LOWEST_HZ)))
    return np.fft.irfft(shaped, n_samples)


def babble(voices: Sequence[Wave], n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Let `N_TALKERS` of the voices speak at once, equally loud, from a moment by chance on: (n_samples,) float64."""
    talkers = [voices[number] for number in rng.integers(len(voices), size=N_TALKERS)]
    turned = [np.roll(own, -rng.integers(len(own))) / (np.sqrt(np.square(own).mean()) or 1) for own in talkers]
    return np.sum([np.resize(own, n_samples) for own in turned], axis=0, dtype=np.float64)


def telephone(wave: Wave, band_hz: tuple[float, float] = BAND_HZ) -> Wave:
    """Pass a sound through a telephone: 300 to 3,400 Hz, 8,000 samples a second of 8 bits, mu-law (ITU-T G.711)."""
    narrow = soxr.resample(wave, media.SAMPLE_RATE, TELEPHONE_RATE)
    band = sosfilt(butter(4, band_hz, "bandpass", fs=TELEPHONE_RATE, output="sos"), narrow)
    heard = librosa.mu_expand(librosa.mu_compress(np.clip(band, -1, 1)))
    wide = soxr.resample(heard, TELEPHONE_RATE, media.SAMPLE_RATE)
    return librosa.util.fix_length(wide, size=len(wave)).astype(np.float32)
