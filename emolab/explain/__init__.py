"""Explanations: which word, which moment, which face, which modality; and measures of how far to trust them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from captum import attr
from numpy.typing import NDArray

from emolab.corpora.corpus import Corpus
from emolab.explain import gradients, light, perturbation
from emolab.explain.explanation import Attribution, Explanation, Options, load_shap
from emolab.explain.maskers import masker_for
from emolab.recognizer import Material, Recognizer
from emolab.storage import toml_beside

__all__ = ["METHODS", "Attribution", "Explanation", "explain"]

TABLE = toml_beside(__file__, "methods.toml")
METHODS: Mapping[str, str] = {name: row["asks"] for name, row in TABLE.items()}
OWN = {"grad-cam": gradients.grad_cam, "attention": gradients.attention, "random": perturbation.at_random}
STAND_FOR = {row["also"]: name for name, row in TABLE.items() if "also" in row}  # class of a library: a method


def explain(
    recognizer: Recognizer,
    utterances: Material,
    method: str | Callable[..., Any] = "kernel-shap",
    target: str | Sequence[str] = "predicted",
    *,
    modality: str | None = None,
    baseline: str | None = None,
    n_steps: int = 32,
    n_samples: int = 256,
    background: Corpus | None = None,
    seed: int = 0,
) -> Explanation:
    """Attribute the logit of an emotion, less the mean of all logits, to the units of utterances.

    Args:
        recognizer: A fitted recognizer: light, small, large or fused.
        utterances: What to explain, a corpus or a list of files or texts; all at once, which is much faster.
        method: A key of `METHODS`; a class of captum.attr or an explainer class of shap; or a function of your own,
            `method(value, n_units) -> (n_units,)`, where `value(masks)` returns the (n,) logits of one utterance for
            masks (n, n_units) bool, true where a unit stays.
        target: "predicted", "true", the name of an emotion, or one name an utterance.
        modality: Whose units: "text" (words), "audio" (100 ms), "video" (frames), "modality", or "features" of models
            that take one vector. None takes the recognizer's only one, and of several "modality".
        baseline: What stands for a unit that is removed: of sound "silence", "noise" (perturbation) or "mean"
            (gradients), of words "leave out" or "mask" (perturbation), "padding" or "mask" (gradients), of frames
            "mean" or "grey". None takes the first.
        n_steps: Of integrated gradients; more make the sum more exact.
        n_samples: Coalitions predicted for an utterance by drawing methods; gradients are drawn a quarter as often.
        background: Utterances of training that shap-gradient starts from.
        seed: Of all that is drawn.

    Returns:
        One `Attribution` an utterance, in their order.

    Raises:
        ValueError: If the method is unknown or does not suit the recognizer, or an utterance lacks what is needed.

    Example:
        def leave_one_out(value, n_units):
            return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))

        explain(recognizer, fold.test, leave_one_out)
    """
    began, engine, utterances = time.perf_counter(), engine_of(method), recognizer.corpus_of(utterances)
    targets = targets_of(recognizer, utterances, target)
    parts = modality or _modality(recognizer, engine)
    options = Options(method_name(method), parts, baseline, n_steps, n_samples, background, seed)
    items, taken = list[Attribution](), baseline or "none"
    inside = next((module for module in (light, gradients) if module.fits(engine)), None)
    if inside and len(utterances):
        items, taken = inside.attribute(recognizer, utterances, engine, targets, options)
    elif len(utterances):
        masker = masker_for(recognizer, utterances, options.modality, baseline)
        items, taken = perturbation.attribute(masker, engine, targets, options), masker.baseline
    facts = (taken, tuple(items), time.perf_counter() - began, recognizer.stand_in, utterances.synthetic)
    return Explanation(recognizer.name, options.method, options.modality, *facts)


def method_name(method: str | Callable[..., Any]) -> str:
    """Return what tables call a method: its key, or the name of its class or function."""
    return method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)


def engine_of(method: str | Callable[..., Any]) -> Any:
    """Return the class or function that computes a method; ValueError if it cannot explain utterances."""
    found = STAND_FOR.get(method.__name__, method) if isinstance(method, type) else method
    if isinstance(found, str):
        if found not in METHODS:
            raise ValueError(f"no method {found!r}; expected one of {', '.join(METHODS)}. Correct the name.")
        library, _, name = TABLE[found]["engine"].partition(".")
        return OWN.get(found) or getattr(load_shap() if library == "shap" else attr, name)
    if not any(module.fits(found) for module in (light, gradients, perturbation)):
        expected = "a key of METHODS, a class of captum.attr for inputs, one of shap, or (value, n_units) -> (n_units,)"
        raise ValueError(f"{method_name(method)} cannot explain utterances; expected {expected}. Wrap it in such one.")
    return found


def targets_of(recognizer: Recognizer, utterances: Corpus, target: str | Sequence[str]) -> NDArray[np.int64]:
    """Return (n_utterances,) int64: the number of the emotion that is explained in each utterance.

    Raises:
        ValueError: If a name is no emotion of the recognizer, or there is not one an utterance.
    """
    if target == "predicted":
        return recognizer.predict_proba(utterances).argmax(axis=1)
    names = utterances.table["emotion"].tolist() if target == "true" else target
    names = [names] * len(utterances) if isinstance(names, str) else list(names)
    unknown = sorted({*names} - {*recognizer.emotions})
    if unknown or len(names) != len(utterances):
        why = f"target {', '.join(unknown) or len(names)} for {len(utterances)} utterances; expected predicted, true,"
        raise ValueError(f"{why} or {', '.join(recognizer.emotions)} each. Correct it, or take the recognizer's view.")
    return np.array([recognizer.emotions.index(name) for name in names], dtype=np.int64)


def _modality(recognizer: Recognizer, engine: Any) -> str:
    """Return whose units are explained where none is named."""
    if light.fits(engine):
        return "text" if light.reads_words(recognizer) else "features"
    if gradients.fits(engine) and {*map(gradients.input_of, recognizer.features)} == {"features"}:
        return "features"
    return recognizer.modalities[0] if len(recognizer.modalities) == 1 else "modality"
