"""The ledger takes whole entries only and gives back what it got; sizes, comparisons and the tables made of it."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_tables import (
    MAKERS,
    costs,
    headlines_table,
    markdown,
    pairs_table,
    pairwise_comparisons_table,
    qualities,
    results_table,
    scores_table,
    sizes_table,
)
from scipy.stats import binomtest

from emolab import results
from emolab.evaluation import CrossValidation, Report, compare, report
from emolab.recipes import RECIPES, recipe
from emolab.results import (
    FIELDS,
    INTERVALS,
    answers_of,
    command,
    compare_entries,
    device,
    entry_of,
    frame_of,
    holm,
    pairwise_comparisons,
    place_of,
    read_entries,
    read_ledger,
    read_scores,
    record,
    record_scores,
    size_class,
    versions,
)
from emolab.storage import read_json, results_root

EMOTIONS = ("calm", "sad", "angry")  # angry never occurs and is never named
COST = {"parameters": 1_234_567, "trainable": 5, "flops": None, "train_s": 12.4}
COST |= {"peak_mb": 300.0, "latency_ms_p50": 1.0, "latency_ms_p95": 2.0}


@pytest.fixture(autouse=True)
def own_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOLAB_DATA", str(tmp_path))


def measured(*, wrong: int = 2, modalities: tuple[str, ...] = ("audio",), stand_in: bool = False) -> CrossValidation:
    """Two seeds, each with ten utterances of five speakers, all but `wrong` of which are predicted correctly."""
    truth = ["calm", "sad"] * 5
    rows = [[0.8, 0.2, 0] if (emotion == "calm") != (i < wrong) else [0.2, 0.8, 0] for i, emotion in enumerate(truth)]
    said = report(truth, rows, emotions=EMOTIONS, clusters="aabbccddee")
    settings = ("speakers-5-folds", modalities, stand_in, (1.0, 2.0), dict(COST), "training set, 3 speeds")
    return CrossValidation({7: said, 8: said}, *settings)


def entry(
    *, recipe: str = "audio/svm", corpus: str = "ravdess", preset: str = "full", **options: Any
) -> dict[str, Any]:
    made = entry_of(measured(**options), recipe=recipe, preset=preset, command="emolab measure")
    return {**made, "corpus": corpus, "view": "ravdess8"}


def test_entry_of_has_every_field_of_the_blueprint() -> None:
    made = entry()
    assert {name for names in FIELDS.values() for name in names} <= set(made)
    assert (made["seeds"], made["n_test"], made["modalities"]) == ([7, 8], 10, ["audio"])
    assert (made["protocol"], made["trained_on"]) == ("speakers-5-folds", "training set, 3 speeds")
    assert made["metrics"]["wa"]["value"] == 0.8
    assert made["per_emotion"]["angry"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert made["seed_values"]["wa"] == [0.8, 0.8]
    assert made["clusters"] == {"by": "speaker", "n": 5}
    assert made["intervals"] == INTERVALS
    assert set(made["versions"]) == {"emolab", "python", "numpy", "torch", "scikit-learn"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])


def test_record_writes_one_file_a_recipe_that_reads_back_the_same() -> None:
    made = entry(recipe="fusion/late/cnn-bilstm")
    path = record(made)
    assert path == results_root() / "ravdess" / "fusion-late-cnn-bilstm.json"
    assert read_json(path, remedy="") == made
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("field", [name for names in FIELDS.values() for name in names])
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
        ("metrics.wa.low", 0.9, "metrics.wa has low 0.9, value 0.8, high .* not in order"),
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
        ("answers.truth", "0 1 0 1 0 1 0 1 0 0", "answers do not fit chance.majority"),
        ("answers.said", {}, "answers do not fit|answers cannot be read"),
        ("answers.said", {"7": "1 0 0 1 0 1 0 1 0 1"}, "answers do not fit"),
        ("metrics.ua.value", 0.81, "answers do not fit metrics.ua.value"),
        ("metrics.weighted_f1.low", 0.1, "answers do not fit metrics.weighted_f1.low"),
        ("metrics.macro_f1.high", 0.99, "answers do not fit metrics.macro_f1.high"),
        ("per_emotion.calm.recall", 0.7, "answers do not fit per_emotion.calm.recall"),
        ("per_emotion.sad.support", 6, "answers do not fit per_emotion.sad.support"),
        ("clusters.n", 6, "answers do not fit clusters.n"),
        ("n_test", 11, "answers do not fit n_test"),
        ("n_test", 10**400, "answers do not fit n_test"),
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
    record(entry(wrong=1))  # measured again the same way
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
    assert ledger["wa"].tolist() == [0.8, 0.8]
    assert (ledger["wa_low"] <= ledger["wa"]).all()
    assert ledger["parameters"].tolist() == [1_234_567] * 2
    assert len(read_ledger("meld")) == 1
    record(entry(corpus="meld"))
    assert read_ledger()["recipe"].tolist() == ["audio/svm", "text/bilstm", "audio/svm"]


def test_an_empty_ledger_keeps_its_columns() -> None:
    empty = read_ledger("ravdess")
    assert empty.empty
    assert {"recipe", "size", "modalities", "trained_on", "ua", "ua_low", "train_s", "throughput", "preset"} <= {*empty}
    assert costs(empty).empty
    assert qualities(empty).empty
    assert pairwise_comparisons([]).empty
    assert {"recognizer", "measure", "value", "ua"} <= {*read_scores("ravdess")}
    assert results_table("ravdess") == sizes_table("ravdess") == "No results on ravdess yet."


def test_the_ledger_of_the_package_is_read_behind_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emolab.results.results_roots", lambda: [results_root(), tmp_path / "package"])
    record(entry(wrong=0))
    results_root().rename(tmp_path / "package")
    record(entry(wrong=2, preset="quick"))
    record(entry(recipe="audio/mlp"))
    assert read_ledger("ravdess")[["recipe", "wa"]].to_numpy().tolist() == [["audio/mlp", 0.8], ["audio/svm", 0.8]]
    assert read_entries("ravdess", "audio/svm")[0]["preset"] == "quick"


def place(made: dict[str, Any]) -> None:
    target = results_root() / made["corpus"] / f"{made['recipe'].replace('/', '-')}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(made))


def test_fewer_than_five_speakers_are_recorded_without_an_interval() -> None:
    said = report(["calm", "sad"] * 4, [[0.8, 0.2, 0]] * 8, emotions=EMOTIONS, clusters="aabbccdd")
    measured = CrossValidation({7: said}, "speakers-4-folds", ("audio",), False, (1.0,), dict(COST))
    record({**entry_of(measured, recipe="audio/few", preset="full", command="fit"), "corpus": "own", "view": "all"})
    assert read_entries("own")[0]["metrics"]["ua"] == {"value": 0.5, "low": None, "high": None}
    assert read_ledger("own")["ua_low"].isna().all()
    assert "or fewer than 5 speakers" in results_table("own")


@pytest.mark.parametrize("content", ["{", "[1]", "{}", '{"corpus": "ravdess"}', "\x00", json.dumps({"metrics": 3})])
def test_read_ledger_names_the_file_that_is_broken(content: str) -> None:
    folder = results_root() / "ravdess"
    folder.mkdir(parents=True)
    (folder / "audio-svm.json").write_text(content)
    with pytest.raises(ValueError, match=r"audio-svm\.json is no ledger entry: .* Delete the file and measure again"):
        read_ledger()


@pytest.mark.parametrize("content", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_json_that_is_nested_too_deep_is_damaged(content: str) -> None:
    place(entry())
    (results_root() / "ravdess" / "audio-svm.json").write_text(content)
    with pytest.raises(ValueError, match=r"audio-svm\.json is damaged: .*recursion depth.*Delete the file"):
        read_ledger()


def test_a_figure_that_no_answer_tells_is_kept_by_the_checksum() -> None:
    path = record(entry())
    path.write_text(path.read_text().replace('"peak_mb": ', '"peak_mb": 1'))
    with pytest.raises(
        ValueError, match=r"audio-svm\.json is damaged: .*do not fit its checksum.*take it back from git"
    ):
        read_ledger()
    scores = record_scores(SCORECARD)
    scores.write_text(scores.read_text().replace("0.25", "0.35"))
    with pytest.raises(ValueError, match=r"explain-text-light-text\.json is damaged: .*checksum"):
        read_scores("talk")


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_results_table_goes_by_modality_and_puts_the_best_first() -> None:
    record(entry(recipe="fusion/late", modalities=("audio", "text"), wrong=0))
    record(entry(recipe="audio/svm", wrong=3))
    record(entry(recipe="audio/wav2vec2", wrong=1, stand_in=True))
    record(entry(recipe="text/bilstm", modalities=("text",), wrong=0))
    table, notes = results_table("ravdess").split("\n\n")
    rows = cells(table)
    assert len({len(row) for row in rows}) == 1
    recipes = ["audio/wav2vec2 (stand-in)", "audio/svm", "text/bilstm", "fusion/late"]
    assert [row[0] for row in rows[2:]] == [*recipes, "*always the most frequent emotion*"]
    assert rows[0][:5] == ["recipe", "modalities", "size", "learned from", "UA"]
    assert rows[-2][:4] == ["fusion/late", "audio + text", "light", "training set, 3 speeds"]
    assert rows[-2][4:7] == ["1.000 [1.000, 1.000]"] * 3
    assert rows[-2][-1] == "ravdess8, speakers-5-folds, n = 10, full, seeds 7 8"
    assert rows[-1][4:7] == ["0.500", "0.500", "0.333"]
    assert "A stand-in is a tiny random network" in notes
    assert "synthetic" not in notes
    assert "No interval" not in notes


def test_results_table_keeps_what_hears_later_turns_apart() -> None:
    record(entry(recipe="conversation/causal/minilm", modalities=("text",), wrong=4))
    record(entry(recipe="conversation/future/minilm", modalities=("text",), wrong=0))
    live, about, later, _ = results_table("ravdess").split("\n\n")
    assert "causal" in live
    assert "future" not in live
    assert "nobody has in a live conversation" in about
    assert "conversation/future/minilm" in later
    assert "causal" not in later


def test_results_table_keeps_what_knows_the_test_speakers_apart() -> None:
    record(entry(recipe="audio/svm", wrong=4))
    record(entry(recipe="audio/svm@per-speaker", wrong=0) | {"protocol": "speakers-5-folds, per-speaker, unlabelled"})
    unknown, about, known, _ = results_table("ravdess").split("\n\n")
    assert "@per-speaker" not in unknown
    assert "needs recordings, not labels, of the test speakers" in about
    assert known.count("audio/svm@per-speaker") == 1
    assert "audio/svm |" not in known


def test_results_table_says_what_is_synthetic() -> None:
    record({**entry(corpus="sample"), "synthetic": True})
    assert "synthetic sample: these figures say nothing about people" in results_table("sample")


def test_device_and_versions_do_not_name_the_machine() -> None:
    assert re.fullmatch(r"\d+ cores, .+", device())
    assert versions()["numpy"][0].isdigit()


def told(seed: int, *, n: int = 40) -> Report:
    """Random predictions, in an order of their own."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    truth = np.array(["calm", "sad", "angry", "sad"] * (n // 4))[order]
    clusters, utterances = ([f"{kind}{number}" for number in each] for kind, each in (("x", order % 12), ("u", order)))
    return report(truth, rng.dirichlet(np.ones(3), n), emotions=EMOTIONS, clusters=clusters, utterances=utterances)


