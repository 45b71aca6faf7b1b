"""The ledger: every measured figure with how it was measured, and the tables that are made of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import sys
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.evaluation import METRICS, Comparison, CrossValidation, Interval, Report, compare
from emolab.storage import atomic_write, results_root

FIELDS: dict[str, type | tuple[type, ...]] = {  # what each entry has
    **dict.fromkeys(("corpus", "view", "protocol", "recipe", "preset", "device", "date", "command"), str),
    **dict.fromkeys(("metrics", "per_emotion", "cost", "chance", "versions"), dict),
    "modalities": list,
    "seeds": list,
    "n_test": int,
    "stand_in": bool,
    "synthetic": bool,
    "pretrained": (str, type(None)),
}
COSTS = ("parameters", "trainable", "flops", "train_s", "peak_mb", "latency_ms_p50", "latency_ms_p95")
NUMBERS = [f"metrics.{name}.{limit}" for name in METRICS for limit in Interval._fields] + [f"cost.{c}" for c in COSTS]
UNCOUNTED = "cost.flops"  # None where there is no network
LATER_COSTS = ("disk_mb", "throughput", "energy_j")  # older entries lack them
EMOTION_FIGURES = ("precision", "recall", "f1", "support")
SAME = ("view", "protocol", "preset")  # an entry takes another's place only if these agree
ABOUT = ("emotions", "utterances", "truth")  # two entries can be compared if their answers agree in these
LIBRARIES = ("emolab", "numpy", "torch", "scikit-learn")
SAFE = r"\w[\w.+-]*"
SAFE_NAMES = {"corpus": SAFE, "recipe": f"{SAFE}(/{SAFE})*"}
EXPLANATIONS = "explain-"  # files beside the ledger that belong to the explanations
LATER = "conversation/future/"
HEADLINES = ("ua", "wa", "weighted_f1")
HEADER = """\
| recipe | modalities | UA | WA | weighted F1 | n | protocol | preset | seeds | parameters | train s |
| --- | --- | ---: | ---: | ---: | ---: | --- | --- | --- | ---: | ---: |
"""


def entry_of(
    measured: CrossValidation, *, recipe: str, preset: str, command: str, pretrained: str | None = None
) -> dict[str, Any]:
    """Put a cross-validation into the ledger's form.

    Args:
        measured: What `cross_validate` returned.
        recipe: Name of the recipe, such as "audio/cnn-bilstm".
        preset: "quick" or "full".
        command: The one line that measures it again.
        pretrained: Name of the published weights it started from.
    """
    first = next(iter(measured.reports.values()))
    figures = measured.per_emotion.astype({"support": int}).astype(object)
    return {
        "corpus": first.corpus,
        "view": first.view,
        "protocol": measured.protocol,
        "recipe": recipe,
        "modalities": list(measured.modalities),
        "preset": preset,
        "pretrained": pretrained,
        "stand_in": measured.stand_in,
        "synthetic": first.synthetic,
        "seeds": [int(seed) for seed in measured.reports],
        "n_test": first.n,
        "clusters": {"by": first.clustered_by, "n": len({*first.units})},
        "metrics": {name: interval._asdict() for name, interval in measured.metrics.items()},
        "seed_values": measured.spread.to_dict(orient="list"),
        "chance": first.chance,
        "per_emotion": figures.where(figures.notna(), None).to_dict(orient="index"),
        "cost": dict(measured.cost),
        "answers": _answers(measured),
        "versions": versions(),
        "device": device(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


def _answers(measured: CrossValidation) -> dict[str, Any]:
    """Keep what was said about each utterance, in the order of their ids, as short text: see `answers_of`."""
    first = next(iter(measured.reports.values()))
    order = np.argsort(np.array(first.utterances))
    ids = [first.utterances[place] for place in order]
    _, clusters = np.unique(np.array(first.units)[order], return_inverse=True)  # their names stay here
    number = {emotion: str(place) for place, emotion in enumerate(first.emotions)}
    said = {}
    for seed, report in measured.reports.items():
        answer = dict(zip(report.utterances, report.predicted, strict=True))
        said[str(seed)] = " ".join(number[answer[one]] for one in ids)
    return {
        "emotions": list(first.emotions),
        "utterances": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        "clusters": " ".join(map(str, clusters)),
        "truth": " ".join(number[first.truth[place]] for place in order),
        "said": said,
    }


def answers_of(entry: Mapping[str, Any]) -> CrossValidation:
    """Build the reports of an entry again from the answers it keeps, with the same scores, draws and intervals.

    Utterances and clusters have numbers in the place of names, in the same order; of the probabilities only the
    likeliest emotion is known, so that the calibration error is none.

    Raises:
        ValueError: If the entry keeps no answers; older ones do not.
    """
    if "answers" not in entry:
        raise ValueError(
            f"the entry of {entry['recipe']} on {entry['corpus']} keeps no answers; expected those of each utterance, "
            f"which older entries lack. Measure it again: {entry['command']}"
        )
    kept, by = entry["answers"], entry["clusters"]["by"]
    emotions = tuple(kept["emotions"])
    truth = tuple(emotions[number] for number in _numbers(kept["truth"]))
    units, nobody = tuple(f"{number:08}" for number in _numbers(kept["clusters"])), ("",) * len(truth)
    clusters, dialogues = units if by == "speaker" else nobody, units if by == "dialogue" else nobody
    utterances = tuple(f"{place:08}" for place in range(len(truth)))
    about = (entry["recipe"], entry["corpus"], entry["view"], entry["synthetic"])
    reports = {}
    for seed, text in kept["said"].items():
        certain = np.eye(len(emotions))[_numbers(text)]
        reports[int(seed)] = Report(emotions, truth, certain, clusters, dialogues, utterances, *about)
    return CrossValidation(reports, entry["protocol"], tuple(entry["modalities"]), entry["stand_in"], (), entry["cost"])


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split()]


def compare_entries(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Compare two entries by the answers they keep, as `evaluation.compare` does: a minus b.

    Raises:
        ValueError: If one keeps no answers, or they are about other utterances, labels or emotions.
    """
    measured_a, measured_b = answers_of(a), answers_of(b)
    if different := [name for name in ABOUT if a["answers"][name] != b["answers"][name]]:
        names = [f"{entry['recipe']} on {entry['corpus']}, view {entry['view']}" for entry in (a, b)]
        raise ValueError(
            f"{' and '.join(names)} differ in their {', '.join(different)} (n = {a['n_test']} and {b['n_test']}); "
            "expected answers about the same utterances. Take two entries of one corpus and view, measured on the "
            "same test parts."
        )
    return compare(measured_a, measured_b)


