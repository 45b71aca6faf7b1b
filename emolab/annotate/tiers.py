"""Annotations as tiers: ELAN's EAF and Praat's TextGrid, a tier for each speaker and kind of label.

A tier is called kind@speaker, such as emotion@Ana; the kinds are `KINDS`, and words, each with its own time. A tier
cannot hold two intervals at once, so what overlaps a speaker's own segments is in tiers of its own. Tiers of other
names, from other tools, are read as turns: the tier's name is the speaker, its labels the text.
"""

import json
import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from emolab.annotate.annotation import UNSURE, Annotation, P, homes
from emolab.annotate.subtitles import Row, as_label, compact, timed
from emolab.corpora.tables import read_text

KINDS = ("text", "emotion", "confidence", "valence", "arousal", "probabilities")
NAME = re.compile(rf"({'|'.join(KINDS)}|words)@(.*)", re.DOTALL)
OVERLAP = re.compile(r" \(overlap \d+\)$")  # after a speaker's name
NO_WORDS = "-"  # an empty label would be a gap
MADE_BY = "made by"  # name of the property, or tier, that holds the audit line
MIME = {".wav": "audio/x-wav", ".flac": "audio/flac"}  # which systems call differently
ENGLISH = ("eng", "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")


class Span(NamedTuple):
    """An interval of a tier; times in whole milliseconds."""

    start: int
    end: int
    label: str


def tiers_of(annotation: Annotation) -> dict[str, list[Span]]:
    """Return the tiers of an annotation by name; those of text and emotion are there even if they are empty."""
    tiers: dict[str, list[Span]] = {}
    layers: dict[str, list[int]] = {}  # speaker: where each of the layers ends so far
    for row in timed(annotation.shown):
        who = _layer(layers, row["speaker"], row)
        shares = [(name.removeprefix(P), share) for name, share in row.items() if name.startswith(P)]
        row |= {"emotion": row["label"], "text": row["text"] or NO_WORDS}
        row["probabilities"] = "; ".join(f"{name}={share:.4f}" for name, share in shares if share == share)
        for kind in KINDS:
            label = row[kind] if isinstance(row[kind], str) else f"{row[kind]:.4f}" * (row[kind] == row[kind])
            if label or kind == "emotion":
                own = tiers.setdefault(f"{kind}@{who}", [])
                own += [Span(row["start"], row["end"], label)] * bool(label)
    layers = {}
    for word in timed(annotation.words.sort_values("start")):
        who = _layer(layers, annotation.segments["speaker"][word["segment"]], word)
        tiers.setdefault(f"words@{who}", []).append(Span(word["start"], word["end"], word["word"] or NO_WORDS))
    return tiers


def _layer(layers: dict[str, list[int]], speaker: str, row: Row) -> str:
    """Return the speaker's name in tiers whose last interval is over when this one starts."""
    ends = layers.setdefault(speaker, [])
    place = next((number for number, end in enumerate(ends) if end <= row["start"]), len(ends))
    ends[place : place + 1] = [row["end"]]
    return f"{speaker} (overlap {place})" if place else speaker


def annotation_of(path: Path, tiers: Iterable[tuple[str, Iterable[Span]]], facts: Row) -> Annotation:
    """Put tiers together.

    The segments are the intervals of a speaker's emotions, whose borders a rater may have moved, and those of the text
    where there is no emotion; every other label goes to the segment that it overlaps most.
    """
    by_speaker: dict[str, dict[str, list[Span]]] = {}
    for name, spans in tiers:
        kind, speaker = found.groups() if (found := NAME.fullmatch(name)) else ("text", name)
        speaker = OVERLAP.sub("", speaker) if kind == "words" else speaker
        by_speaker.setdefault(speaker, {}).setdefault(kind, []).extend(spans)
    rows = [row for speaker, own in by_speaker.items() for row in _rows(speaker, own)]
    words: list[Row] = []
    for speaker, own in by_speaker.items():
        places = [number for number, row in enumerate(rows) if row["speaker"] == speaker]
        spans, times = own.get("words", []), [(rows[place]["start"], rows[place]["end"]) for place in places]
        for (start, end, word), home in zip(spans, homes([span[:2] for span in spans], times), strict=True):
            if home >= 0:
                words.append({"start": start / 1000, "end": end / 1000, "word": word, "segment": places[home]})
    rows = [row | {"start": row["start"] / 1000, "end": row["end"] / 1000} for row in rows]
    return Annotation.of_file(path, rows, facts=facts, words=words)


