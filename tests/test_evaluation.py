"""Metrics against hand-worked numbers and scikit-learn; intervals by simulation; comparison by its properties."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn import metrics as sk

from emolab import evaluation
from emolab.corpora import Corpus
from emolab.evaluation import (
    METRICS,
    CrossValidation,
    Report,
    clustered_interval,
    clustered_ratio,
    compare,
    cross_validate,
    evaluate,
    interval_of,
    leave_one_out,
    pool,
    report,
    rows_out_of_step,
)
from emolab.recipes import recipe
from emolab.splits import Fold, speaker_folds

EMOTIONS = ("angry", "calm", "sad", "happy")
PAIRS = st.lists(st.tuples(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS)), min_size=1, max_size=40)
ALL = ("ua", "weighted_f1")


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


def named(truth: list[str], predicted: list[str], emotions: tuple[str, ...] = EMOTIONS) -> Report:
    """Predictions that are certain."""
    certain = np.eye(len(emotions))[[emotions.index(one) for one in predicted]]
    return report(truth, certain, emotions=emotions, clusters=["a"] * len(truth))


def calibration_error(truth: list[str], probabilities: Any, labels: tuple[str, ...]) -> float:
    return report(truth, probabilities, emotions=labels, clusters=["a"] * len(truth)).metrics["ece"].value


def test_metrics_of_a_confusion_worked_by_hand() -> None:
    truth = ["angry"] * 4 + ["calm"] * 2
    predicted = ["angry", "angry", "angry", "calm", "calm", "sad"]
    # recalls 3/4 and 1/2; precisions 3/3, 1/2 and 0; F1 6/7, 1/2 and 0 (sad is predicted, never true)
    metrics = named(truth, predicted).metrics
    expected = {"wa": 4 / 6, "ua": 5 / 8, "weighted_f1": (4 * 6 / 7 + 2 * 1 / 2) / 6, "macro_f1": (6 / 7 + 1 / 2) / 3}
    assert {name: metrics[name].value for name in expected} == pytest.approx(expected)


def test_unweighted_average_recall_leaves_out_an_emotion_that_never_occurs() -> None:
    assert named(["calm", "calm"], ["calm", "sad"]).metrics["ua"].value == 0.5


@given(PAIRS)
def test_metrics_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = map(list, zip(*pairs, strict=True))
    f1 = {kind: sk.f1_score(truth, predicted, average=kind, zero_division=0) for kind in ("weighted", "macro")}
    recall = sk.recall_score(truth, predicted, labels=sorted({*truth}), average="macro", zero_division=0)
    metrics = {name: one.value for name, one in named(truth, predicted).metrics.items()}
    assert metrics["wa"] == pytest.approx(sk.accuracy_score(truth, predicted))
    assert metrics["ua"] == pytest.approx(recall)
    assert metrics["weighted_f1"] == pytest.approx(f1["weighted"])
    assert metrics["macro_f1"] == pytest.approx(f1["macro"])


@given(PAIRS, st.permutations(EMOTIONS), st.integers(2, 4))
def test_metrics_do_not_depend_on_order_of_labels_or_rows_nor_on_copies(
    pairs: list[tuple[str, str]], labels: list[str], n_copies: int
) -> None:
    truth, predicted = map(list, zip(*pairs, strict=True))
    for metric in ALL:
        value = named(truth, predicted).metrics[metric].value
        assert 0 <= value <= 1
        assert named(truth[::-1], predicted[::-1], tuple(labels)).metrics[metric].value == pytest.approx(value)
        assert named(truth * n_copies, predicted * n_copies).metrics[metric].value == pytest.approx(value)
        assert named(truth, truth).metrics[metric].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ([], "a report of no utterance; expected at least one. Take a corpus or a fold that has some"),
        (["joy"], r"emotions \['joy'\] are not among the labels .* Bring the corpus to the recognizer's view"),
    ],
)
def test_a_report_refuses_what_is_no_truth(truth: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(truth, np.full((len(truth), 4), 0.25), emotions=EMOTIONS, clusters=["a"] * len(truth))


def test_expected_calibration_error_worked_by_hand() -> None:
    # 0.95 twice (bin 15), right once: |1.90 - 1|; 0.5 (bin 8), right: |0.5 - 1|; over three utterances
    probabilities = [[0.95, 0.05], [0.95, 0.05], [0.5, 0.5]]
    error = calibration_error(["sad", "calm", "sad"], probabilities, ("sad", "calm"))
    assert error == pytest.approx((0.9 + 0.5) / 3)


def test_expected_calibration_error_is_small_for_one_who_knows_how_sure_to_be() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 20_000)
    truth = np.where(rng.random(20_000) < sure, "sad", "calm")
    honest, boastful = (np.stack([p, 1 - p], axis=1) for p in (sure, np.sqrt(sure)))
    assert calibration_error(truth.tolist(), honest, ("sad", "calm")) < 0.02
    assert calibration_error(truth.tolist(), boastful, ("sad", "calm")) > 0.1


def test_report_agrees_with_scikit_learn() -> None:
    said = simulated()
    named = said.predicted
    assert said.metrics["ua"].value == pytest.approx(sk.balanced_accuracy_score(said.truth, named))
    assert said.metrics["wa"].value == pytest.approx(sk.accuracy_score(said.truth, named))
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


@given(st.integers(0, 1_000), st.integers(1, 12), st.sampled_from([24, 40, 120]))
def test_intervals_stay_in_range_and_need_five_speakers(seed: int, n_speakers: int, n: int) -> None:
    said = simulated(n, n_speakers=n_speakers, seed=seed)
    enough = len({*said.clusters}) >= 5
    for interval in said.metrics.values():
        assert 0 <= interval.value <= 1
        assert (0 <= interval.low <= interval.value <= interval.high <= 1) if enough else np.isnan(interval[1:]).all()
    assert said.per_emotion["f1_low"].isna().all() or enough


def test_interval_of_is_the_cluster_jackknife_worked_by_hand() -> None:
    # a mean of five speakers is Student's t of their means: the textbook interval
    means = np.array([0.2, 0.3, 0.5, 0.4, 0.6])
    found = interval_of(leave_one_out(means) / [5, 4, 4, 4, 4, 4], [7] * 5)
    error = means.std(ddof=1) / np.sqrt(5)
    assert found == pytest.approx((0.4, 0.4 - 2.776445 * error, 0.4 + 2.776445 * error))
    assert interval_of(found[:1] * 6, [7] * 5) == (0.4, 0.4, 0.4)
    assert interval_of(leave_one_out(means) / [5, 4, 4, 4, 4, 4], [7] * 5, within=(0.35, 0.45))[1:] == (0.35, 0.45)


def test_interval_of_counts_speakers_of_unequal_size_by_kish() -> None:
    replicates, sizes = [0.5, 0.4, 0.5, 0.6, 0.5, 0.45, 0.55], [60, 30, 10, 10, 5, 5]
    equal, unequal = interval_of(replicates, [1] * 6), interval_of(replicates, sizes)
    degrees = 120**2 / (60**2 + 30**2 + 2 * 10**2 + 2 * 5**2) - 1
    ratio = student.ppf(0.975, degrees) / student.ppf(0.975, 5)
    assert unequal.high - 0.5 == pytest.approx((equal.high - 0.5) * ratio)


def test_interval_of_has_no_limits_where_a_replicate_is_undefined() -> None:
    assert np.isnan(interval_of([0.5, 0.4, np.nan, 0.6, 0.5, 0.45], [1] * 5)[1:]).all()


def test_intervals_are_wider_where_fewer_speakers_say_the_same_number_of_utterances() -> None:
    widths = []
    for n_speakers in (5, 12, 60):
        ua = simulated(720, n_speakers=n_speakers, by_speaker=0.3).metrics["ua"]
        widths.append(ua.high - ua.low)
    assert widths[0] > 1.3 * widths[1] > 1.3 * widths[2]


N_SIMULATED = 3_000
COVERAGE = (0.93, 0.97)  # of an interval that says 95 %


def worlds(n: int, sizes: NDArray[np.int64], k: int, seed: int) -> list[NDArray[np.float64]]:
    """Draw `n` corpora of speakers and two recognizers: (n_speakers, n, k, k) confusions of each.

    Both find some speakers, and some emotions of a speaker, harder than others; utterances of one speaker and emotion
    are correlated, and a speaker has more of some emotions than of others.
    """
    rng = np.random.default_rng(seed)
    shape = (len(sizes), n)
    counts = rng.multinomial(sizes[:, None], rng.dirichlet(np.full(k, 5.0), shape))  # (n_speakers, n, k)
    shared = 0.5 * rng.standard_normal((*shape, 1)) + 0.5 * rng.standard_normal((*shape, k))
    confusions = []
    for skill in (0.2, 0.5):
        accuracy = 1 / (1 + np.exp(-(skill + shared + 0.3 * rng.standard_normal((*shape, k)))))
        accuracy = rng.beta(15 * accuracy, 15 * (1 - accuracy))
        hits = rng.binomial(counts, accuracy)
        confusion = rng.multinomial(counts - hits, (1 - np.eye(k)) / (k - 1)).astype(float)
        confusions.append(confusion + hits[..., None] * np.eye(k))
    return confusions


def covered(values: NDArray[np.float64], sizes: NDArray[np.int64], truth: float) -> float:
    """Return in how many of the columns of replicates the interval holds the truth."""
    intervals = [interval_of(column, sizes) for column in values.T]
    return float(np.mean([one.low <= truth <= one.high for one in intervals]))


def assert_covers(sizes: NDArray[np.int64], k: int) -> None:
    """Assert that intervals of a metric and of a paired difference hold the value of endlessly many speakers."""
    truths = [{m: v.mean() for m, v in scores_of(each).items()} for each in worlds(20, np.full(4_000, 60), k, seed=1)]
    found = [scores_of(leave_one_out(each)) for each in worlds(N_SIMULATED, sizes, k, seed=len(sizes))]
    for metric in ("ua", "weighted_f1"):
        a, b = (each[metric] for each in found)
        assert COVERAGE[0] <= covered(a, sizes, truths[0][metric]) <= COVERAGE[1]
        assert COVERAGE[0] <= covered(a - b, sizes, truths[0][metric] - truths[1][metric]) <= COVERAGE[1]


def scores_of(confusions: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of (…, k, k) confusions; of those of speakers (4,000, …), of all speakers together."""
    return evaluation._scores(confusions.sum(axis=0) if len(confusions) == 4_000 else confusions)


