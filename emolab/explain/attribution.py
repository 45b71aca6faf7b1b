"""Gradients of networks, by Captum and SHAP: what each mel bin, word vector or pixel adds to an emotion's logit."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emolab.corpora.corpus import Corpus
from emolab.training import pad
from emolab.explain.explanation import Attribution
from emolab.explain.maskers import GREY, MASK_MARKS, checked_baseline
from emolab.explain.units import (
    NO_TIME,
    frame_spans,
    import_shap,
    names_in_time,
    owners_in_time,
    owners_of_pieces,
    owners_of_words,
    sound_spans,
    summed,
)
from emolab.features.text import Tokens
from emolab.features.pretrained import Subwords
from emolab.features.text import PAD, UNKNOWN, words
from emolab.media import SAMPLE_RATE, read_audio
from emolab.models.sequence import Mlp
from emolab.models.sequence import Network
from emolab.models.pretrained import TextEncoder
from emolab.models.sequence import sequence_mask
from emolab.recognizer import NetworkRecognizer, Recognizer

BASELINES = {  # of the inputs of a network, the first one is taken where none is named
    "audio": ("silence", "mean"),
    "text": ("padding", "mask"),
    "video": ("mean", "grey"),
    "features": ("mean",),
}
PAD_MARKS = ("[PAD]", "<pad>")
AROUND = ("[CLS]", "[SEP]", "<s>", "</s>")  # marks that a tokenizer sets around a text
N_ROWS = 128  # of a batch that the network sees at once, at most; more is slower on two cores
N_NUMBERS = 4_000_000  # of such a batch; what lies in between takes a multiple of that
N_UTTERANCES = 16  # explained together
COSTLIER = 4  # a way of expected gradients against a coalition: a quarter as many are drawn
N_BACKGROUND = 16  # utterances that expected gradients start from

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Request:
    """What is to be explained of some utterances.

    Attributes:
        modality: The modality whose input is explained; "features" of a network that sees one vector.
        targets: (n,) number of the emotion whose logit is explained.
        baseline: What stands for a part that is taken away; None takes the first of `BASELINES`.
        n_steps: Of integrated gradients.
        n_samples: Of expected gradients, which draw a quarter of it: each costs a gradient.
        background: Utterances that expected gradients start from, those of training.
        seed: Of all that is drawn.
    """

    modality: str
    targets: NDArray[np.int64]
    baseline: str | None = None
    n_steps: int = 32
    n_samples: int = 256
    background: Corpus | None = None
    seed: int = 0

    def taken(self, method: str) -> str:
        """Name the baseline that a method really starts from."""
        if method in COMPLETE:
            return checked_baseline(self.baseline, BASELINES[self.modality])
        return "training" if method == "shap-gradient" else "none"


class Centred(nn.Module):
    """A network that takes what one of its encoders entered with first; its logits less their mean."""

    def __init__(self, network: nn.Module, place: int) -> None:
        super().__init__()
        self.network, self.place = network, place

    def forward(self, entered: Tensor, lengths: Tensor, *others: Tensor) -> Tensor:
        """Return (batch, n_emotions); `others` are values and lengths of the other modalities, in their order."""
        inputs = list(others)
        inputs[2 * self.place : 2 * self.place] = [entered, lengths]
        logits = self.network(*inputs)
        return logits - logits.mean(dim=1, keepdim=True)


@dataclass
class Batch:
    """Some utterances as the network takes them in."""

    model: Centred
    encoder: Any
    entered: Tensor  # (batch, steps, …) float
    baseline: Tensor  # the same shape
    lengths: Tensor
    others: tuple[Tensor, ...]
    targets: Tensor
    request: Request
    background: Sequence[Tensor] = field(default_factory=list)  # (steps, …) each, as the network takes them in

    @property
    def arguments(self) -> tuple[Tensor, ...]:
        """What the model takes beside the entered values."""
        return (self.lengths, *self.others)

    @property
    def n_rows(self) -> int:
        """How many rows the network may see at once."""
        return int(np.clip(N_NUMBERS // max(1, self.entered[0].numel()), len(self.entered), N_ROWS))

    def logits(self, entered: Tensor) -> Tensor:
        """Return (batch,) logits of the targets."""
        with torch.no_grad():
            return self.model(entered, *self.arguments).gather(1, self.targets[:, None])[:, 0]


def integrated_gradients(batch: Batch) -> Tensor:
    """Add the gradient up on the way from the baseline to the input. Source: Sundararajan et al. 2017.

    Where the input is words, it is the way of their vectors: layer integrated gradients.
    """
    from captum.attr import IntegratedGradients

    return IntegratedGradients(batch.model).attribute(
        batch.entered,
        batch.baseline,
        target=batch.targets,
        additional_forward_args=batch.arguments,
        n_steps=batch.request.n_steps,
        internal_batch_size=batch.n_rows,
    )


def saliency(batch: Batch) -> Tensor:
    """Take the size of the gradient: how sensitive the logit is, not what adds to it. Source: Simonyan et al. 2014."""
    from captum.attr import Saliency

    return Saliency(batch.model).attribute(batch.entered, target=batch.targets, additional_forward_args=batch.arguments)


def gradient_x_input(batch: Batch) -> Tensor:
    """Multiply the gradient with the input: what a straight line would add. Source: Shrikumar et al. 2016."""
    from captum.attr import InputXGradient

    explainer = InputXGradient(batch.model)
    return explainer.attribute(batch.entered, target=batch.targets, additional_forward_args=batch.arguments)


def deep_lift(batch: Batch) -> Tensor:
    """Pass differences to the baseline back, layer by layer. Source: Shrikumar et al. 2017.

    Raises:
        ValueError: If the network has parts for which the rules do not hold.
    """
    from captum.attr import DeepLift

    if not isinstance(batch.encoder, Mlp) or batch.encoder is not batch.model.network:
        raise ValueError(
            f"the rules of deep-lift know no {type(batch.encoder).__name__}: its recurrence or attention is no layer "
            "of single neurons. Expected dense layers, such as audio/mlp. Take integrated-gradients."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting forward, backward hooks")  # they are taken away again
        return DeepLift(batch.model).attribute(
            batch.entered, batch.baseline, target=batch.targets, additional_forward_args=batch.arguments
        )


def expected_gradients(batch: Batch) -> Tensor:
    """Average over ways from utterances of training to the input, by SHAP. Source: Erion et al. 2021.

    A background utterance is cut, or repeated, until it is as long as the explained one.

    Raises:
        ValueError: If no background is given.
    """
    shap = import_shap()

    if not batch.background:
        raise ValueError("shap-gradient has nothing to start from; expected background=fold.train or some of it.")

    values = torch.zeros_like(batch.entered)
    for row, (length, target) in enumerate(zip(batch.lengths.tolist(), batch.targets.tolist(), strict=True)):
        stepwise = batch.entered.ndim > 2
        n_steps = length if stepwise else batch.entered.shape[1]
        own = batch.entered[row : row + 1, :n_steps]
        alone = _Alone(batch.model, target, batch.lengths[row], [part[row] for part in batch.others])
        fitting = torch.stack([_as_long(part, n_steps) if stepwise else part for part in batch.background])
        explainer = shap.GradientExplainer(alone, fitting)
        drawn = explainer.shap_values(own, nsamples=batch.request.n_samples // COSTLIER, rseed=batch.request.seed)
        values[row, :n_steps] = torch.from_numpy(np.asarray(drawn)[0, ..., 0])
    return values


class _Alone(nn.Module):
    """The model for versions of one utterance, other inputs being its own; its only output is the target's logit."""

    def __init__(self, model: nn.Module, target: int, length: Tensor, others: Sequence[Tensor]) -> None:
        super().__init__()
        self.model, self.target, self.length, self.others = model, target, length, others

    def forward(self, entered: Tensor) -> Tensor:
        n = len(entered)
        others = [part[None].expand(n, *part.shape) for part in self.others]
        return self.model(entered, self.length.expand(n), *others)[:, [self.target]]


