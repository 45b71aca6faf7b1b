"""The corpus: a validated table of utterances, and the named views of its emotions."""

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab.media import InMemoryMedia, Segment
from emolab.storage import toml_beside

DATA = toml_beside(__file__, "schema.toml")
# Column: (pandas dtype, meaning); TRUTH are the columns that only the synthetic sample can have
SCHEMA, TRUTH = ({name: (facts[0], facts[1]) for name, facts in DATA[kind].items()} for kind in ("columns", "truth"))
LABELS: Mapping[str, Mapping[str, str]] = DATA["labels"]  # corpus: {its code: emotion}
EMOTIONS = (*dict.fromkeys(emotion for codes in LABELS.values() for emotion in codes.values()),)
REQUIRED = ("utterance_id", "speaker", "emotion")
RATINGS = ("valence", "arousal", "dominance")  # from 1 to 5
GENDERS = ("female", "male")
Rows = Iterable[Mapping[str, Any]]
Reasons = Iterable[tuple[str, str]]  # utterance_id, and why it is left out
Arrays = Mapping[str, NDArray[Any]]  # by utterance_id
MODALITIES = {"audio": "audio_path", "text": "text", "video": "video_path"}  # and their columns
N_PROBLEMS, N_NAMED = 12, 5  # an error lists so many problems, and so many offenders of each, then counts the rest


@dataclass(frozen=True)
class View:
    """A choice of emotions, in the order of every table and figure, and what is merged into what."""

    emotions: tuple[str, ...]
    merged: Mapping[str, str]  # emotion of the corpus: emotion of the view

    def emotion_of(self, emotion: str) -> str | None:
        """Return the view's name of an emotion, None if the view leaves it out."""
        emotion = self.merged.get(emotion, emotion)
        return emotion if emotion in self.emotions else None


VIEWS = {name: View(tuple(own["emotions"]), own["merged"]) for name, own in DATA["views"].items()}


