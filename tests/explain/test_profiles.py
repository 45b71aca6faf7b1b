from __future__ import annotations

import numpy as np
import pytest

from emolab.explain import Attribution, Explanation
from emolab.explain.profiles import N_POINTS, over_time, top_words
from emolab.explain.units import sound_spans
from tests.explain.conftest import talk


def said(texts: list[str], values: list[list[float]], emotion: str = "angry") -> Explanation:
    items = [
        Attribution(f"u{place}", emotion, tuple(text.split()), np.array(own), np.full((len(own), 2), np.nan))
        for place, (text, own) in enumerate(zip(texts, values, strict=True))
    ]
    return Explanation("text/x", "ablation", "text", "leave out", tuple(items))


def test_top_words_averages_cleans_and_marks_listed_words() -> None:
    explained = said(["Angry! now", "so angry.", "now, so"], [[3.0, 0.0], [1.0, 1.0], [-1.0, 0.5]])
    table = top_words(explained, fewest=2)
    assert table["word"].tolist() == ["angry", "so", "now"]
    assert table["value"].tolist() == pytest.approx([2.0, 0.75, -0.5])
    assert top_words(explained, fewest=4).empty


def test_top_words_knows_our_words_of_the_emotion() -> None:
    table = top_words(said(["angry table", "angry table"], [[2.0, 1.0]] * 2), fewest=2)
    assert table["word"].tolist() == ["angry", "table"]
    assert table["listed"].tolist() == [True, False]
    assert table["n"].tolist() == [2, 2]


def test_over_time_follows_loudness_where_relevance_does() -> None:
    corpus, rng = talk(16), np.random.default_rng(0)
    waves, items = {}, []
    for name in corpus.table["utterance_id"]:
        envelope = np.repeat(np.linspace(0.01, 0.3, 10), 1_600)
        waves[name] = (envelope * rng.standard_normal(16_000)).astype(np.float32)
        spans = sound_spans(1.0)
        items.append(Attribution(name, "angry", ("",) * 10, np.arange(10.0), spans))
    explained = Explanation("audio/x", "occlusion", "audio", "silence", tuple(items))
    tracks = over_time(explained, corpus.with_media(audio=waves))["angry"]
    relevance, energy = (np.array(tracks[name])[:, 0] for name in ("relevance", "energy"))
    assert len(relevance) == N_POINTS
    assert np.corrcoef(relevance, energy)[0, 1] > 0.9
    assert np.isnan(np.array(tracks["f0"])).all(), "noise has no pitch"
