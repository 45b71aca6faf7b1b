"""Light models, by SHAP: what each feature, and through it each word, adds to a linear score or the votes of trees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from emolab.corpora.corpus import Corpus
from emolab.explain.explanation import Attribution
from emolab.explain.units import NO_TIME, import_shap, owners_of_words
from emolab.features.text import Tfidf
from emolab.features.text import words
from emolab.models.light import last_features, linear_weights
from emolab.recognizer import LightRecognizer, Recognizer

METHODS = ("shap-linear", "shap-tree")


def explain_light(
    recognizer: Recognizer, corpus: Corpus, method: str, targets: NDArray[np.int64], modality: str
) -> list[Attribution]:
    """Explain utterances by what a light model is made of; see `emolab.explain.explain`.

    Raises:
        ValueError: If the recognizer is no such model, or its features are not the units that are asked for.
    """
    kind = "linear model" if method == "shap-linear" else "forest"
    if not isinstance(recognizer, LightRecognizer) or not _suits(method, recognizer.estimator):
        raise ValueError(
            f"{recognizer.name} is no {kind} of emolab; {method} expects one, such as "
            f"{'text/svm' if kind == 'linear model' else 'text/random-forest'}. Take ablation or kernel-shap, which "
            "ask any recognizer."
        )
    if modality != "features" and not (modality == "text" and reads_words(recognizer)):
        raise ValueError(
            f"{method} knows the features of {recognizer.name}, not its units of {modality!r}; expected "
            'modality="features". For units take ablation, occlusion or kernel-shap, which ask.'
        )
    rows = last_features(recognizer.estimator, recognizer.feature_matrix(corpus))
    rows = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, np.float64)
    explain = _linear if method == "shap-linear" else _trees
    values, logits, references = explain(recognizer, corpus, rows, targets)
    names, columns = corpus.table["utterance_id"], tuple(recognizer.feature_names)
    texts = corpus.texts() if modality == "text" else [""] * len(corpus)
    made = []
    for row, own in enumerate(values):
        units, shared = columns, own.astype(np.float64)
        if modality == "text":
            units, shared = tuple(texts[row].split()), on_words(_word_fronts(recognizer), texts[row], own)
        facts = (own.astype(np.float32), columns, float(logits[row]), float(references[row]))
        emotion, spans = recognizer.emotions[targets[row]], np.full((len(units), 2), NO_TIME)
        made.append(Attribution(names.iloc[row], emotion, units, shared, spans, *facts))
    return made


def reads_words(recognizer: Recognizer) -> bool:
    """Whether a light recognizer sees nothing but counted words."""
    return isinstance(recognizer, LightRecognizer) and all(
        isinstance(extractor, Tfidf) for extractor in _word_fronts(recognizer)
    )


def _suits(method: str, model: Any) -> bool:
    forest = isinstance(model[-1], RandomForestClassifier)
    last = getattr(model[-1], "machine_", model[-1])
    return forest if method == "shap-tree" else hasattr(last, "coef_")


def _linear(
    recognizer: LightRecognizer, corpus: Corpus, rows: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Multiply weights with features, which are 0 where a voice is as training's mean, or a word is not there."""
    shap = import_shap()

    weights = linear_weights(recognizer.estimator) * _scale(recognizer.estimator)
    intercept = _intercept(recognizer.estimator) * _scale(recognizer.estimator)
    logits = recognizer.logits(corpus)
    logits = logits - logits.mean(axis=1, keepdims=True)
    centred = (weights - weights.mean(axis=0), intercept - intercept.mean())
    explainer = shap.LinearExplainer(centred, shap.maskers.Independent(np.zeros((1, rows.shape[1]))))
    values = explainer.shap_values(rows)  # (n, n_features, n_emotions)
    each = np.arange(len(rows))
    return values[each, :, targets], logits[each, targets], np.asarray(explainer.expected_value)[targets]


def _intercept(model: Any) -> NDArray[np.float64]:
    own = np.ravel(getattr(model[-1], "machine_", model[-1]).intercept_)
    return own if len(own) > 1 else np.concatenate([-own, own])  # of two emotions scikit-learn keeps one


def _scale(model: Any) -> float:
    """Return by how much the weights of the last step are multiplied until they make logits."""
    inverse_temperature = getattr(model[-1], "sharpness_", 1.0)
    two = len(getattr(model[-1], "machine_", model[-1]).coef_) == 1 and not hasattr(model[-1], "sharpness_")
    return inverse_temperature / 2 if two else inverse_temperature


def _trees(
    recognizer: LightRecognizer, corpus: Corpus, rows: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Follow each path through the trees: shares of the emotion's votes, as probabilities, since trees know no logits.

    Source: Lundberg et al. 2020.
    """
    shap = import_shap()

    explainer = shap.TreeExplainer(recognizer.estimator[-1])
    try:
        values = explainer.shap_values(rows.astype(np.float32))  # the forest sees float32 as well
    except Exception as error:  # shap has a kind of its own: in deep trees its sums lose all their digits
        raise ValueError(
            f"shap's sums over the trees of {recognizer.name} do not give its votes: some trees are too deep for them. "
            "Expected trees of at most some 40 splits above each other. Take ablation, kernel-shap or shap-partition."
        ) from error
    each, said = np.arange(len(rows)), recognizer.predict_proba(corpus)
    return values[each, :, targets], said[each, targets], np.asarray(explainer.expected_value)[targets]


def _word_fronts(recognizer: LightRecognizer) -> Sequence[Any]:
    return getattr(recognizer.features[0], "features", recognizer.features)


def on_words(features: Sequence[Tfidf], text: str, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share what the terms of a text add among the words that make them, alike; (n_words,).

    Terms that are not in the text, whose absence trees may hear, belong to no word.
    """
    shared, start = np.zeros(len(text.split())), 0
    for extractor in features:
        places = {term: start + place for place, term in enumerate(extractor.terms)}
        found = [(places[term], owners) for term, owners in terms_of(extractor, text) if term in places]
        times = np.bincount([place for place, _ in found], minlength=1)
        for place, owners in found:
            np.add.at(shared, owners, values[place] / times[place] / len(owners))
        start += len(extractor.terms)
    return shared


def terms_of(extractor: Tfidf, text: str) -> Iterator[tuple[str, list[int]]]:
    """Yield the terms of a text, each as often as it occurs, and which of text.split() it is in."""
    if extractor.characters:
        cut = extractor._vectorizer().build_analyzer()
        for place, word in enumerate(text.split()):
            yield from ((term, [place]) for term in cut(word))
        return
    spoken, owners = words(text), owners_of_words(text).tolist()
    for n in range(1, extractor.max_words + 1):
        for start in range(len(spoken) - n + 1):
            yield " ".join(spoken[start : start + n]), owners[start : start + n]
