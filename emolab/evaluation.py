"""Metrics, reports with confidence intervals, paired comparison and cross-validation of recognizers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from timeit import timeit
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import joblib
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit
from scipy.stats import binomtest

from emolab.corpora.corpus import RATINGS, Corpus, some
from emolab.cost import measure_cost
from emolab.models.light import concordance_correlation
from emolab.storage import progress

if TYPE_CHECKING:
    from emolab.recognizer import Recognizer
    from emolab.splits import Fold

METRICS: Mapping[str, str] = {  # short name: full name, in the order of every table
    **{"ua": "unweighted average recall", "wa": "accuracy", "weighted_f1": "weighted F1", "macro_f1": "macro F1"},
    "ece": "expected calibration error",
}
NAMES = dict(METRICS) | {"ccc": "concordance correlation coefficient"}
N_BINS = 15  # of equal width, for the calibration error
MIN_SPEAKERS = 5  # fewer give no interval
CONFIDENCE = 0.95
MIN_FREEDOM = 0.1  # degrees; where one speaker has nearly all utterances the interval is the whole range
ROW_SUM_TOLERANCE = 1e-4
DIFFERENCES = ("ua", "weighted_f1", "ccc")  # what two recognizers are compared in, as far as it is there
PER_SPEAKER = "per-speaker, unlabelled"  # behind the protocol of recognizers that take test speakers' own means
N_SHUFFLES = 5  # of the labels, to see that a recognizer falls to chance
EMOTION_COLUMNS = ["precision", "recall", "f1", "support"]

Names = Sequence[str]
Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A value and its 95 % confidence interval; the limits are NaN where there is none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f}" + ("" if np.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]")


def interval_of(replicates: ArrayLike, sizes: ArrayLike, *, within: Sequence[float] = (-np.inf, np.inf)) -> Interval:
    """Compute a 95 % interval from jackknife replicates that leave out one speaker each.

    The cluster jackknife (CV3) of MacKinnon, Nielsen and Webb (2023, "Cluster-robust inference: a guide to empirical
    practice"), with Student's t. The degrees of freedom are the number of speakers less 1; where speakers differ in
    size, Kish's effective number, (sum of sizes)² / sum of sizes², takes its place.

    Args:
        replicates: (1 + n_speakers,) the value of all speakers, then without each speaker: see `leave_one_out`.
        sizes: (n_speakers,) how much each speaker counts, such as the number of utterances.
        within: Range of the value, at which the interval is cut off.

    Returns:
        Value and limits; the limits are NaN below 5 speakers, and where a replicate is undefined.
    """
    (value, *others), size = np.asarray(replicates, float), np.asarray(sizes, float)
    n = len(others)
    if n < MIN_SPEAKERS or not np.isfinite(others).all():
        return Interval(float(value), np.nan, np.nan)
    freedom = size.sum() ** 2 / (size**2).sum() - 1
    margin = np.sqrt((n - 1) * np.var(others)) * stdtrit(max(freedom, MIN_FREEDOM), (1 + CONFIDENCE) / 2)
    low, high = np.clip([value - margin, value + margin], within[0], within[1])
    return Interval(float(value), float(low), float(high))


def leave_one_out(sums: Floats) -> Floats:
    """Add up (n_speakers, …) counts or sums over all speakers, then without each: (1 + n_speakers, …).

    Below 5 speakers, where there is no interval, only over all: (1, …).
    """
    total = sums.sum(axis=0, keepdims=True)
    return np.concatenate([total, total - sums]) if len(sums) >= MIN_SPEAKERS else total


def clustered_interval(values: ArrayLike, clusters: Names, *, weights: ArrayLike | None = None) -> Interval:
    """Return the mean over utterances with the interval of `interval_of`.

    Args:
        values: (n,) of each utterance; NaN ones are left out.
        clusters: (n,) the speaker of each.
        weights: (n,) how much each counts, not below 0; alike where None.

    Returns:
        NaN where no value is left; limits of NaN below 5 speakers.

    Raises:
        ValueError: If values, clusters and weights do not pair up.
    """
    each = np.asarray(values, float)
    counted = np.ones_like(each) if weights is None else np.asarray(weights, float)
    return clustered_ratio(each * counted, counted, clusters)


def clustered_ratio(numerators: ArrayLike, denominators: ArrayLike, clusters: Names) -> Interval:
    """Return the ratio of two means over utterances with the interval of `interval_of`.

    A ratio of means, not a mean of ratios: utterances whose denominator is near 0 do not blow it up.

    Args:
        numerators: (n,) of each utterance.
        denominators: (n,) of each; where one of the two is NaN, the utterance is left out.
        clusters: (n,) the speaker of each.

    Returns:
        NaN where nothing is left or the denominators sum to 0; limits of NaN below 5 speakers.

    Raises:
        ValueError: If the three do not pair up.
    """
    above, below, names = np.asarray(numerators, float), np.asarray(denominators, float), np.asarray(clusters)
    if not above.shape == below.shape == names.shape == (above.size,):
        given = f"numerators {above.shape}, denominators {below.shape} and clusters {names.shape}"
        raise ValueError(f"{given} differ in shape; expected (n,) for all. Take all from the same units, in one order.")
    known = ~(np.isnan(above) | np.isnan(below))
    cluster, _ = pd.factorize(names[known], sort=True)
    sums, sizes = (np.bincount(cluster, each[known]).astype(float) for each in (above, below))
    total, whole = leave_one_out(sums), leave_one_out(sizes)
    return interval_of(np.divide(total, whole, out=np.full_like(total, np.nan), where=whole != 0), np.abs(sizes))


@dataclass(frozen=True, eq=False)
class Report:
    """The predictions of a recognizer for utterances, and how good they are.

    Intervals are those of `interval_of`: over speakers, since utterances of one voice are not independent.

    Attributes:
        emotions: Order of the probabilities and of all tables.
        truth: (n,) the emotion of each utterance.
        probabilities: (n, n_emotions) float64, rows sum to one.
        clusters: (n,) the speaker of each utterance.
        utterances: (n,) utterance_id, each once.
        recognizer: Name of the recognizer.
        corpus: Name of the corpus.
        view: Name of its view.
        synthetic: Whether the corpus is the sample, whose figures say nothing about people.
        trained_on: What the recognizer was trained on, such as "training + validation sets".

    Raises:
        ValueError: If the attributes do not fit together, or the probabilities are none.
    """

    emotions: tuple[str, ...]
    truth: tuple[str, ...]
    probabilities: Floats
    clusters: tuple[str, ...]
    utterances: tuple[str, ...]
    recognizer: str = ""
    corpus: str = ""
    view: str = ""
    synthetic: bool = False
    trained_on: str = ""

    def __post_init__(self) -> None:
        if not self.n:
            raise ValueError("a report of no utterance; expected at least one. Take a corpus or a fold that has some.")
        if unknown := sorted({*self.truth} - {*self.emotions}):
            given = f"emotions {unknown} are not among the labels {[*self.emotions]}; expected one vocabulary"
            raise ValueError(f"{given}. Bring the corpus to the recognizer's view: corpus.view.")
        _check_probabilities(self.probabilities, (self.n, len(self.emotions)))
        if {*(counts := [len(self.clusters), len(self.utterances)])} != {self.n}:
            given = f"clusters and utterances have {counts} entries for {self.n} utterances"
            raise ValueError(f"{given}; expected one for each. Take all from one corpus, as evaluate does.")
        if len({*self.utterances}) < self.n:
            twice = pd.Series(self.utterances).value_counts().loc[lambda counts: counts > 1].index
            raise ValueError(f"utterances occur twice: {some(twice)}; expected each once. Pool folds of one seed.")

    @property
    def n(self) -> int:
        """Number of utterances."""
        return len(self.truth)

    @property
    def predicted(self) -> list[Any]:
        """The most probable emotion of each utterance; of equals, the first."""
        return [self.emotions[number] for number in self.probabilities.argmax(axis=1)]

    @cached_property
    def confusion(self) -> pd.DataFrame:
        """Counts of utterances: a row for each true emotion, a column for each predicted one."""
        names = [pd.Index(self.emotions, name=name) for name in ("truth", "predicted")]
        return pd.DataFrame(_counts(self)[0].sum(axis=0).astype(int), *names)

    @cached_property
    def replicates(self) -> dict[str, Floats]:
        """Each metric, and "f1" of each emotion, in (1 + n_speakers, …): of all, then without each speaker."""
        return _scores(*map(leave_one_out, _counts(self)))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(n_speakers,) utterances of each speaker, in the order of the replicates."""
        return np.unique(self.clusters, return_counts=True)[1]

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """The figures of `METRICS`, from 0 to 1, each with its interval."""
        return _mean_metrics([self])

    @cached_property
    def per_emotion(self) -> pd.DataFrame:
        """Precision, recall, f1, support, f1_low and f1_high of each emotion; NaN is undefined."""
        precision, recall, _ = _emotion_scores(self.confusion.to_numpy(float))
        f1 = [interval_of(each, self.sizes, within=(0, 1)) for each in self.replicates["f1"].T]
        table = pd.DataFrame(f1, self.confusion.index.rename("emotion"), columns=["f1", "f1_low", "f1_high"])
        table = table.assign(precision=precision, recall=recall, support=self.confusion.sum(axis=1))
        return table[[*EMOTION_COLUMNS, "f1_low", "f1_high"]]

    @cached_property
    def chance(self) -> dict[str, dict[str, float]]:
        """Chance levels: of always predicting the most frequent emotion ("majority"), and of guessing ("uniform")."""
        support = self.confusion.to_numpy(float).sum(axis=1)
        k = len(support)
        shares = {"majority": np.eye(k)[support.argmax()], "uniform": np.full(k, 1 / k)}
        guesses = {name: _scores(np.outer(support, share)) for name, share in shares.items()}
        return {name: {m: float(score[m]) for m in METRICS if m in score} for name, score in guesses.items()}

    def to_frame(self) -> pd.DataFrame:
        """Lay the figures beside chance: value, low, high, majority, uniform of each metric."""
        figures = pd.DataFrame.from_dict(self.metrics, orient="index", columns=["value", "low", "high"])
        return figures.join(pd.DataFrame(self.chance)).rename(index=NAMES)

    @property
    def title(self) -> str:
        """Say in a line what was measured on what, and over how many speakers, or why there are no intervals."""
        corpus = "the synthetic " * self.synthetic + (self.corpus or "utterances")
        view, n = f" (view {self.view})" * bool(self.view), len(self.sizes)
        few = f"no interval: {n} speaker{'s' * (n > 1)}, at least {MIN_SPEAKERS} are needed"
        intervals = few if n < MIN_SPEAKERS else f"95 % intervals over {n} speakers"
        beyond = [(n, e) for e, n in Counter(self.predicted).items() if e in {*self.emotions} - {*self.truth}]
        told = "".join(f", {count} predicted as {name}, which never occurs" for count, name in beyond)
        return f"{self.recognizer or 'report'} on {corpus}{view}: n = {self.n}, {intervals}{told}"

    def __repr__(self) -> str:
        return f"{self.title}\n{self.to_frame().to_string(float_format='{:.3f}'.format, na_rep='')}"

    def _repr_html_(self) -> str:
        return f"<p>{self.title}</p>" + self.to_frame().to_html(float_format="{:.3f}".format, na_rep="")


@dataclass(frozen=True, eq=False, repr=False)
class RatingReport(Report):
    """The ratings that a regressor predicts, and how good they are: `concordance_correlation` with its interval.

    Attributes:
        emotions: The rating alone, such as ("arousal",).
        truth: (n,) the mean rating of each utterance.
        probabilities: (n, 1) float64, the predicted ratings.
    """

    chance: ClassVar = {"constant": {"ccc": 0.0}}  # type: ignore[misc]  # always the same rating

    def __post_init__(self) -> None:
        if self.probabilities.shape != (self.n, 1) or not np.isfinite([*self.truth, *self.predicted]).all():
            given = f"{self.n} ratings, and predictions of shape {self.probabilities.shape}, perhaps with NaN"
            raise ValueError(f"{given}; expected ({self.n}, 1) finite ones. Take them from recognizer.predict_proba.")

    @property
    def predicted(self) -> list[Any]:
        """The predicted rating of each utterance."""
        return list(self.probabilities[:, 0])

    @cached_property
    def replicates(self) -> dict[str, Floats]:
        """The CCC in (1 + n_speakers,): of all, then without each speaker."""
        truth, predicted, speakers = map(np.array, (self.truth, self.predicted, self.clusters))
        kept = [speakers != left_out for left_out in (None, *np.unique(speakers))]
        return {"ccc": np.array([concordance_correlation(truth[rows], predicted[rows]) for rows in kept])}


def report(
    truth: Names, probabilities: ArrayLike, *, emotions: Names, clusters: Names, utterances: Names = ()
) -> Report:
    """Build a report from predictions for utterances: see `Report`; without `utterances` they are numbered."""
    names = tuple(utterances) or tuple(map(str, range(len(truth))))
    return Report(tuple(emotions), tuple(truth), np.asarray(probabilities, float), tuple(clusters), names)


def evaluate(recognizer: Recognizer, corpus: Corpus) -> Report:
    """Evaluate a fitted recognizer on a corpus that it was not trained on, such as `fold.test` or another corpus.

    The corpus may lack some of the recognizer's emotions, and have them in another order: the report's are the
    recognizer's, and it says how many utterances were predicted as what the corpus does not have. Utterances that the
    recognizer can make nothing of, such as broken files, are left out, with a warning that names them.

    Raises:
        TypeError: If `corpus` is no corpus.
        ValueError: If the corpus has emotions that the recognizer does not know, no labels, or no utterance.
    """
    if not isinstance(corpus, Corpus):
        why = f"evaluate was given {type(corpus).__name__}; expected a Corpus with labels, such as fold.test. Take"
        raise TypeError(f"{why} load_corpus(…), or scikit-learn's metrics with recognizer.predict(…).")
    rating = next((each for each in recognizer.emotions if each in RATINGS), None)  # the only output of a regressor
    if unknown := [emotion for emotion in corpus.emotions if emotion not in recognizer.emotions and not rating]:
        given = f"{recognizer.name!r} knows {', '.join(recognizer.emotions) or 'no emotion yet'}; corpus"
        remedy = f'Map or leave them out: corpus.merged({unknown[0]}="…"), corpus.only(…); or fit it on such a corpus.'
        raise ValueError(f"{given} {corpus.name!r} has {', '.join(unknown)} too; expected no others. {remedy}")
    kind = rating or "emotion"
    corpus.targets(kind)  # raises where there are none
    corpus = recognizer.usable(corpus)
    truth, clusters, ids = (tuple(corpus.table[name].fillna("")) for name in (kind, "speaker", "utterance_id"))
    probabilities = np.asarray(recognizer.predict_proba(corpus), float)
    about = (recognizer.name, corpus.name, corpus.view_name, corpus.synthetic, recognizer.training_data)
    return (RatingReport if rating else Report)(tuple(recognizer.emotions), truth, probabilities, clusters, ids, *about)


def rows_out_of_step(build: Callable[..., Recognizer], fold: Fold, *, seed: int = 7) -> dict[str, float]:
    """Compare a recognizer with what it scores where labels are shuffled among the rows, before any other training.

    Shuffled, it must fall to chance. It warns where a fit on shuffled labels does as well as that on the own ones: rows
    of features and labels are out of step, labels leak into the features, or these tell nothing. It takes
    1 + `N_SHUFFLES` fits on the training set, each scored on the validation set; take a light recipe.

    Args:
        build: Makes an unfitted recognizer; called with `seed=…`.
        fold: Its test set is left alone.
        seed: Of the recognizer and the shuffles.

    Returns:
        "own", the unweighted average recall of the labels as they are, and "shuffled", the highest of the others.
    """
    rng, sets, scores = np.random.default_rng(seed), [fold.train, fold.valid], []
    for _ in range(1 + N_SHUFFLES):
        (recognizer := build(seed=seed)).fit(*sets, train_only=True)
        scores.append(evaluate(recognizer, sets[1]).metrics["ua"].value)
        mixed = [part.table["emotion"].sample(frac=1, random_state=rng).array for part in sets]
        sets = [replace(p, table=p.table.assign(emotion=each)) for p, each in zip(sets, mixed, strict=True)]
    own, shuffled = scores[0], max(scores[1:])
    if own <= shuffled:
        found = f"{recognizer.name} has UA {own:.3f} on {fold.name}, and {shuffled:.3f} with labels shuffled among rows"
        warnings.warn(f"{found}: rows and labels are out of step, labels leak, or features tell nothing", stacklevel=2)
    return {"own": own, "shuffled": shuffled}


def pool(reports: Sequence[Report]) -> Report:
    """Join the reports of the folds of one protocol and seed, in which each utterance was tested once.

    Raises:
        ValueError: If there is none, their emotions differ, or an utterance was tested twice.
    """
    if len(kinds := {(r.emotions, r.corpus, r.view, r.recognizer) for r in reports}) != 1:
        given = f"{len(reports)} reports of {len(kinds)} kinds of emotions, corpus, view and recognizer: {[*kinds]}"
        raise ValueError(f"{given}; expected one kind. Pool the folds of one cross-validation.")
    joined: list[Any] = [sum((getattr(r, name) for r in reports), ()) for name in ("truth", "clusters", "utterances")]
    probabilities = np.concatenate([r.probabilities for r in reports])
    return replace(reports[0], truth=joined[0], probabilities=probabilities, clusters=joined[1], utterances=joined[2])


@dataclass(frozen=True)
class Comparison:
    """Two recognizers on the same utterances.

    Attributes:
        names: Of the recognizers a and b.
        n: Number of utterances.
        only_a: How many only a predicted correctly; of ratings, how many a came nearer to than b.
        only_b: How many only b predicted correctly, or came nearer to.
        p_value: McNemar's exact test of only_a against only_b, of ratings the sign test; it takes utterances as
            independent, so it is too small.
        difference: a minus b in ua and weighted_f1, of ratings in ccc, with the paired interval over speakers.
        trained_on: What a and b were trained on.
    """

    names: tuple[str, str]
    n: int
    only_a: int
    only_b: int
    p_value: float
    difference: dict[str, Interval]
    trained_on: tuple[str, str] = ("", "")

    def __repr__(self) -> str:
        few = any(np.isnan(interval.low) for interval in self.difference.values())
        intervals = f"no interval, which needs {MIN_SPEAKERS} speakers" if few else "95 % intervals over speakers"
        lines = [f"{self.names[0]} minus {self.names[1]}, n = {self.n}, {intervals}"]
        lines += [f"{NAMES[name]}: {interval}" for name, interval in self.difference.items()]
        lines += [f"only the first right {self.only_a}, only the second {self.only_b}; McNemar p = {self.p_value:.3g}"]
        if self.trained_on[0] != self.trained_on[1]:
            lines += [f"not trained on the same data: {self.trained_on[0]} against {self.trained_on[1]}"]
        return "\n".join(lines)


def compare(a: Report | CrossValidation, b: Report | CrossValidation) -> Comparison:
    """Compare two recognizers that were evaluated on the same utterances, in any order.

    Of several seeds the difference is that of the means over the seeds, as in every table; the seeds need not be the
    same. Its interval leaves out the same speaker in both. McNemar's test takes the first seed of each, since a pool
    of seeds would count every utterance several times.

    Raises:
        ValueError: If the utterances, what is true of them, or the emotions differ.
    """
    seeds_a, seeds_b = (list(each.reports.values()) if isinstance(each, CrossValidation) else [each] for each in (a, b))
    seeds_a, seeds_b = ([aligned(seeds_a[0], one) for one in each] for each in (seeds_a, seeds_b))
    first, second = seeds_a[0], seeds_b[0]
    error_a, error_b = _errors(first), _errors(second)
    only_a, only_b = int((error_a < error_b).sum()), int((error_b < error_a).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    gains = {
        name: _mean_replicates(seeds_a, name) - _mean_replicates(seeds_b, name)
        for name in DIFFERENCES
        if name in first.replicates
    }
    difference = {name: interval_of(gain, first.sizes) for name, gain in gains.items()}
    names, learned = (first.recognizer or "a", second.recognizer or "b"), (first.trained_on, second.trained_on)
    return Comparison(names, first.n, only_a, only_b, p_value, difference, learned)


def _errors(said: Report) -> NDArray[Any]:
    """Return (n,) how far each prediction is from the rating; of emotions, whether it is wrong."""
    predicted, truth = np.array(said.predicted), np.array(said.truth)
    return abs(predicted - truth) if isinstance(said, RatingReport) else predicted != truth


def _mean_replicates(reports: Sequence[Report], metric: str) -> Floats:
    return np.mean([each.replicates[metric] for each in reports], axis=0)


def _mean_metrics(reports: Sequence[Report]) -> dict[str, Interval]:
    means = {name: _mean_replicates(reports, name) for name in NAMES if name in reports[0].replicates}
    return {m: interval_of(mean, reports[0].sizes, within=(-(m == "ccc"), 1)) for m, mean in means.items()}


def aligned(a: Report, b: Report) -> Report:
    """Put the utterances of b into the order of a, or say why they cannot be compared."""
    place = {utterance: number for number, utterance in enumerate(b.utterances)}
    order = [place[utterance] for utterance in a.utterances if utterance in place]
    different = {*a.utterances} ^ {*b.utterances}
    if different or a.emotions != b.emotions or a.truth != tuple(b.truth[number] for number in order):
        given = f"reports of {a.n} and {b.n} utterances, of which {len(different)} are in one only, or other emotions"
        raise ValueError(f"{given}; expected the same utterances and truth. Evaluate both on the same corpus and view.")
    return replace(a, probabilities=b.probabilities[order], recognizer=b.recognizer, trained_on=b.trained_on)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """A recipe measured on every fold of a protocol, with several seeds.

    Each seed has one report, in which its folds are pooled. A headline figure is the mean over the seeds, and its
    interval that of this mean over speakers. The interval says what other speakers would change; `spread` says what
    other seeds would change.

    Attributes:
        reports: The pooled report of each seed.
        protocol: How the corpus was split.
        modalities: What the recognizer needs.
        stand_in: Whether a tiny random network stood where a large pretrained one belongs.
        train_s: Seconds of training of each fit, seed by seed and fold by fold.
        cost: What `measure_cost` returned for the last recognizer.
        trained_on: What the recognizer was trained on, such as "training + validation sets".
    """

    reports: dict[int, Report]
    protocol: str
    modalities: tuple[str, ...]
    stand_in: bool
    train_s: tuple[float, ...]
    cost: dict[str, Any] = field(default_factory=dict)
    trained_on: str = "training set"

    @cached_property
    def metrics(self) -> dict[str, Interval]:
        """The mean over the seeds of each metric, with the interval of that mean."""
        return _mean_metrics([*self.reports.values()])

    @property
    def spread(self) -> pd.DataFrame:
        """Each metric (column) of each seed (row)."""
        rows = {seed: {name: own.value for name, own in r.metrics.items()} for seed, r in self.reports.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")

    @property
    def per_emotion(self) -> pd.DataFrame:
        """The mean over the seeds of precision, recall, f1 and support of each emotion."""
        return sum(r.per_emotion[EMOTION_COLUMNS] for r in self.reports.values()) / len(self.reports)

    def __repr__(self) -> str:
        first, seeds = next(iter(self.reports.values())), ", ".join(map(str, self.reports))
        about = f"{first.title}; {self.protocol}, learned from the {self.trained_on}, seeds {seeds}"
        lines = [f"{NAMES[name]}: {interval}" for name, interval in self.metrics.items()]
        return "\n".join([f"{about}; mean over the seeds", *lines])


def cross_validate(build: Callable[..., Recognizer], folds: Sequence[Fold], *, seeds: Sequence[int]) -> CrossValidation:
    """Fit a fresh recognizer on each fold with each seed, and test each once: see `CrossValidation`.

    The fits run where joblib is told to: one after the other by default, on a Dask cluster inside
    `joblib.parallel_config(backend="dask")`. The predictions are the same wherever they are made.

    Args:
        build: Makes an unfitted recognizer; called with `seed=…`.
        folds: All folds of one protocol.
        seeds: One or more, all different.

    Raises:
        ValueError: If there is no fold or no seed, a seed comes twice, or the folds are of several protocols.
    """
    protocols = {fold.protocol for fold in folds}
    if len(protocols) != 1 or not seeds or len({*seeds}) < len(seeds):
        given = f"folds of the protocols {sorted(protocols)} with seeds {[*seeds]}"
        raise ValueError(f"{given}; expected one protocol, different seeds. Take folds_of(corpus), seeds=[7, 8, 9].")
    pairs = [*product(seeds, folds)]
    jobs = (joblib.delayed(_tested)(build, *pair, keep=pair is pairs[-1]) for pair in pairs)
    done = [*progress(joblib.Parallel(return_as="generator")(jobs), "fits", total=len(pairs))]
    reports, train_s, (*_, recognizer) = zip(*done, strict=True)
    pooled = {s: pool([each for each, (seed, _) in zip(reports, pairs, strict=True) if seed == s]) for s in seeds}
    protocol = protocols.pop() + f", {PER_SPEAKER}" * recognizer.per_speaker
    about = (protocol, tuple(recognizer.modalities), recognizer.stand_in, train_s)
    cost = measure_cost(recognizer, recognizer.usable(folds[-1].test), train_s=float(np.mean(train_s)))
    return CrossValidation(pooled, *about, cost, recognizer.training_data)


def _tested(build: Callable[..., Recognizer], seed: int, fold: Fold, *, keep: bool) -> tuple[Report, float, Any]:
    """Fit and test once: the report, the seconds of training, and the recognizer if it is to be kept."""
    with joblib.parallel_config("threading"):  # what it is made of stays on this worker
        recognizer = build(seed=seed)
        train_s = timeit(partial(recognizer.fit, fold.train, fold.valid), number=1)
        return evaluate(recognizer, fold.test), train_s, recognizer if keep else None


def _emotion_scores(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and F1, each (…, n_emotions), of (…, n_emotions, n_emotions); NaN is undefined."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where((predicted == 0) & (support > 0), 0.0, hits / predicted)
        return precision, hits / support, 2 * hits / (support + predicted)


def _scores(confusion: Floats, bins: Floats | None = None) -> dict[str, Floats]:
    """Return all metrics, each (…,), of (…, n_emotions, n_emotions) counts and (…, n_bins, 2) sums; f1 per emotion."""
    support = confusion.sum(axis=-1)
    total = support.sum(axis=-1)
    _, recall, f1 = _emotion_scores(confusion)
    scores = {"ua": np.nanmean(recall, axis=-1), "wa": np.trace(confusion, axis1=-2, axis2=-1) / total}
    scores |= {"weighted_f1": np.nansum(f1 * support, axis=-1) / total, "macro_f1": np.nanmean(f1, axis=-1), "f1": f1}
    if bins is not None:
        scores["ece"] = np.abs(bins[..., 0] - bins[..., 1]).sum(axis=-1) / total
    return scores


def _counts(said: Report) -> tuple[Floats, Floats]:
    """Count for each speaker, in the order of their names, what the metrics are made of.

    Returns:
        confusion (n_speakers, n_emotions, n_emotions), and bins (n_speakers, n_bins, 2): the sums of the top
        probabilities and of the correct predictions that fall into each bin of the top probability.
    """
    names, speaker = np.unique(said.clusters, return_inverse=True)
    n, k = len(names), len(said.emotions)
    truth = pd.Index(said.emotions).get_indexer(said.truth)
    top, predicted = said.probabilities.max(axis=1), said.probabilities.argmax(axis=1)
    confusion, bins = np.zeros((n, k, k)), np.zeros((n, N_BINS, 2))
    np.add.at(confusion, (speaker, truth, predicted), 1)
    place = np.clip(np.ceil(top * N_BINS).astype(int) - 1, 0, N_BINS - 1)  # a bin holds its upper edge
    np.add.at(bins, (speaker, place), np.stack([top, predicted == truth], axis=1))
    return confusion, bins


def _check_probabilities(probabilities: NDArray[np.float64], shape: tuple[int, int]) -> None:
    """Raise unless each row is a distribution over the emotions."""
    if probabilities.shape != shape:
        given = f"probabilities have shape {probabilities.shape}; expected {shape}"
        raise ValueError(f"{given}, one for each utterance and emotion. Take them from recognizer.predict_proba.")
    off = np.abs(probabilities.sum(axis=1) - 1) > ROW_SUM_TOLERANCE
    if (bad := off | ~(np.isfinite(probabilities) & (probabilities >= 0)).all(axis=1)).any():
        given = f"probabilities of {bad.sum()} rows ({some(np.flatnonzero(bad))}) do not sum to"
        raise ValueError(f"{given} one or are negative; expected a distribution. Put a softmax behind the logits.")
