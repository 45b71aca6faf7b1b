"""Networks that hear an utterance among its neighbours: vectors of turns in, logits of one of them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from emolab.models.network import Network
from emolab.models.steps import run_lstm, sequence_mask

N_FACTS = 2  # the last columns of a turn: same speaker as the judged turn, is the judged turn


@dataclass(frozen=True)
class ConversationConfig:
    """Sizes of the network; the defaults are the recipes conversation/…."""

    n_emotions: int
    n_features: int  # of a turn
    context: Literal["recurrent", "attention"] = "recurrent"
    both_ways: bool = False  # whether the turns that come later are read as well, from the last to the first
    n_hidden: int = 128  # numbers that describe a turn
    n_context: int = 128  # numbers that describe what was said around it
    n_heads: int = 4
    longest: int = 64  # turns that attention can tell apart by how far away they are
    dropout: float = 0.5  # of the vectors, and before the output


class Conversation(Network):
    """What is said, beside what was said around it: the judged turn itself, and a summary of it among the others.

    Recurrent: an LSTM reads the turns, its state at the judged one is taken. Attention: the judged turn asks all
    turns, which know how far away they are. Sources: Hazarika et al. 2018 and Majumder et al. 2019, much simplified.
    """

    def __init__(self, config: ConversationConfig) -> None:
        super().__init__(config)
        n = config.n_hidden
        self.input_dropout = nn.Dropout(config.dropout)
        self.own = nn.Linear(config.n_features, n)
        self.turn = nn.Linear(n + N_FACTS, config.n_context)
        if config.context == "recurrent":
            self.lstm = nn.LSTM(config.n_context, config.n_context, batch_first=True, bidirectional=config.both_ways)
        else:
            self.distances = nn.Embedding(2 * config.longest + 1, config.n_context)
            self.attention = nn.MultiheadAttention(config.n_context, config.n_heads, batch_first=True)
        n_read = config.n_context * (2 if config.both_ways and config.context == "recurrent" else 1)
        self.add_output(n + n_read, state_size=config.n_context)

    def encode(self, turns: Tensor, lengths: Tensor) -> Tensor:
        """Sum (batch, turns, n_features + 2) up in (batch, n_encoded), the judged turn's own part first."""
        rows, judged = torch.arange(len(turns), device=turns.device), turns[..., -1].argmax(dim=1)
        described = self.describe(turns)
        steps, n_steps = self._steps(described, turns), lengths
        if self.config.context == "recurrent":
            around = run_lstm(self.lstm, steps, n_steps)[rows, judged]
        else:
            around = self._ask(steps, n_steps, judged)[0][:, 0]
        return torch.cat([described[rows, judged], around], dim=1)

    def describe(self, turns: Tensor) -> Tensor:
        """Describe each turn by itself, (batch, turns, n_hidden)."""
        return torch.relu(self.own(self.input_dropout(turns[..., :-N_FACTS])))

    def _steps(self, described: Tensor, turns: Tensor) -> Tensor:
        return torch.relu(self.turn(torch.cat([self.dropout(described), turns[..., -N_FACTS:]], dim=2)))

    def hidden_states(self, turns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the context is made of, (batch, turns, n_context), and how many turns are real."""
        return self._steps(self.describe(turns), turns), lengths

    def attention_on(self, turns: Tensor, lengths: Tensor) -> Tensor:
        """Return (batch, turns): how much of each turn the judged one takes, mean over heads; sums to 1."""
        steps, n_steps = self.hidden_states(turns, lengths)
        return self._ask(steps, n_steps, turns[..., -1].argmax(dim=1))[1][:, 0]

    def _ask(self, steps: Tensor, lengths: Tensor, judged: Tensor) -> tuple[Tensor, Tensor]:
        longest = self.config.longest
        away = torch.arange(steps.shape[1], device=steps.device) - judged[:, None]
        steps = steps + self.distances(away.clamp(-longest, longest) + longest)
        asking = steps[torch.arange(len(steps), device=steps.device), judged][:, None]
        return self.attention(asking, steps, steps, key_padding_mask=~sequence_mask(lengths, steps.shape[1]))
