"""Answers to the exercises of chapters 14 to 18."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab import load_corpus
from emolab.corpora import Corpus
from emolab.explain import perturbation
from emolab.explain.explanation import Attribution, Explanation, Options, few_of
from tests.course.answers import Given, cases
from tests.outside import Posteriors

Array = NDArray[Any]
WORDS = SimpleNamespace(table=pd.DataFrame({"cue_words": [(1,), (1,)]}))  # word 1 was planted in both texts
ITEMS = [SimpleNamespace(native=np.array([0.0, 2.0, -1.0, 1.0]), values=np.array([1.0, 1.0]))]  # half is lost
FEWER = [SimpleNamespace(native=np.array([3.0, -1.0]), values=np.array([1.0]))]
ATTENDED, CUES = [np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.6, 0.3])], [(2,), (2,)]  # rank 2 in both
INDEX = pd.MultiIndex.from_tuples([("light", "text"), ("large", "text")])
BLOCKS = pd.DataFrame({"faithfulness": [0.5, 0.8], "stability": [1.0, 0.3]}, INDEX)


def left_out(value: Any, n_units: int) -> Array:
    return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))


def words_explained(recognizer: Any, utterances: Any, method: Any, target: str) -> Any:
    return SimpleNamespace(values=[method(lambda masks: masks[:, 1] * 2.0, 3)] * 2)  # only word 1 counts


def pointing(values: Array, cues: Sequence[int]) -> int:
    return int(np.argmax(values) in cues)


def relevance_mass(values: Array, marked: Array) -> float:
    positive = np.maximum(values, 0)
    return positive[marked].sum() / positive.sum()


def in_steps(*_: Any, n_steps: int, **__: Any) -> Any:
    return SimpleNamespace(relative_convergence_delta=0.1 / n_steps)  # below 2 % from 8 on


class Hums(SimpleNamespace):
    """One utterance, as far as a checker counts them."""

    def __len__(self) -> int:
        return 1


HUMS = Hums(table=pd.DataFrame({"cue_start": [0.1], "cue_end": [0.2]}))


def hums_explained(recognizer: Any, utterances: Any, method: Any) -> Any:
    spans = np.array([[n / 10, (n + 1) / 10] for n in range(6)])
    values = [0, 1, 1, 0, 0, 0] if method == "occlusion" else method(lambda masks: masks[:, 1] * 1.0, 6)
    return [SimpleNamespace(spans=spans, values=np.array(values, float))]


def worth(masks: Array) -> Array:
    """Return the larger of two redundant units, plus the third."""
    masks = np.atleast_2d(masks)
    return np.maximum(3.0 * masks[:, 0], 2.0 * masks[:, 1]) + masks[:, 2]


def modalities_explained(_: Any, utterances: Any, method: Any) -> Explanation:
    """Explain one utterance of three modalities, the last one missing where `utterances` says so."""
    names, spans = ("audio", "text", "video"), np.full((3, 2), np.nan)
    values = perturbation.estimate(method, worth, 3, Options("", "modality")) if callable(method) else [2.0, 1.0, 1.0]
    values = np.asarray(values, float) * ([1, 1, 0] if utterances == "without video" else [1, 1, 1])
    return Explanation("", "", "modality", "", (Attribution("a", "sad", names, values, spans),))


def both_ways(value: Any, n: int) -> Array:
    first = np.tril(np.ones((n + 1, n), bool), -1)
    there, back = (np.diff(value(masks)) for masks in (first, first[:, ::-1]))
    return (there + back[::-1]) / 2


def all_coalitions(value: Any, n: int) -> Array:
    value(np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], bool))
    return both_ways(value, n)


def shares(truths: Sequence[Array]) -> list[float]:
    return [float(np.mean(marks)) for marks in truths]


class CountsWords(Posteriors):
    """Adds up its words: the longer a word, the more it speaks for the first emotion."""

    partial = False

    def __init__(self, corpus: Corpus) -> None:
        super().__init__("counts", pd.DataFrame([[1.0, 0.0]], columns=["a", "b"]), ["text"])
        self.emotions = corpus.emotions

    def logits(self, utterances: Corpus) -> Array:  # type: ignore[override]
        sums = [sum(map(len, text.split())) for text in utterances.texts()]
        return np.outer(sums, np.arange(len(self.emotions)) == 0).astype(float)

    def predict_proba(self, utterances: Corpus) -> Array:  # type: ignore[override]
        return np.eye(len(self.emotions))[np.zeros(len(utterances), int)]


def counted_words() -> list[Any]:
    held_out = few_of(load_corpus("sample").view(), 4)
    return [CountsWords(held_out), held_out]


FIVE = SimpleNamespace(without=lambda missing: f"without {missing}")
EXPLAIN = "emolab.explain.explain"
CASES = [
    *cases(
        "14.1",
        lambda x, weights, background: weights * (x - background.mean(axis=0)),
        {
            "counted from 0": lambda x, weights, background: weights * x,
            "you found": lambda x, weights, background: x - background.mean(axis=0),
        },
    ),
    *cases(
        "14.2",
        pointing,
        {
            "not the largest size": lambda values, cues: pointing(np.abs(values), cues),
            "no hit if another word": lambda values, cues: int(values[list(cues)].max() > 0),
            "one of several": lambda values, cues: int(len(cues) == 1 and pointing(values, cues)),
        },
    ),
    *(
        case
        for exercise in ("14.3", "16.3")
        for case in cases(
            exercise,
            left_out,
            {"in 0% of 2 texts; the goal is 90 %": lambda value, n_units: -left_out(value, n_units)},
            given=[None, WORDS],
            instead={EXPLAIN: words_explained},
        )
    ),
    *cases(
        "15.1",
        relevance_mass,
        {
            "maximum": lambda values, marked: values[marked].sum() / values.sum(),
            "size": lambda values, marked: abs(values[marked]).sum() / abs(values).sum(),
            "divide": lambda values, marked: np.maximum(values, 0)[marked].sum(),
        },
    ),
    *cases(
        "15.2",
        8,
        {"8 steps are enough": 32, "2.5%": 4, "none of": 5},
        given=[None, None],
        instead={EXPLAIN: in_steps},
    ),
    *cases(
        "15.3",
        lambda value, n_units: np.arange(n_units) == 1.0,
        {"occlusion 0.500; beat it by 0.05": lambda value, n_units: np.isin(np.arange(n_units), [1, 2]) * 1.0},
        given=[None, HUMS],
        instead={EXPLAIN: hums_explained},
    ),
    *cases("16.1", 0.5, {"not per cent": 50, "low": 0.1, "remains": Given(0.25, [FEWER])}, given=[ITEMS]),
    *cases("16.2", 2, {"not 0": 1, "high": 3.4}, given=[ATTENDED, CUES]),
    *cases("17.1", (1.5, 2.5), {"ablation": (1, 2), "alone": [2, 3]}),
    *cases(
        "17.2",
        [[2.0, 1.0, 0.0]],
        {
            "adds 0": [[2.0, 1.0, 1.0]],
            "other modalities": [[1.0, 1.0, 0.0]],
            "shape": [2.0, 1.0, 0.0],
        },
        given=[None, FIVE, "video"],
        instead={EXPLAIN: modalities_explained},
    ),
    *cases(
        "17.3",
        both_ways,
        {"mean error": left_out, "asks for 8": all_coalitions},
        given=[None, None],
        instead={EXPLAIN: modalities_explained},
    ),
    *cases(
        "18.1",
        lambda truths: np.mean([share for share in shares(truths) if 0 < share < 1]),
        {
            "Long utterances": lambda truths: np.mean(np.concatenate(truths[:2])),
            "leave it out": lambda truths: np.mean(shares(truths)),
        },
    ),
    *cases(
        "18.2",
        "faithfulness",
        {"light · text is first as well": "stability", "there is one": "none", "no column": "gini"},
        given=[BLOCKS],
    ),
    *cases("18.2", Given("none", [BLOCKS[["stability"]]]), {}, given=[BLOCKS]),
    *cases(
        "18.3",
        left_out,
        {"mean infidelity": lambda value, n_units: np.arange(n_units) % 2},
        given=counted_words,
    ),
]
