"""What was planted in the sample corpora, joined to their tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from emolab.corpora.corpus import TRUTH, Corpus, complete_table, raise_problems, some
from emolab.corpora.tables import table_cells


def join_truth(corpus: Corpus, path: Path) -> Corpus:
    """Give a corpus the columns of `TRUTH` from the CSV file that was written with it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not tell the truth of exactly these utterances.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {path}. Expected it beside the sample. Build it again: emolab sample --force")
    cells, problems = table_cells(path, columns=("utterance_id", *TRUTH))
    names, truth = corpus.table["utterance_id"], {}
    for number, row in cells.to_dict("index").items():
        try:
            truth[row["utterance_id"]] = _truth(row)
        except ValueError as error:  # of what is no number
            problems.append(f"row {number}: {error}")
    if not problems and (odd := sorted({*names} ^ truth.keys())):
        problems.append(f"not of both sample and truth: {some(odd)} ({len(odd)} in all)")
    raise_problems(problems, where=path, remedy="Expected the truth of each utterance. Run: emolab sample --force")
    columns = pd.DataFrame([truth[name] for name in names], dtype=object)
    return replace(corpus, table=complete_table(corpus.table.assign(**columns)))


def _truth(row: dict[str, str]) -> dict[str, Any]:
    """Turn the cells of one row of truth.csv into values."""
    words, starts = tuple(map(int, row["cue_words"].split())), tuple(map(float, row["word_starts"].split()))
    lists = {"cue_words": words, "word_starts": starts or None, "cue_modalities": tuple(row["cue_modalities"].split())}
    numbers = {column: float(row[column]) for column, (dtype, _) in TRUTH.items() if dtype == "float64" and row[column]}
    return {column: row[column] or None for column in TRUTH} | numbers | lists
