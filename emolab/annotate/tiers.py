"""Annotations as tiers: ELAN's EAF and Praat's TextGrid, a tier for each speaker and kind of label.

A tier is called kind@speaker, such as emotion@Ana; the kinds are `KINDS`, and words, each with its own time. A tier
cannot hold two intervals at once, so what overlaps a speaker's own is in tiers of its own. Tiers of other names, from
other tools, are read as turns: the tier's name is the speaker, its labels the text.
"""

import json
import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from emolab.annotate.annotation import UNSURE, Annotation, P, homes
from emolab.annotate.subtitles import Row, compact, timed
from emolab.corpora.tables import read_text

KINDS = ("text", "emotion", "confidence", "valence", "arousal", "probabilities")
NAME = re.compile(rf"({'|'.join(KINDS)}|words)@(.*?)(?: \(overlap \d+\))?", re.DOTALL)
NO_WORDS = "-"  # an empty label would be a gap
MADE_BY = "made by"  # name of the property, or tier, that holds the audit line
ENGLISH = ("eng", "http://cdb.iso.org/lg/CDB-00138502-001", "English (eng)")
TIMES = ["start", "end"]
Spans = list[tuple[int, int, str]]  # start and end in milliseconds, label


def tiers_of(annotation: Annotation) -> dict[str, Spans]:
    """Return the tiers of an annotation by name; those of emotions are there even if they are empty."""
    labels: list[tuple[int, int, str, str, str]] = []  # start, end, kind, speaker, label
    for row in timed(annotation.shown):
        row |= {"emotion": row["label"], "text": row["text"] or NO_WORDS}
        shares = {name.removeprefix(P): share for name, share in row.items() if name.startswith(P) and share == share}
        row["probabilities"] = "; ".join(f"{name}={share:.4f}" for name, share in shares.items())
        row |= {kind: "" if row[kind] != row[kind] else f"{row[kind]:.4f}" for kind in KINDS[2:5]}
        labels += [(row["start"], row["end"], kind, row["speaker"], row[kind]) for kind in KINDS]
    for word in timed(annotation.words):
        speaker = annotation.segments["speaker"][word["segment"]]
        labels.append((word["start"], word["end"], "words", speaker, word["word"] or NO_WORDS))
    tiers: dict[str, Spans] = {}
    for start, end, kind, speaker, label in sorted(labels, key=lambda each: each[0]):
        name, number = f"{kind}@{speaker}", 0
        while tiers.get(name) and tiers[name][-1][1] > start:
            number += 1
            name = f"{kind}@{speaker} (overlap {number})"
        if label or kind == "emotion":
            tiers.setdefault(name, []).extend([(start, end, label)] * bool(label))
    return tiers


def annotation_of(path: Path, tiers: Iterable[tuple[str, Spans]], facts: Row) -> Annotation:
    """Put tiers together.

    The segments are the intervals of a speaker's emotions, whose borders a rater may have moved, and those of the text
    where there is no emotion; every other label goes to the segment that it fits best.
    """
    spans = []
    for name, own in tiers:
        whose = found.groups() if (found := NAME.fullmatch(name)) else ("text", name)
        spans += [(*whose, start / 1000, end / 1000, label) for start, end, label in own]
    rows: list[Row] = []
    words: list[Row] = []
    table = pd.DataFrame(spans, columns=["kind", "speaker", *TIMES, "label"])
    for _, own in table.groupby("speaker", sort=False):
        emotions, texts = (own[own["kind"] == kind] for kind in ("emotion", "text"))
        segments = pd.concat([emotions, texts[homes(texts[TIMES], emotions[TIMES]) < 0].assign(label=None)])
        new = [row | {"emotion": row["label"]} for row in segments.to_dict("records")]
        rest = own[own["kind"] != "emotion"]
        for span, home in zip(rest.to_dict("records"), homes(rest[TIMES], segments[TIMES]), strict=True):
            kind, label = span["kind"], "" if span["label"] == NO_WORDS else span["label"]
            if kind == "words" and home >= 0:
                words.append(span | {"word": label, "segment": len(rows) + home})
            elif home >= 0 and (kind == "text" or kind not in new[home]):
                new[home][kind] = f"{new[home].get(kind, '')} {label}".strip()
        rows += new
    for row in rows:
        shares = dict(part.rsplit("=", 1) for part in row.get("probabilities", "").split("; ") if part)
        row |= {P + name: share for name, share in shares.items()}
        if shares and row["emotion"] == UNSURE:
            row |= {"unsure": True, "emotion": max(shares, key=lambda name: float(shares[name]))}
    return Annotation.of_file(path, rows, facts=facts, words=words)


