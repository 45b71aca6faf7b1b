"""The scorecard of explanations: every explainer of every model, on the same utterances, beside chance and controls."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import with_noise
from emolab.explain import explain, measures
from emolab.explain.explanation import Attribution, Explanation, Floats
from emolab.explain.lexicon import marks
from emolab.explain.maskers import Masker, face_front, masker_for
from emolab.features.audio import HOP_S, f0, rms_level
from emolab.recognizer import NetworkRecognizer, Recognizer

N_REMOVALS = 20  # random removals of an utterance, for infidelity
P_STAYS = 0.7  # of a unit in these
N_CHANGES = 2  # small ones, for sensitivity
NOISE_DB = 30.0  # of the noise that a stable explanation does not mind, below the voice
N_WEIGHTINGS = 2_000  # of the degree of explainability, drawn
CLOSEST = 0.1  # a control that is as good as can be leaves no scale
SAID_AT_CHANCE = "random"
NO_EXPLANATION = ("attention",)  # is scored beside the others, and never taken for one

Truth = NDArray[np.bool_] | None  # (n_units,) which units were planted; None where nothing is known


class Measure(NamedTuple):
    """What a column of the scorecard says.

    Attributes:
        block: What it belongs to: faithfulness, completeness, …
        low: Whether a low value is good.
        about: One line for tables and help texts.
    """

    block: str
    low: bool
    about: str


MEASURES: Mapping[str, Measure] = {
    "comprehensiveness": Measure("faithfulness", False, "share of the logit lost without the units that add most"),
    "sufficiency": Measure("faithfulness", True, "share of the logit lost with only these"),
    "deletion": Measure("faithfulness", True, "area under the logit while units are removed, what adds most first"),
    "infidelity": Measure("faithfulness", True, "how badly the values foretell random removals; 1 is saying nothing"),
    "gap": Measure("completeness", True, "how far the values miss the difference that they should sum to"),
    "sensitivity": Measure(
        "stability", True, "largest change under faint noise, or of one word, over the size of the values"
    ),
    "other seed": Measure("stability", False, "rank correlation with a model trained from another seed"),
    "random weights": Measure("randomisation", True, "rank correlation after all weights are drawn anew; 0 is best"),
    "random labels": Measure("randomisation", True, "rank correlation with a model of shuffled labels; 0 is best"),
    "gini": Measure("complexity", False, "how unevenly relevance is spread"),
    "units to 80 %": Measure("complexity", True, "share of the units that hold 80 % of the relevance"),
    "agreement": Measure("agreement", False, "Kendall's tau with the other explainers of this table, on average"),
    "emotion words": Measure("plausibility", False, "share of what speaks for it that lies on words of the emotion"),
    "energy": Measure("plausibility", False, "rank correlation with the sound's level"),
    "f0": Measure("plausibility", False, "rank correlation with the pitch"),
    "hit": Measure("planted truth", False, "whether the unit that adds most was planted"),
    "hit by chance": Measure("planted truth", False, "the same of random values"),
    "precision": Measure("planted truth", False, "average precision of the planted units"),
    "precision by chance": Measure("planted truth", False, "the same of random values"),
    "mass": Measure("planted truth", False, "share of what speaks for it that lies on planted units"),
    "seconds": Measure("cost", True, "to explain one utterance, all explained at once"),
}
OVER = {  # measures that are ratios of means, and what they are divided by, the size of it
    **dict.fromkeys(("comprehensiveness", "sufficiency", "deletion"), "drop"),  # what all units together add
    "gap": "size",
    "sensitivity": "norm",
}
DEGREE: Mapping[str, tuple[float | str, float]] = {  # column: what counts as 0 (a column, or a number), what as 1
    "comprehensiveness": ("random", 1.0),
    "sufficiency": ("random", 0.0),
    "infidelity": (1.0, 0.0),
    "sensitivity": (1.0, 0.0),
    "other seed": (0.0, 1.0),
    "random labels": (1.0, 0.0),
    "units to 80 %": (0.8, 0.0),
    "agreement": (0.0, 1.0),
    "hit": ("hit by chance", 1.0),
}


def scorecard(
    recognizer: Recognizer,
    utterances: Corpus,
    methods: Sequence[str],
    *,
    modality: str,
    background: Corpus | None = None,
    other_seed: Recognizer | None = None,
    random_labels: Recognizer | None = None,
    baseline: str | None = None,
    seed: int = 0,
    **drawn: int,
) -> pd.DataFrame:
    """Score explainers of one recognizer on one modality; random attribution is always among them.

    Args:
        recognizer: Whose predictions are explained.
        utterances: The same for all that are compared.
        methods: Keys of `emolab.explain.METHODS` that suit it.
        modality: "text", "audio", "video" or "modality".
        background: Utterances of training, for shap-gradient.
        other_seed: The same recipe trained from another seed.
        random_labels: The same recipe trained on `planted.shuffled_labels`.
        baseline: Of the game that tests faithfulness, see `games.game`; methods that ask take it as well.
        seed: Of all that is drawn.
        drawn: n_steps and n_samples, see `explain`.

    Returns:
        One row a method and measure: recognizer, size, modality, method, baseline, measure, value, low, high (95 %, a
        bootstrap of speakers), n (utterances that it could be measured on).
    """
    played = masker_for(recognizer, utterances, modality, baseline)
    targets = recognizer.predict(utterances)
    how: dict[str, Any] = {"modality": modality, "background": background, "seed": seed, **drawn}
    asked = {SAID_AT_CHANCE: how, **dict.fromkeys(methods, how)}
    found = {name: explain(recognizer, utterances, name, targets, **asked[name]) for name in asked}
    truths, rows = [*truth_of(utterances, played, targets)], []
    rivals = {
        "other seed": other_seed,
        "random labels": random_labels,
        "random weights": randomise_weights(recognizer, seed),
    }
    for name, explanation in found.items():
        table = _of_each(explanation, played, utterances, truths, seed)
        table["agreement"] = _agreement(name, found)
        table["sensitivity"] = _sensitivity(explanation, recognizer, utterances, how)
        for rival, other in rivals.items():
            table[rival] = _likeness(explanation, other, utterances, how)
        rows += list(_rows(table, explanation, recognizer, utterances.table["speaker"].tolist()))
    return pd.DataFrame(rows)


def truth_of(corpus: Corpus, played: Masker, targets: Sequence[str]) -> list[Truth]:
    """Mark the planted units of each utterance; None where the modality does not show the explained emotion.

    The truth is why a right answer is right: of an answer that nothing planted speaks for, there is none.
    """
    table, truths = corpus.table, list[Truth]()
    kinds = {"WordMasker": "text", "AudioMasker": "audio", "FrameMasker": "video"}
    kind = kinds.get(type(played).__name__, "modality")
    for row, target, names, spans in zip(table.to_dict("records"), targets, played.names, played.spans, strict=True):
        shown = {modality: row.get(f"shown_{modality}") for modality in MODALITIES}
        if kind == "modality":
            known = all(isinstance(shown[name], str) for name in names)
            truths.append(np.array([shown[name] == target for name in names]) if known else None)
        elif not isinstance(shown[kind], str) or shown[kind] != target:
            truths.append(None)
        elif kind == "text":
            truths.append(np.isin(np.arange(len(names)), list(row["cue_words"])))
        else:
            start, end = (row[f"{'cue' if kind == 'audio' else 'face'}_{edge}"] for edge in ("start", "end"))
            truths.append((spans.mean(axis=1) > start) & (spans.mean(axis=1) < end))
    return truths


def _of_each(
    explanation: Explanation, played: Masker, corpus: Corpus, truths: Sequence[Truth], seed: int
) -> pd.DataFrame:
    """Measure each utterance's explanation by itself."""
    ranked = [measures.ranked_masks(item.values) for item in explanation]
    rng = np.random.default_rng(seed)
    drawn = [rng.random((N_REMOVALS, len(item))) < P_STAYS for item in explanation]
    asked = [np.vstack([*masks, some]) for masks, some in zip(ranked, drawn, strict=True)]
    said = played.logits(asked)
    full, none = played.ends()
    places = [played.recognizer.emotions.index(item.emotion) for item in explanation]
    rows = []
    for number, (item, place) in enumerate(zip(explanation, places, strict=True)):
        logits, n = said[number][:, place], len(ranked[number].removed)
        without, only, after = logits[:n], logits[n : 2 * n], logits[2 * n :]
        whole, nothing = full[number, place], none[number, place]
        rows.append(
            {
                "drop": whole - nothing,
                "comprehensiveness": measures.comprehensiveness(whole, without),
                "sufficiency": measures.sufficiency(whole, only),
                "deletion": measures.deletion_area(whole, without, nothing, ranked[number].shares),
                "infidelity": measures.infidelity(item.values, drawn[number], whole, after),
                "size": abs(item.logit - item.reference),
                "gap": abs(item.convergence_delta),
                "norm": float(np.linalg.norm(item.values)),
                "gini": measures.gini(item.values),
                "units to 80 %": measures.units_to(item.values),
                **_beside_truth(item, truths[number]),
            }
        )
    return pd.DataFrame(rows).assign(**_plausible(explanation, corpus))


