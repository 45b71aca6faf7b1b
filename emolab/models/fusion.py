"""Hybrid fusion: a network that joins what several encoders make of their modalities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from emolab.models.sequence import Network, sequence_mask

JoinKind = Literal["concat", "add", "gated", "tensor", "cross-attention", "transformer"]


@dataclass(frozen=True)
class FusionConfig:
    """How encoders are joined, and the sizes of what they share."""

    n_emotions: int
    join: JoinKind = "concat"
    n_joined: int = 128  # numbers that the embedding of each modality is projected to
    n_dense: int = 128
    dropout: float = 0.0  # before and after the dense layer, and inside attention
    rank: int = 8  # of the tensor
    n_heads: int = 4  # of attention
    n_layers: int = 1  # of the Transformer
    modality_dropout: float = 0.0  # how often training leaves a modality out; one always stays
    auxiliary: bool = False  # whether each modality alone is classified in training, see `TrainingConfig.auxiliary`


class FusionInputs(NamedTuple):
    """The input of a join: of each modality a summary and, where the join asks for them, its steps."""

    summaries: Tensor  # (batch, n_modalities, n_joined); what is missing is a learned vector
    there: Tensor  # (batch, n_modalities) bool
    steps: Tensor  # (batch, steps of all modalities, n_joined)
    owner: Tensor  # (batch, steps of all modalities): which modality; -1 is padding
    embeddings: Sequence[Tensor] = ()  # of each modality (batch, embedding_size), zero where it is missing


class Join(nn.Module):
    """Turn `FusionInputs` into (batch, n_out). All kinds have this signature, so that one can replace another."""

    wide, needs_steps = False, False

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__()
        self.n_modalities, self.config = n_modalities, config
        self.n_out = config.n_joined * (n_modalities if self.wide else 1)


class Concat(Join):
    """Concatenate the summaries: nothing is lost, and every later weight belongs to one modality."""

    wide = True

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_modalities * n_joined)."""
        return given.summaries.flatten(1)


class Add(Join):
    """Add the summaries up: all modalities share one space."""

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        return given.summaries.sum(dim=1)


class Gated(Join):
    """Weigh the modalities anew for each utterance; the weights sum to 1, and those of missing ones are 0.

    Source: gated multimodal units, Arevalo et al. 2017, here with one gate a modality, so that it can be looked at.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config)
        self.score = nn.Linear(n_modalities * config.n_joined, n_modalities)

    def gates(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_modalities), the weight of each modality."""
        return self.score(given.summaries.flatten(1)).masked_fill(~given.there, -torch.inf).softmax(dim=1)

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        return (self.gates(given)[..., None] * torch.tanh(given.summaries)).sum(dim=1)


