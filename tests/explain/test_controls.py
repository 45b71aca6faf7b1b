"""Controls that explanations must pass: what was planted is found, what says nothing gets nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emolab.corpora import Corpus, load_corpus
from emolab.evaluation import Interval, clustered_interval, clustered_ratio
from emolab.explain import Explanation, explain, measures
from emolab.explain.planted import planted_words
from emolab.explain.scorecard import randomise_weights
from emolab.features.audio import Classical8, Mfcc
from emolab.late_fusion import LateFusion
from emolab.models import light
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from tests.explain.conftest import (
    SMALL_CNN_BILSTM,
    correct,
    fitted,
    joined_network,
    light_reader,
    network,
    noise_for_sound,
    parted,
    talk,
    truths,
)

GOOD = 0.9  # of the answers that are right, how often a good explainer puts a planted unit first
COMPLETE = 0.01  # of the difference, how far a sum may miss it


def hits(explanation: Explanation, corpus: Corpus) -> list[float]:
    return [
        measures.pointing_game(item.values, truth)
        for item, truth in zip(explanation, truths(explanation, corpus), strict=True)
    ]


@pytest.mark.parametrize("method", ["shap-linear", "ablation"])
def test_the_planted_word_of_a_light_model_is_found(method: str, svm: LightRecognizer, words_fold: Fold) -> None:
    right = correct(svm, words_fold.test)
    assert len(right) > 0.9 * len(words_fold.test)
    assert np.mean(hits(explain(svm, right, method), right)) > GOOD


@pytest.mark.parametrize("method", ["integrated-gradients", "ablation"])
def test_the_planted_word_of_a_network_is_found(method: str, reader: NetworkRecognizer, words_fold: Fold) -> None:
    right = correct(reader, words_fold.test)
    assert len(right) > 0.9 * len(words_fold.test)
    assert np.mean(hits(explain(reader, right, method), right)) > GOOD


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion", "kernel-shap"])
def test_the_planted_pitch_of_a_network_is_found(method: str, listener: NetworkRecognizer, hums_fold: Fold) -> None:
    right = correct(listener, hums_fold.test)
    assert len(right) > 0.9 * len(hums_fold.test)
    assert np.mean(hits(explain(listener, right, method, n_samples=128), right)) > GOOD


@pytest.mark.parametrize("planted", ["word", "pitch"])
def test_random_attribution_scores_at_chance(
    planted: str, svm: LightRecognizer, listener: NetworkRecognizer, words_fold: Fold, hums_fold: Fold
) -> None:
    recognizer, corpus = (svm, words_fold.train) if planted == "word" else (listener, hums_fold.train)
    scores, expected = [], []
    for seed in range(4):
        explanation = explain(recognizer, corpus, "random", "true", seed=seed)
        for item, truth in zip(explanation, truths(explanation, corpus), strict=True):
            scores.append((measures.pointing_game(item.values, truth), measures.average_precision(item.values, truth)))
            expected.append((measures.pointing_game_chance(truth), measures.average_precision_chance(truth)))
    errors = np.std(scores, axis=0) / np.sqrt(len(scores))
    assert (errors < 0.025).all()  # or the test would let everything pass
    assert (np.abs(np.mean(scores, axis=0) - np.mean(expected, axis=0)) < 3 * errors).all()


def shares(recognizer: Recognizer, corpus: Corpus) -> tuple[dict[str, Interval], float]:
    """Return the mean Shapley value of each modality with its interval by speaker, and the mean size of the logit."""
    explanation = explain(recognizer, corpus, "shapley", modality="modality")
    speakers = corpus.table["speaker"].tolist()
    values = zip(explanation[0].names, np.array(explanation.values).T, strict=True)
    found = {name: clustered_interval(own, speakers) for name, own in values}
    return found, float(np.mean([abs(item.logit) for item in explanation]))


def noisy_fold(draw: int, n_valid: int = 2, n_test: int = 2) -> Fold:
    """Words tell the emotion, the sound is noise; another corpus with each draw."""
    return parted(
        noise_for_sound(planted_words(talk(96, seed=draw, longest_s=1.0), seed=draw), seed=draw), n_valid, n_test
    )


def late(how: str, words: Any) -> LateFusion:
    heard = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    return LateFusion(f"fusion/{how}", [heard, light_reader(words)], how, calibrated=how != "mean")  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "n_draws"), [("gated", 6), ("product", 8)])
def test_a_noise_modality_has_a_shapley_value_of_zero_within_the_interval(kind: str, n_draws: int) -> None:
    """The interval is over corpora and trainings: one network has by chance a faint liking for an emotion.

    The network has practice in doing without a modality; else it is the missing one that upsets it, whatever it said.
    """
    values, draws = list[float](), list[str]()
    for draw in range(n_draws):
        unsure = light.logistic_regression(1, c=0.1, scale=False)  # no probability is cut off at the least
        audio = network("audio/tiny", Mfcc(n_mfcc=8), "CnnBiLstm", SMALL_CNN_BILSTM, 30)
        gated = joined_network("gated", audio, 30, modality_dropout=0.3)
        made = gated if kind == "gated" else late(kind, unsure)
        fold = noisy_fold(draw)
        explanation = explain(fitted(made, fold), fold.test, "shapley", modality="modality")
        noise, words = np.mean(explanation.values, axis=0)
        assert abs(noise) < 0.05 * words
        values += [item.values[0] for item in explanation]
        draws += [str(draw)] * len(explanation)
    found = clustered_interval(values, draws)
    assert found.low <= 0 <= found.high


def test_noise_in_a_plain_mean_of_probabilities_takes_certainty_away_and_its_value_says_so() -> None:
    fold, sure = noisy_fold(0, 1, 5), light.linear_svm(1)  # fewer speakers give no interval
    found, _ = shares(fitted(late("mean", sure), fold), fold.test)
    assert found["audio"].high < 0 < found["text"].low


def ravdess(name: str, request: pytest.FixtureRequest) -> Fold:
    """Five actors at least are tested, since fewer give no interval; of the real ones, twelve in one repetition."""
    corpus = load_corpus(name, root=request.getfixturevalue("ravdess_root") if name == "ravdess" else None)
    corpus = corpus.select(corpus.has("audio"))
    if name == "ravdess":
        repetition = corpus.table["utterance_id"].str.split("-").str[4]
        corpus = corpus.select((corpus.table["speaker"] <= "12") & (repetition == "01"))
    actors = sorted(corpus.table["speaker"].unique())
    rest = min(len(actors) - 5, 2 * len(actors) // 3)
    half = rest - 1 - rest // 4
    parts = (actors[:half], actors[half:rest], actors[rest:])
    return Fold("by-hand/1", *(corpus.select(corpus.table["speaker"].isin(part)) for part in parts))


@pytest.mark.parametrize("name", ["sample-ravdess", "ravdess"])
def test_the_text_of_ravdess_has_a_shapley_value_of_zero_within_the_interval(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Two sentences, each said equally often with every emotion, tell none; it is the voice that does."""
    fold, made = ravdess(name, request), late("product", light.linear_svm(1))
    found, size = shares(fitted(made, fold), fold.test)
    assert found["text"].low <= 0 <= found["text"].high
    assert abs(found["text"].value) < 0.05 * size
    assert found["audio"].low > 0


