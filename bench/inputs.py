"""Damaged inputs for `bench/reliability.py`: tables, corpora, notebooks and media as disks, editors, people leave them.

Each damaged input goes through the public reader in this process, with a time limit, and is one of `OUTCOMES`:

- error: an error that is documented and names the file;
- told: read, with a line in `corpus.dropped` or a warning that the whole input does not give;
- same: read as if nothing were wrong;
- content: read with other letters, numbers or samples, where nothing in the file tells that they are wrong, since CSV,
  PCM and the like have no checksum;
- SILENT: read with rows, samples or pictures lost, or more of them, without a word;
- FOREIGN: any other exception, or one that does not name the file; HANG: no answer within the limit.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import soundfile

from emolab.corpora import Corpus, load_corpus
from emolab.corpora.meld import COLUMNS, PARTS, RELEASE
from emolab.course.chapters import BrokenChapter, parameters_of, read_notebook
from emolab.media import read_audio, read_frames

OUTCOMES = ("error", "told", "same", "content", "SILENT", "FOREIGN", "HANG")
BAD = ("SILENT", "FOREIGN", "HANG")
LIMIT_S = 60.0
DOCUMENTED = (ValueError, FileNotFoundError)  # what the readers' docstrings list
NEAR = 0.02  # share of a recording that may be lost with its last frames, or of which a header may be wrong
HEAD = 64  # bytes
N_ROWS = 20
MARKS = b"<<<<<<< HEAD\n=======\n>>>>>>> branch\n"


class Found(NamedTuple):
    """What was read: how much, what exactly, and what was told of it."""

    size: tuple[int, ...]
    content: Any
    told: tuple[str, ...] = ()


class Kind(NamedTuple):
    """One kind of input: how it is made in a folder, which of its files are damaged, how it is read."""

    make: Callable[[Path], None]
    files: str  # pattern
    read: Callable[[Path, Path], Found]
    share: float = 1.0  # of the mutants, since some are slow to read
    counted: bool = False  # whether the input itself says how much there is, so that a cut must be noticed
    renamed: bool = False  # whether names are damaged, instead of content


class Timeout(BaseException):
    """The time is over; no reader catches it."""


def damaged(raw: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Damage the content of a file in one way; return its name and the new content."""
    place = rng.randrange(max(len(raw), 1))
    span = rng.randrange(1, max(len(raw) // 4, 2))
    lines = raw.splitlines(keepends=True) or [b""]
    line = rng.randrange(len(lines))
    head = rng.randrange(min(HEAD, max(len(raw), 1)))

    def flip(at: int) -> bytes:
        return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :] if raw else b""

    ways: dict[str, Callable[[], bytes]] = {
        "a bit": lambda: flip(place),
        "a bit of the head": lambda: flip(head),
        "cut": lambda: raw[:place],
        "cut at a line end": lambda: b"".join(lines[:line]),
        "a piece missing": lambda: raw[:place] + raw[place + span :],
        "zeros": lambda: raw[:place] + bytes(min(span, len(raw) - place)) + raw[place + span :],
        "a piece twice": lambda: raw[:place] + raw[place : place + span] + raw[place:],
        "a line twice": lambda: b"".join([*lines[:line], lines[line], *lines[line:]]),
        "a stray quote": lambda: raw[:place] + b'"' + raw[place:],
        "two stray quotes": lambda: b'"'.join([raw[: min(place, head)], raw[min(place, head) : place], raw[place:]]),
        "a quote at the end of a line": lambda: b"".join(
            [*lines[:line], lines[line].rstrip(b"\n") + b'"\n', *lines[line + 1 :]]
        ),
        "a quote in the last column": lambda: b"".join(
            [*lines[:line], b',"'.join(lines[line].rsplit(b",", 1)), *lines[line + 1 :]]
        ),
        "marks of a merge": lambda: b"".join([*lines[:line], MARKS, *lines[line:]]),
        "noise": lambda: raw[:place] + rng.randbytes(min(span, 512)) + raw[place + min(span, 512) :],
        "empty": lambda: b"",
    }
    way = rng.choice([*ways])
    return way, ways[way]()


def renamed(name: str, rng: random.Random) -> tuple[str, str]:
    """Damage the name of a file; return how, and the new name."""
    stem, dot, suffix = name.rpartition(".")
    place = rng.randrange(len(stem))
    ways = {
        "a letter": stem[:place] + rng.choice("0123456789-_ aZ") + stem[place + 1 :] + dot + suffix,
        "a letter missing": stem[:place] + stem[place + 1 :] + dot + suffix,
        "a copy": f"{stem} (1){dot}{suffix}",
        "capitals": name.upper(),
        "another suffix": f"{name}.{rng.choice(['bak', 'part', 'txt', 'mp3'])}",
    }
    way = rng.choice([*ways])
    return way, ways[way]


def of_corpus(corpus: Corpus, caught: list[Any]) -> Found:
    """Say what was read of a corpus."""
    told = [*corpus.dropped.astype(str).agg(" ".join, axis=1), *(str(each.message) for each in caught)]
    return Found((len(corpus),), corpus.table.astype(str).to_numpy().tolist(), tuple(told))


def own_table(header: str, delimiter: str = ",") -> Callable[[Path], None]:
    """Return what writes a user's own table with the columns of a header; some texts are in quotes."""
    cells = {
        "id": "u{}",
        "speaker": "s{}",
        "emotion": "happy",
        "text": "Well, it is; {}",
        "start": "{}.5",
        "end": "{}.9",
        "valence": "3.25",
    }

    def make(folder: Path) -> None:
        with (folder / "mine.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(header.split(","))
            for row in range(N_ROWS):
                words = {**cells, "text": cells["text"] if row % 3 else "hello {}"}
                writer.writerow(
                    [words[name].format(row % 4 if name == "speaker" else row) for name in header.split(",")]
                )

    return make


def read_corpus(name: str, file: str = "") -> Callable[[Path, Path], Found]:
    """Return what reads a corpus below a folder."""

    def read(folder: Path, _: Path) -> Found:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            corpus = load_corpus(folder / file) if file else load_corpus(name, root=folder)
        return of_corpus(corpus, caught)

    return read


def meld_tables(folder: Path) -> None:
    """Write tables as long as those of MELD, with other words."""
    for part in PARTS:
        with (folder / f"{part}_sent_emo.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            facts = {"Season": 1, "Episode": 2, "StartTime": "00:00:01,000", "EndTime": "00:00:02,500"}
            for row in range(RELEASE["published"][part]):
                facts |= {"Dialogue_ID": row // 10, "Utterance_ID": row % 10, "Speaker": f"s{row % 7}"}
                writer.writerow({**facts, "Utterance": f"Well, it is {row}.", "Emotion": ("joy", "neutral")[row % 2]})


def linked(layout: str, *parts: str) -> Callable[[Path], None]:
    """Return what makes a corpus of links to files of the sample, which are replaced, never written to."""

    def make(folder: Path) -> None:
        root = load_corpus(f"sample-{layout}" if layout == "ravdess" else "sample").root
        for part in parts:
            shutil.copytree(root / part, folder / part, copy_function=os.symlink)

    return make


def chapter(folder: Path) -> None:
    """Write a chapter of a few cells."""
    cell = nbformat.v4.new_code_cell
    cells = [cell('corpus = "sample"\npreset = "quick"\nseed = 7', metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_markdown_cell("# A chapter\nwith words"), *(cell(f"{row} + 1") for row in range(6))]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "03_chapter.ipynb")


def read_chapter(_: Path, file: Path) -> Found:
    """Read a notebook and its parameters, as the runner does."""
    parameters = parameters_of(file)
    cells = read_notebook(file).cells
    return Found((len(cells),), (parameters, [cell.source for cell in cells]))


def recording(suffix: str) -> Callable[[Path], None]:
    """Return what writes a second of noise that swells, or copies a film of the sample."""

    def make(folder: Path) -> None:
        if suffix == "mp4":
            corpus = load_corpus("sample-ravdess")
            shutil.copy(corpus.root / corpus.table["video_path"].iloc[0], folder / "a.mp4")
            return
        noise = np.random.default_rng(0).normal(0, 0.1, 16_000) * np.linspace(0, 1, 16_000)
        soundfile.write(folder / f"a.{suffix}", noise, 16_000, subtype="PCM_16")

    return make


def read_media(_: Path, file: Path) -> Found:
    """Read the sound, and the pictures if there are any."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        wave = read_audio(file)
        pictures = read_frames(file) if file.suffix == ".mp4" else np.zeros((0, 0, 0))
    return Found((len(wave), len(pictures)), wave.tobytes(), tuple(str(each.message) for each in caught))


KINDS = {
    "own table, 4 columns": Kind(own_table("id,speaker,emotion,text"), "mine.csv", read_corpus("", "mine.csv"), 2.0),
    "own table, text in the middle": Kind(
        own_table("id,text,speaker,emotion"), "mine.csv", read_corpus("", "mine.csv"), 2.0
    ),
    "own table, 7 columns, semicolons": Kind(
        own_table("id,speaker,text,start,end,emotion,valence", ";"), "mine.csv", read_corpus("", "mine.csv")
    ),
    "own table, 2 columns": Kind(own_table("speaker,text"), "mine.csv", read_corpus("", "mine.csv")),
    "MELD": Kind(meld_tables, "*_sent_emo.csv", read_corpus("meld"), 0.1, counted=True),
    "IEMOCAP": Kind(linked("iemocap", *(f"Session{n}" for n in range(1, 6))), "**/*.txt", read_corpus("iemocap"), 0.3),
    "RAVDESS, names": Kind(
        linked("ravdess", "Actor_01", "Actor_02"), "**/*.[wm][ap][v4]", read_corpus("ravdess"), 0.5, renamed=True
    ),
    "notebook": Kind(chapter, "*.ipynb", read_chapter, 2.0),
    "wav": Kind(recording("wav"), "a.*", read_media, 1.5, counted=True),
    "flac": Kind(recording("flac"), "a.*", read_media, counted=True),
    "mp4": Kind(recording("mp4"), "a.*", read_media, 0.5, counted=True),
}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `Timeout` if the work inside takes longer."""

    def over(*_: object) -> None:
        raise Timeout

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(kind: Kind, whole: Found, folder: Path, file: Path, way: str) -> tuple[str, str]:
    """Read a damaged input; return what came of it and, in words, why."""
    try:
        with time_limit(LIMIT_S):
            found = kind.read(folder, file)
    except Timeout:
        return "HANG", f"longer than {LIMIT_S:g} s"
    except (*DOCUMENTED, BrokenChapter) as error:
        named = any(name in str(error) for name in (file.name, file.stem, folder.name))
        exact = type(error) in (*DOCUMENTED, BrokenChapter)
        return ("error" if named and exact else "FOREIGN"), f"{type(error).__name__}: {error}"[:300]
    except Exception as error:
        return "FOREIGN", f"{type(error).__name__}: {error}"[:300]
    if found == whole:
        return "same", ""
    if {*found.told} - {*whole.told}:
        return "told", ""
    lost = any(abs(n - of) > NEAR * of * (len(found.size) > 1) for n, of in zip(found.size, whole.size, strict=True))
    uncounted = not kind.counted and way in (
        "cut",
        "cut at a line end",
        "a piece missing",
        "a line twice",
        "a piece twice",
    )
    return ("SILENT" if lost and not uncounted else "content"), f"{whole.size} became {found.size}"


def damage(name: str, n: int, seed: int, scratch: Path) -> Iterator[tuple[str, str, str]]:
    """Damage an input `n` times; yield in which way, what came of it, and why."""
    kind, rng = KINDS[name], random.Random(f"{seed} {name}")
    folder = scratch / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True)
    kind.make(folder)
    files = sorted(folder.glob(kind.files))
    whole = kind.read(folder, files[0])
    for _ in range(n):
        file, way = rng.choice(files), ""
        if kind.renamed:
            way, other = renamed(file.name, rng)
            if (new := file.with_name(other)).exists():
                continue
            file.rename(new)
            yield way, *outcome(kind, whole, folder, new, way)
            new.rename(file)
            continue
        aside = file.rename(file.with_name(".whole"))
        way, content = damaged(aside.read_bytes(), rng)
        file.write_bytes(content)
        yield way, *outcome(kind, whole, folder, file, way)
        file.unlink()
        aside.rename(file)


def counts(seed: int, n: int, scratch: Path) -> dict[str, dict[str, int]]:
    """Return, for each kind of input, how many of about `n` mutants in all came to what; bad ones are printed."""
    total = sum(kind.share for kind in KINDS.values())
    table = {}
    for name, kind in KINDS.items():
        row = dict.fromkeys(OUTCOMES, 0)
        for way, what, why in damage(name, max(1, round(n * kind.share / total)), seed, scratch):
            row[what] += 1
            if what in BAD:
                print(f"  {what}: {name}, {way}: {why}", flush=True)
        table[name] = row
        print(name, row, flush=True)
    return table
