"""The table that annotating a recording gives: a row a segment, with who speaks, the words and the emotion."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab import __version__
from emolab.corpora.corpus import raise_problems, some

SEGMENTS = {"start": "float64", "end": "float64", "speaker": "string", "text": "string", "emotion": "label"}
SEGMENTS |= {"second": "label", "confidence": "float64", "unsure": "bool", "valence": "float64", "arousal": "float64"}
WORDS = {"start": "float64", "end": "float64", "word": "string", "segment": "int64", "confidence": "float64"}
P = "p_"  # before the name of an emotion: the column of its probability
UNSURE = "don't know"  # stands in an emotion's place where the model, or a rater, cannot tell
YES = ("true", "1", "1.0", "yes")
UNITS = "Units: start and end in seconds; confidence and p_ from 0 to 1; valence from 1 (negative) to 5 (positive); "
UNITS += "arousal from 1 (calm) to 5 (excited)."
LATE_S = 0.1  # that a segment may end after the recording: formats round, and so do players
OFF = 0.02  # from 1, the sum of probabilities, which formats round
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # no words, and not allowed in XML
REMEDY = "Expected seconds from 0 to the recording's end, a speaker each, probabilities. Correct these rows."


@dataclass(frozen=True, eq=False)
class Annotation:
    """Segments of one recording, with what was recognized in each.

    Columns that are not given become NA, and types are made right; segments are sorted by their starts.

    Attributes:
        segments: One row a segment: start and end in seconds, speaker, text, emotion (NA: none), second (the second
            choice), confidence from 0 to 1, unsure (bool: the model does not know, `emotion` is its best guess),
            valence and arousal (NaN: unknown), p_<emotion> for each emotion.
        words: One row a word: start and end in seconds, word, segment (its row in `segments`), confidence; may be
            empty.
        media: Name of the recording's file, without its folder.
        seconds: Length of the recording.
        about: What made it: model, version, emotions, trained on, synthetic, modalities, asr, diarization, units,
            audit, created (ISO 8601).

    Raises:
        ValueError: If a time is missing, negative or out of order, a speaker has no name, or a number is out of range;
            all problems are listed, with rows counted from 0.
    """

    segments: pd.DataFrame
    words: pd.DataFrame
    media: str
    seconds: float
    about: dict[str, Any]

    def __post_init__(self) -> None:
        types = SEGMENTS | {column: "float64" for column in self.segments if column.startswith(P)}
        problems: list[str] = []
        segments, words = _typed(self.segments, types, problems), _typed(self.words, WORDS, problems)
        problems = problems or [*_problems(segments, words, self.seconds)]
        raise_problems(problems, where=f"the annotation of {self.media!r}", remedy=REMEDY)
        order = np.argsort(segments["start"].to_numpy(), kind="stable")
        words["segment"] = np.argsort(order)[words["segment"].to_numpy()]
        object.__setattr__(self, "segments", segments.iloc[order].reset_index(drop=True))
        object.__setattr__(self, "words", words)

    def __len__(self) -> int:
        return len(self.segments)

    def __repr__(self) -> str:
        speakers, unsure = self.segments["speaker"].nunique(), int(self.segments["unsure"].sum())
        what = f"{len(self)} segments, {speakers} speaker{'s' * (speakers != 1)}, {unsure} unsure"
        model = f"{self.about.get('model', 'no model')}{', synthetic' * bool(self.about.get('synthetic'))}"
        return f"Annotation({self.media!r}, {self.seconds:.1f} s, {what}; {model})"

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions of the model in the order of its probabilities, then those that only a rater wrote."""
        named = [column.removeprefix(P) for column in self.segments if column.startswith(P)]
        return (*dict.fromkeys([*named, *self.about.get("emotions", ()), *self.segments["emotion"].dropna().unique()]),)

    @property
    def shown(self) -> pd.DataFrame:
        """The segments with a column more, label: the emotion, `UNSURE`, or an empty string where there is none."""
        return self.segments.assign(label=self.segments["emotion"].mask(self.segments["unsure"], UNSURE).fillna(""))

    @classmethod
    def of_file(cls, path: Path, rows: Any, *, facts: Mapping[str, Any], words: Any = ()) -> Self:
        """Build what a file holds; where `facts` do not say it, the recording ends with its last segment.

        Args:
            path: The file, whose name stands for an unknown recording's.
            rows: The segments, a table or one mapping each.
            facts: What `facts` wrote, as far as the format holds it.
            words: The words, likewise.
        """
        segments, about = pd.DataFrame(rows), dict(facts.get("about") or {})
        last = pd.to_numeric(segments.get("end", pd.Series(0.0)), errors="coerce").max()
        seconds = float(np.nanmax([0.0, facts.get("seconds") or 0.0, last]))
        return cls(segments, pd.DataFrame(words), facts.get("media") or path.stem, seconds, about)

    def facts(self) -> dict[str, Any]:
        """Return what is true of the whole recording, for formats that hold a comment."""
        about = self.about | {"emotions": [*self.emotions], "audit": self.audit}
        return {"media": self.media, "seconds": float(self.seconds), "about": about}

    @property
    def audit(self) -> str:
        """One line for every export: what made it, what it is and what the law asks."""
        return " ".join(str(self.about.get("audit") or audit_line(self.about)).replace("-->", "->").split())

    def to_frame(self, *, long: bool = False) -> pd.DataFrame:
        """Return one row a segment or, if `long`, one row for each emotion of each segment.

        The long table has, instead of emotion, second and p_<emotion>: segment (from 0), emotion, probability, and
        chosen (bool: the segment is labelled with this emotion).
        """
        if not long:
            return self.segments.copy()
        table = self.segments.drop(columns="second").rename(columns={"emotion": "label"}).reset_index(names="segment")
        emotions = self.emotions or ("",)  # a row at least
        for emotion in emotions:
            table[emotion] = table.get(P + emotion, np.nan)
        kept = [column for column in table if column not in emotions and not column.startswith(P)]
        table = table.melt(kept, list(emotions), "emotion", "probability")
        table["chosen"] = (table["emotion"] == table["label"]).fillna(False).astype(bool)
        return table.drop(columns="label").sort_values("segment", kind="stable", ignore_index=True)


