"""A corpus of the user's own, from one CSV file."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from emolab.corpora.corpus import REQUIRED, SCHEMA, TRUTH, Corpus
from emolab.corpora.labels import EMOTIONS
from emolab.corpora.layout import raise_problems, some, table_rows

ALIASES: Mapping[str, tuple[str, ...]] = {  # column of the corpus: other names that a file may give it
    "utterance_id": ("id", "utt_id", "utterance id"),
    "speaker": ("speaker_id", "spk", "actor", "subject", "participant"),
    "emotion": ("label", "emotion_label"),
    "text": ("transcript", "transcription", "sentence", "words"),
    "audio_path": ("audio", "audio_file", "wav", "wav_path", "sound"),
    "video_path": ("video", "video_file", "film", "mp4"),
    "dialogue_id": ("dialogue", "dialog", "dialog_id", "conversation", "recording"),
    "gender": ("sex",),
    "arousal": ("activation",),
}
CONTENTS = ("text", "audio_path", "video_path")  # a row needs at least one of them
RESERVED = ("votes", *TRUTH)
MAX_DIGITS = 9  # of a whole number
N_ROWS = 20  # a problem names this many rows, then counts the rest
REMEDY = (
    "Expected a first row with the columns utterance_id, speaker, emotion and at least one of text, audio_path, "
    "video_path, and each utterance in a row below. Correct these rows and load the file again."
)


def _one_of(words: Mapping[Any, str]) -> Callable[[str], Any]:
    value_of = {word: value for value, others in words.items() for word in others.split()}
    return lambda cell: value_of[cell.lower()]


def _count(cell: str) -> int:
    if not cell.isdecimal() or len(cell) > MAX_DIGITS:
        raise ValueError(cell)
    return int(cell)


def _finite(cell: str) -> float:
    number = float(cell.replace(",", ".") if cell.count(",") == 1 else cell)
    if not math.isfinite(number):
        raise ValueError(cell)
    return number


CELLS: Mapping[str, tuple[str, Callable[[str], Any]]] = {  # what a cell has to be, and how it is read
    **{column: ("a number", _finite) for column, (dtype, _) in SCHEMA.items() if dtype == "float64"},
    "turn": ("a whole number", _count),
    "gender": ("female or male", _one_of({"female": "female f woman", "male": "male m man"})),
    "scripted": ("yes or no", _one_of({True: "true yes 1", False: "false no 0"})),
    "video_side": ("left or right", _one_of({"left": "left", "right": "right"})),
}


def read_own(csv_path: Path) -> Corpus:
    """Read a CSV file with an id, a speaker, an emotion, and any of text, sound file and film for each utterance.

    Commas, semicolons and tabs may part the cells. Columns are the corpus's (`emolab.corpora.corpus.SCHEMA`, without
    votes) or go by the usual other names in `ALIASES`, capitals or not; further columns are kept as they are. Paths are
    relative to the file's folder, or absolute. Emotions are taken as they are written; where they are those of
    `EMOTIONS`, the named views apply. Empty rows are passed over, and empty cells are NA.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything is wrong with it; all problems are listed, with the row numbers a spreadsheet shows.
    """
    csv_path = Path(csv_path).resolve()
    if not csv_path.is_file():
        raise FileNotFoundError(
            f"no file {csv_path}. Expected a CSV file with a row for each utterance. Check the path; "
            f'the names of corpora that need none are "sample", "iemocap", "ravdess" and "meld".'
        )
    header, cells, problems = table_rows(csv_path, delimiters=",;\t")
    columns, found = _columns(header)
    problems = [*found, *problems]
    faults: dict[str, list[str]] = defaultdict(list)  # what is wrong: in which rows
    rows = {number: _row(row, columns, csv_path.parent, number, faults) for number, row in cells.items()}
    _check_ids_and_emotions(rows, faults)
    for fault, where in faults.items():
        problems.append(f"{fault} in row{'s' * (len(where) > 1)} {some(where, limit=N_ROWS)}")
    if not rows and not problems:
        problems.append("no row with an utterance")
    raise_problems(problems, where=csv_path, remedy=REMEDY)
    labels = {row["emotion"] for row in rows.values()}
    emotions = [*(e for e in EMOTIONS if e in labels), *sorted(labels - set(EMOTIONS))]
    return Corpus.from_rows(csv_path.stem, rows.values(), emotions=emotions, root=csv_path.parent)


def _columns(header: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the corpus's name of each column of the file, and the problems of the header."""
    meaning = {alias: column for column, others in ALIASES.items() for alias in (column, *others)}
    meaning |= {column: column for column in SCHEMA}
    columns = {name: meaning.get(name.lower(), name) for name in header}
    missing = [column for column in REQUIRED if column not in columns.values()]
    problems = [f"no column {column} (nor {', '.join(ALIASES[column])})" for column in missing]
    if not set(CONTENTS) & set(columns.values()):
        problems.append(f"none of the columns {', '.join(CONTENTS)}")
    counts = Counter(columns[name] for name in header)
    problems += [f"{count} columns for {column}" for column, count in counts.items() if count > 1 and column]
    problems += [f"column {name}, which only emolab fills; give it another name" for name in RESERVED if name in counts]
    for name in header:
        if name.lower() not in meaning and (close := get_close_matches(name.lower(), meaning, n=1, cutoff=0.8)):
            problems.append(f"column {name!r} looks like a slip of {close[0]!r}; take that name, or one less like it")
    return columns, problems


