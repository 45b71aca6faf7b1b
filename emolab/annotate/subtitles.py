"""Annotations as subtitles: SRT, WebVTT and ASS, and the captions that they share with Audacity's labels."""

import html
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab import storage
from emolab.annotate.annotation import UNSURE, Annotation
from emolab.corpora.tables import read_text
from emolab.storage import toml_beside

NOBODY = "unknown"  # speaks where a file names no speaker
LIMIT_S = {"SRT": 360_000, "ASS": 36_000}  # players read two digits of hours in SRT, one in ASS
STAMP = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
TIMING = re.compile(rf"[ \t]*{STAMP}[ \t]*-->[ \t]*{STAMP}")
CAPTION = re.compile(
    r"([^:\[\]\n]+) \[([^\]\n]+)\]:\s?|([^:\[\].,!?;\n]{1,40}):(?: |$)"
)  # speaker [emotion]: or speaker:
VOICE = re.compile(r"<v((?:\.[^\s.>]+)*)(?:[ \t]+([^>]*))?>(.*?)(?=<v[.\s>]|\Z)", re.DOTALL)
COMMANDS = str.maketrans("<>{}\\", "[][]/")  # what SRT and ASS would take for them, and no escape helps
LUMINANCE = 0.3  # of a subtitle's colour, at least: 7 to 1 against black, as the WCAG asks for at its level AAA
Row = dict[str, Any]
CHANNELS = (0.2126, 0.7152, 0.0722)  # shares of red, green and blue in the luminance


def caption(row: Row) -> str:
    """Return a segment as one text, such as `Ana [happy]: Come in.`; brackets and colons of names are lost."""
    speaker = " ".join(re.sub(r"[:\[\]]", " ", row["speaker"]).split()) or NOBODY
    label = f" [{row['label']}]" * bool(row["label"])
    return f"{speaker}{label}: {row['text']}"


def read_caption(text: str) -> Row:
    """Return speaker, emotion and text of such a text; a text without a speaker is somebody's unknown."""
    found = CAPTION.match(text)
    speaker, label = (found[1] or found[3], found[2]) if found else (NOBODY, None)
    return {"speaker": speaker, "text": text[found.end() :] if found else text} | as_label(label)


def as_label(label: str | None) -> Row:
    """Return emotion and unsure of what is shown in an emotion's place."""
    return {"emotion": None if label == UNSURE else label, "unsure": label == UNSURE}


def timed(annotation: Annotation, *, step_ms: int = 1) -> list[Row]:
    """Return the segments with a label; start and end in whole milliseconds, at least one step apart."""
    return whole(annotation.segments.assign(label=annotation.labels), step_ms=step_ms).to_dict("records")


def whole(table: pd.DataFrame, *, step_ms: int = 1) -> pd.DataFrame:
    """Return a table with its start and end in whole milliseconds, at least one step apart."""
    start, end = ((table[name] * 1000 / step_ms).round().astype("int64") * step_ms for name in ("start", "end"))
    return table.assign(start=start, end=np.maximum(end, start + step_ms))


def compact(annotation: Annotation) -> str:
    """Return the facts of a recording as one line of JSON that no format takes for an arrow or a tag."""
    line = json.dumps(annotation.facts(), default=str)
    return re.sub("[<>]", lambda found: f"\\u{ord(found[0]):04x}", line)


