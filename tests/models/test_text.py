import pytest
import torch
import torch.nn.functional as F

from emolab.models.text import WordLstm, WordLstmConfig

TINY = WordLstmConfig(n_words=11, n_emotions=3, n_embedding=5, n_hidden=4, n_dense=6)


def test_bilstm_has_the_published_size() -> None:
    published = 4_232_960  # without the output layer, one bias vector a gate, a vocabulary of 5,766
    second_biases = 2 * 2 * 4 * 256  # layers, directions, gates, units
    model = WordLstm(WordLstmConfig(n_words=5_766, n_emotions=6))
    assert sum(p.numel() for p in model.parameters()) == published + second_biases + (256 + 1) * 6


@pytest.mark.parametrize("summary", ["mean", "mean+std", "attention"])
@pytest.mark.parametrize("n_padding", [1, 5])
def test_bilstm_ignores_padding_and_neighbours(summary: str, n_padding: int) -> None:
    torch.manual_seed(n_padding)
    model = WordLstm(WordLstmConfig(11, 3, 5, 4, 2, 6, summary=summary)).eval()
    words, neighbour = torch.randint(1, 11, (1, 4)), torch.randint(1, 11, (1, 4 + n_padding))
    padded = torch.cat([words, torch.full((1, n_padding), 7)], dim=1)  # padding that looks like words
    together = model(torch.cat([padded, neighbour]), torch.tensor([4, 4 + n_padding]))
    torch.testing.assert_close(together[:1], model(words, torch.tensor([4])))


def test_bilstm_gives_logits_and_encodings() -> None:
    model, words, lengths = WordLstm(TINY), torch.tensor([[3], [4]]), torch.tensor([1, 1])
    assert model(words, lengths).shape == (2, 3)
    assert model.encode(words, lengths).shape == (2, model.n_encoded)
    vectors = model.embedding(words)
    torch.testing.assert_close(model.encode_embedded(vectors, lengths), model.encode(words, lengths))


def test_bilstm_gradients_reach_all_parameters() -> None:
    torch.manual_seed(0)
    model = WordLstm(TINY)
    F.cross_entropy(model(torch.randint(1, 11, (8, 6)), torch.full((8,), 6)), torch.arange(8) % 3).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_bilstm_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, words, truth = WordLstm(TINY), torch.randint(1, 11, (6, 5)), torch.arange(6) % 3
    lengths = torch.tensor([5, 4, 5, 3, 5, 2])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(100):
        loss = F.cross_entropy(model(words, lengths), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
