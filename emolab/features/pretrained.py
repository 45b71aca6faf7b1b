"""What published encoders are given, and what frozen ones make of it: a row of numbers a layer and utterance."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.features import encoders
from emolab.features.base import FeatureExtractor
from emolab.features.cache import cached_array, cached_features, source_digest
from emolab.features.standins import stand_in

MAX_PIECES = 128  # of words, in a text; the rest is cut off
N_TEXTS = 64  # read at once
SMALLEST_VARIANCE = 1e-7
CODE = source_digest(__file__, encoders.__file__, media.__file__)  # when it changes, nothing cached is taken

Floats = NDArray[np.floating]


class Pretrained(FeatureExtractor):
    """A front end that knows a published encoder; for the preset quick a tiny stand-in is made in its place.

    Args:
        weights: Name or folder of the encoder, see `emolab.features.encoders.checkpoint`.
        stand_in: Whether a tiny untrained encoder takes its place.
        seed: Of the stand-in.
    """

    frozen: ClassVar[bool] = False

    def __init__(self, weights: str, *, stand_in: bool = False, seed: int = 7) -> None:
        self.weights, self.stand_in, self.seed = weights, stand_in, seed
        self.config: dict[str, Any] = {}  # sizes of the encoder
        self.folder: Path | None = None  # its files, or its only one; None once it was loaded
        self._encoder: Any = None

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """The name of the published weights, or the last part of a folder's."""
        return None if self.stand_in else self.weights if self.weights.count("/") < 2 else Path(self.weights).name

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files; of the corpus, only a stand-in takes anything: its words."""
        if self.stand_in:
            texts = corpus.texts() if self.modality == "text" else ()
            self.folder = stand_in(self.weights, texts, seed=self.seed)
        else:
            self.folder = encoders.checkpoint(self.weights)
        self.config = encoders.read_config(self.folder)
        if self.frozen:
            self._encoder = encoders.load_encoder(self.folder).requires_grad_(False)

    @property
    def encoder(self) -> Any:
        """The frozen encoder, where it can compute fastest."""
        import torch

        return self._encoder.to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        """How many numbers the frozen encoder consists of."""
        return sum(weights.numel() for weights in self._encoder.parameters()) if self._encoder else 0

    def sizes(self) -> dict[str, Any]:
        """Return what a network has to know: the sizes of the frozen layers, or the encoder that it is to contain."""
        if self.frozen:
            return {"n_layers": self.config["num_hidden_layers"] + 1, "n_features": self.config["hidden_size"]}
        return {"encoder": self.config}

    def start(self, network: Any) -> None:
        """Give a network that is to go on learning the published weights."""
        if not self.frozen and self.folder:
            network.encoder.load_state_dict(encoders.load_encoder(self.folder).state_dict())

    def state(self) -> dict[str, Any]:
        """Return the options and the encoder's sizes; its weights are written by `save_files`."""
        options = {"weights": self.weights, "stand_in": self.stand_in, "seed": self.seed}
        return {"kind": type(self).__name__, "options": options, "learned": {"config": self.config}}

    def save_files(self, folder: Path) -> None:
        """Keep the weights of a frozen encoder too, so that neither hub nor cache is needed ever again."""
        from safetensors.torch import save

        if self._encoder:
            weights = {name: tensor.cpu().contiguous() for name, tensor in self._encoder.state_dict().items()}
            (folder / f"front-{self.modality}.safetensors").write_bytes(save(weights))

    def load_files(self, folder: Path) -> None:
        """Take the frozen encoder from the files of a saved recognizer."""
        from safetensors.torch import load_file

        if self.frozen:
            self._encoder = encoders.build_encoder(self.config).eval().requires_grad_(False)
            self._encoder.load_state_dict(load_file(folder / f"front-{self.modality}.safetensors"))


