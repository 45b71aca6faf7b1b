"""What workers do: annotate a recording, explain a segment. Nothing of it stays in emolab's cache."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Any

import soundfile

from emolab.annotate.annotation import Annotation
from emolab.annotate.pipeline import annotate as annotate_file
from emolab.annotate.pipeline import has_film, recognizer_of
from emolab.corpora import Corpus
from emolab.explain import explain
from emolab.media import SAMPLE_RATE, read_audio
from emolab.recognizer import Recognizer
from emolab.storage import temporary_cache

EXPLAINED = ("text", "audio")  # modalities with units that a page can show
METHOD = "ablation"
PLAYED = (".mp4", ".m4v", ".mov", ".webm", ".wav", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".flac")


@lru_cache
def recognizer(model: Path | None, words_only: bool = False) -> Recognizer:
    """Return the recognizer of a folder, or the default one, which is trained on first use."""
    return recognizer_of(model, words_only=words_only)[0]


def prepare(model: Path | None) -> None:
    """Load what the first recording would wait for, and train it where it is used for the first time."""
    recognizer(model)
    if model is None:
        recognizer(None, True)


def forgetful() -> AbstractContextManager[None]:
    """Keep features in a folder that is deleted at once; recognizers have to be loaded before."""
    return temporary_cache("demo", os.environ.get("GRADIO_TEMP_DIR"))


def annotate(path: Path, *, model: Path | None, words_only: bool, names: Sequence[str]) -> Annotation:
    """Annotate a recording."""
    made = recognizer(model, words_only)
    with forgetful():  # of the default model, the annotation says what it was trained on
        how: dict[str, Any] = {"words_only": words_only, "names": names, "show_progress": False}
        return annotate_file(path, model=made if model else None, **how)


def playable(path: Path, folder: Path) -> Path:
    """Return a recording that browsers play: itself, or its sound written to a folder."""
    if path.suffix.lower() in PLAYED:
        return path
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / f"{path.stem}.ogg", read_audio(path), SAMPLE_RATE)
    return folder / f"{path.stem}.ogg"


def why(
    path: Path, row: Mapping[str, Any], *, model: Path | None, words_only: bool
) -> tuple[dict[str, Any], list[Any]]:
    """Explain a segment.

    Returns:
        For each modality, the probabilities of emotions by it alone, where the model can do with one; and an
        explanation for words and voice each: modality, emotion, names, values, spans (n, 2) in seconds, method and
        baseline.
    """
    made, alone, found = recognizer(model, words_only), dict[str, Any](), list[Any]()
    if str(row["emotion"]) not in made.emotions:  # there is none, as where nothing was said
        return alone, found
    with forgetful():
        segment = utterance(path, row, made)
        there = [modality for modality in segment.modalities if modality in made.modalities]
        for modality in there if made.partial else ():
            only = segment.without(*(other for other in there if other != modality))
            if made.covers(only).all():
                shares = made.calibrated(made.predict_proba(only))[0]
                alone[modality] = dict(zip(made.emotions, shares.tolist(), strict=True))
        maskable = all(extractor.maskable for extractor in made.extractors())
        for modality in (modality for modality in EXPLAINED if maskable and modality in there):
            explanation = explain(made, segment, METHOD, str(row["emotion"]), modality=modality)
            one = {name: getattr(explanation[0], name) for name in ("emotion", "names", "values", "spans")}
            found.append(one | {"modality": modality, "method": METHOD, "baseline": explanation.baseline})
    return alone, found


def utterance(path: Path, row: Mapping[str, Any], made: Recognizer) -> Corpus:
    """Return a segment of a recording as a corpus of one utterance, with the modalities that a recognizer takes."""
    start, end = row["start"], row["end"]
    about: dict[str, Any] = {"utterance_id": "0", "speaker": "unknown", "text": row["text"] or None}
    about |= {"dialogue_id": "0", "turn": 0}  # for models of conversations: a turn before which nothing was said
    if "video" in made.modalities and has_film(path):
        about |= {"video_path": str(path), "video_start": start, "video_end": end}
    corpus = Corpus.from_rows("segment", [about], emotions=(), root=Path())
    if "audio" not in made.modalities:
        return corpus
    return corpus.with_media(audio={"0": read_audio(path)[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]})
