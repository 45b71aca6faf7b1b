from __future__ import annotations

import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import soundfile

from emolab.app.worker import Limits, Worker, checked_seconds
from tests.app import jobs

LIMITS = Limits(max_seconds=60)
NOISE = np.random.default_rng(7).uniform(-0.1, 0.1, 16_000).astype(np.float32)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker(4.0)
    yield worker
    worker.end()


def film(path: Path, *, width: int = 64, height: int = 48) -> None:
    """Write a film of one second with sound; sizes other than 64 x 48 stand in its header alone."""
    with av.open(str(path), "w") as container:
        pictures, sound = container.add_stream("rawvideo", rate=10), container.add_stream("pcm_s16le", rate=16_000)
        pictures.width, pictures.height, pictures.pix_fmt, sound.layout = 64, 48, "bgr24", "mono"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(pictures.encode(frame))
        frame = av.AudioFrame.from_ndarray((NOISE[None] * 32_767).astype(np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*pictures.encode(), *sound.encode(frame), *sound.encode()])
    if (width, height) != (64, 48):
        old, new = struct.pack("<ii", 64, -48), struct.pack("<ii", width, -height)  # the header of the bitmaps
        path.write_bytes(path.read_bytes().replace(old, new, 1))


def live_stream(path: Path, seconds: int) -> None:
    """Write sound whose header tells no length, as a recorder of a live stream does."""
    with av.open(str(path), "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream("flac", rate=16_000)
        stream.layout = "mono"
        for start in range(seconds):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 16_000 * start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def promised_day(path: Path) -> None:
    """Write a second of sound whose header promises a day."""
    soundfile.write(path, NOISE, 16_000, format="FLAC")
    content = bytearray(path.read_bytes())
    content[22:26] = (16_000 * 86_400).to_bytes(4, "big")  # samples, in the block of stream information
    path.write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "words.mp4": (lambda path: path.write_text("not a film"), "no recording that can be read"),
    "empty.wav": (lambda path: path.write_bytes(b""), "no recording that can be read"),
    "list.wav": (lambda path: path.write_text("ffconcat version 1.0\nfile 'voice.wav'\n"), "no recording"),
    "list.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nvoice.wav\n#EXT-X-ENDLIST\n"), "no recording"),
    "huge.avi": (lambda path: film(path, width=10_000, height=10_000), "10000 x 10000, too large"),
    "silence.flac": (lambda path: soundfile.write(path, np.zeros(8_000 * 7_200, np.int16), 8_000), "longer than 60 s"),
    "endless.mkv": (lambda path: live_stream(path, 70), "longer than 60 s"),
    "day.flac": (promised_day, "longer than 60 s"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_media_end_in_one_clear_message_and_a_living_worker(name: str, tmp_path: Path, worker: Worker) -> None:
    soundfile.write(tmp_path / "voice.wav", NOISE, 16_000)
    make, message = HOSTILE[name]
    make(tmp_path / name)
    before = worker.run(60, jobs.number_of_process)
    with pytest.raises(ValueError, match=message):
        worker.run(60, checked_seconds, tmp_path / name, LIMITS)
    assert worker.run(60, checked_seconds, tmp_path / "voice.wav", LIMITS) == pytest.approx(1.0, abs=0.05)
    assert worker.run(60, jobs.number_of_process) == before


def test_recordings_within_the_limits_are_taken_whatever_their_container(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.mp3", NOISE, 16_000)
    film(tmp_path / "film.avi")
    live_stream(tmp_path / "live.mkv", 3)
    lengths = {path.name: checked_seconds(path, LIMITS) for path in sorted(tmp_path.iterdir())}
    assert lengths == {
        name: pytest.approx(s, abs=0.15) for name, s in {"film.avi": 1, "live.mkv": 3, "voice.mp3": 1}.items()
    }


def test_streams_are_counted_and_sound_is_asked_for(tmp_path: Path) -> None:
    film(tmp_path / "film.avi")
    with pytest.raises(ValueError, match="2 streams; this page takes 1"):
        checked_seconds(tmp_path / "film.avi", Limits(max_streams=1))
    with av.open(str(tmp_path / "mute.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(ValueError, match="no sound"):
        checked_seconds(tmp_path / "mute.avi", LIMITS)


def test_a_worker_that_is_killed_is_replaced(worker: Worker) -> None:
    before = worker.run(60, jobs.number_of_process)
    with pytest.raises(ValueError, match="ended in the middle"):
        worker.run(60, jobs.die)
    assert worker.run(60, jobs.number_of_process) != before


def test_a_job_that_takes_too_long_is_stopped(worker: Worker, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", NOISE, 16_000)
    worker.run(60, jobs.number_of_process)
    with pytest.raises(ValueError, match="took too long"):
        worker.run(0.2, jobs.held, tmp_path / "voice.wav")
    assert len(worker.run(60, jobs.annotate, tmp_path / "voice.wav")) == 0


def test_memory_has_a_limit(worker: Worker) -> None:
    before = worker.run(60, jobs.number_of_process)
    with pytest.raises(ValueError, match="more memory than this page may take"):
        worker.run(60, jobs.fill_memory)
    assert worker.run(60, jobs.number_of_process) == before


def test_a_worker_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        "import os, signal\n"
        "from emolab.app.worker import Worker\n"
        "if __name__ == '__main__':\n"
        "    print(Worker(4.0).run(60, os.getpid), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL
    for _ in range(100):
        if not psutil.pid_exists(int(run.stdout)):
            break
        time.sleep(0.1)
    assert not psutil.pid_exists(int(run.stdout))
