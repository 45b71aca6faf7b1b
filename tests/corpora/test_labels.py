from __future__ import annotations

import pytest

from emolab.corpora.corpus import EMOTIONS, LABELS, SCHEMA, TRUTH, VIEWS

N_LABELS = {"iemocap": 11, "ravdess": 8, "meld": 7, "iemocap_votes": 11}
PUBLISHED = {  # codes in the order of the emotions: neutral, happy, angry, sad, fearful, surprised, disgusted, others
    "crema-d": "NEU HAP ANG SAD FEA - DIS",
    "emodb": "N F W T A - E L",
    "tess": "neutral happy angry sad fear ps disgust",
    "savee": "n h a sa f su d",
    "esd": "Neutral Happy Angry Sad - Surprise -",
    "msp-podcast": "N H A S F U D C O X",
    "cmu-mosei": "- happy anger sad fear surprise disgust",
}
BASIC = ("neutral", "happy", "angry", "sad", "fearful", "surprised", "disgusted")
OTHERS = {"emodb": ("bored",), "msp-podcast": ("contempt", "other", "undecided")}


def test_vocabularies_have_the_published_sizes() -> None:
    assert {corpus: len(codes) for corpus, codes in LABELS.items() if corpus not in PUBLISHED} == N_LABELS
    assert {*LABELS} == {*N_LABELS, *PUBLISHED}


@pytest.mark.parametrize("corpus", PUBLISHED)
def test_label_maps_are_those_of_the_corpora_s_documentation(corpus: str) -> None:
    pairs = zip(PUBLISHED[corpus].split(), (*BASIC, *OTHERS.get(corpus, ())), strict=True)
    assert list(LABELS[corpus].items()) == [(code, emotion) for code, emotion in pairs if code != "-"]


@pytest.mark.parametrize("corpus", LABELS)
def test_vocabularies_speak_of_the_same_emotions(corpus: str) -> None:
    assert set(LABELS[corpus].values()) <= set(EMOTIONS)


def test_emotions_come_in_the_order_of_every_palette() -> None:
    assert EMOTIONS[:6] == VIEWS["iemocap6"].emotions == ("neutral", "happy", "excited", "angry", "frustrated", "sad")


def test_columns_have_a_type_and_a_meaning() -> None:
    known = {"string", "Int64", "boolean", "object", "float64"}
    assert len(SCHEMA) == 22
    assert len(TRUTH) == 10
    assert all(dtype in known and len(meaning) > 10 for dtype, meaning in (SCHEMA | TRUTH).values())


@pytest.mark.parametrize("name", VIEWS)
def test_views_keep_known_emotions_once(name: str) -> None:
    view = VIEWS[name]
    assert len(set(view.emotions)) == len(view.emotions) == int(name[-1])
    assert {*view.emotions, *view.merged} <= set(EMOTIONS)
    assert {view.emotion_of(emotion) for emotion in EMOTIONS} == {*view.emotions, None}


def test_iemocap_views_differ_in_what_becomes_of_happiness_and_excitement() -> None:
    fate = {name: [VIEWS[name].emotion_of(e) for e in ("happy", "excited")] for name in VIEWS if "iemocap" in name}
    assert fate == {
        "iemocap4": ["happy", "happy"],
        "iemocap5": [None, "excited"],
        "iemocap6": ["happy", "excited"],
    }
