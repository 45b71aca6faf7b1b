"""Checkers of chapters 14 to 18: explanations."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from emolab.corpora import Corpus
from emolab.course.exercises import alike, attempted, exercise, number
from emolab.recognizer import Recognizer

MASS_LEAD = 0.05  # of relevance mass accuracy, over occlusion
POINTING_GOAL = 0.9
MOST_COALITIONS, MOST_ERROR = 6, 0.2
MOST_INFIDELITY = 0.05


@exercise("15.2")
def fewest_steps(answer: Any, recognizer: Recognizer, utterances: Corpus) -> str | None:
    """Take the smallest power of two whose convergence delta from the mean is below 2 %."""
    from emolab.explain import explain

    tried = [2**power for power in range(1, 8)]
    if answer not in tried:
        return f"{answer!r} is none of {tried}."
    for n in tried[: tried.index(answer) + 1]:
        why = explain(recognizer, utterances, "integrated-gradients", baseline="mean", n_steps=n)
        if why.relative_convergence_delta < 0.02:
            return None if n == answer else f"{n} steps are enough."
    return f"with {answer} steps the delta is {why.relative_convergence_delta:.1%}."


@exercise("15.3")
def attribution_number_to_beat(answer: Callable[..., Any], recognizer: Recognizer, held_out: Corpus) -> str | None:
    """Take an attribution method that puts more relevance on planted cues than occlusion does, by `MASS_LEAD`."""
    from emolab.explain import explain, measures

    attempted(answer(lambda masks: np.zeros(len(masks)), 6))
    cues = held_out.table[["cue_start", "cue_end"]].to_numpy()
    mass: Any = measures.relevance_mass_accuracy

    def reached(method: Any) -> float:
        pairs = zip(explain(recognizer, held_out, method), cues, strict=True)
        found = [
            mass(item.values, ((item.spans.mean(axis=1)[:, None] > cue) == [1, 0]).all(axis=1)) for item, cue in pairs
        ]
        return float(np.nan_to_num(found).mean())

    own, other = reached(answer), reached("occlusion")
    wrong = f"it reaches {own:.3f} on {len(held_out)} hums, occlusion {other:.3f}; beat it by {MASS_LEAD:.2f}."
    return None if own >= other + MASS_LEAD else wrong


@exercise("16.1")
def lost_in_words(answer: Any, explanation: Sequence[Any]) -> str | None:
    """Take the share of the tokens' absolute attributions that is lost in the words."""
    kept = sum(np.abs(item.values).sum() for item in explanation)
    kept /= sum(np.abs(item.native).sum() for item in explanation)
    slips = {"that is the share that remains; what is lost?": kept, "give a share, not per cent.": 100 * (1 - kept)}
    return number(answer, float(1 - kept), slips)


@exercise("16.2")
def mean_rank(answer: Any, values: Sequence[Any], cues: Sequence[Any]) -> str | None:
    """Take the mean rank of the code word, 1 for the most attended word."""
    ranks = [list(np.argsort(-own, kind="stable")).index(cue[0]) for own, cue in zip(values, cues, strict=True)]
    slips = {
        "the first rank is 1, not 0.": np.mean(ranks),
        "you counted from the least attended word.": np.mean([*map(len, values)]) - np.mean(ranks),
        "that is where the code word stands in the text; rank the words by attention.": np.mean(cues),
    }
    return number(answer, float(np.mean(ranks)) + 1, slips)


@exercise("14.3")
@exercise("16.3")
def finds_the_planted_word(answer: Any, recognizer: Any, held_out: Any) -> str | None:
    """Explain held-out texts by the learner's function: in 90 % of them what adds most is the planted word."""
    from emolab.explain import explain, measures

    attempted(answer(lambda masks: np.zeros(len(masks)), 3))
    found = explain(recognizer, held_out, answer, "true").values
    truth = [np.isin(np.arange(len(own)), cue) for own, cue in zip(found, held_out.table["cue_words"], strict=True)]
    rate = np.nanmean([*map(measures.pointing_game, found, truth)])
    wrong = f"it finds the planted word in {rate:.0%} of {len(found)} texts; the goal is 90 %."
    return None if rate >= POINTING_GOAL else wrong


