"""Checkers of chapter 02."""

from __future__ import annotations

from typing import Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise

SPEAKERS, DIALOGUES, LINKED = "abbcdefe", "11223456", [0, 0, 0, 0, 1, 2, 3, 2]  # b and c meet nobody of d, e, f
N_SPEAKERS, N_EACH, N_FEATURES = 12, 10, 2000
CHANCE, LEARNED = 0.65, 0.75  # accuracies of two emotions: above is a leak, below is no model


@exercise("02.1")
def groups_of_linked_speakers(answer: Any) -> str | None:
    """Take the groups of speakers who are linked by dialogues, under any names."""
    found, speaker, dialogue = [*attempted(answer(SPEAKERS, DIALOGUES))], np.array([*SPEAKERS]), np.array([*DIALOGUES])
    if len(found) != len(SPEAKERS):
        return f"{len(found)} groups for {len(SPEAKERS)} utterances: return one for each."
    same, linked = (np.equal.outer(each, each) for each in (np.unique(found, return_inverse=True)[1], np.array(LINKED)))
    for name, ids in (("speaker", speaker), ("dialogue", dialogue)):
        if (np.equal.outer(ids, ids) & ~same).any():
            return f"a {name} is in two groups."
    return None if (same == linked).all() else "more groups are possible: these hold speakers who never meet."


@exercise("02.2")
def predictions_without_leak(answer: Any) -> str | None:
    """Try the function on noise, on features that tell the speaker, and on features that tell the emotion."""
    rng, speaker = np.random.default_rng(0), np.tile(np.arange(N_SPEAKERS), N_EACH)
    noise, usual = rng.normal(size=(len(speaker), N_FEATURES)), rng.permutation(N_SPEAKERS)[speaker] % 2
    y, mostly = rng.integers(2, size=len(speaker)), np.where(rng.random(len(speaker)) < 0.9, usual, 1 - usual)
    voices, signal = 4 * np.eye(N_SPEAKERS)[speaker] + noise[:, :N_SPEAKERS], noise + 2 * (y[:, None] & 1)
    tried = {"noise": (noise, y), "voices": (voices, mostly), "signal": (signal, y)}
    right = {name: np.mean(attempted(answer(x, labels, speaker)) == labels) for name, (x, labels) in tried.items()}
    if right["noise"] > CHANCE:
        return f"on pure noise it reaches {right['noise']:.2f}: the features are still selected on all rows."
    if right["voices"] > CHANCE:
        return f"it recognises speakers ({right['voices']:.2f}): each must be on one side only."
    return None if right["signal"] > LEARNED else f"where there is something to learn it reaches {right['signal']:.2f}."


@exercise("02.3")
def recognizer_without_leak(answer: Any, fold: Any, ua: float) -> str | None:
    """Fit the recognizer to the training and validation set, and test it on the test set."""
    from emolab.recognizer import Recognizer

    if not isinstance(answer, Recognizer):
        return "expected a recognizer, not yet fitted, such as recipe(name) or LightRecognizer(…) return."
    answer.fit(fold.train, fold.valid)
    return beats(answer, fold.test, ua)
