"""Where there is speech in a recording: its sound block by block, and the turns in it, in bounded memory."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import librosa
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from emolab.media import SAMPLE_RATE, DecodingError, _opened, _readable
from emolab.storage import settings_beside

Wave = NDArray[np.float32]  # (samples,), mono, 16 kHz, full scale is 1

SET = settings_beside(__file__, "annotate.toml", "speech")
Samples = tuple[int, int]  # the first of a turn and the one behind its last, into the recording


class Block(NamedTuple):
    """A part of a recording that begins and ends in silence, and the turns in it."""

    start: int  # samples into the recording
    wave: Wave
    turns: list[Samples]
    end: int  # where the next block begins

    def cuts(self, *, denoised: bool = False) -> list[Wave]:
        """Return the sound of each turn, as it is or without steady noise."""
        turns = [(first - self.start, last - self.start) for first, last in self.turns]
        wave = without_noise(self.wave, turns) if denoised else self.wave
        return [wave[first:last] for first, last in turns]


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
        resampler, n_found = av.AudioResampler(format="fltp", rate=SAMPLE_RATE), 0
        for frame in chain(_decoded(container, stream), [None]):
            for part in resampler.resample(frame):
                wave, beyond = _mono(cast(Wave, part.to_ndarray())), max(0, skip - n_found)
                n_found += len(wave)
                if len(wave) > beyond:
                    yield np.nan_to_num(wave[beyond:]).clip(-1, 1).astype(np.float32)


def _mono(channels: Wave) -> Wave:
    """Average (channels, samples) to (samples,); where channels cancel each other out, take the loudest."""
    mixed, loudest = channels.mean(axis=0), channels[np.square(channels).sum(axis=1).argmax()]
    return loudest if np.square(mixed).sum() < SET.cancelled * np.square(loudest).sum() else mixed


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of a stream up to where it breaks off."""
    n_frames = 0
    with suppress(FFmpegError):
        for n_frames, frame in enumerate(container.decode(stream), start=1):  # noqa: B007
            yield frame
    if not n_frames:
        raise DecodingError("not a single sample of its sound can be decoded")


@lru_cache
def _detector() -> Any:
    import silero_vad

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own way to find its file
        return silero_vad.load_silero_vad(sequence=True)


def turns_in(wave: Wave) -> list[Samples]:
    """Find turns: stretches of speech between pauses, as (first sample, the one behind the last).

    Source: silero-vad, which is asked twice: what it calls silence at first tells the noise that is taken away before
    it looks for the ends of turns. A quiet recording is raised for it; others are taken as they are.
    """
    from silero_vad import get_speech_timestamps_from_probs

    peak, turns = float(np.abs(wave).max(initial=0.0)), list[Samples]()
    gain = min(SET.most_gain, SET.normal / peak) if 0 < peak < SET.quiet else 1.0
    for _ in range(2 if peak else 0):
        likely = _detector().audio_forward(without_noise(wave, turns) * np.float32(gain))
        found = get_speech_timestamps_from_probs([*likely], audio_length_samples=len(wave), **SET.detector)
        turns = [(each["start"], each["end"]) for each in found]
    return turns


def without_noise(wave: Wave, turns: Sequence[Samples]) -> Wave:
    """Reduce steady noise, as it is between the turns, by spectral subtraction (Boll 1979).

    Without turns, or with too little between them, the sound is returned as it is.
    """
    spectrum = librosa.stft(wave, n_fft=SET.n_fft, hop_length=SET.hop)
    power, quiet = np.square(np.abs(spectrum)), np.ones(spectrum.shape[1], bool)
    for first, last in turns:
        quiet[first // SET.hop : last // SET.hop + 1] = False
    if not turns or quiet.sum() < SET.least_frames:
        return wave
    noise = np.median(power[:, quiet], axis=1, keepdims=True) / np.log(2)  # the mean of a power that is exponential
    left = 1 - SET.subtracted * noise / uniform_filter(power, SET.smooth).clip(1e-12)
    return librosa.istft(spectrum * np.sqrt(left.clip(SET.floor**2)), hop_length=SET.hop, length=len(wave))


def speech_blocks(
    path: Path, turns: Sequence[Samples] | None = None, *, skip: int = 0, block_s: float = SET.block_s
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
        settled = len(sound) - (round(SET.settled_s * SAMPLE_RATE) if wave is not None else 0)
        if wave is None:
            found = [(first, min(last, settled)) for first, last in found]
        end = min([settled, *(first for first, last in found if last > settled)])  # what may go on comes next
        whole = [turn for turn in found if turn[1] <= settled and turn[0] < end]
        reach = max([end, *(last for _, last in whole)])  # turns made elsewhere may overlap
        if end or wave is None:
            yield Block(start, sound[:reach], [(start + first, start + last) for first, last in whole], start + end)
        start, waves = start + end, [sound[end:]]