def write_srt(annotation: Annotation, path: Path) -> None:
    """Write SRT: speaker and emotion stand before the words, without colours."""
    _check_length(annotation, "SRT")
    cues = [f"{_timing(row, ',')}\n{_lines(caption(row)).translate(COMMANDS)}\n" for row in timed(annotation)]
    path.write_text("\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, start=1)), encoding="utf-8")


def read_srt(path: Path) -> Annotation:
    """Read SRT, also without speakers or emotions, which are NA then."""
    rows = [{"start": start, "end": end} | read_caption(text) for start, end, text in _cues(path)]
    return Annotation.of_file(path, rows, facts={})


def write_vtt(annotation: Annotation, path: Path) -> None:
    """Write WebVTT: the speaker is the voice, the emotion its class, whose colour is in a style block."""
    colors = palette(annotation.emotions)
    styles = [f"::cue(.{_class(emotion)}) {{ color: {color} }}" for emotion, color in colors.items()]
    parts = ["WEBVTT", f"NOTE {annotation.audit}", f"NOTE emolab {compact(annotation)}"]
    parts += ["\n".join(["STYLE", *styles])] * bool(styles)
    for number, row in enumerate(timed(annotation), start=1):
        classes = f".{_class(row['emotion'])}" * (row["emotion"] in colors) + ".unsure" * row["unsure"]
        speaker, words = (html.escape(_lines(row[name]), quote=False) for name in ("speaker", "text"))
        parts.append(f"{number}\n{_timing(row, '.')}\n<v{classes} {speaker}>{words}</v>")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def read_vtt(path: Path) -> Annotation:
    """Read WebVTT; a cue of several voices becomes a segment each."""
    note = re.search(r"^NOTE emolab (\{.*\})$", read_text(path), re.MULTILINE)
    facts = json.loads(note[1]) if note else {}
    named, rows = {_class(emotion): emotion for emotion in facts.get("about", {}).get("emotions", ())}, []
    for start, end, text in _cues(path):
        for classes, voice, words in VOICE.findall(text) or [("", "", text)]:
            plain = html.unescape(re.sub(r"<[^>]*>", "", words)).strip()
            row = {"speaker": html.unescape(voice).strip(), "text": plain} if voice.strip() else read_caption(plain)
            marks = [mark for mark in classes.split(".") if mark]
            row["emotion"] = next((named[mark] for mark in marks if mark in named), row.get("emotion"))
            rows.append(row | {"start": start, "end": end, "unsure": "unsure" in marks or row.get("unsure", False)})
    return Annotation.of_file(path, rows, facts=facts)


def write_ass(annotation: Annotation, path: Path) -> None:
    """Write ASS: the speaker is the actor, the emotion a style with its colour; brackets { } < > become [ ]."""
    import pysubs2

    _check_length(annotation, "ASS")
    subtitles = pysubs2.SSAFile()
    subtitles.info |= {"Title": annotation.media, "emolab": compact(annotation)}
    for emotion, color in palette(annotation.emotions).items():
        red, green, blue = bytes.fromhex(color[1:])
        subtitles.styles[_style(emotion)] = pysubs2.SSAStyle(primarycolor=pysubs2.Color(red, green, blue))
    subtitles.styles[UNSURE] = pysubs2.SSAStyle()
    for row in timed(annotation, step_ms=10):
        name, style = row["speaker"].replace(",", " "), _style(row["label"]) or "Default"
        event = pysubs2.SSAEvent(start=row["start"], end=row["end"], name=name, style=style)
        event.plaintext = _lines(row["text"]).translate(COMMANDS)
        subtitles.append(event)
    path.write_text(subtitles.to_string("ass", header_notice=annotation.audit), encoding="utf-8")


def read_ass(path: Path) -> Annotation:
    """Read ASS; styles are emotions where emolab wrote it."""
    import pysubs2

    subtitles = pysubs2.SSAFile.from_string(read_text(path), "ass")
    facts = json.loads(subtitles.info.get("emolab", "{}"))
    named = {_style(label): label for label in [*facts.get("about", {}).get("emotions", ()), UNSURE] if facts}
    rows = []
    for event in subtitles.get_text_events():
        row = {"speaker": event.name.strip() or NOBODY, "text": event.plaintext} | as_label(named.get(event.style))
        rows.append(row | {"start": event.start / 1000, "end": event.end / 1000})
    return Annotation.of_file(path, rows, facts=facts)


def palette(emotions: Collection[str]) -> dict[str, str]:
    """Return a colour for each emotion, #rrggbb: that of the figures, light enough to be read on black."""
    table = toml_beside(storage.__file__, "plots.toml")
    spare = iter(table["series_colors"] * (1 + len(emotions) // len(table["series_colors"])))
    return {emotion: _lightened(table["emotions"].get(emotion, [""])[0] or next(spare)) for emotion in emotions}


def _lightened(color: str) -> str:
    """Mix a colour with as much white as `LUMINANCE` asks for."""
    own = np.array([*bytes.fromhex(color[1:])]) / 255
    for share in np.linspace(0, 1, 51):
        mixed = own + (1 - own) * share
        if np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4) @ CHANNELS >= LUMINANCE:
            break
    return "#" + bytes(np.round(mixed * 255).astype(np.uint8)).hex()


def _check_length(annotation: Annotation, name: str) -> None:
    last = annotation.segments["end"].max()
    if last >= LIMIT_S[name]:
        why = f"a segment ends {last:.0f} s into the recording; expected less than {LIMIT_S[name]} s, all that {name}"
        raise ValueError(f"{why} can say. Write WebVTT, EAF or CSV.")


def _timing(row: Row, mark: str) -> str:
    stamps = []
    for time_ms in (row["start"], row["end"]):
        seconds, ms = divmod(time_ms, 1000)
        stamps.append(f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{ms:03d}")
    return " --> ".join(stamps)


def _lines(text: str) -> str:
    """Leave out empty lines, which would end a cue."""
    return re.sub(r"\s*\n\s*", "\n", text)


def _class(emotion: str) -> str:
    """Return an emotion as a class of CSS."""
    return re.sub(r"^(?=\d)|\W", "_", str(emotion))


def _style(label: str) -> str:
    """Return an emotion as the name of a style of ASS."""
    return label.replace(",", " ")


def _cues(path: Path) -> list[tuple[float, float, str]]:
    """Return start and end in seconds and the text of each cue of SRT or WebVTT, whichever mark its times have."""
    text = re.sub("\r\n?", "\n", read_text(path))
    cues: list[tuple[float, float, str]] = []
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        lines = block.strip("\n").split("\n")
        place = next((number for number, line in enumerate(lines[:2]) if TIMING.match(line)), None)
        if place is not None:
            groups = TIMING.match(lines[place]).groups()  # type: ignore[union-attr]
            cues.append((_seconds(*groups[:4]), _seconds(*groups[4:]), "\n".join(lines[place + 1 :]).strip()))
        elif cues and not block.startswith(("NOTE", "STYLE", "REGION")):  # an empty line amid the words
            cues[-1] = (*cues[-1][:2], f"{cues[-1][2]}\n{block.strip()}".strip())
    if not cues and text.strip() and "NOTE emolab" not in text:
        raise ValueError("no cue in it; expected lines such as 00:00:01.000 --> 00:00:02.500 above the words")
    return cues


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(f"{seconds}.{fraction}")
