"""Measure what a Dask cluster on this computer gains: fits, features, and what a killed worker costs.

`python bench/scale.py` takes some minutes and prints each figure beside its target; with --record it keeps them in
data/results/scale.json. One process and the cluster run in turn, pair by pair, and the median of the ratios counts, so
that other work on the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from threading import Timer
from typing import Any

import joblib
import numpy as np
import psutil
from dask.distributed import Client, LocalCluster
from threadpoolctl import threadpool_limits

from bench import Row, empty_cache, seconds
from emolab import load_corpus
from emolab.corpora import Corpus
from emolab.evaluation import CrossValidation, cross_validate
from emolab.features.audio import Functionals
from emolab.recipes import recipe
from emolab.results import device, versions
from emolab.splits import actor_folds
from emolab.storage import atomic_write, results_root

RECIPE, N_WORKERS, N_CORES = "audio/mlp", 4, 2  # its fits take seconds each, on one core, and draw random numbers
N_PARTS = 48  # of RAVDESS, 30 recordings each


@contextmanager
def cluster(n_workers: int) -> Iterator[Client]:
    """Start workers of one thread each, which have imported what fits and features need."""
    how = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with LocalCluster(**how) as started, Client(started) as client:
        client.run(ready)
        yield client


def ready() -> None:
    """Import and compile what is needed."""
    import emolab.training  # noqa: F401
    from emolab.features.audio import functionals

    functionals(np.random.default_rng(0).normal(size=16_000).astype(np.float32))


def answers(measured: CrossValidation) -> list[bytes]:
    """Return the probabilities of each seed, digit by digit."""
    return [said.probabilities.tobytes() for said in measured.reports.values()]


def fits(data: Corpus, name: str, *, on: str) -> CrossValidation:
    """Train and test the recipe on the six folds of RAVDESS."""
    with joblib.parallel_config(on):
        return cross_validate(partial(recipe, name), actor_folds(data), seeds=[7])


def features_here(data: Corpus) -> list[Any]:
    """Compute the functionals of all recordings in this process, whose threads use all cores."""
    with empty_cache():
        return Functionals().raw(data)


def features_of(part: Corpus) -> list[Any]:
    """Compute the functionals of some recordings on a worker that has one thread for them."""
    from unittest.mock import patch

    with empty_cache(), patch.object(joblib, "cpu_count", lambda: 1):
        return Functionals().raw(part)


def features_there(data: Corpus) -> list[Any]:
    """Compute them in parts on the cluster, and bring them here."""
    number = np.arange(len(data))
    parts = [data.select(number % N_PARTS == part) for part in range(N_PARTS)]
    with joblib.parallel_config("dask"):
        found = joblib.Parallel()(joblib.delayed(features_of)(part) for part in parts)
    return [found[place % N_PARTS][place // N_PARTS] for place in number]


def in_turn(one: Callable[[], Any], other: Callable[[], Any], n: int) -> tuple[list[float], list[float]]:
    """Time two ways of the same work, one after the other, n times."""
    taken = [(seconds(one), seconds(other)) for _ in range(n)]
    return [first for first, _ in taken], [second for _, second in taken]


def killed(client: Client, data: Corpus, name: str, after_s: float) -> CrossValidation:
    """Cross-validate on the cluster while one of its workers is killed."""
    pid = next(iter(client.run(os.getpid).values()))
    timer = Timer(after_s, psutil.Process(pid).kill)
    timer.start()
    try:
        return fits(data, name, on="dask")
    finally:
        timer.cancel()


def measure(name: str, n: int) -> dict[str, Any]:
    """Measure all, with `n` pairs of each comparison."""
    data, found = load_corpus("ravdess").view(), dict[str, Any]()
    fits(data, name, on="sequential")  # features are in the cache from here on
    with cluster(N_WORKERS) as client:
        same: list[CrossValidation] = []
        one, four = in_turn(
            lambda: same.append(fits(data, name, on="sequential")), lambda: same.append(fits(data, name, on="dask")), n
        )
        found["fits"] = {"one_process_s": one, "cluster_s": four}
        began = time.perf_counter()
        same.append(killed(client, data, name, after_s=0.4 * statistics.median(four)))
        found["killed"] = {"seconds": time.perf_counter() - began}
        found["same_to_the_last_digit"] = all(answers(each) == answers(same[0]) for each in same)
    with cluster(N_CORES) as client:
        here, there = in_turn(lambda: features_here(data), lambda: features_there(data), n)
        _, idle = in_turn(lambda: None, lambda: client.gather(client.map(len, ["a"] * 1000, pure=False)), n)
        found["features"] = {"one_process_s": here, "cluster_s": there}
        found["features"]["same"] = bool(np.array_equal(features_here(data), features_there(data)))
        found["overhead_ms"] = statistics.median(idle)
    return found


def gain(figures: dict[str, list[float]]) -> float:
    """Return how many times as fast the cluster is: the median over the pairs."""
    return statistics.median(a / b for a, b in zip(figures["one_process_s"], figures["cluster_s"], strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3, help="of each comparison (default 3)")
    parser.add_argument("--recipe", default=RECIPE, help=f"whose fits are measured (default {RECIPE})")
    parser.add_argument("--record", action="store_true", help="write data/results/scale.json")
    options = parser.parse_args(arguments)
    before = os.getloadavg()[0]
    with threadpool_limits(1):
        found = measure(options.recipe, options.pairs)
    found |= {"fits_gain": gain(found["fits"]), "features_gain": gain(found["features"]), "recipe": options.recipe}
    found |= {"workers": N_WORKERS, "load_before": before, "load_after": os.getloadavg()[0], "versions": versions()}
    found |= {
        "device": device(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python bench/scale.py --record",
    }
    same = found["same_to_the_last_digit"] and found["features"]["same"]
    print(Row("fit, 6 folds: 4 Dask workers / one process", found["fits_gain"], 1.7, "x", True))
    print(Row("features of RAVDESS: 2 Dask workers / one process", found["features_gain"], 0.9, "x", True))
    print(Row("a worker killed: the same to the last digit", float(same), 1, "", True))
    print(f"overhead {found['overhead_ms']:.2f} ms a task; load {before:.1f} before, {found['load_after']:.1f} after")
    if options.record:
        with atomic_write(results_root() / "scale.json") as part:
            part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
