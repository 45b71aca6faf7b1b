from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from emolab.cli import main
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
