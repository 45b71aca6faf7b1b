"""Perturbation: what the logit loses without some units, by Captum and SHAP; it works for every recognizer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
import torch
from captum.attr import FeaturePermutation, KernelShap, PerturbationAttribution, ShapleyValueSampling
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage

from emolab.explain.explanation import SET, Attribution, Floats, Options, load_shap, of_shap
from emolab.explain.maskers import Masker

Value = Callable[[Any], Floats]  # (n, n_units) bool masks to (n,) logits of the target


def attribute(masker: Masker, engine: Any, targets: NDArray[np.int64], options: Options) -> list[Attribution]:
    """Explain utterances by the logits of coalitions of their units.

    Args:
        masker: Predicts coalitions.
        engine: A perturbation class of Captum, a model-agnostic explainer class of SHAP, or a function
            `engine(value, n_units) -> (n_units,)`, see `emolab.explain.explain`.
        targets: (n_utterances,) numbers of the emotions explained.
        options: n_samples and seed.

    Raises:
        ValueError: If there are too many units for exact values, or the engine fails on unit masks.
    """
    sizes, found = [len(names) for names in masker.names], []
    names, (full, none) = masker.corpus.table["utterance_id"].tolist(), masker.ends()
    if isinstance(engine, type) and engine is not KernelShap:  # predict the masks of all utterances in one batch
        masker.logits([_masks_of(engine, n, options, row) for row, n in enumerate(sizes)])
    for row, target in enumerate(targets.tolist()):
        values = estimate(engine, value_of(masker, row, target), sizes[row], options, row)
        adds_up = of_shap(engine) or engine in (KernelShap, ShapleyValueSampling)  # to the logit less that of nothing
        reference = float(none[row, target]) if adds_up else np.nan
        facts = (names[row], masker.recognizer.emotions[target], masker.names[row], values, masker.spans[row])
        found.append(Attribution(*facts, logit=float(full[row, target]), reference=reference))
    return found


def value_of(masker: Masker, row: int, target: int) -> Value:
    """Return the function of one utterance that takes (n, n_units) masks to (n,) logits of an emotion."""

    def value(masks: Any) -> Floats:
        asked = [np.zeros((0, len(names)), bool) for names in masker.names]
        asked[row] = np.atleast_2d(masks) > 0  # one mask alone too
        return masker.logits(asked)[row][:, target]

    return value


def estimate(engine: Any, value: Value, n_units: int, options: Options, row: int = 0) -> Floats:
    """Return (n_units,) what an engine attributes to the units of one utterance.

    Raises:
        ValueError: If the engine fails, or gives other than one finite number a unit.
    """
    if not n_units:
        return np.zeros(0)
    with running(options, row):
        if not isinstance(engine, type):
            found = engine(value, n_units)
        elif n_units == 1:  # nothing to share; the libraries want two units
            found = value([[True], [False]]) @ [1.0, -1.0]
        else:
            run = _by_captum if issubclass(engine, PerturbationAttribution) else _by_shap
            found = run(engine, value, n_units, options.n_samples)
    values = np.atleast_1d(np.asarray(found, np.float64))
    if values.shape != (n_units,) or not np.isfinite(values).all():
        problem = f"{options.method} returned {values.shape} for {n_units} units, or numbers that are not finite"
        raise ValueError(f"{problem}; expected (n_units,) finite values. Return a number for each column of the masks.")
    return values


def run_captum(engine: Any, function: Any, inputs: torch.Tensor, **how: Any) -> torch.Tensor:
    """Let a class of Captum attribute to inputs, with those of the keyword arguments that it knows."""
    known = signature(engine.attribute).parameters
    return engine(function).attribute(inputs, **{name: own for name, own in how.items() if name in known})


def _by_captum(engine: Any, value: Value, n_units: int, n_samples: int) -> Any:
    """Give Captum one row of ones, which it replaces by zeros."""
    n_draws = max(1, n_samples // n_units) if issubclass(engine, ShapleyValueSampling) else n_samples
    how: dict[str, Any] = {"n_samples": n_draws, "perturbations_per_eval": n_samples, "baselines": 0.0}
    how["sliding_window_shapes"] = (min(SET.window, n_units),)
    whole = torch.ones(1, n_units, dtype=torch.float64)
    return run_captum(engine, lambda masks: torch.from_numpy(value(masks.numpy())), whole, **how).numpy()[0]


def _by_shap(engine: Any, value: Value, n_units: int, n_samples: int) -> Any:
    """Give SHAP one row of ones with a background of zeros; groups of a partition are neighbours, joined in pairs."""
    none, whole, shap = np.zeros((1, n_units)), np.ones((1, n_units)), load_shap()
    if issubclass(engine, shap.KernelExplainer):
        return engine(value, none).shap_values(whole, nsamples=n_samples, silent=True)[0]
    masker: Any = shap.maskers.Independent(none)
    if issubclass(engine, shap.PartitionExplainer):
        masker = shap.maskers.Partition(none, clustering=linkage(np.arange(n_units)[:, None], "complete"))
    most = max(n_samples, 2 * n_units + 1)
    if issubclass(engine, shap.ExactExplainer):
        if n_units > SET.most_units:
            why = f"an utterance has {n_units} units; expected at most {SET.most_units}, to predict all coalitions"
            raise ValueError(f'{why}. Take method="kernel-shap", or modality="modality".')
        most = 2**n_units
    return engine(value, masker)(whole, max_evals=most, batch_size=n_samples, silent=True).values[0]


def _masks_of(engine: Any, n_units: int, options: Options, row: int) -> NDArray[np.bool_]:
    """Return the masks (n, n_units) that an engine will ask for, found by answering 0 to all of them."""
    seen = [np.ones((1, n_units), bool)]

    def note(masks: Any) -> Floats:
        seen.append(np.asarray(masks) > 0)
        return np.zeros(len(masks))

    estimate(engine, note, n_units, options, row)
    return np.vstack(seen)


def fits(engine: Any) -> bool:
    """Whether an engine works on unit masks: see `attribute`."""
    if of_shap(engine):
        shap = load_shap()
        known = shap.PartitionExplainer, shap.PermutationExplainer, shap.ExactExplainer, shap.KernelExplainer
        return issubclass(engine, known)
    if isinstance(engine, type):
        return issubclass(engine, PerturbationAttribution) and not issubclass(engine, FeaturePermutation)
    return callable(engine)


def at_random(value: Value, n_units: int) -> Floats:
    """Draw values by chance: the control that every explanation has to beat."""
    return np.random.standard_normal(n_units)  # noqa: NPY002 (`running` seeds it)


@contextmanager
def running(options: Options, row: int = 0) -> Iterator[None]:
    """Seed the global generators that libraries draw from, restore them, and say in words when a method does not fit.

    Raises:
        ValueError: If a library, or a function from outside, fails.
    """
    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(options.seed + row)
        np.random.seed(options.seed + row)  # noqa: NPY002
        try:
            yield
        except (TypeError, AttributeError, AssertionError, NotImplementedError, RuntimeError) as error:
            why = f"{options.method} fails here: {error}. Expected a class of Captum or SHAP that needs no more than a"
            raise ValueError(f"{why} network that it knows. Wrap it in a function (value, n_units).") from error
        finally:
            np.random.set_state(before)  # noqa: NPY002
