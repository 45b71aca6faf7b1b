"""Explaining by taking units away, by Captum and SHAP: for every recognizer, since it is only asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emolab.explain.explanation import Attribution
from emolab.explain.maskers import Masker
from emolab.explain.units import import_shap

WINDOW = 3  # units that occlusion hides at once
MOST_PLAYERS = 12  # whose coalitions are all asked for: 4,096

Values = list[NDArray[np.float64]]  # (n_units,) of each utterance


@dataclass(frozen=True)
class Asked:
    """A masker, and the emotion that is asked about in each utterance.

    Attributes:
        masker: The units and what is said of coalitions.
        targets: (n_utterances,) numbers of emotions.
        n_samples: Coalitions that are drawn, or asked for at most, for an utterance.
        seed: Of what is drawn.
    """

    masker: Masker
    targets: NDArray[np.int64]
    n_samples: int
    seed: int

    def values(self, masks: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (n,) logits of the targets for masks (n, most units) of the utterances `rows` (n,)."""
        asked: list[list[NDArray[np.bool_]]] = [[] for _ in self.masker.names]
        for row, mask in zip(rows, np.asarray(masks, bool), strict=True):
            asked[row].append(mask[: len(self.masker.names[row])])
        sizes = map(len, self.masker.names)
        shaped = [np.array(own, bool).reshape(len(own), n) for own, n in zip(asked, sizes, strict=True)]
        said = [iter(own[:, target]) for own, target in zip(self.masker.logits(shaped), self.targets, strict=True)]
        return np.array([next(said[row]) for row in rows])

    def values_of(self, row: int, masks: Any) -> NDArray[np.float64]:
        """Return (n,) logits of the target for masks (n, n_units) of one utterance."""
        return self.values(masks, np.full(len(masks), row))


def ablation(asked: Asked) -> Values:
    """Take each unit away alone: by how much the logit falls. Source: Zeiler and Fergus 2014; Li et al. 2016."""
    from captum.attr import FeatureAblation

    most = max(1, *map(len, asked.masker.names))
    return _over_masks(asked, range(len(asked.targets)), FeatureAblation, perturbations_per_eval=most)


def occlusion(asked: Asked) -> Values:
    """Take neighbours away together, three at a time: what one hides alone the next may still tell.

    Each unit gets the mean fall of the windows that it is in. Source: Zeiler and Fergus 2014.
    """
    from captum.attr import Occlusion

    sizes = [len(names) for names in asked.masker.names]
    asked.masker.logits([_without_windows(n) for n in sizes])  # all at once: what is asked again is remembered
    values = {row: np.zeros(0) for row, n in enumerate(sizes) if not n}
    for n in {*sizes} - {0}:  # beside longer ones, windows would run over the end
        rows = [row for row, size in enumerate(sizes) if size == n]
        found = _over_masks(asked, rows, Occlusion, sliding_window_shapes=(min(WINDOW, n),), perturbations_per_eval=n)
        values |= dict(zip(rows, found, strict=True))
    return [values[row] for row in range(len(sizes))]


def _without_windows(n: int) -> NDArray[np.bool_]:
    """Return the masks (n_windows, n) that hide neighbours."""
    starts, places = np.arange(max(1, n - WINDOW + 1))[:, None], np.arange(n)
    return (places < starts) | (places >= starts + WINDOW)


