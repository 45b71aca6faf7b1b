"""RAVDESS speech: 24 actors say two sentences in eight emotions; and tables of facial action units."""

from pathlib import Path

import numpy as np
import pandas as pd

from emolab.corpora.corpus import Corpus, raise_problems, some
from emolab.corpora.named import NAMED, read_named
from emolab.corpora.tables import find_root, table_cells

STATEMENTS: dict[str, str] = NAMED["ravdess"]["codes"]["text"]
ACTION_UNITS, N_ACTION_UNITS = "action_units.csv", 35


def read_ravdess(root: Path) -> Corpus:
    """Read the speech of RAVDESS, sound and film, as `read_named` does.

    A row is a performance, which may be there as sound (03-01-….wav or .flac), as film with sound (01-01-….mp4) and as
    silent film (02-01-….mp4). Its utterance_id is what their names share:
    channel-emotion-intensity-statement-repetition-actor. `intensity` ("normal", "strong") is an extra column. The words
    are the same two sentences throughout, so text can tell nothing about the emotion. Songs are left out, and listed.
    """
    return read_named(root, "ravdess")


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
    path = find_root(Path(root), lambda folder: (folder / ACTION_UNITS).is_file(), expected=expected) / ACTION_UNITS
    any_corpus = "utterance_id" in table_cells(path)[0]
    key, film = ("utterance_id", r".+") if any_corpus else ("name", r"0[12](-[0-9]{2}){6}")
    table, problems = table_cells(path, columns=[key])
    names = table.get(key, pd.Series(dtype="string"))
    units = table.drop(columns=key, errors="ignore").apply(pd.to_numeric, errors="coerce").astype("float64")
    if len(table) and units.shape[1] != N_ACTION_UNITS:
        problems.append(f"{units.shape[1]} columns besides {key}, not {N_ACTION_UNITS}")
    faults = {"no number": ~np.isfinite(units).all(axis=1), "not the name of a film": ~names.str.fullmatch(film)}
    faults["a film a second time"] = names.duplicated()
    problems += [f"{fault} in row {some(table.index[where])}" for fault, where in faults.items() if where.any()]
    remedy = f"Expected {expected}. Take the file anew from where data/README.md says."
    raise_problems(problems, where=path, remedy=remedy)
    return units.set_axis(pd.Index(names if any_corpus else names.str[3:], name="utterance_id"))