@pytest.mark.parametrize(("n_speakers", "k"), [(5, 6), (6, 6), (6, 8), (10, 6), (12, 7), (24, 8)])
def test_intervals_cover_what_they_say_for_few_speakers(n_speakers: int, k: int) -> None:
    assert_covers(np.full(n_speakers, 60), k)


@pytest.mark.parametrize(
    "sizes",
    [
        np.geomspace(10, 200, 10).astype(int),
        np.array([356, 346, 340, 317, 292, 270] + [20] * 10 + [8] * 34 + [4] * 30),  # about the test set of MELD
    ],
    ids=["ten", "meld"],
)
def test_intervals_cover_what_they_say_where_speakers_differ_in_size(sizes: NDArray[np.int64]) -> None:
    assert_covers(sizes, 7)


def test_intervals_of_reports_cover_what_they_say() -> None:
    expected = np.mean([simulated(240, seed=seed, n_speakers=30).metrics["wa"].value for seed in range(1_000, 1_300)])
    intervals = [simulated(240, seed=seed, n_speakers=30).metrics["wa"] for seed in range(300)]
    assert 0.92 <= np.mean([interval.low <= expected <= interval.high for interval in intervals]) <= 0.98


def test_report_of_ravdess_size_takes_less_than_a_second() -> None:
    said = simulated(1_440, n_speakers=24)
    began = time.perf_counter()
    repr(said)
    assert time.perf_counter() - began < 1


