"""Published encoders of sound and words: where their weights come from, and what they make of an utterance."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

from emolab.storage import weights_root

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # first choice first
OTHERS = ("*.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model")  # sizes, tokenizers
ON_THE_HUB = re.compile(r"[\w.-]+(/[\w.-]+)?")
TIMEOUT_S = 5.0  # for the first answer of the hub
SHORTEST_WAVE = 400  # samples, 25 ms: the first frame of wav2vec 2.0 and its kin needs so many

Config = dict[str, Any]


def checkpoint(name: str) -> Path:
    """Return the folder that holds an encoder in the hub's own format; it is fetched if it is nowhere on this machine.

    Args:
        name: A folder, or a name such as "facebook/wav2vec2-base". A name is looked for under `weights_root()`, then
            in the cache that transformers fills, then on the hub.

    Raises:
        OSError: If it is not to be had; one sentence says where it was looked for and what to do.
    """
    for place in (Path(name).expanduser(), weights_root() / name):
        if _is_whole(place):
            return place
    problem = "it is no folder with an encoder's files, nor a name that the hub could know"
    if ON_THE_HUB.fullmatch(name):
        folder, problem = _from_hub(name)
        if folder:
            return folder
    raise OSError(
        f"no weights of {name!r}: they are neither in {weights_root() / name} nor in the hub's cache, and {problem}. "
        f"Expected {CONFIG}, {WEIGHTS[0]} and, for words, the tokenizer's files. Go online once, put them into that "
        "folder, or give another with weights=."
    )


def _is_whole(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and any((folder / file).is_file() for file in WEIGHTS)


def _from_hub(name: str) -> tuple[Path | None, str]:
    """Return the folder of a name in the hub's cache, filled from the hub if need be; else the reason why not."""
    import huggingface_hub as hub

    try:
        folder = Path(hub.snapshot_download(name, local_files_only=True))
        if _is_whole(folder):
            return folder, ""
    except (OSError, ValueError):  # not in the cache
        pass
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return None, "HF_HUB_OFFLINE forbids to ask the hub"
    try:
        there = {file.rfilename for file in hub.HfApi().model_info(name, timeout=TIMEOUT_S).siblings or ()}
        weights = next((file for file in WEIGHTS if file in there), WEIGHTS[0])
        with quiet():
            folder = Path(hub.snapshot_download(name, allow_patterns=[weights, *OTHERS]))
    except Exception as error:  # of several libraries below, and none of their fifty lines would help
        return None, f"the hub did not give them ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
    return (folder, "") if _is_whole(folder) else (None, f"the hub's {name} has no {' or '.join(WEIGHTS)}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers and the hub from drawing bars and from writing what only their authors need to know."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    with ExitStack() as afterwards:
        afterwards.callback(logging.set_verbosity, logging.get_verbosity())
        if logging.is_progress_bar_enabled():
            afterwards.callback(logging.enable_progress_bar)
        if not are_progress_bars_disabled():
            afterwards.callback(enable_progress_bars)
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        disable_progress_bars()
        yield


def read_config(folder: Path) -> Config:
    """Return an encoder's sizes, from the `config.json` of its folder."""
    return json.loads((folder / CONFIG).read_text(encoding="utf-8"))


def build_encoder(config: Mapping[str, Any]) -> nn.Module:
    """Build an encoder of such sizes, with random weights."""
    from transformers import AutoConfig, AutoModel

    sizes = {**config, "layerdrop": 0.0}  # no block is left out by chance
    with quiet():
        return AutoModel.from_config(AutoConfig.for_model(**sizes))


def load_encoder(folder: Path) -> nn.Module:
    """Build the encoder of a folder with its weights, in 32 bits, ready to be asked.

    Raises:
        ValueError: If the files cannot be read.
    """
    import torch
    from transformers import AutoModel

    try:
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(0)  # of parts that the file may lack, such as a pooler
            return AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    except Exception as error:  # of several libraries
        raise ValueError(
            f"{folder} cannot be read as an encoder ({type(error).__name__}: {str(error).splitlines()[0][:80]}); "
            f"expected {CONFIG} and {' or '.join(WEIGHTS)} as transformers saves them. Get it again."
        ) from error


def load_tokenizer(folder: Path) -> str:
    """Return the tokenizer of a folder as JSON text, which is all of it."""
    if (file := folder / "tokenizer.json").is_file():
        return file.read_text(encoding="utf-8")
    from transformers import AutoTokenizer

    with quiet():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True).backend_tokenizer.to_str()


