"""Networks: tensors in, logits out; and light scikit-learn pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from torch import nn


def build(spec: Mapping[str, Any]) -> nn.Module:
    """Build an untrained network from {"kind": "cnn-bilstm", size: number, …}; fusion lists its "encoders" likewise.

    Raises:
        ValueError: If the kind is unknown or a size does not belong to it.
    """
    from emolab.models import audio, fusion, text

    kinds: dict[str, tuple[Any, Any]] = {
        "cnn-bilstm": (audio.CnnBiLstm, audio.CnnBiLstmConfig),
        "bilstm": (text.BiLstm, text.BiLstmConfig),
        "early-fusion": (fusion.EarlyFusion, fusion.EarlyFusionConfig),
    }
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in spec.items() if name != "kind"}
    if spec.get("kind") not in kinds:
        raise ValueError(f"no network of kind {spec.get('kind')!r}; expected one of {', '.join(kinds)}. Mend the spec.")
    network, config = kinds[spec["kind"]]
    encoders = [build(part) for part in sizes.pop("encoders", ())]
    try:
        config = config(**sizes)
    except TypeError as error:
        raise ValueError(
            f"{spec['kind']} cannot be built: {error}; expected the fields of {config.__name__}."
        ) from error
    return network(encoders, config) if encoders else network(config)


def load_pretrained(network: nn.Module) -> None:
    """Give all parts of a network that start from published weights those weights."""
    for part in network.modules():
        if hasattr(part, "load_weights"):
            cast(Any, part).load_weights()
