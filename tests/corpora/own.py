"""A corpus of one's own as people bring it: sound files of the sample's voices, and a table that lists them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from emolab.corpora import Corpus, load_corpus
from emolab.media import SAMPLE_RATE, read_audio

Rows = list[dict[str, Any]]
FOUR = ("neutral", "happy", "sad", "angry")


@lru_cache
def voices() -> Corpus:
    """Return the sample's performances of four emotions."""
    corpus = load_corpus("sample-ravdess")
    return corpus.select(corpus.table["emotion"].isin(FOUR))


def wave(row: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the sound of the row at a position of `voices()`."""
    return read_audio(voices().root / voices().table.loc[row, "audio_path"])


def write(path: Path, rows: Rows, **options: Any) -> Path:
    """Write a table as pandas does; options are those of `DataFrame.to_csv`."""
    pd.DataFrame(rows).to_csv(path, index=False, **options)
    return path


def own(folder: Path, n_speakers: int = 6) -> Rows:
    """Write a wav for each utterance of the first speakers, and mine.csv, which lists them; return its rows."""
    table, rows = voices().table, []
    folder.mkdir(parents=True, exist_ok=True)
    for i in table.index[table["speaker"].isin(sorted(table["speaker"].unique())[:n_speakers])]:
        soundfile.write(folder / f"{i}.wav", wave(i), SAMPLE_RATE)
        about = {"id": f"u{i}", "speaker": f"p{table.loc[i, 'speaker']}", "emotion": table.loc[i, "emotion"]}
        rows.append({**about, "audio": f"{i}.wav"})
    write(folder / "mine.csv", rows)
    return rows


def names(folder: Path, n: int = 12) -> Rows:
    """Do as `own`, with files that are there and hold nothing, where nobody reads the sound."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"id": f"u{i}", "speaker": f"p{i % 6}", "emotion": FOUR[i % 4], "audio": f"{i}.wav"} for i in range(n)]
    for row in rows:
        (folder / row["audio"]).touch()
    write(folder / "mine.csv", rows)
    return rows