def test_clustered_interval_is_that_of_a_report() -> None:
    said = simulated(n_speakers=7)
    right = np.array(said.predicted) == np.array(said.truth)
    assert clustered_interval(right, said.clusters) == pytest.approx(said.metrics["wa"])


def test_clustered_interval_weighs_and_leaves_out() -> None:
    speakers = list("abcdef")
    assert clustered_interval([1, np.nan, 2, 6, 3, 4], speakers).value == pytest.approx(16 / 5)
    weighted = clustered_interval([1, 5, 2, 6, 0, 0], speakers, weights=[1, 0, 1, 2, 0, 0])
    assert weighted.value == pytest.approx(15 / 4)
    assert np.isnan(clustered_interval([np.nan, np.nan], ["a", "b"])).all()
    assert np.isnan(clustered_interval([], [])).all()
    assert np.isnan(clustered_interval([1, 2, 3, 4], list("abcd"))[1:]).all()
    with pytest.raises(ValueError, match=r"denominators \(2,\) and clusters \(1,\) differ in shape"):
        clustered_interval([1, 2], ["a"])


def test_clustered_ratio_is_a_ratio_of_means() -> None:
    found = clustered_ratio([1, 3, np.nan, 5, 2, 2, 2], [2, 4, 9, np.nan, 2, 2, 2], list("abcdefg"))
    assert found.value == pytest.approx(10 / 12)
    assert found.low < found.value < found.high
    assert np.isnan(clustered_ratio([1, 2], [1, -1], ["a", "b"]).value)
    assert np.isfinite(clustered_ratio([1] * 6, [1e-12, 2, 2, 2, 2, 2], list("abcdef"))).all()


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, 0.5]], r"probabilities have shape \(1, 2\); expected \(2, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], r"probabilities of 1 rows \(1\).*Put a softmax behind the logits"),
        ([[np.nan, 1], [1.5, -0.5]], r"probabilities of 2 rows \(0, 1\)"),
    ],
)
def test_report_refuses_what_are_no_probabilities(probabilities: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report(["sad", "calm"], probabilities, emotions=("sad", "calm"), clusters="ab")


def test_report_refuses_parts_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"have \[1, 2\] entries for 2 utterances; expected one for each"):
        report(["sad", "calm"], [[1, 0]] * 2, emotions=("sad", "calm"), clusters="a")


