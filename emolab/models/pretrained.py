"""Networks with published weights: heads on frozen encoders, encoders to fine-tune, VGGish, and their weight files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emolab.features.pretrained import VGGISH_ADDRESS, blocks, build_encoder, contextualise, convolutions, convolve
from emolab.models.sequence import Network, NetworkConfig, Normalization, scatter_steps, sequence_mask
from emolab.storage import weights_root

POOLED_AFTER = (0, 1, 3, 5)  # convolutions of VGGish with a max-pooling behind them, which halves both axes


@dataclass(frozen=True, kw_only=True)
class WeightedLayerSumConfig(NetworkConfig):
    """Sizes of the light head on a frozen encoder."""

    n_layers: int  # its blocks, and the input of the first one
    n_features: int  # of a layer
    dropout: float = 0.5


class WeightedLayerSum(Network):
    """A learned weighted sum of the layers of a frozen encoder, and a dense layer.

    Source: the weighted sum of SUPERB, Yang et al. 2021.
    """

    def __init__(self, config: WeightedLayerSumConfig) -> None:
        super().__init__(config)
        self.scores = nn.Parameter(torch.zeros(config.n_layers))
        self.norm = Normalization(config.n_features)
        self.add_head(config.n_features)

    @property
    def layer_weights(self) -> Tensor:
        """(n_layers,), the weight of each layer: positive, sum 1."""
        return self.scores.softmax(dim=0)

    def hidden_states(self, layers: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_layers, n_features) into their weighted sum as the only step, (batch, 1, n_features)."""
        layers = F.layer_norm(layers, layers.shape[-1:])  # deep layers have larger numbers: only their pattern counts
        weighted = (self.layer_weights[:, None] * layers).sum(dim=1)
        return self.norm.rows(weighted)[:, None], torch.ones_like(lengths)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(NetworkConfig):
    """A published encoder as part of a network, and how much of it training may change."""

    encoder: Mapping[str, Any]  # its own sizes, as its config.json has them
    n_trained: int | None = None  # last blocks that training may change; None: all that can be
    dropout: float = 0.1