@dataclass(frozen=True)
class Corpus:
    """Utterances of one corpus, or of a part of it.

    Attributes:
        name: Name of the corpus, such as "ravdess".
        table: One row an utterance, with the columns of `SCHEMA`; built by `Corpus.from_rows`.
        emotions: The emotions that may occur, in the order of every table, figure and probability vector; empty for
            utterances without labels.
        root: Folder that `audio_path` and `video_path` are relative to.
        view_name: Name of the view taken, "all" for none.
        dropped: What was left out on the way here: utterance_id and reason.
        synthetic: Whether this is the sample, whose figures say nothing about people.
        default_view: The view that `view()` takes when none is named.
        protocol: How its figures are measured, a key of `emolab.splits.PROTOCOLS`.
        hidden: Modalities that are there but not to be used, see `without`.
        in_memory: Audio and faces that are taken from memory instead of files, see `with_media`.

    Raises:
        ValueError: If the table breaks the schema; all problems are listed, with row numbers.
    """

    name: str
    table: pd.DataFrame
    emotions: tuple[str, ...]
    root: Path
    view_name: str = "all"
    dropped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["utterance_id", "reason"]))
    synthetic: bool = False
    default_view: str | None = None
    protocol: str = "speakers"
    hidden: frozenset[str] = frozenset()
    in_memory: Mapping[str, Mapping[str, InMemoryMedia]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        remedy = "Expected the columns and types of emolab.corpora.corpus.SCHEMA; build it with Corpus.from_rows."
        where = f"the table of corpus {self.name!r}"
        raise_problems(schema_problems(self.table, self.emotions), where=where, remedy=remedy)

    @classmethod
    def from_rows(
        cls, name: str, rows: Rows, *, emotions: Iterable[str], root: Path, dropped: Reasons = (), **fields: Any
    ) -> Self:
        """Build a corpus from one mapping an utterance; columns that are not given are NA."""
        gone = pd.DataFrame(list(dropped), columns=["utterance_id", "reason"])
        return cls(name, complete_table(pd.DataFrame(list(rows))), tuple(emotions), Path(root), dropped=gone, **fields)

    @classmethod
    def of_files(cls, items: Sequence[str | Path], modality: str = "audio") -> Self:
        """Make a corpus without labels of files or texts, for prediction.

        Args:
            items: Paths of sound files or films (modality "audio"; the sound of a film is taken), of films ("video"),
                or texts ("text").
            modality: "audio", "text" or "video".

        Returns:
            One utterance an item, in their order, without emotion; the speaker is "unknown". Its id is the file's name
            without suffix, with a number where that would occur twice, or "text-0", "text-1", ….

        Raises:
            ValueError: If there is no such modality, or no item, or a single string instead of a list.
            FileNotFoundError: If files are missing; the message lists them.
        """
        if modality not in MODALITIES or isinstance(items, str | Path) or not len(items):
            why = f"modality {modality!r}, items {str(items)[:60]!r}; expected one of {', '.join(MODALITIES)}, and a"
            raise ValueError(f"{why} list of texts or of paths, at least one. Put brackets around a single one.")
        is_text, rows = modality == "text", dict[str, dict[str, str | None]]()
        contents = [str(each).strip() if is_text else str(Path(each).expanduser().resolve()) for each in items]
        require_files([] if is_text else contents)
        for number, content in enumerate(contents):
            stem = f"text-{number}" if is_text else Path(content).stem
            names = (f"{stem}-{again}" if again > 1 else stem for again in range(1, len(contents) + 2))
            name = next(name for name in names if name not in rows)
            rows[name] = {"utterance_id": name, "speaker": "unknown", MODALITIES[modality]: content or None}
        return cls.from_rows("unlabelled", rows.values(), emotions=(), root=Path())

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        speakers = self.table["speaker"].nunique()
        sample = ", synthetic" if self.synthetic else ""
        return f"Corpus({self.name!r}, view {self.view_name!r}, {len(self)} utterances, {speakers} speakers{sample})"

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that at least one utterance has, in the order audio, text, video."""
        return tuple(modality for modality in MODALITIES if self.has(modality).any())

    def has(self, modality: str) -> NDArray[np.bool_]:
        """Mask (n_utterances,): true where an utterance has this modality and it is not hidden."""
        held = self.table["utterance_id"].isin([*self.in_memory.get(modality, ())])
        there = self.table[MODALITIES[modality]].notna() | held
        return there.to_numpy(bool) & (modality not in self.hidden)

    def without(self, *modalities: str) -> Self:
        """Hide modalities: models that can do without them do, others say that they are missing.

        Raises:
            KeyError: If there is no such modality.
        """
        if unknown := [modality for modality in modalities if modality not in MODALITIES]:
            raise KeyError(f"no modality {', '.join(map(repr, unknown))}; expected some of {', '.join(MODALITIES)}.")
        return replace(self, hidden=self.hidden | {*modalities})

    def with_media(self, *, audio: Arrays | None = None, video: Arrays | None = None) -> Self:
        """Take the audio or the faces of some utterances from memory; files of the same utterances are not read.

        Args:
            audio: (samples,) float32, mono, 16 kHz, full scale 1, by utterance_id.
            video: (frames, size, size, 3) uint8 by utterance_id: cropped faces, at the frame rate of the model's.
        """
        given = {modality: media for modality, media in {"audio": audio, "video": video}.items() if media is not None}
        held = {modality: {key: InMemoryMedia(own) for key, own in media.items()} for modality, media in given.items()}
        return replace(self, in_memory={**self.in_memory, **held})

    def select(self, rows: ArrayLike) -> Self:
        """Keep the rows for which the (n_utterances,) mask `rows` is true, in their order."""
        part = copy.copy(self)  # rows of a valid table need no second look
        object.__setattr__(part, "table", self.table[np.asarray(rows, dtype=bool)].reset_index(drop=True))
        return part

    def view(self, name: str | None = None) -> Self:
        """Take a named view: some emotions merged, some left out; `dropped` lists the utterances that went.

        Raises:
            KeyError: If there is no such view.
            ValueError: If the corpus has none of the view's emotions, or is in a view that has merged some.
        """
        name = name or self.default_view or "all"
        if name in ("all", self.view_name):
            return self
        if name not in VIEWS:
            raise KeyError(f"no view {name!r}; expected one of {sorted(VIEWS)}, or no name for the corpus's own view.")
        if self.view_name != "all" and (self.view_name not in VIEWS or VIEWS[self.view_name].merged):
            why = f"corpus {self.name!r} is in view {self.view_name!r}, which has merged or left out; expected the"
            raise ValueError(f"{why} whole corpus, which has all of {name!r}. Take it from load_corpus({self.name!r}).")
        view = self._take(VIEWS[name], name)
        if not len(view):
            why = f"corpus {self.name!r} has none of the emotions of view {name!r}, {VIEWS[name].emotions}; it has"
            own = sorted(self.table["emotion"].dropna().unique())
            raise ValueError(f'{why} {own}. Take another view, or their names first: corpus.merged(Joy="happy").')
        return view

    def only(self, *emotions: str) -> Self:
        """Keep the utterances of some emotions, in the order of `emotions` here; `dropped` lists the others.

        Raises:
            ValueError: If none is named, or the corpus does not have one of them.
        """
        kept = tuple(emotion for emotion in self.emotions if emotion in emotions)
        return self._choose(emotions, View(kept, {}), "+".join(kept))

    def merged(self, **into: str) -> Self:
        """Merge emotions into others, or give them other names: merged(calm="neutral", Joy="happy").

        Raises:
            ValueError: If none is named, or the corpus does not have one of them.
        """
        emotions = tuple(dict.fromkeys(into.get(emotion, emotion) for emotion in self.emotions))
        named = "+".join(f"{emotion}={into[emotion]}" for emotion in self.emotions if emotion in into)
        return self._choose(tuple(into), View(emotions, into), named)

    def _choose(self, named: tuple[str, ...], view: View, name: str) -> Self:
        if not named or (unknown := [emotion for emotion in named if emotion not in self.emotions]):
            why = f"corpus {self.name!r} has no emotion {some(unknown) if named else '(none is named)'}"
            raise ValueError(f"{why}; expected some of {', '.join(self.emotions) or 'its own'}. Correct the names.")
        name = name if self.view_name == "all" else f"{self.view_name} > {name}"
        return replace(self._take(view, name), default_view=None)

    def _take(self, view: View, name: str) -> Self:
        emotion = self.table["emotion"].map(view.emotion_of, na_action="ignore").astype("string")
        kept = emotion.notna().to_numpy()
        gone = self.table[~kept]
        gone = gone.assign(reason=f"not in view {name}: " + gone["emotion"])[[*self.dropped]]
        dropped = pd.concat([part for part in (self.dropped, gone) if len(part)] or [gone], ignore_index=True)
        table = self.table.assign(emotion=emotion)[kept].reset_index(drop=True)
        return replace(self, table=table, emotions=view.emotions, view_name=name, dropped=dropped)

    def joined(self, *others: Self) -> Self:
        """Return these utterances and, behind them, those of other corpora of the same emotions and root.

        What is held in memory of any of them is held of the whole.

        Raises:
            ValueError: If two utterances have one utterance_id.
        """
        table = complete_table(pd.concat([each.table for each in (self, *others)], ignore_index=True))
        held = {kind: dict(own) for kind, own in self.in_memory.items()}
        for kind, own in chain(*(each.in_memory.items() for each in others)):
            held.setdefault(kind, {}).update(own)
        return replace(self, table=table, in_memory=held)

    def targets(self, kind: str = "emotion") -> NDArray[Any]:
        """Return what a recognizer can learn of the utterances.

        Args:
            kind: "emotion", "votes", or a rating: "valence", "arousal", "dominance".

        Returns:
            (n_utterances,) int64, the position of each utterance's emotion in `emotions`; of votes (n_utterances,
            n_emotions) float64, each emotion's share of them; of a rating (n_utterances,) float64, from 1 to 5.

        Raises:
            ValueError: If there are no labels, or utterances without votes or rating.
        """
        if kind == "votes":
            return cast(NDArray[Any], (votes := self.votes()) / votes.sum(axis=1, keepdims=True))
        if kind in RATINGS:
            there = self.table[kind].notna()
            return self._whole_column(kind, there, f'corpus.table["{kind}"].notna()').to_numpy(np.float64)
        if not self.emotions:
            why = f"corpus {self.name!r} has no labels; expected an emotion for each utterance. Predict with it, or"
            raise ValueError(f"{why} load labelled utterances: load_corpus(…).")
        return pd.Categorical(self.table["emotion"], categories=[*self.emotions]).codes.astype(np.int64)

    def votes(self) -> NDArray[np.int64]:
        """Return (n_utterances, n_emotions) int64: how many annotators named each of `emotions`, merged as in the view.

        Votes for other emotions are left out.

        Raises:
            ValueError: If utterances have no vote for one of `emotions`.
        """
        merged = VIEWS[self.view_name].merged if self.view_name in VIEWS else {}
        given = pd.DataFrame([own if isinstance(own, dict) else {} for own in self.table["votes"]], dtype=float)
        named = given.T.groupby(lambda emotion: merged.get(emotion, emotion)).sum().reindex([*self.emotions])
        counts = named.T.fillna(0).to_numpy(np.int64)
        self._whole_column("votes", counts.any(axis=1), 'corpus.table["votes"].notna()')
        return counts

    def texts(self) -> list[str]:
        """Return the words of each utterance; ValueError names the utterances that have none."""
        return [str(text) for text in self._whole_column("text", self.has("text"), 'corpus.has("text")')]

    def audio_paths(self) -> list[Any]:
        """Return the sound of each utterance: a path, a `Segment` of a file, or `InMemoryMedia`.

        Raises:
            ValueError: If some have none; the message names them.
        """
        spans = self.table[["audio_start", "audio_end"]].astype(object).replace({np.nan: None})
        pairs = zip(self._sources("audio"), spans.itertuples(index=False, name=None), strict=True)
        whole = (None, None)  # held in memory is the utterance alone
        return [Segment(p, *at) if at != whole and not isinstance(p, InMemoryMedia) else p for p, at in pairs]

    def video_paths(self) -> list[Any]:
        """Return the film of each utterance, a path or `InMemoryMedia`; ValueError names those without one."""
        return self._sources("video")

    def _sources(self, modality: str) -> list[Any]:
        paths = self._whole_column(MODALITIES[modality], self.has(modality), f'corpus.has("{modality}")')
        held = self.in_memory.get(modality, {})
        return [held.get(key) or self.root / path for key, path in zip(self.table["utterance_id"], paths, strict=True)]

    def _whole_column(self, column: str, there: ArrayLike, kept: str) -> pd.Series:
        if len(missing := self.table.loc[~np.asarray(there), "utterance_id"]):
            why = f"{len(missing)} of {len(self)} utterances of corpus {self.name!r} have no {column}: {some(missing)}."
            remedy = f"leave those out: corpus.select({kept})" if len(missing) < len(self) else "take another corpus"
            raise ValueError(f"{why} Expected each to; {remedy}.")
        return self.table[column]


def known_columns(table: pd.DataFrame) -> dict[str, str]:
    """Return the type that each column of the schema, and each of the truth that is there, has to have."""
    return {column: dtype for column, (dtype, _) in (SCHEMA | TRUTH).items() if column in SCHEMA or column in table}


def complete_table(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table all columns of the schema in their types; what is missing becomes NA, other columns stay last."""
    missing = pd.Series([pd.NA] * len(table), index=table.index)
    columns = {column: table.get(column, missing) for column in known_columns(table)}
    for column, dtype in known_columns(table).items():
        with suppress(ValueError, TypeError, OverflowError):  # it stays as it is, and the check of the schema says so
            columns[column] = (pd.to_numeric(columns[column]) if dtype == "float64" else columns[column]).astype(dtype)
    others = {column: table[column] for column in table if column not in columns}
    return pd.DataFrame({**columns, **others}).reset_index(drop=True)


