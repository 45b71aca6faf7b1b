from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from emolab.models.video import (
    I3D_PARTS,
    FaceCnn,
    FaceCnnConfig,
    I3d,
    I3dConfig,
    ResNetTransformer,
    ResNetTransformerConfig,
    positions,
)
from tests.models.by_heart import loss_by_heart

CNN = FaceCnnConfig(n_emotions=3, size=16, channels=(4, 6), n_frame=8)
RESNET = ResNetTransformerConfig(
    n_emotions=3, size=33, channels=(8, 8, 8, 16), n_blocks=1, d_model=8, n_layers=1, n_ff=8
)
SMALL_I3D = I3dConfig(n_emotions=3, size=33, width=1 / 16, dropout=0.0)
KINDS = [
    (FaceCnn, CNN),
    (FaceCnn, replace(CNN, summary="mean")),
    (ResNetTransformer, RESNET),
    (I3d, SMALL_I3D),
]
each_kind = pytest.mark.parametrize(("kind", "config"), KINDS, ids=["cnn", "cnn-mean", "resnet", "i3d"])


def count(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def clips(n: int, n_frames: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, n_frames, size, size, 3), dtype=torch.uint8)


def warmed(kind, config) -> nn.Module:
    """An untrained network whose batch normalisation has seen something."""
    network = kind(config)
    with torch.no_grad():
        network(clips(4, 9, config.size), torch.tensor([9, 7, 8, 9]))
    return network.eval()


def test_resnet_transformer_has_the_published_size() -> None:
    network = ResNetTransformer(ResNetTransformerConfig(n_emotions=8))
    assert count(network.trunk) == 11_689_512 - (512 + 1) * 1000  # ResNet-18 without its last layer
    assert network.project.in_features == 8192
    attention, feed_forward, norms = 4 * 128 * (128 + 1), 128 * 512 * 2 + 512 + 128, 2 * 2 * 128
    assert count(network.encoder) == 3 * (attention + feed_forward + norms)
    assert count(network) == 11_176_512 + (8192 + 1) * 128 + count(network.encoder) + (128 + 1) * 8


def test_i3d_has_the_published_size() -> None:
    def unit(n_in: int, n_out: int, window: int = 1) -> int:
        return n_in * n_out * window**3 + 2 * n_out  # a batch normalisation in the place of a bias

    total, n_in = unit(3, 64, 7) + unit(64, 64) + unit(64, 192, 3), 192
    mixed = [sizes["channels"] for name, sizes in I3D_PARTS.items() if name.startswith("Mixed")]
    assert len(mixed) == 9
    for a, b, c, d, e, f in mixed:
        total += unit(n_in, a) + unit(n_in, b) + unit(b, c, 3) + unit(n_in, d) + unit(d, e, 3) + unit(n_in, f)
        n_in = a + c + e + f
    assert n_in == 1024
    assert total == 12_287_264
    network = I3d(I3dConfig(n_emotions=8))
    assert count(network) == total + (1024 + 1) * 8


def test_face_cnn_has_the_size_of_its_layers() -> None:
    convolutions = 9 * (3 * 16 + 16 * 32 + 32 * 48 + 48 * 64) + 2 * (16 + 32 + 48 + 64)
    layers = (64 * 3 * 3 + 1) * 64 + (64 + 1) + (64 + 1) * 6
    assert count(FaceCnn(FaceCnnConfig(n_emotions=6))) == convolutions + layers


@each_kind
@pytest.mark.parametrize("n_frames", [1, 2, 9])
def test_networks_give_logits_and_encodings_of_any_length(kind, config, n_frames: int) -> None:
    network, lengths = warmed(kind, config), torch.full((2,), n_frames)
    frames = clips(2, n_frames, config.size)
    assert network(frames, lengths).shape == (2, 3)
    assert network.encode(frames, lengths).shape == (2, network.embedding_size)


@each_kind
@pytest.mark.parametrize("n_padding", [1, 2, 7, 8])
def test_networks_ignore_padding_and_neighbours(kind, config, n_padding: int) -> None:
    torch.manual_seed(n_padding)
    network, clip = warmed(kind, config), clips(1, 9, config.size)
    neighbour = clips(1, 9 + n_padding, config.size)
    padded = torch.cat([clip, torch.full_like(neighbour[:, :n_padding], 255)], dim=1)
    together = network(torch.cat([padded, neighbour]), torch.tensor([9, 9 + n_padding]))
    torch.testing.assert_close(together[:1], network(clip, torch.tensor([9])))


