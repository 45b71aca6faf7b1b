"""Audio and pictures from files: any rate, any number of channels, any container."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz, of the audio that every model takes
# Beginnings of the files that libsndfile reads; FFmpeg reads the others
SOUND_FILES = (b"RIFF", b"RF64", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"riff")
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; a header that says something else is broken
MAX_SAMPLE = 100.0  # full scale is 1; a float file may overshoot by some dB, not by 40
N_VALUES_A_BLOCK = 1 << 22  # a broken header may promise terabytes: memory is taken as the audio arrives
UNSIZED = 0x7FFF_0000  # bytes; a file written into a pipe could not know its size and states this or more
PADDING = 8  # bytes that the size in a header may be too large by
TOLERANCE_S = 0.25  # a container's duration and that of its audio differ by some codec frames
SAME_TIME_S = 1e-3  # times of film frames are rounded
FIRST_LENIENT_AV = 19  # from this version on PyAV reads tags that are not UTF-8 without being asked


@dataclass(frozen=True, eq=False)
class InMemoryMedia:
    """Audio or pictures in memory, where else a file would be named; equal to nothing but itself.

    Attributes:
        content: (samples,) float32 at 16 kHz, or (frames, size, size, 3) uint8 of a cropped face.
    """

    content: NDArray[Any]


class Segment(NamedTuple):
    """A part of a file, such as an utterance in a recording or film of a dialogue; None where nothing is cut off."""

    path: Any  # a path, or InMemoryMedia
    start: float | None = None  # seconds into the file
    end: float | None = None
    side: str | None = None  # left or right: half of the picture


class DecodingError(ValueError):
    """The content of a file is not what its header promises, or not what a recording can hold."""


def read_audio(path: str | Path | InMemoryMedia, *, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Read a sound file, or the sound of a film, as one channel at one rate.

    Channels are averaged; silence and a single sample are audio like any other and come back as they are.

    Args:
        path: Sound file (wav, flac, ogg, mp3, …) or container (mp4, avi, m4a, …); or audio in memory.
        sample_rate: Rate to resample to, Hz.

    Returns:
        (samples,) float32, mono, full scale is 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, corrupt, cut off, without audio, or has samples that are no audio.
        OSError: If the system cannot read the file.
    """
    if isinstance(path, InMemoryMedia):
        wave, rate = path.content, SAMPLE_RATE
    else:
        with _readable(path, "sound") as path:
            wave, rate = (_read_sound_file if _is_sound_file(path) else _read_sound_track)(path)
            if not MIN_RATE <= rate <= MAX_RATE:
                raise DecodingError(f"its header says {rate} samples a second, not {MIN_RATE} to {MAX_RATE}")
            if len(wave) == 0:
                raise DecodingError("it holds not a single sample")
            if not (peak := np.abs(wave).max()) <= MAX_SAMPLE:  # NaN is not below anything
                raise DecodingError(f"its samples reach {peak:g}, where 1 is full scale (integers saved as floats?)")
    if rate == sample_rate:
        return wave
    resampled = soxr.resample(wave, rate, sample_rate)
    return resampled if len(resampled) else wave[:1]  # a moment shorter than one new sample


def read_frames(
    path: str | Path, *, start: float | None = None, end: float | None = None, fps: float | None = None
) -> NDArray[np.uint8]:
    """Read the pictures of a film, or of the part of it from `start` to `end`.

    Args:
        path: Film (mp4, avi, …).
        start: First moment wanted, seconds into the film; None is the beginning.
        end: Moment to stop before, seconds; None, or later than the film, is its end.
        fps: Pictures a second, each the one on screen at its moment; None takes every picture once.

    Returns:
        (frames, height, width, 3) uint8, red, green and blue from 0 to 255.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, corrupt, cut off or without pictures, or shows none between start and end.
        OSError: If the system cannot read the file.
    """
    first, last = start or 0.0, float("inf") if end is None else end
    if not 0 <= first < last or not (fps is None or fps > 0):
        raise ValueError(f"{start=}, {end=}, {fps=}; expected 0 <= start < end and fps above 0. Leave out others.")
    with _readable(path, "pictures") as path, _opened(path, "video") as (container, stream):
        _checked_head(path)
        shown = _timed_frames(container, stream, first, last)
        if fps is not None:
            shown = _on_grid(shown, first, min(last, _promised_seconds(container, stream)), fps)
        pictures = (picture for time, picture in shown if time >= first - SAME_TIME_S)
        arrays = [picture.to_ndarray(format="rgb24") for picture in pictures]
        if not arrays:
            raise DecodingError(f"it shows no picture between {first:g} and {last:g} s")
        return np.stack(arrays)


def audio_seconds(path: str | Path) -> float:
    """Return how long the audio of a file lasts, in seconds, as its header says; without one it is decoded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, corrupt or without audio.
    """
    with _readable(path, "sound") as path:
        if _is_sound_file(path):
            return float(soundfile.info(path).duration)
        with _opened(path, "audio") as (container, stream):
            seconds = _promised_seconds(container, stream)
    return seconds or len(read_audio(path)) / SAMPLE_RATE


