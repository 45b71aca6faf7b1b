from __future__ import annotations

import torch

from emolab.models.dense import Mlp, MlpConfig
from tests.models.by_heart import loss_by_heart


def test_mlp_has_the_size_of_its_layers() -> None:
    n_weights = sum(weights.numel() for weights in Mlp(MlpConfig(8, n_hidden=(128, 64))).parameters())
    assert n_weights == 36 * 128 + 129 * 64 + 65 * 8


def test_mlp_learns_one_batch_by_heart_and_asks_for_no_lengths() -> None:
    torch.manual_seed(0)
    network, features, lengths = Mlp(MlpConfig(3, 5, n_hidden=(16, 8))), torch.randn(9, 5), torch.full((9,), 5)
    assert loss_by_heart(network, features, lengths, rate=0.02, n_steps=150) < 0.05
    assert network.encode(features, lengths).shape == (9, network.embedding_size)
    torch.testing.assert_close(network(features[:1], torch.tensor([1])), network(features, lengths)[:1])
