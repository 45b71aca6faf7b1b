"""Writes the sample corpora to disk, in IEMOCAP's and RAVDESS's own layouts.

The work is split into parts, always in the same way, each done by a process of its own: `python -m
emolab.sample.build FOLDER PART`. So the speech is the same bit for bit wherever and however often it is made.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import product, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.corpora.corpus import LABELS, TRUTH
from emolab.corpora.ravdess import STATEMENTS
from emolab.storage import progress
from emolab.sample import face, script, voice

N_PARTS = 4
N_SAID = 600  # last letters of what a process said that an error repeats
GAP_S = (0.15, 0.6)  # of silence between two turns, at least and at most
ROOM_NOISE = 10 ** (-68 / 20)  # of full scale
MICROPHONE_DB = 1.5  # standard deviation of the level from dialogue to dialogue
AVI_FPS, MP4_FPS = 10, 15
VOTES = {emotion: word.capitalize() for word, emotion in LABELS["iemocap_votes"].items()}  # as the annotators' lines spell them
P_TWO_LABELS = 0.04  # an annotator names a second emotion
P_STRAY_LINE = 0.08  # a line of the transcript belongs to no utterance
STRENGTHS = {"01": 0.8, "02": 1.2}  # of RAVDESS's intensities, normal and strong
P_ACTED = 0.82  # an actor's voice, or face, shows the emotion; else nothing


@dataclass(frozen=True)
class Turn:
    """One utterance with its sound and its face, placed in the dialogue (seconds)."""

    line: script.Line
    speech: voice.Speech
    performance: face.Performance
    start: float

    @property
    def end(self) -> float:
        """Where the sound ends."""
        return self.start + len(self.speech.wave) / voice.SAMPLE_RATE


def build(target: Path) -> None:
    """Write both corpora, truth.csv and README.txt below the folder `target`; takes well under a minute.

    Raises:
        RuntimeError: If a process that writes a part fails; the message ends with what it said.
    """
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("README.txt"), target / "README.txt")
    truth: dict[str, list[dict[str, Any]]] = {"iemocap": [], "ravdess": []}
    for unit in progress(_run_parts(target), "sample corpora", total=len(units())):
        truth[unit["corpus"]] += unit["truth"]
    for corpus, rows in truth.items():
        with (target / corpus / "truth.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, ["utterance_id", *TRUTH], lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(rows, key=lambda row: row["utterance_id"]))


def units() -> list[tuple[str, str]]:
    """List what is written at a time: (corpus, dialogue or number of an actor)."""
    actors = [f"{number:02d}" for number in range(1, len(voice.ACTORS) + 1)]
    return [*(("iemocap", name) for name in script.dialogue_names()), *(("ravdess", actor) for actor in actors)]


def _run_parts(target: Path) -> Iterator[dict[str, Any]]:
    """Write all parts at once, each in a fresh process; yield what they report of each unit, one JSON line each.

    Raises:
        RuntimeError: If a process fails.
    """
    with ExitStack() as stack:
        parts = [stack.enter_context(_start_part(target, part)) for part in range(N_PARTS)]
        said = [""] * N_PARTS
        for lines in zip_longest(*(process.stdout or () for process in parts), fillvalue=""):
            for part, line in enumerate(lines):
                if line.startswith("{"):
                    yield json.loads(line)
                else:
                    said[part] += line
        for part, process in enumerate(parts):
            if code := process.wait():
                raise RuntimeError(
                    f"writing part {part} of the sample corpora to {target} ended with code {code}. Expected a machine "
                    "that can load espeak-ng and has 200 MB of free disk. The process said: " + said[part][-N_SAID:]
                )


def _start_part(target: Path, part: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, str(target), str(part)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )


def write_part(target: Path, part: int) -> Iterator[dict[str, Any]]:
    """Write every N_PARTS-th unit in this process; yield a report of each."""
    synthesiser = voice.Synthesiser()
    for corpus, name in units()[part::N_PARTS]:
        write = write_dialogue if corpus == "iemocap" else write_actor
        yield {"corpus": corpus, "truth": list(write(target / corpus, name, synthesiser))}


def write_dialogue(root: Path, name: str, synthesiser: voice.Synthesiser) -> Iterator[dict[str, Any]]:
    """Write one dialogue as IEMOCAP has it: evaluation, transcript, sound of each utterance, film; yield the truth."""
    session = int(name[3:5])
    folder = root / f"Session{session}"
    rng = np.random.default_rng([script.SEED, 1, script.dialogue_names().index(name)])
    turns = speak_dialogue(name, synthesiser, rng)
    for kind, lines in (("EmoEvaluation", evaluation(turns, rng)), ("transcriptions", transcript(turns, rng))):
        path = _placed(folder / "dialog" / kind / f"{name}.txt")
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
    for turn in turns:
        write_wav(folder / "sentences" / "wav" / name / f"{turn.line.key}.wav", turn.speech.wave)
        line = turn.line
        yield truth(line.key, line.label, line.shown, line.cue_words, turn.speech, turn.performance)
    if name.endswith("F_impro01"):  # what a Mac leaves behind
        for stray in (f"dialog/EmoEvaluation/._{name}.txt", f"sentences/wav/{name}/._{name}.wav"):
            (folder / stray).write_bytes(b"\0\5\x16\7\0\2\0\0Mac")
    wave = np.zeros(round((turns[-1].end + GAP_S[1]) * voice.SAMPLE_RATE), np.float32)
    for turn in turns:
        begin = round(turn.start * voice.SAMPLE_RATE)
        wave[begin : begin + len(turn.speech.wave)] = turn.speech.wave
    film = folder / "dialog" / "avi" / "DivX" / f"{name}.avi"
    write_film(film, dialogue_frames(turns, wave, session, left_is_woman=name[5] == "F"), wave, AVI)


def speak_dialogue(name: str, synthesiser: voice.Synthesiser, rng: np.random.Generator) -> list[Turn]:
    """Speak the lines of a dialogue one after the other, and draw when the speaker's face shows what."""
    session, time, turns = int(name[3:5]), 0.8, []
    level = voice.decibels(MICROPHONE_DB * rng.standard_normal())
    for line in script.write_dialogue(name):
        who = (voice.WOMEN if line.woman else voice.MEN)[session - 1]
        speech = voice.say(synthesiser, line.text, who, line.shown["audio"], rng=rng)
        noise = ROOM_NOISE * rng.standard_normal(len(speech.wave))
        wave = voice.limit((level * speech.wave + noise).astype(np.float32))
        seconds = len(wave) / voice.SAMPLE_RATE
        performance = face.draw_performance(rng, line.shown["video"], seconds)
        turns.append(Turn(line, replace(speech, wave=wave), performance, round(time, 4)))
        time += seconds + rng.uniform(*GAP_S)
    return turns


