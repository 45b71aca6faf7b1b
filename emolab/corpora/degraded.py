"""A corpus made worse on purpose: a modality that is missing, noise in the sound.

How a recognizer fares as one of these grows is its degradation curve. The corpus that is given stays as it is.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus

SNR_RANGE = (-30.0, 100.0)  # dB; noise that is louder would leave the range of a sound, less is lost in rounding
LOWEST_HZ = 20.0  # of the noise; below nothing is heard


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


def add_noise(corpus: Corpus, snr_db: float, *, seed: int = 0) -> Corpus:
    """Add pink noise to every sound; the noisy sounds are held in memory, as by `Corpus.with_media`.

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
    if "audio" not in corpus.modalities:
        why = f"no utterance of corpus {corpus.name!r} has audio; expected some that do. It has"
        raise ValueError(f"{why} {', '.join(corpus.modalities) or 'nothing'}: take another corpus.")
    names = corpus.table["utterance_id"][corpus.has("audio")]
    sounds = zip(names, corpus.select(corpus.has("audio")).audio_paths(), strict=True)
    drawn = ((name, media.read_audio(sound), np.random.default_rng([seed, *name.encode()])) for name, sound in sounds)
    return corpus.with_media(audio={name: with_noise(wave, snr_db, rng) for name, wave, rng in drawn})


def with_noise(wave: NDArray[np.float32], snr_db: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Add pink noise to a sound: (samples,) float32 at 16 kHz, as long as before; see `add_noise`."""
    noise = pink_noise(max(len(wave), media.SAMPLE_RATE), rng)[: len(wave)]  # of a moment there is no spectrum
    power, own_power = (np.square(sound, dtype=np.float64).mean() for sound in (wave, noise))
    return (wave + np.sqrt(power / own_power * 10 ** (-snr_db / 10)) * noise).astype(np.float32)


def pink_noise(n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw noise whose power falls as 1 / frequency from 20 Hz on: (n_samples,) float64 at 16 kHz."""
    hertz = np.fft.rfftfreq(n_samples, 1 / media.SAMPLE_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    shaped = np.where(hertz < LOWEST_HZ, 0, spectrum / np.sqrt(np.maximum(hertz, LOWEST_HZ)))
    return np.fft.irfft(shaped, n_samples)
