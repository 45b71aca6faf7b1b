"""Annotations as subtitles: SRT, WebVTT and ASS, and the captions that SRT shares with Audacity's labels."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.annotate.annotation import UNSURE, Annotation
from emolab.corpora.tables import read_text
from emolab.storage import toml_beside

Row = dict[str, Any]
COLORS: dict[str, str] = toml_beside(__file__, "subtitles.toml")["colors"]  # emotion: #rrggbb; others are white
NOBODY = "unknown"  # speaks where a file names no speaker
LIMIT_S = {"SRT": 360_000, "ASS": 36_000}  # players read two digits of hours in SRT, one in ASS
CLOCK = r"[ \t]*((?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3})"
TIMING = re.compile(rf"(?:[^\n]*\n)?{CLOCK}[ \t]*-->{CLOCK}[^\n]*\n?")
# Ana [happy]: or Ana:
CAPTION = re.compile(r"([^:\[\]\n]+) \[([^\]\n]+)\]:\s?|([^:\[\].,!?;\n]{1,40}):(?: |$)")
VOICE = re.compile(r"<v((?:\.[^\s.>]+)*)(?:[ \t]+([^>]*))?>(.*?)(?=<v[.\s>]|\Z)", re.DOTALL)
COMMANDS = str.maketrans("<>{}\\", "[][]/")  # what SRT and ASS would take for them, and no escape helps


def caption(row: Row) -> str:
    """Return a segment as one text, such as `Ana [happy]: Come in.`; brackets and colons of names are lost."""
    speaker = " ".join(re.sub(r"[:\[\]]", " ", row["speaker"]).split()) or NOBODY
    label = f" [{row['label']}]" * bool(row["label"])
    return f"{speaker}{label}: {row['text']}".rstrip()


def read_caption(text: str) -> Row:
    """Return speaker, emotion and text of such a text; without a speaker it is `NOBODY`'s."""
    found = CAPTION.match(text)
    speaker, label = (found[1] or found[3], found[2]) if found else (NOBODY, None)
    return {"speaker": speaker, "text": text[found.end() :] if found else text, "emotion": label}


def timed(table: pd.DataFrame, *, step_ms: int = 1) -> list[Row]:
    """Return rows whose start and end are whole milliseconds, at least one step apart."""
    start, end = ((table[name] * 1000 / step_ms).round().astype("int64") * step_ms for name in ("start", "end"))
    return [*table.assign(start=start, end=np.maximum(end, start + step_ms)).to_dict("records")]


def compact(annotation: Annotation) -> str:
    """Return the facts of a recording as one line of JSON that no format takes for an arrow or a tag."""
    return re.sub("[<>]", lambda found: f"\\u{ord(found[0]):04x}", json.dumps(annotation.facts(), default=str))


def write_srt(annotation: Annotation, path: Path) -> None:
    """Write SRT: speaker and emotion stand before the words, without colours."""
    _check_length(annotation, "SRT")
    path.write_text(_cues(annotation, ",", lambda row: caption(row).translate(COMMANDS)), encoding="utf-8")


def read_srt(path: Path) -> Annotation:
    """Read SRT, also without speakers or emotions."""
    return Annotation.of_file(path, [times | read_caption(_plain(text)) for times, text in _read_cues(path)], facts={})


def write_vtt(annotation: Annotation, path: Path) -> None:
    """Write WebVTT: the speaker is the voice, the emotion its class, whose colour is in a style block."""

    def voice(row: Row) -> str:
        classes = ("." + _class(row["emotion"]) if isinstance(row["emotion"], str) else "") + ".unsure" * row["unsure"]
        speaker, words = (html.escape(row[name], quote=False) for name in ("speaker", "text"))
        return f"<v{classes} {speaker}>{words}</v>"

    colors = [f"::cue(.{_class(name)}) {{ color: {COLORS.get(name, '#ffffff')} }}" for name in annotation.emotions]
    head = ["WEBVTT", f"NOTE {annotation.audit}", f"NOTE emolab {compact(annotation)}"]
    head += ["\n".join(["STYLE", *colors])] * bool(colors)
    path.write_text("\n\n".join([*head, _cues(annotation, ".", voice)]), encoding="utf-8")


