"""IEMOCAP exactly as its authors distribute it: five sessions of one woman and one man each, acting in pairs."""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from emolab.corpora.corpus import LABELS, Corpus, raise_problems, some
from emolab.corpora.tables import find_root, lines_of

EMOTIONS, VOTES = LABELS["iemocap"], LABELS["iemocap_votes"]
SESSIONS = [f"Session{number}" for number in range(1, 6)]
EVALUATED, TRANSCRIBED, FILMED = "dialog/EmoEvaluation", "dialog/transcriptions", "dialog/avi/DivX"
GENDERS = {"F": "female", "M": "male"}
MARKED = len("Ses01")  # where a dialogue's name says who wears the markers
NAME = re.compile(r"(?P<dialogue>Ses(?P<session>\d\d)[FM]_(?:impro|script)\w+)_(?P<who>[FM])[0-9X]+", re.A)
NUMBER = r"(\d{1,6}(?:\.\d+)?|nan)"
RATINGS = rf"\[\s*{NUMBER},\s*{NUMBER},\s*{NUMBER}\s*\]"
EVALUATION = re.compile(rf"\[\s*{NUMBER}\s*-\s*{NUMBER}\s*\]\s+(\S+)\s+(\S+)\s+{RATINGS}", re.ASCII)
SCALES = {"val": "valence", "act": "arousal", "dom": "dominance"}
RATED = re.compile(r"(val|act|dom)\s+(\d+(?:\.\d+)?)")
SAID = re.compile(r"[AC]-(?P<annotator>\w+):\s*(?P<said>[^(]*)")
SPOKEN = re.compile(r"(?P<name>Ses\w+)\s*(?:\[[\d.\s-]*\]?)?\s*:?\s*(?P<text>.*)")

# What the files hold: rows; problems, which make them unreadable; missing files; and dropped, by name and reason
Findings = defaultdict[str, list[Any]]


def read_iemocap(root: Path, *, skip_missing: bool = False) -> Corpus:
    """Read IEMOCAP, all eleven labels.

    What each utterance gets:
        emotion: the label of the evaluation, on which the annotators agreed; xxx (no agreement) is "undecided".
        votes: how many annotators named an emotion. One who named two counts for both. The actors' ratings of
            themselves (lines C-F1, C-M1) are not votes, as they are none for the label either.
        raters: what each annotator said, by name: a dict of emotions (a tuple), valence, arousal and dominance, as far
            as there is a line of theirs.
        valence, arousal, dominance: the means that the evaluation states; 0 stands for "not rated" and becomes NA.
        speaker: session and the letter before the turn number, such as "Ses01F"; the letter in the dialogue's
            own name only says who wears the motion-capture markers.
        text: the transcript; NA where there is none, or it has no line for the utterance.
        video_path: the film of the whole dialogue, where there is one, with the utterance's times in it.
        video_side: the half that shows the speaker. The film shows the actor who wears the markers on the left; so two
            public preparations of the corpus have it, while its own documentation is silent.

    Args:
        root: The unpacked release, or the folder one level above or below.
        skip_missing: Leave out utterances without a sound file, listed in `dropped`, instead of raising.

    Returns:
        The corpus; `dropped` also lists sessions and transcripts that are not there, what was transcribed but never
        labelled, and lines that are no utterance.

    Raises:
        FileNotFoundError: If the release, or a sound file in it, is missing.
        ValueError: If files break the format; all problems are listed with file and line.
    """
    expected = f"the release of IEMOCAP (licensed, never downloaded), {SESSIONS[0]} to {SESSIONS[-1]} with {EVALUATED}"
    root = find_root(root, lambda at: any((at / each / EVALUATED).is_dir() for each in SESSIONS), expected=expected)
    folders = [root / each for each in SESSIONS if (root / each / EVALUATED).is_dir()]
    found: Findings = defaultdict(list)
    found["dropped"] = [(each, f"no {EVALUATED}: not read") for each in SESSIONS if root / each not in folders]
    for folder in folders:
        for path in sorted((folder / EVALUATED).glob("[!.]*.txt")):
            _read_dialogue(path, folder, found)
    if not found["rows"]:
        found["problems"].append("no evaluated utterance at all")
    raise_problems(found["problems"], where=root, remedy="Expected the files as distributed; unpack them again.")
    rows = [row for row in found["rows"] if row["audio_path"]]
    if found["missing"] and not (skip_missing and rows):
        why = f"{len(found['missing'])} files of IEMOCAP are missing in {root}: {some(found['missing'])}."
        remedy = "Unpack the archive again, or leave utterances out by skip_missing=True, if there are some with sound."
        raise FileNotFoundError(f"{why} Expected sound for each evaluated utterance. {remedy}")
    silent = [(row["utterance_id"], "no sound file") for row in found["rows"] if not row["audio_path"]]
    facts = {"emotions": EMOTIONS.values(), "default_view": "iemocap6", "protocol": "sessions"}
    return Corpus.from_rows("iemocap", rows, root=root, dropped=found["dropped"] + silent, **facts)


