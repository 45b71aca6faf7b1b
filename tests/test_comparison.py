"""Small against large: sizes, tables, tests of neighbours, pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from emolab.comparison import (
    command,
    costs,
    holm,
    markdown,
    pairs,
    pairs_table,
    pairwise_comparisons,
    pairwise_comparisons_table,
    qualities,
    size_class,
    sizes_table,
)
from emolab.evaluation import CrossValidation, Report, report
from emolab.ledger import entry_of, read_entries, read_ledger, record

EMOTIONS = ("happy", "sad")
N = 60
COST = {"trainable": 5, "train_s": 12.4, "peak_mb": 300.0, "latency_ms_p50": 1.0, "latency_ms_p95": 2.0}
LATER = {"disk_mb": 0.25, "throughput": 1234.5, "energy_j": None, "energy_meters": None}


@pytest.fixture(autouse=True)
def own_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))


def told(n_right: int) -> Report:
    truth = [EMOTIONS[number % 2] for number in range(N)]
    right = [number < n_right for number in range(N)]
    rows = [
        [0.9, 0.1] if (emotion == "happy") == fine else [0.1, 0.9] for emotion, fine in zip(truth, right, strict=True)
    ]
    speakers = [f"s{number % 6}" for number in range(N)]
    return report(truth, rows, emotions=EMOTIONS, clusters=speakers)


def put(
    recipe: str,
    n_right: int = 50,
    *,
    parameters: int = 10,
    flops: int | None = None,
    modalities: tuple[str, ...] = ("audio",),
    answers: bool = True,
    cost: dict[str, Any] = LATER,
    corpus: str = "sample",
    **changes: Any,
) -> dict[str, Any]:
    """Record an entry of a recognizer that names the first `n_right` of 60 utterances rightly."""
    all_costs = {**COST, "parameters": parameters, "flops": flops, **cost}
    stand_in = changes.pop("stand_in", False)
    measured = CrossValidation({7: told(n_right)}, "speakers-6-folds", modalities, stand_in, (1.0,), all_costs)
    made = entry_of(measured, recipe=recipe, preset="quick", command=f"emolab fit {recipe}")
    made |= {"corpus": corpus, "view": "iemocap6", "synthetic": True, **changes}
    if not answers:
        del made["answers"]
    record(made)
    return made


def test_size_class_follows_the_stated_rules() -> None:
    assert size_class(put("audio/svm")) == "light"
    assert size_class(put("audio/lstm", flops=10)) == "small"
    assert size_class(put("audio/vggish", flops=10, stand_in=True)) == "large"
    assert size_class(put("audio/hubert", flops=10, pretrained="facebook/hubert")) == "large"
    rows = read_ledger("sample").to_dict(orient="records")
    assert [size_class(row) for row in rows] == [
        "large",
        "small",
        "light",
        "large",
    ]  # by name: hubert, lstm, svm, vggish


def test_costs_shows_every_cost_and_what_was_not_measured() -> None:
    put("audio/vggish", parameters=2_000_000, flops=3_000_000, stand_in=True)
    put("audio/svm", parameters=1_000, cost={})
    put("fusion/late", parameters=10, modalities=("audio", "text"))
    table = costs(read_ledger("sample"))
    assert table.index.tolist() == ["audio/svm", "audio/vggish (stand-in)", "fusion/late"]
    assert table.loc["audio/vggish (stand-in)"].to_dict() == {
        "modalities": "audio",
        "size": "large",
        "parameters": "2,000,000",
        "trainable": "5",
        "million multiply-adds": "1.5",
        "disk MB": "0.25",
        "training s": "12.4",
        "peak MB": "300",
        "latency ms (p50)": "1",
        "latency ms (p95)": "2",
        "utterances a second": "1,234",
        "J an utterance": "–",
    }
    assert table.loc["audio/svm", ["million multiply-adds", "disk MB", "utterances a second"]].tolist() == ["–"] * 3
    assert table["size"].tolist() == ["light", "large", "light"]


def test_qualities_has_intervals_f1_of_the_emotions_there_are_and_chance() -> None:
    made = put("audio/svm")
    put("audio/lstm", 60, flops=1, parameters=20, n_test=N)
    table = qualities(read_ledger("sample"))
    value, low, high = made["metrics"]["ua"].values()
    assert table.loc["audio/svm", "UA"] == f"{value:.3f} [{low:.3f}, {high:.3f}]"
    assert table.loc["audio/lstm", "F1 happy"] == "1.000"
    assert [name for name in table if name.startswith("F1")] == ["F1 happy", "F1 sad"]
    assert table.loc["*always the most frequent emotion*", "UA"] == "0.500"


def test_tables_have_a_column_for_settings_that_differ() -> None:
    put("audio/svm")
    assert "preset" not in qualities(read_ledger("sample"))
    put("audio/lstm", preset="full", flops=1, parameters=20)
    assert qualities(read_ledger("sample"))["preset"].tolist() == ["quick", "full", ""]
    assert costs(read_ledger("sample"))["preset"].tolist() == ["quick", "full"]


def test_sizes_table_says_what_must_be_known() -> None:
    assert sizes_table("sample") == "No results on sample yet."
    put("audio/vggish", flops=2, stand_in=True)
    written = sizes_table("sample")
    assert "| audio/vggish (stand-in) | audio | large |" in written
    for part in ("light: no network;", "A stand-in is", "say nothing about people", "preset: quick; n: 60; seeds: 7"):
        assert part in written


def test_holm_corrects_for_the_number_of_tests() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1, 1]
    assert len(holm([])) == 0


def test_neighbours_tests_each_against_the_next_larger_of_the_same_modalities() -> None:
    put("audio/large", 58, parameters=30, flops=1)
    put("audio/small", 57, parameters=20, flops=1)
    put("audio/light", 30, parameters=10)
    put("text/light", 50, parameters=15, modalities=("text",))
    put("audio/full", 50, parameters=15, preset="full")
    table = pairwise_comparisons(read_entries("sample"))
    assert table[["smaller", "larger"]].to_numpy().tolist() == [
        ["audio/light", "audio/small"],
        ["audio/small", "audio/large"],
    ]
    assert table[["only smaller right", "only larger right"]].to_numpy().tolist() == [[0, 27], [0, 1]]
    exact = binomtest(27, 27).pvalue
    assert table["p (McNemar)"].tolist() == [pytest.approx(exact), 1]
    assert table["p (Holm)"].tolist() == [pytest.approx(2 * exact), 1]
    assert table["shown"].tolist() == ["larger is better", "no difference"]
    assert table["Δ UA"].iloc[0].startswith("+0.450 [+0.")
    by_flops = pairwise_comparisons(read_entries("sample"), cost="flops")
    assert (len(by_flops), len(by_flops.attrs["left_out"])) == (1, 3)


def test_neighbours_can_find_the_smaller_one_better() -> None:
    put("audio/light", 58, parameters=10)
    put("audio/small", 30, parameters=20)
    assert pairwise_comparisons(read_entries("sample"))["shown"].tolist() == ["smaller is better"]


def test_neighbours_table_lists_what_keeps_no_answers() -> None:
    assert pairwise_comparisons_table("sample") == "No two neighbours on sample have answers in the ledger yet."
    put("audio/old", answers=False)
    put("audio/light", 30)
    assert "left out until measured again: audio/old." in pairwise_comparisons_table("sample")
    put("audio/small", 57, parameters=20, stand_in=True)
    written = pairwise_comparisons_table("sample")
    assert "| audio | audio/light | audio/small (stand-in) | +0.4" in written
    assert "Pairs tested: 1; after Holm's correction" in written
    assert written.endswith("left out until measured again: audio/old.")


PAIR = {"both": "fusion/concat/a+b", "none": "fusion/concat/c"}


def test_pairs_show_f1_of_emotions_or_the_command_that_fills_the_row() -> None:
    made = put("fusion/concat/a+b", stand_in=True)
    table = pairs("sample", PAIR)
    assert table.index.tolist() == ["both (stand-in)", "none"]
    assert list(table) == ["neutral", "angry", "happy", "sad", "frustrated", "excited", "weighted F1"]
    assert table["happy"].tolist() == [f"{made['per_emotion']['happy']['f1']:.3f}", "–"]
    assert table["neutral"].tolist() == ["–", "–"]
    assert table["weighted F1"].iloc[0].startswith("0.8")
    assert table["weighted F1"].iloc[1] == "`emolab fit fusion/concat/c --corpus sample --record`"
    assert "A stand-in is a tiny network" in pairs_table("sample", PAIR)


def test_pairs_of_a_corpus_without_results_are_all_commands() -> None:
    line = "emolab fit fusion/concat/cnn-bilstm+bilstm --corpus iemocap --preset full --record"
    assert command("fusion/concat/cnn-bilstm+bilstm", "iemocap") == line
    written = pairs_table("iemocap")
    assert f"| CNN-BiLSTM + BiLSTM | – | – | – | – | – | – | `{line}` |" in written
    assert written.count("emolab fit") == 6
    assert "Nothing is measured on iemocap yet" in written


def test_markdown_puts_numbers_to_the_right() -> None:
    put("audio/svm")
    first, ruler, row = markdown(costs(read_ledger("sample"))).splitlines()
    assert first.startswith("| recipe | modalities | size | parameters |")
    assert ruler.startswith("| --- | --- | --- | ---: |")
    assert row.startswith("| audio/svm | audio | light | 10 |")
    assert len({line.count("|") for line in (first, ruler, row)}) == 1
    assert np.char.count(row, "nan") == 0
