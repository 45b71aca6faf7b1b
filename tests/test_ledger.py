"""The ledger takes whole entries only, gives back what it got, and makes the tables."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emolab.evaluation import CrossValidation, Report, compare, report
from emolab.ledger import (
    FIELDS,
    answers_of,
    compare_entries,
    device,
    entry_of,
    place_of,
    read_entries,
    read_ledger,
    record,
    results_table,
    versions,
)
from emolab.storage import results_root

EMOTIONS = ("calm", "sad", "angry")  # angry never occurs and is never named
COST = {"parameters": 1_234_567, "trainable": 5, "flops": None, "train_s": 12.4}
COST |= {"peak_mb": 300.0, "latency_ms_p50": 1.0, "latency_ms_p95": 2.0}


@pytest.fixture(autouse=True)
def own_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))


def measured(*, right: int = 6, modalities: tuple[str, ...] = ("audio",), stand_in: bool = False) -> CrossValidation:
    """Two seeds, each with eight utterances of four speakers, the first `right` of them named rightly."""
    truth = ["calm", "sad"] * 4
    rows = [[0.8, 0.2, 0] if (emotion == "calm") == (i < right) else [0.2, 0.8, 0] for i, emotion in enumerate(truth)]
    said = report(truth, rows, emotions=EMOTIONS, clusters="aabbccdd")
    return CrossValidation({7: said, 8: said}, "speakers-4-folds", modalities, stand_in, (1.0, 2.0), dict(COST))


def entry(
    *, recipe: str = "audio/svm", corpus: str = "ravdess", preset: str = "full", **options: Any
) -> dict[str, Any]:
    made = entry_of(measured(**options), recipe=recipe, preset=preset, command="emolab measure")
    return {**made, "corpus": corpus, "view": "ravdess8"}


def test_entry_of_has_every_field_of_the_blueprint() -> None:
    made = entry()
    assert set(FIELDS) <= set(made)
    assert (made["seeds"], made["n_test"], made["modalities"], made["protocol"]) == (
        [7, 8],
        8,
        ["audio"],
        "speakers-4-folds",
    )
    assert made["metrics"]["wa"]["value"] == 0.75
    assert made["per_emotion"]["angry"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert made["seed_values"]["wa"] == [0.75, 0.75]
    assert made["clusters"] == {"by": "speaker", "n": 4}
    assert set(made["versions"]) == {"emolab", "python", "numpy", "torch", "scikit-learn"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])


def test_record_writes_one_file_a_recipe_that_reads_back_the_same() -> None:
    made = entry(recipe="fusion/late/cnn-bilstm")
    path = record(made)
    assert path == results_root() / "ravdess" / "fusion-late-cnn-bilstm.json"
    assert json.loads(path.read_text(encoding="utf-8")) == made
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("field", list(FIELDS))
def test_record_refuses_an_entry_without_a_field(field: str) -> None:
    made = {name: value for name, value in entry().items() if name != field}
    with pytest.raises(ValueError, match=rf"ledger entry .* is not right: .*{field}.*Build it with entry_of"):
        record(made)
    assert not results_root().exists()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metrics.ua.value", float("nan"), "metrics.ua.value is nan"),
        ("metrics.ece.high", float("inf"), "metrics.ece.high is inf"),
        ("metrics.wa.low", 0.9, "metrics.wa has low 0.9, value 0.75, high .* not in order"),
        ("metrics.macro_f1", None, "metrics.macro_f1.value is 'missing'"),
        ("cost.peak_mb", float("nan"), "cost.peak_mb is nan"),
        ("cost.train_s", None, "cost.train_s is None"),
        ("per_emotion.calm.f1", None, "per_emotion.calm.f1 is None"),
        ("per_emotion.sad.support", "4", "per_emotion.sad.support is '4'"),
        ("per_emotion.sad", {}, "per_emotion.sad.precision is 'missing'"),
        ("seeds", [], r"seeds is \[\]"),
        ("n_test", 0, "n_test is 0"),
        ("n_test", True, "n_test is True"),
        ("stand_in", "no", "stand_in is 'no'"),
        ("command", "", "command is ''"),
        ("cost.disk_mb", float("nan"), "cost.disk_mb is nan"),
        ("answers.truth", "0 1", "answers do not fit|answers cannot be read"),
        ("answers.truth", "0 1 0 1 0 1 0 0", "answers do not fit seeds, n_test and metrics.wa"),
        ("answers.said", {}, "answers do not fit|answers cannot be read"),
        ("answers.said", {"7": "0 1 0 1 0 1 1 0"}, "answers do not fit seeds"),
        ("answers.clusters", "0 0 1 1", "answers cannot be read .*expected one for each"),
        ("answers", "yes", "answers cannot be read"),
        ("corpus", "../elsewhere", "corpus '../elsewhere' is no file name"),
        ("corpus", "a/b", "corpus 'a/b' is no file name"),
        ("recipe", "audio//svm", "recipe 'audio//svm' is no file name"),
    ],
)
def test_record_refuses_figures_that_are_none(path: str, value: Any, message: str) -> None:
    made = copy.deepcopy(entry())
    *way, last = path.split(".")
    place = made
    for name in way:
        place = place[name]
    place[last] = value
    with pytest.raises(ValueError, match=message):
        record(made)
    assert not results_root().exists()


def test_record_lists_all_problems_at_once() -> None:
    made = {**entry(), "seeds": [], "preset": 3}
    with pytest.raises(ValueError, match=r"preset is 3; seeds is \[\]"):
        record(made)


def test_record_does_not_lose_a_full_measurement_to_a_quick_one() -> None:
    record(entry())
    record(entry(right=7))  # measured again the same way
    with pytest.raises(ValueError, match=r"holds another measurement: \{'preset': \('full', 'quick'\)\}.*replace=True"):
        record(entry(preset="quick"))
    record(entry(preset="quick"), replace=True)
    assert read_ledger("ravdess")["preset"].tolist() == ["quick"]


def test_read_ledger_gives_a_row_an_entry() -> None:
    record(entry())
    record(entry(corpus="meld", recipe="text/bilstm", modalities=("text",)))
    (results_root() / "meld" / "explain-text-bilstm.json").write_text("{}")
    ledger = read_ledger()
    assert ledger["corpus"].tolist() == ["meld", "ravdess"]
    assert ledger["wa"].tolist() == [0.75, 0.75]
    assert (ledger["wa_low"] <= ledger["wa"]).all()
    assert ledger["parameters"].tolist() == [1_234_567] * 2
    assert len(read_ledger("meld")) == 1


def test_read_ledger_is_empty_where_nothing_was_measured() -> None:
    assert read_ledger().empty
    assert results_table("ravdess") == "No results on ravdess yet."


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"corpus": "ravdess"}', "\x00", json.dumps({"metrics": 3})])
def test_read_ledger_names_the_file_that_is_broken(content: str) -> None:
    folder = results_root() / "ravdess"
    folder.mkdir(parents=True)
    (folder / "audio-svm.json").write_text(content)
    with pytest.raises(ValueError, match=r"audio-svm\.json is no ledger entry: .* Delete the file and measure again"):
        read_ledger()


def test_results_table_goes_by_modality_and_puts_the_best_first() -> None:
    record(entry(recipe="fusion/late", modalities=("audio", "text"), right=8))
    record(entry(recipe="audio/svm", right=5))
    record(entry(recipe="audio/wav2vec2", right=7, stand_in=True))
    record(entry(recipe="text/bilstm", modalities=("text",), right=8))
    table, notes = results_table("ravdess").split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len({len(row) for row in rows}) == 1
    assert [row[0] for row in rows[2:]] == [
        "audio/wav2vec2 (stand-in)",
        "audio/svm",
        "text/bilstm",
        "fusion/late",
        "*always the most frequent emotion*",
    ]
    assert rows[-2][:5] == ["fusion/late", "audio + text", *["1.000 [1.000, 1.000]"] * 3]
    assert rows[-2][5:] == ["8", "ravdess8, speakers-4-folds", "full", "7, 8", "1,234,567", "12"]
    assert rows[-1][2:5] == ["0.500", "0.500", "0.333"]
    assert "A stand-in is a tiny network" in notes
    assert "synthetic" not in notes


def test_results_table_keeps_what_hears_later_turns_apart() -> None:
    record(entry(recipe="conversation/causal/minilm", modalities=("text",), right=5))
    record(entry(recipe="conversation/future/minilm", modalities=("text",), right=8))
    live, about, later, _ = results_table("ravdess").split("\n\n")
    assert "causal" in live
    assert "future" not in live
    assert "nobody has in a live conversation" in about
    assert "conversation/future/minilm" in later
    assert "causal" not in later


def test_results_table_says_what_is_synthetic() -> None:
    record({**entry(corpus="sample"), "synthetic": True})
    assert "synthetic sample: these figures say nothing about people" in results_table("sample")


def test_device_and_versions_do_not_name_the_machine() -> None:
    assert re.fullmatch(r"\d+ cores, .+", device())
    assert versions()["numpy"][0].isdigit()


def told(seed: int, *, n: int = 40, by: str = "speaker") -> Report:
    """Answers at random, in an order of their own."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    truth = np.array(["calm", "sad", "angry", "sad"] * (n // 4))[order]
    many = {"speaker": (order % 12, order), "dialogue": (order * 0, order % 12), "utterance": (order * 0, order * 0)}
    clusters, dialogues = ([f"x{number}" for number in each] for each in many[by])
    utterances = [f"u{number}" for number in order]
    chances = rng.dirichlet(np.ones(3), n)
    return report(truth, chances, emotions=EMOTIONS, clusters=clusters, dialogues=dialogues, utterances=utterances)


