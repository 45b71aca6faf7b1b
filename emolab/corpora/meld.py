"""MELD: conversations from the series Friends, each utterance labelled with one of seven emotions."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emolab.corpora.corpus import DATA, LABELS, Corpus, is_strict, raise_problems
from emolab.corpora.tables import COUNT, files_below, find_root, table_cells, windows_letters

EMOTIONS = LABELS["meld"]
PARTS, TABLE = ("train", "dev", "test"), "{}_sent_emo.csv"
NUMBERS = ("Dialogue_ID", "Utterance_ID", "Season", "Episode")
COLUMNS = ("Utterance", "Speaker", "Emotion", *NUMBERS, "StartTime", "EndTime")
TIME = re.compile(r"(\d{1,2}):(\d\d):(\d\d)[,.](\d{1,3})", re.ASCII)
CLIP = re.compile(r"(dia\d+)_(utt\d+)\.(mp4|wav|flac)", re.ASCII)
TYPED = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"'})
RELEASE = DATA["meld"]  # how many utterances it has, and its defects


def read_meld(root: Path, *, strict: bool | None = None) -> Corpus:
    """Read MELD, its three parts together, from train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv.

    Extra columns: `part` (train, dev, test), `season`, `episode`. Utterances are named "train-dia0-utt0"; `turn` is
    the number that MELD gives them; `start` and `end` are seconds within the episode. MELD's joy is "happy" here.
    Speakers are names of characters, and the three parts share them: a model tested on MELD knows the voices.

    Texts are cleaned: Windows-1252 letters that were read as Latin-1 are put right, curly quotes become straight ones,
    runs of blanks one blank. Times that cannot be read, or that end before they start, become NA; `dropped` lists them.

    Media are optional and found wherever below `root` they lie, by the names of the release: dia0_utt0.mp4 in a folder
    with train, dev or test in its name. The clip is also the sound, unless a dia0_utt0.wav or .flac is there too. Where
    there are clips, `dropped` lists the utterances of which there is none, or only a broken one: their words remain.

    Args:
        root: The folder of the tables, or one level above or below.
        strict: Do not read a corpus in part: tables with fewer rows than were published, or clips that are missing,
            are an error instead of a line in `dropped`. None asks the environment variable EMOLAB_STRICT.

    Raises:
        FileNotFoundError: If one of the three tables is missing.
        ValueError: If they break the format, or `strict` and something is missing; all is listed, with row numbers.
    """
    expected = "train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv"
    root = find_root(root, lambda at: all((at / TABLE.format(part)).is_file() for part in PARTS), expected=expected)
    clips = {clip: path for clip, path in _clips(root).items() if clip != (RELEASE["broken"], "mp4")}
    rows: dict[str, dict[str, Any]] = {}
    dropped: list[tuple[str, str]] = []
    problems: list[str] = []
    for part in PARTS:
        cells, faults = table_cells(root / TABLE.format(part), columns=COLUMNS)
        problems += [f"{part} {fault}" for fault in faults]
        for number, cell in cells.to_dict("index").items():
            if problem := _problem(cell):
                problems.append(f"{part} row {number}: {problem}")
                continue
            row = _row(part, cell, clips)
            if rows.setdefault(row["utterance_id"], row) is not row:
                problems.append(f"{part} row {number}: {row['utterance_id']} occurs a second time")
            if row["start"] is None:
                dropped.append((row["utterance_id"], f"its times only: {cell['StartTime']!r} to {cell['EndTime']!r}"))
    if not rows:
        problems.append("no utterance at all")
    lost = [*_lost(rows, filmed=bool(clips))]
    problems += [f"{name}: {why}" for name, why in lost if is_strict(strict)]
    raise_problems(problems, where=root, remedy="Expected the tables as MELD distributes them; fetch these anew.")
    facts = {"emotions": EMOTIONS.values(), "default_view": "meld7", "protocol": "as-shipped"}
    return Corpus.from_rows("meld", rows.values(), root=root, dropped=lost + dropped, **facts)


def _lost(rows: Mapping[str, Mapping[str, Any]], *, filmed: bool) -> Iterator[tuple[str, str]]:
    """Yield what the published corpus has more, by name and reason; clips only where there are any."""
    n_rows = Counter(row["part"] for row in rows.values())
    cut = {part: n for part, n in RELEASE["published"].items() if n_rows[part] < n}
    yield from ((part, f"{n_rows[part]:,} of {n:,} utterances: its table was cut") for part, n in cut.items())
    silent = [name for name, row in rows.items() if filmed and not row["audio_path"]]
    yield from ((name, f"{RELEASE['known'].get(name, 'no clip')}: its words only") for name in silent)


def clean(text: str) -> str:
    """Put right the letters of a text that came by way of a wrong encoding, and its blanks."""
    return " ".join(windows_letters(text).translate(TYPED).split())


def _problem(cells: dict[str, str]) -> str:
    """Say what is wrong with a row of a table, empty if nothing is."""
    if cells["Emotion"] not in EMOTIONS:
        return f"unknown emotion {cells['Emotion']!r}; known: {', '.join(EMOTIONS)}"
    if not clean(cells["Speaker"]):
        return "no speaker"
    odd = [column for column in NUMBERS if not re.fullmatch(COUNT, cells[column])]
    return "; ".join(f"{column} is {cells[column]!r}, not a whole number" for column in odd)


def _row(part: str, cells: dict[str, str], clips: dict[tuple[str, str], str]) -> dict[str, Any]:
    """Turn a row of a table into one of the corpus."""
    dialogue_id, turn = f"{part}-dia{int(cells['Dialogue_ID'])}", int(cells["Utterance_ID"])
    utterance_id = f"{dialogue_id}-utt{turn}"
    wav, flac, film = (clips.get((utterance_id, kind)) for kind in ("wav", "flac", "mp4"))
    start, end = _seconds(cells["StartTime"]), _seconds(cells["EndTime"])
    row = {"utterance_id": utterance_id, "dialogue_id": dialogue_id, "turn": turn, "speaker": clean(cells["Speaker"])}
    row |= {"scripted": True, "emotion": EMOTIONS[cells["Emotion"]], "text": clean(cells["Utterance"]) or None}
    row |= {"audio_path": wav or flac or film, "video_path": film, "part": part}
    row |= {"start": start, "end": end} if start <= end else {"start": None, "end": None}  # NaN is not in order
    return row | {"season": int(cells["Season"]), "episode": int(cells["Episode"])}


def _seconds(time: str) -> float:
    """Turn a time such as 00:20:57,256 into seconds; NaN if it is not one."""
    parts = TIME.fullmatch(time)
    return 3600 * int(parts[1]) + 60 * int(parts[2]) + float(f"{parts[3]}.{parts[4]}") if parts else math.nan


def _clips(root: Path) -> dict[tuple[str, str], str]:
    """Find the media: utterance_id and kind of file give the path relative to `root`."""
    clips: dict[tuple[str, str], str] = {}
    for folder, file in files_below(root):
        words = re.split(r"[^a-z]+", folder.as_posix().lower())
        part = next((word for word in reversed(words) if word in PARTS), None)
        if part and (name := CLIP.fullmatch(file.lower())):
            clips.setdefault((f"{part}-{name[1]}-{name[2]}", name[3]), (folder / file).as_posix())
    return clips
