from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from emolab.app.server import serving
from emolab.app.worker import Limits
from tests.app import jobs

LIMIT_S = 60


@dataclass
class Server:
    """A running page: its address, and the folder in which it keeps what is uploaded."""

    url: str
    root: Path
    demo: Any

    def files(self) -> list[str]:
        """Name the files that hold anything."""
        found = []
        for folder, _, names in os.walk(self.root):  # which takes it calmly if a folder vanishes
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):
                    found += [path.name] if path.stat().st_size else []
        return sorted(found)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the page with the quick jobs of these tests."""
    limits = Limits(max_seconds=LIMIT_S, max_mb=2, max_waiting=20)
    with serving(limits, jobs, port=free_port()) as (blocks, demo):
        yield Server(blocks.local_url, demo.sessions.root, demo)
    assert not demo.sessions.root.exists()


@pytest.fixture(scope="session")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return six seconds of sound: loud for three, faint for three."""
    path = tmp_path_factory.mktemp("sound") / "voice.wav"
    time = np.arange(16_000 * 6) / 16_000
    soundfile.write(path, np.where(time < 3, 0.3, 0.02) * np.sin(2 * np.pi * 220 * time), 16_000)
    return path