def _read_dialogue(path: Path, folder: Path, found: Findings) -> None:
    """Add the utterances of one dialogue, from its evaluation file, its transcript and the names of its media."""
    rows = sorted(_evaluated(path, folder, found), key=lambda row: row["start"])
    texts = _transcript(folder / TRANSCRIBED / path.name, found)
    unlabelled = texts.keys() - {row["utterance_id"] for row in rows}
    found["dropped"].extend((name, "transcribed, but not evaluated") for name in texts if name in unlabelled)
    sounds = f"{folder.name}/sentences/wav/{path.stem}"
    there = {file.name for file in (folder.parent / sounds).glob("*")}
    film = f"{folder.name}/{FILMED}/{path.stem}.avi"
    filmed = (folder.parent / film).is_file()
    for turn, row in enumerate(rows):
        name = f"{row['utterance_id']}.wav"
        audio_path = f"{sounds}/{name}" if name in there else None
        found["missing"].extend([] if audio_path else [f"{sounds}/{name}"])
        row |= {"turn": turn, "text": texts.get(row["utterance_id"]) or None, "audio_path": audio_path}
        if filmed:
            side = "left" if row["speaker"][-1] == path.stem[MARKED] else "right"
            row |= {"video_path": film, "video_start": row["start"], "video_end": row["end"], "video_side": side}
    found["rows"].extend(rows)


def _evaluated(path: Path, folder: Path, found: Findings) -> list[dict[str, Any]]:
    """Return a row for each utterance of an evaluation file, the annotators' votes and ratings filled in."""
    raters: dict[str, dict[str, Any]] | None = None  # of the utterance that is being read
    rows: dict[str, dict[str, Any]] = {}
    for number, line in lines_of(path):
        place = f"{folder.name}/{path.name} line {number}"
        if line.startswith("["):
            raters = {}
            try:
                row = _utterance(line, path.stem, folder.name)
                if rows.setdefault(row["utterance_id"], row | {"raters": raters})["raters"] is not raters:
                    raise ValueError(f"{row['utterance_id']} is evaluated a second time")
            except ValueError as problem:
                found["problems"].append(f"{place}: {problem}")
        elif line.startswith(("A-", "C-")):
            if not _add_said(line, raters):
                found["problems"].append(f"{place}: no vote for a known emotion under an utterance: {line[:60]!r}")
        elif NAME.search(line):  # else its votes would go to the utterance before
            found["problems"].append(f"{place}: the beginning of an utterance cannot be read: {line[:80]!r}")
        elif not line.startswith("%"):
            found["dropped"].append((place, f"not a line of an evaluation: {line[:60]!r}"))
    for row in rows.values():
        row["votes"] = dict(Counter(vote for own in row["raters"].values() for vote in own.get("emotions", ()))) or None
    return [*rows.values()]


def _utterance(line: str, dialogue: str, session: str) -> dict[str, Any]:
    """Turn the first line of an evaluation into a row; ValueError says why it cannot be one."""
    if not (parts := EVALUATION.fullmatch(line)):
        raise ValueError(f"not [start - end] name label [valence, arousal, dominance]: {line[:80]!r}")
    utterance_id, label = parts[3], parts[4]
    name = NAME.fullmatch(utterance_id)
    if not name or name["dialogue"] != dialogue or f"Session{int(name['session'])}" != session:
        raise ValueError(f"{utterance_id!r} is not an utterance of {dialogue} in {session}")
    if label not in EMOTIONS:
        raise ValueError(f"{utterance_id} has the unknown label {label!r}; known: {', '.join(EMOTIONS)}")
    start, end, *ratings = map(float, parts.group(1, 2, 5, 6, 7))
    if not start <= end:
        raise ValueError(f"{utterance_id} ends before it starts: {line[:80]!r}")
    row: dict[str, Any] = {"utterance_id": utterance_id, "dialogue_id": dialogue, "session": session}
    row |= {"start": start, "end": end, "speaker": f"Ses{name['session']}{name['who']}", "gender": GENDERS[name["who"]]}
    row |= {"scripted": "_script" in dialogue, "emotion": EMOTIONS[label]}
    rated = zip(("valence", "arousal", "dominance"), ratings, strict=True)
    return row | {scale: rating if rating > 0 else None for scale, rating in rated}  # 0 and nan: nobody rated


def _add_said(line: str, raters: dict[str, dict[str, Any]] | None) -> bool:
    """Add one annotator's line to what they said of an utterance; false if it is a vote that cannot be understood."""
    if raters is None or not (parts := SAID.match(line)):
        return line.startswith("A-")
    own = raters.setdefault(parts["annotator"], {}) if parts["annotator"][0] not in "FM" else {}  # not the actors'
    if line.startswith("A-"):
        own.update({SCALES[scale]: float(value) for scale, value in RATED.findall(parts["said"])})
        return True
    labels = {label.strip().lower() for label in parts["said"].split(";")} - {""}
    own["emotions"] = (*own.get("emotions", ()), *sorted({VOTES[label] for label in labels & VOTES.keys()}))
    return labels <= VOTES.keys()


def _transcript(path: Path, found: Findings) -> dict[str, str]:
    """Return the words of each utterance of a dialogue; what is no utterance of it is listed as dropped."""
    if not path.is_file():
        found["dropped"].append((path.stem, f"no transcript {path.relative_to(path.parents[3]).as_posix()}: no words"))
        return {}
    texts: dict[str, str] = {}
    for number, line in lines_of(path):
        parts = SPOKEN.fullmatch(line)
        name = NAME.fullmatch(parts["name"]) if parts else None
        if not parts or not name or name["dialogue"] != path.stem:
            found["dropped"].append((f"{path.stem} line {number}", f"transcript line of no utterance: {line[:60]!r}"))
        elif texts.setdefault(parts["name"], parts["text"]) != parts["text"]:
            found["dropped"].append((parts["name"], f"second transcript, line {number}: {parts['text'][:60]!r}"))
    return texts
