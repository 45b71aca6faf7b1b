"""Networks for sequences of frames, words or turns, and for single vectors; and what all networks have in common."""

from abc import ABC, abstractmethod
from collections import ChainMap
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Literal, Self, get_type_hints

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from emolab.features.combined import N_CONTEXT_COLUMNS
from emolab.features.text import PAD

Summary = Literal["mean", "mean+std", "attention"]
KERNEL = 3  # frames of a convolution's window
SMALLEST_VARIANCE = 1e-5  # keeps the slope of the square root finite where nothing varies


def sequence_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """Return the padding mask (batch, n_steps): true for real steps, false for padding."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


def scatter_steps(values: Tensor, mask: Tensor) -> Tensor:
    """Put (n, …) where (batch, steps) `mask` is true, zeros elsewhere: (batch, steps, …)."""
    places = mask.flatten().nonzero()[:, 0]
    empty = values.new_zeros(mask.numel(), *values.shape[1:])
    return empty.index_copy(0, places, values).unflatten(0, mask.shape)


def run_lstm(lstm: nn.LSTM, steps: Tensor, lengths: Tensor) -> Tensor:
    """Run an LSTM over the real steps of (batch, steps, features): (batch, steps, units), zero after each end."""
    if steps.device.type != "cpu":
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=steps.shape[1])[0]
    # on a CPU, packed steps of unequal length take twice the time: run over the padded ones, and for the backward
    # direction reverse the real steps of each item
    places = torch.arange(steps.shape[1])
    reverse = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)[..., None]
    start = (steps.new_zeros(1, len(steps), lstm.hidden_size),) * 2
    n_directions = 2 if lstm.bidirectional else 1
    for layer in range(lstm.num_layers):
        steps, outputs = F.dropout(steps, lstm.dropout, lstm.training and layer > 0), []
        for backward in range(n_directions):
            given = steps.gather(1, reverse.expand_as(steps)) if backward else steps
            weights: Any = lstm.all_weights[layer * n_directions + backward]
            states = torch.lstm(given, start, weights, True, 1, 0.0, lstm.training, False, True)[0]
            outputs.append(states.gather(1, reverse.expand_as(states)) if backward else states)
        steps = torch.cat(outputs, dim=2)
    return steps.masked_fill(~sequence_mask(lengths, steps.shape[1])[..., None], 0.0)


class SummaryOverTime(nn.Module):
    """Reduce the real steps of (batch, steps, n_features) to one vector each, (batch, n_summary)."""

    def __init__(self, kind: Summary, n_features: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_summary = 2 * n_features if kind == "mean+std" else n_features
        self.score = nn.Linear(n_features, 1) if kind == "attention" else None

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return (batch, steps, 1), the weight of each step: equal or by attention, 0 for padding, sum 1."""
        mask = sequence_mask(lengths, states.shape[1])[..., None]
        if self.score is None:
            return mask / lengths[:, None, None]
        return self.score(states).masked_fill(~mask, -torch.inf).softmax(dim=1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return the weighted mean of the real steps; "mean+std" adds their standard deviation."""
        mask, weights = sequence_mask(lengths, states.shape[1])[..., None], self.weights(states, lengths)
        states = states.masked_fill(~mask, 0.0)  # zero times infinite padding would be NaN
        mean = (weights * states).sum(dim=1)  # (batch, n_features)
        if self.kind != "mean+std":
            return mean
        variance = (weights * (states - mean[:, None]) ** 2).sum(dim=1)
        return torch.cat([mean, (variance + SMALLEST_VARIANCE).sqrt()], dim=1)


class Normalization(nn.BatchNorm1d):
    """Batch normalization of (batch, steps, n_features, …) whose statistics count real steps only."""

    def rows(self, rows: Tensor) -> Tensor:
        """Normalize rows (n, n_features, …) that are all real."""
        if len(rows) == 1:  # one row has no variance: take the running one
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(rows)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        """Normalize where (batch, steps) `mask` is true; padding becomes zero."""
        return scatter_steps(self.rows(steps.flatten(0, 1).index_select(0, mask.flatten().nonzero()[:, 0])), mask)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What networks have in common: their head. Each network's own config adds its sizes and changes the defaults."""

    n_emotions: int
    summary: Summary = "mean"  # of the hidden states
    n_dense: int = 256  # of a layer between summary and output; 0: the summary is the embedding
    dropout: float = 0.0  # before that layer and before the output, at least


class Network(nn.Module, ABC):
    """A network that turns each utterance into hidden states, these into one embedding, and that into logits.

    Attributes:
        config: Its sizes.
        state_size: Numbers of a hidden state.
        embedding_size: Numbers of an utterance's embedding.
        summary: Reduces the hidden states to one vector.
        dense: A layer between summary and output, None where the summary is the embedding.
        dropout: Before `dense` and before `out`.
        out: The output layer.
    """

    dropout: nn.Module
    out: nn.Module

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def build(cls, *given: dict[str, Any], **sizes: Any) -> Self:
        """Build the network from fields of its config, for example `Lstm.build(n_features=20, n_emotions=6)`.

        Args:
            given: Fields in a mapping, such as the `sizes()` of a feature extractor.
            sizes: Fields by name; they come before those of `given`.

        Raises:
            ValueError: If a size is unknown, or one without a default is missing.
        """
        kind = get_type_hints(cls.__init__)["config"]
        try:
            return cls(kind(**ChainMap(sizes, *given)))
        except TypeError as error:
            names = ", ".join(field.name for field in fields(kind))
            raise ValueError(f"{cls.__name__} cannot be built: {error}; expected the fields {names}.") from error

    def add_lstm(self, n_features: int, *, bidirectional: bool) -> None:
        """Add an LSTM of `n_hidden` units in each direction and `n_layers` layers."""
        own: Any = {"bidirectional": bidirectional, "dropout": self.config.dropout if self.config.n_layers > 1 else 0.0}
        self.lstm = nn.LSTM(n_features, self.config.n_hidden, self.config.n_layers, batch_first=True, **own)

    def add_head(self, state_size: int) -> None:
        """Add what stands between hidden states and logits, as the config has it; call it last."""
        self.state_size, n_dense = state_size, self.config.n_dense
        self.summary = SummaryOverTime(self.config.summary, state_size)
        self.dense = nn.Linear(self.summary.n_summary, n_dense) if n_dense else None
        self.add_output(n_dense or self.summary.n_summary)

    def add_output(self, embedding_size: int) -> None:
        """Add dropout and the output layer for embeddings (batch, embedding_size)."""
        self.embedding_size = embedding_size
        self.dropout = nn.Dropout(self.config.dropout)
        self.out = nn.Linear(embedding_size, self.config.n_emotions)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Turn a padded batch with (batch,) real lengths into logits (batch, n_emotions)."""
        return self.out(self.dropout(self.encode(values, lengths)))

    def encode(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return the embedding of each utterance, (batch, embedding_size)."""
        return self.summarize(*self.hidden_states(values, lengths))

    def summarize(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Reduce what `hidden_states` returns to embeddings, (batch, embedding_size)."""
        return self.embed(self.summary(states, lengths))

    def embed(self, summaries: Tensor) -> Tensor:
        """Turn summaries (batch, n_summary) into embeddings, through the dense layer where there is one."""
        return summaries if self.dense is None else torch.relu(self.dense(self.dropout(summaries)))

    def input_embeddings(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the network's float input, to which gradients flow, and its (batch,) lengths.

        Features are that already; tokens become vectors, those of `embedding`; vectors pass through. All other methods
        take it in place of the values.
        """
        embedding: Any = getattr(self, "embedding", None)
        return values.float() if embedding is None or values.is_floating_point() else embedding(values), lengths

    @abstractmethod
    def hidden_states(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden states (batch, steps, state_size) and the (batch,) numbers of real steps."""


@dataclass(frozen=True, kw_only=True)
class CnnBiLstmConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe audio/cnn-bilstm, options that it lacks are off.

    Dropout also goes before the BiLSTM and between its layers.
    """

    n_emotions: int = 6
    n_features: int = 20  # MFCCs a frame
    channels: tuple[int, ...] = (40, 40, 80, 80, 160, 160)
    strides: tuple[int, ...] = (1, 2, 1, 2, 1, 2)  # 8 frames become 1 step
    n_hidden: int = 160  # in each direction
    n_layers: int = 2
    normalization: Literal["none", "batch"] = "none"  # after each convolution


class CnnBiLstm(Network):
    """Strided convolutions over time, a BiLSTM over their output, and a summary of its states."""

    def __init__(self, config: CnnBiLstmConfig) -> None:
        super().__init__(config)
        widths = pairwise((config.n_features, *config.channels))
        sizes = [(*width, KERNEL, stride, KERNEL // 2) for width, stride in zip(widths, config.strides, strict=True)]
        self.convolutions = nn.ModuleList(nn.Conv1d(*size) for size in sizes)
        self.norms = nn.ModuleList(map(Normalization, config.channels if config.normalization == "batch" else ()))
        self.add_lstm(config.channels[-1], bidirectional=True)
        self.add_head(2 * config.n_hidden)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into the BiLSTM's states, (batch, steps, 2 * n_hidden)."""
        x = features.transpose(1, 2)  # (batch, n_features, frames), as Conv1d wants it
        x = x.masked_fill(~sequence_mask(lengths, x.shape[2])[:, None], 0.0)
        for number, (convolution, stride) in enumerate(zip(self.convolutions, self.config.strides, strict=True)):
            lengths = (lengths - 1) // stride + 1
            x = convolution(x)  # (batch, channels, steps); the bias has written into the padding
            mask = sequence_mask(lengths, x.shape[2])
            if self.norms:
                x = self.norms[number](x.transpose(1, 2), mask).transpose(1, 2)
            x = torch.relu(x) * mask[:, None]
        return run_lstm(self.lstm, self.dropout(x.transpose(1, 2)), lengths), lengths


@dataclass(frozen=True, kw_only=True)
class Cnn2dConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe audio/cnn-2d."""

    n_emotions: int = 6
    n_features: int = 64  # mel bands a frame
    channels: tuple[int, ...] = (16, 32, 48, 64)
    n_dense: int = 128
    summary: Summary = "mean+std"
    dropout: float = 0.3


class Cnn2d(Network):
    """Convolutions over time and frequency that halve both axes, and a summary over time.

    The first layer halves both axes, and so does a pooling between any two layers: with four of them, 16 frames become
    one step and 64 bands become 4. The bands stay apart, since a pattern's pitch matters.
    """

    def __init__(self, config: Cnn2dConfig) -> None:
        super().__init__(config)
        widths = enumerate(pairwise((1, *config.channels)))
        sizes = [(*width, KERNEL, 1 if number else 2, KERNEL // 2) for number, width in widths]
        self.convolutions = nn.ModuleList(nn.Conv2d(*size) for size in sizes)
        self.norms = nn.ModuleList(map(Normalization, config.channels))
        n_bands = -(-config.n_features // 2 ** len(config.channels))  # halved again and again, rounded up
        self.add_head(config.channels[-1] * n_bands)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into the last layer's maps, (batch, steps, channels * bands)."""
        x = features.masked_fill(~sequence_mask(lengths, features.shape[1])[..., None], 0.0)[:, None]
        for number, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = F.max_pool2d(x, 2, ceil_mode=True) if number else x  # nothing is below 0: padding is never the largest
            lengths = (lengths + 1) // 2
            x = convolution(x).transpose(1, 2)  # (batch, steps, channels, bands)
            x = torch.relu(norm(x, sequence_mask(lengths, x.shape[1]))).transpose(1, 2)
        return x.transpose(1, 2).flatten(2), lengths


@dataclass(frozen=True, kw_only=True)
class LstmConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe audio/lstm. Dropout also goes between the LSTM's layers."""

    n_emotions: int = 6
    n_features: int = 20  # MFCCs a frame
    n_hidden: int = 128
    n_layers: int = 1
    n_dense: int = 64
    dropout: float = 0.3


class Lstm(Network):
    """An LSTM over the frames and a summary of its states."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.add_lstm(config.n_features, bidirectional=False)
        self.add_head(config.n_hidden)

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, frames, n_features) into the LSTM's states, (batch, frames, n_hidden)."""
        frames = features.masked_fill(~sequence_mask(lengths, features.shape[1])[..., None], 0.0)
        return run_lstm(self.lstm, frames, lengths), lengths


@dataclass(frozen=True, kw_only=True)
class WordLstmConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe text/bilstm, options that it lacks are off.

    Dropout also goes after the embedding and between the LSTM's layers.
    """

    n_words: int  # size of the vocabulary, with the tokens for padding and for unknown words
    n_embedding: int = 256
    n_hidden: int = 256  # in each direction
    n_layers: int = 2
    both_ways: bool = True  # a BiLSTM; False: an LSTM, whose state at a word depends on the words up to it
    frozen: bool = False  # training leaves the embedding matrix alone, for vectors that come from a file


class WordLstm(Network):
    """An embedding matrix, an LSTM or BiLSTM over the word vectors, and a summary of its states."""

    def __init__(self, config: WordLstmConfig) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.n_words, config.n_embedding, padding_idx=PAD)
        self.embedding.weight.requires_grad_(not config.frozen)
        self.add_lstm(config.n_embedding, bidirectional=config.both_ways)
        self.add_head((1 + config.both_ways) * config.n_hidden)

    def hidden_states(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, words) int64 into the LSTM's states, (batch, words, n_hidden), twice that for a BiLSTM."""
        return run_lstm(self.lstm, self.dropout(self.input_embeddings(tokens, lengths)[0]), lengths), lengths

    @torch.no_grad()
    def take_vectors(self, places: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Start from known vectors (n, n_embedding) for the words `places` (n,); the others are drawn like them."""
        known, table = torch.from_numpy(vectors), self.embedding.weight
        table.mul_(known.std(dim=0, correction=0)).add_(known.mean(dim=0))
        table[PAD] = 0
        table[torch.from_numpy(places)] = known


@dataclass(frozen=True, kw_only=True)
class MlpConfig(NetworkConfig):
    """Sizes of the network; dropout also goes between the hidden layers."""

    n_features: int = 35  # action units
    n_hidden: tuple[int, ...] = (128, 128)
    n_dense: int = 0
    input_dropout: float = 0.0


class Mlp(Network):
    """A multilayer perceptron for utterances that are one vector each: (batch, n_features) in, logits out."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config)
        layers: list[nn.Module] = [nn.Dropout(config.input_dropout)]
        for number, (n_in, n_out) in enumerate(pairwise((config.n_features, *config.n_hidden))):
            layers += [nn.Dropout(config.dropout)] * bool(number) + [nn.Linear(n_in, n_out), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.add_head(config.n_hidden[-1])

    def hidden_states(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_features) into the last hidden layer as the only step, (batch, 1, n_hidden[-1])."""
        return self.hidden(features)[:, None], torch.ones_like(lengths)


@dataclass(frozen=True)
class ConversationConfig:
    """Sizes of the network; the defaults are the recipes conversation/…."""

    n_emotions: int
    n_features: int  # of a turn
    both_ways: bool = False  # whether the LSTM also runs from the last turn to the first
    n_hidden: int = 128  # numbers that describe a turn by itself
    n_context: int = 128  # numbers of a turn as context
    dropout: float = 0.5  # of the turns' features, and before the output


class Conversation(Network):
    """The target turn, concatenated with the state at it of an LSTM that runs over the turns of the dialogue.

    Simplified from Hazarika et al. 2018 and Majumder et al. 2019.
    """

    def __init__(self, config: ConversationConfig) -> None:
        super().__init__(config)
        n_hidden, n_context = config.n_hidden, config.n_context
        self.input_dropout = nn.Dropout(config.dropout)
        self.own = nn.Linear(config.n_features, n_hidden)
        self.turn = nn.Linear(n_hidden + N_CONTEXT_COLUMNS, n_context)
        self.lstm = nn.LSTM(n_context, n_context, batch_first=True, bidirectional=config.both_ways)
        self.state_size = n_hidden + n_context + N_CONTEXT_COLUMNS
        self.add_output(n_hidden + n_context * (1 + config.both_ways))

    def hidden_states(self, turns: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, turns, n_features + 2) into (batch, turns, n_hidden + n_context + 2).

        The columns are: each turn by itself, each turn as context, and the two columns on speaker and target.
        """
        facts = turns[..., -N_CONTEXT_COLUMNS:]
        own = torch.relu(self.own(self.input_dropout(turns[..., :-N_CONTEXT_COLUMNS])))
        context = torch.relu(self.turn(torch.cat([self.dropout(own), facts], dim=2)))
        return torch.cat([own, context, facts], dim=2), lengths

    def summarize(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Return the target turn's own part and its context, (batch, n_hidden + size of the LSTM's state)."""
        own, context, facts = states.split([self.config.n_hidden, self.config.n_context, N_CONTEXT_COLUMNS], dim=2)
        target, rows = facts[..., -1].argmax(dim=1), torch.arange(len(states), device=states.device)
        return torch.cat([own[rows, target], run_lstm(self.lstm, context, lengths)[rows, target]], dim=1)
