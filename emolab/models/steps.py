"""Steps in time: masks, recurrence and summaries that see what is real and never the padding."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Summary = Literal["mean", "mean+std", "attention"]
SMALLEST_VARIANCE = 1e-5  # keeps the slope of the square root finite where nothing varies


def sequence_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """Mask (batch, n_steps): true where there is something, false where there is padding."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


def scatter_steps(values: Tensor, mask: Tensor) -> Tensor:
    """Put (n, …) where (batch, steps) `mask` is true, zeros elsewhere: (batch, steps, …)."""
    places = mask.flatten().nonzero()[:, 0]
    empty = values.new_zeros(mask.numel(), *values.shape[1:])
    return empty.index_copy(0, places, values).unflatten(0, mask.shape)


def run_lstm(lstm: nn.LSTM, steps: Tensor, lengths: Tensor) -> Tensor:
    """Read (batch, steps, features) within each item's length; give (batch, steps, units), zero after each end."""
    if steps.device.type != "cpu":
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=steps.shape[1])[0]
    # on a CPU, packed steps of unequal length take twice the time: read the padded ones, each item turned for itself
    turned = _turned(lengths, steps.shape[1])[..., None]  # (batch, steps, 1)
    for layer in range(lstm.num_layers):
        steps = F.dropout(steps, lstm.dropout, lstm.training and layer > 0)
        ahead = _read(lstm, f"l{layer}", steps)
        if not lstm.bidirectional:
            steps = ahead
            continue
        back = _read(lstm, f"l{layer}_reverse", steps.gather(1, turned.expand_as(steps)))
        steps = torch.cat([ahead, back.gather(1, turned.expand_as(back))], dim=2)
    return steps.masked_fill(~sequence_mask(lengths, steps.shape[1])[..., None], 0.0)


def _read(lstm: nn.LSTM, weights: str, steps: Tensor) -> Tensor:
    """Read (batch, steps, features) from the first to the last with the weights of one layer and direction."""
    start = steps.new_zeros(1, len(steps), lstm.hidden_size)
    parts = [getattr(lstm, f"{part}_{weights}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    return torch.lstm(steps, (start, start), parts, True, 1, 0.0, lstm.training, False, True)[0]


def _turned(lengths: Tensor, n_steps: int) -> Tensor:
    """Places (batch, n_steps) that turn each item's real steps round and leave its padding behind them."""
    places = torch.arange(n_steps)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)


class SummaryOverTime(nn.Module):
    """Sum the real steps of (batch, steps, n_features) up in one vector (batch, n_summary)."""

    def __init__(self, kind: Summary, n_features: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_summary = 2 * n_features if kind == "mean+std" else n_features
        self.score = nn.Linear(n_features, 1) if kind == "attention" else None

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return (batch, steps, 1), how much each step counts: alike or by attention, 0 where there is padding."""
        mask = sequence_mask(lengths, states.shape[1])[..., None]
        if self.score is None:
            return mask / lengths[:, None, None]
        return self.score(states).masked_fill(~mask, -torch.inf).softmax(dim=1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Weigh the real steps, alike or by attention; add their spread where the kind asks for it."""
        mask, weights = sequence_mask(lengths, states.shape[1])[..., None], self.weights(states, lengths)
        states = states.masked_fill(~mask, 0.0)  # zero times infinite padding would be no number
        mean = (weights * states).sum(dim=1)  # (batch, n_features)
        if self.kind != "mean+std":
            return mean
        variance = (weights * (states - mean[:, None]) ** 2).sum(dim=1)
        return torch.cat([mean, (variance + SMALLEST_VARIANCE).sqrt()], dim=1)


class Normalization(nn.Module):
    """Bring (batch, steps, n_features, …) to a common scale; batch statistics count real steps only."""

    def __init__(self, kind: Literal["layer", "batch"], n_features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n_features) if kind == "layer" else nn.BatchNorm1d(n_features)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Normalise where (batch, steps) `mask` is true; the padding becomes zero."""
        flat, places = steps.flatten(0, 1), mask.flatten().nonzero()[:, 0]
        real, norm = flat.index_select(0, places), self.norm  # (real steps of all items, n_features)
        if isinstance(norm, nn.BatchNorm1d) and len(real) == 1:  # one step has no spread: take that of earlier batches
            normal = F.batch_norm(real, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            normal = norm(real)
        return torch.zeros_like(flat, dtype=normal.dtype).index_copy(0, places, normal).unflatten(0, mask.shape)
