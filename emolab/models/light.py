"""Light models: scikit-learn pipelines, and the small search that chooses among them on the validation set."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import recall_score
from sklearn.metrics.pairwise import laplacian_kernel
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from threadpoolctl import threadpool_limits

from emolab.storage import toml_beside

N_TREES = 300
N_CALIBRATION_FOLDS = 3
OUTLIER = 5.0  # standard deviations; a value further out was measured wrongly, or says no more than one as far
MAX_ITERATIONS = 2000
TINY = 1e-12  # keeps a division by zero away
INVERSE_TEMPERATURES = (1e-2, 1e2)  # the range that is searched
LEARNED = ("mean_", "scale_", "coef_", "intercept_", "support_vectors_", "dual_coef_")  # where models keep numbers


def logistic_regression(seed: int, *, c: float = 0.01, scale: bool = True) -> Pipeline:
    """Make a linear model with one weight for each feature and emotion; a small `c` is strong regularisation."""
    model = LogisticRegression(C=c, class_weight="balanced", max_iter=MAX_ITERATIONS, random_state=seed)
    return make_pipeline(StandardScaler(), model) if scale else make_pipeline(model)


def discriminant(seed: int, *, shrinkage: float = 0.3) -> Pipeline:
    """Make a linear discriminant analysis with a shrunk covariance matrix; it draws nothing at random.

    Source: Fisher 1936; shrinkage, Friedman 1989.
    """
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -OUTLIER, "a_max": OUTLIER})
    return make_pipeline(StandardScaler(), clip, LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage))


def random_forest(seed: int, *, leaf_size: int = 1) -> Pipeline:
    """Make a random forest; trees need no scaling."""
    sizes = {"n_estimators": N_TREES, "min_samples_leaf": leaf_size, "class_weight": "balanced_subsample"}
    return make_pipeline(RandomForestClassifier(**sizes, n_jobs=-1, random_state=seed))


def svm(seed: int, *, c: float = 10.0) -> Pipeline:
    """Make a support vector machine with an RBF kernel whose margins are calibrated to probabilities."""
    machine = SVC(C=c, class_weight="balanced", random_state=seed)
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(machine, ensemble=False, cv=N_CALIBRATION_FOLDS))


def laplacian_svm(seed: int, *, c: float = 3.0, gamma: float = 0.01) -> Pipeline:
    """Make a support vector machine with the Laplacian kernel, in which one outlying feature counts less."""
    kernel = partial(laplacian_kernel, gamma=gamma)
    return make_pipeline(StandardScaler(), TemperatureScaled(SVC(C=c, kernel=kernel, class_weight="balanced")))


def linear_svm(seed: int, *, c: float = 0.1) -> Pipeline:
    """Make a linear support vector machine, one against the rest, as suits many sparse features."""
    machine = LinearSVC(C=c, class_weight="balanced", max_iter=MAX_ITERATIONS, random_state=seed)
    return make_pipeline(TemperatureScaled(machine))


def ridge(seed: int, *, alpha: float, scale: bool = True) -> Pipeline:
    """Make a ridge regression of the emotions, for more features than utterances; it draws nothing at random."""
    model = TemperatureScaled(RidgeClassifier(alpha, class_weight="balanced"))
    return make_pipeline(StandardScaler(), model) if scale else make_pipeline(model)


def ridge_regression(seed: int, *, alpha: float, scale: bool = True) -> Pipeline:
    """Make a ridge regression of ratings; it draws nothing at random."""
    return make_pipeline(StandardScaler(), Ridge(alpha)) if scale else make_pipeline(Ridge(alpha))


def forest_regression(seed: int, *, leaf_size: int = 1) -> Pipeline:
    """Make a random forest of ratings, in which each split looks at a third of the features (Breiman 2001)."""
    sizes = {"n_estimators": N_TREES, "min_samples_leaf": leaf_size, "max_features": 1 / 3}
    return make_pipeline(RandomForestRegressor(**sizes, n_jobs=-1, random_state=seed))


def svm_regression(seed: int, *, c: float = 1.0) -> Pipeline:
    """Make a support vector regression of ratings with an RBF kernel; it draws nothing at random."""
    return make_pipeline(StandardScaler(), SVR(C=c))


class TemperatureScaled(ClassifierMixin, BaseEstimator):
    """A classifier of margins with probabilities by temperature scaling; the most probable emotion stays the same.

    The inverse temperature is fitted to margins of training utterances that were held out by cross-validation.
    Calibrating emotion by emotion would undo balanced class weights instead. Source: Guo et al. 2017.
    """

    def __init__(self, machine: Any) -> None:
        self.machine = machine

    def fit(self, x: Any, y: NDArray[Any]) -> Self:
        """Fit the classifier to all utterances, and the inverse temperature to cross-validated margins."""
        self.classes_, places = np.unique(y, return_inverse=True)
        if (fewest := np.bincount(places).min()) < N_CALIBRATION_FOLDS:
            raise ValueError(f"{fewest} utterances cannot be split into {N_CALIBRATION_FOLDS} folds.")
        held_out = cross_val_predict(self.machine, x, y, cv=N_CALIBRATION_FOLDS, method="decision_function")
        self.inverse_temperature_ = fit_inverse_temperature(_of_each(held_out), places)
        self.machine_ = clone(self.machine).fit(x, y)
        return self

    def decision_function(self, x: Any) -> NDArray[np.float64]:
        """Return (n, n_emotions) calibrated margins, whose softmax are the probabilities."""
        return self.inverse_temperature_ * _of_each(self.machine_.decision_function(x))

    def predict_proba(self, x: Any) -> NDArray[np.float64]:
        """Return (n, n_emotions), rows sum to one."""
        return np.asarray(softmax(self.decision_function(x), axis=1))

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the emotion of the widest margin, (n,)."""
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


