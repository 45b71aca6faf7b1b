"""Finding the files of a corpus, reading text and CSV as they come, and the user's own CSV file."""

import codecs
import csv
import io
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd

from emolab.corpora.corpus import DATA, EMOTIONS, MODALITIES, Corpus, complete_table, is_strict, raise_problems, some

WINDOWS_CONTROLS = re.compile("[\x80-\x9f]")  # letters of Windows-1252 that were read as Latin-1
LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines would also break at control characters inside a line
OWN: Mapping[str, Any] = DATA["own"]  # what is particular to a user's own table
CODES = {**DATA["choices"], "emoclass": {code.lower(): says for code, says in DATA["labels"]["msp-podcast"].items()}}
ALIASES = {**{column: facts[2:] for column, facts in DATA["columns"].items()}, **OWN["columns"]}
PARTING = re.compile(r"[\W_]")  # what may stand between the words of a column's name
MEANING = {PARTING.sub("", name): column for column, others in ALIASES.items() for name in (column, *others)}
# What no language that is written in Windows-1252 has: three such letters in a row, or a sign between letters
FOREIGN = r"[^\x00-\x7f“”‘’«»…–—¿¡\xa0]{3}|[a-z][¢-³¹¼-¿][a-z]|\0"
VOTE = r'\s*["\']?([^\W\d][^;:,="\']*?)["\']?[\s:=]+(\d+(?:\.\d+)?)\s*'  # such as happy 3
COUNT, TIME = r"[0-9]{1,9}", r"([0-9]{1,5} days )?([0-9]{1,5}:)+[0-9]+(\.[0-9]*)?"
DEPTH = 4  # folders below the root that are searched
N_ROWS, N_LETTERS = 6, 20  # a problem names so many rows, and so many letters of each cell
Fault = tuple[str, list[Any]]  # what is wrong, and the rows where it is
WHERE_FROM = 'data/README.md says how to get it and where to put it; load_corpus("sample") needs nothing.'


def find_root(root: Path, looks_right: Callable[[Path], bool], *, expected: str) -> Path:
    """Return the first folder that looks right: `root`, one of those in it, or the one above.

    Raises:
        FileNotFoundError: If there is none; the message says what was expected and what was found.
    """
    root, places = Path(root), [Path(root)]
    if root.is_dir():
        below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        places += [*below, root.resolve().parent]
    for folder in places:
        if looks_right(folder):
            return folder.resolve()
    raise FileNotFoundError(nothing_in(root, expected=expected))


def nothing_in(root: Path, *, expected: str) -> str:
    """Say that a folder does not hold what was expected, what it holds, and what to do."""
    found = sorted(path.name for path in root.iterdir())[:8] if root.is_dir() else "no such folder"
    return f"nothing to read in {root.resolve()}; found there: {found}. Expected {expected}. {WHERE_FROM}"


def read_text(path: Path) -> str:
    """Read a text file in UTF-8 or, where it is not that, in Windows-1252 or Latin-1."""
    raw = path.read_bytes()
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8-sig")
    return windows_letters(raw.decode("latin-1"))


