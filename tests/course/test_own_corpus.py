"""A chapter and the notebook of `emolab explore` on a corpus of one's own, with emotions of other names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from emolab.course.chapters import explore, find_chapters, run_chapter
from tests.voices import own, write


def test_a_chapter_takes_emotions_of_any_names(tmp_path: Path) -> None:
    rows = [{**row, "emotion": row["emotion"][:3].upper()} for row in own(tmp_path, 5)]
    corpus = str(write(tmp_path / "crema.csv", rows))
    (chapter,) = find_chapters(["03"])
    run = run_chapter(chapter, parameters={"corpus": corpus, "preset": "quick"}, build=tmp_path / "build")
    assert (run.error, run.warnings) == (None, [])
    assert run.figures["chance"] == 0.25


def test_explore_finds_what_will_hurt(tmp_path: Path) -> None:
    rows = own(tmp_path, 4, emotions=("happy", "sad", "angry"))
    for row in rows:
        wave, rate = soundfile.read(tmp_path / row["audio"])
        if row["emotion"] != "happy":  # a recorder for each emotion
            step = {"angry": 2, "sad": 4}[row["emotion"]]
            soundfile.write(tmp_path / row["audio"], wave[::step], rate // step)
        row["text"] = f"so {row['emotion']}"
    soundfile.write(tmp_path / rows[0]["audio"], np.zeros(16_000), 16_000)
    (tmp_path / rows[1]["audio"]).write_text("no sound")
    soundfile.write(tmp_path / "x.wav", wave, rate)
    rows.append({"id": "x", "speaker": "lone", "emotion": "bored", "audio": "x.wav", "text": "so what"})
    run = explore(str(write(tmp_path / "mine.csv", rows)), tmp_path / "explored")
    assert (run.error, run.warnings) == (None, [])
    for found in (
        "1 of 5 speakers show one emotion alone (lone, say)",
        "bored: shown by fewer than 3 speakers",
        "1 of 49 recordings cannot be read",
        "1 of 49 recordings are silent",
        "file format and sampling rate alone reach UA 1.00 (chance 0.33): a leak",
        "repeated texts go with one emotion alone",
    ):
        assert found in run.figures["found"]
    assert "What will hurt" in (tmp_path / "explored" / "explore.ipynb").read_text()


def test_explore_does_not_run_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no corpus 'nope'"):
        explore("nope", tmp_path / "explored")
    assert not (tmp_path / "explored").exists()
