"""The checkers of chapter 03."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from emolab.course import exercises
from emolab.course.progress import check

TABLE = pd.DataFrame({"speaker": [*"aabb"], "emotion": ["sad", "angry", "sad", "angry"]})
FUNCTIONALS = pd.DataFrame({"pitch": [1.0, 2.0, 11.0, 12.0], "level": [0.0, 5.0, 0.5, 4.5], "jitter": [1.0, 0, 0, 1]})


@pytest.fixture(autouse=True)
def _own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_LOCAL", str(tmp_path))


def test_strongest_functional_is_taken_without_the_speakers_means() -> None:
    assert check("03.1", "pitch", FUNCTIONALS, TABLE).state == "correct"
    assert "means left in" in check("03.1", "level", FUNCTIONALS, TABLE).message
    assert "another one" in check("03.1", "jitter", FUNCTIONALS, TABLE).message
    assert check("03.1", ..., FUNCTIONALS, TABLE).state == "not attempted"


def test_own_level_subtracts_the_mean_of_each_speaker() -> None:
    def right(values: np.ndarray, speakers: np.ndarray) -> np.ndarray:
        frame = pd.DataFrame(values)
        return (frame - frame.groupby(speakers).transform("mean")).to_numpy()

    assert check("03.2", right).state == "correct"
    assert "over all speakers" in check("03.2", lambda values, speakers: values - values.mean(axis=0)).message
    assert "shape" in check("03.2", lambda values, speakers: values.mean(axis=0)).message
    assert "subtract only" in check("03.2", lambda values, speakers: 2 * right(values, speakers)).message
    assert check("03.2", lambda values, speakers: ...).state == "not attempted"


@pytest.mark.parametrize(("ua", "state"), [(0.70, "correct"), (0.69, "incorrect")])
def test_number_to_beat_is_reached_on_held_out_utterances(
    ua: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = SimpleNamespace(metrics={"ua": SimpleNamespace(value=ua)})
    monkeypatch.setattr("emolab.evaluation.evaluate", lambda recognizer, held_out: tested)
    assert exercises.CHECKERS["03.3"]
    assert check("03.3", object(), [1, 2]).state == state
    assert check("03.3", ..., [1, 2]).state == "not attempted"
