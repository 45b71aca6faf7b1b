"""Measure what annotating a recording costs and how right it is, beside its targets.

`python bench/annotate.py quality` stitches conversations of RAVDESS actors that the model never heard; `words` counts
the errors of each recognizer of words by emotion; `speed` annotates recordings of 10 and 30 minutes; `clip` compares
30 s with the same steps taken one segment at a time; `live` plays a conversation as if live. Each part is kept in
data/results/annotate.json. RAVDESS must be at hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from numpy.typing import NDArray
from sklearn.metrics import recall_score

from emolab import load_corpus
from emolab.annotate.capture import live, played
from emolab.annotate.pipeline import Job, Work, annotate, as_turns, finished, with_noise
from emolab.annotate.speech import speech_blocks
from emolab.annotate.words import SPHINX, transcriber
from emolab.corpora import Corpus
from emolab.media import SAMPLE_RATE, read_audio
from emolab.recipes import recipe
from emolab.recognizer import Recognizer
from emolab.results import device, versions
from emolab.splits import Fold, folds_of
from emolab.storage import atomic_write, progress, results_root

SENTENCES = {"01": "kids are talking by the door", "02": "dogs are sitting by the door"}  # fifth part of the names
MARGIN_S = 0.05  # of sound around the words, which forced alignment finds
GAPS_S = (0.3, 2.0)
MINUTES, N_CONVERSATIONS = 3.0, 10
NOISE_DB = 20.0  # below the speech, in every second conversation
NEAR_S = 0.25  # a segment is found if both of its ends are so near
COLLAR_S = 0.25  # of pyannote.metrics: half of it before and half behind each end of the reference
COVERAGE = 0.7
N_HEARD = 192  # recordings, of which the words are counted
Wave = NDArray[np.float32]
Spans = list[tuple[float, float, str, str, str]]  # start, end, speaker, emotion, utterance


@lru_cache
def aligner() -> Any:
    """Return a decoder for forced alignment, with wide beams."""
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE, cmn="batch", beam=1e-80, wbeam=1e-60, pbeam=1e-80, loglevel="FATAL")


def cut_by_hand(path: Path) -> tuple[float, float] | None:
    """Return where the known sentence of a recording begins and ends, by forced alignment; None where it fails."""
    wave, decoder = read_audio(path), aligner()
    decoder.set_align_text(SENTENCES[path.stem.split("-")[4]])
    decoder.reinit_feat()
    decoder.start_utt()
    loud = wave * (0.5 / np.abs(wave).max())
    decoder.process_raw((loud * 32_767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
    words = [own for own in (decoder.seg() or ()) if own.word[0] not in "<["]
    if not words:
        return None
    return max(0.0, words[0].start_frame / 100 - MARGIN_S), (words[-1].end_frame + 1) / 100 + MARGIN_S


def conversation(corpus: Corpus, number: int, minutes: float = MINUTES) -> tuple[Wave, Spans]:
    """Stitch recordings of two to four speakers of a corpus, who take turns by chance, with pauses between them."""
    rng = np.random.default_rng(1_000 + number)
    speakers = rng.permutation(sorted(corpus.table["speaker"].unique()))[: 2 + number % 3]
    own = corpus.table[corpus.table["speaker"].isin(speakers)]
    waiting = {name: rng.permutation(rows.index).tolist() for name, rows in own.groupby("speaker")}
    pause = rng.uniform(*GAPS_S)
    waves, spans, at = [np.zeros(round(pause * SAMPLE_RATE), np.float32)], [], pause
    while at < 60 * minutes and any(waiting.values()):
        name = rng.choice([name for name, rows in waiting.items() if rows])
        row = corpus.table.loc[waiting[name].pop()]
        if (times := cut_by_hand(corpus.root / row["audio_path"])) is None:
            continue
        wave = read_audio(corpus.root / row["audio_path"])[
            round(times[0] * SAMPLE_RATE) : round(times[1] * SAMPLE_RATE)
        ]
        end, pause = at + len(wave) / SAMPLE_RATE, rng.uniform(*GAPS_S)
        spans.append((at, end, name, row["emotion"], row["utterance_id"]))
        waves += [wave, np.zeros(round(pause * SAMPLE_RATE), np.float32)]
        at = end + pause
    sound, power = np.concatenate(waves), np.mean(np.square(np.concatenate(waves[1::2])))
    if number % 2:
        sound = sound + rng.normal(0, np.sqrt(power) * 10 ** (-NOISE_DB / 20), len(sound)).astype(np.float32)
    return sound.clip(-1, 1), spans


def models(name: str, corpus: Corpus, folds: Sequence[Fold]) -> Iterator[tuple[Fold, Recognizer]]:
    """Yield each fold with a model that never heard its test actors.

    As the default model it also learns from noisy copies. Temperature and threshold are chosen on what the other folds'
    models say of the remaining actors.
    """
    fitted: list[Recognizer] = []
    for fold in progress(folds, name):
        fitted.append(recipe(name, preset="full"))
        fitted[-1].fit(with_noise(fold.train), fold.valid)
    tests = [with_noise(fold.test) for fold in folds]
    told = [model.predict_proba(test) for model, test in zip(fitted, tests, strict=True)]
    for place, (model, fold) in enumerate(zip(fitted, folds, strict=True)):
        others = [number for number in range(len(folds)) if number != place]
        targets = np.concatenate([tests[number].targets() for number in others])
        model.calibrate(np.concatenate([told[number] for number in others]), targets, coverage=COVERAGE)
        yield fold, model


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Segments, speakers and emotions of stitched conversations."""
    corpus = load_corpus("ravdess").view()
    folds = folds_of(as_turns(corpus))
    made = [*models(options.recipe, corpus, folds)]
    totals: dict[str, list[float]] = defaultdict(list)
    rows: list[tuple[str, str, str, float, bool]] = []
    for number in progress(range(N_CONVERSATIONS), "conversations"):
        fold, model = made[number % len(made)]
        plain = corpus.select(corpus.table["utterance_id"].isin(fold.test.table["utterance_id"]))
        measure(number, plain, model, totals, rows)
    truth, found, by_hand, sure, unsure = (np.array(column) for column in zip(*rows, strict=True))
    right, order = truth == found, np.argsort(-sure.astype(float), kind="stable")
    kept, keep = ~unsure.astype(bool), order[: round(COVERAGE * len(order))]
    hits, n_true, n_found = (sum(totals[name]) for name in ("hits", "true", "found"))
    return {
        "recipe": options.recipe,
        "conversations": N_CONVERSATIONS,
        "segments": int(n_true),
        "segments found F1": 2 * hits / (n_true + n_found),
        "diarization error, number known": rate(totals, "known"),
        "diarization error, number estimated": rate(totals, "estimated"),
        "diarization error by conversation, number known": [*np.round(totals["known each"], 3)],
        "diarization error by conversation, number estimated": [*np.round(totals["estimated each"], 3)],
        "numbers of speakers": [*totals["speakers"]],
        "numbers estimated": [*totals["estimated speakers"]],
        "matched segments": len(truth),
        "UA of segments": recall_score(truth, found, average="macro"),
        "UA of the same recordings cut by hand": recall_score(truth, by_hand, average="macro"),
        "accuracy": right.mean(),
        "accuracy at 70 % coverage": right[keep].mean(),
        "answered by the threshold": kept.mean(),
        "accuracy of what is answered": right[kept].mean(),
    }


