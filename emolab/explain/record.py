"""Scorecards in the ledger: measured, written beside the results of the recognizers, read again, put into tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora.corpus import Corpus
from emolab.evaluation import evaluate
from emolab.explain import METHODS, explain
from emolab.explain.planted import shuffled_labels
from emolab.explain.profiles import over_time, top_words
from emolab.explain.scorecard import SAID_AT_CHANCE, most_faithful, scorecard, wide
from emolab.ledger import EXPLANATIONS, device, versions
from emolab.recipes import Preset, fit_or_load, recipe
from emolab.recognizer import Recognizer
from emolab.splits import Fold
from emolab.storage import atomic_write, results_root

N_UTTERANCES = 200  # the same for every model
N_TEXTS_COUNTED = 600  # texts whose words are counted, at most
FIELDS = ("corpus", "view", "fold", "recipe", "preset", "modality", "n", "ua", "scores", "device", "date", "command")
SHOWN: Sequence[str] = (
    *("comprehensiveness", "sufficiency", "infidelity", "gap", "sensitivity", "other seed", "random labels"),
    *("units to 80 %", "agreement", "energy", "f0", "emotion words", "hit", "hit by chance", "seconds"),
)


def few_of(part: Corpus, n: int = N_UTTERANCES) -> Corpus:
    """Return `n` utterances spread evenly over a part, always the same; all where there are fewer."""
    kept = np.linspace(0, len(part) - 1, min(n, len(part))).round().astype(int)
    return part.select(np.isin(np.arange(len(part)), kept))


def suitable(recognizer: Recognizer, part: Corpus, modality: str) -> list[str]:
    """Name the methods that can explain a recognizer's units, found by trying each on one utterance.

    Those that ask hundreds of times an utterance are left out for sound and faces, which are slow to look at.
    """
    one, found = part.select(np.arange(len(part)) == 0), []
    slow = {"modality": (), "text": ("shapley",)}.get(modality, ("shapley", "kernel-shap", "shap-partition"))
    for method in (name for name in METHODS if name not in (*slow, SAID_AT_CHANCE)):
        try:
            item = explain(recognizer, one, method, modality=modality, background=one, n_samples=8)
        except ValueError:
            continue
        if item.modality == modality:
            found.append(method)
    return found


def measure(
    name: str,
    fold: Fold,
    *,
    modality: str,
    preset: Preset = "quick",
    seed: int = 7,
    n: int = N_UTTERANCES,
    methods: Sequence[str] = (),
    alone: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Train a recipe, once more from the next seed and once on shuffled labels, and score its explanations.

    Args:
        name: Of the recipe.
        fold: Its test part is explained.
        modality: Whose units.
        preset: Of the recipe.
        seed: The first of two.
        n: Utterances, spread evenly over the test part.
        methods: Keys of `METHODS`; none takes all that suit.
        alone: Train it once only; what the others are for is not measured.
        command: The one line that measures it again.
    """
    trained = [fit_or_load(name, fold, preset=preset, seed=each) for each in ((seed,) if alone else (seed, seed + 1))]
    if not alone:
        trained.append(recipe(name, preset=preset, seed=seed))
        trained[-1].fit(shuffled_labels(fold.train, seed=seed), fold.valid)
    return entry_of(trained, fold, modality=modality, preset=preset, n=n, methods=methods, command=command)


