"""Where utterances come from: real corpora, the synthetic sample, and the user's own files and tables."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from emolab.corpora.corpus import MODALITIES, TRUTH, VIEWS, Corpus, complete_table, raise_problems, require_files, some
from emolab.corpora.iemocap import read_iemocap
from emolab.corpora.meld import read_meld
from emolab.corpora.ravdess import read_action_units, read_ravdess
from emolab.corpora.tables import WHERE_FROM, read_own, table_rows
from emolab.storage import corpus_places

__all__ = ["READERS", "VIEWS", "Corpus", "load_corpus", "unlabelled"]
__all__ += ["read_action_units", "read_iemocap", "read_meld", "read_own", "read_ravdess"]

# Name of a corpus: the function that reads its folder. One line registers another: READERS["mine"] = read_mine
READERS: dict[str, Callable[[Path], Corpus]] = {"iemocap": read_iemocap, "ravdess": read_ravdess, "meld": read_meld}
SAMPLES = {"sample": ("iemocap", "sessions"), "sample-ravdess": ("ravdess", "speakers")}  # layout and protocol


def load_corpus(name: str | Path = "sample", root: Path | None = None) -> Corpus:
    """Load a corpus whole; `corpus.view()` then takes its usual emotions.

    Args:
        name: "sample" or "sample-ravdess" (synthetic, built on first use), a key of `READERS` such as "iemocap",
            "ravdess" and "meld", or the path of a CSV file of your own.
        root: The folder it lies in. Without one, a corpus of `READERS` is looked for in the places of
            `emolab.storage.corpus_places`, a CSV file in the working directory.

    Raises:
        FileNotFoundError: If it is not there; the message lists where it was looked for.
        ValueError: If its files break their format, or there is no corpus of that name.
    """
    if name in SAMPLES:
        return _load_sample(str(name), root)
    if name in READERS:
        read = READERS[str(name)](Path(root).expanduser() if root else _place(str(name)))
        if not isinstance(read, Corpus):
            kind = type(read).__name__
            raise TypeError(f"READERS[{name!r}] returned {kind}; expected a Corpus. Let it return Corpus.from_rows(…).")
        return read
    path = Path(root or "", name).expanduser()
    if isinstance(name, Path) or path.is_file() or path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return read_own(path)
    known = ", ".join([*SAMPLES, *READERS])
    raise ValueError(f"no corpus {name!r}. Expected one of {known}, or the path of a CSV file. Correct the name.")


def unlabelled(items: Sequence[str | Path], modality: str) -> Corpus:
    """Make a corpus without labels of files or texts, for prediction.

    Args:
        items: Paths of sound files or films (modality "audio"; the sound of a film is taken), of films ("video"), or
            texts ("text").
        modality: "audio", "text" or "video".

    Returns:
        One utterance an item, in their order, without emotion; the speaker is "unknown". Its id is the file's name
        without suffix, with a number where that would occur twice, or "text-0", "text-1", ….

    Raises:
        ValueError: If there is no such modality, or no item, or a single string instead of a list.
        FileNotFoundError: If files are missing; the message lists them.
    """
    if modality not in MODALITIES or isinstance(items, str | Path) or not len(items):
        why = f"modality {modality!r}, items {str(items)[:60]!r}; expected one of {', '.join(MODALITIES)}, and a list"
        raise ValueError(f"{why} of texts or of paths, at least one. Put brackets around a single one.")
    column = MODALITIES[modality]
    contents = [str(item).strip() if modality == "text" else str(Path(item).expanduser().resolve()) for item in items]
    if modality != "text":
        require_files(contents)
    rows: dict[str, dict[str, str | None]] = {}
    for number, content in enumerate(contents):
        stem = f"text-{number}" if modality == "text" else Path(content).stem
        taken = (f"{stem}-{again}" for again in range(2, len(contents) + 2))
        name = stem if stem not in rows else next(name for name in taken if name not in rows)
        rows[name] = {"utterance_id": name, "speaker": "unknown", column: content or None}
    return Corpus.from_rows("unlabelled", rows.values(), emotions=(), root=Path())


def _place(name: str) -> Path:
    """Return the first place that holds something by the name of a corpus."""
    places = corpus_places(name)
    for place in places:
        if place.is_dir() and any(place.iterdir()):
            return place
    why = f"no corpus {name!r} found; looked in {', '.join(map(str, places))}. Expected its files in one of these, or"
    raise FileNotFoundError(f'{why} load_corpus("{name}", root=...). {WHERE_FROM}')


def _load_sample(name: str, root: Path | None) -> Corpus:
    """Read a sample corpus with the reader of its layout, and join the ground truth that was planted in it."""
    from emolab.sample import ensure

    layout, protocol = SAMPLES[name]
    folder = Path(root or ensure()) / layout
    corpus = join_truth(READERS[layout](folder), folder / "truth.csv")
    return replace(corpus, name=name, synthetic=True, protocol=protocol)


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
    if not problems and (odd := sorted({*names} ^ truth.keys())):
        problems.append(f"not of both sample and truth: {some(odd)} ({len(odd)} in all)")
    raise_problems(problems, where=path, remedy="Expected the truth of each utterance. Run: emolab sample --force")
    columns = pd.DataFrame([truth[name] for name in names], dtype=object)
    return replace(corpus, table=complete_table(corpus.table.assign(**columns)))


def _truth(row: dict[str, str]) -> dict[str, Any]:
    """Turn the cells of one row of truth.csv into values."""
    words, starts = tuple(map(int, row["cue_words"].split())), tuple(map(float, row["word_starts"].split()))
    lists = {"cue_words": words, "word_starts": starts or None, "cue_modalities": tuple(row["cue_modalities"].split())}
    return {column: row[column] or None for column in TRUTH} | lists
