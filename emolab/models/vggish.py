"""VGGish: a network for pictures that was taught to name sounds, and listens to voices here."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from emolab.features.vggish import ADDRESS
from emolab.models.sequence import Network
from emolab.models.published import load_published
from emolab.models.sequence import scatter_steps, sequence_mask

POOLED_AFTER = (0, 1, 3, 5)  # convolutions behind which every second row and column goes: 16 times fewer in the end


@dataclass(frozen=True)
class VggishConfig:
    """Sizes of the network; the defaults are the recipe audio/vggish."""

    n_emotions: int
    channels: tuple[int, ...] = (64, 128, 256, 256, 512, 512)  # as published
    n_bands: int = 128  # of the pictures, 8 of them left in the end: 512 times 8 = 4,096 numbers an example
    n_frozen: int = 11  # layers that keep the published weights: up to the third pooling
    n_dense: int = 256
    dropout: float = 0.3  # before and after the dense layer


class Vggish(Network):
    """Six convolutions and four poolings look at each example; the mean over examples is judged.

    Source: Simonyan and Zisserman 2015; Hershey et al. 2017. `features` has the layout of the published weights: a
    convolution, a ReLU, sometimes a pooling. Of its output, (channels, 12, 8) an example, the mean over the 12 steps of
    time is taken, and the rest laid in a row.
    """

    def __init__(self, config: VggishConfig) -> None:
        super().__init__(config)
        layers: list[nn.Module] = []
        for number, (n_in, n_out) in enumerate(zip((1, *config.channels), config.channels, strict=False)):
            convolution = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            layers += [convolution, nn.ReLU()]
            if number in POOLED_AFTER:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.features[: config.n_frozen].requires_grad_(False)
        n_looked_at = config.channels[-1] * config.n_bands // 2 ** len(POOLED_AFTER)
        self.add_head(n_looked_at, state_size=n_looked_at)

    def load_weights(self, source: str) -> None:
        """Take the convolutions from the published weights, see `load_published`."""
        load_published(self, source, beside=("embeddings.", "pproc."), own=("dense.", "out."), address=ADDRESS)

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return what training should change by small steps."""
        return list(self.features.parameters())

    def hidden_states(self, examples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_examples, frames, bands) into (batch, n_examples, 4,096), zero where there is padding."""
        mask = sequence_mask(lengths, examples.shape[1])
        seen = self.features(examples[mask][:, None]).mean(dim=2)  # (real examples, channels, bands / 16)
        return scatter_steps(seen.flatten(1), mask), lengths

    def encode(self, examples: Tensor, lengths: Tensor) -> Tensor:
        """Sum each utterance up in (batch, n_dense)."""
        return self.judge(self.hidden_states(examples, lengths)[0].sum(dim=1) / lengths[:, None])