def entry_told(*seeds: int, recipe: str = "audio/svm", n: int = 40) -> dict[str, Any]:
    reports = {seed: told(seed, n=n) for seed in seeds}
    measured = CrossValidation(reports, "speakers-4-folds", ("audio",), False, (1.0,), dict(COST))
    made = entry_of(measured, recipe=recipe, preset="full", command=f"emolab fit {recipe}")
    return {**made, "corpus": "ravdess", "view": "ravdess8"}


def test_answers_of_gives_the_same_scores_and_intervals_again() -> None:
    made = entry_told(7, 8)
    path = record(made)
    (read,) = read_entries("ravdess")
    again = answers_of(read)
    assert list(again.reports) == [7, 8]
    for name in ("ua", "wa", "weighted_f1", "macro_f1"):
        assert again.metrics[name]._asdict() == pytest.approx(made["metrics"][name])
    assert max(len(line) for line in path.read_text().splitlines()) < 40 * 10
    assert len(path.read_text().splitlines()) <= 141  # one line for all answers of a seed
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
    bare = {name: value for name, value in entry_told(7).items() if name != "answers"}
    record(bare)  # such entries are read for ever
    with pytest.raises(ValueError, match=r"audio/svm on ravdess keeps no answers.*again: emolab fit audio/svm"):
        compare_entries(bare, entry_told(7))
    with pytest.raises(
        ValueError, match=r"reports of 40 and 24 utterances, of which 64 are in one only.*expected the same"
    ):
        compare_entries(entry_told(7), entry_told(7, n=24))


