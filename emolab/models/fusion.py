"""Networks that join modalities: the inputs of several encoders in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from emolab.models.sequence import Network, sequence_mask

JoinKind = Literal["concat", "add", "gated", "tensor", "cross-attention", "transformer"]


@dataclass(frozen=True)
class FusionConfig:
    """How encoders are joined, and the sizes of what they share."""

    n_emotions: int
    join: JoinKind = "concat"
    n_joined: int = 128  # numbers that the summary of each modality is brought to
    n_dense: int = 128
    dropout: float = 0.0  # before and after the dense layer, and inside attention
    rank: int = 8  # of the tensor
    n_heads: int = 4  # of attention
    n_layers: int = 1  # of the Transformer
    modality_dropout: float = 0.0  # how often training does without a modality; one always stays
    auxiliary: bool = False  # whether training judges each modality alone as well, see `TrainingConfig.auxiliary`


class FusionInputs(NamedTuple):
    """What a join is given: of each modality a summary and, where the join asks for them, its steps."""

    summaries: Tensor  # (batch, n_modalities, n_joined); what is missing is a learned vector
    there: Tensor  # (batch, n_modalities) bool
    steps: Tensor  # (batch, steps of all modalities, n_joined)
    owner: Tensor  # (batch, steps of all modalities): which modality; -1 is padding


class Join(nn.Module):
    """Make (batch, n_out) of what is seen. All kinds have this signature, so that one can take another's place."""

    sees_steps = False

    def __init__(self, n_modalities: int, config: FusionConfig, n_out: int) -> None:
        super().__init__()
        self.n_modalities, self.config, self.n_out = n_modalities, config, n_out


class Concat(Join):
    """Lay the summaries side by side: nothing is lost, and every later weight belongs to one modality."""

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, n_modalities * config.n_joined)

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_modalities * n_joined)."""
        return seen.summaries.flatten(1)


class Add(Join):
    """Add the summaries up: all modalities have to write the same language."""

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, config.n_joined)

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        return seen.summaries.sum(dim=1)


class Gated(Join):
    """Weigh the modalities anew for each utterance; the weights sum to 1, and those of missing ones are 0.

    Source: gated multimodal units, Arevalo et al. 2017, here with one gate a modality, so that it can be looked at.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, config.n_joined)
        self.score = nn.Linear(n_modalities * config.n_joined, n_modalities)

    def gates(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_modalities), how much each modality is listened to."""
        return self.score(seen.summaries.flatten(1)).masked_fill(~seen.there, -torch.inf).softmax(dim=1)

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        return (self.gates(seen)[..., None] * torch.tanh(seen.summaries)).sum(dim=1)


class LowRankTensor(Join):
    """Multiply each number of one modality with each of the others, through few factors instead of a full tensor.

    Source: Liu et al. 2018. Each summary is given a constant 1, so that products hold single modalities as well.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, config.n_joined)
        n_in, n_out = config.n_joined, config.n_joined
        self.factors = nn.Parameter(torch.randn(n_modalities, config.rank, n_in, n_out) / n_in**0.5)
        self.constants = nn.Parameter(torch.ones(n_modalities, config.rank, 1, n_out))
        self.ranks = nn.Parameter(torch.randn(config.rank) / config.rank**0.5)

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        parts = torch.einsum("bmi,mrio->mrbo", seen.summaries, self.factors) + self.constants
        return torch.einsum("rbo,r->bo", parts.prod(dim=0), self.ranks)


