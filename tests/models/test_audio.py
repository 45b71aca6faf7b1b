from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from emolab.models.audio import CnnBiLstm, CnnBiLstmConfig

TINY = CnnBiLstmConfig(n_features=4, n_emotions=3, channels=(8, 8), strides=(1, 2), n_hidden=6, n_dense=5)
VARIANTS = [
    TINY,
    replace(TINY, normalization="batch", summary="mean+std"),
    replace(TINY, normalization="layer", summary="attention", dropout=0.5, conv_dropout=0.5, n_layers=1),
]


def test_cnn_bilstm_has_the_published_size() -> None:
    published = 1_260_496  # without the output layer, one bias vector a gate
    second_biases = 2 * 2 * 4 * 160  # layers, directions, gates, units
    n_parameters = sum(p.numel() for p in CnnBiLstm(CnnBiLstmConfig(n_emotions=6)).parameters())
    assert n_parameters == published + second_biases + (256 + 1) * 6


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("n_padding", [1, 2, 7])
def test_cnn_bilstm_ignores_padding_and_neighbours(config: CnnBiLstmConfig, n_padding: int) -> None:
    torch.manual_seed(n_padding)
    model = CnnBiLstm(config)
    model(torch.randn(6, 12, 4), torch.full((6,), 12))  # gives a batch normalisation something to remember
    model.eval()
    clip, neighbour = torch.randn(1, 9, 4), torch.randn(1, 9 + n_padding, 4)
    padded = torch.cat([clip, torch.full((1, n_padding, 4), 1e3)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([9, 9 + n_padding]))
    torch.testing.assert_close(together[:1], model(clip, torch.tensor([9])))


def test_cnn_bilstm_ignores_padding_that_is_no_number() -> None:
    model = CnnBiLstm(TINY).eval()
    clip = torch.randn(1, 9, 4)
    padded = torch.cat([clip, torch.full((1, 3, 4), torch.nan)], dim=1)
    torch.testing.assert_close(model(padded, torch.tensor([9])), model(clip, torch.tensor([9])))


@pytest.mark.parametrize("n_frames", [1, 2, 31])
def test_cnn_bilstm_gives_logits_and_encodings_of_any_length(n_frames: int) -> None:
    model, lengths = CnnBiLstm(TINY), torch.full((2,), n_frames)
    assert model(torch.randn(2, n_frames, 4), lengths).shape == (2, TINY.n_emotions)
    assert model.encode(torch.randn(2, n_frames, 4), lengths).shape == (2, model.n_encoded)


@pytest.mark.parametrize("config", VARIANTS)
def test_cnn_bilstm_gradients_reach_all_parameters(config: CnnBiLstmConfig) -> None:
    torch.manual_seed(1)
    model = CnnBiLstm(config)
    F.cross_entropy(model(torch.randn(8, 20, 4), torch.full((8,), 20)), torch.arange(8) % 3).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # moving all scores or all inputs of a batch statistic alike changes nothing
    assert [name for name in idle if name != "summary.score.bias"] == []


def test_cnn_bilstm_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, clips, truth = CnnBiLstm(TINY), torch.randn(6, 12, 4), torch.arange(6) % 3
    lengths = torch.tensor([12, 11, 9, 12, 7, 10])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(120):
        loss = F.cross_entropy(model(clips, lengths), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
