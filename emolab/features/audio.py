"""What a model hears: mel bands, MFCCs, pitch classes, pitch, loudness, and statistics of them over an utterance.

Every function takes a wave of (samples,) float32, mono, 16 kHz, full scale 1, as `emolab.media.read_audio` gives it,
and puts time first. Frames are centred on 0, hop_s, 2 hop_s, … seconds and the wave is padded with silence at both
ends, so that one sample is enough for one frame. Silence gives finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import median_filter

from emolab import media
from emolab.features.cache import cached_features, source_digest
from emolab.media import SAMPLE_RATE

Floats = NDArray[np.float32]
AudioKind = Literal["log-mel", "mfcc", "chroma", "functionals", "classical8"]

WINDOW_LENGTH = SAMPLE_RATE * 25 // 1000  # 400 samples, 25 ms
HOP_S = 0.010  # seconds between two frames
N_FFT = 512  # points; a window is padded to it: bins 31 Hz apart
N_MELS = 64
N_MFCC = 20
SILENCE = 1e-10  # power; anything below counts as silence, -100 dB

LONGEST_PERIOD = 256  # samples; voices down to 62.5 Hz
SHORTEST_PERIOD = 26  # samples; voices up to 615 Hz
SURE_VOICE = 0.15  # aperiodicity: the first period below it is the pitch, the usual threshold of YIN
MAX_APERIODICITY = 0.35  # above it, a frame counts as unvoiced
STEADY_S = 0.25  # seconds of voice; a pitch that is a multiple of their median, or a part of it, is a slip
VOICE_RANGE_DB = 40.0  # frames that far below the loudest are not voice
SPEECH_RANGE_DB = 30.0  # statistics are taken over the frames that are at most so far below the loudest
N_BROAD_MELS = 16  # bands of the statistics, broad enough to be told apart by name
CONTRAST_BINS = (0, 6, 13, 26, 51, 102, N_FFT // 2 + 1)  # about octaves: 0, 200, 400, 800, 1,600, 3,200, 8,000 Hz
ROLLOFF_SHARE = 0.85  # of the power lies below the rolloff frequency
PITCH_REFERENCE = 100.0  # Hz; pitch in semitones above it
ARCS = (2, 3, 4, 5)  # half waves over the utterance; one half wave is the trend
SWINGS = (0, 1, 2, 4, 8, 16, 32)  # Hz, edges of the ranges of how fast a descriptor goes up and down
N_SWING_FFT = 512  # frames, at least; 5 s
SMALLEST_SWING = 1e-6  # of a descriptor's power; what moves less stands still
SMALLEST_APERIODICITY = 1e-3  # a harmonics-to-noise ratio ends at 30 dB
N_CHROMA, N_CHROMA_FFT = 12, 2048  # semitones of an octave, points: bins 8 Hz apart
CHROMA_CENTRE, CHROMA_WIDTH = 5.0, 2.0  # octaves above 27.5 Hz, octaves: 880 Hz counts most
LOWEST_C = 440 * 2 ** (-57 / 12)  # Hz, 16.35
CLIP_SHARE, SILENCE_SHARE = 0.45, 0.4  # of the mean amplitude, of the mean level; classical8
N_MEDIAN, MEDIAN_HOP_S = 11, 0.030  # frames or bands, seconds; the two medians that tell tones from clicks


def audio_features(kind: AudioKind, paths: Sequence[Path], *, speed: float = 1.0, **options: float) -> list[Floats]:
    """Return one feature of each sound file, computed once and then taken from the cache.

    Args:
        kind: "log-mel", "mfcc" and "chroma" give (frames, n) a file, "functionals" and "classical8" give (n,).
        paths: Sound files, or films whose sound is read.
        speed: How fast the sound is played: 1.08 is shorter and higher by 8 %, as from a smaller body.
        options: What the function of that name takes beside the wave, such as `n_mels=40` or `hop_s=0.02`.

    Returns:
        One float32 array a path, in their order; they cannot be written to, since the cache keeps them.

    Raises:
        ValueError: If there is no such kind or option, or if files cannot be read; all of those are named.
        FileNotFoundError: If files are missing; they are named.
    """
    functions: dict[str, Callable[..., Floats]] = {"log-mel": log_mel, "mfcc": mfcc, "chroma": chroma}
    functions |= {"functionals": functionals, "classical8": classical8}
    if kind not in functions:
        raise ValueError(f"no audio feature {kind!r}; expected one of {list(functions)}. Correct the name.")
    known = list(signature(functions[kind]).parameters)[1:]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(f"{kind} has no option {', '.join(unknown)}; expected some of {known}. Correct the name.")
    facts = options | ({} if speed == 1 else {"speed": speed})
    version = " ".join([source_digest(__file__, media.__file__), *(f"{k}={facts[k]}" for k in sorted(facts))])
    compute = partial(_feature_of_file, functions[kind], options, speed)
    return cached_features(kind, paths, compute, version=version, progress=kind)


def _feature_of_file(function: Callable[..., Floats], options: dict[str, Any], speed: float, path: Path) -> Floats:
    return function(media.read_audio(path, sample_rate=round(SAMPLE_RATE / speed)), **options)


def log_mel(wave: Floats, *, n_mels: int = N_MELS, hop_s: float = HOP_S) -> Floats:
    """Measure how much sound there is in each mel band, frame by frame.

    Args:
        wave: (samples,) float32, mono, 16 kHz, full scale is 1.
        n_mels: Number of bands from 0 Hz to 8 kHz, at most 192: narrower ones would hold no bin.
        hop_s: Seconds from frame to frame.

    Returns:
        (frames, n_mels) float32, dB relative to a power of 1; silence is -100 dB.
    """
    return _decibels(_power(wave, hop_s) @ _mel_filters(n_mels))


def mfcc(wave: Floats, *, n_mfcc: int = N_MFCC, n_mels: int = N_MELS, hop_s: float = HOP_S) -> Floats:
    """Describe the shape of each frame's spectrum by mel-frequency cepstral coefficients.

    They are a cosine transform of the log-mel frame: the first is the loudness, the next the tilt, the last ones the
    fine shape. Neighbouring bands rise and fall together; the coefficients much less so.

    Returns:
        (frames, n_mfcc) float32, dB.
    """
    return fft.dct(log_mel(wave, n_mels=n_mels, hop_s=hop_s), norm="ortho", axis=1)[:, :n_mfcc]


def chroma(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Measure how much sound there is in each of the twelve pitch classes C, C#, …, B, whatever the octave.

    Made for music: a voice glides between the keys. Windows are 128 ms long, so that bins are narrow enough.

    Returns:
        (frames, 12) float32, power relative to the strongest class of the frame; silence is 0.
    """
    power = _power(wave, hop_s, N_CHROMA_FFT, N_CHROMA_FFT) @ _chroma_filters()
    strongest = power.max(axis=1, keepdims=True)
    return np.divide(power, strongest, out=np.zeros_like(power), where=strongest > SILENCE)


