"""Checkers of chapters 03 to 05: audio."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from emolab.corpora import Corpus
from emolab.course.exercises import attempted, beats, exercise, number
from emolab.recognizer import NetworkRecognizer


@exercise("03.1")
def strongest_functional(answer: Any, functionals: pd.DataFrame, table: pd.DataFrame) -> str | None:
    """Take the name whose variance the emotions explain best, speakers' means subtracted."""
    own = functionals - functionals.groupby(table["speaker"]).transform("mean")
    means = (x.groupby(table["emotion"]).transform("mean") for x in (own, functionals))
    within, as_recorded = (1 - (x - mean).var() / x.var() for x, mean in zip((own, functionals), means, strict=True))
    if answer == within.idxmax():
        return None
    if answer == as_recorded.idxmax():
        return "that is the strongest one with the speakers' means left in: subtract them first."
    return f"{answer!r} explains {within.get(answer, float('nan')):.2f}; another one explains more."


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
    slips = {"that is a count: divide it by the number of utterances.": float(n_changed)}
    slips["that is the share that does not change."] = 1 - n_changed / len(clips)
    return number(answer, n_changed / len(clips), slips)


@exercise("04.3")
def network_number_to_beat(answer: Any, held_out: Corpus) -> str | None:
    """Take a network of one's own with a UA of 0.55 on the test set."""
    if attempted(answer) is not None and not isinstance(answer, NetworkRecognizer):
        return f"that is a {type(answer).__name__}; build a NetworkRecognizer, a network and not a light model."
    return beats(answer, held_out, 0.55)


@exercise("05.1")
def receptive_field(answer: Any, kernels: Sequence[int], strides: Sequence[int], rate: int) -> str | None:
    """Take the milliseconds of sound that one frame depends on."""
    samples, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        samples, hop = samples + (kernel - 1) * hop, hop * stride
    slips = {"that is the step from one frame to the next; a frame sees a little more.": 1000 * hop / rate}
    windowless = samples - kernels[0] + strides[0]
    slips["the window of the last spectrum is longer than its hop."] = 1000 * windowless / rate
    slips["that is in samples: divide by the sample rate, and take milliseconds."] = samples
    return number(answer, 1000 * samples / rate, slips)


@exercise("05.2")
def mean_and_deviation(answer: Any) -> str | None:
    """Try the learner's function on a padded batch whose padding is not zero."""
    import torch

    hidden, n = torch.linspace(-3, 5, 24).reshape(2, 4, 3).square(), torch.tensor([4, 2])
    found = attempted(answer(hidden, n))
    alone = [(own[:k].mean(dim=0), own[:k].std(dim=0, correction=0)) for own, k in zip(hidden, n.tolist(), strict=True)]
    right = torch.stack([torch.cat(each) for each in alone])
    if found.shape != right.shape:
        given = f"its shape is {tuple(found.shape)} for hidden states {tuple(hidden.shape)}"
        return f"{given}; expected {tuple(right.shape)}."
    wrong = ~torch.isclose(found, right, atol=1e-4)
    if wrong[:, :3].any():
        return "the means differ for an utterance with padding: add up real frames only, and divide by their number."
    return "the means are right; the deviations count padded frames, or divide by n - 1." if wrong.any() else None