@contextmanager
def _readable(path: str | Path, wanted: str) -> Iterator[Path]:
    """Give a file that is there; what a decoder raises becomes a ValueError that says which file and what to do.

    Only the decoders' own errors count as a broken file; a denied permission or a mistake of ours stays as it is.
    """
    path = Path(path)
    if not path.is_file():
        why = f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; expected a sound or film file."
        raise FileNotFoundError(f"{why} Check the name and the corpus's root folder.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty, 0 bytes; expected {wanted}. Copy the file again or leave it out by its id.")
    try:
        yield path
    except (DecodingError, FFmpegError, soundfile.SoundFileError, UnicodeDecodeError, MemoryError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        why = f"{path} cannot be read: {reason}. Expected whole, uncorrupted {wanted}."
        raise ValueError(f"{why} Copy the file again, convert it, or leave it out by its id.") from error


def _checked_head(path: Path) -> bytes:
    """Return the first bytes of a file; raise if it is a wav, avi or aiff shorter than they say, as decoders do not."""
    with path.open("rb") as file:
        head, found = file.read(12), path.stat().st_size
    order: Any = {b"RIFF": "little", b"FORM": "big"}.get(head[:4])
    stated = int.from_bytes(head[4:8], order) if order else 0
    if found + PADDING < stated < UNSIZED:
        raise DecodingError(f"it is cut off after {found:,} bytes; its header promises {stated:,}")
    return head


def _is_sound_file(path: Path) -> bool:
    """Tell by its first bytes, whatever its name, whether libsndfile reads a file."""
    head = _checked_head(path)
    return head.startswith(SOUND_FILES) and head[8:] != b"AVI "


def _read_sound_file(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode with libsndfile: mono wave and its rate."""
    with soundfile.SoundFile(path) as file:
        n_block = max(1, N_VALUES_A_BLOCK // file.channels)
        blocks = [file.read(n_block, dtype="float32", always_2d=True)]
        while len(blocks[-1]) == n_block:
            blocks.append(file.read(n_block, dtype="float32", always_2d=True))
        if (n_found := sum(map(len, blocks))) < file.frames:
            raise DecodingError(f"it is cut off after {n_found / file.samplerate:.2f} s; its header promises more")
        return np.concatenate([_mono(block.T) for block in blocks]), file.samplerate


def _read_sound_track(path: Path) -> tuple[NDArray[np.float32], int]:
    """Decode with FFmpeg: mono wave and its rate."""
    with _opened(path, "audio") as (container, stream):
        to_float = av.AudioResampler(format="fltp")  # keeps rate and channels
        frames: list[Any] = [part for frame in container.decode(stream) for part in to_float.resample(frame)]
        rate = frames[0].sample_rate if frames else SAMPLE_RATE
        wave = np.concatenate([np.zeros(0, np.float32), *(_mono(frame.to_ndarray()) for frame in frames)])
        _check_whole(len(wave) / rate, container, stream)
        return wave, rate


def _mono(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average (channels, samples) to (samples,)."""
    with np.errstate(over="ignore", invalid="ignore"):  # samples that are no audio are told from the result
        return channels[0] if len(channels) == 1 else channels.mean(axis=0)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    """Open a container and give it with its first stream of sound ("audio") or pictures ("video")."""
    strict = int(av.__version__.partition(".")[0]) < FIRST_LENIENT_AV
    options: dict[str, Any] = {"metadata_errors": "ignore"} if strict else {}
    with av.open(str(path), **options) as container:
        streams = getattr(container.streams, kind)
        if not streams or streams[0].codec_context is None:
            raise DecodingError(f"it has no {'sound' if kind == 'audio' else 'picture'} track that can be decoded")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _promised_seconds(container: Any, stream: Any) -> float:
    """Return the duration that the header of a container states, 0 where it states none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000  # FFmpeg counts in microseconds


def _check_whole(found: float, container: Any, stream: Any) -> None:
    """Raise if less is found, in seconds, than the header of a container promises."""
    if found < (promised := _promised_seconds(container, stream)) - TOLERANCE_S:
        raise DecodingError(f"it is cut off after {found:.2f} s; its header promises {promised:.2f} s")


def _timed_frames(container: Any, stream: Any, first: float, last: float) -> Iterator[tuple[float, Any]]:
    """Yield (seconds into the film, picture) before `last`, from a picture at or before `first` on."""
    begin = float((stream.start_time or 0) * stream.time_base)
    period = 1 / float(stream.average_rate) if stream.average_rate else 0.0
    if first > 0:
        container.seek(round((first + begin) / stream.time_base), stream=stream)
    time = -period
    for frame in container.decode(stream):
        time = time + period if frame.time is None else frame.time - begin
        if time >= last - SAME_TIME_S:
            return
        yield time, frame
    if last == float("inf"):
        _check_whole(time + period, container, stream)


def _on_grid(shown: Iterator[tuple[float, Any]], first: float, last: float, fps: float) -> Iterator[tuple[float, Any]]:
    """Yield first, first + 1 / fps, … before `last`, each with the picture that is on screen then."""
    n_yielded, on_screen = 0, None
    for time, picture in chain(shown, [(last, None)]):
        while on_screen is not None and (moment := first + n_yielded / fps) < time - SAME_TIME_S:
            yield moment, on_screen
            n_yielded += 1
        on_screen = picture