def _beside_truth(item: Attribution, truth: Truth) -> dict[str, float]:
    if truth is None:
        return {}
    return {
        "hit": measures.pointing_game(item.values, truth),
        "hit by chance": measures.pointing_game_chance(truth),
        "precision": measures.average_precision(item.values, truth),
        "precision by chance": measures.chance_average_precision(truth),
        "mass": measures.relevance_mass_accuracy(item.values, truth),
    }


def _plausible(explanation: Explanation, corpus: Corpus) -> dict[str, list[float]]:
    """Set relevance beside what people would look for: words of the emotion, level and pitch of the voice."""
    if explanation.modality == "text":
        own = zip(explanation, corpus.texts(), strict=True)
        return {
            "emotion words": [
                measures.relevance_mass_accuracy(item.values, marks(text, item.emotion)) for item, text in own
            ]
        }
    if explanation.modality != "audio":
        return {}
    cues = [
        sound_cues(media.read_audio(path), item.spans)
        for item, path in zip(explanation, corpus.audio_paths(), strict=True)
    ]
    pairs = list(zip(explanation, cues, strict=True))
    energy = [measures.spearman(item.values, level) for item, (level, _) in pairs]
    pitch = []
    for item, (_, hertz) in pairs:
        known = ~np.isnan(hertz)
        pitch.append(measures.spearman(item.values[known], hertz[known]) if known.sum() > 1 else np.nan)
    return {"energy": energy, "f0": pitch}


