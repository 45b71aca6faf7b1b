"""Measure the processor time that loading and folding one's own CSV file takes, and the memory.

`python bench/tables.py` prints both for 100,000 and 1,000,000 rows beside their targets; with `--old ../old`, a work
tree of an older build, also the ratio for 100,000 rows. Each measure is taken in a process of its own, of one thread;
processor time is what a quiet machine takes, whatever else this one does.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import ROOT, Row

EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "surprised")
N_SPEAKERS, ROWS_A_FILE, FILES_A_FOLDER = 1_500, 10, 1_000  # rows are segments of 4 s
SMALL, LARGE = 100_000, 1_000_000
SENTENCE = "This is what was said in the {}th utterance, as somebody typed it."
LOAD = """
import resource, sys, time
from pathlib import Path
from emolab.corpora import load_corpus
from emolab.splits import speaker_folds
began = time.process_time()
corpus = load_corpus(Path(sys.argv[1]))
loaded = time.process_time()
print(loaded - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, end=" ")
if sys.argv[2] == "folds":
    speaker_folds(corpus)
    print(time.process_time() - loaded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, end=" ")
"""


def write_table(folder: Path, n_rows: int) -> Path:
    """Write a table of segments of sound files, with words, and small files of those names, each unlike the others."""
    path = folder / f"{n_rows}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "speaker", "emotion", "text", "audio", "start", "end"])
        for number in range(n_rows):
            n_file, place = divmod(number, ROWS_A_FILE)
            audio = folder / f"{n_rows}-{n_file // FILES_A_FOLDER}" / f"{n_file}.wav"
            if place == 0:
                audio.parent.mkdir(exist_ok=True)
                audio.write_text(f"{n_file:010}")
            about = (f"u{number}", f"s{n_file % N_SPEAKERS}", EMOTIONS[number * 7 % 11 % 6], SENTENCE.format(number))
            table.writerow([*about, audio.relative_to(folder), 4 * place, 4 * place + 3.5])
    return path


def measured(tree: Path, table: Path, *, folds: bool) -> list[float]:
    """Load a table with the build in `tree`: seconds and peak MB, and the same of its folds."""
    command = [sys.executable, "-c", LOAD, str(table), "folds" if folds else ""]
    variables = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, cwd=table.parent, env=variables, check=True, capture_output=True, text=True).stdout
    return [float(number) for number in told.split()]


def rows_of(folder: Path, old: Path | None) -> Iterator[Row]:
    """Yield each measure."""
    small = write_table(folder, SMALL)
    new = measured(ROOT, small, folds=True)
    for what, place in (("load", 0), ("fold", 2)):
        yield Row(f"{what} {SMALL:,} rows", new[place], None, "s")
        yield Row(f"{what} {SMALL:,} rows, peak memory", new[place + 1], None, "MB")
    if old:
        before = measured(old, small, folds=True)
        for what, place in (("load", 0), ("fold", 2)):
            name = f"{what} {SMALL:,} rows: {new[place]:.1f} s / {before[place]:.1f} s"
            yield Row(name, new[place] / before[place], 0.5, "")
    took, peak = measured(ROOT, write_table(folder, LARGE), folds=False)
    yield Row(f"load {LARGE:,} rows", took, 40, "s")
    yield Row(f"load {LARGE:,} rows, peak memory", peak, 2_000, "MB")


def main() -> int:
    """Print each measure as it is taken; the status is 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, help="working tree of an older build")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for row in rows_of(Path(folder), options.old and options.old.resolve()):
            print(row, flush=True)
            missed |= "MISSED" in str(row)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
