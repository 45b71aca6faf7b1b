"""Writes the sample corpora to disk, in IEMOCAP's and RAVDESS's own layouts.

The work is split into parts, always in the same way, each done by a process of its own: `python -m
emolab.sample.build FOLDER PART PARENT`, which ends with its parent. So the speech is the same bit for bit wherever and
however often it is made.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from numpy.typing import NDArray

from emolab.corpora.corpus import LABELS, TRUTH
from emolab.corpora.named import NAMED
from emolab.sample import face, script, voice
from emolab.storage import CHECKOUT, progress, settings_beside

N_PARTS = 4
DESIGN = settings_beside(__file__, "design.toml", "build")
VOTES = {emotion: word.capitalize() for word, emotion in LABELS["iemocap_votes"].items()}  # as IEMOCAP spells them


# One utterance with its audio and its face, placed in the dialogue: start and end in seconds
Turn = namedtuple("Turn", "line speech performance start end")


def build(target: Path) -> None:
    """Write both corpora, truth.csv and README.txt below the folder `target`; takes well under a minute.

    Raises:
        RuntimeError: If a process that writes a part fails; the message ends with what it said.
    """
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("README.txt"), target / "README.txt")
    with ThreadPoolExecutor(N_PARTS) as threads:
        parts = threads.map(partial(run_part, target), range(N_PARTS))
        units = [unit for part in progress(parts, "sample corpora", total=N_PARTS) for unit in part]
    for corpus in ("iemocap", "ravdess"):
        rows = [row for unit in units if unit["corpus"] == corpus for row in unit["truth"]]
        table = pd.DataFrame(rows, columns=["utterance_id", *TRUTH]).sort_values("utterance_id")
        table.to_csv(target / corpus / "truth.csv", index=False, lineterminator="\n")
    raters = pd.DataFrame.from_dict(script.DESIGN.raters, orient="index", columns=["valence", "arousal", "dominance"])
    raters.to_csv(target / "iemocap" / "raters.csv", index_label="rater", lineterminator="\n")


def run_part(target: Path, part: int) -> list[dict[str, Any]]:
    """Write every N_PARTS-th unit in a fresh process; return its report: corpus and truth of each unit.

    Raises:
        RuntimeError: If the process fails.
    """
    path = os.pathsep.join([str(CHECKOUT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    command = [sys.executable, "-m", __name__, str(target), str(part), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        found = f"writing part {part} of the sample corpora to {target} ended with code {done.returncode}"
        needs = "Expected espeak-ng and 200 MB of free disk"
        raise RuntimeError(f"{found}. {needs}. The process said: {done.stderr[-600:]}")
    return json.loads(done.stdout)


def write_part(target: Path, part: int) -> list[dict[str, Any]]:
    """Write every N_PARTS-th unit, a dialogue or an actor, in this process; see `run_part`."""
    actors = [f"{number:02d}" for number in range(1, len(voice.ACTORS) + 1)]
    units = [*(("iemocap", name) for name in script.dialogue_names()), *(("ravdess", actor) for actor in actors)]
    synthesiser, writers = voice.Synthesiser(), {"iemocap": write_dialogue, "ravdess": write_actor}
    mine = units[part::N_PARTS]
    return [{"corpus": kind, "truth": [*writers[kind](target / kind, name, synthesiser)]} for kind, name in mine]


def write_dialogue(root: Path, name: str, synthesiser: voice.Synthesiser) -> Iterator[dict[str, Any]]:
    """Write one dialogue as IEMOCAP has it: evaluation, transcript, sound of each utterance, film; yield the truth."""
    folder, number = root / f"Session{int(name[3:5])}", script.dialogue_names().index(name)
    rng = np.random.default_rng([script.SEED, 1, number])
    turns = speak_dialogue(name, synthesiser, rng)
    for kind, lines in (("EmoEvaluation", evaluation(turns, rng)), ("transcriptions", transcript(turns, rng))):
        _placed(folder / "dialog" / kind / f"{name}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    for turn in turns:
        line = turn.line
        write_wav(folder / "sentences" / "wav" / name / f"{line.key}.wav", turn.speech.wave)
        yield truth(line.key, line.label, line.shown, line.cue_words, turn.speech, turn.performance)
    wave = np.zeros(round((turns[-1].end + DESIGN.gap_s[1]) * voice.SAMPLE_RATE), np.float32)
    for turn in turns:
        begin = round(turn.start * voice.SAMPLE_RATE)
        wave[begin : begin + len(turn.speech.wave)] = turn.speech.wave
    write_film(folder / "dialog/avi/DivX" / f"{name}.avi", dialogue_frames(turns, wave, name), wave, DESIGN.avi)


def speak_dialogue(name: str, synthesiser: voice.Synthesiser, rng: np.random.Generator) -> list[Turn]:
    """Speak the lines of a dialogue one after the other, and draw when the speaker's face shows what."""
    session, time, turns = int(name[3:5]), 0.8, []
    level = voice.decibels(DESIGN.microphone_db * rng.standard_normal())
    for line in script.write_dialogue(name):
        who = (voice.WOMEN if line.speaker == "F" else voice.MEN)[session - 1]
        speech = voice.say(synthesiser, line.text, who, line.shown["audio"], rng=rng)
        noise = 10 ** (DESIGN.room_noise_db / 20) * rng.standard_normal(len(speech.wave))
        wave = voice.limit((level * speech.wave + noise).astype(np.float32))
        seconds = len(wave) / voice.SAMPLE_RATE
        performance = face.draw_performance(rng, line.shown["video"], seconds)
        start = round(time, 4)
        turns.append(Turn(line, speech._replace(wave=wave), performance, start, start + seconds))
        time += seconds + rng.uniform(*DESIGN.gap_s)
    return turns


