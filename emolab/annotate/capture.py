"""Live: turns of a microphone, or of a file played as if live, as soon as each has ended."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from emolab.annotate import speech
from emolab.annotate.pipeline import Job, Work
from emolab.annotate.speech import Block, Wave, audio_blocks, turns_in
from emolab.media import SAMPLE_RATE
from emolab.storage import toml_beside

SET = SimpleNamespace(**toml_beside(__file__, "annotate.toml")["live"])


def played(path: Path) -> Iterator[Wave]:
    """Yield the sound of a file in chunks, each when it would have been spoken."""
    began, n_played, held = time.monotonic(), 0, np.zeros(0, np.float32)
    size = round(SET.chunk_s * SAMPLE_RATE)
    for wave in audio_blocks(path):
        held = np.concatenate([held, wave])
        while len(held) >= size:
            n_played += size
            time.sleep(max(0.0, began + n_played / SAMPLE_RATE - time.monotonic()))
            yield held[:size]
            held = held[size:]
    yield held


def microphone() -> Iterator[Wave]:
    """Yield what the default microphone records, in chunks, until the process is interrupted (Ctrl-C).

    Raises:
        OSError: If there is no microphone, or the library PortAudio is missing.
    """
    try:
        import sounddevice
    except OSError as error:
        why = f"no microphone can be opened ({error}); expected the library PortAudio"
        raise OSError(f"{why}. sudo apt install libportaudio2, or name a file to play as if live.") from error
    chunks: queue.Queue[Wave] = queue.Queue()

    def keep(data: Any, *_: Any) -> None:
        chunks.put(np.array(data[:, 0], np.float32))

    how = {"samplerate": SAMPLE_RATE, "channels": 1, "dtype": "float32", "blocksize": round(SET.chunk_s * SAMPLE_RATE)}
    try:
        with sounddevice.InputStream(callback=keep, **how):
            while True:
                yield chunks.get()
    except sounddevice.PortAudioError as error:
        raise OSError(f"no microphone can be opened: {error}. Plug one in, or name a file to play.") from error


def live(job: Job, chunks: Iterator[Wave]) -> Iterator[tuple[Work, float]]:
    """Recognize each turn as soon as the pause behind it tells that it has ended.

    Args:
        job: What recognizes; its path names the recording.
        chunks: Sound as it arrives.

    Yields:
        The work on a turn, and how many seconds after the end of its speech it was done; at last the end of the
        recording, without a turn.
    """
    began, start, held = time.monotonic(), 0, np.zeros(0, np.float32)
    try:
        for wave in chunks:
            held = np.concatenate([held, wave])
            found, settled = turns_in(held), len(held) - round(speech.SET.settled_s * SAMPLE_RATE)
            cut = max(0, len(held) - round(SET.silence_s * SAMPLE_RATE)) if not found else 0
            for turn in (turn for turn in found if turn[1] <= settled):
                cut, span = turn[1], (start + turn[0], start + turn[1])
                work = job.work(Block(start, held[: turn[1]], [span], span[1]))
                yield work, time.monotonic() - began - span[1] / SAMPLE_RATE
            start, held = start + cut, held[cut:]
    except KeyboardInterrupt:  # of a microphone, the usual end
        pass
    turns = [(start + first, start + last) for first, last in turns_in(held)]
    yield job.work(Block(start, held, turns, start + len(held))), float("nan")