def test_report_shows_figures_beside_chance() -> None:
    for text in (repr(simulated()), simulated()._repr_html_()):
        assert "unweighted average recall" in text
        assert "majority" in text
        assert "n = 240, 95 % intervals over 8 speakers" in text


def test_report_says_why_there_is_no_interval() -> None:
    few = simulated(n_speakers=2)
    assert few.title == "report on utterances: n = 240, no interval: 2 speakers, at least 5 are needed"
    assert "95 %" not in repr(few)
    assert str(few.metrics["ua"]) == f"{few.metrics['ua'].value:.3f}"
    assert "no interval" not in repr(simulated(n_speakers=5))


class Guesser:
    """A recognizer that has learned nothing but the shares of the emotions, and says them with some noise."""

    name, modalities, stand_in, training_data = "text/guess", ("text",), False, "training set"
    n_parameters, n_trainable, per_speaker = 3, 2, False

    def __init__(self, seed: int) -> None:
        self.rng, self.emotions, self.n_fitted = np.random.default_rng(seed), (), 0

    def fit(self, train: Corpus, valid: Corpus) -> None:
        self.emotions, self.n_fitted = train.emotions, self.n_fitted + 1
        self.shares = np.bincount(train.targets(), minlength=len(self.emotions)) / len(train)

    def save(self, folder: Path) -> None:
        folder.mkdir()

    def usable(self, corpus: Corpus) -> Corpus:
        return corpus

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
    assert len(said.sizes) == 10
    assert said.title == "text/guess on the synthetic sample (view iemocap4): n = 120, 95 % intervals over 10 speakers"


@pytest.mark.parametrize(("emotions", "known"), [((), "no emotion yet"), (("sad", "calm"), "sad, calm")])
def test_evaluate_refuses_emotions_that_the_recognizer_does_not_know(emotions: tuple[str, ...], known: str) -> None:
    recognizer = fitted(speech())
    recognizer.emotions = emotions
    remedy = r'has angry, .*happy too; expected no others\. Map or leave them out: corpus\.merged\(angry="…"\)'
    with pytest.raises(ValueError, match=rf"'text/guess' knows {known}; corpus 'own' {remedy}"):
        evaluate(recognizer, speech())


