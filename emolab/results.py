"""Results: the ledger of what was measured, the scorecards of explanations, and the tables that are made of both."""

import hashlib
import math
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import ArrayLike, NDArray

from emolab.evaluation import METRICS, Comparison, CrossValidation, Interval, Report, aligned, compare
from emolab.storage import read_json, results_root, results_roots, toml_beside, write_json

Entry = Mapping[str, Any]
_TABLES: dict[str, Any] = toml_beside(__file__, "results.toml")
FIELDS: Mapping[type, Sequence[str]] = {kind: _TABLES["fields"][kind.__name__] for kind in (str, dict, list, bool, int)}
COSTS, SCORES, SIZES, PRETRAINING = (_TABLES[name] for name in ("costs", "scores", "sizes", "pretraining"))
TESTED, SCORE_COLUMNS = _TABLES["tested"], _TABLES["score_columns"]
INTERVALS = "cluster jackknife, Student t"  # the mark of entries since 0.2: what is older has to be measured anew
SAFE = {"corpus": r"\w[\w.+-]*", "recipe": r"\w[\w.+@-]*(/\w[\w.+@-]*)*"}
SAME = ("view", "protocol", "preset")  # an entry takes another's place only if these agree
ABOUT = ("emotions", "utterances", "truth")  # two entries can be compared if their answers agree in these
SCORECARDS = "explain-"  # how the files of scorecards begin, beside the entries of recognizers
LEVEL = 0.05  # of a corrected p value
ODD = (ArithmeticError, AttributeError, LookupError, RecursionError, StopIteration, TypeError, ValueError)
FIGURES = [*(f"{name}{limit}" for name in METRICS for limit in ("", "_low", "_high")), *COSTS]


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
    entry: dict[str, Any] = {name: getattr(first, name) for name in ("corpus", "view", "synthetic")}
    entry |= {name: getattr(measured, name) for name in ("protocol", "trained_on", "stand_in", "cost")}
    entry |= {"recipe": recipe, "modalities": list(measured.modalities), "preset": preset, "pretrained": pretrained}
    entry |= {"intervals": INTERVALS, "versions": versions(), "device": device()}
    entry |= {**_figures(measured), "answers": _answers(measured)}
    return entry | {"date": datetime.now(UTC).date().isoformat(), "command": command}


