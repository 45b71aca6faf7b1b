"""Tiny encoders in the hub's own format, as the tests save them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIZES = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 12}
SOUND = {"conv_dim": (6,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
TEXT = {"embedding_size": 6, "max_position_embeddings": 40, "vocab_size": 12}
WHISPER = {"d_model": 8, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 12, "num_mel_bins": 16}
WHISPER |= {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 12, "vocab_size": 9, "init_std": 0.3}
WHISPER |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}
LISTENERS, READERS = ("wav2vec2", "hubert", "wavlm"), ("bert", "albert")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "furious", "gloomy", "we", "went", "home", "##s", "!")


def tiny_config(kind: str, **changes: Any) -> dict[str, Any]:
    """Return the sizes of a tiny encoder, as its config.json would hold them."""
    if kind == "whisper":
        return {"model_type": kind, **WHISPER, **changes}
    return {"model_type": kind, **SIZES, **(SOUND if kind in LISTENERS else TEXT), **changes}


def save_checkpoint(folder: Path, kind: str, **changes: Any) -> Path:
    """Write config.json, model.safetensors and what belongs to words or waves, as published encoders have them."""
    import torch
    from transformers import AutoConfig, AutoModel, BertTokenizerFast, WhisperFeatureExtractor

    from emolab.features.pretrained import quiet

    with torch.random.fork_rng(), quiet():
        torch.manual_seed(3)
        AutoModel.from_config(AutoConfig.for_model(**tiny_config(kind, **changes))).save_pretrained(folder)
        if kind in LISTENERS:
            (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": kind != "wavlm"}))
        elif kind == "whisper":
            WhisperFeatureExtractor(feature_size=WHISPER["num_mel_bins"]).save_pretrained(folder)
        else:
            (folder / "vocab.txt").write_text("\n".join(WORDS))
            BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}).save_pretrained(folder)
    return folder