def test_evaluate_takes_emotions_in_another_order() -> None:
    corpus, turned = speech(), replace(speech(), emotions=EMOTIONS[::-1])
    assert evaluate(fitted(corpus), turned).metrics == evaluate(fitted(corpus), corpus).metrics
    assert evaluate(fitted(corpus), turned).emotions == EMOTIONS


def test_evaluate_takes_a_corpus_with_fewer_emotions_and_counts_what_is_beyond() -> None:
    recognizer, fewer = fitted(speech()), speech().only("sad", "happy")
    recognizer.predict_proba = lambda corpus: np.eye(4)[[1, *corpus.table.index[1:] % 2 + 2]]  # type: ignore[method-assign]
    said = evaluate(recognizer, fewer)
    assert (said.n, said.emotions, said.view) == (60, EMOTIONS, "sad+happy")
    assert said.title.endswith("1 predicted as calm, which never occurs")
    assert said.confusion.loc["sad"].tolist() == [0, 1, 29, 0]
    assert said.metrics["ua"].value == pytest.approx((29 / 30 + 1) / 2)  # over the two that occur


def test_evaluate_takes_names_of_another_corpus_by_a_mapping() -> None:
    recognizer, other = fitted(speech()), speech().merged(happy="Joy", sad="Sadness")
    with pytest.raises(ValueError, match=r'has Sadness, Joy too.*corpus\.merged\(Sadness="…"\)'):
        evaluate(recognizer, other)
    mapped = other.merged(Joy="happy", Sadness="sad")
    assert mapped.view_name == "sad=Sadness+happy=Joy > Sadness=sad+Joy=happy"
    assert evaluate(recognizer, mapped).n == 120


@pytest.mark.parametrize("given", [["a.wav"], "a.wav", np.zeros(3)])
def test_evaluate_says_that_it_was_given_no_corpus(given: Any) -> None:
    with pytest.raises(TypeError, match=rf"evaluate was given {type(given).__name__}; expected a Corpus with labels"):
        evaluate(fitted(speech()), given)


def test_evaluate_needs_labels() -> None:
    with pytest.raises(ValueError, match="corpus 'unlabelled' has no labels; expected an emotion for each"):
        evaluate(fitted(speech()), Corpus.of_files(["Well."], "text"))


def told(labels: Any) -> Fold:
    """Twelve speakers who say words that give their emotion away, each utterance another."""
    rng = np.random.default_rng(0)
    rows = [
        {"utterance_id": f"{s}-{i}", "speaker": f"s{s}", "emotion": emotion, "text": f"{emotion} {rng.integers(1_000)}"}
        for s in range(12)
        for i, emotion in enumerate(EMOTIONS * 3)
    ]
    corpus = Corpus.from_rows("own", rows, emotions=EMOTIONS, root=Path())
    return speaker_folds(replace(corpus, table=labels(corpus.table)), 3)[0]


def test_rows_out_of_step_says_nothing_where_features_tell_the_emotion() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = rows_out_of_step(partial(recipe, "text/logistic-regression"), told(lambda table: table))
    assert found["own"] > 0.9 > 0.5 > found["shuffled"]