def windows_letters(text: str) -> str:
    """Turn control characters such as \\x92, which nobody types, into the Windows-1252 letters they were meant as."""
    return WINDOWS_CONTROLS.sub(lambda found: found[0].encode("latin-1").decode("cp1252", "replace"), text)


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line that is not empty."""
    lines = enumerate(map(str.strip, LINE_END.split(read_text(path))), start=1)
    yield from ((number, line) for number, line in lines if line)


def encoding_of(raw: bytes, path: Path, given: str | None = None) -> str:
    """Return the encoding of a table: UTF-8, UTF-16 with a byte order mark, or Windows-1252 where that is plausible.

    Raises:
        ValueError: If the bytes are no text, or in another encoding than these or the one that is given.
    """
    head = raw[:64].decode("latin-1").lstrip("\xef\xbb\xbf \t\r\n")
    if kind := next((kind for mark, kind in OWN["kinds"].items() if head.startswith(mark)), None):
        raise ValueError(f"cannot read {path}: it is {kind}. {OWN['save']}")
    usual = ("utf-16",) if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else ("utf-8-sig", "cp1252")
    for encoding in (given,) if given else usual:
        guessed = encoding == "cp1252" and not given
        with suppress(UnicodeError, LookupError):
            if not re.search(FOREIGN if guessed else "\0", raw.decode(encoding)):
                if guessed:
                    warnings.warn(f"{path.name} {OWN['guessed']}", RuntimeWarning, stacklevel=2)
                return encoding
    raise ValueError(f"cannot read {path} as {given or 'UTF-8'}. {OWN['encoding']}")


def table_cells(
    path: Path, *, columns: Iterable[str] = (), delimiters: str = ",", encoding: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Read a CSV file as text without blanks at either end.

    Args:
        path: The file; its first row names the columns.
        columns: Those it must have; if one is missing, that is the only problem, and there are no rows.
        delimiters: What may part the cells; the one that is most frequent in the first line is taken, or what a line
            above it names (sep=;), as Excel writes it.
        encoding: Where it is not what `encoding_of` can tell.

    Returns:
        The cells by their row in a spreadsheet, where the first below the header is row 2 (empty ones left out); and,
        in words, which columns are missing or there twice, which rows have too many or too few cells, and which have
        swallowed others behind a quotation mark without a partner.

    Raises:
        ValueError: If the file is no CSV at all.
    """
    raw = path.read_bytes()
    stream = io.TextIOWrapper(io.BytesIO(raw), encoding_of(raw, path, encoding), newline="")
    if not (told := re.match(r'"?sep=([,;|\t])', first := stream.readline())):
        stream.seek(0)
    delimiter = told[1] if told else max(delimiters, key=first.count)
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise ValueError(f"cannot read {path} as a table: row {len(rows) + 1}: {error}. {OWN['quotes']}") from error
    header = [name.strip(" \ufeff") or f"Unnamed: #{place}" for place, name in enumerate(rows[0] if rows else [])]
    if missing := [column for column in columns if column not in header]:
        found = ", ".join(header)[:200] or "nothing"
        return pd.DataFrame(columns=header), [f"no column {some(missing)}; found: {found}"]
    problems = [f"{count} columns named {name}" for name, count in Counter(header).items() if count > 1]
    full = {number: row for number, row in enumerate(rows[1:], start=2) if "".join(row).strip()}
    odd = [number for number, row in full.items() if len(row) != len(header)]
    problems += [f"row {number} has {len(full.pop(number))} cells, the header {len(header)}" for number in odd]
    wide = max(len(header) - 1, 2)  # a text may hold line breaks; a line with as many delimiters as a row is a row
    lines = {n: LINE_END.split("\0".join(row))[1:] for n, row in full.items()} if reader.line_num > len(rows) else {}
    odd = [number for number, inner in lines.items() if any(line.count(delimiter) >= wide for line in inner)]
    problems += [f"row {number} holds other rows, since a quotation mark has no partner" for number in odd]
    if lines and len(header) <= wide and (many := [number for number, inner in lines.items() if any(inner)]):
        warnings.warn(f"{path.name}: several lines in row {some(many)}. {OWN['lines']}", RuntimeWarning, stacklevel=2)
    cells = pd.DataFrame(full.values(), index=[*full], columns=header, dtype=object).astype("string")
    return cells.loc[:, ~cells.columns.duplicated()].apply(lambda column: column.str.strip()), problems


