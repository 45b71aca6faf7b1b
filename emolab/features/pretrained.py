"""Pretrained encoders of audio and text: where their weights come from, and the hidden states of an utterance.

An encoder is any model of the transformers library, by its name on the hub or by its folder. Where none is at hand, the
preset quick takes a tiny random model of the same class, whose scores say nothing about the published one.
"""

from __future__ import annotations

import copyreg
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import joblib
import librosa
import numpy as np
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import Corpus
from emolab.features import base
from emolab.features.audio import AtSpeeds, audio_features
from emolab.features.base import FeatureExtractor, Published, source_digest
from emolab.media import SAMPLE_RATE
from emolab.storage import atomic_write, cache_root, weights_root

if TYPE_CHECKING:
    from torch import Tensor, nn

Config = dict[str, Any]
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS = ("model*.safetensors*", "pytorch_model*.bin*")  # first choice first
WINDOW_S = 30.0  # seconds that an audio encoder is given at once; Whisper has no positions beyond
VGGISH = "vggish-10086976.pth"
VGGISH_ADDRESS = f"https://github.com/harritaylor/torchvggish/releases/download/v0.1/{VGGISH}"
SET, TINY = SimpleNamespace(**base.SETTINGS["pretrained"]), base.SETTINGS["tiny"]  # numbers; random models
LOG_MEL = SimpleNamespace(**base.SETTINGS["vggish"])


def checkpoint(name: str) -> Path:
    """Return the folder that holds an encoder in the hub's own format; it is fetched if it is nowhere on this machine.

    Args:
        name: A folder, or a name such as "facebook/wav2vec2-base". A name is looked for under `weights_root()`, then
            in the cache of the hub, then on the hub.

    Raises:
        OSError: If it is not to be had; one sentence says where it was looked for and what to do.
    """
    import huggingface_hub as hub

    for folder in (Path(name).expanduser(), weights_root() / name):
        if _is_whole(folder, *WEIGHTS):
            return folder
    problem = f"the hub's {name} has no {' or '.join(WEIGHTS)}"
    try:
        for own in WEIGHTS:
            folder = Path(hub.snapshot_download(name, allow_patterns=[*SET.others, own], etag_timeout=SET.timeout_s))
            if _is_whole(folder, own):
                return folder
    except Exception as error:  # of several libraries below, and none of their fifty lines would help
        problem = f"the hub did not give them ({type(error).__name__}: {str(error).strip().splitlines()[0][:120]})"
    why = f"no weights of {name!r}: neither in {weights_root() / name} nor in the hub's cache, and {problem}. Expected"
    raise OSError(f"{why} {CONFIG}, weights, for text a tokenizer. Go online once, put them there, or give weights=.")


def _is_whole(folder: Path, *weights: str) -> bool:
    return (folder / CONFIG).is_file() and any(any(folder.glob(pattern)) for pattern in weights)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars and from writing what only its authors need to know."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def read_config(folder: Path) -> Config:
    """Return the sizes of an encoder, num_hidden_layers and hidden_size among them whatever its class calls them."""
    from transformers import AutoConfig

    with quiet():
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    return {**config.to_dict(), "num_hidden_layers": config.num_hidden_layers, "hidden_size": config.hidden_size}


def build_encoder(config: Mapping[str, Any]) -> nn.Module:
    """Build an encoder of such sizes, with random weights."""
    from transformers import AutoConfig, AutoModel

    sizes = {**config, "layerdrop": 0.0, "dtype": "float32"}  # no block is left out by chance
    with quiet():
        return _picklable(AutoModel.from_config(AutoConfig.for_model(**sizes)))


def load_encoder(folder: Path) -> nn.Module:
    """Build the encoder of a folder with its weights, in 32 bits and evaluation mode.

    Raises:
        ValueError: If the files cannot be read.
    """
    import torch
    from transformers import AutoModel

    try:
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(0)  # of parts that the file may lack, such as a pooler
            return _picklable(AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)).eval()
    except Exception as error:  # of several libraries
        why = f"{folder} cannot be read as an encoder ({type(error).__name__}: {str(error).splitlines()[0][:80]})"
        raise ValueError(f"{why}; expected {CONFIG} and {' or '.join(WEIGHTS)}. Get it again.") from error