def test_the_text_of_ravdess_hardly_counts_in_a_network_that_weighs_both(request: pytest.FixtureRequest) -> None:
    """Not 0 within the interval: its gate turns a little to any text, which then speaks for one emotion or another.

    The interval by speaker does not know of that: it is of other speakers, not of networks trained anew.
    """
    fold = ravdess("sample-ravdess", request)
    voice = network("audio/mlp", Classical8(), "Mlp", {"n_hidden": (16,)}, 30)
    made = joined_network("gated", voice, 30, modality_dropout=0.3)
    explanation = explain(fitted(made, fold), fold.test, "shapley", modality="modality")
    sizes, speakers = [abs(item.logit) for item in explanation], fold.test.table["speaker"].tolist()
    audio, text = (clustered_ratio(own, sizes, speakers) for own in np.array(explanation.values).T)
    assert abs(text.value) < 0.05
    assert audio.low > 0.8


def likeness(one: Explanation, other: Explanation) -> float:
    return float(np.nanmean([measures.spearman(a.values, b.values) for a, b in zip(one, other, strict=True)]))


@pytest.mark.parametrize("kind", ["reader", "listener"])
def test_after_drawing_all_weights_anew_nothing_is_left_of_the_explanation(
    kind: str, words_fold: Fold, hums_fold: Fold, request: pytest.FixtureRequest
) -> None:
    recognizer, corpus = request.getfixturevalue(kind), (words_fold if kind == "reader" else hums_fold).test
    before = explain(recognizer, corpus, "integrated-gradients", "true")
    rhos = []
    for seed in range(5):
        other = randomise_weights(recognizer, seed)
        assert other is not None
        rhos.append(likeness(before, explain(other, corpus, "integrated-gradients", "true")))
    assert abs(np.mean(rhos)) < 0.25
    again = explain(recognizer, corpus, "integrated-gradients", "true")
    assert likeness(before, again) == pytest.approx(1)  # the recognizer itself was not touched


def test_the_more_layers_are_drawn_anew_the_less_is_left(reader: NetworkRecognizer, words_fold: Fold) -> None:
    before = explain(reader, words_fold.test, "integrated-gradients", "true")
    left = []
    for share in (0.0, 0.25, 1.0):
        others = [randomise_weights(reader, seed, share=share) for seed in range(8)]
        after = [explain(other, words_fold.test, "integrated-gradients", "true") for other in others if other]
        left.append(float(np.mean([abs(likeness(before, each)) for each in after])))
    assert left[0] == pytest.approx(1)
    assert left[0] > left[1] > left[2]


@pytest.mark.parametrize("method", ["kernel-shap", "shap-partition", "shapley", "integrated-gradients"])
def test_values_of_words_sum_to_the_difference_of_the_logits(
    method: str, reader: NetworkRecognizer, words_fold: Fold
) -> None:
    few = words_fold.test.select(np.arange(len(words_fold.test)) < 6)
    explanation = explain(reader, few, method, n_steps=128)
    assert explanation.relative_convergence_delta < COMPLETE
    assert max(abs(item.convergence_delta / (item.logit - item.reference)) for item in explanation) < COMPLETE


@pytest.mark.parametrize("method", ["deep-lift", "integrated-gradients"])
def test_values_of_features_of_an_mlp_sum_to_the_difference_of_the_logits(
    method: str, tones_mlp: NetworkRecognizer, senses_fold: Fold
) -> None:
    assert explain(tones_mlp, senses_fold.test, method, n_steps=128).relative_convergence_delta < COMPLETE


def test_values_of_a_linear_model_sum_to_its_logit(svm: LightRecognizer, words_fold: Fold) -> None:
    explanation = explain(svm, words_fold.test, "shap-linear")
    assert explanation.relative_convergence_delta < 1e-9


@pytest.mark.parametrize("method", ["shapley", "kernel-shap"])
def test_values_of_modalities_sum_to_the_logit(method: str, senses: LateFusion, senses_fold: Fold) -> None:
    assert explain(senses, senses_fold.test, method, n_samples=32).relative_convergence_delta < COMPLETE
