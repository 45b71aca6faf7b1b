"""Measure what each leak of chapter 02 is worth with light models: `python bench/leaks.py --corpus ravdess --record`.

Every flaw is one function: it scores a model the honest way, speaker-independent, and once more with the flaw. On MELD,
whose parts and dialogues share their speakers, "honest" means that no dialogue is on both sides.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from emolab import load_corpus
from emolab.corpora.corpus import Corpus, complete_table
from emolab.evaluation import Interval, interval_of, leave_one_out
from emolab.features.audio import audio_features, functionals
from emolab.results import INTERVALS, device, versions
from emolab.splits import find_leaks, folds_of
from emolab.storage import atomic_write, progress, results_root

SEEDS = (7, 8, 9)
N_DIALOGUE_FOLDS = 5  # where speakers cannot be kept apart
N_DEFAULT = 5  # folds that scikit-learn makes where nothing is said
N_SELECTED = 50  # features that are kept where features are selected
RARE, THINNED = 4, 8  # an emotion counts as rare at 1 / 4 of the commonest; where none is, two are thinned to 1 / 8
N_EPOCHS, N_STARTS = 20, 3  # candidates among which a training run is picked
TWO_SENTENCES = 2  # RAVDESS has no more

Array = NDArray[Any]
ABOUT: Mapping[str, tuple[str, str]] = {  # flaw: (who published with it, what else than `find_leaks` catches it)
    "random split": ("founding projects 002, 003, 004; SpeechBrain's IEMOCAP recipes by default", ""),
    "k-fold, groups ignored": ("nkululeko's option k_fold_cross", ""),
    "rare emotions copied before the split": ("founding project 004 and its ancestor (fear x 31, surprise x 11)", ""),
    "rows drawn with replacement before the split": ("founding project 002 (accuracy 0.766)", ""),
    "segments of a recording on both sides": ("many recognizers of segments", ""),
    "each file twice (doubled layout)": ("RAVDESS as a whole in two formats: marcogdepinto, issue 6", ""),
    "scaling or TF-IDF fitted on everything": (
        "founding project 004 and its ancestor",
        "fit(train, valid), never given the test set",
    ),
    "features selected on everything": ("no founding project; frequent elsewhere", "shuffled labels stay above chance"),
    "epoch and seed picked on the test set": (
        "the ancestor of founding project 004, SDT, M3Net, emotion2vec's starred figures",
        "the validation set of `Fold`, which `fit` asks for",
    ),
    "speaker means of the test speakers": ("many; legitimate if stated: transductive", "nothing: it has to be stated"),
    "future turns": ("DialogueGCN, MMGCN, SDT, M3Net and others", "the recipe's name, conversation/future/…"),
    "features and labels out of step": (
        "nkululeko before 1.8.9 (August 2026)",
        "the score equals that of shuffled rows",
    ),
    "wrong label map": (
        "emotion2vec+ through two programs (FunASR, issue 2728)",
        "another assignment of labels scores higher",
    ),
    "file name among the words": ("a text model above chance on RAVDESS", "the negative control: two sentences only"),
}


class Scored(NamedTuple):
    """Predictions of utterances, copies or halves: three arrays of the same length."""

    truth: Array
    predicted: Array
    speaker: Array


@dataclass(frozen=True, eq=False)
class Material:
    """What the flaws are tried on.

    Attributes:
        corpus: The utterances.
        x: (n, n_features) float32 of audio, or (n, 1) texts.
        halves: (2 n, …) the same of all first halves, then of all second halves.
        models: Unfitted pipelines of two steps, preparation and classifier, by name.
        y: (n,) place of each emotion.
        speaker: (n,) names.
        fold: (n,) number of the fold that tests an utterance, honestly.
        features: What x is, in words.
        protocol: What fold is, in words.
        scored: What `honest` has computed already, by model.
    """

    corpus: Corpus
    x: Array
    halves: Array
    models: Mapping[str, Pipeline]
    y: Array
    speaker: Array
    fold: Array
    features: str
    protocol: str
    scored: dict[int, tuple[Pipeline, Scored]] = field(default_factory=dict, init=False)

    @property
    def n_folds(self) -> int:
        """Number of honest folds, and of the leaky ones."""
        return int(self.fold.max()) + 1


class Pair(NamedTuple):
    """The same model scored twice; of a leaky split also its rows as a reader lists them, and the fold of each."""

    honest: Scored
    leaky: Scored
    listed: Corpus | None = None
    fold: Array | None = None


Flaw = Callable[[Material, Pipeline, int], Pair]


def functionals_of_halves(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the functionals of the first and the second half of a recording, one after the other."""
    middle = len(wave) // 2
    return np.concatenate([functionals(wave[:middle]), functionals(wave[middle:])])