class Encoder(Network):
    """A published encoder, the masked mean of its last layer, and a dense layer."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.encoder: Any = build_encoder(config.encoder)
        self.add_head(config.encoder["hidden_size"])
        encoder = self.encoder.requires_grad_(False)
        for part in self._trained:
            part.requires_grad_(True)
        if getattr(encoder, "pooler", None) is not None:  # it takes the first token only, and is not used
            encoder.pooler.requires_grad_(False)

    @property
    def _trained(self) -> list[nn.Module]:
        n = self.config.n_trained
        return [self.encoder] if n is None else list(blocks(self.encoder)[-n:])

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the published weights, which training should change by small steps."""
        return self.encoder.parameters()

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode; frozen parts stay in evaluation mode, without dropout."""
        super().train(mode)
        self.encoder.eval()
        for part in self._trained:
            part.train(mode)
        return self


class AudioEncoder(Encoder):
    """wav2vec 2.0, HuBERT, WavLM or Whisper with a head; convolutions are never trained, as the first's authors advise.

    Source: Baevski et al. 2020; Hsu et al. 2021; Chen et al. 2022; Radford et al. 2023.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        for part in convolutions(self.encoder):
            part.requires_grad_(False)
        self.norm = Normalization(config.encoder["hidden_size"])  # voices differ little from their mean

    def input_embeddings(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waves (batch, samples), or log-mels (batch, frames, n_mels), into (batch, frames, channels).

        What the convolutions gave before is returned as it is.
        """
        if waves.ndim > 2 and waves.shape[-1] != self.encoder.config.to_dict().get("num_mel_bins"):
            return waves, lengths
        return convolve(self.encoder, [wave[:n] for wave, n in zip(waves, lengths, strict=True)])

    def hidden_states(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn waves or log-mels into the last layer, (batch, frames, dim), and the (batch,) real frames."""
        frames, n_frames = self.input_embeddings(waves, lengths)
        return contextualise(self.encoder, frames, n_frames), n_frames

    def summarize(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Reduce (batch, frames, dim) to embeddings (batch, n_dense)."""
        return self.embed(self.norm.rows(self.summary(states, lengths)))


class TextEncoder(Encoder):
    """ALBERT, BERT or their kin with a head.

    Source: Devlin et al. 2019; Lan et al. 2020.
    """

    @property
    def embedding(self) -> nn.Module:
        """The embedding matrix of the subword tokens."""
        return self.encoder.get_input_embeddings()

    def hidden_states(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn texts (batch, tokens) int64 into the last layer, (batch, tokens, dim)."""
        vectors, mask = self.input_embeddings(tokens, lengths)[0], sequence_mask(lengths, tokens.shape[1]).long()
        return self.encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state, lengths


@dataclass(frozen=True, kw_only=True)
class VggishConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe audio/vggish."""

    channels: tuple[int, ...] = (64, 128, 256, 256, 512, 512)  # as published
    n_bands: int = 128  # of the log-mels, 8 of them left in the end: 512 times 8 = 4,096 numbers an example
    n_frozen: int = 11  # layers that keep the published weights: up to the third pooling
    dropout: float = 0.3


class Vggish(Network):
    """Six convolutions and four poolings over each example of log-mels; the mean over the examples is classified.

    Source: Simonyan and Zisserman 2015; Hershey et al. 2017. `features` has the layout of the published weights: a
    convolution, a ReLU, sometimes a pooling. Of its output, (channels, 12, 8) an example, the mean over the 12 steps of
    time is taken, and the rest flattened.
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
        self.add_head(config.channels[-1] * config.n_bands // 2 ** len(POOLED_AFTER))

    def load_weights(self, source: str) -> None:
        """Take the convolutions from the published weights, see `load_published`."""
        load_published(self, source, unused=("embeddings.", "pproc."), own=("dense.", "out."), address=VGGISH_ADDRESS)

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the convolutions, which training should change by small steps."""
        return self.features.parameters()

    def hidden_states(self, examples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_examples, frames, bands) into (batch, n_examples, 4,096), zero for padding."""
        mask = sequence_mask(lengths, examples.shape[1])
        maps = self.features(examples[mask][:, None]).mean(dim=2)  # (real examples, channels, bands / 16)
        return scatter_steps(maps.flatten(1), mask), lengths


def load_published(
    network: nn.Module, source: str, *, unused: tuple[str, ...] = (), own: tuple[str, ...] = (), address: str = ""
) -> None:
    """Load published weights into a network.

    Args:
        network: Its parts have the names of the published ones.
        source: A state dict as torch or safetensors saves it: a path, or a name that is looked for below
            `weights_root()` and among torch's own downloads.
        unused: Beginnings of names that the file has and the network does not need, such as its old output layer.
        own: Beginnings of names that the network has and the file does not know.
        address: Where the file is published, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no state dict, or one of another network.
    """
    from safetensors.torch import load_file

    told = f" ({address})" * bool(address)
    places = (Path(source).expanduser(), weights_root() / source, Path(torch.hub.get_dir(), "checkpoints", source))
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        where = f"no weights {source!r}: neither {places[1]} nor {places[2]} is there"
        raise FileNotFoundError(f"{where}. Expected a state dict{told}. Put the file there; preset quick needs none.")
    try:
        read = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        tensors = {name.removeprefix("module."): value for name, value in read.items() if isinstance(value, Tensor)}
    except Exception as error:  # pickle, zip, torch and safetensors each have their own
        why = f"{path} cannot be read as weights ({type(error).__name__})"
        raise ValueError(f"{why}; expected a state dict of torch or safetensors. Get the file again{told}.") from error
    found = {name: value for name, value in tensors.items() if not name.startswith(unused)}
    shapes = {name: value.shape for name, value in network.state_dict().items() if not name.startswith(own)}
    odd = [name for name in shapes.keys() | found.keys() if name not in found or found[name].shape != shapes.get(name)]
    odd = sorted(name for name in odd if not name.endswith("num_batches_tracked"))  # old files do not count them
    if odd:
        why = f"{len(odd)} tensors are missing, unknown or of another shape, first {odd[0]}"
        advice = f"Expected the published weights of just this network. Take their file{told}"
        raise ValueError(f"{path} does not fit {type(network).__name__}: {why}. {advice}.")
    network.load_state_dict(found, strict=False)
