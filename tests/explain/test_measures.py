"""Measures of explanations: hand-worked numbers, ranges and invariances, chance level, and what says nothing."""

from __future__ import annotations

import doctest
import tomllib
from collections import Counter
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from emolab.corpora.corpus import EMOTIONS
from emolab.explain import measures
from emolab.explain.measures import (
    EMOTION_WORDS,
    SHARES,
    average_precision,
    average_precision_chance,
    deletion_area,
    emotion_word_mask,
    gini,
    infidelity,
    kendall,
    mean_fall,
    pointing_game,
    pointing_game_chance,
    ranked_masks,
    relevance_mass_accuracy,
    spearman,
    units_to,
)
from emolab.features.text import text_units, words

VALUES = st.lists(st.integers(-6, 6).map(lambda n: n / 4), min_size=2, max_size=12)  # coarse, so that some are equal
SEEDS = st.integers(0, 10_000)
WITH_TRUTH = (pointing_game, average_precision, relevance_mass_accuracy)
OF_SIZES = (gini, units_to)
OF_TWO = (kendall, spearman)


def marked(n: int, seed: int) -> np.ndarray:
    """Mark some of n units, neither none nor all."""
    rng = np.random.default_rng(seed)
    truth = np.zeros(n, dtype=bool)
    truth[rng.permutation(n)[: rng.integers(1, n)]] = True
    return truth


def random_ratio(*, n_units: int) -> float:
    """Ratio of the mean area of random rankings to the mean fall, for a model that adds up its units."""
    rng = np.random.default_rng(0)
    areas, falls = [], []
    for _ in range(600):
        adds, masks = rng.normal(1, 1, n_units), ranked_masks(rng.normal(size=n_units))
        areas.append(deletion_area(adds.sum() + 3, ~masks @ adds + 3, 3.0, masks.mean(axis=1)))
        falls.append(adds.sum())
    return float(np.mean(areas) / np.mean(falls))


def test_measures_of_truth_worked_by_hand() -> None:
    values, truth = [3.0, -4.0, 1.0, 0.0, 2.0], [False, True, False, True, True]
    assert pointing_game(values, truth) == 0  # the first adds most
    assert pointing_game_chance(truth) == 3 / 5
    assert average_precision(values, truth) == pytest.approx((1 / 2 + 2 / 4 + 3 / 5) / 3)
    assert relevance_mass_accuracy(values, truth) == pytest.approx(2 / 6)  # what speaks against does not count
    assert average_precision_chance([True, False]) == pytest.approx((1 + 1 / 2) / 2)
    assert average_precision_chance([True, True, False]) == pytest.approx(((1 + 1) + (1 + 2 / 3) + (1 / 2 + 2 / 3)) / 6)


def test_equals_share_the_top_hit_and_count_by_expectation() -> None:
    assert pointing_game([0, 0, 0, 0], [True, False, False, False]) == 1 / 4
    assert pointing_game([2, 2, 2, 0], [True, False, True, False]) == pytest.approx(2 / 3)
    assert average_precision([2, 2, 0], [True, False, False]) == pytest.approx((1 + 1 / 2) / 2)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=5), SEEDS)
@settings(max_examples=25)
def test_average_precision_is_the_mean_over_all_orders_of_equals(values: list[int], seed: int) -> None:
    truth = marked(len(values), seed)
    tiny = [np.array(order) * 1e-6 for order in permutations(range(len(values)))]
    every = [average_precision_score(truth, np.array(values) + breaker) for breaker in tiny]
    assert average_precision(values, truth) == pytest.approx(np.mean(every))


@given(SEEDS, st.integers(2, 40))
def test_average_precision_without_equals_is_that_of_scikit_learn(seed: int, n: int) -> None:
    values, truth = np.random.default_rng(seed).permutation(n), marked(n, seed)
    assert average_precision(values, truth) == pytest.approx(average_precision_score(truth, values))


