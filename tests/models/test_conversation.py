"""Recognizers of conversations: what they use of other turns, and never a word of what comes later."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from emolab.corpora import Corpus
from emolab.features.combined import Concatenated, DialogueContext
from emolab.features.text import Tfidf
from emolab.models.sequence import Conversation
from emolab.recipes import recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.training import TrainingConfig

EMOTIONS = ("angry", "sad")
FEELING = {"angry": "furious", "sad": "gloomy"}
SMALL = {"n_hidden": 16, "n_context": 16, "dropout": 0.0}
BRIEF = TrainingConfig(n_epochs=20, batch_size=16, learning_rate=0.01, choose_by="last")


def talk(n_dialogues: int, seed: int, *, lag: int = 1) -> Corpus:
    """Dialogues of six turns in which the word of each turn tells the emotion of the turn `lag` later."""
    random, rows = np.random.default_rng(seed), []
    for dialogue in range(n_dialogues):
        felt = random.choice(EMOTIONS, 6 + 2 * abs(lag))
        for turn in range(6):
            emotion, told = str(felt[turn + abs(lag)]), str(felt[turn + abs(lag) + lag])
            facts = {"utterance_id": f"{seed}-{dialogue}-{turn}", "dialogue_id": f"{seed}-{dialogue}", "turn": 2 * turn}
            facts |= {"speaker": f"{seed}{'ab'[turn % 2]}", "emotion": emotion, "text": f"we are {FEELING[told]}"}
            rows.append(facts)
    rows = [rows[place] for place in random.permutation(len(rows))]
    return Corpus.from_rows("talk", rows, emotions=EMOTIONS, root=Path("."))


def recognizer(*, before: int = 0, after: int = 0) -> NetworkRecognizer:
    extractor = DialogueContext([Concatenated([Tfidf(max_words=1)], dense=True)], before=before, after=after)
    network = partial(Conversation.build, **SMALL)
    return NetworkRecognizer("conversation/small", [extractor], network, BRIEF, seed=1)


def right_of_later_turns(made: Recognizer, corpus: Corpus, turns_of: range) -> float:
    answers = np.array(made.predict(corpus)) == corpus.table["emotion"].to_numpy(str)
    return float(answers[corpus.table["turn"].isin([2 * turn for turn in turns_of])].mean())


def changed_after(corpus: Corpus, turn: int) -> Corpus:
    """Turn every word round that is said after `turn`."""
    text = corpus.table["text"].str.replace("furious", "?").str.replace("gloomy", "furious").str.replace("?", "gloomy")
    return replace(
        corpus, table=corpus.table.assign(text=corpus.table["text"].where(corpus.table["turn"] <= turn, text))
    )


def test_what_the_last_turn_tells_is_heard_with_context_and_only_with_it() -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((40, 1), (5, 2), (20, 3)))
    alone, causal = recognizer(), recognizer(before=2)
    alone.fit(train, valid)
    causal.fit(train, valid)
    assert right_of_later_turns(causal, test, range(1, 6)) > 0.95
    assert right_of_later_turns(alone, test, range(1, 6)) < 0.65


def test_what_the_next_turn_tells_is_heard_with_future_turns_only() -> None:
    train, valid, test = (talk(n, seed, lag=-1) for n, seed in ((40, 1), (5, 2), (20, 3)))
    future, causal = recognizer(before=2, after=2), recognizer(before=2)
    future.fit(train, valid)
    causal.fit(train, valid)
    assert right_of_later_turns(future, test, range(5)) > 0.95
    assert right_of_later_turns(causal, test, range(5)) < 0.65


def test_causal_answers_never_change_when_later_turns_change() -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((10, 1), (3, 2), (6, 3)))
    made = recognizer(before=4)
    made.fit(train, valid)
    said = made.predict_proba(test)
    for turn in (0, 4, 8):
        until = (test.table["turn"] <= turn).to_numpy()
        changed = made.predict_proba(changed_after(test, turn))
        np.testing.assert_allclose(changed[until], said[until], atol=1e-6)
        assert np.abs(changed[~until] - said[~until]).max() > 1e-5
        np.testing.assert_allclose(made.predict_proba(test.select(until)), said[until], atol=1e-6)


def test_answers_with_future_turns_change_with_them_but_not_with_other_dialogues() -> None:
    train, valid, test = (talk(n, seed, lag=-1) for n, seed in ((20, 1), (3, 2), (6, 3)))
    made = recognizer(before=1, after=1)
    made.fit(train, valid)
    said, changed = made.predict_proba(test), made.predict_proba(changed_after(test, 4))
    at_4, until_2 = (test.table["turn"] == 4).to_numpy(), (test.table["turn"] <= 2).to_numpy()
    assert np.abs(changed[at_4] - said[at_4]).max() > 1e-5
    np.testing.assert_allclose(changed[until_2], said[until_2], atol=1e-6)
    one = (test.table["dialogue_id"] == "3-0").to_numpy()
    np.testing.assert_allclose(made.predict_proba(test.select(one)), said[one], atol=1e-6)


@pytest.mark.parametrize("after", [0, 2])
def test_recognizers_of_conversations_come_back_as_they_were_saved(after: int, tmp_path: Path) -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((4, 1), (3, 2), (3, 3)))
    made = recognizer(before=2, after=after)
    made.fit(train, valid)
    made.save(tmp_path / "kept")
    loaded = Recognizer.load(tmp_path / "kept")
    np.testing.assert_allclose(loaded.predict_proba(test), made.predict_proba(test), atol=1e-6)
    assert loaded.n_parameters == made.n_parameters


def test_recognizers_of_conversations_say_that_there_are_no_dialogues() -> None:
    train, valid = talk(4, 1), talk(3, 2)
    lonely = replace(train, table=train.table.assign(turn=train.table["turn"].where(train.table["turn"] < 0)))
    with pytest.raises(
        ValueError, match=r"24 of 24 utterances of corpus 'talk' have no dialogue_id or no turn.*sample"
    ):
        recognizer(before=2).fit(lonely, valid)


def test_recipes_differ_in_their_reach_alone() -> None:
    reaches = {"alone": (0, 0), "causal": (8, 0), "future": (8, 8)}
    for reach, expected in reaches.items():
        made = recipe(f"conversation/{reach}/statistics+words")
        assert isinstance(made, NetworkRecognizer)
        (extractor,) = made.features
        assert isinstance(extractor, DialogueContext)
        assert (extractor.before, extractor.after) == expected
        assert made.config == recipe("conversation/alone/statistics+words").config  # type: ignore[attr-defined]
