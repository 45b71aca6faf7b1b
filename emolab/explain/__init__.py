"""Explanations: which word, which moment, which face, which modality, and tests of what is said about them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emolab.explain.explanation import Attribution, Explanation

if TYPE_CHECKING:
    from emolab.corpora.corpus import Corpus
    from emolab.recognizer import Recognizer

__all__ = ["METHODS", "Explained", "Explanation", "explain"]

N_SAMPLES = 256  # coalitions that a method draws for an utterance
METHODS: Mapping[str, str] = {  # name: what it asks, for tables and help texts
    "ablation": "how far does the logit fall without this unit?",
    "occlusion": "how far does it fall without this unit and its neighbours?",
    "kernel-shap": "what does the unit add in drawn company?",
    "shap-partition": "what does it add within its group, and the group among the others?",
    "shapley": "what does it add on average over all company? exact, up to 12 units",
    "integrated-gradients": "what does it add on the way from the baseline to here?",
    "deep-lift": "what do differences to the baseline add, layer by layer? dense layers",
    "shap-gradient": "what does it add on the way from utterances of training to here?",
    "gradient-x-input": "what would it add if the network were a straight line?",
    "saliency": "how sensitive is the logit to it? without a sign",
    "grad-cam": "where do the maps of the last convolution speak for the emotion?",
    "shap-linear": "what do the weights of a linear model add for it?",
    "shap-tree": "what do its splits add to the votes of trees?",
    "attention": "where does attention look? not an explanation",
    "random": "nothing: values drawn by chance, the control",
}


def explain(
    recognizer: Recognizer,
    utterances: Corpus,
    method: str = "kernel-shap",
    target: str | Sequence[str] = "predicted",
    *,
    modality: str | None = None,
    baseline: str | None = None,
    n_steps: int = 32,
    n_samples: int = N_SAMPLES,
    background: Corpus | None = None,
    seed: int = 0,
) -> Explanation:
    """Say what the units of utterances do for the logit of an emotion, less the mean of all logits.

    Args:
        recognizer: A fitted recognizer: light, small, large or fused.
        utterances: What to explain, all at once: that is much faster than one after the other.
        method: A key of `METHODS`.
        target: "predicted", "true", the name of an emotion, or one name an utterance.
        modality: Whose units: "text" (words), "audio" (100 ms), "video" (frames), "modality", or "features" of models
            that see one vector. None takes the recognizer's only one, and of several "modality".
        baseline: What stands for a unit that is taken away: of sound "silence", "noise" (methods that ask) or "mean"
            (gradients), of words "leave out" or "mask" (methods that ask), "padding" or "mask" (gradients), of frames
            "mean" or "grey". None takes the first.
        n_steps: Of integrated gradients; more make the sum more exact.
        n_samples: Coalitions drawn for an utterance by kernel-shap and shap-partition; shap-gradient draws a quarter as
            many ways.
        background: Utterances of training that shap-gradient starts from.
        seed: Of all that is drawn.

    Returns:
        One `Attribution` an utterance, in their order.

    Raises:
        ValueError: If the method is unknown or does not suit the recognizer, or an utterance lacks what is needed.
    """
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; expected one of {', '.join(METHODS)}. Correct the name.")
    began, targets = time.perf_counter(), targets_of(recognizer, utterances, target)
    modality = modality or _only_modality(recognizer, method)
    drawn = {"n_steps": n_steps, "n_samples": n_samples, "background": background, "seed": seed}
    items, taken = list[Attribution](), baseline or "none"
    if len(utterances):
        items, taken = _explained(recognizer, utterances, method, targets, modality, baseline, drawn)
    seconds = time.perf_counter() - began
    facts = {"stand_in": recognizer.stand_in, "synthetic": utterances.synthetic}
    return Explanation(recognizer.name, method, modality, taken, tuple(items), seconds, **facts)


def _explained(
    recognizer: Recognizer,
    utterances: Corpus,
    method: str,
    targets: NDArray[np.int64],
    modality: str,
    baseline: str | None,
    drawn: Mapping[str, Any],
) -> tuple[list[Attribution], str]:
    """Let the module that knows the method explain; return the baseline that it took as well."""
    from emolab.explain import removal, weights

    if method in weights.METHODS:
        taken = "leave out" if modality == "text" else "mean"
        return weights.explain_light(recognizer, utterances, method, targets, modality), taken
    if method in removal.METHODS:
        from emolab.explain.maskers import masker_for

        played = masker_for(recognizer, utterances, modality, baseline)
        asked = removal.Asked(played, targets, drawn["n_samples"], drawn["seed"])
        return removal.explain_by_removal(method, asked), played.baseline
    from emolab.explain import attribution

    request = attribution.Request(modality, targets, baseline, **drawn)
    return attribution.attribute(recognizer, utterances, method, request), request.taken(method)


def targets_of(recognizer: Recognizer, utterances: Corpus, target: str | Sequence[str]) -> NDArray[np.int64]:
    """Return (n_utterances,) int64: the number of the emotion that is asked about in each utterance.

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


def _only_modality(recognizer: Recognizer, method: str) -> str:
    """Return whose units are explained where nobody says it."""
    from emolab.explain import attribution, weights

    if method in weights.METHODS:
        return "text" if weights.reads_words(recognizer) else "features"
    if method in attribution.METHODS and attribution.only_features(recognizer):
        return "features"
    return recognizer.modalities[0] if len(recognizer.modalities) == 1 else "modality"
