"""Checkers of chapter 04."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emolab.corpora import Corpus
from emolab.course.exercises import attempted, beats, exercise, number
from emolab.recognizer import NetworkRecognizer


@exercise("04.1")
def changed_by_padding(answer: Any, recognizer: NetworkRecognizer, test: Corpus) -> str | None:
    """Take the share of answers that change when padding counts as sound, in batches of 32."""
    import torch

    from emolab.training import pad

    clips, network, n_changed = recognizer.inputs(test)[0], recognizer.network.eval(), 0
    with torch.no_grad():
        for start in range(0, len(clips), 32):
            features, lengths = pad(clips[start : start + 32])
            real, wrong = (network(features, n) for n in (lengths, torch.full_like(lengths, features.shape[1])))
            n_changed += int((real.argmax(dim=1) != wrong.argmax(dim=1)).sum())
    slips = {"that is a count: divide it by the number of utterances.": n_changed}
    slips["that is the share that does not change."] = 1 - n_changed / len(clips)
    return number(answer, n_changed / len(clips), slips)


@exercise("04.2")
def lstm_parameters(answer: Callable[..., Any]) -> str | None:
    """Take a function that counts a layer's parameters, tried on sizes that the chapter does not use."""
    found = {both: float(attempted(answer(5, 3, both))) for both in (False, True)}
    if found == {False: 120, True: 240}:
        return None
    slips = {
        108: "count two biases a gate, as PyTorch has.",
        96: "the biases are missing.",
        30: "there are four gates.",
    }
    if found[False] == found[True] == 120:
        return "right for one direction; a bidirectional layer has twice as many."
    return slips.get(
        int(found[False]), f"for 5 inputs and 3 units in one direction it gives {found[False]:g}, not 120."
    )


@exercise("04.3")
def network_number_to_beat(answer: Any, held_out: Corpus) -> str | None:
    """Take a network of one's own with a UA of 0.55 on the test set."""
    if attempted(answer) is not None and not isinstance(answer, NetworkRecognizer):
        return f"that is a {type(answer).__name__}; build a NetworkRecognizer, a network and not a light model."
    return beats(answer, held_out, 0.55)
