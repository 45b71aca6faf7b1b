from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def loss_by_heart(network: nn.Module, values: Tensor, lengths: Tensor, *, rate: float, n_steps: int) -> float:
    """Show a network the same batch `n_steps` times, of three emotions in turn, and return the last loss."""
    truth = torch.arange(len(values)) % 3
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(n_steps):
        loss = F.cross_entropy(network(values, lengths), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()
