"""Annotations in the formats of other tools: each is written and read back.

What comes back (docs/formats.md says which programs were tried, and what becomes of brackets, blanks and the like):

| format        | times | speaker | text | emotion | numbers  | words | about the model |
|---------------|-------|---------|------|---------|----------|-------|-----------------|
| json          | exact | yes     | yes  | yes     | exact    | yes   | yes             |
| audformat     | 1 ns  | yes     | yes  | yes     | exact    | yes   | yes             |
| csv, csv-long | 1 µs  | yes     | yes  | yes     | 6 digits | no    | audit line      |
| eaf           | 1 ms  | yes     | yes  | yes     | 4 digits | yes   | yes             |
| textgrid      | 1 ms  | yes     | yes  | yes     | 4 digits | yes   | audit line      |
| vtt           | 1 ms  | yes     | yes  | yes     | no       | no    | yes             |
| ass           | 10 ms | yes     | yes  | shown   | no       | no    | yes             |
| srt           | 1 ms  | yes     | yes  | shown   | no       | no    | no              |
| audacity      | 1 µs  | yes     | yes  | shown   | no       | no    | audit line      |
| rttm          | 1 ms  | yes     | no   | no      | no       | no    | audit line      |

Numbers are probabilities, confidence, valence and arousal. Shown: "don't know" stands in the place of an emotion that
the model is unsure of, and its best guess is lost.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emolab.annotate import subtitles, tiers
from emolab.annotate.annotation import SEGMENTS, UNITS, YES, Annotation, P
from emolab.corpora.corpus import raise_problems, some
from emolab.corpora.tables import read_text, table_cells
from emolab.storage import atomic_write, read_json, write_json

MADE = "Made by emolab"  # how every audit line begins
WRITTEN = ".emolab-written.json"  # beside the files: the digest of each as it was written
DIGITS = 6  # of numbers in CSV
RTTM_FIELDS = 10
TWIN_S = 1e-6  # between the ends of segments of equal times, which audformat would take for one
DTYPES = {"string": "str", "float64": "float", "int64": "int", "bool": "bool"}  # of audformat


class Form(NamedTuple):
    """A format: how the names of its files end, and what writes and reads one."""

    suffix: str
    write: Callable[[Annotation, Path], None]
    read: Callable[[Path], Annotation]


def write_annotation(annotation: Annotation, path: Path | str, form: str | None = None) -> Path:
    """Write an annotation, whole or not at all, and return the path of the file.

    A file that was edited since it was written here, or that something else wrote, is never overwritten: the new one
    is then called NAME.2, NAME.3 and so on.

    Args:
        annotation: What to write.
        path: Where to; how the name ends says the format.
        form: One of `FORMATS`, where the name does not say it.

    Raises:
        ValueError: If there is no such format, or it cannot hold this annotation.
    """
    path = Path(path)
    suffix, write, _ = FORMATS[_form_of(path, form)]
    stem = path.name[: -len(suffix)] if path.name.lower().endswith(suffix.lower()) else path.stem
    target, number, ending = path, 1, path.name.removeprefix(stem)
    while target.exists() and _written(path.parent).get(target.name) != _digest(target):
        number += 1
        target = path.with_name(f"{stem}.{number}{ending}")
    with atomic_write(target) as part:
        write(annotation, part)
        written = _written(path.parent) | {target.name: _digest(part)}
        write_json(path.parent / WRITTEN, written)  # first, or a kill here would make it somebody else's file
    return target


def read_annotation(path: Path | str, form: str | None = None) -> Annotation:
    """Read an annotation that `write_annotation` or another tool wrote, as it was or corrected by hand.

    Args:
        path: The file; of audformat, the folder.
        form: One of `FORMATS`, where the name does not say it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there is no such format, or the file is not of it.
    """
    path = Path(path)
    name = _form_of(path, form)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; expected an annotation in {name}. Check the name and the folder.")
    try:
        return FORMATS[name].read(path)
    except Exception as error:  # each library has its own
        why = f"{path} cannot be read as {name}: {str(error).rstrip('.') or type(error).__name__}"
        raise ValueError(f"{why}. Expected an intact file of it; say the format if the name misleads.") from error


def _form_of(path: Path, form: str | None) -> str:
    """Return the name of a format, by how a file's name ends if it is not given."""
    fits = [name for name, own in FORMATS.items() if path.name.lower().endswith(own.suffix.lower())]
    found = form or max(fits, key=lambda name: len(FORMATS[name].suffix), default="")
    found = found or "audformat" * (path / "db.yaml").is_file()
    if found not in FORMATS:
        known = ", ".join(f"{name} (*{own.suffix})" for name, own in FORMATS.items())
        raise ValueError(f"no format {form or path.suffix or path.name!r} of annotations; expected one of {known}.")
    return found


