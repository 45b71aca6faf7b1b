"""Damage saved recognizers, entries of the ledger and other files of emolab's own, load each, and say what came of it.

`python bench/mutants.py --n 500 --seed 7` makes so many mutants of each kind: flipped bits, cuts, deleted, doubled and
swapped lines, swapped values, huge numbers, deep nesting, deleted files. A mutant must be noticed by an error that is
documented, or give the same answer. It exits with 1 if one gives another answer without a word, or an exception that
nobody documented.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np

from emolab import evaluation, results
from emolab.corpora import Corpus
from emolab.corpora.corpus import TRUTH
from emolab.course import progress
from emolab.course.exercises import CHECKERS
from emolab.features.text import Tfidf, Tokens
from emolab.models.light import logistic_regression
from emolab.recipes import fuse, network_builder
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.sample import is_current, stamp
from emolab.sample.truth import join_truth
from emolab.storage import write_json
from emolab.training import TrainingConfig

OUTCOMES = ("error", "same", "SILENT", "FOREIGN")
DEEP = 100_000  # brackets, more than any recursion takes
HUGE = ("1e999", "9" * 400, "-" + "9" * 5_000, "NaN", "-Infinity")
EMOTIONS, WORDS = ("angry", "sad"), {"angry": "furious", "sad": "gloomy"}


@dataclass(frozen=True)
class Kind:
    """One kind of file: how an intact one is written to a folder, and what loading it answers.

    Attributes:
        write: Given a folder, writes the files there.
        load: Given the folder, returns what is compared; it may raise one of `documented`.
        absent: What it answers where there is no such file, and the docstring says so.
    """

    write: Callable[[Path], object]
    load: Callable[[Path], Any]
    absent: Any = None


def corpus() -> Corpus:
    """Return 24 texts by four speakers, in which one word tells the emotion."""
    rows = []
    for number in range(24):
        emotion = EMOTIONS[number % 2]
        text = f"{WORDS[emotion]} we went home {'again' * (number % 3)}"
        rows.append({"utterance_id": f"u{number}", "speaker": "abcd"[number % 4], "emotion": emotion, "text": text})
    return Corpus.from_rows("words", rows, emotions=EMOTIONS, root=Path())


def recognizers() -> dict[str, Recognizer]:
    """Return a light, a network and a fused recognizer, fitted."""
    config = TrainingConfig(n_epochs=1, batch_size=8, patience=None)
    build = network_builder("WordLstm", {"n_embedding": 4, "n_hidden": 4, "n_dense": 4})
    made: dict[str, Recognizer] = {
        "light": LightRecognizer("text/light", Tfidf(min_count=1), logistic_regression(1, scale=False)),
        "network": NetworkRecognizer("text/network", Tokens(min_count=1), build, config),
    }
    members = [unfitted(made["light"]), unfitted(made["network"])]
    made["fused"] = fuse(members, "mean", name="fusion/late")
    for each in made.values():
        each.fit(corpus(), corpus())
    return made


def unfitted(one: Any) -> Recognizer:
    """Return an unfitted recognizer of the same make."""
    if isinstance(one, LightRecognizer):
        return LightRecognizer(one.name, Tfidf(min_count=1), one.candidates)
    return NetworkRecognizer(one.name, Tokens(min_count=1), one.build, one.config)


def predictions(folder: Path) -> Any:
    """Return everything that a loaded recognizer says of the texts."""
    made = Recognizer.load(folder / "kept")
    return made.name, made.emotions, made.modalities, made.predict_proba(corpus()).tobytes()


def entry() -> dict[str, Any]:
    """Return an entry of the ledger: two seeds, six speakers."""
    rng = np.random.default_rng(7)
    n = 36
    reports = {}
    for seed in (7, 8):
        truth = tuple(EMOTIONS[number % 2] for number in range(n))
        about = (tuple("abcdef"[number % 6] for number in range(n)), tuple(f"u{number:02}" for number in range(n)))
        probabilities = rng.dirichlet((1, 1), n)
        reports[seed] = evaluation.Report(EMOTIONS, truth, probabilities, *about, "text/light", "words", "all", True)
    costs = dict.fromkeys(results.COSTS, 1.5)
    measured = evaluation.CrossValidation(reports, "by speaker", ("text",), False, (1.0,), costs)
    return results.entry_of(measured, recipe="text/light", preset="quick", command="emolab fit text/light")


SCORECARD: dict[str, Any] = {
    **{"corpus": "words", "view": "all", "fold": "speakers, 1", "recipe": "text/light", "modality": "text", "n": 12},
    **{"preset": "quick", "stand_in": False, "synthetic": True, "parameters": 12, "device": "2 cores, CPU"},
    **{"date": "2026-11-30", "command": "emolab explain", "ua": {"value": 0.5, "low": 0.25, "high": 0.75}},
    "scores": [
        {"method": name, "measure": "pointing game", "value": value, "low": value / 2, "high": None, "n": 12}
        for name, value in {"random": 0.25, "shap-linear": 0.75, "ablation": 0.5}.items()
    ],
}


def in_ledger(read: Callable[[], Any], folder: Path) -> Any:
    """Read with a folder as the only ledger."""
    with mock.patch.object(results, "results_roots", return_value=[folder]):
        return read()


def write_entry(folder: Path, *, scorecard: bool = False) -> None:
    """Record an entry, or a scorecard, in a folder."""
    with mock.patch.object(results, "results_root", return_value=folder):
        _ = results.record_scores(SCORECARD) if scorecard else results.record(entry())


def write_sample(folder: Path) -> None:
    """Write truth.csv of the texts, and the stamp that vouches for it."""
    (folder / "words").mkdir()
    names = ["utterance_id", *TRUTH]
    cells = {name: "0.5" for name, (dtype, _) in TRUTH.items() if dtype == "float64"}
    cells |= {"cue_words": "0 3", "word_starts": "0.0 0.25 0.5 0.75", "cue_modalities": "text audio"}
    rows = [{"utterance_id": f"u{number}", **cells} for number in range(24)]
    lines = [",".join(names), *(",".join(row.get(name, "x") for name in names) for row in rows)]
    (folder / "words" / "truth.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "stamp.json", stamp(folder))


def read_sample(folder: Path) -> Any:
    """Read the truth; a sample that does not fit its stamp is made anew, as `emolab.sample.ensure` does."""
    if not is_current(folder):
        shutil.rmtree(folder)
        folder.mkdir()
        write_sample(folder)
    return join_truth(corpus(), folder / "words" / "truth.csv").table.to_json()


def truth_alone(folder: Path) -> Any:
    """Read the truth beside a sample that nothing vouches for: whatever is no truth has to be an error."""
    join_truth(corpus(), folder / "words" / "truth.csv")


def write_progress(folder: Path) -> None:
    """Write a file of exercises that were solved."""
    names = sorted(CHECKERS)[:20]
    write_json(folder / "progress.json", {name: f"2026-11-{day:02}" for day, name in enumerate(names, start=1)})


def in_progress(folder: Path) -> Any:
    """Read the exercises that were solved, and the table of them."""
    with mock.patch.object(progress, "progress_file", return_value=folder / "progress.json"):
        return progress.solved(), progress.progress_table()


def kinds() -> dict[str, Kind]:
    """Return every kind by name."""
    made = {
        f"recognizer, {name}": Kind(lambda folder, own=own: own.save(folder / "kept"), predictions)
        for name, own in recognizers().items()
    }
    fields = {*entry()}  # a field that nobody reads, such as a checksum whose own name was damaged, is no answer

    def entries() -> list[dict[str, Any]]:
        return [{name: own for name, own in each.items() if name in fields} for each in results.read_entries()]

    made["ledger entry"] = Kind(write_entry, partial(in_ledger, entries), absent=[])
    made["scorecard"] = Kind(
        partial(write_entry, scorecard=True),
        partial(in_ledger, lambda: results.read_scores("words").to_dict("list")),
        absent={name: [] for name in results.SCORE_COLUMNS},
    )
    made["sample, stamp and truth"] = Kind(write_sample, read_sample)
    made["truth.csv alone"] = Kind(write_sample, truth_alone)
    nothing = in_progress(Path("nowhere"))
    made["progress"] = Kind(write_progress, in_progress, absent=nothing)
    return made


def mutated(whole: bytes, random: Random) -> bytes:
    """Return a file's bytes with one fault of some kind."""
    return random.choice((flipped, flipped, cut, lines_changed, lines_changed, values_swapped, number_grown, nested))(
        whole, random
    )