def rms_level(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Return the root mean square level of each frame: (frames,) float32, dB relative to full scale, from -100."""
    frames = _frames(wave, WINDOW_LENGTH, hop_s)
    return _decibels(np.einsum("fs,fs->f", frames, frames) / WINDOW_LENGTH)


def f0(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Return the pitch of each frame, 62.5 to 615 Hz: (frames,) float32, Hz, NaN where the frame is not voiced.

    Where a multiple or a part of the period was taken for it, which the frames around tell, that is put right.
    """
    return _steady(_voiced_only(*yin(wave, hop_s=hop_s), rms_level(wave, hop_s=hop_s)), hop_s)


def yin(wave: Floats, *, hop_s: float = HOP_S) -> tuple[Floats, Floats]:
    """Find the period after which each frame resembles itself most (YIN, de Cheveigné and Kawahara 2002).

    The difference between a frame and itself some samples later is set in relation to its mean over all shorter
    lags. The pitch is the first dip below `SURE_VOICE`, or the deepest dip where none is that deep.

    Returns:
        Pitch, (frames,) float32, Hz, and aperiodicity, (frames,) float32: 0 repeats itself perfectly, 1 is noise.
    """
    n = LONGEST_PERIOD
    frames = _frames(wave, 2 * n, hop_s)
    spectrum = fft.rfft(frames)
    product = fft.irfft(spectrum * fft.rfft(frames[:, :n], 2 * n).conj())[:, : n + 1]  # of frame and later self
    energy = np.cumsum(np.square(frames, dtype=np.float64), axis=1)
    energy = np.pad(energy, ((0, 0), (1, 0)))
    difference = energy[:, n : n + 1] + energy[:, n:] - energy[:, : n + 1] - 2 * product  # (frames, lags)
    difference = np.maximum(difference[:, 1:], SILENCE)
    relative = difference * np.arange(1, n + 1) / np.cumsum(difference, axis=1)  # column k: a lag of k + 1 samples
    period, aperiodicity = _first_dip(relative)
    return np.float32(SAMPLE_RATE) / period, aperiodicity


def mel_edges(n_mels: int = N_MELS) -> NDArray[np.float64]:
    """Return (n_mels + 2,) Hz; band k reaches from edge k to edge k + 2 and has its peak between, at edge k + 1.

    Up to 1 kHz the bands are equally wide, above each is wider than the one before by the same factor.
    """
    mel = np.linspace(0, 15 + 27 * np.log(SAMPLE_RATE / 2 / 1000) / np.log(6.4), n_mels + 2)  # Slaney's scale
    return np.where(mel < 15, 200 / 3 * mel, 1000 * 6.4 ** ((mel - 15) / 27))


_EDGES = mel_edges(N_BROAD_MELS)
DESCRIPTORS = (
    *(f"mfcc {number}" for number in range(N_MFCC)),
    *(f"mel {low:.0f}-{high:.0f} Hz" for low, high in zip(_EDGES, _EDGES[2:], strict=False)),
    *(f"contrast {low * 31.25:.0f}-{high * 31.25:.0f} Hz" for low, high in pairwise(CONTRAST_BINS)),
    *("level", "centroid", "rolloff", "flux", "zero crossings", "aperiodicity", "pitch"),
)
STATISTICS = ("mean", "std", "low", "high", "trend", "change")
TIMING = ("seconds of speech", "share of pauses", "share of voice", "voiced stretches a second")
MOVEMENTS = (*(f"arc {n}" for n in ARCS), *(f"swings {low}-{high} Hz" for low, high in pairwise(SWINGS)))
QUALITY = ("harmonics to noise: mean", "harmonics to noise: std", "jitter", "shimmer")
VOICING = ("voiced mean", "voiced std", "unvoiced mean", "unvoiced std")
FUNCTIONAL_NAMES = (
    *(f"{name}: {statistic}" for name in DESCRIPTORS for statistic in STATISTICS),
    *(f"{name}: {movement}" for name in DESCRIPTORS for movement in MOVEMENTS),
    *(f"{name}: {part}" for part in VOICING for name in DESCRIPTORS[:-1]),  # all but pitch, which is always voiced
    *(*QUALITY, *TIMING),
)
CLASSICAL_NAMES = (
    *("amplitude mean", "amplitude std", "level mean", "level std", "share of silence"),
    *("share of harmonics", "autocorrelation max", "autocorrelation std"),
)


def descriptors(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Describe each frame by the quantities that `DESCRIPTORS` names.

    MFCCs, mel bands, level and spectral contrast (peaks above valleys) in dB, centroid and rolloff in Hz, flux (mean
    difference of the mel bands from the frame before) in dB, zero crossings and aperiodicity as shares from 0 to 1,
    pitch in semitones above 100 Hz, NaN where the frame is not voiced.

    Returns:
        (frames, len(DESCRIPTORS)) float32.
    """
    power = _power(wave, hop_s)
    mels = _decibels(power @ _mel_filters(N_MELS))
    total = power.sum(axis=1, keepdims=True) + np.float32(SILENCE)
    level, (pitch, aperiodicity) = rms_level(wave, hop_s=hop_s), yin(wave, hop_s=hop_s)
    hertz = fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE).astype(np.float32)
    columns = [
        fft.dct(mels, norm="ortho", axis=1)[:, :N_MFCC],
        _decibels(power @ _mel_filters(N_BROAD_MELS)),
        _contrast(_decibels(power)),
        level,
        (power @ hertz) / total[:, 0],
        hertz[(np.cumsum(power, axis=1) < ROLLOFF_SHARE * total).sum(axis=1).clip(max=N_FFT // 2)],
        np.abs(np.diff(mels, axis=0, prepend=mels[:1])).mean(axis=1),
        np.diff(np.signbit(_frames(wave, WINDOW_LENGTH, hop_s)), axis=1).mean(axis=1),
        aperiodicity,
        12 * np.log2(_steady(_voiced_only(pitch, aperiodicity, level), hop_s) / PITCH_REFERENCE),
    ]
    return np.column_stack(columns).astype(np.float32)


def functionals(wave: Floats) -> Floats:
    """Sum up an utterance in the numbers that `FUNCTIONAL_NAMES` names, whatever its length.

    Each descriptor gives its mean, standard deviation, 10 % and 90 % quantiles (low, high), the rise of the straight
    line through it from beginning to end (trend), and the mean step from frame to frame (change). They are taken
    over the frames with speech: at most 30 dB below the loudest. Pitch, in semitones above 100 Hz, is taken over the
    voiced ones among them; where nothing is voiced, its statistics are 0 and so is the share of voice. Mean and
    deviation are also taken over the voiced and the unvoiced ones apart (over all, where there are none): vowels and
    hisses differ more from each other than one emotion from the next.

    How each descriptor moves from the first frame with speech to the last, pauses included, is told by its arcs (the
    amplitude of 2, 3, … half waves over the utterance: 2 is a valley, or a hill if negative) and its swings (the
    power of its ups and downs in ranges of speed, dB). Of the voice itself: harmonics to noise in dB, jitter (how far
    a period is from the mean of those 10 ms before and after, in per cent) and shimmer (the same of the level, dB).

    Returns:
        (len(FUNCTIONAL_NAMES),) float32.
    """
    frames = descriptors(wave)
    level, pitch = frames[:, DESCRIPTORS.index("level")], frames[:, -1]
    speech = level > level.max() - SPEECH_RANGE_DB
    voiced = speech & ~np.isnan(pitch)
    places = np.flatnonzero(voiced) if voiced.any() else np.zeros(1, np.intp)
    semitones = pitch[voiced] if voiced.any() else np.zeros(1, np.float32)
    first, last = np.flatnonzero(speech)[[0, -1]]
    tracks = np.maximum(frames, frames[speech].min(axis=0))  # however silent, a pause is no deeper than soft speech
    tracks[:, -1] = np.interp(np.arange(len(tracks)), places, semitones)
    seconds = (last + 1 - first) * HOP_S
    n_stretches = np.count_nonzero(np.diff(voiced.astype(np.int8), prepend=0) == 1)
    timing = [seconds, 1 - speech[first : last + 1].mean(), voiced.sum() / speech.sum(), n_stretches / seconds]
    parts = [_statistics(frames[speech, :-1]), _statistics(semitones[:, None]), _movements(tracks[first : last + 1])]
    for some in (voiced, speech & ~voiced):
        apart = frames[some if some.any() else speech, :-1]
        parts += [apart.mean(axis=0), apart.std(axis=0)]
    return np.concatenate([*parts, _quality(frames, voiced), timing]).astype(np.float32)


def classical8(wave: Floats) -> Floats:
    """Sum up an utterance in the eight numbers of early light-model work, named by `CLASSICAL_NAMES`.

    Amplitudes and levels are linear, full scale is 1. Silence: frames with less than 0.4 of the mean level.
    Harmonics: the share of the power that lasts in time rather than spreads over the bands at once. The
    autocorrelation, per sample and times 1,000, is that of the wave with its small values clipped away.

    Returns:
        (8,) float32.
    """
    level = np.float32(10) ** (rms_level(wave) / 20)
    size = np.abs(wave).mean()
    clipped = np.sign(wave) * np.maximum(np.abs(wave) - CLIP_SHARE * size, 0)
    n_fft = fft.next_fast_len(2 * len(wave), real=True)  # room for every lag
    spectrum = fft.rfft(clipped, n_fft)
    autocorrelation = 1000 * fft.irfft(spectrum * spectrum.conj(), n_fft)[: len(wave)] / len(wave)
    silence = float((level < SILENCE_SHARE * level.mean()).mean())
    correlation = (autocorrelation.max(), autocorrelation.std())
    return np.array([size, wave.std(), level.mean(), level.std(), silence, _harmonic(wave), *correlation], np.float32)


def _voiced_only(pitch: Floats, aperiodicity: Floats, level: Floats) -> Floats:
    """Put NaN in place of the pitch of frames that do not repeat themselves or are far below the loudest."""
    voiced = (aperiodicity < MAX_APERIODICITY) & (level > level.max() - VOICE_RANGE_DB)
    return np.where(voiced, pitch, np.float32(np.nan))


def _steady(pitch: Floats, hop_s: float) -> Floats:
    """Divide the pitch of voiced frames by 2, 3, …, or multiply, to bring it near that of the frames around."""
    steady, voiced = pitch.copy(), np.flatnonzero(~np.isnan(pitch))
    around = median_filter(pitch[voiced], 2 * round(STEADY_S / hop_s / 2) + 1, mode="nearest")
    times = pitch[voiced] / around
    steady[voiced] /= np.where(times > 1, np.round(times), 1 / np.maximum(np.round(1 / times), 1))
    return steady


def _statistics(values: Floats) -> Floats:
    """Turn (frames, n) into (n * len(STATISTICS),), the statistics of a column beside each other."""
    time = np.linspace(-1, 1, len(values)) if len(values) > 1 else np.zeros(1)
    low, high = np.quantile(values, (0.1, 0.9), axis=0)
    trend = 2 * time @ values / max(float(time @ time), 1.0)
    change = np.abs(np.diff(values, axis=0)).sum(axis=0) / max(len(values) - 1, 1)
    return np.column_stack([values.mean(axis=0), values.std(axis=0), low, high, trend, change]).ravel()


def _movements(tracks: Floats) -> Floats:
    """Turn (frames, n) into (n * len(MOVEMENTS),), the movements of a column beside each other."""
    n = len(tracks)
    arcs = 2 / n * np.cos(np.pi * np.outer(ARCS, np.arange(n) + 0.5) / n) @ tracks
    n_fft = fft.next_fast_len(max(n, N_SWING_FFT), real=True)
    power = np.abs(fft.rfft(tracks - tracks.mean(axis=0), n_fft, axis=0)) ** 2 / n
    edges = np.searchsorted(fft.rfftfreq(n_fft, HOP_S), SWINGS)
    swings = np.add.reduceat(power[: edges[-1]], edges[:-1]) / np.diff(edges)[:, None]
    return np.vstack([arcs, 10 * np.log10(swings + SMALLEST_SWING)]).T.ravel()


def _quality(frames: Floats, voiced: NDArray[np.bool_]) -> Floats:
    """Return the numbers that `QUALITY` names, 0 where there is too little voice."""
    if not voiced.any():
        return np.zeros(len(QUALITY), np.float32)
    noise = frames[voiced, DESCRIPTORS.index("aperiodicity")].clip(SMALLEST_APERIODICITY, 1 - SMALLEST_APERIODICITY)
    harmonics = 10 * np.log10((1 - noise) / noise)
    jitter = 100 * np.log(2) / 12 * _unsteadiness(frames[:, -1], voiced)  # semitones to per cent of the period
    shimmer = _unsteadiness(frames[:, DESCRIPTORS.index("level")], voiced)
    return np.array([harmonics.mean(), harmonics.std(), jitter, shimmer], np.float32)


def _unsteadiness(track: Floats, known: NDArray[np.bool_]) -> float:
    """Return how far a value of (frames,) is from the mean of its two neighbours, where all three are known."""
    away = np.abs((track[:-2] + track[2:]) / 2 - track[1:-1])[known[:-2] & known[1:-1] & known[2:]]
    return float(away.mean()) if len(away) else 0.0


def _contrast(decibels: Floats) -> Floats:
    """Return how far the peaks of each range of bins stand above its valleys: (frames, ranges), dB."""
    contrasts = []
    for begin, end in pairwise(CONTRAST_BINS):
        ordered, n = np.sort(decibels[:, begin:end], axis=1), max(1, (end - begin) // 5)  # the fifth at either end
        contrasts.append(ordered[:, -n:].mean(axis=1) - ordered[:, :n].mean(axis=1))
    return np.column_stack(contrasts)


def _harmonic(wave: Floats) -> float:
    """Return the share of the power in tones: what a median over time keeps, and one over bands does not."""
    power = _power(wave, MEDIAN_HOP_S) @ _mel_filters(N_MELS)
    lasting, spread = median_filter(power, (N_MEDIAN, 1)), median_filter(power, (1, N_MEDIAN))
    return float(power[lasting > spread].sum() / (power.sum() + SILENCE))


def _first_dip(relative: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Return the period (samples, by a parabola between whole lags) and the depth of the dip that is the pitch."""
    before, here, after = relative[:, :-2], relative[:, 1:-1], relative[:, 2:]  # column k of here: a lag of k + 2
    here, before, after = (part[:, SHORTEST_PERIOD - 2 :] for part in (here, before, after))
    dips = (here < SURE_VOICE) & (here <= before) & (here < after)
    lag = np.where(dips.any(axis=1), dips.argmax(axis=1), here.argmin(axis=1))[:, None]
    left, depth, right = (np.take_along_axis(part, lag, axis=1)[:, 0] for part in (before, here, after))
    curvature = left + right - 2 * depth
    shift = np.divide(left - right, 2 * curvature, out=np.zeros_like(depth), where=curvature > 0)
    return (lag[:, 0] + SHORTEST_PERIOD + np.clip(shift, -1, 1)).astype(np.float32), depth.astype(np.float32)


def _frames(wave: Floats, length: int, hop_s: float) -> Floats:
    """Cut a wave into (frames, length) centred frames that overlap."""
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(
            f"wave has shape {wave.shape}; expected (samples,) with at least one sample. "
            "Read the file with emolab.media.read_audio, which mixes channels down."
        )
    padded = np.pad(np.asarray(wave, np.float32), length // 2)
    return sliding_window_view(padded, length)[: len(wave) + 1 : max(1, round(hop_s * SAMPLE_RATE))]


def _power(wave: Floats, hop_s: float, length: int = WINDOW_LENGTH, n_fft: int = N_FFT) -> Floats:
    """Return the power spectrum of each frame: (frames, n_fft // 2 + 1) float32."""
    spectrum = fft.rfft(_frames(wave, length, hop_s) * _hann(length), n_fft, axis=1)
    return spectrum.real**2 + spectrum.imag**2


def _decibels(power: Floats) -> Floats:
    return np.float32(10) * np.log10(np.maximum(power, np.float32(SILENCE)))


@lru_cache
def _hann(length: int) -> Floats:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


@lru_cache
def _mel_filters(n_mels: int) -> Floats:
    """Return (N_FFT // 2 + 1, n_mels) weights that sum the bins of a power spectrum into mel bands.

    Each band is a triangle over its edges whose height makes its area 1.
    """
    low, peak, high = (mel_edges(n_mels)[k : k + n_mels] for k in range(3))
    hertz = fft.rfftfreq(N_FFT, 1 / SAMPLE_RATE)[:, None]
    triangles = np.minimum((hertz - low) / (peak - low), (high - hertz) / (high - peak)).clip(min=0)
    if not (triangles > 0).any(axis=0).all():
        raise ValueError(f"n_mels={n_mels} leaves bands without a bin; expected at most 192. Take fewer bands.")
    return (triangles * 2 / (high - low)).astype(np.float32)


@lru_cache
def _chroma_filters() -> Floats:
    """Return (N_CHROMA_FFT // 2 + 1, 12) weights that sum the bins of a power spectrum into pitch classes.

    A bin counts for the classes around its own, the wider the fewer bins a semitone has down there, and most around
    880 Hz, after Ellis 2007.
    """
    hertz = np.arange(1, N_CHROMA_FFT) * SAMPLE_RATE / N_CHROMA_FFT
    key = N_CHROMA * np.log2(hertz / LOWEST_C)  # semitones above the lowest C
    key = np.concatenate([key[:1] - 1.5 * N_CHROMA, key])  # 0 Hz has no pitch; it is put far below
    width = np.maximum(np.diff(key, append=key[-1] + 1), 1)[:, None]  # semitones from bin to bin
    away = (key[:, None] - np.arange(N_CHROMA) + N_CHROMA / 2) % N_CHROMA - N_CHROMA / 2
    weights = np.exp(-2 * (away / width) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    octave = (key + 12 * np.log2(LOWEST_C / 27.5)) / N_CHROMA
    weights *= np.exp(-(((octave - CHROMA_CENTRE) / CHROMA_WIDTH) ** 2) / 2)[:, None]
    return weights[: N_CHROMA_FFT // 2 + 1].astype(np.float32)
