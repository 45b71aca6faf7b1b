"""Small against large: what the recognizers of the ledger cost and score, side by side and tested pair by pair."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab.evaluation import Interval
from emolab.ledger import ABOUT, HEADLINES, SAME, compare_entries, notes, read_entries, read_ledger, uses_future_context

SIZES: Mapping[str, str] = {  # class: the rule; an average of several is as large as its largest part
    "light": "no network",
    "small": "a network that was trained from nothing",
    "large": "a network that starts from published weights, or a stand-in for one",
}
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
SCORES: Mapping[str, str] = {"ua": "UA", "wa": "WA", "weighted_f1": "weighted F1", "ece": "calibration error"}
EMOTIONS = ("neutral", "angry", "happy", "sad", "frustrated", "excited")  # of the table; a corpus may lack some
SETTINGS = ("view", "protocol", "preset", "n_test", "seeds", "device")  # a column where they differ, else in a note
TESTED = ("modalities", "smaller", "larger", "Δ weighted F1", "Δ UA", "only smaller right", "only larger right")
TEXTS = ("modalities", "size", "smaller", "larger", "shown", "explainer", *SETTINGS)  # columns that are no numbers
NONE = "–"
OPERATIONS = 2e6  # in a million multiply-adds
LEVEL = 0.05  # of a corrected p value
PAIRS: Mapping[str, str] = {  # of the founding projects: what is joined, and the recipe
    "CNN-BiLSTM + BiLSTM": "fusion/concat/cnn-bilstm+bilstm",
    "CNN-BiLSTM + ALBERT": "fusion/concat/cnn-bilstm+albert",
    "wav2vec 2.0 + BiLSTM": "fusion/concat/wav2vec2+bilstm",
    "VGGish + BERT": "fusion/concat/vggish+bert",
    "wav2vec 2.0 + ResNet-Transformer": "fusion/concat/wav2vec2+resnet-transformer",
    "audio + text + video": "fusion/concat/cnn-bilstm+bilstm+cnn",
}


def size_class(entry: Mapping[Any, Any]) -> str:
    """Return "light", "small" or "large", by the rules in `SIZES`, of an entry or a row of `read_ledger`."""
    if entry["stand_in"] or isinstance(entry["pretrained"], str):
        return "large"
    flops = entry["flops"] if "flops" in entry else entry["cost"]["flops"]
    return "light" if pd.isna(flops) else "small"


def costs(entries: pd.DataFrame) -> pd.DataFrame:
    """Lay out what recognizers cost: a row each, by modalities and then parameters; "–" is what was not measured.

    Args:
        entries: Rows of `read_ledger`.

    Returns:
        Text, ready to be shown, by recipe (stand-ins are marked); the headings are those of `COSTS`.
    """
    ordered = _ordered(entries)
    columns = {heading: [_number(each) for each in cost_of(ordered, name)] for name, heading in COSTS.items()}
    return _table(ordered, columns, "preset", "device")


def cost_of(entries: pd.DataFrame, cost: str) -> pd.Series:
    """Return one of `COSTS` of rows of `read_ledger`, in the unit of its heading; NaN where it was not measured."""
    return _column(entries, cost) / (OPERATIONS if cost == "flops" else 1)


def qualities(entries: pd.DataFrame) -> pd.DataFrame:
    """Lay out what recognizers score, in the order of `costs`, with 95 % intervals; the last rows are chance.

    Args:
        entries: Rows of `read_ledger`.

    Returns:
        Text, ready to be shown, by recipe: UA, WA, weighted F1, the F1 of `EMOTIONS`, the calibration error.
    """
    ordered = _ordered(entries)
    columns = {heading: _intervals(ordered, name) for name, heading in SCORES.items()}
    columns |= {f"F1 {emotion}": cells for emotion, cells in _f1_of_emotions(ordered).items()}
    table = _table(ordered, columns, *SETTINGS[:-1])
    for _, entry in ordered.drop_duplicates(["view", "protocol", "n_test"]).iterrows():
        guessed = {SCORES[name]: f"{entry[f'chance.majority.{name}']:.3f}" for name in HEADLINES}
        known = {name: _plain(entry[name]) for name in ("view", "protocol", "n_test") if name in table}
        row = pd.DataFrame([guessed | known], index=["*always the most frequent emotion*"])
        table = pd.concat([table, row]).fillna("").rename_axis("recipe")
    return table


def pairwise_comparisons(entries: Sequence[Mapping[str, Any]], *, cost: str = "parameters") -> pd.DataFrame:
    """Test each recognizer against the next larger one of the same modalities, view, protocol and preset.

    Differences are larger minus smaller, of the means over the seeds, with a paired bootstrap over speakers; McNemar's
    p (first seed) takes utterances as independent, so it is too sure. Since many pairs are tested, the p values of the
    whole table are corrected by Holm's method (Holm 1979, A simple sequentially rejective multiple test procedure);
    the intervals are not. A difference counts as shown if the corrected p is below 0.05 and the interval of the
    weighted F1 is on the same side of zero as the surplus of right answers.

    Args:
        entries: From `read_entries`; those that keep no answers, or lack the cost, are left out and listed in the
            table's `attrs["left_out"]`.
        cost: What makes one larger, a key of `COSTS`.

    Returns:
        A row a pair, by modalities and then cost.
    """
    entries = [entry for entry in entries if not uses_future_context(entry["recipe"])]
    usable = [entry for entry in entries if _is_testable(entry, cost)]
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in sorted(usable, key=lambda entry: (len(entry["modalities"]), entry["modalities"], entry["cost"][cost])):
        key = [*entry["modalities"], *(entry[name] for name in SAME), *(str(entry["answers"][name]) for name in ABOUT)]
        groups.setdefault(tuple(key), []).append(entry)
    rows = [_tested(*pair) for group in groups.values() for pair in pairwise(group)]
    table = pd.DataFrame(rows, columns=[*TESTED, "p (McNemar)", "agree"])
    table["p (Holm)"] = holm(table["p (McNemar)"])
    sure = (table["p (Holm)"] < LEVEL) & table.pop("agree").astype(bool)
    better = np.where(table["only larger right"] > table["only smaller right"], "larger is better", "smaller is better")
    table["shown"] = np.where(sure, better, "no difference")
    table.attrs["left_out"] = [entry["recipe"] for entry in entries if not _is_testable(entry, cost)]
    return table


def _is_testable(entry: Mapping[str, Any], cost: str) -> bool:
    return "answers" in entry and entry["cost"].get(cost) is not None


def _tested(smaller: Mapping[str, Any], larger: Mapping[str, Any]) -> tuple[Any, ...]:
    """Compare two entries, as a row of `pairwise_comparisons`."""
    found = compare_entries(larger, smaller)
    gains = [found.difference[name] for name in ("weighted_f1", "ua")]
    low, high, surplus = gains[0].low, gains[0].high, found.only_a - found.only_b
    names = [_marked(entry) for entry in (smaller, larger)]
    written = [f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]" for gain in gains]
    agree = (low > 0 and surplus > 0) or (high < 0 and surplus < 0)
    return " + ".join(larger["modalities"]), *names, *written, found.only_b, found.only_a, found.p_value, agree


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


def pairs(corpus: str, recipes: Mapping[str, str] = PAIRS) -> pd.DataFrame:
    """Lay out the F1 of each emotion for pairs of models, `recipes` by title; what is not measured names its command.

    Returns:
        Text, ready to be shown, by title: the F1 of `EMOTIONS` and, with its interval, the weighted F1.
    """
    entries = read_ledger(corpus)
    known = entries.set_index("recipe", drop=False) if len(entries) else entries
    rows, titles = [], []
    for title, name in recipes.items():
        measured = name in known.index
        found = known.loc[[name]] if measured else known
        cells = dict.fromkeys(EMOTIONS, NONE) | {SCORES["weighted_f1"]: f"`{command(name, corpus)}`"}
        if measured:
            cells |= {emotion: values[0] for emotion, values in _f1_of_emotions(found).items()}
            cells |= {SCORES["weighted_f1"]: _intervals(found, "weighted_f1")[0]}
        rows.append(cells)
        titles.append(title + " (stand-in)" * (measured and bool(found["stand_in"].iloc[0])))
    return pd.DataFrame(rows, index=pd.Index(titles, name="pair"))


def command(recipe: str, corpus: str) -> str:
    """Return the one line that measures a recipe on a corpus: the sample quickly, others in full."""
    how = [] if corpus == "sample" else ["--preset", "full"]
    return shlex.join(["emolab", "fit", recipe, "--corpus", corpus, *how, "--record"])


def sizes_table(corpus: str) -> str:
    """Write `costs` and `qualities` of a corpus's ledger in markdown, with what must be known to read them."""
    entries = read_ledger(corpus)
    if entries.empty:
        return f"No results on {corpus} yet."
    classes = "; ".join(f"{name}: {rule}" for name, rule in SIZES.items())
    about = [f"Sizes: {classes}.", "A multiply-add is counted in networks only; – was not measured.", *notes(entries)]
    return "\n\n".join([markdown(costs(entries)), markdown(qualities(entries)), " ".join([*about, _shared(entries)])])


