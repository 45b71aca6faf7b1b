"""Speaker-independent folds, and the leak detector that stands before any training."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emolab.corpora.corpus import MODALITIES, SCHEMA, Corpus, some

LEAK_KINDS = ("speaker", "recording", "row", "sound")
RECORDINGS = ("dialogue_id", "audio_path", "video_path")  # rows that share one of these were recorded together
PLACES = ("dialogue_id", "audio_start", "video_start")  # of an utterance that is a part of something longer
NAMES = ("utterance_id", "speaker", "dialogue_id", "session")  # what means somebody or something else in another corpus
VOICES, SPEAKERS = ("speaker", *RECORDINGS), ("groups of speakers", "speakers-{}-folds")
MIN_GROUPS, MAX_GROUPS = 3, 5  # one group each to train, validate and test on; more than five only if asked for
# The published test actors of each fold (EmoBox); odd numbers are men, even ones women.
FOLDS_OF_FOUR = ("01 11 20 21", "04 10 12 14", "08 09 19 23", "03 05 07 24", "02 15 16 18", "06 13 17 22")
RAVDESS_FOLDS = tuple(tuple(actors.split()) for actors in FOLDS_OF_FOUR)
ACTORS = {actor for actors in RAVDESS_FOLDS for actor in actors}
SHIPPED = ("train", "dev", "test")
Groups = NDArray[np.int64]  # (n_utterances,) the number of each one's group, from 0


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
        leaky: The kinds of leak that are allowed, of `LEAK_KINDS`.
        leaks: What `find_leaks` found; empty unless the fold is leaky.

    Raises:
        LeakError: If two sets share a speaker, recording, row or sound; the message names them.
        ValueError: If a set is empty or the sets have different emotions.
    """

    name: str
    train: Corpus
    valid: Corpus
    test: Corpus
    leaky: tuple[str, ...] = ()
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
        if len(bad := leaks[~leaks["kind"].isin(self.leaky)]):
            found = "; ".join(f"{leak.kind} {some(leak.values)} in {leak.between}" for leak in bad.itertuples())
            why = f"fold {self.name!r} leaks: {found}. Expected sets that share no speaker, recording, row or sound."
            kinds = tuple(bad["kind"].unique())
            raise LeakError(f"{why} Take speaker_folds(corpus), --folds speakers, or study it with leaky={kinds}.")
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

    A "recording" is a dialogue, or a sound file or film from which several utterances are taken; a "row" an
    utterance_id or a whole row that says the same under another id; a "sound" a sound file with the same bytes, or the
    same part of it. Sound files that are not on this disk cannot be compared.

    Returns:
        One row a kind of leak and pair of sets: kind, between ("train and test"), values (tuple of names; for two
        utterances that are one and the same "a = b"). Empty if all is well.
    """
    sets = {"train": train, "valid": valid, "test": test}
    tables = [corpus.table[[*SCHEMA]].assign(set=name, root=str(corpus.root)) for name, corpus in sets.items()]
    table = pd.concat(tables, ignore_index=True)
    shared: dict[Any, set[Any]] = {key: set() for key in product(LEAK_KINDS, combinations(sets, 2))}
    for kind, trace, name in _traces(table):
        known = pd.util.hash_pandas_object(trace.dropna(how="all"), index=False)
        in_set = {each: known[(table["set"] == each)[known.index]] for each in sets}
        for a, b in combinations(sets, 2):
            both = in_set[b][in_set[b].isin(in_set[a])]
            own = name[in_set[a].index].set_axis(in_set[a])[lambda names: ~names.index.duplicated(keep="last")]
            shared[kind, (a, b)] |= {*zip(own[both], name[both.index], strict=True)}
    told = {key: sorted(a if a == b else f"{a} = {b}" for a, b in names) for key, names in shared.items() if names}
    found = [(kind, f"{a} and {b}", tuple(names)) for (kind, (a, b)), names in told.items()]
    return pd.DataFrame(found, columns=["kind", "between", "values"])


def folds_of(corpus: Corpus) -> list[Fold]:
    """Split a corpus the way its figures are measured here: by its `protocol`, one of `PROTOCOLS`, as far as it fits.

    What does not fit is split otherwise, and the names of the folds say so: RAVDESS without some of its actors, and
    IEMOCAP with fewer than three sessions, by speakers. Where a corpus is split by speakers, its own column `fold`
    comes first, then its column `part` with train, dev and test; and where all its speakers share recordings, its
    dialogues are split, in folds that are leaky for speakers.

    Raises:
        LeakError: If a fold shares what it must not.
        ValueError: If there is no such protocol, or too little to split; the message says what and who.
    """
    name = corpus.protocol.removesuffix("!")  # that it was asked for: it is taken as it is, or not at all
    if name.isdecimal():
        return speaker_folds(corpus, int(name))
    if name not in PROTOCOLS:
        why = f"corpus {corpus.name!r} has the protocol {name!r}; expected one of {', '.join(PROTOCOLS)}."
        raise ValueError(f"{why} Name one of them in its reader: Corpus.from_rows(…, protocol=…).")
    return PROTOCOLS[name if name != corpus.protocol else _fitting_protocol(corpus)](corpus)


def _fitting_protocol(corpus: Corpus) -> str:
    """Return the protocol of a corpus, or the one that takes its place where it does not fit."""
    table = corpus.table
    in_part = {"actors": {*table["speaker"]} != ACTORS, "sessions": table["session"].nunique() < MIN_GROUPS}
    if corpus.protocol != "speakers" and not in_part.get(corpus.protocol):
        return corpus.protocol
    if "fold" in table or {*table.get("part", ())} == {*SHIPPED}:
        return "given" if "fold" in table else "as-shipped"
    n_circles, n_recordings = (_linked(corpus, *names).max(initial=-1) + 1 for names in (VOICES, RECORDINGS))
    in_dialogues = n_circles < MIN_GROUPS <= n_recordings and table[[*PLACES]].notna().any(axis=1).all()
    return "dialogues" if in_dialogues else "speakers"


def session_folds(corpus: Corpus) -> list[Fold]:
    """Test each session once and validate on the session before it; in IEMOCAP nobody speaks in two sessions.

    The last fold of IEMOCAP is the classic split: train on sessions 1 to 3, validate on 4, test on 5.

    Raises:
        ValueError: If there are fewer than three sessions, or utterances without one.
    """
    return _rotation(corpus, _numbered(corpus, "session"), "sessions")


def given_folds(corpus: Corpus) -> list[Fold]:
    """Test each value of the table's own column `fold` once, and validate on the one before it.

    Speakers whom the folds share are allowed, and told in `leaks`; recordings and rows must be apart.

    Raises:
        LeakError: If recordings, rows or sounds are not apart.
        ValueError: If there are fewer than three values, or utterances without one.
    """
    return _rotation(corpus, _numbered(corpus, "fold"), "folds", "given-{}-folds", leaky=("speaker",))


def speaker_folds(corpus: Corpus, k: int | None = None, *, seed: int = 0) -> list[Fold]:
    """Divide the speakers among `k` groups alike in size, gender and emotions, as far as that goes; test each once.

    Speakers who talk with one another stay together, since no recording may be in two sets. The validation set is the
    group before the tested one. (scikit-learn's StratifiedGroupKFold refuses an emotion that is rarer than `k`.)

    Args:
        corpus: What to split.
        k: Number of groups, 3 or more; None takes 5, or as many as the speakers make where they are fewer.
        seed: Decides between groupings that are equally good.

    Raises:
        ValueError: If there are fewer than `k` groups of speakers who never talk with one another, or fewer than three
            speakers.
    """
    return _rotation(corpus, _alike(corpus, _linked(corpus, *VOICES), k, seed=seed), *SPEAKERS)


def leave_one_speaker_out(corpus: Corpus) -> list[Fold]:
    """Test each speaker once and validate on the one before; those who share a recording are left out together.

    Raises:
        ValueError: If there are fewer than three groups of speakers who never talk with one another.
    """
    return _rotation(corpus, _linked(corpus, *VOICES), SPEAKERS[0], "leave-one-speaker-out")


def dialogue_folds(corpus: Corpus, k: int | None = None, *, seed: int = 0) -> list[Fold]:
    """Divide the dialogues among `k` groups as `speaker_folds` does the speakers; test each once.

    It is for corpora in which the same people talk everywhere, such as one interviewer or "client" and "therapist". The
    folds are leaky for speakers, as those of MELD are, and `leaks` names them: figures tell how well a recognizer knows
    further dialogues of these people, not strangers.

    Raises:
        ValueError: If utterances belong to no dialogue, or there are fewer than `k` that share no sound file.
    """
    if (alone := corpus.table[[*PLACES]].isna().all(axis=1)).any():
        why = f"{alone.sum()} utterances of corpus {corpus.name!r} belong to no dialogue or longer recording"
        raise ValueError(f"{why}; expected a dialogue_id for each. Take speaker_folds.")
    groups = _alike(corpus, _linked(corpus, *RECORDINGS), k, seed=seed)
    return _rotation(corpus, groups, "dialogues", leaky=("speaker",))


def actor_folds(corpus: Corpus) -> list[Fold]:
    """Split RAVDESS into the six published folds, so that figures can be laid beside published ones.

    The papers fix the four test actors of each fold. The validation set here is two of the other actors: going on
    from the next fold, the first woman and the first man. (One fold has women only, so they may come from two folds.)

    Raises:
        ValueError: If the speakers are not the actors 01 to 24.
    """
    speaker = corpus.table["speaker"]
    odd = {"missing": sorted(ACTORS - {*speaker}), "unknown": sorted({*speaker} - ACTORS)}
    if told := "; ".join(f"{what} actors {some(actors)}" for what, actors in odd.items() if actors):
        why = f"corpus {corpus.name!r} is not all of RAVDESS: {told}. Expected 01 to 24;"
        raise ValueError(f"{why} take folds_of(corpus), or speaker_folds(corpus), --folds speakers.")
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


def cross_corpus_fold(train: Sequence[Corpus], test: Corpus) -> Fold:
    """Train on some corpora and test on another one, in the emotions that all of them have.

    Names of speakers, dialogues and utterances get that of their corpus in front, since "01" is somebody else in each,
    and paths become absolute. The validation set is a group of the training corpora's speakers, see `speaker_folds`.

    Args:
        train: One or more corpora, each in the view that is to be used.
        test: The corpus whose utterances are all tested.

    Returns:
        The fold "cross-corpus/1"; its test set is a corpus of the name "A+B-to-C".

    Raises:
        LeakError: If training and test corpora share a speaker, recording or sound, as two parts of one corpus do.
        ValueError: If fewer than two emotions are in all, or the training corpora have too few speakers.
    """
    shared = tuple(emotion for emotion in test.emotions if all(emotion in each.emotions for each in train))
    if len(shared) < 2:
        have = "; ".join(f"{each.name} has {', '.join(each.emotions)}" for each in (*train, test))
        why = f"the corpora share {len(shared)} emotions: {have}. Expected two or more in all of them. Take a view that"
        raise ValueError(f'{why} fits all, such as corpus.view("iemocap4"), or merge some.')
    *known, tested = [_named_apart(each.only(*shared), shared) for each in (*train, test)]
    name = "+".join(dict.fromkeys(each.name for each in train))
    joined = replace(known[0].joined(*known[1:]), name=name)
    chosen_on = joined.table["utterance_id"].isin(speaker_folds(joined)[0].valid.table["utterance_id"])
    sets = (joined.select(~chosen_on), joined.select(chosen_on), replace(tested, name=f"{name}-to-{test.name}"))
    return Fold("cross-corpus/1", *sets)


def _named_apart(corpus: Corpus, emotions: tuple[str, ...]) -> Corpus:
    """Put the corpus's name before all names, and its root before all paths, so that it can stand beside others."""
    names = {name: f"{corpus.name}:" + corpus.table[name] for name in NAMES}
    for path in RECORDINGS[1:]:
        whole = corpus.table[path].map(partial(os.path.join, corpus.root.absolute()), na_action="ignore")
        names[path] = whole.astype("string")
    held = {modality: {f"{corpus.name}:{key}": own[key] for key in own} for modality, own in corpus.in_memory.items()}
    return replace(corpus, table=corpus.table.assign(**names), emotions=emotions, root=Path(), in_memory=held)


# What a reader may name as the protocol of its corpus
PROTOCOLS: dict[str, Callable[[Corpus], list[Fold]]] = {"sessions": session_folds, "speakers": speaker_folds}
PROTOCOLS |= {"dialogues": dialogue_folds, "given": given_folds, "leave-one-speaker-out": leave_one_speaker_out}
PROTOCOLS |= {"actors": actor_folds, "as-shipped": published_parts}


def _fold(corpus: Corpus, name: str, valid: ArrayLike, test: ArrayLike, leaky: tuple[str, ...] = ()) -> Fold:
    """Make a fold of two masks; what is in neither is the training set."""
    valid, test = np.asarray(valid, dtype=bool), np.asarray(test, dtype=bool)
    return Fold(name, corpus.select(~valid & ~test), corpus.select(valid), corpus.select(test), leaky)


def _numbered(corpus: Corpus, column: str) -> Groups:
    """Number the values of a column, (n_utterances,) from 0, in the order in which people count."""
    groups, _ = pd.factorize(corpus.table[column].astype("string").str.zfill(20), sort=True)  # 10 comes after 9
    if (groups < 0).any():
        lost = corpus.table.loc[groups < 0, "utterance_id"]
        why = f"{len(lost)} utterances of corpus {corpus.name!r} have no {column}: {some(lost)}"
        raise ValueError(f"{why}. Expected one for each; take speaker_folds.")
    return groups


def _alike(corpus: Corpus, groups: Groups, k: int | None, *, seed: int) -> Groups:
    """Divide groups of utterances among `k` folds that are alike in size, gender and emotions: (n_utterances,)."""
    n_groups = int(groups.max(initial=-1)) + 1
    k = min(MAX_GROUPS, n_groups) if k is None else k
    if not MIN_GROUPS <= k <= n_groups and n_groups >= MIN_GROUPS:
        why = f"k is {k}; expected at least {MIN_GROUPS} and at most {n_groups}, the groups in corpus {corpus.name!r}"
        raise ValueError(f"{why} that share no recording. Choose such a k, or a larger corpus.")
    facts = pd.get_dummies(corpus.table[["emotion", "gender"]]).assign(size=1).groupby(groups).sum()
    return _balanced((facts / facts.sum()).to_numpy(float), k, seed=seed)[groups]


def _rotation(corpus: Corpus, groups: Groups, word: str, name: str = "", leaky: tuple[str, ...] = ()) -> list[Fold]:
    """Test each group once and validate on the group before it, (n_utterances,) numbers from 0."""
    if (n := int(groups.max(initial=-1)) + 1) < MIN_GROUPS:
        n_of = pd.Series(_linked(corpus, *RECORDINGS)).groupby(corpus.table["speaker"]).nunique()
        links = f"Recordings link speakers, most of all {some(n_of.index[n_of == n_of.max()])}, in {n_of.max()} each. "
        why = f"corpus {corpus.name!r} has {n} {word}; expected at least {MIN_GROUPS}: with fewer, no figure is honest"
        why += f" about strangers. {links * (n < len(n_of))}Take more speakers or, marked as leaky, a column fold"
        raise ValueError(f"{why} of your own or dialogue_folds(corpus), --folds dialogues.")
    names = [f"{(name or word + '-{}-folds').format(n)}/{number + 1}" for number in range(n)]
    return [_fold(corpus, each, groups == (i - 1) % n, groups == i, leaky) for i, each in enumerate(names)]


def _linked(corpus: Corpus, *columns: str) -> Groups:
    """Number each utterance's group, (n_utterances,) from 0: those that are linked by common values of the columns."""
    n_nodes, links = len(corpus), [np.zeros((2, 0), np.int64)]
    for column in columns:
        values, names = pd.factorize(corpus.table[column])  # -1 is none
        links.append(np.array([np.flatnonzero(values >= 0), n_nodes + values[values >= 0]]))
        n_nodes += len(names)
    rows, others = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(rows)), (rows, others)), shape=(n_nodes, n_nodes))
    return pd.factorize(connected_components(graph, directed=False)[1][: len(corpus)])[0].astype(np.int64)


