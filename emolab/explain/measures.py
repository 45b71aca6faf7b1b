"""What explanations are measured by: truth, complexity, agreement, faithfulness, each on the arrays of one utterance.

A measure that says nothing for an utterance is NaN there, and `clustered_interval` leaves it out. Values are what each
unit adds to the logit; below 0 it speaks against the emotion.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import kendalltau, spearmanr

from emolab.features.text import text_units, words
from emolab.storage import toml_beside

SHARES = tuple(step / 10 for step in range(1, 11))  # of the units that are removed, or kept
SMALL_SHARE = 0.5  # `mean_fall` looks at shares up to this
ROUNDING = 1e-9  # 0.7 * 10 is a little more than 7
LISTS = toml_beside(__file__, "emotion_words.toml")
EMOTION_WORDS = {emotion: frozenset(listed.split()) for emotion, listed in LISTS.items()}  # in lower case

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def pointing_game(values: ArrayLike, truth: ArrayLike) -> float:
    """Return 1 if the unit that adds most is marked, else 0; of equals, the share that is marked.

    Args:
        values: (n_units,) what each unit adds.
        truth: (n_units,) which units are marked as the cause.

    Returns:
        From 0 to 1; chance level is `pointing_game_chance(truth)`. NaN where no unit or every unit is marked.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.

    Example:
        >>> pointing_game([0.1, 0.7, 0.7], [False, True, False])
        0.5
    """
    added, marked = _checked(values, truth)
    return float(marked[added == added.max()].mean()) if _says_something(marked) else np.nan


def pointing_game_chance(truth: ArrayLike) -> float:
    """Return the share of marked units, the expected `pointing_game` of random values; NaN where that is NaN."""
    marked = np.asarray(truth, dtype=bool)
    return float(marked.mean()) if _says_something(marked) else np.nan


def average_precision(values: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean precision at the places of the marked units, the unit that adds most first.

    Equal values count by expectation: the mean over all orders in which they could stand. (scikit-learn counts equals
    as one step, which is less where they hold a marked unit; without equals both agree.)

    Returns:
        From above 0 to 1; chance level is `average_precision_chance(truth)`. NaN where no unit or every unit is marked.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.

    Example:
        >>> average_precision([0.9, 0.5, 0.2], [True, False, True])  # (1/1 + 2/3) / 2
        0.8333333333333333
    """
    added, marked = _checked(values, truth)
    if not _says_something(marked):
        return np.nan
    _, group, sizes = np.unique(-added, return_inverse=True, return_counts=True)
    hits = np.bincount(group, weights=marked, minlength=len(sizes))
    before, hits_before = np.cumsum(sizes) - sizes, np.cumsum(hits) - hits
    size, hit, ahead, hits_ahead = (np.repeat(each, sizes) for each in (sizes, hits, before, hits_before))
    place = np.arange(len(added)) - ahead  # inside the group of equals, from 0
    others = place * (hit - 1) / np.maximum(size - 1, 1)  # marked ones expected before, given one stands here
    precision = (hits_ahead + 1 + others) / (ahead + place + 1)
    return float((hit / size * precision).sum() / marked.sum())


def average_precision_chance(truth: ArrayLike) -> float:
    """Return the expected `average_precision` of random values, exactly; with few units far above the share marked."""
    marked = np.asarray(truth, dtype=bool)
    return average_precision(np.zeros(len(marked)), marked) if marked.any() else np.nan  # the mean over all orders


def relevance_mass_accuracy(values: ArrayLike, truth: ArrayLike) -> float:
    """Return the share of the positive relevance that lies on marked units.

    Returns:
        From 0 to 1; chance level is `pointing_game_chance(truth)`. NaN where nothing is positive, or no unit or every
        unit is marked.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.
    """
    added, marked = _checked(values, truth)
    share = _share(np.maximum(added, 0))
    return min(1.0, float(share[marked].sum())) if share is not None and _says_something(marked) else np.nan