def dialogue_frames(turns: Sequence[Turn], wave: NDArray[np.float32], name: str) -> Iterator[NDArray[np.uint8]]:
    """Draw a dialogue, (SIZE, 2 * SIZE, 3) uint8 a frame: left who gives the dialogue its letter, right the other."""
    session = int(name[3:5])
    opened = face.lips(wave, sample_rate=voice.SAMPLE_RATE, fps=DESIGN.avi["fps"])
    for number, lips in enumerate(opened):
        time = (number + 0.5) / DESIGN.avi["fps"]
        turn: Any = next((turn for turn in turns if turn.start <= time < turn.end + face.DESIGN.offset_s), None)
        sides = []
        for who in "FM" if name[5] == "F" else "MF":
            person, phase = (face.WOMEN[session - 1], 1.7) if who == "F" else (face.MEN[session - 1], 0.0)
            speaks = turn and turn.line.speaker == who
            shown, since, open_ = (turn.performance, time - turn.start, lips) if speaks else (None, time, 0.0)
            sides.append(face.frame(person, shown, since, open_, session + phase))
        yield np.concatenate(sides, axis=1)


def evaluation(turns: Iterable[Turn], rng: np.random.Generator) -> Iterator[str]:
    """Write the lines of an evaluation file."""
    codes = {emotion: code for code, emotion in LABELS["iemocap"].items()}
    yield "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    for turn in turns:
        line = turn.line
        means = ", ".join(f"{mean:.4f}" for mean in np.mean(line.ratings, axis=0))
        yield f"[{turn.start:.4f} - {turn.end:.4f}]\t{line.key}\t{codes[line.label]}\t[{means}]\n"
        for rater, vote in zip(line.raters, line.votes, strict=True):
            second = str(rng.choice(script.EMOTION_FACTS[vote]["neighbours"]))
            spare = rng.random() < DESIGN.p_two_labels and second not in line.votes and line.label != script.UNDECIDED
            yield f"C-{rater}:\t{VOTES[vote]};{f' {VOTES[second]};' if spare else ''}\t()\n"
        yield f"C-{line.speaker}1:\t{VOTES[line.meant]};\t()\n"
        for rater, (valence, arousal, dominance) in zip(line.raters, line.ratings, strict=True):
            yield f"A-{rater}:\tval {valence}; act {arousal}; dom  {dominance};\t()\n"
        yield "\n"


def transcript(turns: Iterable[Turn], rng: np.random.Generator) -> Iterator[str]:
    """Write the lines of a transcript, a few of them without an utterance of their own."""
    for turn in turns:
        yield f"{turn.line.key} [{turn.start:08.4f}-{turn.end:08.4f}]: {turn.line.text}\n"
        if rng.random() < DESIGN.p_stray_line:
            yield f"{'M' if turn.line.speaker == 'F' else 'F'}: Mmhm.\n"
    yield f"{turn.line.key[:-4]}{turn.line.speaker}XX0 [{turn.end:08.4f}-{turn.end + 0.1:08.4f}]: Mmhm.\n"


