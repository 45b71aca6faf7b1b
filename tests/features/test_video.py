from __future__ import annotations

import pickle
import shutil
import sys
import types
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emolab.corpora import load_corpus
from emolab.corpora.corpus import Corpus
from emolab.features import video
from emolab.features.video import (
    ActionUnits,
    FaceEdges,
    FaceFrames,
    FaceFunctionals,
    change_from_calm,
    clips_of,
    face_edges,
    faces,
    find_face,
    read_clip,
)
from emolab.media import Segment
from emolab.sample.face import MEN, WOMEN, draw_performance, frame

FPS = 10
UNITS = [f"AU{number:02d}_{kind}" for kind, n in (("r", 17), ("c", 18)) for number in range(n)]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_PROGRESS", "0")


def drawn(person: int = 0, n_frames: int = 20) -> NDArray[np.uint8]:
    """A drawn face that speaks: (n_frames, 96, 96, 3)."""
    seconds = n_frames / FPS
    moves = draw_performance(np.random.default_rng(7), "happy", seconds)
    people = [*WOMEN, *MEN]
    return np.stack([frame(people[person], moves, k / FPS, lips=0.5, phase=0.3) for k in range(n_frames)])


def write(path: Path, frames: NDArray[np.uint8], *, fps: int = FPS, codec: str = "mpeg4") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", 5, 2_000_000
        for number, picture in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            shown.pts, shown.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
    return path


def corpus_of(root: Path, *rows: dict) -> Corpus:
    """A corpus whose utterances are seen in films below `root`."""
    facts = [
        {"utterance_id": f"u{k}", "speaker": str(k % 2), "emotion": "ab"[k % 2], **row} for k, row in enumerate(rows)
    ]
    return Corpus.from_rows("own", facts, emotions="ab", root=root)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")])
@pytest.mark.parametrize("fps", [5, 10, 25])
def test_faces_of_any_container_and_rate_are_small_squares(tmp_path: Path, name: str, codec: str, fps: int) -> None:
    write(tmp_path / name, drawn(n_frames=2 * fps), fps=fps, codec=codec)
    (face,) = faces(corpus_of(tmp_path, {"video_path": name}), size=40, fps=5)
    assert face.pictures.shape == (10, 40, 40, 3)
    assert face.pictures.dtype == np.uint8
    assert face.left + face.width <= 96
    assert face.top + face.width <= 96


def test_faces_are_those_of_the_time_and_the_half_that_the_corpus_names(tmp_path: Path) -> None:
    dark, bright = (np.full((20, 64, 64, 3), level, np.uint8) for level in (40, 200))
    write(
        tmp_path / "a.avi",
        np.concatenate([np.concatenate([dark, bright], axis=2), np.concatenate([bright] * 2, axis=2)]),
    )
    seen = {"video_path": "a.avi", "video_start": 0.0, "video_end": 2.0}
    corpus = corpus_of(
        tmp_path,
        {**seen, "video_side": "left"},
        {**seen, "video_side": "right"},
        {**seen, "video_start": 2.0, "video_end": 2.6, "video_side": "left"},
        {**seen, "video_start": 3.8, "video_end": 9.0},
    )
    left, right, later, last = faces(corpus, size=16, fps=5)
    assert [round(float(face.pictures.mean()), -1) for face in (left, right, later, last)] == [40, 200, 200, 200]
    assert [len(face.pictures) for face in (left, right, later, last)] == [10, 10, 3, 1]
    assert [face.width for face in (left, last)] == [64, 64]
    assert {face.found_by for face in (left, right, later, last)} == {"centre"}
    assert read_clip(clips_of(corpus)[0], fps=None).shape == (20, 64, 64, 3)


def test_faces_are_decoded_once_for_each_size_rate_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.mp4", drawn())
    read: list[Segment] = []
    monkeypatch.setattr(video, "read_clip", lambda clip, **how: read.append(clip) or read_clip(clip, **how))
    corpus = corpus_of(tmp_path, {"video_path": "a.mp4"}, {"video_path": "a.mp4", "video_end": 1.0})
    first, again = faces(corpus, size=16), faces(corpus, size=16)
    assert len(read) == 2
    for one, other, from_disk in zip(first, again, faces(corpus, size=16), strict=True):
        np.testing.assert_array_equal(one.pictures, other.pictures)
        np.testing.assert_array_equal(one.pictures, from_disk.pictures)
        assert (one.left, one.top, one.width, one.found_by) == from_disk[1:]
    assert len(read) == 2
    faces(corpus, size=20)
    faces(corpus, size=16, fps=2)
    assert len(read) == 6


