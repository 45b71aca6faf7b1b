"""The tables of README and docs/results that `python docs/pages.py refresh` writes from the ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emolab.evaluation import METRICS, PER_SPEAKER, Interval
from emolab.results import (
    COSTS,
    PRETRAINING,
    SCORES,
    SIZES,
    command,
    marked,
    pairwise_comparisons,
    read_entries,
    read_ledger,
    read_scores,
    uses_future_context,
)
from emolab.storage import results_roots, toml_beside

SHOWN = (  # measures of scorecards, in this order
    *("comprehensiveness", "sufficiency", "infidelity", "convergence delta", "sensitivity", "other seed"),
    *("random labels", "units to 80 %", "agreement", "energy", "f0", "emotion words", "pointing game"),
    *("pointing game, chance", "seconds"),
)
NOTES: Mapping[str, str] = toml_beside(__file__, "notes.toml")
OPERATIONS = 2e6  # in a million multiply-adds
NONE = "–"  # stands for no number
TEXTS = (  # columns of words
    *("recipe", "modalities", "size", "learned from", "smaller", "larger", "shown", "measured", "method"),
    *("pretraining data", "trained on", "tested on"),
)
PAIRS = (  # of models, in the founding projects
    *("cnn-bilstm+bilstm", "cnn-bilstm+albert", "wav2vec2+bilstm", "vggish+bert", "wav2vec2+resnet-transformer"),
    "cnn-bilstm+bilstm+cnn",
)


def results_table(corpus: str) -> str:
    """Write the scores in the ledger of a corpus in Markdown, by modalities, the best UA first, chance at the end.

    What uses turns that come later, or the test speakers' own means, stands in a table of its own.
    """
    entries = read_ledger(corpus)
    later = entries["recipe"].map(uses_future_context).astype(bool)
    own = entries["protocol"].astype(str).str.endswith(PER_SPEAKER)
    tables = {"": entries[~later & ~own], f"{NOTES['later']}\n\n": entries[later]}
    tables |= {f"{NOTES['per_speaker']}\n\n": entries[own]}
    written = [text + markdown(qualities(rows, by="ua")) for text, rows in tables.items() if len(rows)]
    return "\n\n".join([*written, notes(entries)]) if written else f"No results on {corpus} yet."


def costs(entries: pd.DataFrame) -> pd.DataFrame:
    """Lay out what recognizers cost: rows of `read_ledger`, by modalities and parameters, as text; "–" is unknown.

    The last column says what is known of the data that published weights were trained on.
    """
    return layout(entries, {**COSTS, "pretrained": "pretraining data"})


def qualities(entries: pd.DataFrame, *, by: str = "parameters") -> pd.DataFrame:
    """Lay out what recognizers score, with intervals, as text: rows of `read_ledger`, sorted in each modality.

    Args:
        entries: Rows of `read_ledger`.
        by: "parameters", the smallest first, or a metric, the best first.

    Returns:
        By recipe (stand-ins are marked) UA, WA, weighted F1, calibration error, F1 of emotions; chance comes last.
    """
    table = layout(entries, {name: heading for name, heading in SCORES.items() if name in entries}, by=by)
    for _, entry in entries.drop_duplicates(["view", "protocol", "n_test"]).iterrows():
        guessed = {SCORES[name]: f"{entry[f'chance.majority.{name}']:.3f}" for name in ("ua", "wa", "weighted_f1")}
        chance = pd.DataFrame([guessed | {"measured": _setting(entry)}], index=["*always the most frequent emotion*"])
        table = pd.concat([table, chance]).fillna("").rename_axis("recipe")
    return table


def layout(entries: pd.DataFrame, columns: Mapping[str, str], *, by: str | None = "parameters") -> pd.DataFrame:
    """Write columns of rows of `read_ledger` beside modalities, size, training data and setting; sorted if `by`."""
    entries = entries.assign(n=entries["modalities"].map(len), modalities=entries["modalities"].map(" + ".join))
    if by:
        entries = entries.assign(rank=entries[by] * (1 if by in COSTS else -1))
        entries = entries.sort_values(["n", "modalities", "rank", "recipe"])
    rows = entries.to_dict(orient="records")
    about = entries[["modalities", "size", "trained_on"]].rename(columns={"trained_on": "learned from"})
    cells = {heading: [_cell(row, name) for row in rows] for name, heading in columns.items()}
    table = about.assign(**cells, measured=[_setting(row) for row in rows])
    return table.set_axis(pd.Index([marked(row) for row in rows], name="recipe"))


def _setting(row: Mapping[Any, Any]) -> str:
    seeds = " ".join(map(str, row["seeds"]))
    return f"{row['view']}, {row['protocol']}, n = {row['n_test']:,}, {row['preset']}, seeds {seeds}"


def _cell(row: Mapping[Any, Any], name: str) -> str:
    """Write a metric with its interval, or a cost in three digits and all of what is left of the point."""
    if pd.isna(value := row[name]):
        return NONE
    if name == "pretrained":
        return "; ".join(dict.fromkeys(PRETRAINING.get(each, NONE) for each in value.split(" + ")))
    if name not in COSTS:
        return str(Interval(value, *(row.get(f"{name}{limit}", math.nan) for limit in ("_low", "_high"))))
    value = value / OPERATIONS if name == "flops" else value
    return f"{value:,.0f}" if value >= 100 or value % 1 == 0 else f"{value:.3g}"


def notes(entries: pd.DataFrame) -> str:
    """Say what must be known to read the scores in rows of the ledger."""
    lacking = entries[[f"{name}_low" for name in METRICS]].isna().any(axis=None)
    return " ".join([NOTES["intervals"], *[NOTES["no_interval"]] * bool(lacking), *disclosed(entries)])


def disclosed(entries: pd.DataFrame) -> list[str]:
    """Say what figures of stand-ins and of the synthetic sample are not."""
    return [NOTES[name] for name in ("stand_in", "synthetic") if entries[name].any()]


def markdown(table: pd.DataFrame) -> str:
    """Write a table of text in Markdown, its index first; numbers stand to the right."""
    names = [str(table.index.name or ""), *map(str, table.columns)]
    ruler = ["---" if name in TEXTS or place == 0 else "---:" for place, name in enumerate(names)]
    rows = [[str(index), *map(str, row)] for index, row in zip(table.index, table.to_numpy(object), strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, ruler, *rows])


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


def crossings_table(protocol: str) -> str:
    """Write in Markdown what is left of recognizers on corpora that they were not trained on.

    The last column is cross-validation on the tested corpus, where the ledger has it for the same emotions.
    """
    entries, rows = read_entries(), []
    for entry in (entry for entry in entries if entry["protocol"] == protocol):
        known, tested = entry["corpus"].split("-to-")
        emotions = sorted(entry["per_emotion"])
        usual = [own for own in entries if (own["corpus"], own["recipe"]) == (tested, entry["recipe"])]
        alike = [entry, *(own for own in usual if sorted(own["per_emotion"]) == emotions)]
        limits = [[np.nan if x is None else x for x in own["metrics"]["ua"].values()] for own in alike]
        ua, *within = [Interval(*each) for each in limits]
        about = {"trained on": known.replace("+", " + "), "tested on": tested, "recipe": marked(entry)}
        about |= {"emotions": len(emotions), "n": f"{entry['n_test']:,}", "UA": str(ua)}
        about["within the corpus"] = str(within[0]) if within else NONE
        rows.append(about | {"chance": f"{1 / len(emotions):.3f}"})
    if not rows:
        return "Not measured yet."
    table = pd.DataFrame(rows).sort_values(["tested on", "trained on", "emotions", "recipe"]).set_index("trained on")
    return f"{markdown(table)}\n\n{NOTES['intervals']} {NOTES['crossings']}"


def _leaks(rows: Sequence[Mapping[str, Any]], models: Sequence[str], figures: Sequence[str]) -> pd.DataFrame:
    """Lay out figures with intervals: a row a flaw, a column a figure of a model."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        limits = {name: {limit: np.nan if it is None else it for limit, it in row[name].items()} for name in figures}
        values = {f"{row['model']}, {name}": str(Interval(**limits[name])) for name in figures}
        cells.setdefault(row["flaw"], {}).update(values)
    names = [f"{model}, {figure}" for model in models for figure in figures]
    return pd.DataFrame.from_dict(cells, orient="index").reindex(columns=names).fillna("–")


