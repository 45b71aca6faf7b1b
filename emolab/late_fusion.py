"""Late (decision-level) fusion: recognizers that each predict alone, and ways to combine their probabilities."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from emolab.corpora import Corpus
from emolab.features.base import FeatureExtractor
from emolab.models.light import fit_inverse_temperature
from emolab.recognizer import RATINGS, TARGETS, Recognizer

How = Literal["mean", "product", "weighted", "stacked"]
HOWS: tuple[How, ...] = ("mean", "product", "weighted", "stacked")
N_STEPS = 200  # of expectation-maximisation; each brings the weights closer to the best
LEAST = 1e-6  # probability; nothing is impossible, or one member could rule an emotion out for all
TINY = 1e-12  # keeps a division by zero away
STACK_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)

Probabilities = NDArray[np.float64]  # (n_utterances, n_emotions); NaN in the rows that a member cannot predict


class LateFusion(Recognizer):
    """An ensemble of recognizers whose probabilities are combined.

    A member that lacks the modality of an utterance is left out for it. What has to be chosen here (inverse
    temperatures, weights, the meta-classifier) is chosen on the validation set: members that train on it as well are
    trained without it first, and once more with it in the end.

    Args:
        name: Yours to choose.
        members: The recognizers.
        how: "mean" of the probabilities, or of the ratings of regressors; "product" of them, right where modalities are
            independent given the emotion and emotions equally frequent; "weighted", a mean whose weights have the
            highest likelihood on the validation set; "stacked", a logistic regression on all log-probabilities, Wolpert
            1992, or a linear one on ratings, stretched to the spread that ratings have on the validation set.
        calibrated: Whether each member is calibrated first by temperature scaling, Guo et al. 2017.

    Raises:
        ValueError: If there is no such way, or the members do not learn the same target.
    """

    def __init__(
        self, name: str, members: Sequence[Recognizer], how: How = "mean", *, calibrated: bool = False
    ) -> None:
        learned = ", ".join(sorted({member.target for member in members}))
        hows = ("mean", "stacked") if learned in RATINGS else HOWS
        if how not in hows or learned not in TARGETS:
            wanted = f"one of {', '.join(hows)} and some, with one target, not {learned or 'none'}"
            raise ValueError(f"how={how!r} of {len(members)} members; expected {wanted}.")
        super().__init__(name, [], [*chain(*(member.modalities for member in members))], learned)
        self.members, self.how, self.calibrates = list(members), how, calibrated and not self.rates
        self.partial = len({member.modalities for member in members}) > 1
        self.inverse_temperature = np.ones(len(members))
        self.weights = np.full(len(members), 1 / len(members))
        self.stack: dict[str, NDArray[np.float64]] = {}  # coef (n_emotions, n_members * n_emotions), intercept

    @property
    def n_parameters(self) -> int:  # noqa: D102
        return sum(member.n_parameters for member in self.members) + self._n_own

    @property
    def n_trainable(self) -> int:  # noqa: D102
        return sum(member.n_trainable for member in self.members) + self._n_own

    @property
    def _n_own(self) -> int:
        fitted = {"weighted": len(self.weights), "stacked": sum(part.size for part in self.stack.values())}
        return fitted.get(self.how, 0) + len(self.members) * self.calibrates

    @property
    def training_data(self) -> str:  # noqa: D102
        return "; ".join(dict.fromkeys(member.training_data for member in self.members))

    def extractors(self) -> Iterator[FeatureExtractor]:
        """Yield every feature extractor of every member."""
        return chain.from_iterable(member.extractors() for member in self.members)

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where at least one member can predict."""
        return np.any([member.covers(corpus) for member in self.members], axis=0)

    def member_probabilities(self, corpus: Corpus) -> list[Probabilities]:
        """Return the probabilities of each member, (n_utterances, n_emotions), NaN in the rows it cannot predict."""
        return [_probabilities(member, corpus) for member in self.members]

    def join(self, probabilities: Sequence[Probabilities]) -> Probabilities:
        """Combine the members' probabilities into (n_utterances, n_emotions); rows of NaN are left out.

        Raises:
            ValueError: If there is not one array a member, or no member predicts an utterance.
        """
        given = np.array(probabilities)  # (n_members, n_utterances, n_emotions)
        missing = np.asarray(np.isnan(given).any(axis=2))
        if len(given) != len(self.members) or missing.all(axis=0).any():
            why = f"{len(given)} arrays for {len(self.members)} members, none of them for {missing.all(axis=0).sum()}"
            remedy = "Give NaN only for what one, but not all, cannot predict."
            raise ValueError(f"{why} utterances; expected one array a member. {remedy}")
        if self.rates and self.how == "stacked":
            return _values(given) @ self.stack["coef"].T + self.stack["intercept"]
        logs = self._logs(given)
        if self.how == "stacked":
            return np.asarray(softmax(_concatenated(logs) @ self.stack["coef"].T + self.stack["intercept"], axis=1))
        if self.how == "product":
            return np.asarray(softmax(np.nansum(logs, axis=0), axis=1))
        weights = np.maximum(self.weights, LEAST)[:, None, None] * ~missing[..., None]  # a member alone counts fully
        return np.nansum(weights * (np.exp(logs) if self.calibrates else given), axis=0) / weights.sum(axis=0)

    def _logs(self, given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated log-probabilities, in the shape of `given`."""
        return log_softmax(np.log(np.maximum(given, LEAST)) * self.inverse_temperature[:, None, None], axis=2)

    def _check_sets(self, train: Corpus, valid: Corpus) -> None:
        for member in self.members:  # probabilities from outside need no rows of the training set
            member._check_sets(train, valid)

    def _train(self, train: Corpus, valid: Corpus, train_only: bool) -> None:
        chooses = self.how in ("weighted", "stacked") or self.calibrates
        found = []
        for member in self.members:
            member.fit(*_covered(member, train, valid), train_only=train_only or chooses)
            if chooses:
                found.append(_probabilities(member, valid))
                if not train_only and trains_on_validation(member):
                    member.fit(*_covered(member, train, valid))
        if chooses:
            self._fit_join(found, valid)

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        self._train(train, valid, train_only=False)

    def _fit_join(self, found: Sequence[Probabilities], valid: Corpus) -> None:
        """Choose calibration, then weights or the meta-classifier, on utterances that no member was trained on."""
        given, (places, targets) = np.array(found), self.examples(valid)
        if self.rates:
            self.stack = _fit_values(_values(given), targets)
            return
        given = given[:, places]
        for place, (member, own) in enumerate(zip(self.members, given, strict=True)):
            there = ~np.isnan(own).any(axis=1)
            if not there.any():
                what = f"{member.name} predicts none of the {len(valid)} utterances of the validation set"
                raise ValueError(f'{what}; expected some, to choose by. Give it such, or take plain how="mean".')
            if self.calibrates:
                logs = np.log(np.maximum(own[there], LEAST))
                self.inverse_temperature[place] = fit_inverse_temperature(logs, targets[there])
        logs = self._logs(given)
        if self.how == "weighted":
            self.weights = likeliest_weights(np.exp(logs), targets)
        elif self.how == "stacked":
            self.stack = _fit_stack(_concatenated(logs), targets, len(self.emotions))

    def _predict_proba(self, corpus: Corpus) -> Probabilities:
        return self.join(self.member_probabilities(corpus))

    def _lacking(self, corpus: Corpus) -> list[str]:
        return list(dict.fromkeys(modality for member in self.members for modality in member._lacking(corpus)))


def trains_on_validation(recognizer: Recognizer) -> bool:
    """Tell whether a recognizer, or a member of it, is trained on the validation set."""
    return recognizer.train_on_validation or any(map(trains_on_validation, getattr(recognizer, "members", ())))


def _probabilities(member: Recognizer, corpus: Corpus) -> Probabilities:
    """Return what a member predicts, NaN in the rows it cannot."""
    there = member.covers(corpus)
    found = np.full((len(corpus), len(member.emotions)), np.nan)
    found[there] = member.predict_proba(corpus if there.all() else corpus.select(there))
    return found


def _covered(member: Recognizer, *sets: Corpus) -> Iterator[Corpus]:
    """Leave out what a member cannot learn from; all of it stays where there would be nothing left."""
    for part in sets:
        there = member.covers(part)
        yield part.select(there) if there.any() and not there.all() else part


def _concatenated(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Concatenate log-probabilities, (n_utterances, n_members * n_emotions); 0 stands for a missing member."""
    return np.hstack(list(np.nan_to_num(logs - logs.mean(axis=2, keepdims=True))))


def _values(given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratings of (n_members, n_utterances, 1) in columns; of a missing member the mean of the others."""
    return np.where(np.isnan(given), np.nanmean(given, axis=0), given)[..., 0].T


def _fit_values(values: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[str, Any]:
    """Fit weights of members' ratings (n_utterances, n_members) by least squares, then stretch to the truth's spread.

    Least squares are cautious: they shrink the spread by the correlation with the truth, which the CCC punishes.
    """
    centred = values - values.mean(axis=0)
    coef = np.linalg.lstsq(centred, truth - truth.mean(), rcond=None)[0]
    coef *= truth.std() / max((centred @ coef).std(), TINY)
    return {"coef": coef[None], "intercept": truth.mean() - values.mean(axis=0) @ coef}


def likeliest_weights(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the weights of a mean with the highest likelihood, by expectation-maximisation.

    Args:
        probabilities: (n_members, n_utterances, n_emotions), NaN where a member cannot predict.
        targets: (n_utterances,) true emotions.

    Returns:
        (n_members,), at least 0, sum 1. Utterances that one member predicts alone change nothing. Source: mixture
        weights, Dempster, Laird and Rubin 1977; the weights of those present sum to 1 as in Hunter 2004.
    """
    said = probabilities[:, np.arange(len(targets)), targets]  # (n_members, n_utterances)
    there, true = ~np.isnan(said), np.nan_to_num(said)
    weights = np.full(len(true), 1 / len(true))
    for _ in range(N_STEPS):
        shares = weights[:, None] * true / np.maximum(weights @ true, TINY)
        present = there / np.maximum(weights @ there, TINY)  # 1 where every member predicts
        weights = (shares.sum(axis=1) + TINY) / (present.sum(axis=1) + TINY)
        weights /= weights.sum()
    return weights


def _fit_stack(rows: NDArray[np.float64], targets: NDArray[np.int64], n_emotions: int) -> dict[str, Any]:
    """Fit a logistic regression whose penalty is chosen by cross-validation inside the validation set."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    fewest = np.bincount(targets, minlength=n_emotions).min()
    if fewest < 2:
        found = f"an emotion has {fewest} utterances in the validation set"
        raise ValueError(f'{found}; expected at least 2, to stack. Take larger folds, or how="weighted".')
    model = LogisticRegression(class_weight="balanced", max_iter=2_000)
    search = GridSearchCV(model, {"C": STACK_PENALTIES}, scoring="neg_log_loss", cv=int(min(5, fewest)))
    best = search.fit(rows, targets).best_estimator_
    coef, intercept = best.coef_, best.intercept_
    if n_emotions == 2:  # of two emotions scikit-learn keeps one row
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return {"coef": coef, "intercept": intercept}