def pairwise_comparisons_table(corpus: str) -> str:
    """Write `pairwise_comparisons` of a corpus's ledger in markdown."""
    table = pairwise_comparisons(read_entries(corpus))
    left_out = "Without answers in the ledger, so left out until measured again: "
    left_out = left_out + f"{', '.join(table.attrs['left_out'])}." if table.attrs["left_out"] else ""
    if table.empty:
        return f"No two neighbours on {corpus} have answers in the ledger yet. {left_out}".strip()
    shown = (table["shown"] != "no difference").sum()
    about = (
        f"Larger minus smaller by parameters, 95 % intervals over speakers. Pairs tested: {len(table)}; after Holm's "
        f"correction of McNemar's p for all of them, a difference is shown in {shown}."
    )
    formats = {"p (McNemar)": "{:.2g}".format, "p (Holm)": "{:.2g}".format}
    written = table.assign(**{name: table[name].map(write) for name, write in formats.items()})
    return f"{markdown(written.set_index('modalities'))}\n\n{about} {left_out}".strip()


def pairs_table(corpus: str, recipes: Mapping[str, str] = PAIRS) -> str:
    """Write `pairs` in markdown, with what must be known to read it."""
    entries = read_ledger(corpus)
    measured = entries[entries["recipe"].isin(recipes.values())] if len(entries) else entries
    if measured.empty:
        about = [f"Nothing is measured on {corpus} yet: a line is the command that fills its row."]
    else:
        about = [*notes(measured), _shared(measured)]
    return f"{markdown(pairs(corpus, recipes))}\n\nF1 of each emotion. {' '.join(about)}"