def fit_inverse_temperature(margins: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """Find the factor on margins or logits (n, n_emotions) whose softmax has the least negative log-likelihood.

    It is the inverse of the temperature of Guo et al. 2017; `targets` (n,) must not have been trained on.
    """
    rows = np.arange(len(targets))

    def cost(logarithm: float) -> float:
        return -log_softmax(np.exp(logarithm) * margins, axis=1)[rows, targets].mean()

    return float(np.exp(minimize_scalar(cost, bounds=np.log(INVERSE_TEMPERATURES), method="bounded").x))


def _of_each(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each of two emotions its own column, which scikit-learn keeps in one: (n,) becomes (n, 2)."""
    return np.stack([-margins, margins], axis=1) if margins.ndim == 1 else margins


CLASSIFIERS = (logistic_regression, discriminant, random_forest, svm, laplacian_svm, linear_svm, ridge)
REGRESSORS = (ridge_regression, forest_regression, svm_regression)
MAKERS: Mapping[str, Callable[..., Pipeline]] = {make.__name__: make for make in (*CLASSIFIERS, *REGRESSORS)}
GRIDS = toml_beside(__file__, "light.toml")


def small_grid(name: str, seed: int, *, rates: bool = False) -> list[Pipeline]:
    """Make the classifiers of a row of light.toml, or the regressors that take their place for ratings."""
    row = GRIDS["ratings" if rates else "emotions"][name]
    return [MAKERS[row["kind"]](seed, **options) for options in row.get("grid", [{}])]


def last_features(model: Any, x: Any) -> Any:
    """Return what the last step of a pipeline is given, (n, n_features)."""
    return model[:-1].transform(x) if isinstance(model, Pipeline) and len(model) > 1 else x


def scores(model: Any, x: Any) -> NDArray[np.float64] | None:
    """Return (n, n_emotions) numbers whose softmax is the model's probabilities; None if it has no such numbers.

    They are linear in the features where the model is.
    """
    last, x = model[-1] if isinstance(model, Pipeline) else model, last_features(model, x)
    if isinstance(last, TemperatureScaled):
        return last.decision_function(x)
    if isinstance(last, LogisticRegression | LinearDiscriminantAnalysis):
        margins = last.decision_function(x)  # of two emotions the difference of their scores
        return _of_each(margins / 2) if margins.ndim == 1 else margins
    return None


def concordance_correlation(truth: Any, predicted: Any) -> Any:
    """Return Lin's concordance correlation coefficient (CCC), from -1 to 1, over the first axis of arrays or tensors.

    It is Pearson's correlation, less what predictions differ in mean and spread: 1 only where they are equal; 0 for a
    constant. Source: Lin 1989, A concordance correlation coefficient to evaluate reproducibility.

    Example:
        >>> float(concordance_correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])).round(3))
        0.571
    """
    gap = truth.mean(0) - predicted.mean(0)
    a, b = truth - truth.mean(0), predicted - predicted.mean(0)
    return 2 * (a * b).mean(0) / ((a**2 + b**2).mean(0) + gap**2 + TINY)


def select_on_validation(candidates: Sequence[Any], x_train: Any, y_train: Any, x_valid: Any, y_valid: Any) -> Any:
    """Fit each candidate to the training set; return the one that scores best on the validation set.

    The score is the unweighted average recall; of ratings, the CCC.

    Args:
        candidates: Unfitted classifiers, regressors or pipelines; of equally good ones the first is taken. A
            classifier without probabilities gets them by temperature scaling.
        x_train: (n_train, n_features), dense or sparse.
        y_train: (n_train,) emotions, or float ratings for regressors.
        x_valid: (n_valid, n_features), like `x_train`.
        y_valid: (n_valid,), like `y_train`.

    Raises:
        ValueError: If there are no candidates, one cannot classify, or rate, or training has a single emotion.
    """
    rates = np.asarray(y_train).dtype.kind == "f"
    if not candidates or len(np.unique(y_train)) < 2:
        found = f"{len(candidates)} candidates and {len(np.unique(y_train))} emotions in training"
        raise ValueError(f"{found}; expected at least one candidate, such as LinearSVC, and two emotions. Add them.")
    for each in candidates:
        if not (is_regressor(each) if rates else hasattr(each, "predict_proba") or hasattr(each, "decision_function")):
            found = f"{each!r} gives {'no ratings' if rates else 'neither probabilities nor margins'}"
            raise ValueError(
                f"{found}; expected predict_proba or decision_function, of ratings a regressor. Take LinearSVC."
            )
    ready = [each if rates or hasattr(each, "predict_proba") else TemperatureScaled(each) for each in candidates]
    try:
        with threadpool_limits(1):  # small matrices: threads would only wait for each other
            fitted = [candidate.fit(x_train, y_train) for candidate in ready]
    except ValueError as error:
        rarest = np.unique(y_train, return_counts=True)[1].min()
        why = f"training failed with {rarest} utterances of the rarest emotion: {error} Expected finite features"
        needs = f"for an SVM {N_CALIBRATION_FOLDS} utterances of each emotion"
        raise ValueError(f"{why}, and {needs}. Take more data, or a view without that one.") from error
    unweighted_recall = partial(recall_score, labels=np.unique(y_valid), average="macro")
    score: Any = concordance_correlation if rates else unweighted_recall
    return fitted[int(np.argmax([score(y_valid, candidate.predict(x_valid)) for candidate in fitted]))]


def count_numbers(model: BaseEstimator | None) -> int:
    """Count the numbers that a fitted model has learned; the size of a light model, as parameters are a network's.

    A split of a tree counts as two (feature and threshold), a leaf as one for each emotion. A kind that is not known
    here counts as many as its saved form has room for.
    """
    if isinstance(model, Pipeline):
        return sum(count_numbers(step) for _, step in model.steps)
    if isinstance(model, TemperatureScaled):
        return count_numbers(model.machine_) + 1
    if isinstance(model, CalibratedClassifierCV):
        parts = model.calibrated_classifiers_
        return sum(count_numbers(part.estimator) + 2 * len(part.calibrators) for part in parts)
    if trees := [each for each in np.ravel(getattr(model, "estimators_", [])) if hasattr(each, "tree_")]:
        return sum(2 * (t.node_count - t.n_leaves) + t.value[0].size * t.n_leaves for t in (e.tree_ for e in trees))
    own = 0  # with a kernel of ours, a support vector machine only notes which utterances are its support vectors
    if isinstance(model, SVC) and callable(model.kernel):
        own = len(model.support_) * model.shape_fit_[1]
    own += sum(np.size(getattr(model, name)) for name in LEARNED if hasattr(model, name))
    return own or (len(pickle.dumps(model)) // 8 if hasattr(model, "predict") else 0)