class CrossAttention(Join):
    """Each modality asks the steps of the others: which word goes with this voice, which sound with this word?

    Source: Tsai et al. 2019, simplified: the summary asks, in one layer. Attention may also turn to nothing.
    """

    sees_steps = True

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, n_modalities * config.n_joined)
        self.kinds = nn.Parameter(torch.randn(n_modalities, config.n_joined) / config.n_joined**0.5)
        sizes = {"dropout": config.dropout, "batch_first": True, "add_zero_attn": True}
        self.attention = nn.MultiheadAttention(config.n_joined, config.n_heads, **sizes)
        self.norm = nn.LayerNorm(config.n_joined)

    def weights(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_modalities, steps of all modalities + 1), mean over heads; the last is nothing."""
        return self._attend(seen)[1]

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_modalities * n_joined)."""
        answers = self.norm(seen.summaries + self._attend(seen)[0])
        return (answers * seen.there[..., None]).flatten(1)

    def _attend(self, seen: FusionInputs) -> tuple[Tensor, Tensor]:
        asking = torch.arange(self.n_modalities, device=seen.owner.device)[:, None]
        hidden = (seen.owner[:, None] == asking) | (seen.owner[:, None] < 0)  # (batch, n_modalities, steps)
        steps = seen.steps + self.kinds[seen.owner.clamp(min=0)]
        mask = hidden.repeat_interleave(self.config.n_heads, dim=0)
        return self.attention(seen.summaries + self.kinds, steps, steps, attn_mask=mask)


