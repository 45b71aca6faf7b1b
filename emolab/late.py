"""Late fusion: recognizers that judge each for itself, and the ways to make one answer of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.corpora.layout import some
from emolab.recognizer import Recognizer, softmax

How = Literal["mean", "product", "weighted", "stacked"]
HOWS: tuple[How, ...] = ("mean", "product", "weighted", "stacked")
N_STEPS = 200  # of the search for weights; each brings them closer to the best
LEAST = 1e-6  # probability; nothing is impossible, or one member could forbid an emotion to all
TINY = 1e-12  # keeps a division by nothing away
SUM_TOLERANCE = 0.01  # of probabilities from outside, which are often rounded
STACK_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
TABLE = "front-posteriors.csv"

Probabilities = NDArray[np.float64]  # (n_utterances, n_emotions); NaN in the rows that a member cannot judge


class LateFusion(Recognizer):
    """Several recognizers, each for itself; one answer is made of theirs.

    Whoever lacks the modality of an utterance is left out for it, and the others decide. What has to be chosen here
    (sharpness, weights, the second model) is chosen on the validation part: members that learn from it as well learn
    without it first, and once more with it in the end.

    Args:
        name: Name of the recipe.
        members: The recognizers.
        how: "mean" of the probabilities; "product" of them, right where modalities are independent given the emotion
            and emotions equally frequent; "weighted", a mean whose weights make the validation part likeliest;
            "stacked", a logistic regression on all log-probabilities, Wolpert 1992.
        calibrated: Whether each member is first made as sure as it deserves, by a temperature, Guo et al. 2017.

    Raises:
        ValueError: If there is no such way.
    """

    def __init__(
        self, name: str, members: Sequence[Recognizer], how: How = "mean", *, calibrated: bool = False
    ) -> None:
        super().__init__(
            name, [m for member in members for m in member.modalities], stand_in=any(m.stand_in for m in members)
        )
        if how not in HOWS or not members:
            raise ValueError(f"how={how!r} of {len(members)} members; expected one of {', '.join(HOWS)} and some.")
        self.members, self.how, self.calibrated = list(members), how, calibrated
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
        return fitted.get(self.how, 0) + len(self.members) * self.calibrated

    @property
    def pretrained(self) -> str | None:  # noqa: D102
        names = dict.fromkeys(member.pretrained for member in self.members if member.pretrained)
        return " + ".join(names) or None

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where a member at least can judge."""
        return np.any([member.covers(corpus) for member in self.members], axis=0)

    def member_probabilities(self, corpus: Corpus) -> list[Probabilities]:
        """Return what each member says, (n_utterances, n_emotions), NaN in the rows that it cannot judge."""
        said = []
        for member in self.members:
            there = member.covers(corpus)
            own = np.full((len(corpus), len(self.emotions)), np.nan)
            own[there] = member.predict_proba(corpus if there.all() else corpus.select(there))
            said.append(own)
        return said

    def join(self, probabilities: Sequence[Probabilities]) -> Probabilities:
        """Make one answer (n_utterances, n_emotions) of the members' own; rows of NaN are left out.

        Raises:
            ValueError: If there is not one array a member, or nobody says anything of an utterance.
        """
        said = np.array(probabilities)  # (n_members, n_utterances, n_emotions)
        silent = np.asarray(np.isnan(said).any(axis=2))
        if len(said) != len(self.members) or silent.all(axis=0).any():
            raise ValueError(
                f"{len(said)} answers for {len(self.members)} members, none of them for {silent.all(axis=0).sum()} "
                "utterances; expected one array a member, and one answer at least for each utterance. Give NaN only "
                "for those that a member cannot judge."
            )
        logs = self._logs(said)
        if self.how == "stacked":
            return softmax(self._beside(logs) @ self.stack["coef"].T + self.stack["intercept"])
        if self.how == "product":
            return softmax(np.nansum(logs, axis=0))
        weights = np.maximum(self.weights, LEAST)[:, None, None] * ~silent[..., None]  # whoever is alone is heard
        sure = np.exp(logs) if self.calibrated else said
        return np.nansum(weights * sure, axis=0) / weights.sum(axis=0)

    def _logs(self, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated log-probabilities, in the shape of `said`."""
        logs = np.log(np.maximum(said, LEAST)) * self.inverse_temperature[:, None, None]
        return logs - np.log(np.exp(logs).sum(axis=2, keepdims=True))

    @staticmethod
    def _beside(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lay log-probabilities side by side, (n_utterances, n_members * n_emotions); 0 is what says nothing."""
        return np.hstack(list(np.nan_to_num(logs - logs.mean(axis=2, keepdims=True))))

    def _check_parts(self, train: Corpus, valid: Corpus) -> None:
        for member in self.members:  # probabilities from outside ask for no rows of the training part
            member._check_parts(train, valid)

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        if self.how in ("weighted", "stacked") or self.calibrated:
            said = []
            for member in self.members:
                with _validation_held_back(member) as again:
                    member.fit(*_covered(member, train, valid))
                    said.append(member.predict_proba(valid.select(member.covers(valid))))
                if again:
                    member.fit(*_covered(member, train, valid))
            self._fit_join(said, valid)
        else:
            for member in self.members:
                member.fit(*_covered(member, train, valid))

    def _fit_join(self, said: Sequence[Probabilities], valid: Corpus) -> None:
        """Choose sharpness, then weights or the second model, by what members say of a part that they did not learn."""
        from emolab.models.light import fit_inverse_temperature

        targets, whole = valid.targets(), []
        for place, (member, own) in enumerate(zip(self.members, said, strict=True)):
            there = member.covers(valid)
            if not there.any():
                raise ValueError(
                    f"{member.name} judges none of the {len(valid)} utterances of the validation part; expected some, "
                    f'to choose by. Give its answers to them too, or take plain how="mean".'
                )
            if self.calibrated:
                self.inverse_temperature[place] = fit_inverse_temperature(
                    np.log(np.maximum(own, LEAST)), targets[there]
                )
            whole.append(np.full((len(valid), own.shape[1]), np.nan))
            whole[-1][there] = own
        logs = self._logs(np.array(whole))
        if self.how == "weighted":
            self.weights = likeliest_weights(np.exp(logs), targets)
        elif self.how == "stacked":
            self.stack = _fit_stack(self._beside(logs), targets, len(self.emotions))

    def _predict_proba(self, corpus: Corpus) -> Probabilities:
        return self.join(self.member_probabilities(corpus))

    def _lacking(self, corpus: Corpus) -> list[str]:
        return list(dict.fromkeys(modality for member in self.members for modality in member._lacking(corpus)))

    def _save(self, folder: Path) -> dict[str, Any]:
        for number, member in enumerate(self.members):
            member.save(folder / f"member-{number}")
        stack = {name: part.tolist() for name, part in self.stack.items()}
        fitted = {
            "inverse_temperature": self.inverse_temperature.tolist(),
            "weights": self.weights.tolist(),
            "stack": stack,
        }
        return {"n_members": len(self.members), "how": self.how, "calibrated": self.calibrated, **fitted}

    @classmethod
    def _load(cls, folder: Path, card: Mapping[str, Any]) -> LateFusion:
        body = card["body"]
        members = [Recognizer.load(folder / f"member-{number}") for number in range(body["n_members"])]
        made = cls(card["name"], members, body["how"], calibrated=body["calibrated"])
        made.inverse_temperature, made.weights = np.array(body["inverse_temperature"]), np.array(body["weights"])
        made.stack = {name: np.array(part) for name, part in body["stack"].items()}
        return made


class Posteriors(Recognizer):
    """Probabilities from outside, such as those that a paper publishes, to be scored and fused like any recognizer.

    Args:
        name: What tables call it.
        table: One row an utterance, indexed by utterance_id, and one column an emotion.
        modalities: What they were made from, for tables.

    Raises:
        ValueError: If an utterance comes twice, or a row is no distribution; the rows are named.
    """

    def __init__(self, name: str, table: pd.DataFrame, modalities: Sequence[str] = ()) -> None:
        super().__init__(name, modalities)
        values = table.to_numpy(np.float64)
        sums = values.sum(axis=1)
        odd = ~((values >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)) | table.index.duplicated(keep=False)
        if not len(table) or odd.any():
            raise ValueError(
                f"{odd.sum()} of {len(table)} rows of {name} come twice or are no distribution: "
                f"{some(table.index[odd]) or 'no row at all'}. Expected each utterance once, numbers of at least 0 "
                "that sum to 1. Turn logits into probabilities first: emolab.recognizer.softmax."
            )
        self.table = table / sums[:, None]

    @classmethod
    def read(cls, path: Path | str, modalities: Sequence[str] = ()) -> Posteriors:
        """Read a CSV file with a column utterance_id and one column an emotion.

        Raises:
            ValueError: If there is no such column, a value is no number, or rows are odd.
        """
        table = pd.read_csv(path, dtype={"utterance_id": "string"})
        if "utterance_id" not in table:
            raise ValueError(f"{path} has the columns {list(table)}; expected utterance_id and one column an emotion.")
        numbers = table.set_index("utterance_id").apply(pd.to_numeric, errors="coerce")
        if others := [repr(column) for column in numbers if len(numbers) and numbers[column].isna().all()]:
            raise ValueError(
                f"column {', '.join(others)} of {path} holds no number; expected utterance_id and one column an "
                "emotion, of probabilities. Leave other columns out."
            )
        return cls(Path(path).stem, numbers, modalities)

    @property
    def n_parameters(self) -> int:
        """None of its own: what made the probabilities is not known."""
        return 0

    def covers(self, corpus: Corpus) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where the table has the utterance."""
        return corpus.table["utterance_id"].isin(self.table.index).to_numpy(bool)

    def _lacking(self, corpus: Corpus) -> list[str]:
        return []

    def _check_parts(self, train: Corpus, valid: Corpus) -> None:
        """Nothing is learned, so nothing can be missing."""

    def _fit(self, train: Corpus, valid: Corpus) -> None:
        if sorted(self.table.columns) != sorted(train.emotions):
            raise ValueError(
                f"{self.name} tells {list(self.table.columns)}, the corpus {list(train.emotions)}; expected the same "
                "emotions. Rename the columns, or take the view that they were made for."
            )

    def _predict_proba(self, corpus: Corpus) -> Probabilities:
        names = corpus.table["utterance_id"]
        if missing := names[~self.covers(corpus)].tolist():
            raise ValueError(
                f"{self.name} has no row for {len(missing)} of {len(names)} utterances: {some(missing)}. Expected one "
                "for each. Leave them out: corpus.select(recognizer.covers(corpus))."
            )
        return self.table.loc[names, list(self.emotions)].to_numpy()

    def _save(self, folder: Path) -> dict[str, Any]:
        self.table.rename_axis("utterance_id").to_csv(folder / TABLE)
        return {}

    @classmethod
    def _load(cls, folder: Path, card: Mapping[str, Any]) -> Posteriors:
        table = cls.read(folder / TABLE).table
        return cls(card["name"], table, card["modalities"])


def _covered(member: Recognizer, *parts: Corpus) -> Iterator[Corpus]:
    """Leave out what a member cannot learn from; all of it stays where there would be nothing left."""
    for part in parts:
        there = member.covers(part)
        yield part.select(there) if there.any() and not there.all() else part


def likeliest_weights(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the weights whose mean makes the true emotions likeliest, by expectation-maximisation.

    Args:
        probabilities: (n_members, n_utterances, n_emotions), NaN where a member cannot judge.
        targets: (n_utterances,) true emotions.

    Returns:
        (n_members,), at least 0, sum 1. Who judges alone neither gains nor loses by it. Source: mixture weights,
        Dempster, Laird and Rubin 1977; the weights of those who are there sum to 1 as in Hunter 2004.
    """
    true = probabilities[:, np.arange(len(targets)), targets]  # (n_members, n_utterances)
    there = ~np.isnan(true)
    true = np.where(there, true, 0.0)
    weights = np.full(len(true), 1 / len(true))
    for _ in range(N_STEPS):
        merits = weights[:, None] * true
        shares = merits / np.maximum(merits.sum(axis=0), TINY)
        in_memory = there / np.maximum((weights[:, None] * there).sum(axis=0), TINY)  # 1 where everybody judges
        weights = (shares.sum(axis=1) + TINY) / (in_memory.sum(axis=1) + TINY)
        weights /= weights.sum()
    return weights


def _fit_stack(
    rows: NDArray[np.float64], targets: NDArray[np.int64], n_emotions: int
) -> dict[str, NDArray[np.float64]]:
    """Fit a logistic regression whose penalty is chosen inside the validation part."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    fewest = np.bincount(targets, minlength=n_emotions).min()
    if fewest < 2:
        raise ValueError(
            f"an emotion has {fewest} utterances in the validation part; expected at least 2 to stack recognizers "
            'by. Take folds with more speakers in validation, or how="weighted".'
        )
    model = LogisticRegression(class_weight="balanced", max_iter=2_000)
    folds = int(min(5, fewest))
    search = GridSearchCV(model, {"C": STACK_PENALTIES}, scoring="neg_log_loss", cv=folds).fit(rows, targets)
    coef, intercept = search.best_estimator_.coef_, search.best_estimator_.intercept_
    if n_emotions == 2:  # of two emotions scikit-learn keeps one row
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return {"coef": coef, "intercept": intercept}


@contextmanager
def _validation_held_back(recognizer: Recognizer) -> Iterator[bool]:
    """Let a recognizer, and all that it consists of, learn without the validation part; tell if that is a change."""
    parts = [recognizer]
    for part in parts:  # grows as it goes
        parts += getattr(part, "members", [])
    before = [part.train_on_validation for part in parts]
    try:
        for part in parts:
            part.train_on_validation = False
        yield any(before)
    finally:
        for part, learned in zip(parts, before, strict=True):
            part.train_on_validation = learned