def _picklable(model: Any) -> nn.Module:
    """Take the encoder of an encoder-decoder; have it pickled and copied by its weights, since its hooks cannot be."""
    encoder = model.get_encoder() if model.config.is_encoder_decoder else model
    copyreg.pickle(type(encoder), _reduced)  # type: ignore[arg-type]
    return encoder


def _reduced(encoder: Any) -> tuple[Any, ...]:
    trained = [name for name, weights in encoder.named_parameters() if weights.requires_grad]
    return _rebuilt, (type(encoder), encoder.config, encoder.state_dict(), trained, encoder.training)


def _rebuilt(kind: Any, config: Any, weights: Any, trained: Sequence[str], training: bool) -> nn.Module:
    import torch

    copyreg.pickle(kind, _reduced)  # for a process that has only loaded it
    with torch.random.fork_rng():
        encoder = kind(config).train(training)
    encoder.load_state_dict(weights)
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in trained)
    return encoder


def fingerprint(encoder: nn.Module) -> str:
    """Return a digest of all weights."""
    return joblib.hash({name: weights.cpu().numpy() for name, weights in encoder.state_dict().items()})


def blocks(encoder: Any) -> nn.ModuleList:
    """Return the transformer blocks of an encoder, the first one first.

    Raises:
        ValueError: If it has none of its own, as ALBERT, whose layers share their weights.
    """
    inner = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None) or encoder
    if (found := getattr(inner, "layer", getattr(inner, "layers", None))) is None:
        why = f"{type(encoder).__name__} has no blocks that could be trained apart"
        raise ValueError(f"{why}; expected encoder.layer or encoder.layers. Train all of it: n_trained=None.")
    return found


def convolutions(encoder: Any) -> list[nn.Module]:
    """Return the convolutions with which an audio encoder begins."""
    return [encoder.conv1, encoder.conv2] if _is_whisper(encoder) else [encoder.feature_extractor]


def _is_whisper(encoder: Any) -> bool:
    return hasattr(encoder, "embed_positions")


