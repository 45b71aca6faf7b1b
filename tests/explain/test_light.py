"""Light models: weights times features by hand, votes of trees, and terms that are shared among words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from emolab.corpora import Corpus
from emolab.explain import explain
from emolab.explain.explanation import load_shap
from emolab.explain.light import on_words, reads_words, terms_of
from emolab.explain.maskers import masker_for
from emolab.features.audio import Classical8
from emolab.features.text import Tfidf
from emolab.models import light
from emolab.models.light import last_features
from emolab.recognizer import LightRecognizer, NetworkRecognizer, Recognizer
from emolab.splits import Fold
from tests.explain.conftest import fitted, light_reader

LINEAR = {
    "logistic regression": lambda: light.logistic_regression(1, c=1.0),
    "discriminant": lambda: light.discriminant(1),
    "linear svm": lambda: light.linear_svm(1),
}


def some(corpus: Corpus, n: int = 6) -> Corpus:
    return corpus.select(np.arange(len(corpus)) < n)


def centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def two_emotions(fold: Fold) -> Fold:
    """Of two emotions scikit-learn keeps one row of weights."""
    kept = [part.select(part.table["emotion"] != "happy") for part in (fold.train, fold.valid, fold.test)]
    return Fold("by-hand/2", *(replace(part, emotions=("angry", "sad")) for part in kept))


@pytest.mark.parametrize("n_emotions", [2, 3])
@pytest.mark.parametrize("kind", LINEAR)
def test_values_are_weights_times_features(kind: str, n_emotions: int, senses_fold: Fold) -> None:
    fold = senses_fold if n_emotions == 3 else two_emotions(senses_fold)
    recognizer = LightRecognizer("audio/light", Classical8(), LINEAR[kind]())
    fitted(recognizer, fold)
    corpus = some(fold.test)
    logits = centred(np.asarray(recognizer.logits(corpus)))
    for target in range(n_emotions):
        explanation = explain(recognizer, corpus, "shap-linear", recognizer.emotions[target])
        features = last_features(recognizer.estimator, recognizer.feature_matrix(corpus))
        last = recognizer.estimator[-1]
        scores = getattr(last, "machine_", last).coef_
        scores = np.vstack([-scores, scores]) if len(scores) == 1 else scores  # of two emotions one row
        weights = scores[target] - scores.mean(axis=0)
        found = np.array(explanation.values)
        by_hand = weights * features
        scale = (found * by_hand).sum() / (by_hand**2).sum()  # a machine's margins become logits by its sharpness
        np.testing.assert_allclose(found, scale * by_hand, atol=1e-5)
        np.testing.assert_allclose([item.logit for item in explanation], logits[:, target], atol=1e-5)
        assert explanation.relative_convergence_delta < 1e-5
        inverse_temperature = getattr(recognizer.estimator[-1], "inverse_temperature_", 1.0)
        assert scale == pytest.approx(inverse_temperature if n_emotions == 3 or kind == "linear svm" else 0.5)
        np.testing.assert_allclose([item.native for item in explanation], found, rtol=1e-5)


def test_reference_is_the_logit_of_a_voice_as_the_mean_of_training(senses_fold: Fold) -> None:
    recognizer = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    fitted(recognizer, senses_fold)
    explanation = explain(recognizer, some(senses_fold.test), "shap-linear", "sad")
    intercepts = recognizer.estimator[-1].intercept_
    for item in explanation:
        assert item.reference == pytest.approx(intercepts[2] - intercepts.mean())


@pytest.mark.parametrize("characters", [None, (2, 3)])
def test_terms_are_shared_among_the_words_that_make_them(characters: Any, words_fold: Fold) -> None:
    recognizer = fitted(light_reader(light.linear_svm(1), characters=characters), words_fold)
    corpus = some(words_fold.test)
    for item, text in zip(explain(recognizer, corpus, "shap-linear"), corpus.texts(), strict=True):
        assert item.names == tuple(text.split())
        assert item.values.sum() == pytest.approx(float(item.native.sum()), rel=1e-4)  # no term is lost
        assert item.native_names == tuple(recognizer.feature_names)
        assert item.convergence_delta == pytest.approx(0, abs=1e-6)


class Terms(Tfidf):
    def __init__(self, *terms: str, characters: Any = None) -> None:
        super().__init__(characters=characters, min_count=1)
        self.vectorizer.vocabulary = list(terms)


def test_on_words_by_hand() -> None:
    extractor = Terms("so", "so sad", "sad", "gone")
    shared = on_words([extractor], "So sad, so -- sad!", np.array([4.0, 6.0, 1.0, 9.0]))
    np.testing.assert_allclose(shared, [2 + 1.5, 0.5 + 1.5, 2 + 1.5, 0, 0.5 + 1.5])
    assert on_words([extractor], "... --", np.ones(4)).tolist() == [0, 0]
    two = on_words([Terms("so"), Terms("so", "sad")], "so sad", np.array([1.0, 10.0, 100.0]))
    assert two.tolist() == [11, 100]


def test_pairs_reach_over_signs_and_apostrophes_stay() -> None:
    found = list(terms_of(Terms(), "I can't... go"))
    assert found == [
        ("i", [0]),
        ("can't", [1]),
        ("…", [1]),
        ("go", [2]),
        ("i can't", [0, 1]),
        ("can't …", [1, 1]),
        ("… go", [1, 2]),
    ]


@given(text=st.text(st.sampled_from("ab'. !\n"), max_size=20), characters=st.sampled_from([None, (2, 3)]))
def test_terms_are_those_that_the_front_end_counts(text: str, characters: Any) -> None:
    extractor = Tfidf(min_count=1, characters=characters)
    rows = [{"utterance_id": "u", "speaker": "a", "emotion": "sad", "text": text}]
    rows.append({"utterance_id": "v", "speaker": "a", "emotion": "sad", "text": "a b"})
    corpus = Corpus.from_rows("toy", rows, emotions=("sad",), root=Path("nowhere"))
    extractor.fit(corpus)
    seen = extractor.transform(corpus)[0].nonzero()[1]
    assert {term for term, _ in terms_of(extractor, text)} == {extractor.terms[place] for place in seen}
    for _, owners in terms_of(extractor, text):
        assert max(owners) < len(text.split())


@pytest.fixture(scope="module")
def forest(words_fold: Fold) -> LightRecognizer:
    model = light.random_forest(1)
    model[-1].set_params(n_estimators=20)
    return fitted(light_reader(model), words_fold)


def test_values_of_trees_sum_to_their_votes(forest: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    explanation = explain(forest, corpus, "shap-tree", "happy")
    votes = forest.predict_proba(corpus)[:, 1]
    for row, item in enumerate(explanation):
        assert item.logit == pytest.approx(votes[row])
        assert item.native.sum() + item.reference == pytest.approx(votes[row], abs=1e-4)
        assert item.names == tuple(corpus.texts()[row].split())
    assert explanation[0].reference == pytest.approx(1 / 3, abs=0.1)  # what the trees say of training on average


def test_words_that_are_not_there_belong_to_none_and_the_gap_says_so(forest: LightRecognizer, words_fold: Fold) -> None:
    corpus = some(words_fold.test)
    for item, text in zip(explain(forest, corpus, "shap-tree"), corpus.texts(), strict=True):
        here = np.isin(item.native_names, [term for term, _ in terms_of(forest.features[0], text)])  # type: ignore[arg-type]
        assert item.values.sum() == pytest.approx(float(item.native[here].sum()), abs=1e-5)
        assert item.convergence_delta == pytest.approx(-float(item.native[~here].sum()), abs=1e-4)


def test_trees_of_sound_sum_up_exactly(senses_fold: Fold) -> None:
    model = light.random_forest(1)
    model[-1].set_params(n_estimators=20)
    recognizer = fitted(LightRecognizer("audio/forest", Classical8(), model), senses_fold)
    assert explain(recognizer, some(senses_fold.test), "shap-tree").relative_convergence_delta < 1e-4


def test_reads_words_is_said_of_what_counts_words_alone(svm: LightRecognizer, reader: NetworkRecognizer) -> None:
    assert reads_words(svm)
    assert not reads_words(reader)
    assert reads_words(LightRecognizer("text/two", [Tfidf(), Tfidf(characters=(2, 3))], LogisticRegression()))
    assert not reads_words(LightRecognizer("light/both", [Tfidf(), Classical8()], LogisticRegression()))


def test_two_ways_of_counting_words_are_explained_together(words_fold: Fold) -> None:
    features = [Tfidf(min_count=1), Tfidf(min_count=1, characters=(2, 3))]
    recognizer = LightRecognizer("text/two", features, light.linear_svm(1))
    explanation = explain(fitted(recognizer, words_fold), some(words_fold.test), "shap-linear")
    assert explanation.modality == "text"
    assert explanation.relative_convergence_delta < 1e-9


@pytest.mark.parametrize(("method", "like"), [("shap-linear", "text/svm"), ("shap-tree", "text/random-forest")])
def test_models_that_do_not_suit_are_named(
    method: str, like: str, reader: Recognizer, svm: Recognizer, forest: Recognizer, words_fold: Fold
) -> None:
    kind = "linear model" if method == "shap-linear" else "ensemble of trees"
    with pytest.raises(ValueError, match=rf"text/tiny is no light model; {method} expects one. Take ablation"):
        explain(reader, some(words_fold.test), method)
    with pytest.raises(ValueError, match=rf"is no {kind}.*; {method} expects .*such as {like}.*Take ablation"):
        explain(forest if method == "shap-linear" else svm, some(words_fold.test), method)


def test_a_machine_of_kernels_has_no_weights(senses_fold: Fold) -> None:
    recognizer = LightRecognizer("audio/svm", Classical8(), light.svm(1))
    with pytest.raises(ValueError, match=r"audio/svm is no linear model; shap-linear expects an estimator with coef_"):
        explain(fitted(recognizer, senses_fold), some(senses_fold.test), "shap-linear")


ESTIMATORS: dict[str, Any] = {  # that nobody foresaw
    "selected": make_pipeline(StandardScaler(), SelectKBest(k=4), LogisticRegression()),
    "bare": LogisticRegression(),
    "stochastic": make_pipeline(StandardScaler(), SGDClassifier(loss="modified_huber", random_state=0)),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_any_linear_estimator_is_explained(name: str, senses_fold: Fold) -> None:
    recognizer = LightRecognizer("audio/any", Classical8(), clone(ESTIMATORS[name]))
    fitted(recognizer, senses_fold)
    explanation = explain(recognizer, some(senses_fold.test), load_shap().LinearExplainer, "sad")
    assert explanation.method == "LinearExplainer"
    assert explanation.relative_convergence_delta < 1e-6
    kept = np.arange(8) if name != "selected" else np.flatnonzero(recognizer.estimator[1].get_support())
    used = np.flatnonzero(np.abs(explanation.values).sum(axis=0))
    assert {*used.tolist()} <= {*kept.tolist()}  # one feature is constant
    assert len(used) >= 3


def test_features_that_are_made_of_others_have_no_names(senses_fold: Fold) -> None:
    made = LightRecognizer("audio/pca", Classical8(), make_pipeline(PCA(2), RidgeClassifier()))
    made.estimator, made.emotions = made.candidates[0], senses_fold.train.emotions
    made.features[0].fit(senses_fold.train)
    made.estimator.fit(made.feature_matrix(senses_fold.train), senses_fold.train.targets())
    with pytest.raises(ValueError, match=r"pipeline of audio/pca makes 2 new features of 8; expected steps that scale"):
        explain(made, some(senses_fold.test), "shap-linear", "sad")


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(max_depth=3),
        ExtraTreesClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2),
        GradientBoostingClassifier(n_estimators=3),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("n_emotions", [2, 3])
def test_any_trees_that_shap_follows_are_explained(estimator: Any, n_emotions: int, senses_fold: Fold) -> None:
    fold = senses_fold if n_emotions == 3 else two_emotions(senses_fold)
    recognizer = LightRecognizer("audio/any", Classical8(), clone(estimator))
    fitted(recognizer, fold)
    corpus = some(fold.test)
    if n_emotions == 3 and isinstance(estimator, GradientBoostingClassifier):  # shap takes two emotions only
        with pytest.raises(ValueError, match=r"audio/any is no ensemble of trees that shap can follow .*Take ablation"):
            explain(recognizer, corpus, "shap-tree", "sad")
        return
    explanation = explain(recognizer, corpus, "shap-tree", "sad")
    assert explanation.relative_convergence_delta < 1e-4
    x = recognizer.feature_matrix(corpus)
    if hasattr(recognizer.estimator, "decision_function"):
        margins = recognizer.estimator.decision_function(x)
        expected = margins / 2 if n_emotions == 2 else margins[:, 2]
    else:
        expected = recognizer.predict_proba(corpus)[:, -1]
    np.testing.assert_allclose([item.logit for item in explanation], expected, atol=1e-4)


def test_unknown_words_add_nothing(svm: LightRecognizer, words_fold: Fold) -> None:
    table = some(words_fold.test, 1).table.assign(text=pd.array(["zzz so qqq"], dtype="string"))
    (item,) = explain(svm, replace(words_fold.test, table=table), "shap-linear")
    assert item.values[[0, 2]].tolist() == [0, 0]


def test_weights_know_features_and_no_units_of_sound(senses_fold: Fold) -> None:
    made = LightRecognizer("audio/light", Classical8(), light.logistic_regression(1))
    fitted(made, senses_fold)
    assert explain(made, senses_fold.test, "shap-linear").modality == "features"
    with pytest.raises(ValueError, match=r"knows the features of audio/light, not its units of 'audio'"):
        explain(made, senses_fold.test, "shap-linear", modality="audio")


@pytest.mark.parametrize("characters", [None, (1, 2)])
def test_a_text_without_blanks_is_explained_by_its_characters(characters: tuple[int, int] | None) -> None:
    said = {"happy": "我今天很高兴！", "sad": "我今天很难过。"}
    rows = [
        {"utterance_id": str(number), "speaker": "a", "emotion": emotion, "text": said[emotion]}
        for number, emotion in enumerate(["happy", "sad"] * 4)
    ]
    corpus = Corpus.from_rows("chinese", rows, emotions=("happy", "sad"), root=Path())
    recognizer = light_reader(light.linear_svm(1), characters=characters)
    recognizer.fit(corpus, corpus)
    for method in ("shap-linear", "ablation"):
        item = explain(recognizer, some(corpus, 1), method, "happy", modality="text")[0]
        assert item.names == ("我", "今", "天", "很", "高", "兴！")
        assert len(item.values) == 6
        if not characters:
            assert set(np.argsort(-item.values)[:2]) == {4, 5}
    masker = masker_for(recognizer, some(corpus, 2), "text")
    assert masker.left(0, np.array([True, False, False, True, True, True])) == "我很高兴！"  # type: ignore[attr-defined]
    np.testing.assert_allclose(masker.ends()[0], centred(recognizer.logits(some(corpus, 2))), atol=1e-6)