def test_compare_entries_needs_the_same_training_data() -> None:
    other = {**entry_told(9), "trained_on": "training + validation sets"}
    with pytest.raises(
        ValueError, match=r"training set and .*training \+ validation sets; expected .*the same sets.*Take two"
    ):
        compare_entries(entry_told(7), other)


def test_read_entries_says_how_a_missing_one_is_measured() -> None:
    record(entry_told(7))
    assert [each["recipe"] for each in read_entries("ravdess", "audio/svm")] == ["audio/svm"]
    with pytest.raises(KeyError, match=r"no entry of audio/mlp on ravdess.*emolab fit audio/mlp --corpus ravdess"):
        read_entries("ravdess", "audio/mlp")


def test_place_of_refuses_names_that_are_no_files() -> None:
    with pytest.raises(ValueError, match=r"corpus 'my data' is no file name; expected letters.*Rename it"):
        place_of({**entry(), "corpus": "my data"})


TWO = ("happy", "sad")
N = 60
LATER = {"disk_mb": 0.25, "throughput": 1234.5}


def partly_right(n_right: int) -> Report:
    truth = [TWO[number % 2] for number in range(N)]
    right = [number < n_right for number in range(N)]
    rows = [
        [0.9, 0.1] if (emotion == "happy") == fine else [0.1, 0.9] for emotion, fine in zip(truth, right, strict=True)
    ]
    speakers = [f"s{number % 6}" for number in range(N)]
    return report(truth, rows, emotions=TWO, clusters=speakers)


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
    measured = CrossValidation({7: partly_right(n_right)}, "speakers-6-folds", modalities, stand_in, (1.0,), all_costs)
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
    rows = read_ledger("sample")
    assert rows["size"].tolist() == ["large", "small", "light", "large"]  # hubert, lstm, svm, vggish
    assert [size_class(row) for row in rows.drop(columns="size").to_dict(orient="records")] == rows["size"].tolist()


