from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from emolab import storage
from emolab.storage import HOST, atomic_write, read_json, recovered, require_writable, scratch, tidy, write_json


def write_folder(target: Path, content: str) -> None:
    with atomic_write(target) as part:
        part.mkdir()
        (part / "content").write_text(content)


def test_written_whole_lets_many_replace_one_folder_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: write_folder(tmp_path / "kept", str(number)), range(200)))
    assert (tmp_path / "kept" / "content").read_text().isdecimal()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_written_whole_keeps_the_old_folder_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "kept", "old")
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise PermissionError(f"{path} is open in another program")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError, match="is open in another program"):
        write_folder(tmp_path / "kept", "new")
    assert (tmp_path / "kept" / "content").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def killed_process() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def left(target: Path, pid: int, kind: str = "part", host: str = HOST) -> Path:
    """Make a folder as `atomic_write` names it."""
    folder = target.with_name(f".{target.name}.{pid}.{host}.0123abcd.{kind}")
    folder.mkdir()
    (folder / "content").write_text(kind)
    return folder


def test_tidy_deletes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("whole")
    left(tmp_path / "kept", dead := killed_process())
    left(tmp_path / "kept", dead, "old")
    running = left(tmp_path / "kept", os.getpid())
    elsewhere = left(tmp_path / "kept", dead, host="00000000")  # of another computer that shares the disk
    for name in ("kept.part", ".hidden.part", f".kept.{dead}.part"):  # of other programs
        (tmp_path / name).write_text("")
    tidy(tmp_path)
    there = {"kept", running.name, elsewhere.name, "kept.part", ".hidden.part", f".kept.{dead}.part"}
    assert {path.name for path in tmp_path.iterdir()} == there


def test_tidy_takes_another_process_that_got_the_number_for_what_it_is(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        since = psutil.Process(other.pid).create_time()
        assert storage._is_running(other.pid, since + 1)
        assert not storage._is_running(other.pid, since - 60)
    finally:
        other.communicate(b"\n")
    assert not storage._is_running(other.pid, since + 1)


@pytest.mark.parametrize("reader", [True, False])
def test_a_folder_whose_saving_was_killed_between_two_renames_is_found_again(tmp_path: Path, reader: bool) -> None:
    left(tmp_path / "kept", dead := killed_process(), "old")
    left(tmp_path / "kept", dead)
    if reader:
        assert (recovered(tmp_path / "kept") / "content").read_text() == "old"
    else:
        with pytest.raises(KeyError), atomic_write(tmp_path / "kept"):
            raise KeyError
        assert (tmp_path / "kept" / "content").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_tidy_ends_processes_that_still_write_for_a_killed_one(tmp_path: Path) -> None:
    part = left(tmp_path / "sample", killed_process())
    command = [sys.executable, "-c", "print('ready', flush=True); input()", str(part), "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        tidy(tmp_path)
        assert builder.wait(10) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_scratch_is_deleted_and_so_are_those_of_killed_processes(tmp_path: Path) -> None:
    left(tmp_path / "emolab-run", killed_process())
    with scratch("demo", str(tmp_path)) as folder:
        (folder / "file").write_text("")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of 2 MiB, or skip the test where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount the small disk that this test fills")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("variable", "place", "remedy"),
    [
        ("EMOLAB_CACHE", "features/a", "set EMOLAB_CACHE to a folder of another disk"),
        ("EMOLAB_DATA", "results/sample/a.json", "set EMOLAB_DATA to a folder of another disk"),
        ("EMOLAB_LOCAL", "progress.json", "set EMOLAB_LOCAL to a folder of another disk"),
        ("EMOLAB_OTHER", "a.csv", "take a clone or a folder of another disk"),
    ],
)
def test_a_full_disk_is_told_with_what_helps_there(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, variable: str, place: str, remedy: str
) -> None:
    monkeypatch.setenv(variable, str(small_disk))
    told = rf"no space left while writing {small_disk / place}; nothing was kept.*, or {remedy}$"
    with pytest.raises(OSError, match=told), atomic_write(small_disk / place) as part:
        part.write_bytes(bytes(3 << 20))
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    (small_disk / "filler").write_bytes(bytes(3 << 19))
    with pytest.raises(OSError, match=f"no space left while writing {small_disk / 'new'}"):
        require_writable(small_disk / "new")
    with pytest.raises(OSError, match="no space left"), atomic_write(small_disk / place):
        raise RuntimeError("what torch says where it cannot write")


def test_a_read_only_folder_is_told_before_work(small_disk: Path) -> None:
    require_writable(None, small_disk / "a" / "b")
    assert list(small_disk.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    told = rf"no permission to write {small_disk}/a; nothing was kept of it\. Make its folder writable, or take"
    with pytest.raises(OSError, match=told):
        require_writable(small_disk / "a")
    with pytest.raises(OSError, match=told), atomic_write(small_disk / "a"):
        pass


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    facts = {"name": "Grüße", "figures": [0.1, 1e-300, None], "nested": {"b": 1, "a": {}}}
    file = write_json(tmp_path / "own" / "facts.json", facts)
    assert read_json(file, remedy="") == facts
    assert read_json(write_json(file, json.loads(file.read_text(encoding="utf-8"))), remedy="") == facts
    (tmp_path / "old.json").write_text('{"name": "written without a checksum"}')
    assert read_json(tmp_path / "old.json", remedy="") == {"name": "written without a checksum"}
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_json(tmp_path / "none.json", remedy="")


def test_a_change_is_noticed_even_where_the_name_of_the_checksum_is_damaged_too(tmp_path: Path) -> None:
    file = write_json(tmp_path / "facts.json", {"a": "2026-11-18"})
    file.write_bytes(file.read_bytes().replace(b"checksum", b"checksux").replace(b"2026", b"2022"))
    with pytest.raises(ValueError, match=r"facts\.json is damaged: its contents do not fit its checksum"):
        read_json(file, remedy="Build it again.")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "line 1 column 1"),
        (b'{"a": 1,\n "b": }', "line 2 column 7"),
        (b"\xff\xfe", "can't decode byte 0xff in position 0"),
        (b"[1]", "holds a list, no object in braces"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "Exceeds the limit"),
        (b"[" * 100_000 + b"]" * 100_000, "recursion"),
        (b'{"a": 1, "checksum": "0"}', "do not fit its checksum"),
        (b'{"a": 1, "checksum": []}', "do not fit its checksum"),
    ],
)
def test_damaged_json_is_told_with_file_place_and_remedy(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"facts\.json is damaged: .*{found}.*Make it again"):
        read_json(tmp_path / "facts.json", remedy="Make it again.")
