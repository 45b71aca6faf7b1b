from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from emolab.corpora import load_corpus
from emolab.corpora.meld import clean, read_meld
from tests.corpora.mangled import examples, mangled

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
ROW = '1,"Oh my God, he’s  lost it.",Rachel,joy,positive,4,2,3,15,"00:20:57,256","0:21:00,049"\n'


def write(root: Path, *, train: str | bytes = HEADER + ROW) -> Path:
    root.mkdir(exist_ok=True)
    for part in ("train", "dev", "test"):
        (root / f"{part}_sent_emo.csv").write_text(HEADER + ROW, encoding="utf-8")
    (root / "train_sent_emo.csv").write_bytes(train.encode() if isinstance(train, str) else train)
    return root


def test_read_meld_reads_words_speakers_and_times(tmp_path: Path) -> None:
    corpus = read_meld(write(tmp_path))
    row = corpus.table.iloc[0]
    assert row[["utterance_id", "dialogue_id", "part"]].tolist() == ["train-dia4-utt2", "train-dia4", "train"]
    assert row[["speaker", "emotion", "turn"]].tolist() == ["Rachel", "happy", 2]
    assert row["text"] == "Oh my God, he's lost it."
    assert row[["start", "end"]].tolist() == [20 * 60 + 57.256, 21 * 60 + 0.049]
    assert row[["session", "gender", "audio_path"]].isna().all()
    assert corpus.table["part"].tolist() == ["train", "dev", "test"]


def test_clean_puts_letters_right_that_were_read_in_a_wrong_encoding() -> None:
    assert clean("company\x92s  \x93plan\x94 \x85") == 'company\'s "plan" …'
    assert clean("caf\u00e9 \u00a0 – “no”") == 'café – "no"'


def test_read_meld_reads_tables_in_windows_letters(tmp_path: Path) -> None:
    root = write(tmp_path, train=(HEADER + ROW).encode("cp1252"))
    assert read_meld(root).table["text"].nunique() == 1


@pytest.mark.parametrize("end", ["00:20:50,000", "later", ""])
def test_read_meld_lists_times_that_cannot_be(tmp_path: Path, end: str) -> None:
    corpus = read_meld(write(tmp_path, train=HEADER + ROW.replace("0:21:00,049", end)))
    assert corpus.table[["start", "end"]].isna().all(axis=1).tolist() == [True, False, False]
    timed = corpus.dropped[corpus.dropped["reason"].str.startswith("its times only")]
    assert timed["utterance_id"].tolist() == ["train-dia4-utt2"]


def test_read_meld_says_how_many_rows_were_published(tmp_path: Path) -> None:
    corpus = read_meld(write(tmp_path))
    assert dict(corpus.dropped.itertuples(index=False)) == {
        "train": "1 of 9,989 utterances: its table was cut",
        "dev": "1 of 1,109 utterances: its table was cut",
        "test": "1 of 2,610 utterances: its table was cut",
    }
    with pytest.raises(ValueError, match=r"(?s)3 problems in .*train: 1 of 9,989 utterances: .*fetch these anew"):
        load_corpus("meld", root=tmp_path, strict=True)


def test_read_meld_takes_out_clips_that_are_broken_or_missing(tmp_path: Path) -> None:
    rows = [ROW.replace(",4,2,", numbers) for numbers in (",125,3,", ",125,4,", ",125,5,")]
    root = write(tmp_path, train=HEADER + "".join(rows))
    (root / "train_splits").mkdir()
    for name in ("dia125_utt3", "dia125_utt4"):
        (root / f"train_splits/{name}.mp4").touch()
    corpus = read_meld(root)
    table = corpus.table.set_index("utterance_id")
    assert table.loc["train-dia125-utt4", "audio_path"] == "train_splits/dia125_utt4.mp4"
    assert table.loc[["train-dia125-utt3", "train-dia125-utt5"], ["audio_path", "video_path"]].isna().all(axis=None)
    assert table["text"].notna().all()
    dropped = dict(corpus.dropped.itertuples(index=False))
    assert dropped["train-dia125-utt3"] == "its clip is broken in the release: its words only"
    assert dropped["train-dia125-utt5"] == "no clip: its words only"
    (root / "train_splits/dia125_utt3.wav").touch()  # a sound of its own is taken
    assert read_meld(root).table["audio_path"].notna().sum() == 2
    with pytest.raises(ValueError, match=r"(?s)train-dia125-utt5: no clip: its words only.*fetch these anew"):
        read_meld(root, strict=True)


