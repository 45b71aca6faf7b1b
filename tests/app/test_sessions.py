from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emolab.app.sessions import Session, Sessions


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sessions]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sessions = Sessions(keep_s=60)
    yield sessions
    sessions.end()
    assert list(tmp_path.iterdir()) == []


def upload(sessions: Sessions, name: str = "voice.wav", *, age_s: float = 0) -> Path:
    path = sessions.root / "hash" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"sound")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age_s))
    return path


def files(sessions: Sessions) -> list[Path]:
    return [path for path in sessions.root.rglob("*") if path.is_file()]


def written(sessions: Sessions, name: str) -> Session:
    """Give a page a recording, and write what was found in it."""
    session = sessions.take(name, upload(sessions))
    session.folder.mkdir()
    (session.folder / "voice.csv").write_text("start,end")
    return session


def test_nothing_is_left_of_a_page_that_is_closed(sessions: Sessions) -> None:
    written(sessions, "a")
    sessions.close("a")
    sessions.close("never opened")
    assert files(sessions) == []
    assert sessions.of("a") is None


def test_pages_with_the_same_file_share_it_until_the_last_is_closed(sessions: Sessions) -> None:
    first, second = written(sessions, "a"), written(sessions, "b")
    sessions.close("a")
    assert not first.folder.exists()
    assert second.media.read_bytes() == b"sound"
    sessions.close("b")
    assert files(sessions) == []


def test_another_recording_takes_the_place_of_the_first_even_if_it_is_the_same(sessions: Sessions) -> None:
    first, second = written(sessions, "a"), sessions.take("a", upload(sessions))
    assert not first.folder.exists()
    assert second.media.read_bytes() == b"sound"
    third = sessions.take("a", upload(sessions, "other.wav"))
    assert files(sessions) == [third.media]


def test_what_a_late_job_writes_for_a_closed_page_is_deleted(sessions: Sessions) -> None:
    session = written(sessions, "a")
    assert sessions.settle(session)
    sessions.close("a")
    session.folder.mkdir()
    (session.folder / "voice.csv").write_text("start,end")
    assert not sessions.settle(session)
    assert files(sessions) == []


def test_nothing_grows_old(sessions: Sessions) -> None:
    path = upload(sessions, age_s=50)
    sessions.sweep()
    assert path.exists()
    upload(sessions, age_s=70)
    os.utime(path.parent, (0, 0))
    sessions.sweep()
    assert files(sessions) == []
    os.utime(path.parent, (0, 0))
    sessions.sweep()
    assert list(sessions.root.iterdir()) == []
