"""The scorecard: every explainer of a model on the same utterances, beside the chance level and controls."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emolab import media
from emolab.corpora.corpus import MODALITIES, Corpus
from emolab.corpora.degraded import with_noise
from emolab.evaluation import clustered_interval, clustered_ratio, evaluate
from emolab.explain import METHODS, explain, measures, method_name
from emolab.explain.explanation import SET, Attribution, Explanation, Floats, few_of
from emolab.explain.maskers import Masker, face_extractor, masker_for
from emolab.explain.planted import shuffled_labels
from emolab.features.audio import HOP_S, f0, rms_level
from emolab.features.text import joined_units, text_units
from emolab.features.video import faces
from emolab.recipes import Preset, fit_or_load, recipe
from emolab.recognizer import NetworkRecognizer, Recognizer
from emolab.results import device, versions, without_nan
from emolab.splits import Fold
from emolab.storage import toml_beside

N_UTTERANCES = 200  # the same for every model
CONTROL = "random"

Truth = NDArray[np.bool_]  # (n_units,) which units were planted; none where nothing is known
Method = str | Callable[..., Any]


# What each column means: block, low, about and over, see scorecard.toml
TABLE = toml_beside(__file__, "scorecard.toml")
MEASURES: Mapping[str, Any] = {name: SimpleNamespace(**{"over": "", **row}) for name, row in TABLE.items()}


def scorecard(
    recognizer: Recognizer,
    utterances: Corpus,
    methods: Sequence[Method],
    *,
    modality: str,
    background: Corpus | None = None,
    other_seed: Recognizer | None = None,
    random_labels: Recognizer | None = None,
    baseline: str | None = None,
    seed: int = 0,
    **drawn: int,
) -> pd.DataFrame:
    """Score explainers of one recognizer on one modality; random values are always among them, as a control.

    Args:
        recognizer: Whose predictions are explained.
        utterances: The same for all that are compared.
        methods: Keys of `emolab.explain.METHODS`, classes or functions, that suit it; see `explain`.
        modality: "text", "audio", "video" or "modality".
        background: Utterances of training, for shap-gradient.
        other_seed: The same recipe trained from another seed.
        random_labels: The same recipe trained on `planted.shuffled_labels`.
        baseline: Of the masker that tests faithfulness, see `masker_for`.
        seed: Of all that is drawn.
        drawn: n_steps and n_samples, see `explain`.

    Returns:
        One row a method and measure: recognizer, stand_in, modality, method, baseline, measure, value, low, high (95 %
        over speakers), n (utterances that it could be measured on).

    Raises:
        ValueError: If two methods have the same name, or one does not suit the recognizer.
    """
    named = {method_name(method): method for method in (CONTROL, *methods)}
    if len({*named} - {CONTROL}) < len({*methods} - {CONTROL}):
        raise ValueError(f"methods {[*map(method_name, methods)]}; expected different names. Rename a function.")
    masker, targets = masker_for(recognizer, utterances, modality, baseline), recognizer.predict(utterances)
    how: dict[str, Any] = {"modality": modality, "background": background, "seed": seed, **drawn}

    def ask(name: str, asked: Recognizer = recognizer, corpus: Corpus = utterances) -> Explanation:
        return explain(asked, corpus, named[name], targets, **how)

    found = {name: ask(name) for name in named}
    truths, rows = truth_of(utterances, masker, targets), []
    rivals = {"other seed": other_seed, "random labels": random_labels}
    rivals["randomised weights (MPRT)"] = randomise_weights(recognizer, seed)
    for name, explanation in found.items():
        table = _of_each(explanation, masker, truths, seed)
        table["agreement"] = _agreement(name, found)
        if name != CONTROL:
            table["sensitivity"] = _sensitivity(explanation, ask, recognizer, utterances, seed)
            for rival, other in rivals.items():
                pairs = zip(explanation.values, ask(name, other).values, strict=True) if other else ()
                table[rival] = [measures.spearman(*pair) for pair in pairs] or np.nan
        rows += list(_rows(table, explanation, utterances.table["speaker"].tolist()))
    return pd.DataFrame(rows)


def truth_of(corpus: Corpus, masker: Masker, targets: Sequence[str]) -> list[Truth]:
    """Mark the planted units of each utterance; none where the modality does not show the explained emotion.

    The truth is why a right answer is right: of an answer that nothing planted speaks for, there is none.
    """
    truths, kind = list[Truth](), masker.modality
    rows = zip(corpus.table.to_dict("records"), targets, masker.names, masker.spans, strict=True)
    for row, target, names, spans in rows:
        shown, truth = {name: row.get(f"shown_{name}") for name in MODALITIES}, np.zeros(len(names), bool)
        told = isinstance(shown.get(kind), str) and shown[kind] == target
        if kind == "modality" and all(isinstance(shown[name], str) for name in names):
            truth = np.array([shown[name] == target for name in names])
        elif kind == "text" and told:
            truth[list(row["cue_words"])] = True
        elif told:
            start, end = (row[f"{'cue' if kind == 'audio' else 'face'}_{edge}"] for edge in ("start", "end"))
            truth = (spans.mean(axis=1) > start) & (spans.mean(axis=1) < end)
        truths.append(truth)
    return truths


def _of_each(explanation: Explanation, masker: Masker, truths: Sequence[Truth], seed: int) -> pd.DataFrame:
    """Measure each utterance's explanation by itself."""
    ranked = [measures.ranked_masks(item.values) for item in explanation]
    rng = np.random.default_rng(seed)
    removals = [rng.random((SET.n_removals, len(item))) < SET.p_stays for item in explanation]
    predicted = masker.logits([np.vstack([~most, most, some]) for most, some in zip(ranked, removals, strict=True)])
    full, none = masker.ends()
    rows = []
    for number, (item, truth, most) in enumerate(zip(explanation, truths, ranked, strict=True)):
        place, n, values = masker.recognizer.emotions.index(item.emotion), len(most), item.values
        without, only, after = np.split(predicted[number][:, place], [n, 2 * n])
        whole, nothing = float(full[number, place]), float(none[number, place])
        row = {
            "drop": whole - nothing,
            "comprehensiveness": measures.mean_fall(whole, without),
            "sufficiency": measures.mean_fall(whole, only),
            "deletion": measures.deletion_area(whole, without, nothing, most.mean(axis=1)),
            "infidelity": measures.infidelity(values, removals[number], whole, after),
            "size": abs(item.logit - item.reference),
            "convergence delta": abs(item.convergence_delta),
            "norm": float(np.linalg.norm(values)),
            "gini": measures.gini(values),
            "units to 80 %": measures.units_to(values),
            "pointing game": measures.pointing_game(values, truth),
            "pointing game, chance": measures.pointing_game_chance(truth),
            "average precision": measures.average_precision(values, truth),
            "average precision, chance": measures.average_precision_chance(truth),
            "relevance mass": measures.relevance_mass_accuracy(values, truth),
        }
        rows.append(row | _plausible(item, masker, number))
    return pd.DataFrame(rows)


