"""An annotation with everything that a format may stumble over."""

from __future__ import annotations

from typing import Any

import pandas as pd

from emolab.annotate.annotation import Annotation

ABOUT = {"model": "audio/svm", "version": "0.2.0", "trained on": "sample", "synthetic": True}
ABOUT |= {"created": "2026-12-01T08:00:00+00:00"}
NAN = float("nan")
COLUMNS = ("start", "end", "speaker", "text", "emotion", "second", "confidence", "unsure", "valence", "arousal")
ROWS: list[tuple[Any, ...]] = [
    (0.25, 1.4, "Ben", "NA", "sad", "happy", 0.6, False, 2.125, 1.5, 0.25, 0.6, 0.15),
    (
        1.5,
        3.0,
        "Ana B",
        "Who's there? “Me” & y'all,\nsaid \"she\": ä 你好",
        "happy",
        "sad",
        0.7,
        True,
        3.0,
        NAN,
        0.7,
        0.2,
        0.1,
    ),
    (2.0, 2.5, "Ben", "", "very angry", "happy", 0.8, False, NAN, NAN, 0.1, 0.1, 0.8),  # while Ana speaks
    (2.4, 2.75, "Ben", "null", None, None, NAN, False, NAN, NAN, NAN, NAN, NAN),  # overlaps his own
    (2.75, 2.75, "Ben", "1 <laughs> {\\an8} --> [sighs] 2", "sad", "happy", 0.5, False, NAN, NAN, 0.3, 0.5, 0.2),
]


def conversation(**about: Any) -> Annotation:
    segments = pd.DataFrame(ROWS, columns=[*COLUMNS, "p_happy", "p_sad", "p_very angry"])
    words = pd.DataFrame({"start": [1.5, 2.0], "end": [1.75, 2.25], "word": ["Who's", "there?"], "segment": 1})
    return Annotation(segments, words.assign(confidence=[0.5, NAN]), "my film.flac", 4.0, ABOUT | about)


def at(hours: float, seconds: float = 1.0, **columns: Any) -> Annotation:
    """Return an annotation of one segment that starts so many hours into a long recording."""
    row = {"start": hours * 3600, "end": hours * 3600 + seconds, "speaker": "Ana", "text": "hm", "emotion": "sad"}
    return Annotation(pd.DataFrame([row | columns]), pd.DataFrame(), "long.wav", 1e6, {})
