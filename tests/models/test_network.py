from __future__ import annotations

from typing import Any

import pytest
import torch

from emolab.models import build
from emolab.models.network import Network
from tests.checkpoints import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # inside WavLM
HEAD = {"n_emotions": 3, "n_dense": 6}
RECURRENT: dict[str, Any] = {**HEAD, "n_hidden": 4}
N_LONG, N_SHORT = 9, 5  # steps
SOUND, WORDS, FACES = (N_LONG, 4), (N_LONG,), (N_LONG, 33, 33, 3)
CHANNELS = (4, 4, 6, 6)
# network, shape of an utterance as it is padded, real length of the short one, states of both
KINDS: list[tuple[dict[str, Any], tuple[int, ...], int, tuple[int, int], int]] = [
    ({"kind": "cnn-bilstm", **RECURRENT, "n_features": 4}, SOUND, N_SHORT, (2, 1), 8),
    ({"kind": "cnn-2d", **HEAD, "n_features": 4, "channels": (4, 5)}, SOUND, N_SHORT, (3, 2), 5),
    ({"kind": "lstm", **RECURRENT, "n_features": 4, "summary": "mean+std"}, SOUND, N_SHORT, (9, 5), 4),
    ({"kind": "word-lstm", **RECURRENT, "n_words": 11}, WORDS, N_SHORT, (9, 5), 8),
    ({"kind": "word-lstm", **RECURRENT, "n_words": 11, "both_ways": False}, WORDS, N_SHORT, (9, 5), 4),
    ({"kind": "layer-head", **HEAD, "n_layers": 3, "n_features": 4}, (3, 4), 3, (1, 1), 6),
    ({"kind": "sound-encoder", **HEAD, "encoder": tiny_config("wav2vec2")}, (2000,), 1040, (6, 3), 8),
    ({"kind": "sound-encoder", **HEAD, "encoder": tiny_config("wavlm")}, (2000,), 1040, (6, 3), 8),
    ({"kind": "text-encoder", **HEAD, "encoder": tiny_config("albert")}, WORDS, N_SHORT, (9, 5), 8),
    ({"kind": "vggish", **HEAD, "channels": (2, 3, 4, 4, 5, 6), "n_bands": 16}, (3, 32, 16), 2, (3, 2), 6),
    ({"kind": "face-cnn", "n_emotions": 3, "size": 33, "n_frame": 8}, FACES, N_SHORT, (9, 5), 8),
    (
        {"kind": "resnet-transformer", "n_emotions": 3, "size": 33, "channels": CHANNELS, "d_model": 8},
        FACES,
        N_SHORT,
        (9, 5),
        8,
    ),
    ({"kind": "i3d", "n_emotions": 3, "size": 33, "width": 1 / 16}, FACES, N_SHORT, (2, 1), 64),
    ({"kind": "mlp", "n_emotions": 3, "n_features": 4, "n_hidden": (6,)}, (4,), 4, (1, 1), 6),
]


def drawn(kind: str, shape: tuple[int, ...]) -> torch.Tensor:
    if kind in ("word-lstm", "text-encoder"):
        return torch.randint(5, 11, (2, *shape))
    if len(shape) == len(FACES):
        return torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    return torch.randn(2, *shape)


@pytest.mark.parametrize(("spec", "shape", "n_short", "lengths", "state_size"), KINDS)
def test_states_have_their_lengths_and_ignore_padding(
    spec: dict[str, Any], shape: tuple[int, ...], n_short: int, lengths: tuple[int, int], state_size: int
) -> None:
    torch.manual_seed(1)
    network = build(spec).eval()
    assert isinstance(network, Network)
    values, given = drawn(spec["kind"], shape), torch.tensor([shape[0], n_short])
    with torch.no_grad():
        states, left = network.hidden_states(values, given)
        alone, left_alone = network.hidden_states(values[1:, :n_short], given[1:])
        encoded = network.encode(values, given)
        torch.testing.assert_close(network(values, given), network.out(encoded))
    assert encoded.shape == (2, network.embedding_size)
    assert left.tolist() == list(lengths)
    assert left_alone.tolist() == [lengths[1]]
    assert states.shape == (2, max(lengths), state_size)
    assert network.state_size == state_size
    assert states.isfinite().all()
    torch.testing.assert_close(states[1, : lengths[1]], alone[0, : lengths[1]], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(states[0, 0], states[1, 0])


@pytest.mark.parametrize(("spec", "shape", "n_short", "lengths", "state_size"), KINDS)
def test_what_was_entered_takes_the_place_of_the_values(
    spec: dict[str, Any], shape: tuple[int, ...], n_short: int, lengths: tuple[int, int], state_size: int
) -> None:
    torch.manual_seed(1)
    network = build(spec).eval()
    values, given = drawn(spec["kind"], shape), torch.tensor([shape[0], n_short])
    with torch.no_grad():
        entered, left = network.input_embeddings(values, given)
    assert entered.is_floating_point()
    assert len(left) == 2
    assert (left <= entered.shape[1]).all()
    again, same = network.input_embeddings(entered, left)
    assert again is entered
    assert same is left
    entered.requires_grad_()
    judged = network(entered, left)
    with torch.no_grad():
        torch.testing.assert_close(judged, network(values, given), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.encode(entered, left), network.encode(values, given), rtol=1e-4, atol=1e-5)
    judged.sum().backward()
    assert entered.grad is not None
    assert entered.grad.isfinite().all()
    assert entered.grad.any()  # a gradient reaches it
    assert not entered.grad[1, int(left[1]) :].any()  # and never its padding


def test_a_network_that_cannot_sum_up_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Network(None)  # type: ignore[abstract]
