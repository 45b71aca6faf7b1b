"""Networks: tensors in, logits out; and light scikit-learn pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def build(spec: Mapping[str, Any]) -> nn.Module:
    """Build an untrained network from {"kind": "cnn-bilstm", size: number, …}; fusion lists its "encoders" likewise.

    Raises:
        ValueError: If the kind is unknown or a size does not belong to it.
    """
    from emolab.models import audio, conversation, dense, fusion, pretrained, text, vggish, video

    kinds: dict[str, tuple[Any, Any]] = {
        "cnn-bilstm": (audio.CnnBiLstm, audio.CnnBiLstmConfig),
        "cnn-2d": (audio.Cnn2d, audio.Cnn2dConfig),
        "lstm": (audio.Lstm, audio.LstmConfig),
        "word-lstm": (text.WordLstm, text.WordLstmConfig),
        "layer-head": (pretrained.LayerHead, pretrained.LayerHeadConfig),
        "sound-encoder": (pretrained.SoundEncoder, pretrained.EncoderConfig),
        "text-encoder": (pretrained.TextEncoder, pretrained.EncoderConfig),
        "face-cnn": (video.FaceCnn, video.FaceCnnConfig),
        "resnet-transformer": (video.ResNetTransformer, video.ResNetTransformerConfig),
        "i3d": (video.I3d, video.I3dConfig),
        "mlp": (dense.Mlp, dense.MlpConfig),
        "conversation": (conversation.Conversation, conversation.ConversationConfig),
        "vggish": (vggish.Vggish, vggish.VggishConfig),
        "fusion": (fusion.Fusion, fusion.FusionConfig),
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
