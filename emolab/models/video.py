"""Networks for video: the faces of a clip in, logits out.

Faces come as (batch, frames, size, size, 3) uint8 with (batch,) real lengths. Only real frames are processed, so that
neither padding nor neighbours change a result, batch statistics in training included.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emolab.models.pretrained import load_published
from emolab.models.sequence import Network, NetworkConfig, Summary, scatter_steps, sequence_mask
from emolab.storage import toml_beside

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of the colours that ResNet knows
KINETICS = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # I3D was shown colours from -1 to 1
GREY, CONTRAST = 127.5, 4.0  # of pictures of change: what stays is grey, what moves is four times as strong
ROUND = 64  # pictures
I3D_PARTS = toml_beside(__file__, "i3d.toml")
INCEPTION_ENDS = (0, 2, 4, 5)  # of its six channels, those that leave it
Colours = tuple[tuple[float, ...], ...]  # means and deviations
POINT = (1, 1, 1)  # time, height, width


@dataclass(frozen=True, kw_only=True)
class FaceCnnConfig(NetworkConfig):
    """Sizes of the network; dropout also goes before the layer that describes a frame."""

    size: int = 48  # pixels
    channels: tuple[int, ...] = (16, 32, 48, 64)  # each layer halves height and width
    n_frame: int = 64  # numbers that describe one frame
    n_dense: int = 0
    summary: Summary = "attention"


class FaceCnn(Network):
    """Convolutions over each frame, less the clip's mean face, and attention over the real frames."""

    def __init__(self, config: FaceCnnConfig) -> None:
        super().__init__(config)
        widths = list(pairwise((3, *config.channels)))
        n_left = math.ceil(config.size / 2 ** len(config.channels))  # of height and width
        self.convolutions = nn.ModuleList(nn.Conv2d(n_in, n_out, 3, 2, 1, bias=False) for n_in, n_out in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n_out) for _, n_out in widths)
        self.frame = nn.Linear(config.channels[-1] * n_left**2, config.n_frame)
        self.add_head(config.n_frame)

    def hidden_states(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Describe each frame by (batch, frames, n_frame), zero for padding."""
        return _each_frame(self._describe, self.subtract_mean_face(frames, lengths), lengths, KINETICS), lengths

    def _describe(self, maps: Tensor) -> Tensor:
        n = len(maps)  # real frames
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            # a CPU compiles, and keeps, a convolution for each number of pictures it meets: make it a round one
            rounded = F.pad(maps, (0, 0, 0, 0, 0, 0, 0, -n % ROUND))
            maps = torch.relu(norm(convolution(rounded)[:n]))  # (n, channels, height, width)
        return torch.relu(self.frame(self.dropout(maps.flatten(1))))

    @staticmethod
    def subtract_mean_face(frames: Tensor, lengths: Tensor) -> Tensor:
        """Subtract each clip's mean face, and with it the person's looks: (batch, frames, size, size, 3) float."""
        mask = sequence_mask(lengths, frames.shape[1])[..., None, None, None]
        frames = torch.where(mask, frames, 0).float()
        mean = frames.sum(dim=1, keepdim=True) / lengths[:, None, None, None, None]
        return GREY + CONTRAST * (frames - mean)


@dataclass(frozen=True, kw_only=True)
class ResNetTransformerConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe video/resnet-transformer with published weights.

    Dropout goes inside the Transformer.
    """

    size: int = 112  # pixels
    channels: tuple[int, ...] = (64, 128, 256, 512)
    n_blocks: int = 2  # in each of the four layers: ResNet-18
    d_model: int = 128
    n_layers: int = 3
    n_heads: int = 2
    n_ff: int = 512
    n_dense: int = 0
    dropout: float = 0.1
    pretrained: bool = False  # whether the trunk is given published weights
    n_frozen: int = 8  # first tensors of published weights that stay as they are


class ResNetTransformer(Network):
    """A ResNet on each frame, a Transformer over the frames, and the mean of the real ones."""

    def __init__(self, config: ResNetTransformerConfig) -> None:
        super().__init__(config)
        self.trunk = ResNetTrunk(config)
        n_left = math.ceil(config.size / 32)  # of height and width, behind five halvings
        self.project = nn.Linear(config.channels[-1] * n_left**2, config.d_model)
        sizes = (config.d_model, config.n_heads, config.n_ff, config.dropout)
        layer = nn.TransformerEncoderLayer(*sizes, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, config.n_layers, enable_nested_tensor=False)
        self.add_head(config.d_model)
        self.dropout = nn.Identity()
        for weights in list(self.pretrained_parameters())[: config.n_frozen]:
            weights.requires_grad_(False)

    def hidden_states(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the Transformer's output for each frame, (batch, frames, d_model)."""
        steps = _each_frame(lambda pictures: self.project(self.trunk(pictures).flatten(1)), frames, lengths, IMAGENET)
        steps = steps + positions(steps.shape[1], self.config.d_model).to(steps)
        return self.encoder(steps, src_key_padding_mask=~sequence_mask(lengths, steps.shape[1])), lengths

    def load_weights(self, source: str) -> None:
        """Give the trunk its published weights, see `load_published`."""
        load_published(self.trunk, source, unused=("fc.",))

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the published weights, which training should change by small steps."""
        return iter(self.trunk.parameters() if self.config.pretrained else ())


class ResNetTrunk(nn.Sequential):
    """ResNet without its last layer: pictures (n, 3, size, size) in, maps (n, 512, size / 32, size / 32) out.

    The parts have the names that torchvision gives them. Source: He et al. 2016.
    """

    def __init__(self, config: ResNetTransformerConfig) -> None:
        first = config.channels[0]
        parts: OrderedDict[str, nn.Module] = OrderedDict(conv1=nn.Conv2d(3, first, 7, 2, 3, bias=False))
        parts |= {"bn1": nn.BatchNorm2d(first), "relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, 2, 1)}
        for number, (n_in, n_out) in enumerate(pairwise((first, *config.channels)), start=1):
            blocks = [ResidualBlock(n_in, n_out, stride=1 if number == 1 else 2)]
            blocks += [ResidualBlock(n_out, n_out, stride=1) for _ in range(config.n_blocks - 1)]
            parts[f"layer{number}"] = nn.Sequential(*blocks)
        super().__init__(parts)


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, n_in: int, n_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        shorter = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.downsample = nn.Identity() if stride == 1 and n_in == n_out else shorter

    def forward(self, x: Tensor) -> Tensor:
        """Turn (n, n_in, height, width) into (n, n_out, height / stride, width / stride)."""
        change = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(change + self.downsample(x))


@dataclass(frozen=True, kw_only=True)
class I3dConfig(NetworkConfig):
    """Sizes of the network; the defaults are the recipe video/i3d with published weights."""

    size: int = 112  # pixels; the published weights saw 224, but no layer asks for it
    width: float = 1.0  # of all layers, as a share of the published one
    n_dense: int = 0
    dropout: float = 0.5
    pretrained: bool = False  # whether it is given published weights


class I3d(Network):
    """Inception-v1 with convolutions over time, height and width.

    The parts have the names of the published PyTorch weights. Those average windows of 2 x 7 x 7 and then over time;
    here all places are averaged, which is the same for clips of two steps and lets clips have any length.
    Source: Carreira and Zisserman 2017.
    """

    def __init__(self, config: I3dConfig) -> None:
        super().__init__(config)
        n_in = 3
        for name, sizes in I3D_PARTS.items():
            window, stride = (tuple(sizes.get(key, POINT)) for key in ("window", "stride"))
            channels = [max(1, round(config.width * n)) for n in sizes.get("channels", ())]
            if not channels:
                self.add_module(name, Pool3d(window, stride))
            elif len(channels) == 1:
                self.add_module(name, Unit3d(n_in, channels[0], window, stride))
                n_in = channels[0]
            else:
                self.add_module(name, Inception(n_in, channels))
                n_in = sum(channels[place] for place in INCEPTION_ENDS)
        self.add_head(n_in)

    def hidden_states(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn frames into (batch, steps, 1024), zero where there is padding, and the (batch,) real steps."""
        x = _each_frame(lambda pictures: pictures, frames, lengths, KINETICS).transpose(1, 2)
        for part in self.children():  # x: (batch, channels, frames, height, width)
            if isinstance(part, Unit3d | Pool3d | Inception):
                x, lengths = part(x, lengths)
        return x.mean(dim=(3, 4)).transpose(1, 2), lengths

    def load_weights(self, source: str) -> None:
        """Take all but the output layer from published weights, see `load_published`."""
        load_published(self, source, unused=("logits.",), own=("out.",))

    def pretrained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the published weights, which training should change by small steps."""
        parts = (part for name, part in self.named_parameters() if not name.startswith("out."))
        return iter(parts if self.config.pretrained else ())


class Unit3d(nn.Module):
    """A convolution over time, height and width, normalised over the real frames; padding stays zero."""

    def __init__(self, n_in: int, n_out: int, window: Sequence[int] = POINT, stride: Sequence[int] = POINT) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(n_in, n_out, tuple(window), tuple(stride), bias=False)  # type: ignore[arg-type]
        self.bn = nn.BatchNorm3d(n_out, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_in, frames, height, width) into the same with n_out, and the lengths that are left."""
        x = self.conv3d(_same_padding(x, self.conv3d)).transpose(1, 2)
        lengths = (lengths - 1) // self.conv3d.stride[0] + 1
        mask = sequence_mask(lengths, x.shape[1])
        normal = torch.relu(self.bn(x[mask].unsqueeze(2)).squeeze(2))  # (real frames, n_out, height, width)
        return scatter_steps(normal, mask).transpose(1, 2), lengths


class Pool3d(nn.MaxPool3d):
    """The largest value of a window; of padding it is zero, as everything comes out of a ReLU."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Turn (batch, channels, frames, height, width) into fewer of the last three, and the lengths that are left."""
        x = super().forward(_same_padding(x, self))
        lengths = (lengths - 1) // self.stride[0] + 1  # type: ignore[index]
        return x.masked_fill(~sequence_mask(lengths, x.shape[2])[:, None, :, None, None], 0.0), lengths


class Inception(nn.Module):
    """Four branches of small and large windows, concatenated."""

    def __init__(self, n_in: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.b0 = Unit3d(n_in, channels[0])
        self.b1a, self.b1b = Unit3d(n_in, channels[1]), Unit3d(channels[1], channels[2], (3, 3, 3))
        self.b2a, self.b2b = Unit3d(n_in, channels[3]), Unit3d(channels[3], channels[4], (3, 3, 3))
        self.b3a, self.b3b = Pool3d((3, 3, 3), (1, 1, 1)), Unit3d(n_in, channels[5])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn (batch, n_in, frames, height, width) into the same with the channels of all four; lengths stay."""
        branches = ((self.b0,), (self.b1a, self.b1b), (self.b2a, self.b2b), (self.b3a, self.b3b))
        maps = [reduce(lambda maps, part: part(maps, lengths)[0], branch, x) for branch in branches]
        return torch.cat(maps, dim=1), lengths


def positions(n_steps: int, n_features: int) -> Tensor:
    """Tell the places of a sequence apart by waves of different length: (n_steps, n_features), Vaswani et al. 2017."""
    angles = torch.arange(n_steps)[:, None] / 10_000.0 ** (torch.arange(0, n_features, 2) / n_features)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :n_features]


def _each_frame(look: Callable[[Tensor], Tensor], frames: Tensor, lengths: Tensor, colours: Colours) -> Tensor:
    """Show the real frames, all clips together, as (n, 3, height, width) to `look`; put its answers in their places.

    Returns:
        (batch, frames, …), zero where there is padding.
    """
    mask = sequence_mask(lengths, frames.shape[1])
    mean, deviation = (torch.tensor(values, device=frames.device)[:, None, None] * 255 for values in colours)
    return scatter_steps(look((frames[mask].permute(0, 3, 1, 2).float() - mean) / deviation), mask)


def _same_padding(x: Tensor, layer: Any) -> Tensor:
    """Pad with zeros so that each stride of a convolution or pooling gives a step, as TensorFlow does.

    In height and width the padding before depends on the size; in time it must not, or a clip's answer would depend
    on how long its neighbours are: it is that of an even number of frames.
    """
    pads: list[int] = []
    for n, wide, step in zip(x.shape[2:], layer.kernel_size, layer.stride, strict=True):
        needed = max((math.ceil(n / step) - 1) * step + wide - n, 0)
        before = max(wide - step, 0) // 2 if not pads else needed // 2
        pads = [*pads, before, max(needed - before, 0)]
    return F.pad(x, [pads[place] for place in (4, 5, 2, 3, 0, 1)])