class Waveforms(Pretrained):
    """The wave itself, (samples,) float32, brought to mean 0 and deviation 1 where the encoder was trained so."""

    modality = "audio"

    def __init__(self, weights: str, *, max_s: float | None = None, **options: Any) -> None:
        super().__init__(weights, **options)
        self.max_s = max_s  # seconds from the beginning; None: all
        self.normalized = True

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame of the encoder's convolutions."""
        return math.prod(self.config["conv_stride"]) / media.SAMPLE_RATE

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files, and of what it expects of a wave."""
        super().fit(corpus)
        assert self.folder is not None
        file = self.folder / "preprocessor_config.json"
        expected = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self.normalized = bool(expected.get("do_normalize", True))

    def transform(self, corpus: Corpus) -> Any:
        """Return (samples,) float32 for each utterance."""
        return [self.wave(path) for path in corpus.audio_paths()]

    def wave(self, path: Path) -> NDArray[np.float32]:
        """Read one file as the encoder wants it, at least one frame long."""
        wave = media.read_audio(path)[: round(16_000 * self.max_s) if self.max_s else None]
        wave = np.pad(wave, (0, max(0, encoders.SHORTEST_WAVE - len(wave))))
        if self.normalized:
            wave = (wave - wave.mean()) / np.sqrt(wave.var() + SMALLEST_VARIANCE)
        return wave.astype(np.float32)

    def state(self) -> dict[str, Any]:
        """Return the options, the encoder's sizes, and what it expects of a wave."""
        state = super().state()
        state["options"]["max_s"], state["learned"]["normalized"] = self.max_s, self.normalized
        return state


class AudioHiddenStates(Waveforms):
    """What a frozen encoder hears: the mean over the real frames of each layer, (n_layers + 1, dim) float16.

    Every file is heard for itself, so nothing is padded: the published base models, whose first convolution is
    normalised over time, would hear a padded wave differently.
    """

    frozen = True

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_layers + 1, dim) float16 for each utterance, from the cache where they are there."""
        version = f"{CODE} {encoders.fingerprint(self._encoder)} {self.normalized} {self.max_s}"
        hear = partial(self._hear, self.encoder)
        name = Path(self.weights).name
        return cached_features(f"frozen-{name}", corpus.audio_paths(), hear, version=version, progress=name)

    def _hear(self, encoder: Any, path: Path) -> Floats:
        import torch

        with torch.inference_mode():
            layers, lengths = encoders.hear(encoder, [torch.from_numpy(self.wave(path)).to(encoder.device)])
            return encoders.masked_means(layers, lengths)[0].half().cpu().numpy()


class Subwords(Pretrained):
    """The pieces of words that an encoder reads, as numbers: (pieces,) int64, begin and end marks included."""

    modality = "text"

    def __init__(self, weights: str, *, max_pieces: int = MAX_PIECES, **options: Any) -> None:
        super().__init__(weights, **options)
        self.max_pieces, self.tokenizer_json = max_pieces, ""

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files and of its tokenizer."""
        super().fit(corpus)
        assert self.folder is not None
        self.tokenizer_json = encoders.load_tokenizer(self.folder)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, from the `tokenizers` library."""
        return _tokenizer(self.tokenizer_json, self.max_pieces)

    def transform(self, corpus: Corpus) -> Any:
        """Return (pieces,) int64 for each utterance."""
        return [np.array(encoding.ids, np.int64) for encoding in self.tokenizer.encode_batch(list(corpus.texts()))]

    def state(self) -> dict[str, Any]:
        """Return the options, the encoder's sizes and the tokenizer."""
        state = super().state()
        state["options"]["max_pieces"], state["learned"]["tokenizer_json"] = self.max_pieces, self.tokenizer_json
        return state


@lru_cache(maxsize=8)  # reading one takes a while, and texts come one by one where they are explained
def _tokenizer(text: str, max_pieces: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_pieces)
    return tokenizer


class TextHiddenStates(Subwords):
    """What a frozen encoder reads: the mean over the real pieces of each layer, (n_layers + 1, dim) float16."""

    frozen = True

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_layers + 1, dim) float16 for each utterance, from the cache where they are there."""
        pieces = super().transform(corpus)
        digest = hashlib.sha256(b"\0".join(array.tobytes() for array in pieces)).hexdigest()
        key = f"{CODE} {encoders.fingerprint(self._encoder)} {digest}"
        return list(cached_array(f"frozen-{Path(self.weights).name}", key, partial(self._read, pieces)))

    def _read(self, pieces: Sequence[NDArray[np.int64]]) -> Floats:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        order = np.argsort([len(array) for array in pieces], kind="stable")
        read, encoder = [], self.encoder
        for start in range(0, len(order), N_TEXTS):
            some = [torch.from_numpy(pieces[place]) for place in order[start : start + N_TEXTS]]
            lengths = torch.tensor([len(array) for array in some], device=encoder.device)
            padded = pad_sequence(some, batch_first=True).to(encoder.device)
            with torch.inference_mode():
                layers = encoders.read(encoder, encoder.get_input_embeddings()(padded), lengths)[0]
                read.append(encoders.masked_means(layers, lengths).half().cpu().numpy())
        return np.concatenate(read)[np.argsort(order)]
