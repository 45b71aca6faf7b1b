"""Measure what goes beyond one label on the sample: ratings by modality and fused, soft labels, biases of raters.

`python bench/dimensions.py` trains every candidate on all folds, for every rating, on labels and on votes, and keeps
data/results/dimensions.json. Nothing is trained on the validation sets. What is compared on the test sets is chosen
there: the best single modality and the best fusion by their CCC; the model by how well it foretells the votes if it was
trained on labels.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from emolab import fuse, load_corpus, recipe
from emolab.corpora.corpus import RATINGS, Corpus
from emolab.evaluation import CrossValidation, Interval, Report, clustered_interval, compare, evaluate, pool
from emolab.recognizer import Recognizer
from emolab.results import INTERVALS, device, versions
from emolab.splits import Fold, folds_of
from emolab.storage import atomic_write, progress, results_root

SINGLE = {  # of each modality, the candidates
    "audio": ("audio/logistic-regression", "audio/svm"),
    "text": ("text/logistic-regression", "text/characters"),
    "video": ("video/logistic-regression",),
}
TWO = "audio/logistic-regression & text/characters"  # stacked
FUSED = (
    *(f"fusion/early/{name}" for name in ("logistic-regression", "logistic-regression+faces")),
    *(TWO, f"{TWO} & video/logistic-regression"),
)
VOTERS = (
    *("audio/logistic-regression", "audio/random-forest", "text/logistic-regression"),
    *("fusion/early/logistic-regression", "fusion/early/logistic-regression+faces"),
)
Reports = dict[int, dict[str, Report]]  # by seed: "valid", "test" and "scaled", each with all folds pooled


def built(name: str, target: str, seed: int) -> Recognizer:
    """Make a candidate that never sees the validation set; regressors are stretched to the spread of ratings there."""
    made = [recipe(each, seed=seed, train_only=True, target=target) for each in name.split(" & ")]  # type: ignore[arg-type]
    return fuse(made, "stacked", name=name) if target in RATINGS else made[0]


def measured(build: Callable[..., Recognizer], folds: Sequence[Fold], seeds: Sequence[int]) -> Reports:
    """Fit on each fold and seed; report validation and test sets, pooled over the folds.

    Of classifiers also the test sets with temperatures that were fitted to the votes on each validation set.
    """
    found: dict[int, dict[str, list[Report]]] = {seed: {"valid": [], "test": [], "scaled": []} for seed in seeds}
    for seed in seeds:
        for fold in folds:
            recognizer = build(seed=seed)
            recognizer.fit(fold.train, fold.valid, train_only=True)
            valid, test = (evaluate(recognizer, corpus) for corpus in (fold.valid, fold.test))
            if not recognizer.rates:
                votes = fold.valid.votes()
                rows, emotions = np.divmod(np.repeat(np.arange(votes.size), votes.ravel()), votes.shape[1])
                recognizer.calibrate(valid.probabilities[rows], emotions)
            scaled = (
                test if recognizer.rates else replace(test, probabilities=recognizer.calibrated(test.probabilities))
            )
            for part, report in (("valid", valid), ("test", test), ("scaled", scaled)):
                found[seed][part].append(report)
    return {seed: {part: pool(each) for part, each in own.items()} for seed, own in found.items()}


def joint(reports: Reports, part: str) -> CrossValidation:
    """Put the reports of all seeds together."""
    return CrossValidation({seed: own[part] for seed, own in reports.items()}, "", (), False, ())


def ratings(folds: Sequence[Fold], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each rating: all candidates, the best by validation, and what fusion adds on the test sets."""
    names = [*(name for own in SINGLE.values() for name in own), *FUSED]
    for target in RATINGS:
        reports = {name: measured(partial(built, name, target), folds, seeds) for name in progress(names, target)}
        valid = {name: joint(own, "valid").metrics["ccc"].value for name, own in reports.items()}
        test = {name: joint(own, "test") for name, own in reports.items()}
        best = {modality: max(own, key=valid.__getitem__) for modality, own in SINGLE.items()}
        single, fused = max(best.values(), key=valid.__getitem__), max(FUSED, key=valid.__getitem__)
        gain = compare(test[fused], test[single]).difference["ccc"]
        candidates = [
            {"recipe": name, "valid_ccc": round(valid[name], 5), "ccc": limits(test[name].metrics["ccc"])}
            for name in names
        ]
        heard = compare(test[best["audio"]], test[best["text"]]).difference["ccc"]
        row = {"target": target, "best": best, "single": single, "fused": fused, "gain": limits(gain)}
        print(target, row, limits(test[single].metrics["ccc"]), limits(test[fused].metrics["ccc"]), flush=True)
        yield {**row, "audio_minus_text": limits(heard), "candidates": candidates}


