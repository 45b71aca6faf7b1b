from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from emolab.models.pretrained import (
    AudioEncoder,
    EncoderConfig,
    TextEncoder,
    Vggish,
    VggishConfig,
    WeightedLayerSum,
    WeightedLayerSumConfig,
    load_published,
)
from emolab.models.video import ResNetTransformer, ResNetTransformerConfig
from emolab.training import Examples, TrainingConfig, fit
from tests.checkpoints import tiny_config
from tests.models.by_heart import loss_by_heart

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # inside WavLM
HEAD = WeightedLayerSumConfig(n_layers=3, n_features=5, n_emotions=3, n_dense=6, dropout=0.0)
SOUND = EncoderConfig(n_emotions=3, encoder=tiny_config("wav2vec2"), n_dense=6, dropout=0.0)
TEXT = EncoderConfig(n_emotions=3, encoder=tiny_config("bert"), n_dense=6, dropout=0.0)
VARIANTS = [
    SOUND,
    replace(SOUND, n_trained=2, encoder=tiny_config("wavlm")),
    TEXT,
    replace(TEXT, encoder=tiny_config("albert")),
]


def network(config: EncoderConfig) -> AudioEncoder | TextEncoder:
    torch.manual_seed(0)
    is_sound = "conv_dim" in config.encoder
    return AudioEncoder(config) if is_sound else TextEncoder(config)


def batch(config: EncoderConfig, n: int, steps: int) -> torch.Tensor:
    if "conv_dim" in config.encoder:
        return torch.randn(n, 320 * steps + 80)
    return torch.randint(5, 12, (n, steps))


