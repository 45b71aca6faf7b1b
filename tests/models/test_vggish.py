from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from emolab.models.vggish import Vggish, VggishConfig
from tests.models.by_heart import loss_by_heart

TINY = VggishConfig(n_emotions=3, channels=(2, 3, 4, 4, 5, 6), n_bands=16, n_frozen=0, n_dense=6, dropout=0.0)


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
    model = Vggish(TINY).eval()
    clip, neighbour = torch.randn(1, 2, 32, 16), torch.randn(1, 2 + n_padding, 32, 16)
    padded = torch.cat([clip, torch.full((1, n_padding, 32, 16), torch.nan)], dim=1)
    together = model(torch.cat([padded, neighbour]), torch.tensor([2, 2 + n_padding]))
    torch.testing.assert_close(together[:1], model(clip, torch.tensor([2])))


def test_vggish_averages_the_examples_of_an_utterance() -> None:
    torch.manual_seed(1)
    model = Vggish(TINY).eval()
    clip = torch.randn(1, 1, 32, 16)
    torch.testing.assert_close(model(clip.repeat(1, 3, 1, 1), torch.tensor([3])), model(clip, torch.tensor([1])))
    assert model.encode(clip, torch.tensor([1])).shape == (1, model.embedding_size)


def test_vggish_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, lengths = Vggish(TINY), torch.tensor([1, 2, 2, 1, 2, 2])
    assert loss_by_heart(model, torch.randn(6, 2, 32, 16), lengths, rate=0.01, n_steps=80) < 0.05
