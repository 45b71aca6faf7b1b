"""Metrics against hand-worked numbers and scikit-learn; intervals and comparison by their properties."""

from __future__ import annotations

import doctest
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from emolab import evaluation
from emolab.corpora.corpus import Corpus
from emolab.evaluation import (
    METRICS,
    CrossValidation,
    Report,
    accuracy,
    compare,
    cross_validate,
    evaluate,
    expected_calibration_error,
    macro_f1,
    pool,
    report,
    unweighted_average_recall,
    weighted_f1,
)
from emolab.splits import Fold, speaker_folds

EMOTIONS = ("angry", "calm", "sad", "happy")
PAIRS = st.lists(st.tuples(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS)), min_size=1, max_size=40)
ALL = (accuracy, unweighted_average_recall, weighted_f1, macro_f1)


def simulated(
    n: int = 240, *, n_speakers: int = 8, skill: float = 0.3, seed: int = 0, by_speaker: float = 0.0
) -> Report:
    """A recognizer that is right now and then; `by_speaker` makes it better for some voices than for others."""
    rng = np.random.default_rng(seed)
    truth, speaker = np.arange(n) % len(EMOTIONS), np.arange(n) // len(EMOTIONS) % n_speakers
    probabilities = rng.dirichlet(np.ones(len(EMOTIONS)), n)
    skills = np.clip(skill + by_speaker * np.linspace(-1, 1, n_speakers), 0, None)
    probabilities[np.arange(n), truth] += skills[speaker]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return report([EMOTIONS[t] for t in truth], probabilities, emotions=EMOTIONS, clusters=[f"s{s}" for s in speaker])


def test_metrics_of_a_confusion_worked_by_hand() -> None:
    truth = ["angry"] * 4 + ["calm"] * 2
    named = ["angry", "angry", "angry", "calm", "calm", "sad"]
    # recalls 3/4 and 1/2; precisions 3/3, 1/2 and 0; F1 6/7, 1/2 and 0 (sad is named, never true)
    assert accuracy(truth, named, labels=EMOTIONS) == pytest.approx(4 / 6)
    assert unweighted_average_recall(truth, named, labels=EMOTIONS) == pytest.approx(5 / 8)
    assert weighted_f1(truth, named, labels=EMOTIONS) == pytest.approx((4 * 6 / 7 + 2 * 1 / 2) / 6)
    assert macro_f1(truth, named, labels=EMOTIONS) == pytest.approx((6 / 7 + 1 / 2 + 0) / 3)


def test_docstrings_tell_the_truth() -> None:
    results = doctest.testmod(evaluation)
    assert results.attempted > 0
    assert results.failed == 0


def test_unweighted_average_recall_leaves_out_an_emotion_that_never_occurs() -> None:
    assert unweighted_average_recall(["calm", "calm"], ["calm", "sad"], labels=EMOTIONS) == 0.5


@given(PAIRS)
def test_metrics_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, named = map(list, zip(*pairs, strict=True))
    occurring = sorted({*truth})
    f1 = {kind: sk.f1_score(truth, named, average=kind, zero_division=0) for kind in ("weighted", "macro")}
    assert accuracy(truth, named, labels=EMOTIONS) == pytest.approx(sk.accuracy_score(truth, named))
    recall = sk.recall_score(truth, named, labels=occurring, average="macro", zero_division=0)
    assert unweighted_average_recall(truth, named, labels=EMOTIONS) == pytest.approx(recall)
    assert weighted_f1(truth, named, labels=EMOTIONS) == pytest.approx(f1["weighted"])
    assert macro_f1(truth, named, labels=EMOTIONS) == pytest.approx(f1["macro"])


