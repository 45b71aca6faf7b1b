"""Audio and pictures from files: any rate, any number of channels, any container."""

import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

from emolab.storage import settings_beside

SAMPLE_RATE = 16_000  # Hz, of the audio that every model takes
SET = settings_beside(__file__, "media.toml")  # all other numbers


@dataclass(frozen=True, eq=False)
class InMemoryMedia:
    """Audio or pictures in memory, where else a file would be named; equal to nothing but itself.

    Attributes:
        content: (samples,) float32 at 16 kHz, or (frames, size, size, 3) uint8 of a cropped face.
        key: A digest of it, under which its features are cached; "": they are computed each time.
    """

    content: NDArray[Any]
    key: str = ""


class Segment(NamedTuple):
    """A part of a file, such as an utterance in a recording or film of a dialogue; None where nothing is cut off."""

    path: Any  # a path, or InMemoryMedia
    start: float | None = None  # seconds into the file
    end: float | None = None
    side: str | None = None  # left or right: half of the picture


Block = tuple[NDArray[np.float32], int]  # (channels, samples), and samples a second


class DecodingError(ValueError):
    """The content of a file is not what its header promises, or not what a recording can hold."""


def read_audio(path: str | Path | InMemoryMedia | Segment, *, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float32]:
    """Read a sound file, the sound of a film, or a segment of one, as one channel at one rate.

    Channels are averaged; where they cancel each other out (opposite phase), the loudest is taken, with a warning.
    Silence and a single sample are audio like any other and come back as they are. Of a segment, little more than
    itself is decoded.

    Args:
        path: Sound file (wav, flac, ogg, mp3, …) or container (mp4, avi, m4a, …), or a segment of it; or audio in
            memory.
        sample_rate: Rate to resample to, Hz.

    Returns:
        (samples,) float32, mono, full scale is 1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, corrupt, cut off, without audio, or has samples that are no audio; or if a
            segment does not end after its start, or lies beyond the end of its file.
        OSError: If the system cannot read the file.
    """
    path, *span = path[:3] if isinstance(path, Segment) else (path, None, None)
    if isinstance(path, InMemoryMedia):
        wave, rate = path.content, SAMPLE_RATE
    else:
        with _readable(path, "sound") as path:
            decode = partial(_sound_file if _is_sound_file(path) else _sound_track, path, *_span(*span))
            wave, rate = _mixed(decode, path)
            if not SET.min_rate <= rate <= SET.max_rate:
                raise DecodingError(f"its header says {rate} samples a second, not {SET.min_rate} to {SET.max_rate}")
            if len(wave) == 0:
                raise DecodingError("it holds not a single sample")
            if not (peak := np.abs(wave).max()) <= SET.max_sample:  # NaN is not below anything
                raise DecodingError(f"its samples reach {peak:g}, where 1 is full scale (integers saved as floats?)")
    if rate == sample_rate:
        return wave
    resampled = soxr.resample(wave, rate, sample_rate)
    return resampled if len(resampled) else wave[:1]  # a moment shorter than one new sample