def dialogue_frames(
    turns: Sequence[Turn], wave: NDArray[np.float32], session: int, *, left_is_woman: bool
) -> Iterator[NDArray[np.uint8]]:
    """Draw a dialogue, (SIZE, 2 * SIZE, 3) uint8 a frame: left who gives the dialogue its letter, right the other."""
    opened = face.lips(wave, sample_rate=voice.SAMPLE_RATE, fps=AVI_FPS)
    for number, lips in enumerate(opened):
        time = (number + 0.5) / AVI_FPS
        turn = next((turn for turn in turns if turn.start <= time < turn.end + face.OFFSET_S), None)
        sides = []
        for woman in (left_is_woman, not left_is_woman):
            draw = partial(face.frame, (face.WOMEN if woman else face.MEN)[session - 1], phase=session + 1.7 * woman)
            if turn and turn.line.woman == woman:
                sides.append(draw(turn.performance, time - turn.start, lips=lips))
            else:
                sides.append(draw(None, time, lips=0.0))
        yield np.concatenate(sides, axis=1)


def evaluation(turns: Iterable[Turn], rng: np.random.Generator) -> Iterator[str]:
    """Write the lines of an evaluation file."""
    codes = {emotion: code for code, emotion in LABELS["iemocap"].items()}
    yield "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    for turn in turns:
        line = turn.line
        means = ", ".join(f"{mean:.4f}" for mean in np.mean(line.ratings, axis=0))
        yield f"[{turn.start:.4f} - {turn.end:.4f}]\t{line.key}\t{codes[line.label]}\t[{means}]\n"
        for number, vote in enumerate(line.votes, start=1):
            second = str(rng.choice(script.NEIGHBOURS[vote]))
            spare = rng.random() < P_TWO_LABELS and second not in line.votes and line.label != script.UNDECIDED
            yield f"C-E{number}:\t{VOTES[vote]};{f' {VOTES[second]};' if spare else ''}\t()\n"
        yield f"C-{line.speaker}1:\t{VOTES[line.meant]};\t()\n"
        for number, (valence, arousal, dominance) in enumerate(line.ratings, start=1):
            yield f"A-E{number}:\tval {valence}; act {arousal}; dom  {dominance};\t()\n"
        yield "\n"