def flipped(whole: bytes, random: Random) -> bytes:
    """Flip one to three bits."""
    changed = bytearray(whole)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(whole: bytes, random: Random) -> bytes:
    """Cut off the end, the beginning, or something between."""
    start, end = sorted(random.randrange(len(whole) + 1) for _ in range(2))
    return random.choice((whole[:end], whole[start:], whole[:start] + whole[end:], b""))


def lines_changed(whole: bytes, random: Random) -> bytes:
    """Delete, double or swap lines."""
    lines = whole.split(b"\n")
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    how = random.randrange(3)
    if how == 0:
        del lines[a]
    elif how == 1:
        lines.insert(a, lines[a])
    else:
        lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _spans(whole: bytes, *, digits: bool = False) -> list[tuple[int, int]]:
    """Return where words or numbers are."""
    found = re.finditer(rb"-?\d[\d.e+-]*" if digits else rb"[\w.+-]+", whole[:200_000])
    return [match.span() for match in found]


def values_swapped(whole: bytes, random: Random) -> bytes:
    """Swap two words or numbers, keys and values alike."""
    spans = _spans(whole)
    if len(spans) < 2:
        return flipped(whole, random)
    (a, b), (c, d) = sorted(random.sample(spans, 2))
    return whole[:a] + whole[c:d] + whole[b:c] + whole[a:b] + whole[d:]