def convolve(encoder: Any, waves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Apply the convolutions of an audio encoder to each utterance by itself.

    Those of wav2vec 2.0, HuBERT or WavLM take a wave of (samples,) float32, those of Whisper a log-mel of
    (frames, n_mels). The first one of wav2vec 2.0 is normalised over all the time there is (a "group norm"), so
    padding would change its output. Behind them padding is masked: no result depends on the neighbours, neither here
    nor in training.

    Returns:
        (batch, frames, channels) float32, padded with zeros, and (batch,) real frames.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def of_one(wave: Tensor) -> Tensor:
        if not _is_whisper(encoder):
            return encoder.feature_extractor(wave[None])[0].T
        return torch.nn.functional.gelu(encoder.conv2(torch.nn.functional.gelu(encoder.conv1(wave.T[None]))))[0].T

    with torch.no_grad():  # the convolutions stay as they are, here and in fine-tuning
        frames = [of_one(wave) for wave in waves]  # (frames, channels) each
    return pad_sequence(frames, batch_first=True), torch.tensor([len(own) for own in frames]).to(frames[0].device)


def contextualise(encoder: Any, frames: Tensor, n_frames: Tensor) -> Tensor:
    """Apply the transformer blocks to what `convolve` returned: the last hidden states, (batch, frames, dim)."""
    if _is_whisper(encoder):
        return _whisper_layers(encoder, frames, n_frames)[-1]
    projected = encoder.feature_projection(frames)
    projected = projected[0] if isinstance(projected, tuple) else projected  # (batch, frames, dim)
    mask = padding_mask(n_frames, frames.shape[1])
    return encoder.encoder(projected, attention_mask=None if bool(mask.all()) else mask).last_hidden_state


def _whisper_layers(encoder: Any, frames: Tensor, n_frames: Tensor) -> list[Tensor]:
    """Apply Whisper's blocks to real frames, with only as many position embeddings; its own `forward` wants 30 s."""
    import torch

    mask, layers = padding_mask(n_frames, frames.shape[1]), [frames + encoder.embed_positions.weight[: frames.shape[1]]]
    bias = torch.zeros(mask.shape, device=frames.device).masked_fill(~mask, torch.finfo(frames.dtype).min)
    for block in encoder.layers:
        layers.append(block(layers[-1], None if bool(mask.all()) else bias[:, None, None]))
    return [*layers[:-1], encoder.layer_norm(layers[-1])]


def hidden_layers(encoder: Any, steps: Tensor) -> Tensor:
    """Return all layers, (n_layers + 1, frames, dim), of one utterance, without any padding.

    Args:
        encoder: Of wav2vec 2.0, HuBERT, WavLM or Whisper.
        steps: A wave, (samples,), or for Whisper a log-mel, (frames, n_mels), of `WINDOW_S` at most.
    """
    import torch

    if _is_whisper(encoder):
        return torch.cat(_whisper_layers(encoder, *convolve(encoder, [steps])))
    return torch.cat([*encoder(steps[None], output_hidden_states=True).hidden_states])


def masked_means(layers: Sequence[Tensor], lengths: Tensor) -> Tensor:
    """Average each layer (batch, steps, dim) over its real steps: (batch, n_layers, dim)."""
    import torch

    mask = padding_mask(lengths, layers[0].shape[1])
    sums = [layer.masked_fill(~mask[..., None], 0.0).sum(dim=1) for layer in layers]
    return torch.stack(sums, dim=1) / lengths[:, None, None]


def padding_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """Mask (batch, n_steps): true where there is a real step, false where there is padding."""
    import torch

    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


class Pretrained(FeatureExtractor):
    """An extractor with a pretrained encoder; for the preset quick a tiny random one takes its place.

    Args:
        weights: Name or folder of the encoder, see `checkpoint`.
        stand_in: Whether a tiny random encoder takes its place.
        seed: Of the tiny one.
    """

    frozen: ClassVar[bool] = False

    def __init__(self, weights: str, *, stand_in: bool = False, seed: int = 7) -> None:
        self.weights, self.stand_in, self.seed = weights, stand_in, seed
        self.config: Config = {}  # sizes of the encoder
        self.folder: Path | None = None  # its files; None after loading
        self.digest = ""  # of the frozen weights
        self._encoder: Any = None

    @property
    def pretrained(self) -> str | None:  # type: ignore[override]
        """The name of the published weights, or the last name of a folder's path."""
        return None if self.stand_in else self.weights if self.weights.count("/") < 2 else Path(self.weights).name

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files; of the corpus, only a tiny encoder takes anything: its words."""
        texts = corpus.texts() if self.stand_in and self.modality == "text" else ()
        self.folder = stand_in(self.weights, texts, seed=self.seed) if self.stand_in else checkpoint(self.weights)
        self.config = read_config(self.folder)
        if self.frozen:
            self._encoder = load_encoder(self.folder).requires_grad_(False)
            self.digest = fingerprint(self._encoder)

    @property
    def encoder(self) -> Any:
        """The frozen encoder, on the fastest device."""
        import torch

        return self._encoder.to("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def n_parameters(self) -> int:  # type: ignore[override]
        """How many parameters the frozen encoder has."""
        return sum(weights.numel() for weights in self._encoder.parameters()) if self._encoder else 0

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of the frozen layers, or the config of the encoder that a network is to contain."""
        if self.frozen:
            return {"n_layers": self.config["num_hidden_layers"] + 1, "n_features": self.config["hidden_size"]}
        return {"encoder": self.config}

    def initialise(self, network: Any) -> None:
        """Give a network that fine-tunes the encoder the pretrained weights."""
        if not self.frozen and self.folder:
            network.encoder.load_state_dict(load_encoder(self.folder).state_dict())

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: the frozen encoder on the CPU, and no folder of this machine."""
        return {**vars(self), "folder": None, "_encoder": self._encoder and self._encoder.cpu()}

    def _key(self, *facts: Any) -> str:
        """Return what cached hidden states depend on."""
        return " ".join([source_digest(__file__, media.__file__), self.digest, *map(str, facts)])


class Waveforms(Pretrained):
    """What an audio encoder takes of an utterance, float32: the wave, (samples,), or for Whisper a log-mel.

    The wave is at the rate and scaled as the encoder expects it; the log-mel is (frames, n_mels), a frame each 10 ms,
    and not padded to 30 s.
    """

    modality = "audio"
    processor: Any = None  # of transformers: scales waves, or computes the encoder's own spectrograms

    @property
    def step_s(self) -> float:
        """Seconds from step to step of what `transform` returns."""
        return getattr(self.processor, "hop_length", 1) / self.processor.sampling_rate

    @property
    def hop_s(self) -> float:
        """Seconds from frame to frame of the encoder's convolutions."""
        return math.prod(self.config.get("conv_stride", (2,))) * self.step_s  # 2: the second of Whisper

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files, and of what it expects of a waveform."""
        from transformers import AutoFeatureExtractor, Wav2Vec2FeatureExtractor

        super().fit(corpus)
        assert self.folder is not None
        known = (self.folder / "preprocessor_config.json").is_file()
        self.processor = AutoFeatureExtractor.from_pretrained(self.folder) if known else Wav2Vec2FeatureExtractor()

    def transform(self, corpus: Corpus) -> Any:
        """Return (samples,) or (frames, n_mels) float32 for each utterance."""
        return [self.steps(path) for path in corpus.audio_paths()]

    def steps(self, path: Path, speed: float = 1.0) -> NDArray[np.float32]:
        """Return what the encoder takes of one file; at speed 1.08 it is shorter and higher by 8 %."""
        rate = self.processor.sampling_rate
        wave = media.read_audio(path, sample_rate=round(rate / speed))
        wave = np.pad(wave, (0, max(0, SET.shortest_wave - len(wave))))
        made = self.processor(wave, sampling_rate=rate, padding=False, truncation=False)
        return np.ascontiguousarray(made[self.processor.model_input_names[0]][0].T, dtype=np.float32)


class AudioHiddenStates(Waveforms):
    """Hidden states of a frozen audio encoder: the mean of each layer over time, (n_layers + 1, dim) float16.

    Any audio encoder of transformers: wav2vec 2.0, HuBERT, WavLM, the encoder of Whisper. Each file is encoded by
    itself, and of Whisper the real frames alone: padding would change the normalised convolutions of the published
    base models, and 30 s of it take Whisper ten times as long. Of longer recordings each window of `WINDOW_S` is
    encoded, and means are over all of them.

    Args:
        deviation: Append each layer's standard deviation over time: (n_layers + 1, 2 dim).
    """

    frozen = True

    def __init__(self, weights: str, *, deviation: bool = False, **options: Any) -> None:
        super().__init__(weights, **options)
        self.with_deviation = deviation

    def sizes(self) -> dict[str, Any]:
        """Return the sizes of what `transform` gives."""
        sizes = super().sizes()
        return {**sizes, "n_features": sizes["n_features"] * (1 + self.with_deviation)}

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_layers + 1, dim) float16 for each utterance, from the cache where they are there."""
        both = self.statistics(corpus)
        return both if self.with_deviation else [layers[:, : self.config["hidden_size"]] for layers in both]

    def statistics(self, corpus: Corpus, speed: float = 1.0) -> list[NDArray[np.float16]]:
        """Return mean and deviation over time of each layer, (n_layers + 1, 2 dim), of each utterance."""
        compute, key = partial(self._statistics, self.encoder, speed=speed), self._key(self.processor, speed)
        return base.cached_features(f"frozen-{Path(self.weights).name}", corpus.audio_paths(), compute, version=key)

    def _statistics(self, encoder: Any, path: Path, speed: float) -> NDArray[np.float16]:
        import torch

        steps = self.steps(path, speed)
        with torch.inference_mode():
            windows = np.array_split(steps, math.ceil(len(steps) * self.step_s / WINDOW_S))
            layers = [hidden_layers(encoder, torch.from_numpy(window).to(encoder.device)) for window in windows]
            deviation, mean = torch.std_mean(torch.cat(layers, dim=1), dim=1, correction=0)
            return torch.cat([mean, deviation], dim=1).half().cpu().numpy()


class LayerStatistics(AtSpeeds, AudioHiddenStates):
    """Mean and deviation over time of each layer of a frozen audio encoder, one row an utterance, scaled.

    Args:
        speeds: Training also takes every utterance at these speeds, see `Functionals`.
    """

    def __init__(self, weights: str, *, speeds: Sequence[float] = (), **options: Any) -> None:
        AudioHiddenStates.__init__(self, weights, deviation=True, **options)
        self.speeds = tuple(speeds)

    @property
    def feature_names(self) -> list[str]:  # type: ignore[override]
        """Name the columns."""
        layers, places = range(self.config["num_hidden_layers"] + 1), range(self.config["hidden_size"])
        return [f"layer {n}, {kind} {place}" for n in layers for kind in ("mean", "deviation") for place in places]

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder; learn mean and deviation of each column, over all speeds."""
        AudioHiddenStates.fit(self, corpus)
        super().fit(corpus)

    def raw(self, corpus: Corpus, speed: float = 1.0) -> list[NDArray[np.float32]]:  # type: ignore[override]
        """Return ((n_layers + 1) * 2 dim,) for each utterance, played so fast, before scaling."""
        return [np.ravel(layers).astype(np.float32) for layers in self.statistics(corpus, speed)]


class Subwords(Pretrained):
    """The subwords that a text encoder takes, (subwords,) int64 an utterance, special tokens included.

    Args:
        max_subwords: The most in a text; the rest is cut off.
    """

    modality = "text"

    def __init__(self, weights: str, *, max_subwords: int = SET.max_subwords, **options: Any) -> None:
        super().__init__(weights, **options)
        self.max_subwords = max_subwords
        self.tokenizer: Any = None  # of the library `tokenizers`

    def fit(self, corpus: Corpus) -> None:
        """Get hold of the encoder's files and of its tokenizer."""
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer

        super().fit(corpus)
        assert self.folder is not None
        if (file := self.folder / TOKENIZER).is_file():
            self.tokenizer = Tokenizer.from_file(str(file))
        else:
            with quiet():
                self.tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True).backend_tokenizer
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_subwords)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is saved: the tokenizer as its own JSON."""
        return {**super().__getstate__(), "tokenizer": self.tokenizer and self.tokenizer.to_str()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from tokenizers import Tokenizer

        vars(self).update(state, tokenizer=state["tokenizer"] and Tokenizer.from_str(state["tokenizer"]))

    def transform(self, corpus: Corpus) -> Any:
        """Return (subwords,) int64 for each utterance."""
        return [np.array(encoding.ids, np.int64) for encoding in self.tokenizer.encode_batch(corpus.texts())]


class TextHiddenStates(Subwords):
    """Hidden states of a frozen text encoder: the mean of each layer over subwords, (n_layers + 1, dim) float16."""

    frozen = True

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_layers + 1, dim) float16 for each utterance, from the cache where they are there."""
        subwords = super().transform(corpus)
        kind, key = f"frozen-{Path(self.weights).name}", self._key(joblib.hash(subwords))
        return list(base.cached_array(kind, key, partial(self._hidden_states, subwords)))

    def _hidden_states(self, subwords: Sequence[NDArray[np.int64]]) -> NDArray[np.float16]:
        import torch
        from torch.nn.utils.rnn import pad_sequence

        order, encoder = np.argsort([len(own) for own in subwords], kind="stable"), self.encoder
        means = []
        for start in range(0, len(order), SET.n_texts):
            batch = [torch.from_numpy(subwords[place]) for place in order[start : start + SET.n_texts]]
            lengths = torch.tensor([len(own) for own in batch], device=encoder.device)
            padded = pad_sequence(batch, batch_first=True).to(encoder.device)
            with torch.inference_mode():
                mask = padding_mask(lengths, padded.shape[1]).long()
                layers = encoder(padded, attention_mask=mask, output_hidden_states=True).hidden_states
                means.append(masked_means(layers, lengths).half().cpu().numpy())
        return np.concatenate(means)[np.argsort(order)]


