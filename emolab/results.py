"""Results: the ledger of what was measured, the scorecards of explanations, and the tables that are made of both."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab.evaluation import METRICS, Comparison, CrossValidation, Interval, Report, aligned, compare
from emolab.storage import atomic_write, results_root, results_roots

Entry = Mapping[str, Any]
T = TypeVar("T")
FIELDS: Mapping[type, Sequence[str]] = {  # what each entry has
    str: ("corpus", "view", "protocol", "recipe", "preset", "trained_on", "device", "date", "command"),
    dict: ("metrics", "per_emotion", "cost", "chance", "versions"),
    list: ("modalities", "seeds"),
    bool: ("stand_in", "synthetic"),
    int: ("n_test",),
}
SCORECARD = ("corpus", "view", "fold", "recipe", "preset", "modality", "n", "ua", "scores", "device", "date", "command")
INTERVALS = "cluster jackknife, Student t"  # the mark of entries since 0.2; earlier intervals do not cover
NOT_RECORDED = "not recorded before 0.2"
SAFE = {"corpus": r"\w[\w.+-]*", "recipe": r"\w[\w.+-]*(/\w[\w.+-]*)*"}
SAME = ("view", "protocol", "preset")  # an entry takes another's place only if these agree
ABOUT = ("emotions", "utterances", "truth")  # two entries can be compared if their answers agree in these
SCORECARDS = "explain-"  # how the files of scorecards begin, beside the entries of recognizers
COSTS: Mapping[str, str] = {  # column of the ledger: heading
    "parameters": "parameters",
    "trainable": "trainable",
    "flops": "million multiply-adds",
    "disk_mb": "disk MB",
    "train_s": "training s",
    "peak_mb": "peak MB",
    "latency_ms_p50": "latency ms (p50)",
    "latency_ms_p95": "latency ms (p95)",
    "throughput": "utterances a second",
    "energy_j": "J an utterance",
}
OPTIONAL_COSTS = {"flops", "disk_mb", "throughput", "energy_j"}  # None without network or meter; old entries lack them
OPERATIONS = 2e6  # in a million multiply-adds
SCORES: Mapping[str, str] = {"ua": "UA", "wa": "WA", "weighted_f1": "weighted F1", "ece": "calibration error"}
F1S = {f"per_emotion.{name}.f1": f"F1 {name}" for name in ("neutral", "angry", "happy", "sad", "frustrated", "excited")}
FIGURES = [*(f"{name}{limit}" for name in METRICS for limit in ("", "_low", "_high")), *COSTS]
COLUMNS = [*(name for kind, names in FIELDS.items() if kind is not dict for name in names), "pretrained", "size"]
SIZES: Mapping[str, str] = {  # class: the rule; an ensemble is as large as its largest member
    "light": "no network",
    "small": "a network trained from scratch",
    "large": "a network that starts from published weights, or a stand-in for one",
}
NONE, LEVEL = "–", 0.05  # what stands for no number, and the level of a corrected p value
TESTED = ("modalities", "learned from", "smaller", "larger", "Δ weighted F1", "Δ UA", "only smaller right")
SCORE_COLUMNS = ("method", "measure", "value", "low", "high", "recognizer", "modality", "stand_in", "ua", "parameters")
TEXTS = ("recipe", "modalities", "size", "learned from", "smaller", "larger", "shown", "measured", "method")
PAIRS = (
    *("cnn-bilstm+bilstm", "cnn-bilstm+albert", "wav2vec2+bilstm", "vggish+bert", "wav2vec2+resnet-transformer"),
    "cnn-bilstm+bilstm+cnn",
)
SHOWN: Sequence[str] = (  # measures of the scorecards' tables
    *("comprehensiveness", "sufficiency", "infidelity", "convergence delta", "sensitivity", "other seed"),
    *("random labels", "units to 80 %", "agreement", "energy", "f0", "emotion words", "pointing game"),
    *("pointing game, chance", "seconds"),
)
OLD_MEASURES = {  # names before 0.2: names since
    "gap": "convergence delta",
    "random weights": "randomised weights (MPRT)",
    "hit": "pointing game",
    "hit by chance": "pointing game, chance",
    "precision": "average precision",
    "precision by chance": "average precision, chance",
    "mass": "relevance mass",
}


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
    entry: dict[str, Any] = {"corpus": first.corpus, "view": first.view, "protocol": measured.protocol}
    entry |= {"recipe": recipe, "modalities": list(measured.modalities), "trained_on": measured.trained_on}
    entry |= {"preset": preset, "pretrained": pretrained, "stand_in": measured.stand_in, "synthetic": first.synthetic}
    entry |= {"seeds": [int(seed) for seed in measured.reports], "n_test": first.n}
    entry |= {"clusters": {"by": "speaker", "n": len(first.sizes)}, "intervals": INTERVALS}
    entry |= {"metrics": {name: _without_nan(interval._asdict()) for name, interval in measured.metrics.items()}}
    entry |= {"seed_values": measured.spread.to_dict(orient="list"), "chance": first.chance}
    entry |= {"per_emotion": figures.where(figures.notna(), None).to_dict(orient="index")}
    entry |= {"cost": dict(measured.cost), "answers": _answers(measured), "versions": versions(), "device": device()}
    return entry | {"date": datetime.now(UTC).date().isoformat(), "command": command}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that figures depend on."""
    libraries = ("emolab", "numpy", "torch", "scikit-learn")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def device() -> str:
    """Describe the machine without naming it, such as "2 cores, CPU"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch = sys.modules.get("torch")  # where nobody imported it, nothing ran on a GPU
    return f"{cores} cores, {torch.cuda.get_device_name() if torch and torch.cuda.is_available() else 'CPU'}"


def _without_nan(interval: Mapping[str, float | None]) -> dict[str, float | None]:
    """Write an interval for JSON, which has no NaN."""
    return {name: None if pd.isna(value) else value for name, value in interval.items()}


def _answers(measured: CrossValidation) -> dict[str, Any]:
    """Keep what was predicted for each utterance, in the order of their ids, as short text: see `answers_of`."""
    first = next(iter(measured.reports.values()))
    ids, order = np.unique(first.utterances, return_index=True)
    said = {str(seed): aligned(first, one).probabilities.argmax(axis=1) for seed, one in measured.reports.items()}
    _, speaker = np.unique(first.clusters, return_inverse=True)  # numbers, since the names are nobody's business
    return {
        "emotions": list(first.emotions),
        "utterances": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        "clusters": " ".join(map(str, speaker[order])),
        "truth": " ".join(str(first.emotions.index(first.truth[place])) for place in order),
        "said": {seed: " ".join(map(str, numbers[order])) for seed, numbers in said.items()},
    }


def answers_of(entry: Entry) -> CrossValidation:
    """Build the reports of an entry again from the predictions it keeps, with the same scores and intervals.

    Utterances and speakers have numbers in the place of names, in the same order; of the probabilities only the
    largest is known, so that the calibration error means nothing.

    Raises:
        ValueError: If the entry keeps no predictions; older ones do not.
    """
    if "answers" not in entry:
        raise ValueError(
            f"the entry of {entry['recipe']} on {entry['corpus']} keeps no answers; expected those of each utterance, "
            f"which older entries lack. Measure it again: {entry['command']}"
        )
    kept, emotions = entry["answers"], tuple(entry["answers"]["emotions"])
    speakers, truth = ([int(number) for number in kept[name].split()] for name in ("clusters", "truth"))
    if entry["clusters"]["by"] != "speaker":  # older entries of one speaker number dialogues or utterances
        speakers = [0] * len(truth)
    names = [tuple(f"{number:08}" for number in numbers) for numbers in (speakers, range(len(truth)))]
    about = (*names, entry["recipe"], entry["corpus"], entry["view"], entry["synthetic"])
    reports, true = {}, tuple(emotions[number] for number in truth)
    for seed, said in kept["said"].items():
        certain = np.eye(len(emotions))[[int(number) for number in said.split()]]
        reports[int(seed)] = Report(emotions, true, certain, *about)
    settings = (entry["protocol"], tuple(entry["modalities"]), entry["stand_in"], (), entry["cost"])
    return CrossValidation(reports, *settings, entry.get("trained_on", NOT_RECORDED))


def compare_entries(a: Entry, b: Entry) -> Comparison:
    """Compare two entries by the predictions they keep, as `evaluation.compare` does: a minus b.

    Raises:
        ValueError: If one keeps none, they are about other utterances, labels or emotions, or learned from other sets.
    """
    measured = [answers_of(entry) for entry in (a, b)]
    different = [name for name in ABOUT if a["answers"][name] != b["answers"][name]]
    if different or a["trained_on"] != b["trained_on"]:
        names = [f"{each['recipe']} on {each['corpus']}, view {each['view']}, {each['trained_on']}" for each in (a, b)]
        raise ValueError(
            f"{' and '.join(names)} differ in their {', '.join(different) or 'trained_on'} (n = {a['n_test']} and "
            f"{b['n_test']}); expected the same utterances, learned from the same sets. Take two such entries."
        )
    return compare(*measured)


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
        raise ValueError(
            f"ledger entry {entry.get('recipe')!r} on {entry.get('corpus')!r} is not right: {'; '.join(problems)}. "
            f"Expected all of {[*FIELDS.values()]}, all figures finite. Build it with entry_of(cross_validate(…), …)."
        )
    return _write(place_of(entry, replace=replace), entry)


def _write(target: Path, entry: Entry) -> Path:
    with atomic_write(target) as part:
        text = json.dumps(dict(entry), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    return target


def place_of(entry: Entry, *, replace: bool = False) -> Path:
    """Return the file of an entry, of which corpus, recipe, view, protocol and preset must be known.

    Raises:
        ValueError: If corpus or recipe are no file names, or another view, protocol or preset is there and may not
            be replaced.
    """
    if odd := [name for name, pattern in SAFE.items() if not re.fullmatch(pattern, entry[name])]:
        names = ", ".join(f"{name} {entry[name]!r} is no file name" for name in odd)
        raise ValueError(f"{names}; expected letters, digits, '-' and '.'. Rename it.")
    target = results_root() / entry["corpus"] / f"{entry['recipe'].replace('/', '-')}.json"
    if target.exists() and not replace:
        there = _read(target, _checked)
        if different := {name: (there[name], entry[name]) for name in SAME if there[name] != entry[name]}:
            raise ValueError(
                f"{target} holds another measurement: {different} (there, new); expected the same {', '.join(SAME)}. "
                "Measure it like the old one, or say --replace, in Python record(entry, replace=True)."
            )
    return target


def entry_problems(entry: Entry) -> Iterator[str]:
    """Say, in words, everything that is missing or odd in an entry."""
    for name, kind in ((name, kind) for kind, names in FIELDS.items() for name in names):
        value = entry.get(name, "missing")
        if name not in entry or type(value) is not kind or (kind is not bool and not value):
            yield f"{name} is {value!r}"
    flat = (pd.json_normalize(dict(entry)).to_dict(orient="records") or [{}])[0]  # nested values by dotted names
    emotions = list(entry["per_emotion"]) if isinstance(entry.get("per_emotion"), Mapping) else []
    occurring = [emotion for emotion in emotions if flat.get(f"per_emotion.{emotion}.support") != 0]
    needed = {f"per_emotion.{name}.{it}" for name in occurring for it in ("precision", "recall", "f1", "support")}
    needed |= {f"metrics.{name}.value" for name in METRICS} | {f"cost.{name}" for name in COSTS.keys() - OPTIONAL_COSTS}
    for name in sorted(needed | {*flat}):
        value = flat.get(name, "missing")
        if not _finite(value) and (name in needed or isinstance(value, float)):
            yield f"{name} is {value!r}"
    for metric in METRICS:
        value, low, high = (flat.get(f"metrics.{metric}.{limit}", math.nan) for limit in Interval._fields)
        if all(map(_finite, (value, low, high))) and not 0 <= low <= value <= high <= 1:
            yield f"metrics.{metric} has low {low}, value {value}, high {high}, which is not in order from 0 to 1"
    try:
        again = answers_of(entry) if "answers" in entry else None
        if again and not (
            [*again.reports] == entry["seeds"]
            and {said.n for said in again.reports.values()} == {entry["n_test"]}
            and math.isclose(again.metrics["wa"].value, entry["metrics"]["wa"]["value"], abs_tol=1e-9)
        ):
            yield "answers do not fit seeds, n_test and metrics.wa"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        yield f"answers cannot be read ({error!r})"


def _finite(value: object) -> bool:
    """Tell whether something is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
        raise KeyError(
            f"no entry of {', '.join(missing)} on {corpus}; expected some of {', '.join(by_recipe) or 'none'}. "
            f"Measure it: {command(missing[0], str(corpus))}"
        )
    return [by_recipe[recipe] for recipe in recipes] or entries


