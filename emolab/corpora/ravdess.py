"""RAVDESS speech: 24 actors say two sentences in eight emotions; everything is told by the names of the files."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora.corpus import LABELS, Corpus, raise_problems, some
from emolab.corpora.tables import files_below, find_root, nothing_in, table_rows

EMOTIONS = LABELS["ravdess"]
NAME = re.compile(r"(0[123])-(\d\d-\d\d-\d\d-\d\d-\d\d-\d\d)\.(?:wav|flac|mp4)", re.IGNORECASE | re.ASCII)
MEDIA = (".wav", ".flac", ".mp4")
FULL, FILM, SOUND = "01", "02", "03"  # first number of a name: film with sound, film alone, sound alone
SONG = "02"  # second number; speech is 01
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
INTENSITIES = {"01": "normal", "02": "strong"}
ACTORS = [f"{number:02d}" for number in range(1, 25)]
KINDS = ("channel", "emotion", "intensity", "statement", "repetition", "actor")  # told by a name's other numbers
CODES = (("01",), EMOTIONS, INTENSITIES, STATEMENTS, ("01", "02"), ACTORS)  # and what these can be
ACTION_UNITS, N_ACTION_UNITS = "action_units.csv", 35
DEPTH = 4  # folders below the root that are searched


def read_ravdess(root: Path) -> Corpus:
    """Read the speech of RAVDESS, sound and film, wherever below `root` the files lie.

    A row is a performance, which may be there as sound (03-01-….wav or .flac), as film with sound (01-01-….mp4) and as
    silent film (02-01-….mp4). Its utterance_id is what their names share:
    channel-emotion-intensity-statement-repetition-actor. The sound is taken from 03 and, where that is missing, from
    01; the film from 01, else 02. `intensity` ("normal", "strong") is an extra column. The words are the same two
    sentences throughout, so text can tell nothing about the emotion.

    Returns:
        The corpus; `dropped` lists songs, second copies of a file, media whose names are not RAVDESS's, and those of
        the synthetic sample that lie below `root`.

    Raises:
        FileNotFoundError: If there is no recording in or near `root`.
        ValueError: If names hold codes that RAVDESS does not have; all are listed.
    """
    root = Path(root).resolve()
    root = root.parent if root.name.startswith("Actor_") else root  # one level too low
    performances: dict[str, dict[str, str]] = {}  # utterance_id: {first number: path}
    dropped: list[tuple[str, str]] = []
    samples = {folder for folder, name in files_below(root, depth=DEPTH) if name == "truth.csv"} - {Path()}
    found = [folder / name for folder, name in files_below(root, depth=DEPTH) if name.lower().endswith(MEDIA)]
    for file in sorted(found, key=lambda path: (len(path.parts), path.stem, MEDIA.index(path.suffix.lower()))):
        parts, path = NAME.fullmatch(file.name), file.as_posix()  # the least deep first, .wav before .flac
        if samples & {*file.parents}:  # `root` is the folder above corpus and sample
            dropped.append((path, "of the synthetic sample"))
        elif not parts:
            dropped.append((path, "not a name of RAVDESS"))
        elif parts[2].startswith(SONG):
            dropped.append((path, "song, not speech"))
        elif (kept := performances.setdefault(parts[2], {}).setdefault(parts[1], path)) != path:
            dropped.append((path, f"second copy of {kept}"))
    if not performances:
        raise FileNotFoundError(nothing_in(root, expected="recordings such as Actor_01/03-01-05-01-01-01-01.wav"))
    problems = [problem for name in performances if (problem := _odd_codes(name))]
    raise_problems(problems, where=root, remedy="Expected the original names; data/README.md says what they mean.")
    rows = [_row(name, performances[name]) for name in sorted(performances, key=lambda name: (name[-2:], name))]
    facts = {"emotions": EMOTIONS.values(), "default_view": "ravdess8", "protocol": "actors"}
    return Corpus.from_rows("ravdess", rows, root=root, dropped=dropped, **facts)


def read_action_units(root: Path) -> pd.DataFrame:
    """Read the table of facial action units, the means over each film.

    Its column name holds names of RAVDESS's films. A table of any other corpus has a column utterance_id instead.

    Returns:
        (n_films, 35) float64, indexed by utterance_id: 17 intensities from 0 to 5 (names end in _r), then 18 shares of
        frames in which a unit is active, from 0 to 1 (names end in _c).

    Raises:
        FileNotFoundError: If action_units.csv is neither in `root` nor one level below or above.
        ValueError: If the table is not one of 35 numbers for each named film.
    """
    expected = "action_units.csv, a table with the column name and 35 action units"
    path = find_root(Path(root), lambda folder: (folder / ACTION_UNITS).is_file(), expected=expected)
    path = path / ACTION_UNITS
    any_corpus = "utterance_id" in table_rows(path)[0]
    key, film = ("utterance_id", r".+") if any_corpus else ("name", r"0[12](-[0-9]{2}){6}")
    _, cells, problems = table_rows(path, columns=[key])
    table = pd.DataFrame.from_dict(cells, orient="index", dtype="string")
    names = table.get(key, pd.Series(dtype="string"))
    units = table.drop(columns=key, errors="ignore").apply(pd.to_numeric, errors="coerce").astype("float64")
    if cells and units.shape[1] != N_ACTION_UNITS:
        problems.append(f"{units.shape[1]} columns besides {key}, not {N_ACTION_UNITS}")
    faults = {"no number": ~np.isfinite(units).all(axis=1), "not the name of a film": ~names.str.fullmatch(film)}
    faults["a film a second time"] = names.duplicated()
    problems += [f"{fault} in row {some(table.index[where])}" for fault, where in faults.items() if where.any()]
    remedy = f"Expected {expected}. Take the file anew from where data/README.md says."
    raise_problems(problems, where=path, remedy=remedy)
    return units.set_axis(pd.Index(names if any_corpus else names.str[3:], name="utterance_id"))


def _row(name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Turn the name of a performance and its files, by the first number of their names, into a row."""
    _, emotion, intensity, statement, _, actor = name.split("-")
    row = {"utterance_id": name, "speaker": actor, "gender": "male" if int(actor) % 2 else "female", "scripted": True}
    row |= {"emotion": EMOTIONS[emotion], "text": STATEMENTS[statement], "intensity": INTENSITIES[intensity]}
    sound, film = files.get(SOUND) or files.get(FULL), files.get(FULL) or files.get(FILM)
    return row | {"audio_path": sound, "video_path": film}


def _odd_codes(name: str) -> str:
    """Say which numbers of a name RAVDESS does not have; empty if it has them all."""
    codes = zip(KINDS, CODES, name.split("-"), strict=True)
    odd = [f"{kind} {code}" for kind, known, code in codes if code not in known]
    return f"no {' and no '.join(odd)} in RAVDESS ({name})" if odd else ""