def material_of(corpus: Corpus) -> Material:
    """Measure a corpus once for all flaws: functionals where there is audio, else TF-IDF of the words."""
    y, speaker = corpus.targets(), corpus.table["speaker"].to_numpy(str)
    fold, protocol = honest_folds(corpus)
    if "audio" in corpus.modalities:
        x, both = (_matrix(audio_features(each, corpus.audio_paths())) for each in (functionals, functionals_of_halves))
        halves, prepare, machine = np.concatenate(np.split(both, 2, axis=1)), StandardScaler(), SVC(C=10.0)
        features, strength = f"{x.shape[1]} functionals", 0.01
    else:
        split = [(text.split(), len(text.split()) // 2) for text in corpus.texts()]
        first, second = ([" ".join(ws[:n]) for ws, n in split], [" ".join(ws[n:]) for ws, n in split])
        x, halves = (np.array(texts, object)[:, None] for texts in (corpus.texts(), first + second))
        features, prepare, machine, strength = "TF-IDF of words and pairs of words", tf_idf(1), LinearSVC(C=0.5), 1.0
    linear = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
    estimators = {"logistic regression": linear, "SVM": machine}
    models = {
        name: make_pipeline(prepare, each.set_params(class_weight="balanced")) for name, each in estimators.items()
    }
    return Material(corpus, x, halves, models, y, speaker, fold, features, protocol)


def _matrix(rows: Sequence[Array]) -> Array:
    return np.nan_to_num(np.stack(rows)).astype(np.float32)


def tf_idf(n_columns: int) -> ColumnTransformer:
    """Make the preparation of (n, n_columns) texts."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return ColumnTransformer([(str(column), clone(vectorizer), column) for column in range(n_columns)])


def honest_folds(corpus: Corpus) -> tuple[Array, str]:
    """Number the test fold of each utterance by the corpus's protocol, or by dialogue where speakers are all linked."""
    if corpus.protocol != "as-shipped":
        folds = folds_of(corpus)
        number = {name: place for place, fold in enumerate(folds) for name in fold.test.table["utterance_id"]}
        return corpus.table["utterance_id"].map(number).to_numpy(int), folds[0].protocol
    by_dialogue = GroupKFold(N_DIALOGUE_FOLDS, shuffle=True, random_state=0)
    splits = by_dialogue.split(corpus.table, groups=corpus.table["dialogue_id"].to_numpy(str))
    return _numbered(len(corpus), [test for _, test in splits]), f"dialogues-{N_DIALOGUE_FOLDS}-folds"


def _numbered(n: int, tests: Sequence[Array]) -> Array:
    fold = np.empty(n, int)
    for number, test in enumerate(tests):
        fold[test] = number
    return fold


def random_folds(y: Array, k: int, seed: int | None) -> Array:
    """Number the test fold of each row by scikit-learn's StratifiedKFold, shuffled unless the seed is None."""
    splitter = StratifiedKFold(k, shuffle=seed is not None, random_state=seed)
    return _numbered(len(y), [test for _, test in splitter.split(y, y)])


def out_of_fold(model: Any, x: Any, y: Array, fold: Array) -> Array:
    """Predict each fold with a model that was fitted to the other ones."""
    predicted = np.empty_like(y)
    for number in range(int(fold.max()) + 1):
        test = fold == number
        predicted[test] = clone(model).fit(x[~test], y[~test]).predict(x[test])
    return predicted


def honest(m: Material, model: Pipeline) -> Scored:
    """Score a model by the honest folds, once."""
    if id(model) not in m.scored:
        m.scored[id(model)] = model, Scored(m.y, out_of_fold(model, m.x, m.y, m.fold), m.speaker)
    return m.scored[id(model)][1]


def split_anew(
    m: Material, model: Pipeline, fold: Array, rows: Array | None = None, right: Scored | None = None
) -> Pair:
    """Score a model honestly, unless that is known, and on some rows of the corpus by another split."""
    rows = np.arange(len(m.y)) if rows is None else rows
    leaky = Scored(m.y[rows], out_of_fold(model, m.x[rows], m.y[rows], fold), m.speaker[rows])
    return Pair(right or honest(m, model), leaky, listed(m.corpus, rows) if len(m.corpus) == len(m.y) else None, fold)


def listed(corpus: Corpus, rows: Array) -> Corpus:
    """List rows of a corpus, some of them several times; the copies of a row get ids of their own."""
    table = corpus.table.iloc[rows].reset_index(drop=True)
    again = table.groupby("utterance_id").cumcount().astype("string")
    ids = table["utterance_id"].where(again == "0", table["utterance_id"] + "-copy" + again)
    return replace(corpus, table=table.assign(utterance_id=ids.astype(table["utterance_id"].dtype)))


def shared_speakers(m: Material, model: Pipeline, seed: int) -> Pair:
    """Split utterances at random, so that speakers and recordings are on both sides."""
    return split_anew(m, model, random_folds(m.y, m.n_folds, seed))


def ignored_groups(m: Material, model: Pipeline, seed: int) -> Pair:
    """Cut the table into k stratified folds as it stands, which is what cv=5 does, even where groups are given."""
    return split_anew(m, model, random_folds(m.y, N_DEFAULT, None))


def drawn_with_replacement(m: Material, model: Pipeline, seed: int) -> Pair:
    """Shuffle by np.random.randint, that is with replacement, then split at random."""
    rows = np.random.default_rng(seed).integers(len(m.y), size=len(m.y))
    return split_anew(m, model, random_folds(m.y[rows], m.n_folds, seed), rows)


def doubled(m: Material, model: Pipeline, seed: int) -> Pair:
    """List each recording twice, as archives do that hold it in two formats or folders, then split at random."""
    rows = np.tile(np.arange(len(m.y)), 2)
    return split_anew(m, model, random_folds(m.y[rows], m.n_folds, seed), rows)


def segments(m: Material, model: Pipeline, seed: int) -> Pair:
    """Cut each recording in half and split the halves at random."""
    rows, halves = np.tile(np.arange(len(m.y)), 2), replace(m, x=m.halves, y=np.tile(m.y, 2))
    halves = replace(halves, speaker=m.speaker[rows], fold=m.fold[rows])
    pair = split_anew(halves, model, random_folds(halves.y, m.n_folds, seed))
    names = m.corpus.table["utterance_id"].iloc[rows]
    table = listed(m.corpus, rows).table.assign(
        dialogue_id=names.to_numpy(), audio_path=pd.NA, video_path=pd.NA, text=pd.NA
    )
    return pair._replace(listed=replace(m.corpus, table=complete_table(table)))  # files of their own, from a recording


def copied_before_split(m: Material, model: Pipeline, seed: int) -> Pair:
    """Copy utterances of rare emotions until they are as many as the commonest, then split at random.

    Honest is the same copying inside each training set. Where no emotion is rare, the two rarest are thinned first.
    """
    counts = np.bincount(m.y)
    rare = np.flatnonzero(counts * RARE < counts.max())
    if not len(rare):
        rare = np.argsort(counts, kind="stable")[:2]
        kept = ~np.isin(m.y, rare) | (np.arange(len(m.y)) % THINNED == seed % THINNED)
        m = replace(
            m, x=m.x[kept], y=m.y[kept], speaker=m.speaker[kept], fold=m.fold[kept], corpus=m.corpus.select(kept)
        )
    predicted = np.empty_like(m.y)
    for number in range(m.n_folds):
        train = np.flatnonzero(m.fold != number)
        train = train[with_copies(m.y[train], rare)]
        predicted[m.fold == number] = clone(model).fit(m.x[train], m.y[train]).predict(m.x[m.fold == number])
    rows = with_copies(m.y, rare)
    right = Scored(m.y, predicted, m.speaker)
    return split_anew(m, model, random_folds(m.y[rows], m.n_folds, seed), rows, right)


def with_copies(y: Array, rare: Array) -> Array:
    """Return row numbers in which each rare emotion is repeated until it is about as frequent as the commonest."""
    most = np.bincount(y).max()
    times = np.where(np.isin(y, rare), np.maximum(most // np.maximum(np.bincount(y), 1), 1)[y], 1)
    return np.repeat(np.arange(len(y)), times)


def prepared_on_everything(m: Material, model: Pipeline, seed: int) -> Pair:
    """Fit scaler or TF-IDF to all utterances before the honest split."""
    return _fitted_on_everything(m, model)


def selected_on_everything(m: Material, model: Pipeline, seed: int) -> Pair:
    """Select the features that differ most between the emotions, on all utterances before the honest split."""
    return _fitted_on_everything(m, make_pipeline(model[0], SelectKBest(f_classif, k=N_SELECTED), model[-1]))


def _fitted_on_everything(m: Material, model: Pipeline) -> Pair:
    z = clone(model[:-1]).fit_transform(m.x, m.y)
    return Pair(honest(m, model), Scored(m.y, out_of_fold(model[-1], z, m.y, m.fold), m.speaker))


def picked_on_test(m: Material, model: Pipeline, seed: int) -> Pair:
    """Train by stochastic gradients from several seeds and keep the best epoch of all, by the test fold's score.

    Honest is the epoch that is best on the validation fold, of the same runs.
    """
    loss = "log_loss" if isinstance(model[-1], LogisticRegression) else "hinge"
    alpha, balance = 1e-5 if m.x.dtype == object else 1e-3, 1 / np.bincount(m.y)[m.y]  # rows of TF-IDF have length 1
    by_valid, by_test = np.empty_like(m.y), np.empty_like(m.y)
    for number in range(m.n_folds):
        test, valid = m.fold == number, m.fold == (number - 1) % m.n_folds
        learned = ~test & ~valid
        prepare = clone(model[0]).fit(m.x[learned])
        train, *others = (prepare.transform(m.x[rows]) for rows in (learned, valid, test))
        best = {"valid": -1.0, "test": -1.0}
        for start in range(N_STARTS):
            run = SGDClassifier(loss=loss, alpha=alpha, random_state=100 * seed + start)
            for _ in range(N_EPOCHS):
                run.partial_fit(train, m.y[learned], np.unique(m.y), len(m.y) / len(np.unique(m.y)) * balance[learned])
                chosen_by, predicted = (run.predict(each) for each in others)
                if (score := _recall(m.y[valid], chosen_by)) > best["valid"]:
                    best["valid"], by_valid[test] = score, predicted
                if (score := _recall(m.y[test], predicted)) > best["test"]:
                    best["test"], by_test[test] = score, predicted
    return Pair(Scored(m.y, by_valid, m.speaker), Scored(m.y, by_test, m.speaker))


def speaker_means(m: Material, model: Pipeline, seed: int) -> Pair:
    """Take the mean over all utterances of a speaker off, those of the test set too; no label is used."""
    x = pd.DataFrame(m.x)
    x = (x - x.groupby(m.speaker).transform("mean")).to_numpy(np.float32)
    return Pair(honest(m, model), Scored(m.y, out_of_fold(model, x, m.y, m.fold), m.speaker))


def future_turns(m: Material, model: Pipeline, seed: int) -> Pair:
    """Give the model the next turn of the dialogue besides this and the previous one."""
    earlier, later = (_shifted(m, step) for step in (1, -1))
    scored = []
    for columns in ([m.x, earlier], [m.x, earlier, later]):
        x = np.concatenate(columns, axis=1)
        whole = make_pipeline(tf_idf(len(columns)) if x.dtype == object else model[0], model[-1])
        scored.append(Scored(m.y, out_of_fold(whole, x, m.y, m.fold), m.speaker))
    return Pair(scored[0], scored[1])


def _shifted(m: Material, step: int) -> Array:
    """Return x of another turn of the same dialogue; zeros, or no words, where there is none."""
    table = m.corpus.table
    places = pd.Series(np.arange(len(table))).groupby(table["dialogue_id"].to_numpy(str)).shift(step)
    there = places.notna().to_numpy()
    x = np.full_like(m.x, "" if m.x.dtype == object else 0)
    x[there] = m.x[places[there].astype(int)]
    return x


def out_of_step(m: Material, model: Pipeline, seed: int) -> Pair:
    """List features and labels in two different orders."""
    return Pair(honest(m, model), honest(replace(m, x=np.random.default_rng(seed).permutation(m.x)), model))


def wrong_label_map(m: Material, model: Pipeline, seed: int) -> Pair:
    """Read the numbers of the predictions in alphabetical order, though the model has another."""
    right, emotions = honest(m, model), list(m.corpus.emotions)
    places = np.array([emotions.index(name) for name in sorted(emotions)])
    return Pair(right, right._replace(predicted=places[right.predicted]))


def file_name_as_text(m: Material, model: Pipeline, seed: int) -> Pair:
    """Read character n-grams of the file name as words; honest are the two sentences of RAVDESS."""
    names, texts = m.corpus.table["audio_path"].tolist(), m.corpus.texts()
    words, characters = TfidfVectorizer(), TfidfVectorizer(analyzer="char", ngram_range=(1, 5))
    classifier = LogisticRegression(C=100.0, max_iter=500)
    scored = []
    for vectorizer, each in ((words, texts), (characters, [Path(name).stem for name in names])):
        predicted = out_of_fold(make_pipeline(vectorizer, classifier), np.array(each, object), m.y, m.fold)
        scored.append(Scored(m.y, predicted, m.speaker))
    return Pair(scored[0], scored[1])


FLAWS: Mapping[str, Flaw] = {
    "random split": shared_speakers,
    "k-fold, groups ignored": ignored_groups,
    "rare emotions copied before the split": copied_before_split,
    "rows drawn with replacement before the split": drawn_with_replacement,
    "segments of a recording on both sides": segments,
    "each file twice (doubled layout)": doubled,
    "scaling or TF-IDF fitted on everything": prepared_on_everything,
    "features selected on everything": selected_on_everything,
    "epoch and seed picked on the test set": picked_on_test,
    "speaker means of the test speakers": speaker_means,
    "future turns": future_turns,
    "features and labels out of step": out_of_step,
    "wrong label map": wrong_label_map,
    "file name among the words": file_name_as_text,
}
AT_RANDOM = (
    shared_speakers,
    copied_before_split,
    drawn_with_replacement,
    doubled,
    segments,
    picked_on_test,
    out_of_step,
)
CONTROLS = ("random split", "rows drawn with replacement before the split", "features selected on everything")


def applies(m: Material, flaw: Flaw) -> bool:
    """Tell whether a corpus has what a flaw needs: audio, dialogues, or two sentences only."""
    table, audio = m.corpus.table, m.x.dtype != object
    if flaw is speaker_means:
        return audio
    if flaw is future_turns:
        return bool(table["dialogue_id"].dropna().duplicated().any())
    return flaw is not file_name_as_text or (audio and table["text"].nunique() == TWO_SENTENCES)


def _recall(truth: Array, predicted: Array) -> float:
    recalls = [(predicted[truth == each] == each).mean() for each in np.unique(truth)]
    return float(np.mean(recalls))


def recalls(scored: Scored, names: Array, k: int) -> Array:
    """Return the unweighted average recall of all speakers, then without each of `names`: (1 + n_speakers,)."""
    counts = np.zeros((len(names), k, k))
    np.add.at(counts, (np.searchsorted(names, scored.speaker), scored.truth, scored.predicted), 1)
    confusion = leave_one_out(counts)
    with np.errstate(invalid="ignore"):
        return np.nanmean(np.diagonal(confusion, axis1=1, axis2=2) / confusion.sum(axis=2), axis=1)


def measured(m: Material, flaw: Flaw, model: Pipeline, seeds: Sequence[int]) -> dict[str, Any]:
    """Measure a flaw: the means over the seeds of honest, leaky and difference, with intervals over speakers."""
    return summed_up(m, [flaw(m, model, seed) for seed in (seeds if flaw in AT_RANDOM else seeds[:1])])


def measured_on_shuffled(m: Material, flaw: Flaw, model: Pipeline, seeds: Sequence[int]) -> dict[str, Any]:
    """Measure a flaw where there is nothing to learn: with labels that are shuffled anew for each seed."""
    shuffled = {seed: replace(m, y=np.random.default_rng(seed).permutation(m.y)) for seed in seeds}
    return summed_up(m, [flaw(each, model, seed) for seed, each in shuffled.items()])


def summed_up(m: Material, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return the means over pairs of honest, leaky and difference, with intervals over speakers."""
    k = len(m.corpus.emotions)
    names = np.unique(pairs[0].honest.speaker)
    sizes = np.unique(pairs[0].honest.speaker, return_counts=True)[1]
    right = np.mean([recalls(pair.honest, names, k) for pair in pairs], axis=0)
    wrong = np.mean([recalls(pair.leaky, names, k) for pair in pairs], axis=0)
    row = {"honest": interval_of(right, sizes, within=(0, 1)), "leaky": interval_of(wrong, sizes, within=(0, 1))}
    row["difference"] = interval_of(wrong - right, sizes)
    return {**{name: plain(each) for name, each in row.items()}, "found_by_fold": kinds_of_leak(pairs[0])}


def kinds_of_leak(pair: Pair) -> list[str]:
    """Return the kinds of leak that `find_leaks`, and so `Fold`, finds in the first leaky fold."""
    if pair.listed is None or pair.fold is None:
        return []
    sets = (pair.listed.select(chosen) for chosen in (pair.fold > 1, pair.fold == 1, pair.fold == 0))
    return list(find_leaks(*sets)["kind"].unique())


def plain(interval: Interval) -> dict[str, float | None]:
    """Write an interval for JSON, which has no NaN."""
    return {name: None if np.isnan(value) else round(float(value), 6) for name, value in interval._asdict().items()}


def record_of(corpus: Corpus, *, seeds: Sequence[int] = SEEDS, flaws: Sequence[str] = tuple(FLAWS)) -> dict[str, Any]:
    """Measure flaws and controls on a corpus, with each of its models, and say all that is needed to read them."""
    m, k = material_of(corpus), len(corpus.emotions)
    chosen = {name: FLAWS[name] for name in flaws if applies(m, FLAWS[name])}
    rows: list[dict[str, Any]] = []
    for (name, flaw), (title, model) in progress([(f, o) for f in chosen.items() for o in m.models.items()], "flaws"):
        if flaw is file_name_as_text and title != next(iter(m.models)):
            continue  # it brings its own model
        published, caught = ABOUT[name]
        about = {"flaw": name, "model": title, "published": published, "caught_by": caught}
        rows.append({**about, **measured(m, flaw, model, seeds)})
    tried = [(name, title) for name in CONTROLS if name in chosen for title in m.models]
    controls = [
        {"flaw": name, "model": title, **measured_on_shuffled(m, FLAWS[name], m.models[title], seeds)}
        for name, title in tried
    ]
    return {
        **{"corpus": corpus.name, "view": corpus.view_name, "synthetic": corpus.synthetic, "protocol": m.protocol},
        **{"emotions": list(corpus.emotions), "n": len(corpus), "n_speakers": len(np.unique(m.speaker))},
        **{"features": m.features, "metric": "unweighted average recall", "chance": 1 / k, "seeds": list(seeds)},
        **{"intervals": INTERVALS, "flaws": rows, "shuffled_labels": controls, "versions": versions()},
        **{"device": device(), "date": datetime.now(UTC).date().isoformat()},
        "command": f"python bench/leaks.py --corpus {corpus.name} --record",
    }


def record_path(corpus: str) -> Path:
    """Return the file of a corpus's leaks; it stands outside the folders in which results of recipes are read."""
    return results_root() / f"leaks-{corpus}.json"


def lines_of(record: Mapping[str, Any]) -> list[str]:
    """Write the rows of a record as text, one a line."""
    names = ("honest", "leaky", "difference")
    rows = [*record["flaws"], *({**row, "flaw": f"[shuffled] {row['flaw']}"} for row in record["shuffled_labels"])]
    figures = [[str(Interval(*(np.nan if v is None else v for v in row[n].values()))) for n in names] for row in rows]
    return [f"{row['flaw']:58} {row['model']:20} {' '.join(f'{f:>22}' for f in fs)}  {', '.join(row['found_by_fold'])}"
            for row, fs in zip(rows, figures, strict=True)]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the flaws on one corpus, print them, and record them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", choices=("sample", "sample-ravdess", "ravdess", "meld"), default="sample")
    parser.add_argument("--record", action="store_true", help="write data/results/leaks-CORPUS.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options = parser.parse_args(arguments)
    record = record_of(load_corpus(options.corpus).view(), seeds=options.seeds)
    print("\n".join(lines_of(record)))
    if options.record:
        with atomic_write(record_path(options.corpus)) as part:
            part.write_text(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        print(f"written: {record_path(options.corpus)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
