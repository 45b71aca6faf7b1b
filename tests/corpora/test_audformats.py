"""Corpora go to audformat and nkululeko and come back the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import audformat
import pandas as pd
import pytest

from emolab.corpora import Corpus, load_corpus
from emolab.corpora.audformats import read_audformat, write_audformat, write_nkululeko
from emolab.corpora.corpus import SCHEMA
from emolab.corpora.tables import read_own
from tests.corpora.own import Rows, names, write


def told(folder: Path, **change: Any) -> Corpus:
    """Read a table that tells all there is to tell."""
    rows: Rows = []
    for i, row in enumerate(names(folder)):
        about = {"valence": 1 + i / 7, "gender": ["female", ""][i % 2], "text": ["NA", "Well, “yes”", ""][i % 3]}
        about |= {"votes": f"{row['emotion']} 2; other 0.5", "turn": i, "dialogue": i // 4, "age": "31"}
        rows.append({**row, **about, **{name: values[i] for name, values in change.items()}})
    return read_own(write(folder / "mine.csv", rows))


def same(a: Corpus, b: Corpus) -> None:
    assert a.emotions == b.emotions
    tables = [corpus.table.sort_values("utterance_id", ignore_index=True) for corpus in (a, b)]
    paths = [[str((c.root / path).resolve()) for path in t["audio_path"]] for c, t in zip((a, b), tables, strict=True)]
    left, right = (table.assign(audio_path=own) for table, own in zip(tables, paths, strict=True))
    columns = [column for column in left if left[column].notna().any()]
    pd.testing.assert_frame_equal(left[columns], right[columns])
    assert right[[column for column in SCHEMA if column not in columns]].isna().all(axis=None)


SEGMENTS = {
    "audio": [f"{i // 6}.wav" for i in range(12)],
    "start": [1.1 * (i % 6) for i in range(12)],
    "end": [1.1 * (i % 6) + 0.7 if i % 6 < 5 else "" for i in range(12)],
}
PARTS = {"part": ["train", "dev", "test", "train"] * 3}


@pytest.mark.parametrize("change", [{}, SEGMENTS, PARTS, SEGMENTS | PARTS], ids=["files", "segments", "parts", "both"])
@pytest.mark.parametrize("below", [".", "elsewhere"])
def test_audformat_gives_back_what_it_was_given(tmp_path: Path, change: dict[str, Any], below: str) -> None:
    corpus = told(tmp_path / "mine", **change)
    write_audformat(corpus, tmp_path / "mine" / below)
    database = audformat.Database.load(str(tmp_path / "mine" / below))
    assert database.is_portable == (below == ".")
    assert {*database.schemes["emotion"].labels} == {*corpus.emotions}
    assert {*database.splits} == {*change.get("part", ())}
    same(corpus, read_audformat(tmp_path / "mine" / below))


@pytest.mark.parametrize("change", [{}, SEGMENTS, PARTS], ids=["files", "segments", "parts"])
def test_nkululeko_gives_back_what_it_was_given(tmp_path: Path, change: dict[str, Any]) -> None:
    corpus = told(tmp_path, **change)
    write_nkululeko(corpus, tmp_path / "nkululeko.csv")
    index = audformat.utils.read_csv(tmp_path / "nkululeko.csv", as_dataframe=True).index  # as nkululeko reads it
    assert audformat.is_segmented_index(index) == ("start" in change)
    assert [*index.get_level_values("file")] == corpus.table["audio_path"].tolist()
    same(corpus, read_own(tmp_path / "nkululeko.csv"))


def database(folder: Path) -> audformat.Database:
    """Make a database as they are published: labels in segments, facts of files beside, speakers in a table."""
    names(folder)
    made = audformat.Database("published")
    made.schemes["emotion"] = audformat.Scheme(labels=["happy", "sad"])
    made["who"] = audformat.MiscTable(pd.Index(["p1", "p2"], name="speaker"))
    made["who"]["sex"] = audformat.Column()
    made["who"]["sex"].set(["female", "male"])
    made.schemes["speaker"] = audformat.Scheme(labels="who", dtype="str")
    made.schemes["room"] = audformat.Scheme(labels={"a": {"noise": "loud"}, "b": {"noise": "none"}})
    made.splits["train"], made.splits["held out"] = audformat.Split("train"), audformat.Split("other")
    for name, file, emotions in (("train", "0.wav", ["happy", "sad"]), ("held out", "1.wav", ["sad", "happy"])):
        index = audformat.segmented_index([file] * 2, [0, "1.5s"], ["1.5s", pd.NaT])
        made[f"emotion.{name}"] = audformat.Table(index, split_id=name)
        made[f"emotion.{name}"]["emotion"] = audformat.Column(scheme_id="emotion")
        made[f"emotion.{name}"]["emotion"].set(emotions)
    made["files"] = audformat.Table(audformat.filewise_index(["0.wav", "1.wav", "2.wav"]))
    for name, values in {"speaker": ["p1", "p2", "p2"], "room": ["a", "b", "b"]}.items():
        made["files"][name] = audformat.Column(scheme_id=name)
        made["files"][name].set(values)
    return made


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_read_audformat_joins_segments_files_speakers_and_splits(tmp_path: Path, storage: str) -> None:
    database(tmp_path).save(str(tmp_path), storage_format=storage)
    corpus = load_corpus(str(tmp_path))
    table = corpus.table
    assert corpus.name.startswith("own-db-")
    assert table["utterance_id"].tolist() == ["0-2", "0-3", "1-4", "1-5"]
    assert table["emotion"].tolist() == ["happy", "sad", "sad", "happy"]
    assert table["speaker"].tolist() == ["p1", "p1", "p2", "p2"]
    assert table["gender"].tolist() == ["female", "female", "male", "male"]
    assert table["noise"].tolist() == ["loud", "loud", "none", "none"]
    assert table["part"].tolist() == ["train", "train", "held out", "held out"]
    assert table["audio_start"].tolist() == [0, 1.5, 0, 1.5]
    assert table["audio_end"].fillna(-1).tolist() == [1.5, -1, 1.5, -1]


def test_read_audformat_takes_the_tables_that_are_named(tmp_path: Path) -> None:
    made = database(tmp_path)
    made["emotion.rater2"] = made["emotion.train"].copy()
    made["emotion.rater2"]["emotion"].set(["sad", "sad"])
    made.save(str(tmp_path))
    with pytest.raises(ValueError, match="overlapping data in column 'emotion'"):
        read_audformat(tmp_path)
    corpus = read_audformat(tmp_path, tables=["emotion.rater2", "files"])
    assert corpus.table["emotion"].tolist() == ["sad", "sad"]


def test_writers_want_a_file_for_each_utterance(tmp_path: Path) -> None:
    corpus = read_own(write(tmp_path / "m.csv", [{"id": "a", "speaker": "ann", "emotion": "sad", "text": "Oh."}]))
    with pytest.raises(ValueError, match=r"utterances a have neither sound nor film.*select"):
        write_nkululeko(corpus, tmp_path / "n.csv")