def _as_long(steps: Tensor, n_steps: int) -> Tensor:
    times = -(-n_steps // len(steps))
    return steps.repeat(times, *[1] * (steps.ndim - 1))[:n_steps]


def grad_cam(batch: Batch) -> Tensor:
    """Weigh the maps of the last convolution by their mean gradient; what speaks against is left out.

    Source: Selvaraju et al. 2017. The map is coarser than the input, and brought to its size by straight lines.

    Raises:
        ValueError: If the network has no convolutions over its whole input.
    """
    from captum.attr import LayerGradCam

    convolutions = getattr(batch.encoder, "convolutions", None)
    if convolutions is None or not isinstance(batch.encoder, Network):
        raise ValueError(
            f"{type(batch.encoder).__name__} has no convolutions over time that grad-cam could look at; expected "
            "audio/cnn-2d or audio/cnn-bilstm-mel and their kin. Take integrated-gradients or occlusion."
        )
    maps = LayerGradCam(batch.model, convolutions[-1]).attribute(
        batch.entered, target=batch.targets, additional_forward_args=batch.arguments, relu_attributions=True
    )
    values = torch.zeros_like(batch.entered)
    for row, length in enumerate(batch.lengths.tolist()):
        n_left = -(-length * maps.shape[2] // batch.entered.shape[1])
        own = maps[row : row + 1, :, :n_left] * (maps.shape[2] / n_left)  # the mean gradient is over padding as well
        own = own if own.ndim > 3 else own[..., None]  # (1, 1, steps, bands)
        shape = (length, batch.entered.shape[2])
        values[row, :length] = nn.functional.interpolate(own, shape, mode="bilinear", align_corners=False)[0, 0]
    return values


def attention(batch: Batch) -> Tensor:
    """Look where attention looks: over steps that are summed up, or in the last layer of a text encoder.

    Weights are at least 0 and sum to 1; those of an encoder are means over heads and over all pieces that ask. They
    know no emotion, so they explain none: Jain and Wallace 2019.

    Raises:
        ValueError: If the network has no such attention.
    """
    weights = _asked(batch) if isinstance(batch.encoder, TextEncoder) else _summed_up(batch)  # (batch, steps)
    values = torch.zeros_like(batch.entered)
    for row, length in enumerate(batch.lengths.tolist()):
        own = weights[row, : -(-length * weights.shape[1] // batch.entered.shape[1])]
        spread = nn.functional.interpolate(own[None, None], length, mode="nearest")[0, 0]
        values[row, :length] = (spread / spread.sum()).reshape(-1, *[1] * (values.ndim - 2))
    return values / values[0, 0].numel()


def _summed_up(batch: Batch) -> Tensor:
    """Return the weights by which an encoder sums its states up, (batch, states)."""
    summary: Any = getattr(batch.encoder, "summary", None)
    if getattr(summary, "score", None) is None:
        raise ValueError(
            f"{type(batch.encoder).__name__} sums up without attention; expected text/bilstm, audio/cnn-bilstm, "
            "video/cnn or a text encoder. There is nothing to show here."
        )
    seen: list[Tensor] = []
    with summary.register_forward_hook(lambda module, given, _: seen.append(module.weights(*given)[..., 0])):
        batch.logits(batch.entered)
    return seen[-1].detach()


def _asked(batch: Batch) -> Tensor:
    """Return how much each piece of a text is asked for in the encoder's last layer, (batch, pieces)."""
    encoder, mask = batch.encoder.encoder, sequence_mask(batch.lengths, batch.entered.shape[1])
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the faster ones keep no weights
    try:
        with torch.no_grad():
            said = encoder(inputs_embeds=batch.entered, attention_mask=mask.long(), output_attentions=True)
    finally:
        encoder.set_attn_implementation(before)
    each = said.attentions[-1].mean(dim=1) * mask[..., None]  # (batch, asking pieces, asked pieces)
    return each.sum(dim=1) / batch.lengths[:, None]


METHODS: dict[str, Callable[[Batch], Tensor]] = {
    "integrated-gradients": integrated_gradients,
    "saliency": saliency,
    "gradient-x-input": gradient_x_input,
    "deep-lift": deep_lift,
    "shap-gradient": expected_gradients,
    "grad-cam": grad_cam,
    "attention": attention,
}
COMPLETE = ("integrated-gradients", "deep-lift")  # their values add up to the logit less that of the baseline


def attribute(recognizer: Recognizer, corpus: Corpus, method: str, request: Request) -> list[Attribution]:
    """Explain utterances by gradients; see `emolab.explain.explain`.

    Raises:
        ValueError: If the recognizer is no network, has no such input, or the method does not suit it.
    """
    network, place = entrance(recognizer, request.modality, method)
    extractor, names = network.features[place], corpus.table["utterance_id"]
    units = _units(extractor, request.modality, corpus)
    parts: dict[int, Attribution] = {}
    for rows, batch in _batches(network, place, corpus, request):
        values, after = METHODS[method](batch).detach(), batch.logits(batch.entered).tolist()
        before = _references(method, batch)
        for row, number in enumerate(rows):
            native = _native(values[row], int(batch.lengths[row]), request.modality)
            unit = units[number]
            owners = unit.owners if unit.owners is not None else owners_in_time(len(native), unit.hop_s, unit.spans)
            own = summed(native, owners, len(unit.names))
            emotion = network.emotions[request.targets[number]]
            facts = (unit.names, own, unit.spans, native, unit.steps, after[row], before[row])
            parts[number] = Attribution(names.iloc[number], emotion, *facts)
    return [parts[number] for number in range(len(corpus))]


def entrance(recognizer: Recognizer, modality: str, method: str) -> tuple[NetworkRecognizer, int]:
    """Return a network and the number of the front end by which it takes a modality in.

    Raises:
        ValueError: If the recognizer is no network, or does not take this modality in step by step.
    """
    remedy = "Take ablation, occlusion or kernel-shap, or for modalities shapley: they ask any recognizer."
    if not isinstance(recognizer, NetworkRecognizer) or recognizer.segment_s is not None:
        kind = "judges segments" if isinstance(recognizer, NetworkRecognizer) else "is no network"
        raise ValueError(f"{recognizer.name} {kind}; {method} expects one network for whole utterances. {remedy}")
    inputs = [input_of(recognizer, place) for place in range(len(recognizer.features))]
    if modality not in inputs:
        raise ValueError(
            f"{recognizer.name} takes in {', '.join(inputs)}, where {method} expects {modality} step by step. {remedy}"
        )
    return _on_cpu(recognizer), inputs.index(modality)


def _on_cpu(network: NetworkRecognizer) -> NetworkRecognizer:
    """Return a recognizer whose network is on the CPU: those of a GPU refuse gradients through an LSTM in use."""
    if next(network.network.parameters()).device.type == "cpu":
        return network
    moved = copy.copy(network)
    moved.network = copy.deepcopy(network.network).cpu()
    return moved


def only_features(recognizer: Recognizer) -> bool:
    """Whether a network sees nothing but one vector of named features."""
    if not isinstance(recognizer, NetworkRecognizer):
        return False
    return {input_of(recognizer, place) for place in range(len(recognizer.features))} == {"features"}


def input_of(network: NetworkRecognizer, place: int) -> str:
    """Name what one front end gives a network: a modality step by step, "features", or vectors without units."""
    extractor = network.features[place]
    if isinstance(encoder_of(network, place), Mlp):
        return "features"
    frozen = getattr(extractor, "frozen", False) and hasattr(extractor, "encoder")
    worded = isinstance(extractor, Tokens | Subwords)
    return extractor.modality if not frozen and (worded or hasattr(extractor, "hop_s")) else "vectors"


def encoder_of(network: NetworkRecognizer, place: int) -> Any:
    """Return the part of a network that reads one front end."""
    encoders = getattr(network.network, "encoders", None)
    return network.network if encoders is None else encoders[place]


class _Units(NamedTuple):
    """The units of one utterance; without owners, step k of the network is at k * hop_s seconds."""

    names: tuple[str, ...]
    spans: NDArray[np.float64]  # (n_units, 2) seconds
    owners: NDArray[np.int64] | None = None  # of the network's steps
    steps: tuple[str, ...] = ()  # their names
    hop_s: float = NO_TIME


def _units(extractor: Any, modality: str, corpus: Corpus) -> list[_Units]:
    if modality == "features":
        names = tuple(extractor.feature_names)
        return [_Units(names, _timeless(len(names)), np.arange(len(names)), names)] * len(corpus)
    if modality == "text":
        return [_words_of(extractor, text) for text in corpus.texts()]
    if modality == "audio":
        spans = [sound_spans(len(read_audio(path)) / SAMPLE_RATE) for path in corpus.audio_paths()]
    else:
        spans = [frame_spans(len(array), extractor.hop_s) for array in extractor.transform(corpus)]
    return [_Units(names_in_time(own), own, hop_s=extractor.hop_s) for own in spans]


def _words_of(extractor: Any, text: str) -> _Units:
    if isinstance(extractor, Tokens):
        owners, steps = owners_of_words(text), tuple(words(text)) or (text,)
    else:
        owners, steps = owners_of_pieces(text, extractor.tokenizer), tuple(extractor.tokenizer.encode(text).tokens)
    names = tuple(text.split())
    return _Units(names, _timeless(len(names)), owners, steps)


def _timeless(n_units: int) -> NDArray[np.float64]:
    return np.full((n_units, 2), NO_TIME)


def _batches(
    network: NetworkRecognizer, place: int, corpus: Corpus, request: Request
) -> Iterator[tuple[list[int], Batch]]:
    """Yield batches of utterances of similar length, and their rows."""
    inputs, encoder = network.inputs(corpus), encoder_of(network, place)
    baseline = checked_baseline(request.baseline, BASELINES[request.modality])
    instead = _instead(network.features[place], request.modality, corpus, inputs[place], baseline)
    network.network.eval()
    model = Centred(network.network, place)
    background = list(_background(network, place, request.background)) if request.background is not None else []
    order = np.argsort([len(array) for array in inputs[place]], kind="stable").tolist()
    for start in range(0, len(order), N_UTTERANCES):
        rows = order[start : start + N_UTTERANCES]
        padded = [pad([arrays[row] for row in rows]) for arrays in inputs]
        with torch.no_grad():
            entered, lengths = encoder.input_embeddings(*padded[place])
            against, _ = encoder.input_embeddings(*pad([instead[row] for row in rows]))
        others = tuple(tensor for number, pair in enumerate(padded) if number != place for tensor in pair)
        targets = torch.from_numpy(request.targets[rows])
        entered.requires_grad_()  # so that Captum need not warn that it does
        yield rows, Batch(model, encoder, entered, against, lengths, others, targets, request, background)


def _instead(
    extractor: Any, modality: str, corpus: Corpus, arrays: Sequence[NDArray[Any]], baseline: str
) -> Sequence[NDArray[Any]]:
    """Return what stands for the input of each utterance, in the shape of `arrays`."""
    if baseline == "silence":
        waves = zip(corpus.table["utterance_id"], map(read_audio, corpus.audio_paths()), strict=True)
        return list(extractor.transform(corpus.with_media(audio={name: np.zeros_like(wave) for name, wave in waves})))
    if modality == "text":
        return [_marked(extractor, array, baseline) for array in arrays]
    if baseline == "grey":
        return [np.full_like(array, GREY) for array in arrays]
    if modality == "video" and arrays[0].dtype == np.uint8:
        return [np.broadcast_to(np.rint(array.mean(axis=0)).astype(np.uint8), array.shape) for array in arrays]
    if modality == "audio" and not hasattr(extractor, "scale"):
        raise ValueError(
            f'the input of {type(extractor).__name__} has no mean that stands for nothing; expected baseline="silence".'
        )
    return [np.zeros_like(array) for array in arrays]  # scaled features: the mean of training


def _marked(extractor: Any, tokens: NDArray[np.int64], baseline: str) -> NDArray[np.int64]:
    """Return tokens in which every word is padding, or the mark for a hidden one; marks around the text stay."""
    if isinstance(extractor, Tokens):
        return np.full_like(tokens, PAD if baseline == "padding" else UNKNOWN)
    tokenizer = extractor.tokenizer
    marks = PAD_MARKS if baseline == "padding" else MASK_MARKS
    number = next((found for mark in marks if (found := tokenizer.token_to_id(mark)) is not None), 0)
    around = np.array([token in AROUND for token in map(tokenizer.id_to_token, tokens.tolist())], bool)
    return np.where(around, tokens, number)


def _background(network: NetworkRecognizer, place: int, corpus: Corpus) -> Iterator[Tensor]:
    """Yield a few utterances, spread over a corpus, as the network takes them in: (steps, …) each."""
    chosen = np.linspace(0, len(corpus) - 1, min(N_BACKGROUND, len(corpus))).round().astype(int)
    few = corpus.select(np.isin(np.arange(len(corpus)), chosen))
    with torch.no_grad():
        for array in network.inputs(few)[place]:
            entered, lengths = encoder_of(network, place).input_embeddings(*pad([array]))
            yield entered[0, : int(lengths[0])] if entered.ndim > 2 else entered[0]


def _references(method: str, batch: Batch) -> list[float]:
    """Return (batch,) logits that the values of a method are told from; NaN for methods whose values have no sum."""
    if method in COMPLETE:
        return batch.logits(batch.baseline).tolist()
    return [NO_TIME] * len(batch.targets)


def _native(values: Tensor, length: int, modality: str) -> NDArray[np.float32]:
    """Return what stands at the model's own resolution, of (steps, …) with `length` real ones."""
    array = values.float().cpu().numpy()
    if modality == "features":
        return array
    array = array[:length]
    if modality == "text":
        return array.sum(axis=1)
    if modality == "video" and array.ndim > 3:
        return array.sum(axis=3)  # of red, green and blue
    return array.reshape(-1, array.shape[-1])  # VGGish takes in pictures of several frames
