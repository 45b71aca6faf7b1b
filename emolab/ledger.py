"""The ledger: every measured figure with how it was measured, and the tables that are made of it."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from emolab.storage import results_root, written_whole

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.evaluation import CrossValidation

FIELDS: Mapping[str, type | tuple[type, ...]] = {  # what each entry has at least
    "corpus": str,
    "view": str,
    "protocol": str,
    "recipe": str,
    "modalities": list,
    "preset": str,
    "pretrained": (str, type(None)),
    "stand_in": bool,
    "seeds": list,
    "n_test": int,
    "metrics": dict,
    "per_emotion": dict,
    "cost": dict,
    "versions": dict,
    "device": str,
    "date": str,
    "command": str,
}
METRICS = ("ua", "wa", "weighted_f1", "macro_f1", "ece")
LIMITS = ("value", "low", "high")
EMOTION_FIGURES = ("precision", "recall", "f1", "support")
COSTS = ("parameters", "trainable", "flops", "train_s", "peak_mb", "latency_ms_p50", "latency_ms_p95")
UNCOUNTED = ("flops",)  # None where there is no network
SAME = ("view", "protocol", "preset")  # an entry takes another's place only if these agree
LIBRARIES = ("emolab", "numpy", "torch", "scikit-learn", "librosa")
SAFE_NAME = r"\w[\w.+-]*"
EXPLANATIONS = "explain-"  # files beside the ledger that belong to the explanations
COLUMNS = (
    "recipe",
    "modalities",
    "UA",
    "WA",
    "weighted F1",
    "n",
    "protocol",
    "preset",
    "seeds",
    "parameters",
    "train s",
)
END = "<!-- end -->"


def entry_of(
    measured: CrossValidation,
    *,
    recipe: str,
    corpus: Corpus | str,
    preset: str,
    command: str,
    pretrained: str | None = None,
) -> dict[str, Any]:
    """Put a cross-validation into the ledger's form.

    Args:
        measured: What `cross_validate` returned.
        recipe: Name of the recipe, such as "audio/cnn-bilstm".
        corpus: The corpus or its name.
        preset: "quick" or "full".
        command: The one line that measures it again.
        pretrained: Name of the published weights it started from.
    """
    first = next(iter(measured.reports.values()))
    figures = measured.per_emotion.astype({"support": int}).astype(object)
    about: dict[str, Any] = {"corpus": corpus if isinstance(corpus, str) else corpus.name, "view": first.view}
    about |= {"protocol": measured.protocol, "recipe": recipe, "modalities": list(measured.modalities)}
    about |= {"preset": preset, "pretrained": pretrained, "stand_in": measured.stand_in, "synthetic": first.synthetic}
    return {
        **about,
        "seeds": [int(seed) for seed in measured.reports],
        "n_test": first.n,
        "clusters": {"by": first.clustered_by, "n": len({*first.units})},
        "metrics": {name: interval._asdict() for name, interval in measured.metrics.items()},
        "seed_values": measured.spread.to_dict(orient="list"),
        "chance": first.chance,
        "per_emotion": figures.where(figures.notna(), None).to_dict(orient="index"),
        "cost": dict(measured.cost),
        "versions": versions(),
        "device": device(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


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
    target = results_root() / entry["corpus"] / f"{entry['recipe'].replace('/', '-')}.json"
    if target.exists() and not replace:
        there = _read(target)
        if different := {name: (there[name], entry[name]) for name in SAME if there[name] != entry[name]}:
            raise ValueError(
                f"{target} holds another measurement: {different} (there, new); expected the same {', '.join(SAME)}. "
                "Measure it like the old one, or say record(entry, replace=True)."
            )
    with written_whole(target) as part:
        text = json.dumps(dict(entry), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    return target


def entry_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    """Say, in words, everything that is missing or odd in an entry."""
    for name, kind in FIELDS.items():
        if name not in entry:
            yield f"no {name}"
        elif not isinstance(entry[name], kind) or (kind is int and isinstance(entry[name], bool)):
            yield f"{name} is {entry[name]!r}"
        elif entry[name] in ("", [], {}) or (name == "n_test" and entry[name] < 1):
            yield f"{name} is empty"
    for name, pattern in {"corpus": SAFE_NAME, "recipe": f"{SAFE_NAME}(/{SAFE_NAME})*"}.items():
        if not re.fullmatch(pattern, str(entry.get(name, "name"))):
            yield f"{name} {entry[name]!r} is no file name"
    yield from _figure_problems(entry)


def _figure_problems(entry: Mapping[str, Any]) -> Iterator[str]:
    """Say, in words, every figure that is missing or is none."""
    metrics, costs, emotions = (_mapping(entry.get(name)) for name in ("metrics", "cost", "per_emotion"))
    for name in METRICS:
        value, low, high = (_mapping(metrics.get(name)).get(limit, math.nan) for limit in LIMITS)
        if not all(map(_finite, (value, low, high))):
            yield f"metrics.{name} is {metrics.get(name, 'missing')!r}"
        elif not 0 <= low <= value <= high <= 1:
            yield f"metrics.{name} has low {low}, value {value}, high {high}, which is not in order from 0 to 1"
    for name in COSTS:
        if name not in costs or not (_finite(costs[name]) or (name in UNCOUNTED and costs[name] is None)):
            yield f"cost.{name} is {costs.get(name, 'missing')!r}"
    for emotion, figures in emotions.items():
        for name in EMOTION_FIGURES:  # a figure of an emotion that never occurs may be undefined, None
            value, undefined = _mapping(figures).get(name, "missing"), not _mapping(figures).get("support")
            if not _finite(value) and not (value is None and undefined):
                yield f"per_emotion.{emotion}.{name} is {value!r}"


def read_ledger(corpus: str | None = None) -> pd.DataFrame:
    """Read the ledger, or one corpus of it: a row an entry.

    Metrics become columns (ua, ua_low, ua_high, …) and so do costs; everything else stays as it is in the file.

    Raises:
        ValueError: If a file is not an entry; the message names it.
    """
    paths = sorted(results_root().glob(f"{corpus or '*'}/*.json"))
    rows = [_row(_read(path)) for path in paths if not path.name.startswith(EXPLANATIONS)]
    figures = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_low", "_high")]
    columns = [name for name in FIELDS if name not in ("metrics", "cost")] + figures + list(COSTS)
    return pd.DataFrame(rows, columns=[*columns, "synthetic", "chance"])


def results_table(corpus: str) -> str:
    """Write the ledger of a corpus as a markdown table, by modalities, the best UA first, chance level at the end."""
    entries = read_ledger(corpus)
    if entries.empty:
        return f"No results on {corpus} yet."
    by_size = entries.assign(size=entries["modalities"].map(len), joined=entries["modalities"].map(" + ".join))
    ranked = by_size.sort_values(["size", "joined", "ua", "recipe"], ascending=[True, True, False, True])
    rows = [_cells(entry) for entry in ranked.to_dict(orient="records")]
    rows += _chance_rows(ranked)
    lines = [COLUMNS, ["---"] * 2 + ["---:"] * 4 + ["---"] * 3 + ["---:"] * 2, *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    notes = ["Mean over the seeds, with the 95 % bootstrap interval over speakers."]
    if ranked["stand_in"].any():
        notes.append("A stand-in is a tiny network in the place of a large pretrained one.")
    if ranked["synthetic"].eq(True).any():
        notes.append("Measured on the synthetic sample: these figures say nothing about people.")
    return f"{table}\n\n{' '.join(notes)}"


def replace_between(text: str, marker: str, table: str) -> str:
    """Put a table between `<!-- marker -->` and the next `<!-- end -->` of a text; doing it again changes nothing.

    Raises:
        ValueError: If the text has no such block, or several.
    """
    start = f"<!-- {marker} -->"
    if text.count(start) != 1 or END not in text.split(start)[1]:
        raise ValueError(
            f"the text has {start} {text.count(start)} times; expected once, with {END} after it. "
            "Write both lines where the table belongs."
        )
    before, rest = text.split(start)
    return f"{before}{start}\n{table.strip()}\n{END}{rest.split(END, 1)[1]}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on; "absent" if not installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


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


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the figures of an entry."""
    row = {name: value for name, value in entry.items() if name not in ("metrics", "cost")} | entry["cost"]
    for name, limits in entry["metrics"].items():
        row |= {name: limits["value"], f"{name}_low": limits["low"], f"{name}_high": limits["high"]}
    return row