def write_eaf(annotation: Annotation, path: Path) -> None:
    """Write ELAN's EAF: the emotions are a controlled vocabulary, the recording is looked for beside the file."""
    from pympi import Eaf

    eaf = Eaf(author=MADE_BY)
    eaf.remove_tier("default")
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    eaf.adocument["DATE"] = annotation.about.get("created", eaf.adocument["DATE"])
    kind = mimetypes.guess_type(annotation.media)[0] or "unknown"
    eaf.add_linked_file(annotation.media, relpath=f"./{annotation.media}", mimetype=kind)
    eaf.add_property(MADE_BY, annotation.audit)
    eaf.add_property("emolab", compact(annotation))
    eaf.add_language(*ENGLISH)
    eaf.add_controlled_vocabulary("emotions")
    for number, emotion in enumerate([*annotation.emotions, UNSURE]):
        eaf.add_cv_entry("emotions", f"cveid{number}", [(emotion, ENGLISH[0], None)])
    parameters = {"LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false"}
    eaf.add_linguistic_type("emotion", param_dict=parameters | {"CONTROLLED_VOCABULARY_REF": "emotions"})
    for name, spans in tiers_of(annotation).items():
        kind, speaker = NAME.fullmatch(name).groups()  # type: ignore[union-attr]
        eaf.add_tier(name, ling="emotion" if kind == "emotion" else "default-lt", part=speaker)
        for span in spans:
            eaf.add_annotation(name, *span)
    eaf.to_file(path)


def read_eaf(path: Path) -> Annotation:
    """Read EAF: tiers of one's own as they were written, of others those without parents, as turns."""
    from pympi import Eaf

    eaf = Eaf(str(path), suppress_version_warning=True)
    slots = pd.Series(eaf.timeslots, dtype="float64").interpolate()  # those within a subdivided interval have no time
    tiers: list[tuple[str, Spans]] = []
    for name, (aligned, _, about, _) in eaf.tiers.items():
        own = NAME.fullmatch(name)
        spans = [(int(slots[start]), int(slots[end]), label) for start, end, label, _ in aligned.values()]
        tiers += [(name if own else about.get("PARTICIPANT") or name, spans)] * bool(own or not about.get("PARENT_REF"))
    facts = json.loads(dict(eaf.properties).get("emolab") or "{}")
    media = (each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL", "") for each in eaf.media_descriptors)
    facts.setdefault("media", next((re.split(r"[/\\]", url)[-1] for url in media), None))
    return annotation_of(path, tiers, facts)


def write_textgrid(annotation: Annotation, path: Path) -> None:
    """Write Praat's TextGrid in its long form; the audit line is a tier of its own."""
    from praatio.utilities import textgrid_io

    rows = {name: [(s / 1000, e / 1000, label) for s, e, label in own] for name, own in tiers_of(annotation).items()}
    last = max([annotation.seconds, *(end for own in rows.values() for _, end, _ in own)])
    rows[MADE_BY] = [(0.0, last, annotation.audit)] * (last > 0)
    size = {"xmin": 0.0, "xmax": last}
    tiers = [size | {"class": "IntervalTier", "name": name, "entries": own} for name, own in rows.items()]
    path.write_text(textgrid_io.getTextgridAsStr(size | {"tiers": tiers}, "long_textgrid", True), encoding="utf-8")


def read_textgrid(path: Path) -> Annotation:
    """Read a TextGrid, long or short, in UTF-8, UTF-16 (as Praat writes it) or Latin-1; point tiers are left out."""
    from praatio.utilities import textgrid_io

    raw = path.read_bytes()
    text = raw.decode("utf-16") if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else read_text(path)
    grid = textgrid_io.parseTextgridStr(text.rstrip() + "\n")  # a last line without its break would be lost
    tiers = [
        (tier["name"], [(round(float(s) * 1000), round(float(e) * 1000), label) for s, e, label in tier["entries"]])
        for tier in grid["tiers"]
        if tier["class"] == "IntervalTier"
    ]
    audit = [label for name, own in tiers for _, _, label in own if name == MADE_BY]
    facts = {"seconds": grid["xmax"], "about": {"audit": audit[0]} if audit else {}}
    return annotation_of(path, [tier for tier in tiers if tier[0] != MADE_BY], facts)