def _balanced(shares: NDArray[np.float64], k: int, *, seed: int) -> Groups:
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


def _traces(table: pd.DataFrame) -> Iterator[tuple[str, Any, pd.Series]]:
    """Yield what may not be in two sets, a column or several: the kind of leak, and the names by which it is told."""
    ids, cut = table["utterance_id"], table[["audio_start", "audio_end"]]
    there = (table[["root", column]].dropna() for column in ("audio_path", "video_path"))
    sound, film = (pd.Series(map(os.path.join, *map(each.get, each)), each.index, "string") for each in there)
    content = sound.map(_contents(sound.unique()).get).astype("string")
    told = table.dropna(subset=[*MODALITIES.values()], how="all").drop(columns=["utterance_id", "set"])
    yield "speaker", table["speaker"], table["speaker"]
    yield "recording", table["dialogue_id"], table["dialogue_id"]
    yield "recording", content.where(cut.notna().any(axis=1)).fillna(sound), table["audio_path"]
    yield "recording", film, table["video_path"]
    yield "row", ids, ids
    yield "row", told.astype({"votes": "string"}).dropna(axis=1, how="all"), ids  # dicts have no hash
    yield "sound", cut.assign(content=content).dropna(subset="content"), ids


def _contents(paths: Iterable[str]) -> dict[str, str]:
    """Tell what the files that are on this disk hold by a hash; those of a size of their own need not be read."""
    stats = {path: os.stat(path) for path in paths if os.path.isfile(path)}
    n_of_size = Counter(stat.st_size for stat in stats.values())
    several = {path: s for path, s in stats.items() if n_of_size[s.st_size] > 1}
    return {path: path for path in stats} | {p: _digest(p, s.st_size, s.st_mtime_ns) for p, s in several.items()}


@lru_cache(maxsize=100_000)
def _digest(path: str, size: int, changed_ns: int) -> str:
    """Hash a file; size and time of change are there to notice a new one under an old name."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
