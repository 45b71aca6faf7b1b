from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def loss_by_heart(network: nn.Module, *batch: Tensor, rate: float, n_steps: int, enough: float = 0.05) -> float:
    """Show a network the same batch, of three emotions in turn, up to `n_steps` times; return the last loss.

    It ends as soon as the loss is below `enough`: more steps would show no more.
    """
    truth = torch.arange(len(batch[0])) % 3
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(n_steps):
        loss = F.cross_entropy(network(*batch), truth)
        if loss.item() < enough:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()