def entry_of(
    trained: Sequence[Recognizer],
    fold: Fold,
    *,
    modality: str,
    preset: str,
    n: int = N_UTTERANCES,
    methods: Sequence[str] = (),
    command: str = "",
) -> dict[str, Any]:
    """Score the explanations of the first recognizer, in the ledger's form.

    Where there are others, the second was trained from another seed, the third on shuffled labels.
    """
    recognizer, other, by_chance = [*trained, None, None][:3]
    assert recognizer is not None  # for type checkers: there is one at least
    some = few_of(fold.test, n)
    methods = methods or suitable(recognizer, some, modality)
    how = {"background": fold.train, "other_seed": other, "random_labels": by_chance}
    scores = scorecard(recognizer, some, methods, modality=modality, **how)  # type: ignore[arg-type]
    kept = scores.drop(columns=["recognizer", "stand_in", "modality"]).astype(object)
    return {
        "corpus": fold.test.name,
        "view": fold.test.view_name,
        "fold": f"{fold.protocol}, {fold.name}",
        "recipe": recognizer.name,
        "modality": modality,
        "preset": preset,
        "pretrained": recognizer.pretrained,
        "stand_in": recognizer.stand_in,
        "synthetic": fold.test.synthetic,
        "parameters": int(recognizer.n_parameters),
        "n": len(some),
        "speakers": int(some.table["speaker"].nunique()),
        "ua": evaluate(recognizer, fold.test).metrics["ua"]._asdict(),
        "scores": kept.where(kept.notna(), None).to_dict(orient="records"),
        **_profile(recognizer, some, fold, modality, scores),
        "versions": versions(),
        "device": device(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
    }


def _profile(recognizer: Recognizer, some: Corpus, fold: Fold, modality: str, scores: pd.DataFrame) -> dict[str, Any]:
    """Say what the most faithful explanations have in common: relevance over time, or words of each emotion."""
    if modality not in ("audio", "text"):
        return {}
    part = some if modality == "audio" else few_of(fold.test, N_TEXTS_COUNTED)
    method = most_faithful(wide(scores))
    explained = explain(recognizer, part, method, modality=modality, background=fold.train)
    if modality == "text":
        return {"words": {"method": method, "n": len(part), "rows": top_words(explained).to_dict(orient="records")}}
    curves = {
        emotion: {
            name: [[None if np.isnan(x) else round(x, 3) for x in point] for point in track]
            for name, track in own.items()
        }
        for emotion, own in over_time(explained, part).items()
    }
    counts = {emotion: sum(item.emotion == emotion for item in explained) for emotion in curves}
    return {"over_time": {"method": method, "n": counts, "curves": curves}}


def record(entry: Mapping[str, Any]) -> Path:
    """Write a scorecard to results/CORPUS/explain-RECIPE-MODALITY.json, whole or not at all; return the file.

    Raises:
        ValueError: If a field is missing.
    """
    if missing := [name for name in FIELDS if not entry.get(name)]:
        raise ValueError(
            f"the scorecard of {entry.get('recipe')!r} lacks {', '.join(missing)}; expected what entry_of returns, "
            "with the command that measures it again. Give command=."
        )
    name = f"{EXPLANATIONS}{entry['recipe'].replace('/', '-')}-{entry['modality']}.json"
    target = results_root() / entry["corpus"] / name
    with atomic_write(target) as part:
        text = json.dumps(dict(entry), indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
    return target


def frame_of(entry: Mapping[str, Any]) -> pd.DataFrame:
    """Return an entry as `scorecard` does, with recognizer, preset, ua and parameters in each row."""
    scores = pd.DataFrame(entry["scores"]).astype({"value": float, "low": float, "high": float})
    facts = {"recognizer": entry["recipe"], **{name: entry[name] for name in ("modality", "stand_in", "preset")}}
    return scores.assign(**facts, ua=entry["ua"]["value"], parameters=entry["parameters"])


def read_scores(corpus: str) -> pd.DataFrame:
    """Read all scorecards of a corpus, see `frame_of`; empty where there are none.

    Raises:
        ValueError: If a file is broken; it is named.
    """
    parts = []
    for path in sorted((results_root() / corpus).glob(f"{EXPLANATIONS}*.json")):
        try:
            parts.append(frame_of(json.loads(path.read_text(encoding="utf-8"))))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no scorecard ({error!r}); expected what emolab.explain.record writes. Measure it again, or "
                "take it back from version control."
            ) from error
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def scores_table(corpus: str) -> str:
    """Write the scorecards of a corpus as a Markdown table, a row an explainer, a column a measure; else nothing."""
    from emolab.comparison import markdown

    scores = read_scores(corpus)
    if scores.empty:
        return ""
    said = scores.assign(value=[_cell(*row) for row in scores[["measure", "value", "low", "high"]].to_numpy(object)])
    said["recognizer"] += np.where(said["stand_in"], " (stand-in)", "")
    table = said.pivot_table("value", ["recognizer", "method"], "measure", aggfunc="first", sort=False).fillna("")
    table = table[[name for name in SHOWN if name in table]].reset_index("method")
    return markdown(table.rename(columns={"method": "explainer"}))


def _cell(measure: str, value: float, low: float, high: float) -> str:
    """Write a score with its interval, as far as it has one."""
    digits = 3 if measure == "seconds" else 2
    return f"{value:.{digits}f}" + f" [{low:.2f}, {high:.2f}]" * (not np.isnan(low))