def fingerprint(encoder: nn.Module) -> str:
    """Return a digest of all weights."""
    digest = hashlib.sha256()
    for name, weights in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(weights.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:32]


def blocks(encoder: Any) -> nn.ModuleList:
    """Return the transformer blocks of an encoder, the first one first.

    Raises:
        ValueError: If it has none of its own, as ALBERT, whose layers share their weights.
    """
    inner = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    for name in ("layer", "layers"):
        if hasattr(inner, name):
            return getattr(inner, name)
    raise ValueError(
        f"{type(encoder).__name__} has no blocks that could be trained apart; expected encoder.layer or "
        "encoder.layers. Train all of it: n_trained=None."
    )


def hear(encoder: Any, waves: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Let wav2vec 2.0, HuBERT or WavLM listen to waves of (samples,) float32, however different in length.

    Returns:
        The input of the first block and the output of each, (batch, frames, dim) float32 each; (batch,) real frames.
    """
    frames, n_frames = convolve(encoder, waves)
    return relate(encoder, frames, n_frames), n_frames


def convolve(encoder: Any, waves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Let the convolutions hear each wave for itself: (batch, frames, channels), padded, and (batch,) real frames.

    The first one is normalised over all the time there is (a "group norm"), so padding would change what is heard.
    Behind them it is masked everywhere: no answer depends on the neighbours, neither here nor in training.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    with torch.no_grad():  # the convolutions stay as they are, here and in fine-tuning
        pieces = [encoder.feature_extractor(wave[None])[0].T for wave in waves]  # (frames, channels) each
    return pad_sequence(pieces, batch_first=True), torch.tensor([len(piece) for piece in pieces]).to(pieces[0].device)


def relate(encoder: Any, frames: Tensor, n_frames: Tensor) -> list[Tensor]:
    """Relate what the convolutions have heard, (batch, frames, channels): the layers, as `hear` returns them."""
    import torch

    projected = encoder.feature_projection(frames)
    projected = projected[0] if isinstance(projected, tuple) else projected  # (batch, frames, dim)
    mask = torch.arange(frames.shape[1], device=frames.device) < n_frames[:, None]
    attention = {} if bool(mask.all()) else {"attention_mask": mask}
    layers: list[Tensor] = []
    here = get_ident()

    def note(_: Any, given: tuple[Tensor, ...]) -> None:
        if get_ident() == here:  # several threads may ask one encoder
            layers.append(given[0])

    with ExitStack() as hooks:
        for block in encoder.encoder.layers:
            hooks.callback(block.register_forward_pre_hook(note).remove)
        layers.append(encoder.encoder(projected, **attention).last_hidden_state)
    return layers


def masked_means(layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
    """Average each layer (batch, steps, dim) over its real steps: (batch, n_layers, dim)."""
    import torch

    mask = torch.arange(layers[0].shape[1], device=lengths.device) < lengths[:, None]
    sums = [layer.masked_fill(~mask[..., None], 0.0).sum(dim=1) for layer in layers]
    return torch.stack(sums, dim=1) / lengths[:, None, None]


def read(encoder: Any, vectors: Tensor, lengths: Tensor) -> tuple[Sequence[Tensor], Tensor | None]:
    """Let BERT, ALBERT or their kin read the vectors of pieces of words, (batch, pieces, dim), padding masked.

    Returns:
        The input of the first block and the output of each, (batch, pieces, dim) float32 each; what the encoder's own
        pooler makes of the first piece, (batch, dim), None where it has no pooler.
    """
    import torch

    mask = torch.arange(vectors.shape[1], device=lengths.device) < lengths[:, None]
    output = encoder(inputs_embeds=vectors, attention_mask=mask.long(), output_hidden_states=True)
    return output.hidden_states, getattr(output, "pooler_output", None)
