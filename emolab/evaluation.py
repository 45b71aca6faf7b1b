"""Metrics, reports with intervals, paired comparison and cross-validation: what is said about a recognizer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from emolab.corpora.corpus import Corpus
from emolab.cost import measure_cost
from emolab.storage import progress

if TYPE_CHECKING:
    from emolab.recognizer import Recognizer
    from emolab.splits import Fold

METRICS: Mapping[str, str] = {  # short name: full name, in the order of every table
    "ua": "unweighted average recall",
    "wa": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "ece": "expected calibration error",
}
N_BINS = 15  # of equal width, for the calibration error
N_DRAWS = 1_000  # of the bootstrap
LIMITS = (2.5, 97.5)  # percentiles that enclose 95 %
ROW_SUM_TOLERANCE = 1e-4
N_SMOOTH = 5  # fewer clusters give a rough interval
DIFFERENCES = ("ua", "weighted_f1")  # what two recognizers are compared in
N_NAMED = 5  # an error names this many offenders

Counts = NDArray[np.float64]
Draws = dict[str, NDArray[np.float64]]


class Interval(NamedTuple):
    """A value and the 95 % bootstrap interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def accuracy(truth: Sequence[str], predicted: Sequence[str], *, labels: Sequence[str]) -> float:
    """Return the share of utterances named rightly, from 0 to 1 ("weighted accuracy", WA).

    Raises:
        ValueError: If the inputs are empty, of unequal length, or hold an emotion not in `labels`.
    """
    return float(_scores(_confusion(truth, predicted, labels).to_numpy(float))["wa"])


def unweighted_average_recall(truth: Sequence[str], predicted: Sequence[str], *, labels: Sequence[str]) -> float:
    """Average the recall of the emotions, a rare one counting as much as a frequent one ("UA").

    An emotion that never occurs in `truth` has no recall and is left out of the mean.

    Returns:
        From 0 to 1, unrounded; chance level is 1 / number of emotions in `truth`.

    Raises:
        ValueError: If the inputs are empty, of unequal length, or hold an emotion not in `labels`.

    Example:
        >>> unweighted_average_recall(["sad", "sad", "calm"], ["sad", "fear", "calm"], labels=["calm", "fear", "sad"])
        0.75
    """
    return float(_scores(_confusion(truth, predicted, labels).to_numpy(float))["ua"])


def weighted_f1(truth: Sequence[str], predicted: Sequence[str], *, labels: Sequence[str]) -> float:
    """Average the F1 of the emotions, each weighted by how often it occurs in `truth`.

    An emotion that never occurs has no weight; one that is never named has precision and F1 zero.

    Returns:
        From 0 to 1, unrounded.

    Raises:
        ValueError: If the inputs are empty, of unequal length, or hold an emotion not in `labels`.
    """
    return float(_scores(_confusion(truth, predicted, labels).to_numpy(float))["weighted_f1"])


def macro_f1(truth: Sequence[str], predicted: Sequence[str], *, labels: Sequence[str]) -> float:
    """Average the F1 of the emotions, a rare one counting as much as a frequent one.

    An emotion that neither occurs nor is named is left out of the mean; one that is named but never occurs counts 0.

    Returns:
        From 0 to 1, unrounded.

    Raises:
        ValueError: If the inputs are empty, of unequal length, or hold an emotion not in `labels`.
    """
    return float(_scores(_confusion(truth, predicted, labels).to_numpy(float))["macro_f1"])


def expected_calibration_error(truth: Sequence[str], probabilities: ArrayLike, *, labels: Sequence[str]) -> float:
    """Return how far the top probability is from the share of right answers, on average over 15 equal bins.

    Args:
        truth: The emotion of each utterance.
        probabilities: (n_utterances, n_emotions), rows sum to one, columns in the order of `labels`.
        labels: The emotions.

    Returns:
        From 0 (a recognizer that says 70 % is right in 70 %) to 1, unrounded. Small samples raise it.

    Raises:
        ValueError: If the inputs are empty, do not pair up, or are not probabilities.
    """
    said = report(truth, probabilities, emotions=labels, clusters=[""] * len(truth))
    return float(_scores(*_counts(said, np.zeros(said.n, dtype=np.int64)))["ece"][0])


