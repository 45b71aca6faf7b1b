from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emolab.storage import atomic_write


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
