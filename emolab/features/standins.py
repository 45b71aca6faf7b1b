"""Tiny encoders that stand where large published ones belong, written to the cache in the hub's own format.

They have the classes of the published ones, small sizes, and weights as they were drawn: nobody has trained them.
Their scores say nothing about the large ones.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emolab.features.cache import source_digest
from emolab.features.encoders import CONFIG, quiet
from emolab.storage import atomic_write, cache_root

KINDS = {  # the class of each published encoder
    "facebook/wav2vec2-base": "wav2vec2",
    "facebook/hubert-base-ls960": "hubert",
    "microsoft/wavlm-base": "wavlm",
    "albert-base-v2": "albert",
    "bert-base-cased": "bert",
    "sentence-transformers/all-MiniLM-L6-v2": "bert",
}
SIZES: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
SOUND_SIZES = {
    "initializer_range": 0.1,  # in so narrow layers 0.02, the usual one, would leave the blocks idle
    "conv_dim": (8, 16, 16, 32, 32, 32, 32),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
TEXT_SIZES = {"embedding_size": 32, "max_position_embeddings": 160, "hidden_dropout_prob": 0.0}
WAVE = {"do_normalize": True, "sampling_rate": 16_000}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
N_WORDS, N_RUNS, RUNS = 1_200, 200, (2, 3)  # whole words; runs of so many letters inside words


def stand_in(name: str, texts: Sequence[str] = (), *, seed: int = 7) -> Path:
    """Return the folder of a tiny encoder in the place of a published one; it is made where it is not there yet.

    Args:
        name: The published one, a key of `KINDS`.
        texts: What an encoder of words takes its pieces of words from: training texts.
        seed: Of its weights.
    """
    facts = [source_digest(__file__), name, str(seed), *texts]
    folder = cache_root() / "stand-ins" / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    if not (folder / CONFIG).is_file():
        with atomic_write(folder) as part, quiet():
            part.mkdir()
            _write(part, KINDS[name], texts, seed)
    return folder


def _write(folder: Path, kind: str, texts: Sequence[str], seed: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    sizes = {**SIZES, **SOUND_SIZES}
    if kind in ("albert", "bert"):
        tokenizer = _word_pieces(texts)
        tokenizer.save(str(folder / "tokenizer.json"))
        sizes = {**SIZES, **TEXT_SIZES, "vocab_size": tokenizer.get_vocab_size()}
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps(WAVE), encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModel.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)


def _word_pieces(texts: Sequence[str]) -> Any:
    """Take frequent words and frequent runs of letters as pieces, and each letter: alike on every machine."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer, cutter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = Counter(word for text in texts for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(text)))
    runs = Counter(f"##{word[at : at + n]}" for word in words for n in RUNS for at in range(1, len(word) - n + 1))
    letters = sorted({letter for word in words for letter in word})
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *_frequent(runs, N_RUNS)]
    pieces += _frequent(Counter({word: n for word, n in words.items() if len(word) > 1 < n}), N_WORDS)
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cutter
    ends = [(piece, SPECIAL.index(piece)) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def _frequent(counts: Counter[str], n: int) -> list[str]:
    """Return the n most frequent, equally frequent ones by the alphabet."""
    return sorted(counts, key=lambda name: (-counts[name], name))[:n]
