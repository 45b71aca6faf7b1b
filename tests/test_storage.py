from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emolab.storage import atomic_write, read_json, write_json


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


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    facts = {"name": "Grüße", "figures": [0.1, 1e-300, None], "nested": {"b": 1, "a": {}}}
    assert read_json(write_json(tmp_path / "own" / "facts.json", facts), remedy="") == facts
    (tmp_path / "old.json").write_text('{"name": "written without a checksum"}')
    assert read_json(tmp_path / "old.json", remedy="") == {"name": "written without a checksum"}
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_json(tmp_path / "none.json", remedy="")


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