@given(PAIRS, st.permutations(EMOTIONS), st.integers(2, 4))
def test_metrics_do_not_depend_on_order_of_labels_or_rows_nor_on_copies(
    pairs: list[tuple[str, str]], labels: list[str], n_copies: int
) -> None:
    truth, named = zip(*pairs, strict=True)
    for metric in ALL:
        value = metric(truth, named, labels=EMOTIONS)
        assert 0 <= value <= 1
        assert metric(truth[::-1], named[::-1], labels=labels) == pytest.approx(value)
        assert metric(truth * n_copies, named * n_copies, labels=EMOTIONS) == pytest.approx(value)
        assert metric(truth, truth, labels=EMOTIONS) == 1


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    ("truth", "named", "message"),
    [
        ([], [], "truth has 0 emotions, predicted has 0; expected equally many, at least one"),
        (["sad"], [], "truth has 1 emotions, predicted has 0"),
        (["joy"], ["sad"], r"emotions \['joy'\] are not among the labels .* Bring the corpus to the recognizer's view"),
    ],
)
def test_metrics_refuse_what_does_not_pair_up(metric: Any, truth: list[str], named: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric(truth, named, labels=EMOTIONS)


def test_expected_calibration_error_worked_by_hand() -> None:
    # 0.95 twice (bin 15), right once: |1.90 - 1|; 0.5 (bin 8), right: |0.5 - 1|; over three utterances
    probabilities = [[0.95, 0.05], [0.95, 0.05], [0.5, 0.5]]
    error = expected_calibration_error(["sad", "calm", "sad"], probabilities, labels=["sad", "calm"])
    assert error == pytest.approx((0.9 + 0.5) / 3)


def test_expected_calibration_error_is_small_for_one_who_knows_how_sure_to_be() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    truth = np.where(rng.random(20_000) < sure, "sad", "calm")
    honest, boastful = (np.stack([p, 1 - p], axis=1) for p in (sure, np.sqrt(sure)))
    assert expected_calibration_error(truth.tolist(), honest, labels=["sad", "calm"]) < 0.02
    assert expected_calibration_error(truth.tolist(), boastful, labels=["sad", "calm"]) > 0.1


def test_report_agrees_with_the_plain_functions() -> None:
    said = simulated()
    named = said.predicted
    for name, metric in zip(("wa", "ua", "weighted_f1", "macro_f1"), ALL, strict=True):
        assert said.metrics[name].value == pytest.approx(metric(said.truth, named, labels=EMOTIONS))
    error = expected_calibration_error(said.truth, said.probabilities, labels=EMOTIONS)
    assert said.metrics["ece"].value == pytest.approx(error)
    assert said.confusion.to_numpy().tolist() == sk.confusion_matrix(said.truth, named, labels=EMOTIONS).tolist()
    precision, recall, f1, support = sk.precision_recall_fscore_support(said.truth, named, labels=EMOTIONS)
    for name, column in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        np.testing.assert_allclose(said.per_emotion[name], column)


def test_report_states_what_is_undefined() -> None:
    said = report(["sad", "sad"], [[1, 0, 0], [0, 1, 0]], emotions=("sad", "calm", "angry"), clusters="ab")
    rows = said.per_emotion[["precision", "recall", "f1"]].to_numpy()
    np.testing.assert_allclose(rows, [[1, 1 / 2, 2 / 3], [0, np.nan, 0], [np.nan, np.nan, np.nan]])


def test_report_knows_what_chance_gives() -> None:
    said = report(["sad"] * 3 + ["calm"], [[1, 0]] * 4, emotions=("sad", "calm"), clusters="aabb")
    assert said.chance["majority"]["wa"] == 0.75 == said.metrics["wa"].value
    assert said.chance["majority"]["ua"] == said.chance["uniform"]["ua"] == said.chance["uniform"]["wa"] == 0.5


@given(st.integers(0, 1_000), st.integers(1, 12), st.sampled_from([5, 40, 120]))
def test_intervals_hold_their_value_and_stay_in_range(seed: int, n_speakers: int, n: int) -> None:
    said = simulated(n, n_speakers=n_speakers, seed=seed)
    for interval in said.metrics.values():
        assert 0 <= interval.low <= interval.value <= interval.high <= 1
    defined = said.per_emotion.dropna()
    assert (defined["f1_low"] <= defined["f1"]).all()
    assert (defined["f1"] <= defined["f1_high"]).all()


def test_intervals_repeat_with_a_seed() -> None:
    assert simulated().metrics == simulated().metrics


def test_intervals_are_wider_where_fewer_speakers_say_the_same_number_of_utterances() -> None:
    widths = []
    for n_speakers in (4, 12, 60):
        ua = simulated(720, n_speakers=n_speakers, by_speaker=0.3).metrics["ua"]
        widths.append(ua.high - ua.low)
    assert widths[0] > 1.3 * widths[1] > 1.3 * widths[2]


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    expected = np.mean([simulated(240, seed=seed, n_speakers=30).metrics["wa"].value for seed in range(1_000, 1_200)])
    covered = [simulated(240, seed=seed, n_speakers=30).metrics["wa"] for seed in range(200)]
    assert 0.88 <= np.mean([interval.low <= expected <= interval.high for interval in covered]) <= 0.99


def test_report_of_ravdess_size_takes_less_than_a_second() -> None:
    said = simulated(1_440, n_speakers=24)
    began = time.perf_counter()
    repr(said)
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("clusters", "dialogues", "by"),
    [("aabb", "wxyz", "speaker"), ("aaaa", "wwxx", "dialogue"), ("aaaa", "wwww", "utterance")],
)
def test_report_draws_the_largest_units_there_are(clusters: str, dialogues: str, by: str) -> None:
    said = report(
        ["sad", "calm"] * 2, [[0.9, 0.1]] * 4, emotions=("sad", "calm"), clusters=clusters, dialogues=dialogues
    )
    assert said.clustered_by == by
    assert {"speaker": said.clusters, "dialogue": said.dialogues, "utterance": said.utterances}[by] == said.units


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, 0.5]], r"probabilities have shape \(1, 2\); expected \(2, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], r"probabilities of 1 rows, the first \[1\].*Put a softmax behind the logits"),
        ([[np.nan, 1], [1.5, -0.5]], r"probabilities of 2 rows, the first \[0, 1\]"),
    ],
)
def test_report_refuses_what_are_no_probabilities(probabilities: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(["sad", "calm"], probabilities, emotions=("sad", "calm"), clusters="ab")


def test_report_refuses_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"have \[1, 2, 2\] entries for 2 utterances; expected one for each"):
        report(["sad", "calm"], [[1, 0]] * 2, emotions=("sad", "calm"), clusters="a")