def _cells(entry: Mapping[str, Any]) -> list[str]:
    """Write one entry as the cells of a row."""
    figures = [
        f"{entry[m]:.3f} [{entry[f'{m}_low']:.3f}, {entry[f'{m}_high']:.3f}]" for m in ("ua", "wa", "weighted_f1")
    ]
    recipe = entry["recipe"] + (" (stand-in)" if entry["stand_in"] else "")
    how = [f"{entry['view']}, {entry['protocol']}", entry["preset"], ", ".join(map(str, entry["seeds"]))]
    size = [
        f"{entry['parameters']:,.0f}",
        f"{entry['train_s']:.2g}" if entry["train_s"] < 1 else f"{entry['train_s']:,.0f}",
    ]
    return [recipe, entry["joined"], *figures, f"{entry['n_test']:,}", *how, *size]


def _chance_rows(entries: pd.DataFrame) -> list[list[str]]:
    """Write what naming the most frequent emotion gives, once for each view, protocol and number of utterances."""
    known = entries[entries["chance"].map(lambda chance: isinstance(chance, dict))]
    rows = []
    for entry in known.drop_duplicates(["view", "protocol", "n_test"]).to_dict(orient="records"):
        figures = [f"{entry['chance']['majority'][name]:.3f}" for name in ("ua", "wa", "weighted_f1")]
        how = [f"{entry['n_test']:,}", f"{entry['view']}, {entry['protocol']}"]
        rows.append(["*always the most frequent emotion*", "", *figures, *how, "", "", "", ""])
    return rows


def _mapping(value: object) -> Mapping[str, Any]:
    """Take anything but a mapping as an empty one."""
    return value if isinstance(value, Mapping) else {}


def _finite(value: object) -> bool:
    """Tell whether something is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
