"""Where utterances come from: real corpora, the synthetic sample, and the user's own tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from emolab.corpora.corpus import TRUTH, Corpus, complete_table
from emolab.corpora.iemocap import read_iemocap
from emolab.corpora.labels import VIEWS
from emolab.corpora.layout import raise_problems, some, table_rows
from emolab.corpora.meld import read_meld
from emolab.corpora.own import read_own
from emolab.corpora.ravdess import read_action_units, read_ravdess
from emolab.storage import corpus_places

__all__ = ["VIEWS", "Corpus", "load_corpus"]
__all__ += ["read_action_units", "read_iemocap", "read_meld", "read_own", "read_ravdess"]

READERS = {"iemocap": read_iemocap, "ravdess": read_ravdess, "meld": read_meld}
SAMPLES = {"sample": "iemocap", "sample-ravdess": "ravdess"}  # the sample, and the corpus in whose layout it is written


def load_corpus(name: str | Path = "sample", root: Path | None = None) -> Corpus:
    """Load a corpus whole; `corpus.view()` then takes its usual emotions.

    Args:
        name: "sample" or "sample-ravdess" (synthetic, built on first use), "iemocap", "ravdess", "meld", or the path
            of a CSV file of your own.
        root: The folder it lies in. Without one, a real corpus is looked for in the places of
            `emolab.storage.corpus_places`, a CSV file in the working directory.

    Raises:
        FileNotFoundError: If it is not there; the message lists where it was looked for.
        ValueError: If its files break their format, or there is no corpus of that name.
    """
    if name in SAMPLES:
        return _load_sample(str(name), root)
    if name in READERS:
        return READERS[str(name)](Path(root).expanduser() if root else _place(str(name)))
    path = Path(root or "", name).expanduser()
    if isinstance(name, Path) or path.is_file() or path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return read_own(path)
    raise ValueError(
        f"no corpus {name!r}. Expected one of {', '.join([*SAMPLES, *READERS])}, or the path of a CSV file. "
        "Correct the name."
    )


def _place(name: str) -> Path:
    """Return the first place that holds something by the name of a corpus."""
    places = corpus_places(name)
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return place
    raise FileNotFoundError(
        f"no corpus {name!r} found; looked in {', '.join(map(str, places))}. Expected its files in one of these, or "
        f'the folder given: load_corpus("{name}", root=...). data/README.md says how to get it; load_corpus("sample") '
        "needs nothing."
    )


def _load_sample(name: str, root: Path | None) -> Corpus:
    """Read a sample corpus with the reader of its layout, and join the truth that was planted in it."""
    from emolab import sample

    folder = Path(root or sample.ensure()) / SAMPLES[name]
    corpus = READERS[SAMPLES[name]](folder)
    return replace(join_truth(corpus, folder / "truth.csv"), name=name, synthetic=True)


def join_truth(corpus: Corpus, path: Path) -> Corpus:
    """Give a corpus the columns of `TRUTH` from the CSV file that was written with it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not tell the truth of exactly these utterances.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no {path}. Expected it beside the sample. Build it again: emolab sample --force")
    _, cells, problems = table_rows(path, columns=("utterance_id", *TRUTH))
    truth = {row["utterance_id"]: _truth(row) for row in cells.values()}
    names = corpus.table["utterance_id"]
    if not problems and (odd := sorted(set(names) ^ truth.keys())):
        problems.append(f"not of both sample and truth: {some(odd)} ({len(odd)} in all)")
    raise_problems(problems, where=path, remedy="Expected the truth of each utterance. Run: emolab sample --force")
    columns = pd.DataFrame([truth[name] for name in names], dtype=object)
    return replace(corpus, table=complete_table(corpus.table.assign(**columns)))


def _truth(row: dict[str, str]) -> dict[str, Any]:
    """Turn the cells of one row of truth.csv into values."""
    lists = {
        "cue_words": tuple(int(position) for position in row["cue_words"].split()),
        "word_starts": tuple(float(start) for start in row["word_starts"].split()) or None,
        "cue_modalities": tuple(row["cue_modalities"].split()),
    }
    return {column: row[column] or None for column in TRUTH} | lists
