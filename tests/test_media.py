from __future__ import annotations

import os
import struct
import subprocess
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from emolab.media import SAMPLE_RATE, InMemoryMedia, Segment, audio_seconds, fault, read_audio, read_frames
from tests.corpora.mangled import examples

THREE_PARTS = r"(cannot be read: |is empty, 0 bytes).*[Ee]xpected.*(Copy|copy|leave)"
FPS = 10
N_FRAMES = 20
SIZE = (32, 48)  # height, width


def tone(rate: int, *, seconds: float = 0.5, hertz: float = 440, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def assert_is_tone(wave: np.ndarray, *, hertz: float = 440, amplitude: float = 0.5, seconds: float = 0.5) -> None:
    """The middle of `wave` is a sine of that frequency and size."""
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert len(wave) == pytest.approx(seconds * SAMPLE_RATE, abs=0.06 * SAMPLE_RATE)  # codecs pad
    middle = wave[len(wave) // 4 : 3 * len(wave) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * SAMPLE_RATE / len(middle) == pytest.approx(hertz, abs=SAMPLE_RATE / len(middle))
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(amplitude, rel=0.05)


def write_film(path: Path, *, sound: bool = True, pictures: bool = True, codec: str = "mpeg4") -> Path:
    """Two seconds in which picture k is all of brightness 10 k + 20, with a tone of 440 Hz."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=FPS) if pictures else None
        kind = (
            "pcm_s16le" if path.suffix == ".avi" else "aac"
        )  # avi has no room for the silence before aac's first frame
        audio = container.add_stream(kind, rate=48_000, layout="stereo") if sound else None
        if video:
            video.height, video.width, video.pix_fmt, video.gop_size = *SIZE, "yuv420p", 5
            for number in range(N_FRAMES):
                picture = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 10 * number + 20, np.uint8), format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, FPS)
                container.mux(video.encode(picture))
            container.mux(video.encode())
        if audio:
            samples = np.tile(tone(48_000, seconds=2), (2, 1)).astype(np.float32)
            for start in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, start : start + 1024])
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def brightness(frames: np.ndarray) -> list[int]:
    """Return which picture each frame is."""
    return [round((float(frame.mean()) - 20) / 10) for frame in frames]


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 96_000])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "PCM_U8", "DOUBLE"])
def test_read_audio_brings_every_rate_and_depth_to_one(tmp_path: Path, rate: int, subtype: str) -> None:
    soundfile.write(tmp_path / "a.wav", tone(rate), rate, subtype=subtype)
    assert_is_tone(read_audio(tmp_path / "a.wav"))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "A.WAV"])
def test_read_audio_reads_sound_files(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, tone(44_100), 44_100)
    assert_is_tone(read_audio(tmp_path / name))
    assert audio_seconds(tmp_path / name) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.mkv", "a.m4a"])
def test_read_audio_reads_the_sound_of_containers(tmp_path: Path, name: str) -> None:
    path = write_film(tmp_path / name, pictures=name != "a.m4a")
    assert_is_tone(read_audio(path), seconds=2)
    assert audio_seconds(path) == pytest.approx(2, abs=0.1)


def test_read_audio_averages_channels(tmp_path: Path) -> None:
    left = np.float32([0.5, 0.25, 0, -1])
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left, 3 * left / 4], axis=1), SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), left / 4)


def test_read_audio_takes_sound_that_is_held_in_memory() -> None:
    wave = tone(SAMPLE_RATE).astype(np.float32)
    assert read_audio(InMemoryMedia(wave)) is wave
    slower = read_audio(InMemoryMedia(wave), sample_rate=8_000)
    assert len(slower) == len(wave) // 2
    np.testing.assert_allclose(slower[500:-500], wave[::2][500:-500], atol=0.01)


def test_read_audio_takes_another_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    assert len(read_audio(tmp_path / "a.wav", sample_rate=8_000)) == 4_000


@pytest.mark.parametrize("rate", [8_000, SAMPLE_RATE, 96_000])
@pytest.mark.parametrize("value", [0.0, 0.25])
def test_read_audio_gives_one_sample_and_silence_as_they_are(tmp_path: Path, rate: int, value: float) -> None:
    soundfile.write(tmp_path / "one.wav", np.float32([value]), rate, subtype="FLOAT")
    assert 1 <= len(read_audio(tmp_path / "one.wav")) <= 2
    soundfile.write(tmp_path / "silent.wav", np.zeros(rate), rate)
    np.testing.assert_array_equal(read_audio(tmp_path / "silent.wav"), np.zeros(SAMPLE_RATE))


def test_read_audio_keeps_small_overshoots_of_float_files(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.float32([1.5, -2]), SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), [1.5, -2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32_767.0, 1e38])
def test_read_audio_rejects_samples_that_are_no_sound(tmp_path: Path, value: float) -> None:
    soundfile.write(tmp_path / "a.wav", np.float32([[0, 0], [value, value]]), SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav cannot be read: its samples reach .*1 is full scale.*Expected whole"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.mp4", "a.avi", "noise"])
@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all, only words " * 20], ids=["empty", "stub", "text"])
@pytest.mark.parametrize("function", [read_audio, read_frames, audio_seconds])
def test_empty_and_corrupt_files_raise_one_clear_error(tmp_path: Path, function, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=THREE_PARTS) as caught:
        function(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("function", [read_audio, read_frames, audio_seconds])
def test_missing_files_and_folders_are_said_to_be_so(tmp_path: Path, function) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.wav does not exist; expected a sound or film.*Check the name"):
        function(tmp_path / "gone.wav")
    with pytest.raises(FileNotFoundError, match="is a folder; expected a sound or film file"):
        function(tmp_path)


def test_read_audio_rejects_a_file_without_a_sample(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), SAMPLE_RATE)
    with pytest.raises(ValueError, match=r"holds not a single sample.*leave it out by its id"):
        read_audio(tmp_path / "a.wav")


def test_read_audio_rejects_an_absurd_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), 7)
    with pytest.raises(ValueError, match="says 7 samples a second, not 1000 to 768000"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff", "a.mp3", "a.mp4", "a.avi"])
@pytest.mark.parametrize("share", [0.03, 0.5, 0.8])
def test_read_audio_rejects_files_that_are_cut_off(
    tmp_path: Path, name: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if path.suffix == ".ogg" and share > 0.5:
        pytest.skip("an ogg file does not say how long it is; cut between two pages, it looks whole")
    if path.suffix in (".mp4", ".avi"):
        write_film(path)
    else:
        soundfile.write(path, tone(SAMPLE_RATE, seconds=2) + np.random.default_rng(7).normal(0, 0.01, 32_000), 16_000)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=THREE_PARTS):
        read_audio(path)
    assert capfd.readouterr() == ("", "")  # the decoders keep quiet


def test_read_audio_takes_sound_whose_length_was_unknown_when_it_was_written(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4  # as programs write it into a pipe
    (tmp_path / "a.wav").write_bytes(content)
    assert_is_tone(read_audio(tmp_path / "a.wav"))


def sweep(seconds: float = 4.0) -> np.ndarray:
    """A tone that rises from 200 Hz, so that no moment is like another: (samples,) at 48 kHz."""
    time = np.arange(round(seconds * 48_000)) / 48_000
    return (0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.float32)


def write_track(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(sweep()[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        to_codec = av.AudioResampler(stream.codec_context.format.name, "mono", 48_000, stream.codec_context.frame_size)
        for part in [*to_codec.resample(frame), *to_codec.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode())
    return path


TRACKS = {"a.m4a": "aac", "a.webm": "libopus", "a.avi": "pcm_s16le", "a.mov": "pcm_s16le"}


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", *TRACKS])
@pytest.mark.parametrize(("start", "end"), [(None, 0.4), (1.5, 2.25), (3.0, None), (2.0, 4.2)])
def test_read_audio_cuts_segments(tmp_path: Path, name: str, start: float | None, end: float | None) -> None:
    path = tmp_path / name
    if name in TRACKS:
        write_track(path, TRACKS[name])
    else:
        soundfile.write(path, sweep(), 48_000)
    whole, part = (read_audio(each, sample_rate=48_000) for each in (path, Segment(path, start, end)))
    expected = whole[round(48_000 * (start or 0)) : None if end is None else round(48_000 * end)]
    lags = range(-100, 101) if name in ("a.webm", "a.ogg") else [0]  # they are sought to a millisecond or two
    assert len(part) == pytest.approx(len(expected), abs=len(lags) // 2)
    inner = slice(100, min(20_000, len(part) - 100))
    away = [np.abs(part[inner] - np.roll(expected, lag)[inner]).max() for lag in lags]
    assert min(away) < 0.01
    assert len(read_audio(Segment(path, start, end))) == pytest.approx(len(part) / 3, abs=2)


def test_read_audio_decodes_little_more_than_a_segment(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).normal(0, 0.1, 160_000), SAMPLE_RATE)
    content, whole = (tmp_path / "a.flac").read_bytes(), read_audio(tmp_path / "a.flac")
    for name, kept, start in (("cut.flac", content[: len(content) // 2], 1.0), ("hurt.flac", bytearray(content), 8.0)):
        if name == "hurt.flac":
            kept[10_000:60_000] = bytes(50_000)  # from second 0.6 to second 3
        (tmp_path / name).write_bytes(kept)
        part = read_audio(Segment(tmp_path / name, start, start + 1))
        np.testing.assert_array_equal(
            part, whole[round(start * SAMPLE_RATE) : round(start * SAMPLE_RATE) + SAMPLE_RATE]
        )
        with pytest.raises(ValueError, match=name):
            read_audio(tmp_path / name)


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_read_audio_says_when_a_segment_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, sweep(), 48_000) if name == "a.wav" else write_track(path, "aac")
    for start, end in ((3.0, 4.4), (None, 5.0), (4.5, 6.0), (4.5, None)):
        with pytest.raises(
            ValueError, match=rf"{name} cannot be read: it lasts 4\.0. s, and its segment from .* goes beyon"
        ):
            read_audio(Segment(path, start, end))
    for start, end in ((2.0, 1.0), (2.0, 2.0), (-1.0, 1.0)):
        with pytest.raises(ValueError, match=r"start=.*, end=.*; expected 0 <= start < end, in seconds"):
            read_audio(Segment(path, start, end))


def test_read_audio_takes_sound_in_memory_whole() -> None:
    wave = np.zeros(10, np.float32)
    assert read_audio(Segment(InMemoryMedia(wave), 1.0, 2.0)) is wave


@pytest.mark.parametrize("name", ["a.wav", "a.m4a"])
def test_read_audio_takes_the_louder_channel_where_channels_cancel_each_other_out(tmp_path: Path, name: str) -> None:
    x = 0.5 * sweep()
    both = np.stack([x, -1.05 * x])
    if name == "a.wav":
        soundfile.write(tmp_path / name, both.T, 48_000)
    else:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("aac", rate=48_000, layout="stereo")
            for start in range(0, len(x), 1024):
                frame = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(both[:, start : start + 1024]), "fltp", "stereo"
                )
                frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    with pytest.warns(UserWarning, match=f"the channels of .*{name} cancel each other out; the loudest") as told:
        wave = read_audio(tmp_path / name, sample_rate=48_000)
    assert len(told) == 1
    assert np.sqrt(np.mean(wave[:190_000] ** 2)) == pytest.approx(1.05 * np.sqrt(np.mean(x**2)), rel=0.02)


@pytest.mark.parametrize("second", [0.0, 1.0, -0.7, "other"])
def test_read_audio_averages_channels_that_do_not_cancel_each_other_out(tmp_path: Path, second: float | str) -> None:
    x, other = 0.5 * sweep(), np.random.default_rng(0).normal(0, 0.1, len(sweep()))
    y = other if second == "other" else second * x
    soundfile.write(tmp_path / "a.wav", np.stack([x, y], axis=1), 48_000, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wave = read_audio(tmp_path / "a.wav", sample_rate=48_000)
    np.testing.assert_allclose(wave, (x + y) / 2, atol=1e-6)


@pytest.mark.parametrize(("places", "read"), [((4, 40), 48_000), ((40,), 48_000), ((4,), 48_000)])
def test_read_audio_reads_what_a_recorder_that_died_has_left(
    tmp_path: Path, places: tuple[int, ...], read: int
) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE, seconds=3), SAMPLE_RATE)
    whole, content = read_audio(tmp_path / "a.wav"), bytearray((tmp_path / "a.wav").read_bytes())
    for place in places:
        content[place : place + 4] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(read_audio(tmp_path / "a.wav"), whole)
        part = read_audio(Segment(tmp_path / "a.wav", 1.0, 2.0))
        assert audio_seconds(tmp_path / "a.wav") == pytest.approx(3)
    np.testing.assert_array_equal(part, whole[SAMPLE_RATE : 2 * SAMPLE_RATE])
    assert all("a.wav states 0.00 s, but more follows" in str(each.message) for each in told)
    assert bool(told) == (40 in places)


@pytest.mark.parametrize("places", [(4, 40), (40,)])
def test_read_audio_tells_of_a_header_that_states_less_than_there_is(tmp_path: Path, places: tuple[int, ...]) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE, seconds=3), SAMPLE_RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    for place in places:
        content[place : place + 4] = struct.pack("<I", (len(content) - 44) // 2 + 40 - place)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.warns(UserWarning, match=r"a.wav states 1\.50 s, but more follows.*; only that is read"):
        assert len(read_audio(tmp_path / "a.wav")) == 1.5 * SAMPLE_RATE
    content[4:8] = struct.pack("<I", 36 + 48_000)
    (tmp_path / "a.wav").write_bytes(content[: 44 + 48_000] + b"some bytes behind")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (22, b"\3\0"),
        (24, struct.pack("<I", 32_384)),
        (24, struct.pack("<I", 8_000)),
        (28, b"\x10\x7d"),
        (34, b"\x18\0"),
    ],
    ids=["channels", "high", "low", "bytes", "bits"],
)
def test_read_audio_tells_of_a_header_whose_figures_do_not_fit(tmp_path: Path, place: int, value: bytes) -> None:
    """Samples a second, samples' size and bytes a second are stated each, so a damaged one shows."""
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.1), 16_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_audio(tmp_path / "a.wav")
    raw = bytearray((tmp_path / "a.wav").read_bytes())
    raw[place : place + len(value)] = value
    (tmp_path / "a.wav").write_bytes(raw)
    with pytest.warns(UserWarning, match=r"a\.wav states [\d,]+ samples of 2 bytes a second, .* which do not fit"):
        read_audio(tmp_path / "a.wav")


def test_read_audio_tells_of_a_header_that_states_half_where_the_rest_is_silent(tmp_path: Path) -> None:
    wave = np.r_[tone(SAMPLE_RATE), np.zeros_like(tone(SAMPLE_RATE))]
    soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", (len(content) - 44) // 2)
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.warns(UserWarning, match=r"a.wav states 0\.50 s, but more follows"):
        assert len(read_audio(tmp_path / "a.wav")) == SAMPLE_RATE // 2


def test_read_audio_reads_flac_whose_length_was_unknown_when_it_was_written(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(SAMPLE_RATE), SAMPLE_RATE)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0  # the number of samples, 36 bits
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    assert_is_tone(read_audio(tmp_path / "a.flac"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 96044\n", "it is a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>", "it is a web page"),
        (b"not sound", "Invalid data found when processing input"),
        (b"RIFF\x40\x00\x00\x00WAVEfmt ", "it is cut off after 16 bytes; its header promises 64"),
        (b"fLaC not sound", "unknown error in flac decoder"),
    ],
)
def test_an_error_names_the_file_once_and_says_what_it_is(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    for read in (read_audio, read_frames):
        with pytest.raises(
            ValueError, match=f"a.wav cannot be read: .*{'' if read is read_frames else reason}"
        ) as caught:
            read(tmp_path / "a.wav")
        assert str(caught.value).count(str(tmp_path)) == 1
        assert len(str(caught.value).replace(str(tmp_path), "")) < 220


def test_fault_says_why_a_file_cannot_be_used(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    soundfile.write(tmp_path / "silent.wav", np.full(SAMPLE_RATE, 1 / 2**15), SAMPLE_RATE)
    (tmp_path / "bad.wav").write_bytes(b"not sound")
    write_film(tmp_path / "a.mp4", sound=False)
    assert [fault(tmp_path / name, "audio") for name in ("a.wav", "silent.wav")] == ["", "digital silence"]
    assert fault(tmp_path / "bad.wav", "audio") == "Invalid data found when processing input"
    assert fault(Segment(tmp_path / "a.wav", 3.0, 4.0), "audio").startswith("it lasts 0.50 s, and its segment from 3 s")
    assert "does not exist" in fault(tmp_path / "gone.wav", "audio")
    assert fault(tmp_path / "a.mp4", "audio") == "it has no sound track that can be decoded"
    assert fault(tmp_path / "a.mp4", "video") == ""
    assert fault(tmp_path / "bad.wav", "video") == "Invalid data found when processing input"


def test_read_frames_turns_a_film_as_its_telephone_was_held(tmp_path: Path) -> None:
    upright = np.zeros((10, 48, 32, 3), np.uint8)
    upright[:, :16, :16] = 255  # white in the left upper corner
    path = tmp_path / "a.mp4"
    for turns, sines in ((1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0)), (0, (1, 0, 0, 1))):
        lying = np.rot90(upright, turns, axes=(1, 2))
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.height, stream.width, stream.pix_fmt = *lying.shape[1:3], "yuv420p"
            for number, picture in enumerate(lying):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        content = bytearray(path.read_bytes())
        matrix = content.index(b"tkhd") + 44
        a, b, c, d = (65_536 * sine for sine in sines)
        content[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
        path.write_bytes(content)
        frames = read_frames(path)
        assert frames.shape == upright.shape
        assert np.abs(frames.astype(int) - upright).mean() < 5


def test_read_audio_says_when_a_film_is_silent_and_read_frames_when_sound_has_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"silent.mp4 cannot be read: it has no sound track.*Expected"):
        read_audio(write_film(tmp_path / "silent.mp4", sound=False))
    with pytest.raises(ValueError, match=r"sound.m4a cannot be read: it has no picture track.*Expected"):
        read_frames(write_film(tmp_path / "sound.m4a", pictures=False))


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")]
)
def test_read_frames_reads_all_or_a_part(tmp_path: Path, name: str, codec: str) -> None:
    path = write_film(tmp_path / name, codec=codec)
    frames = read_frames(path)
    assert frames.shape == (N_FRAMES, *SIZE, 3)
    assert frames.dtype == np.uint8
    assert brightness(frames) == list(range(N_FRAMES))
    assert brightness(read_frames(path, start=0.7, end=1.2)) == [7, 8, 9, 10, 11]
    assert brightness(read_frames(path, start=1.7)) == [17, 18, 19]
    assert brightness(read_frames(path, end=0.2)) == [0, 1]
    assert brightness(read_frames(path, start=1.85, end=60)) == [19]


@pytest.mark.parametrize(
    ("fps", "start", "end", "expected"),
    [
        (5, None, None, list(range(0, 20, 2))),
        (20, 0.5, 0.8, [5, 5, 6, 6, 7, 7]),
        (4, 1.0, None, [10, 12, 15, 17]),
        (3, 0.15, 0.25, [1]),
        (20, 1.9, 9, [19, 19]),
    ],
)
def test_read_frames_takes_the_picture_on_screen(
    tmp_path: Path, fps: float, start: float | None, end: float | None, expected: list[int]
) -> None:
    path = write_film(tmp_path / "a.mp4")
    assert brightness(read_frames(path, fps=fps, start=start, end=end)) == expected


def test_read_frames_says_when_nothing_is_shown_or_asked_for(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"shows no picture between 5 and 6 s.*Expected"):
        read_frames(path, start=5, end=6)
    with pytest.raises(ValueError, match=r"start=2, end=1.*expected 0 <= start < end.*Leave out"):
        read_frames(path, start=2, end=1)
    with pytest.raises(ValueError, match=r"fps=0; expected"):
        read_frames(path, fps=0)


@pytest.mark.parametrize(("name", "share"), [("a.avi", 0.75), ("a.avi", 0.4), ("a.mp4", 0.6), ("a.mkv", 0.5)])
def test_read_frames_rejects_a_film_that_is_cut_off(tmp_path: Path, name: str, share: float) -> None:
    path = write_film(tmp_path / name, sound=False)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=THREE_PARTS):
        read_frames(path)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3"):
        soundfile.write(folder / name, tone(SAMPLE_RATE, seconds=0.2), SAMPLE_RATE)
    write_film(folder / "a.mp4")
    write_film(folder / "a.avi")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mangled")


