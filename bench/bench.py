"""Measure each budget of the course and print it beside its target; `make bench`, or with --fresh a fresh clone too."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FRAMES, N_FEATURES, N_EMOTIONS = 185, 64, 8  # 3.7 s at 20 ms, as in RAVDESS
N_UTTERANCES, N_EPOCHS = 1_024, 3
CI_MINUTES = ROOT / "build" / "ci-minutes"  # .ci/run writes it


class Row(NamedTuple):
    """One budget: what was measured, its target, and whether more is better."""

    what: str
    measured: float | None
    target: float
    unit: str
    more_is_better: bool = False
    note: str = ""

    def __str__(self) -> str:
        found = self.note or "not measured" if self.measured is None else f"{self.measured:,.2f}"
        kept = "" if self.measured is None else "ok" if self._kept else "MISSED"
        sign = ">" if self.more_is_better else "<"
        return f"{self.what:50} {found:>20} {sign} {self.target:>6,.0f} {self.unit:4} {kept}".rstrip()

    @property
    def _kept(self) -> bool:
        assert self.measured is not None
        return self.measured >= self.target if self.more_is_better else self.measured <= self.target


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def import_time() -> Iterator[Row]:
    """Time `import emolab` in fresh processes; the best of five, since others may be working."""
    command = [sys.executable, "-c", "import emolab"]
    yield Row("import emolab", min(seconds(lambda: subprocess.run(command, check=True)) for _ in range(5)), 1, "s")


def sample() -> Iterator[Row]:
    """Build the sample corpora into a folder that is thrown away."""
    from emolab.corpora.sample.build import build

    with tempfile.TemporaryDirectory() as folder:
        yield Row("sample corpora", seconds(lambda: build(Path(folder) / "sample")), 40, "s")


def sound_features() -> Iterator[Row]:
    """Compute log-mel and MFCC of all RAVDESS speech, decoding included, nothing cached."""
    from emolab.corpora import load_corpus
    from emolab.features.audio import audio_features

    what = "log-mel and MFCC of all RAVDESS speech"
    try:
        paths = load_corpus("ravdess").audio_paths()
    except FileNotFoundError:
        yield Row(what, None, 10, "s", note="RAVDESS is not here")
        return
    with empty_cache():
        yield Row(what, seconds(lambda: [audio_features(kind, paths) for kind in ("log-mel", "mfcc")]), 10, "s")


@contextmanager
def empty_cache() -> Iterator[None]:
    """Point the cache to an empty folder for a while."""
    before = os.environ.get("EMOLAB_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EMOLAB_CACHE"] = folder
        yield
    os.environ.pop("EMOLAB_CACHE")
    if before:
        os.environ["EMOLAB_CACHE"] = before


def training() -> Iterator[Row]:
    """Train the CNN-BiLSTM on random log-mels; the fastest epoch counts, validated on one batch."""
    from emolab.examples import Examples
    from emolab.models import build
    from emolab.recipes import CNN_BILSTM
    from emolab.training import TrainingConfig, fit

    rng = np.random.default_rng(7)
    sounds = [rng.standard_normal((FRAMES, N_FEATURES)).astype(np.float32) for _ in range(N_UTTERANCES)]
    targets = np.arange(N_UTTERANCES) % N_EMOTIONS
    train, valid = Examples([sounds], targets), Examples([sounds[:32]], targets[:32])
    forms = {"published form": {"kind": "cnn-bilstm"}, "recipe, normalised, attention": CNN_BILSTM}
    for name, spec in forms.items():
        model = build({**spec, "n_features": N_FEATURES, "n_emotions": N_EMOTIONS})
        config = TrainingConfig(n_epochs=N_EPOCHS, patience=None)
        history = fit(model, train, valid, config=config, seed=7, progress=False)
        yield Row(f"CNN-BiLSTM training, {name}", N_UTTERANCES / min(history.epoch_seconds), 1_000, "a s", True)


def chapters() -> Iterator[Row]:
    """Run every chapter in the quick preset on the sample."""
    from emolab.course.chapters import NOTEBOOKS, run_chapter

    total = 0.0
    for chapter in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        run = run_chapter(chapter)
        total += run.seconds
        yield Row(f"chapter {run.chapter}", None if run.error else run.seconds, 45, "s", note=f"failed: {run.error}")
        yield Row(f"chapter {run.chapter}, peak memory", run.peak_mb, 1_500, "MB")
    yield Row("all chapters", total, 600, "s")


def fresh_clone() -> Iterator[Row]:
    """Clone the repository, set it up and run the first chapter, as somebody new would."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        subprocess.run(["make", "--no-print-directory", "course", "CHAPTERS=00"], cwd=folder, check=True)
        yield Row("fresh clone to first executed chapter", time.perf_counter() - began, 180, "s")


def whole_test() -> Iterator[Row]:
    """Read how long the last .ci/run on this machine took."""
    minutes = float(CI_MINUTES.read_text()) if CI_MINUTES.is_file() else None
    yield Row(".ci/run", minutes, 20, "min", note="run .ci/run first")


def main() -> int:
    """Print each budget as it is measured; the status is 1 if one was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="also set up a fresh clone (minutes, needs the network)")
    parser.add_argument(
        "only", nargs="*", help="beginnings of the measures to take: import, sample, sound, training, …"
    )
    options = parser.parse_args()
    os.environ["EMOLAB_PROGRESS"] = "0"  # only the figures, please
    measures = [import_time, sample, sound_features, training, chapters, whole_test]
    measures += [fresh_clone] if options.fresh else []
    missed = False
    for measure in measures:
        if not options.only or measure.__name__.startswith(tuple(options.only)):
            for row in measure():
                print(row, flush=True)
                missed |= "MISSED" in str(row)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