def test_report_shows_figures_beside_chance() -> None:
    for text in (repr(simulated()), simulated()._repr_html_()):
        assert "unweighted average recall" in text
        assert "majority" in text
        assert "n = 240, 8 speakers" in text


def test_report_says_where_few_clusters_make_the_interval_rough() -> None:
    assert (
        simulated(n_speakers=4).title == "report on utterances: n = 240, 4 speakers, so few that the interval is rough"
    )
    assert "rough" not in repr(simulated(n_speakers=5))


class Guesser:
    """A recognizer that has learned nothing but the shares of the emotions, and says them with some noise."""

    name, modalities, stand_in = "text/guess", ("text",), False
    n_parameters, n_trainable = 3, 2

    def __init__(self, seed: int) -> None:
        self.rng, self.emotions, self.n_fitted = np.random.default_rng(seed), (), 0

    def fit(self, train: Corpus, valid: Corpus) -> None:
        self.emotions, self.n_fitted = train.emotions, self.n_fitted + 1
        self.shares = np.bincount(train.targets(), minlength=len(self.emotions)) / len(train)

    def save(self, folder: Path) -> None:
        folder.mkdir()

    def predict_proba(self, corpus: Corpus) -> np.ndarray:
        noisy = self.shares + self.rng.dirichlet(np.ones(len(self.emotions)), len(corpus))
        return noisy / noisy.sum(axis=1, keepdims=True)