def schema_problems(table: pd.DataFrame, emotions: Sequence[str]) -> list[str]:
    """List, in words, everything in which a table breaks the schema; without `emotions` it needs no labels."""
    if problems := [f"no column {column}" for column in SCHEMA if column not in table]:
        return problems
    types = {column: (str(table[column].dtype), dtype) for column, dtype in known_columns(table).items()}
    problems = [f"column {name} has type {own}, not {dtype}" for name, (own, dtype) in types.items() if own != dtype]
    for column in REQUIRED if emotions else REQUIRED[:2]:
        if (empty := table[column].isna() | (table[column].astype("string") == "")).any():
            problems.append(f"{column} is empty in rows {some(table.index[empty])}")
    if (twice := table["utterance_id"].duplicated(keep=False) & table["utterance_id"].notna()).any():
        problems.append(f"utterance_id occurs twice: {some(table.loc[twice, 'utterance_id'].unique())}")
    labels = table["emotion"].dropna()
    if len(unknown := labels[~labels.isin(list(emotions))]):
        rows = some(unknown.index)
        problems.append(f"unknown emotion {some(unknown.unique())} in rows {rows}; known: {list(emotions)}")
    faults = {"gender is not female or male": ~table["gender"].isin(GENDERS) & table["gender"].notna()}
    spans = ((f"{of}start", f"{of}end") for of in ("", "audio_", "video_"))
    faults |= {f"{end} lies before {start}": table[end] < table[start] for start, end in spans}
    return problems + [f"{fault} in rows {some(table.index[rows])}" for fault, rows in faults.items() if rows.any()]


