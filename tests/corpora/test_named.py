"""Made-up files by the names of the corpora whose names say everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from emolab.corpora import READERS, load_corpus
from emolab.corpora.corpus import LABELS
from emolab.corpora.named import NAMED, read_named
from emolab.splits import folds_of

FILES = {
    "crema-d": ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_IEO_HAP_HI.wav", "AudioWAV/1040_ITH_SAD_X.wav"],
    "emodb": ["wav/03a01Fa.wav", "wav/08b10Wb.wav", "wav/16a02Lc.wav"],
    "tess": [
        "OAF_angry/OAF_back_angry.wav",
        "OAF_neutral/OA_bite_neutral.wav",
        "YAF_pleasant_surprised/YAF_bar_ps.wav",
    ],
    "savee": ["AudioData/DC/a01.wav", "AudioData/JE/sa12.wav", "AudioData/KL/su03.wav"],
}
ROWS = {  # speaker, gender, emotion of each
    "crema-d": [("1001", None, "angry"), ("1002", None, "happy"), ("1040", None, "sad")],
    "emodb": [("03", "male", "happy"), ("08", "female", "angry"), ("16", "female", "bored")],
    "tess": [("OAF", "female", "angry"), ("OAF", "female", "neutral"), ("YAF", "female", "surprised")],
    "savee": [("DC", "male", "angry"), ("JE", "male", "sad"), ("KL", "male", "surprised")],
}
IDS = {
    "crema-d": ["1001_DFA_ANG_XX", "1002_IEO_HAP_HI", "1040_ITH_SAD_X"],
    "emodb": ["03a01Fa", "08b10Wb", "16a02Lc"],
    "tess": ["OAF_back_angry", "OA_bite_neutral", "YAF_bar_ps"],
    "savee": ["DC_a01", "JE_sa12", "KL_su03"],
}


def write(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.mark.parametrize("name", FILES)
def test_read_named_takes_speaker_gender_and_emotion_from_the_names(tmp_path: Path, name: str) -> None:
    corpus = load_corpus(name.upper(), root=write(tmp_path, *FILES[name], "readme.txt", "noise.wav"))
    assert (corpus.name, corpus.protocol, corpus.modalities) == (name, "speakers", ("audio",))
    said = corpus.table[["speaker", "gender", "emotion"]].astype(object).where(lambda cells: cells.notna(), None)
    assert list(said.itertuples(index=False, name=None)) == ROWS[name]
    assert corpus.table["utterance_id"].tolist() == IDS[name]
    assert corpus.table["audio_path"].tolist() == FILES[name]
    assert corpus.emotions == tuple(LABELS[name].values())
    assert corpus.table["scripted"].all()
    assert dict(corpus.dropped.itertuples(index=False)) == {"noise.wav": f"not a name of {NAMED[name]['title']}"}


@pytest.mark.parametrize("name", NAMED)
def test_each_named_corpus_reads_its_example_and_says_where_there_is_none(tmp_path: Path, name: str) -> None:
    assert name in READERS
    with pytest.raises(FileNotFoundError, match=r"nothing to read in .*Expected recordings such as .*README"):
        read_named(tmp_path, name)
    assert len(read_named(write(tmp_path, NAMED[name]["example"]), name)) == 1


def test_crema_d_has_levels_films_and_a_table_of_its_actors(tmp_path: Path) -> None:
    root = write(tmp_path, *FILES["crema-d"], "AudioMP3/1001_DFA_ANG_XX.mp3", "VideoFlash/1001_DFA_ANG_XX.flv")
    (root / "VideoDemographics.csv").write_text("ActorID,Age,Sex\n1001,51,Male\n1002,21,Female\n")
    corpus = read_named(root, "crema-d")
    first = corpus.table.iloc[0]
    assert first[["audio_path", "video_path"]].tolist() == [
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "VideoFlash/1001_DFA_ANG_XX.flv",
    ]
    assert corpus.table["gender"].fillna("").tolist() == ["male", "female", ""]
    assert corpus.table["intensity"].fillna("").tolist() == ["", "high", ""]
    assert corpus.dropped["reason"].tolist() == ["second copy of AudioWAV/1001_DFA_ANG_XX.wav"]


def test_a_common_copy_of_savee_reads_as_the_release(tmp_path: Path) -> None:
    corpus = read_named(write(tmp_path, "ALL/DC_a01.wav", "ALL/KL_n15.wav"), "savee")
    assert corpus.table["utterance_id"].tolist() == ["DC_a01", "KL_n15"]


def test_read_named_names_codes_that_the_corpus_does_not_have(tmp_path: Path) -> None:
    write(tmp_path, "wav/07a01Fa.wav", "wav/03a01Qa.wav")
    with pytest.raises(
        ValueError, match=r"(?s)no emotion Q in EmoDB \(wav/03a01Qa\.wav\).*no actor 07 in EmoDB.*original names"
    ):
        read_named(tmp_path, "emodb")


def test_two_speakers_are_too_few_to_measure_honestly(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'tess' has 2 groups of speakers; expected at least 3.*with fewer, no figure is honest"
    ):
        folds_of(read_named(write(tmp_path, *FILES["tess"]), "tess"))
