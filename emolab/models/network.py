"""What all networks of one modality have in common: an encoding, the states behind it, and an output layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from emolab.models.steps import SummaryOverTime


class Network(nn.Module, ABC):
    """A network that sums each utterance up and judges it by that.

    Attributes:
        config: Its sizes.
        n_encoded: Numbers that sum an utterance up.
        n_states: Numbers that describe a step.
        dropout: Between the encoding and the output layer.
        out: The output layer.
    """

    embedding_size: int
    state_size: int
    dropout: nn.Module
    out: nn.Module

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def add_head(self, n_summary: int, *, state_size: int | None = None) -> None:
        """Add a dense layer for summaries (batch, n_summary), and the output; call it last."""
        self.dense = nn.Linear(n_summary, self.config.n_dense)
        self.add_output(self.config.n_dense, state_size=state_size)

    def add_output(self, embedding_size: int, *, state_size: int | None = None) -> None:
        """Add the output layer; without `state_size` the encoding is the only state."""
        self.embedding_size, self.state_size = embedding_size, state_size or embedding_size
        self.dropout = nn.Dropout(self.config.dropout)
        self.out = nn.Linear(embedding_size, self.config.n_emotions)

    def judge(self, summary: Tensor) -> Tensor:
        """Turn summaries (batch, n_summary) into encodings (batch, n_dense), where there is a head."""
        return torch.relu(self.dense(self.dropout(summary)))

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Turn a padded batch with (batch,) real lengths into logits (batch, n_emotions)."""
        return self.out(self.dropout(self.encode(values, lengths)))

    def input_embeddings(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the network reckons with, and its (batch,) lengths: float, so that a gradient can reach it.

        Measured features are that already; words become vectors. All other methods take it in place of the values.
        """
        return values.float(), lengths

    @abstractmethod
    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Sum each utterance up in (batch, n_encoded), what the output layer judges by."""

    def hidden_states(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the encoding sums up, step by step.

        Returns:
            (batch, steps, n_states), and (batch,) how many of the steps are real; the others mean nothing. A network
            that knows no steps gives its encoding as the only one.
        """
        return self.encode(values, lengths)[:, None], torch.ones_like(lengths)


class StepNetwork(Network):
    """A network with a head that judges a summary of the states."""

    summary: SummaryOverTime

    def add_summary(self, state_size: int) -> None:
        """Add a summary of states (batch, steps, n_states), the head, and the output; call it last."""
        self.summary = SummaryOverTime(self.config.summary, state_size)
        self.add_head(self.summary.n_summary, state_size=state_size)

    @abstractmethod
    def hidden_states(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, steps, n_states), and (batch,) how many of the steps are real."""

    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Sum each utterance up in (batch, n_dense), what the output layer judges by."""
        return self.judge(self.summary(*self.hidden_states(values, lengths)))
