"""Light models, by SHAP: what each feature, and through it each word, adds to a linear score or votes of trees."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from emolab.corpora.corpus import Corpus
from emolab.explain import explanation as units
from emolab.explain.explanation import Attribution, Explained, Floats, Numbers, Options, load_shap, of_shap
from emolab.features.text import Tfidf, text_units, words
from emolab.models.light import last_features
from emolab.recognizer import LightRecognizer, Recognizer

REMEDY = "Take ablation or kernel-shap, which work for any recognizer."


def fits(engine: Any) -> bool:
    """Whether an engine is one of SHAP's for linear models or trees."""
    return of_shap(engine) and engine in (load_shap().LinearExplainer, load_shap().TreeExplainer)


def attribute(recognizer: Recognizer, corpus: Corpus, engine: Any, targets: Numbers, options: Options) -> Explained:
    """Explain utterances by the weights or trees of a light model; name the baseline, too.

    Args:
        recognizer: Whose estimator is linear (coef_ and intercept_), or trees, at the end of a pipeline or alone.
        corpus: The utterances.
        engine: shap.LinearExplainer or shap.TreeExplainer.
        targets: (n_utterances,) numbers of the emotions explained.
        options: modality is "features", or "text" where all features are terms.

    Raises:
        ValueError: If the recognizer is no such model, or its features are not the units that are asked for.
    """
    modality = options.modality
    if not isinstance(recognizer, LightRecognizer):
        raise ValueError(f"{recognizer.name} is no light model; {options.method} expects one. {REMEDY}")
    if modality != "features" and not (modality == "text" and reads_words(recognizer)):
        problem = f"{options.method} knows the features of {recognizer.name}, not its units of {modality!r}"
        raise ValueError(f'{problem}; expected modality="features". For units take ablation, occlusion or kernel-shap.')
    rows, places = _last_features(recognizer, recognizer.feature_matrix(corpus))
    explain, model = _linear if engine is load_shap().LinearExplainer else _trees, recognizer.estimator
    values, logits, references = explain(recognizer.name, model[-1] if isinstance(model, Pipeline) else model, rows)
    names, columns = corpus.table["utterance_id"], tuple(recognizer.feature_names)
    texts = corpus.texts() if modality == "text" else [""] * len(corpus)
    made = []
    for row, target in enumerate(targets.tolist()):
        own, named = np.zeros(len(columns)), columns
        own[places] = values[row, :, target]
        facts = (own.astype(np.float32), columns, float(logits[row, target]), float(references[target]))
        if modality == "text":
            named, own = tuple(text_units(texts[row])), on_words(_tfidfs(recognizer), texts[row], own)
        where = units.no_spans(len(own))
        made.append(Attribution(names.iloc[row], recognizer.emotions[target], named, own, where, *facts))
    return made, "leave out" if modality == "text" else "mean"


def reads_words(recognizer: Recognizer) -> bool:
    """Whether the features of a light recognizer are terms of texts, and nothing else."""
    return isinstance(recognizer, LightRecognizer) and all(isinstance(own, Tfidf) for own in _tfidfs(recognizer))


def _last_features(recognizer: LightRecognizer, x: Any) -> tuple[Floats, NDArray[np.int64]]:
    """Return what the last step of a pipeline sees, (n, n_kept), and which features these are."""
    model, places = recognizer.estimator, np.arange(x.shape[1])
    for step in model[:-1] if isinstance(model, Pipeline) else ():
        places = places[step.get_support()] if hasattr(step, "get_support") else places
    x = last_features(model, x)
    if x.shape[1] != len(places):
        problem = f"the pipeline of {recognizer.name} makes {x.shape[1]} new features of {len(places)}"
        raise ValueError(f"{problem}; expected steps that scale or select them. {REMEDY}")
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, np.float64), places


