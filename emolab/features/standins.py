"""Tiny encoders that stand where large published ones belong, written to the cache in the hub's own format.

Same classes, small sizes. One that reads learns to fill gaps in the training texts, for some seconds, as its large
model did on a library for weeks; one that hears stays as it was drawn. Their scores say nothing about large models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emolab.features.cache import source_digest
from emolab.features.encoders import CONFIG, quiet
from emolab.storage import cache_root, written_whole

KINDS = {  # which class stands in for which published encoder
    "facebook/wav2vec2-base": "wav2vec2",
    "facebook/hubert-base-ls960": "hubert",
    "microsoft/wavlm-base": "wavlm",
    "albert-base-v2": "albert",
    "bert-base-cased": "bert",
    "sentence-transformers/all-MiniLM-L6-v2": "bert",
}
SIZES: dict[str, Any] = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
SOUND_SIZES = {  # the published strides: a frame each 20 ms
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
TEXT_SIZES = {"embedding_size": 32, "max_position_embeddings": 160, "hidden_dropout_prob": 0.0}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
N_PIECES = 1_500  # words and parts of words
N_STEPS, N_TEXTS, RATE = 400, 32, 3e-3  # of the gap filling
MASKED_SHARE = 0.15  # of the pieces of a text
IGNORED = -100  # the target of what is not asked


def stand_in(name: str, texts: Sequence[str] = (), *, seed: int = 7, n_steps: int = N_STEPS) -> Path:
    """Return the folder of a tiny encoder in the place of a published one; it is made where it is not there yet.

    Args:
        name: The published one, a key of `KINDS`.
        texts: What an encoder of words takes its pieces of words from, and learns to fill gaps in: training texts.
        seed: Of its first weights, and of the gaps.
        n_steps: Batches of texts with gaps; with 0 its weights stay as they were drawn.
    """
    facts = [source_digest(__file__), name, str(seed), str(n_steps), *texts]
    folder = cache_root() / "stand-ins" / hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    if not (folder / CONFIG).is_file():
        with written_whole(folder) as part, quiet():
            part.mkdir()
            if KINDS[name] in ("albert", "bert"):
                _write_reader(part, KINDS[name], texts, seed, n_steps)
            else:
                _write_listener(part, KINDS[name], seed)
    return folder


def _write_listener(folder: Path, kind: str, seed: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModel.from_config(AutoConfig.for_model(kind, **SIZES, **SOUND_SIZES)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 16_000}))


def _write_reader(folder: Path, kind: str, texts: Sequence[str], seed: int, n_steps: int) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    tokenizer = _word_pieces(texts)
    tokenizer.save(str(folder / "tokenizer.json"))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(kind, **SIZES, **TEXT_SIZES, vocab_size=tokenizer.get_vocab_size())
        model = AutoModelForMaskedLM.from_config(config)
        _fill_gaps(model, [encoding.ids for encoding in tokenizer.encode_batch(list(texts))], seed, n_steps)
    model.base_model.save_pretrained(folder)


def _word_pieces(texts: Sequence[str]) -> Any:
    """Cut words into the pieces that are frequent in the texts (WordPiece)."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=N_PIECES, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [(piece, SPECIAL.index(piece)) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def _fill_gaps(model: Any, texts: Sequence[Sequence[int]], seed: int, n_steps: int) -> None:
    """Hide some pieces of each text and let the model guess them, batch after batch."""
    import torch

    random, mask = np.random.default_rng(seed), SPECIAL.index("[MASK]")
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, max(n_steps, 1))
    for _ in range(n_steps):
        chosen = [torch.tensor(texts[place][:128]) for place in random.choice(len(texts), N_TEXTS)]
        pieces = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True)
        words = pieces >= len(SPECIAL)
        hidden = words & torch.from_numpy(random.random(pieces.shape) < MASKED_SHARE)
        asked = pieces.masked_fill(hidden, mask)
        how = {"attention_mask": pieces > 0, "labels": pieces.masked_fill(~hidden, IGNORED)}
        if hidden.any():
            model(input_ids=asked, **how).loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