def test_rows_out_of_step_warns_where_labels_are_of_other_rows() -> None:
    def shifted(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(emotion=table["emotion"].sample(frac=1, random_state=1).array)

    with pytest.warns(
        UserWarning, match=r"UA 0\.\d+ on speakers-3-folds/1, and 0\.\d+ with labels shuffled.*out of step"
    ):
        found = rows_out_of_step(partial(recipe, "text/logistic-regression"), told(shifted), seed=1)
    assert found["own"] <= found["shuffled"] < 0.5


def test_rows_out_of_step_warns_where_labels_leak_into_features() -> None:
    class Peeking(Guesser):
        def fit(self, train: Corpus, valid: Corpus, *, train_only: bool) -> None:
            assert train_only
            super().fit(train, valid)

        def predict_proba(self, corpus: Corpus) -> np.ndarray:
            return np.eye(len(self.emotions))[corpus.targets()]

    with pytest.warns(UserWarning, match=r"UA 1\.000 on .*, and 1\.000 with labels shuffled among rows: .*labels leak"):
        assert rows_out_of_step(Peeking, told(lambda table: table)) == {"own": 1.0, "shuffled": 1.0}


def test_pool_joins_folds_into_one_report() -> None:
    corpus = speech()
    folds = speaker_folds(corpus, 5)
    said = [evaluate(fitted(fold.train), fold.test) for fold in folds]
    joined = pool(said)
    assert sorted(joined.utterances) == sorted(corpus.table["utterance_id"])
    assert joined.metrics["wa"].value == pytest.approx(
        np.average([r.metrics["wa"].value for r in said], weights=[r.n for r in said])
    )
    with pytest.raises(ValueError, match=r"utterances occur twice: .*; expected each once. Pool folds of one seed"):
        pool([said[0], said[0]])
    with pytest.raises(ValueError, match="0 reports of 0 kinds"):
        pool([])


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
        assert interval.low < interval.value < interval.high
        np.testing.assert_allclose(
            interval, (-back.difference[name].value, -back.difference[name].high, -back.difference[name].low)
        )
        assert tuple(compare(a, a).difference[name]) == (0, 0, 0)
    assert compare(a, a).p_value == 1


def test_compare_says_when_two_were_not_trained_on_the_same_data() -> None:
    a, b = simulated(seed=1), simulated(seed=2)
    assert "not trained on the same data" not in repr(compare(a, b))
    other = replace(b, trained_on="training + validation sets")
    told = "not trained on the same data: training set against training + validation sets"
    assert told in repr(compare(replace(a, trained_on="training set"), other))


def test_compare_says_why_there_is_no_interval() -> None:
    a, b = simulated(n_speakers=4, seed=1), simulated(n_speakers=4, seed=2)
    assert np.isnan(compare(a, b).difference["ua"].low)
    assert "n = 240, no interval, which needs 5 speakers" in repr(compare(a, b))
    assert "95 % intervals over speakers" in repr(compare(simulated(seed=1), simulated(seed=2)))


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
    return cross_validate(Guesser, speaker_folds(speech(), 5), seeds=[7, 8, 9])


def test_cross_validate_keeps_a_pooled_report_for_each_seed(measured: CrossValidation) -> None:
    assert list(measured.reports) == [7, 8, 9]
    assert {r.n for r in measured.reports.values()} == {120}
    assert measured.protocol == "speakers-5-folds"
    assert len(measured.train_s) == 15
    assert measured.cost["parameters"] == 3
    assert measured.trained_on == "training set"


def test_cross_validate_averages_over_seeds_and_keeps_the_spread(measured: CrossValidation) -> None:
    assert list(measured.spread) == list(METRICS)
    assert list(measured.spread.index) == [7, 8, 9]
    assert measured.spread["ece"].nunique() == 3
    for name, interval in measured.metrics.items():
        assert interval.value == pytest.approx(measured.spread[name].mean())
        assert interval.low <= interval.value <= interval.high
    assert measured.per_emotion["support"].tolist() == [30, 30, 30, 30]
    assert "speakers-5-folds, learned from the training set, seeds 7, 8, 9" in repr(measured)


def test_cross_validate_with_one_seed_gives_the_interval_of_its_report() -> None:
    one = cross_validate(Guesser, speaker_folds(speech(), 5), seeds=[7])
    assert one.metrics == one.reports[7].metrics


def test_cross_validate_builds_a_fresh_recognizer_for_each_fit() -> None:
    built: list[Guesser] = []

    def build(seed: int) -> Guesser:
        built.append(Guesser(seed))
        return built[-1]

    cross_validate(build, speaker_folds(speech(), 3), seeds=[1, 2])
    assert [recognizer.n_fitted for recognizer in built] == [1] * 6


@pytest.mark.parametrize(
    ("folds", "seeds"),
    [([], [7]), ([SimpleNamespace(protocol="a"), SimpleNamespace(protocol="b")], [7])]
    + [([SimpleNamespace(protocol="a")], seeds) for seeds in ([], [7, 7])],
)
def test_cross_validate_needs_one_protocol_and_different_seeds(folds: list[Fold], seeds: list[int]) -> None:
    with pytest.raises(ValueError, match=r"expected one protocol, different seeds\. Take folds_of"):
        cross_validate(Guesser, folds, seeds=seeds)