def _figures(measured: CrossValidation) -> dict[str, Any]:
    """Return the fields of an entry that are computed from the answers."""
    first, figures = next(iter(measured.reports.values())), measured.per_emotion.astype({"support": int}).astype(object)
    made: dict[str, Any] = {"seeds": [*map(int, measured.reports)], "n_test": first.n, "chance": first.chance}
    made |= {
        "clusters": {"by": "speaker", "n": len(first.sizes)},
        "seed_values": measured.spread.to_dict(orient="list"),
    }
    made |= {"metrics": {name: without_nan(interval._asdict()) for name, interval in measured.metrics.items()}}
    return made | {"per_emotion": figures.where(figures.notna(), None).to_dict(orient="index")}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on."""
    libraries = ("emolab", "numpy", "torch", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def device() -> str:
    """Describe the machine without naming it, such as "2 cores, CPU"."""
    torch = sys.modules.get("torch")  # where nobody imported it, nothing ran on a GPU
    return f"{cpu_count()} cores, {torch.cuda.get_device_name() if torch and torch.cuda.is_available() else 'CPU'}"


def without_nan(interval: Mapping[str, float | None]) -> dict[str, float | None]:
    """Write an interval for JSON, which has no NaN."""
    return {name: None if pd.isna(value) else value for name, value in interval.items()}


def _answers(measured: CrossValidation) -> dict[str, Any]:
    """Keep what was predicted for each utterance, in the order of their ids, as short text: see `answers_of`."""
    first = next(iter(measured.reports.values()))
    ids, order = np.unique(first.utterances, return_index=True)
    said = {str(seed): aligned(first, one).probabilities.argmax(axis=1) for seed, one in measured.reports.items()}
    _, speaker = np.unique(first.clusters, return_inverse=True)  # numbers, since the names are nobody's business
    truth = np.array([first.emotions.index(emotion) for emotion in first.truth])
    numbers = {"clusters": speaker, "truth": truth, **said}
    written = {name: " ".join(map(str, each[order])) for name, each in numbers.items()}
    about = {"emotions": list(first.emotions), "utterances": hashlib.sha256("\n".join(ids).encode()).hexdigest()}
    return about | {"clusters": written.pop("clusters"), "truth": written.pop("truth"), "said": written}


def answers_of(entry: Entry) -> CrossValidation:
    """Build the reports of an entry again from the predictions it keeps, with the same scores and intervals.

    Utterances and speakers have numbers in the place of names, in the same order; of the probabilities only the
    largest is known, so that the calibration error means nothing.

    Raises:
        ValueError: If the entry keeps no predictions; older ones do not.
    """
    if "answers" not in entry:
        about = f"{entry['recipe']} on {entry['corpus']} keeps no answers, as older entries"
        raise ValueError(f"{about}; expected one for each utterance. Measure it again: {entry['command']}")
    kept, emotions = entry["answers"], tuple(entry["answers"]["emotions"])
    truth, clusters = ([int(number) for number in kept[name].split()] for name in ("truth", "clusters"))
    speakers = tuple(f"{number:08}" for number in clusters)
    ids = tuple(f"{kept['utterances']}-{number:08}" for number in range(len(truth)))
    true, names = tuple(emotions[number] for number in truth), ("recipe", "corpus", "view", "synthetic")
    reports = {}
    for seed, said in kept["said"].items():
        certain = np.eye(len(emotions))[[int(number) for number in said.split()]]
        reports[int(seed)] = Report(emotions, true, certain, speakers, ids, *(entry[name] for name in names))
    settings = (entry["protocol"], tuple(entry["modalities"]), entry["stand_in"], (), entry["cost"])
    return CrossValidation(reports, *settings, entry["trained_on"])


def compare_entries(a: Entry, b: Entry) -> Comparison:
    """Compare two entries by the predictions they keep, as `evaluation.compare` does: a minus b.

    Raises:
        ValueError: If one keeps none, they are about other utterances, labels or emotions, or learned from other sets.
    """
    if a["trained_on"] != b["trained_on"]:
        names = " and ".join(f"{each['recipe']} learned from the {each['trained_on']}" for each in (a, b))
        raise ValueError(f"{names}; expected recognizers that learned from the same sets. Take two such entries.")
    return compare(answers_of(a), answers_of(b))


def record(entry: Entry, *, replace: bool = False) -> Path:
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
        about = f"ledger entry {entry.get('recipe')!r} on {entry.get('corpus')!r} is not right: {'; '.join(problems)}"
        raise ValueError(f"{about}. Expected every field, with finite figures. Build it with entry_of.")
    return write_json(place_of(entry, replace=replace), entry)


def place_of(entry: Entry, *, replace: bool = False) -> Path:
    """Return the file of an entry, of which corpus, recipe, view, protocol and preset must be known.

    Raises:
        ValueError: If corpus or recipe are no file names, or another view, protocol or preset is there and may not
            be replaced.
    """
    for name, pattern in SAFE.items():
        if not re.fullmatch(pattern, entry[name]):
            raise ValueError(f"{name} {entry[name]!r} is no file name; expected letters, digits, - and '.'. Rename it.")
    target = results_root() / entry["corpus"] / f"{entry['recipe'].replace('/', '-')}.json"
    if target.exists() and not replace:
        there = _read(target, _checked)
        if different := {name: (there[name], entry[name]) for name in SAME if there[name] != entry[name]}:
            about = f"{target} holds another measurement: {different} (there, new); expected the same"
            raise ValueError(f"{about}. Measure it like the old one, or say --replace, in Python replace=True.")
    return target


def entry_problems(entry: Entry) -> Iterator[str]:
    """Say, in words, everything that is missing or odd in an entry."""
    for name, kind in ((name, kind) for kind, names in FIELDS.items() for name in names):
        value = entry.get(name, "missing")
        if name not in entry or type(value) is not kind or (kind is not bool and not value):
            yield f"{name} is {value!r}"
    flat = _flat(entry)
    emotions = list(entry["per_emotion"]) if isinstance(entry.get("per_emotion"), Mapping) else []
    occurring = [emotion for emotion in emotions if flat.get(f"per_emotion.{emotion}.support") != 0]
    needed = {f"per_emotion.{name}.{it}" for name in occurring for it in ("precision", "recall", "f1", "support")}
    needed |= {f"metrics.{name}.value" for name in METRICS}
    needed |= {f"cost.{name}" for name in COSTS if name not in _TABLES["optional_costs"]}
    for name in sorted(needed | {*flat}):
        value = flat.get(name, "missing")
        if not _finite(value) and (name in needed or isinstance(value, float)):
            yield f"{name} is {value!r}"
    for metric in METRICS:
        value, low, high = ends = [flat.get(f"metrics.{metric}.{limit}", np.nan) for limit in Interval._fields]
        if all(map(_finite, ends)) and not 0 <= low <= value <= high <= 1:
            yield f"metrics.{metric} has low {low}, value {value}, high {high}, which is not in order from 0 to 1"
    if "answers" not in entry:
        return
    try:
        again = _flat(_figures(answers_of(entry)))
    except ODD as error:
        yield f"answers cannot be read ({error!r})"
        return
    parts = {name.partition(".")[0] for name in again}
    known = [name for name in flat | again if name.partition(".")[0] in parts and ".ece" not in name]  # see answers_of
    if different := [name for name in known if not _same(flat.get(name, "missing"), again.get(name, "missing"))]:
        yield f"answers do not fit {', '.join(different)}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested values by dotted names, those of lists by their number."""
    if not isinstance(value, Mapping | list):
        return {name: value}
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {key: own for place, each in items for key, own in _flat(each, f"{name}.{place}".lstrip(".")).items()}


