"""Audio features on librosa: mel bands, MFCCs, pitch classes, fundamental frequency, level, and functionals of them.

Every function takes a wave of (samples,) float32, mono, 16 kHz, full scale 1, as `emolab.media.read_audio` gives it,
and puts time first. Frames are centred on 0, hop_s, 2 hop_s, … seconds and the wave is padded with silence at both
ends, so that one sample is enough for one frame. Silence gives finite numbers.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, ClassVar

import librosa  # loads what it consists of only when that is used
import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import median_filter

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.features.base import SETTINGS, Scaled, cached_features, source_digest
from emolab.media import SAMPLE_RATE

Floats = NDArray[np.float32]

WINDOW_LENGTH = SAMPLE_RATE * 25 // 1000  # 400 samples, 25 ms
HOP_S = 0.010  # seconds between two frames
N_FFT = 512  # points; a window is padded to it: bins 31 Hz apart
N_MELS, N_MFCC = 64, 20
SILENCE = 1e-10  # power; anything below counts as silence, -100 dB
SET = SimpleNamespace(**SETTINGS["audio"])  # all other numbers, and names

STATISTICS, VOICING, QUALITY, TIMING = SET.statistics, SET.voicing, SET.quality, SET.timing
CLASSICAL_NAMES = SET.classical
DESCRIPTORS = [f"mfcc {number}" for number in range(N_MFCC)]
DESCRIPTORS += [f"mel {low}-{high} Hz" for low, high in zip(SET.broad_mels, SET.broad_mels[2:], strict=False)]
DESCRIPTORS += [*(f"contrast {low}-{high} Hz" for low, high in pairwise(SET.contrasts)), *SET.others]
MOVEMENTS = [f"dct {n}" for n in SET.coefficients] + [f"modulation {a}-{b} Hz" for a, b in pairwise(SET.modulations)]
FUNCTIONAL_NAMES = [f"{name}: {how}" for own in (STATISTICS, MOVEMENTS) for name in DESCRIPTORS for how in own]
FUNCTIONAL_NAMES += [f"{name}: {how}" for how in VOICING for name in DESCRIPTORS[:-1]]  # pitch is always voiced
FUNCTIONAL_NAMES += [*QUALITY, *TIMING]


def log_mel(wave: Floats, *, n_mels: int = N_MELS, hop_s: float = HOP_S) -> Floats:
    """Measure how much sound there is in each mel band, frame by frame.

    Args:
        wave: (samples,) float32, mono, 16 kHz, full scale is 1.
        n_mels: Number of bands from 0 Hz to 8 kHz, at most 192.
        hop_s: Seconds from frame to frame.

    Returns:
        (frames, n_mels) float32, dB relative to a power of 1; silence is -100 dB.

    Raises:
        ValueError: If the wave is not mono or empty, or there are more bands.
    """
    if n_mels > SET.max_mels:
        raise ValueError(f"n_mels={n_mels} leaves bands without a bin; expected at most {SET.max_mels}. Take fewer.")
    return _decibels(librosa.feature.melspectrogram(S=_power(wave, hop_s), sr=SAMPLE_RATE, n_mels=n_mels)).T


def mfcc(wave: Floats, *, n_mfcc: int = N_MFCC, n_mels: int = N_MELS, hop_s: float = HOP_S) -> Floats:
    """Describe the shape of each frame's spectrum by mel-frequency cepstral coefficients.

    They are a cosine transform of the log-mel frame: the first is the level, the next the tilt, the last ones the
    fine shape. Neighbouring bands rise and fall together; the coefficients much less so.

    Returns:
        (frames, n_mfcc) float32, dB.
    """
    return librosa.feature.mfcc(S=log_mel(wave, n_mels=n_mels, hop_s=hop_s).T, n_mfcc=n_mfcc).T


def chroma(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Measure how much sound there is in each of the twelve pitch classes C, C#, …, B, whatever the octave.

    Made for music: a voice glides between the keys. Windows are 128 ms long, so that bins are narrow enough.

    Returns:
        (frames, 12) float32, power relative to the strongest class of the frame; silence is 0.
    """
    power = _power(wave, hop_s, SET.n_chroma_fft, SET.n_chroma_fft)
    return librosa.feature.chroma_stft(S=power, sr=SAMPLE_RATE, tuning=0.0).T.astype(np.float32)


