import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from emolab.models.audio import CnnBiLstm, CnnBiLstmConfig
from emolab.models.fusion import EarlyFusion, EarlyFusionConfig
from emolab.models.text import WordLstm, WordLstmConfig

AUDIO = CnnBiLstmConfig(n_features=4, n_emotions=3, channels=(8, 8), strides=(1, 2), n_hidden=6, n_dense=5)
TEXT = WordLstmConfig(n_words=11, n_emotions=3, n_embedding=5, n_hidden=4, n_dense=6)


def build() -> EarlyFusion:
    torch.manual_seed(3)
    return EarlyFusion([CnnBiLstm(AUDIO), WordLstm(TEXT)], EarlyFusionConfig(n_emotions=3, n_dense=7))


def batch(size: int = 6) -> tuple[Tensor, ...]:
    torch.manual_seed(4)
    sound, words = torch.randn(size, 12, 4), torch.randint(1, 11, (size, 5))
    return sound, torch.full((size,), 12), words, torch.full((size,), 5)


def test_early_fusion_counts_each_parameter_once_and_keeps_no_output_layer_of_an_encoder() -> None:
    alone = sum(p.numel() for network in (CnnBiLstm(AUDIO), WordLstm(TEXT)) for p in network.parameters())
    outputs = (5 + 1) * 3 + (6 + 1) * 3
    joined = (5 + 6 + 1) * 7 + (7 + 1) * 3
    assert sum(p.numel() for p in build().parameters()) == alone - outputs + joined


def test_early_fusion_ignores_padding_of_either_modality() -> None:
    model = build().eval()
    sound, n_frames, words, n_words = batch(1)
    longer = torch.cat([sound, torch.full((1, 3, 4), 1e3)], dim=1), n_frames, F.pad(words, (0, 2), value=9), n_words
    torch.testing.assert_close(model(*longer), model(sound, n_frames, words, n_words))


def test_early_fusion_gives_logits_and_encodings() -> None:
    assert build()(*batch()).shape == (6, 3)
    assert build().encode(*batch()).shape == (6, build().n_encoded)


def test_early_fusion_gradients_reach_all_parameters() -> None:
    model = build()
    F.cross_entropy(model(*batch()), torch.arange(6) % 3).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_early_fusion_learns_one_batch_by_heart() -> None:
    model, truth = build(), torch.arange(6) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(100):
        loss = F.cross_entropy(model(*batch()), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_early_fusion_says_which_inputs_it_expects() -> None:
    with pytest.raises(ValueError, match=r"2 inputs for 2 encoders; expected values and lengths.*Pass network"):
        build()(*batch()[:2])