def entry_told(*seeds: int, recipe: str = "audio/svm", n: int = 40, by: str = "speaker") -> dict[str, Any]:
    reports = {seed: told(seed, n=n, by=by) for seed in seeds}
    measured = CrossValidation(reports, "speakers-4-folds", ("audio",), False, (1.0,), dict(COST))
    made = entry_of(measured, recipe=recipe, preset="full", command=f"emolab fit {recipe}")
    return {**made, "corpus": "ravdess", "view": "ravdess8"}


@pytest.mark.parametrize("by", ["speaker", "dialogue", "utterance"])
def test_answers_of_gives_the_same_scores_and_intervals_again(by: str) -> None:
    made = entry_told(7, 8, by=by)
    path = record(made)
    (read,) = read_entries("ravdess")
    again = answers_of(read)
    first = next(iter(again.reports.values()))
    assert (list(again.reports), first.clustered_by) == ([7, 8], by)
    for name in ("ua", "wa", "weighted_f1", "macro_f1"):
        assert again.metrics[name]._asdict() == pytest.approx(made["metrics"][name])
    assert max(len(line) for line in path.read_text().splitlines()) < 40 * 10
    assert len(path.read_text().splitlines()) < 140  # one line for all answers of a seed
    assert "x11" not in path.read_text()
    assert not [name for name in read_ledger() if name.startswith("answers")]


