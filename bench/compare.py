"""Measure this build and an older one, side by side, and print their ratios beside the targets.

`git worktree add ../old 419499d`, then `python bench/compare.py --old ../old`; about half an hour on two cores, with
--tests an hour. Both use this environment, so it must have what either needs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import BUSY, ROOT, Row, empty_cache, run_of, seconds

N_RECORDINGS = 200
OLD_FUNCTIONALS = "from emolab.features.audio import audio_features; audio_features('functionals', few.audio_paths())"
NEW_FUNCTIONALS = "from emolab.features.audio import Functionals; Functionals().transform(few)"
FEW = (
    "import time, numpy as np; from emolab import load_corpus; data = load_corpus('ravdess'); "
    f"few = data.select(np.arange(len(data)) < {N_RECORDINGS}); began = time.perf_counter(); "
)


def ratio(what: str, new: float, old: float, target: float, unit: str) -> Row:
    """Return the row of a ratio that says what it is made of."""
    return Row(f"{what}: {new:,.0f} {unit} / {old:,.0f} {unit}", new / old, target, "")


def all_chapters(old: Path) -> Iterator[Row]:
    """Run all chapters of both, one after the other, each build from an empty cache."""
    runs = {tree: run_of(tree) for tree in (ROOT, old)}
    took, peak = ({tree: [row[place] for row in run.values()] for tree, run in runs.items()} for place in (0, 1))
    yield ratio("all chapters", sum(took[ROOT]), sum(took[old]), 0.6, "s")
    yield ratio("peak memory of the largest chapter", max(peak[ROOT]), max(peak[old]), 0.75, "MB")


def busy_chapters(old: Path) -> Iterator[Row]:
    """Run the chapters that train, free and with one core kept busy."""
    for number in BUSY:
        ((chapter, (free, _)),) = run_of(ROOT, number).items()
        ((_, (busy, _)),) = run_of(ROOT, number, busy=True).items()
        ((_, (before, _)),) = run_of(old, number, busy=True).items()
        yield ratio(f"{chapter}, busy / free", busy, free, 1.5, "s")
        yield ratio(f"{chapter}, busy, new / old", busy, before, 0.25, "s")


def functionals(old: Path) -> Iterator[Row]:
    """Compute the functionals of the same recordings, decoding included, nothing cached."""
    took = {}
    for tree, code in ((ROOT, NEW_FUNCTIONALS), (old, OLD_FUNCTIONALS)):
        command = [sys.executable, "-c", f"{FEW}{code}; print(time.perf_counter() - began)"]
        with empty_cache():
            variables = {**os.environ, "PYTHONPATH": str(tree), "EMOLAB_PROGRESS": "0"}
            told = subprocess.run(command, cwd=tree, env=variables, check=True, capture_output=True, text=True).stdout
        took[tree] = float(told.split()[-1])
    yield Row(f"functionals of {N_RECORDINGS} recordings, new / old", took[ROOT] / took[old], 1.5, "")


def whole_tests(old: Path) -> Iterator[Row]:
    """Run `make test` in a clean clone of each."""
    took = {}
    for tree in (ROOT, old):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["git", "clone", "--quiet", str(tree), folder], check=True)
            subprocess.run(["make", "setup"], cwd=folder, check=True)
            took[tree] = seconds(lambda folder=folder: subprocess.run(["make", "test"], cwd=folder, check=True))
    yield ratio("make test, set-up apart", took[ROOT], took[old], 0.6, "s")


def main() -> int:
    """Print each ratio as it is measured; the status is 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="working tree of the older build")
    parser.add_argument("--tests", action="store_true", help="also run all tests of both, in clean clones")
    options = parser.parse_args()
    missed = False
    for measure in [functionals, busy_chapters, all_chapters, *([whole_tests] if options.tests else [])]:
        for row in measure(options.old.resolve()):
            print(row, flush=True)
            missed |= "MISSED" in str(row)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