class Transformer(Join):
    """The summaries are the words of a short sentence; a Transformer reads it, an own token gathers the answer.

    Source: Vaswani et al. 2017; the token that gathers, Devlin et al. 2019.
    """

    def __init__(self, n_modalities: int, config: FusionConfig) -> None:
        super().__init__(n_modalities, config, config.n_joined)
        width = config.n_joined
        self.kinds = nn.Parameter(torch.randn(1 + n_modalities, width) / width**0.5)  # the first gathers
        sizes: dict[str, Any] = {"dropout": config.dropout, "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(width, config.n_heads, 2 * width, **sizes)
        self.layers = nn.TransformerEncoder(layer, config.n_layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, seen: FusionInputs) -> Tensor:
        """Return (batch, n_joined)."""
        tokens = nn.functional.pad(seen.summaries, (0, 0, 1, 0)) + self.kinds  # (batch, 1 + n_modalities, n_joined)
        hidden = nn.functional.pad(~seen.there, (1, 0))
        return self.layers(tokens, src_key_padding_mask=hidden)[:, 0]


JOINS: dict[JoinKind, type[Join]] = {
    "concat": Concat,
    "add": Add,
    "gated": Gated,
    "tensor": LowRankTensor,
    "cross-attention": CrossAttention,
    "transformer": Transformer,
}


class Fusion(nn.Module):
    """Each encoder reads its modality, a join makes one of what they found, one classifier judges it.

    The encoders become part of the network. A modality of length 0 is missing: it is not read, and what it would have
    said is a vector that training learns.
    """

    def __init__(self, encoders: Sequence[Network], config: FusionConfig) -> None:
        super().__init__()
        if config.join not in JOINS:
            raise ValueError(f"no join {config.join!r}; expected one of {', '.join(JOINS)}. Mend the spec.")
        self.config, self.embedding_size = config, config.n_dense
        self.encoders = nn.ModuleList(encoders)
        self.bring = nn.ModuleList(nn.Linear(encoder.embedding_size, config.n_joined) for encoder in encoders)
        self.join = JOINS[config.join](len(encoders), config)  # type: ignore[call-arg]
        stepwise = encoders if self.join.sees_steps else ()
        self.bring_steps = nn.ModuleList(nn.Linear(encoder.state_size, config.n_joined) for encoder in stepwise)
        self.absent = nn.Parameter(torch.zeros(len(encoders), config.n_joined))
        for encoder in encoders:
            encoder.out = encoder.out if config.auxiliary else nn.Identity()  # nobody else would ask it any more
        self.dense = nn.Linear(self.join.n_out, config.n_dense)
        self.dropout = nn.Dropout(config.dropout)
        self.out = nn.Linear(config.n_dense, config.n_emotions)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Turn values and lengths of the first encoder, of the second, … into logits (batch, n_emotions).

        With auxiliary heads, training gets (batch, n_emotions, 1 + n_modalities): the logits, then each modality's own.
        """
        seen, encoded = self._see(*inputs)
        logits = self.out(self.dropout(self._judge(seen)))
        if not (self.training and self.config.auxiliary):
            return logits
        own = [encoder.out(encoder.dropout(part)) for encoder, part in zip(self._encoders, encoded, strict=True)]
        alone = [part.masked_fill(~seen.there[:, [place]], 0.0) for place, part in enumerate(own)]
        return torch.stack([logits, *alone], dim=2)

    def encode(self, *inputs: Tensor) -> Tensor:
        """Sum each utterance up, all modalities together, in (batch, n_dense)."""
        return self._judge(self._see(*inputs)[0])

    def fusion_inputs(self, *inputs: Tensor) -> FusionInputs:
        """Return what the join is given, to look into its gates or its attention."""
        return self._see(*inputs)[0]

    @property
    def _encoders(self) -> list[Network]:
        return [cast(Network, encoder) for encoder in self.encoders]

    def _judge(self, seen: FusionInputs) -> Tensor:
        return torch.relu(self.dense(self.dropout(self.join(seen))))

    def _see(self, *inputs: Tensor) -> tuple[FusionInputs, list[Tensor]]:
        """Let each encoder read its modality where it is there: what the join is given, and (batch, n_encoded) each."""
        if len(inputs) != 2 * len(self.encoders):
            raise ValueError(
                f"{len(inputs)} inputs for {len(self.encoders)} encoders; expected values and lengths for each, "
                "in the order of the encoders. Pass network(features, their_lengths, tokens, their_lengths)."
            )
        pairs = list(zip(inputs[::2], inputs[1::2], strict=True))
        there = self._left(torch.stack([lengths > 0 for _, lengths in pairs], dim=1))
        encoded = [self._encode(place, *pair, there[:, place]) for place, pair in enumerate(pairs)]
        brought = torch.stack([layer(part) for layer, part in zip(self.bring, encoded, strict=True)], dim=1)
        summaries = torch.where(there[..., None], brought, self.absent)
        if not self.join.sees_steps:
            return FusionInputs(summaries, there, summaries[:, :0], there[:, :0].long()), encoded
        seen = [self._states(place, *pair, there[:, place]) for place, pair in enumerate(pairs)]
        steps, owner = (torch.cat(part, dim=1) for part in zip(*seen, strict=True))
        return FusionInputs(summaries, there, steps, owner), encoded

    def _left(self, there: Tensor) -> Tensor:
        """Take modalities away in training, but never all of an utterance."""
        if not (self.training and self.config.modality_dropout):
            return there
        left = there & (torch.rand(there.shape, device=there.device) >= self.config.modality_dropout)
        return torch.where(left.any(dim=1, keepdim=True), left, there)

    def _encode(self, place: int, values: Tensor, lengths: Tensor, there: Tensor) -> Tensor:
        """Read one modality of the utterances that have it; (batch, n_encoded), zero where it is missing."""
        encoder, rows = self._encoders[place], there.nonzero()[:, 0]
        empty = self.absent.new_zeros(len(there), encoder.embedding_size)
        if not len(rows):
            return empty
        return empty.index_copy(0, rows, encoder.encode(values[rows], lengths[rows]).to(empty.dtype))

    def _states(self, place: int, values: Tensor, lengths: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Return the steps of one modality, (batch, steps, n_joined), and its number where they are real, else -1."""
        encoder, rows = self._encoders[place], there.nonzero()[:, 0]
        if not len(rows):
            return self.absent.new_zeros(len(there), 0, self.config.n_joined), there[:, None][:, :0].long()
        states, n_steps = encoder.hidden_states(values[rows], lengths[rows])
        brought = self.bring_steps[place](states)
        owner = torch.where(sequence_mask(n_steps, states.shape[1]), place, -1)
        steps = brought.new_zeros(len(there), *brought.shape[1:]).index_copy(0, rows, brought)
        return steps, owner.new_full((len(there), owner.shape[1]), -1).index_copy(0, rows, owner)