def test_read_meld_finds_clips_in_the_folders_of_the_release(tmp_path: Path) -> None:
    root = write(tmp_path)
    for path in ("train/train_splits/dia4_utt2.mp4", "output_repeated_splits_test/dia4_utt2.mp4", "test/dia4_utt2.wav"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    table = read_meld(root).table.set_index("part")
    assert table.loc["train", ["audio_path", "video_path"]].tolist() == ["train/train_splits/dia4_utt2.mp4"] * 2
    assert table.loc["dev", ["audio_path", "video_path"]].isna().all()
    assert table.loc["test", "audio_path"] == "test/dia4_utt2.wav"
    assert table.loc["test", "video_path"] == "output_repeated_splits_test/dia4_utt2.mp4"


@pytest.mark.parametrize("step", ["..", ".", "train_splits"])
def test_read_meld_finds_the_tables_one_level_off(tmp_path: Path, step: str) -> None:
    root = write(tmp_path / "meld")
    (root / "train_splits").mkdir()
    assert read_meld(root / step).root == root.resolve()


def test_read_meld_wants_all_three_tables(tmp_path: Path) -> None:
    (write(tmp_path) / "dev_sent_emo.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"found there: \['test_sent.*Expected train_sent.*README"):
        read_meld(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (ROW.replace(",joy,", ",bliss,"), "train row 2: unknown emotion 'bliss'; known: neutral, joy"),
        (ROW.replace("Rachel", " "), "train row 2: no speaker"),
        (ROW.replace(",4,2,", ",4,x,"), "train row 2: Utterance_ID is 'x', not a whole number"),
        (ROW + ROW, "train row 3: train-dia4-utt2 occurs a second time"),
        (ROW.replace(",Rachel", ""), "train row 2 has 10 cells, the header 11"),
    ],
)
def test_read_meld_names_table_and_row_of_a_problem(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)1 problem in .*{message}.*Expected the tables.*fetch"):
        read_meld(write(tmp_path, train=HEADER + row))


def test_read_meld_names_missing_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train no column Speaker; found: Sr No\., Utterance, Emotion"):
        read_meld(write(tmp_path, train=(HEADER + ROW).replace("Speaker,", "").replace("Rachel,", "")))


@examples(60)
@given(table=mangled(HEADER + ROW + ROW.replace(",2,3,", ",3,3,")))
def test_read_meld_reads_or_explains_mangled_tables(table: bytes) -> None:
    message = ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            corpus = read_meld(write(Path(folder), train=table))
        except ValueError as error:
            message = str(error)
    assert re.search(r"(?s)(problem|cannot read).*Expected.*(fetch|Save)", message) if message else len(corpus) >= 2


def test_real_meld_is_complete(meld_root: Path) -> None:
    corpus = read_meld(meld_root, strict=True).view()
    table = corpus.table
    assert not corpus.dropped["utterance_id"].isin(["train", "dev", "test"]).any()
    assert table["part"].value_counts().to_dict() == {"train": 9989, "test": 2610, "dev": 1109}
    assert table.groupby("part")["dialogue_id"].nunique().to_dict() == {"train": 1038, "test": 280, "dev": 114}
    assert table["text"].notna().all()
    assert not table["text"].str.contains("[\x80-\x9f’“]").any()
    assert (table["end"] >= table["start"]).all()