def speech(n_speakers: int = 10, n: int = 12, **fields: Any) -> Corpus:
    rows = [
        {
            "utterance_id": f"{s}-{i}",
            "speaker": f"s{s}",
            "emotion": EMOTIONS[i % 4],
            "dialogue_id": f"d{s}",
            "text": "Well.",
        }
        for s in range(n_speakers)
        for i in range(n)
    ]
    return Corpus.from_rows("own", rows, emotions=EMOTIONS, root=Path(), **fields)


def fitted(corpus: Corpus) -> Guesser:
    recognizer = Guesser(0)
    recognizer.fit(corpus, corpus)
    return recognizer


def test_evaluate_reports_on_each_utterance() -> None:
    corpus = replace(speech(synthetic=True), name="sample", view_name="iemocap4")
    said = evaluate(fitted(corpus), corpus)
    assert (said.n, said.recognizer, said.corpus, said.synthetic) == (120, "text/guess", "sample", True)
    assert said.utterances == tuple(corpus.table["utterance_id"])
    assert len({*said.units}) == 10
    assert said.title == "text/guess on the synthetic sample (view iemocap4): n = 120, 10 speakers"


@pytest.mark.parametrize("emotions", [(), ("sad", "calm"), EMOTIONS[::-1]])
def test_evaluate_refuses_other_emotions(emotions: tuple[str, ...]) -> None:
    recognizer = fitted(speech())
    recognizer.emotions = emotions
    with pytest.raises(
        ValueError, match=r"recognizer 'text/guess' tells .*expected the same emotions in the same order"
    ):
        evaluate(recognizer, speech())


def test_pool_joins_folds_into_one_report() -> None:
    corpus = speech()
    folds = speaker_folds(corpus, 5)
    said = [evaluate(fitted(fold.train), fold.test) for fold in folds]
    joined = pool(said)
    assert sorted(joined.utterances) == sorted(corpus.table["utterance_id"])
    assert joined.metrics["wa"].value == pytest.approx(
        np.average([r.metrics["wa"].value for r in said], weights=[r.n for r in said])
    )
    with pytest.raises(ValueError, match=r"utterances occur twice in a report: .* Pool the folds of one seed only"):
        pool([said[0], said[0]])
    with pytest.raises(ValueError, match="0 reports with 0 kinds"):
        pool([])


def test_pool_clusters_by_speaker_where_each_fold_had_one() -> None:
    corpus = speech(3)
    said = [evaluate(fitted(corpus), corpus.select(corpus.table["speaker"] == s)) for s in ("s0", "s1", "s2")]
    assert {r.clustered_by for r in said} == {"utterance"}
    assert pool(said).clustered_by == "speaker"


def test_compare_counts_who_was_right() -> None:
    emotions, truth = ("sad", "calm"), ["sad"] * 10
    right, wrong = [0.8, 0.2], [0.2, 0.8]
    a = report(truth, [right] * 9 + [wrong], emotions=emotions, clusters="aabbccddee")
    b = report(truth, [right] * 2 + [wrong] * 7 + [right], emotions=emotions, clusters="aabbccddee")
    result = compare(a, b)
    assert (result.only_a, result.only_b, result.n) == (7, 1, 10)
    assert result.p_value == pytest.approx(2 * (1 + 8) / 2**8)  # exact: 1 or fewer of 8, both sides
    assert result.difference["ua"].value == pytest.approx(0.9 - 0.3)
    assert "McNemar p = 0.0703" in repr(result)