def test_faces_that_are_held_in_memory_are_given_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn())
    pictures = np.random.default_rng(0).integers(0, 256, (7, 24, 24, 3), np.uint8)
    corpus = corpus_of(tmp_path, {"video_path": "a.mp4"}, {}).with_media(video={"u1": pictures})
    filmed, in_memory = faces(corpus, size=24)
    assert filmed.pictures.shape == (10, 24, 24, 3)
    assert filmed.found_by != "given"
    np.testing.assert_array_equal(in_memory.pictures, pictures)
    assert (in_memory.left, in_memory.top, in_memory.width, in_memory.found_by) == (0, 0, 24, "given")
    (smaller,) = faces(corpus.select([False, True]), size=12)
    assert smaller.pictures.shape == (7, 12, 12, 3)
    np.testing.assert_allclose(smaller.pictures.mean(), pictures.mean(), atol=2)
    assert clips_of(corpus)[1].path.content is pictures


def test_numbers_of_held_faces_are_those_of_the_film_they_were_cut_from(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn())
    corpus = corpus_of(tmp_path, {"video_path": "a.mp4"}, {"video_path": "a.mp4"})
    extractor = FaceEdges(size=24)
    extractor.fit(corpus)
    in_memory = corpus.with_media(video={"u0": faces(corpus, size=24)[0].pictures})
    np.testing.assert_allclose(extractor.transform(in_memory)[0], extractor.transform(corpus)[0], atol=1e-5)
    np.testing.assert_allclose(extractor.transform(in_memory)[1], extractor.transform(corpus)[1], atol=1e-5)


def test_faces_say_which_films_fail_and_why(tmp_path: Path) -> None:
    write(tmp_path / "good.mp4", drawn())
    content = write(tmp_path / "short.avi", drawn()).read_bytes()
    (tmp_path / "short.avi").write_bytes(content[: len(content) // 2])
    corpus = corpus_of(tmp_path, {"video_path": "good.mp4"}, {"video_path": "short.avi"})
    with pytest.raises(ValueError, match=r"faces failed for 1 of 2 files: .*short.avi.*cut off.*Expected.*by id"):
        faces(corpus)
    with pytest.raises(FileNotFoundError, match=r"1 of 2 files are missing: .*gone.mp4.*Expected"):
        faces(corpus_of(tmp_path, {"video_path": "good.mp4"}, {"video_path": "gone.mp4"}))
    with pytest.raises(ValueError, match=r"1 of 2 utterances of corpus 'own' have no video_path: u1.*Expected"):
        faces(corpus_of(tmp_path, {"video_path": "good.mp4"}, {}))


def test_faces_say_when_a_film_has_no_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        part = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        part.sample_rate, part.pts, part.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(part))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"sound.m4a cannot be read: it has no picture track.*Expected"):
        faces(corpus_of(tmp_path, {"video_path": "sound.m4a"}))


@pytest.mark.parametrize("n_frames", [1, 20])
def test_find_face_finds_drawn_faces(n_frames: int) -> None:
    found = [find_face(drawn(person, n_frames)) for person in range(10)]
    squares = np.array([place[:3] for place in found if place[3] == "cascade"])
    assert len(squares) >= 5
    centre = squares[:, :2] + squares[:, 2:] / 2
    assert (np.abs(centre - [48, 52]) < 12).all()
    assert (squares[:, 2] > 60).all()


def test_find_face_finds_a_small_face_in_a_large_picture() -> None:
    frames = np.full((3, 480, 360, 3), 128, np.uint8)
    frames[:, 200:296, 100:196] = drawn(5, 3)
    left, top, width, way = find_face(frames)
    assert way == "cascade"
    assert (abs(left + width / 2 - 148), abs(top + width / 2 - 252)) < (15, 15)
    assert 60 < width < 120


