from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from emolab import load_corpus
from emolab.annotate.capture import Camera
from emolab.annotate.pipeline import Job
from emolab.annotate.speech import Block
from emolab.annotate.words import NONE, transcriber
from emolab.cli import main
from emolab.features.video import FPS, SIZE
from emolab.media import SAMPLE_RATE, read_frames
from emolab.recipes import recipe
from tests.annotate.recordings import model, talk


def test_annotate_writes_each_format_and_goes_on_after_a_broken_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(tmp_path / "good.wav", (0, 1))
    (tmp_path / "bad.wav").write_bytes(b"nothing that could be heard")
    model().save(tmp_path / "model")
    files = [str(tmp_path / name) for name in ("bad.wav", "good.wav")]
    how = ["--to", "csv,srt", "--model", str(tmp_path / "model"), "--asr", "none", "--names", "Ana, Ben"]
    assert main(["annotate", *files, *how, "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert "bad.wav" in shown.err
    assert "as perceived by raters" in shown.out
    assert {file.name for file in (tmp_path / "out").glob("[!.]*")} == {"good.csv", "good.srt"}
    assert list((tmp_path / "out").glob("*unfinished*")) == []  # no embedding of a voice stays
    assert "Ana" in (tmp_path / "out" / "good.srt").read_text(encoding="utf-8")


def test_unknown_format_is_told_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", str(tmp_path / "a.wav"), "--to", "doc"]) == 2
    assert "no format doc; expected some of csv" in capsys.readouterr().err


def test_capture_tells_each_turn_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk(tmp_path / "talk.wav", (0, 1))
    model().save(tmp_path / "model")
    how = ["--model", str(tmp_path / "model"), "--asr", "none", "--speakers", "2", "--out", str(tmp_path)]
    assert main(["capture", str(tmp_path / "talk.wav"), *how]) == 0
    shown = capsys.readouterr().out
    assert shown.count(" s late)") == 2
    assert "95th percentile" in shown
    table = pd.read_csv(tmp_path / "talk.csv", comment="#")
    assert len(table) == 2


def test_camera_needs_a_model_of_faces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk(tmp_path / "talk.wav", (0,))
    model().save(tmp_path / "model")
    how = ["--model", str(tmp_path / "model"), "--asr", "none", "--camera", "0", "--out", str(tmp_path)]
    assert main(["capture", str(tmp_path / "talk.wav"), *how]) == 2
    assert "--camera, but audio/logistic-regression takes audio; expected a model" in capsys.readouterr().err


def test_face_that_a_camera_saw_goes_with_its_turn(tmp_path: Path) -> None:
    first = read_frames(load_corpus("sample").video_paths()[0], fps=FPS)
    asked = []

    def face(start: float, end: float) -> Any:
        asked.append((start, end))
        return first if start < 1 else None  # at the second turn nothing was seen

    job = Job(tmp_path / "capture", recipe("video/discriminant"), transcriber(NONE)[1], face=face)
    turns = [(0, SAMPLE_RATE), (2 * SAMPLE_RATE, 3 * SAMPLE_RATE)]
    block = Block(0, np.zeros(4 * SAMPLE_RATE, np.float32), turns, 4 * SAMPLE_RATE)
    corpus = job.utterances(block, block.cuts(), [[], []])
    assert asked == [(0, 1), (2, 3)]
    assert job.recognizer.covers(corpus).tolist() == [True, False]


def test_camera_keeps_what_it_saw_with_its_time() -> None:
    camera = Camera("color=c=red:size=320x240:rate=25:duration=1.2,realtime", "lavfi")  # of FFmpeg's own devices
    camera.start()
    camera.join(30)
    seen = camera.face(0, 1)
    assert seen is not None
    assert seen.shape == (round(FPS), SIZE, SIZE, 3)
    assert seen.mean((0, 1, 2)) == pytest.approx([254, 0, 0], abs=4)  # not blue first
    assert camera.face(100, 101) is None
    with pytest.raises(OSError, match="no camera /dev/nothing can be opened"):
        Camera("/dev/nothing")