def stand_in(name: str, texts: Sequence[str] = (), *, seed: int = 7) -> Path:
    """Return the folder of a tiny random encoder in the hub's own format, made in the cache where it is not there yet.

    Args:
        name: The published one; its class is that of wav2vec2, hubert, wavlm, whisper, albert, bert which the name
            holds, else BERT's.
        texts: Training texts that a text encoder takes its subwords from.
        seed: Of its weights.
    """
    folder = cache_root() / "stand-ins" / joblib.hash((source_digest(__file__), name, seed, list(texts)))
    if not (folder / CONFIG).is_file():
        with atomic_write(folder) as part, quiet():
            part.mkdir()
            _write_tiny(part, next((kind for kind in TINY["kinds"] if kind in name), "bert"), texts, seed)
    return folder


def _write_tiny(folder: Path, kind: str, texts: Sequence[str], seed: int) -> None:
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    sizes = TINY["all"] | TINY["audio"]
    if kind in ("albert", "bert"):
        tokenizer = BertWordPieceTokenizer(_subwords_of(texts))
        tokenizer.save(str(folder / TOKENIZER))
        sizes = TINY["all"] | TINY["text"] | {"vocab_size": tokenizer.get_vocab_size()}
    elif kind == "whisper":
        WhisperFeatureExtractor().save_pretrained(folder)
        sizes = TINY["whisper"]
    else:
        Wav2Vec2FeatureExtractor().save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModel.from_config(AutoConfig.for_model(kind, **sizes)).save_pretrained(folder)


