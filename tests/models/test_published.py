from __future__ import annotations

from pathlib import Path

import pytest
import torch

from emolab.models.published import load_published
from emolab.models.video import ResNetTransformer, ResNetTransformerConfig


def test_weights_that_are_missing_broken_or_of_another_network_are_said_to_be_so(tmp_path: Path) -> None:
    network = ResNetTransformer(ResNetTransformerConfig(3, channels=(4, 4, 6, 6))).trunk
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
