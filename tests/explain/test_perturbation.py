"""Asking for coalitions: the same as the libraries called naively, and Shapley values by their definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from math import factorial
from typing import Any

import captum.attr as captum
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.explain import engine_of, explain
from emolab.explain.explanation import Options, load_shap
from emolab.explain.maskers import WordMasker, masker_for
from emolab.explain.perturbation import attribute, estimate
from emolab.late_fusion import LateFusion
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold

N = 4  # utterances


def some(corpus: Corpus, n: int = N) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def alone(corpus: Corpus, row: int) -> Corpus:
    return corpus.select(np.arange(len(corpus)) == row)


PERTURBATIONS = ("ablation", "occlusion", "kernel-shap", "shap-partition", "shapley", "random")
OTHERS = (captum.ShapleyValueSampling, captum.Lime, load_shap().PermutationExplainer, load_shap().KernelExplainer)
Rule = Callable[[NDArray[np.bool_]], float]


def values(method: Any, n_units: int, rule: Rule, n_samples: int = 256) -> NDArray[np.float64]:
    """Let a method explain a function of one mask."""
    options = Options(str(method), "text", n_samples=n_samples)
    return estimate(
        engine_of(method),
        lambda masks: np.array([rule(mask) for mask in np.asarray(masks) > 0]),
        n_units,
        options,
    )


def by_permutations(n: int, rule: Rule) -> NDArray[np.float64]:
    shares = np.zeros(n)
    for order in permutations(range(n)):
        mask = np.zeros(n, bool)
        for player in order:
            before = rule(mask)
            mask = mask | (np.arange(n) == player)
            shares[player] += (rule(mask) - before) / factorial(n)
    return shares


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 5), seed=st.integers(0, 99))
def test_shapley_is_the_mean_over_all_orders(n: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=2**n)

    def rule(mask: NDArray[np.bool_]) -> float:
        return float(table[int("".join("01"[int(stays)] for stays in mask), 2)])

    np.testing.assert_allclose(values("shapley", n, rule), by_permutations(n, rule), atol=1e-9)


def test_shapley_by_hand() -> None:
    gloves = values("shapley", 3, lambda mask: float(mask[0] and (mask[1] or mask[2])))  # a left glove, two right ones
    np.testing.assert_allclose(gloves, [2 / 3, 1 / 6, 1 / 6])
    assert values("shapley", 2, lambda mask: float(mask.sum())).tolist() == pytest.approx([1, 1])
    assert values("shapley", 0, lambda mask: 0.0).tolist() == []


@pytest.mark.parametrize("method", ["shapley", "kernel-shap", "shap-partition", "ablation", "occlusion", *OTHERS])
@pytest.mark.parametrize("n_units", [1, 2, 5])
def test_of_units_that_only_add_up_every_method_finds_what_each_adds(method: Any, n_units: int) -> None:
    worth = np.array([2.0, -1.0, 0.0, 0.5, 3.0])[:n_units]
    found = values(method, n_units, lambda mask: float(mask @ worth), 1_000)
    if method == "occlusion":
        worth = np.array(
            [
                np.mean([worth[s : s + 3].sum() for s in range(max(1, n_units - 2)) if s <= k < s + 3])
                for k in range(n_units)
            ]
        )
    if method is captum.Lime:  # regression with a penalty finds the order alone
        np.testing.assert_array_equal(np.argsort(found, kind="stable")[-1], np.argmax(worth))
    else:
        np.testing.assert_allclose(found, worth, atol=1e-3)


def test_owen_values_share_within_halves_first() -> None:
    """The first two and the last two are groups; only pairs across groups win something."""
    found = values("shap-partition", 4, lambda mask: float(mask[0] and mask[2]))
    np.testing.assert_allclose(found, [0.5, 0, 0.5, 0], atol=1e-9)


@pytest.mark.parametrize("n_units", [8, 5, 1])
def test_partition_shares_the_whole_with_few_coalitions(n_units: int) -> None:
    asked: list[bytes] = []

    def rule(mask: NDArray[np.bool_]) -> float:
        asked.append(mask.tobytes())
        return float(mask[:3].all())

    assert values("shap-partition", n_units, rule, 500).sum() == pytest.approx(1)
    assert len({*asked}) <= 2 ** min(n_units, 6)


def test_occlusion_means_the_falls_of_three_neighbours() -> None:
    worth = np.array([5.0, 0, 0, 0, 1.0])
    found = values("occlusion", 5, lambda mask: float(mask @ worth))
    np.testing.assert_allclose(found, [5, 5 / 2, (5 + 0 + 1) / 3, 1 / 2, 1])


def test_masks_of_all_utterances_are_predicted_in_one_batch(svm: LightRecognizer, words_fold: Fold) -> None:
    calls: list[int] = []

    class Counting(WordMasker):
        def logits(self, masks: Any) -> Any:
            before = self.n_predictions
            found = super().logits(masks)
            calls.append(self.n_predictions - before)
            return found

    corpus = some(words_fold.test)
    for method in ("ablation", "occlusion", "shap-partition", "shapley"):
        calls.clear()
        masker = Counting(svm, corpus)
        attribute(masker, engine_of(method), corpus.targets(), Options(method, "text"))
        assert calls[1] > 0
        if method != "shap-partition":  # which looks further where it finds something
            assert sum(calls[2:]) == 0, "the ends and one batch, and everything is known"


@pytest.mark.parametrize("texts", [["", "dax we", ""], ["", "", ""], ["dax", "we", "..."]])
@pytest.mark.parametrize("method", PERTURBATIONS)
def test_an_utterance_without_words_has_an_empty_explanation(
    method: str, texts: list[str], svm: LightRecognizer, words_fold: Fold
) -> None:
    table = some(words_fold.test, 3).table.assign(text=pd.array(texts, dtype="string"))
    explanation = explain(svm, replace(words_fold.test, table=table), method, n_samples=16)
    assert [item.names for item in explanation] == [tuple(text.split()) for text in texts]
    assert [len(item) for item in explanation] == [len(text.split()) for text in texts]


@pytest.mark.parametrize("kind", ["svm", "reader", "listener", "watcher"])
def test_ablation_is_that_of_captum_one_utterance_and_unit_at_a_time(kind: str, request: pytest.FixtureRequest) -> None:
    from captum.attr import FeatureAblation

    fold_name = {"listener": "hums_fold", "watcher": "senses_fold"}.get(kind, "words_fold")
    recognizer, fold = request.getfixturevalue(kind), request.getfixturevalue(fold_name)
    corpus, modality = some(fold.test, 3), recognizer.modalities[0]
    explanation = explain(recognizer, corpus, "ablation", "happy")
    for row, item in enumerate(explanation):
        played = masker_for(recognizer, alone(corpus, row), modality)

        def say(masks: torch.Tensor, played: object = played) -> torch.Tensor:
            return torch.from_numpy(played.logits([masks.numpy() > 0])[0][:, 1])  # type: ignore[attr-defined]

        naive = FeatureAblation(say).attribute(torch.ones(1, len(item), dtype=torch.float64), baselines=0.0)
        np.testing.assert_allclose(item.values, naive[0], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "method"),  # sounds have too many units for exact values
    [("svm", name) for name in PERTURBATIONS] + [("listener", name) for name in PERTURBATIONS if name != "shapley"],
)
def test_utterances_are_explained_together_as_each_alone(
    method: str, kind: str, request: pytest.FixtureRequest
) -> None:
    recognizer = request.getfixturevalue(kind)
    corpus = request.getfixturevalue("words_fold" if kind == "svm" else "hums_fold").test
    corpus = some(corpus, 8 if kind == "svm" else 3)
    together = explain(recognizer, corpus, method, "true", n_samples=64)
    for row, item in enumerate(together):
        if method in ("random", "kernel-shap") and row:
            continue  # what is drawn depends on the place
        (one,) = explain(recognizer, alone(corpus, row), method, "true", n_samples=64)
        np.testing.assert_allclose(item.values, one.values, atol=1e-4)
        assert (item.utterance_id, item.emotion, item.names) == (one.utterance_id, one.emotion, one.names)


def test_what_is_drawn_depends_on_the_seed_alone(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    torch.manual_seed(1)
    for method in ("random", "kernel-shap"):
        first, again, other = (explain(svm, corpus, method, seed=seed, n_samples=12).values for seed in (1, 1, 2))
        np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
        assert not np.array_equal(np.concatenate(first), np.concatenate(other))


def test_kernel_shap_comes_close_to_the_exact_values(reader: NetworkRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    exact = np.concatenate(explain(reader, corpus, "shapley", "true").values)
    drawn = np.concatenate(explain(reader, corpus, "kernel-shap", "true", n_samples=2_000).values)
    assert np.corrcoef(exact, drawn)[0, 1] > 0.98


def test_logit_and_reference_are_those_of_all_and_none(reader: NetworkRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    logits = reader.logits(corpus)
    for method in PERTURBATIONS:
        for row, item in enumerate(explain(reader, corpus, method, "true", n_samples=64)):
            target = corpus.targets()[row]
            assert item.logit == pytest.approx(logits[row, target] - logits[row].mean(), abs=1e-5)
            complete = method in ("shapley", "kernel-shap", "shap-partition")
            assert np.isnan(item.reference) == (not complete)
            assert np.isnan(item.convergence_delta) == (not complete)


def test_modalities_are_explained_by_every_method(senses: LateFusion, senses_fold: Fold) -> None:
    corpus = some(senses_fold.test)
    exact = explain(senses, corpus, "shapley", "true")
    assert exact.modality == "modality"
    assert exact[0].names == ("audio", "text", "video")
    for method in ("kernel-shap", "shap-partition"):
        found = explain(senses, corpus, method, "true", n_samples=256)
        np.testing.assert_allclose(
            np.sum(found.values, axis=1), np.sum(exact.values, axis=1), atol=1e-3, err_msg=method
        )
    without = explain(senses, corpus, "ablation", "true")
    assert np.isnan(without[0].reference)


def test_too_many_units_cannot_be_asked_for_one_by_one(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"an utterance has 1\d units; expected at most 12.*Take method=.kernel-shap"):
        explain(listener, hums_fold.test, "shapley")
