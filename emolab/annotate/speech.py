"""Where there is speech in a recording: its sound block by block, and the turns in it, in bounded memory."""

import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

from emolab.media import SAMPLE_RATE, _opened, _readable

Wave = NDArray[np.float32]  # (samples,), mono, 16 kHz, full scale is 1

BLOCK_S = 60.0  # seconds that are worked on at once: what is lost when a process is killed
LEAST_S, GREATEST_S = 0.25, 15.0  # seconds; a shorter sound is no turn, a longer turn is cut at its longest pause
PAUSE_S = 0.33  # a silence of so much ends a turn; chosen, like the two below, on stitched RAVDESS recordings
SPEECH = 0.3  # probability of speech from which on a frame counts as such
PAD_S = 0.06  # seconds before and after, where soft sounds are
QUIET, NORMAL = 0.05, 0.3  # peak below which the detector's copy is raised, and to what; else it misses quiet speech
MOST_GAIN = 100.0  # 40 dB
CANCELLED = 0.01  # of the loudest channel's power is left of their mean


class Block(NamedTuple):
    """A part of a recording that begins and ends in silence, and the turns in it."""

    start: int  # samples into the recording
    wave: Wave
    turns: list[tuple[int, int]]  # first sample of each turn and the one behind its last, into the recording
    end: int  # where the next block begins

    def cuts(self) -> list[Wave]:
        """Return the sound of each turn."""
        return [self.wave[first - self.start : last - self.start] for first, last in self.turns]


def audio_blocks(path: Path, *, skip: int = 0) -> Iterator[Wave]:
    """Yield the sound of any file that FFmpeg reads, mono at 16 kHz, in blocks of a second or so.

    A recording that breaks off, such as one whose recorder lost power, gives what can be decoded of it.

    Args:
        path: Sound file or film.
        skip: Samples at 16 kHz to leave out at the beginning.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it has no sound that can be decoded.
    """
    with _readable(path, "sound") as path, _opened(path, "audio") as (container, stream):
        to_float, resampler, n_found = av.AudioResampler(format="fltp"), None, 0
        with closing(_decoded(container, stream)) as frames:
            for frame in chain(frames, [None]):
                parts = (
                    [_mono(cast(Wave, part.to_ndarray())) for part in to_float.resample(frame)]
                    if frame or resampler
                    else []
                )
                if resampler is None and frame is not None:
                    resampler = soxr.ResampleStream(frame.sample_rate, SAMPLE_RATE, 1, dtype="float32")
                if resampler is None:
                    raise FFmpegError(0, "not a single sample of its sound can be decoded", str(path))
                wave = np.nan_to_num(np.concatenate([np.zeros(0, np.float32), *parts])).clip(-1, 1)
                sound = resampler.resample_chunk(wave.astype(np.float32), last=frame is None)
                n_found, beyond = n_found + len(sound), max(0, skip - n_found)
                if len(sound) > beyond:
                    yield sound[beyond:]


def _mono(channels: Wave) -> Wave:
    """Average (channels, samples) to (samples,); where channels cancel each other out, take the loudest."""
    mixed, loudest = channels.mean(axis=0), channels[np.square(channels).sum(axis=1).argmax()]
    return loudest if np.square(mixed).sum() < CANCELLED * np.square(loudest).sum() else mixed


def _decoded(container: Any, stream: Any) -> Generator[Any]:
    """Yield the frames of a stream up to where it breaks off."""
    n_frames = 0
    try:
        for frame in container.decode(stream):
            n_frames += 1
            yield frame
    except FFmpegError:
        if not n_frames:
            raise


@lru_cache
def _detector() -> Any:
    import silero_vad

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own way to find its file
        return silero_vad.load_silero_vad(sequence=True)


def turns_in(wave: Wave) -> list[tuple[int, int]]:
    """Find turns: stretches of speech between pauses, as (first sample, the one behind the last).

    Source: silero-vad. A quiet recording is raised for the detector alone; others are taken as they are.
    """
    from silero_vad import get_speech_timestamps_from_probs

    peak = float(np.abs(wave).max(initial=0.0))
    gain = min(MOST_GAIN, NORMAL / peak) if 0 < peak < QUIET else 1.0
    probabilities = _detector().audio_forward(wave * np.float32(gain)) if peak else np.zeros(0)
    durations = {"min_silence_duration_ms": 1e3 * PAUSE_S, "min_speech_duration_ms": 1e3 * LEAST_S}
    limits = {"max_speech_duration_s": GREATEST_S, "speech_pad_ms": 1e3 * PAD_S, "audio_length_samples": len(wave)}
    found = get_speech_timestamps_from_probs(list(probabilities), threshold=SPEECH, **durations, **limits)
    return [(each["start"], each["end"]) for each in found]


def speech_blocks(
    path: Path, turns: Sequence[tuple[int, int]] | None = None, *, skip: int = 0, block_s: float = BLOCK_S
) -> Iterator[Block]:
    """Yield a recording in blocks of about `block_s`, cut where nobody speaks, with the turns in each.

    Args:
        path: Sound file or film.
        turns: Turns that are known, in samples into the recording; None: they are looked for.
        skip: Where to begin, in samples. A block depends on nothing before it: from the end of any of them on, the
            rest is the same.
        block_s: Seconds; a block goes on to the end of its last turn.
    """
    start, waves = skip, []
    for wave in chain(audio_blocks(path, skip=skip), [None]):
        waves += [] if wave is None else [wave]
        if wave is not None and sum(map(len, waves)) < block_s * SAMPLE_RATE:
            continue
        sound = np.concatenate([np.zeros(0, np.float32), *waves])
        known = None if turns is None else [(first - start, last - start) for first, last in turns]
        found = turns_in(sound) if known is None else [turn for turn in known if 0 <= turn[0] < len(sound)]
        settled = len(sound) - (round((PAUSE_S + PAD_S) * SAMPLE_RATE) if wave is not None else 0)
        if wave is None:
            found = [(first, min(last, settled)) for first, last in found]
        end = min([settled, *(first for first, last in found if last > settled)])  # what may go on comes next
        whole = [turn for turn in found if turn[1] <= settled and turn[0] < end]
        reach = max([end, *(last for _, last in whole)])  # turns made elsewhere may overlap
        if end or wave is None:
            yield Block(start, sound[:reach], [(start + first, start + last) for first, last in whole], start + end)
        start, waves = start + end, [sound[end:]]