def _files(pattern: str) -> list[Path]:
    """Find files of the ledger; one of the user's own hides one of the same name that came with the package."""
    found = {path.relative_to(root): path for root in reversed(results_roots()) for path in root.glob(pattern)}
    return [found[name] for name in sorted(found)]


def _read(path: Path, build: Callable[[dict[str, Any]], T]) -> T:
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # broken JSON or broken text too
        raise ValueError(
            f"{path} is no ledger entry: {error!r}. Expected what emolab.results writes. "
            "Delete the file and measure again, or take it back from version control."
        ) from error


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry if it is right, in today's form."""
    entry = entry if "intervals" in entry else _since_0_2(entry)
    if problems := list(entry_problems(entry)):
        raise ValueError("; ".join(problems))
    return entry


def _since_0_2(entry: dict[str, Any]) -> dict[str, Any]:
    """Put an entry from before 0.2 into today's form."""
    known = answers_of(entry).metrics if "answers" in entry else {}
    new = {
        name: _without_nan(known[name]._asdict()) for name in known.keys() - {"ece"}
    }  # which needs the probabilities
    metrics = {name: {**old, "low": None, "high": None} | new.get(name, {}) for name, old in entry["metrics"].items()}
    return {"trained_on": NOT_RECORDED, **entry, "intervals": INTERVALS, "metrics": metrics}