@pytest.mark.parametrize("measure", WITH_TRUTH)
@given(VALUES, SEEDS)
def test_measures_of_truth_stay_in_range_whatever_the_scale_and_the_order(
    measure: Callable[..., float], values: list[float], seed: int
) -> None:
    truth, order = marked(len(values), seed), np.random.default_rng(seed).permutation(len(values))
    found = measure(values, truth)
    assert np.isnan(found) or 0 <= found <= 1
    assert measure(np.array(values) * 7.3, truth) == pytest.approx(found, nan_ok=True)
    assert measure(np.array(values)[order], truth[order]) == pytest.approx(found, nan_ok=True)


@given(st.integers(2, 15), SEEDS)
def test_measures_of_truth_are_1_where_only_marked_units_add(n: int, seed: int) -> None:
    truth = marked(n, seed)
    values = np.where(truth, 0.5 + np.random.default_rng(seed).random(n), -1.0)
    assert [measure(values, truth) for measure in WITH_TRUTH] == pytest.approx([1, 1, 1])
    assert relevance_mass_accuracy(-values, truth) == 0 == pointing_game(-values, truth)


@pytest.mark.parametrize(
    ("measure", "chance"),
    [
        (pointing_game, pointing_game_chance),
        (average_precision, average_precision_chance),
        (relevance_mass_accuracy, pointing_game_chance),
    ],
)
def test_random_values_are_at_chance_in_the_mean(measure: Any, chance: Any) -> None:
    rng, truth = np.random.default_rng(0), np.arange(9) % 4 == 1
    found = np.array([measure(rng.normal(size=9), truth) for _ in range(4000)])
    found = found[~np.isnan(found)]  # now and then nothing is positive
    assert len(found) > 3900
    assert np.mean(found) == pytest.approx(chance(truth), abs=4 * np.std(found) / np.sqrt(len(found)))


@pytest.mark.parametrize("measure", [pointing_game, average_precision])
@pytest.mark.parametrize("truth", [[True] * 3 + [False], [False, True, False, False]])
def test_constant_values_are_exactly_at_chance(measure: Any, truth: list[bool]) -> None:
    chance = pointing_game_chance if measure is pointing_game else average_precision_chance
    assert measure([0.0] * 4, truth) == pytest.approx(chance(truth))


@pytest.mark.parametrize("truth", [[False] * 3, [True] * 3, [True], [False]])
def test_no_mark_all_marked_and_a_single_unit_say_nothing(truth: list[bool]) -> None:
    values = np.arange(len(truth)) + 1.0
    found = [measure(values, truth) for measure in WITH_TRUTH]
    assert np.isnan([*found, pointing_game_chance(truth), average_precision_chance(truth)]).all()


def test_mass_inside_says_nothing_where_nothing_is_positive() -> None:
    assert np.isnan(relevance_mass_accuracy([-1, 0, -2], [True, False, False]))
    assert np.isnan(average_precision_chance([]))


def test_gini_and_units_to_worked_by_hand() -> None:
    assert gini([1, 1, 1, 1]) == 0
    assert gini([0, 2, 0, 0, 0]) == pytest.approx(4 / 5)
    # sorted 1, 2, 5 of 8: 1 - 2 * (1/8 * 2.5 + 2/8 * 1.5 + 5/8 * 0.5) / 3
    assert gini([-5, 1, 2]) == pytest.approx(1 - 2 * (2.5 + 3 + 2.5) / 8 / 3)
    assert units_to([0, -9, 0, 0]) == 1 / 4
    assert units_to([1, 1, 1, 1]) == 1
    assert units_to([1] * 10) == 8 / 10
    assert units_to([-5, 1, 2]) == pytest.approx(2 / 3)  # 7 of 8 are more than 80 %
    assert units_to([-5, 1, 2], 0.6) == pytest.approx(1 / 3)
    assert units_to([-5, 1, 2], 1) == 1