def gini(values: ArrayLike) -> float:
    """Return how unevenly the size of the values, whatever their sign, is spread over the units.

    The Gini index, the measure of sparsity that Hurley and Rickard (2009, "Comparing measures of sparsity") commend.

    Returns:
        From 0, all even, to 1 - 1 / n_units, all on one unit. NaN for one unit, and where all values are 0.

    Raises:
        ValueError: If there is no value, or one is not finite.

    Example:
        >>> gini([0, 0, -3, 0])
        0.75
    """
    share = _share(np.abs(_checked(values)))
    if share is None or len(share) == 1:
        return np.nan
    n = len(share)
    return float(max(0.0, 1 - 2 * (np.sort(share) * (n - np.arange(n) - 1 / 2)).sum() / n))


def units_to(values: ArrayLike, share: float = 0.8) -> float:
    """Return the share of the units that hold so much of the size of all values, the largest first.

    Returns:
        From 1 / n_units, simple, to 1; about `share` where all are even. NaN for one unit, and where all values are 0.

    Raises:
        ValueError: If there is no value, or one is not finite.
    """
    sizes = _share(np.abs(_checked(values)))
    if sizes is None or len(sizes) == 1:
        return np.nan
    enough = np.cumsum(np.sort(sizes)[::-1]) >= share - ROUNDING
    return float((enough.argmax() + 1) / len(sizes)) if enough.any() else 1.0


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Return Kendall's tau-b of two explanations of the same units: whether they rank pairs of units alike.

    Returns:
        From -1, reversed, to 1; chance level is 0. Equals lower it. NaN where one of the two is constant.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.
    """
    first, second = _checked(a, b)
    return float(kendalltau(first, second).statistic) if np.ptp(first) and np.ptp(second) else np.nan


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's correlation of two explanations of the same units: that of their ranks, equals sharing one.

    Returns:
        From -1, reversed, to 1; chance level is 0. NaN where one of the two is constant.

    Raises:
        ValueError: If the two do not pair up, or a value is not finite.
    """
    first, second = _checked(a, b)
    return float(spearmanr(first, second).statistic) if np.ptp(first) and np.ptp(second) else np.nan


def ranked_masks(values: ArrayLike, shares: Sequence[float] = SHARES) -> Mask:
    """Mark the ceil(share * n_units) units that add most: tests of faithfulness remove them, or keep only them.

    Units are ranked by what they add, not by its size; of equals, the earlier first.

    Args:
        values: (n_units,) what each unit adds.
        shares: From 0 to 1.

    Returns:
        (n_shares, n_units) bool. The mean of a row is the share that is really marked: of 3 units, 10 % are a third.

    Raises:
        ValueError: If there is no value, or one is not finite.
    """
    added = _checked(values)
    rank = np.empty(len(added), dtype=np.int64)
    rank[np.argsort(-added, kind="stable")] = np.arange(len(added))
    return rank < np.ceil(np.asarray(shares) * len(added) - ROUNDING)[:, None]


def mean_fall(full: float, logits: ArrayLike) -> float:
    """Return how far the logit falls on average over `SHARES` up to a half: comprehensiveness, or sufficiency.

    After DeYoung et al. (2020, ERASER), who take probabilities and other shares.

    Args:
        full: The emotion's logit when all units stay.
        logits: (n_shares,) the same for `~ranked_masks(values)`: comprehensiveness, how far it falls without the units
            that add most; or for the masks themselves: sufficiency, how far it falls with only these.

    Returns:
        In logits. More comprehensiveness is better; less sufficiency is: 0 where the few suffice, below 0 where the
        rest speaks against the emotion. Neither has a chance level of its own: they are read beside random values, and
        over utterances as the ratio of their mean to that of `full` less the reference (`clustered_ratio`): for
        comprehensiveness 1 where removing the few takes everything away.

    Raises:
        ValueError: If there is not one finite logit for each of `SHARES`.
    """
    found, shares = _checked(logits, SHARES)
    return float(full - found[shares <= SMALL_SHARE].mean())