def _row(
    cells: Mapping[str, str], columns: Mapping[str, str], folder: Path, number: int, faults: dict[str, list[str]]
) -> dict[str, Any]:
    """Turn the cells of one row into values, and add what is wrong with them to `faults`."""
    row: dict[str, Any] = {}
    for name, cell in cells.items():
        column = columns[name]
        if not column and cell:
            faults["a cell below no column name"].append(f"{number} ({cell[:30]!r})")
        if not column:
            continue
        wanted, read = CELLS.get(column, ("text", str))
        try:
            row[column] = read(cell) if cell else None
        except (ValueError, KeyError):
            faults[f"{name} is not {wanted}"].append(f"{number} ({cell[:30]!r})")
    for column in REQUIRED:
        if column in columns.values() and not row.get(column):
            faults[f"{column} is empty"].append(str(number))
    if not any(row.get(column) for column in CONTENTS):
        faults["neither text nor sound nor film"].append(str(number))
    for column in ("audio_path", "video_path"):
        if row.get(column):
            row[column] = row[column].replace("\\", "/")
            if not os.path.isfile(folder / row[column]):
                faults[f"the file of {column} is missing"].append(f"{number} ({row[column]})")
    for start, end in (("start", "end"), ("video_start", "video_end")):
        if row.get(start) is not None and row.get(end) is not None and row[start] > row[end]:
            faults[f"{end} lies before {start}"].append(str(number))
    return row


def _check_ids_and_emotions(rows: Mapping[int, Mapping[str, Any]], faults: dict[str, list[str]]) -> None:
    """Add ids that occur twice and emotions that differ only in capitals to `faults`."""
    places: dict[str, list[str]] = defaultdict(list)
    spellings: dict[str, dict[str, str]] = defaultdict(dict)
    for number, row in rows.items():
        if row.get("utterance_id"):
            places[row["utterance_id"]].append(str(number))
        if row.get("emotion"):
            spellings[row["emotion"].lower()].setdefault(row["emotion"], str(number))
    faults.update({f"the id {name!r} occurs {len(at)} times,": at for name, at in places.items() if len(at) > 1})
    for spelling in spellings.values():
        if len(spelling) > 1:
            faults[f"one emotion is written {' and '.join(map(repr, spelling))},"] = list(spelling.values())
