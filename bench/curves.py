"""Measure when a large model is worth it: scores over the training set's size, and over what is known of a speaker.

`python bench/curves.py actors` trains on 2, 4, 8, 16 and all of RAVDESS's training actors; `dialogues` on shares of
MELD's training dialogues; `recordings` tells each test speaker's mean from 0, 1, 2, 5, 10 or 30 unlabelled recordings.
Every curve is kept in data/results/curves-NAME.json, in preset full: weights of the large models must be at hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from emolab import load_corpus
from emolab.corpora import Corpus
from emolab.evaluation import CrossValidation, Report, compare, cross_validate, evaluate, pool
from emolab.features.combined import SpeakerNormalized
from emolab.recipes import PER_SPEAKER, recipe
from emolab.results import INTERVALS, device, versions
from emolab.splits import Fold, folds_of
from emolab.storage import atomic_write, progress, results_root

CURVES: Mapping[str, tuple[str, str, Sequence[float], Sequence[str]]] = {  # corpus, what is varied, values, recipes
    "actors": (
        "ravdess",
        "training actors",
        (2, 4, 8, 16, 18),
        ("audio/svm", "audio/discriminant", "audio/whisper-tiny-light", "audio/whisper-base-light"),
    ),
    "dialogues": (
        "meld",
        "share of the training dialogues",
        (0.025, 0.05, 0.1, 0.25, 0.5, 1),
        ("text/svm", "text/minilm-frozen", "text/minilm"),
    ),
    "recordings": (
        "ravdess",
        "unlabelled recordings of a test speaker",
        (0, 1, 2, 5, 10, 30),
        ("audio/discriminant", "audio/whisper-base-light"),
    ),
}
N_ENROLLED = 30  # recordings of each test speaker that are set aside for enrolment; the others are tested


def smaller(fold: Fold, column: str, n: float, seed: int) -> Fold:
    """Keep `n` of the training set's speakers or dialogues, drawn at random, or a share of them below 1 or equal."""
    names = np.unique(fold.train.table[column])
    n_kept = max(1, round(n * len(names))) if n <= 1 else min(int(n), len(names))
    for draw in range(1000):  # until each emotion occurs
        kept = np.random.default_rng([seed, draw]).permutation(names)[:n_kept]
        train = fold.train.select(fold.train.table[column].isin(kept).to_numpy())
        if set(train.table["emotion"]) == set(fold.train.emotions):
            return replace(fold, train=train)
    raise ValueError(f"{n_kept} of {len(names)} {column}s never hold all of {fold.train.emotions}; take more.")


def over_training_sets(name: str, folds: Sequence[Fold], column: str, n: float, seeds: Sequence[int]) -> list[Report]:
    """Train on a part of each fold's training set, another one for each seed; return a pooled report for each seed."""
    build = partial(recipe, name, preset="full", train_only=True)
    cut = {seed: [smaller(fold, column, n, seed) for fold in folds] for seed in seeds}
    return [cross_validate(build, cut[seed], seeds=[seed]).reports[seed] for seed in seeds]


def halves(test: Corpus, n: int, seed: int) -> tuple[Corpus, Corpus]:
    """Draw `n` of the recordings of each speaker that are set aside; return them, and those that are always tested."""
    enrolled, tested = np.zeros(len(test), bool), np.ones(len(test), bool)
    for places in test.table.groupby("speaker").indices.values():
        aside = np.random.default_rng(0).permutation(places)[:N_ENROLLED]
        tested[aside] = False
        enrolled[np.random.default_rng(seed).permutation(aside)[:n]] = True
    return test.select(enrolled), test.select(tested)


def over_recordings(name: str, folds: Sequence[Fold], values: Sequence[int], seeds: Sequence[int]) -> Iterator[Any]:
    """Train once on each fold, enrol each test speaker by more and more recordings, and test on the others."""
    found: dict[int, dict[int, list[Report]]] = {n: {seed: [] for seed in seeds} for n in values}
    for fold in progress(folds, name):
        plain, normalised = (
            recipe(f"{name}{part}", preset="full", train_only=True) for part in ("", f"@{PER_SPEAKER}")
        )
        plain.fit(fold.train, fold.valid)
        normalised.fit(fold.train, fold.valid)
        for n in values:
            for seed in seeds:
                enrolled, tested = halves(fold.test, n, seed)
                for extractor in normalised.extractors():
                    if n and isinstance(extractor, SpeakerNormalized):
                        extractor.enrolled = {}
                        extractor.enrol(enrolled)
                found[n][seed].append(evaluate(normalised if n else plain, tested))
    for n, reports in found.items():
        yield n, [pool([replace(each, recognizer=name) for each in own]) for own in reports.values()]


def measure(curve: str, recipes: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Measure a curve; return what is recorded."""
    corpus, varied, values, default = CURVES[curve]
    data = load_corpus(corpus).view()
    folds, names = folds_of(data), list(recipes or default)
    reports: dict[tuple[str, float], list[Report]] = {}
    for name in names:
        if curve == "recordings":
            reports |= {(name, n): found for n, found in over_recordings(name, folds, [*map(int, values)], seeds)}
            continue
        column = "speaker" if curve == "actors" else "dialogue_id"
        for n in values:
            reports[name, n] = over_training_sets(name, folds, column, n, seeds)
            print(curve, name, n, np.mean([each.metrics["ua"].value for each in reports[name, n]]).round(3), flush=True)
    rows = [row(name, n, found, reports[names[0], n]) for (name, n), found in reports.items()]
    facts = {"curve": curve, "corpus": corpus, "varied": varied, "protocol": folds[0].protocol, "seeds": [*seeds]}
    facts |= {"reference": names[0], "intervals": INTERVALS, "versions": versions(), "device": device()}
    command = " ".join(["python bench/curves.py", curve, *recipes, "--seeds", *map(str, seeds)])
    return facts | {"date": datetime.now(UTC).date().isoformat(), "command": command, "rows": rows}


def row(name: str, n: float, found: Sequence[Report], reference: Sequence[Report]) -> dict[str, Any]:
    """Return scores with intervals, and the difference to the first recipe's at the same place."""
    joined, other = (joint(each) for each in (found, reference))
    scores = {metric: limits(joined.metrics[metric]) for metric in ("ua", "weighted_f1")}
    gain = compare(joined, other).difference if found is not reference else {}
    return {"recipe": name, "x": n, **scores, "gain": {metric: limits(each) for metric, each in gain.items()}}


def joint(reports: Sequence[Report]) -> CrossValidation:
    """Put the reports of several seeds together."""
    return CrossValidation(dict(enumerate(reports)), "", (), False, ())


def limits(interval: Any) -> dict[str, float | None]:
    """Return an interval for JSON, which has no NaN."""
    return {name: None if np.isnan(value) else round(float(value), 5) for name, value in interval._asdict().items()}


def main() -> None:
    """Measure one curve and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curve", choices=CURVES)
    parser.add_argument("recipes", nargs="*", help="default: those of the curve; the first is the reference")
    parser.add_argument("--seeds", nargs="+", type=int, default=[7, 8, 9], help="other parts, and other trainings")
    options = parser.parse_args()
    measured = measure(options.curve, options.recipes, options.seeds)
    target = results_root() / f"curves-{options.curve}.json"
    with atomic_write(target) as part:
        part.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(f"recorded in {target}")


if __name__ == "__main__":
    sys.exit(main())