def _rows(speaker: str, tiers: dict[str, list[Span]]) -> list[Row]:
    """Return the segments of one speaker, times in milliseconds."""
    labelled, texts = tiers.get("emotion", []), tiers.get("text", [])
    lone = homes([span[:2] for span in texts], [span[:2] for span in labelled]) < 0
    segments = [*labelled, *(span for span, alone in zip(texts, lone, strict=True) if alone)]
    rows = [span._asdict() | as_label(span.label) | {"speaker": OVERLAP.sub("", speaker)} for span in segments]
    for row in rows[len(labelled) :]:
        row |= as_label(None)
    for kind in tiers.keys() - {"emotion", "words"}:
        places = homes([span[:2] for span in tiers[kind]], [span[:2] for span in segments])
        for (_, _, label), place in zip(tiers[kind], places, strict=True):
            if place >= 0 and (kind == "text" or kind not in rows[place]):
                rows[place][kind] = f"{rows[place].get(kind, '')} {'' if label == NO_WORDS else label}".strip()
    for row in rows:
        shares = [part.rsplit("=", 1) for part in row.get("probabilities", "").split("; ") if part]
        row |= {P + name: float(share) for name, share in shares}
        if shares and row["unsure"]:
            row["emotion"] = max(shares, key=lambda share: float(share[1]))[0]
    return rows


def write_eaf(annotation: Annotation, path: Path) -> None:
    """Write ELAN's EAF: the emotions are a controlled vocabulary, the recording is looked for beside the file."""
    from pympi import Eaf

    eaf = Eaf(author=MADE_BY)
    eaf.remove_tier("default")
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    kind = MIME.get(Path(annotation.media).suffix.lower()) or mimetypes.guess_type(annotation.media)[0] or "unknown"
    eaf.add_linked_file(annotation.media, relpath=f"./{annotation.media}", mimetype=kind)
    eaf.add_property(MADE_BY, annotation.audit)
    eaf.add_property("emolab", compact(annotation))
    if "created" in annotation.about:
        eaf.adocument["DATE"] = str(annotation.about["created"])
    eaf.add_language(*ENGLISH)
    eaf.add_controlled_vocabulary("emotions")
    for number, emotion in enumerate([*annotation.emotions, UNSURE]):
        eaf.add_cv_entry("emotions", f"cveid{number}", [(emotion, ENGLISH[0], None)])
    parameters = {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false", "CONTROLLED_VOCABULARY_REF": "emotions"}
    eaf.add_linguistic_type("emotion", param_dict={"LINGUISTIC_TYPE_ID": "emotion"} | parameters)
    for name, spans in tiers_of(annotation).items():
        kind, speaker = name.split("@", 1)
        eaf.add_tier(name, ling="emotion" if kind == "emotion" else "default-lt", part=OVERLAP.sub("", speaker))
        for start, end, label in spans:
            eaf.add_annotation(name, start, end, label)
    eaf.to_file(path)


def read_eaf(path: Path) -> Annotation:
    """Read EAF: tiers of one's own as they were written, of others those without parents, as turns."""
    from pympi import Eaf

    eaf = Eaf(str(path), suppress_version_warning=True)
    slots = pd.Series(eaf.timeslots, dtype="float64").interpolate()  # those within a subdivided interval have no time
    tiers = []
    for name, (aligned, _, about, _) in eaf.tiers.items():
        if NAME.fullmatch(name) or not about.get("PARENT_REF"):
            spans = [Span(int(slots[start]), int(slots[end]), label) for start, end, label, _ in aligned.values()]
            tiers.append((name if NAME.fullmatch(name) else about.get("PARTICIPANT") or name, spans))
    facts = json.loads(dict(eaf.properties).get("emolab") or "{}")
    media = (each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL", "") for each in eaf.media_descriptors)
    facts.setdefault("media", next((re.split(r"[/\\]", url)[-1] for url in media), None))
    return annotation_of(path, tiers, facts)


def write_textgrid(annotation: Annotation, path: Path) -> None:
    """Write Praat's TextGrid in its long form; the audit line is a tier of its own."""
    from praatio.utilities import textgrid_io

    tiers = tiers_of(annotation)
    last = max([annotation.seconds, *(span.end / 1000 for spans in tiers.values() for span in spans)])
    rows = {name: [(start / 1000, end / 1000, label) for start, end, label in spans] for name, spans in tiers.items()}
    rows[MADE_BY] = [(0.0, last, annotation.audit)] * (last > 0)
    frame = {"class": "IntervalTier", "xmin": 0.0, "xmax": last}
    grid = {"xmin": 0.0, "xmax": last, "tiers": [frame | {"name": name, "entries": own} for name, own in rows.items()]}
    path.write_text(textgrid_io.getTextgridAsStr(grid, "long_textgrid", True), encoding="utf-8")


def read_textgrid(path: Path) -> Annotation:
    """Read a TextGrid, long or short, in UTF-8, UTF-16 (as Praat writes it) or Latin-1; point tiers are left out."""
    from praatio.utilities import textgrid_io

    raw = path.read_bytes()
    text = raw.decode("utf-16") if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else read_text(path)
    grid = textgrid_io.parseTextgridStr(text.rstrip() + "\n")  # a last line without its break would be lost
    tiers, facts = [], {"seconds": grid["xmax"]}
    for tier in (tier for tier in grid["tiers"] if tier["class"] == "IntervalTier"):
        entries = (
            (round(float(start) * 1000), round(float(end) * 1000), label) for start, end, label in tier["entries"]
        )
        spans = [Span(*entry) for entry in entries]
        if tier["name"] == MADE_BY:
            facts["about"] = {"audit": spans[0].label} if spans else {}
        else:
            tiers.append((tier["name"], spans))
    return annotation_of(path, tiers, facts)
