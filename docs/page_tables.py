"""The tables of README and docs/results that `python docs/pages.py refresh` writes from the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emolab.evaluation import Interval
from emolab.results import (
    COSTS,
    NOTES,
    SCORES,
    SIZES,
    command,
    costs,
    disclosed,
    layout,
    markdown,
    notes,
    pairwise_comparisons,
    qualities,
    read_entries,
    read_ledger,
    read_scores,
    results_table,
)
from emolab.storage import results_roots

SHOWN = (  # measures of scorecards, in this order
    *("comprehensiveness", "sufficiency", "infidelity", "convergence delta", "sensitivity", "other seed"),
    *("random labels", "units to 80 %", "agreement", "energy", "f0", "emotion words", "pointing game"),
    *("pointing game, chance", "seconds"),
)
PAIRS = (  # of models, in the founding projects
    *("cnn-bilstm+bilstm", "cnn-bilstm+albert", "wav2vec2+bilstm", "vggish+bert", "wav2vec2+resnet-transformer"),
    "cnn-bilstm+bilstm+cnn",
)


def sizes_table(corpus: str) -> str:
    """Write the costs in the ledger of a corpus in Markdown."""
    entries = read_ledger(corpus)
    about = NOTES["sizes"].format(sizes="; ".join(f"{name}: {rule}" for name, rule in SIZES.items()))
    written = f"{markdown(costs(entries))}\n\n{' '.join([about, *disclosed(entries)])}"
    return f"No results on {corpus} yet." if entries.empty else written


def pairwise_comparisons_table(corpus: str) -> str:
    """Write `pairwise_comparisons` of a corpus's ledger in Markdown."""
    table = pairwise_comparisons(read_entries(corpus))
    bare = table.attrs["left_out"]
    left_out = [NOTES["left_out"].format(names=", ".join(bare))] * bool(bare)
    if table.empty:
        return " ".join([f"No two comparable recognizers on {corpus} have answers in the ledger yet.", *left_out])
    about = NOTES["comparisons"].format(n=len(table), n_shown=(table["shown"] != "no difference").sum())
    p_values = {name: table[name].map("{:.2g}".format) for name in ("p (McNemar)", "p (Holm)")}
    return f"{markdown(table.assign(**p_values).set_index('modalities'))}\n\n{' '.join([about, *left_out])}"


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
    columns = {name: {**SCORES, **COSTS}[name] for name in ("ua", "weighted_f1", "parameters")}
    return f"{markdown(layout(found, columns, by=None))}\n\n{notes(found)}"


def scores_table(corpus: str) -> str:
    """Write the scorecards of a corpus as a Markdown table, a row an explainer, a column a measure; else nothing."""
    scores = read_scores(corpus)
    if scores.empty:
        return ""
    scores["cell"] = [str(Interval(*each)) for each in scores[["value", "low", "high"]].itertuples(index=False)]
    scores["recognizer"] += np.where(scores["stand_in"].astype(bool), " (stand-in)", "")
    table = scores.pivot_table("cell", ["recognizer", "method"], "measure", aggfunc="first", sort=False).fillna("")
    return markdown(table.reindex(columns=[name for name in SHOWN if name in table]).reset_index("method"))


def leaks_table(corpus: str) -> str:
    """Write what each leak of chapter 02 is worth on a corpus, as bench/leaks.py recorded it, in Markdown."""
    file = next((path for root in results_roots() if (path := root / f"leaks-{corpus}.json").is_file()), None)
    if file is None:
        return f"Not measured yet: `python bench/leaks.py --corpus {corpus} --record`."
    record = json.loads(file.read_text(encoding="utf-8"))
    models = list(dict.fromkeys(row["model"] for row in record["flaws"]))
    flaws = _leaks(record["flaws"], models, ("honest", "leaky", "difference"))
    facts = {row["flaw"]: row for row in reversed(record["flaws"])}
    caught = {name: ", ".join(row["found_by_fold"]) for name, row in facts.items()}
    flaws["published with it"] = [facts[name]["published"] for name in flaws.index]
    flaws["caught by"] = [
        f"`Fold`: {caught[name]}" if caught[name] else facts[name]["caught_by"] for name in flaws.index
    ]
    controls = _leaks(record["shuffled_labels"], models, ("honest", "leaky"))
    speakers, seeds = f"{record['n_speakers']} speakers", " ".join(map(str, record["seeds"]))
    about = f"UA, n = {record['n']:,} of {speakers}; {record['features']}; {record['protocol']}; seeds {seeds}"
    about += (
        f"; 95 % intervals over speakers ({record['intervals']}); measured on {record['date']}: `{record['command']}`."
    )
    shuffled = f"With shuffled labels, where chance is {record['chance']:.3f} and nothing can be learned:"
    written = markdown(flaws.rename_axis("flaw")).replace("---: | ---: |\n", "--- | --- |\n", 1)  # two columns of text
    return "\n\n".join([about, written, shuffled, markdown(controls.rename_axis("flaw"))])


def _leaks(rows: Sequence[Mapping[str, Any]], models: Sequence[str], figures: Sequence[str]) -> pd.DataFrame:
    """Lay out figures with intervals: a row a flaw, a column a figure of a model."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        limits = {name: {limit: np.nan if it is None else it for limit, it in row[name].items()} for name in figures}
        values = {f"{row['model']}, {name}": str(Interval(**limits[name])) for name in figures}
        cells.setdefault(row["flaw"], {}).update(values)
    names = [f"{model}, {figure}" for model in models for figure in figures]
    return pd.DataFrame.from_dict(cells, orient="index").reindex(columns=names).fillna("–")


MAKERS: Mapping[str, Callable[[str], str]] = {  # what stands between <!-- NAME ARGUMENT --> and <!-- end --> in pages
    **{"results": results_table, "sizes": sizes_table, "comparisons": pairwise_comparisons_table},
    **{"pairs": pairs_table, "explanations": scores_table, "headlines": headlines_table},
    "leaks": leaks_table,
}
