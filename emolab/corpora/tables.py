"""Finding the files of a corpus, reading text and CSV as they come, and the user's own CSV file."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora.corpus import DATA, EMOTIONS, MODALITIES, REQUIRED, SCHEMA, TRUTH, Corpus, raise_problems, some

WINDOWS_CONTROLS = re.compile("[\x80-\x9f]")  # letters of Windows-1252 that were read as Latin-1
LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also break at control characters inside a line
RESERVED = ("votes", *TRUTH)  # columns that a user's own file cannot fill
ALIASES: Mapping[str, tuple[str, ...]] = {column: tuple(facts[2:]) for column, facts in DATA["columns"].items()}
OWN: Mapping[str, Any] = DATA["own"]  # what a user's own file is told
CHOICES: Mapping[str, Mapping[str, Any]] = DATA["choices"]  # column: {what a file says: what is meant}
MEANING = {alias: column for column, others in ALIASES.items() for alias in (column, *others)}
COUNT, DECIMAL_COMMA = r"[0-9]{1,9}", r"^([^,]*),([^,]*)$"
N_ROWS, N_LETTERS = 20, 30  # a problem names so many rows, and so many letters of each cell
Cells = tuple[list[str], dict[int, dict[str, str]], list[str]]  # header, rows, problems
Fault = tuple[str, list[Any]]  # what is wrong, and the rows where it is
WHERE_FROM = 'data/README.md says how to get it and where to put it; load_corpus("sample") needs nothing.'


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
    return f"nothing to read in {root.resolve()}; found there: {found_in(root)}. Expected {expected}. {WHERE_FROM}"


def found_in(folder: Path) -> list[str] | str:
    """Name the first few files and folders in a folder, for an error message."""
    return sorted(path.name for path in folder.iterdir())[:8] if folder.is_dir() else "no such folder"


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
    lines = enumerate(map(str.strip, LINE_END.split(read_text(path))), start=1)
    yield from ((number, line) for number, line in lines if line)


def table_rows(path: Path, *, columns: Iterable[str] = (), delimiters: str = ",") -> Cells:
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
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        cells = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        why = f"cannot read {path} as a table: {error}. Expected a CSV file, its first row the names of the columns."
        raise ValueError(f"{why} Save it as CSV (UTF-8) from a spreadsheet.") from error
    header = cells[0] if cells else []
    if missing := [column for column in columns if column not in header]:
        return header, {}, [f"no column {some(missing)}; found: {', '.join(header)[:200] or 'nothing'}"]
    full = {number: row for number, row in enumerate(cells[1:], start=2) if any(row)}
    odd = [number for number, row in full.items() if len(row) != len(header)]
    problems = [f"row {number} has {len(full.pop(number))} cells, the header {len(header)}" for number in odd]
    return header, {number: dict(zip(header, row, strict=True)) for number, row in full.items()}, problems


def files_below(root: Path, *, depth: int) -> Iterator[tuple[Path, str]]:
    """Yield folder (relative to `root`) and name of the files down to `depth` folders below, in alphabetical order.

    Hidden files and folders are passed over, among them the `._*` that macOS leaves beside each file.
    """
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if len(here.parts) < depth else []
        yield from ((here, name) for name in sorted(names) if not name.startswith("."))


def read_own(csv_path: Path) -> Corpus:
    """Read a CSV file with an id, a speaker, an emotion, and any of text, sound file and film for each utterance.

    Commas, semicolons and tabs may part the cells. Columns are those of emolab/corpora/schema.toml, without votes, or
    go by the other names that it lists, capitals or not; further columns are kept as they are. Paths are relative to
    the file's folder, or absolute. Emotions are taken as they are written; where they are those of `EMOTIONS`, the
    named views apply. Empty rows are passed over, and empty cells are NA.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything is wrong with it; all problems are listed, with the row numbers a spreadsheet shows.
    """
    csv_path = Path(csv_path).resolve()
    if not csv_path.is_file():
        why = f"no file {csv_path}. Expected a CSV file with a row for each utterance. Check the path;"
        raise FileNotFoundError(f'{why} names that need no file are "sample", "iemocap", "ravdess" and "meld".')
    header, rows, malformed = table_rows(csv_path, delimiters=",;\t")
    columns = {name: MEANING.get(name.lower(), name) for name in header}
    cells = pd.DataFrame.from_dict(rows, orient="index", columns=[*columns], dtype="string").replace("", pd.NA)
    table = pd.DataFrame({columns[name]: _values(columns[name], cells[name]) for name in cells})
    problems = _header_problems(header, columns) + malformed
    for what, at in [*_unreadable_cells(cells, table, columns), *_row_faults(table, csv_path.parent)]:
        problems += [f"{what} in row{'s' * (len(at) > 1)} {some(at, limit=N_ROWS)}"] if at else []
    if not rows and not problems:
        problems.append("no row with an utterance")
    raise_problems(problems, where=csv_path, remedy=OWN["remedy"])
    labels = {*table["emotion"]}
    emotions = [*(e for e in EMOTIONS if e in labels), *sorted(labels - {*EMOTIONS})]
    own = table.drop(columns="", errors="ignore").to_dict("records")
    return Corpus.from_rows(csv_path.stem, own, emotions=emotions, root=csv_path.parent)


def _values(column: str, cells: pd.Series) -> pd.Series:
    """Return what the cells of a column say, NA where they cannot be read."""
    if column in CHOICES:
        return cells.str.lower().map(CHOICES[column]).astype(object)
    if column == "turn":
        return cells.where(cells.str.fullmatch(COUNT).fillna(False))
    if SCHEMA.get(column, ("string", ""))[0] == "float64":
        numbers = pd.to_numeric(cells.str.replace(DECIMAL_COMMA, r"\1.\2", regex=True), errors="coerce")
        return numbers.astype("float64").replace([np.inf, -np.inf], np.nan)
    return cells.str.replace("\\", "/") if column in ("audio_path", "video_path") else cells


def _header_problems(header: list[str], columns: Mapping[str, str]) -> list[str]:
    """Say what is missing in the first row, there twice, or looks like a slip."""
    missing = [column for column in REQUIRED if column not in columns.values()]
    problems = [f"no column {column} (nor {', '.join(ALIASES[column])})" for column in missing]
    if not {*MODALITIES.values()} & {*columns.values()}:
        problems.append("none of the columns text, audio_path, video_path")
    counts = Counter(columns[name] for name in header)
    problems += [f"{count} columns for {column}" for column, count in counts.items() if count > 1 and column]
    problems += [f"column {name}, which only emolab fills; give it another name" for name in RESERVED if name in counts]
    for name in header:
        if name.lower() not in MEANING and (close := get_close_matches(name.lower(), MEANING, n=1, cutoff=0.8)):
            problems.append(f"column {name!r} looks like a slip of {close[0]!r}; take that name, or one less like it")
    return problems


def _unreadable_cells(cells: pd.DataFrame, table: pd.DataFrame, columns: Mapping[str, str]) -> Iterator[Fault]:
    """Yield which cells are not what their column wants, with what they say."""
    for name, column in columns.items():
        odd = cells[name].notna() & (table[column].isna() | (column == ""))
        what = f"{name} is not {OWN['wanted'].get(column, 'a number')}" if column else "a cell below no column name"
        yield what, [f"{row} ({cell[:N_LETTERS]!r})" for row, cell in cells.loc[odd, name].items()]


def _row_faults(table: pd.DataFrame, folder: Path) -> Iterator[Fault]:
    """Yield what is missing, contradictory or there twice."""
    here, table = {*table}, table.reindex(columns=[*SCHEMA])
    yield "neither text nor sound nor film", [*table.index[table[[*MODALITIES.values()]].isna().all(axis=1)]]
    for column in (column for column in REQUIRED if column in here):
        yield f"{column} is empty", [*table.index[table[column].isna()]]
    for column in ("audio_path", "video_path"):
        missing = [(row, path) for row, path in table[column].dropna().items() if not os.path.isfile(folder / path)]
        yield f"the file of {column} is missing", [f"{row} ({path})" for row, path in missing]
    for start, end in (("start", "end"), ("video_start", "video_end")):
        yield f"{end} lies before {start}", [*table.index[table[start] > table[end]]]
    twice = table[table["utterance_id"].duplicated(keep=False)]
    for name, rows in twice.groupby("utterance_id").groups.items():
        yield f"the id {name!r} occurs {len(rows)} times,", [*rows]
    written = table["emotion"].astype("string").dropna().drop_duplicates()
    for _, spellings in written.groupby(written.str.lower()):
        what = f"one emotion is written {' and '.join(map(repr, spellings))},"
        yield what, [*spellings.index] if len(spellings) > 1 else []
