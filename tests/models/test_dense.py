from __future__ import annotations

import torch
import torch.nn.functional as F

from emolab.models.dense import Mlp, MlpConfig


def test_mlp_has_the_size_of_its_layers() -> None:
    n_weights = sum(weights.numel() for weights in Mlp(MlpConfig(8, n_hidden=(128, 64))).parameters())
    assert n_weights == 36 * 128 + 129 * 64 + 65 * 8


def test_mlp_learns_one_batch_by_heart_and_asks_for_no_lengths() -> None:
    torch.manual_seed(0)
    network, features, truth = Mlp(MlpConfig(3, 5, n_hidden=(16, 8))), torch.randn(9, 5), torch.arange(9) % 3
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        loss = F.cross_entropy(network(features, torch.full((9,), 5)), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert network.encode(features, torch.full((9,), 5)).shape == (9, network.n_encoded)
    torch.testing.assert_close(network(features[:1], torch.tensor([1])), network(features, torch.full((9,), 5))[:1])