def transcript(turns: Iterable[Turn], rng: np.random.Generator) -> Iterator[str]:
    """Write the lines of a transcript, a few of them without an utterance of their own."""
    for turn in turns:
        yield f"{turn.line.key} [{turn.start:08.4f}-{turn.end:08.4f}]: {turn.line.text}\n"
        if rng.random() < P_STRAY_LINE:
            other = "M" if turn.line.woman else "F"
            yield f"{other}: Mmhm.\n"
    yield f"{turn.line.key[:-4]}{turn.line.speaker}XX0 [{turn.end:08.4f}-{turn.end + 0.1:08.4f}]: Mmhm.\n"


def write_actor(root: Path, actor: str, synthesiser: voice.Synthesiser) -> Iterator[dict[str, Any]]:
    """Write one actor's performances as RAVDESS has them, sound and film with sound; yield the truth of each."""
    number = int(actor) - 1
    rng = np.random.default_rng([script.SEED, 2, number])
    codes = product(LABELS["ravdess"].items(), STRENGTHS.items(), STATEMENTS.items())
    for (code, emotion), (intensity, strength), (statement, text) in codes:
        if emotion == "neutral" and intensity == "02":
            continue
        shown = draw_acting(rng, emotion)
        speech = voice.say(synthesiser, text, voice.ACTORS[number], shown["audio"], rng=rng, intensity=strength)
        seconds = len(speech.wave) / voice.SAMPLE_RATE
        performance = face.draw_performance(rng, shown["video"], seconds, intensity=strength)
        opened = face.lips(speech.wave, sample_rate=voice.SAMPLE_RATE, fps=MP4_FPS)
        draw = partial(face.frame, face.ACTORS[number], performance, phase=rng.uniform(0, face.BLINK_EVERY_S))
        frames = (draw((place + 0.5) / MP4_FPS, lips=lips) for place, lips in enumerate(opened))
        key = f"01-{code}-{intensity}-{statement}-01-{actor}"
        folder = root / f"Actor_{actor}"
        write_wav(folder / f"03-{key}.wav", speech.wave)
        write_film(folder / f"01-{key}.mp4", frames, speech.wave, MP4)
        yield truth(key, emotion, shown, (), speech, performance)


def draw_acting(rng: np.random.Generator, emotion: str) -> dict[str, str]:
    """Draw what an actor's voice and face show: the emotion in one of them at least; the words never tell."""
    while True:
        audio, video = (emotion if rng.random() < P_ACTED else "neutral" for _ in range(2))
        if emotion in (audio, video):
            return {"text": "neutral", "audio": audio, "video": video}