def sound_cues(wave: NDArray[np.float32], spans: Floats) -> tuple[Floats, Floats]:
    """Return of stretches of sound the level, dB, and the median pitch, Hz or NaN without voice; (n_units,) each."""
    level, pitch = rms_level(wave), f0(wave)
    edges = [slice(int(start / HOP_S), max(int(start / HOP_S) + 1, int(end / HOP_S))) for start, end in spans]
    voiced = [pitch[edge][~np.isnan(pitch[edge])] for edge in edges]
    return (
        np.array([level[edge].mean() for edge in edges], np.float64),
        np.array([np.median(own) if len(own) else np.nan for own in voiced], np.float64),
    )


def _agreement(name: str, found: Mapping[str, Explanation]) -> list[float]:
    """Return for each utterance Kendall's tau with the other methods, on average; chance is no party to it."""
    others = [other for key, other in found.items() if key not in (name, SAID_AT_CHANCE)]
    if not others:
        return [np.nan] * len(found[name])
    taus = [
        [measures.kendall(item.values, other[number].values) for other in others]
        for number, item in enumerate(found[name])
    ]
    known = [[tau for tau in own if not np.isnan(tau)] for own in taus]
    return [float(np.mean(own)) if own else np.nan for own in known]


def _sensitivity(
    explanation: Explanation, recognizer: Recognizer, corpus: Corpus, how: Mapping[str, Any]
) -> list[float]:
    """Explain utterances changed slightly, each time in another way: the largest |change| of the units that stayed.

    Source: sensitivity, Yeh et al. 2019; there it is divided by |values| in each utterance, here on average, since
    values near 0 would drown all others.
    """
    if explanation.method == SAID_AT_CHANCE or explanation.modality == "modality":
        return [np.nan] * len(explanation)
    changes = [_change(explanation, recognizer, corpus, how, draw) for draw in range(N_CHANGES)]
    return np.max(changes, axis=0).tolist()