def read_vtt(path: Path) -> Annotation:
    """Read WebVTT; a cue of several voices becomes a segment each."""
    note = re.search(r"^NOTE emolab (\{.*\})$", read_text(path), re.MULTILINE)
    facts = json.loads(note[1]) if note else {}
    named = {_class(emotion): emotion for emotion in facts.get("about", {}).get("emotions", ())}
    rows: list[Row] = []
    for times, text in _read_cues(path):
        for classes, speaker, words in VOICE.findall(text) or [("", "", text)]:
            plain, voice, marks = _plain(words), html.unescape(speaker), classes.split(".")
            emotion = next((named[mark] for mark in marks if mark in named), None)
            told = {"speaker": voice, "text": plain, "emotion": emotion, "unsure": "unsure" in marks}
            rows.append(times | (told if voice else read_caption(plain)))
    return Annotation.of_file(path, rows, facts=facts)


def write_ass(annotation: Annotation, path: Path) -> None:
    """Write ASS: the speaker is the actor, the emotion a style with its colour."""
    import pysubs2

    _check_length(annotation, "ASS")
    subtitles = pysubs2.SSAFile()
    subtitles.info |= {"Title": annotation.media, "emolab": compact(annotation)}
    for label in [*annotation.emotions, UNSURE]:
        color = pysubs2.Color(*bytes.fromhex(COLORS.get(label, "#ffffff")[1:]))
        subtitles.styles[_style(label)] = pysubs2.SSAStyle(primarycolor=color)
    for row in timed(annotation.shown, step_ms=10):
        name, style = row["speaker"].replace(",", " "), _style(row["label"]) or "Default"
        event = pysubs2.SSAEvent(start=row["start"], end=row["end"], name=name, style=style)
        event.plaintext = row["text"].translate(COMMANDS)
        subtitles.append(event)
    path.write_text(subtitles.to_string("ass", header_notice=annotation.audit), encoding="utf-8")


def read_ass(path: Path) -> Annotation:
    """Read ASS; styles are emotions where emolab wrote it."""
    import pysubs2

    subtitles = pysubs2.SSAFile.from_string(read_text(path), "ass")
    facts = json.loads(subtitles.info.get("emolab", "{}"))
    named = {_style(label): label for label in [*facts.get("about", {}).get("emotions", ()), UNSURE] if facts}
    rows: list[Row] = []
    for event in subtitles.get_text_events():
        row = {"start": event.start / 1000, "end": event.end / 1000, "speaker": event.name.strip() or NOBODY}
        rows.append(row | {"text": event.plaintext, "emotion": named.get(event.style)})
    return Annotation.of_file(path, rows, facts=facts)


def _check_length(annotation: Annotation, name: str) -> None:
    if (last := annotation.segments["end"].max()) >= LIMIT_S[name]:
        why = f"a segment ends at {last:.0f} s; expected less than {LIMIT_S[name]} s, the last that {name} can say"
        raise ValueError(f"{why}. Write WebVTT, EAF or CSV.")


def _cues(annotation: Annotation, mark: str, text_of: Callable[[Row], str]) -> str:
    """Return numbered cues; empty lines within would end them."""
    cues = []
    for number, row in enumerate(timed(annotation.shown), start=1):
        cues.append(f"{number}\n{_clock(row['start'], mark)} --> {_clock(row['end'], mark)}\n{text_of(row)}")
    return "\n\n".join(re.sub(r"\s*\n\s*", "\n", cue) for cue in cues) + "\n"


def _clock(time_ms: int, mark: str) -> str:
    seconds, ms = divmod(time_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{ms:03d}"


def _read_cues(path: Path) -> list[tuple[Row, str]]:
    """Return start and end in seconds, and the text, of each cue of SRT or WebVTT, whichever mark its times have."""
    text, cues = re.sub("\r\n?", "\n", read_text(path)), list[tuple[Row, str]]()
    for block in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")):
        if found := TIMING.match(block):
            stamps = (f"{'0:' * (stamp.count(':') < 2)}{stamp.replace(',', '.')}" for stamp in found.groups())
            times = (pd.Timedelta(stamp).total_seconds() for stamp in stamps)
            cues.append((dict(zip(("start", "end"), times, strict=True)), block[found.end() :].strip()))
        elif cues and not block.startswith(("NOTE", "STYLE", "REGION")):  # an empty line amid the words
            cues[-1] = (cues[-1][0], f"{cues[-1][1]}\n{block}".strip())
    if not cues and text.strip() and "NOTE emolab" not in text:
        raise ValueError("no cue in it; expected lines such as 00:00:01.000 --> 00:00:02.500 above the words")
    return cues


def _plain(text: str) -> str:
    """Return a cue's text without tags, and with the letters that entities stand for."""
    return html.unescape(re.sub(r"</?\w[^<>]*>", "", text))


def _class(emotion: str) -> str:
    """Return an emotion as a class of CSS."""
    return re.sub(r"^(?=\d)|\W", "_", emotion)


def _style(label: str) -> str:
    """Return a label as the name of a style of ASS."""
    return label.replace(",", " ")