@examples(100)
@given(
    name=st.sampled_from(["a.wav", "a.flac", "a.ogg", "a.mp3", "a.mp4", "a.avi"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), max_size=6),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    in_header=st.booleans(),
)
def test_mangled_files_give_sound_and_pictures_or_a_clear_error(
    originals: dict[str, bytes], scratch: Path, name: str, edits: list, kept: float, in_header: bool
) -> None:
    content = bytearray(originals[name])
    reach = 64 if in_header else len(content)
    for place, replacement in edits:
        start = int(place * reach)
        content[start : start + len(replacement)] = replacement
    path = scratch / name
    path.write_bytes(content[: int(kept * len(content))])
    for read in (read_audio, read_frames, audio_seconds):
        problem, result = "", None
        try:
            result = read(path)
        except ValueError as error:
            problem = str(error)
        assert result is not None or all(part in problem for part in (name, "xpected", "leave it out"))
        if read is read_audio and result is not None:
            assert np.isfinite(result).all()
            assert result.dtype == np.float32
            assert len(result)


def tagged(folder: Path) -> Path:
    """A film whose title is written in Latin-1, as old programs do."""
    path = folder / "tagged.avi"
    write_film(path)
    with av.open(str(path)) as source, av.open(str(folder / "titled.avi"), "w") as copy:
        copy.metadata["title"] = "Cafe noir"
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    path.write_bytes((folder / "titled.avi").read_bytes().replace(b"Cafe noir", b"Caf\xe9 noir"))
    return path