@each_kind
def test_networks_ignore_padding_in_the_statistics_of_training_batches(kind, config) -> None:
    torch.manual_seed(1)
    network, frames, lengths = (
        kind(replace(config, dropout=0.0)).train(),
        clips(3, 6, config.size),
        torch.tensor([6, 4, 5]),
    )
    padded = torch.cat([frames, torch.full_like(frames[:, :5], 200)], dim=1)
    torch.testing.assert_close(network(padded, lengths), network(frames, lengths), rtol=1e-4, atol=1e-5)


@each_kind
def test_networks_learn_one_batch_by_heart(kind, config) -> None:
    torch.manual_seed(0)
    network, lengths = kind(replace(config, dropout=0.0)), torch.tensor([6, 5, 4, 6, 3, 6])
    assert loss_by_heart(network, clips(6, 6, config.size), lengths, rate=0.02, n_steps=25, enough=0.1) < 0.1


@each_kind
def test_gradients_reach_all_parameters(kind, config) -> None:
    torch.manual_seed(1)
    network = kind(config)
    lengths = torch.tensor([9, 6, 9, 8])
    F.cross_entropy(network(clips(4, 9, config.size), lengths), torch.arange(4) % 3).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert [name for name in idle if name != "summary.score.bias"] == []  # all scores alike: nothing changes


def test_face_cnn_sees_what_moves_and_not_who_it_is() -> None:
    network = warmed(FaceCnn, CNN)
    frames = clips(1, 5, 16) // 2
    lengths = torch.tensor([5])
    torch.testing.assert_close(network(frames + 60, lengths), network(frames, lengths))
    still = FaceCnn.subtract_mean_face(frames[:, :1].expand(-1, 5, -1, -1, -1), lengths)
    torch.testing.assert_close(still, torch.full_like(still, 127.5))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_published_weights_are_taken_but_for_the_old_output_layer(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(3)
    published = ResNetTransformer(RESNET).trunk.state_dict()
    weights = {**published, "fc.weight": torch.zeros(1000, 6), "fc.bias": torch.zeros(1000)}
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    path = tmp_path / f"resnet{suffix}"
    save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
    network = ResNetTransformer(replace(RESNET, pretrained=True))
    before = network.out.weight.clone()
    network.load_weights(str(path))
    for name, value in published.items():
        torch.testing.assert_close(network.trunk.state_dict()[name], value)
    torch.testing.assert_close(network.out.weight, before)
    frozen = [name for name, weights in network.named_parameters() if not weights.requires_grad]
    assert frozen == [f"trunk.{name}" for name, _ in list(network.trunk.named_parameters())[:8]]
    assert {*map(id, network.pretrained_parameters())} == {*map(id, network.trunk.parameters())}
    assert not list(ResNetTransformer(RESNET).pretrained_parameters())


def test_published_i3d_weights_are_found_by_name_and_change_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOLAB_WEIGHTS", str(tmp_path))
    source = I3d(SMALL_I3D)
    weights = {f"module.{name}": value for name, value in source.state_dict().items() if not name.startswith("out.")}
    weights["module.logits.conv3d.weight"] = torch.zeros(400, source.embedding_size, 1, 1, 1)
    torch.save(weights, tmp_path / "rgb_imagenet.pt")
    network = I3d(replace(SMALL_I3D, pretrained=True))
    network.load_weights("rgb_imagenet.pt")
    torch.testing.assert_close(network.Mixed_5c.b2b.conv3d.weight, source.Mixed_5c.b2b.conv3d.weight)
    assert count(network) - sum(p.numel() for p in network.pretrained_parameters()) == (network.embedding_size + 1) * 3


def test_positions_are_the_published_waves() -> None:
    table = positions(7, 6)
    assert table[3, 2] == pytest.approx(math.sin(3 / 10_000 ** (2 / 6)))
    assert table[3, 3] == pytest.approx(math.cos(3 / 10_000 ** (2 / 6)))
    assert positions(600, 5).shape == (600, 5)