def record(entry: Mapping[str, Any], *, replace: bool = False) -> Path:
    """Write an entry to results/CORPUS/RECIPE-with-dashes.json, whole or not at all.

    Args:
        entry: From `entry_of`.
        replace: Whether it may take the place of an entry with another view, protocol or preset.

    Returns:
        The file.

    Raises:
        ValueError: If a field is missing or odd (all are listed), or another view, protocol or preset is there.
    """
    if problems := list(entry_problems(entry)):
        raise ValueError(
            f"ledger entry {entry.get('recipe')!r} on {entry.get('corpus')!r} is not right: {'; '.join(problems)}. "
            f"Expected {', '.join(FIELDS)}, all figures finite. Build it with entry_of(cross_validate(…), …)."
        )
    target = place_of(entry, replace=replace)
    with atomic_write(target) as part:
        text = json.dumps(dict(entry), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    return target


def place_of(entry: Mapping[str, Any], *, replace: bool = False) -> Path:
    """Return the file of an entry, of which corpus, recipe, view, protocol and preset must be known.

    Raises:
        ValueError: If corpus or recipe are no file names, or another view, protocol or preset is there and may not
            be replaced.
    """
    for name, pattern in SAFE_NAMES.items():
        if not re.fullmatch(pattern, entry[name]):
            raise ValueError(
                f"{name} {entry[name]!r} is no file name; expected letters, digits, '-' and '.'. Rename it."
            )
    target = results_root() / entry["corpus"] / f"{entry['recipe'].replace('/', '-')}.json"
    if target.exists() and not replace:
        there = _read(target)
        if different := {name: (there[name], entry[name]) for name in SAME if there[name] != entry[name]}:
            raise ValueError(
                f"{target} holds another measurement: {different} (there, new); expected the same {', '.join(SAME)}. "
                "Measure it like the old one, or say --replace, in Python record(entry, replace=True)."
            )
    return target


def entry_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    """Say, in words, everything that is missing or odd in an entry."""
    flat = dict(_flat(entry))
    for name, kind in FIELDS.items():
        value = entry.get(name, "missing")
        is_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if name not in entry or not is_kind or value in ("", [], {}) or (kind is int and value < 1):
            yield f"{name} is {value!r}"
    for name, pattern in SAFE_NAMES.items():
        if not re.fullmatch(pattern, str(entry.get(name, "name"))):
            yield f"{name} {entry[name]!r} is no file name"
    emotions = list(entry["per_emotion"]) if isinstance(entry.get("per_emotion"), Mapping) else []
    undefined = {emotion for emotion in emotions if flat.get(f"per_emotion.{emotion}.support") == 0}
    for name in NUMBERS + [f"per_emotion.{emotion}.{figure}" for emotion in emotions for figure in EMOTION_FIGURES]:
        value = flat.get(name, "missing")
        may_lack = name == UNCOUNTED or name.removeprefix("per_emotion.").rpartition(".")[0] in undefined
        if not _finite(value) and not (value is None and may_lack):
            yield f"{name} is {value!r}"
    for name in LATER_COSTS:
        if (value := flat.get(f"cost.{name}")) is not None and not _finite(value):
            yield f"cost.{name} is {value!r}"
    for metric in METRICS:
        value, low, high = (flat.get(f"metrics.{metric}.{limit}", math.nan) for limit in Interval._fields)
        if all(map(_finite, (value, low, high))) and not 0 <= low <= value <= high <= 1:
            yield f"metrics.{metric} has low {low}, value {value}, high {high}, which is not in order from 0 to 1"
    if "answers" in entry:
        yield from _answer_problems(entry)


def _answer_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    """Say whether the answers can be read, and are those that the figures were computed from."""
    try:
        reports = answers_of(entry).reports
        shares = [np.equal(said.predicted, said.truth).mean() for said in reports.values()]
        fitting = [*reports] == entry["seeds"] and {said.n for said in reports.values()} == {entry["n_test"]}
        if not fitting or not math.isclose(np.mean(shares), entry["metrics"]["wa"]["value"], abs_tol=1e-9):
            yield "answers do not fit seeds, n_test and metrics.wa"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        yield f"answers cannot be read ({error!r})"


def _flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested mappings under its dotted name."""
    for name, value in entry.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _finite(value: object) -> bool:
    """Tell whether something is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def read_ledger(corpus: str | None = None) -> pd.DataFrame:
    """Read the ledger, or one corpus of it: a row an entry.

    What is nested becomes columns by dotted names, but metrics and costs are called ua, ua_low, ua_high, train_s, ….

    Raises:
        ValueError: If a file is not an entry; the message names it.
    """
    rows = [dict(_flat({**entry, "answers": None})) for entry in read_entries(corpus)]
    return pd.DataFrame(rows).drop(columns="answers", errors="ignore").rename(columns=_column)


def read_entries(corpus: str | None = None, *recipes: str) -> list[dict[str, Any]]:
    """Read the entries of the ledger as they were recorded, answers included: all, of a corpus, or of some recipes.

    Raises:
        ValueError: If a file is not an entry; the message names it.
        KeyError: If there is no entry of one of the recipes.
    """
    paths = sorted(results_root().glob(f"{corpus or '*'}/*.json"))
    entries = [_read(path) for path in paths if not path.name.startswith(EXPLANATIONS)]
    by_recipe = {entry["recipe"]: entry for entry in entries}
    if missing := [recipe for recipe in recipes if recipe not in by_recipe]:
        raise KeyError(
            f"no entry of {', '.join(missing)} on {corpus}; expected some of {', '.join(by_recipe) or 'none'}. "
            f"Measure it: emolab fit {missing[0]} --corpus {corpus} --record"
        )
    return [by_recipe[recipe] for recipe in recipes] or entries


def _column(name: str) -> str:
    kind, _, rest = name.partition(".")
    return rest.removesuffix(".value").replace(".", "_") if kind in ("metrics", "cost") else name


def results_table(corpus: str) -> str:
    """Write the ledger of a corpus as a markdown table, by modalities, the best UA first, chance level at the end.

    What hears turns that come later stands in a table of its own.
    """
    entries = read_ledger(corpus)
    if entries.empty:
        return f"No results on {corpus} yet."
    later = entries["recipe"].map(uses_future_context)
    tables = [_results_rows(entries[~later])] if not later.all() else []
    if later.any():
        tables += ["With the turns that come later, which nobody has in a live conversation:"]
        tables += [_results_rows(entries[later])]
    return "\n\n".join([*tables, " ".join(notes(entries))])


def uses_future_context(recipe: str) -> bool:
    """Tell whether a recipe hears turns after the judged one; its figures belong in no column with others'."""
    return recipe.startswith(LATER)


def _results_rows(entries: pd.DataFrame) -> str:
    """Write rows of the ledger as a markdown table."""
    by_size = entries.assign(size=entries["modalities"].map(len), joined=entries["modalities"].map(" + ".join))
    ranked = by_size.sort_values(["size", "joined", "ua", "recipe"], ascending=[True, True, False, True])
    rows = [_cells(entry) for entry in ranked.to_dict(orient="records")]
    settings = ranked.drop_duplicates(["view", "protocol", "n_test"])
    rows += [_chance_cells(entry) for entry in settings.to_dict(orient="records")]
    return HEADER + "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def notes(entries: pd.DataFrame) -> list[str]:
    """Say what must be known to read the scores in rows of the ledger, a sentence each."""
    said = ["Mean over the seeds, with the 95 % bootstrap interval over speakers."]
    if entries["stand_in"].any():
        said.append("A stand-in is a tiny network in the place of a large pretrained one.")
    if entries["synthetic"].any():
        said.append("Measured on the synthetic sample: these figures say nothing about people.")
    return said


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def device() -> str:
    """Describe the machine without naming it, such as "2 cores, CPU"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch = sys.modules.get("torch")  # where nobody imported it, nothing ran on a GPU
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "CPU"
    return f"{cores} cores, {gpu}"


def _read(path: Path) -> dict[str, Any]:
    """Read and check one file of the ledger."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        problems = list(entry_problems(entry)) if isinstance(entry, dict) else ["it is no JSON object"]
    except ValueError as error:  # broken JSON or broken text
        problems = [str(error)]
    if problems:
        raise ValueError(
            f"{path} is no ledger entry: {'; '.join(problems)}. Expected what emolab.ledger.record writes. "
            "Delete the file and measure again, or take it back from version control."
        )
    return entry


def _cells(entry: Mapping[Hashable, Any]) -> list[str]:
    """Write one entry as the cells of a row."""
    figures = [str(Interval(entry[m], entry[f"{m}_low"], entry[f"{m}_high"])) for m in HEADLINES]
    train_s = f"{entry['train_s']:.2g}" if entry["train_s"] < 1 else f"{entry['train_s']:,.0f}"
    recipe = entry["recipe"] + " (stand-in)" * entry["stand_in"]
    how = [f"{entry['view']}, {entry['protocol']}", entry["preset"], ", ".join(map(str, entry["seeds"]))]
    return [recipe, entry["joined"], *figures, f"{entry['n_test']:,}", *how, f"{entry['parameters']:,.0f}", train_s]


def _chance_cells(entry: Mapping[Hashable, Any]) -> list[str]:
    """Write what naming the most frequent emotion gives, for one view, protocol and number of utterances."""
    figures = [f"{entry[f'chance.majority.{name}']:.3f}" for name in HEADLINES]
    how = [f"{entry['n_test']:,}", f"{entry['view']}, {entry['protocol']}"]
    return ["*always the most frequent emotion*", "", *figures, *how, "", "", "", ""]