def read_ledger(corpus: str | None = None, *recipes: str) -> pd.DataFrame:
    """Read the ledger, a corpus of it, or some recipes: a row an entry; an empty one has the same columns.

    What is nested becomes columns by dotted names, but metrics and costs are called ua, ua_low, ua_high, train_s, ….

    Raises:
        ValueError: If a file is not an entry; the message names it.
        KeyError: If there is no entry of one of the recipes.
    """
    rows = [{**entry, "size": size_class(entry)} for entry in read_entries(corpus, *recipes)]
    table = pd.json_normalize(rows).filter(regex="^(?!answers)").rename(columns=_column)
    return table.reindex(columns=dict.fromkeys([*COLUMNS, *FIGURES, *table])).astype(dict.fromkeys(FIGURES, float))


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


def costs(entries: pd.DataFrame) -> pd.DataFrame:
    """Lay out what recognizers cost: rows of `read_ledger`, by modalities and parameters, as text; "–" is unknown."""
    return _layout(entries, COSTS)


def qualities(entries: pd.DataFrame, *, by: str = "parameters") -> pd.DataFrame:
    """Lay out what recognizers score, with intervals, as text: rows of `read_ledger`, sorted in each modality.

    Args:
        entries: Rows of `read_ledger`.
        by: "parameters", the smallest first, or a metric, the best first.

    Returns:
        By recipe (stand-ins are marked) UA, WA, weighted F1, calibration error, F1 of emotions; chance comes last.
    """
    known = {name: heading for name, heading in F1S.items() if name in entries}
    table = _layout(entries, {**SCORES, **known}, by=by)
    for _, entry in entries.drop_duplicates(["view", "protocol", "n_test"]).iterrows():
        guessed = {SCORES[name]: f"{entry[f'chance.majority.{name}']:.3f}" for name in ("ua", "wa", "weighted_f1")}
        chance = pd.DataFrame([guessed | {"measured": _setting(entry)}], index=["*always the most frequent emotion*"])
        table = pd.concat([table, chance]).fillna("").rename_axis("recipe")
    return table


