from __future__ import annotations

import json
from pathlib import Path

import pytest

from emolab import cli, evaluation
from emolab.course import chapters
from emolab.course.chapters import ChapterRun


@pytest.fixture(autouse=True)
def no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOLAB_PROGRESS", "0")  # the command line would set it for good


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """Catch what `emolab run` asks the runner for; the chapter says it is clean unless its seed is 13."""
    seen: dict[str, object] = {}

    def run_chapters(wanted: list[Path], **options: object) -> list[ChapterRun]:
        seen.update(wanted=wanted, **options)
        values = {"corpus": "sample", "preset": "quick", **options["parameters"]}  # type: ignore[dict-item]
        error = "cell 4: KeyError: 'sad'" if values.get("seed") == 13 else None
        return [ChapterRun("03_audio", values, 12.3, 456, {"ua": 0.5}, [], error)]

    monkeypatch.setattr(chapters, "run_chapters", run_chapters)
    monkeypatch.setattr(chapters, "find_chapters", lambda names: names)
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    return seen


def test_run_hands_parameters_on_and_prints_the_table(
    called: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "03", "--corpus", "ravdess", "--seed", "5"]
    assert cli.main([*arguments, "--jobs", "2", "--timeout", "9"]) == 0
    given = {"corpus": "ravdess", "seed": 5}
    assert called == {"wanted": ["03"], "parameters": given, "jobs": 2, "timeout_s": 9}
    assert "03_audio  ok              12      456  ua 0.500" in capsys.readouterr().out


def test_run_fails_where_a_chapter_fails(called: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--seed", "13"]) == 1
    assert "03_audio, cell 4: KeyError: 'sad'" in capsys.readouterr().out


def test_run_records_clean_sample_runs_only(
    called: dict[str, object], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["run", "--corpus", "ravdess", "--record"]) == 2
    assert "ran with ('ravdess', 'quick') and is ok; expected clean runs" in capsys.readouterr().err
    assert cli.main(["run", "--record"]) == 0
    known = json.loads((tmp_path / "results" / "chapters.json").read_text())
    assert known["chapters"] == {"03_audio": {"seconds": 12.3, "peak_mb": 456, "figures": {"ua": 0.5}}}
    assert "python" in known["about"]["versions"]


def test_errors_are_one_line_and_status_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOLAB_DEBUG", raising=False)
    assert cli.main(["fit", "audio/cnn-bilstn"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "emolab: no recipe 'audio/cnn-bilstn'; expected a key of emolab.recipes.RECIPES. Did you mean "
    )
    assert "audio/cnn-bilstm," in told
    assert told.count("\n") == 1
    monkeypatch.setenv("EMOLAB_DEBUG", "1")
    with pytest.raises(KeyError):
        cli.main(["fit", "audio/cnn-bilstn"])


def test_fit_prints_the_report_and_records_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = [(speaker, emotion) for speaker in "abcdef" for emotion in ("happy", "sad") for _ in range(2)]
    rows = [f"{number},{speaker},{emotion},so {emotion} {speaker}" for number, (speaker, emotion) in enumerate(said)]
    Path("mine.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    arguments = ["fit", "text/logistic-regression", "--corpus", "mine.csv", "--folds", "speakers", "--seeds", "7", "8"]
    assert cli.main([*arguments, "--record"]) == 0
    assert "unweighted average recall: 1.000" in capsys.readouterr().out
    entry = json.loads((tmp_path / "results" / "mine" / "text-logistic-regression.json").read_text())
    assert entry["command"] == (
        "emolab fit text/logistic-regression --corpus mine.csv --folds speakers --seeds 7 8 --record"
    )
    assert (entry["protocol"], entry["seeds"], entry["n_test"]) == ("speakers-5-folds", [7, 8], 24)


def test_fit_says_before_measuring_that_the_ledger_would_refuse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rows = [f"{speaker}{emotion},{speaker},{emotion},well" for speaker in "abcdef" for emotion in ("happy", "sad")]
    Path("mine.csv").write_text("\n".join(["id,speaker,emotion,text", *rows]))
    fit = ["fit", "text/logistic-regression", "--corpus", "mine.csv", "--record", "--folds", "speakers"]
    assert cli.main(fit) == 0
    capsys.readouterr()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(evaluation, "cross_validate", never)
    assert cli.main([*fit, "--preset", "full"]) == 2
    assert "holds another measurement: {'preset': ('quick', 'full')}" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="it was measured"):
        cli.main([*fit, "--preset", "full", "--replace"])


@pytest.mark.parametrize("command", ["doctor", "sample", "run", "fit", "refresh", "figures"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: emolab {command}" in capsys.readouterr().out
