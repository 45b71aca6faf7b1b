"""Windows of turns: their order, their reach, and that nothing is heard that should not be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus, load_corpus
from emolab.features.base import FeatureExtractor, Tfidf, extractor_from_state
from emolab.features.turns import DialogueContext, dialogue_rows

ROWS = (  # dialogue, turn, speaker, number that is said: shuffled, with gaps, two dialogues between each other
    ("b", 7, "Ann", 27.0),
    ("a", 5, "Bob", 15.0),
    ("b", 0, "Bob", 20.0),
    ("a", 0, "Ann", 10.0),
    ("a", 9, "Ann", 19.0),
    ("b", 3, "Cem", 23.0),
    ("a", 2, "Bob", 12.0),
)
DIALOGUES = {"a": [10, 12, 15, 19], "b": [20, 23, 27]}  # what is said, in order


class SaidNumber(FeatureExtractor):
    """The number that is said, and a one."""

    modality = "text"

    def fit(self, corpus: Corpus) -> None:
        """Learn nothing."""

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, 2) float32."""
        return np.array([[float(text), 1.0] for text in corpus.texts()], dtype=np.float32).reshape(-1, 2)

    def state(self) -> dict[str, Any]:
        """Return nothing but the name."""
        return {"kind": "SaidNumber", "options": {}, "learned": {}}


class SaidLayers(SaidNumber):
    """Two layers of three numbers each, the second ten times as large and turned round."""

    def transform(self, corpus: Corpus) -> NDArray[np.float32]:
        """Return (n_utterances, 2, 3) float32."""
        numbers = np.array([float(text) for text in corpus.texts()], dtype=np.float32)
        layer = np.stack([numbers, numbers**2 / 10, np.ones_like(numbers)], axis=1)
        return np.stack([layer, 10 * layer[:, ::-1]], axis=1)

    def state(self) -> dict[str, Any]:
        """Return nothing but the name."""
        return {"kind": "SaidLayers", "options": {}, "learned": {}}


def corpus_of(rows: Sequence[tuple[str | None, int | None, str, float]]) -> Corpus:
    named = [
        {"utterance_id": f"{dialogue}{turn}-{place}", "dialogue_id": dialogue, "turn": turn, "speaker": speaker}
        | {"emotion": "sad", "text": str(number)}
        for place, (dialogue, turn, speaker, number) in enumerate(rows)
    ]
    return Corpus.from_rows("talk", named, emotions=("sad", "angry"), root=Path("."))


def windows(rows: Sequence[tuple[str | None, int | None, str, float]], before: int, after: int = 0) -> Any:
    corpus = corpus_of(rows)
    turns = DialogueContext([SaidNumber()], before=before, after=after)
    turns.fit(corpus)
    return turns.transform(corpus)


def said(window: NDArray[np.float32]) -> list[float]:
    return window[:, 0].tolist()


def test_windows_by_hand_before_only() -> None:
    seen = windows(ROWS, before=2)
    assert [said(window) for window in seen] == [
        [20, 23, 27],
        [10, 12, 15],
        [20],
        [10],
        [12, 15, 19],
        [20, 23],
        [10, 12],
    ]
    assert seen[4].tolist() == [[12, 1, 0, 0], [15, 1, 0, 0], [19, 1, 1, 1]]  # Bob, Bob, then Ann who is judged
    assert seen[1].tolist() == [[10, 1, 0, 0], [12, 1, 1, 0], [15, 1, 1, 1]]
    assert {window.dtype for window in seen} == {np.dtype(np.float32)}


def test_windows_by_hand_before_and_after() -> None:
    seen = windows(ROWS, before=1, after=2)
    assert [said(window) for window in seen] == [
        [23, 27],
        [12, 15, 19],
        [20, 23, 27],
        [10, 12, 15],
        [15, 19],
        [20, 23, 27],
        [10, 12, 15, 19],
    ]
    assert [window[:, 3].tolist().index(1) for window in seen] == [1, 1, 0, 0, 1, 1, 1]
    assert seen[3].tolist() == [[10, 1, 1, 1], [12, 1, 0, 0], [15, 1, 0, 0]]


def test_alone_hears_nobody_else() -> None:
    assert [said(window) for window in windows(ROWS, before=0)] == [[number] for *_, number in ROWS]


talks = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 12), st.sampled_from(["Ann", "Bob"]), st.integers(0, 99).map(float)
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda row: row[:2],
)
reach = st.integers(0, 4)


@settings(max_examples=40)
@given(talks, reach, reach)
def test_windows_hold_the_nearest_turns_of_the_own_dialogue_in_order(rows: Any, before: int, after: int) -> None:
    for (dialogue, turn, speaker, number), window in zip(rows, windows(rows, before, after), strict=True):
        own = sorted(row for row in rows if row[0] == dialogue)
        place = [row[1] for row in own].index(turn)
        near = own[max(0, place - before) : place + after + 1]
        assert said(window) == [row[3] for row in near]
        assert window[:, 2].tolist() == [row[2] == speaker for row in near]
        assert window[:, 3].tolist() == [row[1] == turn for row in near]
        assert said(window)[window[:, 3].argmax()] == number


