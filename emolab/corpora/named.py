"""Corpora whose files say everything by their names: one reader, told by named.toml; and RAVDESS's action units."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora.corpus import LABELS, Corpus, raise_problems, some
from emolab.corpora.tables import files_below, find_root, nothing_in, table_cells
from emolab.storage import toml_beside

NAMED: Mapping[str, Mapping[str, Any]] = toml_beside(__file__, "named.toml")
SOUNDS = (".wav", ".flac", ".mp3")
MEDIA = (*SOUNDS, ".mp4", ".flv", ".avi")  # of two copies, the first of these kinds is taken
ACTION_UNITS, N_ACTION_UNITS = "action_units.csv", 35


def read_named(root: Path, name: str) -> Corpus:
    """Read a corpus by the names of its files, wherever below `root` they lie.

    A row is an utterance, which may be there as sound, as film with sound and as silent film. The sound is taken from
    a sound file, else from the film with sound; the film from that with sound, else from the silent one.

    Args:
        root: The unpacked release, or a folder above it.
        name: A key of `NAMED`, such as "crema-d".

    Returns:
        The corpus; `dropped` lists second copies of a file, media whose names are not of this corpus, those that are
        no utterance, and those of the synthetic sample that lie below `root`.

    Raises:
        FileNotFoundError: If there is no such file in or near `root`.
        ValueError: If names hold codes that the corpus does not have; all are listed.
    """
    corpus, root = NAMED[name], Path(root).resolve()
    root = root.parent if re.fullmatch(corpus.get("inside", "(?!)"), root.name) else root
    files = [*files_below(root)]
    samples = {folder for folder, file in files if file == "truth.csv"} - {Path()}
    found = [folder / file for folder, file in files if file.lower().endswith(MEDIA)]
    utterances: dict[str, dict[str, Any]] = {}  # by utterance_id: the parts of the name, and a path for each kind
    dropped: list[tuple[str, str]] = []
    for file in sorted(found, key=lambda path: (len(path.parts), path.stem, MEDIA.index(path.suffix.lower()))):
        path = file.as_posix()  # the least deep first, .wav before .flac
        parts = re.search(rf"(?<![^/]){corpus['pattern']}$", path[: -len(file.suffix)], re.ASCII)
        codes = parts.groupdict() if parts else {}
        kind = "mute" if codes.get("mute") else "sound" if path.lower().endswith(SOUNDS) else "film"
        if samples & {*file.parents}:  # `root` is the folder above corpus and sample
            dropped.append((path, "of the synthetic sample"))
        elif not parts or codes.get("aside"):
            dropped.append((path, corpus["aside"] if parts else f"not a name of {corpus['title']}"))
        else:
            utterance = utterances.setdefault(codes.get("id") or parts[0].replace("/", "_"), codes)
            if (kept := utterance.setdefault(f"{kind} file", path)) != path:
                dropped.append((path, f"second copy of {kept}"))
    if not utterances:
        raise FileNotFoundError(nothing_in(root, expected=f"recordings such as {corpus['example']}"))
    table, *columns = corpus.get("people", [""])  # a table of the release that tells the speakers' genders
    tables = [table_cells(root / folder / file)[0] for folder, file in files if file == table]
    cells = [row for own in tables for row in own.to_dict("records")]
    genders = {row.get(columns[0], ""): row.get(columns[1], "").lower() for row in cells}
    facts = {"emotions": dict.fromkeys(LABELS[name].values()), "dropped": dropped, **corpus.get("facts", {})}
    return Corpus.from_rows(name, _rows(name, utterances, genders), root=root, **facts)


def _rows(name: str, utterances: Mapping[str, Mapping[str, Any]], genders: Mapping[str, str]) -> list[dict[str, Any]]:
    """Turn the parts of the names into rows; ValueError lists the codes that are not the corpus's."""
    corpus, rows, problems = NAMED[name], [], []
    codes = {"emotion": LABELS[name], **corpus.get("codes", {})}
    for utterance_id, own in utterances.items():
        parts = {column: (group, own[group], codes.get(column)) for column, group in corpus["columns"].items()}
        odd = dict.fromkeys(f"{group} {code}" for group, code, known in parts.values() if known and code not in known)
        sound, film, mute = (own.get(f"{kind} file") for kind in ("sound", "film", "mute"))
        problems += [f"no {' and no '.join(odd)} in {corpus['title']} ({sound or film or mute})"] if odd else []
        row = {column: known.get(code) or None if known else code for column, (_, code, known) in parts.items()}
        row |= {"utterance_id": utterance_id, "audio_path": sound or film, "video_path": film or mute}
        rows.append(row | corpus["constant"] | ({"gender": genders.get(str(row["speaker"]))} if genders else {}))
    remedy = "Expected the original names; data/README.md says what they mean."
    raise_problems(problems, where=f"the names of {corpus['title']}", remedy=remedy)
    return sorted(rows, key=lambda row: (row["speaker"], row["utterance_id"]))


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