@pytest.mark.parametrize("shape", [(5, 90, 120, 3), (1, 240, 60, 3), (2, 1, 1, 3)])
def test_find_face_takes_the_centre_of_noise(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    side = min(shape[1:3])
    assert find_face(noise) == ((shape[2] - side) // 2, (shape[1] - side) // 2, side, "centre")


def test_find_face_asks_the_detector_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Detector:
        def __init__(self, size: tuple[int, int]) -> None:
            self.size = size

        def detect(self, picture: NDArray[np.uint8]) -> tuple[int, NDArray[np.float32] | None]:
            assert picture.shape[:2][::-1] == self.size
            return 1, np.array([[10, 20, 30, 40, *range(11)]], np.float32) if picture.any() else None

    model = tmp_path / "face_detection_yunet_2023mar.onnx"
    model.touch()
    made = types.SimpleNamespace(create=lambda _, __, size: Detector(size))
    cv2 = types.ModuleType("cv2")
    cv2.__spec__, cv2.FaceDetectorYN = types.SimpleNamespace(), made  # type: ignore[assignment, attr-defined]
    monkeypatch.setitem(sys.modules, "cv2", cv2)
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    assert find_face(np.ones((4, 100, 100, 3), np.uint8)) == (0, 15, 50, "detector")
    assert find_face(np.zeros((4, 100, 100, 3), np.uint8))[3] == "centre"
    monkeypatch.setenv("EMOLAB_FACE_DETECTOR", str(tmp_path / "gone.onnx"))
    with pytest.raises(FileNotFoundError, match=r"EMOLAB_FACE_DETECTOR names .*gone.onnx, which is no file; expected"):
        find_face(np.ones((4, 100, 100, 3), np.uint8))


def test_face_of_a_real_film_is_found(ravdess_root: Path) -> None:
    corpus = load_corpus("ravdess", ravdess_root)
    corpus = corpus.select(corpus.table["video_path"].notna())
    if not len(corpus):
        pytest.skip("this RAVDESS has sound only")
    face = faces(corpus.select(np.arange(len(corpus)) == 0))[0]
    assert face.found_by == "cascade"
    assert face.pictures.shape[1:] == (112, 112, 3)
    height = 720
    assert 0.35 * height < face.width < 0.85 * height
    assert abs(face.left + face.width / 2 - 640) < 0.1 * height
    assert face.pictures[:, 40:80, 40:80].mean() < 200  # skin, where the wall around is white


def test_face_frames_are_small_and_survive_pickling(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn())
    corpus = corpus_of(tmp_path, {"video_path": "a.mp4"}, {"video_path": "a.mp4", "video_end": 1.0})
    for extractor in (
        FaceFrames(24, 4.0),
        FaceFrames(24, 4.0, weights="no.pth", stand_in=True, small={"width": 0.5}),
    ):
        extractor.fit(corpus)
        again = pickle.loads(pickle.dumps(extractor))
        assert [len(array) for array in again.transform(corpus)] == [8, 4]
        assert extractor.sizes() == again.sizes()
        assert extractor.sizes()["size"] == 24


def test_face_edges_have_places_and_slants() -> None:
    places = FaceEdges().feature_names
    rows, columns = np.mgrid[:96, :96].astype(np.float32)
    towards_middle = np.minimum(columns, 95 - columns)
    for slope, slant in ((0.0, "level"), (-0.5, "rising"), (0.5, "falling")):
        apart = rows - 69 - slope * (towards_middle - 33)  # from a line at the height of the mouth
        line = 220 - 200 * np.exp(-np.square(apart / 3))
        picture = np.repeat(line[None, :, :, None], 3, axis=3).astype(np.uint8)
        (found,) = face_edges(picture)
        strongest = places[found.argmax()]
        assert strongest.startswith("mouth")
        assert strongest.endswith(f" {slant}")
        np.testing.assert_allclose(found, face_edges(picture[:, :, ::-1])[0], atol=1e-5)  # both halves are one
        assert found.dtype == np.float32
        assert np.square(np.square(found)).sum() == pytest.approx(1, abs=0.01)


def test_face_edges_do_not_depend_on_light_size_or_other_frames() -> None:
    pictures = drawn(n_frames=4)
    rows = face_edges(pictures)
    np.testing.assert_allclose(face_edges(pictures // 2 + 60), rows, atol=0.1)
    np.testing.assert_array_equal(face_edges(pictures[2:3])[0], rows[2])
    larger = face_edges(pictures.repeat(2, axis=1).repeat(2, axis=2))
    assert np.corrcoef(rows[0], larger[0])[0, 1] > 0.9
    assert face_edges(np.full((3, 24, 24, 3), 9, np.uint8)).tolist() == [[0.0] * 108] * 3
    with pytest.raises(ValueError, match=r"faces are 16 pixels wide; expected at least 24.*Take a larger size"):
        face_edges(np.zeros((3, 16, 16, 3), np.uint8))


def test_a_face_that_stays_as_it_is_does_not_change() -> None:
    rows = face_edges(drawn(n_frames=1).repeat(9, axis=0))
    np.testing.assert_allclose(change_from_calm(rows), 0, atol=1e-6)
    moved = np.array([[0.0], [0.0], [4.0], [8.0], [4.0], [1.0], [1.0], [1.0]], np.float32)
    np.testing.assert_allclose(change_from_calm(moved)[:, 0], moved[:, 0] - 0.5)


def test_face_numbers_and_statistics_are_scaled_and_come_back(tmp_path: Path) -> None:
    for person in range(3):
        write(tmp_path / f"{person}.mp4", drawn(person))
    corpus = corpus_of(tmp_path, *[{"video_path": f"{person}.mp4"} for person in (0, 1, 2, 0)])
    frames, vector = FaceEdges(), FaceFunctionals()
    for extractor in (frames, vector):
        extractor.fit(corpus)
        values = extractor.transform(corpus)
        assert values[0].dtype == np.float32
        stacked = np.vstack(values)
        np.testing.assert_allclose(stacked.mean(axis=0), 0, atol=1e-4)
        assert set(np.round(stacked.std(axis=0), 2)) <= {0.0, 1.0}
        assert len(set(extractor.feature_names)) == stacked.shape[1] == extractor.sizes()["n_features"]
        again = pickle.loads(pickle.dumps(extractor))
        for one, other in zip(values, again.transform(corpus), strict=True):
            np.testing.assert_array_equal(one, other)
    assert [rows.shape for rows in frames.transform(corpus)] == [(10, 108)] * 4
    assert frames.hop_s == 0.2
    assert vector.transform(corpus).shape == (4, 324)
    assert frames.feature_names[0] == "forehead outer upright"
    assert vector.feature_names[-1] == "chin inner steeply falling, least"


def test_face_statistics_of_one_picture_are_no_change(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn(n_frames=2))
    (row,) = FaceFunctionals().raw(corpus_of(tmp_path, {"video_path": "a.mp4"}))
    np.testing.assert_array_equal(row, np.zeros(324))


def test_face_statistics_of_a_real_film_are_numbers(ravdess_root: Path) -> None:
    corpus = load_corpus("ravdess", ravdess_root)
    corpus = corpus.select(corpus.table["video_path"].notna())
    if not len(corpus):
        pytest.skip("this RAVDESS has sound only")
    (row,) = FaceFunctionals().raw(corpus.select(np.arange(len(corpus)) == 0))
    assert np.isfinite(row).all()
    assert np.abs(row).max() > 0.05


def test_face_frames_tell_the_network_what_it_starts_from() -> None:
    extractor = FaceFrames(weights="resnet18-f37072fd.pth", small={"width": 0.5})
    assert extractor.sizes() == {"size": 112, "pretrained": True}
    assert extractor.pretrained == "resnet18-f37072fd"
    extractor.stand_in = True
    assert extractor.sizes() == {"size": 112, "pretrained": False, "width": 0.5}
    assert extractor.pretrained is None


def write_units(root: Path, n_rows: int = 6) -> None:
    random = np.random.default_rng(0).uniform(0, 1, (n_rows, 35))
    lines = [",".join([f"u{k}", *map(str, row)]) for k, row in enumerate(random)]
    (root / "action_units.csv").write_text("\n".join([",".join(["utterance_id", *UNITS]), *lines]))


def test_action_units_are_scaled_by_the_training_part(tmp_path: Path) -> None:
    write_units(tmp_path)
    corpus = corpus_of(tmp_path, *[{} for _ in range(6)])
    extractor = ActionUnits()
    assert extractor.has(corpus).all()
    assert not extractor.has(corpus.without("video")).any()
    assert "video" not in corpus.modalities  # no film is needed
    extractor.fit(corpus)
    values = extractor.transform(corpus)
    assert values.shape == (6, 35)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    assert extractor.feature_names == UNITS
    one = corpus.select(np.arange(6) == 4)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(extractor)).transform(one), values[4:5])


def test_action_units_say_what_has_no_row_and_where_there_is_no_table(tmp_path: Path) -> None:
    extractor, corpus = ActionUnits(), corpus_of(tmp_path, *[{} for _ in range(8)])
    with pytest.raises(FileNotFoundError, match=r"action_units\.csv"):
        extractor.fit(corpus)
    write_units(tmp_path)
    with pytest.raises(ValueError, match=r"2 of 8 utterances of corpus 'own' have no row in .*: u6, u7. Expected one"):
        extractor.fit(corpus)


def test_corpora_may_lie_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn())
    corpus = corpus_of(tmp_path, {"video_path": "a.mp4"})
    first = faces(corpus, size=16)[0]
    shutil.copytree(tmp_path, tmp_path / "copy")
    moved = faces(replace(corpus, root=tmp_path / "copy"), size=16)[0]
    np.testing.assert_array_equal(first.pictures, moved.pictures)