def changed(config: EncoderConfig) -> set[str]:
    """Train a step and name the weights of the encoder that have moved."""
    model = network(config).train()
    before = copy.deepcopy(model.encoder.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    values = batch(config, 4, 6)
    F.cross_entropy(model(values, torch.full((4,), values.shape[1])), torch.arange(4) % 3).backward()
    optimizer.step()
    return {name for name, weights in model.encoder.state_dict().items() if not torch.equal(weights, before[name])}


@pytest.mark.parametrize("config", VARIANTS)
@pytest.mark.parametrize("n_padding", [1, 5])
def test_encoders_ignore_padding_and_neighbours(config: EncoderConfig, n_padding: int) -> None:
    model = network(config).eval()
    one, neighbour = batch(config, 1, 6), batch(config, 1, 6 + n_padding)
    n, n_longer = one.shape[1], neighbour.shape[1]
    padded = torch.cat([one, torch.full((1, n_longer - n), 7, dtype=one.dtype)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([n, n_longer]))
    torch.testing.assert_close(together[:1], model(one, torch.tensor([n])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", VARIANTS)
def test_encoders_give_logits_and_encodings(config: EncoderConfig) -> None:
    model, values = network(config), batch(config, 2, 3)
    lengths = torch.full((2,), values.shape[1])
    assert model(values, lengths).shape == (2, 3)
    assert model.encode(values, lengths).shape == (2, model.embedding_size)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "bert"])
def test_the_last_two_blocks_change_and_nothing_else_does(kind: str) -> None:
    moved = changed(EncoderConfig(n_emotions=3, encoder=tiny_config(kind), n_trained=2, n_dense=6))
    place = "encoder.layer." if kind == "bert" else "encoder.layers."
    assert {name.removeprefix(place)[0] for name in moved} == {"1", "2"}
    assert all(name.startswith(place) for name in moved)


def test_all_but_the_convolutions_of_sound_and_an_unused_pooler_change() -> None:
    assert {name.split(".")[0] for name in changed(SOUND)} == {"feature_projection", "encoder"}
    assert {name.split(".")[0] for name in changed(TEXT)} == {"embeddings", "encoder"}


def test_frozen_blocks_have_no_dropout_while_the_others_train() -> None:
    model = network(replace(TEXT, n_trained=1)).train()
    assert [block.training for block in model.encoder.encoder.layer] == [False, False, True]
    assert not model.encoder.embeddings.dropout.training
    assert model.eval().encoder.encoder.layer[2].training is False


def test_gradients_reach_the_vectors_of_words() -> None:
    model: Any = network(TEXT).eval()
    pieces, lengths = batch(TEXT, 2, 5), torch.tensor([5, 3])
    vectors = model.embedding(pieces).detach().requires_grad_()
    encoded = model.encode(vectors, lengths)
    torch.testing.assert_close(encoded, model.encode(pieces, lengths))
    encoded.sum().backward()
    assert vectors.grad[0].abs().sum(dim=1).gt(0).all()
    assert not vectors.grad[1, 3:].any()  # padding


def test_layer_head_weighs_layers_and_starts_with_all_alike() -> None:
    model = WeightedLayerSum(HEAD)
    torch.testing.assert_close(model.layer_weights, torch.full((3,), 1 / 3))
    assert sum(weights.numel() for weights in model.parameters()) == 3 + 2 * 5 + (5 + 1) * 6 + (6 + 1) * 3
    layers = torch.randn(4, 3, 5)
    louder = layers * torch.tensor([1.0, 10.0, 100.0])[:, None]  # deep layers are louder; patterns count
    model.eval()
    lengths = torch.full((4,), 3)
    torch.testing.assert_close(model(layers, lengths), model(louder, lengths), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "sizes", "values"),
    [
        (WeightedLayerSum, {"n_layers": 3, "n_features": 5}, (6, 3, 5)),
        (AudioEncoder, {"encoder": tiny_config("hubert")}, (6, 4000)),
        (TextEncoder, {"encoder": tiny_config("bert")}, None),
    ],
)
def test_heads_learn_one_batch_by_heart(kind: Any, sizes: dict[str, Any], values: tuple[int, ...] | None) -> None:
    torch.manual_seed(0)
    model = kind.build(n_emotions=3, dropout=0.0, **sizes)
    drawn = torch.randn(values) if values else torch.randint(5, 12, (6, 5))
    assert loss_by_heart(model, drawn, torch.full((6,), drawn.shape[1]), rate=0.01, n_steps=80, enough=0.1) < 0.1


def test_training_moves_the_encoder_by_smaller_steps() -> None:
    values = [row.numpy() for row in batch(TEXT, 6, 5)]
    examples = Examples([values], torch.arange(6).numpy() % 3)
    moved = {}
    for share in (1.0, 0.0):
        model = network(TEXT)
        before = copy.deepcopy(model.state_dict())
        fit(model, examples, examples, config=TrainingConfig(n_epochs=1, encoder_rate=share), seed=1, progress=False)
        moved[share] = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert any(name.startswith("encoder.") for name in moved[1.0])
    assert {name.split(".")[0] for name in moved[0.0]} == {"dense", "out"}


def test_weights_that_are_missing_broken_or_of_another_network_are_said_to_be_so(tmp_path: Path) -> None:
    network = ResNetTransformer(ResNetTransformerConfig(n_emotions=3, channels=(4, 4, 6, 6))).trunk
    with pytest.raises(
        FileNotFoundError, match=r"no weights 'gone.pth': neither .* is there\. Expected.*Put the file there"
    ):
        load_published(network, "gone.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ValueError, match=r"text.pth cannot be read as weights .*expected a state dict.*again"):
        load_published(network, str(tmp_path / "text.pth"))
    torch.save({"conv1.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth does not fit ResNetTrunk: \d+ tensors .*first bn1.bias.*Expected"):
        load_published(network, str(tmp_path / "other.pth"))


TINY_VGGISH = VggishConfig(n_emotions=3, channels=(2, 3, 4, 4, 5, 6), n_bands=16, n_frozen=0, n_dense=6, dropout=0.0)


def test_vggish_has_the_published_size() -> None:
    """Six convolutions of 3 × 3 with a bias each; of an example, 4,096 numbers are left."""
    widths = (1, 64, 128, 256, 256, 512, 512)
    convolutions = sum((9 * n_in + 1) * n_out for n_in, n_out in pairwise(widths))
    with torch.device("meta"):
        model = Vggish(VggishConfig(n_emotions=5))
    assert convolutions == 4_499_712
    assert sum(w.numel() for w in model.features.parameters()) == convolutions
    assert model.dense.in_features == 4_096
    names = [name for name, _ in model.features.named_parameters()]
    assert names[::2] == [f"{number}.weight" for number in (0, 3, 6, 8, 11, 13)]  # torchvggish's layout
    frozen = {name for name, w in model.features.named_parameters() if not w.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"0", "3", "6", "8"}  # features[:11]


def test_vggish_pools_192_frames_and_128_bands_to_12_and_8() -> None:
    model = Vggish(VggishConfig(n_emotions=3, channels=(1, 1, 1, 1, 1, 2)))
    assert model.features(torch.randn(1, 1, 192, 128)).shape == (1, 2, 12, 8)


@pytest.mark.parametrize("n_padding", [1, 3])
def test_vggish_ignores_padding_and_neighbours(n_padding: int) -> None:
    torch.manual_seed(1)
    model = Vggish(TINY_VGGISH).eval()
    clip, neighbour = torch.randn(1, 2, 32, 16), torch.randn(1, 2 + n_padding, 32, 16)
    padded = torch.cat([clip, torch.full((1, n_padding, 32, 16), torch.nan)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([2, 2 + n_padding]))
    torch.testing.assert_close(together[:1], model(clip, torch.tensor([2])))


def test_vggish_averages_the_examples_of_an_utterance() -> None:
    torch.manual_seed(1)
    model = Vggish(TINY_VGGISH).eval()
    clip = torch.randn(1, 1, 32, 16)
    torch.testing.assert_close(model(clip.repeat(1, 3, 1, 1), torch.tensor([3])), model(clip, torch.tensor([1])))
    assert model.encode(clip, torch.tensor([1])).shape == (1, model.embedding_size)


def test_vggish_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, lengths = Vggish(TINY_VGGISH), torch.tensor([1, 2, 2, 1, 2, 2])
    assert loss_by_heart(model, torch.randn(6, 2, 32, 16), lengths, rate=0.01, n_steps=80) < 0.05
