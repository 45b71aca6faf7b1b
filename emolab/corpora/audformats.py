"""Databases of audformat, read and written, and tables for nkululeko: so that people can move both ways."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora.corpus import Corpus, some
from emolab.corpora.tables import corpus_of

DTYPES = {"float64": "float", "Int64": "int", "boolean": "bool"}  # as audformat calls them; all else is "str"
SPLITS = ("train", "dev", "test")  # kinds of splits that audformat knows; all else is "other"


def read_audformat(folder: Path, *, tables: Sequence[str] | None = None) -> Corpus:
    """Read a database of audformat: its tables of files and of segments, with what its schemes tell of speakers.

    A row is a segment, or a file where there are no segments; what is told of the whole file goes for its segments.
    Columns go by the names that a CSV file may use, see `corpus_of`; the split of a table is the column `part`.

    Args:
        folder: Where db.yaml lies.
        tables: Names of the tables to read, all if None; where several raters have one each, take one.

    Raises:
        FileNotFoundError: If there is no database.
        ValueError: If its tables contradict each other, or make no corpus.
    """
    import audformat

    path = Path(folder).resolve() / "db.yaml"
    database = audformat.Database.load(str(path.parent), load_data=True)
    frames = [_frame(database[name]) for name in tables or database.tables]
    whole, cut = ([each for each in frames if ("start" in each.index.names) == is_cut] for is_cut in (False, True))
    cells = audformat.utils.concat(cut or whole).sort_index()
    if cut and whole:
        files = audformat.utils.concat(whole)
        cells = cells.join(files[files.columns.difference(cells.columns)], on="file")
    cells = cells.reset_index()
    if cut:  # from 0 to no end is the whole file
        cells["start"] = cells["start"].mask(cells["end"].isna() & (cells["start"] == pd.Timedelta(0)))
    return corpus_of(cells.astype("string").set_axis(cells.index + 2), (), path)


def _frame(table: Any) -> pd.DataFrame:
    """Return a table as text, with its split and what the labels of its schemes tell, such as a speaker's gender."""
    frame = table.get().astype("string")
    for name, column in table.columns.items():
        labels = column.scheme.labels if column.scheme else None
        facts = table.db[labels].get() if isinstance(labels, str) else pd.DataFrame()
        if isinstance(labels, dict) and all(isinstance(told, dict) for told in labels.values()):
            facts = pd.DataFrame.from_dict(labels, orient="index")
        facts = facts.set_axis(facts.index.astype("string"))
        frame = frame.join(facts[facts.columns.difference(frame.columns)], on=name)
    return frame.assign(part=table.split_id) if table.split_id else frame


def write_audformat(corpus: Corpus, folder: Path) -> None:
    """Write a corpus as a database of audformat, a table for each part; sound and films stay where they are.

    Raises:
        ValueError: If an utterance has neither sound nor film.
    """
    import audformat

    table = listing(corpus, Path(folder))
    table = table.set_index([name for name in ("file", "start", "end") if name in table])
    parts = table.pop("part").fillna("").to_numpy() if "part" in table else np.full(len(table), "")
    database = audformat.Database(corpus.name, usage=audformat.define.Usage.OTHER)
    for name, dtype in table.dtypes.items():
        labels = [*corpus.emotions] if name == "emotion" else None
        database.schemes[name] = audformat.Scheme(None if labels else DTYPES.get(str(dtype), "str"), labels=labels)
    for part, rows in table.groupby(parts):
        if part:
            database.splits[part] = audformat.Split(part if part in SPLITS else "other")
        of_part = audformat.Table(rows.index, split_id=part or None)
        database[f"utterances.{part}".rstrip(".")] = of_part
        for name in rows:
            of_part[name] = audformat.Column(scheme_id=name)
            of_part[name].set(rows[name].to_numpy(object))
    database.save(str(folder))


def write_nkululeko(corpus: Corpus, path: Path) -> None:
    """Write a corpus as a CSV file for nkululeko, with the columns of `listing`.

    Raises:
        ValueError: If an utterance has neither sound nor film.
    """
    listing(corpus, Path(path).parent).to_csv(path, index=False)


def listing(corpus: Corpus, folder: Path) -> pd.DataFrame:
    """List the utterances by their files, as audformat does.

    Returns:
        (n_utterances, columns): file, relative to `folder` where that is the corpus's root, else whole; start and end,
        of type timedelta, if some are parts of their file; and each column of the corpus that is not empty, without
        times in a dialogue.

    Raises:
        ValueError: If an utterance has neither sound nor film.
    """
    table = corpus.table.assign(file=corpus.table["audio_path"].fillna(corpus.table["video_path"]))
    if (lost := table["file"].isna()).any():
        why = f"utterances {some(table.loc[lost, 'utterance_id'])} have neither sound nor film; expected either."
        raise ValueError(f'{why} Leave them out: corpus.select(corpus.has("audio")).')
    whole = partial(os.path.join, "" if folder.resolve() == corpus.root else corpus.root)
    for name in ("file", "video_path"):
        table[name] = table[name].map(whole, na_action="ignore").astype("string")
    table["votes"] = table["votes"].map(lambda own: "; ".join(f"{e} {n:g}" for e, n in own.items()), na_action="ignore")
    spans = table[["audio_start", "audio_end"]].apply(pd.to_timedelta, unit="s").set_axis(["start", "end"], axis=1)
    spans = spans.fillna({"start": pd.Timedelta(0)}) if spans.notna().any(axis=None) else spans[[]]
    others = table.drop(columns=["file", "audio_path", "start", "end", "audio_start", "audio_end"])
    return pd.concat([table["file"], spans, others.dropna(axis=1, how="all")], axis=1)
