from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from emolab.corpora.tables import read_own
from tests.corpora.mangled import examples, mangled

TABLE = """id,Speaker,label,transcript,audio,start,end,age
a,ann,happy,"Well, hello",a.wav,0,1.5,31
b,ben,puzzled,What?,,1.5,2,44
"""


def write(folder: Path, table: str | bytes = TABLE) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(table.encode() if isinstance(table, str) else table)
    (folder / "a.wav").touch()
    return path


def test_read_own_reads_columns_by_their_usual_names(tmp_path: Path) -> None:
    corpus = read_own(write(tmp_path))
    assert corpus.name.startswith("own-mine-")
    assert corpus.emotions == ("happy", "puzzled")
    assert corpus.table["speaker"].tolist() == ["ann", "ben"]
    assert corpus.texts() == ["Well, hello", "What?"]
    assert corpus.table["audio_path"].isna().tolist() == [False, True]
    assert (corpus.root / "a.wav").is_file()
    assert corpus.table["age"].tolist() == ["31", "44"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_read_own_reads_what_spreadsheets_write(tmp_path: Path, delimiter: str) -> None:
    table = "\ufeffid;speaker;emotion;text;gender;valence\r\na;Åsa;sad;Ach;F;2,5\r\n;;;;;\r\n".replace(";", delimiter)
    for encoding in ("utf-8", "cp1252"):
        corpus = read_own(write(tmp_path, table.lstrip("\ufeff" * (encoding != "utf-8")).encode(encoding)))
        row = corpus.table.iloc[0]
        assert row[["speaker", "gender", "valence"]].tolist() == ["Åsa", "female", 2.5]


def test_read_own_reports_every_problem_with_its_rows(tmp_path: Path) -> None:
    table = """id,speaker,emotion,text,audio_path,start,end,gender
a,ann,happy,Hello,,0,1,f
a,,Happy,Hello,gone.wav,3,2,f
b,ben,,Hello,a.wav,x,1,q
c,ben,sad,,,,,m
d,ben,sad,too,many,cells,,,,,
"""
    with pytest.raises(ValueError, match=r"problems in .*mine\.csv") as caught:
        read_own(write(tmp_path, table))
    message = str(caught.value)
    for problem in (
        "row 6 has 11 cells, the header 8",
        "speaker is empty in row 3",
        r"the file of audio_path is missing in row 3 \(gone.wav\)",
        "end does not lie after start in row 3",
        r"start is not a number in row 4 \('x'\)",
        r"gender is not female or male in row 4 \('q'\)",
        "emotion is empty in row 4",
        "neither text nor sound nor film in row 5",
        "the id 'a' occurs 2 times, in rows 2, 3",
        "one emotion is written 'happy' and 'Happy', in rows 2, 3",
    ):
        assert re.search(problem, message)
    assert message.startswith("10 problems")
    assert sum(line.startswith("  ") for line in message.splitlines()) == 10  # each on a line of its own
    assert "Expected a first row" in message
    assert "load the file again" in message


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,speaker,text", "no row with an utterance"),
        ("id,speaker,emotion", "none of the columns audio_path, text, video_path; found: id, speaker, emotion"),
        ("id,speaker,emotion,text,transcript", "2 columns for text: text, transcript"),
        ("id,speaker,emotion,text,transcrpt", "column 'transcrpt' looks like a slip of 'transcript'"),
        ("id,speaker,emotion,text,cue_words", "column cue_words, which only emolab fills"),
        ("id,speaker,emotion,text", "no row with an utterance"),
        ("", "none of the columns audio_path, text, video_path; found: nothing"),
    ],
)
def test_read_own_explains_a_header_that_will_not_do(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}.*Expected a first row"):
        read_own(write(tmp_path, header + "\n"))


def test_read_own_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.csv is no file\. Expected a CSV file.*Check the path"):
        read_own(tmp_path / "gone.csv")


def test_read_own_takes_paths_with_backslashes_and_absolute_ones(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "b.wav").touch()
    table = f"id,speaker,emotion,audio\na,ann,sad,clips\\b.wav\nb,ben,sad,{tmp_path}/clips/b.wav\n"
    assert len({path.resolve() for path in read_own(write(tmp_path, table)).audio_paths()}) == 1


TALK = """,Dialogue_ID,Utterance_ID,Speaker,Utterance,StartTime,EndTime,votes_happy,votes_sad,rater,EmoVal,split,path
0,1,0,ann,"Well,
hello",00:00:01,500,0:02.5,2,0.5,x,7,val,a.wav
1,1,1,ben,What?,0 days 00:00:03,0 days 00:00:04.5,0,1,y,Unknown,Test1,a.wav
"""
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")


@examples(160)
@given(table=mangled(TABLE, ENCODINGS) | mangled(TALK.replace("01,500", "01.500"), ENCODINGS))
def test_read_own_reads_or_explains_mangled_tables(table: bytes) -> None:
    message = ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            corpus = read_own(write(Path(folder), table))
        except ValueError as error:
            message = str(error)
    assert re.search(r"(?s)(problem|cannot read).*Expected.*(Correct|Save)", message) if message else len(corpus) > 0