def files_below(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield folder (relative to `root`) and name of the files down to `DEPTH` folders below, in alphabetical order.

    Hidden files and folders are passed over, among them the `._*` that macOS leaves beside each file.
    """
    for folder, folders, names in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if len(here.parts) < DEPTH else []
        yield from ((here, name) for name in sorted(names) if not name.startswith("."))


def read_own(csv_path: Path, *, encoding: str | None = None, strict: bool | None = None) -> Corpus:
    """Read a CSV file that lists utterances: any of text, sound file and film, and who speaks with which emotion.

    Commas, semicolons, tabs or bars may part the cells. Columns are those of emolab/corpora/schema.toml, or go by the
    other names that it lists; further columns are kept as they are. Paths are relative to the file's folder, or
    absolute. Emotions are taken as they are written; where they are those of `EMOTIONS`, the named views apply. Empty
    rows are passed over, and empty cells are NA. What else is understood stands in `corpus_of`.

    Args:
        csv_path: The file.
        encoding: Its encoding, where it is neither UTF-8 nor UTF-16 with a byte order mark nor Windows-1252.
        strict: Whether every sound file and film must be there; None asks the environment variable EMOLAB_STRICT.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything is wrong with it; all problems are listed, with the row numbers a spreadsheet shows.
    """
    path = Path(csv_path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path} is {'a folder' if path.is_dir() else 'no file'}. {OWN['file']}")
    return corpus_of(*table_cells(path, delimiters=OWN["delimiters"], encoding=encoding), path, strict=strict)


def corpus_of(cells: pd.DataFrame, problems: Sequence[str], path: Path, *, strict: bool | None = None) -> Corpus:
    """Make a corpus of a table of text that is indexed by the numbers of its rows; empty cells are NA.

    - Without ids, utterances go by the names of their files, else by row. To ids that count within a dialogue, its name
      is added.
    - Rows of one utterance by several annotators become one; votes may also be told as "happy 3; sad 1" or in columns
      votes_happy, …. Where no emotion is told it is that of the most votes, "undecided" if two have as many.
    - Without emotions it is a corpus without labels, whose speakers are "unknown" if they are not told.
    - `start` and `end` cut sound and film, unless each utterance of a dialogue has a file of its own: then they are
      times in the dialogue.
    - An utterance whose file is missing goes on without it, or is left out where nothing else is told of it: `dropped`
      lists both, and a warning counts them. Where half of the files or more are missing, that is an error.

    Args:
        cells: The table, of type string.
        problems: What is known to be wrong with it.
        path: The file it comes from; paths are relative to its folder, and the corpus is named after both.
        strict: Whether every file must be there, see `read_own`.

    Raises:
        ValueError: If anything is wrong; all problems are listed, with rows.
    """
    cells = cells.replace("", pd.NA)
    shares = cells.filter(regex="(?i)^votes_").rename(columns=lambda name: name[6:]).fillna("0")
    if not shares.columns.empty and "votes" not in cells:
        votes = ["; ".join(map(" ".join, row.items())) for row in shares.to_dict("records")]
        cells = cells.assign(votes=pd.Series(votes, cells.index, "string"))
    columns = {name: meaning for name in cells if (meaning := _meaning(name, cells[name])) is not None}
    table, faults = _values_of(cells, columns)
    table, missing = _completed(table, {*columns.values()}), list[tuple[str, str]]()
    labelled = bool(table["emotion"].notna().any())
    problems = [*_header_problems(columns, labelled), *problems]
    for what, at in [*faults, *_row_faults(table, path.parent, missing, is_strict(strict))]:
        problems += [f"{what} in row{'s' * (len(at) > 1)} {some(at, limit=N_ROWS)}"] * bool(at)
    raise_problems(problems or ["no row with an utterance"] * cells.empty, where=path, remedy=OWN["remedy"])
    if labelled and (strangers := table["speaker"].str.lower().isin(OWN["nothing"])).any():
        warnings.warn(f"{path.name}: {OWN['strangers'].format(strangers.sum())}", RuntimeWarning, stacklevel=2)
    dropped = pd.DataFrame(missing, columns=["utterance_id", "reason"])
    if missing:
        told = f"{len(dict(missing)):,} of {len(table):,} utterances of {path.name} lack a file"
        warnings.warn(f"{told}: {some(dropped['reason'])}. {OWN['missing']}", RuntimeWarning, stacklevel=2)
    table = table[table[[*MODALITIES.values()]].notna().any(axis=1)]
    labels = {*table["emotion"].dropna()}
    emotions = (*(e for e in EMOTIONS if e in labels), *sorted(labels - {*EMOTIONS}))
    # no known corpus is called so, and the tables mine.csv of two folders are two corpora
    name = re.sub(r"[^\w.+-]+", "-", f"own-{path.stem}-{zlib.crc32(os.fsencode(path.parent)) & 0xFFFF:04x}")
    return Corpus(name, table.reset_index(drop=True), emotions, path.parent, dropped=dropped)


def _meaning(name: str, cells: pd.Series) -> str | None:
    """Return the corpus's name of a column; "" if it has no name, None if it only numbers rows, as pandas writes it."""
    if name.startswith("Unnamed: "):
        return None if cells.dropna().str.fullmatch(COUNT).all() else ""
    column = MEANING.get(PARTING.sub("", name.lower()), name)
    no_files = column == "video_path" != name and not cells.str.contains(".", regex=False).any()
    return name if no_files else column  # such a column has the ids of recordings


def _values_of(cells: pd.DataFrame, columns: Mapping[str, str]) -> tuple[pd.DataFrame, list[Fault]]:
    """Return what the cells say, NA where they cannot be read, and which these are."""
    values, faults = {}, []
    for name, column in columns.items():
        wanted = OWN["wanted"].get(column)
        said = cells[name].mask(cells[name].str.lower().isin(OWN["nothing"])) if wanted else cells[name]
        values[column] = _values(column, said, PARTING.sub("", name.lower()))
        odd = said[said.notna() & (values[column].isna() | (column == ""))]
        what = f"{name} is not {wanted}" if column else "a cell below no column name"
        faults.append((what, [f"{row} ({cell[:N_LETTERS]!r})" for row, cell in odd.items()]))
    return pd.DataFrame(values, index=cells.index).drop(columns="", errors="ignore"), faults


def _values(column: str, cells: pd.Series, key: str) -> pd.Series:
    """Return what the cells of a column say, NA where they cannot be read; `key` is the name that the file gives it."""
    kind = DATA["columns"].get(column, ["string"])[0]
    if codes := CODES.get(column, CODES.get(key)):
        meant = cells.str.lower().map(codes).astype(object)
        return meant if column in OWN["wanted"] else meant.fillna(cells)
    if kind == "Int64":
        return cells.where(cells.str.fullmatch(COUNT).fillna(False))
    if kind == "object":
        found = cells.where(cells.str.fullmatch(rf"\{{?{VOTE}([;,]{VOTE})*\}}?").fillna(False)).str.findall(VOTE)
        votes = found.map(lambda own: {each: float(n) for each, n in own if float(n)} or None, na_action="ignore")
        return votes.astype(object)  # "happy 3; sad 1": the number of votes for each emotion
    if kind == "float64":
        return _numbers(cells.str.replace(r"^([^,]*),([^,]*)$", r"\1.\2", regex=True), OWN["scales"].get(key))
    return cells.str.replace("\\", "/") if column.endswith("_path") else cells


def _numbers(cells: pd.Series, scale: Sequence[float] | None) -> pd.Series:
    """Return numbers, ratings on a scale from 1 to 5, and times such as 1:02.5 or 0 days 00:01:02.5 in seconds."""
    numbers = pd.to_numeric(cells, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)
    if scale:
        return 1 + (numbers.where(numbers.between(*scale)) - scale[0]) * 4 / (scale[1] - scale[0])
    times = cells.where(cells.str.fullmatch(TIME).fillna(False)).str.replace(r"^(\d+:[\d.]+)$", r"0:\1", regex=True)
    return numbers.fillna(pd.to_timedelta(times, errors="coerce").dt.total_seconds())


def _winner(votes: Mapping[str, float]) -> str:
    """Return the emotion with the most votes, "undecided" if several have as many."""
    first = [emotion for emotion, n in votes.items() if n == max(votes.values())]
    return first[0] if len(first) == 1 else "undecided"


def _completed(table: pd.DataFrame, here: set[str]) -> pd.DataFrame:
    """Fill in what the columns that are here tell about the others, see `corpus_of`."""
    table, many = complete_table(table).set_axis(table.index), "annotator" in here
    ids = table["utterance_id"]
    if "utterance_id" not in here:
        ids = table["audio_path"].fillna(table["video_path"]).str.replace(r"^.*/|\.[^./]*$", "", regex=True)
        numbered = ids.fillna("row") + "-" + pd.Series(table.index, table.index).astype("string")
        ids = ids.mask(ids.isna() | (ids.duplicated(keep=False) & (not many)), numbered)
    elif "dialogue_id" in here and not many and ids.duplicated().any():
        table["turn"] = table["turn"].fillna(_values("turn", ids, "").astype("Int64"))
        ids = table["dialogue_id"] + "-" + ids
    table["utterance_id"] = ids
    if many:
        counts = pd.crosstab(ids, table["emotion"]).to_dict("index")
        votes = [{emotion: float(n) for emotion, n in counts.get(name, {}).items() if n} or None for name in ids]
        ratings = table.groupby(ids.fillna(""))[["valence", "arousal", "dominance"]].transform("mean")
        table = table.assign(**ratings, votes=votes, emotion=pd.Series(pd.NA, table.index, "string"))
        again = table[[*DATA["columns"]]].drop(columns="votes").duplicated()
        table = table[~again].drop(columns="annotator")
    table["emotion"] = table["emotion"].fillna(table["votes"].map(_winner, na_action="ignore").astype("string"))
    if "speaker" not in here or table["emotion"].isna().all():
        table["speaker"] = table["speaker"].fillna("unknown")
    for medium in ("audio", "video"):
        path = table[f"{medium}_path"].dropna()
        alone = path.is_unique and not table["dialogue_id"][path.index].dropna().is_unique
        if not alone and not {f"{medium}_start", f"{medium}_end"} & here:
            table[[f"{medium}_start", f"{medium}_end"]] = table.loc[path.index, ["start", "end"]]
    return table


def _header_problems(columns: Mapping[str, str], labelled: bool) -> list[str]:
    """Say what is missing in the first row, there twice, or looks like a slip."""
    found, counts = f"found: {', '.join(columns)[:200] or 'nothing'}", Counter(columns.values())
    problems = [f"no column speaker (nor {some(ALIASES['speaker'])}); {found}. {OWN['speaker']}"]
    problems *= labelled and "speaker" not in counts
    if not {*MODALITIES.values()} & {*counts}:
        problems.append(f"none of the columns {', '.join(MODALITIES.values())}; {found}")
    twice = {column: [name for name, of in columns.items() if of == column] for column in counts if column}
    problems += [f"{len(own)} columns for {column}: {', '.join(own)}" for column, own in twice.items() if len(own) > 1]
    problems += [f"column {name}, which only emolab fills; rename it" for name in DATA["truth"] if name in counts]
    for name, column in columns.items():
        key = PARTING.sub("", name.lower())
        close = get_close_matches(key, MEANING, n=1, cutoff=0.8) if column == name and key not in MEANING else []
        if close and close[0] not in key:  # such as emotion_id, which is no slip
            problems.append(f"column {name!r} looks like a slip of {close[0]!r}; take that name, or one less like it")
    return problems


def _row_faults(table: pd.DataFrame, folder: Path, missing: list[tuple[str, str]], strict: bool) -> Iterator[Fault]:
    """Yield what is missing, contradictory or there twice; paths become what they are on this disk, NA if nothing is.

    A few files that are not there are no fault, unless `strict`: `missing` gets the ids of their utterances, and names.
    """
    known = table[[*DATA["columns"]]]  # other columns may have names that no expression can hold
    yield from ((what, [*table.index[known.eval(where)]]) for what, where in OWN["faults"].items())
    for column in ("audio_path", "video_path"):
        paths = table[column].dropna()
        real = paths.map(_on_disk(paths.unique(), folder)).astype("string")
        lost, table[column] = paths[real.isna()], real.reindex(table.index)
        if strict or len(lost) >= OWN["most"] * len(paths):
            what = f"the file of {column} is missing{_elsewhere(folder, *lost[:1])}"
            yield what, [f"{row} ({path[-N_LETTERS:]})" for row, path in lost.items()]
        else:
            missing += zip(table.loc[lost.index, "utterance_id"], "no file " + lost, strict=True)
    twice = table[table["utterance_id"].duplicated(keep=False)].groupby("utterance_id").groups
    yield from ((f"the id {name!r} occurs {len(rows)} times,", [*rows]) for name, rows in twice.items())
    written = table["emotion"].dropna().drop_duplicates()
    for _, spellings in written.groupby(written.str.lower()):
        what = f"one emotion is written {' and '.join(map(repr, spellings))},"
        yield what, [*spellings.index] if len(spellings) > 1 else []


def _on_disk(paths: Iterable[str], folder: Path) -> dict[str, str | None]:
    """Return each path as it is on this disk, where accents may be composed or not; None where there is no file."""
    names = cache(lambda of: {*os.listdir(of)} if os.path.isdir(of) and os.access(of, os.R_OK) else set())

    def there(path: str) -> bool:  # one look at a folder is quicker than one at each of its files
        of, name = os.path.split(os.path.join(folder, path))
        return name in names(of)

    forms = {path: (path, normalize("NFC", path), normalize("NFD", path)) for path in paths}
    return {path: next(filter(there, own), None) for path, own in forms.items()}


def _elsewhere(folder: Path, path: str = "") -> str:
    """Say where a missing file is, if it is there below less of its path, as with paths of another computer."""
    tails = [path.split("/", n)[-1] for n in range(1, path.count("/") + 1)]
    tail = next(filter(None, _on_disk(tails, folder).values()), "")
    return f" (but {tail} is there: take {path.removesuffix(tail)} away)" if tail else ""
