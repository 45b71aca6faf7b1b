from __future__ import annotations

import errno
import multiprocessing
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emolab.corpora import Corpus
from emolab.features import base
from emolab.features.audio import audio_features, log_mel
from emolab.features.base import cached_features, usable
from emolab.media import InMemoryMedia, Segment
from emolab.storage import cache_root


class Counted:
    """Turns a file into its bytes and remembers which files it was asked for."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __call__(self, path: Path) -> np.ndarray:
        self.files.append(path.name)
        if path.name.startswith("bad"):
            raise ValueError(f"{path} is not what it seems. Expected good. Mend it.")
        return np.frombuffer(path.read_bytes(), np.uint8).astype(np.float32).reshape(2, -1)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.bin" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number, number + 1] * (number + 1)))
    return paths


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_warned", threading.Event())


def entries() -> list[Path]:
    return sorted((cache_root() / "features" / "bytes").iterdir())


def assert_right(arrays: list[np.ndarray], paths: list[Path]) -> None:
    for array, path in zip(arrays, paths, strict=True):
        np.testing.assert_array_equal(array, Counted()(path))
        assert array.dtype == np.float32


def test_cached_features_computes_each_file_once(files: list[Path]) -> None:
    compute = Counted()
    asked = [files[3], files[0], files[3]]
    assert_right(cached_features("bytes", asked, compute), asked)
    assert_right(cached_features("bytes", files, compute), files)
    assert sorted(compute.files) == sorted(path.name for path in files)
    assert len(entries()) == len(files)


def test_cached_features_come_back_from_disk_and_nobody_can_change_them(files: list[Path]) -> None:
    for array in cached_features("bytes", files, Counted()):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 99
    compute = Counted()
    assert_right(cached_features("bytes", files, compute), files)
    base._VECTORS.clear()  # now from disk
    assert_right(cached_features("bytes", files, compute), files)
    assert compute.files == []


def test_cached_features_computes_again_for_a_new_version_kind_or_file(files: list[Path]) -> None:
    compute = Counted()
    cached_features("bytes", files[:1], compute)
    cached_features("bytes", files[:1], compute, version="2")
    cached_features("others", files[:1], compute)
    files[0].write_bytes(b"other")
    os.utime(files[0], ns=(1, 1))
    files[0].write_bytes(b"longer")
    assert_right(cached_features("bytes", files[:1], compute), files[:1])
    assert len(compute.files) == 4


@pytest.mark.parametrize("damage", ["half", "empty", "header", "flipped", "foreign"])
def test_cached_features_replaces_broken_entries(files: list[Path], damage: str) -> None:
    cached_features("bytes", files[:1], Counted())
    (entry,) = entries()
    whole = entry.read_bytes()
    broken = {
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "header": whole[:20],
        "flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
        "foreign": b"\x93NUMPY" + whole,
    }[damage]
    entry.write_bytes(broken)
    base._VECTORS.clear()
    compute = Counted()
    assert_right(cached_features("bytes", files[:1], compute), files[:1])
    assert compute.files == ["0.bin"]
    assert entry.read_bytes() == whole


def test_cached_features_goes_on_with_one_warning_when_the_disk_is_full(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(base.joblib, "dump", full)
    with pytest.warns(
        RuntimeWarning, match="not cached: .*no space left.*Free some disk space.*results are right"
    ) as seen:
        assert_right(cached_features("bytes", files, Counted()), files)
    assert len(seen) == 1
    assert entries() == []  # nothing half-written stays behind
    monkeypatch.undo()


def test_cached_features_works_without_a_cache_folder(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EMOLAB_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="computed but not cached"):
        assert_right(cached_features("bytes", files, Counted()), files)


def test_cached_features_names_the_files_that_fail_and_keeps_the_others(files: list[Path], tmp_path: Path) -> None:
    bad = [tmp_path / f"bad{number}.bin" for number in range(7)]
    for path in bad:
        path.write_bytes(b"ab")
    with pytest.raises(ValueError, match=r"bytes failed for 7 of 12 files: .*bad0.*and 2 more.*others are cached"):
        cached_features("bytes", [*bad, *files], Counted())
    compute = Counted()
    cached_features("bytes", files, compute)
    assert compute.files == []


def test_cached_features_names_missing_files(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"1 of 6 files are missing: .*gone\.bin.*Check its root folder"):
        cached_features("bytes", [*files, tmp_path / "gone.bin"], Counted())


def _in_another_process(paths: list[Path], root: str) -> None:
    os.environ["EMOLAB_CACHE"] = root
    for version in map(str, range(20)):
        assert_right(cached_features("bytes", paths, Counted(), version=version), paths)


def test_two_processes_may_cache_the_same(files: list[Path]) -> None:
    context = multiprocessing.get_context("fork")
    arguments = (files, str(cache_root()))
    processes = [context.Process(target=_in_another_process, args=arguments) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of fork beside threads
        for process in processes:
            process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(entries()) == 20 * len(files)
    compute = Counted()
    assert_right(cached_features("bytes", files, compute, version="7"), files)
    assert compute.files == []


def test_cached_features_keeps_the_parts_of_a_file_apart(files: list[Path]) -> None:
    asked: list[Segment] = []

    def compute(part: Segment) -> np.ndarray:
        asked.append(part)
        return np.array([part.start or 0, part.end or 0, part.side == "left"])

    parts = [
        Segment(files[0]),
        Segment(files[0], 1.0, 2.0),
        Segment(files[0], 1.0, 2.0, "left"),
        Segment(files[1], 1.0, 2.0),
    ]
    for _ in range(2):
        arrays = cached_features("bytes", [*parts, parts[1]], compute)
        assert [array.tolist() for array in arrays] == [[0, 0, 0], [1, 2, 0], [1, 2, 1], [1, 2, 0], [1, 2, 0]]
    assert sorted(map(str, asked)) == sorted(map(str, parts))
    with pytest.raises(FileNotFoundError, match=r"1 of 1 files are missing: .*gone\.avi\. Expected"):
        cached_features("bytes", [Segment(Path("gone.avi"), 0.0, 1.0), Segment(Path("gone.avi"), 1.0, 2.0)], compute)


@pytest.mark.parametrize("parted", [True, False])
def test_what_is_held_in_memory_is_computed_each_time_and_never_kept(files: list[Path], parted: bool) -> None:
    in_memory = [InMemoryMedia(np.arange(number, dtype=np.float32)) for number in range(1, 4)]
    asked: list[int] = []

    def compute(source: InMemoryMedia | Segment) -> np.ndarray:
        content = (source.path if isinstance(source, Segment) else source).content
        asked.append(len(content))
        return content * 2

    sources = [Segment(each) for each in in_memory] if parted else in_memory
    for _ in range(2):
        arrays = cached_features("bytes", sources, compute)  # type: ignore[type-var]
        assert [array.tolist() for array in arrays] == [[0], [0, 2], [0, 2, 4]]
    assert sorted(asked) == [1, 1, 2, 2, 3, 3]
    assert not (cache_root() / "features" / "bytes").exists()


def test_files_beside_media_in_memory_are_computed_once(files: list[Path]) -> None:
    in_memory, asked = InMemoryMedia(np.zeros(3, np.float32)), []

    def compute(source: Path | InMemoryMedia) -> np.ndarray:
        asked.append(source)
        return np.ones(2) if source is in_memory else np.zeros(1)

    for _ in range(2):
        found = cached_features("bytes", [files[0], in_memory], compute)
        assert [array.tolist() for array in found] == [[0], [1, 1]]
    assert sorted(map(str, asked)) == sorted(map(str, [files[0], in_memory, in_memory]))


def test_an_error_names_a_broken_file_once(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"not sound")
    with pytest.raises(
        ValueError, match=r"log_mel failed for 1 of 1 files: .*broken.wav cannot be read: Inva"
    ) as caught:
        audio_features(log_mel, [tmp_path / "broken.wav"])
    assert str(caught.value).count("broken.wav") == 1
    assert len(str(caught.value).replace(str(tmp_path), "")) < 250


def mixed(root: Path) -> Corpus:
    """Eight utterances: right, silent, broken, missing, without sound, too short for its segment, held, right."""
    sounds, rows = {0: 0.1, 1: 0.0, 5: 0.1, 7: 0.1}, []
    for number in range(8):
        path = None if number == 4 else f"{number}.wav"
        about = {"utterance_id": f"u{number}", "speaker": "a", "emotion": ("angry", "sad")[number % 2]}
        rows.append({**about, "audio_path": path, "text": None if number == 7 else "Well."})
        if number in sounds:
            soundfile.write(
                root / f"{number}.wav", np.random.default_rng(number).normal(0, sounds[number], 8_000), 16_000
            )
    (root / "2.wav").write_bytes(b"not sound")
    rows[5] |= {"audio_start": 0.2, "audio_end": 1.0}
    corpus = Corpus.from_rows("own", rows, emotions=("angry", "sad"), root=root)
    return corpus.with_media(audio={"u6": np.ones(8_000, np.float32)})


def test_usable_leaves_out_what_cannot_be_heard_and_says_why(tmp_path: Path) -> None:
    corpus = mixed(tmp_path)
    lost = r"5 of 8 utterances of corpus 'own' have no usable audio: u1 \(digital silence\), u2 \(Invalid data .*\), "
    with pytest.warns(UserWarning, match=lost + r"u3 \(no such file\), .* 5 are left out"):
        kept = usable(corpus, "audio")
    assert kept.table["utterance_id"].tolist() == ["u0", "u6", "u7"]
    assert kept.dropped["utterance_id"].tolist() == ["u1", "u2", "u3", "u4", "u5"]
    assert kept.dropped["reason"].tolist()[3:] == [
        "nothing there",
        "it lasts 0.50 s, and its segment from 0.2 s on goes beyond that",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert usable(kept, "audio").table.equals(kept.table)
        assert usable(corpus.select(corpus.has("text")), "text").table.equals(corpus.table[:7])
    assert usable(corpus).table["utterance_id"].tolist() == ["u0", "u6"]  # both modalities


def test_usable_keeps_what_has_enough_left(tmp_path: Path) -> None:
    corpus = mixed(tmp_path)
    with pytest.warns(UserWarning, match=r"4 of 8 utterances .* have no usable audio or text: u1 .*; 0 are left out"):
        kept = usable(corpus, "audio", "text", covers=lambda part: part.has("audio") | part.has("text"))
    assert len(kept) == 8
    assert kept.has("audio").tolist() == [number in (0, 6, 7) for number in range(8)]


def test_usable_may_be_strict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = mixed(tmp_path)
    monkeypatch.setenv("EMOLAB_STRICT", "1")
    with pytest.raises(
        ValueError, match=r"5 of 8 utterances .* no usable audio: u1 .*Expected all.*or leave these out"
    ):
        usable(corpus, "audio")
    monkeypatch.delenv("EMOLAB_STRICT")
    nothing = corpus.select(corpus.table["utterance_id"] == "u1")
    assert usable(nothing, "audio") is nothing  # whoever needs the sound says what is missing
    with pytest.raises(ValueError, match=r"1 of 1 utterances .* no usable audio: u1 \(digital silence\)"):
        usable(nothing, "audio", strict=True)


def test_usable_sees_a_file_that_was_mended(tmp_path: Path) -> None:
    corpus = mixed(tmp_path).select([True, True, True, False, False, False, False, True])
    assert len(usable(corpus, "audio")) == 2
    soundfile.write(tmp_path / "2.wav", np.full(800, 0.1), 16_000)
    assert usable(corpus, "audio").table["utterance_id"].tolist() == ["u0", "u2", "u7"]


def test_usable_asks_no_files_of_a_corpus_whose_features_come_from_elsewhere(tmp_path: Path) -> None:
    corpus = mixed(tmp_path)
    elsewhere = Corpus.from_rows(
        "own", corpus.table.drop(index=4).to_dict("records"), emotions=("angry", "sad"), root=tmp_path / "gone"
    )
    assert len(usable(elsewhere, "audio")) == 7