@exercise("17.1")
def two_values(answer: Any) -> str | None:
    """Divide 4 between two units that have 2 and 3 alone."""
    slips = {"that is what each has alone.": (2.0, 3.0), "that is what each adds last, as ablation does.": (1.0, 2.0)}
    slips["audio comes first in the answer, then text."] = (2.5, 1.5)
    found = np.round(np.asarray(answer, float).ravel(), 2)
    return alike(found, (1.5, 2.5), slips, f"{found}: take the mean over both orders of what each adds.")


@exercise("17.2")
def without_one(answer: Any, recognizer: Recognizer, five: Corpus, missing: str) -> str | None:
    """Explain the utterances that lack a modality."""
    from emolab.explain import explain

    left = explain(recognizer, five.without(missing), "shapley")
    found, right = np.asarray(answer, float), np.array(left.values)
    if found.shape != right.shape:
        return f"it has shape {found.shape}; expected {right.shape}, a row an utterance and a column a modality."
    if found[:, left[0].names.index(missing)].any():
        return f"{missing} is never there, so it adds 0 to every coalition: remove it before you explain."
    return None if np.allclose(found, right, atol=0.01) else "the values of the other modalities change as well."


@exercise("17.3")
def few_coalitions(answer: Any, recognizer: Recognizer, held_out: Corpus) -> str | None:
    """Come close to exact Shapley values with few coalitions, on held-out utterances."""
    from emolab.explain import explain

    counts = []

    def counted(value: Any, n: int) -> Any:
        asked: set[bytes] = set()

        def noted(masks: Any) -> Any:
            asked.update(mask.tobytes() for mask in np.atleast_2d(masks) > 0)
            return value(masks)

        found = answer(noted, n)
        counts.append(len(asked))
        return found

    attempted(answer(lambda masks: np.zeros(len(np.atleast_2d(masks))), 3))
    found, exact = explain(recognizer, held_out, counted), explain(recognizer, held_out, "shapley")
    if max(counts) > MOST_COALITIONS:
        return f"it asks for {max(counts)} coalitions; at most {MOST_COALITIONS} are allowed."
    error = np.abs(np.array(found.values) - np.array(exact.values)).mean()
    return None if error <= MOST_ERROR else f"its mean error is {error:.3f} logits; the goal is {MOST_ERROR}."


@exercise("18.1")
def chance_level(answer: Callable[..., Any]) -> str | None:
    """Average the share of marked units over the utterances that say something."""
    truths = [[True, False], [True, False, False, False, False], [False, False, False], [True]]
    found = attempted(answer([np.array(marks) for marks in truths]))
    slips = {"Long utterances count more here: take the share of each utterance first, then their mean.": 2 / 7}
    slips["An utterance without a mark, or with marks only, is among them: leave it out."] = (0.5 + 0.2 + 1) / 4
    return number(found, 0.35, slips)


@exercise("18.2")
def turned_round(answer: Any, blocks: pd.DataFrame) -> str | None:
    """Take a column in which another recognizer is first than in the mean of all."""
    first = blocks.mean(axis=1).idxmax()
    turned = [name for name in blocks if blocks[name].idxmax() != first]
    if answer in (turned or ["none"]):
        return None
    if answer in blocks:
        return f"in {answer} {' · '.join(first)} is first as well."
    return f"{answer!r} is no column of blocks." if answer != "none" else "there is one: look at blocks.idxmax()."


@exercise("18.3")
def faithful_explainer(answer: Any, network: Recognizer, held_out: Corpus) -> str | None:
    """Measure the infidelity of an explainer on held-out utterances, as the scorecard does."""
    from emolab.explain import explain
    from emolab.explain.maskers import masker_for
    from emolab.explain.measures import infidelity

    attempted(answer(lambda masks: np.zeros(len(np.atleast_2d(masks))), 3))
    explanation, masker = explain(network, held_out, answer), masker_for(network, held_out, network.modalities[0])
    rng, full = np.random.default_rng(0), masker.ends()[0]
    masks = [rng.random((20, len(item))) < 0.7 for item in explanation]
    places, found = [network.emotions.index(item.emotion) for item in explanation], masker.logits(masks)
    given = zip(explanation.values, masks, full, found, places, strict=True)
    reached = np.nanmean([infidelity(v, m, whole[place], after[:, place]) for v, m, whole, after, place in given])
    if reached <= MOST_INFIDELITY:
        return None
    return f"its mean infidelity is {reached:.3f} on {len(held_out)} utterances; the goal is {MOST_INFIDELITY}."
