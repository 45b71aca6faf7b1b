"""What all tests share: no network, a home folder of their own, and the real corpora where there are any."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from emolab import cost
from emolab.storage import corpus_places

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on busy cores two threads wait for each other most of the time
cost.BATCH_S = 0.01  # seconds: no test needs a steady throughput
settings.register_profile("emolab", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("emolab")
OWN_MACHINE = ("127.", "::1", "localhost")  # Jupyter's kernels talk to their clients by these


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file together where several processes share the work: they share what is slow to make.

    The chapters' runs are groups of their own, in the order of their numbers: later ones find what earlier ones
    trained. They come first, since they take longest. The result is the same as in one process.
    """
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


@pytest.fixture(autouse=True)
def sealed_off(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Refuse connections to other machines, and give each test a home folder and a cache of its own."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        is_local = isinstance(address, (str, bytes)) or str(address[0]).startswith(OWN_MACHINE)
        if not is_local:
            raise RuntimeError(f"a test tried to connect to {address}; give it a local file instead")
        connect(self, address)

    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("EMOLAB_CACHE", str(home / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path_factory.getbasetemp() / "matplotlib"))  # one list of fonts for all
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("EMOLAB_PROGRESS", "0")  # the command line sets it: undone after each test
    monkeypatch.delenv("EMOLAB_PROGRESS")


@pytest.fixture
def ravdess_root() -> Path:
    """Return the folder of the real RAVDESS, or skip the test."""
    return real_corpus("ravdess")


@pytest.fixture
def meld_root() -> Path:
    """Return the folder of the real MELD, or skip the test."""
    return real_corpus("meld")


def real_corpus(name: str) -> Path:
    """Return the first place that has a corpus, or skip the test that asked for it."""
    places = corpus_places(name)
    found = next((place for place in places if place.is_dir() and any(place.iterdir())), None)
    if found is None:
        pytest.skip(f"the real {name} is not on this machine; looked in {', '.join(map(str, places))}")
    return found
