from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

import emolab.corpora
from emolab.corpora import READERS, Corpus, load_corpus
from emolab.corpora.audformats import write_audformat
from emolab.sample.truth import join_truth
from emolab.splits import folds_of

HEADER = (
    "utterance_id,cue_words,word_starts,cue_start,cue_end,cue_modalities,"
    "shown_text,shown_audio,shown_video,face_start,face_end"
)
TRUTH = f"""{HEADER}
01-05-01-01-01-01,1 4,0.000 0.25 0.25 0.5 0.8,0.5,0.9,text audio,angry,angry,sad,0.7,1.2
01-04-01-01-01-02,,,,,,,,,,
"""


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a sample of two performances in the place of the real one."""
    for name in ("03-01-05-01-01-01-01.wav", "03-01-04-01-01-01-02.wav"):
        path = tmp_path / "sample/ravdess" / f"Actor_{name[-6:-4]}" / name
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "sample/ravdess/truth.csv").write_text(TRUTH)
    builder = types.ModuleType("emolab.sample")
    builder.ensure = lambda: tmp_path / "sample"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "emolab.sample", builder)
    monkeypatch.setattr(emolab.corpora, "sample", builder, raising=False)
    return tmp_path / "sample"


def test_load_corpus_builds_the_sample_and_joins_its_truth(sample: Path) -> None:
    corpus = load_corpus("sample-ravdess")
    assert (corpus.name, corpus.synthetic, corpus.view().view_name) == ("sample-ravdess", True, "ravdess8")
    row = corpus.table.set_index("utterance_id").loc["01-05-01-01-01-01"]
    assert row["cue_words"] == (1, 4)
    assert row["word_starts"] == (0.0, 0.25, 0.25, 0.5, 0.8)
    assert row["cue_modalities"] == ("text", "audio")
    assert row[["cue_start", "cue_end", "shown_video", "face_end"]].tolist() == [0.5, 0.9, "sad", 1.2]
    plain = corpus.table.set_index("utterance_id").loc["01-04-01-01-01-02"]
    assert plain["cue_words"] == plain["cue_modalities"] == ()
    assert plain[["word_starts", "cue_start", "shown_text"]].isna().all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("01-04-01-01-01-02", "01-04-01-01-01-03", r"not of both sample and truth: .*02, .*03 \(2 in all\)"),
        ("cue_words", "cues", "no column cue_words"),
        ("word_starts", "words", "no column word_starts"),
        ("0.8,0.5", "0.8;0.5", "row 2 has 10 cells, the header 11"),
    ],
)
def test_join_truth_explains_a_truth_of_another_sample(sample: Path, old: str, new: str, message: str) -> None:
    path = sample / "ravdess/truth.csv"
    path.write_text(TRUTH.replace(old, new))
    with pytest.raises(ValueError, match=f"(?s){message}.*Expected the truth of each utterance. Run: emolab sample"):
        join_truth(READERS["ravdess"](path.parent), path)


def test_join_truth_says_that_there_is_none(sample: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no .*gone\.csv\. Expected it beside the sample.*emolab sample"):
        join_truth(READERS["ravdess"](sample / "ravdess"), sample / "gone.csv")


def test_load_corpus_lists_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_CORPORA", str(tmp_path / "mine"))
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError, match=r"looked in .*mine/iemocap, .*data/iemocap, .*Expected.*README"):
        load_corpus("iemocap")


def test_load_corpus_passes_over_an_empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty/ravdess").mkdir(parents=True)
    recording = tmp_path / "data/ravdess/03-01-05-01-01-01-01.wav"
    recording.parent.mkdir(parents=True)
    recording.touch()
    monkeypatch.setenv("EMOLAB_CORPORA", str(tmp_path / "empty"))
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path / "data"))
    assert load_corpus("ravdess").audio_paths() == [recording]


def test_load_corpus_reads_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,speaker,emotion,text\na,ann,sad,Oh no.\n")
    assert len(load_corpus(tmp_path / "mine.csv")) == 1
    assert load_corpus("mine.csv", root=tmp_path).name.startswith("own-mine-")


def test_load_corpus_lists_the_names_it_knows() -> None:
    expected = r"no corpus 'imocap'\. Expected one of sample, .*meld, .*savee, or the path.*Correct the name: iemocap\."
    with pytest.raises(ValueError, match=expected):
        load_corpus("imocap")
    with pytest.raises(ValueError, match=r"or the path of a CSV file\. Correct the name\.$"):
        load_corpus("qqq")


def test_load_corpus_takes_names_in_capitals(sample: Path) -> None:
    assert load_corpus("RAVDESS", root=sample / "ravdess").name == "ravdess"
    assert load_corpus("Sample-RAVDESS").name == "sample-ravdess"


def test_load_corpus_says_that_a_folder_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clips").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("clips", tmp_path / "clips"):
        with pytest.raises(
            ValueError, match=r'clips is a folder; expected .* CSV file .*root="(.*/)?clips"\) for one of'
        ):
            load_corpus(name)


def test_load_corpus_says_whose_layout_a_folder_has(sample: Path) -> None:
    folder = sample / "ravdess/Actor_01"
    told = rf'Take load_corpus\("ravdess", root="{folder}"\) for one of ravdess\.'
    with pytest.raises(ValueError, match=f"is a folder; expected the name of a corpus or a CSV file.*{told}"):
        load_corpus(folder)
    assert len(load_corpus(f"ravdess?root={folder}&emotions=angry")) == 1  # as a command or chapter can say it


def test_load_corpus_takes_options_of_the_reader_behind_the_name(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes("id,speaker,emotion,text\na,ann,悲伤,你好\nb,ben,高兴,你好\n".encode("gbk"))
    corpus = load_corpus(f"{tmp_path / 'mine.csv'}?encoding=gbk&emotions=悲伤")
    assert (corpus.emotions, corpus.texts()) == (("悲伤",), ["你好"])


def test_load_corpus_reads_the_folder_of_a_database_of_audformat(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.wav").write_text(name)
    rows = [{"utterance_id": n, "speaker": n, "emotion": "sad", "audio_path": f"{n}.wav"} for n in "ab"]
    write_audformat(Corpus.from_rows("mine", rows, emotions=["sad"], root=tmp_path), tmp_path)
    assert load_corpus(tmp_path).table["speaker"].tolist() == ["a", "b"]


def test_load_corpus_hands_options_to_the_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = []

    def read_mine(root: Path, **options: object) -> Corpus:
        given.append(options)
        rows = [{"utterance_id": "a", "speaker": "a", "emotion": "sad", "text": "Oh."}]
        return Corpus.from_rows("mine", rows, emotions=["sad"], root=root)

    monkeypatch.setitem(READERS, "mine", read_mine)
    load_corpus("mine", root=tmp_path, strict=True)
    assert given == [{"strict": True}]


def test_one_line_registers_a_corpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read_mine(root: Path) -> Corpus:
        names = sorted(path.stem for path in root.glob("*.txt"))
        rows = [
            {"utterance_id": n, "speaker": n, "emotion": "sad", "text": (root / f"{n}.txt").read_text()} for n in names
        ]
        return Corpus.from_rows("mine", rows, emotions=["sad"], root=root, protocol="speakers")

    (tmp_path / "mine").mkdir()
    for name in "abc":
        (tmp_path / "mine" / f"{name}.txt").write_text(f"Oh {name}.")
    monkeypatch.setenv("EMOLAB_CORPORA", str(tmp_path))
    monkeypatch.setitem(READERS, "mine", read_mine)
    assert load_corpus("mine").texts() == ["Oh a.", "Oh b.", "Oh c."]
    assert [fold.protocol for fold in folds_of(load_corpus("mine"))] == ["speakers-3-folds"] * 3
    with pytest.raises(ValueError, match=r"Expected one of sample, .*meld, .*savee, mine, or the path.*: mine\."):
        load_corpus("mein")


def test_each_corpus_says_how_its_figures_are_measured(sample: Path) -> None:
    assert load_corpus("sample-ravdess").protocol == "speakers"  # eight actors, not the published 24
    assert READERS["ravdess"](sample / "ravdess").protocol == "actors"
