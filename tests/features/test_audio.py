from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emolab import media
from emolab.corpora import Corpus
from emolab.explain.maskers import masker_for
from emolab.features import audio
from emolab.features.audio import (
    CLASSICAL_NAMES,
    DESCRIPTORS,
    FUNCTIONAL_NAMES,
    WINDOW_LENGTH,
    Chroma,
    Classical8,
    Egemaps,
    Functionals,
    LogMel,
    Mfcc,
    audio_features,
    chroma,
    classical8,
    descriptors,
    f0,
    functionals,
    log_mel,
    mfcc,
    rms_level,
    zero_crossing_rate,
)
from emolab.media import SAMPLE_RATE
from emolab.recipes import recipe
from emolab.splits import folds_of
from tests.voices import FOUR, own

ALL = (log_mel, mfcc, chroma, f0, rms_level, descriptors, functionals, classical8)


def voice(hertz: float, *, seconds: float = 0.5, amplitude: float = 0.1) -> np.ndarray:
    """A buzz of ten harmonics, each weaker than the one before."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * time) / k for k in range(1, 11) if hertz * k < SAMPLE_RATE / 2)
    return (amplitude * np.asarray(wave)).astype(np.float32)


def noise(seconds: float = 0.5, amplitude: float = 0.1) -> np.ndarray:
    return np.random.default_rng(7).normal(0, amplitude, round(seconds * SAMPLE_RATE)).astype(np.float32)


def functional(wave: np.ndarray, name: str) -> float:
    return float(functionals(wave)[FUNCTIONAL_NAMES.index(name)])


def test_log_mel_and_mfcc_agree_with_librosa() -> None:
    wave = voice(140) + noise(amplitude=0.01)
    power = librosa.feature.melspectrogram(y=wave, sr=SAMPLE_RATE, n_fft=512, win_length=400, hop_length=160, n_mels=64)
    level = librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=None)
    np.testing.assert_allclose(log_mel(wave), level.T, atol=0.01)
    np.testing.assert_allclose(mfcc(wave), librosa.feature.mfcc(S=level, n_mfcc=20).T, atol=0.02)


def test_the_names_of_mel_bands_and_contrasts_are_those_of_librosa() -> None:
    np.testing.assert_array_equal(np.round(librosa.mel_frequencies(n_mels=18, fmin=0, fmax=8000)), audio.SET.broad_mels)
    octaves = 200 * 2.0 ** np.arange(5)  # librosa's contrast: octaves from 200 Hz, the last up to the highest bin
    assert [0, *octaves, 8000] == audio.SET.contrasts


@pytest.mark.parametrize(("n_mels", "whole"), [(192, True), (193, False)])
def test_with_more_than_192_mel_bands_some_hold_no_bin(n_mels: int, whole: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=512, n_mels=n_mels)
    assert (filters.max(axis=1) > 0).all() == whole


@pytest.mark.parametrize("hop_s", [0.01, 0.032])
def test_chroma_agrees_with_librosa(hop_s: float) -> None:
    wave = np.concatenate([voice(140) + noise(amplitude=0.01), np.zeros(8000, np.float32)])
    hop = round(hop_s * SAMPLE_RATE)
    expected = librosa.feature.chroma_stft(y=wave, sr=SAMPLE_RATE, n_fft=2048, hop_length=hop, tuning=0.0)
    np.testing.assert_allclose(chroma(wave, hop_s=hop_s), expected.T, atol=1e-5)


@pytest.mark.parametrize(("hertz", "name"), [(440, "A"), (880, "A"), (261.63, "C"), (784, "G")])
def test_chroma_names_the_key_in_any_octave(hertz: float, name: str) -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    keys = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    strongest = chroma(np.sin(2 * np.pi * hertz * time).astype(np.float32))[10:-10].argmax(axis=1)
    assert {keys[number] for number in strongest} == {name}


@pytest.mark.parametrize(("n_mels", "hop_s"), [(40, 0.01), (64, 0.02)])
def test_log_mel_puts_time_first(n_mels: int, hop_s: float) -> None:
    level = log_mel(voice(200, seconds=1), n_mels=n_mels, hop_s=hop_s)
    assert level.shape == (round(1 / hop_s) + 1, n_mels)
    assert level.dtype == np.float32
    assert np.ptp(level[5:-5], axis=0).max() < 3  # a steady sound


def test_log_mel_shows_a_tone_in_the_band_that_holds_it() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    loudest = log_mel(np.sin(2 * np.pi * 2000 * time).astype(np.float32))[50].argmax()
    edges = librosa.mel_frequencies(n_mels=66, fmin=0, fmax=SAMPLE_RATE / 2)
    assert edges[loudest] < 2000 < edges[loudest + 2]


def test_log_mel_rises_by_20_db_for_ten_times_the_amplitude_and_falls_to_100_below() -> None:
    quiet, loud = (log_mel(noise(amplitude=amplitude)) for amplitude in (0.01, 0.1))
    np.testing.assert_allclose(loud - quiet, 20, atol=0.01)
    np.testing.assert_allclose(log_mel(np.zeros(1000, np.float32)), -100, atol=1e-4)


def test_log_mel_does_not_know_its_neighbours_in_time() -> None:
    wave = voice(150, seconds=1)
    changed = np.concatenate([wave[:8000], noise(0.5)])
    np.testing.assert_array_equal(log_mel(wave)[:48], log_mel(changed)[:48])


def test_log_mel_says_when_bands_get_too_narrow() -> None:
    with pytest.raises(ValueError, match=r"n_mels=400 leaves bands without a bin.*expected at most 192"):
        log_mel(voice(200), n_mels=400)


def test_rms_level_of_a_sine_is_3_db_below_its_peak() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    level = rms_level(np.sin(2 * np.pi * 400 * time).astype(np.float32))
    np.testing.assert_allclose(level[5:-5], -3.0103, atol=1e-3)


@pytest.mark.parametrize("hertz", [70, 100, 150.5, 220, 333, 500, 600])
def test_f0_of_a_buzz_is_its_fundamental(hertz: float) -> None:
    np.testing.assert_allclose(f0(voice(hertz))[3:-3], hertz, rtol=2e-3)


@pytest.mark.parametrize("hertz", [80, 200, 450])
def test_f0_bears_noise(hertz: float) -> None:
    pitch = f0(voice(hertz) + noise(amplitude=0.01))[3:-3]
    np.testing.assert_allclose(pitch, hertz, rtol=0.02)


def test_f0_follows_a_glide() -> None:
    hertz = np.linspace(120, 240, SAMPLE_RATE)
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    pitch = f0((0.1 * np.sin(phase) + 0.05 * np.sin(2 * phase)).astype(np.float32))
    np.testing.assert_allclose(pitch[3:-4], hertz[480 : 160 * 97 : 160], rtol=0.03)


@pytest.mark.parametrize("wave", [np.zeros(8000, np.float32), noise()], ids=["silence", "noise"])
def test_f0_is_nan_where_nothing_is_voiced(wave: np.ndarray) -> None:
    assert np.isnan(f0(wave)).all()


def test_f0_mends_short_slips_and_keeps_a_leap_of_the_voice() -> None:
    pitch = np.r_[np.full(30, 200.0), np.full(30, 100.0)].astype(np.float32)  # the voice itself falls by an octave
    slips = pitch.copy()
    slips[[7, 8, 9, 50]] *= [2, 3, 0.5, 2]
    slips[20:24] = np.nan
    expected = np.where(np.isnan(slips), np.nan, pitch)
    np.testing.assert_allclose(audio._without_octave_errors(slips, 0.01), expected)


def test_f0_of_real_voices_tells_women_from_men(ravdess_root: Path) -> None:
    medians = {}
    for actor in ("05", "06", "11", "12"):
        files = sorted(ravdess_root.glob(f"audio/Actor_{actor}/03-01-01-01-*"))
        medians[actor] = np.median([np.nanmedian(f0(soundfile.read(file, dtype="float32")[0])) for file in files])
    assert all(80 < medians[man] < 165 for man in ("05", "11"))
    assert all(165 < medians[woman] < 260 for woman in ("06", "12"))


@pytest.mark.parametrize("function", ALL, ids=lambda function: function.__name__)
@pytest.mark.parametrize("n_samples", [1, 2, 159, 160, 399, 513])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_features_take_very_short_and_silent_sound(function: audio.Callable, n_samples: int, value: float) -> None:
    result = function(np.full(n_samples, value, np.float32))
    assert result.dtype == np.float32
    if function in (functionals, classical8):
        assert np.isfinite(result).all()
    else:
        assert len(result) == 1 + n_samples // 160
        finite = (
            result[:, :-1] if function is descriptors else result
        )  # pitch may be NaN, that is its word for unvoiced
        assert function is f0 or np.isfinite(finite).all()


@pytest.mark.parametrize("function", [log_mel, f0, functionals, classical8], ids=lambda function: function.__name__)
@pytest.mark.parametrize("shape", [(0,), (2, 800)])
def test_features_reject_what_is_no_mono_wave(function: audio.Callable, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"wave has shape .*expected \(samples,\).*read_audio"):
        function(np.zeros(shape, np.float32))


@given(seed=st.integers(0, 10_000), n_samples=st.integers(1, 4000), scale=st.sampled_from([1e-12, 1e-4, 1.0, 100.0]))
def test_functionals_are_finite_for_any_sound(seed: int, n_samples: int, scale: float) -> None:
    wave = (scale * np.random.default_rng(seed).uniform(-1, 1, n_samples)).astype(np.float32)
    assert np.isfinite(functionals(wave)).all()
    assert np.isfinite(classical8(wave)).all()


def test_names_are_unique_and_fit() -> None:
    wave = voice(200)
    for names, values in ((FUNCTIONAL_NAMES, functionals(wave)), (CLASSICAL_NAMES, classical8(wave))):
        assert len(set(names)) == len(names) == len(values)
    assert descriptors(wave).shape[1] == len(DESCRIPTORS)


def test_functionals_say_what_their_names_say() -> None:
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    wave = np.concatenate([pause, voice(200, seconds=1), pause, voice(100, seconds=0.5), pause])
    assert functional(wave, "seconds of speech") == pytest.approx(2.0, abs=0.06)
    assert functional(wave, "share of pauses") == pytest.approx(0.25, abs=0.04)
    assert functional(wave, "share of voice") == pytest.approx(1.0, abs=0.05)
    assert functional(wave, "voiced stretches a second") == pytest.approx(1.0, abs=0.05)
    assert functional(wave, "pitch: high") == pytest.approx(12, abs=0.1)
    assert functional(wave, "pitch: low") == pytest.approx(0, abs=0.1)
    assert functional(wave, "pitch: trend") < -6
    assert functional(noise(), "centroid: mean") == pytest.approx(4000, rel=0.05)
    assert functional(noise(), "zero crossings: mean") == pytest.approx(0.5, abs=0.02)
    assert functional(noise(), "aperiodicity: mean") > 0.5 > functional(voice(200), "aperiodicity: mean")
    assert functional(noise(), "share of voice") == functional(noise(), "pitch: mean") == 0


def test_dct_coefficients_and_modulations_say_how_the_level_moves() -> None:
    seconds = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    hill = noise(2, 0.1) * (10 ** (-np.cos(2 * np.pi * seconds / 2) / 4)).astype(
        np.float32
    )  # 10 dB, loud in the middle
    assert functional(hill, "level: dct 2") == pytest.approx(-5, abs=0.5)
    assert functional(hill, "level: dct 3") == pytest.approx(0, abs=0.5)
    assert functional(noise(2), "level: dct 2") == pytest.approx(0, abs=0.5)
    trembling = noise(2, 0.1) * (10 ** (np.sin(2 * np.pi * 6 * seconds) / 8)).astype(np.float32)  # 6 times a second
    ranges = [name for name in audio.MOVEMENTS if name.startswith("modulation")]
    energy = {name: functional(trembling, f"level: {name}") for name in ranges}
    assert max(energy, key=energy.__getitem__) == "modulation 4-8 Hz"
    long = functional(np.tile(trembling, 4), "level: modulation 4-8 Hz")  # longer than the shortest transform
    assert long == pytest.approx(energy["modulation 4-8 Hz"], abs=4)


def test_jitter_and_shimmer_hear_an_unsteady_voice() -> None:
    steady, gains = voice(160, seconds=1), np.random.default_rng(7).uniform(0.3, 1, 100).astype(np.float32)
    assert functional(steady * np.repeat(gains, 160), "shimmer") > 3 * functional(steady, "shimmer")
    periods = 106 + 3 * np.tile(np.repeat([-1, 1], 3), 25)  # samples; three short ones, three long ones
    rough = np.concatenate([np.sin(2 * np.pi * np.arange(n) / n) for n in periods]).astype(np.float32)
    assert functional(rough, "jitter") > 4 * functional(steady, "jitter")
    breathy = functional(steady + noise(1, 0.02), "harmonics to noise: mean")
    assert breathy < functional(steady, "harmonics to noise: mean") <= 30
    assert functional(noise(), "jitter") == functional(noise(), "harmonics to noise: std") == 0


def test_voiced_and_unvoiced_frames_are_described_apart() -> None:
    both = np.concatenate([voice(200, seconds=1), noise(1, 0.1)])
    assert functional(both, "zero crossings: unvoiced mean") == pytest.approx(0.5, abs=0.05)
    assert functional(both, "zero crossings: voiced mean") < 0.2
    assert functional(noise(), "level: voiced mean") == functional(noise(), "level: mean")  # nothing is voiced: of all


def test_functionals_do_not_depend_on_silence_around_the_speech() -> None:
    short, long = (functionals(np.pad(voice(180), n_samples)) for n_samples in (1600, 16_000))
    np.testing.assert_allclose(long, short, rtol=1e-4, atol=1e-3)


def test_classical8_by_hand() -> None:
    square = np.tile(np.repeat(np.float32([0.5, -0.5]), 40), 100)  # 200 Hz
    values = dict(zip(CLASSICAL_NAMES, classical8(np.concatenate([square, np.zeros(8000, np.float32)])), strict=True))
    assert values["amplitude mean"] == pytest.approx(0.25)
    assert values["amplitude std"] == pytest.approx(np.sqrt(0.125))
    assert values["level mean"] == pytest.approx(0.25, abs=0.01)
    assert values["share of silence"] == pytest.approx(0.5, abs=0.02)
    assert values["autocorrelation max"] == pytest.approx(1000 * (0.5 - 0.45 * 0.25) ** 2 / 2, rel=1e-4)
    assert classical8(voice(300))[5] > 0.8 > 0.6 > classical8(noise())[5]


@pytest.mark.parametrize("function", [log_mel, mfcc, chroma, functionals, classical8], ids=lambda f: f.__name__)
def test_audio_features_reads_computes_and_caches(function: audio.Callable, tmp_path: Path) -> None:
    wave = voice(200)
    soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    for _ in range(2):
        (values,) = audio_features(function, [tmp_path / "a.wav"])
        np.testing.assert_array_equal(values, function(wave))


def test_audio_features_keeps_options_and_speeds_apart(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice(200), SAMPLE_RATE)
    paths = [tmp_path / "a.wav"]
    assert audio_features(log_mel, paths)[0].shape == (51, 64)
    assert audio_features(log_mel, paths, n_mels=40, hop_s=0.02)[0].shape == (26, 40)
    assert audio_features(mfcc, paths, n_mfcc=13, hop_s=0.032)[0].shape == (16, 13)
    assert audio_features(log_mel, paths, speed=1.25)[0].shape == (41, 64)


def test_audio_features_names_broken_files(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF but no more")
    with pytest.raises(ValueError, match=r"log_mel failed for 1 of 1 files: .*broken\.wav.*leave"):
        audio_features(log_mel, [tmp_path / "broken.wav"])


def test_features_are_those_of_the_segment_that_an_utterance_is(tmp_path: Path) -> None:
    rows = own(tmp_path)
    recordings: dict[str, list[np.ndarray]] = {row["speaker"]: [] for row in rows}
    for row in rows:
        before = sum(map(len, recordings[row["speaker"]]))
        recordings[row["speaker"]].append(media.read_audio(tmp_path / row["audio"]))
        row |= {"audio_start": before / SAMPLE_RATE, "audio_path": f"{row['speaker']}.wav", "utterance_id": row["id"]}
        row["audio_end"] = row["audio_start"] + len(recordings[row["speaker"]][-1]) / SAMPLE_RATE
    for speaker, waves in recordings.items():
        soundfile.write(tmp_path / f"{speaker}.wav", np.concatenate(waves), SAMPLE_RATE)
    cut = Corpus.from_rows("cut", rows, emotions=FOUR, root=tmp_path)
    whole = Corpus.from_rows(
        "whole",
        [{**row, "audio_path": row["audio"], "audio_start": None, "audio_end": None} for row in rows],
        emotions=FOUR,
        root=tmp_path,
    )
    fold = folds_of(cut)[0]
    recognizer = recipe("audio/logistic-regression")
    recognizer.fit(fold.train, fold.valid)
    assert len(np.unique(recognizer.features[0].transform(fold.test), axis=0)) == len(fold.test) == 28
    extractor = Functionals()
    for one, other in zip(extractor.raw(cut), extractor.raw(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    masker = masker_for(recognizer, fold.test, "audio")
    seconds = fold.test.table["audio_end"] - fold.test.table["audio_start"]
    np.testing.assert_allclose([spans[-1, 1] for spans in masker.spans], seconds, atol=1e-4)


LOUDNESS = {"angry": 0.5, "sad": 0.01}


def corpus(root: Path, *, seconds: float = 0.5) -> Corpus:
    """Eight utterances of noise; how loud they are tells the emotion."""
    rows = []
    for number in range(8):
        emotion = ("angry", "sad")[number % 2]
        wave = np.random.default_rng(number).normal(0, LOUDNESS[emotion] / 3, round(SAMPLE_RATE * seconds))
        soundfile.write(root / f"{number}.wav", wave, SAMPLE_RATE)
        rows.append({"utterance_id": str(number), "emotion": emotion, "audio_path": f"{number}.wav", "speaker": "a"})
    return Corpus.from_rows("noise", rows, emotions=("angry", "sad"), root=root)


FRAMES = [(LogMel(n_mels=40, hop_s=0.02), 40, 26), (Mfcc(13, hop_s=0.032), 13, 16), (Chroma(), 12, 51)]


@pytest.mark.parametrize(("extractor", "n_features", "n_frames"), FRAMES)
def test_frames_are_scaled_by_the_training_set_and_survive_pickling(
    extractor: LogMel, n_features: int, n_frames: int, tmp_path: Path
) -> None:
    few = corpus(tmp_path)
    extractor.fit(few)
    frames = extractor.transform(few)
    assert {array.shape for array in frames} == {(n_frames, n_features)}
    np.testing.assert_allclose(np.vstack(frames).mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.vstack(frames).std(axis=0), 1, atol=1e-3)
    assert extractor.sizes() == {"n_features": n_features}
    again = pickle.loads(pickle.dumps(extractor))
    assert again.hop_s == extractor.hop_s
    np.testing.assert_array_equal(again.transform(few)[0], frames[0])


def test_functionals_at_other_speeds_are_training_copies_alone(tmp_path: Path) -> None:
    few, extractor = corpus(tmp_path), Functionals(speeds=(0.9, 1.1))
    extractor.fit(few)
    plain, slow, fast = extractor.training_copies(few)
    np.testing.assert_array_equal(plain, extractor.transform(few))
    np.testing.assert_allclose(np.vstack([plain, slow, fast]).mean(axis=0), 0, atol=1e-3)  # the scale is that of all
    seconds = extractor.feature_names.index("seconds of speech")
    assert (slow[:, seconds] > plain[:, seconds]).all()
    assert (fast[:, seconds] < plain[:, seconds]).all()
    assert not hasattr(extractor, "hop_s")  # a row an utterance has no time
    assert Classical8().feature_names == CLASSICAL_NAMES


@pytest.fixture
def fresh() -> Iterator[None]:
    audio._smile.cache_clear()
    yield
    audio._smile.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_egemaps_says_in_one_sentence_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    told = r"^opensmile is not installed; where your purpose is non-commercial, .*emolab\[egemaps\].*audio/svm[^.]*\.$"
    with pytest.raises(ModuleNotFoundError, match=told):
        Egemaps().fit(corpus(tmp_path))


@pytest.mark.usefixtures("fresh")
def test_egemaps_are_the_published_numbers_by_their_names(tmp_path: Path) -> None:
    opensmile = pytest.importorskip("opensmile")
    extractor, few = Egemaps(), corpus(tmp_path)
    first = extractor.raw(few)[0]
    levels = opensmile.FeatureLevel.Functionals
    smile = opensmile.Smile(feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=levels)
    expected = smile.process_file(tmp_path / "0.wav")
    assert extractor.feature_names == list(expected.columns)
    np.testing.assert_allclose(first, expected.to_numpy()[0], rtol=1e-3, atol=1e-3)
    extractor.fit(few)
    assert extractor.transform(few).shape == (8, 88)


@pytest.mark.usefixtures("fresh")
def test_egemaps_names_utterances_that_are_too_short(tmp_path: Path) -> None:
    pytest.importorskip("opensmile")
    with pytest.raises(ValueError, match=r"egemaps failed for 8 of 8 files.*lasts 0\.010 s, too short for openSMILE"):
        Egemaps().raw(corpus(tmp_path, seconds=0.01))


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.3])
def test_zero_crossing_rate_is_the_share_of_changes_of_sign_in_each_window(seconds: float) -> None:
    """Counted as librosa counts, one window at a time; librosa itself is not called, as it has crashed Python here."""
    wave = np.random.default_rng(0).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    wave[: len(wave) // 3] = 0
    padded = np.pad(wave, WINDOW_LENGTH // 2, mode="edge")
    starts = range(0, len(padded) - WINDOW_LENGTH + 1, 160)
    windows = [padded[start : start + WINDOW_LENGTH] for start in starts]
    expected = [sum((a < 0) != (b < 0) for a, b in pairwise(window)) / WINDOW_LENGTH for window in windows]
    np.testing.assert_allclose(zero_crossing_rate(wave), expected, rtol=1e-6)


def test_no_feature_compiles_when_it_is_first_asked_for() -> None:
    """Functions that numba compiles at their first call have crashed Python; so no feature may wait for that."""
    code = """
import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.np.ufunc.gufunc import GUFunc
from emolab.features import audio

made = []
compile_, call = Dispatcher.compile, GUFunc.__call__
Dispatcher.compile = lambda self, sig: made.append(str(self)) or compile_(self, sig)
GUFunc.__call__ = lambda self, *args, **how: made.append(str(self)) or call(self, *args, **how)
wave = np.random.default_rng(0).normal(0, 0.1, 8_000).astype(np.float32)
for feature in (audio.log_mel, audio.mfcc, audio.chroma, audio.f0, audio.functionals, audio.classical8):
    feature(wave)
print(made)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
