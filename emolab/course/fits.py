"""What `emolab fit` keeps, the final recognizer, tables and a model card; and tables of what was predicted."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab import __version__
from emolab.corpora import Corpus
from emolab.evaluation import CrossValidation
from emolab.recipes import RECIPES
from emolab.recognizer import Material, Recognizer
from emolab.splits import Fold
from emolab.storage import atomic_write, toml_beside

TEXTS = toml_beside(__file__, "fits.toml")
DPI = 150  # of pictures


def in_words(measured: CrossValidation) -> str:
    """Return the report of a cross-validation, the confusion matrix of its first seed, and the figures by emotion."""
    confusion = next(iter(measured.reports.values())).confusion.to_string()
    by_emotion = measured.per_emotion.astype({"support": int}).to_string(float_format="{:.3f}".format, na_rep="")
    return f"{measured}\n\nconfusion matrix, rows are true:\n{confusion}\n\n{by_emotion}"


def predictions(measured: CrossValidation) -> pd.DataFrame:
    """Return a row an utterance and seed: seed, utterance_id, speaker, emotion, predicted, and each probability."""
    rows = []
    for seed, said in measured.reports.items():
        facts = {"seed": seed, "utterance_id": said.utterances, "speaker": said.clusters, "emotion": said.truth}
        named = pd.DataFrame(said.probabilities, columns=[f"p({emotion})" for emotion in said.emotions])
        rows.append(pd.DataFrame({**facts, "predicted": said.predicted}).join(named))
    return pd.concat(rows, ignore_index=True)


def keep(build: Callable[..., Recognizer], corpus: Corpus, fold: Fold, measured: CrossValidation, folder: Path) -> str:
    """Train a recognizer on all utterances, calibrate it on what the cross-validation predicted, and save it.

    Epoch and hyperparameters are chosen on the validation set of `fold`; the seed is the first one measured.

    Returns:
        What was kept, in words.
    """
    (seed, first), *_ = measured.reports.items()
    chosen_on = corpus.table["utterance_id"].isin(fold.valid.table["utterance_id"])
    recognizer = build(seed=seed)
    recognizer.fit(corpus.select(~chosen_on), fold.valid)
    recognizer.calibrate(first.probabilities, np.array([first.emotions.index(emotion) for emotion in first.truth]))
    recognizer.save(folder)
    return TEXTS["kept"].format(folder=folder, n=len(corpus), n_valid=chosen_on.sum(), made=recognizer)


def write(folder: Path, corpus: Corpus, measured: CrossValidation, **facts: Any) -> None:
    """Write a picture of the confusion matrix, tables, every utterance's probabilities, the log and a model card.

    Args:
        folder: Files of these names are replaced, others stay.
        corpus: What was measured on.
        measured: What `cross_validate` returned.
        facts: recipe, preset, pretrained, command, and kept: what `keep` returned.
    """
    from emolab import plots

    first = next(iter(measured.reports.values()))
    facts |= {"about": RECIPES[facts["recipe"].partition("@")[0]].about, "version": __version__}
    facts |= {"corpus": corpus, "measured": measured, "first": first, "log": in_words(measured)}
    facts |= {"date": datetime.now(UTC).date()}
    folder.mkdir(parents=True, exist_ok=True)
    picture: Any = plots.confusion_matrix(first).figure
    picture.savefig(folder / "confusion-matrix.png", dpi=DPI, bbox_inches="tight")
    measured.per_emotion.to_csv(folder / "per-emotion.csv")
    predictions(measured).to_csv(folder / "utterances.csv", index=False)
    for name, text in {"log.txt": facts["log"], "model-card.md": TEXTS["card"].format(**facts)}.items():
        (folder / name).write_text(text, encoding="utf-8")


def answer(recognizer: Recognizer, item: Material) -> dict[str, Any]:
    """Predict one utterance: emotion, and the calibrated probability of each.

    Of a recognizer that was calibrated the emotion may be "don't know"; then "most probable" says which it would be.

    Raises:
        FileNotFoundError: If the item is a file that is not there.
        ValueError: If it cannot be read, or is not what the recognizer needs.
    """
    if isinstance(item, list) and isinstance(item[0], Path) and not item[0].is_file():
        raise FileNotFoundError("there is no such file; expected a recording or film. Check the name.")
    (given,) = recognizer.calibrated(recognizer.predict_proba(item))
    best = recognizer.emotions[given.argmax()]
    said = {"emotion": TEXTS["unsure"] if given.max() < recognizer.unsure_below else best}
    said |= {"most probable": best} if recognizer.unsure_below else {}
    return said | dict(zip(recognizer.emotions, map(float, given), strict=True))


def write_table(frame: pd.DataFrame, form: str, file: Path | None) -> None:
    """Write predictions as "csv", "json" or, whatever else is named, a table to read: to a file, or to the terminal."""
    text = frame.to_string(index=False, float_format="{:.3f}".format)
    if form in ("csv", "json"):
        text = frame.to_csv(index=False) if form == "csv" else frame.to_json(orient="records", indent=1)
    if file is None:
        print(text.rstrip("\n"))
        return
    with atomic_write(file) as part:
        part.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
