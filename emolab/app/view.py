"""What the page shows of an annotation: player, time line, transcript, radar chart, words coloured by attribution."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader

from emolab.annotate.annotation import Annotation, P
from emolab.app.worker import TEXTS
from emolab.plots import EMOTION_COLORS, SERIES_COLORS
from emolab.storage import toml_beside

_LOADER = FileSystemLoader(Path(__file__).parent)
PIECES: Any = Environment(loader=_LOADER, autoescape=True).get_template("view.html").module
SAYS: Mapping[str, str] = TEXTS["result"]
NO_COLOR = "#5f6368"
LONG_S, PIXELS_A_SECOND = 60, 14  # the time line of a longer recording scrolls
FOR, AGAINST = "196,30,30", "30,80,200"  # red and blue of attributions
MAX_ALPHA = 0.55  # the page's ink keeps a contrast of 4.5 to 1 on it
DASHES = ("solid", "dash", "dot", "dashdot")
RADAR = toml_beside(__file__, "settings.toml")["radar"]


def clock(seconds: float) -> str:
    """Write a moment of a recording, such as 1:02.5."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def color_of(emotion: Any, emotions: Sequence[str]) -> str:
    """Return the colour of an emotion, #rrggbb; grey for none."""
    if pd.isna(emotion) or emotion not in emotions:
        return NO_COLOR
    return str(EMOTION_COLORS.get(emotion, SERIES_COLORS[emotions.index(emotion) % len(SERIES_COLORS)]))


def described(annotation: Annotation) -> list[dict[str, Any]]:
    """Return what is shown of each segment: who, when, what was found, how sure the model is, its colour and place."""
    shown, seconds = [], max(annotation.seconds, 0.1)
    for row in annotation.segments.itertuples():
        label = SAYS["none"] if pd.isna(row.emotion) else str(row.emotion)
        label = SAYS["guess"].format(emotion=label) if row.unsure and pd.notna(row.emotion) else label
        sure = "" if pd.isna(row.confidence) else SAYS["confidence"].format(percent=100 * row.confidence)
        one = {"number": row.Index, "speaker": row.speaker, "label": label, "confidence": sure, "text": row.text}
        one |= {"start": round(row.start, 3), "end": round(row.end, 3), "unsure": row.unsure}
        one |= {"from": clock(row.start), "to": clock(row.end), "color": color_of(row.emotion, annotation.emotions)}
        left, width = 100 * row.start / seconds, 100 * (row.end - row.start) / seconds
        one |= {"title": SAYS["segment"].format(**one).rstrip(", "), "place": f"left:{left:.3f}%;width:{width:.3f}%"}
        shown.append(one)
    return shown


def parts(annotation: Annotation, files: Mapping[str, Path], media: Path) -> tuple[str, str, str]:
    """Return player and time line, transcript, and links to the files of each format."""
    segments = described(annotation)
    width = f"min-width:{annotation.seconds * PIXELS_A_SECOND:.0f}px" if annotation.seconds > LONG_S else ""
    emotions = [(emotion, color_of(emotion, annotation.emotions)) for emotion in annotation.emotions]
    player = PIECES.player(SAYS, address_of(media), address_of(files["vtt"]), segments, emotions, width)
    links = PIECES.downloads([(path.name, address_of(path)) for path in files.values()])
    return str(player), str(PIECES.transcript(SAYS, segments)), str(links)


def heading(annotation: Annotation, number: int) -> str:
    """Say which segment is shown, in Markdown."""
    facts = {name: escape(str(fact)) for name, fact in described(annotation)[number].items() if name != "number"}
    return SAYS["chosen"].format(number=number + 1, n=len(annotation), **facts)


def radar(annotation: Annotation, number: int, alone: Mapping[str, Mapping[str, float]] | None = None) -> go.Figure:
    """Draw the probabilities of a segment: of all modalities together, and of each alone where they are known."""
    row, figure = annotation.segments.iloc[number], go.Figure()
    names = [emotion for emotion in annotation.emotions if pd.notna(row.get(P + emotion))]
    lines = {"all": {name: row[P + name] for name in names}} | dict(alone or {})
    for place, (modality, shares) in enumerate(lines.items()):
        values = [float(shares.get(name, 0.0)) for name in names]
        line = {"color": SERIES_COLORS[place], "width": 2 if place else 3, "dash": DASHES[place % len(DASHES)]}
        closed = {"r": [*values, *values[:1]], "theta": [*names, *names[:1]]}  # the line comes back to its beginning
        fill = "none" if place else "toself"
        figure.add_trace(go.Scatterpolar(**closed, name=SAYS.get(modality, modality), line=line, fill=fill))
    return figure.update_layout(RADAR, showlegend=len(lines) > 1)


def reasons(explanations: Sequence[Mapping[str, Any]], start: float) -> str:
    """Return words and tenths of a second, coloured by what each adds to the emotion that was recognized.

    Args:
        explanations: One a modality: modality, emotion, names, values, spans (n, 2) in seconds, method and baseline.
        start: Of the segment in the recording, seconds.
    """
    shown = []
    for one in explanations:
        shares, units = one["values"] / max(np.abs(one["values"]).max(initial=0.0), 1e-9), []
        for name, value, share, span in zip(one["names"], one["values"], shares, one["spans"], strict=True):
            color = f"rgba({FOR if value > 0 else AGAINST},{MAX_ALPHA * abs(share):.2f})"
            units.append({"name": name, "value": value, "color": color, "start": span[0], "end": span[1]})
        shown.append({**one, "units": units})
    return str(PIECES.reasons(TEXTS["why"], shown, start))


def address_of(path: Path) -> str:
    """Return the address of a file, relative to the page; another one after each change, so that none is kept."""
    return f"gradio_api/file={quote(str(path))}?{path.stat().st_mtime_ns}"