def _over_masks(asked: Asked, rows: Sequence[int], engine: Any, **options: Any) -> Values:
    """Let Captum take units away from all these utterances at once: its input is (n_utterances, most units) of ones."""
    import torch

    def say(masks: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(asked.values(masks.numpy() > 0, rows.numpy()))

    sizes = [len(asked.masker.names[row]) for row in rows]
    whole, numbers = torch.ones(len(rows), max(sizes), dtype=torch.float64), torch.tensor(rows)
    found = engine(say).attribute(whole, baselines=0.0, additional_forward_args=(numbers,), **options)
    return [own[:n].astype(np.float64) for own, n in zip(found.numpy(), sizes, strict=True)]


def kernel_shap(asked: Asked) -> Values:
    """Estimate Shapley values from drawn coalitions by a weighted regression. Source: Lundberg and Lee 2017."""
    import torch
    from captum.attr import KernelShap

    found = []
    for row, names in enumerate(asked.masker.names):
        if len(names) < 2:  # Captum draws sizes between none and all
            found += _exact(asked, [row])
            continue

        def say(masks: torch.Tensor, row: int = row) -> torch.Tensor:
            return torch.from_numpy(asked.values_of(row, masks.numpy() > 0))

        whole, n = torch.ones(1, len(names), dtype=torch.float64), asked.n_samples
        with torch.random.fork_rng():
            torch.manual_seed(asked.seed + row)
            values = KernelShap(say).attribute(whole, baselines=0.0, n_samples=n, perturbations_per_eval=n)
        found.append(values.numpy()[0].astype(np.float64))
    return found


def partition(asked: Asked) -> Values:
    """Share the logit among halves of the utterance, then halves of these, down to the units: Owen values, by SHAP.

    Source: Owen 1977; the partition explainer of Lundberg's shap.
    """
    asked.masker.logits([np.vstack([*_coalitions(names, asked)]) for names in asked.masker.names])  # all at once
    return [_owen(names, asked, partial(asked.values_of, row)) for row, names in enumerate(asked.masker.names)]


def _coalitions(names: Sequence[str], asked: Asked) -> list[NDArray[np.bool_]]:
    """Return the masks (n, n_units) that SHAP will ask for, found by letting it ask for nothing."""
    seen = [np.ones((1, len(names)), bool)]

    def note(masks: NDArray[Any]) -> NDArray[np.float64]:
        seen.append(np.asarray(masks, bool))
        return np.zeros(len(masks))

    _owen(names, asked, note)
    return seen


def _owen(names: Sequence[str], asked: Asked, say: Callable[[Any], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the Owen values (n_units,) of what is said of masks (n, n_units)."""
    if len(names) < 2:
        whole = say(np.array([[True] * len(names), [False] * len(names)]))
        return np.array([whole[0] - whole[1]])[: len(names)]
    explainer = import_shap().PartitionExplainer(say, _Units(len(names)))
    n, one = asked.n_samples, np.ones((1, len(names)))
    return np.asarray(explainer(one, max_evals=n, batch_size=n, silent=True).values, np.float64)[0]


class _Units:
    """What SHAP masks: a mask itself, since the game knows what a unit is; its groups are halves of halves."""

    invariants = None

    def __init__(self, n_units: int) -> None:
        self.shape = (1, n_units)
        joined: list[tuple[int, int, int, int]] = []  # group, group, height, units: the form of scipy's linkage

        def group(start: int, end: int) -> tuple[int, int]:
            """Join two halves, and return the number of the group and its height."""
            if end - start == 1:
                return start, 0
            middle = (start + end + 1) // 2
            (left, low), (right, high) = group(start, middle), group(middle, end)
            joined.append((left, right, 1 + max(low, high), end - start))
            return n_units + len(joined) - 1, 1 + max(low, high)

        group(0, n_units)
        self.clustering = np.array(joined, np.float64)

    def __call__(self, mask: NDArray[np.bool_], _: Any) -> tuple[NDArray[np.float64]]:
        return (np.asarray(mask, float).reshape(1, -1),)

    def mask_shapes(self, _: Any) -> list[tuple[int, ...]]:
        return [self.shape[1:]]


def shapley(asked: Asked) -> Values:
    """Share the logit exactly among the units: the mean of what each adds over all orders. Source: Shapley 1953.

    Raises:
        ValueError: If an utterance has too many units to ask for all coalitions.
    """
    return _exact(asked, range(len(asked.targets)))


def _exact(asked: Asked, rows: Any) -> Values:
    sizes = [len(asked.masker.names[row]) for row in rows]
    if max(sizes, default=0) > MOST_PLAYERS:
        raise ValueError(
            f"an utterance has {max(sizes)} units; expected at most {MOST_PLAYERS}, of which all coalitions can be "
            'asked for. Take method="kernel-shap", or modality="modality".'
        )
    every = {n: np.array(list(product([False, True], repeat=n))).reshape(2**n, n) for n in {*sizes}}
    masks = [np.zeros((0, len(names)), bool) for names in asked.masker.names]
    for row, n in zip(rows, sizes, strict=True):
        masks[row] = every[n]
    said, shares = asked.masker.logits(masks), {n: shapley_weights(every[n]) for n in every}
    return [shares[n] @ said[row][:, asked.targets[row]] for row, n in zip(rows, sizes, strict=True)]


def shapley_weights(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (n, 2**n) weights that make of the values of all coalitions `masks` (2**n, n) each player's share."""
    n, sizes = masks.shape[1], masks.sum(axis=1)
    weights = np.zeros(masks.T.shape)
    for player in range(n):
        here = masks[:, player]
        weights[player, here] = [1 / (n * comb(n - 1, size - 1)) for size in sizes[here]]
        weights[player, ~here] = [-1 / (n * comb(n - 1, size)) for size in sizes[~here]]
    return weights


def at_random(asked: Asked) -> Values:
    """Draw values by chance: the control that every explanation has to beat."""
    rng = np.random.default_rng(asked.seed)
    return [rng.standard_normal(len(names)) for names in asked.masker.names]


METHODS: Mapping[str, Callable[[Asked], Values]] = {
    "ablation": ablation,
    "occlusion": occlusion,
    "kernel-shap": kernel_shap,
    "shap-partition": partition,
    "shapley": shapley,
    "random": at_random,
}
COMPLETE = ("kernel-shap", "shap-partition", "shapley")  # their values add up to the whole less what is left of nothing


def explain_by_removal(method: str, asked: Asked) -> list[Attribution]:
    """Explain utterances by asking for coalitions of their units; see `emolab.explain.explain`."""
    masker, whole = asked.masker, asked.masker.ends()
    rows, names = np.arange(len(asked.targets)), masker.corpus.table["utterance_id"]
    full, none = (part[rows, asked.targets] for part in whole)
    if method not in COMPLETE:
        none = np.full(len(rows), np.nan)
    values, emotions = METHODS[method](asked), masker.recognizer.emotions
    return [
        Attribution(
            names.iloc[row],
            emotions[asked.targets[row]],
            masker.names[row],
            values[row],
            masker.spans[row],
            logit=float(full[row]),
            reference=float(none[row]),
        )
        for row in rows
    ]