def deletion_area(full: float, without: ArrayLike, reference: float, shares: ArrayLike) -> float:
    """Return the area between the logit and the reference while ever more units are removed, what adds most first.

    By the trapezoid rule over the share removed, from 0 to 1 (Petsiuk et al. 2018, RISE, who take probabilities).

    Args:
        full: The emotion's logit when all units stay.
        without: (n_shares,) the same for `~ranked_masks(values)`.
        reference: The same when none stays.
        shares: (n_shares,) what the masks really mark, ascending; with few units they are not those asked for.

    Returns:
        In logits; less is better. Over utterances it is the ratio of its mean to that of `full` - `reference`
        (`clustered_ratio`), which for a model that adds up its units is 0.5 by chance.

    Raises:
        ValueError: If the logits and the shares do not pair up, or the shares do not ascend from 0 to 1.
    """
    found, steps = _checked(without, shares)
    if (np.diff(steps) < 0).any() or steps[0] < 0 or steps[-1] > 1:
        raise ValueError(f"shares are {steps}; expected them to ascend, from 0 to 1. Take those of ranked_masks.")
    return float(np.trapezoid([full, *found, reference], [0, *steps, 1])) - reference


def infidelity(values: ArrayLike, masks: ArrayLike, full: float, without: ArrayLike) -> float:
    """Return how badly the values foretell what the logit loses when random units are removed.

    The mean squared difference between the values of the removed units, summed, and the logit's fall, over the mean
    squared fall (Yeh et al. 2019). As there, the values are first scaled to fit best, so that only their proportions
    count; but never by a factor below 0, since reversed values foretell the opposite.
    Captum's infidelity is the same without the division: in squared logits, which no two models share.

    Args:
        values: (n_units,) what each unit adds.
        masks: (n_draws, n_units) bool, which units stay.
        full: The emotion's logit when all units stay.
        without: (n_draws,) the same for each mask.

    Returns:
        From 0, best, to 1, no better than saying nothing. Values that are all alike come below 1 too, since the more
        is removed the more is lost: so they are a control beside random values. NaN where the logit never changes.

    Raises:
        ValueError: If values, masks and logits do not fit together, or are not finite.
    """
    added, stays, after = _checked(values), np.asarray(masks, dtype=bool), _checked(without)
    if stays.shape != (len(after), len(added)):
        why = f"masks have shape {stays.shape} for {len(after)} logits and {len(added)} values; expected"
        raise ValueError(f"{why} {(len(after), len(added))}, a row for each logit. Give those of these logits.")
    foretold, fall = ~stays @ added, full - after
    if not fall.any():
        return np.nan
    sizes = np.linalg.norm(foretold) * np.linalg.norm(fall)
    cosine = np.clip(foretold @ fall / sizes, 0, 1) if sizes else 0  # of which the best factor makes 1 - cosine²
    return float(1 - cosine**2)


def _checked(*arrays: ArrayLike) -> Any:
    """Return one array, or several of the same units, as (n,) float64 (masks as bool): all finite, at least one."""
    found = [np.asarray(array) if np.asarray(array).dtype == bool else np.asarray(array, float) for array in arrays]
    shapes = {array.shape for array in found}
    if len(shapes) > 1 or found[0].ndim != 1 or not found[0].size or not all(np.isfinite(own).all() for own in found):
        problem = f"values have shapes {[array.shape for array in found]}, or are not finite"
        remedy = "Give those of one utterance in one order, and leave out utterances without units"
        raise ValueError(f"{problem}; expected (n,) finite numbers, at least one. {remedy}.")
    return found if len(found) > 1 else found[0]


def _says_something(marked: Mask) -> bool:
    return bool(marked.any() and not marked.all())


def _share(sizes: Floats) -> Floats | None:
    """Return sizes that sum to 1, None where all are 0; scaled first, since tiny ones would sum to 0."""
    largest = sizes.max()
    return (sizes / largest) / (sizes / largest).sum() if largest else None


def emotion_word_mask(text: str, emotion: str | None = None) -> Mask:
    """Mark the emotion words of a text, (n_words,) bool over `text_units(text)`; case and punctuation do not count.

    Args:
        text: What is said.
        emotion: Whose words; those of any emotion where it is None. An emotion without a list, such as neutral or
            one of your own, marks nothing.

    Example:
        >>> emotion_word_mask("Angry! He is so angry, I am scared.", "angry").tolist()
        [True, False, False, False, True, False, False, False]
    """
    listed = frozenset().union(*EMOTION_WORDS.values()) if emotion is None else EMOTION_WORDS.get(emotion, frozenset())
    return np.array([any(token in listed for token in words(word)) for word in text_units(text)], dtype=bool)