def robustness_table(corpus: str) -> str:
    """Write what degradations cost and what training with degraded copies wins, as bench/robustness.py recorded it."""
    file = next((path for root in results_roots() if (path := root / f"robustness-{corpus}.json").is_file()), None)
    if file is None:
        return f"Not measured yet: `python bench/robustness.py {corpus}`."
    record = json.loads(file.read_text(encoding="utf-8"))
    rows = sorted(record["degradations"], key=lambda row: row["recipe"])  # the conditions in their order
    table = pd.DataFrame([_degradation(row) for row in rows]).set_index("recipe")
    chosen = ", ".join(
        f"{row['copies']} copies {row['condition']} {row['ua']:.3f}" for row in record["choice"]["validation"]
    )
    about = f"UA; {record['protocol']}, seed {record['seed']}; 95 % intervals over speakers ({record['intervals']}); "
    about += (
        f"trained on the training sets alone, with {record['choice']['n_copies']} degraded copies of each utterance "
    )
    about += (
        f"or none; chosen on validation sets by {record['choice']['recipe']} ({chosen}); \\*: of a kind that is in "
    )
    about += "no training copy; answered: above the confidence that answers 70 % of the clean validation set; measured "
    parts = [f"{about}on {record['date']}: `{record['command']}`.", markdown(table)]
    parts += [text + markdown(rows) for text, rows in _of_people(record).items() if len(rows)]
    return "\n\n".join(parts)


