"""Explanations: which word, which moment, which face, which modality; and measures of how far to trust them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emolab.explain.explanation import Attribution, Explanation, Options, import_shap, is_of_shap, sonify

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.recognizer import Recognizer

__all__ = ["METHODS", "Attribution", "Explanation", "explain", "sonify"]

METHODS: Mapping[str, str] = {  # name: what it asks, for tables and help texts
    "ablation": "how far does the logit fall without this unit?",
    "occlusion": "how far does it fall without this unit and its neighbours?",
    "kernel-shap": "what does the unit add to drawn coalitions?",
    "shap-partition": "what does it add within its group, and the group among the others?",
    "shapley": "what does it add on average over all coalitions? exact, up to 12 units",
    "integrated-gradients": "what does it add on the way from the baseline to the input?",
    "deep-lift": "what do differences to the baseline add, layer by layer? dense layers",
    "shap-gradient": "what does it add on the way from utterances of training to the input?",
    "gradient-x-input": "what would it add if the network were linear?",
    "saliency": "how sensitive is the logit to it? without a sign",
    "grad-cam": "where do the maps of the last convolution speak for the emotion?",
    "shap-linear": "what do the weights of a linear model add for it?",
    "shap-tree": "what do its splits add to the votes of trees?",
    "attention": "where does attention look? not an explanation",
    "random": "nothing: values drawn by chance, the control",
}


@cache
def engines() -> Mapping[Any, Any]:
    """Return what computes each of `METHODS`, and each class that stands for another one.

    Most are classes of Captum and SHAP, which are imported here, since both take seconds.
    """
    shap = import_shap()
    named = {
        "shap-partition": shap.PartitionExplainer,
        "shapley": shap.ExactExplainer,
        "shap-linear": shap.LinearExplainer,
        "shap-tree": shap.TreeExplainer,
    }
    from captum.attr import ShapleyValues

    known = engines_without_shap()
    return {**known, **named, ShapleyValues: shap.ExactExplainer, shap.GradientExplainer: known["shap-gradient"]}


@cache
def engines_without_shap() -> Mapping[Any, Any]:
    """Return those of `engines` that need no SHAP, whose import takes half a second and 80 MB."""
    from captum import attr

    from emolab.explain import gradients, perturbation

    return {
        "ablation": attr.FeatureAblation,
        "occlusion": attr.Occlusion,
        "kernel-shap": attr.KernelShap,
        "integrated-gradients": attr.IntegratedGradients,
        "deep-lift": attr.DeepLift,
        "shap-gradient": gradients.expected_gradients,
        "gradient-x-input": attr.InputXGradient,
        "saliency": attr.Saliency,
        "grad-cam": gradients.grad_cam,
        "attention": gradients.attention,
        "random": perturbation.at_random,
        attr.LayerIntegratedGradients: attr.IntegratedGradients,
        attr.LayerGradCam: gradients.grad_cam,
        attr.GradientShap: gradients.expected_gradients,
    }


def explain(
    recognizer: Recognizer,
    utterances: Corpus,
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
        utterances: What to explain, all at once: that is much faster than one after the other.
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
    began, targets = time.perf_counter(), targets_of(recognizer, utterances, target)
    engine = _engine(method)
    name, modality = method_name(method), modality or _only_modality(recognizer, engine)
    options = Options(name, modality, baseline, n_steps, n_samples, background, seed)
    items, taken = list[Attribution](), baseline or "none"
    if len(utterances):
        items, taken = _attributions(recognizer, utterances, engine, targets, options)
    facts = {"stand_in": recognizer.stand_in, "synthetic": utterances.synthetic}
    seconds = time.perf_counter() - began
    return Explanation(recognizer.name, name, modality, taken, tuple(items), seconds, **facts)


def method_name(method: str | Callable[..., Any]) -> str:
    """Return what tables call a method: its key, or the name of its class or function."""
    return method if isinstance(method, str) else getattr(method, "__name__", type(method).__name__)


def _engine(method: Any) -> Any:
    """Return the class or function that computes a method."""
    from emolab.explain import gradients, perturbation

    known = engines_without_shap()
    if method not in known:
        known = engines()
    found = known.get(method, None if isinstance(method, str) else method)
    if isinstance(method, str) and found is None:
        raise ValueError(f"no method {method!r}; expected one of {', '.join(METHODS)}. Correct the name.")
    if not (_is_light(found) or gradients.fits(found) or perturbation.fits(found)):
        raise ValueError(
            f"{method_name(method)} cannot explain utterances; expected a key of METHODS, a class of captum.attr that "
            "attributes to the input (by gradients or perturbation), an explainer class of shap for functions, linear "
            "models or trees, or a function (value, n_units) -> (n_units,). Wrap it in such a function."
        )
    return found


def _is_light(engine: Any) -> bool:
    return is_of_shap(engine) and engine in (engines()["shap-linear"], engines()["shap-tree"])


def _attributions(
    recognizer: Recognizer, utterances: Corpus, engine: Any, targets: NDArray[np.int64], options: Options
) -> tuple[list[Attribution], str]:
    """Let the module that the method belongs to explain; return the baseline that it took as well."""
    from emolab.explain import gradients, light, maskers, perturbation

    if _is_light(engine):
        taken = "leave out" if options.modality == "text" else "mean"
        return light.attribute(recognizer, utterances, engine, targets, options), taken
    if gradients.fits(engine):
        items = gradients.attribute(recognizer, utterances, engine, targets, options)
        return items, gradients.taken_baseline(engine, options)
    masker = maskers.masker_for(recognizer, utterances, options.modality, options.baseline)
    return perturbation.attribute(masker, engine, targets, options), masker.baseline


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
        raise ValueError(
            f"target {', '.join(unknown) or len(names)} for {len(utterances)} utterances; expected predicted, true, "
            f"or of each one of {', '.join(recognizer.emotions)}. Correct the target, or take the recognizer's view."
        )
    return np.array([recognizer.emotions.index(name) for name in names], dtype=np.int64)


def _only_modality(recognizer: Recognizer, engine: Any) -> str:
    """Return whose units are explained where none is named."""
    from emolab.explain import gradients, light

    if _is_light(engine):
        return "text" if light.reads_words(recognizer) else "features"
    if gradients.fits(engine) and gradients.only_features(recognizer):
        return "features"
    return recognizer.modalities[0] if len(recognizer.modalities) == 1 else "modality"
