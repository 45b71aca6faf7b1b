"""The one call, what it gives back, and the units that all models share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import captum.attr as captum
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emolab.corpora import Corpus
from emolab.explain import METHODS, Attribution, Explanation, engine_of, explain
from emolab.explain.explanation import (
    NOBODY,
    UNIT_S,
    load_shap,
    owners_in_time,
    owners_of_subwords,
    owners_of_words,
    sound_spans,
    summed,
)
from emolab.features.audio import Classical8
from emolab.features.pretrained import Subwords
from emolab.features.text import Tfidf, words
from emolab.late_fusion import LateFusion
from emolab.models import light
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from tests.checkpoints import save_checkpoint
from tests.explain.conftest import fitted

SHAP = load_shap()
TEXTS = st.text(st.sampled_from("aZé1 '’.,!?…-_\t\n ß😀"), max_size=40)


def some(corpus: Corpus, n: int = 4) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def test_every_method_has_a_module_and_says_what_it_asks() -> None:
    assert all(engine_of(name) for name in METHODS)
    assert all(METHODS.values())


def test_shap_is_imported_for_its_own_methods_only() -> None:
    code = "import sys; from emolab.explain import engine_of, explain; engine_of('ablation'); engine_of('saliency'); "
    run = [sys.executable, "-c", code + "assert 'shap' not in sys.modules; engine_of('shapley'); sys.modules['shap']"]
    subprocess.run(run, check=True)


def test_an_explanation_is_a_sequence_that_says_how_it_was_made(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    explanation = explain(svm, corpus, "shap-linear")
    assert len(explanation) == len(list(explanation)) == 4
    assert explanation[1:3] == (explanation[1], explanation[2])
    assert explanation[-1] is explanation.items[3]
    assert (explanation.recognizer, explanation.method, explanation.modality) == ("text/light", "shap-linear", "text")
    assert explanation.baseline == "leave out"
    assert explanation.seconds > 0
    assert not explanation.synthetic
    assert not explanation.stand_in
    assert repr(explanation).startswith("Explanation(shap-linear of text/light, text, baseline leave out, 4 utterances")
    assert explain(svm, replace(corpus, synthetic=True), "random").synthetic
    assert [item.emotion for item in explanation] == svm.predict(corpus)


def test_to_frame_has_a_row_for_each_unit(svm: LightRecognizer, hums_fold: Fold, words_fold: Fold) -> None:
    explanation = explain(svm, some(words_fold.test), "shap-linear")
    table = explanation.to_frame()
    assert list(table) == ["utterance_id", "emotion", "unit", "start", "end", "value"]
    assert len(table) == sum(map(len, explanation))
    sums = table.groupby("utterance_id", sort=False)["value"].sum()
    np.testing.assert_allclose(sums, [item.values.sum() for item in explanation])
    assert table["start"].isna().all()


def item(values: list[float], logit: float = np.nan, reference: float = np.nan) -> Attribution:
    names = tuple(f"word{number}" for number in range(len(values)))
    return Attribution(
        "u1", "sad", names, np.array(values), np.full((len(values), 2), np.nan), logit=logit, reference=reference
    )


def test_gap_and_order_by_hand() -> None:
    assert item([1, 3, 3, -5]).order.tolist() == [1, 2, 0, 3]  # of equals the earlier first
    assert item([1, 2], logit=4, reference=0.5).convergence_delta == pytest.approx(-0.5)
    assert np.isnan(item([1, 2]).convergence_delta)
    two = Explanation("r", "m", "text", "b", (item([1, 2], 4, 0.5), item([1], 1, 0)))
    assert two.relative_convergence_delta == pytest.approx(0.5 / 4.5)
    assert np.isnan(Explanation("r", "m", "text", "b", (item([0], 0, 0),)).relative_convergence_delta)
    assert np.isnan(Explanation("r", "m", "text", "b", (item([1]),)).relative_convergence_delta)


def test_targets_are_predicted_true_or_named(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    emotions = ["sad", "angry", "happy", "sad"]
    asked: dict[Any, list[str]] = {"predicted": svm.predict(corpus), "true": corpus.table["emotion"].tolist()}
    asked["sad"] = ["sad"] * 4
    for target, expected in asked.items():
        assert [item.emotion for item in explain(svm, corpus, "random", target)] == expected
    explanation = explain(svm, corpus, "shap-linear", emotions)
    assert [item.emotion for item in explanation] == emotions
    logits = svm.logits(corpus)
    for row, own in enumerate(explanation):
        assert own.logit == pytest.approx(logits[row, svm.emotions.index(emotions[row])] - logits[row].mean())


def test_explaining_nothing_is_no_fault(svm: LightRecognizer, words_fold: Fold) -> None:
    nothing = words_fold.test.select(np.zeros(len(words_fold.test), bool))
    for method in ("random", "shapley", "shap-partition", "kernel-shap", "shap-linear"):
        explanation = explain(svm, nothing, method, "sad")
        assert len(explanation) == 0
        assert explanation.to_frame().empty


def test_the_only_modality_is_taken_and_of_several_the_modalities(
    svm: LightRecognizer, senses: LateFusion, joined: NetworkRecognizer, tones_mlp: Any, senses_fold: Fold
) -> None:
    corpus = some(senses_fold.test, 2)
    assert explain(svm, corpus, "random").modality == "text"
    assert explain(senses, corpus, "shapley").modality == "modality"
    assert explain(joined, corpus, "shapley")[0].names == ("audio", "text")
    assert explain(tones_mlp, corpus, "saliency").modality == "features"
    assert explain(tones_mlp, corpus, "ablation").modality == "audio"
    heard = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    both = LightRecognizer(
        "light/both",
        [Classical8(), Tfidf(min_count=1)],
        light.logistic_regression(1, scale=False),
    )
    for recognizer in (fitted(heard, senses_fold), fitted(both, senses_fold)):
        explanation = explain(recognizer, corpus, "shap-linear")
        assert explanation.modality == "features"
        assert explanation[0].names == tuple(recognizer.feature_names)


def test_explain_says_what_it_does_not_know(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    with pytest.raises(ValueError, match=r"no method 'lime'; expected one of ablation, .*random\. Correct the name"):
        explain(svm, corpus, "lime")
    with pytest.raises(ValueError, match=r"target bored for 4 utterances; expected predicted, true.*angry.*Correct"):
        explain(svm, corpus, "random", "bored")
    with pytest.raises(ValueError, match=r"target 2 for 4 utterances; expected .*take the recognizer's view"):
        explain(svm, corpus, "random", ["sad", "happy"])
    with pytest.raises(ValueError, match=r"text/light has no units of 'audio'; expected one of text, modality"):
        explain(svm, corpus, "ablation", modality="audio")
    with pytest.raises(ValueError, match=r"no baseline 'padding' here; expected one of leave out, mask"):
        explain(svm, corpus, "ablation", baseline="padding")
    with pytest.raises(ValueError, match=r"cannot do without any of text"):
        explain(svm, corpus, "shapley", modality="modality")


def leave_one_out(value: Any, n_units: int) -> np.ndarray:
    return value(np.ones((1, n_units), bool)) - value(~np.eye(n_units, dtype=bool))


def test_a_function_of_your_own_explains_whatever_the_recognizer(
    svm: LightRecognizer, senses: LateFusion, senses_fold: Fold
) -> None:
    corpus = some(senses_fold.test)
    for recognizer in (svm, senses):
        mine, theirs = (explain(recognizer, corpus, method) for method in (leave_one_out, "ablation"))
        assert (mine.method, mine.modality, mine.baseline) == ("leave_one_out", theirs.modality, theirs.baseline)
        np.testing.assert_allclose(np.concatenate(mine.values), np.concatenate(theirs.values), atol=1e-9)
        assert np.isnan(mine[0].convergence_delta)


@pytest.mark.parametrize(
    ("method", "named"),
    [(captum.FeatureAblation, "ablation"), (SHAP.ExactExplainer, "shapley"), (captum.ShapleyValues, "shapley")],
)
def test_classes_of_captum_and_shap_are_taken_as_they_are(
    method: Any, named: str, svm: LightRecognizer, words_fold: Fold
) -> None:
    found, known = (explain(svm, some(words_fold.test), each) for each in (method, named))
    assert found.method == method.__name__
    pd.testing.assert_frame_equal(found.to_frame(), known.to_frame())


@pytest.mark.parametrize("method", [captum.LayerConductance, captum.FeaturePermutation, SHAP.DeepExplainer, 3, int])
def test_what_cannot_explain_is_told_what_can(method: Any, svm: LightRecognizer, words_fold: Fold) -> None:
    with pytest.raises(ValueError, match=r"cannot explain utterances; expected a key of METHODS, .*Wrap it in such"):
        explain(svm, some(words_fold.test), method)


def test_functions_that_do_not_fit_are_told_so(svm: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)

    def three(value: Any, n_units: int) -> list[float]:
        return [1.0, 2.0] + [0.0] * n_units

    def none(value: Any, n_units: int) -> Any:
        return np.full(n_units, np.nan)

    for method in (three, none):
        with pytest.raises(ValueError, match=r"returned \(\d+,\) for \d units.*expected \(n_units,\) finite values"):
            explain(svm, corpus, method)
    with pytest.raises(ValueError, match=r"fails here: .*positional argument.*function \(value, n_units\)"):
        explain(svm, corpus, lambda value: value)
    with pytest.raises(ValueError, match=r"Lime.* fails here: .*Wrap it"):
        explain(svm, corpus, captum.LimeBase)


@given(seconds=st.floats(1e-3, 30))
def test_spans_of_sound_cover_it_without_gaps(seconds: float) -> None:
    spans = sound_spans(seconds)
    assert spans[0, 0] == 0
    assert spans[-1, 1] == seconds
    np.testing.assert_array_equal(spans[1:, 0], spans[:-1, 1])
    lengths = np.diff(spans, axis=1)[:, 0]
    np.testing.assert_allclose(lengths[:-1], UNIT_S)
    assert 0 < lengths[-1] <= UNIT_S + 1e-6


def test_spans_by_hand() -> None:
    assert len(sound_spans(1.0)) == 10  # rounding makes no eleventh
    assert len(sound_spans(0.7 + 0.2 + 0.1)) == 10
    assert len(sound_spans(0.3)) == 3
    assert len(sound_spans(1 / 16_000)) == 1


@given(n_steps=st.integers(1, 400), hop=st.sampled_from([0.01, 0.02, 0.04, 0.1, 0.2]), seconds=st.floats(0.05, 4))
def test_steps_in_time_have_owners_in_order(n_steps: int, hop: float, seconds: float) -> None:
    spans = sound_spans(seconds)
    owners = owners_in_time(n_steps, hop, spans)
    assert len(owners) == n_steps
    assert (np.diff(owners) >= 0).all()
    assert owners[0] == 0
    assert owners[-1] < len(spans)
    for step, owner in enumerate(owners.tolist()):
        assert spans[owner, 0] <= step * hop + 1e-6
        assert step * hop < spans[owner, 1] + 1e-6 or owner == len(spans) - 1


@given(text=TEXTS)
def test_words_of_a_text_are_those_of_its_parts(text: str) -> None:
    parts, owners = text.split(), owners_of_words(text)
    of_parts = [(word, place) for place, part in enumerate(parts) for word in words(part)]
    assert [word for word, _ in of_parts] == words(text)
    if of_parts:
        assert owners.tolist() == [place for _, place in of_parts]
    else:
        assert owners.tolist() == [NOBODY]


def test_owners_of_words_by_hand() -> None:
    assert owners_of_words("I can't -- WAIT... Really?!").tolist() == [0, 1, 3, 3, 4, 4, 4]
    assert owners_of_words("").tolist() == [NOBODY]


@pytest.fixture(scope="module")
def tokenizer(words_fold: Fold, tmp_path_factory: pytest.TempPathFactory) -> Any:
    extractor = Subwords(str(save_checkpoint(tmp_path_factory.mktemp("bert"), "bert")), max_subwords=6)
    extractor.fit(words_fold.train)
    return extractor.tokenizer


def test_owners_of_pieces_by_hand(tokenizer: Any) -> None:
    assert owners_of_subwords("we  homes!", tokenizer).tolist() == [NOBODY, 0, 1, 1, 1, NOBODY]
    assert owners_of_subwords(" furious", tokenizer).tolist() == [NOBODY, 0, NOBODY]
    assert owners_of_subwords("", tokenizer).tolist() == [NOBODY, NOBODY]
    cut = owners_of_subwords("we went home we went home", tokenizer)  # of six pieces two are marks
    assert cut.tolist() == [NOBODY, 0, 1, 2, 3, NOBODY]


@given(text=TEXTS)
def test_pieces_belong_to_words_in_order(text: str, tokenizer: Any) -> None:
    owners = owners_of_subwords(text, tokenizer)
    owned = owners[owners != NOBODY]
    assert (np.diff(owned) >= 0).all()
    assert len(owned) == 0 or owned.max() < len(text.split())
    assert len(owned) == len(owners) - 2


@given(data=st.data(), n_steps=st.integers(1, 30), n_units=st.integers(1, 6))
def test_gathering_conserves_the_sum(data: Any, n_steps: int, n_units: int) -> None:
    owners = np.array(data.draw(st.lists(st.integers(-1, n_units - 1), min_size=n_steps, max_size=n_steps)), np.int64)
    native = np.random.default_rng(n_steps).normal(size=(n_steps, 3, 2))
    found = summed(native, owners, n_units)
    assert found.shape == (n_units,)
    assert found.sum() == pytest.approx(native[owners != NOBODY].sum(), abs=1e-9)
    for unit in range(n_units):
        assert found[unit] == pytest.approx(native[owners == unit].sum(), abs=1e-9)


def test_parts_of_a_recognizer_are_all_its_front_ends(senses: LateFusion) -> None:
    both = LightRecognizer("light/both", [Classical8(), Tfidf(min_count=1)], light.linear_svm(1))
    kinds = [type(extractor).__name__ for extractor in LateFusion("all", [senses, both]).extractors()]
    assert kinds == ["Classical8", "Tfidf", "FaceFrames", "Concatenated", "Classical8", "Tfidf"]


def test_a_saved_recognizer_is_explained_as_before(svm: LightRecognizer, words_fold: Fold, tmp_path: Path) -> None:
    svm.save(tmp_path / "kept")
    corpus = some(words_fold.test)
    loaded = explain(Recognizer.load(tmp_path / "kept"), corpus, "shap-linear").to_frame()
    pd.testing.assert_frame_equal(loaded, explain(svm, corpus, "shap-linear").to_frame())
