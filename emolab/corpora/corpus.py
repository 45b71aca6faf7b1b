"""The corpus: a validated table of utterances, and the views of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab.corpora.labels import VIEWS
from emolab.corpora.layout import raise_problems, some
from emolab.media import InMemoryMedia

SCHEMA: Mapping[str, tuple[str, str]] = {  # column: (pandas dtype, meaning); all but three may be missing (NA)
    "utterance_id": ("string", "unique name of the utterance; never NA"),
    "dialogue_id": ("string", "the conversation or recording it was cut from"),
    "turn": ("Int64", "position in the dialogue, from 0"),
    "session": ("string", "recording session; nobody is heard in two"),
    "speaker": ("string", "who speaks; never NA"),
    "gender": ("string", "female or male, as the corpus states it"),
    "scripted": ("boolean", "read from a script (True) or improvised (False)"),
    "emotion": ("string", "the label, one of the corpus's emotions; never NA"),
    "votes": ("object", "dict emotion: number of annotators"),
    "valence": ("float64", "mean rating from 1 (negative) to 5 (positive)"),
    "arousal": ("float64", "mean rating from 1 (calm) to 5 (excited)"),
    "dominance": ("float64", "mean rating from 1 (weak) to 5 (strong)"),
    "text": ("string", "the words spoken"),
    "audio_path": ("string", "sound file that holds this utterance alone, relative to the corpus's root"),
    "video_path": ("string", "film that shows the utterance, relative to the corpus's root"),
    "start": ("float64", "where it begins in its dialogue, seconds"),
    "end": ("float64", "where it ends in its dialogue, seconds"),
    "video_start": ("float64", "where it begins in the film, seconds; NA: the film shows this utterance alone"),
    "video_end": ("float64", "where it ends in the film, seconds"),
    "video_side": ("string", "left or right: the half of the picture that shows the speaker; NA: the whole"),
}
TRUTH: Mapping[str, tuple[str, str]] = {  # columns that only the synthetic sample can have
    "cue_words": ("object", "tuple of positions in text.split() of the words that carry the emotion shown in words"),
    "word_starts": (
        "object",
        "tuple of seconds into the utterance where each word of text.split() begins; NA: unknown",
    ),
    "cue_start": ("float64", "where the planted stretch of sound begins, seconds into the utterance"),
    "cue_end": ("float64", "where the planted stretch of sound ends, seconds into the utterance"),
    "cue_modalities": ("object", "tuple of the modalities that show the utterance's emotion"),
    "shown_text": ("string", "the emotion that the words show"),
    "shown_audio": ("string", "the emotion that the voice shows"),
    "shown_video": ("string", "the emotion that the face shows"),
    "face_start": ("float64", "where the face is at its height, seconds into the utterance"),
    "face_end": ("float64", "where the face's height is over, seconds into the utterance"),
}
REQUIRED = ("utterance_id", "speaker", "emotion")
GENDERS = ("female", "male")
MODALITIES = {"audio": "audio_path", "text": "text", "video": "video_path"}  # and their columns


@dataclass(frozen=True)
class Corpus:
    """Utterances of one corpus, or of a part of it.

    Attributes:
        name: Name of the corpus, such as "ravdess".
        table: One row an utterance, with the columns of `SCHEMA`; built by `Corpus.from_rows`.
        emotions: The emotions that may occur, in the order of every table, figure and probability vector.
        root: Folder that `audio_path` and `video_path` are relative to.
        view_name: Name of the view taken, "all" for none.
        dropped: What was left out on the way here: utterance_id and reason.
        synthetic: Whether this is the sample, whose figures say nothing about people.
        default_view: The view that `view()` takes when none is named.
        hidden: Modalities that are there but not to be used, see `without`.
        held: Sound and faces that are taken from memory instead of files, see `with_media`.

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
    hidden: frozenset[str] = frozenset()
    in_memory: Mapping[str, Mapping[str, InMemoryMedia]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        remedy = "Expected the columns and types of emolab.corpora.corpus.SCHEMA; build it with Corpus.from_rows."
        raise_problems(
            schema_problems(self.table, self.emotions), where=f"the table of corpus {self.name!r}", remedy=remedy
        )

    @classmethod
    def from_rows(
        cls,
        name: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        emotions: Iterable[str],
        root: Path,
        dropped: Iterable[tuple[str, str]] = (),
        **fields: Any,
    ) -> Corpus:
        """Build a corpus from one mapping an utterance; columns that are not given are NA."""
        gone = pd.DataFrame(list(dropped), columns=["utterance_id", "reason"])
        return cls(name, complete_table(pd.DataFrame(list(rows))), tuple(emotions), Path(root), dropped=gone, **fields)

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
        there = self.table[MODALITIES[modality]].notna().to_numpy()
        if in_memory := self.in_memory.get(modality):
            there = there | self.table["utterance_id"].isin(in_memory).to_numpy()
        return there & (modality not in self.hidden)

    def without(self, *modalities: str) -> Corpus:
        """Hide modalities: models that can do without them do, others say that they are missing.

        Raises:
            KeyError: If there is no such modality.
        """
        if unknown := [modality for modality in modalities if modality not in MODALITIES]:
            raise KeyError(f"no modality {', '.join(map(repr, unknown))}; expected some of {', '.join(MODALITIES)}.")
        return replace(self, hidden=self.hidden | {*modalities})

    def with_media(
        self, *, audio: Mapping[str, NDArray[Any]] | None = None, video: Mapping[str, NDArray[Any]] | None = None
    ) -> Corpus:
        """Take the sound or the faces of some utterances from memory; files of the same utterances are not read.

        Args:
            audio: (samples,) float32, mono, 16 kHz, full scale 1, by utterance_id.
            video: (frames, size, size, 3) uint8 by utterance_id: faces cut out already, at the pace of the model's.
        """
        given = {"audio": audio, "video": video}
        new = {
            kind: {key: InMemoryMedia(value) for key, value in of.items()}
            for kind, of in given.items()
            if of is not None
        }
        return replace(self, in_memory={**self.in_memory, **new})

    def select(self, rows: ArrayLike) -> Corpus:
        """Keep the rows for which the (n_utterances,) mask `rows` is true, in their order."""
        mask = np.asarray(rows, dtype=bool)
        return replace(self, table=self.table[mask].reset_index(drop=True))

    def view(self, name: str | None = None) -> Corpus:
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
        view = VIEWS[name]
        if self.view_name in VIEWS and VIEWS[self.view_name].merged:
            raise ValueError(
                f"corpus {self.name!r} is in view {self.view_name!r}, which has merged emotions; expected the whole "
                f"corpus, where view {name!r} can still tell them apart. Take it from load_corpus({self.name!r})."
            )
        emotion = self.table["emotion"].map(view.emotion_of, na_action="ignore")
        kept = emotion.notna().to_numpy()
        if not kept.any():
            raise ValueError(
                f"corpus {self.name!r} has none of the emotions of view {name!r}, {list(view.emotions)}; it has "
                f"{sorted(self.table['emotion'].unique())}. Take another view of {sorted(VIEWS)}."
            )
        gone = self.table.loc[~kept, ["utterance_id", "emotion"]]
        gone = gone.assign(reason=f"not in view {name}: " + gone["emotion"])[["utterance_id", "reason"]]
        table = self.table.assign(emotion=emotion.astype("string"))[kept].reset_index(drop=True)
        dropped = pd.concat([part for part in (self.dropped, gone) if len(part)] or [gone], ignore_index=True)
        return replace(self, table=table, emotions=view.emotions, view_name=name, dropped=dropped)

    def targets(self) -> NDArray[np.int64]:
        """Return (n_utterances,) int64, the position of each utterance's emotion in `emotions`."""
        place = {emotion: number for number, emotion in enumerate(self.emotions)}
        return self.table["emotion"].map(place).to_numpy(np.int64)

    def texts(self) -> list[str]:
        """Return the words of each utterance; ValueError names the utterances that have none."""
        return [str(text) for text in self._whole_column("text")]

    def audio_paths(self) -> list[Any]:
        """Return the sound file of each utterance, a path or `InMemoryMedia`; ValueError names the utterances without one."""
        return self._sources("audio")

    def video_paths(self) -> list[Any]:
        """Return the film of each utterance, a path or `InMemoryMedia`; ValueError names the utterances without one."""
        return self._sources("video")

    def _sources(self, modality: str) -> list[Any]:
        in_memory, column = self.in_memory.get(modality, {}), self._whole_column(modality)
        return [
            in_memory.get(key) or self.root / path for key, path in zip(self.table["utterance_id"], column, strict=True)
        ]

    def _whole_column(self, modality: str) -> pd.Series:
        column, missing = MODALITIES[modality], self.table.loc[~self.has(modality), "utterance_id"]
        if len(missing):
            raise ValueError(
                f"{len(missing)} of {len(self)} utterances of corpus {self.name!r} have no {column}: "
                f"{some(missing)}. Expected one for each; leave those out with "
                f'corpus.select(corpus.table["{column}"].notna()), or take a recipe that needs no {column}.'
            )
        return self.table[column]


def complete_table(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table all columns of the schema in their types; what is missing becomes NA, other columns stay last."""
    known = {**SCHEMA, **{column: TRUTH[column] for column in TRUTH if column in table}}
    columns = {}
    for column, (dtype, _) in known.items():
        values = table[column] if column in table else pd.Series([pd.NA] * len(table), index=table.index)
        try:
            columns[column] = (pd.to_numeric(values) if dtype == "float64" else values).astype(dtype)
        except (ValueError, TypeError, OverflowError):  # stays as it is, and the check of the schema says so
            columns[column] = values
    others = {column: table[column] for column in table if column not in known}
    return pd.DataFrame({**columns, **others}).reset_index(drop=True)


def schema_problems(table: pd.DataFrame, emotions: Sequence[str]) -> list[str]:
    """List, in words, everything in which a table breaks the schema."""
    problems = [f"no column {column}" for column in SCHEMA if column not in table]
    if problems:
        return problems
    for column, (dtype, _) in {**SCHEMA, **{column: TRUTH[column] for column in TRUTH if column in table}}.items():
        if str(table[column].dtype) != dtype:
            problems.append(f"column {column} has type {table[column].dtype}, not {dtype}")
    for column in REQUIRED:
        if (empty := table[column].isna() | (table[column].astype("string") == "")).any():
            problems.append(f"{column} is empty in rows {some(table.index[empty])}")
    if (twice := table["utterance_id"].duplicated(keep=False) & table["utterance_id"].notna()).any():
        problems.append(f"utterance_id occurs twice: {some(table.loc[twice, 'utterance_id'].unique())}")
    if (unknown := ~table["emotion"].isin(list(emotions)) & table["emotion"].notna()).any():
        labels = some(table.loc[unknown, "emotion"].unique())
        problems.append(f"unknown emotion {labels} in rows {some(table.index[unknown])}; known: {list(emotions)}")
    if (odd := ~table["gender"].isin(GENDERS) & table["gender"].notna()).any():
        problems.append(f"gender is not female or male in rows {some(table.index[odd])}")
    if (backwards := table["end"] < table["start"]).any():
        problems.append(f"end lies before start in rows {some(table.index[backwards])}")
    return problems