def _written(folder: Path) -> dict[str, str]:
    """Return the digests of the files as they were written to a folder, by name."""
    with suppress(OSError, ValueError):
        return read_json(folder / WRITTEN, remedy="")
    return {}


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    return hashlib.sha256(b"".join(hashlib.sha256(each.read_bytes()).digest() for each in files)).hexdigest()


def _write_csv(annotation: Annotation, path: Path, *, long: bool = False) -> None:
    table = annotation.to_frame(long=long).round(DIGITS)
    table.insert(0, "media", annotation.media)
    table.assign(made_by=f"{annotation.audit} {UNITS}").to_csv(path, index=False, encoding="utf-8")


def _read_csv(path: Path) -> Annotation:
    cells, problems = table_cells(path, columns=("start", "end", "speaker"), delimiters=",;\t")
    raise_problems(problems, where=path.name, remedy="Expected names in the first row, and a row a segment")
    table = cells.astype(object).reset_index(drop=True)
    for name in [name for name in table if SEGMENTS.get(name) == "float64" or name.startswith((P, "probability"))]:
        table[name] = table[name].str.replace(",", ".")  # spreadsheets of many countries
    media, made = (next(iter(table.get(name, ())), "") for name in ("media", "made_by"))
    about = {"audit": made.removesuffix(UNITS).strip()} if made else {}
    if "probability" in table:
        table = _widened(table)
    return Annotation.of_file(path, table, facts={"media": media, "about": about})


