"""Networks that hear: frames of sound in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emolab.models.network import StepNetwork
from emolab.models.steps import Normalization, Summary, run_lstm, sequence_mask

KERNEL = 3  # frames that a convolution sees at once


@dataclass(frozen=True)
class CnnBiLstmConfig:
    """Sizes of the network; the defaults are the recipe audio/cnn-bilstm, the options that it lacks are off."""

    n_features: int = 20  # MFCCs a frame
    n_emotions: int = 6
    channels: tuple[int, ...] = (40, 40, 80, 80, 160, 160)
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2)  # 8 frames become 1 step
    n_hidden: int = 160  # in each direction
    n_layers: int = 2
    n_dense: int = 256
    normalization: Literal["none", "layer", "batch"] = "none"  # after each convolution
    summary: Summary = "mean"  # of the steps that the BiLSTM has read
    dropout: float = 0.0  # before the BiLSTM, between its layers, before and after the dense layer
    conv_dropout: float = 0.0  # whole channels, after every second convolution


class CnnBiLstm(StepNetwork):
    """Convolutions shorten the clip, a BiLSTM reads it, a mean over the real steps sums it up."""

    def __init__(self, config: CnnBiLstmConfig) -> None:
        super().__init__(config)
        widths = pairwise((config.n_features, *config.channels))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(n_in, n_out, kernel_size=KERNEL, stride=stride, padding=KERNEL // 2)
            for (n_in, n_out), stride in zip(widths, config.strides, strict=True)
        )
        kinds = [] if config.normalization == "none" else [config.normalization] * len(config.channels)
        self.norms = nn.ModuleList(Normalization(kind, n) for kind, n in zip(kinds, config.channels, strict=False))
        between = config.dropout if config.n_layers > 1 else 0.0
        sizes = (config.channels[-1], config.n_hidden, config.n_layers)
        self.lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=between)
        self.conv_dropout = nn.Dropout1d(config.conv_dropout)
        self.add_summary(2 * config.n_hidden)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into what the BiLSTM has read, (batch, steps, 2 * n_hidden)."""
        x = features.transpose(1, 2)  # (batch, n_features, frames), as Conv1d wants it
        x = x.masked_fill(~sequence_mask(lengths, x.shape[2])[:, None], 0.0)
        for number, (convolution, stride) in enumerate(zip(self.convolutions, self.config.strides, strict=True)):
            lengths = (lengths - 1) // stride + 1
            x = convolution(x)  # (batch, channels, steps); the bias has written into the padding
            mask = sequence_mask(lengths, x.shape[2])
            if self.norms:
                x = self.norms[number](x.transpose(1, 2), mask).transpose(1, 2)
            x = torch.relu(x) * mask[:, None]
            if number % 2:
                x = self.conv_dropout(x)
        return run_lstm(self.lstm, self.dropout(x.transpose(1, 2)), lengths), lengths


@dataclass(frozen=True)
class Cnn2dConfig:
    """Sizes of the network; the defaults are the recipe audio/cnn-2d."""

    n_features: int = 64  # mel bands a frame
    n_emotions: int = 6
    channels: tuple[int, ...] = (16, 32, 48, 64)
    n_dense: int = 128
    summary: Summary = "mean+std"  # of the steps that are left
    dropout: float = 0.3  # before and after the dense layer


class Cnn2d(StepNetwork):
    """Patterns in time and frequency, coarser from layer to layer; what is left of time is summed up.

    The first layer halves both axes, and so does a pooling between any two layers: with four of them, 16 frames become
    a step and 64 bands become 4, which stay apart, since a pattern means another thing where it is high.
    """

    def __init__(self, config: Cnn2dConfig) -> None:
        super().__init__(config)
        strides, widths = (2, *(1 for _ in config.channels[1:])), pairwise((1, *config.channels))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, KERNEL, stride=stride, padding=KERNEL // 2)
            for (n_in, n_out), stride in zip(widths, strides, strict=True)
        )
        self.norms = nn.ModuleList(Normalization("batch", n) for n in config.channels)
        n_bands = -(-config.n_features // 2 ** len(config.channels))  # halved again and again, rounded up
        self.add_summary(config.channels[-1] * n_bands)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into what the last layer has found, (batch, steps, channels * bands)."""
        x = features.masked_fill(~sequence_mask(lengths, features.shape[1])[..., None], 0.0)[:, None]
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = F.max_pool2d(x, 2, ceil_mode=True) if number else x  # nothing is below 0: padding wins nowhere
            lengths = (lengths + 1) // 2
            x = convolution(x).transpose(1, 2)  # (batch, steps, channels, bands)
            x = torch.relu(norm(x, sequence_mask(lengths, x.shape[1]))).transpose(1, 2)
        return x.transpose(1, 2).flatten(2), lengths


@dataclass(frozen=True)
class LstmConfig:
    """Sizes of the network; the defaults are the recipe audio/lstm."""

    n_features: int = 20  # MFCCs a frame
    n_emotions: int = 6
    n_hidden: int = 128
    n_layers: int = 1
    n_dense: int = 64
    summary: Summary = "mean"  # of the frames that the LSTM has read
    dropout: float = 0.3  # between the LSTM's layers, before and after the dense layer


class Lstm(StepNetwork):
    """An LSTM reads the frames from the first to the last, a mean over the real ones sums them up."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        between = config.dropout if config.n_layers > 1 else 0.0
        self.lstm = nn.LSTM(config.n_features, config.n_hidden, config.n_layers, batch_first=True, dropout=between)
        self.add_summary(config.n_hidden)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into what the LSTM has read, (batch, frames, n_hidden)."""
        frames = features.masked_fill(~sequence_mask(lengths, features.shape[1])[..., None], 0.0)
        return run_lstm(self.lstm, frames, lengths), lengths
