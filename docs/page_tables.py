"""The tables of README and docs/results that `python docs/pages.py refresh` writes from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


MAKERS: Mapping[str, Callable[[str], str]] = {  # what stands between <!-- NAME ARGUMENT --> and <!-- end --> in pages
    **{"results": results_table, "sizes": sizes_table, "comparisons": pairwise_comparisons_table},
    **{"pairs": pairs_table, "explanations": scores_table, "headlines": headlines_table},
}