class LowRankTensor(Join):
    """Multiply each number of one modality with each of the others, through few factors instead of a full tensor.

    Source: Liu et al. 2018. Each summary is given a constant 1, so that products hold single modalities as well.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config)
        width = config.n_joined
        self.factors = nn.Parameter(torch.randn(n_modalities, config.rank, width, width) / width**0.5)
        self.constants = nn.Parameter(torch.ones(n_modalities, config.rank, 1, width))
        self.ranks = nn.Parameter(torch.randn(config.rank) / config.rank**0.5)

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        factors = torch.einsum("bmi,mrio->mrbo", given.summaries, self.factors) + self.constants
        return torch.einsum("rbo,r->bo", factors.prod(dim=0), self.ranks)


class CrossAttention(Join):
    """The summary of each modality is the query over the steps of the others: which word goes with this voice?

    Source: Tsai et al. 2019, simplified: the summary asks, in one layer. Attention may also turn to nothing.
    """

    wide, needs_steps = True, True

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config)
        self.kinds = nn.Parameter(torch.randn(n_modalities, config.n_joined) / config.n_joined**0.5)
        sizes: dict[str, Any] = {"dropout": config.dropout, "batch_first": True, "add_zero_attn": True}
        self.attention = nn.MultiheadAttention(config.n_joined, config.n_heads, **sizes)
        self.norm = nn.LayerNorm(config.n_joined)

    def weights(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_modalities, steps of all modalities + 1), mean over heads; the last is nothing."""
        return self._attend(given)[1]

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_modalities * n_joined)."""
        return (self.norm(given.summaries + self._attend(given)[0]) * given.there[..., None]).flatten(1)

    def _attend(self, given: FusionInputs) -> tuple[Tensor, Tensor]:
        query = torch.arange(self.n_modalities, device=given.owner.device)[:, None]
        hidden = (given.owner[:, None] == query) | (given.owner[:, None] < 0)  # (batch, n_modalities, steps)
        steps = given.steps + self.kinds[given.owner.clamp(min=0)]
        mask = hidden.repeat_interleave(self.config.n_heads, dim=0)
        return self.attention(given.summaries + self.kinds, steps, steps, attn_mask=mask)


class Transformer(Join):
    """A Transformer over the summaries as tokens; the output at a token of its own is the result.

    Source: Vaswani et al. 2017; the token of its own, Devlin et al. 2019.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config)
        width = config.n_joined
        self.kinds = nn.Parameter(torch.randn(1 + n_modalities, width) / width**0.5)  # the first is the own token
        sizes: dict[str, Any] = {"dropout": config.dropout, "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(width, config.n_heads, 2 * width, **sizes)
        self.layers = nn.TransformerEncoder(layer, config.n_layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, given: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        tokens = nn.functional.pad(given.summaries, (0, 0, 1, 0)) + self.kinds  # (batch, 1 + n_modalities, n_joined)
        return self.layers(tokens, src_key_padding_mask=nn.functional.pad(~given.there, (1, 0)))[:, 0]


JOINS: dict[JoinKind, type[Join]] = {"concat": Concat, "add": Add, "gated": Gated, "tensor": LowRankTensor}
JOINS |= {"cross-attention": CrossAttention, "transformer": Transformer}


class Fusion(nn.Module):
    """One encoder a modality, a join of their embeddings, and one classifier on top.

    The encoders become part of the network. A modality of length 0 is missing: a vector that training learns takes the
    place of its embedding.

    Args:
        encoders: One `Network` a modality; any class that has its methods can be a subclass of it.
        config: How they are joined.

    Raises:
        ValueError: If there is no such join.
        TypeError: If an encoder is no `Network`.
    """

    def __init__(self, encoders: Sequence[Network], config: FusionConfig) -> None:
        super().__init__()
        if config.join not in JOINS:
            raise ValueError(f"no join {config.join!r}; expected one of {', '.join(JOINS)}.")
        if foreign := [type(encoder).__name__ for encoder in encoders if not isinstance(encoder, Network)]:
            found = f"encoders {', '.join(foreign)} have logits, but no hidden states to join; expected subclasses of"
            raise TypeError(f"{found} emolab.models.sequence.Network. Write their hidden_states, or take late fusion.")
        self.config, self.embedding_size = config, config.n_dense
        self.encoders: Any = nn.ModuleList(encoders)
        self.project = nn.ModuleList(nn.Linear(encoder.embedding_size, config.n_joined) for encoder in encoders)
        self.join: Any = JOINS[config.join](len(encoders), config)
        stepwise = encoders if self.join.needs_steps else ()
        self.project_steps = nn.ModuleList(nn.Linear(encoder.state_size, config.n_joined) for encoder in stepwise)
        self.absent = nn.Parameter(torch.zeros(len(encoders), config.n_joined))
        for encoder in encoders:
            encoder.out = encoder.out if config.auxiliary else nn.Identity()  # it is not used any more
        self.dense = nn.Linear(self.join.n_out, config.n_dense)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.n_dense, config.n_emotions)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Turn values and lengths of the first encoder, of the second, … into logits (batch, n_emotions).

        With auxiliary heads, training gets (batch, n_emotions, 1 + n_modalities): the logits, then each modality's own.
        """
        given = self.fusion_inputs(*inputs)
        logits = self.out(self.dropout(self._embed(given)))
        if not (self.training and self.config.auxiliary):
            return logits
        parts = zip(self.encoders, given.embeddings, given.there.T[..., None], strict=True)
        alone = [encoder.out(encoder.dropout(part)).masked_fill(~there, 0.0) for encoder, part, there in parts]
        return torch.stack([logits, *alone], dim=2)

    def encode(self, *inputs: Tensor) -> Tensor:
        """Return the embedding of each utterance, all modalities together, (batch, n_dense)."""
        return self._embed(self.fusion_inputs(*inputs))

    def _embed(self, given: FusionInputs) -> Tensor:
        return torch.relu(self.dense(self.dropout(self.join(given))))

    def fusion_inputs(self, *inputs: Tensor) -> FusionInputs:
        """Run each encoder on the utterances that have its modality; return the input of the join."""
        if len(inputs) != 2 * len(self.encoders):
            found = f"{len(inputs)} inputs for {len(self.encoders)} encoders"
            raise ValueError(f"{found}; expected values and lengths for each. Pass network(values, lengths, …).")
        pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
        there = self._kept(torch.stack([lengths > 0 for _, lengths in pairs], dim=1))
        read = [self._encode(place, *pair, there[:, place].nonzero()[:, 0]) for place, pair in enumerate(pairs)]
        embeddings, steps, owner = zip(*read, strict=True)
        projected = torch.stack([layer(part) for layer, part in zip(self.project, embeddings, strict=True)], dim=1)
        summaries = torch.where(there[..., None], projected, self.absent)
        return FusionInputs(summaries, there, torch.cat(steps, dim=1), torch.cat(owner, dim=1), embeddings)

    def _kept(self, there: Tensor) -> Tensor:
        """Leave modalities out in training, but never all of an utterance."""
        if not (self.training and self.config.modality_dropout):
            return there
        kept = there & (torch.rand(there.shape, device=there.device) >= self.config.modality_dropout)
        return torch.where(kept.any(dim=1, keepdim=True), kept, there)

    def _encode(self, place: int, values: Tensor, lengths: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run an encoder once on some rows of a batch.

        Returns:
            (batch, embedding_size), zero in all other rows; where the join needs them, the steps (batch, steps,
            n_joined) and `place` for each real one, -1 for all others.
        """
        encoder, n = self.encoders[place], len(values)
        embedding = self.absent.new_zeros(n, encoder.embedding_size)
        steps, owner = self.absent.new_zeros(n, 0, self.config.n_joined), rows.new_zeros(n, 0)
        if len(rows):
            states, n_steps = encoder.hidden_states(values[rows], lengths[rows])
            embedding = embedding.index_copy(0, rows, encoder.summarize(states, n_steps).to(embedding.dtype))
            if self.project_steps:
                projected = self.project_steps[place](states)
                real = torch.where(sequence_mask(n_steps, states.shape[1]), place, -1)
                steps = projected.new_zeros(n, *projected.shape[1:]).index_copy(0, rows, projected)
                owner = real.new_full((n, real.shape[1]), -1).index_copy(0, rows, real)
        return embedding, steps, owner
