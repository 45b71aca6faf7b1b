"""Networks and recognizers that hear a conversation: by hand, by heart, and never a word of what comes later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from emolab.corpora import Corpus
from emolab.features.base import Tfidf
from emolab.features.joined import Concatenated
from emolab.features.turns import DialogueContext
from emolab.models.conversation import Conversation, ConversationConfig
from emolab.recipes import recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.training import TrainingConfig
from tests.models.by_heart import loss_by_heart

CONFIG = ConversationConfig(n_emotions=3, n_features=5, n_hidden=8, n_context=12, n_heads=2, dropout=0.2)
EVERY = pytest.mark.parametrize(
    ("context", "both_ways"), [(context, ways) for context in ("recurrent", "attention") for ways in (False, True)]
)


def network(context: str, both_ways: bool = False, **sizes: Any) -> Conversation:
    torch.manual_seed(2)
    return Conversation(replace(CONFIG, context=context, both_ways=both_ways, **sizes))  # type: ignore[arg-type]


def turns(n_before: list[int], n_after: list[int]) -> tuple[Tensor, Tensor]:
    """Draw windows, (batch, turns, 7), each with so many turns before and after the judged one."""
    torch.manual_seed(5)
    lengths = torch.tensor([before + 1 + after for before, after in zip(n_before, n_after, strict=True)])
    values = torch.randn(len(lengths), int(lengths.max()), 7)
    values[..., 5] = (values[..., 5] > 0).float()
    values[..., 6] = 0
    values[torch.arange(len(lengths)), n_before, 5:] = 1
    return values * (torch.arange(values.shape[1]) < lengths[:, None])[..., None], lengths


CAUSAL = turns([0, 3, 1, 2, 3, 4], [0] * 6)
AROUND = turns([0, 3, 1, 2, 0, 1], [2, 0, 3, 1, 0, 2])


@EVERY
def test_conversation_has_the_size_of_its_layers(context: str, both_ways: bool) -> None:
    n_weights = sum(p.numel() for p in network(context, both_ways, longest=6).parameters())
    lstm = 4 * (12 * 12 + 12 * 12 + 12 + 12) * (1 + both_ways)
    asking = (2 * 6 + 1) * 12 + 4 * (12 * 12 + 12)  # distances; questions, keys, values and the way out
    read = 12 * (1 + (both_ways and context == "recurrent"))
    own = (5 + 1) * 8 + (8 + 2 + 1) * 12 + (8 + read + 1) * 3
    assert n_weights == own + (lstm if context == "recurrent" else asking)


@EVERY
def test_conversation_gives_logits_encodings_and_states(context: str, both_ways: bool) -> None:
    model = network(context, both_ways)
    assert model(*AROUND).shape == (6, 3)
    assert model.encode(*AROUND).shape == (6, model.embedding_size)
    states, lengths = model.hidden_states(*AROUND)
    assert states.shape == (6, AROUND[0].shape[1], model.state_size)
    assert torch.equal(lengths, AROUND[1])


@EVERY
def test_conversation_ignores_padding_and_neighbours_in_the_batch(context: str, both_ways: bool) -> None:
    model = network(context, both_ways).eval()
    values, lengths = AROUND
    longer = F.pad(values, (0, 0, 0, 3))
    longer[..., :5] += 1e3 * (torch.arange(longer.shape[1]) >= lengths[:, None])[..., None]
    torch.testing.assert_close(model(longer, lengths), model(values, lengths))
    for row, length in enumerate(lengths):
        alone = model(values[row : row + 1, :length], lengths[row : row + 1])
        torch.testing.assert_close(alone[0], model(values, lengths)[row])


@EVERY
def test_conversation_learns_a_batch_by_heart(context: str, both_ways: bool) -> None:
    windows = AROUND if both_ways else CAUSAL
    assert loss_by_heart(network(context, both_ways, dropout=0.0), *windows, rate=0.02, n_steps=150) < 0.05


@EVERY
def test_conversation_gradients_reach_all_parameters(context: str, both_ways: bool) -> None:
    model = network(context, both_ways, longest=3)
    F.cross_entropy(model(*turns([3, 2, 1, 0, 3], [0, 1, 2, 3, 3])), torch.arange(5) % 3).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 10), st.sampled_from(["recurrent", "attention"]))
def test_every_turn_in_reach_is_heard_and_no_other(before: int, after: int, place: int, context: str) -> None:
    model = network(context, both_ways=True).eval()
    values, lengths = turns([before, 4], [after, 4])
    changed = values.clone()
    changed[0, min(place, 8), :5] += 3.0
    moved = (model(changed, lengths) - model(values, lengths)).abs().amax(dim=1) > 1e-6
    assert moved.tolist() == [min(place, 8) <= before + after, False]


@pytest.mark.parametrize("both_ways", [False, True])
def test_a_recurrent_context_that_reads_ahead_only_cannot_hear_later_turns(both_ways: bool) -> None:
    model, (values, lengths) = network("recurrent", both_ways).eval(), AROUND
    later = torch.arange(values.shape[1]) > values[..., -1].argmax(dim=1)[:, None]
    changed = values + 3.0 * later[..., None] * torch.tensor([1.0] * 5 + [0, 0])
    moved = (model(changed, lengths) - model(values, lengths)).abs().amax(dim=1) > 1e-6
    has_later = [True, False, True, True, False, True]
    assert moved.tolist() == (has_later if both_ways else [False] * 6)


def test_who_speaks_and_how_far_away_matter() -> None:
    values, lengths = turns([3], [0])
    other = values.clone()
    other[0, 0, 5] = 1 - other[0, 0, 5]
    turned = values[:, [1, 0, 2, 3]]
    for context in ("recurrent", "attention"):
        model = network(context).eval()
        assert (model(other, lengths) - model(values, lengths)).abs().max() > 1e-6
        assert (model(turned, lengths) - model(values, lengths)).abs().max() > 1e-6


def test_attention_sums_to_one_over_the_real_turns() -> None:
    model = network("attention", both_ways=True).eval()
    values, lengths = AROUND
    weights = model.attention_on(values, lengths)
    assert weights.shape == values.shape[:2]
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(6))
    assert not weights[torch.arange(values.shape[1]) >= lengths[:, None]].any()
    assert weights[4, 0] == 1  # nobody else is there


def test_turns_farther_away_than_the_longest_are_taken_alike() -> None:
    model = network("attention", longest=2).eval()
    values, lengths = turns([5], [0])
    torch.testing.assert_close(model(values[:, [1, 0, 2, 3, 4, 5]], lengths), model(values, lengths))


# ---------------------------------------------------------------- recognizers

EMOTIONS = ("angry", "sad")
FEELING = {"angry": "furious", "sad": "gloomy"}
SMALL = {"kind": "conversation", "n_hidden": 16, "n_context": 16, "n_heads": 2, "dropout": 0.0}
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


def recognizer(context: str = "recurrent", *, before: int = 0, after: int = 0) -> NetworkRecognizer:
    extractor = DialogueContext([Concatenated([Tfidf(max_words=1)], dense=True)], before=before, after=after)
    return NetworkRecognizer("conversation/small", [extractor], {**SMALL, "context": context}, BRIEF, seed=1)


def right_of_later_turns(made: Recognizer, corpus: Corpus, turns_of: range) -> float:
    answers = np.array(made.predict(corpus)) == corpus.table["emotion"].to_numpy(str)
    return float(answers[corpus.table["turn"].isin([2 * turn for turn in turns_of])].mean())


def changed_after(corpus: Corpus, turn: int) -> Corpus:
    """Turn every word round that is said after `turn`."""
    text = corpus.table["text"].str.replace("furious", "?").str.replace("gloomy", "furious").str.replace("?", "gloomy")
    return replace(
        corpus, table=corpus.table.assign(text=corpus.table["text"].where(corpus.table["turn"] <= turn, text))
    )


@pytest.mark.parametrize("context", ["recurrent", "attention"])
def test_what_the_last_turn_tells_is_heard_with_context_and_only_with_it(context: str) -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((40, 1), (5, 2), (20, 3)))
    alone, causal = recognizer(context), recognizer(context, before=2)
    alone.fit(train, valid)
    causal.fit(train, valid)
    assert right_of_later_turns(causal, test, range(1, 6)) > 0.95
    assert right_of_later_turns(alone, test, range(1, 6)) < 0.65


@pytest.mark.parametrize("context", ["recurrent", "attention"])
def test_what_the_next_turn_tells_is_heard_with_future_turns_only(context: str) -> None:
    train, valid, test = (talk(n, seed, lag=-1) for n, seed in ((40, 1), (5, 2), (20, 3)))
    future, causal = recognizer(context, before=2, after=2), recognizer(context, before=2)
    future.fit(train, valid)
    causal.fit(train, valid)
    assert right_of_later_turns(future, test, range(5)) > 0.95
    assert right_of_later_turns(causal, test, range(5)) < 0.65


@pytest.mark.parametrize("context", ["recurrent", "attention"])
def test_causal_answers_never_change_when_later_turns_change(context: str) -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((10, 1), (3, 2), (6, 3)))
    made = recognizer(context, before=4)
    made.fit(train, valid)
    said = made.predict_proba(test)
    for turn in (0, 4, 8):
        until = (test.table["turn"] <= turn).to_numpy()
        changed = made.predict_proba(changed_after(test, turn))
        np.testing.assert_allclose(changed[until], said[until], atol=1e-6)
        assert np.abs(changed[~until] - said[~until]).max() > 1e-5
        np.testing.assert_allclose(made.predict_proba(test.select(until)), said[until], atol=1e-6)


@pytest.mark.parametrize("context", ["recurrent", "attention"])
def test_answers_with_future_turns_change_with_them_but_not_with_other_dialogues(context: str) -> None:
    train, valid, test = (talk(n, seed, lag=-1) for n, seed in ((20, 1), (3, 2), (6, 3)))
    made = recognizer(context, before=1, after=1)
    made.fit(train, valid)
    said, changed = made.predict_proba(test), made.predict_proba(changed_after(test, 4))
    at_4, until_2 = (test.table["turn"] == 4).to_numpy(), (test.table["turn"] <= 2).to_numpy()
    assert np.abs(changed[at_4] - said[at_4]).max() > 1e-5
    np.testing.assert_allclose(changed[until_2], said[until_2], atol=1e-6)
    one = (test.table["dialogue_id"] == "3-0").to_numpy()
    np.testing.assert_allclose(made.predict_proba(test.select(one)), said[one], atol=1e-6)


@pytest.mark.parametrize(("context", "after"), [("recurrent", 0), ("recurrent", 2), ("attention", 0), ("attention", 2)])
def test_recognizers_of_conversations_come_back_as_they_were_saved(context: str, after: int, tmp_path: Path) -> None:
    train, valid, test = (talk(n, seed) for n, seed in ((4, 1), (3, 2), (3, 3)))
    made = recognizer(context, before=2, after=after)
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
