"""MELD: conversations from the series Friends, each utterance labelled with one of seven emotions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from emolab.corpora.corpus import Corpus
from emolab.corpora.labels import MELD_EMOTIONS
from emolab.corpora.layout import files_below, find_root, raise_problems, table_rows, windows_letters

PARTS = ("train", "dev", "test")
COLUMNS = (
    *("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"),
    *("Season", "Episode", "StartTime", "EndTime"),
)
TIME = re.compile(r"(\d{1,2}):(\d\d):(\d\d)[,.](\d{1,3})", re.ASCII)
CLIP = re.compile(r"(dia\d+_utt\d+)\.(mp4|wav|flac)", re.IGNORECASE | re.ASCII)
COUNT = re.compile(r"\d{1,9}", re.ASCII)
TYPED = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
DEPTH = 4  # folders below the root that are searched for media


def read_meld(root: Path) -> Corpus:
    """Read MELD, its three parts together, from train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv.

    Extra columns: `part` (train, dev, test), `season`, `episode`. Utterances are named "train-dia0-utt0"; `turn` is
    the number that MELD gives them; `start` and `end` are seconds within the episode. MELD's joy is "happy" here.
    Speakers are names of characters, and the three parts share them: a model tested on MELD knows the voices.

    Texts are cleaned: Windows-1252 letters that were read as Latin-1 are put right, curly quotes become straight ones,
    runs of blanks one blank. Times that cannot be read, or that end before they start, become NA; `dropped` lists them.

    Media are optional and found wherever below `root` they lie, by the names of the release: dia0_utt0.mp4 in a folder
    with train, dev or test in its name. The clip is also the sound, unless a dia0_utt0.wav or .flac is there too.

    Raises:
        FileNotFoundError: If one of the three tables is missing.
        ValueError: If they break the format; all problems are listed with row numbers.
    """
    expected = "train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv"
    root = find_root(root, lambda folder: all(_table(folder, part).is_file() for part in PARTS), expected=expected)
    clips = _clips(root)
    rows: list[dict[str, Any]] = []
    dropped: list[tuple[str, str]] = []
    problems: list[str] = []
    for part in PARTS:
        header, cells, ragged = table_rows(_table(root, part))
        if missing := [column for column in COLUMNS if column not in header]:
            ragged = [f"no column {', '.join(missing)}; found: {', '.join(header)[:200] or 'nothing'}"]
            cells = {}
        problems += [f"{part} {problem}" for problem in ragged]
        seen: set[str] = set()
        for number, row in cells.items():
            if problem := _problem(row, seen):
                problems.append(f"{part} row {number}: {problem}")
            else:
                rows.append(_row(row, part, clips, dropped))
    if not rows:
        problems.append("no utterance at all")
    raise_problems(problems, where=root, remedy="Expected the tables as MELD distributes them; fetch these anew.")
    return Corpus.from_rows(
        "meld",
        rows,
        emotions=tuple(MELD_EMOTIONS.values()),
        root=root,
        dropped=pd.DataFrame(dropped, columns=["utterance_id", "reason"]),
        default_view="meld7",
    )


def clean(text: str) -> str:
    """Put right the letters of a text that came by way of a wrong encoding, and its blanks."""
    return " ".join(windows_letters(text).translate(TYPED).split())


def _table(folder: Path, part: str) -> Path:
    return folder / f"{part}_sent_emo.csv"


def _problem(row: dict[str, str], seen: set[str]) -> str:
    """Say what is wrong with a row of a table, empty if nothing is; `seen` collects the names of utterances."""
    if row["Emotion"] not in MELD_EMOTIONS:
        return f"unknown emotion {row['Emotion']!r}; known: {', '.join(MELD_EMOTIONS)}"
    if not clean(row["Speaker"]):
        return "no speaker"
    for column in ("Dialogue_ID", "Utterance_ID", "Season", "Episode"):
        if not COUNT.fullmatch(row[column]):
            return f"{column} is {row[column]!r}, not a whole number"
    name = _name(row)
    if name in seen:
        return f"{name} occurs a second time"
    seen.add(name)
    return ""


def _name(row: dict[str, str]) -> str:
    return f"dia{int(row['Dialogue_ID'])}_utt{int(row['Utterance_ID'])}"


def _row(
    row: dict[str, str], part: str, clips: dict[tuple[str, str, str], str], dropped: list[tuple[str, str]]
) -> dict[str, Any]:
    """Turn a row of a table into one of the corpus."""
    name = _name(row)
    utterance_id = f"{part}-{name.replace('_', '-')}"
    start, end = _seconds(row["StartTime"]), _seconds(row["EndTime"])
    if start is None or end is None or end < start:
        dropped.append((utterance_id, f"its times only: {row['StartTime']!r} to {row['EndTime']!r}"))
        start = end = None
    film = clips.get((part, name, "mp4"))
    return {
        "utterance_id": utterance_id,
        "dialogue_id": utterance_id.rpartition("-")[0],
        "turn": int(row["Utterance_ID"]),
        "speaker": clean(row["Speaker"]),
        "scripted": True,
        "emotion": MELD_EMOTIONS[row["Emotion"]],
        "text": clean(row["Utterance"]) or None,
        "audio_path": clips.get((part, name, "wav")) or clips.get((part, name, "flac")) or film,
        "video_path": film,
        "start": start,
        "end": end,
        "part": part,
        "season": int(row["Season"]),
        "episode": int(row["Episode"]),
    }


def _seconds(time: str) -> float | None:
    """Turn a time such as 00:20:57,256 into seconds; None if it is not one."""
    if not (parts := TIME.fullmatch(time)):
        return None
    hours, minutes, seconds = (int(part) for part in parts.groups()[:3])
    return 3600 * hours + 60 * minutes + seconds + int(parts[4].ljust(3, "0")) / 1000


def _clips(root: Path) -> dict[tuple[str, str, str], str]:
    """Find the media: part, name such as dia0_utt0, and ending give the path relative to `root`."""
    clips: dict[tuple[str, str, str], str] = {}
    for folder, file in files_below(root, depth=DEPTH):
        if name := CLIP.fullmatch(file):
            words = re.split(r"[^a-z]+", folder.as_posix().lower())
            part = next((word for word in reversed(words) if word in PARTS), None)
            if part:
                clips.setdefault((part, name[1].lower(), name[2].lower()), (folder / file).as_posix())
    return clips
