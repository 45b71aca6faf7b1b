"""Checkers of chapters 03 to 08: audio, text and video."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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


@exercise("06.1")
def fitted_on_training_only(answer: Any) -> str | None:
    """Take a function whose columns and training rows depend on the training texts alone."""
    texts = ["good good day", "bad day", "good night"]
    (train, other), (again, _) = (attempted(answer(texts, [text])) for text in ("good zeppelin in the sky", "bad day"))
    if train.shape[1] != other.shape[1]:
        return f"{train.shape[1]} and {other.shape[1]} columns: the second matrix was fitted, too. Only transform it."
    if train.shape != again.shape or abs(train - again).max() > 0:
        return "other_texts change the training matrix: fit on train_texts alone, before you look at the others."
    whole = train.shape[0] == len(texts) and other.nnz
    return None if whole else "a row for each text was expected, with the known words in it."


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


@exercise("07.3")
def own_recognizer(answer: Any, held_out: Any, models: Mapping[str, Any]) -> str | None:
    """Take a recognizer of the learner's own that reaches a UA of 0.65."""
    if any(answer is model for model in models.values()):
        return "that is one of the chapter's models: make one of your own."
    return beats(answer, held_out, 0.65)


@exercise("08.1")
def frozen_faces(answer: Any, test: Corpus) -> str | None:
    """Take one divided by the number of emotions that occur."""
    counts = test.table["emotion"].value_counts()
    slips = {"zero would need an emotion that is never right: one answer is right for one emotion.": 0.0}
    slips |= {"that is the accuracy of one answer: average the recalls.": counts.max() / len(test)}
    return number(answer, 1 / len(counts), slips)