def _layout(entries: pd.DataFrame, columns: Mapping[str, str], *, by: str = "parameters") -> pd.DataFrame:
    """Write columns of rows of `read_ledger` beside modalities, size, training data and setting."""
    ranks = {"n": entries["modalities"].map(len), "rank": entries[by] * (1 if by in COSTS else -1)}
    ranked = entries.assign(**ranks, modalities=entries["modalities"].map(" + ".join))
    ranked = ranked.sort_values(["n", "modalities", "rank", "recipe"])
    rows = ranked.to_dict(orient="records")
    cells = {heading: [_cell(row, name) for row in rows] for name, heading in columns.items()}
    about = {"modalities": [*ranked["modalities"]], "size": [*ranked["size"]], "learned from": [*ranked["trained_on"]]}
    index = pd.Index([_marked(row) for row in rows], name="recipe")
    return pd.DataFrame({**about, **cells, "measured": [_setting(row) for row in rows]}, index=index)


def _marked(entry: Entry) -> str:
    return str(entry["recipe"]) + " (stand-in)" * bool(entry["stand_in"])


def _setting(row: Mapping[Any, Any]) -> str:
    seeds = " ".join(map(str, row["seeds"]))
    return f"{row['view']}, {row['protocol']}, n = {row['n_test']:,}, {row['preset']}, seeds {seeds}"