def test_compare_is_antisymmetric_and_finds_no_difference_to_itself() -> None:
    a, b = simulated(seed=1, skill=0.5), simulated(seed=2)
    there, back = compare(a, b), compare(b, a)
    assert there.p_value == pytest.approx(back.p_value)
    for name, interval in there.difference.items():
        np.testing.assert_allclose(
            interval, (-back.difference[name].value, -back.difference[name].high, -back.difference[name].low)
        )
        assert tuple(compare(a, a).difference[name]) == (0, 0, 0)
    assert compare(a, a).p_value == 1


def test_compare_finds_utterances_in_any_order() -> None:
    a, b = simulated(seed=1), simulated(seed=2)
    turned = report(
        b.truth[::-1],
        b.probabilities[::-1],
        emotions=EMOTIONS,
        clusters=b.clusters[::-1],
        utterances=b.utterances[::-1],
    )
    assert compare(a, turned).difference == compare(a, b).difference


def test_compare_takes_the_mean_over_seeds_and_mcnemar_of_the_first() -> None:
    a, b, c = (simulated(seed=seed, skill=skill) for seed, skill in ((1, 0.5), (2, 0.3), (3, 0.3)))
    several = CrossValidation({7: b, 8: c}, "speakers-5-folds", ("audio",), False, ())
    result = compare(a, several)
    means = np.mean([compare(a, each).difference["ua"].value for each in (b, c)])
    assert result.difference["ua"].value == pytest.approx(means)
    assert (result.only_a, result.only_b) == (compare(a, b).only_a, compare(a, b).only_b)
    assert compare(a, CrossValidation({9: b}, "", ("audio",), False, ())) == compare(a, b)


def test_compare_refuses_different_utterances() -> None:
    with pytest.raises(ValueError, match=r"reports of 240 and 120 utterances, of which 120 are in one only"):
        compare(simulated(240), simulated(120))


@pytest.fixture(scope="module")
def measured() -> CrossValidation:
    return cross_validate(Guesser, speaker_folds(speech(), 5), seeds=[7, 8, 9], show_progress=False)


def test_cross_validate_keeps_a_pooled_report_for_each_seed(measured: CrossValidation) -> None:
    assert list(measured.reports) == [7, 8, 9]
    assert {r.n for r in measured.reports.values()} == {120}
    assert measured.protocol == "speakers-5-folds"
    assert len(measured.train_s) == 15
    assert measured.cost["parameters"] == 3


def test_cross_validate_averages_over_seeds_and_keeps_the_spread(measured: CrossValidation) -> None:
    assert list(measured.spread) == list(METRICS)
    assert list(measured.spread.index) == [7, 8, 9]
    assert measured.spread["ece"].nunique() == 3
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(measured.spread[name].mean())
        assert interval.low <= interval.value <= interval.high
    assert measured.per_emotion["support"].tolist() == [30, 30, 30, 30]
    assert "speakers-5-folds, seeds 7, 8, 9" in repr(measured)


def test_cross_validate_with_one_seed_gives_the_interval_of_its_report() -> None:
    one = cross_validate(Guesser, speaker_folds(speech(), 5), seeds=[7], show_progress=False)
    assert one.metrics == one.reports[7].metrics


def test_cross_validate_builds_a_fresh_recognizer_for_each_fit() -> None:
    built: list[Guesser] = []

    def build(seed: int) -> Guesser:
        built.append(Guesser(seed))
        return built[-1]

    cross_validate(build, speaker_folds(speech(), 3), seeds=[1, 2], show_progress=False)
    assert [recognizer.n_fitted for recognizer in built] == [1] * 6


@pytest.mark.parametrize(
    ("folds", "seeds"),
    [([], [7]), ([SimpleNamespace(protocol="a"), SimpleNamespace(protocol="b")], [7])]
    + [([SimpleNamespace(protocol="a")], seeds) for seeds in ([], [7, 7])],
)
def test_cross_validate_needs_one_protocol_and_different_seeds(folds: list[Fold], seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="expected all folds of one protocol and one or more different seeds"):
        cross_validate(Guesser, folds, seeds=seeds)