def test_costs_shows_every_cost_and_what_was_not_measured() -> None:
    put("audio/vggish", parameters=2_000_000, flops=3_000_000, stand_in=True)
    put("audio/svm", parameters=1_000, cost={})
    put("fusion/late", parameters=10, modalities=("audio", "text"))
    table = costs(read_ledger("sample"))
    assert table.index.tolist() == ["audio/svm", "audio/vggish (stand-in)", "fusion/late"]
    assert table.loc["audio/vggish (stand-in)"].to_dict() == {
        "modalities": "audio",
        "size": "large",
        "learned from": "training set",
        "parameters": "2,000,000",
        "trainable": "5",
        "million multiply-adds": "1.5",
        "disk MB": "0.25",
        "training s": "12.4",
        "peak MB": "300",
        "latency ms (p50)": "1",
        "latency ms (p95)": "2",
        "utterances a second": "1,234",
        "pretraining data": "–",
        "measured": "iemocap6, speakers-6-folds, n = 60, quick, seeds 7",
    }
    assert table.loc["audio/svm", ["million multiply-adds", "disk MB", "utterances a second"]].tolist() == ["–"] * 3
    assert table["size"].tolist() == ["light", "large", "light"]


def test_costs_say_what_is_known_of_the_pretraining_data() -> None:
    put("fusion/late", flops=1, pretrained="openai/whisper-base + sentence-transformers/all-MiniLM-L6-v2")
    put("audio/mine", flops=1, pretrained="my-own-folder")
    said = costs(read_ledger("sample"))["pretraining data"]
    assert "RAVDESS may be among it; a published list" in said["fusion/late"]
    assert said["audio/mine"] == "–"


def test_every_published_encoder_of_a_recipe_has_its_pretraining_data() -> None:
    names = {str(recipe(name, preset="full").pretrained) for name in RECIPES} - {"None"}
    known = results._TABLES["pretraining"]
    assert [name for each in names for name in each.split(" + ") if name not in known] == []


