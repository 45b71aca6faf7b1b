from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emolab.corpora import READERS, read_action_units
from tests.corpora.mangled import examples, mangled

read_ravdess = READERS["ravdess"]

UNITS = ",".join(["name", *(f"AU{number:02}_r" for number in range(35))])
FILM = "01-01-05-01-02-01-08," + ",".join(["0.25"] * 35)


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_read_ravdess_joins_sound_and_film_of_a_performance(tmp_path: Path) -> None:
    sound, film, silent = (f"{kind}-01-05-02-01-02-08" for kind in ("03", "01", "02"))
    write(tmp_path, f"Actor_08/{sound}.wav", f"Actor_08/{film}.mp4", f"Actor_08/{silent}.mp4")
    corpus = read_ravdess(tmp_path)
    assert len(corpus) == 1
    row = corpus.table.iloc[0]
    assert row["utterance_id"] == "01-05-02-01-02-08"
    assert row[["audio_path", "video_path"]].tolist() == [f"Actor_08/{sound}.wav", f"Actor_08/{film}.mp4"]
    assert row[["speaker", "gender", "emotion", "intensity"]].tolist() == ["08", "female", "angry", "strong"]
    assert row["text"] == "Kids are talking by the door."
    assert row[["session", "dialogue_id", "votes", "start"]].isna().all()


def test_read_ravdess_takes_what_there_is(tmp_path: Path) -> None:
    write(tmp_path, "01-01-01-01-02-01-01.mp4", "02-01-03-01-01-01-02.mp4", "03-01-04-01-01-01-03.FLAC")
    table = read_ravdess(tmp_path).table.set_index("speaker")
    assert table.loc["01", "audio_path"] == table.loc["01", "video_path"] == "01-01-01-01-02-01-01.mp4"
    assert table["audio_path"].isna().tolist() == [False, True, False]
    assert table["video_path"].isna().tolist() == [False, False, True]
    assert table.loc["01", ["text", "gender"]].tolist() == ["Dogs are sitting by the door.", "male"]


def test_read_ravdess_lists_songs_copies_and_strangers(tmp_path: Path) -> None:
    name = "03-01-05-01-01-01-01.wav"
    song = "03-02-05-01-01-01-01.wav"
    write(
        tmp_path, f"Actor_01/{name}", f"copy/Actor_01/{name}", f"Actor_01/{song}", "noise.wav", "._x.wav", "README.md"
    )
    corpus = read_ravdess(tmp_path)
    assert corpus.table["audio_path"].tolist() == [f"Actor_01/{name}"]
    assert dict(corpus.dropped.itertuples(index=False)) == {
        f"Actor_01/{song}": "song, not speech",
        f"copy/Actor_01/{name}": f"second copy of Actor_01/{name}",
        "noise.wav": "not a name of RAVDESS",
    }


@pytest.mark.parametrize("step", ["..", ".", "Actor_01"])
def test_read_ravdess_finds_the_actors_one_level_off(tmp_path: Path, step: str) -> None:
    root = write(tmp_path / "ravdess", "Actor_01/03-01-05-01-01-01-01.wav", "Actor_02/03-01-05-01-01-01-02.wav")
    corpus = read_ravdess(root / step)
    assert len(corpus) == 2
    assert all(path.is_file() for path in corpus.audio_paths())


def test_read_ravdess_does_not_mix_the_sample_into_the_corpus(tmp_path: Path) -> None:
    films = [f"sample/ravdess/Actor_01/01-01-05-01-01-01-{actor}.mp4" for actor in ("01", "03")]
    write(tmp_path, "ravdess/Actor_01/03-01-05-01-01-01-01.wav", *films, "sample/ravdess/truth.csv")
    corpus = read_ravdess(tmp_path)
    assert corpus.modalities == ("audio", "text")
    assert corpus.table["speaker"].tolist() == ["01"]
    assert corpus.dropped["utterance_id"].tolist() == films
    assert len(read_ravdess(tmp_path / "sample/ravdess")) == 2
    with pytest.raises(FileNotFoundError, match="nothing to read"):  # not without its label
        read_ravdess(tmp_path / "sample")


