"""Checkers of chapter 12."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from emolab.course.exercises import attempted, beats, exercise

if TYPE_CHECKING:
    from emolab.corpora import Corpus
    from emolab.recognizer import Recognizer


@exercise("12.1")
def may_read(answer: Callable[[int, int, int], Any]) -> str | None:
    """Say which turns may be read for each turn."""
    for n, before, after in ((6, 2, 0), (5, 1, 3)):
        found = np.asarray(attempted(answer(n, before, after)))
        distance = np.subtract.outer(-np.arange(n), -np.arange(n))
        right = (-before <= distance) & (distance <= after)
        slips = {"rows and columns are exchanged: a row is the turn that is classified.": right.T}
        slips["a turn also reads itself."] = right & (distance != 0)
        slips["it reads all earlier turns; `before` is the limit."] = distance <= after
        if not np.array_equal(found, right):
            wrong = next((slip for slip, mask in slips.items() if np.array_equal(found, mask)), None)
            return wrong or f"for {n} turns, before={before} and after={after}, other turns may be read."
    return None


@exercise("12.2")
def own_last_turn(answer: Callable[..., Any]) -> str | None:
    """Find the row of each speaker's own last turn."""
    given = list("aabaaba"), [4, 1, 2, 3, 2, 1, 5], list("MFMFMMF")
    found = [int(row) for row in attempted(answer(*given))]
    slips = {"it goes by the order of the rows; `turn` tells the order.": [-1, -1, -1, 1, 0, 2, 3]}
    slips["it takes the last turn of anyone, not of the same speaker."] = [3, -1, 5, 4, 1, -1, 0]
    slips["it crosses dialogues: a last turn is in the same dialogue."] = [4, -1, 5, 1, 2, -1, 3]
    if found == [4, -1, 5, 1, -1, -1, 3]:
        return None
    return next((slip for slip, rows in slips.items() if found == rows), f"for {given} it returns {found}.")


@exercise("12.3")
def live(answer: Recognizer, held_out: Corpus, ua: float) -> str | None:
    """Reach a UA without turns that come later."""
    if any(getattr(extractor, "after", 0) for extractor in answer.features):
        return "it reads turns that come later, which nobody has in a live conversation."
    return beats(answer, held_out, ua)