def rms_level(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Return the root mean square level of each frame: (frames,) float32, dB relative to full scale, from -100."""
    rms = librosa.feature.rms(y=_mono(wave), frame_length=WINDOW_LENGTH, hop_length=_hop(hop_s))
    return _decibels(np.square(rms[0]))


def f0(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Return the fundamental frequency of each frame: (frames,) float32, 62.5 to 615 Hz, NaN where it is unvoiced.

    Octave errors, which the frames around tell, are corrected.
    """
    return _voiced_f0(*yin(wave, hop_s=hop_s), rms_level(wave, hop_s=hop_s), hop_s)


def yin(wave: Floats, *, hop_s: float = HOP_S) -> tuple[Floats, Floats]:
    """Find the period after which each frame resembles itself most (YIN, de Cheveigné and Kawahara 2002).

    The difference between a frame and itself some samples later is set in relation to its mean over all shorter
    lags. The period is at the first dip below `sure_voice`, or the deepest dip where none is that deep. `librosa.yin`
    keeps the depth, by which voicing is told, to itself; `librosa.pyin` tells voicing and takes 150 times as long.

    Returns:
        f0, (frames,) float32, Hz, and aperiodicity, (frames,) float32: 0 is perfectly periodic, 1 is noise.
    """
    n, shortest = SET.longest_period, SET.shortest_period
    frames = librosa.util.frame(np.pad(_mono(wave), n), frame_length=2 * n, hop_length=_hop(hop_s), axis=0)
    product = fft.irfft(fft.rfft(frames) * fft.rfft(frames[:, :n], 2 * n).conj())[:, : n + 1]  # of frame and lagged
    energy = np.pad(np.cumsum(np.square(frames, dtype=np.float64), axis=1), ((0, 0), (1, 0)))
    difference = energy[:, n : n + 1] + energy[:, n:] - energy[:, : n + 1] - 2 * product  # (frames, lags)
    difference = np.maximum(difference[:, 1:], SILENCE)
    relative = difference * np.arange(1, n + 1) / np.cumsum(difference, axis=1)  # column k: a lag of k + 1 samples
    before, here, after = (relative[:, shortest - 2 + k : n - 2 + k] for k in range(3))
    dips = (here < SET.sure_voice) & (here <= before) & (here < after)
    lag = np.where(dips.any(axis=1), dips.argmax(axis=1), here.argmin(axis=1))[:, None]
    left, depth, right = (np.take_along_axis(each, lag, axis=1)[:, 0] for each in (before, here, after))
    curvature = left + right - 2 * depth  # of a parabola between whole lags
    shift = np.divide(left - right, 2 * curvature, out=np.zeros_like(depth), where=curvature > 0)
    period = lag[:, 0] + shortest + np.clip(shift, -1, 1)
    return (SAMPLE_RATE / period).astype(np.float32), depth.astype(np.float32)


def zero_crossing_rate(wave: Floats, *, hop_s: float = HOP_S) -> Floats:
    """Return how often the wave changes its sign: (frames,) float32, changes a sample, from 0 to 1.

    librosa.feature.zero_crossing_rate gives the same, but compiles at its first call, which has crashed Python
    (librosa 0.11, numba 0.68).
    """
    padded = np.pad(_mono(wave), WINDOW_LENGTH // 2, mode="edge")
    frames = librosa.util.frame(padded, frame_length=WINDOW_LENGTH, hop_length=_hop(hop_s), axis=0)
    negative = np.signbit(np.where(np.abs(frames) <= SILENCE, 0, frames))
    return (np.diff(negative, axis=1).sum(axis=1) / WINDOW_LENGTH).astype(np.float32)


def descriptors(wave: Floats) -> Floats:
    """Compute the low-level descriptors of each frame, those that `DESCRIPTORS` names.

    MFCCs, mel bands, level and spectral contrast (peaks above valleys) in dB, centroid and rolloff in Hz, flux (mean
    difference of the mel bands from the frame before) in dB, zero crossings and aperiodicity as shares from 0 to 1,
    pitch in semitones above 100 Hz, NaN where the frame is unvoiced.

    Returns:
        (frames, len(DESCRIPTORS)) float32.
    """
    spectral, power, sr = librosa.feature, _power(wave, HOP_S), SAMPLE_RATE
    mels = _decibels(spectral.melspectrogram(S=power, sr=sr, n_mels=N_MELS))
    level, (pitch, aperiodicity) = rms_level(wave), yin(wave)
    rows = [
        spectral.mfcc(S=mels, n_mfcc=N_MFCC),
        _decibels(spectral.melspectrogram(S=power, sr=sr, n_mels=len(SET.broad_mels) - 2)),
        spectral.spectral_contrast(S=power, sr=sr, n_bands=len(SET.contrasts) - 2, quantile=SET.contrast_share),
        level,
        spectral.spectral_centroid(S=power, sr=sr),
        spectral.spectral_rolloff(S=power, sr=sr, roll_percent=SET.rolloff_share),
        np.abs(np.diff(mels, prepend=mels[:, :1])).mean(axis=0),
        zero_crossing_rate(wave),
        aperiodicity,
        12 * np.log2(_voiced_f0(pitch, aperiodicity, level, HOP_S) / SET.pitch_reference),
    ]
    return np.vstack(rows).T.astype(np.float32)


def functionals(wave: Floats) -> Floats:
    """Summarise an utterance in the numbers that `FUNCTIONAL_NAMES` names, whatever its length.

    Each descriptor gives its mean, standard deviation, 10 % and 90 % quantiles (low, high), the slope of the straight
    line through it from beginning to end (trend), and the mean step from frame to frame (change). They are taken
    over the frames with speech: at most 30 dB below the loudest. Pitch, in semitones above 100 Hz, is taken over the
    voiced ones among them; where nothing is voiced, its functionals are 0 and so is the share of voice. Mean and
    deviation are also taken over the voiced and the unvoiced ones apart (over all, where there are none): vowels and
    fricatives differ more from each other than one emotion from the next.

    The contour of each descriptor from the first frame with speech to the last, pauses included, gives its DCT
    coefficients (the amplitude of 2, 3, … half waves over the utterance: 2 is a valley, or a hill if negative) and its
    modulation energy in ranges of frequency, dB. Of the voice itself: harmonics to noise in dB, jitter (how far a
    period is from the mean of those 10 ms before and after, in per cent) and shimmer (the same of the level, dB).

    Returns:
        (len(FUNCTIONAL_NAMES),) float32.
    """
    frames = descriptors(wave)
    level, pitch = frames[:, DESCRIPTORS.index("level")], frames[:, -1]
    speech = level > level.max() - SET.speech_range_db
    voiced = speech & ~np.isnan(pitch)
    places = np.flatnonzero(voiced) if voiced.any() else np.zeros(1, np.intp)
    semitones = pitch[voiced] if voiced.any() else np.zeros(1, np.float32)
    first, last = np.flatnonzero(speech)[[0, -1]]
    contours = np.maximum(frames, frames[speech].min(axis=0))  # however silent, a pause is no deeper than soft speech
    contours[:, -1] = np.interp(np.arange(len(contours)), places, semitones)
    seconds = (last + 1 - first) * HOP_S
    n_stretches = np.count_nonzero(np.diff(voiced.astype(np.int8), prepend=0) == 1)
    timing = [seconds, 1 - speech[first : last + 1].mean(), voiced.sum() / speech.sum(), n_stretches / seconds]
    apart = [frames[some if some.any() else speech, :-1] for some in (voiced, speech & ~voiced)]
    moments = [moment for some in apart for moment in (some.mean(axis=0), some.std(axis=0))]
    statistics = [_statistics(frames[speech, :-1]), _statistics(semitones[:, None])]
    movements = _movements(contours[first : last + 1])
    return np.concatenate([*statistics, movements, *moments, _quality(frames, voiced), timing]).astype(np.float32)


def classical8(wave: Floats) -> Floats:
    """Summarise an utterance in the eight numbers of early light-model work, named by `CLASSICAL_NAMES`.

    Amplitudes and levels are linear, full scale is 1. Silence: frames with less than 0.4 of the mean level.
    Harmonics: the share of the power that lasts in time rather than spreads over the bands at once (Fitzgerald 2010).
    The autocorrelation, per sample and times 1,000, is that of the wave with its small values clipped away.

    Returns:
        (8,) float32.
    """
    level = np.float32(10) ** (rms_level(wave) / 20)
    size = np.abs(wave).mean()
    clipped = np.sign(wave) * np.maximum(np.abs(wave) - SET.clip_share * size, 0)
    correlation = 1000 * librosa.autocorrelate(clipped) / len(wave)
    power = librosa.feature.melspectrogram(S=_power(wave, SET.median_hop_s), sr=SAMPLE_RATE, n_mels=N_MELS)
    mask = librosa.decompose.hpss(power, kernel_size=SET.n_median, power=np.inf, mask=True)[0]
    harmonics = (power * mask).sum() / (power.sum() + SILENCE)
    levels = (level.mean(), level.std(), (level < SET.silence_share * level.mean()).mean())
    return np.array([size, wave.std(), *levels, harmonics, correlation.max(), correlation.std()], np.float32)


def egemaps(wave: Floats) -> Floats:
    """Return openSMILE's 88 eGeMAPS functionals of an utterance, (88,) float32 (Eyben et al. 2016).

    Raises:
        ModuleNotFoundError: If opensmile is not installed.
        ValueError: If the wave is too short.
    """
    values = _smile().process_signal(wave, SAMPLE_RATE).to_numpy(np.float32)[0]
    if not np.isfinite(values).all():
        raise ValueError(f"the sound lasts {len(wave) / SAMPLE_RATE:.3f} s, too short for openSMILE.")
    return values


def audio_features(
    function: Callable[..., Any], paths: Sequence[Any], *, speed: float = 1.0, key: str = "", **options: float
) -> list[Any]:
    """Return `function(wave, **options)` of each sound file, computed once and then taken from the cache.

    Args:
        function: One of this module.
        paths: Sound files, or films whose sound is read, or `InMemoryMedia`.
        speed: How fast the sound is played: 1.08 is shorter and higher by 8 %.
        key: What else the result depends on, such as the version of a library.
        options: What the function takes beside the wave, such as `n_mels=40` or `hop_s=0.02`.

    Raises:
        ValueError: If files cannot be read; all of them are named.
        FileNotFoundError: If files are missing; they are named.
    """
    facts = [source_digest(__file__, media.__file__), key, speed, sorted(options.items())]

    def compute(path: Any) -> Floats:
        return function(media.read_audio(path, sample_rate=round(SAMPLE_RATE / speed)), **options)

    return cached_features(function.__name__, paths, compute, version=str(facts))


class _Audio(Scaled):
    """Audio features of a function of this module, scaled."""

    modality = "audio"
    function: ClassVar[Callable[..., Floats]]
    options: Mapping[str, Any] = {}

    def raw(self, corpus: Corpus, speed: float = 1.0) -> list[Floats]:
        """Return the features of each utterance before scaling, from the cache where they are there."""
        return audio_features(type(self).function, corpus.audio_paths(), speed=speed, **self.options)


class LogMel(_Audio):
    """Log-mel spectrograms, (frames, n_mels) float32 an utterance, scaled; see `log_mel`."""

    function = staticmethod(log_mel)

    def __init__(self, n_mels: int = N_MELS, hop_s: float = HOP_S) -> None:
        self.hop_s, self.options = hop_s, {"n_mels": n_mels, "hop_s": hop_s}


class Mfcc(_Audio):
    """Mel-frequency cepstral coefficients, (frames, n_mfcc) float32 an utterance, scaled; see `mfcc`."""

    function = staticmethod(mfcc)

    def __init__(self, n_mfcc: int = N_MFCC, hop_s: float = HOP_S) -> None:
        self.hop_s, self.options = hop_s, {"n_mfcc": n_mfcc, "hop_s": hop_s}


class Chroma(_Audio):
    """Pitch classes, (frames, 12) float32 an utterance, scaled; see `chroma`."""

    function = staticmethod(chroma)

    def __init__(self, hop_s: float = HOP_S) -> None:
        self.hop_s, self.options = hop_s, {"hop_s": hop_s}


class AtSpeeds(Scaled):
    """Rows of features, scaled, of which training also takes each utterance at other `speeds`."""

    is_matrix = True
    speeds: Sequence[float] = ()

    raw: Callable[..., Any]  # of a corpus and a speed: (n_features,) for each utterance, before scaling

    def fit(self, corpus: Corpus) -> None:
        """Learn mean and deviation of each feature, over all speeds."""
        self.fit_scale([array for speed in (1.0, *self.speeds) for array in self.raw(corpus, speed)])

    def training_copies(self, corpus: Corpus) -> list[Floats]:
        """Return (n_utterances, n_features) float32, scaled, for each speed, the ordinary one first."""
        return [self.scale(np.stack(self.raw(corpus, speed))) for speed in (1.0, *self.speeds)]


class Functionals(_Audio, AtSpeeds):
    """The functionals of an utterance, (n_utterances, n_features) float32, scaled; see `functionals`.

    Args:
        speeds: Training also takes every utterance at these speeds, as from other bodies: 1.08 is 8 % faster and
            higher. Source: Ko et al. 2015, audio augmentation for speech recognition.
    """

    function = staticmethod(functionals)
    feature_names: Sequence[str] = FUNCTIONAL_NAMES

    def __init__(self, speeds: Sequence[float] = ()) -> None:
        self.speeds = tuple(speeds)


class Classical8(Functionals):
    """Eight classical features of an utterance, (n_utterances, 8) float32, scaled; see `classical8`."""

    function = staticmethod(classical8)
    feature_names: Sequence[str] = CLASSICAL_NAMES


class Egemaps(Functionals):
    """The 88 eGeMAPS functionals of an utterance, (n_utterances, 88) float32, scaled; see `egemaps`."""

    function = staticmethod(egemaps)

    def raw(self, corpus: Corpus, speed: float = 1.0) -> list[Floats]:
        """Return (88,) float32 for each utterance, from the cache where they are there.

        Raises:
            ModuleNotFoundError: If opensmile is not installed.
            ValueError: If utterances are too short; they are named.
        """
        _smile()  # tells at once where it is missing
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it fills with NaN; `egemaps` raises
            return audio_features(egemaps, corpus.audio_paths(), speed=speed, key=version("opensmile"))

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """Name the columns as openSMILE does."""
        return list(_smile().feature_names)


@lru_cache
def _smile() -> Any:
    try:
        import opensmile
    except ModuleNotFoundError as error:
        why = "opensmile is not installed; where your purpose is non-commercial, as its licence demands, get it with"
        raise ModuleNotFoundError(f'{why} pip install "emolab[egemaps]", or take audio/svm.') from error
    return opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)


def _mono(wave: Floats) -> Floats:
    if wave.ndim != 1 or wave.size == 0:
        raise ValueError(f"wave has shape {wave.shape}; expected (samples,), mono. Read the file by media.read_audio.")
    return np.asarray(wave, np.float32)


def _hop(hop_s: float) -> int:
    return max(1, round(hop_s * SAMPLE_RATE))


def _power(wave: Floats, hop_s: float, length: int = WINDOW_LENGTH, n_fft: int = N_FFT) -> Floats:
    """Return the power spectrum of each frame in librosa's order, (n_fft // 2 + 1, frames) float32."""
    filled = np.pad(_mono(wave), (0, max(0, n_fft - len(wave))))  # librosa warns of less than a window
    spectrum = librosa.stft(filled, n_fft=n_fft, hop_length=_hop(hop_s), win_length=length)
    return librosa.util.abs2(spectrum[:, : 1 + len(wave) // _hop(hop_s)])


def _decibels(power: Floats) -> Floats:
    return librosa.power_to_db(power, ref=1.0, amin=SILENCE, top_db=None)


def _voiced_f0(pitch: Floats, aperiodicity: Floats, level: Floats, hop_s: float) -> Floats:
    """Put NaN in place of the f0 of frames that are aperiodic or far below the loudest, and correct the others."""
    voiced = (aperiodicity < SET.max_aperiodicity) & (level > level.max() - SET.voice_range_db)
    return _without_octave_errors(np.where(voiced, pitch, np.float32(np.nan)), hop_s)


def _without_octave_errors(pitch: Floats, hop_s: float) -> Floats:
    """Divide the f0 of voiced frames by 2, 3, …, or multiply, to bring it near that of the frames around."""
    steady, voiced = pitch.copy(), np.flatnonzero(~np.isnan(pitch))
    around = median_filter(pitch[voiced], 2 * round(SET.steady_s / hop_s / 2) + 1, mode="nearest")
    times = pitch[voiced] / around
    steady[voiced] /= np.where(times > 1, np.round(times), 1 / np.maximum(np.round(1 / times), 1))
    return steady


def _statistics(values: Floats) -> Floats:
    """Turn (frames, n) into (n * len(STATISTICS),), the statistics of a column next to each other."""
    time = np.linspace(-1, 1, len(values)) if len(values) > 1 else np.zeros(1)
    low, high = np.quantile(values, (0.1, 0.9), axis=0)
    trend = 2 * time @ values / max(float(time @ time), 1.0)
    change = np.abs(np.diff(values, axis=0)).sum(axis=0) / max(len(values) - 1, 1)
    return np.column_stack([values.mean(axis=0), values.std(axis=0), low, high, trend, change]).ravel()


def _movements(contours: Floats) -> Floats:
    """Turn (frames, n) into (n * len(MOVEMENTS),), the movements of a column next to each other."""
    n = len(contours)
    coefficients = 2 / n * np.cos(np.pi * np.outer(SET.coefficients, np.arange(n) + 0.5) / n) @ contours
    n_fft = fft.next_fast_len(max(n, SET.n_modulation_fft), real=True)
    power = np.abs(fft.rfft(contours - contours.mean(axis=0), n_fft, axis=0)) ** 2 / n
    edges = np.searchsorted(fft.rfftfreq(n_fft, HOP_S), SET.modulations)
    energy = np.add.reduceat(power[: edges[-1]], edges[:-1]) / np.diff(edges)[:, None]
    return np.vstack([coefficients, 10 * np.log10(energy + SET.smallest_modulation)]).T.ravel()


def _quality(frames: Floats, voiced: NDArray[np.bool_]) -> Floats:
    """Return the numbers that `QUALITY` names, 0 where there is too little voice."""
    if not voiced.any():
        return np.zeros(len(QUALITY), np.float32)
    least = SET.smallest_aperiodicity
    noise = frames[voiced, DESCRIPTORS.index("aperiodicity")].clip(least, 1 - least)
    harmonics = 10 * np.log10((1 - noise) / noise)
    jitter = 100 * np.log(2) / 12 * _unsteadiness(frames[:, -1], voiced)  # semitones to per cent of the period
    shimmer = _unsteadiness(frames[:, DESCRIPTORS.index("level")], voiced)
    return np.array([harmonics.mean(), harmonics.std(), jitter, shimmer], np.float32)


def _unsteadiness(contour: Floats, known: NDArray[np.bool_]) -> float:
    """Return how far a value of (frames,) is from the mean of its two neighbours, where all three are known."""
    away = np.abs((contour[:-2] + contour[2:]) / 2 - contour[1:-1])[known[:-2] & known[1:-1] & known[2:]]
    return float(away.mean()) if len(away) else 0.0