def number_grown(whole: bytes, random: Random) -> bytes:
    """Put a number that is too large in the place of one."""
    spans = _spans(whole, digits=True)
    if not spans:
        return flipped(whole, random)
    a, b = random.choice(spans)
    return whole[:a] + random.choice(HUGE).encode() + whole[b:]


def nested(whole: bytes, random: Random) -> bytes:
    """Put deep nesting in the place of a value, or of everything."""
    deep = b"[" * DEEP + b"]" * DEEP
    spans = _spans(whole, digits=True)
    if not spans or random.random() < 0.5:
        return random.choice((deep, b'{"a":' * DEEP + b"1" + b"}" * DEEP))
    a, b = random.choice(spans)
    return whole[:a] + deep + whole[b:]


def outcome(kind: Kind, folder: Path, right: Any) -> tuple[str, str]:
    """Load a mutant; return one of `OUTCOMES`, and what was raised or given."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = kind.load(folder)
    except Exception as error:
        told = type(error) in (ValueError, FileNotFoundError) and str(folder) in str(error)
        return ("error" if told else "FOREIGN"), f"{type(error).__name__}: {error}"[:300]
    if repr(given) == repr(kind.absent) and not any(each.is_file() for each in folder.rglob("*")):
        return "error", "there is no such file"
    return ("same" if repr(given) == repr(right) else "SILENT"), ""  # NaN is like NaN


def mutants(seed: int, n: int, names: Sequence[str] = ()) -> Iterator[tuple[str, str, str]]:
    """Make n mutants of each kind and load them, one after the other.

    Args:
        seed: Of the faults.
        n: How many of each kind.
        names: Kinds, see `kinds`; all if none is named.

    Yields:
        Name of the kind, one of `OUTCOMES`, and what was done and raised.
    """
    for name, kind in ((name, kind) for name, kind in kinds().items() if not names or name in names):
        random = Random(f"{seed} {name}")
        with tempfile.TemporaryDirectory() as place:
            intact, folder = Path(place, "intact"), Path(place, "mutant")
            intact.mkdir()
            kind.write(intact)
            right = kind.load(intact)
            for _ in range(n):
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(intact, folder)
                done = damage(folder, random)
                found, told = outcome(kind, folder, right)
                yield name, found, f"{done}: {told}"


def damage(folder: Path, random: Random) -> str:
    """Damage one file of a folder; say which."""
    file = random.choice(sorted(each for each in folder.rglob("*") if each.is_file()))
    if random.random() < 0.03:
        file.unlink()
        return f"{file.name} deleted"
    file.write_bytes(mutated(file.read_bytes(), random))
    return file.name


def main() -> int:
    """Print a table of kinds and outcomes, and every mutant that was not noticed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=500, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("kinds", nargs="*", help="default: all")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    for name, found, told in mutants(options.seed, options.n, options.kinds):
        counts.setdefault(name, Counter())[found] += 1
        if found.isupper():
            print(f"{found} {name}: {told}")
    print(f"{'':26}" + "".join(f"{each:>9}" for each in OUTCOMES))
    for name, own in counts.items():
        print(f"{name:26}" + "".join(f"{own[each]:9,}" for each in OUTCOMES))
    return 1 if any(own["SILENT"] + own["FOREIGN"] for own in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
