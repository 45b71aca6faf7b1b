"""The commands `emolab annotate` and `emolab capture`."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emolab.annotate.annotation import Annotation
from emolab.annotate.capture import Camera, live, microphone, played
from emolab.annotate.formats import FORMATS, write_annotation
from emolab.annotate.pipeline import Job, Work, annotate, finished, recognizer_of
from emolab.annotate.speech import Block
from emolab.annotate.words import transcriber
from emolab.media import SAMPLE_RATE
from emolab.storage import require_writable

NAME = "capture"  # of a recording by the microphone
WARM = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE).astype(np.float32)  # a second of noise


def annotate_files(options: argparse.Namespace) -> int:
    """Annotate files, one after the other; one that cannot be read does not cost the others their result."""
    forms, failed = _forms(options.to), 0
    taken = ("model", "speakers", "turns", "transcript", "asr", "words_only")
    how = {name: getattr(options, name) for name in taken} | {"names": _names(options.names)}
    for file in options.recordings:
        folder = (options.out or file.parent) / f".{file.name}.unfinished"  # where a second call goes on
        try:
            require_writable(folder)
            annotation = annotate(file, **how, folder=folder)
            _write(annotation, file.stem, options.out or file.parent, forms)
            shutil.rmtree(folder, ignore_errors=True)
        except (ValueError, OSError) as error:
            print(f"emolab: {file}: {error}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def capture(options: argparse.Namespace) -> int:
    """Annotate microphone and camera, or a file played as if live: each turn once it has ended, then the table."""
    forms, file = _forms(options.to), options.file
    require_writable(options.out or Path())
    recognizer, learned = recognizer_of(options.model, words_only=options.words_only)
    name, transcribe = transcriber(options.asr)
    job = Job(Path(file or NAME), recognizer, transcribe, tells_voices=not options.words_only)
    job.work(Block(0, WARM, [(0, len(WARM))], 0))  # what is loaded at first use is loaded before the first turn
    if options.camera and "video" not in recognizer.modalities:
        taken = f"--camera, but {recognizer.name} takes {' and '.join(recognizer.modalities)}"
        raise ValueError(f"{taken}; expected a model that takes faces too. Name one by --model, or leave --camera out.")
    if options.camera:
        (camera := Camera(options.camera)).start()
        job.face = camera.face
    done: list[Work] = []
    late: list[float] = []
    for work, seconds in live(job, played(file) if file else microphone()):
        done.append(work)
        if work.turns and not np.isnan(seconds):
            late.append(seconds)
            (row,) = finished(job.path.name, [work], recognizer, {}, names=["…"]).shown.itertuples()
            said = f"{row.start:8.2f} s  {row.label:12} {row.confidence:.2f}  {row.text}  ({seconds:.2f} s late)"
            print(said, flush=True)
    how = {"n_speakers": options.speakers, "names": _names(options.names)}
    annotation = finished(job.path.name, done, recognizer, {**learned, "asr": name}, **how)
    if late:
        middle, worst = np.quantile(late, (0.5, 0.95))
        print(f"behind the end of each turn: {middle:.2f} s in the middle, {worst:.2f} s at the 95th percentile")
    _write(annotation, job.path.stem, options.out or Path(), forms)
    return 0


def _forms(names: str) -> list[str]:
    forms = [name for name in names.lower().split(",") if name]
    if unknown := [name for name in forms if name not in FORMATS]:
        raise ValueError(f"no format {', '.join(unknown)}; expected some of {','.join(FORMATS)}. Correct --to.")
    return forms


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


def _write(annotation: Annotation, stem: str, folder: Path, forms: Sequence[str]) -> None:
    """Write an annotation in each format, and say where and what it is."""
    files = [write_annotation(annotation, folder / f"{stem}{FORMATS[form].suffix}", form) for form in forms]
    said = f"{annotation}" if len(annotation) else f"no speech in {annotation.media}"
    print("\n".join([said, *(f"  {file}" for file in files), annotation.audit]))