def test_read_ravdess_names_all_odd_codes(tmp_path: Path) -> None:
    write(tmp_path, "03-01-09-01-01-01-25.wav", "03-01-01-03-01-01-01.wav", "03-01-01-01-01-01-01.wav")
    with pytest.raises(
        ValueError, match=r"(?s)2 problems.*no intensity 03 in.*no emotion 09 and no actor 25 in.*original names"
    ):
        read_ravdess(tmp_path)


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_read_ravdess_says_what_it_expected_and_found(tmp_path: Path, folder: str) -> None:
    write(tmp_path, "songs.txt")
    with pytest.raises(FileNotFoundError, match=r"found there: (\['songs.txt'\]|no such).*Expected recordings.*README"):
        read_ravdess(tmp_path / folder)


def test_read_action_units_is_indexed_by_utterance(tmp_path: Path) -> None:
    (tmp_path / "action_units.csv").write_text(f"{UNITS}\n{FILM}\n")
    units = read_action_units(tmp_path)
    assert units.shape == (1, 35)
    assert units.index.tolist() == ["01-05-01-02-01-08"]
    assert (units.to_numpy() == 0.25).all()


def test_read_action_units_takes_the_ids_of_any_other_corpus(tmp_path: Path) -> None:
    table = f"{UNITS}\n{FILM}\n".replace("name", "utterance_id", 1).replace(
        "01-01-05-01-02-01-08", "Ses01F_impro01_F000"
    )
    (tmp_path / "action_units.csv").write_text(table)
    assert read_action_units(tmp_path).index.tolist() == ["Ses01F_impro01_F000"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no column name; found: nothing"),
        (f"{UNITS},extra\n{FILM},1\n", "36 columns besides name, not 35"),
        (f"{UNITS}\n{FILM}\n{FILM}\n", "a film a second time in row 3"),
        (f"{UNITS}\n{FILM.replace('0.25', 'x', 1)}\n", "no number in row 2"),
        (f"{UNITS}\n{FILM}\nsmile{FILM[20:]}\n", "not the name of a film in row 3"),
    ],
)
def test_read_action_units_explains_a_broken_table(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "action_units.csv").write_text(table)
    with pytest.raises(ValueError, match=rf"(?s){message}.*Expected action_units.csv.*Take the file anew"):
        read_action_units(tmp_path)


@examples(60)
@given(table=mangled(f"{UNITS}\n{FILM}\n{FILM.replace('-08', '-09')}\n"))
def test_read_action_units_reads_or_explains_mangled_tables(table: bytes) -> None:
    message = ""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "action_units.csv").write_bytes(table)
        try:
            units = read_action_units(Path(folder))
        except ValueError as error:
            message = str(error)
    assert (
        re.search("(Expected action_units.csv.*Take|cannot read.*Save)", message)
        if message
        else np.isfinite(units.to_numpy()).all()
    )


@examples(60)
@given(names=st.lists(st.from_regex(r"0[1-4]-0[12](-0[0-9]){5}\.(wav|mp4|txt)", fullmatch=True), max_size=5))
def test_read_ravdess_reads_or_explains_mangled_names(names: list[str]) -> None:
    message = ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            corpus = read_ravdess(write(Path(folder), *names))
        except (ValueError, FileNotFoundError) as error:
            message = str(error)
    assert re.search("(?s)(problem|nothing).*Expected.*README", message) if message else len(corpus) > 0


def test_real_ravdess_is_complete(ravdess_root: Path) -> None:
    corpus = read_ravdess(ravdess_root)
    counts = corpus.view().table["emotion"].value_counts()
    assert len(corpus) == 1440
    assert counts.pop("neutral") == 96  # neutral was not acted in strong intensity
    assert (counts == 192).all()
    assert (corpus.table.groupby("speaker").size() == 60).all()
    assert corpus.dropped.empty
    assert corpus.table["gender"].value_counts().to_dict() == {"male": 720, "female": 720}


def test_real_action_units_belong_to_the_recordings(ravdess_root: Path) -> None:
    units = read_action_units(ravdess_root)
    assert units.shape == (1440, 35)
    assert set(units.index) == set(read_ravdess(ravdess_root).table["utterance_id"])
    assert not pd.isna(units).any(axis=None)
