"""Heads for published encoders: on the layers of a frozen one, or on one that goes on learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emolab.features import encoders
from emolab.models.sequence import Network, Normalization


@dataclass(frozen=True)
class LayerHeadConfig:
    """Sizes of the light head on a frozen encoder."""

    n_layers: int  # its blocks, and what the first one is given
    n_features: int  # of a layer
    n_emotions: int
    n_dense: int = 256
    dropout: float = 0.5  # before and after the dense layer


class LayerHead(Network):
    """A learned average of the layers of a frozen encoder, and a dense layer that judges it.

    Source: the weighted sum of SUPERB, Yang et al. 2021.
    """

    def __init__(self, config: LayerHeadConfig) -> None:
        super().__init__(config)
        self.scores = nn.Parameter(torch.zeros(config.n_layers))
        self.norm = Normalization("batch", config.n_features)
        self.add_head(config.n_features)

    @property
    def layer_weights(self) -> Tensor:
        """(n_layers,), positive, sum 1: how much the head listens to each layer."""
        return self.scores.softmax(dim=0)

    def encode(self, layers: Tensor, lengths: Tensor) -> Tensor:
        """Sum (batch, n_layers, n_features) up in (batch, n_dense); `lengths` are all n_layers."""
        alike = F.layer_norm(layers, layers.shape[-1:])  # deep layers are louder: only their pattern counts
        average = (self.layer_weights[:, None] * alike).sum(dim=1, keepdim=True)  # (batch, 1, n_features)
        normal = self.norm(average, torch.ones(average.shape[:2], dtype=torch.bool, device=average.device))
        return self.judge(normal[:, 0])


@dataclass(frozen=True)
class EncoderConfig:
    """A published encoder as part of a network, and how much of it training may change."""

    n_emotions: int
    encoder: Mapping[str, Any]  # its own sizes, as its config.json has them
    n_trained: int | None = None  # last blocks that training may change; None: all that can be
    summary: Literal["mean", "pooler"] = "mean"  # of the last layer; a pooler sees the first piece only
    n_dense: int = 256
    dropout: float = 0.1  # before and after the dense layer


class _Encoder(Network):
    """A published encoder, a masked mean over its last layer, and a dense layer that judges it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.encoder: Any = encoders.build_encoder(config.encoder)
        self.add_head(config.encoder["hidden_size"], state_size=config.encoder["hidden_size"])
        self._trained = [self.encoder]
        if config.n_trained is not None:
            self._trained = list(encoders.blocks(self.encoder)[-config.n_trained :])
        self.encoder.requires_grad_(False)
        for part in self._trained:
            part.requires_grad_(True)
        for name in self.never_trained():
            self.encoder.get_submodule(name).requires_grad_(False)

    def never_trained(self) -> Iterator[str]:
        """Name the parts of the encoder that training leaves alone in any case."""
        if hasattr(self.encoder, "pooler") and self.config.summary == "mean":
            yield "pooler"

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield what training should change by small steps."""
        return self.encoder.parameters()

    def train(self, mode: bool = True) -> _Encoder:
        """Switch to training; what is frozen goes on as in use, without dropout."""
        super().train(mode)
        self.encoder.eval()
        for part in self._trained:
            part.train(mode)
        return self


class SoundEncoder(_Encoder):
    """wav2vec 2.0, HuBERT or WavLM with a head; its convolutions are never trained, as its authors advise.

    Source: Baevski et al. 2020; Hsu et al. 2021; Chen et al. 2022.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.norm = Normalization("batch", config.encoder["hidden_size"])  # voices differ little from their mean

    def never_trained(self) -> Iterator[str]:
        """Name the convolutions."""
        yield "feature_extractor"

    def input_embeddings(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waves (batch, samples) into what the convolutions make of them, (batch, frames, channels)."""
        if waves.ndim > 2:
            return waves, lengths
        return encoders.convolve(self.encoder, [wave[:n] for wave, n in zip(waves, lengths, strict=True)])

    def hidden_states(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waves (batch, samples) into the last layer, (batch, frames, dim), and the (batch,) real frames."""
        frames, n_frames = self.input_embeddings(waves, lengths)
        return encoders.relate(self.encoder, frames, n_frames)[-1], n_frames

    def encode(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Sum waves (batch, samples) with (batch,) real lengths up in (batch, n_dense)."""
        last, n_frames = self.hidden_states(waves, lengths)
        means = encoders.masked_means([last], n_frames)  # (batch, 1, dim)
        real = torch.ones(means.shape[:2], dtype=torch.bool, device=means.device)
        return self.judge(self.norm(means, real)[:, 0])


class TextEncoder(_Encoder):
    """ALBERT, BERT or their kin with a head.

    Source: Devlin et al. 2019; Lan et al. 2020.
    """

    @property
    def embedding(self) -> nn.Module:
        """Turns pieces of words into vectors."""
        return self.encoder.get_input_embeddings()

    def input_embeddings(self, pieces: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, pieces) int64 into the vectors of the pieces, (batch, pieces, dim); vectors stay."""
        return pieces if pieces.is_floating_point() else self.embedding(pieces), lengths

    def hidden_states(self, pieces: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn texts (batch, pieces) int64 into the last layer, (batch, pieces, dim)."""
        return encoders.read(self.encoder, self.input_embeddings(pieces, lengths)[0], lengths)[0][-1], lengths

    def encode(self, pieces: Tensor, lengths: Tensor) -> Tensor:
        """Sum texts (batch, pieces) int64 with (batch,) real lengths up in (batch, n_dense)."""
        layers, pooled = encoders.read(self.encoder, self.input_embeddings(pieces, lengths)[0], lengths)
        if self.config.summary == "pooler" and pooled is not None:
            return self.judge(pooled)
        return self.judge(encoders.masked_means(layers[-1:], lengths)[:, 0])
