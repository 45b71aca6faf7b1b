"""What `emolab fit` trains on and where, what it keeps, a recognizer, tables and a card; tables of predictions."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from emolab import __version__
from emolab.corpora import Corpus, chosen, load_corpus
from emolab.evaluation import CrossValidation
from emolab.recipes import RECIPES
from emolab.recognizer import Material, Recognizer
from emolab.splits import Fold, cross_corpus_fold
from emolab.storage import atomic_write, toml_beside

TEXTS = toml_beside(__file__, "fits.toml")
DPI = 150  # of pictures


def crossing(options: Namespace) -> Fold | None:
    """Make the fold of `--train-on A B --test-on C`; None where neither is asked for.

    Each corpus takes those pairs of `--merge` whose first emotion it has.

    Raises:
        ValueError: If one of the two is missing, `--corpus` or `--folds` is given too, or no corpus has an emotion that
            is to be merged.
    """
    if not (options.train_on or options.test_on):
        return None
    if not (options.train_on and options.test_on) or options.corpus or options.folds:
        raise ValueError(TEXTS["crossing"])
    corpora = [load_corpus(name).view(options.view) for name in (*options.train_on, options.test_on)]
    pairs = options.merge.split(",") if options.merge else []
    known = {emotion for corpus in corpora for emotion in corpus.emotions}
    if lost := [pair for pair in pairs if pair.partition("=")[0] not in known]:
        raise ValueError(TEXTS["nothing_to_merge"].format(lost=", ".join(lost), known=", ".join(sorted(known))))
    own = [",".join(pair for pair in pairs if pair.partition("=")[0] in corpus.emotions) for corpus in corpora]
    how = {"view": options.view or "", "emotions": options.emotions or ""}
    *train, test = [chosen(corpus, merge=merge, **how) for corpus, merge in zip(corpora, own, strict=True)]
    return cross_corpus_fold(train, test)


@contextmanager
def on_cluster(address: str | None) -> Iterator[None]:
    """Let joblib's jobs, such as the fits of `cross_validate`, run on a Dask cluster; without an address, here.

    The workers need the same emolab and corpora; where they share a cache as well, each feature is computed once.

    Raises:
        ImportError: If Dask is not installed.
        OSError: If nothing answers at the address, or the cluster has no worker.
    """
    if not address:
        yield
        return
    from dask.distributed import Client

    with Client(address) as client, joblib.parallel_config("dask"):
        print(TEXTS["cluster"].format(n=sum(client.ncores().values()), client=client))
        yield


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
    train = corpus.select(~corpus.table["utterance_id"].isin(fold.valid.table["utterance_id"]))
    recognizer = build(seed=seed)
    recognizer.fit(train, fold.valid)
    recognizer.calibrate(first.probabilities, np.array([first.emotions.index(emotion) for emotion in first.truth]))
    recognizer.save(folder)
    n_valid = len(fold.valid)
    return TEXTS["kept"].format(folder=folder, n=len(train) + n_valid, n_valid=n_valid, made=recognizer)


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