def _same(value: Any, again: Any) -> bool:
    """Tell whether a field is what its answers give, but for the order of additions."""
    return math.isclose(value, again, abs_tol=1e-9) if _finite(value) and _finite(again) else value == again


def _finite(value: object) -> bool:
    """Tell whether something is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read_entries(corpus: str | None = None, *recipes: str) -> list[dict[str, Any]]:
    """Read the entries of the ledger as they were recorded, answers included: all, of a corpus, or of some recipes.

    Raises:
        ValueError: If a file is not an entry; the message names it.
        KeyError: If there is no entry of one of the recipes.
    """
    paths = _files(f"{corpus or '*'}/*.json")
    entries = [_read(path, _checked) for path in paths if not path.name.startswith(SCORECARDS)]
    by_recipe = {entry["recipe"]: entry for entry in entries}
    if missing := [recipe for recipe in recipes if recipe not in by_recipe]:
        about = f"no entry of {', '.join(missing)} on {corpus}; expected some of {', '.join(by_recipe) or 'none'}"
        raise KeyError(f"{about}. Measure it: {command(missing[0], str(corpus))}")
    return [by_recipe[recipe] for recipe in recipes] or entries


def _files(pattern: str) -> list[Path]:
    """Find files of the ledger; one of the user's own hides one of the same name that came with the package."""
    found = {path.relative_to(root): path for root in reversed(results_roots()) for path in root.glob(pattern)}
    return [found[name] for name in sorted(found)]


def _read(path: Path, build: Callable[[dict[str, Any]], Any]) -> Any:
    remedy = "Delete the file and measure again, or take it back from git."
    try:
        return build(read_json(path, remedy=remedy))
    except ODD as error:  # whatever a damaged entry leads to
        about = f"{path} is no ledger entry: {error!r}. Expected what emolab.results writes"
        raise ValueError(f"{about}. {remedy}") from error


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry if it is right."""
    if problems := list(entry_problems(entry)):
        raise ValueError("; ".join(problems))
    return entry


def read_ledger(corpus: str | None = None, *recipes: str) -> pd.DataFrame:
    """Read the ledger, a corpus of it, or some recipes: a row an entry; an empty one has the same columns.

    What is nested becomes columns by dotted names, but metrics and costs are called ua, ua_low, ua_high, train_s, ….

    Raises:
        ValueError: If a file is not an entry; the message names it.
        KeyError: If there is no entry of one of the recipes.
    """
    rows = [{**entry, "size": size_class(entry)} for entry in read_entries(corpus, *recipes)]
    table = pd.json_normalize(rows).filter(regex="^(?!answers)").rename(columns=_column)
    fields = [name for kind, names in FIELDS.items() if kind is not dict for name in names]
    columns = dict.fromkeys([*fields, "pretrained", "size", *FIGURES, *table])
    return table.reindex(columns=columns).astype(dict.fromkeys(FIGURES, float))


def _column(name: str) -> str:
    kind, _, rest = name.partition(".")
    return rest.removesuffix(".value").replace(".", "_") if kind in ("metrics", "cost") else name


def size_class(entry: Mapping[Any, Any]) -> str:
    """Return "light", "small" or "large", by the rules in `SIZES`, for an entry or a row of `read_ledger`."""
    if entry["stand_in"] or isinstance(entry.get("pretrained"), str):
        return "large"
    costs = entry["cost"] if isinstance(entry.get("cost"), Mapping) else entry  # figures name a column cost
    return "light" if pd.isna(costs.get("flops")) else "small"


def uses_future_context(recipe: str) -> bool:
    """Tell whether a recipe takes turns after the utterance; its figures belong in no column with others'."""
    return recipe.startswith("conversation/future/")


def marked(entry: Entry) -> str:
    """Return the name of a recipe for tables, stand-ins marked."""
    return str(entry["recipe"]) + " (stand-in)" * bool(entry["stand_in"])


