import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from emolab.models.audio import Cnn2d, Cnn2dConfig, CnnBiLstm, CnnBiLstmConfig, Lstm, LstmConfig
from tests.models.by_heart import loss_by_heart

TINY = CnnBiLstmConfig(n_features=4, n_emotions=3, channels=(8, 8), strides=(1, 2), n_hidden=6, n_dense=5)
VARIANTS = [
    TINY,
    replace(TINY, normalization="batch", summary="mean+std"),
    replace(TINY, normalization="layer", summary="attention", dropout=0.5, conv_dropout=0.5, n_layers=1),
]
TINY_2D = Cnn2dConfig(n_features=4, n_emotions=3, channels=(4, 6), n_dense=5, dropout=0.0)
TINY_LSTM = LstmConfig(n_features=4, n_emotions=3, n_hidden=6, n_dense=5, dropout=0.0)
MAKERS: list[Any] = [
    *(partial(CnnBiLstm, config) for config in VARIANTS),
    *(partial(Cnn2d, config) for config in (replace(TINY_2D, summary="attention", channels=(4,)), TINY_2D)),
    *(partial(Lstm, config) for config in (replace(TINY_LSTM, summary="attention", n_layers=2), TINY_LSTM)),
]


def test_cnn_bilstm_has_the_published_size() -> None:
    published = 1_260_496  # without the output layer, one bias vector a gate
    second_biases = 2 * 2 * 4 * 160  # layers, directions, gates, units
    n_parameters = sum(p.numel() for p in CnnBiLstm(CnnBiLstmConfig(n_emotions=6)).parameters())
    assert n_parameters == published + second_biases + (256 + 1) * 6


def test_cnn_bilstm_takes_its_widths_from_the_features() -> None:
    chroma = CnnBiLstm(CnnBiLstmConfig(n_features=12, channels=(24, 24, 48, 48, 96, 96), n_hidden=96))
    convolutions = sum(3 * n_in * n_out + n_out for n_in, n_out in pairwise((12, 24, 24, 48, 48, 96, 96)))
    assert sum(p.numel() for p in chroma.convolutions.parameters()) == convolutions == 54_768
    gates = 4 * 96 * (96 + 96 + 2) + 4 * 96 * (192 + 96 + 2)  # of both layers, in one direction
    assert sum(p.numel() for p in chroma.lstm.parameters()) == 2 * gates


def test_cnn_2d_has_the_size_that_its_layers_add_up_to() -> None:
    convolutions = sum(9 * n_in * n_out + n_out for n_in, n_out in pairwise((1, 16, 32, 48, 64)))
    norms, dense = 2 * (16 + 32 + 48 + 64), (2 * 64 * 4 + 1) * 128  # mean and spread of 64 channels in 4 bands
    n_parameters = sum(p.numel() for p in Cnn2d(Cnn2dConfig(n_emotions=8)).parameters())
    assert n_parameters == convolutions + norms + dense + (128 + 1) * 8 == 113_400


def test_lstm_has_the_published_layers() -> None:
    gates = 4 * 128 * (20 + 128 + 2)  # LSTM 128 and dense 64, as published, on 20 MFCCs
    n_parameters = sum(p.numel() for p in Lstm(LstmConfig(n_emotions=6)).parameters())
    assert n_parameters == gates + (128 + 1) * 64 + (64 + 1) * 6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n_padding", [1, 2, 7])
def test_networks_ignore_padding_and_neighbours(make: Callable[[], nn.Module], n_padding: int) -> None:
    torch.manual_seed(n_padding)
    model = make()
    model(torch.randn(6, 12, 4), torch.full((6,), 12))  # gives a batch normalisation something to remember
    model.eval()
    clip, neighbour = torch.randn(1, 9, 4), torch.randn(1, 9 + n_padding, 4)
    padded = torch.cat([clip, torch.full((1, n_padding, 4), 1e3)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([9, 9 + n_padding]))
    torch.testing.assert_close(together[:1], model(clip, torch.tensor([9])))


@pytest.mark.parametrize("make", MAKERS)
def test_batch_statistics_ignore_padding(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    model, clips = make(), torch.randn(4, 9, 4)
    other = copy.deepcopy(model)
    lengths = torch.full((4,), 9)
    model.encode(clips, lengths)
    other.encode(torch.cat([clips, torch.full((4, 8, 4), 1e3)], dim=1), lengths)
    for name, mean in model.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], mean)


@pytest.mark.parametrize("make", MAKERS)
def test_networks_ignore_padding_that_is_no_number(make: Callable[[], nn.Module]) -> None:
    model = make().eval()
    clip = torch.randn(1, 9, 4)
    padded = torch.cat([clip, torch.full((1, 3, 4), torch.nan)], dim=1)
    torch.testing.assert_close(model(padded, torch.tensor([9])), model(clip, torch.tensor([9])))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("n_frames", [1, 2, 31])
def test_networks_give_logits_and_encodings_of_any_length(make: Callable[[], Any], n_frames: int) -> None:
    model, lengths = make(), torch.full((2,), n_frames)
    assert model(torch.randn(2, n_frames, 4), lengths).shape == (2, 3)
    assert model.encode(torch.randn(2, n_frames, 4), lengths).shape == (2, model.embedding_size)


@pytest.mark.parametrize("make", MAKERS)
def test_gradients_reach_all_parameters(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(1)
    model = make()
    F.cross_entropy(model(torch.randn(8, 20, 4), torch.full((8,), 20)), torch.arange(8) % 3).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # moving all scores or all inputs of a batch statistic alike changes nothing
    assert [name for name in idle if name != "summary.score.bias"] == []


@pytest.mark.parametrize("make", [MAKERS[0], *MAKERS[-3:]])
def test_networks_learn_one_batch_by_heart(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, lengths = make(), torch.tensor([12, 11, 9, 12, 7, 10])
    assert loss_by_heart(model, torch.randn(6, 12, 4), lengths, rate=0.02, n_steps=120) < 0.05


def test_cnn_2d_hears_the_same_pattern_later_and_tells_high_from_low() -> None:
    torch.manual_seed(0)
    model = Cnn2d(Cnn2dConfig(n_features=16, n_emotions=3, channels=(4, 8), n_dense=5, summary="mean")).eval()
    early, high = torch.zeros(2, 1, 40, 16)
    early[0, 8:12, 2:5], high[0, 8:12, 10:13] = 1, 1
    later, lengths = early.roll(16, dims=1), torch.tensor([40])
    torch.testing.assert_close(model(later, lengths), model(early, lengths))
    assert not torch.allclose(model(high, lengths), model(early, lengths))
