"""Speaker-independent folds, and the leak detector that stands before any training."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import DisjointSet

from emolab.corpora.corpus import MODALITIES, SCHEMA, Corpus, some

LEAK_KINDS = ("speaker", "recording", "row", "sound")
MIN_GROUPS, MAX_GROUPS = 3, 5  # one group each to train, validate and test on; more than five only if asked for
# The published test actors of each fold (EmoBox); odd numbers are men, even ones women.
FOLDS_OF_FOUR = ("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22")
RAVDESS_FOLDS = tuple(tuple(actors.split()) for actors in FOLDS_OF_FOUR)
SHIPPED = ("train", "dev", "test")


class LeakError(ValueError):
    """Two of the three sets of a fold share what they must not share."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Training, validation and test set: to learn from, to choose on, and to test on once.

    Attributes:
        name: Protocol and number, such as "sessions-5-folds/5".
        train: What a recognizer learns from.
        valid: What epoch, threshold and hyperparameters are chosen on.
        test: What is scored once.
        leaky: The kinds of leak that are allowed, of `LEAK_KINDS`; True allows all of them.
        leaks: What `find_leaks` found; empty unless the fold is leaky.

    Raises:
        LeakError: If two sets share a speaker, recording, row or sound; the message names them.
        ValueError: If a set is empty or the sets have different emotions.
    """

    name: str
    train: Corpus
    valid: Corpus
    test: Corpus
    leaky: bool | tuple[str, ...] = False
    leaks: pd.DataFrame = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sets = {"train": self.train, "valid": self.valid, "test": self.test}
        if empty := [name for name, corpus in sets.items() if len(corpus) == 0]:
            why = f"fold {self.name!r} has no utterance in {', '.join(empty)}; expected some in train, valid and test."
            raise ValueError(f"{why} Take fewer folds, or a corpus with more speakers.")
        if len({corpus.emotions for corpus in sets.values()}) > 1:
            why = f"fold {self.name!r} mixes emotions: { {name: corpus.emotions for name, corpus in sets.items()} };"
            raise ValueError(f"{why} expected the same in each. Take the view before: folds_of(corpus.view(…)).")
        leaks = find_leaks(self.train, self.valid, self.test)
        allowed = LEAK_KINDS if self.leaky is True else self.leaky or ()
        if len(bad := leaks[~leaks["kind"].isin(allowed)]):
            found = "; ".join(f"{leak.kind} {some(leak.values)} in {leak.between}" for leak in bad.itertuples())
            why = f"fold {self.name!r} leaks: {found}. Expected sets that share no speaker, recording, row or sound."
            raise LeakError(f"{why} Take folds_of(corpus), or study the leak with leaky={tuple(bad['kind'].unique())}.")
        object.__setattr__(self, "leaks", leaks)

    @property
    def protocol(self) -> str:
        """How the corpus was split, without the number of the fold."""
        return self.name.split("/")[0]

    def __repr__(self) -> str:
        sizes = f"train {len(self.train)}, valid {len(self.valid)}, test {len(self.test)}"
        return f"Fold({self.name!r}: {sizes} utterances" + (f", leaky={self.leaky})" if self.leaky else ")")


def find_leaks(train: Corpus, valid: Corpus, test: Corpus) -> pd.DataFrame:
    """Find everything that two sets share and must not share.

    A "recording" is a dialogue, a "row" an utterance_id or a whole row that says the same under another id, a "sound"
    a sound file with the same bytes. Sound files that are not on this disk cannot be compared.

    Returns:
        One row a kind of leak and pair of sets: kind, between ("train and test"), values (tuple of names; for two
        utterances that are one and the same "a = b"). Empty if all is well.
    """
    sets = {"train": train, "valid": valid, "test": test}
    n_of_size = Counter(stat.st_size for corpus in sets.values() for _, _, stat in _sound_files(corpus))
    traces = {name: _traces(corpus, n_of_size) for name, corpus in sets.items()}
    found = []
    for kind, (a, b) in product(LEAK_KINDS, combinations(sets, 2)):
        names = dict(traces[a][kind])
        both = {(names[trace], name) for trace, name in traces[b][kind] if trace in names}
        if both:
            shared = tuple(sorted(own if own == other else f"{own} = {other}" for own, other in both))
            found.append((kind, f"{a} and {b}", shared))
    return pd.DataFrame(found, columns=["kind", "between", "values"])


def folds_of(corpus: Corpus) -> list[Fold]:
    """Split a corpus the way its figures are measured here: by its `protocol`, one of `PROTOCOLS`."""
    if corpus.protocol not in PROTOCOLS:
        why = f"corpus {corpus.name!r} has the protocol {corpus.protocol!r}; expected one of {', '.join(PROTOCOLS)}."
        raise ValueError(f"{why} Name one of them in its reader: Corpus.from_rows(…, protocol=…).")
    return PROTOCOLS[corpus.protocol](corpus)


def session_folds(corpus: Corpus) -> list[Fold]:
    """Test each session once and validate on the session before it; in IEMOCAP nobody speaks in two sessions.

    The last fold of IEMOCAP is the classic split: train on sessions 1 to 3, validate on 4, test on 5.

    Raises:
        ValueError: If there are fewer than three sessions, or utterances without one.
    """
    groups, _ = pd.factorize(corpus.table["session"].str.zfill(20), sort=True)  # 10 comes after 9; -1 is none
    if (groups < 0).any():
        lost = corpus.table.loc[groups < 0, "utterance_id"]
        why = f"{len(lost)} utterances of corpus {corpus.name!r} have no session: {some(lost)}"
        raise ValueError(f"{why}. Expected one for each; take speaker_folds.")
    return _rotation(corpus, groups, "sessions")


def speaker_folds(corpus: Corpus, k: int | None = None, *, seed: int = 0) -> list[Fold]:
    """Divide the speakers among `k` groups alike in size, gender and emotions, as far as that goes; test each once.

    Speakers who talk with one another stay together, since no recording may be in two sets. The validation set is the
    group before the tested one. (scikit-learn's StratifiedGroupKFold refuses an emotion that is rarer than `k`.)

    Args:
        corpus: What to split.
        k: Number of groups, 3 or more; None takes 5, or as many as the speakers make where they are fewer.
        seed: Decides between groupings that are equally good.

    Raises:
        ValueError: If there are fewer than `k` groups of speakers who never talk with one another.
    """
    circles = _circles(corpus)
    n_circles = int(circles.max(initial=-1)) + 1
    k = max(MIN_GROUPS, min(MAX_GROUPS, n_circles)) if k is None else k
    if not MIN_GROUPS <= k <= n_circles:
        why = f"k is {k}; expected at least {MIN_GROUPS} and at most {n_circles}, the groups of speakers in corpus"
        raise ValueError(f"{why} {corpus.name!r} that share no recording. Choose such a k, or a larger corpus.")
    facts = pd.get_dummies(corpus.table[["emotion", "gender"]]).assign(size=1).groupby(circles).sum()
    return _rotation(corpus, _balanced((facts / facts.sum()).to_numpy(float), k, seed=seed)[circles], "speakers")


def actor_folds(corpus: Corpus) -> list[Fold]:
    """Split RAVDESS into the six published folds, so that figures can be laid beside published ones.

    The papers fix the four test actors of each fold. The validation set here is two of the other actors: going on
    from the next fold, the first woman and the first man. (One fold has women only, so they may come from two folds.)

    Raises:
        ValueError: If the speakers are not the actors 01 to 24.
    """
    speaker, actors = corpus.table["speaker"], {actor for fold in RAVDESS_FOLDS for actor in fold}
    if {*speaker} != actors:
        why = f"corpus {corpus.name!r} is not all of RAVDESS: missing actors {some(sorted(actors - {*speaker}))};"
        raise ValueError(f"{why} unknown {some(sorted({*speaker} - actors))}. Expected 01 to 24; take speaker_folds.")
    folds = []
    for number, test in enumerate(RAVDESS_FOLDS):
        following = [actor for fold in RAVDESS_FOLDS[number + 1 :] + RAVDESS_FOLDS[:number] for actor in fold]
        valid = [next(actor for actor in following if int(actor) % 2 == parity) for parity in (0, 1)]
        folds.append(_fold(corpus, f"actors-6-folds/{number + 1}", speaker.isin(valid), speaker.isin(test)))
    return folds


def published_parts(corpus: Corpus) -> list[Fold]:
    """Take train, dev and test as the corpus ships them, in one fold.

    In MELD the same actors of one series speak in all three, so this fold is leaky for speakers and says so in
    `leaks`. It is kept because every published figure is measured on it: it tells how well a recognizer knows these
    people's next episode, not how well it knows strangers. Dialogues and rows must still be apart.

    Raises:
        ValueError: If the table has no column `part` with train, dev and test.
    """
    part = corpus.table.get("part", pd.Series(dtype="string"))
    if {*part} != {*SHIPPED}:
        why = f"corpus {corpus.name!r} has the parts {sorted(map(str, {*part}))}; expected a column part with"
        raise ValueError(f"{why} {', '.join(SHIPPED)}. Read all of them, or take speaker_folds or session_folds.")
    return [_fold(corpus, "as-shipped/test", part == "dev", part == "test", leaky=("speaker",))]


# What a reader may name as the protocol of its corpus
PROTOCOLS: dict[str, Callable[[Corpus], list[Fold]]] = {"sessions": session_folds, "speakers": speaker_folds}
PROTOCOLS |= {"actors": actor_folds, "as-shipped": published_parts}


def _fold(corpus: Corpus, name: str, valid: ArrayLike, test: ArrayLike, leaky: tuple[str, ...] = ()) -> Fold:
    """Make a fold of two masks; what is in neither is the training set."""
    valid, test = np.asarray(valid, dtype=bool), np.asarray(test, dtype=bool)
    return Fold(name, corpus.select(~valid & ~test), corpus.select(valid), corpus.select(test), leaky)


def _rotation(corpus: Corpus, groups: NDArray[np.int64], word: str) -> list[Fold]:
    """Test each group once and validate on the group before it, (n_utterances,) numbers from 0."""
    n_groups = int(groups.max(initial=-1)) + 1
    if n_groups < MIN_GROUPS:
        why = f"corpus {corpus.name!r} has {n_groups} {word}; expected at least {MIN_GROUPS}, to train, validate and"
        raise ValueError(f"{why} test on. Take a corpus with more, or build a Fold by hand.")
    names = [f"{word}-{n_groups}-folds/{number + 1}" for number in range(n_groups)]
    return [_fold(corpus, name, groups == (i - 1) % n_groups, groups == i) for i, name in enumerate(names)]


def _circles(corpus: Corpus) -> NDArray[np.int64]:
    """Number each utterance's circle of speakers, (n_utterances,) from 0: those linked by common recordings."""
    speaker = corpus.table["speaker"]
    circles = DisjointSet(speaker)
    for _, talkers in speaker.groupby(corpus.table["dialogue_id"]):
        for other in talkers.unique():
            circles.merge(talkers.iloc[0], other)
    return pd.factorize(speaker.map(circles.__getitem__))[0].astype(np.int64)


def _balanced(shares: NDArray[np.float64], k: int, *, seed: int) -> NDArray[np.int64]:
    """Divide groups among `k` folds, largest first, each to where the sum of squared shares grows least.

    Args:
        shares: (groups, n_features) of the whole corpus's emotions and genders; the last column is the size.
        k: Number of folds; none stays empty, since an empty one grows least.
        seed: Order of groups of equal size.

    Returns:
        (groups,) number of the fold.
    """
    order = np.random.default_rng(seed).permutation(len(shares))
    filled, fold_of = np.zeros((k, shares.shape[1])), np.zeros(len(shares), dtype=np.int64)
    for group in order[np.argsort(-shares[order, -1], kind="stable")]:
        fold_of[group] = np.argmin(filled @ shares[group])  # (f + s)² grows by 2 f s, and by s² in every fold
        filled[fold_of[group]] += shares[group]
    return fold_of


def _sound_files(corpus: Corpus) -> list[tuple[str, Path, os.stat_result]]:
    """List the sound files that are on this disk: utterance_id, path, size and time of change."""
    paths = corpus.table[["utterance_id", "audio_path"]].dropna().itertuples(index=False)
    return [(name, file, file.stat()) for name, path in paths if (file := corpus.root / path).is_file()]


def _traces(corpus: Corpus, n_of_size: Mapping[int, int]) -> dict[str, list[tuple[Hashable, str]]]:
    """List what may not be in two sets, and the name by which it is told: a row by its id and by all else it says.

    Sound files of a size of their own, `n_of_size` 1, need not be read.
    """
    table = corpus.table
    columns = {"speaker": "speaker", "recording": "dialogue_id", "row": "utterance_id"}
    traces: dict[str, list[tuple[Hashable, str]]] = {k: [(v, v) for v in table[c].dropna()] for k, c in columns.items()}
    told = table.dropna(subset=[*MODALITIES.values()], how="all")
    contents = told[[column for column in SCHEMA if column != "utterance_id"]].itertuples(index=False, name=None)
    traces["row"] += zip(map(repr, contents), told["utterance_id"], strict=True)
    files = [found for found in _sound_files(corpus) if n_of_size[found[2].st_size] > 1]
    return traces | {"sound": [(_digest(file, stat.st_size, stat.st_mtime_ns), name) for name, file, stat in files]}


@lru_cache(maxsize=100_000)
def _digest(path: Path, size: int, changed_ns: int) -> bytes:
    """Hash a file; size and time of change are there to notice a new one under an old name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
