from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given

from emolab.corpora import load_corpus
from emolab.corpora.iemocap import read_iemocap
from emolab.splits import folds_of
from tests.corpora.mangled import examples, mangled

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tAnger; Frustration;\t(annoyed, a bit)
C-F1:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\tSes01F_impro01_M000\tfru\t[2.0000, 3.5000, 0.0000]
C-E2:\tFrustration;\t()
C-E3:\tNeutral state; Frustration;\t()
C-M1:\tAnger;\t()

[7.5712 - 10.4750]\tSes01F_impro01_MX00\txxx\t[nan, 2.0000, 3.0000]
C-E2:\tSurprise;\t()
"""
TRANSCRIPT = """Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
Ses01F_impro01_M000: Do you have your forms?
M: [BREATHING]
Ses01F_impro01_MXX1 [012.0000-013.0000]: Yeah.
Ses01F_impro01_MX00
"""


def write_release(root: Path, *, evaluation: str = EVALUATION, transcript: str = TRANSCRIPT) -> Path:
    """Write five sessions: the first holds the dialogue above, the others a scripted utterance each."""
    write_dialogue(root / "Session1", "Ses01F_impro01", evaluation, transcript)
    for number in range(2, 6):
        dialogue = f"Ses0{number}M_script01_1"
        line = f"[1.0 - 2.5]\t{dialogue}_F000\texc\t[4.0, 4.0, 3.0]\nC-E2:\tExcited;\t()\n"
        write_dialogue(root / f"Session{number}", dialogue, line, f"{dialogue}_F000 [001.0000-002.5000]: Hooray.\n")
    return root


def write_dialogue(session: Path, dialogue: str, evaluation: str, transcript: str) -> None:
    for kind, text in {"EmoEvaluation": evaluation, "transcriptions": transcript}.items():
        folder = session / "dialog" / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dialogue}.txt").write_text(text, encoding="utf-8")
    sounds = session / "sentences" / "wav" / dialogue
    sounds.mkdir(parents=True, exist_ok=True)
    for name in re.findall(rf"{dialogue}_[FM][0-9X]+", evaluation):
        (sounds / f"{name}.wav").write_text(name)  # no two alike


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "IEMOCAP_full_release")


def rows_of(root: Path) -> pd.DataFrame:
    return read_iemocap(root).table.set_index("utterance_id")


def test_read_iemocap_reads_labels_speakers_and_ratings(release: Path) -> None:
    corpus = read_iemocap(release)
    table = corpus.table.set_index("utterance_id")
    first = table.loc["Ses01F_impro01_F000"]
    assert (first["emotion"], first["valence"], first["start"], first["end"]) == ("neutral", 2.5, 6.2901, 8.2357)
    assert (first["speaker"], first["gender"], first["session"]) == ("Ses01F", "female", "Session1")
    assert table["speaker"].nunique() == 6
    assert table.loc["Ses01F_impro01_M000", ["speaker", "gender"]].tolist() == ["Ses01M", "male"]
    assert table.loc["Ses03M_script01_1_F000", ["speaker", "scripted"]].tolist() == ["Ses03F", True]
    assert not first["scripted"]
    assert corpus.view().table["emotion"].tolist() == ["neutral", "frustrated", *["excited"] * 4]


def test_read_iemocap_counts_each_annotators_labels_but_not_the_actors(release: Path) -> None:
    votes = rows_of(release)["votes"]
    assert votes["Ses01F_impro01_F000"] == {"neutral": 2, "angry": 1, "frustrated": 1}
    assert votes["Ses01F_impro01_M000"] == {"frustrated": 2, "neutral": 1}


def test_read_iemocap_takes_votes_that_nobody_gave_as_na(tmp_path: Path) -> None:
    root = write_release(tmp_path, evaluation=EVALUATION.replace("C-E2:\tSurprise;\t()\n", ""))
    votes = rows_of(root)["votes"]
    assert votes.index[votes.isna()].tolist() == ["Ses01F_impro01_MX00"]


def test_read_iemocap_takes_ratings_that_nobody_gave_as_na(release: Path) -> None:
    table = rows_of(release)
    assert pd.isna(table.loc["Ses01F_impro01_M000", "dominance"])
    assert pd.isna(table.loc["Ses01F_impro01_MX00", "valence"])
    assert table.loc["Ses01F_impro01_MX00", "arousal"] == 2


def test_read_iemocap_numbers_turns_by_their_time(release: Path) -> None:
    turns = rows_of(release)["turn"]
    assert turns[["Ses01F_impro01_F000", "Ses01F_impro01_MX00", "Ses01F_impro01_M000"]].tolist() == [0, 1, 2]


def test_read_iemocap_lists_what_has_no_label_or_no_name(release: Path) -> None:
    corpus = read_iemocap(release)
    dropped = dict(corpus.dropped.itertuples(index=False))
    assert dropped["Ses01F_impro01_MXX1"] == "transcribed, but not evaluated"
    assert "BREATHING" in dropped["Ses01F_impro01 line 3"]
    assert len(dropped) == 2


def test_read_iemocap_keeps_an_utterance_without_words(release: Path) -> None:
    texts = rows_of(release)["text"]
    assert texts["Ses01F_impro01_M000"] == "Do you have your forms?"  # its line has no times
    assert pd.isna(texts["Ses01F_impro01_MX00"])  # its line has no turn


def test_read_iemocap_finds_the_film_and_the_half_that_shows_the_speaker(release: Path) -> None:
    film = release / "Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    film.parent.mkdir(parents=True)
    film.touch()
    table = rows_of(release)
    woman = table.loc["Ses01F_impro01_F000"]  # the F of the dialogue says that she wears the markers
    assert woman[["video_path", "video_side"]].tolist() == ["Session1/dialog/avi/DivX/Ses01F_impro01.avi", "left"]
    assert woman[["video_start", "video_end"]].tolist() == [6.2901, 8.2357]
    assert table.loc["Ses01F_impro01_M000", "video_side"] == "right"
    assert table.loc["Ses02M_script01_1_F000", ["video_path", "video_start", "video_side"]].isna().all()


def test_read_iemocap_passes_over_what_macos_leaves_behind(release: Path) -> None:
    for kind in ("EmoEvaluation", "transcriptions"):
        (release / "Session1/dialog" / kind / "._Ses01F_impro01.txt").write_bytes(b"\x00\x05\x16\x07")
    (release / "Session1/dialog/EmoEvaluation/Categorical").mkdir()
    assert len(read_iemocap(release)) == 7


def test_read_iemocap_reads_windows_lines_and_letters(tmp_path: Path) -> None:
    root = write_release(tmp_path, evaluation=EVALUATION.replace("\n", "\r\n"))
    path = root / "Session1/dialog/transcriptions/Ses01F_impro01.txt"
    path.write_bytes("Ses01F_impro01_F000 [006.2901-008.2357]: It’s a café.\r\n".encode("cp1252"))
    assert rows_of(root).loc["Ses01F_impro01_F000", "text"] == "It’s a café."


@pytest.mark.parametrize("step", ["..", ".", "Session1"])
def test_read_iemocap_finds_the_release_one_level_off(release: Path, step: str) -> None:
    corpus = read_iemocap(release / step)
    assert corpus.root == release.resolve()
    assert corpus.audio_paths()[0].is_file()


def test_read_iemocap_says_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "IEMOCAP_full").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"found there: \['IEMOCAP_full'\]. Expected .*licensed.* Session1 to Session5"
    ):
        read_iemocap(tmp_path)


@pytest.mark.parametrize(("kept", "protocol"), [("1235", "sessions-4-folds"), ("135", "sessions-3-folds")])
def test_read_iemocap_reads_the_sessions_that_are_there(release: Path, kept: str, protocol: str) -> None:
    for number in {*"12345"} - {*kept}:
        shutil.rmtree(release / f"Session{number}")
    corpus = read_iemocap(release)
    assert sorted(corpus.table["session"].unique()) == [f"Session{number}" for number in kept]
    absent = corpus.dropped[corpus.dropped["utterance_id"].str.startswith("Session")]
    assert absent["utterance_id"].tolist() == [f"Session{number}" for number in "12345" if number not in kept]
    assert (absent["reason"] == "no dialog/EmoEvaluation: not read").all()
    assert {fold.protocol for fold in folds_of(corpus)} == {protocol}


def test_one_session_of_iemocap_is_split_by_dialogue(tmp_path: Path) -> None:
    for number in range(1, 5):
        dialogue = f"Ses01F_impro0{number}"
        said = {"F": "neu", "M": "sad"}.items()
        lines = [f"[1.0 - 2.5]\t{dialogue}_{who}000\t{label}\t[4.0, 4.0, 3.0]\n" for who, label in said]
        write_dialogue(tmp_path / "Session1", dialogue, "".join(lines), "")
    folds = folds_of(read_iemocap(tmp_path / "Session1"))
    assert {fold.protocol for fold in folds} == {"dialogues-4-folds"}
    assert set(folds[0].leaks["kind"]) == {"speaker"}


def test_read_iemocap_reads_sound_without_transcripts(release: Path) -> None:
    for number in range(1, 6):
        shutil.rmtree(release / f"Session{number}/dialog/transcriptions")
    corpus = load_corpus("IEMOCAP", root=release)
    assert (len(corpus), corpus.modalities) == (7, ("audio",))
    dropped = dict(corpus.dropped.itertuples(index=False))
    assert len(dropped) == 5
    assert dropped["Ses01F_impro01"] == "no transcript Session1/dialog/transcriptions/Ses01F_impro01.txt: no words"


def test_read_iemocap_counts_missing_sound_files(release: Path) -> None:
    sound = release / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    sound.unlink()
    with pytest.raises(FileNotFoundError, match=r"1 files .* missing in .*_M000\.wav\. Expected .* skip_missing=True"):
        read_iemocap(release)
    corpus = load_corpus("iemocap", root=release, skip_missing=True)
    assert len(corpus) == 6
    assert dict(corpus.dropped.itertuples(index=False))["Ses01F_impro01_M000"] == "no sound file"


def test_read_iemocap_says_when_there_is_no_sound_at_all(release: Path) -> None:
    for number in range(1, 6):
        shutil.rmtree(release / f"Session{number}/sentences")
    with pytest.raises(
        FileNotFoundError,
        match=r"7 files .* missing in .* Expected sound.* Unpack .* if there are some with sound",
    ):
        read_iemocap(release, skip_missing=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tneu\t", "\tbored\t", r"Ses01F_impro01\.txt line 3: .*_F000 has the unknown label 'bored'; known: neu, hap"),
        ("[2.5000, 2.5000, 2.5000]", "[2.5, x, 2.5]", "line 3: not .start - end. name label"),
        ("[2.5000, 2.5000, 2.5000]", "[2.5, 2.5]", "line 3: not .start - end. name label"),
        ("8.2357]", "5.2357]", "line 3: .*_F000 ends before it starts"),
        ("8.2357]", "8.2357", "line 3: not .start - end. name label"),
        ("Ses01F_impro01_M000", "Ses02F_impro01_M000", "'Ses02F_impro01_M000' is not an utterance of Ses01F_impro01"),
        ("Ses01F_impro01_M000", "Ses01F_impro01_F000", "line 11: Ses01F_impro01_F000 is evaluated a second time"),
        ("[7.5712", "7.5712", "line 16: the beginning of an utterance cannot be read"),
        ("Surprise;", "Joyful;", "line 17: no vote for a known emotion .*Joyful"),
    ],
)
def test_read_iemocap_names_file_and_line_of_a_problem(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = write_release(tmp_path, evaluation=EVALUATION.replace(old, new))
    with pytest.raises(ValueError, match=f"(?s)1 problem in .*{message}.*unpack them again"):
        read_iemocap(root, skip_missing=True)


def test_read_iemocap_reports_all_problems_at_once(tmp_path: Path) -> None:
    evaluation = EVALUATION.replace("\tneu\t", "\tbored\t").replace("Surprise;", "Joyful;")
    with pytest.raises(ValueError, match=r"2 problems in .*:\n  .* line 3: .*\n  .* line 17: .*\nExpected "):
        read_iemocap(write_release(tmp_path, evaluation=evaluation), skip_missing=True)


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release"))


@examples(60)
@given(evaluation=mangled(EVALUATION), transcript=mangled(TRANSCRIPT))
def test_read_iemocap_reads_or_explains_mangled_files(breakable: Path, evaluation: bytes, transcript: bytes) -> None:
    message = ""
    (breakable / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt").write_bytes(evaluation)
    (breakable / "Session1/dialog/transcriptions/Ses01F_impro01.txt").write_bytes(transcript)
    try:
        names = read_iemocap(breakable, skip_missing=True).table["utterance_id"]
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    assert re.search(r"problems? in .* line \d+: .*Expected .*unpack", message, re.S) if message else len(names) >= 4