@dataclass(frozen=True, eq=False)
class Report:
    """What a recognizer said about utterances, and how good that is.

    Intervals are 95 % percentile bootstraps over 1,000 draws of whole speakers, since utterances of one voice are not
    independent; where there is one speaker, of dialogues; where there is one dialogue, of utterances. Few clusters
    give rough intervals, rather too narrow. Where the bootstrap is off centre (calibration errors are), the interval
    is stretched to hold the value. All reports share their draws.

    Attributes:
        emotions: Order of the probabilities and of all tables.
        truth: (n,) the emotion of each utterance.
        probabilities: (n, n_emotions) float64, rows sum to one.
        clusters: (n,) the speaker of each utterance.
        dialogues: (n,) the dialogue of each utterance.
        utterances: (n,) utterance_id, each once.
        recognizer: Name of the recognizer.
        corpus: Name of the corpus.
        view: Name of its view.
        synthetic: Whether the corpus is the sample, whose figures say nothing about people.

    Raises:
        ValueError: If the parts do not fit together, or the probabilities are none.
    """

    emotions: tuple[str, ...]
    truth: tuple[str, ...]
    probabilities: NDArray[np.float64]
    clusters: tuple[str, ...]
    dialogues: tuple[str, ...]
    utterances: tuple[str, ...]
    recognizer: str = ""
    corpus: str = ""
    view: str = ""
    synthetic: bool = False

    def __post_init__(self) -> None:
        _check_pairs(self.truth, self.truth, self.emotions)
        _check_probabilities(self.probabilities, (self.n, len(self.emotions)))
        counts = [len(each) for each in (self.clusters, self.dialogues, self.utterances)]
        if {*counts} != {self.n}:
            raise ValueError(
                f"clusters, dialogues and utterances have {counts} entries for {self.n} utterances; expected one for "
                "each. Take all from one corpus, as evaluate(recognizer, corpus) does."
            )
        if twice := [utterance for utterance, count in Counter(self.utterances).items() if count > 1]:
            raise ValueError(
                f"utterances occur twice in a report: {twice[:N_NAMED]}; expected each once. Pool the folds of one "
                "seed only; cross_validate keeps a report for each seed."
            )

    @property
    def n(self) -> int:
        """Number of utterances."""
        return len(self.truth)

    @property
    def predicted(self) -> list[str]:
        """The likeliest emotion of each utterance; of equals, the first."""
        return [self.emotions[number] for number in self.probabilities.argmax(axis=1)]

    @property
    def clustered_by(self) -> str:
        """What the bootstrap draws: "speaker", "dialogue" or "utterance"."""
        return "speaker" if len({*self.clusters}) > 1 else "dialogue" if len({*self.dialogues}) > 1 else "utterance"

    @property
    def units(self) -> tuple[str, ...]:
        """(n,) the cluster of each utterance that the bootstrap draws as a whole."""
        return {"speaker": self.clusters, "dialogue": self.dialogues, "utterance": self.utterances}[self.clustered_by]

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Counts of utterances: a row for each true emotion, a column for each one named."""
        return _confusion(self.truth, self.predicted, self.emotions)

    @cached_property
    def draws(self) -> Draws:
        """Each metric and each emotion's F1 in (1 + 1,000,): as measured, then in the bootstrap's draws."""
        cluster, weights = cluster_draws(self.units)
        return _scores(*(np.tensordot(weights, counts, 1) for counts in _counts(self, cluster)))

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """The figures of `METRICS`, from 0 to 1, each with its interval."""
        return {name: interval_of(self.draws[name]) for name in METRICS}

    @cached_property
    def per_emotion(self) -> pd.DataFrame:
        """Precision, recall, f1 with its interval (f1_low, f1_high) and support of each emotion; NaN is undefined."""
        precision, recall, _ = _emotion_scores(self.confusion.to_numpy(float))
        table = pd.DataFrame([interval_of(draws) for draws in self.draws["f1"].T], columns=["f1", "f1_low", "f1_high"])
        table = table.assign(precision=precision, recall=recall, support=self.confusion.sum(axis=1).to_numpy())
        columns = ["precision", "recall", "f1", "support", "f1_low", "f1_high"]
        return table.set_index(pd.Index(self.emotions, name="emotion"))[columns]

    @cached_property
    def chance(self) -> dict[str, dict[str, float]]:
        """What is had for nothing: by always naming the most frequent emotion ("majority"), or guessing ("uniform")."""
        support = self.confusion.to_numpy(float).sum(axis=1)
        k = len(support)
        shares = {"majority": np.eye(k)[support.argmax()], "uniform": np.full(k, 1 / k)}
        guesses = {name: _scores(np.outer(support, share)) for name, share in shares.items()}
        return {name: {m: float(score[m]) for m in METRICS if m in score} for name, score in guesses.items()}

    def to_frame(self) -> pd.DataFrame:
        """Lay the figures beside chance: value, low, high, majority, uniform of each metric."""
        figures = pd.DataFrame.from_dict(self.metrics, orient="index", columns=["value", "low", "high"])
        return figures.join(pd.DataFrame(self.chance)).rename(index=METRICS)

    @property
    def title(self) -> str:
        """Say in a line what was measured on what, and where the intervals are rough."""
        corpus = "the synthetic " * self.synthetic + (self.corpus or "utterances")
        view = f" (view {self.view})" if self.view else ""
        n_units = len({*self.units})
        units = f"{n_units} {self.clustered_by}{'s' if n_units > 1 else ''}"
        rough = ", so few that the interval is rough" if n_units < N_SMOOTH else ""
        return f"{self.recognizer or 'report'} on {corpus}{view}: n = {self.n}, {units}{rough}"

    def __repr__(self) -> str:
        return f"{self.title}; 95 % intervals\n{self.to_frame().to_string(float_format='{:.3f}'.format, na_rep='')}"

    def _repr_html_(self) -> str:
        return f"<p>{self.title}; 95 % intervals</p>" + self.to_frame().to_html(float_format="{:.3f}".format, na_rep="")


def report(
    truth: Sequence[str],
    probabilities: ArrayLike,
    *,
    emotions: Sequence[str],
    clusters: Sequence[str],
    dialogues: Sequence[str] = (),
    utterances: Sequence[str] = (),
) -> Report:
    """Build a report from what was said about utterances: see `Report`; without `utterances` they are numbered."""
    n = len(truth)
    return Report(
        emotions=tuple(emotions),
        truth=tuple(truth),
        probabilities=np.asarray(probabilities, dtype=np.float64),
        clusters=tuple(clusters),
        dialogues=tuple(dialogues) or ("",) * n,
        utterances=tuple(utterances) or tuple(map(str, range(n))),
    )


def evaluate(recognizer: Recognizer, corpus: Corpus) -> Report:
    """Let a fitted recognizer name the emotions of a corpus it has not seen, such as `fold.test`.

    Raises:
        ValueError: If the recognizer knows other emotions than the corpus, or the corpus is empty.
    """
    if tuple(recognizer.emotions) != tuple(corpus.emotions):
        raise ValueError(
            f"recognizer {recognizer.name!r} tells {list(recognizer.emotions)}, corpus {corpus.name!r} (view "
            f"{corpus.view_name!r}) has {list(corpus.emotions)}; expected the same emotions in the same order. Fit it "
            "first, and bring the corpus to the view it was fitted on: corpus.view(…)."
        )
    columns = ("emotion", "speaker", "dialogue_id", "utterance_id")
    truth, clusters, dialogues, utterances = (tuple(corpus.table[column].fillna("")) for column in columns)
    probabilities = np.asarray(recognizer.predict_proba(corpus), dtype=np.float64)
    about = (recognizer.name, corpus.name, corpus.view_name, corpus.synthetic)
    return Report(corpus.emotions, truth, probabilities, clusters, dialogues, utterances, *about)


def pool(reports: Sequence[Report]) -> Report:
    """Join the reports of the folds of one protocol and seed, in which each utterance was tested once.

    Raises:
        ValueError: If there is none, their emotions differ, or an utterance was tested twice.
    """
    if len(kinds := {(r.emotions, r.corpus, r.view, r.recognizer) for r in reports}) != 1:
        raise ValueError(
            f"{len(reports)} reports with {len(kinds)} kinds of emotions, corpus, view and recognizer: "
            f"{sorted(map(str, kinds))[:N_NAMED]}; expected one kind. Pool the folds of one cross-validation."
        )
    names = ("truth", "clusters", "dialogues", "utterances")
    joined: dict[str, Any] = {name: sum((getattr(r, name) for r in reports), ()) for name in names}
    return replace(reports[0], probabilities=np.concatenate([r.probabilities for r in reports]), **joined)


@dataclass(frozen=True)
class Comparison:
    """Two recognizers on the same utterances.

    Attributes:
        names: Of the recognizers a and b.
        n: Number of utterances.
        only_a: How many only a named rightly.
        only_b: How many only b named rightly.
        p_value: McNemar's exact test of only_a against only_b; it takes utterances as independent, so it is too sure.
        difference: a minus b in ua and weighted_f1, with a paired bootstrap of the clusters.
    """

    names: tuple[str, str]
    n: int
    only_a: int
    only_b: int
    p_value: float
    difference: dict[str, Interval]

    def __repr__(self) -> str:
        lines = [f"{self.names[0]} minus {self.names[1]}, n = {self.n}, 95 % intervals"]
        lines += [f"{METRICS[name]}: {interval}" for name, interval in self.difference.items()]
        lines += [f"only the first right {self.only_a}, only the second {self.only_b}; McNemar p = {self.p_value:.3g}"]
        return "\n".join(lines)


def compare(a: Report | CrossValidation, b: Report | CrossValidation) -> Comparison:
    """Compare two recognizers that were asked about the same utterances, in any order.

    Of several seeds the difference is that of the means over the seeds, as in every table, in the same draws of
    clusters; the seeds need not be the same. McNemar's test takes the first seed of each, since a pool of seeds would
    count every utterance several times.

    Raises:
        ValueError: If the utterances, what is true of them, or the emotions differ.
    """
    seeds_a, seeds_b = (list(each.reports.values()) if isinstance(each, CrossValidation) else [each] for each in (a, b))
    seeds_a, seeds_b = ([_in_order_of(seeds_a[0], one) for one in each] for each in (seeds_a, seeds_b))
    first, second = seeds_a[0], seeds_b[0]
    right_a, right_b = (np.array(one.predicted) == np.array(one.truth) for one in (first, second))
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    means = {m: [np.mean([r.draws[m] for r in each], axis=0) for each in (seeds_a, seeds_b)] for m in DIFFERENCES}
    difference = {name: interval_of(mean_a - mean_b) for name, (mean_a, mean_b) in means.items()}
    return Comparison((first.recognizer or "a", second.recognizer or "b"), first.n, only_a, only_b, p_value, difference)


def _in_order_of(a: Report, b: Report) -> Report:
    """Put the utterances of b into the order of a."""
    if b is a:
        return a
    place = {utterance: number for number, utterance in enumerate(b.utterances)}
    order = [place[utterance] for utterance in a.utterances if utterance in place]
    different = {*a.utterances} ^ {*b.utterances}
    if different or a.emotions != b.emotions or a.truth != tuple(b.truth[number] for number in order):
        raise ValueError(
            f"reports of {a.n} and {b.n} utterances, of which {len(different)} are in one only, or other emotions; "
            "expected the same utterances, emotions and truth. Evaluate both recognizers on the same corpus and view."
        )
    return replace(a, probabilities=b.probabilities[order], recognizer=b.recognizer)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """A recipe measured on every fold of a protocol, with several seeds.

    Each seed has one report, in which its folds are pooled. A headline figure is the mean over the seeds. Its interval
    is a bootstrap of that mean: each draw takes the same speakers for all seeds, measures each seed and averages. So
    the interval tells what other speakers would change; what other seeds would change is told by `spread`.

    Attributes:
        reports: The pooled report of each seed.
        protocol: How the corpus was split.
        modalities: What the recognizer needs.
        stand_in: Whether a tiny network stood where a large pretrained one belongs.
        train_s: Seconds of training of each fit, seed by seed and fold by fold.
        cost: What `measure_cost` said of the last recognizer.
    """

    reports: dict[int, Report]
    protocol: str
    modalities: tuple[str, ...]
    stand_in: bool
    train_s: tuple[float, ...]
    cost: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """The mean over the seeds of each metric, with the interval of that mean."""
        return {name: interval_of(np.mean([r.draws[name] for r in self.reports.values()], axis=0)) for name in METRICS}

    @property
    def spread(self) -> pd.DataFrame:
        """Each metric (column) of each seed (row)."""
        rows = {seed: {name: r.metrics[name].value for name in METRICS} for seed, r in self.reports.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")

    @property
    def per_emotion(self) -> pd.DataFrame:
        """The mean over the seeds of precision, recall, f1 and support of each emotion."""
        columns = ["precision", "recall", "f1", "support"]
        return sum(r.per_emotion[columns] for r in self.reports.values()) / len(self.reports)

    def __repr__(self) -> str:
        first = next(iter(self.reports.values()))
        seeds = ", ".join(map(str, self.reports))
        lines = [f"{first.title}; {self.protocol}, seeds {seeds}; mean, 95 % interval"]
        return "\n".join(lines + [f"{METRICS[name]}: {interval}" for name, interval in self.metrics.items()])


def cross_validate(
    build: Callable[..., Recognizer], folds: Sequence[Fold], *, seeds: Sequence[int], show_progress: bool = True
) -> CrossValidation:
    """Fit a fresh recognizer on each fold with each seed, and test each once: see `CrossValidation`.

    Args:
        build: Makes an unfitted recognizer; called with `seed=…`.
        folds: All folds of one protocol.
        seeds: One or more, all different.
        show_progress: Whether to show a progress bar where it takes long.

    Raises:
        ValueError: If there is no fold or no seed, a seed comes twice, or the folds are of several protocols.
    """
    protocols = {fold.protocol for fold in folds}
    if len(protocols) != 1 or not seeds or len({*seeds}) < len(seeds):
        raise ValueError(
            f"folds of the protocols {sorted(protocols)} with seeds {list(seeds)}; expected all folds of one protocol "
            "and one or more different seeds: cross_validate(build, folds_of(corpus), seeds=[7, 8, 9])."
        )
    said: dict[int, list[Report]] = {seed: [] for seed in seeds}
    train_s: list[float] = []
    for seed, fold in progress([(s, f) for s in seeds for f in folds], "fits", show=show_progress):
        recognizer = build(seed=seed)
        began = time.perf_counter()
        recognizer.fit(fold.train, fold.valid)
        train_s.append(time.perf_counter() - began)
        said[seed].append(evaluate(recognizer, fold.test))
    return CrossValidation(
        reports={seed: pool(reports) for seed, reports in said.items()},
        protocol=protocols.pop(),
        modalities=tuple(recognizer.modalities),
        stand_in=bool(getattr(recognizer, "stand_in", False)),
        train_s=tuple(train_s),
        cost=measure_cost(recognizer, fold.test, train_s=float(np.mean(train_s))),
    )


def _confusion(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Count (n_emotions, n_emotions): truth down, prediction across."""
    _check_pairs(truth, predicted, labels)
    columns = [pd.Categorical(names, labels) for names in (truth, predicted)]
    return pd.crosstab(*columns, rownames=["truth"], colnames=["predicted"], dropna=False)