def soft_labels(corpus: Corpus, folds: Sequence[Fold], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield a row for each model: negative log-likelihood of the votes, trained on labels and on votes."""
    for name in progress(VOTERS, "votes"):
        reports = {of: measured(partial(built, name, of), folds, seeds) for of in ("emotion", "votes")}
        speakers, row = reports["votes"][seeds[0]]["test"].clusters, {"recipe": name}
        for part in ("valid", "test", "scaled"):
            cost = {
                of: np.mean([nll(each[part], corpus) for each in own.values()], axis=0) for of, own in reports.items()
            }
            about = {"emotion": cost["emotion"], "votes": cost["votes"], "difference": cost["votes"] - cost["emotion"]}
            if part == "valid":
                row |= {f"valid_nll_{of}": round(float(each.mean()), 5) for of, each in about.items()}
            else:
                row |= {f"{part}_nll_{of}": limits(clustered_interval(each, speakers)) for of, each in about.items()}
        row |= {f"ua_{of}": limits(joint(own, "test").metrics["ua"]) for of, own in reports.items()}
        print(row, flush=True)
        yield row


def nll(report: Report, corpus: Corpus) -> np.ndarray:
    """Return (n,) negative log-likelihoods of the raters' distribution, in nats."""
    rows = pd.Series(range(len(corpus)), corpus.table["utterance_id"])[list(report.utterances)]
    return -(corpus.targets("votes")[rows] * np.log(np.maximum(report.probabilities, 1e-6))).sum(axis=1)


def biases(corpus: Corpus) -> dict[str, Any]:
    """Compare each rater's mean distance from the mean of an utterance's raters with what was planted."""
    said = pd.concat(
        {
            name: pd.DataFrame(own).T
            for name, own in zip(corpus.table["utterance_id"], corpus.table["raters"], strict=True)
        },
        names=["utterance_id", "rater"],
    )[list(RATINGS)].astype(float)
    found = (said - said.groupby("utterance_id").transform("mean")).groupby("rater").mean()
    planted = pd.read_csv(corpus.root / "raters.csv", index_col="rater").loc[found.index]
    r = np.corrcoef(found.to_numpy().ravel(), planted.to_numpy().ravel())[0, 1]
    largest = float(np.abs(found - planted).to_numpy().max())
    return {"n_raters": len(found), "n_ratings": len(said), "correlation": round(float(r), 5), "largest_error": largest}


def limits(interval: Interval) -> dict[str, float | None]:
    """Return an interval for JSON, which has no NaN."""
    return {name: None if np.isnan(value) else round(float(value), 5) for name, value in interval._asdict().items()}


def main() -> None:
    """Measure everything and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("ratings", "soft"), help="measure this part, keep the rest as it is")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7])
    options = parser.parse_args()
    seeds = options.seeds
    whole = load_corpus("sample")
    corpus = whole.view()
    folds = folds_of(corpus)
    facts = {"corpus": corpus.name, "view": corpus.view_name, "synthetic": corpus.synthetic, "preset": "quick"}
    facts |= {"protocol": f"{folds[0].protocol}, ratings", "trained_on": "training set", "seeds": seeds}
    facts |= {"n": len(corpus), "n_speakers": corpus.table["speaker"].nunique(), "intervals": INTERVALS}
    facts |= {"versions": versions(), "device": device(), "date": datetime.now(UTC).date().isoformat()}
    facts |= {"command": " ".join(["python bench/dimensions.py --seeds", *map(str, seeds)]), "biases": biases(whole)}
    print(facts["biases"], flush=True)
    path = results_root() / "dimensions.json"
    facts = (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}) | facts
    if options.only != "ratings":
        soft = [*soft_labels(corpus, folds, seeds)]
        facts |= {"soft_labels": soft, "soft_chosen": min(soft, key=lambda row: row["valid_nll_emotion"])["recipe"]}
    if options.only != "soft":
        facts |= {"ratings": [*ratings(folds, seeds)]}
    with atomic_write(path) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"recorded in {path}")


if __name__ == "__main__":
    sys.exit(main())