def test_qualities_has_intervals_f1_of_the_emotions_there_are_and_chance() -> None:
    made = put("audio/svm")
    put("audio/lstm", 60, flops=1, parameters=20, n_test=N)
    table = qualities(read_ledger("sample"))
    value, low, high = made["metrics"]["ua"].values()
    assert table.loc["audio/svm", "UA"] == f"{value:.3f} [{low:.3f}, {high:.3f}]"
    assert table.loc["audio/lstm", "F1 happy"] == "1.000"
    assert [name for name in table if name.startswith("F1")] == ["F1 happy", "F1 sad"]
    assert table.loc["*always the most frequent emotion*", "UA"] == "0.500"


def test_tables_say_how_each_row_was_measured() -> None:
    put("audio/svm")
    put("audio/lstm", preset="full", flops=1, parameters=20)
    how = "iemocap6, speakers-6-folds, n = 60"
    for table in (qualities(read_ledger("sample")), costs(read_ledger("sample"))):
        assert table["measured"].tolist()[:2] == [f"{how}, quick, seeds 7", f"{how}, full, seeds 7"]
        assert table["learned from"].tolist()[:2] == ["training set"] * 2


def test_sizes_table_says_what_must_be_known() -> None:
    assert sizes_table("sample") == "No results on sample yet."
    put("audio/vggish", flops=2, stand_in=True)
    written = sizes_table("sample")
    assert "| audio/vggish (stand-in) | audio | large |" in written
    for part in ("light: no network;", "A stand-in is", "say nothing about people", "n = 60, quick, seeds 7"):
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
    assert table["Δ UA"].iloc[0].startswith("0.450 [0.")
    by_flops = pairwise_comparisons(read_entries("sample"), cost="flops")
    assert (len(by_flops), len(by_flops.attrs["left_out"])) == (1, 3)


def test_neighbours_can_find_the_smaller_one_better() -> None:
    put("audio/light", 58, parameters=10)
    put("audio/small", 30, parameters=20)
    assert pairwise_comparisons(read_entries("sample"))["shown"].tolist() == ["smaller is better"]


def test_neighbours_table_lists_what_keeps_no_answers() -> None:
    assert (
        pairwise_comparisons_table("sample")
        == "No two comparable recognizers on sample have answers in the ledger yet."
    )
    put("audio/old", answers=False)
    put("audio/light", 30)
    assert "left out until measured again: audio/old." in pairwise_comparisons_table("sample")
    put("audio/small", 57, parameters=20, stand_in=True)
    written = pairwise_comparisons_table("sample")
    assert "| audio | training set | audio/light | audio/small (stand-in) | 0.4" in written
    assert "Pairs tested: 1; after Holm's correction" in written
    assert written.endswith("left out until measured again: audio/old.")


def test_comparisons_are_between_recognizers_that_learned_from_the_same_data() -> None:
    put("audio/light", 30, parameters=10)
    put("audio/small", 57, parameters=20, trained_on="training + validation sets")
    put("audio/large", 58, parameters=30)
    table = pairwise_comparisons(read_entries("sample"))
    assert table[["smaller", "larger", "learned from"]].to_numpy().tolist() == [
        ["audio/light", "audio/large", "training set"]
    ]


def test_pairs_show_f1_of_emotions_and_the_commands_that_measure_the_others() -> None:
    made = put("fusion/concat/vggish+bert", stand_in=True)
    put("audio/svm")
    header, _, row, _ = cells(pairs_table("sample").split("\n\n")[0])
    shown = dict(zip(header, row, strict=True))
    assert shown["recipe"] == "fusion/concat/vggish+bert (stand-in)"
    assert shown["F1 happy"] == f"{made['per_emotion']['happy']['f1']:.3f}"
    assert shown["weighted F1"].startswith("0.8")
    assert "A stand-in is a tiny random network" in pairs_table("sample")
    assert pairs_table("sample").count("emolab fit") == 5
    assert "`emolab fit fusion/concat/cnn-bilstm+bilstm --corpus sample --record`" in pairs_table("sample")


def test_pairs_of_a_corpus_without_results_are_all_commands() -> None:
    line = "emolab fit fusion/concat/cnn-bilstm+bilstm --corpus iemocap --preset full --record"
    assert command("fusion/concat/cnn-bilstm+bilstm", "iemocap") == line
    written = pairs_table("iemocap")
    assert written.startswith(f"Not measured yet: `{line}`;")
    assert written.count("emolab fit") == 6


