from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from emolab.models.steps import run_lstm
from emolab.models.text import PAD, WordLstm, WordLstmConfig
from tests.models.by_heart import loss_by_heart

TINY = WordLstmConfig(n_words=11, n_emotions=3, n_embedding=5, n_hidden=4, n_dense=6)


def test_bilstm_has_the_published_size() -> None:
    published = 4_232_960  # without the output layer, one bias vector a gate, a vocabulary of 5,766
    second_biases = 2 * 2 * 4 * 256  # layers, directions, gates, units
    model = WordLstm(WordLstmConfig(n_words=5_766, n_emotions=6))
    assert sum(p.numel() for p in model.parameters()) == published + second_biases + (256 + 1) * 6


def test_lstm_has_the_founding_projects_size() -> None:
    published = 5_000 * 128 + 4 * 128 * (128 + 128 + 1) + (128 + 1) * 64 + (64 + 1) * 6  # one bias vector a gate
    config = WordLstmConfig(5_000, 6, n_embedding=128, n_hidden=128, n_layers=1, n_dense=64, both_ways=False)
    assert sum(p.numel() for p in WordLstm(config).parameters()) == published + 4 * 128


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("summary", ["mean", "mean+std", "attention"])
@pytest.mark.parametrize("n_padding", [1, 5])
def test_word_lstm_ignores_padding_and_neighbours(summary: str, n_padding: int, both_ways: bool) -> None:
    torch.manual_seed(n_padding)
    model = WordLstm(WordLstmConfig(11, 3, 5, 4, 2, 6, summary=summary, both_ways=both_ways)).eval()
    words, neighbour = torch.randint(1, 11, (1, 4)), torch.randint(1, 11, (1, 4 + n_padding))
    padded = torch.cat([words, torch.full((1, n_padding), 7)], dim=1)  # padding that looks like words
    together = model(torch.cat([padded, neighbour]), torch.tensor([4, 4 + n_padding]))
    torch.testing.assert_close(together[:1], model(words, torch.tensor([4])))


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_gives_logits_and_encodings(both_ways: bool) -> None:
    model, words, lengths = WordLstm(replace(TINY, both_ways=both_ways)), torch.tensor([[3], [4]]), torch.tensor([1, 1])
    assert model(words, lengths).shape == (2, 3)
    assert model.encode(words, lengths).shape == (2, model.embedding_size)
    vectors = model.embedding(words)
    torch.testing.assert_close(model.encode(vectors, lengths), model.encode(words, lengths))


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_gradients_reach_all_parameters(both_ways: bool) -> None:
    torch.manual_seed(0)
    model = WordLstm(replace(TINY, both_ways=both_ways))
    F.cross_entropy(model(torch.randint(1, 11, (8, 6)), torch.full((8,), 6)), torch.arange(8) % 3).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("both_ways", [True, False])
def test_word_lstm_learns_one_batch_by_heart(both_ways: bool) -> None:
    torch.manual_seed(0)
    model, lengths = WordLstm(replace(TINY, both_ways=both_ways)), torch.tensor([5, 4, 5, 3, 5, 2])
    assert loss_by_heart(model, torch.randint(1, 11, (6, 5)), lengths, rate=0.03, n_steps=100) < 0.05


def test_only_a_bilstm_knows_at_a_word_what_comes_after_it() -> None:
    torch.manual_seed(0)
    lengths, words = torch.tensor([4]), torch.tensor([[3, 4, 5, 6]])
    for both_ways in (True, False):
        model = WordLstm(replace(TINY, both_ways=both_ways))
        vectors = model.embedding(words).detach().requires_grad_()
        states = run_lstm(model.lstm, vectors, lengths)
        states[0, 0].sum().backward()  # the state at the first word
        assert vectors.grad[0, 1:].any() == both_ways


def test_take_vectors_sets_known_words_and_spreads_the_others_like_them() -> None:
    torch.manual_seed(0)
    model = WordLstm(WordLstmConfig(n_words=2_000, n_emotions=3, n_embedding=2, n_hidden=2, n_dense=2, frozen=True))
    vectors = np.array([[10, -1], [12, -3]], np.float32)  # mean 11 and -2, deviation 1
    model.take_vectors(np.array([5, 7]), vectors)
    table = model.embedding.weight
    assert table[[5, 7]].tolist() == vectors.tolist()
    assert not table[PAD].any()
    torch.testing.assert_close(table[8:].mean(dim=0), torch.tensor([11.0, -2]), atol=0.1, rtol=0)
    torch.testing.assert_close(table[8:].std(dim=0), torch.ones(2), atol=0.1, rtol=0)
    assert not table.requires_grad