def truth(
    key: str,
    label: str,
    shown: Mapping[str, str],
    cue_words: Sequence[int],
    heard: voice.Speech,
    seen: face.Performance,
) -> dict[str, str]:
    """Say what was planted in an utterance: a row of truth.csv, where what is left out stays empty."""
    row = {f"shown_{modality}": emotion for modality, emotion in shown.items()}
    row |= {"utterance_id": key, "cue_words": " ".join(map(str, cue_words))}
    row["word_starts"] = " ".join(f"{start:.3f}" for start in heard.word_starts)
    row["cue_modalities"] = " ".join(modality for modality in shown if shown[modality] == label)
    if shown["audio"] != "neutral":
        row |= {"cue_start": f"{heard.cue_start:.3f}", "cue_end": f"{heard.cue_end:.3f}"}
    if shown["video"] != "neutral":
        row |= {"face_start": f"{seen.start:.3f}", "face_end": f"{seen.end:.3f}"}
    return row


def write_wav(path: Path, wave: NDArray[np.float32]) -> None:
    """Write (samples,) float32, full scale 1, as 16-bit mono wav at 16 kHz."""
    import soundfile

    soundfile.write(_placed(path), _whole_numbers(wave), voice.SAMPLE_RATE, subtype="PCM_16")


@dataclass(frozen=True)
class Container:
    """How a film is coded."""

    fps: int
    picture: str  # codec
    options: Mapping[str, str]
    sound: str  # codec
    bit_rate: int  # of the sound


# Without cpu-independent, x264 gives other bits on other processors, and now and then on the same one
AVI = Container(AVI_FPS, "mpeg4", {"flags": "+qscale", "global_quality": "472"}, "mp2", 32_000)
MP4 = Container(
    MP4_FPS, "libx264", {"preset": "veryfast", "crf": "26", "x264-params": "cpu-independent=1"}, "aac", 48_000
)


def write_film(path: Path, frames: Iterable[NDArray[np.uint8]], wave: NDArray[np.float32], kind: Container) -> None:
    """Write a film with sound; one thread and no dates in the file, so that it is the same bit for bit each time."""
    import av

    with av.open(str(_placed(path)), "w", options={"fflags": "+bitexact"}) as film:
        picture: Any = film.add_stream(kind.picture, rate=kind.fps, options=dict(kind.options))
        sound: Any = film.add_stream(kind.sound, rate=voice.SAMPLE_RATE, layout="mono", bit_rate=kind.bit_rate)
        picture.pix_fmt, picture.thread_count = "yuv420p", 1
        for stream in (picture, sound):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for number, pixels in enumerate(frames):
            if not number:
                picture.height, picture.width = pixels.shape[:2]
            film.mux(picture.encode(av.VideoFrame.from_ndarray(to_yuv(pixels), format="yuv420p")))
        film.mux(picture.encode())
        block = av.AudioFrame.from_ndarray(_whole_numbers(wave)[None], format="s16", layout="mono")
        block.sample_rate, block.pts = voice.SAMPLE_RATE, 0
        film.mux(sound.encode(block))
        film.mux(sound.encode())


def to_yuv(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn (height, width, 3) uint8 red, green, blue, both even, into (1.5 * height, width) uint8 planes of yuv420p.

    The film library would do so by itself, but not always to the same bits.
    """
    wide = pixels.astype(np.uint16)
    fours = (wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]).astype(np.int32)  # share a colour
    luma = ((66 * wide[..., 0] + 129 * wide[..., 1] + 25 * wide[..., 2] + 128) >> 8) + 16
    blueness = ((-38 * fours[..., 0] - 74 * fours[..., 1] + 112 * fours[..., 2] + 512) >> 10) + 128
    redness = ((112 * fours[..., 0] - 94 * fours[..., 1] - 18 * fours[..., 2] + 512) >> 10) + 128
    planes = [luma.ravel(), blueness.ravel(), redness.ravel()]
    return np.concatenate(planes).astype(np.uint8).reshape(-1, pixels.shape[1])


def _whole_numbers(wave: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(wave * 32_767).astype(np.int16)


def _placed(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    for report in write_part(Path(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(report), flush=True)
