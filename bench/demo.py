"""Measure the web page with many users on this machine: errors, waits, fairness, memory, and a worker that is killed.

`python bench/demo.py` starts `emolab demo`, and lets 50 users upload 30 s of sound each over HTTP at the same moment;
once with one worker and once with two, which are two processes behind one queue. What it finds is kept in
data/results/demo.json. Requests go to 127.0.0.1 alone; each user sends one, and everything ends by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from gradio_client import Client, handle_file

from emolab import load_corpus
from emolab.media import SAMPLE_RATE, read_audio
from emolab.results import device, versions
from emolab.storage import atomic_write, progress, results_root

SECONDS = 30
ANSWERS = {"purpose": "research", "told": True, "words_only": False, "names": ""}
POLL_S = 0.5
START_S, LIMIT_S = 1800, 3600  # models that are trained at first use; all users together
QUANTILES = {"p50": 0.5, "p95": 0.95, "max": 1.0}
N_KILLED = 4  # users of the test of a killed worker


@dataclass
class Visit:
    """One user's visit, in seconds from the moment when all sent their recordings."""

    joined: float
    told: float | None = None
    first_place: int | None = None
    done: float = 0.0
    n_segments: int = 0
    error: str = ""
    places: list[int] = field(default_factory=list)


def recordings(folder: Path, n: int) -> list[Path]:
    """Write `n` recordings of 30 s: voices of the synthetic sample one after another, none like the other."""
    voices, rng, paths = load_corpus("sample"), np.random.default_rng(7), []
    sounds = voices.audio_paths()
    for number in range(n):
        parts, total = list[Any](), 0
        while total < SECONDS * SAMPLE_RATE:
            parts += [read_audio(sounds[rng.integers(len(sounds))]), np.zeros(SAMPLE_RATE // 2, np.float32)]
            total = sum(map(len, parts))
        paths.append(folder / f"user-{number:02}.wav")
        soundfile.write(paths[-1], np.concatenate(parts)[: SECONDS * SAMPLE_RATE], SAMPLE_RATE)
    return paths


class Memory(threading.Thread):
    """Watches how much memory a process and its children take together, MB (proportional set size)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.first, self.running = psutil.Process(process.pid), 0.0, 0.0, True

    def now(self) -> float:
        """Return the memory of this moment."""
        total = 0
        for one in [self.process, *self.process.children(recursive=True)]:
            try:
                total += one.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 2**20

    def run(self) -> None:
        """Look twice a second."""
        self.first = self.now()
        while self.running and self.process.is_running():
            self.peak = max(self.peak, self.now())
            time.sleep(0.5)


@contextmanager
def demo(workers: int, model: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the page in a process of its own; give its address."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "emolab.cli", "demo", "--port", str(port), "--workers", str(workers)]
    server = subprocess.Popen([*command, *(["--model", model] if model else [])], stdout=subprocess.DEVNULL)
    try:
        for _ in range(START_S):
            if server.poll() is not None:
                raise RuntimeError(f"the page ended with status {server.returncode} before it was up")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except OSError:
                time.sleep(1)
        yield f"http://127.0.0.1:{port}/", server
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(300)


def visit(client: Client, path: Path, start: threading.Barrier, number: int) -> Visit:
    """Upload a recording as soon as all are ready, look at the place in line, and wait for the result."""
    start.wait()
    began = time.perf_counter()
    time.sleep(0.01 * number)  # so that there is an order to be kept
    job = client.submit(handle_file(str(path)), api_name="/annotate", **ANSWERS)
    seen = Visit(joined=time.perf_counter() - began)
    while not job.done() and time.perf_counter() - began < LIMIT_S:
        status = job.status()
        if seen.told is None and (status.rank is not None or status.code.name == "PROCESSING"):
            seen.told, seen.first_place = time.perf_counter() - began - seen.joined, status.rank or 0
        if status.rank is not None and status.rank not in seen.places[-1:]:
            seen.places.append(status.rank)
        time.sleep(POLL_S)
    try:
        seen.n_segments = len(job.result(timeout=1)["segments"])
    except Exception as problem:
        seen.error = f"{type(problem).__name__}: {problem}"[:300]
    seen.done = time.perf_counter() - began
    return seen


def crowd(url: str, paths: Sequence[Path]) -> list[Visit]:
    """Let as many users come at once as there are recordings."""
    patient: dict[str, Any] = {"timeout": LIMIT_S}
    clients = [Client(url, verbose=False, analytics_enabled=False, httpx_kwargs=patient) for _ in paths]
    with ThreadPoolExecutor(len(paths)) as pool:
        start = threading.Barrier(len(paths))
        jobs = [
            pool.submit(visit, *each, start, number) for number, each in enumerate(zip(clients, paths, strict=True))
        ]
        return [job.result() for job in progress(jobs, f"{len(paths)} users")]


def summary(visits: Sequence[Visit]) -> dict[str, Any]:
    """Sum up: errors, who was never told a place, waits, and how far anybody was overtaken in the line."""
    waits = np.array([each.done - each.joined for each in visits])
    told = [each for each in visits if each.told is not None]
    backwards = [each for each in visits if any(a < b for a, b in zip(each.places, each.places[1:], strict=False))]
    done = {id(each): place for place, each in enumerate(sorted(told, key=lambda each: each.done))}
    line = sorted(told, key=lambda each: (each.first_place, each.done))
    overtaken = max(done[id(each)] - place for place, each in enumerate(line))
    return {
        "users": len(visits),
        "errors": [each.error for each in visits if each.error],
        "segments": sum(each.n_segments for each in visits),
        "never told their place": len(visits) - len(told),
        "upload and first word of their place after, s": {
            name: round(float(np.quantile([each.told for each in told], q)), 1) for name, q in QUANTILES.items()
        },
        "fell back in line": len(backwards),
        "overtaken by at most": int(overtaken),
        "wait, s": {name: round(float(np.quantile(waits, q)), 1) for name, q in QUANTILES.items()},
        "recordings a minute": round(60 * len(visits) / float(waits.max()), 1),
    }


def killed(url: str, server: subprocess.Popen[bytes], paths: Sequence[Path]) -> dict[str, Any]:
    """Kill the worker while it works on the first of some recordings."""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(crowd, url, paths)
        time.sleep(3)
        workers = [one for one in psutil.Process(server.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        os.kill(workers[0].pid, signal.SIGKILL)
        began = time.perf_counter()
        up = urllib.request.urlopen(url, timeout=10).status == 200
        visits = job.result()
    again = [each.done for each in visits if not each.error]
    return {
        "users": len(visits),
        "errors": [each.error for each in visits if each.error],
        "page up at once": up,
        "all done after the kill, s": round(time.perf_counter() - began, 1),
        "annotated": len(again),
    }


def measure(n_users: int, workers: int, model: str, paths: Sequence[Path]) -> dict[str, Any]:
    """Measure one server."""
    with demo(workers, model) as (url, server):
        memory = Memory(server)
        memory.start()
        alone = crowd(url, paths[:1])
        found = summary(crowd(url, paths[:n_users]))
        found |= {"workers": workers, "alone, s": round(alone[0].done - alone[0].joined, 1)}
        found |= {"memory before, MB": round(memory.first), "peak memory, MB": round(memory.peak)}
        found["worker killed"] = killed(url, server, paths[:N_KILLED])
        memory.running = False
        return found


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--model", default="", help="folder of a recognizer (default: the one trained at first use)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = recordings(Path(folder), options.users)
        rows = [measure(options.users, workers, options.model, paths) for workers in options.workers]
    about = {"seconds of each recording": SECONDS, "versions": versions(), "device": device()}
    command = " ".join(["python", "bench/demo.py", *map(shlex.quote, sys.argv[1:])])
    about |= {"date": f"{datetime.now(UTC):%Y-%m-%d}", "command": command, "rows": rows}
    print(json.dumps(about, indent=1))
    with atomic_write(results_root() / "demo.json") as part:
        part.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