def raise_problems(problems: Sequence[str], *, where: Path | str, remedy: str) -> None:
    """Raise a ValueError that lists the problems, each on a line of its own, if there are any."""
    if problems:
        lines = some(problems, limit=N_PROBLEMS, joint="\n  ")
        raise ValueError(f"{len(problems)} problem{'s' * (len(problems) > 1)} in {where}:\n  {lines}\n{remedy}")


def require_files(files: Iterable[Any]) -> None:
    """Raise a FileNotFoundError that names the paths at which there is no file, if there are any."""
    paths = {str(file) for file in files if not isinstance(file, InMemoryMedia)}
    if missing := sorted(path for path in paths if not os.path.isfile(path)):
        why = f"{len(missing)} of {len(paths)} files are missing: {some(missing)}. Expected every file that the corpus"
        raise FileNotFoundError(f"{why} lists. Check its root folder and the names, or leave those out by id.")


def is_strict(asked: bool | None = None) -> bool:
    """Tell whether nothing may be left out: as asked or, where that is None, as EMOLAB_STRICT says."""
    return bool(os.environ.get("EMOLAB_STRICT")) if asked is None else asked


def some(items: Iterable[Any], *, limit: int = N_NAMED, joint: str = ", ") -> str:
    """Name the first few of many, and count the rest."""
    names = [str(item) for item in items]
    return joint.join([*names[:limit], *([f"and {len(names) - limit} more"] if len(names) > limit else [])])