def pairwise_comparisons(entries: Sequence[Entry], *, cost: str = "parameters") -> pd.DataFrame:
    """Test each recognizer against the next larger one of the same modalities, training data, view, protocol, preset.

    Differences are larger minus smaller, of the means over the seeds, with the paired interval over speakers; McNemar's
    p (first seed) takes utterances as independent, so it is too small. Since many pairs are tested, the p values of the
    whole table are corrected by Holm's method (Holm 1979, A simple sequentially rejective multiple test procedure);
    the intervals are not. A difference counts as shown if the corrected p is below 0.05 and the interval of the
    weighted F1 is on the same side of zero as the surplus of correct predictions.

    Args:
        entries: From `read_entries`; those that keep no answers, or lack the cost, are left out and listed in the
            table's `attrs["left_out"]`.
        cost: What makes one larger, a key of `COSTS`.

    Returns:
        A row a pair, by modalities and then cost.
    """
    entries = [entry for entry in entries if not uses_future_context(entry["recipe"])]
    usable = [entry for entry in entries if "answers" in entry and entry["cost"].get(cost) is not None]
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(usable, key=lambda entry: (len(entry["modalities"]), entry["modalities"], entry["cost"][cost])):
        same = [entry[name] for name in ("modalities", "trained_on", *SAME)]
        groups.setdefault(str(same + [entry["answers"][name] for name in ABOUT]), []).append(entry)
    rows = [_tested(*pair) for group in groups.values() for pair in pairwise(group)]
    table = pd.DataFrame(rows, columns=TESTED)
    table["p (Holm)"] = holm(table["p (McNemar)"])
    sure = (table["p (Holm)"] < LEVEL) & table.pop("agree").astype(bool)
    better = np.where(table["only larger right"] > table["only smaller right"], "larger is better", "smaller is better")
    table["shown"] = np.where(sure, better, "no difference")
    table.attrs["left_out"] = [entry["recipe"] for entry in entries if entry not in usable]
    return table


def _tested(smaller: Entry, larger: Entry) -> tuple[Any, ...]:
    """Compare two entries, as a row of `pairwise_comparisons`."""
    found = compare_entries(larger, smaller)
    gain, surplus = found.difference["weighted_f1"], found.only_a - found.only_b
    agree = (gain.low > 0 and surplus > 0) or (gain.high < 0 and surplus < 0)
    names = (" + ".join(larger["modalities"]), larger["trained_on"], marked(smaller), marked(larger))
    return *names, str(gain), str(found.difference["ua"]), found.only_b, found.only_a, found.p_value, agree


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct (n,) p values for having made n tests, so that one false alarm or more has the probability it says.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    corrected = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1)[np.argsort(order)]


def command(recipe: str, corpus: str) -> str:
    """Return the one line that measures a recipe on a corpus: the sample quickly, others in full."""
    return f"emolab fit {recipe} --corpus {corpus}{' --preset full' * (corpus != 'sample')} --record"


def record_scores(entry: Entry) -> Path:
    """Write a scorecard to results/CORPUS/explain-RECIPE-MODALITY.json, whole or not at all; return the file.

    Raises:
        ValueError: If a field is missing.
    """
    if missing := [name for name in _TABLES["scorecard"] if not entry.get(name)]:
        about = f"the scorecard of {entry.get('recipe')!r} lacks {', '.join(missing)}"
        raise ValueError(f"{about}; expected what measure_scorecard returns. Give it the command that it was made by.")
    name = f"{SCORECARDS}{entry['recipe'].replace('/', '-')}-{entry['modality']}.json"
    marked = {**entry, "ua": without_nan(entry["ua"]), "intervals": INTERVALS}
    return write_json(results_root() / entry["corpus"] / name, marked)


def frame_of(entry: Entry) -> pd.DataFrame:
    """Return an entry as `scorecard` does, with recognizer, preset, ua and parameters in each row."""
    scores = pd.DataFrame(entry["scores"]).astype({"value": float, "low": float, "high": float})
    facts = {"recognizer": entry["recipe"], **{name: entry[name] for name in ("modality", "stand_in", "preset")}}
    return scores.assign(**facts, ua=entry["ua"]["value"], parameters=entry["parameters"])


def read_scores(corpus: str) -> pd.DataFrame:
    """Read all scorecards of a corpus, see `frame_of`; empty where there are none.

    Raises:
        ValueError: If a file is broken; it is named.
    """
    tables = [_read(path, frame_of) for path in _files(f"{corpus}/{SCORECARDS}*.json")]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=SCORE_COLUMNS)
