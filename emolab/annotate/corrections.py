"""Corrections come back as a rater's labels: agreement with the model, and a light head that is fitted on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab import evaluation
from emolab.annotate.annotation import Annotation, homes
from emolab.corpora import Corpus
from emolab.late_fusion import LEAST, LateFusion
from emolab.recognizer import Recognizer

PRIOR = 3.0  # corrections that the model itself counts as for each of its emotions, so that a few do not undo it
SURE = 0.8  # probability of an emotion in an utterance that the model is sure of
PENALTY_C = 10.0  # inverse strength of the penalty on the head
N_FOLDS = 5
MIN_SEGMENTS = 10
N_SHOWN = 20  # rows of what differs
IMPOSSIBLE = -30.0  # intercept of an emotion without examples


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far raters agree with a model and with each other.

    Attributes:
        labels: One row a segment of the annotation: start, end, speaker, text, confidence, unsure, model, and a column
            for each rater; NA where a rater cannot tell, or has no such segment.
        pairs: One row a pair: n (segments that both labelled), agreement (share of the same labels) and Cohen's kappa;
            NaN is undefined, as when both only ever say one emotion.
        alpha: Krippendorff's alpha for nominal labels, over the model and all raters; NaN is undefined.
        added: How many segments of raters are none of the annotation's.
    """

    labels: pd.DataFrame
    pairs: pd.DataFrame
    alpha: float
    added: int

    @property
    def differ(self) -> pd.DataFrame:
        """The segments in which a rater's emotion is another than the model's, or than its best guess where unsure."""
        raters = self.labels.loc[:, "model":].iloc[:, 1:]
        return self.labels[(raters.notna() & raters.ne(self.labels["model"], axis=0)).any(axis=1)]

    def __repr__(self) -> str:
        figures = self.pairs.to_string(float_format="{:.3f}".format, na_rep="undefined")
        alpha = "undefined" if np.isnan(self.alpha) else f"{self.alpha:.3f}"
        unsure = f"{int(self.labels['unsure'].sum())} of {len(self.labels)} segments, in which the model is unsure, do"
        said = f"{figures}\nKrippendorff's alpha {alpha}; {unsure} not count; {self.added} segments were added"
        differ = self.differ.to_string(max_rows=N_SHOWN, max_colwidth=40, na_rep="") if len(self.differ) else ""
        return f"{said}\n{differ}"


def compare(annotation: Annotation, *corrected: Annotation) -> Agreement:
    """Compare a model's annotation with those of raters, such as corrected copies of it.

    A rater's segment is the annotation's that it shares most time with, the same speaker's if there is one. Where the
    model is unsure, it has no label.

    Raises:
        ValueError: If there is no rater, or none has a segment of the annotation.
    """
    columns = ["start", "end", "speaker", "text", "confidence", "unsure"]
    labels = annotation.segments[columns].assign(model=annotation.segments["emotion"])
    added = 0
    for number, rater in enumerate(corrected, start=1):
        both = (annotation.segments, rater.segments)
        same = np.equal.outer(*(table["speaker"].to_numpy(object) for table in both))
        places = homes(*(table[["start", "end"]] for table in both), bonus=same)
        emotions = rater.segments["emotion"].mask(rater.segments["unsure"]).to_numpy(object)
        labels[f"rater {number}"] = [emotions[place] if place >= 0 else None for place in places]
        added += len({*range(len(rater))} - {*places})
    said = labels.loc[:, "model":].astype(object).assign(model=labels["model"].mask(labels["unsure"]).astype(object))
    names = [*said]
    if len(names) < 2 or said.iloc[:, 1:].isna().all(axis=None):
        found = f"{len(corrected)} raters label none of the {len(annotation)} segments of {annotation.media!r}"
        raise ValueError(f"{found}; expected emotions for the same recording. Read a corrected file of it.")
    pairs = {f"{a} and {b}": _pair(said[[a, b]].dropna()) for place, a in enumerate(names) for b in names[place + 1 :]}
    table = pd.DataFrame.from_dict(pairs, orient="index", columns=["n", "agreement", "kappa"])
    return Agreement(labels, table, krippendorff_alpha(said), added)