def test_a_tag_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    path = tagged(tmp_path)
    assert b"Caf\xe9" in path.read_bytes()
    assert_is_tone(read_audio(path), seconds=2)
    assert read_frames(path).shape == (N_FRAMES, *SIZE, 3)


@pytest.mark.parametrize(("version", "options"), [("14.0.0", {"metadata_errors": "ignore"}), ("19.0.2", {})])
def test_pyav_is_asked_only_for_what_its_version_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, options: dict[str, str]
) -> None:
    asked: list[dict[str, str]] = []
    opened = av.open

    def recorded(path: str, **given: str) -> object:
        asked.append(given)
        return opened(path)

    monkeypatch.setattr(av, "open", recorded)
    monkeypatch.setattr(av, "__version__", version)
    read_frames(write_film_before(opened, tmp_path / "a.mp4", monkeypatch))
    assert asked == [options]


def write_film_before(opened: object, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a film with PyAV as it is."""
    with monkeypatch.context() as real:
        real.setattr(av, "open", opened)
        return write_film(path)


@pytest.mark.parametrize("function", [read_audio, read_frames, audio_seconds])
def test_a_wrong_argument_of_ours_is_not_called_a_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function
) -> None:
    path = write_film(tmp_path / "a.mp4")

    def newer(path: str) -> None:
        raise AssertionError(f"{path} was opened")

    monkeypatch.setattr(av, "open", newer)
    monkeypatch.setattr(av, "__version__", "18.1.0")
    with pytest.raises(TypeError, match="metadata_errors"):
        function(path)


@pytest.mark.parametrize("python", (os.environ.get("EMOLAB_TEST_PYTHONS") or "none").split(os.pathsep))
def test_other_versions_of_pyav_read_the_same(tmp_path: Path, python: str) -> None:
    """`EMOLAB_TEST_PYTHONS` names interpreters of environments that have another PyAV, such as 14.0.0 or 19.0.2."""
    if python == "none":
        pytest.skip("no other version of PyAV at hand; EMOLAB_TEST_PYTHONS names interpreters that have one")
    path = tagged(tmp_path)
    code = "import sys, av; from emolab.media import *; print(av.__version__, len(read_audio(sys.argv[1])), "
    code += "read_frames(sys.argv[1]).shape, audio_seconds(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([python, "-c", code, str(path)], env=environment, capture_output=True, text=True, check=False)
    version, _, found = done.stdout.strip().partition(" ")
    assert version != av.__version__, done.stderr
    assert found == f"{len(read_audio(path))} {read_frames(path).shape} {audio_seconds(path)}", done.stderr


def test_read_audio_lets_the_system_say_that_it_may_not_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(SAMPLE_RATE), SAMPLE_RATE)
    (tmp_path / "a.wav").chmod(0)
    if os.access(tmp_path / "a.wav", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(PermissionError):
        read_audio(tmp_path / "a.wav")
