"""Tables as people bring them: what spreadsheets, pandas and other computers make of them."""

from __future__ import annotations

import re
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from emolab.corpora.corpus import DATA
from emolab.corpora.tables import read_own
from emolab.media import SAMPLE_RATE
from emolab.results import SAFE
from tests.corpora.own import names, voices, wave, write

CHINESE = ("高兴", "悲伤")
RUSSIAN = ("радость", "грусть")


@pytest.fixture(autouse=True)
def told_as_errors() -> Any:
    """Let a warning that a test does not ask for fail it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


def texts(*rows: str, header: str = "id,speaker,emotion,text") -> str:
    return "\n".join([header, *rows, ""])


def table(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder / name


# ---- Encodings


@pytest.mark.parametrize(
    ("encoding", "emotions"), [("gbk", CHINESE), ("cp1251", RUSSIAN), ("shift_jis", ("喜び", "悲しみ"))]
)
def test_read_own_refuses_letters_of_another_code_page_and_reads_them_when_told(
    tmp_path: Path, encoding: str, emotions: tuple[str, str]
) -> None:
    rows = [{**row, "emotion": emotions[i % 2], "text": emotions[i % 2]} for i, row in enumerate(names(tmp_path))]
    path = write(tmp_path / "m.csv", rows, encoding=encoding)
    with pytest.raises(ValueError, match=r'cannot read .*m\.csv as UTF-8\. Expected.*encoding="gbk"'):
        read_own(path)
    assert set(read_own(path, encoding=encoding).emotions) == set(emotions)


@pytest.mark.parametrize("encoding", ["ascii", "klingon", "rot13"])
def test_read_own_refuses_an_encoding_that_is_not_the_files(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path, texts("a,ann,sad,Café"))
    with pytest.raises(ValueError, match=rf"cannot read .* as {re.escape(encoding)}\. Expected UTF-8"):
        read_own(path, encoding=encoding)


def test_read_own_refuses_polish_that_would_be_full_of_signs(tmp_path: Path) -> None:
    path = table(tmp_path, texts("a,ann,sad,tłumaczę źdźbło").encode("cp1250"))
    with pytest.raises(ValueError, match="as UTF-8"):
        read_own(path)
    assert read_own(path, encoding="cp1250").texts() == ["tłumaczę źdźbło"]


@pytest.mark.parametrize(
    "text", ["“Ça va”, dit-elle…", "Grüße aus Köln", "hyvää yötä", "¿Qué año?", "à Noël – déjà « été »"]
)
def test_read_own_takes_the_letters_of_western_europe(tmp_path: Path, text: str) -> None:
    rows = [{**row, "text": text} for row in names(tmp_path)]
    path = write(tmp_path / "m.csv", rows, encoding="cp1252")
    with pytest.warns(RuntimeWarning, match=r"m\.csv is not UTF-8, and was read as Windows-1252.*encoding="):
        assert set(read_own(path).texts()) == {text}
    assert set(read_own(path, encoding="cp1252").texts()) == {text}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_read_own_obeys_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    content = texts("a,ann,sad,Ах").replace(",", "\t")
    marked = f"\ufeff{content}" if encoding.endswith("-bom") else content
    assert read_own(table(tmp_path, marked.encode(encoding.removesuffix("-bom")))).texts() == ["Ах"]


# ---- What spreadsheets and other programs save


def test_read_own_passes_over_the_line_that_names_the_separator(tmp_path: Path) -> None:
    content = "sep=;\n" + pd.DataFrame(names(tmp_path)).to_csv(index=False, sep=";")
    assert len(read_own(table(tmp_path, content))) == 12
    content = texts("a,ann,happy,One", "b,,sad,Two").replace(",", ";")
    with pytest.raises(ValueError, match="speaker is empty in row 3"):  # as the spreadsheet counts
        read_own(table(tmp_path, "sep=;\n" + content))


def test_read_own_takes_bars_and_blanks_after_delimiters(tmp_path: Path) -> None:
    assert read_own(table(tmp_path, texts("a,ann,sad,One").replace(",", "|"))).texts() == ["One"]
    assert read_own(table(tmp_path, texts('a, ann, sad, "One, two"'))).texts() == ["One, two"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00", "an Excel workbook, or another archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
        (b'\n{"id": "a"}\n', "JSON"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    ],
)
def test_read_own_says_what_a_file_is_that_is_no_table(tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(ValueError, match=rf"cannot read .*mine\.csv: it is {kind}.*Save it as CSV \(UTF-8\)"):
        read_own(table(tmp_path, content))


def test_read_own_passes_over_the_index_of_pandas(tmp_path: Path) -> None:
    frame = pd.DataFrame(names(tmp_path))
    frame[frame["emotion"] != "sad"].to_csv(tmp_path / "pandas.csv")
    corpus = read_own(tmp_path / "pandas.csv")
    assert (len(corpus), [name for name in corpus.table if "Unnamed" in name]) == (9, [])
    pd.read_csv(tmp_path / "pandas.csv").to_csv(tmp_path / "twice.csv")
    assert len(read_own(tmp_path / "twice.csv")) == 9
    with pytest.raises(ValueError, match=r"a cell below no column name in row 2 \('x'\)"):
        read_own(table(tmp_path, texts("a,ann,sad,One,x", header="id,speaker,emotion,text,")))


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("b,ben,sad,Two", "row 5: unexpected end of data"),
        ('t,tom,sad,so "tall"', "row 5: ',' expected"),
        ('t,tom,sad,6"', "row 5 holds"),
    ],
)
def test_read_own_lets_no_quotation_mark_swallow_rows(tmp_path: Path, last: str, message: str) -> None:
    rows = [f"u{i},p{i},sad,Text {i}" for i in range(16)]
    rows[3] = 'u3,p3,sad,"Text 3'
    with pytest.raises(ValueError, match=f"{message}.*"):
        read_own(table(tmp_path, texts(*rows, last)))


def test_read_own_keeps_line_breaks_in_a_text(tmp_path: Path) -> None:
    path = table(tmp_path, texts('a,ann,sad,"Well, yes.\nNo, ""no"", never."', "b,ben,sad,Two"))
    assert read_own(path).texts() == ['Well, yes.\nNo, "no", never.', "Two"]


def test_read_own_keeps_words_that_look_like_nothing(tmp_path: Path) -> None:
    words = ["NA", "None", "null", "nan", "N/A"]
    (tmp_path / "a.wav").touch()
    rows = [f"u{i},{word},{word},{word},,NA" for i, word in enumerate(words)]
    path = table(tmp_path, texts(*rows, "x,ann,sad,,a.wav,", header="id,speaker,emotion,text,audio,valence"))
    with pytest.warns(RuntimeWarning, match=r"mine\.csv: the speaker of 5 utterances is unknown"):
        corpus = read_own(path)
    for column in ("text", "speaker", "emotion"):
        assert corpus.table[column].tolist()[:5] == words
    assert corpus.table["text"].isna().tolist() == [False] * 5 + [True]
    assert corpus.table["valence"].isna().all()


# ---- Names of corpora and of columns


def test_read_own_never_takes_the_name_of_a_known_corpus_or_of_another_table(tmp_path: Path) -> None:
    names(tmp_path / "a")
    names(tmp_path / "b")
    (tmp_path / "a/mine.csv").rename(tmp_path / "a/ravdess.csv")
    write(tmp_path / "a/mine.csv", names(tmp_path / "a"))
    found = [read_own(tmp_path / path).name for path in ("a/ravdess.csv", "a/mine.csv", "b/mine.csv", "b/mine.csv")]
    assert [name[:-5] for name in found] == ["own-ravdess", "own-mine", "own-mine", "own-mine"]
    assert len({*found}) == 3
    write(tmp_path / "b/mine, the 2nd.csv", names(tmp_path / "b"))
    assert re.fullmatch(SAFE["corpus"], read_own(tmp_path / "b/mine, the 2nd.csv").name)


@pytest.mark.parametrize("name", ["path", "file", "file_name", "filename", "FileName", "File Name", "Path", "wav-file"])
def test_read_own_takes_the_usual_names_of_a_sound_file(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "m.csv", [{name: row.pop("audio"), **row, "text": "x"} for row in names(tmp_path)])
    assert read_own(path).modalities == ("audio", "text")


def test_read_own_takes_names_of_files_or_rows_for_ids(tmp_path: Path) -> None:
    rows = [{**row, "id": ""} for row in names(tmp_path)]
    for row in rows:
        del row["id"]
    assert read_own(write(tmp_path / "m.csv", rows)).table["utterance_id"].tolist()[:2] == ["0", "1"]
    spoken = [{"speaker": row["speaker"], "emotion": row["emotion"], "text": "x"} for row in rows]
    assert read_own(write(tmp_path / "m.csv", spoken)).table["utterance_id"].tolist()[:2] == ["row-2", "row-3"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b/0.wav").touch()
    twice = write(tmp_path / "m.csv", [*rows[:2], {**rows[0], "audio": "b/0.wav"}])
    assert read_own(twice).table["utterance_id"].tolist() == ["0-2", "1", "0-4"]


def test_read_own_names_the_columns_it_found_when_nobody_speaks(tmp_path: Path) -> None:
    path = write(tmp_path / "m.csv", [{"path": row["audio"], "emotion": row["emotion"]} for row in names(tmp_path)])
    with pytest.raises(
        ValueError, match=r"no column speaker \(nor speaker_id.*\); found: path, emotion\. Folds keep"
    ) as told:
        read_own(path)
    assert str(told.value).startswith("1 problem in ")


def test_read_own_makes_no_advice_of_columns_in_their_own_right(tmp_path: Path) -> None:
    extra = ("emotion_id", "Sentiment", "speaker_age", "duration", "intensity", "text_id", "language", "fold", "Season")
    path = write(tmp_path / "m.csv", [{**row, **dict.fromkeys(extra, "1")} for row in names(tmp_path)])
    assert {*extra} <= {*read_own(path).table}


def test_read_own_normalises_parts_and_keeps_folds(tmp_path: Path) -> None:
    said = ["Train", "training", "val", "valid", "Development", "dev", "TEST", "Test1", "Test2", "test", "", "other"]
    rows = [{**row, "Split_Set": part, "fold": "3"} for row, part in zip(names(tmp_path), said, strict=True)]
    corpus = read_own(write(tmp_path / "m.csv", rows))
    parts = ["train"] * 2 + ["dev"] * 4 + ["test"] * 2 + ["Test2", "test", "-", "other"]
    assert corpus.table["part"].fillna("-").tolist() == parts
    assert corpus.table["fold"].tolist() == ["3"] * 12


# ---- Tables like those of known corpora


def test_read_own_reads_a_dialogue_table_in_the_columns_of_meld(tmp_path: Path) -> None:
    rows = []
    for dialogue in range(30):
        for turn in range(10):
            about = {
                "Sr No.": 10 * dialogue + turn,
                "Utterance": f"Text {turn}",
                "Speaker": ["Client", "Therapist"][turn % 2],
            }
            about |= {
                "Emotion": ["joy", "anger"][turn % 2],
                "Sentiment": "positive",
                "Dialogue_ID": dialogue,
                "Utterance_ID": turn,
            }
            rows.append({**about, "StartTime": f"00:00:{turn + 10},097", "EndTime": f"0:01:{turn + 10},5"})
    corpus = read_own(write(tmp_path / "m.csv", rows))
    row = corpus.table.iloc[25]
    assert row[["utterance_id", "dialogue_id", "text", "speaker"]].tolist() == ["2-5", "2", "Text 5", "Therapist"]
    assert (row["turn"], row["start"], row["end"]) == (5, 15.097, 75.5)
    assert corpus.modalities == ("text",)


def test_read_own_reads_labels_of_msp_podcast(tmp_path: Path) -> None:
    rows = []
    for row, code in zip(names(tmp_path), "ASHUFDCNOXNN", strict=True):
        about = {"FileName": row["audio"], "EmoClass": code, "EmoAct": 1, "EmoVal": 7, "EmoDom": 4}
        rows.append(
            {**about, "SpkrID": "Unknown" if code == "X" else row["speaker"], "Gender": "Unknown", "Split_Set": "Test1"}
        )
    with pytest.warns(RuntimeWarning, match="the speaker of 1 utterances is unknown, and folds take them"):
        corpus = read_own(write(tmp_path / "labels_consensus.csv", rows))
    first = ["angry", "sad", "happy", "surprised", "fearful", "disgusted", "contempt", "neutral", "other", "undecided"]
    assert corpus.table["emotion"].tolist()[:10] == first
    assert corpus.table[["arousal", "valence", "dominance"]].iloc[0].tolist() == [1, 5, 3]
    assert corpus.table["gender"].isna().all()
    assert corpus.table["part"].unique().tolist() == ["test"]


def test_read_own_tells_ratings_that_are_on_another_scale(tmp_path: Path) -> None:
    rows = [
        {**row, "gender": ["Unknown", "n/a", "other", "F"][i % 4], "valence": 2.3}
        for i, row in enumerate(names(tmp_path))
    ]
    corpus = read_own(write(tmp_path / "m.csv", rows))
    assert corpus.table["gender"].fillna("-").tolist() == ["-", "-", "-", "female"] * 3
    assert corpus.table["valence"].unique().tolist() == [2.3]
    with pytest.raises(ValueError, match=r"valence is not a number from 1 to 5 in row 3 \('6.5'\)"):
        read_own(write(tmp_path / "m.csv", [{**row, "valence": 6.5 if i == 1 else ""} for i, row in enumerate(rows)]))


def test_read_own_takes_ids_of_videos_for_what_they_are(tmp_path: Path) -> None:
    rows = [{**row, "video": "8f2ac1b0_1"} for row in names(tmp_path)]
    corpus = read_own(write(tmp_path / "m.csv", rows))
    assert corpus.modalities == ("audio",)
    assert corpus.table["video"].unique().tolist() == ["8f2ac1b0_1"]


# ---- Votes


def test_read_own_counts_annotators_who_have_a_row_each(tmp_path: Path) -> None:
    rows = pd.DataFrame(names(tmp_path))
    others = rows.assign(
        annotator=2, valence=4, emotion=["happy" if i == 0 else e for i, e in enumerate(rows["emotion"])]
    )
    twice = pd.concat([rows.assign(annotator=1, valence=2), others, rows.assign(annotator=3, valence=3)])
    twice.to_csv(tmp_path / "m.csv", index=False)
    corpus = read_own(tmp_path / "m.csv")
    assert len(corpus) == 12
    assert corpus.table["votes"].tolist()[:2] == [{"happy": 1, "neutral": 2}, {"happy": 3}]
    assert corpus.table["emotion"].tolist() == rows["emotion"].tolist()
    assert corpus.table["valence"].unique().tolist() == [3]
    silent = [rows.assign(annotator=i, emotion=["", *rows["emotion"][1:]]) for i in (1, 2)]  # nobody labels the first
    pd.concat(silent).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ValueError, match=r"1 problem in .*\n  emotion is empty in row 2\n"):
        read_own(tmp_path / "m.csv")
    pd.concat([rows.assign(annotator=i, id=[pd.NA, *rows["id"][1:]]) for i in (1, 2)]).to_csv(
        tmp_path / "m.csv", index=False
    )
    with pytest.raises(ValueError, match=r"utterance_id is empty in row 2\n"):
        read_own(tmp_path / "m.csv")
    rows.iloc[0, 1] = "p1"  # another speaker, so another utterance, under one id
    pd.concat([rows.assign(annotator=1), others]).to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(ValueError, match="the id 'u0' occurs 2 times, in rows 2, 14"):
        read_own(tmp_path / "m.csv")


@pytest.mark.parametrize(
    "votes", ["happy 3; sad 1", "happy: 3, sad: 1", '{"happy": 3, "sad": 1}', "happy=3;sad=1;angry=0"]
)
def test_read_own_reads_votes(tmp_path: Path, votes: str) -> None:
    rows = [{**row, "votes": votes} for row in names(tmp_path)]
    corpus = read_own(write(tmp_path / "m.csv", rows))
    assert corpus.table["votes"].tolist() == [{"happy": 3, "sad": 1}] * 12
    assert corpus.table["emotion"].tolist() == [row["emotion"] for row in rows]
    with pytest.raises(ValueError, match=r"votes is not of the form happy 3; sad 1 in rows 2 \('happy'\), 3"):
        read_own(write(tmp_path / "m.csv", [{**row, "votes": "happy"} for row in rows]))


def test_read_own_labels_by_the_most_votes_where_nothing_else_does(tmp_path: Path) -> None:
    rows = [
        {**row, "votes_happy": 0.5, "votes_sad": [0.5, 0.25][i % 2], "votes_very angry": 0}
        for i, row in enumerate(names(tmp_path))
    ]
    for row in rows:
        del row["emotion"]
    corpus = read_own(write(tmp_path / "m.csv", rows))
    assert corpus.table["votes"].tolist()[:2] == [{"happy": 0.5, "sad": 0.5}, {"happy": 0.5, "sad": 0.25}]
    assert corpus.table["emotion"].tolist()[:2] == ["undecided", "happy"]
    assert corpus.emotions == ("happy", "undecided")


# ---- Paths


def test_read_own_hints_at_files_below_another_folder(tmp_path: Path) -> None:
    rows = names(tmp_path / "clips")
    path = write(tmp_path / "m.csv", [{**row, "audio": f"D:\\speech\\me\\data\\clips\\{row['audio']}"} for row in rows])
    hint = r"the file of audio_path is missing \(but clips/0\.wav is there: take D:/speech/me/data/ away\) in rows 2 \("
    with pytest.raises(ValueError, match=hint) as told:
        read_own(path)
    assert max(map(len, str(told.value).splitlines()[1:-1])) <= 300


def test_read_own_goes_on_without_a_few_missing_files_and_lists_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**row, "text": "Hm." if i == 5 else ""} for i, row in enumerate(names(tmp_path))]
    path = write(tmp_path / "m.csv", rows)
    for lost in ("2.wav", "5.wav"):
        (tmp_path / lost).unlink()
    counted = r"2 of 12 utterances of m\.csv lack a file: no file 2\.wav, no file 5\.wav\. They"
    with pytest.warns(RuntimeWarning, match=counted):
        corpus = read_own(path)
    assert corpus.table["utterance_id"].tolist() == [f"u{i}" for i in range(12) if i != 2]  # u5 has its words
    assert corpus.table.loc[~corpus.has("audio"), "utterance_id"].tolist() == ["u5"]
    assert dict(corpus.dropped.itertuples(index=False)) == {"u2": "no file 2.wav", "u5": "no file 5.wav"}
    told = r"1 problem in .*\n  the file of audio_path is missing in rows 4 \(2\.wav\), 7 \(5\.wav\)\n"
    with pytest.raises(ValueError, match=told):
        read_own(path, strict=True)
    monkeypatch.setenv("EMOLAB_STRICT", "1")
    with pytest.raises(ValueError, match=told):
        read_own(path)


@pytest.mark.parametrize("n", [5, 6])
def test_read_own_takes_half_of_the_files_missing_for_wrong_paths(tmp_path: Path, n: int) -> None:
    rows = names(tmp_path)
    for row in rows[:n]:
        (tmp_path / row["audio"]).unlink()
    if n == 6:
        with pytest.raises(ValueError, match="the file of audio_path is missing in rows 2 "):
            read_own(tmp_path / "mine.csv")
        return
    with pytest.warns(RuntimeWarning, match="5 of 12 utterances"):
        corpus = read_own(tmp_path / "mine.csv")
    assert len(corpus) == 7


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_read_own_finds_names_with_accents_of_a_mac(tmp_path: Path, form: Any) -> None:
    stored, written = (unicodedata.normalize(f, "Zoé colère.wav") for f in ("NFD" if form == "NFC" else "NFC", form))
    (tmp_path / stored).touch()
    assert (
        read_own(table(tmp_path, texts(f"a,zoé,sad,{written}", header="id,speaker,emotion,audio")))
        .audio_paths()[0]
        .is_file()
    )


def test_read_own_says_how_to_list_a_folder_of_sounds(tmp_path: Path) -> None:
    names(tmp_path / "clips")
    with pytest.raises(FileNotFoundError, match=r"clips is a folder\. Expected a CSV file.*list them in a column path"):
        read_own(tmp_path / "clips")


# ---- Segments of recordings


def recordings(folder: Path) -> list[dict[str, Any]]:
    """Write one wav a speaker, in which all that they say follows one another, and return the rows of its segments."""
    rows = []
    for speaker, part in voices().table.groupby("speaker"):
        at, sounds = 0.0, []
        for i in part.index[:4]:
            sounds.append(wave(i))
            about = {"id": f"u{i}", "speaker": speaker, "emotion": part.loc[i, "emotion"], "audio": f"{speaker}.wav"}
            rows.append({**about, "start": at, "end": at + len(sounds[-1]) / SAMPLE_RATE})
            at = rows[-1]["end"]
        soundfile.write(folder / f"{speaker}.wav", np.concatenate(sounds), SAMPLE_RATE)
    return rows


def test_read_own_cuts_segments_out_of_recordings(tmp_path: Path) -> None:
    rows = recordings(tmp_path)
    table = read_own(write(tmp_path / "m.csv", rows)).table
    assert table[["audio_start", "audio_end"]].to_numpy().tolist() == table[["start", "end"]].to_numpy().tolist()
    assert table["video_start"].isna().all()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("0 days 00:00:01.500000", "0 days 00:01:02.500000"),
        ("00:00:01,500", "00:01:02,500"),
        ("0:01.5", "1:02.5"),
        ("1,5", "62.5"),
    ],
)
def test_read_own_reads_times(tmp_path: Path, start: str, end: str) -> None:
    row = {**names(tmp_path)[0], "start": start, "end": end}
    spans = ["start", "end", "audio_start", "audio_end"]
    assert read_own(write(tmp_path / "m.csv", [row])).table.loc[0, spans].tolist() == [1.5, 62.5] * 2


def test_read_own_takes_an_end_that_is_not_there_for_that_of_the_file(tmp_path: Path) -> None:
    row = {**names(tmp_path)[0], "start": "0 days 00:00:01.5", "end": "NaT"}
    assert read_own(write(tmp_path / "m.csv", [row])).table["audio_end"].isna().all()


def test_read_own_cuts_nothing_where_each_utterance_of_a_dialogue_has_a_file(tmp_path: Path) -> None:
    rows = [{**row, "dialogue": i // 4, "start": i % 4, "end": i % 4 + 0.5} for i, row in enumerate(names(tmp_path))]
    table = read_own(write(tmp_path / "m.csv", rows)).table
    assert table["audio_start"].isna().all()
    assert table["start"].tolist() == [0, 1, 2, 3] * 3
    shared = read_own(write(tmp_path / "m.csv", [{**row, "audio": f"{row['dialogue']}.wav"} for row in rows])).table
    assert shared["audio_start"].tolist() == [0, 1, 2, 3] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": ""}, "one sound file for several utterances, without start and end, in row 3"),
        ({"start": -1}, "a time is negative in row 3"),
        ({"end": 0}, "end does not lie after start in row 3"),
        ({"start": 3, "end": 3}, "end does not lie after start in row 3"),
    ],
)
def test_read_own_refuses_spans_that_cannot_be(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = [{**row, "audio": "0.wav", "start": i, "end": i + 1} for i, row in enumerate(names(tmp_path))]
    rows[1] |= change
    with pytest.raises(ValueError, match=rf"1 problem in .*\n  {message}\n"):
        read_own(write(tmp_path / "m.csv", rows))


# ---- Without labels


def test_read_own_reads_utterances_without_labels(tmp_path: Path) -> None:
    corpus = read_own(write(tmp_path / "m.csv", [{"id": row["id"], "audio": row["audio"]} for row in names(tmp_path)]))
    assert (corpus.emotions, corpus.modalities, len(corpus)) == ((), ("audio",), 12)
    assert corpus.table["speaker"].unique().tolist() == ["unknown"]
    empty = read_own(write(tmp_path / "m.csv", [{**row, "emotion": ""} for row in names(tmp_path)]))
    assert (empty.emotions, empty.table["speaker"].nunique()) == ((), 6)
    assert len(read_own(write(tmp_path / "m.csv", [{"path": row["audio"]} for row in names(tmp_path)]))) == 12


def test_read_own_wants_a_label_in_each_row_or_in_none(tmp_path: Path) -> None:
    rows = names(tmp_path)
    rows[1]["emotion"] = ""
    with pytest.raises(ValueError, match=r"1 problem in .*\n  emotion is empty in row 3\n"):
        read_own(write(tmp_path / "m.csv", rows))


def test_names_of_columns_are_unambiguous() -> None:
    names = [re.sub(r"[\W_]", "", name) for column, facts in DATA["columns"].items() for name in (column, *facts[2:])]
    names += [name.replace("_", "") for column, others in DATA["own"]["columns"].items() for name in (column, *others)]
    assert len(names) == len({*names})


@pytest.mark.parametrize("header", ["text", "speaker,text"])
def test_a_narrow_table_tells_of_rows_that_a_quotation_mark_may_have_swallowed(tmp_path: Path, header: str) -> None:
    lines = [f"{'ann,' * header.count(',')}hello {number}" for number in range(20)]
    lines[2] = lines[2].replace("hello", '"hello')
    lines[18] += '"'
    (tmp_path / "mine.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    with pytest.warns(RuntimeWarning, match=r"mine\.csv: several lines in row 4\. If these are rows.*correct it"):
        assert len(read_own(tmp_path / "mine.csv")) == 4
