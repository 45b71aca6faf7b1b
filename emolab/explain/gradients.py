"""Gradients of networks, by Captum: what each mel bin, word vector or pixel adds to an emotion's logit."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from captum import attr
from numpy.typing import NDArray
from torch import Tensor, nn

from emolab.corpora.corpus import Corpus
from emolab.explain import explanation as units
from emolab.explain.explanation import SET, Attribution, Explained, Explanation, Floats, Numbers, Options, few_of
from emolab.explain.maskers import checked_baseline, known_token, masker_for, still
from emolab.explain.perturbation import run_captum, running
from emolab.features.pretrained import AudioHiddenStates, TextHiddenStates
from emolab.features.text import PAD, UNKNOWN, words
from emolab.features.video import FaceFunctionals
from emolab.media import read_audio
from emolab.models.pretrained import TextEncoder
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.training import pad, taken_inputs, threads

# of the inputs of a network; the first one is taken where none is named; of features it is the mean
BASELINES = {"audio": ("silence", "mean"), "text": ("padding", "mask"), "video": ("mean", "grey")}
COMPLETE = (attr.IntegratedGradients, attr.DeepLift)  # their values add up to the logit less that of the baseline


class Centred(nn.Module):
    """A network as a function of what one of its encoders computes with; its logits less their mean.

    Measured features are that already. Tokens become vectors: by `input_embeddings` where the encoder has it, else by
    its first nn.Embedding, whose output is then replaced (what Captum's layer methods do).
    """

    def __init__(self, network: nn.Module, place: int, n_inputs: int = 1) -> None:
        super().__init__()
        self.network, self.place, self.taken = network, place, taken_inputs(network, n_inputs)
        self.encoder: Any = getattr(network, "encoders", {place: network})[place]
        self.embedding: nn.Module | None = None  # of a foreign network of tokens

    def embed(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a padded batch into floats (batch, steps, …) that gradients can reach, and their lengths."""
        if hasattr(self.encoder, "input_embeddings"):
            return self.encoder.input_embeddings(values, lengths)
        if values.dtype != torch.int64:
            return values.float(), lengths
        self.embedding = next((part for part in self.encoder.modules() if isinstance(part, nn.Embedding)), None)
        if self.embedding is None:
            kind = type(self.encoder).__name__
            raise ValueError(f"{kind} takes tokens and has no nn.Embedding; expected one. Take ablation or the like.")
        return self.embedding(values), lengths

    def forward(self, entered: Tensor, *arguments: Tensor) -> Tensor:
        """Return (batch, n_emotions); `arguments` are values and lengths of all modalities, without these values."""
        inputs = list(arguments)
        if self.embedding is None:
            inputs.insert(2 * self.place, entered)
            logits = self.network(*inputs[self.taken])
        else:
            with self.embedding.register_forward_hook(lambda *_: entered):
                logits = self.network(*inputs[self.taken])
        return logits - logits.mean(dim=1, keepdim=True)


@dataclass
class Entered:
    """An utterance as the network takes it in, alone: padding and neighbours change no gradient."""

    model: Centred
    values: Tensor  # (1, steps, …) float
    baseline: Tensor  # the same shape
    arguments: tuple[Tensor, ...]  # what the model takes besides
    target: int
    options: Options
    background: Sequence[Tensor]  # (steps, …) each, as the network takes them in

    def logit(self, values: Tensor) -> float:
        """Return the logit of the target."""
        with torch.no_grad():
            return float(self.model(values, *self.arguments)[0, self.target])


def by_captum(engine: Any, one: Entered) -> Tensor:
    """Run a gradient class of Captum on what the network computes with.

    Expected gradients (GradientShap; Erion et al. 2021) start from utterances of training, each cut, or repeated, until
    it is as long as the explained one.

    Raises:
        ValueError: If it fails, or has nothing to start from.
    """
    starts = one.baseline
    if issubclass(engine, attr.GradientShap):
        if not one.background:
            raise ValueError("shap-gradient has nothing to start from; expected background=fold.train or some of it.")
        steps = torch.arange(one.values.shape[1])
        starts = torch.stack([part[steps % len(part)] for part in one.background])
    n_rows = int(np.clip(SET.n_numbers // max(1, one.values.numel()), 1, SET.n_rows))
    n_samples = one.options.n_samples // SET.samples_a_gradient
    how: dict[str, Any] = {"n_samples": n_samples, "n_steps": one.options.n_steps, "internal_batch_size": n_rows}
    how |= {"target": one.target, "additional_forward_args": one.arguments}
    with warnings.catch_warnings(), running(one.options):
        warnings.filterwarnings("ignore", "Setting .*hooks")  # they are removed again
        return run_captum(engine, one.model, one.values, baselines=starts, **how)


def _unfit(model: Centred, problem: str, expected: str) -> ValueError:
    kind = type(model.encoder).__name__
    return ValueError(f"{kind} {problem}; expected {expected}. Take integrated-gradients, or occlusion.")


def grad_cam(one: Entered) -> Tensor:
    """Weigh the maps of the last convolution by their mean gradient; what speaks against is left out.

    Source: Selvaraju et al. 2017. The map is coarser than the input, and resized by linear interpolation.

    Raises:
        ValueError: If the network has no convolutions over its whole input.
    """
    convolutions: Any = getattr(one.model.encoder, "convolutions", None)
    if convolutions is None or one.values.ndim != 3:
        expected = "audio/cnn-2d, audio/cnn-bilstm-mel, or a network whose attribute `convolutions` lists them"
        raise _unfit(one.model, "has no convolutions over time", expected)
    how: Any = {"target": one.target, "additional_forward_args": one.arguments, "relu_attributions": True}
    maps = attr.LayerGradCam(one.model, convolutions[-1]).attribute(one.values, **how)
    maps = maps if maps.ndim > 3 else maps[..., None]  # (1, 1, steps, bands)
    return nn.functional.interpolate(maps, one.values.shape[1:], mode="bilinear", align_corners=False)[:, 0]


def attention(one: Entered) -> Tensor:
    """Return the weights of attention: over steps that are summed up, or in the last layer of a text encoder.

    Weights are at least 0 and sum to 1; those of an encoder are means over heads and over all subwords that attend.
    They know no emotion, so they explain none: Jain and Wallace 2019.

    Raises:
        ValueError: If the network has no such attention.
    """
    weights = _attended(one) if isinstance(one.model.encoder, TextEncoder) else _summary_weights(one)
    spread = nn.functional.interpolate(weights[None], one.values.shape[1], mode="nearest")[0]  # (1, steps)
    shares = torch.zeros_like(one.values) + (spread / spread.sum()).reshape(1, -1, *[1] * (one.values.ndim - 2))
    return shares / one.values[0, 0].numel()


def _summary_weights(one: Entered) -> Tensor:
    """Return the weights by which an encoder sums its hidden states up, (1, states)."""
    summary: Any = getattr(one.model.encoder, "summary", None)
    if getattr(summary, "score", None) is None:
        raise _unfit(one.model, "sums up without attention", "text/bilstm, audio/cnn-bilstm or a text encoder")
    seen: list[Tensor] = []
    with summary.register_forward_hook(lambda module, given, _: seen.append(module.weights(*given)[..., 0])):
        one.logit(one.values)
    return seen[-1].detach()


def _attended(one: Entered) -> Tensor:
    """Return how much each subword of a text is attended to in the encoder's last layer, (1, subwords)."""
    encoder = one.model.encoder.encoder
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the faster ones keep no weights
    try:
        with torch.no_grad():
            found = encoder(inputs_embeds=one.values, output_attentions=True)
    finally:
        encoder.set_attn_implementation(before)
    return found.attentions[-1].mean(dim=(1, 2))  # (1, heads, attending, attended)


Arrays = Sequence[NDArray[Any]]  # of each utterance
FUNCTIONS: tuple[Any, ...] = (grad_cam, attention)


def fits(engine: Any) -> bool:
    """Whether an engine is one of `FUNCTIONS` or a class of Captum that attributes to a network's input."""
    inner = (attr.LayerAttribution, attr.NeuronAttribution)
    known = isinstance(engine, type) and issubclass(engine, attr.GradientAttribution) and not issubclass(engine, inner)
    return known or engine in FUNCTIONS


def attribute(recognizer: Recognizer, corpus: Corpus, engine: Any, targets: Numbers, options: Options) -> Explained:
    """Explain utterances by gradients; return the baseline that the method really starts from, too.

    Args:
        recognizer: A network, of any class.
        corpus: The utterances.
        engine: See `fits`.
        targets: (n_utterances,) numbers of the emotions explained.
        options: modality, baseline, n_steps, n_samples, background and seed.

    Raises:
        ValueError: If the recognizer is no network, has no such input, or the method does not suit it.
    """
    network, place = _network_input(recognizer, corpus, options)
    extractor, names = network.features[place], corpus.table["utterance_id"]
    baseline = checked_baseline(options.baseline, BASELINES.get(options.modality, ("mean",)))
    masker = masker_for(network, corpus, options.modality) if options.modality != "features" else None
    texts, made = corpus.texts() if options.modality == "text" else [""] * len(corpus), list[Attribution]()
    for row, one in enumerate(_entered(network, place, corpus, targets, options._replace(baseline=baseline))):
        with threads(network.network):
            values = (engine(one) if engine in FUNCTIONS else by_captum(engine, one)).detach()[0]
            after, before = one.logit(one.values), one.logit(one.baseline) if engine in COMPLETE else np.nan
        native = _native(values, options.modality)
        if masker:
            named, spans = masker.names[row], masker.spans[row]
            owners, steps = _owners(extractor, options.modality, texts[row], len(native), spans)
        else:
            named = steps = tuple(extractor.feature_names)
            spans, owners = units.no_spans(len(named)), np.arange(len(named))
        facts = (named, units.summed(native, owners, len(named)), spans, native, steps, after, before)
        made.append(Attribution(names.iloc[row], network.emotions[targets[row]], *facts))
    missed = Explanation("", options.method, options.modality, baseline, tuple(made)).relative_convergence_delta
    if engine is attr.DeepLift and missed > SET.max_delta:
        suits = "dense layers and nn.ReLU modules, without recurrence or attention, such as audio/mlp"
        raise _unfit(one.model, f"has logits that the rules of {options.method} miss by {missed:.0%}", suits)
    starts = engine not in FUNCTIONS and "baselines" in signature(engine.attribute).parameters
    taken = "training" if engine is attr.GradientShap else baseline if starts else "none"
    return made, taken


def _network_input(recognizer: Recognizer, corpus: Corpus, options: Options) -> tuple[NetworkRecognizer, int]:
    """Return a recognizer with its network on the CPU, and which of its inputs is of this modality.

    A GPU refuses gradients through an LSTM in evaluation mode.
    """
    inputs, problem = [input_of(extractor) for extractor in recognizer.features], "is no network"
    if isinstance(recognizer, NetworkRecognizer):
        whole = recognizer.segment_s is None or recognizer.takes_whole(corpus)
        if whole and options.modality in inputs:
            moved = copy.copy(recognizer)
            if any(weights.device.type != "cpu" for weights in recognizer.network.parameters()):
                moved.network = copy.deepcopy(recognizer.network).cpu()
            return moved, inputs.index(options.modality)
        problem = f"takes in {', '.join(inputs)}" if whole else "predicts segments"
    why = f"{recognizer.name} {problem}; {options.method} expects one network for whole utterances that takes in"
    raise ValueError(f"{why} {options.modality} step by step. Take ablation, occlusion, or for modalities shapley.")


def input_of(extractor: Any) -> str:
    """Return what an extractor gives a network: a modality step by step, "features", or vectors without units."""
    stepwise = hasattr(extractor, "hop_s") and not isinstance(extractor, FaceFunctionals)
    if extractor.feature_names and not stepwise:
        return "features"
    tokens = hasattr(extractor, "vocabulary") or hasattr(extractor, "tokenizer")
    frozen = isinstance(extractor, AudioHiddenStates | TextHiddenStates)
    known = (tokens or stepwise) and not frozen and len(extractor.modalities) == 1
    return extractor.modalities[0] if known else "vectors"


def _owners(extractor: Any, modality: str, text: str, n_steps: int, spans: Floats) -> tuple[Numbers, tuple[str, ...]]:
    """Return the unit of each of a network's steps, and the names of steps that have any."""
    if modality != "text":
        return units.owners_in_time(n_steps, extractor.hop_s, spans), ()
    if hasattr(extractor, "vocabulary"):
        return units.owners_of_words(text), tuple(words(text)) or (text,)
    return units.owners_of_subwords(text, extractor.tokenizer), tuple(extractor.tokenizer.encode(text).tokens)


def _entered(
    network: NetworkRecognizer, place: int, corpus: Corpus, targets: NDArray[np.int64], options: Options
) -> Iterator[Entered]:
    """Yield utterance after utterance."""
    inputs, model = network.inputs(corpus), Centred(network.network.eval(), place, len(network.features))
    instead = _instead(network.features[place], corpus, inputs[place], options)
    background = list[Tensor]()
    with torch.no_grad():
        for array in network.inputs(few_of(options.background, SET.n_background))[place] if options.background else ():
            values, lengths = model.embed(*pad([array]))
            background.append(values[0, : int(lengths[0])] if values.ndim > 2 else values[0])
    for row, target in enumerate(targets.tolist()):
        taken: list[tuple[Tensor, ...]] = [pad([arrays[row]]) for arrays in inputs]
        with torch.no_grad():
            values, lengths = model.embed(*taken[place])
            against, _ = model.embed(*pad([instead[row]]))
        if model.embedding is None:
            taken[place] = (lengths,)
        arguments = tuple(tensor for pair in taken for tensor in pair)
        values.requires_grad_()  # so that Captum need not warn that it does
        yield Entered(model, values, against, arguments, target, options, background)


def _instead(extractor: Any, corpus: Corpus, arrays: Arrays, options: Options) -> Arrays:
    """Return the baseline of each utterance, in the shape of `arrays`, what the extractor makes of it."""
    modality, baseline = options.modality, options.baseline or ""
    if baseline == "silence":
        waves = zip(corpus.table["utterance_id"], map(read_audio, corpus.audio_paths()), strict=True)
        return list(extractor.transform(corpus.with_media(audio={name: np.zeros_like(wave) for name, wave in waves})))
    if modality == "text" and hasattr(extractor, "vocabulary"):
        return [np.full_like(array, PAD if baseline == "padding" else UNKNOWN) for array in arrays]
    if modality == "text":  # special tokens around the text stay
        instead = known_token(extractor.tokenizer, SET.pad_tokens if baseline == "padding" else SET.mask_tokens)
        number = extractor.tokenizer.token_to_id(instead) if instead else 0
        special = [extractor.tokenizer.encode(text).special_tokens_mask for text in corpus.texts()]
        return [np.where(own, array, number) for own, array in zip(special, arrays, strict=True)]
    if modality == "video" and arrays[0].dtype == np.uint8:
        return [np.broadcast_to(still(array, baseline), array.shape) for array in arrays]
    if modality == "audio" and not hasattr(extractor, "scale"):
        kind = type(extractor).__name__
        raise ValueError(f'the input of {kind} has no mean that stands for nothing; expected baseline="silence".')
    return [np.zeros_like(array) for array in arrays]  # scaled features: the mean of training


def _native(values: Tensor, modality: str) -> NDArray[np.float32]:
    """Return what stands at the model's own resolution, of (steps, …)."""
    array = values.numpy()
    if modality == "text" or (modality == "video" and array.ndim > 3):
        return array.sum(axis=-1)  # of a word vector; of red, green and blue
    return array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array  # VGGish takes in examples of frames
