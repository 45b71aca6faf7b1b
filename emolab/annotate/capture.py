"""Live: turns of a microphone and a camera, or of a file played as if live, as soon as each has ended."""

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from emolab.annotate import speech
from emolab.annotate.pipeline import Job, Work
from emolab.annotate.speech import Block, Wave, audio_blocks, turns_in
from emolab.features.video import FPS, SIZE, Pictures, cut_out, find_face
from emolab.media import SAMPLE_RATE
from emolab.storage import settings_beside

SET = settings_beside(__file__, "annotate.toml", "live")


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


class Camera(threading.Thread):
    """Keeps what a camera saw of late, so that a turn finds the face that was seen while it was spoken.

    Args:
        device: Number of a camera, such as "0", or its name, such as /dev/video0.
        form: FFmpeg's name of the kind of device; None takes that of cameras on this system.

    Raises:
        OSError: If there is no such camera.
    """

    def __init__(self, device: str, form: str | None = None) -> None:
        super().__init__(daemon=True)
        name = f"/dev/video{device}" if device.isdecimal() and sys.platform == "linux" else device
        try:
            self.source = av.open(name, format=form or SET.cameras[sys.platform])
        except (KeyError, ValueError, OSError, FFmpegError) as error:
            raise OSError(f"no camera {name} can be opened ({error}). Plug one in, or leave --camera out.") from error
        self.seen: deque[tuple[float, Pictures]] = deque(maxlen=round(FPS * SET.seen_s))

    def run(self) -> None:
        """Take pictures, `FPS` a second, until the camera ends."""
        began, n_taken = time.monotonic(), 0
        for frame in self.source.decode(video=0):
            if (now := time.monotonic() - began) >= n_taken / FPS:
                self.seen.append((now, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
                n_taken = int(now * FPS) + 1

    def face(self, start: float, end: float) -> Pictures | None:
        """Return the face seen between two moments, in seconds since `start()`: (frames, SIZE, SIZE, 3); or None."""
        frames = [picture for time, picture in [*self.seen] if start <= time < end]
        return cut_out(np.stack(frames), *find_face(np.stack(frames))[:3], size=SIZE) if frames else None


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