def _plausible(item: Attribution, masker: Masker, number: int) -> dict[str, float]:
    """Compare relevance with what people would look for: words of the emotion, level and pitch of the voice."""
    if masker.modality == "text":
        marked = measures.emotion_word_mask(masker.corpus.texts()[number], item.emotion)
        return {"emotion words": measures.relevance_mass_accuracy(item.values, marked)}
    if masker.modality != "audio":
        return {}
    level, pitch = sound_cues(media.read_audio(masker.corpus.audio_paths()[number]), item.spans)
    known = ~np.isnan(pitch)
    with_pitch = measures.spearman(item.values[known], pitch[known]) if known.sum() > 1 else np.nan
    return {"energy": measures.spearman(item.values, level), "f0": with_pitch}


def sound_cues(wave: NDArray[np.float32], spans: Floats) -> tuple[Floats, Floats]:
    """Return of stretches of sound the level, dB, and the median pitch, Hz or NaN without voice; (n_units,) each."""
    level, pitch = rms_level(wave), f0(wave)
    edges = [slice(int(start / HOP_S), max(int(start / HOP_S) + 1, int(end / HOP_S))) for start, end in spans]
    hertz = [pd.Series(pitch[edge]).median() for edge in edges]
    return np.array([level[edge].mean() for edge in edges], np.float64), np.array(hertz, np.float64)


