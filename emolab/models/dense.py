"""A network for utterances that are measured as a whole: features in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from emolab.models.network import Network


@dataclass(frozen=True)
class MlpConfig:
    """Sizes of the network; the defaults are the recipe video/action-units-mlp."""

    n_emotions: int
    n_features: int = 35  # action units
    n_hidden: tuple[int, ...] = (128, 128)
    input_dropout: float = 0.0
    dropout: float = 0.0


class Mlp(Network):
    """Layers of neurons that see all features of an utterance at once: (batch, n_features) in, logits out."""

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config)
        layers: list[nn.Module] = [nn.Dropout(config.input_dropout)]
        for number, (n_in, n_out) in enumerate(pairwise((config.n_features, *config.n_hidden))):
            layers += [nn.Dropout(config.dropout)] * bool(number) + [nn.Linear(n_in, n_out), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.add_output(config.n_hidden[-1])

    def encode(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Sum (batch, n_features) up in (batch, n_encoded); all are equally long, so lengths say nothing."""
        return self.hidden(features)
