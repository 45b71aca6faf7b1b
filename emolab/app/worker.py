"""Processes that analyse what strangers send: limited in time and memory, replaced when they die."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar, cast

import av
from av.error import FFmpegError

from emolab.storage import toml_beside

T = TypeVar("T")
TEXTS: dict[str, Any] = toml_beside(__file__, "texts.toml")
WRONG: dict[str, str] = TEXTS["wrong"]
# FFmpeg's demuxers of recordings: play lists and lists of files, which name other files and addresses, are not among
# them, nor are pictures
CONTAINERS = "wav,w64,aiff,caf,au,flac,mp3,ogg,aac,ac3,amr,matroska,webm,mov,mp4,m4a,3gp,3g2,avi,asf,flv,mpeg,mpegts"

POLITE_S = 1.0


@dataclass(frozen=True)
class Limits:
    """What the page takes at most; it says so before anything is uploaded."""

    max_seconds: int = 600
    max_mb: int = 200
    max_waiting: int = 100  # recordings; whoever comes later is asked to come back
    max_streams: int = 8
    max_pixels: int = 4096 * 2304  # of one picture
    workers: int = 1
    memory_gb: float = 12.0  # of addresses of one worker; libraries reserve several without using them
    seconds_each: float = 10.0  # of work for each second of the recording, at most
    seconds_more: float = 300.0  # and for loading models again after a worker's death
    keep_s: float = 3600.0  # a file, even if its page stays open


def checked_seconds(path: Path, limits: Limits) -> float:
    """Return the length of a recording; nothing of it is decoded into pictures or sound.

    What a header leaves open, such as the length of a live stream, is counted packet by packet.

    Raises:
        ValueError: If the file is no recording, or beyond the limits.
    """
    try:
        with av.open(str(path), options={"format_whitelist": CONTAINERS}) as container:
            if (n := len(container.streams)) > limits.max_streams:
                raise ValueError(WRONG["streams"].format(n=n, limit=limits.max_streams))
            if not container.streams.audio:
                raise ValueError(WRONG["silent"])
            for stream in container.streams.video:
                width, height = stream.codec_context.width, stream.codec_context.height
                if width * height > limits.max_pixels:
                    raise ValueError(WRONG["pixels"].format(width=width, height=height))
            for seconds in _lengths(container):
                if seconds > limits.max_seconds:
                    raise ValueError(WRONG["long"].format(limit=limits.max_seconds))
            return seconds
    except (FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(WRONG["type"]) from error


def _lengths(container: Any) -> Iterator[float]:
    """Yield the length of a recording in seconds as its header says, then as the packets of its sound say."""
    yield (container.duration or 0) / av.time_base
    audio = container.streams.audio[0]
    total, first, last = 0.0, None, 0.0
    for packet in container.demux(audio):
        total += float((packet.duration or 0) * audio.time_base)
        if packet.pts is not None:
            last = float(packet.pts * audio.time_base)
            first = last if first is None else first
    yield max(total, last - (first or 0.0))


class Worker:
    """A process that does one job after another; after its death, or a job that took too long, a new one starts."""

    def __init__(self, memory_gb: float) -> None:
        self.memory_gb = memory_gb
        self.process: Any = None
        self.pipe: Any = None

    def run(self, timeout_s: float | None, job: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Return what a job returns; without a time it is waited for.

        Raises:
            ValueError: If the job raises it, takes too much time or memory, or the process ends.
        """
        if self.process is None or not self.process.is_alive():
            self._start()
        try:
            self.pipe.send((job, arguments, options))
            if not self.pipe.poll(timeout_s):
                raise ValueError(WRONG["slow"])
            done, result = self.pipe.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise ValueError(WRONG["died"]) from error
        except ValueError:
            self.end()
            raise
        if not done:
            raise ValueError(result)
        return cast(T, result)

    def _start(self) -> None:
        self.end()
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.memory_gb), daemon=True)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """End the process: politely if it has nothing to do, else at once."""
        if self.process is not None:
            self.pipe.close()
            self.process.join(POLITE_S)
            self.process.kill()
            self.process.join()
        self.process = None


def _work(pipe: Connection, memory_gb: float) -> None:
    """Do the jobs that come through a pipe until its other end is closed."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit
        import resource

        size = int(memory_gb * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            job, arguments, options = pipe.recv()
            try:
                answer = (True, job(*arguments, **options))
            except MemoryError:
                answer = (False, WRONG["memory"])
            except Exception as error:  # whatever a decoder or a model makes of what strangers send
                answer = (False, str(error) or type(error).__name__)
            pipe.send(answer)