@given(st.lists(st.integers(0, 9), min_size=2, max_size=12).filter(any))
def test_gini_is_half_the_mean_difference_of_pairs_over_the_mean(values: list[int]) -> None:
    sizes = np.array(values)
    expected = np.abs(sizes[:, None] - sizes).mean() / 2 / sizes.mean()
    assert gini(values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("measure", OF_SIZES)
@given(VALUES.filter(any), SEEDS)
def test_complexity_stays_in_range_whatever_scale_sign_and_order(
    measure: Callable[..., float], values: list[float], seed: int
) -> None:
    found, shuffled = measure(values), np.random.default_rng(seed).permutation(values)
    low, high = (0, 1 - 1 / len(values)) if measure is gini else (1 / len(values), 1)
    assert low <= found <= high + 1e-12
    assert measure(shuffled * -0.37) == pytest.approx(found, abs=1e-12)


@pytest.mark.parametrize("measure", OF_SIZES)
@pytest.mark.parametrize("values", [[0.0, 0.0], [3.0], [0.0]])
def test_complexity_of_nothing_or_of_one_unit_says_nothing(measure: Any, values: list[float]) -> None:
    assert np.isnan(measure(values))


def test_agreement_worked_by_hand() -> None:
    assert kendall([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)
    assert kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / np.sqrt(2 * 3))  # tau-b: a pair of equals
    assert spearman([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 2)
    assert spearman([1, 2, 9], [-5, 0, 0.1]) == pytest.approx(1)


@given(VALUES.filter(lambda values: len({*values}) > 1), SEEDS)
def test_spearman_is_that_of_scipy(values: list[float], seed: int) -> None:
    other = np.random.default_rng(seed).permutation(values)
    assert spearman(values, other) == pytest.approx(spearmanr(values, other).statistic)


@pytest.mark.parametrize("measure", OF_TWO)
@given(VALUES.filter(lambda values: len({*values}) > 1), SEEDS)
def test_agreement_is_symmetric_and_only_the_order_counts(
    measure: Callable[..., float], values: list[float], seed: int
) -> None:
    a, b = np.array(values), np.random.default_rng(seed).permutation(values)
    assert -1 - 1e-12 <= measure(a, b) <= 1 + 1e-12
    assert measure(a, b) == pytest.approx(measure(b, a)) == pytest.approx(measure(np.exp(a), b * 2 - 1))
    assert measure(a, a) == pytest.approx(1) == pytest.approx(-measure(a, -a))


@pytest.mark.parametrize("measure", OF_TWO)
def test_agreement_is_0_in_the_mean_for_random_values_and_nothing_for_constant_ones(measure: Any) -> None:
    rng = np.random.default_rng(0)
    found = [measure(*rng.normal(size=(2, 8))) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0, abs=4 * np.std(found) / np.sqrt(len(found)))
    assert np.isnan([measure([1, 1, 1], [1, 2, 3]), measure([1, 2, 3], [0, 0, 0]), measure([1], [2])]).all()


def test_ranked_masks_worked_by_hand() -> None:
    kept = ranked_masks([0.1, -9, 0.7, 0.7], shares=(0, 0.2, 0.5, 1))
    expected = [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]]  # of equals, the earlier first
    np.testing.assert_array_equal(kept, np.array(expected, dtype=bool))
    assert ranked_masks([3, 1, 2]).mean(axis=1).tolist() == pytest.approx(
        [n / 3 for n in (1, 1, 1, 2, 2, 2, 3, 3, 3, 3)]
    )


@given(st.integers(1, 60), SEEDS)
def test_ranked_masks_take_as_many_units_as_asked_and_follow_their_order(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, order = rng.normal(size=n), rng.permutation(n)
    kept = ranked_masks(values)
    assert kept.shape == (len(SHARES), n)
    assert kept.sum(axis=1).tolist() == [-(-step * n // 10) for step in range(1, 11)]  # integers know no rounding
    assert all(values[k].min() >= values[~k].max() for k in kept if not k.all())
    np.testing.assert_array_equal(ranked_masks(values[order]), kept[:, order])
    np.testing.assert_array_equal(ranked_masks(values * 3.7), kept)


def test_measures_of_faithfulness_worked_by_hand() -> None:
    adds, reference = np.array([4.0, 1.0, -2.0, 1.0]), 0.5
    full, kept = adds.sum() + reference, ranked_masks(adds)
    without, only = ~kept @ adds + reference, kept @ adds + reference
    # of four units 10 and 20 % are one, 30 to 50 % two: the 4, then a 1 as well
    assert mean_fall(full, without) == pytest.approx((2 * 4 + 3 * 5) / 5)  # comprehensiveness
    assert mean_fall(full, only) == pytest.approx((2 * 0 + 3 * -1) / 5)  # sufficiency
    removed = ~ranked_masks(adds, shares := (0.25, 0.5, 0.75, 1))
    # above the reference: 4, 0, -1, -2, 0, a quarter apart
    area = deletion_area(full, removed @ adds + reference, reference, shares)
    assert area == pytest.approx((2 + 0 - 1 - 2 + 0) / 4)


@given(st.integers(2, 15), SEEDS)
def test_faithfulness_of_what_truly_adds_beats_its_reverse(n: int, seed: int) -> None:
    adds = np.random.default_rng(seed).normal(size=n)
    found = []
    for values in (adds, -adds):
        masks = ranked_masks(values)
        without, only, full = ~masks @ adds, masks @ adds, adds.sum()
        area = deletion_area(full, without, 0, masks.mean(axis=1))
        found.append([mean_fall(full, without), -mean_fall(full, only), -area])
    assert (np.array(found[0]) >= np.array(found[1]) - 1e-9).all()


@given(st.integers(1, 15), SEEDS, st.floats(0.1, 10))
def test_faithfulness_scales_with_the_logits_and_forgets_what_all_share(n: int, seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    full, reference, logits = *rng.normal(size=2), rng.normal(size=len(SHARES))
    shares = ranked_masks(rng.normal(size=n)).mean(axis=1)
    found = np.array([mean_fall(full, logits), deletion_area(full, logits, reference, shares)])
    other = [factor * each + 3 for each in (full, logits, reference)]
    again = [mean_fall(*other[:2]), deletion_area(*other, shares)]
    np.testing.assert_allclose(again, found * factor, atol=1e-9)


@pytest.mark.parametrize("n_units", [1, 3, 7, 25])
def test_areas_of_random_rankings_are_half_the_fall_however_few_the_units(n_units: int) -> None:
    assert random_ratio(n_units=n_units) == pytest.approx(0.5, abs=0.04)


def test_infidelity_worked_by_hand() -> None:
    masks = [[False, True], [True, False]]
    # falls 3 and 1; values 1 and 1 foretell 1 and 1, best times 2: (1 + 1) / (9 + 1)
    assert infidelity([1, 1], masks, 5, [2, 4]) == pytest.approx(0.2)
    assert infidelity([6, 2], masks, 5, [2, 4]) == pytest.approx(0)
    assert infidelity([-6, -2], masks, 5, [2, 4]) == 1
    assert infidelity([0, 0], masks, 5, [2, 4]) == 1
    assert infidelity([1, -3], masks, 5, [2, 4]) == 1
    assert np.isnan(infidelity([1, 2], masks, 5, [5, 5]))


def test_infidelity_is_that_of_captum_over_the_mean_squared_fall() -> None:
    import torch
    from captum.metrics import infidelity as of_captum

    rng = np.random.default_rng(0)
    masks, values = rng.random((40, 6)) < 0.7, rng.normal(1, 1, 6)

    def logit(inputs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(inputs @ torch.from_numpy(values)) + inputs[:, 0] * inputs[:, 1]

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(~masks).double(), torch.from_numpy(masks).double()

    whole = torch.ones(1, 6, dtype=torch.float64)
    without = logit(torch.from_numpy(masks).double()).numpy()
    theirs = of_captum(logit, perturb, whole, torch.from_numpy(values)[None], n_perturb_samples=40, normalize=True)
    fall = float(logit(whole)) - without
    assert infidelity(values, masks, float(logit(whole)), without) == pytest.approx(float(theirs) / np.mean(fall**2))


@given(st.integers(2, 10), SEEDS, st.floats(0.1, 10))
def test_infidelity_stays_in_range_whatever_the_scale_and_is_0_for_what_truly_adds(
    n: int, seed: int, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    adds, values, masks = rng.normal(size=n), rng.normal(size=n), rng.random((20, n)) < 0.5
    full, without, order = adds.sum() - 1, masks @ adds - 1, rng.permutation(n)
    found = infidelity(values, masks, full, without)
    assert 0 <= found <= 1
    assert infidelity(values * factor, masks, full, without) == pytest.approx(found, abs=1e-9)
    assert infidelity(values[order], masks[:, order], full, without) == pytest.approx(found, abs=1e-9)
    assert infidelity(adds * factor, masks, full, without) == pytest.approx(0, abs=1e-9)


def test_errors_say_what_was_wrong() -> None:
    with pytest.raises(ValueError, match=r"shapes .*\(2,\).*\(3,\).*expected \(n,\) finite numbers.*in one order"):
        pointing_game([1, 2], [True, False, True])
    with pytest.raises(
        ValueError, match=r"shapes \[\(2,\)\], or are not finite; expected .* Give those of one utterance"
    ):
        gini([1, np.nan])
    with pytest.raises(ValueError, match=r"shapes \[\(0,\)\].*at least one.*leave out utterances without units"):
        units_to([])
    with pytest.raises(ValueError, match=r"masks have shape \(1, 2\) for 2 logits and 2 values; expected \(2, 2\)"):
        infidelity([1, 2], [[True, False]], 1, [0, 1])
    with pytest.raises(ValueError, match=r"shapes \[\(2,\), \(10,\)\].*expected \(n,\) finite numbers"):
        mean_fall(1, [0, 0])
    with pytest.raises(ValueError, match=r"expected them to ascend, from 0 to 1\. Take those of ranked_masks"):
        deletion_area(1, [0, 0], 0, [1, 0.5])


LISTED = ("angry", "sad", "happy", "fearful", "surprised", "disgusted", "frustrated", "excited")


def test_lists_are_of_the_emotions_that_have_words_and_can_be_found_in_texts() -> None:
    lists = EMOTION_WORDS
    assert set(lists) == set(LISTED) <= set(EMOTIONS)
    assert all(25 <= len(found) <= 40 for found in lists.values())
    assert [word for found in lists.values() for word in found if words(word) != [word]] == []
    assert all(emotion in found for emotion, found in lists.items())


def test_lists_hold_no_word_twice() -> None:
    text = (Path(measures.__file__).parent / "emotion_words.toml").read_text(encoding="utf-8")
    for found in tomllib.loads(text).values():
        assert [word for word, count in Counter(found.split()).items() if count > 1] == []


@pytest.mark.parametrize(
    ("text", "emotion", "expected"),
    [
        ("Angry! so ANGRY...", "angry", [True, False, True]),
        ("I'm sad-eyed, you're glad", "sad", [False, True, False, False]),
        ("I'm sad-eyed, you're glad", None, [False, True, False, True]),
        ("so angry", "neutral", [False, False]),
        ("so angry", "bored", [False, False]),
        ("saddle -- ?!", "sad", [False, False, False]),
        ("", None, []),
    ],
)
def test_marks_words_whatever_their_case_and_signs(text: str, emotion: str | None, expected: list[bool]) -> None:
    assert emotion_word_mask(text, emotion).tolist() == expected


@given(st.text())
def test_marks_one_truth_value_a_word_and_any_emotion_is_their_union(text: str) -> None:
    found = [emotion_word_mask(text, emotion) for emotion in LISTED]
    assert all(mask.shape == (len(text_units(text)),) and mask.dtype == bool for mask in found)
    np.testing.assert_array_equal(emotion_word_mask(text), np.any(found, axis=0))


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(measures).failed == 0
