"""The scorecard: its rows, known cases, and what is changed a little."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from captum.attr import ShapleyValueSampling

from emolab.corpora import Corpus
from emolab.explain.explanation import sound_spans
from emolab.explain.maskers import masker_for
from emolab.explain.planted import shuffled_labels
from emolab.explain.scorecard import (
    MEASURES,
    _mean,
    few_of,
    measure_scorecard,
    randomise_weights,
    scorecard,
    slightly_changed,
    sound_cues,
    suitable,
    truth_of,
    wide,
)
from emolab.features.audio import Classical8, LogMel
from emolab.features.text import Tokens
from emolab.features.video import FaceFrames
from emolab.late_fusion import LateFusion
from emolab.models import light
from emolab.recognizer import LightRecognizer, NetworkRecognizer
from emolab.splits import Fold
from tests.explain.conftest import CNN_BILSTM, FACE_CNN, WORD_LSTM, fitted, light_reader, network
from tests.features.test_video import corpus_of, drawn, write

COLUMNS = ["recognizer", "stand_in", "modality", "method", "baseline", "measure", "value", "low", "high", "n"]


def some(corpus: Corpus, n: int = 16) -> Corpus:
    """Take utterances of all speakers alike."""
    return corpus.select(np.isin(np.arange(len(corpus)), np.linspace(0, len(corpus) - 1, n).round()))


@pytest.fixture(scope="module")
def of_words(svm: LightRecognizer, words_fold: Fold) -> pd.DataFrame:
    """A model that is linear in single words, nearly: explained by its weights, and by chance."""
    other = fitted(light_reader(light.linear_svm(2, c=0.2)), words_fold)
    mixed = Fold("mixed", *(shuffled_labels(part) for part in (words_fold.train, words_fold.valid, words_fold.test)))
    rivals: dict[str, Any] = {"other_seed": other, "random_labels": fitted(light_reader(light.linear_svm(1)), mixed)}
    return scorecard(svm, some(words_fold.test), ["shap-linear", "ablation"], modality="text", **rivals)


def test_a_scorecard_has_a_row_for_each_method_and_measure(of_words: pd.DataFrame) -> None:
    assert list(of_words) == COLUMNS
    assert {*of_words["method"]} == {"random", "shap-linear", "ablation"}
    assert {*of_words["measure"]} <= {*MEASURES}
    assert not of_words.duplicated(["method", "measure"]).any()
    assert (of_words["recognizer"] == "text/light").all()
    known = of_words.dropna(subset=["low"])
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["value"] <= known["high"] + 1e-9).all()
    assert (of_words["n"] <= 16).all()
    of_light = set(of_words["measure"])
    assert "randomised weights (MPRT)" not in of_light  # a light model has none to draw anew
    assert {"energy", "f0"}.isdisjoint(of_light)  # of sound alone
    assert {"pointing game", "other seed", "random labels", "sensitivity", "agreement", "emotion words"} - of_light <= {
        "emotion words"
    }


def test_a_right_explanation_of_a_linear_model_scores_as_well_as_can_be(of_words: pd.DataFrame) -> None:
    table = wide(of_words).droplevel(["recognizer", "modality"])
    right, chance = table.loc["shap-linear"], table.loc["random"]
    assert right["comprehensiveness"] == pytest.approx(1, abs=0.15)
    assert right["sufficiency"] < 0.15
    assert right["infidelity"] < chance["infidelity"] - 0.3  # not 0: the counts of a text are brought to one length
    assert right["convergence delta"] < 1e-6
    assert right["pointing game"] == 1
    assert right["average precision"] == 1
    assert right["deletion"] < 0.15
    assert right["other seed"] > 0.6
    assert chance["comprehensiveness"] < right["comprehensiveness"] - 0.3
    assert chance["pointing game"] < 0.5
    assert right["pointing game, chance"] == pytest.approx(chance["pointing game, chance"])
    assert (
        chance[["convergence delta", "sensitivity", "other seed", "random labels"]].isna().all()
    )  # chance promises nothing


def test_shares_of_members_whose_logits_are_added_foretell_everything(senses_fold: Fold) -> None:
    heard = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    read = light_reader(light.logistic_regression(1, c=0.1, scale=False))  # no probability is cut off at the least
    added = fitted(LateFusion("fusion/added", [heard, read], "product"), senses_fold)
    scores = scorecard(added, some(senses_fold.test), ["shapley", "ablation"], modality="modality")
    table = wide(scores).droplevel(["recognizer", "modality"])
    for method in ("shapley", "ablation"):
        assert table.loc[method, "infidelity"] < 1e-6
        assert table.loc[method, "agreement"] == 1
    assert table.loc["random", "infidelity"] > 0.3
    assert table.loc["shapley", "convergence delta"] < 1e-6
    assert table.loc["shapley", "comprehensiveness"] > table.loc["random", "comprehensiveness"]


def test_wide_has_the_measures_in_order(of_words: pd.DataFrame) -> None:
    table = wide(of_words)
    assert list(table) == [name for name in MEASURES if name in {*of_words["measure"]}]
    assert table.index.names == ["recognizer", "modality", "method"]
    assert list(wide(of_words, ["pointing game", "gini"])) == ["pointing game", "gini"]


def test_a_scorecard_of_a_network_draws_its_weights_anew(listener: NetworkRecognizer, hums_fold: Fold) -> None:
    scores = scorecard(listener, some(hums_fold.test, 6), ["integrated-gradients"], modality="audio", n_steps=8)
    table = wide(scores).droplevel(["recognizer", "modality"])
    assert {"randomised weights (MPRT)", "energy", "f0", "convergence delta", "sensitivity", "pointing game"} <= {
        *table
    }
    assert abs(table.loc["integrated-gradients", "randomised weights (MPRT)"]) < 0.6
    assert table.loc["integrated-gradients", "pointing game"] == 1
    assert scores.set_index("method").loc["integrated-gradients", "baseline"].iloc[0] == "silence"
    speakers = hums_fold.test.table["speaker"].nunique()
    assert speakers == 1
    assert (
        scores[scores["measure"] == "pointing game"][["low", "high"]].isna().all(axis=None)
    )  # one speaker tells of no other


@pytest.mark.parametrize("modality", ["video", "modality"])
def test_scorecards_of_faces_and_modalities(
    modality: str, watcher: NetworkRecognizer, senses: LateFusion, senses_fold: Fold
) -> None:
    recognizer = watcher if modality == "video" else senses
    scores = scorecard(recognizer, some(senses_fold.test, 6), ["ablation"], modality=modality, n_samples=16)
    table = wide(scores)
    assert {"comprehensiveness", "infidelity", "gini", "seconds"} <= {*table}
    assert ("sensitivity" in table) == (modality == "video")
    assert "pointing game" not in table or modality == "modality"


def test_scorecards_depend_on_the_seed_alone(svm: LightRecognizer, words_fold: Fold) -> None:
    how: dict[str, Any] = {"modality": "text", "seed": 3}
    first, again = (scorecard(svm, some(words_fold.test, 6), ["ablation"], **how) for _ in range(2))
    steady = first["measure"] != "seconds"
    pd.testing.assert_frame_equal(first[steady], again[steady])


def mine(value: Any, n_units: int) -> np.ndarray:
    return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))


def test_functions_and_classes_are_scored_beside_named_methods(svm: LightRecognizer, words_fold: Fold) -> None:
    scores = scorecard(
        svm, some(words_fold.test), ["ablation", mine, ShapleyValueSampling], modality="text", n_samples=32
    )
    assert [*scores["method"].unique()] == ["random", "ablation", "mine", "ShapleyValueSampling"]
    table = wide(scores).droplevel(["recognizer", "modality"]).drop(columns=["seconds", "agreement"])
    pd.testing.assert_series_equal(table.loc["mine"], table.loc["ablation"], check_names=False)
    assert table.loc["ShapleyValueSampling", "convergence delta"] < 1e-6
    with pytest.raises(ValueError, match=r"methods \['mine', 'mine'\]; expected different names\. Rename"):
        scorecard(svm, some(words_fold.test), [mine, type("mine", (ShapleyValueSampling,), {})], modality="text")


def test_truth_is_known_where_the_modality_shows_the_explained_emotion(
    svm: LightRecognizer, listener: NetworkRecognizer, words_fold: Fold, hums_fold: Fold
) -> None:
    corpus = some(words_fold.test, 6)
    emotions = corpus.table["emotion"].tolist()
    played = masker_for(svm, corpus, "text")
    truths = truth_of(corpus, played, emotions)
    for truth, cue in zip(truths, corpus.table["cue_words"], strict=True):
        assert np.flatnonzero(truth).tolist() == list(cue)
    wrong = ["sad" if emotion != "sad" else "happy" for emotion in emotions]
    assert not any(truth.any() for truth in truth_of(corpus, played, wrong))
    heard = some(hums_fold.test, 4)
    truths = truth_of(heard, masker_for(listener, heard, "audio"), heard.table["emotion"].tolist())
    for truth, start in zip(truths, heard.table["cue_start"], strict=True):
        assert np.flatnonzero(truth).tolist() == [round(10 * start) + step for step in range(4)]


def test_truth_of_modalities_is_who_shows_the_emotion(senses: LateFusion, senses_fold: Fold) -> None:
    corpus = some(senses_fold.test, 2)
    played = masker_for(senses, corpus, "modality")
    unknown = truth_of(corpus, played, ["sad", "sad"])  # nobody knows what the faces show
    assert [truth.tolist() for truth in unknown] == [[False] * 3] * 2
    shown = {"shown_audio": ["sad", "happy"], "shown_text": ["sad", "sad"], "shown_video": ["angry", "sad"]}
    known = replace(corpus, table=corpus.table.assign(**{k: pd.array(v, dtype="string") for k, v in shown.items()}))
    first, second = truth_of(known, played, ["sad", "sad"])
    assert (first.tolist(), second.tolist()) == ([True, True, False], [False, True, True])


def test_slightly_changed_texts_have_one_other_word_and_say_which(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    changed, same = slightly_changed(svm, corpus, "text", seed=1)
    for before, after, kept in zip(corpus.texts(), changed.texts(), same, strict=True):
        assert (~kept).sum() == 1
        assert np.array(before.split())[kept].tolist() == np.array(after.split())[kept].tolist()
    again, _ = slightly_changed(svm, corpus, "text", seed=1)
    assert changed.texts() == again.texts() != corpus.texts()


def test_slightly_changed_sounds_and_faces_are_close(
    listener: NetworkRecognizer, hums_fold: Fold, senses_fold: Fold
) -> None:
    corpus = some(hums_fold.test, 3)
    changed, same = slightly_changed(listener, corpus, "audio")
    assert same == [slice(None)] * 3
    for before, after in zip(corpus.audio_paths(), changed.audio_paths(), strict=True):
        ratio = np.square(after.content - before.content).mean() / np.square(before.content).mean()
        assert 10 * np.log10(ratio) == pytest.approx(-30, abs=0.1)
    seen = some(senses_fold.test, 3)
    flickering, _ = slightly_changed(seeing(24, 10.0), seen, "video")
    for before, after in zip(seen.video_paths(), flickering.video_paths(), strict=True):
        change = np.abs(after.content.astype(int) - before.content.astype(int))
        assert 0 < change.max() <= 2


def seeing(size: int, fps: float) -> NetworkRecognizer:
    return network("video/any", FaceFrames(size=size, fps=fps), "FaceCnn", FACE_CNN, 1)


def test_films_flicker_at_the_size_and_pace_that_the_model_sees(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", drawn())
    films = corpus_of(tmp_path, {"video_path": "a.mp4"})
    for size, fps, n_frames in ((16, 10.0, 20), (24, 5.0, 10)):
        changed, _ = slightly_changed(seeing(size, fps), films, "video")
        assert changed.video_paths()[0].content.shape == (n_frames, size, size, 3)


def test_sound_cues_hear_level_and_pitch() -> None:
    seconds = np.arange(16_000) / 16_000
    wave = (np.where(seconds < 0.5, 0.01, 0.3) * np.sign(np.sin(2 * np.pi * 200 * seconds))).astype(np.float32)
    level, hertz = sound_cues(wave, sound_spans(1.0))
    assert level.shape == hertz.shape == (10,)
    assert level[7] - level[2] == pytest.approx(20 * np.log10(30), abs=1)
    np.testing.assert_allclose(hertz[6:9], 200, rtol=0.03)


def test_randomised_draws_layers_from_the_output_on(reader: NetworkRecognizer, svm: LightRecognizer) -> None:
    assert randomise_weights(svm) is None
    before = {name: weights.clone() for name, weights in reader.network.state_dict().items()}

    def changed(share: float, seed: int = 0) -> set[str]:
        drawn = randomise_weights(reader, seed, share=share)
        assert isinstance(drawn, NetworkRecognizer)
        after = drawn.network.state_dict()
        return {name.split(".")[0] for name in before if not before[name].equal(after[name])}

    assert changed(0) == set()
    assert changed(0.25) == {"out"}
    assert changed(0.5) == {"out", "dense"}
    assert changed(1) == {"out", "dense", "lstm", "embedding"}
    assert all(before[name].equal(weights) for name, weights in reader.network.state_dict().items())
    one, same, other = (randomise_weights(reader, seed) for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    first, again, another = (drawn.network.out.weight for drawn in (one, same, other))  # type: ignore[attr-defined]
    assert first.equal(again)
    assert not first.equal(another)


@pytest.mark.parametrize("kind", ["sound", "words"])
def test_randomised_networks_leave_nothing_as_it_was(kind: str, senses_fold: Fold) -> None:
    extractor = LogMel(n_mels=16) if kind == "sound" else Tokens(min_count=1)
    small = {**CNN_BILSTM, "channels": (4, 4), "strides": (2, 2), "normalization": "batch", "summary": "attention"}
    built = ("CnnBiLstm", small) if kind == "sound" else ("WordLstm", WORD_LSTM)
    recognizer = fitted(network(kind, extractor, *built, 1), senses_fold)
    drawn = randomise_weights(recognizer)
    assert isinstance(drawn, NetworkRecognizer)
    after = dict(drawn.network.named_parameters())
    same = [name for name, weights in recognizer.network.named_parameters() if weights.equal(after[name])]
    assert same == []


@pytest.mark.parametrize("sign", [1, -1])
def test_falls_are_told_in_shares_of_the_size_of_the_whole(sign: int) -> None:
    """Where nothing at all speaks for the emotion more than the utterance does, a fall stays a fall."""
    table = pd.DataFrame({"comprehensiveness": [1.0, 2.0, 3.0], "drop": np.array([4.0, 4.0, 4.0]) * sign})
    assert _mean(table, "comprehensiveness", ["a", "b", "c"])["value"] == pytest.approx(0.5)


def test_few_of_spreads_evenly_and_takes_all_of_a_small_part(words_fold: Fold) -> None:
    names = words_fold.test.table["utterance_id"].tolist()
    few = few_of(words_fold.test, 5).table["utterance_id"].tolist()
    assert (few[0], few[-1], len(few)) == (names[0], names[-1], 5)
    assert len(few_of(words_fold.test, 10_000)) == len(names)


def test_suitable_finds_the_methods_of_each_kind(
    svm: LightRecognizer, listener: NetworkRecognizer, words_fold: Fold, hums_fold: Fold
) -> None:
    reading = suitable(svm, words_fold.test, "text")
    assert {"shap-linear", "ablation", "kernel-shap"} <= {*reading}
    assert not {"shap-tree", "integrated-gradients", "shapley", "random"} & {*reading}
    hearing = suitable(listener, hums_fold.test, "audio")
    assert {"integrated-gradients", "grad-cam", "occlusion"} <= {*hearing}
    assert not {"kernel-shap", "deep-lift", "shap-linear"} & {*hearing}


def test_a_measured_scorecard_is_an_entry_of_the_ledger(words_fold: Fold) -> None:
    entry = measure_scorecard("text/svm", words_fold, modality="text", n=12, methods=["shap-linear", mine])
    assert (entry["corpus"], entry["recipe"], entry["n"], entry["stand_in"]) == ("talk", "text/svm", 12, False)
    assert {row["method"] for row in entry["scores"]} == {"random", "shap-linear", "mine"}
    assert (
        {"other seed", "random labels", "pointing game"} <= {row["measure"] for row in entry["scores"]} <= {*MEASURES}
    )
    scores = pd.DataFrame(entry["scores"]).set_index(["method", "measure"])["value"]
    assert scores["shap-linear", "other seed"] == pytest.approx(1)  # a model that draws nothing
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    alone = measure_scorecard("text/svm", words_fold, modality="text", n=6, methods=["ablation"], alone=True)
    assert {"other seed", "random labels"}.isdisjoint({row["measure"] for row in alone["scores"]})