def markdown(table: pd.DataFrame) -> str:
    """Write a table of text in markdown, its index first; numbers stand to the right."""
    names = [str(table.index.name or ""), *map(str, table.columns)]
    ruler = ["---" if name in TEXTS or place == 0 else "---:" for place, name in enumerate(names)]
    rows = [[str(index), *map(str, row)] for index, row in zip(table.index, table.to_numpy(object), strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, ruler, *rows])


def _ordered(entries: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by number of modalities, modalities and parameters, tell their sizes; leave later turns to others."""
    entries = entries[~entries["recipe"].map(uses_future_context).astype(bool)]
    sizes = [size_class(entry) for entry in entries.to_dict(orient="records")]
    joined = entries["modalities"].map(" + ".join)
    ordered = entries.assign(size=sizes, n_modalities=entries["modalities"].map(len), modalities=joined)
    return ordered.sort_values(["n_modalities", "modalities", "parameters", "recipe"])


def _table(ordered: pd.DataFrame, columns: Mapping[str, Sequence[str]], *settings: str) -> pd.DataFrame:
    """Put columns beside recipe, modalities, size, and those settings in which the rows differ."""
    different = {name: [*ordered[name].map(_plain)] for name in settings if ordered[name].map(_plain).nunique() > 1}
    index = pd.Index([_marked(entry) for entry in ordered.to_dict(orient="records")], name="recipe")
    about = {"modalities": [*ordered["modalities"]], "size": [*ordered["size"]]}
    return pd.DataFrame({**about, **columns, **different}, index=index)


def _marked(entry: Mapping[Any, Any]) -> str:
    return str(entry["recipe"]) + " (stand-in)" * bool(entry["stand_in"])


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shared(entries: pd.DataFrame) -> str:
    """Say in which settings all rows agree."""
    kinds = {name: entries[name].map(_plain).unique() for name in SETTINGS}
    return "; ".join(f"{name.removesuffix('_test')}: {one[0]}" for name, one in kinds.items() if len(one) == 1) + "."


def _column(entries: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of numbers; NaN where it lacks, as in older entries."""
    return entries[name].astype(float) if name in entries else pd.Series(np.nan, entries.index)


def _number(value: float) -> str:
    """Write a cost: three digits, and all of what is left of the point."""
    return NONE if pd.isna(value) else f"{value:,.0f}" if value >= 100 or value % 1 == 0 else f"{value:.3g}"


def _intervals(entries: pd.DataFrame, name: str) -> list[str]:
    limits = entries[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False)
    return [str(Interval(*each)) for each in limits]


def _f1_of_emotions(entries: pd.DataFrame) -> dict[str, list[str]]:
    """Return the F1 of those `EMOTIONS` that one of the entries has."""
    columns = {emotion: _column(entries, f"per_emotion.{emotion}.f1") for emotion in EMOTIONS}
    written = {emotion: [NONE if pd.isna(f1) else f"{f1:.3f}" for f1 in column] for emotion, column in columns.items()}
    return {emotion: cells for emotion, cells in written.items() if {*cells} != {NONE}}
