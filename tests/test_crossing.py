"""Training on some corpora and testing on another, from the command line to the page of results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from page_tables import crossings_table

from emolab import cli

FIT = ["fit", "text/logistic-regression"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Write three tables of texts, in which speakers have the same names; two call happy something else."""
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, happy, other in (("one", "joy", "calm"), ("two", "happy", "angry"), ("three", "glad", "fear")):
        said = [(speaker, word) for speaker in range(4) for word in (happy, "sad", other) for _ in "ab"]
        rows = [
            f"u{n},p{speaker},{word},so {word.replace(happy, 'nice')} {n}" for n, (speaker, word) in enumerate(said)
        ]
        Path(f"{name}.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))


def test_fit_trains_on_some_corpora_and_tests_on_another_in_the_emotions_of_all(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    across = ["--train-on", "one.csv", "two.csv", "--test-on", "three.csv", "--merge", "joy=happy,glad=happy"]
    assert cli.main([*FIT, *across, "--record", "--save", "kept"]) == 0
    (file,) = (tmp_path / "results").rglob("text-*.json")
    entry = json.loads(file.read_text())
    assert re.fullmatch(r"own-one-\w+\+own-two-\w+-to-own-three-\w+", file.parent.name)
    assert (entry["protocol"], entry["n_test"], sorted(entry["per_emotion"])) == ("cross-corpus", 16, ["happy", "sad"])
    assert entry["command"] == f"emolab {' '.join([*FIT, *across])} --record"
    assert re.search(r"kept in kept: trained on 32 utterances, [1-9] of them to choose on", capsys.readouterr().out)
    assert f"{entry['metrics']['ua']['value']:.3f} | – | 0.500 |" in crossings_table("cross-corpus")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--train-on", "one.csv"],
        ["--test-on", "two.csv"],
        ["--train-on", "one.csv", "--test-on", "two.csv", "--corpus", "three.csv"],
        ["--train-on", "one.csv", "--test-on", "two.csv", "--folds", "speakers"],
    ],
)
def test_fit_needs_both_corpora_and_ignores_no_option(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*FIT, *wrong]) == 2
    assert "expected both, and neither --corpus nor --folds" in capsys.readouterr().err


def test_fit_says_what_cannot_be_crossed(capsys: pytest.CaptureFixture[str]) -> None:
    across = [*FIT, "--train-on", "one.csv", "--test-on"]
    assert cli.main([*across, "two.csv", "--merge", "jou=happy"]) == 2
    assert (
        "--merge jou=happy: no corpus has this emotion; expected some of angry, calm, happy" in capsys.readouterr().err
    )
    assert cli.main([*across, "two.csv"]) == 2
    assert "share 1 emotions" in (told := capsys.readouterr().err)
    assert "or merge some: --merge excited=happy" in told
    assert cli.main([*across, "one.csv"]) == 2
    assert "leaks: speaker" in capsys.readouterr().err