def test_headlines_table_takes_named_rows_in_their_order() -> None:
    put("audio/svm")
    put("text/svm", corpus="meld", synthetic=False, parameters=7)
    rows = cells(headlines_table("sample:audio/svm meld:text/svm").split("\n\n")[0])
    assert [(row[0], row[-1].split(",")[2]) for row in rows[2:]] == [("audio/svm", " n = 60"), ("text/svm", " n = 60")]
    assert [row[-2] for row in rows] == ["parameters", "---:", "10", "7"]
    with pytest.raises(KeyError, match=r"no entry of audio/mlp on sample.*emolab fit audio/mlp --corpus sample"):
        headlines_table("sample:audio/mlp")


def test_each_maker_writes_a_table_of_a_corpus() -> None:
    put("audio/svm")
    put("audio/mlp", 30, parameters=20)
    for name in MAKERS.keys() - {"headlines", "explanations", "pairs", "leaks", "crossings", "robustness"}:
        assert "| audio |" in MAKERS[name]("sample")


def test_markdown_puts_numbers_to_the_right() -> None:
    put("audio/svm")
    first, ruler, row = markdown(costs(read_ledger("sample"))).splitlines()
    assert first.startswith("| recipe | modalities | size | learned from | parameters |")
    assert ruler.startswith("| --- | --- | --- | --- | ---: |")
    assert row.startswith("| audio/svm | audio | light | training set | 10 |")
    assert len({line.count("|") for line in (first, ruler, row)}) == 1
    assert np.char.count(row, "nan") == 0


SCORECARD: dict[str, Any] = {
    **{"corpus": "talk", "view": "all", "fold": "speakers-3-folds, 1", "recipe": "text/light", "modality": "text"},
    **{"preset": "quick", "pretrained": None, "stand_in": True, "synthetic": False, "parameters": 12, "n": 12},
    "ua": {"value": 0.5, "low": float("nan"), "high": float("nan")},  # of fewer than five speakers
    "scores": [
        {"method": "random", "measure": "pointing game", "value": 0.25, "low": 0.1, "high": 0.4, "n": 12},
        {"method": "shap-linear", "measure": "pointing game", "value": 1.0, "low": None, "high": None, "n": 12},
        {"method": "shap-linear", "measure": "seconds", "value": 0.0123, "low": None, "high": None, "n": 12},
    ],
    **{"device": "2 cores, CPU", "date": "2026-11-30", "command": "emolab explain text/light --modality text"},
}


def test_scorecards_are_read_back_alike() -> None:
    path = record_scores(SCORECARD)
    assert path == results_root() / "talk" / "explain-text-light-text.json"
    read = read_scores("talk")
    assert read.equals(frame_of({**SCORECARD, "intervals": INTERVALS}))
    assert read[["recognizer", "ua", "parameters"]].drop_duplicates().to_numpy().tolist() == [["text/light", 0.5, 12]]
    assert read["low"].tolist()[0] == 0.1
    assert json.loads(path.read_text())["ua"] == {"value": 0.5, "low": None, "high": None}
    assert read_ledger("talk").empty


def test_record_scores_refuses_an_entry_without_command() -> None:
    with pytest.raises(ValueError, match=r"scorecard of 'text/light' lacks command; expected what measure_scorecard"):
        record_scores({**SCORECARD, "command": ""})


def test_read_scores_names_a_broken_file() -> None:
    (results_root() / "talk").mkdir(parents=True)
    (results_root() / "talk" / "explain-x-text.json").write_text('{"recipe": "x"')
    with pytest.raises(ValueError, match=r"explain-x-text\.json is no ledger entry: .*measure again"):
        read_scores("talk")


def test_scores_table_has_a_row_an_explainer() -> None:
    assert scores_table("talk") == ""
    record_scores(SCORECARD)
    rows = cells(scores_table("talk"))
    assert rows[0] == ["recognizer", "method", "pointing game", "seconds"]
    assert rows[2:] == [
        ["text/light (stand-in)", "random", "0.250 [0.100, 0.400]", ""],
        ["text/light (stand-in)", "shap-linear", "1.000", "0.012"],
    ]
