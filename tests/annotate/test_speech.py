from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emolab.annotate.speech import SET, audio_blocks, speech_blocks, turns_in, without_noise
from emolab.media import SAMPLE_RATE, read_audio
from tests.annotate.recordings import sentences, talk

NEAR_S = 0.25
GREATEST_S = SET.detector["max_speech_duration_s"]


def whole(path: Path, skip: int = 0) -> np.ndarray:
    return np.concatenate(list(audio_blocks(path, skip=skip)))


@pytest.mark.parametrize(("suffix", "rate"), [("wav", 16_000), ("flac", 44_100), ("ogg", 48_000)])
def test_audio_blocks_are_what_read_audio_gives(suffix: str, rate: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / f"a.{suffix}", 0.3 * rng.normal(size=(3 * rate, 2)).clip(-1, 1), rate)
    expected, found = read_audio(tmp_path / f"a.{suffix}"), whole(tmp_path / f"a.{suffix}")
    assert abs(len(expected) - len(found)) <= SAMPLE_RATE // 100
    n = min(len(expected), len(found)) - 100
    assert np.corrcoef(expected[:n], found[:n])[0, 1] > 0.99
    assert len(whole(tmp_path / f"a.{suffix}", skip=10_001)) == len(found) - 10_001
    np.testing.assert_array_equal(whole(tmp_path / f"a.{suffix}", skip=10_001), found[10_001:])


def test_channels_that_cancel_are_heard(tmp_path: Path) -> None:
    wave = np.sin(np.arange(16_000) / 5)
    soundfile.write(tmp_path / "a.wav", np.column_stack([0.5 * wave, -0.5 * wave]), 16_000)
    assert np.abs(whole(tmp_path / "a.wav")).max() == pytest.approx(0.5, abs=0.01)


def test_recording_that_breaks_off_gives_its_beginning(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.ogg", 0.1 * np.random.default_rng(0).normal(size=320_000), 16_000)
    content = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "cut.ogg").write_bytes(content[: len(content) // 2])
    assert 5 * SAMPLE_RATE < len(whole(tmp_path / "cut.ogg")) < 15 * SAMPLE_RATE


def test_file_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    with pytest.raises(ValueError, match=r"a\.wav cannot be read"):
        whole(tmp_path / "a.wav")


@pytest.mark.parametrize("level", [1.0, 0.003])
def test_turns_begin_and_end_where_somebody_speaks(level: float, tmp_path: Path) -> None:
    spans = talk(tmp_path / "a.flac", (0, 1, 0, 1), level=level)
    found = [np.divide(turn, SAMPLE_RATE) for block in speech_blocks(tmp_path / "a.flac") for turn in block.turns]
    assert len(found) == len(spans)
    np.testing.assert_allclose(found, spans, atol=NEAR_S)


def test_steady_noise_hardly_moves_the_ends_of_turns(tmp_path: Path) -> None:
    spans = talk(tmp_path / "a.flac", (0, 1, 0, 1, 2, 3, 4, 5))
    wave = whole(tmp_path / "a.flac")
    noise = np.random.default_rng(1).normal(0, np.sqrt(np.mean(wave**2)) * 10 ** (-15 / 20), len(wave))
    found = np.divide(turns_in(wave + noise.astype(np.float32)), SAMPLE_RATE)
    assert len(found) == len(spans)
    np.testing.assert_allclose(found, spans, atol=0.33)  # 0.39 s where the noise is left in


def test_noise_is_reduced_and_speech_is_left() -> None:
    speech = sentences(0, 1)[0]
    pause = np.zeros(2 * SAMPLE_RATE, np.float32)
    wave = np.concatenate([pause, speech, pause])
    turns = [(len(pause), len(pause) + len(speech))]
    noisy = wave + np.random.default_rng(1).normal(0, 0.02, len(wave)).astype(np.float32)
    less = without_noise(noisy, turns)
    assert np.square(less[: len(pause)]).mean() < 0.1 * np.square(noisy[: len(pause)]).mean()
    assert np.square(less - wave).mean() < 0.5 * np.square(noisy - wave).mean()
    np.testing.assert_allclose(without_noise(wave, turns), wave, atol=1e-4)
    assert without_noise(noisy, []) is noisy


def test_silence_has_no_turns_and_long_speech_is_cut() -> None:
    assert turns_in(np.zeros(5 * SAMPLE_RATE, np.float32)) == []
    assert turns_in(np.zeros(0, np.float32)) == []
    speech = np.concatenate([sentences(0, 6)[place % 6] for place in range(20)])
    turns = turns_in(speech)
    assert len(speech) > 2 * GREATEST_S * SAMPLE_RATE
    assert max(last - first for first, last in turns) <= (GREATEST_S + 0.5) * SAMPLE_RATE


def test_blocks_depend_on_nothing_before_them(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0, 1, 0, 1, 0, 1))
    blocks = list(speech_blocks(tmp_path / "a.wav", block_s=4.0))
    assert len(blocks) > 2
    assert blocks[-1].end == sum(len(part) for part in audio_blocks(tmp_path / "a.wav"))
    for place, block in enumerate(blocks[:-1]):
        later = [own.turns for own in speech_blocks(tmp_path / "a.wav", skip=block.end, block_s=4.0)]
        assert later == [own.turns for own in blocks[place + 1 :]]


def test_known_turns_are_kept_whole_even_if_they_overlap(tmp_path: Path) -> None:
    talk(tmp_path / "a.wav", (0, 1, 0, 1, 0, 1))
    sound = whole(tmp_path / "a.wav")
    turns = [(1_000, 90_000), (50_000, 60_000), (50_500, 120_000), (130_000, 140_000)]
    blocks = list(speech_blocks(tmp_path / "a.wav", turns, block_s=3.0))
    assert sorted(turn for block in blocks for turn in block.turns) == turns
    for block in blocks:
        for (first, last), cut in zip(block.turns, block.cuts(), strict=True):
            np.testing.assert_array_equal(cut, sound[first:last])