def audit_line(about: Mapping[str, Any]) -> str:
    """Say in plain words what made an annotation, what it is, and what the EU AI Act asks of whoever uses it."""
    created, model, data = (about.get(key) for key in ("created", "model", "trained on"))
    made = f"Made by emolab {__version__}" + f" on {str(created)[:10]}" * bool(created)
    source = f", from {model}" * bool(model) + f" trained on {data}" * bool(model and data)
    words = ", by the words alone" * ([*about.get("modalities", ())] == ["text"])
    synthetic = " Trained on synthetic recordings: it says nothing about people." * bool(about.get("synthetic"))
    law = "EU AI Act: people analysed must be told (Art. 50(3)); not for use at work or in education (Art. 5(1)(f))."
    return f"{made}: expression as perceived by raters, not what people feel{source}{words}.{synthetic} {law}"


def _typed(table: pd.DataFrame, types: Mapping[str, str], problems: list[str]) -> pd.DataFrame:
    """Return the columns of `types` in their types, and no others; say which hold no numbers, in words."""
    columns = {}
    for name, kind in types.items():
        given = table[name] if name in table else pd.Series([pd.NA] * len(table), table.index, dtype="object")
        if kind == "bool":
            columns[name] = given.map(lambda value: str(value).strip().lower() in YES).astype("bool")
        elif kind in ("string", "label"):
            plain = pd.Series([_plain(value, lines=name == "text") for value in given], table.index, dtype="string")
            columns[name] = plain.mask(plain == "", pd.NA) if kind == "label" else plain
        else:
            numbers = pd.to_numeric(given, errors="coerce").astype("float64")
            columns[name] = numbers.fillna(-1).astype("int64") if kind == "int64" else numbers
            if (odd := numbers.isna() & given.notna() & (given.map(str) != "")).any():
                problems.append(f"{name} is no number in rows {some(odd.index[odd])}: {some(given[odd].map(repr))}")
    if "unsure" in columns:  # a rater may have written it for an emotion
        cannot_tell = (columns["emotion"] == UNSURE).fillna(False).astype("bool")
        columns |= {"unsure": columns["unsure"] | cannot_tell, "emotion": columns["emotion"].mask(cannot_tell)}
    return pd.DataFrame(columns).reset_index(drop=True)


def _plain(value: Any, *, lines: bool) -> str:
    """Return a text without control characters and blanks at its ends, on one line unless `lines`."""
    text = "" if pd.isna(value) else CONTROLS.sub("", re.sub("\r\n?|[\u2028\u2029]", "\n", str(value))).strip()
    return text if lines else " ".join(text.split())


def _problems(table: pd.DataFrame, words: pd.DataFrame, seconds: float) -> Iterator[str]:
    """Yield, in words, what is wrong with segments and words."""
    times, shares = table[["start", "end"]], table[[name for name in table if name.startswith(P)]]
    numbers = shares.assign(confidence=table["confidence"])
    faults = {
        "start or end is missing, negative or infinite": ~(np.isfinite(times) & (times >= 0)).all(axis=1),
        "end lies before start": table["end"] < table["start"],
        f"end lies after the recording's {seconds:.3f} s": table["end"] > seconds + LATE_S,
        "speaker is empty": table["speaker"] == "",
        "a probability is not between 0 and 1": ((numbers < 0) | (numbers > 1)).any(axis=1),
        "the probabilities do not sum to 1": (shares.sum(axis=1, min_count=1) - 1).abs() > OFF,
        "words: a time is missing, or end lies before start": ~words["start"].between(0, words["end"]),
        f"words: segment is none of 0 to {len(table) - 1}": ~words["segment"].between(0, len(table) - 1),
    }
    yield from (f"{fault} in rows {some(rows.index[rows])}" for fault, rows in faults.items() if rows.any())


def homes(spans: ArrayLike, segments: ArrayLike, *, bonus: ArrayLike | None = None) -> NDArray[np.int64]:
    """Return for each span the segment that it fits best, -1 where it shares less than half of the shorter with each.

    Args:
        spans: (n, 2) start and end.
        segments: (m, 2) in the same unit. The fit is the time shared by both, as a share of the time of either.
        bonus: (n, m) is added to the fit of those that share enough.
    """
    given, (starts, ends) = np.reshape(np.asarray(spans, np.float64), (-1, 2)), np.reshape(segments, (-1, 2)).T
    best = np.full(len(given), -1)
    for number, (start, end) in enumerate(given if len(starts) else ()):
        shared = np.minimum(ends, end) - np.maximum(starts, start)
        fit = shared / np.maximum(np.maximum(ends, end) - np.minimum(starts, start), 1e-9)
        fit = fit + (0 if bonus is None else np.asarray(bonus)[number])
        if (enough := shared >= np.minimum(ends - starts, end - start) / 2).any():
            best[number] = np.where(enough, fit, -1.0).argmax()
    return best