@settings(max_examples=40)
@given(talks, reach, st.randoms())
def test_causal_windows_stay_when_later_turns_and_other_dialogues_change(rows: Any, before: int, luck: Any) -> None:
    dialogue, turn, speaker, number = luck.choice(rows)
    changed = [(d, t, s, n) if d == dialogue and t <= turn else (d, t, "Dan", n + 500) for d, t, s, n in rows]
    gone = [row for row in rows if row[0] == dialogue and row[1] <= turn]
    place = rows.index((dialogue, turn, speaker, number))
    seen = windows(rows, before)[place]
    np.testing.assert_array_equal(seen, windows(changed, before)[place])
    np.testing.assert_array_equal(seen, windows(gone, before)[gone.index(rows[place])])


def test_windows_with_future_turns_change_with_them() -> None:
    changed = [*ROWS[:4], ("a", 9, "Ann", 99.0), *ROWS[5:]]
    for before_change, after_change, place in [(windows(ROWS, 2, 1), windows(changed, 2, 1), 1)]:
        assert said(before_change[place]) == [10, 12, 15, 19]
        assert said(after_change[place]) == [10, 12, 15, 99]


@settings(max_examples=30)
@given(st.permutations(range(len(ROWS))))
def test_the_order_of_the_rows_does_not_matter(order: Any) -> None:
    seen, shuffled = windows(ROWS, 3, 1), windows([ROWS[place] for place in order], 3, 1)
    for place, window in zip(order, shuffled, strict=True):
        np.testing.assert_array_equal(seen[place], window)


def test_places_are_those_of_each_dialogue_in_order() -> None:
    found = {ROWS[places[0]][0]: [ROWS[place][3] for place in places] for places in dialogue_rows(corpus_of(ROWS))}
    assert found == DIALOGUES


def test_what_a_part_leaves_out_is_not_heard() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([SaidNumber()], before=2)
    turns.fit(corpus)
    some = corpus.select(corpus.table["turn"] != 2)
    assert [said(window) for window in turns.transform(some)] == [
        [20, 23, 27],
        [10, 15],
        [20],
        [10],
        [10, 15, 19],
        [20, 23],
    ]


def test_layers_are_brought_to_one_scale_averaged_and_scaled_on_training() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([SaidLayers()], before=8)
    turns.fit(corpus)
    rows = np.array([[number, number**2 / 10, 1.0] for *_, number in ROWS])
    unit = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
    mean = (unit + unit[:, ::-1]) / 2
    scaled = (mean - mean.mean(axis=0)) / np.maximum(mean.std(axis=0), 1e-5)
    own = np.stack([window[window[:, -1] == 1][0, :-2] for window in turns.transform(corpus)])
    np.testing.assert_allclose(own, scaled, atol=1e-3)
    assert turns.sizes() == {"n_features": 3, "both_ways": False}


def test_sparse_counts_are_taken_too() -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([Tfidf(min_count=1)], before=1)
    turns.fit(corpus)
    assert turns.transform(corpus)[0].shape == (2, turns.n_features + 2)


@pytest.mark.parametrize("extractor", [SaidNumber, SaidLayers])
@pytest.mark.parametrize("after", [0, 2])
def test_turns_come_back_from_their_state(extractor: type[FeatureExtractor], after: int) -> None:
    corpus = corpus_of(ROWS)
    turns = DialogueContext([extractor()], before=3, after=after)
    turns.fit(corpus)
    again = extractor_from_state(turns.state())
    assert isinstance(again, DialogueContext)
    assert again.sizes() == turns.sizes() == {"n_features": turns.n_features, "both_ways": after > 0}
    for window, same in zip(turns.transform(corpus), again.transform(corpus), strict=True):
        np.testing.assert_array_equal(window, same)


@pytest.mark.parametrize("lost", [("b", None), (None, 3)])
def test_a_corpus_without_dialogues_is_named(lost: tuple[str | None, int | None]) -> None:
    corpus = corpus_of([*ROWS, (*lost, "Ann", 0.0)])
    message = (
        r"1 of 8 utterances of corpus 'talk' have no dialogue_id or no turn, first .*-7; expected both.*Take a corp"
    )
    for says in (DialogueContext([SaidNumber()]).fit, DialogueContext([SaidNumber()]).transform, dialogue_rows):
        with pytest.raises(ValueError, match=message):
            says(corpus)


def test_turns_say_which_front_ends_and_which_reach_they_take() -> None:
    with pytest.raises(ValueError, match=r"2 front ends; expected one.*Beside"):
        DialogueContext([SaidNumber(), SaidNumber()])
    with pytest.raises(ValueError, match=r"before=-1, after=0; expected 0 or more.*Correct"):
        DialogueContext([SaidNumber()], before=-1)


def test_windows_of_the_sample_stay_in_their_dialogue_and_never_look_ahead() -> None:
    corpus = load_corpus("sample").view()
    numbered = corpus.table.assign(text=pd.Series(range(len(corpus))).astype("string"))
    windowed = DialogueContext([SaidNumber()], before=8)
    numbers = Corpus("sample", numbered, corpus.emotions, corpus.root)
    windowed.fit(numbers)
    for own, window in enumerate(windowed.transform(numbers)):
        heard = numbered.iloc[window[:, 0].astype(int)]
        assert set(heard["dialogue_id"]) == {numbered["dialogue_id"][own]}
        assert heard["turn"].is_monotonic_increasing
        assert heard["turn"].iloc[-1] == numbered["turn"][own]
        assert len(heard) == 1 + min(8, int((numbered["dialogue_id"][:own] == numbered["dialogue_id"][own]).sum()))