def measure(number: int, corpus: Corpus, model: Recognizer, totals: Any, rows: list[Any]) -> None:
    """Annotate one conversation, and add what is right and wrong to the totals."""
    sound, spans = conversation(corpus, number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversation.flac"
        soundfile.write(path, sound, SAMPLE_RATE)
        done = [*Job(path, model, transcriber("none")[1]).run(None, show=False)]
    n_speakers = len({span[2] for span in spans})
    known = finished("a", done, model, {}, n_speakers=n_speakers).segments
    estimated = finished("a", done, model, {}).segments
    for name, table in (("known", known), ("estimated", estimated)):
        wrong, total = diarization_error(spans, table)
        totals[f"{name} wrong"].append(wrong)
        totals[f"{name} total"].append(total)
        totals[f"{name} each"].append(wrong / total)
    totals["speakers"].append(n_speakers)
    totals["estimated speakers"].append(estimated["speaker"].nunique())
    cuts = {
        str(place): sound[round(b * SAMPLE_RATE) : round(e * SAMPLE_RATE)] for place, (b, e, *_) in enumerate(spans)
    }
    hand = [{"utterance_id": key, "speaker": "x"} for key in cuts]
    by_hand = model.predict(Corpus.from_rows("cut", hand, emotions=(), root=Path()).with_media(audio=cuts))
    left = [*range(len(known))]
    for place, (begin, end, _, emotion, _) in enumerate(spans):
        shared = [min(end, known["end"][row]) - max(begin, known["start"][row]) for row in range(len(known))]
        best = int(np.argmax(shared))
        row = known.loc[best]
        if shared[best] > (end - begin) / 2:
            rows.append((emotion, row["emotion"], by_hand[place], row["confidence"], row["unsure"]))
        near = [one for one in left if max(abs(known["start"][one] - begin), abs(known["end"][one] - end)) <= NEAR_S]
        totals["hits"].append(bool(near))
        if near:
            left.remove(near[0])
    totals["true"].append(len(spans))
    totals["found"].append(len(known))


def diarization_error(spans: Spans, table: Any) -> tuple[float, float]:
    """Return the seconds that are wrong and the seconds there are, by pyannote.metrics."""
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    truth, found = Annotation(), Annotation()
    for place, (begin, end, name, *_) in enumerate(spans):
        truth[Segment(begin, end), place] = name
    for row in table.itertuples():
        found[Segment(row.start, row.end), row.Index] = row.speaker
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = DiarizationErrorRate(collar=COLLAR_S)(truth, found, detailed=True)
    return sum(parts[name] for name in ("confusion", "false alarm", "missed detection")), parts["total"]


def rate(totals: dict[str, list[float]], name: str) -> float:
    """Return the share of all time that is wrong."""
    return sum(totals[f"{name} wrong"]) / sum(totals[f"{name} total"])


def edits(truth: Sequence[str], found: Sequence[str]) -> int:
    """Return the fewest words to be added, left out or replaced."""
    row = [*range(len(found) + 1)]
    for place, word in enumerate(truth, start=1):
        before, row[0] = row[0], place
        for column, other in enumerate(found, start=1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (word != other))
    return row[-1]


def words(options: argparse.Namespace) -> dict[str, Any]:
    """Word errors of each recognizer of words, by emotion."""
    corpus = load_corpus("ravdess").view()
    few = corpus.table.groupby(["speaker", "emotion"]).head(1).head(N_HEARD)
    paths = [corpus.root / path for path in few["audio_path"]]
    cuts = [cut_by_hand(path) for path in paths]
    waves = [
        read_audio(path)[slice(*(round(time * SAMPLE_RATE) for time in cut or (0, 10)))]
        for path, cut in zip(paths, cuts, strict=True)
    ]
    measured: dict[str, Any] = {"recordings": len(waves), "seconds": sum(map(len, waves)) / SAMPLE_RATE}
    for asr in options.asr:
        name, transcribe = transcriber(asr)
        began, cpu = time.perf_counter(), time.process_time()
        heard = transcribe(waves)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        wrong: dict[str, int] = defaultdict(int)
        total: dict[str, int] = defaultdict(int)
        for path, emotion, own in zip(paths, few["emotion"], heard, strict=True):
            truth = SENTENCES[path.stem.split("-")[4]].split()
            said = ["".join(filter(str.isalpha, word.word.lower())) for word in own]
            for key in ("all", emotion):
                wrong[key] += edits(truth, [word for word in said if word])
                total[key] += len(truth)
        errors = {key: wrong[key] / total[key] for key in total}
        measured[name] = {"word error": errors, "seconds of work": wall, "seconds of processor": cpu}
    return measured


ONE = """
import json, re, sys, time
from pathlib import Path
from emolab.annotate import annotate
from emolab.annotate.words import transcriber
began, used = time.perf_counter(), time.process_time()
found = annotate(sys.argv[1], model=sys.argv[2], asr={"None": None}.get(sys.argv[3], sys.argv[3]))
first = time.perf_counter() - began
# ru_maxrss would begin with the memory of the process that started this one
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"seconds": found.seconds, "work": first, "processor": time.process_time() - used, "MB": peak}))
"""


def saved(options: argparse.Namespace, folder: Path) -> Path:
    """Train a model on the first fold of RAVDESS and save it."""
    corpus = load_corpus("ravdess").view()
    fold = folds_of(as_turns(corpus))[0]
    model = recipe(options.recipe, preset="full")
    model.fit(fold.train, fold.valid)
    model.save(folder / "model")
    return folder / "model"


def speed(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds and memory of long recordings, each in a process of its own."""
    measured: dict[str, Any] = {"recipe": options.recipe, "load of the machine": psutil.getloadavg()[0]}
    corpus = load_corpus("ravdess").view()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = saved(options, folder)
        sound, _ = conversation(corpus, 2, 10.0)
        for minutes in options.minutes:
            path = folder / f"{minutes}.flac"
            soundfile.write(path, np.tile(sound, -(-minutes // 10))[: minutes * 60 * SAMPLE_RATE], SAMPLE_RATE)
            for asr in options.asr:
                command = [sys.executable, "-c", ONE, str(path), str(model), str(asr)]
                run = subprocess.run(command, capture_output=True, text=True, check=True)
                found = json.loads(run.stdout.splitlines()[-1])
                found["times real time"] = found["seconds"] / found["work"]
                measured[f"{minutes} min, {asr or 'Whisper at hand'}"] = found
    return measured


def clip(options: argparse.Namespace) -> dict[str, Any]:
    """30 s, by `annotate` and by the same steps for one segment after the other, each as a file of its own."""
    corpus = load_corpus("ravdess").view()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = Recognizer.load(saved(options, folder))
        sound, _ = conversation(corpus, 2, 0.5)
        path = folder / "clip.flac"
        soundfile.write(path, sound, SAMPLE_RATE)
        measured: dict[str, Any] = {"recipe": options.recipe, "seconds of sound": len(sound) / SAMPLE_RATE}
        for asr in options.asr:
            times = {"cold": cpu_of(lambda asr=asr: annotate(path, model=model, asr=asr))}
            times["warm"] = min(cpu_of(lambda asr=asr: annotate(path, model=model, asr=asr)) for _ in range(3))
            times["one at a time"] = cpu_of(lambda asr=asr: one_at_a_time(path, folder, model, asr))
            measured[str(asr)] = times
    return measured


def cpu_of(work: Any) -> float:
    """Return the seconds of processor that work takes: those of the clock say little on a busy machine."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_at_a_time(path: Path, folder: Path, model: Recognizer, asr: str | None) -> None:
    """What a script does that knows each library, but not the others: a file and a model for each segment."""
    done: list[Work] = []
    for block in speech_blocks(path):
        for place, (turn, cut) in enumerate(zip(block.turns, block.cuts(), strict=True)):
            soundfile.write(folder / f"{place}.wav", cut, SAMPLE_RATE)
            job = Job(folder / f"{place}.wav", model, transcriber(asr)[1])
            done.append(job.work(block._replace(turns=[turn])))
    finished(path.name, done, model, {})


def in_live(options: argparse.Namespace) -> dict[str, Any]:
    """How far behind the speech a conversation is annotated that is played as if live."""
    corpus = load_corpus("ravdess").view()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = Recognizer.load(saved(options, folder))
        sound, _ = conversation(corpus, 2, 1.0)
        path = folder / "live.flac"
        soundfile.write(path, sound, SAMPLE_RATE)
        measured: dict[str, Any] = {"recipe": options.recipe, "load of the machine": psutil.getloadavg()[0]}
        for asr in options.asr:
            job = Job(path, model, transcriber(asr)[1])
            annotate(path, model=model, asr=asr, show_progress=False)  # everything is loaded
            late = [seconds for work, seconds in live(job, played(path)) if work.turns and np.isfinite(seconds)]
            middle, worst = np.quantile(late, (0.5, 0.95))
            measured[str(asr)] = {"turns": len(late), "p50 s": middle, "p95 s": worst}
    return measured


PARTS = {"quality": quality, "words": words, "speed": speed, "clip": clip, "live": in_live}


def main() -> None:
    """Measure one part and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--recipe", default="audio/discriminant")
    parser.add_argument("--asr", nargs="+", default=[None, SPHINX], type=lambda own: None if own == "default" else own)
    parser.add_argument("--minutes", nargs="+", type=int, default=[10, 30])
    options = parser.parse_args()
    found = json.loads(json.dumps(PARTS[options.part](options), default=float))
    facts = {"command": shlex.join(["python", "bench/annotate.py", *sys.argv[1:]]), "versions": versions()}
    facts |= {"device": device(), "date": datetime.now(UTC).isoformat(timespec="seconds")}
    place = results_root() / "annotate.json"
    kept = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    with atomic_write(place) as part:
        part.write_text(json.dumps({**kept, options.part: found | facts}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
