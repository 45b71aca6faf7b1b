"""The table that annotating a recording gives."""

from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Annotation:
    """Segments of one recording, with what was recognized in each.

    Attributes:
        segments: One row a segment: start and end in seconds, speaker, text, emotion, second (the second choice),
            confidence from 0 to 1, unsure (bool), p_<emotion> for each emotion, valence and arousal (NaN: unknown).
        words: One row a word: start and end in seconds, word, segment (its row in `segments`), confidence; may be
            empty.
        media: Name of the recording's file.
        seconds: Length of the recording.
        about: What made it: model, version, emotions, trained on, synthetic, asr, diarization, units, audit, created.
    """

    segments: pd.DataFrame
    words: pd.DataFrame
    media: str
    seconds: float
    about: dict[str, Any]