def _agreement(name: str, found: Mapping[str, Explanation]) -> list[float]:
    """Return for each utterance the mean Kendall's tau with the other methods, random values left out."""
    others = [other.values for key, other in found.items() if key not in (name, CONTROL)]
    taus = [[measures.kendall(*pair) for pair in zip(found[name].values, own, strict=True)] for own in others]
    return pd.DataFrame(taus, columns=range(len(found[name])), dtype=float).mean().tolist()


def _sensitivity(explanation: Explanation, ask: Any, recognizer: Recognizer, corpus: Corpus, seed: int) -> list[float]:
    """Return the largest change of the values, as one vector, over small changes of each utterance.

    Source: sensitivity, Yeh et al. 2019. Captum's sensitivity_max changes tensors, which no light model or late fusion
    has, and divides by the values of each utterance: here it is their mean, since values near 0 would outweigh all.
    """
    if explanation.modality == "modality":
        return [np.nan] * len(explanation)
    found = []
    for draw in range(SET.n_changes):
        changed, same = slightly_changed(recognizer, corpus, explanation.modality, seed=seed + draw)
        pairs = zip(ask(explanation.method, recognizer, changed).values, explanation.values, same, strict=True)
        found.append([np.linalg.norm((after - before)[kept]) for after, before, kept in pairs])
    return np.max(found, axis=0).tolist()


def slightly_changed(recognizer: Recognizer, corpus: Corpus, modality: str, *, seed: int = 0) -> tuple[Corpus, list]:
    """Change utterances so little that a person would give the same reason; return the indices of unchanged units too.

    Sound gets noise 30 dB below it; of a text, one word becomes another of the corpus; faces, in the size and at the
    rate that the `recognizer` takes, flicker by 2 of 255.
    """
    rng, names = np.random.default_rng(seed), corpus.table["utterance_id"]
    same: list[Any] = [slice(None)] * len(corpus)
    if modality == "audio":
        waves = [with_noise(media.read_audio(path), SET.noise_db, rng) for path in corpus.audio_paths()]
        return corpus.with_media(audio=dict(zip(names, waves, strict=True))), same
    if modality == "video":
        shown = [face.pictures.astype(int) for face in faces(corpus, **face_extractor(recognizer).options)]
        noisy = [(own + rng.integers(-2, 3, own.shape)).clip(0, 255).astype(np.uint8) for own in shown]
        return corpus.with_media(video=dict(zip(names, noisy, strict=True))), same
    texts = [text_units(text) for text in corpus.texts()]
    others = [word for text in texts for word in text]
    for number, words in enumerate(texts):
        place = int(rng.integers(len(words)))
        words[place] = others[int(rng.integers(len(others)))]
        same[number] = np.arange(len(words)) != place
    spoken = pd.Series([*map(joined_units, texts)], dtype="string")
    return replace(corpus, table=corpus.table.assign(text=spoken)), same


def randomise_weights(recognizer: Recognizer, seed: int = 0, *, share: float = 1.0) -> Recognizer | None:
    """Return a copy of a network recognizer whose last layers, or all, have random weights; None of other kinds.

    Source: model parameter randomisation test (MPRT), Adebayo et al. 2018.

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


def _rows(table: pd.DataFrame, explanation: Explanation, speakers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one method: each measure with its interval."""
    facts = {"recognizer": explanation.recognizer, "stand_in": explanation.stand_in, "modality": explanation.modality}
    facts |= {"method": explanation.method, "baseline": explanation.baseline}
    for name in MEASURES:
        if name in table and (n := int(table[name].notna().sum())):
            yield {**facts, "measure": name, **_mean(table, name, speakers), "n": n}
    n = len(explanation)
    yield {**facts, "measure": "seconds", "value": explanation.seconds / n, "low": np.nan, "high": np.nan, "n": n}


