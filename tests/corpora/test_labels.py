from __future__ import annotations

import pytest

from emolab.corpora.labels import EMOTIONS, IEMOCAP_EMOTIONS, IEMOCAP_VOTES, MELD_EMOTIONS, RAVDESS_EMOTIONS, VIEWS


def test_vocabularies_have_the_published_sizes() -> None:
    assert [len(v) for v in (IEMOCAP_EMOTIONS, RAVDESS_EMOTIONS, MELD_EMOTIONS)] == [11, 8, 7]


@pytest.mark.parametrize("vocabulary", [IEMOCAP_EMOTIONS, IEMOCAP_VOTES, RAVDESS_EMOTIONS, MELD_EMOTIONS])
def test_vocabularies_speak_of_the_same_emotions(vocabulary: dict[str, str]) -> None:
    assert set(vocabulary.values()) <= set(EMOTIONS)


@pytest.mark.parametrize("name", VIEWS)
def test_views_keep_known_emotions_once_and_go_by_their_names(name: str) -> None:
    view = VIEWS[name]
    assert view.name == name
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
