"""What workers do in the tests of the page: quick, and the same on every machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emolab.annotate.annotation import Annotation
from emolab.media import read_audio

EMOTIONS = ("neutral", "happy", "sad", "angry")
SEGMENT_S = 1.5
WORDS = "you <b>never</b> listen"


def prepare(model: Path | None) -> None:
    """Need nothing."""


def annotate(
    path: Path, *, model: Path | None = None, words_only: bool = False, names: Sequence[str] = ()
) -> Annotation:
    """Cut a recording in segments of 1.5 s, two speakers in turn; the emotion goes by the level of the sound."""
    wave, rows = read_audio(path), []
    seconds = len(wave) / 16_000
    for number in range(int(seconds / SEGMENT_S)):
        start = number * SEGMENT_S
        level = np.abs(wave[int(16_000 * start) : int(16_000 * (start + SEGMENT_S))]).mean()
        shares = np.roll([0.7, 0.1, 0.1, 0.1] if number else [0.4, 0.3, 0.2, 0.1], int(level > 0.05))
        emotion, speaker = EMOTIONS[shares.argmax()], [*names, "Speaker 1", "Speaker 2"][number % 2]
        row = {"start": start, "end": start + SEGMENT_S, "speaker": speaker, "text": WORDS, "emotion": emotion}
        row |= {"confidence": shares.max(), "unsure": shares.max() < 0.5}
        rows.append(row | {f"p_{name}": share for name, share in zip(EMOTIONS, shares, strict=True)})
    about = {"model": "level", "emotions": EMOTIONS, "modalities": ["text"] if words_only else ["audio", "text"]}
    return Annotation(pd.DataFrame(rows), pd.DataFrame(), Path(path).name, seconds, about)


def playable(path: Path, _: Path) -> Path:
    """Return the recording."""
    return path


def why(path: Path, row: Mapping[str, Any], **_: Any) -> tuple[dict[str, dict[str, float]], list[dict[str, Any]]]:
    """Say that the voice is neutral, and that the second word and the third tenth of a second count."""
    units = {"text": (WORDS.split(), "leave out"), "audio": ([f"{k / 10:.1f} s" for k in range(15)], "silence")}
    found = []
    for modality, (names, baseline) in units.items():
        values = np.where(np.arange(len(names)) == (1 if modality == "text" else 2), 1.0, -0.25)
        spans = np.stack([np.arange(len(names)), np.arange(len(names)) + 1], axis=1) / 10
        one = {"modality": modality, "emotion": row["emotion"], "names": names, "values": values, "spans": spans}
        found.append(one | {"method": "ablation", "baseline": baseline})
    return {"audio": {"neutral": 0.9, "happy": 0.1}}, found


def held(path: Path, **how: Any) -> Annotation:
    """Wait for the file `go` in the folder of uploads."""
    go = Path(os.environ.get("GRADIO_TEMP_DIR", ""), "go")
    for _ in range(600):
        if go.is_file():
            break
        time.sleep(0.1)
    return annotate(path, **how)


def die(*_: object, **__: object) -> None:
    """End like a process that the system kills."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_memory(*_: object, **__: object) -> int:
    """Ask for 64 GB."""
    return len(np.ones(8 * 2**30))


def number_of_process() -> int:
    """Return the number of the worker's process."""
    return os.getpid()
