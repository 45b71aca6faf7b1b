"""Emotion vocabularies, and the named views in which a corpus is studied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNDECIDED = "undecided"  # the annotators did not agree; IEMOCAP writes xxx
OTHER = "other"

IEMOCAP_EMOTIONS: Mapping[str, str] = {
    "neu": "neutral",
    "hap": "happy",
    "exc": "excited",
    "ang": "angry",
    "fru": "frustrated",
    "sad": "sad",
    "fea": "fearful",
    "sur": "surprised",
    "dis": "disgusted",
    "oth": OTHER,
    "xxx": UNDECIDED,
}
IEMOCAP_VOTES: Mapping[str, str] = {  # the words of the annotators' lines, in lower case
    "neutral state": "neutral",
    "neutral": "neutral",
    "happiness": "happy",
    "excited": "excited",
    "anger": "angry",
    "frustration": "frustrated",
    "sadness": "sad",
    "fear": "fearful",
    "surprise": "surprised",
    "disgust": "disgusted",
    "other": OTHER,
}
_ACTED = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
RAVDESS_EMOTIONS: Mapping[str, str] = {f"{number:02d}": emotion for number, emotion in enumerate(_ACTED, start=1)}
MELD_EMOTIONS: Mapping[str, str] = {
    "neutral": "neutral",
    "joy": "happy",
    "sadness": "sad",
    "anger": "angry",
    "fear": "fearful",
    "disgust": "disgusted",
    "surprise": "surprised",
}
EMOTIONS: tuple[str, ...] = (*dict.fromkeys([*IEMOCAP_EMOTIONS.values(), *RAVDESS_EMOTIONS.values()]),)


@dataclass(frozen=True)
class View:
    """A choice of emotions, in the order of every table and figure, and what is merged into what."""

    name: str
    emotions: tuple[str, ...]
    merged: Mapping[str, str]  # emotion of the corpus: emotion of the view
    source: str

    def emotion_of(self, emotion: str) -> str | None:
        """Return the view's name of an emotion, None if the view leaves it out."""
        emotion = self.merged.get(emotion, emotion)
        return emotion if emotion in self.emotions else None


VIEWS: Mapping[str, View] = {
    view.name: view
    for view in (
        View("iemocap4", ("neutral", "happy", "angry", "sad"), {"excited": "happy"}, "the usual 4-class set"),
        View("iemocap5", ("neutral", "excited", "angry", "frustrated", "sad"), {}, "5 classes, happiness left out"),
        View("iemocap6", ("neutral", "happy", "excited", "angry", "frustrated", "sad"), {}, "the usual 6-class set"),
        View("ravdess8", tuple(RAVDESS_EMOTIONS.values()), {}, "all emotions of RAVDESS speech"),
        View("meld7", tuple(MELD_EMOTIONS.values()), {}, "all emotions of MELD; its joy is called happy here"),
    )
}