def _linear(name: str, estimator: Any, rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weights times features (n, n_features, n_emotions), which are 0 at the mean of training or without a word.

    Beside them the logits (n, n_emotions) and those of no features (n_emotions,). Temperature scaling multiplies the
    weights; of two emotions scikit-learn keeps one row of them, the difference of both logits.
    """
    last = getattr(estimator, "machine_", estimator)
    if not hasattr(last, "coef_"):
        expected = "expects an estimator with coef_ and intercept_, such as text/svm"
        raise ValueError(f"{name} is no linear model; shap-linear {expected}. {REMEDY}")
    weights = np.atleast_2d(last.coef_)
    intercept = np.broadcast_to(last.intercept_, len(weights))
    scale = getattr(estimator, "inverse_temperature_", 1.0 if len(weights) > 1 else 0.5)
    if len(weights) == 1:
        weights, intercept = np.vstack([-weights, weights]), np.append(-intercept, intercept)
    weights, intercept = scale * (weights - weights.mean(axis=0)), scale * (intercept - intercept.mean())
    shap = load_shap()
    explainer = shap.LinearExplainer((weights, intercept), shap.maskers.Independent(np.zeros((1, rows.shape[1]))))
    return explainer.shap_values(rows), rows @ weights.T + intercept, np.asarray(explainer.expected_value)


def _trees(name: str, estimator: Any, rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Return shares (n, n_features, n_emotions) of the votes of trees, which are probabilities, or of boosted margins.

    Beside them votes or margins (n, n_emotions), and those of training on average (n_emotions,). Source: Lundberg et
    al. 2020.
    """
    try:
        explainer = load_shap().TreeExplainer(estimator)
        values = np.asarray(explainer.shap_values(rows.astype(np.float32)))  # trees compare in float32 as well
    except Exception as error:  # shap has kinds of its own: for other models, and for trees so deep that sums overflow
        why = f"{name} is no ensemble of trees that shap can follow ({str(error)[:80]}); shap-tree expects one such as"
        raise ValueError(f"{why} text/random-forest, of trees at most some 40 splits deep. {REMEDY}") from error
    references = np.asarray(explainer.expected_value)
    if values.ndim == 2:  # of two emotions one margin
        values, references = np.stack([-values, values], axis=2) / 2, np.append(-references, references) / 2
    votes = explainer.model.tree_output == "probability"
    return values, estimator.predict_proba(rows) if votes else values.sum(axis=1) + references, references


def _tfidfs(recognizer: LightRecognizer) -> Sequence[Any]:
    return getattr(recognizer.features[0], "features", recognizer.features)


def on_words(features: Sequence[Tfidf], text: str, values: NDArray[np.floating]) -> Floats:
    """Share what the terms of a text add equally among the words that make them; (n_words,).

    Terms that are not in the text, to whose absence trees may respond, belong to no word.
    """
    shared, start = np.zeros(len(text_units(text))), 0
    for extractor in features:
        places = {term: start + place for place, term in enumerate(extractor.terms)}
        found = [(places[term], owners) for term, owners in terms_of(extractor, text) if term in places]
        times = np.bincount([place for place, _ in found], minlength=1)
        for place, owners in found:
            np.add.at(shared, owners, values[place] / times[place] / len(owners))
        start += len(extractor.terms)
    return shared


def terms_of(extractor: Tfidf, text: str) -> Iterator[tuple[str, list[int]]]:
    """Yield the terms of a text, each as often as it occurs, and the places of its words in text_units(text)."""
    if extractor.characters:
        analyze, places = extractor.vectorizer.build_analyzer(), iter(range(len(text)))
        for word in text.split():
            own = [next(places) for _ in text_units(word)]  # one, but for scripts without blanks
            yield from ((term, own) for term in analyze(word))
        return
    spoken, owners = words(text), units.owners_of_words(text).tolist()
    for n in range(1, extractor.max_words + 1):
        for start in range(len(spoken) - n + 1):
            yield " ".join(spoken[start : start + n]), owners[start : start + n]