def _emotion_scores(confusion: Counts) -> tuple[Counts, Counts, Counts]:
    """Return precision, recall and F1, each (…, n_emotions), of (…, n_emotions, n_emotions); NaN is undefined."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, named = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where((named == 0) & (support > 0), 0.0, hits / named)
        return precision, hits / support, 2 * hits / (support + named)


def _scores(confusion: Counts, bins: Counts | None = None) -> Draws:
    """Return all metrics, each (…,), of (…, n_emotions, n_emotions) counts and (…, n_bins, 2) sums; f1 per emotion."""
    support = confusion.sum(axis=-1)
    total = support.sum(axis=-1)
    _, recall, f1 = _emotion_scores(confusion)
    scores = {"ua": np.nanmean(recall, axis=-1), "wa": np.trace(confusion, axis1=-2, axis2=-1) / total}
    scores |= {"weighted_f1": np.nansum(f1 * support, axis=-1) / total, "macro_f1": np.nanmean(f1, axis=-1), "f1": f1}
    if bins is not None:
        scores["ece"] = np.abs(bins[..., 0] - bins[..., 1]).sum(axis=-1) / total
    return scores


def _counts(said: Report, cluster: NDArray[np.int64]) -> tuple[Counts, Counts]:
    """Count in each cluster, (n,) numbers from 0, what the metrics are made of.

    Returns:
        confusion (n_clusters, n_emotions, n_emotions), and bins (n_clusters, n_bins, 2): the sums of the top
        probabilities and of the right answers that fall into each bin of the top probability.
    """
    n, k = cluster.max() + 1, len(said.emotions)
    truth = pd.Index(said.emotions).get_indexer(said.truth)
    top, named = said.probabilities.max(axis=1), said.probabilities.argmax(axis=1)
    confusion, bins = np.zeros((n, k, k)), np.zeros((n, N_BINS, 2))
    np.add.at(confusion, (cluster, truth, named), 1)
    place = np.clip(np.ceil(top * N_BINS).astype(int) - 1, 0, N_BINS - 1)  # a bin holds its upper edge
    np.add.at(bins, (cluster, place), np.stack([top, named == truth], axis=1))
    return confusion, bins


def cluster_draws(
    clusters: Sequence[str], *, n_draws: int = N_DRAWS, seed: int = 0
) -> tuple[NDArray[np.int64], Counts]:
    """Draw whole clusters with replacement.

    Returns:
        (n,) the number of each utterance's cluster, from 0, and (1 + n_draws, n_clusters) how often each cluster is
        in: once in the first row, as drawn in the others.
    """
    cluster, names = pd.factorize(np.array(clusters), sort=True)
    n = len(names)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), n_draws)
    return cluster, np.vstack([np.ones(n), drawn])


def interval_of(draws: NDArray[np.float64]) -> Interval:
    """Return the first of (1 + n_draws,) with the limits that enclose 95 % of the others, and itself."""
    value, others = float(draws[0]), draws[1:][~np.isnan(draws[1:])]  # an F1 is undefined in draws without the emotion
    if np.isnan(value) or not len(others):
        return Interval(value, np.nan, np.nan)
    low, high = np.percentile(others, LIMITS)
    return Interval(value, min(value, float(low)), max(value, float(high)))


def _check_pairs(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> None:
    """Raise unless truth and prediction pair up and use only emotions in `labels`."""
    if len(truth) == 0 or len(truth) != len(predicted):
        raise ValueError(
            f"truth has {len(truth)} emotions, predicted has {len(predicted)}; expected equally many, at "
            "least one. Take both from one corpus: recognizer.predict(fold.test) and fold.test.table."
        )
    if unknown := sorted({*truth, *predicted} - {*labels}):
        raise ValueError(
            f"emotions {unknown} are not among the labels {list(labels)}; expected one vocabulary. "
            'Bring the corpus to the recognizer\'s view first, for example corpus.view("iemocap6").'
        )


def _check_probabilities(probabilities: NDArray[np.float64], shape: tuple[int, int]) -> None:
    """Raise unless each row is a distribution over the emotions."""
    if probabilities.shape != shape:
        raise ValueError(
            f"probabilities have shape {probabilities.shape}; expected {shape}, an utterance a row and an emotion a "
            "column. Take them from recognizer.predict_proba(corpus)."
        )
    bad = ~np.isfinite(probabilities).all(axis=1) | (probabilities < 0).any(axis=1)
    bad |= np.abs(probabilities.sum(axis=1) - 1) > ROW_SUM_TOLERANCE
    if bad.any():
        raise ValueError(
            f"probabilities of {bad.sum()} rows, the first {np.flatnonzero(bad)[:N_NAMED].tolist()}, are not finite, "
            "negative, or do not sum to one; expected a distribution a row. Put a softmax behind the logits."
        )