def cost_of(entries: pd.DataFrame, cost: str) -> pd.Series:
    """Return one of `COSTS` of rows of `read_ledger`, in the unit of its heading; NaN where it was not measured."""
    return entries[cost] / (OPERATIONS if cost == "flops" else 1)


def _cell(row: Mapping[Any, Any], name: str) -> str:
    """Write a metric with its interval, or a cost in three digits and all of what is left of the point."""
    if pd.isna(value := row[name]):
        return NONE
    if name not in COSTS:
        return str(Interval(value, *(row.get(f"{name}{limit}", math.nan) for limit in ("_low", "_high"))))
    value = value / OPERATIONS if name == "flops" else value
    return f"{value:,.0f}" if value >= 100 or value % 1 == 0 else f"{value:.3g}"


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
    table = pd.DataFrame(rows, columns=[*TESTED, "only larger right", "p (McNemar)", "agree"])
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
    names = (" + ".join(larger["modalities"]), larger["trained_on"], _marked(smaller), _marked(larger))
    return *names, str(gain), str(found.difference["ua"]), found.only_b, found.only_a, found.p_value, agree


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct (n,) p values for having made n tests, so that one false alarm or more has the probability it says.

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return np.minimum(corrected, 1)


def command(recipe: str, corpus: str) -> str:
    """Return the one line that measures a recipe on a corpus: the sample quickly, others in full."""
    return f"emolab fit {recipe} --corpus {corpus}{' --preset full' * (corpus != 'sample')} --record"


def record_scores(entry: Entry) -> Path:
    """Write a scorecard to results/CORPUS/explain-RECIPE-MODALITY.json, whole or not at all; return the file.

    Raises:
        ValueError: If a field is missing.
    """
    if missing := [name for name in SCORECARD if not entry.get(name)]:
        raise ValueError(
            f"the scorecard of {entry.get('recipe')!r} lacks {', '.join(missing)}; expected what measure_scorecard "
            "returns, with the command that measures it again. Give command=."
        )
    name = f"{SCORECARDS}{entry['recipe'].replace('/', '-')}-{entry['modality']}.json"
    return _write(
        results_root() / entry["corpus"] / name, {**entry, "ua": _without_nan(entry["ua"]), "intervals": INTERVALS}
    )


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
    tables = [_read(path, _scores) for path in _files(f"{corpus}/{SCORECARDS}*.json")]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=SCORE_COLUMNS)


def _scores(entry: Entry) -> pd.DataFrame:
    """Return `frame_of`; from before 0.2 with today's names, and without intervals, which did not cover."""
    scores = frame_of(entry)
    now = "intervals" in entry
    return scores if now else scores.replace({"measure": OLD_MEASURES}).assign(low=math.nan, high=math.nan)


def scores_table(corpus: str) -> str:
    """Write the scorecards of a corpus as a Markdown table, a row an explainer, a column a measure; else nothing."""
    scores = read_scores(corpus)
    if scores.empty:
        return ""
    scores["cell"] = [str(Interval(*each)) for each in scores[["value", "low", "high"]].itertuples(index=False)]
    scores["recognizer"] += np.where(scores["stand_in"].astype(bool), " (stand-in)", "")
    table = scores.pivot_table("cell", ["recognizer", "method"], "measure", aggfunc="first", sort=False).fillna("")
    return markdown(table.reindex(columns=[name for name in SHOWN if name in table]).reset_index("method"))


def results_table(corpus: str) -> str:
    """Write the scores in the ledger of a corpus in Markdown, by modalities, the best UA first, chance at the end.

    What uses turns that come later stands in a table of its own.
    """
    entries = read_ledger(corpus)
    later = entries["recipe"].map(uses_future_context).astype(bool)
    warning = "With the turns that come later, which nobody has in a live conversation:\n\n"
    tables = [(text, entries[rows]) for text, rows in (("", ~later), (warning, later)) if rows.any()]
    written = [text + markdown(qualities(rows, by="ua")) for text, rows in tables]
    return "\n\n".join([*written, notes(entries)]) if written else f"No results on {corpus} yet."


