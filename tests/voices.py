"""A corpus of one's own, made of the synthetic voices: recordings in a folder, and a CSV file that lists them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile

from emolab.corpora import load_corpus
from emolab.media import SAMPLE_RATE, read_audio

FOUR = ("neutral", "happy", "sad", "angry")


def own(folder: Path, n_speakers: int = 6, *, emotions: Sequence[str] = FOUR) -> list[dict[str, Any]]:
    """Write one wav an utterance and mine.csv: id, speaker, emotion, audio; return its rows."""
    voices = load_corpus("sample-ravdess")
    table = voices.table[voices.table["emotion"].isin(emotions)]
    table = table[table["speaker"].isin(sorted(table["speaker"].unique())[:n_speakers])]
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, row in table.iterrows():
        soundfile.write(folder / f"{number}.wav", read_audio(voices.root / row["audio_path"]), SAMPLE_RATE)
        about = {"id": f"u{number}", "speaker": f"p{row['speaker']}", "emotion": row["emotion"]}
        rows.append({**about, "audio": f"{number}.wav"})
    write(folder / "mine.csv", rows)
    return rows


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path
