"""Finding a corpus on disk, reading its text files as they come, and reporting all that is wrong at once."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

N_PROBLEMS, N_NAMED = 12, 5  # an error lists so many problems, and so many offenders of each, then counts the rest
WINDOWS_CONTROLS = re.compile("[\x80-\x9f]")  # letters of Windows-1252 that were read as Latin-1
LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also break at control characters inside a line


def nearby(root: Path) -> list[Path]:
    """Return the folders in which a corpus meant by `root` may lie: there, one level below, one above."""
    if not root.is_dir():
        return [root]
    below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [root, *below, root.resolve().parent]


def find_root(root: Path, looks_right: Callable[[Path], bool], *, expected: str) -> Path:
    """Return the first folder near `root` that looks right.

    Raises:
        FileNotFoundError: If there is none; the message says what was expected and what was found.
    """
    for folder in nearby(Path(root)):
        if looks_right(folder):
            return folder.resolve()
    raise FileNotFoundError(nothing_in(Path(root), expected=expected))


def nothing_in(root: Path, *, expected: str) -> str:
    """Say that a folder does not hold what was expected, what it holds, and what to do."""
    return (
        f"nothing to read in {root.resolve()}; found there: {found_in(root)}. Expected {expected}. "
        'data/README.md says how to get it and where to put it; load_corpus("sample") needs nothing.'
    )


def found_in(folder: Path) -> list[str] | str:
    """Name the first few things in a folder, for an error message."""
    if not folder.is_dir():
        return "no such folder"
    return sorted(path.name for path in folder.iterdir())[:8]


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 or, where it is not that, in Windows-1252 or Latin-1."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return windows_letters(raw.decode("latin-1"))


def windows_letters(text: str) -> str:
    """Turn control characters such as \\x92, which nobody types, into the Windows-1252 letters they were meant as."""
    return WINDOWS_CONTROLS.sub(lambda found: found[0].encode("latin-1").decode("cp1252", "replace"), text)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line that is not empty."""
    for number, line in enumerate(LINE_END.split(read_text(path)), start=1):
        if line.strip():
            yield number, line.strip()


def table_rows(
    path: Path, *, columns: Iterable[str] = (), delimiters: str = ","
) -> tuple[list[str], dict[int, dict[str, str]], list[str]]:
    """Read a CSV file cell by cell, as text without blanks at either end.

    Args:
        path: The file; its first row names the columns.
        columns: Those it must have; if one is missing, that is the only problem, and there are no rows.
        delimiters: What may part the cells; the one that is most frequent in the first line is taken.

    Returns:
        The names of the columns; the rows by their number in a spreadsheet, where the first below the header is row 2
        (empty ones left out); and, in words, which columns are missing and which rows have too many or too few cells.

    Raises:
        ValueError: If the file is no CSV at all.
    """
    text = read_text(path)
    delimiter = max(delimiters, key=text.partition("\n")[0].count)
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        cells = [[cell.strip() for cell in row] for row in table]
    except csv.Error as error:
        raise ValueError(
            f"cannot read {path} as a table: {error}. Expected a CSV file, its first row the names of the columns. "
            "Save it as CSV (UTF-8) from a spreadsheet."
        ) from error
    header = cells[0] if cells else []
    if missing := [column for column in columns if column not in header]:
        return header, {}, [f"no column {some(missing)}; found: {', '.join(header)[:200] or 'nothing'}"]
    full = {number: row for number, row in enumerate(cells[1:], start=2) if any(row)}
    problems = [
        f"row {n} has {len(r)} cells, the header {len(header)}" for n, r in full.items() if len(r) != len(header)
    ]
    rows = {n: dict(zip(header, r, strict=True)) for n, r in full.items() if len(r) == len(header)}
    return header, rows, problems


def files_below(root: Path, *, depth: int) -> Iterator[tuple[Path, str]]:
    """Yield folder (relative to `root`) and name of the files down to `depth` folders below, in alphabetical order.

    Hidden files and folders are passed over, among them the `._*` that macOS leaves beside each file.
    """
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if len(here.parts) < depth else []
        yield from ((here, name) for name in sorted(names) if not name.startswith("."))


def raise_problems(problems: Sequence[str], *, where: Path | str, remedy: str) -> None:
    """Raise a ValueError that lists the problems, each on a line of its own, if there are any."""
    if problems:
        lines = some(problems, limit=N_PROBLEMS, joint="\n  ")
        raise ValueError(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {where}:\n  {lines}\n{remedy}")


def some(items: Iterable[Any], *, limit: int = N_NAMED, joint: str = ", ") -> str:
    """Name the first few of many, and count the rest."""
    names = [str(item) for item in items]
    return joint.join([*names[:limit], *([f"and {len(names) - limit} more"] if len(names) > limit else [])])