def _widened(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row a segment of a table that has one for each emotion of it."""
    chosen = table[table["chosen"].str.lower().isin(YES)].set_index("segment")["emotion"]
    shares = table.set_index(["segment", "emotion"])["probability"].replace("", np.nan).unstack()
    shares = shares[[*dict.fromkeys(table["emotion"])]].dropna(axis=1, how="all").add_prefix(P)
    return table.drop_duplicates("segment").set_index("segment").assign(emotion=chosen).join(shares)


def _write_json(annotation: Annotation, path: Path) -> None:
    tables = {"segments": annotation.segments, "words": annotation.words}
    rows = {name: table.astype(object).where(table.notna(), None).to_dict("records") for name, table in tables.items()}
    whole = {"made by": annotation.audit, "units": UNITS, **annotation.facts(), **rows}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False, default=str), encoding="utf-8")


def _read_json(path: Path) -> Annotation:
    whole = read_json(path, remedy="Take an intact copy, or annotate again.")
    return Annotation.of_file(path, whole["segments"], facts=whole, words=whole.get("words", ()))


def _write_audacity(annotation: Annotation, path: Path) -> None:
    rows = [(0.0, 0.0, annotation.audit)]
    for row in annotation.shown.to_dict("records"):
        rows.append((row["start"], row["end"], " ".join(subtitles.caption(row).split())))
    path.write_text("".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows), encoding="utf-8")


def _read_audacity(path: Path) -> Annotation:
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for line in read_text(path).split("\n"):
        start, end, text = (*line.rstrip("\r").split("\t", 2), "", "", "")[:3]
        if text.startswith(MADE):
            facts = {"about": {"audit": text}}
        elif line.strip() and not line.startswith("\\"):  # such a line holds frequencies
            times = {"start": start.replace(",", "."), "end": end.replace(",", ".")}
            rows.append(times | subtitles.read_caption(text))
    return Annotation.of_file(path, rows, facts=facts)


def _write_rttm(annotation: Annotation, path: Path) -> None:
    """Write turns; the audit line is a comment of NIST's format that also has the ten fields of a turn."""
    media = "_".join(Path(annotation.media).stem.split()) or "recording"
    names = {speaker: "_".join(speaker.split()) for speaker in annotation.segments["speaker"]}
    if len({*names.values()}) < len(names):
        why = f"speakers {some(names)} are the same once blanks are _, as RTTM asks; expected names that differ"
        raise ValueError(f"{why}. Rename one.")
    lines = [f";; {media} 1 <NA> <NA> {'_'.join(annotation.audit.split())} <NA> <NA> <NA> <NA>"]
    for row in subtitles.timed(annotation.segments):
        start, seconds = row["start"] / 1000, (row["end"] - row["start"]) / 1000
        lines.append(f"SPEAKER {media} 1 {start:.3f} {seconds:.3f} <NA> <NA> {names[row['speaker']]} <NA> <NA>")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _read_rttm(path: Path) -> Annotation:
    lines = [line.split() for line in read_text(path).split("\n")]
    turns = [line for line in lines if line[:1] == ["SPEAKER"]]
    if len(media := {line[1] for line in turns}) > 1:
        raise ValueError(f"it holds {len(media)} recordings, {some(sorted(media))}; expected one a file")
    rows = [{"start": float(turn[3]), "end": float(turn[3]) + float(turn[4]), "speaker": turn[7]} for turn in turns]
    notes = [line[5].replace("_", " ") for line in lines if line[:1] == [";;"] and len(line) == RTTM_FIELDS]
    audit = next((note for note in notes if note.startswith(MADE)), None)
    facts = {"media": next(iter(media), None), "about": {"audit": audit} if audit else {}}
    return Annotation.of_file(path, rows, facts=facts)


def _write_audformat(annotation: Annotation, path: Path) -> None:
    import audformat

    about = {"name": "emolab", "description": annotation.audit, "usage": audformat.define.Usage.OTHER}
    database = audformat.Database(**about, meta={"emolab": json.dumps(annotation.facts(), default=str)})
    database.raters["model"] = audformat.Rater(audformat.define.RaterType.MACHINE)
    labels = {"emotion": annotation.emotions, "second": annotation.emotions}
    labels["speaker"] = (*annotation.segments["speaker"].unique(),)
    for name, table in {"segments": annotation.segments, "words": annotation.words}.items():
        twins = table.groupby(["start", "end"]).cumcount() * TWIN_S
        times = [pd.to_timedelta(seconds, unit="s") for seconds in (table["start"], table["end"] + twins)]
        database[name] = audformat.Table(audformat.segmented_index([annotation.media] * len(table), *times))
        for column in table.columns.drop(["start", "end"]):
            limits = {"minimum": 0.0, "maximum": 1.0} if column == "confidence" or column.startswith(P) else {}
            kind = {"labels": [*labels[column]]} if labels.get(column) else {"dtype": DTYPES[str(table[column].dtype)]}
            database.schemes[column] = audformat.Scheme(**kind, **limits)
            database[name][column] = audformat.Column(scheme_id=column, rater_id="model")
            database[name][column].set(table[column].to_numpy())
    database.save(str(path))


def _read_audformat(path: Path) -> Annotation:
    import audformat

    database = audformat.Database.load(str(path), load_data=True)
    tables = {name: database[name].df.reset_index() for name in ("segments", "words") if name in database}
    for table in tables.values():
        table[["start", "end"]] = table[["start", "end"]].apply(lambda times: times.dt.total_seconds())
    facts = json.loads(database.meta.get("emolab", "{}"))
    facts.setdefault("media", next(iter(tables["segments"]["file"]), None))
    return Annotation.of_file(path, tables["segments"], facts=facts, words=tables.get("words", ()))


FORMATS = {
    "csv": Form(".csv", _write_csv, _read_csv),
    "csv-long": Form(".long.csv", partial(_write_csv, long=True), _read_csv),
    "json": Form(".json", _write_json, _read_json),
    "srt": Form(".srt", subtitles.write_srt, subtitles.read_srt),
    "vtt": Form(".vtt", subtitles.write_vtt, subtitles.read_vtt),
    "ass": Form(".ass", subtitles.write_ass, subtitles.read_ass),
    "eaf": Form(".eaf", tiers.write_eaf, tiers.read_eaf),
    "textgrid": Form(".TextGrid", tiers.write_textgrid, tiers.read_textgrid),
    "audacity": Form(".txt", _write_audacity, _read_audacity),
    "rttm": Form(".rttm", _write_rttm, _read_rttm),
    "audformat": Form(".audformat", _write_audformat, _read_audformat),
}