def read_frames(
    path: str | Path, *, start: float | None = None, end: float | None = None, fps: float | None = None
) -> NDArray[np.uint8]:
    """Read the pictures of a film, upright, or of the part of it from `start` to `end`.

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
    first, last = _span(start, end)
    if fps is not None and not fps > 0:
        raise ValueError(f"{fps=}; expected more than 0 pictures a second, or None for all. Correct the number.")
    with _readable(path, "pictures") as path, _opened(path, "video") as (container, stream):
        shown = _timed_frames(container, stream, first, last)
        if fps is not None:
            shown = _on_grid(shown, first, min(last, _promised_seconds(container, stream)), fps)
        pictures = (picture for time, picture in shown if time >= first - SET.same_time_s)
        arrays = [np.rot90(each.to_ndarray(format="rgb24"), round(each.rotation / 90)) for each in pictures]  # upright
        if not arrays:
            raise DecodingError(f"it shows no picture between {first:g} and {last:g} s")
        return np.stack(arrays)


def audio_seconds(path: str | Path | Segment) -> float:
    """Return how long the audio of a file lasts, in seconds, as its header says; without one it is decoded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, corrupt or without audio.
    """
    if not isinstance(path, Segment):
        with _readable(path, "sound") as path, _opened(path, "audio") as (container, stream):
            if seconds := _promised_seconds(container, stream):
                return seconds
    return len(read_audio(path)) / SAMPLE_RATE


def fault(source: Any, modality: str) -> str:
    """Say why the sound ("audio") or the film ("video") of a path or segment cannot be used; "" where it can.

    Sound is decoded, and digital silence (a peak below -84 dB) is a fault. Of a film the first picture is decoded.
    """
    try:
        if modality == "audio":
            return "" if np.abs(read_audio(source)).max() > SET.silent else "digital silence"
        return "" if len(read_frames(source, end=1.0, fps=1.0)) else "no picture"
    except (ValueError, OSError) as error:
        return str(error.__cause__ or error)


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
        _checked_head(path)
        yield path
    except (DecodingError, FFmpegError, soundfile.SoundFileError, UnicodeDecodeError, MemoryError) as error:
        told = getattr(error, "error_string", None) or getattr(error, "strerror", None)  # these do not name the file
        reason = (told or str(error) or type(error).__name__).rstrip(".")
        why = f"{path} cannot be read: {reason}. Expected whole, uncorrupted {wanted}."
        remedy = "Copy the file again, convert it, or leave it out by its id."
        raise ValueError(f"{why} {remedy}") from DecodingError(reason)


def _checked_head(path: Path) -> bytes:
    """Return the first bytes of a file; raise if it is a wav, avi or aiff shorter than they say, as decoders do not."""
    with path.open("rb") as file:
        head, found = file.read(64), path.stat().st_size
    if what := [what for start, what in SET.impostors.items() if head.lower().startswith(start.encode())]:
        raise DecodingError(f"it is {what[0]}")
    order: Any = {b"RIFF": "little", b"FORM": "big"}.get(head[:4])
    stated = int.from_bytes(head[4:8], order) if order else 0
    if found + SET.padding < stated < SET.unsized:
        raise DecodingError(f"it is cut off after {found:,} bytes; its header promises {stated:,}")
    return head


def _span(start: float | None, end: float | None) -> tuple[float, float]:
    """Return first and last moment of a part, seconds; ValueError unless it ends after its start."""
    first, last = start or 0.0, SET.longest_s if end is None else end
    if not 0 <= first < last:
        raise ValueError(f"{start=}, {end=}; expected 0 <= start < end, in seconds. Leave out others, or correct them.")
    return first, last


def _check_inside(first: float, last: float, seconds: float) -> None:
    """Raise unless a part lies inside what lasts so many seconds."""
    if (first and first >= seconds) or seconds + SET.tolerance_s < last < SET.longest_s:
        raise DecodingError(f"it lasts {seconds:.2f} s, and its segment from {first:g} s on goes beyond that")


def _is_sound_file(path: Path) -> bool:
    """Tell by its first bytes, whatever its name, whether libsndfile reads a file; FFmpeg reads those without length.

    A header that states less than there is, as where a recorder was switched off, or figures that do not fit, gives
    a warning.
    """
    head = _checked_head(path)
    code, n, rate, of_bytes, size, bits = struct.unpack_from("<HHIIHH", head.ljust(64), 20)
    if code in (1, 3) and head[12:16] == b"fmt " and (of_bytes not in (0, rate * size) or size != n * -(-bits // 8)):
        why = f"the header of {path} states {rate:,} samples of {size} bytes a second, {of_bytes:,} bytes a second"
        warnings.warn(f"{why}, and {n} channels of {bits} bits, which do not fit; it may be misread.", stacklevel=2)
    if head[:4].decode("latin-1") not in SET.sound_files or head[8:12] == b"AVI ":
        return False
    about = soundfile.info(path)
    # no chunk follows
    stated = re.search(r"^data : (\d+)\n(\*\*\* Unknown chunk|Have 0 m)", about.extra_info, re.MULTILINE)
    if stated and path.stat().st_size > SET.excess * int(stated[1]) + len(head):
        why = f"the header of {path} states {about.duration:.2f} s, but more follows, as where a recorder was switched"
        warnings.warn(f"{why} off; {'only that' if about.frames else 'all of it'} is read.", stacklevel=2)
    return 0 < about.frames < SET.unknown_length


def _sound_file(path: Path, first: float, last: float) -> Iterator[Block]:
    """Decode with libsndfile, from the first moment to the last."""
    about = soundfile.info(path)
    _check_inside(first, last, about.duration)
    place, end = round(first * about.samplerate), min(round(last * about.samplerate), about.frames)
    n_block = max(1, SET.n_values_a_block // about.channels)
    for block in soundfile.blocks(path, n_block, start=place, stop=end, dtype="float32", always_2d=True):
        yield block.T, about.samplerate
        place += len(block)
    if place < end:
        raise DecodingError(f"it is cut off after {place / about.samplerate:.2f} s; its header promises more")


def _sound_track(path: Path, first: float, last: float) -> Iterator[Block]:
    """Decode with FFmpeg, from the first moment to the last."""
    with _opened(path, "audio") as (container, stream):
        to_float = av.AudioResampler(format="fltp")  # keeps rate and channels
        zero, place, rate = float((stream.start_time or 0) * stream.time_base), 0, SAMPLE_RATE
        if seek := first > SET.pre_roll_s:
            container.seek(round((first - SET.pre_roll_s + zero) / stream.time_base), stream=stream)
        for part in (part for frame in container.decode(stream) for part in to_float.resample(frame)):
            block, rate = part.to_ndarray().astype(np.float32, copy=False), part.sample_rate
            if seek:  # only now it is known where this has led
                seek, place = False, round(((part.time or zero) - zero) * rate)
                if place > first * rate:
                    raise DecodingError(f"it cannot be cut at {first:g} s")
            begin, end = round(first * rate) - place, round(last * rate) - place
            yield block[:, max(0, begin) : max(0, end)], rate
            place += block.shape[1]
            if end <= block.shape[1]:
                return
        _check_whole(place / rate, container, stream)
        _check_inside(first, last, place / rate)


def _mixed(decode: Callable[[], Iterator[Block]], path: Path) -> tuple[NDArray[np.float32], int]:
    """Mix blocks of (channels, samples) down to one channel: the wave and its rate."""
    with np.errstate(over="ignore", invalid="ignore"):  # samples that are no audio are told from the result
        waves, rate, powers = [np.zeros(0, np.float32)], SAMPLE_RATE, np.zeros(1)
        for block, rate in decode():  # noqa: B007
            waves.append(block[0] if len(block) == 1 else block.mean(axis=0))
            if len(block) > 1:
                powers = powers + np.einsum("ij,ij->i", block, block, dtype=np.float64)
        wave, n_channels = np.concatenate(waves), len(powers)
        if np.square(n_channels * wave).sum(dtype=np.float64) < SET.cancelled * powers.sum():
            warnings.warn(f"the channels of {path} cancel each other out; the loudest of them is taken.", stacklevel=2)
            wave = np.concatenate([block[powers.argmax()] for block, _ in decode()])
    return wave, rate


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[Any, Any]]:
    """Open a container and give it with its first stream of sound ("audio") or pictures ("video")."""
    strict = int(av.__version__.partition(".")[0]) < SET.first_lenient_av
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
    if found < (promised := _promised_seconds(container, stream)) - SET.tolerance_s:
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
        if time >= last - SET.same_time_s:
            return
        yield time, frame
    if last == SET.longest_s:
        _check_whole(time + period, container, stream)


def _on_grid(shown: Iterator[tuple[float, Any]], first: float, last: float, fps: float) -> Iterator[tuple[float, Any]]:
    """Yield first, first + 1 / fps, … before `last`, each with the picture that is on screen then."""
    n_yielded, on_screen = 0, None
    for time, picture in chain(shown, [(last, None)]):
        while on_screen is not None and (moment := first + n_yielded / fps) < time - SET.same_time_s:
            yield moment, on_screen
            n_yielded += 1
        on_screen = picture
