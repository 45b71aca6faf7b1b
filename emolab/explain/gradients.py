"""Gradients of networks, by Captum: what each mel bin, word vector or pixel adds to an emotion's logit."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
import torch
from captum import attr
from numpy.typing import NDArray
from torch import Tensor, nn

from emolab.corpora.corpus import Corpus
from emolab.explain import explanation as units
from emolab.explain.explanation import NO_TIME, Attribution, Floats, Options
from emolab.explain.maskers import GREY, MASK_TOKENS, checked_baseline
from emolab.explain.perturbation import running
from emolab.features.pretrained import AudioHiddenStates, TextHiddenStates
from emolab.features.text import PAD, UNKNOWN, words
from emolab.features.video import FaceFunctionals
from emolab.media import SAMPLE_RATE, read_audio
from emolab.models.pretrained import TextEncoder
from emolab.models.sequence import sequence_mask
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.training import pad, taken_inputs, threads

BASELINES = {  # of the inputs of a network, the first one is taken where none is named
    "audio": ("silence", "mean"),
    "text": ("padding", "mask"),
    "video": ("mean", "grey"),
    "features": ("mean",),
}
PAD_TOKENS = ("[PAD]", "<pad>")
SPECIAL_TOKENS = ("[CLS]", "[SEP]", "<s>", "</s>")  # that a tokenizer sets around a text
N_ROWS = 32  # of a batch that the network sees at once, at most; more take memory and no less time
N_NUMBERS = 1_000_000  # of such a batch; hidden states take a multiple of that
N_UTTERANCES = 16  # explained together
SAMPLES_A_GRADIENT = 4  # a drawn gradient costs as much as so many coalitions
N_BACKGROUND = 16  # utterances that expected gradients start from
MAX_DELTA = 0.05  # of the difference of the logits, from which on DeepLIFT's rules do not hold
COMPLETE = (attr.IntegratedGradients, attr.DeepLift)  # their values add up to the logit less that of the baseline
IN_BATCHES = (*COMPLETE, attr.Saliency, attr.InputXGradient)  # others may mix the baselines of a batch


class Centred(nn.Module):
    """A network as a function of what one of its encoders computes with; its logits less their mean.

    Measured features are that already. Tokens become vectors: by `input_embeddings` where the encoder has it, else by
    its first nn.Embedding, whose output is then replaced (what Captum's layer methods do).
    """

    def __init__(self, network: nn.Module, place: int, n_inputs: int = 1) -> None:
        super().__init__()
        self.network, self.place, self.taken = network, place, taken_inputs(network, n_inputs)
        encoders = getattr(network, "encoders", None)
        self.encoder: Any = network if encoders is None else encoders[place]
        self.embedding: nn.Module | None = None  # of a foreign network of tokens

    def embed(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a padded batch into floats (batch, steps, …) that gradients can reach, and their lengths."""
        if hasattr(self.encoder, "input_embeddings"):
            return self.encoder.input_embeddings(values, lengths)
        if values.dtype != torch.int64:
            return values.float(), lengths
        self.embedding = next((part for part in self.encoder.modules() if isinstance(part, nn.Embedding)), None)
        if self.embedding is None:
            raise ValueError(
                f"{type(self.encoder).__name__} takes tokens and has no nn.Embedding; expected one, whose vectors a "
                "gradient can reach. Take ablation, occlusion or kernel-shap."
            )
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
class Batch:
    """Some utterances as the network takes them in."""

    model: Centred
    entered: Tensor  # (batch, steps, …) float
    baseline: Tensor  # the same shape
    lengths: Tensor  # of what is entered
    arguments: tuple[Tensor, ...]  # what the model takes besides
    targets: Tensor
    options: Options
    background: Sequence[Tensor] = field(default_factory=list)  # (steps, …) each, as the network takes them in

    def logits(self, entered: Tensor) -> Tensor:
        """Return (batch,) logits of the targets."""
        with torch.no_grad():
            return self.model(entered, *self.arguments).gather(1, self.targets[:, None])[:, 0]


def by_captum(engine: Any, batch: Batch) -> Tensor:
    """Run a gradient class of Captum on what the network computes with.

    Raises:
        ValueError: If it fails, or its rules do not hold for the network.
    """
    n_rows = int(np.clip(N_NUMBERS // max(1, batch.entered[0].numel()), len(batch.entered), N_ROWS))
    given = {"baselines": batch.baseline, "n_steps": batch.options.n_steps, "internal_batch_size": n_rows}
    given["n_samples"] = batch.options.n_samples // SAMPLES_A_GRADIENT
    known = signature(engine.attribute).parameters
    how: dict[str, Any] = {name: own for name, own in given.items() if name in known}
    with warnings.catch_warnings(), running(batch.options):
        warnings.filterwarnings("ignore", "Setting .*hooks")  # they are removed again
        values = engine(batch.model).attribute(
            batch.entered, target=batch.targets, additional_forward_args=batch.arguments, **how
        )
    if issubclass(engine, attr.DeepLift):
        _check_delta(batch, values)
    return values


def _check_delta(batch: Batch, values: Tensor) -> None:
    difference = batch.logits(batch.entered) - batch.logits(batch.baseline)
    delta = (values.detach().flatten(1).sum(dim=1) - difference).abs().sum() / difference.abs().sum()
    if delta > MAX_DELTA:
        raise _unfit(
            batch,
            f"has logits that the rules of {batch.options.method} miss by {delta:.0%}",
            "dense layers and nn.ReLU modules, without recurrence or attention, such as audio/mlp",
        )


def _unfit(batch: Batch, problem: str, expected: str) -> ValueError:
    kind = type(batch.model.encoder).__name__
    return ValueError(f"{kind} {problem}; expected {expected}. Take integrated-gradients, or occlusion.")


def expected_gradients(batch: Batch) -> Tensor:
    """Average gradients on the way from utterances of training to the input: expected gradients.

    Source: Erion et al. 2021.

    A background utterance is cut, or repeated, until it is as long as the explained one.

    Raises:
        ValueError: If no background is given.
    """
    if not batch.background:
        raise ValueError("shap-gradient has nothing to start from; expected background=fold.train or some of it.")
    values = torch.zeros_like(batch.entered)
    n_samples = batch.options.n_samples // SAMPLES_A_GRADIENT
    n_rounds = -(-n_samples // N_ROWS)
    for row, (length, target) in enumerate(zip(batch.lengths.tolist(), batch.targets.tolist(), strict=True)):
        n_steps = length if batch.entered.ndim > 2 else batch.entered.shape[1]
        steps, rest = torch.arange(n_steps), tuple(part[[row]] for part in batch.arguments)
        starts = torch.stack([part[steps % len(part)] for part in batch.background])
        own, explainer = batch.entered[[row], :n_steps], attr.GradientShap(batch.model)
        given: dict[str, Any] = {"target": target, "additional_forward_args": rest}
        with running(batch.options):
            drawn = [explainer.attribute(own, starts, n_samples // n_rounds, **given) for _ in range(n_rounds)]
        values[row, :n_steps] = torch.cat(drawn).mean(dim=0)
    return values


def grad_cam(batch: Batch) -> Tensor:
    """Weigh the maps of the last convolution by their mean gradient; what speaks against is left out.

    Source: Selvaraju et al. 2017. The map is coarser than the input, and resized by linear interpolation.

    Raises:
        ValueError: If the network has no convolutions over its whole input.
    """
    convolutions: Any = getattr(batch.model.encoder, "convolutions", None)
    if convolutions is None or batch.entered.ndim != 3:
        expected = "audio/cnn-2d, audio/cnn-bilstm-mel, or a network whose attribute `convolutions` lists them"
        raise _unfit(batch, "has no convolutions over time", expected)
    maps = attr.LayerGradCam(batch.model, convolutions[-1]).attribute(
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
    """Return the weights of attention: over steps that are summed up, or in the last layer of a text encoder.

    Weights are at least 0 and sum to 1; those of an encoder are means over heads and over all subwords that attend.
    They know no emotion, so they explain none: Jain and Wallace 2019.

    Raises:
        ValueError: If the network has no such attention.
    """
    encoder: Any = batch.model.encoder
    weights = _attended(encoder, batch) if isinstance(encoder, TextEncoder) else _summary_weights(encoder, batch)
    values = torch.zeros_like(batch.entered)
    for row, length in enumerate(batch.lengths.tolist()):
        own = weights[row, : -(-length * weights.shape[1] // batch.entered.shape[1])]
        spread = nn.functional.interpolate(own[None, None], length, mode="nearest")[0, 0]
        values[row, :length] = (spread / spread.sum()).reshape(-1, *[1] * (values.ndim - 2))
    return values / values[0, 0].numel()


def _summary_weights(encoder: Any, batch: Batch) -> Tensor:
    """Return the weights by which an encoder sums its hidden states up, (batch, states)."""
    summary: Any = getattr(encoder, "summary", None)
    if getattr(summary, "score", None) is None:
        expected = "text/bilstm, audio/cnn-bilstm, video/cnn or a text encoder"
        raise _unfit(batch, "sums up without attention", expected)
    seen: list[Tensor] = []
    with summary.register_forward_hook(lambda module, given, _: seen.append(module.weights(*given)[..., 0])):
        batch.logits(batch.entered)
    return seen[-1].detach()


def _attended(network: TextEncoder, batch: Batch) -> Tensor:
    """Return how much each subword of a text is attended to in the encoder's last layer, (batch, subwords)."""
    encoder, mask = network.encoder, sequence_mask(batch.lengths, batch.entered.shape[1])
    before = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the faster ones keep no weights
    try:
        with torch.no_grad():
            found = encoder(inputs_embeds=batch.entered, attention_mask=mask.long(), output_attentions=True)
    finally:
        encoder.set_attn_implementation(before)
    each = found.attentions[-1].mean(dim=1) * mask[..., None]  # (batch, attending, attended)
    return each.sum(dim=1) / batch.lengths[:, None]


FUNCTIONS: tuple[Any, ...] = (expected_gradients, grad_cam, attention)


def fits(engine: Any) -> bool:
    """Whether an engine is one of `FUNCTIONS` or a class of Captum that attributes to a network's input."""
    inner = (attr.LayerAttribution, attr.NeuronAttribution)
    known = isinstance(engine, type) and issubclass(engine, attr.GradientAttribution) and not issubclass(engine, inner)
    return known or engine in FUNCTIONS


def attribute(
    recognizer: Recognizer, corpus: Corpus, engine: Any, targets: NDArray[np.int64], options: Options
) -> list[Attribution]:
    """Explain utterances by gradients.

    Args:
        recognizer: A network, of any class.
        corpus: The utterances.
        engine: See `fits`.
        targets: (n_utterances,) numbers of the emotions explained.
        options: modality, baseline, n_steps, n_samples, background and seed.

    Raises:
        ValueError: If the recognizer is no network, has no such input, or the method does not suit it.
    """
    network, place = _network_input(recognizer, options)
    extractor, names = network.features[place], corpus.table["utterance_id"]
    found: dict[int, Attribution] = {}
    for rows, batch in _batches(network, place, corpus, engine, targets, options):
        with threads(network.network):
            values = (engine(batch) if engine in FUNCTIONS else by_captum(engine, batch)).detach()
            after, before = batch.logits(batch.entered).tolist(), [NO_TIME] * len(rows)
            if engine in COMPLETE:
                before = batch.logits(batch.baseline).tolist()
        for row, number in enumerate(rows):
            native = _native(values[row], int(batch.lengths[row]), options.modality)
            named, spans, owners, steps = _units(extractor, options.modality, corpus, number, len(native))
            facts = (named, units.summed(native, owners, len(named)), spans, native, steps, after[row], before[row])
            found[number] = Attribution(names.iloc[number], network.emotions[targets[number]], *facts)
    return [found[number] for number in range(len(corpus))]


def taken_baseline(engine: Any, options: Options) -> str:
    """Name the baseline that a method really starts from."""
    if engine in FUNCTIONS:
        return "training" if engine is expected_gradients else "none"
    known = "baselines" in signature(engine.attribute).parameters
    return checked_baseline(options.baseline, BASELINES[options.modality]) if known else "none"


def _network_input(recognizer: Recognizer, options: Options) -> tuple[NetworkRecognizer, int]:
    """Return a network on the CPU and the number of the extractor whose values of this modality it takes in."""
    inputs, problem = [input_of(extractor) for extractor in recognizer.features], "is no network"
    if isinstance(recognizer, NetworkRecognizer):
        if recognizer.segment_s is None and options.modality in inputs:
            return _on_cpu(recognizer), inputs.index(options.modality)
        problem = f"takes in {', '.join(inputs)}" if recognizer.segment_s is None else "predicts segments"
    raise ValueError(
        f"{recognizer.name} {problem}; {options.method} expects one network for whole utterances that takes in "
        f"{options.modality} step by step. Take ablation, occlusion or kernel-shap, or for modalities shapley: they "
        "work for any recognizer."
    )


def _on_cpu(recognizer: NetworkRecognizer) -> NetworkRecognizer:
    """Return a recognizer whose network is on the CPU: a GPU refuses gradients through an LSTM in evaluation mode."""
    if all(weights.device.type == "cpu" for weights in recognizer.network.parameters()):
        return recognizer
    moved = copy.copy(recognizer)
    moved.network = copy.deepcopy(recognizer.network).cpu()
    return moved


def only_features(recognizer: Recognizer) -> bool:
    """Whether a network takes in nothing but one vector of named features."""
    inputs = {input_of(extractor) for extractor in recognizer.features}
    return isinstance(recognizer, NetworkRecognizer) and inputs == {"features"}


def input_of(extractor: Any) -> str:
    """Return what an extractor gives a network: a modality step by step, "features", or vectors without units."""
    stepwise = hasattr(extractor, "hop_s") and not isinstance(extractor, FaceFunctionals)
    if extractor.feature_names and not stepwise:
        return "features"
    tokens = hasattr(extractor, "vocabulary") or hasattr(extractor, "tokenizer")
    frozen = isinstance(extractor, AudioHiddenStates | TextHiddenStates)
    known = (tokens or stepwise) and not frozen and len(extractor.modalities) == 1
    return extractor.modalities[0] if known else "vectors"


def _units(
    extractor: Any, modality: str, corpus: Corpus, row: int, n_steps: int
) -> tuple[tuple[str, ...], Floats, NDArray[np.int64], tuple[str, ...]]:
    """Return names and spans of the units of an utterance, the unit of each step, and the names of the steps."""
    if modality == "features":
        names = tuple(extractor.feature_names)
        return names, units.no_spans(n_steps), np.arange(n_steps), names
    if modality == "text":
        text = corpus.texts()[row]
        if hasattr(extractor, "vocabulary"):
            owners, steps = units.owners_of_words(text), tuple(words(text)) or (text,)
        else:
            owners = units.owners_of_subwords(text, extractor.tokenizer)
            steps = tuple(extractor.tokenizer.encode(text).tokens)
        return tuple(text.split()), units.no_spans(len(text.split())), owners, steps
    if modality == "audio":
        spans = units.sound_spans(len(read_audio(corpus.audio_paths()[row])) / SAMPLE_RATE)
    else:
        spans = units.frame_spans(n_steps, extractor.hop_s)
    return units.names_in_time(spans), spans, units.owners_in_time(n_steps, extractor.hop_s, spans), ()


def _batches(
    network: NetworkRecognizer, place: int, corpus: Corpus, engine: Any, targets: NDArray[np.int64], options: Options
) -> Iterator[tuple[list[int], Batch]]:
    """Yield batches of utterances of similar length, and their rows."""
    inputs, model = network.inputs(corpus), Centred(network.network.eval(), place, len(network.features))
    baseline = checked_baseline(options.baseline, BASELINES[options.modality])
    instead = _instead(network.features[place], options.modality, corpus, inputs[place], baseline)
    background = list(_background(network, model, options.background)) if options.background is not None else []
    order = np.argsort([len(array) for array in inputs[place]], kind="stable").tolist()
    size = N_UTTERANCES if engine in (*FUNCTIONS, *IN_BATCHES) else 1
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        padded: list[tuple[Tensor, ...]] = [pad([arrays[row] for row in rows]) for arrays in inputs]
        with torch.no_grad():
            entered, lengths = model.embed(*padded[place])
            against, _ = model.embed(*pad([instead[row] for row in rows]))
        if model.embedding is None:
            padded[place] = (lengths,)
        arguments = tuple(tensor for pair in padded for tensor in pair)
        entered.requires_grad_()  # so that Captum need not warn that it does
        wanted = torch.from_numpy(targets[rows])
        yield rows, Batch(model, entered, against, lengths, arguments, wanted, options, background)


def _instead(
    extractor: Any, modality: str, corpus: Corpus, arrays: Sequence[NDArray[Any]], baseline: str
) -> Sequence[NDArray[Any]]:
    """Return what stands for the input of each utterance, in the shape of `arrays`."""
    if baseline == "silence":
        waves = zip(corpus.table["utterance_id"], map(read_audio, corpus.audio_paths()), strict=True)
        return list(extractor.transform(corpus.with_media(audio={name: np.zeros_like(wave) for name, wave in waves})))
    if modality == "text":
        return [_replaced(extractor, array, baseline) for array in arrays]
    if baseline == "grey":
        return [np.full_like(array, GREY) for array in arrays]
    if modality == "video" and arrays[0].dtype == np.uint8:
        return [np.broadcast_to(np.rint(array.mean(axis=0)).astype(np.uint8), array.shape) for array in arrays]
    if modality == "audio" and not hasattr(extractor, "scale"):
        raise ValueError(
            f'the input of {type(extractor).__name__} has no mean that stands for nothing; expected baseline="silence".'
        )
    return [np.zeros_like(array) for array in arrays]  # scaled features: the mean of training


def _replaced(extractor: Any, tokens: NDArray[np.int64], baseline: str) -> NDArray[np.int64]:
    """Return tokens in which every word is padding, or the mask token; special tokens around the text stay."""
    if hasattr(extractor, "vocabulary"):
        return np.full_like(tokens, PAD if baseline == "padding" else UNKNOWN)
    tokenizer = extractor.tokenizer
    known = PAD_TOKENS if baseline == "padding" else MASK_TOKENS
    number = next((found for token in known if (found := tokenizer.token_to_id(token)) is not None), 0)
    special = np.array([token in SPECIAL_TOKENS for token in map(tokenizer.id_to_token, tokens.tolist())], bool)
    return np.where(special, tokens, number)


def _background(network: NetworkRecognizer, model: Centred, corpus: Corpus) -> Iterator[Tensor]:
    """Yield a few utterances, spread over a corpus, as the network takes them in: (steps, …) each."""
    chosen = np.linspace(0, len(corpus) - 1, min(N_BACKGROUND, len(corpus))).round().astype(int)
    few = corpus.select(np.isin(np.arange(len(corpus)), chosen))
    with torch.no_grad():
        for array in network.inputs(few)[model.place]:
            entered, lengths = model.embed(*pad([array]))
            yield entered[0, : int(lengths[0])] if entered.ndim > 2 else entered[0]


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
    return array.reshape(-1, array.shape[-1])  # VGGish takes in examples of several frames