def _pair(both: pd.DataFrame) -> tuple[int, float, float]:
    """Return number, share of equal labels and Cohen's kappa of two columns."""
    from sklearn.metrics import cohen_kappa_score

    a, b = both.to_numpy(str).T
    kappa = float(cohen_kappa_score(a, b)) if len({*a, *b}) > 1 else np.nan
    return len(both), float((a == b).mean()) if len(both) else np.nan, kappa


def krippendorff_alpha(labels: pd.DataFrame) -> float:
    """Return Krippendorff's alpha for nominal labels: 1 is agreement, 0 chance; NaN if fewer than two labels occur.

    Args:
        labels: One row a unit, one column a rater; NA is missing. Source: Krippendorff 2011.
    """
    counts = pd.get_dummies(labels.stack()).groupby(level=0).sum().to_numpy()  # of each label in each unit
    counts = counts[counts.sum(axis=1) > 1]  # a label alone in its unit pairs with none
    raters, totals = counts.sum(axis=1), counts.sum(axis=0)
    observed = ((raters**2 - (counts**2).sum(axis=1)) / (raters - 1)).sum()
    expected = (totals.sum() ** 2 - (totals**2).sum()) / max(totals.sum() - 1, 1)
    return float(1 - observed / expected) if expected > 0 else np.nan


@dataclass(frozen=True, eq=False)
class Refit:
    """A recognizer with a head that was fitted on corrections.

    Attributes:
        recognizer: The model with the head, calibrated on what cross-validation predicted.
        before: The model alone on the corrected segments.
        after: With a head fitted on the other folds.
        protocol: How the segments were divided.
    """

    recognizer: LateFusion
    before: evaluation.Report
    after: evaluation.Report
    protocol: str

    def __repr__(self) -> str:
        return f"{self.before}\n\n{self.after}\n\n{self.protocol}\n{evaluation.compare(self.after, self.before)}"


def refit(
    model: Recognizer | Path | str,
    corrected: Annotation | Sequence[Annotation],
    media: Path | str | Sequence[Path | str],
    folder: Path | str,
    *,
    seed: int = 7,
) -> Refit:
    """Fit a logistic regression on a model's log-probabilities to corrected segments, and save both together.

    Every segment counts as seen by the rater; delete the emotion of those that were not. For each emotion of the model
    `PRIOR` utterances that it is sure of are added, so that a few corrections do not undo what it has learned. The
    figures before and after are of cross-validation: by speaker if there are several.

    Args:
        model: A fitted recognizer, or the folder of one.
        corrected: One or several annotations that a rater has gone through.
        media: The recording of each.
        folder: A new folder for the recognizer.
        seed: Of the folds, where there is one speaker.

    Raises:
        FileExistsError: If the folder is there already.
        ValueError: If there are too few segments or emotions, or the recordings lack what the model needs.
    """
    if Path(folder).exists():
        raise FileExistsError(f"{folder} is there already; expected a new folder, so that no model is lost. Name one.")
    base = model if isinstance(model, Recognizer) else Recognizer.load(model)
    corpus = corpus_of(corrected, media)
    emotions, speakers = (*dict.fromkeys([*base.emotions, *corpus.emotions]),), [*corpus.table["speaker"]]
    if len(corpus) < MIN_SEGMENTS or len(corpus.emotions) < 2:
        found = f"{len(corpus)} corrected segments of {len(corpus.emotions)} emotions; expected at least {MIN_SEGMENTS}"
        raise ValueError(f"{found} of 2. Correct more, and leave the emotion in place where the model is right.")
    given, truth = base.predict_proba(corpus), [*corpus.table["emotion"]]
    targets = pd.Categorical(truth, categories=[*emotions]).codes.astype(np.int64)
    refitted = LateFusion(f"{base.name}, refitted", [base], "stacked")
    refitted.emotions, after = emotions, np.zeros((len(corpus), len(emotions)))
    folds, protocol = _folds(speakers, seed)
    for train, test in folds:
        refitted.stack = _head(given[train], targets[train], len(emotions))
        after[test] = refitted.join([given[test]])
    refitted.stack = _head(given, targets, len(emotions))
    refitted.calibrate(after, targets)
    refitted.save(folder)
    padded = np.pad(given, ((0, 0), (0, len(emotions) - given.shape[1])))
    about: dict[str, Any] = {"emotions": emotions, "clusters": speakers, "utterances": [*corpus.table["utterance_id"]]}
    before = replace(evaluation.report(truth, padded, **about), recognizer="before", corpus="corrected segments")
    return Refit(refitted, before, replace(before, probabilities=after, recognizer="after"), protocol)