def test_answers_of_takes_any_name_of_an_emotion() -> None:
    odd = report(["a, b", "no. 2"] * 4, [[0.8, 0.2]] * 8, emotions=("a, b", "no. 2"), clusters="aabbccdd")
    measured = CrossValidation({7: odd}, "speakers-4-folds", ("text",), False, (1.0,), dict(COST))
    made = {**entry_of(measured, recipe="text/svm", preset="full", command="fit"), "corpus": "own", "view": "all"}
    record(made)
    assert answers_of(read_entries("own")[0]).reports[7].predicted == ["a, b"] * 8


def test_compare_entries_equals_the_comparison_of_what_was_measured() -> None:
    a, b = entry_told(7), entry_told(9, recipe="audio/mlp")
    there, here = compare_entries(a, b), compare(told(7), told(9))
    assert (there.only_a, there.only_b, there.p_value) == (here.only_a, here.only_b, here.p_value)
    for name in ("ua", "weighted_f1"):
        assert there.difference[name].value == pytest.approx(here.difference[name].value)
    assert there.names == ("audio/svm", "audio/mlp")


def test_compare_entries_needs_answers_about_the_same_utterances() -> None:
    old = {name: value for name, value in entry_told(7).items() if name != "answers"}
    record(old)  # such entries are read for ever
    with pytest.raises(ValueError, match=r"audio/svm on ravdess keeps no answers.*again: emolab fit audio/svm"):
        compare_entries(old, entry_told(7))
    with pytest.raises(ValueError, match=r"differ in their utterances, truth \(n = 40 and 24\); expected .* Take two"):
        compare_entries(entry_told(7), entry_told(7, n=24))


def test_read_entries_says_how_a_missing_one_is_measured() -> None:
    record(entry_told(7))
    assert [each["recipe"] for each in read_entries("ravdess", "audio/svm")] == ["audio/svm"]
    with pytest.raises(KeyError, match=r"no entry of audio/mlp on ravdess.*emolab fit audio/mlp --corpus ravdess"):
        read_entries("ravdess", "audio/mlp")


def test_place_of_refuses_names_that_are_no_files() -> None:
    with pytest.raises(ValueError, match=r"corpus 'my data' is no file name; expected letters.*Rename it"):
        place_of({**entry(), "corpus": "my data"})