def _change(
    explanation: Explanation, recognizer: Recognizer, corpus: Corpus, how: Mapping[str, Any], draw: int
) -> list[float]:
    """Return for each utterance how far the values move, as one vector, after one small change of it."""
    seen = face_front(recognizer).options if explanation.modality == "video" else {}
    changed, same = slightly_changed(corpus, explanation.modality, seed=how["seed"] + draw, **seen)
    again = explain(recognizer, changed, explanation.method, [item.emotion for item in explanation], **how)
    sizes = []
    for item, other, kept in zip(explanation, again, same, strict=True):
        kept = np.ones(len(item), bool) if kept is None else kept
        sizes.append(float(np.linalg.norm((other.values - item.values)[kept])))
    return sizes


def slightly_changed(corpus: Corpus, modality: str, *, seed: int = 0, **seen: Any) -> tuple[Corpus, list[Truth]]:
    """Change utterances so little that a person would give the same reason, and say which units are the same.

    Sound gets noise 30 dB below it; of a text, one word becomes another of the corpus; faces flicker by 2 of 255.
    `seen` are the size of the faces and the pictures a second, fps, that the model sees.
    """
    rng, names = np.random.default_rng(seed), corpus.table["utterance_id"]
    if modality == "audio":
        waves = map(media.read_audio, corpus.audio_paths())
        noisy = {name: with_noise(wave, NOISE_DB, rng) for name, wave in zip(names, waves, strict=True)}
        return corpus.with_media(audio=noisy), [None] * len(corpus)
    if modality == "video":
        return _flickering(corpus, rng, seen), [None] * len(corpus)
    texts = [text.split() for text in corpus.texts()]
    others, same = [word for words in texts for word in words], list[Truth]()
    for words in texts:
        place = int(rng.integers(len(words)))
        words[place] = others[int(rng.integers(len(others)))]
        same.append(np.arange(len(words)) != place)
    spoken = pd.Series([" ".join(words) for words in texts], dtype="string")
    return replace(corpus, table=corpus.table.assign(text=spoken)), same


def _flickering(corpus: Corpus, rng: np.random.Generator, seen: Mapping[str, Any]) -> Corpus:
    from emolab.features.video import faces

    shown = {}
    for name, face in zip(corpus.table["utterance_id"], faces(corpus, **seen), strict=True):
        change = rng.integers(-2, 3, face.pictures.shape)
        shown[name] = np.clip(face.pictures.astype(np.int64) + change, 0, 255).astype(np.uint8)
    return corpus.with_media(video=shown)


def randomise_weights(recognizer: Recognizer, seed: int = 0, *, share: float = 1.0) -> Recognizer | None:
    """Return a copy of a network recognizer whose last layers, or all, have weights drawn anew; None of other kinds.

    Source: cascading randomisation, Adebayo et al. 2018.

    Args:
        recognizer: Is not changed.
        seed: Of the new weights.
        share: Of the layers, from the output on; 1 is all.
    """
    import torch

    if not isinstance(recognizer, NetworkRecognizer):
        return None
    drawn = copy.copy(recognizer)
    drawn.network = copy.deepcopy(recognizer.network)
    layers = [part for part in drawn.network.modules() if hasattr(part, "reset_parameters")]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in layers[len(layers) - round(share * len(layers)) :]:
            layer.reset_parameters()
    return drawn


def _likeness(
    explanation: Explanation, other: Recognizer | None, corpus: Corpus, how: Mapping[str, Any]
) -> list[float]:
    """Return for each utterance the rank correlation with the explanation of another recognizer's same logit."""
    if other is None or explanation.method == SAID_AT_CHANCE:
        return [np.nan] * len(explanation)
    again = explain(other, corpus, explanation.method, [item.emotion for item in explanation], **how)
    return [measures.spearman(item.values, alike.values) for item, alike in zip(explanation, again, strict=True)]


