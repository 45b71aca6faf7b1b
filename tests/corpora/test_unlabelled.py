from __future__ import annotations

from pathlib import Path

import pytest

from emolab.corpora import Corpus


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_unlabelled_files_go_by_their_names(tmp_path: Path) -> None:
    paths = files(tmp_path, "b.wav", "a.mp4")
    corpus = Corpus.of_files(paths, "audio")
    assert corpus.table["utterance_id"].tolist() == ["b", "a"]
    assert corpus.audio_paths() == paths
    assert (corpus.modalities, corpus.emotions) == (("audio",), ())
    assert corpus.table["emotion"].isna().all()
    assert Corpus.of_files([str(path) for path in paths], "video").video_paths() == paths


def test_unlabelled_names_are_made_unique(tmp_path: Path) -> None:
    paths = files(tmp_path, "s1/a.wav", "s2/a.wav", "a-2.wav", "s3/a.wav")
    corpus = Corpus.of_files([*paths, paths[0]], "audio")
    assert corpus.table["utterance_id"].tolist() == ["a", "a-2", "a-2-2", "a-3", "a-4"]
    assert corpus.audio_paths() == [*paths, paths[0]]


def test_unlabelled_finds_files_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = files(tmp_path, "a.wav")
    monkeypatch.chdir(tmp_path)
    corpus = Corpus.of_files(["a.wav"], "audio")
    monkeypatch.chdir("/")
    assert corpus.audio_paths() == [path.resolve()]


def test_unlabelled_texts_are_numbered() -> None:
    corpus = Corpus.of_files(["Oh no.", "Well, well.", " "], "text")
    assert corpus.table["utterance_id"].tolist() == ["text-0", "text-1", "text-2"]
    assert corpus.has("text").tolist() == [True, True, False]
    assert corpus.select(corpus.has("text")).texts() == ["Oh no.", "Well, well."]


def test_unlabelled_has_no_targets() -> None:
    with pytest.raises(ValueError, match=r"corpus 'unlabelled' has no labels; expected an emotion for each.*Predict"):
        Corpus.of_files(["Oh no."], "text").targets()


@pytest.mark.parametrize(
    ("items", "modality"), [(["a"], "smell"), ("a.wav", "audio"), (Path("a.wav"), "audio"), ([], "text")]
)
def test_unlabelled_says_what_it_expects(items: object, modality: str) -> None:
    with pytest.raises(ValueError, match=r"modality '.*; expected one of audio, text, video, and a list.*Put brackets"):
        Corpus.of_files(items, modality)  # type: ignore[arg-type]


def test_unlabelled_lists_missing_files(tmp_path: Path) -> None:
    (here,) = files(tmp_path, "here.wav")
    with pytest.raises(
        FileNotFoundError,
        match=r"1 of 2 files are missing: .*gone\.wav\. Expected.*Check its root folder and the names",
    ):
        Corpus.of_files([here, tmp_path / "gone.wav"], "audio")