def _subwords_of(texts: Sequence[str]) -> dict[str, int]:
    """Number special tokens, letters, and the words that occur at least twice, most frequent first.

    Training a WordPiece vocabulary (tokenizers 0.23) gives another one in each process.
    """
    from tokenizers import BertWordPieceTokenizer

    plain: Any = BertWordPieceTokenizer()  # lower case, no accents, punctuation apart
    read = (plain.pre_tokenizer.pre_tokenize_str(plain.normalizer.normalize_str(text)) for text in texts)
    counts = Counter(word for pairs in read for word, _ in pairs)
    letters = sorted({letter for word in counts for letter in word})
    frequent = sorted((word for word in counts if counts[word] > 1), key=lambda word: (-counts[word], word))
    vocabulary = dict.fromkeys([*TINY["special"], *letters, *(f"##{letter}" for letter in letters), *frequent])
    return {subword: number for number, subword in enumerate([*vocabulary][: TINY["n_subwords"]])}


def vggish_examples(wave: NDArray[np.float32]) -> NDArray[np.float16]:
    """Cut a wave into examples of 192 frames, about 3 s, and compute log-mels with the founding project's numbers.

    Args:
        wave: (samples,) float32, mono, 16 kHz, full scale is 1.

    Returns:
        (n_examples, 192, 128) float16, natural logarithm of magnitude (not power) plus 0.01. There is at least one
        example; the last one is filled up with silence.
    """
    n_frames = max(1, 1 + (len(wave) - LOG_MEL.window) // LOG_MEL.hop)
    n_whole = -(-n_frames // LOG_MEL.frames) * LOG_MEL.frames
    length = (n_whole - 1) * LOG_MEL.hop + LOG_MEL.window
    around = (LOG_MEL.n_fft - LOG_MEL.window) // 2  # librosa centres a window among the points of its transform
    filled = np.pad(wave[:length], (around, around + max(0, length - len(wave))))
    frames: Any = {"n_fft": LOG_MEL.n_fft, "hop_length": LOG_MEL.hop, "win_length": LOG_MEL.window, "center": False}
    bands: Any = dict(zip(("fmin", "fmax"), LOG_MEL.hertz, strict=True), n_mels=LOG_MEL.bands, htk=True, norm=None)
    mel = librosa.feature.melspectrogram(y=filled, sr=SAMPLE_RATE, power=1.0, **frames, **bands)
    return np.log(mel.T + LOG_MEL.offset).reshape(-1, LOG_MEL.frames, LOG_MEL.bands).astype(np.float16)


class VggishExamples(Published):
    """Log-mels of 3 s each, (n_examples, 192, 128) float16 an utterance, and the published weights for them."""

    modality = "audio"
    hop_s = LOG_MEL.hop / SAMPLE_RATE  # seconds from frame to frame inside the examples

    def transform(self, corpus: Corpus) -> Any:
        """Return (n_examples, 192, 128) float16 for each utterance, from the cache where they are there."""
        return audio_features(vggish_examples, corpus.audio_paths(), key=source_digest(__file__))