def write_actor(root: Path, actor: str, synthesiser: voice.Synthesiser) -> Iterator[dict[str, Any]]:
    """Write one actor's performances as RAVDESS has them, sound and film with sound; yield the truth of each."""
    number = int(actor) - 1
    rng = np.random.default_rng([script.SEED, 2, number])
    texts = NAMED["ravdess"]["codes"]["text"]
    codes = product(LABELS["ravdess"].items(), DESIGN.strengths.items(), texts.items())
    for (code, emotion), (intensity, strength), (statement, text) in codes:
        if emotion == "neutral" and intensity == "02":
            continue
        shown = draw_acting(rng, emotion)
        speech = voice.say(synthesiser, text, voice.ACTORS[number], shown["audio"], rng=rng, intensity=strength)
        seconds = len(speech.wave) / voice.SAMPLE_RATE
        performance = face.draw_performance(rng, shown["video"], seconds, intensity=strength)
        opened = face.lips(speech.wave, sample_rate=voice.SAMPLE_RATE, fps=DESIGN.mp4["fps"])
        draw = partial(face.frame, face.ACTORS[number], performance, phase=rng.uniform(0, face.DESIGN.blink_every_s))
        frames = (draw((place + 0.5) / DESIGN.mp4["fps"], lips=lips) for place, lips in enumerate(opened))
        key = f"01-{code}-{intensity}-{statement}-01-{actor}"
        folder = root / f"Actor_{actor}"
        write_wav(folder / f"03-{key}.wav", speech.wave)
        write_film(folder / f"01-{key}.mp4", frames, speech.wave, DESIGN.mp4)
        yield truth(key, emotion, shown, (), speech, performance)


def draw_acting(rng: np.random.Generator, emotion: str) -> dict[str, str]:
    """Draw what an actor's voice and face show: the emotion in one of them at least; the words never tell."""
    while True:
        audio, video = (emotion if rng.random() < DESIGN.p_acted else "neutral" for _ in range(2))
        if emotion in (audio, video):
            return {"text": "neutral", "audio": audio, "video": video}


def truth(
    key: str, label: str, shown: Mapping[str, str], cues: Sequence[int], heard: voice.Speech, seen: face.Performance
) -> dict[str, str]:
    """Say what was planted in an utterance: a row of truth.csv, where what is left out stays empty."""
    row = {f"shown_{modality}": emotion for modality, emotion in shown.items()}
    row |= {"utterance_id": key, "cue_words": " ".join(map(str, cues))}
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

    soundfile.write(_placed(path), np.rint(wave * 32_767).astype(np.int16), voice.SAMPLE_RATE, subtype="PCM_16")


def write_film(path: Path, frames: Iterable[NDArray[Any]], wave: NDArray[np.float32], kind: Mapping[str, Any]) -> None:
    """Write a film with sound, coded as design.toml says.

    One thread and no dates in the file: so it is the same bit for bit each time.
    """
    import av

    with av.open(str(_placed(path)), "w", options={"fflags": "+bitexact"}) as film:
        shown: Any = film.add_stream(kind["picture"], rate=kind["fps"], options=kind["options"])
        heard: Any = film.add_stream(kind["sound"], rate=voice.SAMPLE_RATE, layout="mono", bit_rate=kind["bit_rate"])
        shown.pix_fmt, shown.thread_count = "yuv420p", 1
        for stream in (shown, heard):
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for number, pixels in enumerate(frames):
            if not number:
                shown.height, shown.width = pixels.shape[:2]
            film.mux(shown.encode(av.VideoFrame.from_ndarray(to_yuv(pixels), format="yuv420p")))
        film.mux(shown.encode())
        block = av.AudioFrame.from_ndarray(np.rint(wave * 32_767).astype(np.int16)[None], format="s16", layout="mono")
        block.sample_rate, block.pts = voice.SAMPLE_RATE, 0
        film.mux(heard.encode(block))
        film.mux(heard.encode())


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


def _placed(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _end_with(parent: int) -> None:
    """End this process when the one that waits for it has ended, such as by a kill."""
    while psutil.pid_exists(parent):  # not os.getppid: on Windows an environment's python is started by another
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(int(sys.argv[3]),), daemon=True).start()
    print(json.dumps(write_part(Path(sys.argv[1]), int(sys.argv[2]))))