def _mean(table: pd.DataFrame, name: str, speakers: Sequence[str]) -> dict[str, float]:
    """Return value, low and high of a measure over the utterances of a table."""
    if not MEASURES[name].over:
        return clustered_interval(table[name], speakers)._asdict()
    whole = table[MEASURES[name].over]
    size = whole * (np.sign(whole.sum()) or 1)  # silence may speak for an emotion more than the voice does
    return clustered_ratio(table[name], size, speakers)._asdict()


def wide(scores: pd.DataFrame, measures_shown: Sequence[str] = tuple(MEASURES)) -> pd.DataFrame:
    """Return one row a recognizer, modality and method, one column a measure; without the intervals."""
    table = scores.pivot_table("value", ["recognizer", "modality", "method"], "measure", sort=False)
    return table[[name for name in measures_shown if name in table]]


def suitable(recognizer: Recognizer, corpus: Corpus, modality: str) -> list[str]:
    """Name the methods that can explain a recognizer's units, found by trying each on one utterance.

    Those that predict hundreds of copies of an utterance are left out for sound and faces, which are slow to read.
    """
    one, found = corpus.select(np.arange(len(corpus)) == 0), []
    slow = {"modality": (), "text": ("shapley",)}.get(modality, ("shapley", "kernel-shap", "shap-partition"))
    for method in (name for name in METHODS if name not in (*slow, CONTROL)):
        try:
            explain(recognizer, one, method, modality=modality, background=one, n_samples=8)
        except ValueError:
            continue
        found.append(method)
    return found


def measure_scorecard(
    name: str,
    fold: Fold,
    *,
    modality: str,
    preset: Preset = "quick",
    seed: int = 7,
    n: int = N_UTTERANCES,
    methods: Sequence[Method] = (),
    alone: bool = False,
    weights: str | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Train a recipe, once more from the next seed and once on shuffled labels, and score its explanations.

    Returns the entry of the ledger that `emolab.results.record_scores` writes.

    Args:
        name: Of the recipe.
        fold: Its test set is explained.
        modality: Whose units.
        preset: Of the recipe.
        seed: The first of two.
        n: Utterances, spread evenly over the test set.
        methods: See `scorecard`; none takes all that suit.
        alone: Train it once only; the measures that need the others are left out.
        weights: Published weights in the place of the recipe's own.
        command: The one line that measures it again.
    """
    how: dict[str, Any] = {"preset": preset, "weights": weights}
    recognizer, some = fit_or_load(name, fold, seed=seed, **how), few_of(fold.test, n)
    others: dict[str, Any] = {"background": fold.train}
    if not alone:
        others["other_seed"] = fit_or_load(name, fold, seed=seed + 1, **how)
        others["random_labels"] = recipe(name, seed=seed, **how)
        others["random_labels"].fit(shuffled_labels(fold.train, seed=seed), fold.valid)
    scores = scorecard(recognizer, some, methods or suitable(recognizer, some, modality), modality=modality, **others)
    kept = scores.drop(columns=["recognizer", "stand_in", "modality"]).astype(object)
    entry: dict[str, Any] = {"corpus": fold.test.name, "view": fold.test.view_name}
    entry |= {"fold": f"{fold.protocol}, {fold.name}", "recipe": name, "modality": modality, "preset": preset}
    entry |= {"pretrained": recognizer.pretrained, "stand_in": recognizer.stand_in, "synthetic": fold.test.synthetic}
    entry |= {"trained_on": recognizer.training_data, "parameters": int(recognizer.n_parameters)}
    entry |= {"n": len(some), "speakers": some.table["speaker"].nunique()}
    entry |= {"ua": without_nan(evaluate(recognizer, fold.test).metrics["ua"]._asdict())}
    entry |= {"scores": kept.where(kept.notna(), None).to_dict(orient="records"), "versions": versions()}
    return entry | {"device": device(), "date": datetime.now(UTC).date().isoformat(), "command": command}
