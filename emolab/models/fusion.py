"""Networks that join modalities: the inputs of several encoders in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn


class Encoder(Protocol):
    """What a network of one modality offers; its output layer is called `out`."""

    n_encoded: int

    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Turn a padded batch with (batch,) real lengths into (batch, n_encoded)."""


@dataclass(frozen=True)
class EarlyFusionConfig:
    """Sizes of the part that all modalities share."""

    n_emotions: int
    n_dense: int = 256
    dropout: float = 0.0  # before and after the dense layer


class EarlyFusion(nn.Module):
    """Each encoder sums its modality up, the summaries are joined, one classifier judges them together.

    The encoders become part of the network and lose their own output layers, which nobody would ask any more.
    """

    def __init__(self, encoders: Sequence[nn.Module], config: EarlyFusionConfig) -> None:
        super().__init__()
        self.config, self.n_encoded = config, config.n_dense
        self.encoders = nn.ModuleList(encoders)
        for encoder in encoders:
            encoder.out = nn.Identity()
        n_joined = sum(cast(Encoder, encoder).n_encoded for encoder in encoders)
        self.dense = nn.Linear(n_joined, config.n_dense)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.n_dense, config.n_emotions)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Turn values and lengths of the first encoder, of the second, … into logits (batch, n_emotions)."""
        return self.out(self.dropout(self.encode(*inputs)))

    def encode(self, *inputs: Tensor) -> Tensor:
        """Sum each utterance up, all modalities together, in (batch, n_dense)."""
        if len(inputs) != 2 * len(self.encoders):
            raise ValueError(
                f"{len(inputs)} inputs for {len(self.encoders)} encoders; expected values and lengths for each, "
                "in the order of the encoders. Pass network(features, their_lengths, tokens, their_lengths)."
            )
        pairs = zip(self.encoders, inputs[::2], inputs[1::2], strict=True)
        parts = [cast(Encoder, encoder).encode(values, lengths) for encoder, values, lengths in pairs]
        return torch.relu(self.dense(self.dropout(torch.cat(parts, dim=1))))  # joined: (batch, n_joined)
