"""Asking for coalitions: the same as the libraries called naively, and Shapley values by their definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from math import factorial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emolab.corpora import Corpus
from emolab.explain import explain
from emolab.explain.maskers import masker_for
from emolab.explain.removal import METHODS, Asked, explain_by_removal, partition, shapley, shapley_weights
from emolab.late import LateFusion
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold

N = 4  # utterances


def some(corpus: Corpus, n: int = N) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def alone(corpus: Corpus, row: int) -> Corpus:
    return corpus.select(np.arange(len(corpus)) == row)


class Toy:
    """A game whose rules are a function of the mask."""

    def __init__(self, sizes: list[int], rule: Callable[[NDArray[np.bool_]], float]) -> None:
        self.names = [tuple(f"player {number}" for number in range(size)) for size in sizes]
        self.rule, self.n_asked = rule, 0

    def logits(self, masks: list[NDArray[np.bool_]]) -> list[NDArray[np.float64]]:
        self.n_asked += sum(map(len, masks))
        return [np.array([[self.rule(mask), 0.0] for mask in own]).reshape(len(own), 2) for own in masks]


def toy(sizes: list[int], rule: Callable[[NDArray[np.bool_]], float], n_samples: int = 256) -> Asked:
    return Asked(Toy(sizes, rule), np.zeros(len(sizes), np.int64), n_samples, 0)  # type: ignore[arg-type]


def by_permutations(n: int, rule: Callable[[NDArray[np.bool_]], float]) -> NDArray[np.float64]:
    shares = np.zeros(n)
    for order in permutations(range(n)):
        mask = np.zeros(n, bool)
        for player in order:
            before = rule(mask)
            mask = mask | (np.arange(n) == player)
            shares[player] += (rule(mask) - before) / factorial(n)
    return shares


@settings(max_examples=20)
@given(n=st.integers(1, 5), seed=st.integers(0, 99))
def test_shapley_is_the_mean_over_all_orders(n: int, seed: int) -> None:
    table = np.random.default_rng(seed).normal(size=2**n)

    def rule(mask: NDArray[np.bool_]) -> float:
        return float(table[int("".join("01"[int(stays)] for stays in mask), 2)])

    (shares,) = shapley(toy([n], rule))
    np.testing.assert_allclose(shares, by_permutations(n, rule), atol=1e-9)


def test_shapley_by_hand() -> None:
    gloves = toy([3], lambda mask: float(mask[0] and (mask[1] or mask[2])))  # a left glove, and two right ones
    np.testing.assert_allclose(shapley(gloves)[0], [2 / 3, 1 / 6, 1 / 6])
    of_two_sizes = shapley(toy([2, 3, 0], lambda mask: float(mask.sum())))
    assert [own.tolist() for own in of_two_sizes] == [pytest.approx([1, 1]), pytest.approx([1, 1, 1]), []]


def test_shapley_weights_give_a_player_what_it_adds() -> None:
    masks = np.array(list(product([False, True], repeat=3)))
    weights = shapley_weights(masks)
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(weights @ masks, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("method", ["shapley", "kernel-shap", "shap-partition", "ablation"])
def test_of_players_that_only_add_up_every_method_says_what_each_adds(method: str) -> None:
    worth = np.array([2.0, -1.0, 0.0, 0.5, 3.0])
    asked = toy([5, 3], lambda mask: float(mask @ worth[: len(mask)]))
    for own in METHODS[method](asked):
        np.testing.assert_allclose(own, worth[: len(own)], atol=1e-3)


def test_owen_values_share_within_halves_first() -> None:
    """The first two and the last two are groups; only pairs across groups win something."""
    found = partition(toy([4], lambda mask: float(mask[0] and mask[2])))[0]
    np.testing.assert_allclose(found, [0.5, 0, 0.5, 0], atol=1e-9)
    alone = partition(toy([1], lambda mask: 3.0 * float(mask[0])))[0]
    assert alone.tolist() == [3.0]


def test_partition_asks_for_all_utterances_at_once_and_for_few_coalitions() -> None:
    asked = toy([8, 5, 1], lambda mask: float(mask[:3].all()), n_samples=500)
    values = partition(asked)
    assert [len(own) for own in values] == [8, 5, 1]
    assert all(own.sum() == pytest.approx(1) for own in values)


def test_occlusion_means_the_falls_of_three_neighbours() -> None:
    worth = np.array([5.0, 0, 0, 0, 1.0])
    found = METHODS["occlusion"](toy([5], lambda mask: float(mask @ worth)))[0]
    np.testing.assert_allclose(found, [5, 5 / 2, (5 + 0 + 1) / 3, 1 / 2, 1])
    single = METHODS["occlusion"](toy([1], lambda mask: 2.0 * float(mask[0])))[0]
    assert single.tolist() == [2.0]


def test_occlusion_of_short_utterances_beside_long_ones_knows_where_they_end() -> None:
    worth = np.array([4.0, 0.0, 1.0, 2.0, 0.0, 3.0, 1.0])

    def rule(mask: NDArray[np.bool_]) -> float:
        return float(mask @ worth[: len(mask)])

    together = METHODS["occlusion"](toy([3, 7, 2, 1, 0], rule))
    for size, own in zip([3, 7, 2, 1, 0], together, strict=True):
        np.testing.assert_allclose(own, METHODS["occlusion"](toy([size], rule))[0], atol=1e-9)


@pytest.mark.parametrize("texts", [["", "dax we", ""], ["", "", ""], ["dax", "we", "..."]])
@pytest.mark.parametrize("method", METHODS)
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
    [("svm", name) for name in METHODS] + [("listener", name) for name in METHODS if name != "shapley"],
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
    played = masker_for(reader, corpus, "text")
    asked = Asked(played, corpus.targets(), 64, 0)
    for method in METHODS:
        for row, item in enumerate(explain_by_removal(method, asked)):
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