def _rows(table: pd.DataFrame, explanation: Explanation, recognizer: Recognizer, speakers: Sequence[str]) -> Any:
    """Yield the rows of one method: each measure with its interval."""
    facts = {"recognizer": recognizer.name, "stand_in": recognizer.stand_in, "modality": explanation.modality}
    facts |= {"method": explanation.method, "baseline": explanation.baseline}
    for name in MEASURES:
        if name == "seconds":
            seconds = explanation.seconds / len(explanation)
            yield {**facts, "measure": name, "value": seconds, "low": np.nan, "high": np.nan, "n": len(explanation)}
        elif name in table and table[name].notna().any():
            yield {**facts, "measure": name, **_mean(table, name, speakers), "n": int(table[name].notna().sum())}


def _mean(table: pd.DataFrame, name: str, speakers: Sequence[str]) -> dict[str, float]:
    """Return value, low and high of a measure over the utterances of a table."""
    if name not in OVER:
        return measures.clustered_interval(table[name], speakers)._asdict()
    whole = table[OVER[name]]
    size = whole * (np.sign(whole.sum()) or 1)  # silence may speak for an emotion more than the voice does
    return measures.clustered_ratio(table[name], size, speakers)._asdict()


def wide(scores: pd.DataFrame, measures_shown: Sequence[str] = tuple(MEASURES)) -> pd.DataFrame:
    """Return one row a recognizer, modality and method, one column a measure; without the intervals."""
    table = scores.pivot_table("value", ["recognizer", "modality", "method"], "measure", sort=False)
    return table[[name for name in measures_shown if name in table]]


def most_faithful(table: pd.DataFrame) -> str:
    """Name the explainer of a `wide` table of one model with the most comprehensiveness less sufficiency."""
    methods = table.drop(index=[SAID_AT_CHANCE, *NO_EXPLANATION], level="method", errors="ignore")
    return str((methods["comprehensiveness"] - methods["sufficiency"]).idxmax()[2])


def degree(
    scores: pd.DataFrame, columns: Sequence[str] = tuple(DEGREE), weights: ArrayLike | None = None
) -> pd.DataFrame:
    """Derive a degree of explainability for each recognizer and modality from named columns, in the open.

    Of each model the most faithful explainer is taken: comprehensiveness less sufficiency. Each column is brought to
    0 (as bad as its control: random values, chance, or saying nothing) to 1 (as good as can be), see `DEGREE`, and
    the degree is their weighted mean; columns that are not measured for a model are left out for all.

    Args:
        scores: From `scorecard`, several put together.
        columns: Keys of `DEGREE`.
        weights: (n_columns,) of the columns that are measured; None weighs all alike.

    Returns:
        One row a recognizer and modality, the best first: method, each column from 0 to 1, degree, and low and high,
        between which 95 % of degrees lie when the weights are drawn (Dirichlet, all mixtures equally likely).
    """
    table = wide(scores)
    chosen = {}
    for key, own in table.groupby(level=["recognizer", "modality"], sort=False):
        chance = own.xs(SAID_AT_CHANCE, level="method").iloc[0]
        method = most_faithful(own)
        chosen[key] = {"method": method, **_anchored(own.xs(method, level="method").iloc[0], chance, columns)}
    found = pd.DataFrame.from_dict(chosen, orient="index")
    measured = [name for name in columns if name in found and found[name].notna().all()]
    shares = found[measured].to_numpy(np.float64)
    mix = np.full(len(measured), 1 / len(measured)) if weights is None else np.asarray(weights) / np.sum(weights)
    drawn = np.random.default_rng(0).dirichlet(np.ones(len(measured)), N_WEIGHTINGS) @ shares.T
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    found = found[["method", *measured]].assign(degree=shares @ mix, low=low, high=high)
    found.index = pd.MultiIndex.from_tuples(found.index, names=["recognizer", "modality"])
    return found.sort_values("degree", ascending=False)


def _anchored(own: pd.Series, chance: pd.Series, columns: Sequence[str]) -> dict[str, float]:
    """Bring the columns of one method to 0, as bad as the control, to 1."""
    brought = {}
    for name in columns:
        control, best = DEGREE[name]
        value = own.get(name, np.nan)
        value = abs(value) if MEASURES[name].block == "randomisation" else value
        if isinstance(control, str):
            control = float(chance.get(name, np.nan) if control == SAID_AT_CHANCE else own.get(control, np.nan))
        better = control - value if MEASURES[name].low else value - control
        brought[name] = float(np.clip(better / max(abs(best - control), CLOSEST), 0, 1))
    return brought