def sizes_table(corpus: str) -> str:
    """Write the costs in the ledger of a corpus in Markdown."""
    entries = read_ledger(corpus)
    classes = "; ".join(f"{name}: {rule}" for name, rule in SIZES.items())
    about = [f"Sizes: {classes}.", f"A multiply-add is counted in networks only; {NONE} was not measured."]
    written = f"{markdown(costs(entries))}\n\n{' '.join([*about, *disclosed(entries)])}"
    return f"No results on {corpus} yet." if entries.empty else written


def pairwise_comparisons_table(corpus: str) -> str:
    """Write `pairwise_comparisons` of a corpus's ledger in Markdown."""
    table = pairwise_comparisons(read_entries(corpus))
    left_out = ", ".join(table.attrs["left_out"])
    left_out = f" Without answers in the ledger, so left out until measured again: {left_out}." * bool(left_out)
    if table.empty:
        return f"No two comparable recognizers on {corpus} have answers in the ledger yet.{left_out}"
    about = (
        "Larger minus smaller by parameters, of recognizers that learned from the same data; 95 % intervals over "
        f"speakers. Pairs tested: {len(table)}; after Holm's correction of McNemar's p for all of them, a difference "
        f"is shown in {(table['shown'] != 'no difference').sum()}.{left_out}"
    )
    p_values = {name: table[name].map("{:.2g}".format) for name in ("p (McNemar)", "p (Holm)")}
    return f"{markdown(table.assign(**p_values).set_index('modalities'))}\n\n{about}"


def pairs_table(corpus: str) -> str:
    """Write the F1 of each emotion for the pairs of models of the founding projects, and what measures the others."""
    entries, wanted = read_ledger(corpus), [f"fusion/concat/{pair}" for pair in PAIRS]
    measured = entries[entries["recipe"].isin(wanted)]
    missing = "; ".join(f"`{command(name, corpus)}`" for name in wanted if name not in [*measured["recipe"]])
    written = [] if measured.empty else [markdown(qualities(measured)), notes(measured)]
    return "\n\n".join(written + [f"Not measured yet: {missing}."] * bool(missing))


def headlines_table(chosen: str) -> str:
    """Write some rows of the ledger in Markdown, each named as CORPUS:RECIPE, in that order."""
    found = pd.concat([read_ledger(*name.split(":")) for name in chosen.split()])
    cells = {"modalities": found["modalities"].map(" + ".join), "learned from": found["trained_on"]}
    for name, heading in {"ua": "UA", "weighted_f1": "weighted F1", "parameters": "parameters"}.items():
        cells[heading] = [_cell(row, name) for row in found.to_dict(orient="records")]
    table = found[["corpus", "recipe"]].assign(**cells, measured=[_setting(row) for _, row in found.iterrows()])
    return f"{markdown(table.set_index('corpus'))}\n\n{notes(found)}"


def notes(entries: pd.DataFrame) -> str:
    """Say what must be known to read the scores in rows of the ledger."""
    said = ["Mean over the seeds; 95 % intervals over speakers (cluster jackknife, Student t)."]
    if entries[[f"{name}_low" for name in METRICS]].isna().any(axis=None):
        said.append("No interval: measured before 0.2, interval not available, or fewer than 5 speakers.")
    return " ".join([*said, *disclosed(entries)])


def disclosed(entries: pd.DataFrame) -> list[str]:
    """Say what figures of stand-ins and of the synthetic sample are not."""
    stand_in = "A stand-in is a tiny random network in the place of a large pretrained one."
    synthetic = "Measured on the synthetic sample: these figures say nothing about people."
    return [stand_in] * bool(entries["stand_in"].any()) + [synthetic] * bool(entries["synthetic"].any())


def markdown(table: pd.DataFrame) -> str:
    """Write a table of text in Markdown, its index first; numbers stand to the right."""
    names = [str(table.index.name or ""), *map(str, table.columns)]
    ruler = ["---" if name in TEXTS or place == 0 else "---:" for place, name in enumerate(names)]
    rows = [[str(index), *map(str, row)] for index, row in zip(table.index, table.to_numpy(object), strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, ruler, *rows])


MAKERS: Mapping[str, Callable[[str], str]] = {  # what stands between <!-- NAME ARGUMENT --> and <!-- end --> in pages
    **{"results": results_table, "sizes": sizes_table, "comparisons": pairwise_comparisons_table},
    **{"pairs": pairs_table, "explanations": scores_table, "headlines": headlines_table},
}
