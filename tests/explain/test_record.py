from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emolab import cli
from emolab.explain import record
from emolab.explain.scorecard import MEASURES, wide
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold


@pytest.fixture(autouse=True)
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))
    return tmp_path / "results"


@pytest.fixture
def entry(svm: LightRecognizer, words_fold: Fold) -> dict[str, Any]:
    how: dict[str, Any] = {"modality": "text", "preset": "quick", "n": 12, "methods": ["shap-linear", "ablation"]}
    return record.entry_of([svm, svm], words_fold, **how, command="emolab explain text/light --modality text")


def test_few_of_spreads_evenly_and_takes_all_of_a_small_part(words_fold: Fold) -> None:
    names = words_fold.test.table["utterance_id"].tolist()
    few = record.few_of(words_fold.test, 5).table["utterance_id"].tolist()
    assert (few[0], few[-1], len(few)) == (names[0], names[-1], 5)
    assert len(record.few_of(words_fold.test, 10_000)) == len(names)


def test_suitable_finds_the_methods_of_each_kind(
    svm: LightRecognizer, listener: NetworkRecognizer, words_fold: Fold, hums_fold: Fold
) -> None:
    reading = record.suitable(svm, words_fold.test, "text")
    assert {"shap-linear", "ablation", "kernel-shap"} <= {*reading}
    assert not {"shap-tree", "integrated-gradients", "shapley", "random"} & {*reading}
    hearing = record.suitable(listener, hums_fold.test, "audio")
    assert {"integrated-gradients", "grad-cam", "occlusion"} <= {*hearing}
    assert not {"kernel-shap", "deep-lift", "shap-linear"} & {*hearing}


def test_entry_says_what_was_measured_and_is_read_back_alike(entry: dict[str, Any], own_results: Path) -> None:
    assert (entry["corpus"], entry["recipe"], entry["n"], entry["stand_in"]) == ("talk", "text/light", 12, False)
    assert {row["method"] for row in entry["scores"]} == {"random", "shap-linear", "ablation"}
    assert {row["measure"] for row in entry["scores"]} <= {*MEASURES}
    assert entry["words"]["rows"], "expected the words that speak most for each emotion"
    path = record.record(entry)
    assert path == own_results / "talk" / "explain-text-light-text.json"
    read = record.read_scores("talk")
    assert wide(read).loc[("text/light", "text", "shap-linear"), "hit"] == 1.0
    assert set(read["ua"]) == {entry["ua"]["value"]}
    assert json.loads(path.read_text())["command"].startswith("emolab explain text/light")


def test_another_seed_of_a_model_that_draws_nothing_gives_the_same_reasons(entry: dict[str, Any]) -> None:
    assert wide(record.frame_of(entry)).loc[("text/light", "text", "shap-linear"), "other seed"] == pytest.approx(1)


def test_record_refuses_an_entry_without_command(entry: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"scorecard of 'text/light' lacks command; expected what entry_of"):
        record.record({**entry, "command": ""})


def test_read_scores_names_a_broken_file(own_results: Path) -> None:
    (own_results / "talk").mkdir(parents=True)
    (own_results / "talk" / "explain-x-text.json").write_text('{"recipe": "x"')
    with pytest.raises(ValueError, match=r"explain-x-text\.json is no scorecard .*Measure it again"):
        record.read_scores("talk")


def test_scores_table_has_a_row_an_explainer(entry: dict[str, Any]) -> None:
    assert record.scores_table("talk") == ""
    record.record(entry)
    lines = record.scores_table("talk").splitlines()
    assert len(lines) == 2 + 3
    assert "text/light" in lines[2]


def test_voices_get_their_relevance_over_time(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    how: dict[str, Any] = {"modality": "audio", "preset": "quick", "n": 8, "methods": ["integrated-gradients"]}
    curves = record.entry_of([listener], hums_fold, **how)["over_time"]["curves"]
    track = next(iter(curves.values()))["relevance"]
    assert np.array(track, dtype=object).shape == (20, 3)


def test_command_line_measures_and_records(
    own_results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words_fold: Fold
) -> None:
    monkeypatch.setenv("EMOLAB_PROGRESS", "0")
    monkeypatch.setattr("emolab.corpora.load_corpus", lambda name: words_fold.test)
    monkeypatch.setattr("emolab.splits.folds_of", lambda corpus: [words_fold])
    arguments = ["explain", "text/svm", "--modality", "text", "--methods", "ablation", "--utterances", "6", "--alone"]
    assert cli.main([*arguments, "--record"]) == 0
    assert "text/svm, 6 utterances of talk" in capsys.readouterr().out
    kept = json.loads((own_results / "talk" / "explain-text-svm-text.json").read_text())
    assert kept["command"] == "emolab " + " ".join([*arguments, "--record"])