def corpus_of(corrected: Annotation | Sequence[Annotation], media: Path | str | Sequence[Path | str]) -> Corpus:
    """Return the labelled segments of annotations as utterances, cut from their recordings."""
    annotations = [corrected] if isinstance(corrected, Annotation) else [*corrected]
    files = [media] if isinstance(media, Path | str) else [*media]
    if len(files) != len(annotations):
        raise ValueError(f"{len(annotations)} annotations of {len(files)} recordings; expected one each, in one order.")
    rows = []
    for own, path in zip(annotations, files, strict=True):
        file = str(Path(path).resolve())
        for number, row in own.segments[own.segments["emotion"].notna() & ~own.segments["unsure"]].iterrows():
            about = {"utterance_id": f"{file} {number}", "dialogue_id": file, "audio_path": file, "video_path": file}
            times = {f"{kind}_{edge}": row[edge] for kind in ("audio", "video") for edge in ("start", "end")}
            rows.append(about | times | {name: row[name] or pd.NA for name in ("speaker", "emotion", "text")})
    emotions = sorted({row["emotion"] for row in rows})
    return Corpus.from_rows("corrections", rows, emotions=emotions, root=Path())


def _folds(speakers: Sequence[str], seed: int) -> tuple[list[tuple[Any, Any]], str]:
    """Divide segments into training and test sets, and say how."""
    from sklearn.model_selection import GroupKFold, KFold

    n = min(N_FOLDS, len({*speakers}))
    if n > 1:
        return [*GroupKFold(n).split(speakers, groups=speakers)], f"cross-validation by speaker, {n} folds"
    folds = KFold(N_FOLDS, shuffle=True, random_state=seed)
    why = "one speaker, who is in the training and the test sets: too good for other voices"
    return [*folds.split(speakers)], f"cross-validation by segment, {N_FOLDS} folds; {why}"


def _head(given: NDArray[np.float64], targets: NDArray[np.int64], n_emotions: int) -> dict[str, NDArray[np.float64]]:
    """Fit the head: coef (n_emotions, n_given) and intercept (n_emotions,), for log-probabilities of mean 0."""
    from sklearn.linear_model import LogisticRegression

    k = given.shape[1]
    typical = np.where(np.eye(k) > 0, SURE, (1 - SURE) / (k - 1))  # of each emotion in turn
    logs = np.log(np.maximum(np.vstack([np.repeat(typical, k, axis=0), given]), LEAST))
    logs -= logs.mean(axis=1, keepdims=True)
    labels = np.concatenate([np.tile(np.arange(k), k), targets])
    weights = np.concatenate([PRIOR * typical.ravel(), np.ones(len(given))])
    model = LogisticRegression(C=PENALTY_C, max_iter=5_000).fit(logs, labels, sample_weight=weights)
    coef, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # of two emotions scikit-learn keeps one row
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    head = {"coef": np.zeros((n_emotions, k)), "intercept": np.full(n_emotions, IMPOSSIBLE)}
    head["coef"][model.classes_], head["intercept"][model.classes_] = coef, intercept
    return head
