"""Checkers of chapter 07."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise, number


@exercise("07.1")
def share_of_words_cut(answer: Any, tokenizer: Any, texts: Sequence[str]) -> str | None:
    """Take the share of words that become two or more tokens."""
    counts = np.array([len(tokenizer.tokenize(word)) for text in texts for word in text.split()])
    tokens = [token for text in texts for token in tokenizer.tokenize(text)]
    slips = {
        "that is the number of tokens a word: count the words with more than one.": counts.mean(),
        "that is the share of *tokens* that continue a word.": np.mean([each.startswith("##") for each in tokens]),
        "that is in per cent; give a share from 0 to 1.": 100 * np.mean(counts > 1),
        "those are the words that stay whole.": np.mean(counts == 1),
    }
    return number(answer, float(np.mean(counts > 1)), slips)


@exercise("07.2")
def learning_rate(answer: Any) -> str | None:
    """Try the learner's schedule at its start, its top, its end and between."""
    for n_steps, n_warm_up, highest in ((100, 10, 2e-3), (50, 20, 1.0)):
        rates = {step: attempted(answer(step, n_steps, n_warm_up, highest)) for step in range(n_steps + 1)}
        if abs(rates[n_warm_up // 2] - highest / 2) > 1e-6 * highest:
            return f"half-way through the warm-up it is {rates[n_warm_up // 2]:.3g}; expected half of {highest:g}."
        if abs(rates[n_warm_up] - highest) > 1e-6 * highest:
            return f"after the warm-up it is {rates[n_warm_up]:.3g}; expected {highest:g}: the fall begins there."
        middle = (n_steps + n_warm_up) // 2
        if abs(rates[middle] - highest / 2) > 1e-6 * highest or abs(rates[n_steps]) > 1e-6 * highest:
            return (
                f"at step {middle} of {n_steps} it is {rates[middle]:.3g}; expected {highest / 2:g}, and 0 at the end."
            )
    return None


@exercise("07.3")
def own_recognizer(answer: Any, held_out: Any, models: Mapping[str, Any]) -> str | None:
    """Take a recognizer of the learner's own that reaches a UA of 0.65."""
    if any(answer is model for model in models.values()):
        return "that is one of the chapter's models: make one of your own."
    return beats(answer, held_out, 0.65)