def _degradation(row: Mapping[str, Any]) -> dict[str, str]:
    """Lay out a condition of a recognizer as text."""
    cells = {
        "recipe": row["recipe"],
        "condition": row["condition"] + "\\*" * (not row["in training"] and row["kind"] != "clean"),
    }
    cells |= {"n": f"{row['n']:,}"} | {f"trained {arm}": _limits(row[arm]["ua"]) for arm in ("clean", "copies")}
    cells |= {
        "gain of copies": _limits(row["gain"]),
        "lost against clean sound, copies": _limits(row["copies"]["change"]),
    }
    for figure, name in {
        "ece": "calibration error",
        "answered": "answered",
        "accuracy of the answered": "right of these",
    }.items():
        cells[name] = " / ".join(
            "–" if (value := row[arm][figure]["value"]) is None else f"{value:.2f}" for arm in ("clean", "copies")
        )
    return cells


def _of_people(record: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Lay out groups, explanations, words, missing modalities and power, by the sentence above each."""
    groups = [row for row in record["groups"] if row["by"] == "gender"]
    spread = [row for row in record["groups"] if row["group"] == "all"]
    speakers = [row for row in record["groups"] if row["by"] == "speaker" and row["group"] != "all"]
    different = {
        row["recipe"]: sum(each["p (Holm)"] < 0.05 for each in speakers if each["recipe"] == row["recipe"])
        for row in spread
    }
    tables = {
        "By gender, on clean sound, trained clean; the gap is the first less the second:": [
            {
                "recipe": row["recipe"],
                "group": row["group"],
                "n": row["n"],
                "speakers": row["speakers"],
                "UA": _limits(row["ua"]),
                "calibration error": _limits(row["ece"]),
            }
            for row in groups
        ],
        "By speaker (accuracy); how the worst and the deviation would be if all speakers were alike, by simulation:": [
            {
                "recipe": row["recipe"],
                "speakers": row["speakers"],
                **{
                    name: f"{row[name]:.3f}"
                    for name in ("worst", "worst if all were alike", "deviation", "deviation if all were alike")
                },
                "differ after Holm": different[row["recipe"]],
            }
            for row in spread
        ],
        "Quality of explanations by gender (ablation):": [
            {
                "recipe": row["recipe"],
                "units": row["modality"],
                "measure of explanations": row["measure"],
                "group": row["group"],
                "n": row["n"],
                "value": _limits(row),
            }
            for row in record["explanations"]
        ],
        "Words by recognizers of speech, and a recognizer of words trained on what was said:": [
            {
                "recognizer of speech": row["asr"],
                "n": row["n"],
                "WER": _limits(row["wer"]),
                **{
                    name: _limits(row[key])
                    for key, name in {
                        "clean, said": "UA, said",
                        "clean, heard": "UA, recognized",
                        "copies, heard": "UA, recognized, trained on both",
                    }.items()
                    if key in row
                },
            }
            for row in record["words"]
        ],
        "A missing modality, as a share of the utterances lacks it (UA):": [
            {
                "recipe": name,
                "missing": modality,
                **{
                    f"{row['share']:.0%}": f"{row['ua']['value']:.3f}"
                    for row in record["missing"]
                    if (row["recipe"], row["missing"]) == (name, modality)
                },
            }
            for name, modality in dict.fromkeys((row["recipe"], row["missing"]) for row in record["missing"])
        ],
        "Gap in accuracy that so many speakers in each group show in 80 % of studies; how often its interval covers:": [
            {
                "speakers in each group": row["speakers in each"],
                "gap": row["shown in 80 %"] or "above 0.40",
                "covers": f"{row['covers']:.3f}",
            }
            for row in record["power"]
        ],
    }
    made = {f"{text}\n\n": pd.DataFrame(rows) for text, rows in tables.items()}
    return {text: rows.set_index(rows.columns[0]) if len(rows) else rows for text, rows in made.items()}


def _limits(interval: Mapping[str, float | None]) -> str:
    """Write an interval of a record."""
    return str(Interval(*(np.nan if interval[name] is None else interval[name] for name in ("value", "low", "high"))))


MAKERS: Mapping[str, Callable[[str], str]] = {  # what stands between <!-- NAME ARGUMENT --> and <!-- end --> in pages
    **{"results": results_table, "sizes": sizes_table, "comparisons": pairwise_comparisons_table},
    **{"pairs": pairs_table, "explanations": scores_table, "headlines": headlines_table},
    "leaks": leaks_table,
    "crossings": crossings_table,
    "robustness": robustness_table,
}
