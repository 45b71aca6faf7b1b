import numpy as np
import pytest
from scipy import sparse
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline, make_pipeline

from emolab.models import light
from emolab.models.light import (
    GRIDS,
    count_numbers,
    linear_svm,
    logistic_regression,
    random_forest,
    select_on_validation,
    small_grid,
    svm,
)


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light, "N_TREES", 5)


def blobs(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds, one an emotion; the first feature is in large units."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    x = rng.standard_normal((n, 4)) * 0.3 + np.eye(3, 4)[truth] * 2
    return x * [1e4, 1, 1, 1], truth


@pytest.mark.parametrize("name", GRIDS["emotions"])
def test_choose_on_validation_fits_every_kind(name: str) -> None:
    model = select_on_validation(small_grid(name, 1), *blobs(1), *blobs(2))
    x, truth = blobs(3)
    chances = model.predict_proba(x)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert (chances.argmax(axis=1) == truth).mean() > 0.9


@pytest.mark.parametrize("build", [logistic_regression, random_forest, svm, linear_svm])
def test_pipelines_give_the_same_again_for_the_same_seed(build) -> None:
    x, truth = blobs(1)
    first, second = (build(5).fit(x, truth).predict_proba(x) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("build", [logistic_regression, svm])
def test_pipelines_do_not_care_about_units(build) -> None:
    x, truth = blobs(1)
    model, other = build(5).fit(x, truth), build(5).fit(x * [1, 1e3, 1, 1e-3], truth)
    np.testing.assert_allclose(other.predict_proba(x * [1, 1e3, 1, 1e-3]), model.predict_proba(x), atol=1e-3)


@pytest.mark.parametrize("name", ["word-logistic-regression", "word-svm"])
def test_word_candidates_read_sparse_counts(name: str) -> None:
    x, truth = blobs(1)
    counts = sparse.csr_matrix(np.abs(x) / 1e4)
    model = select_on_validation(small_grid(name, 1), counts, truth, counts, truth)
    assert model.predict_proba(counts).shape == (60, 3)


def always(emotion: int) -> Pipeline:
    return make_pipeline(DummyClassifier(strategy="constant", constant=emotion))


def test_choose_on_validation_picks_by_validation_alone_and_the_first_of_equals() -> None:
    x, y_train, y_valid = np.zeros((5, 1)), np.array([0, 0, 0, 0, 1]), np.array([1, 1, 1, 1, 0])
    zero, one, other_one = always(0), always(1), always(1)
    assert select_on_validation([zero, one, other_one], x, y_train, x, y_valid) is zero  # recall 1 and 0: both 0.5
    assert select_on_validation([zero, one, other_one], x, y_train, x[:4], y_valid[:4]) is one


def test_choose_on_validation_says_what_is_missing() -> None:
    x, truth = blobs(1)
    with pytest.raises(ValueError, match=r"0 candidates and 3 emotions.*expected at least one candidate.*two emotions"):
        select_on_validation([], x, truth, x, truth)
    with pytest.raises(ValueError, match="1 candidates and 1 emotions"):
        select_on_validation([svm(1)], x, np.zeros(60), x, truth)
    few = np.r_[np.flatnonzero(truth != 2), np.flatnonzero(truth == 2)[:2]]
    with pytest.raises(ValueError, match=r"2 utterances of the rarest emotion: .*for an SVM 3 utterances.*Take more"):
        select_on_validation([svm(1)], x[few], truth[few], x, truth)


def test_count_numbers_by_hand() -> None:
    x, truth = blobs(1)
    assert count_numbers(logistic_regression(1).fit(x, truth)) == 2 * 4 + 3 * 4 + 3  # scaling, weights, intercepts
    forest = random_forest(1).fit(x, truth)
    trees = [tree.tree_ for tree in forest[-1].estimators_]
    n_leaves = sum((tree.children_left < 0).sum() for tree in trees)
    assert count_numbers(forest) == 2 * (n_leaves - len(trees)) + 3 * n_leaves  # a tree has one split less than leaves
    machine = svm(1).fit(x, truth)
    support = machine[-1].calibrated_classifiers_[0].estimator
    assert count_numbers(machine) == 2 * 4 + len(support.support_) * (4 + 2) + 3 + 2 * 3
    assert count_numbers(linear_svm(1).fit(x, truth)) == 3 * 4 + 3 + 1  # weights, intercepts, sharpness
    assert count_numbers(None) == 0


@pytest.mark.parametrize("n_emotions", [2, 3])
def test_linear_svm_keeps_the_order_of_its_margins_and_is_as_sure_as_it_is_right(n_emotions: int) -> None:
    x, truth = blobs(1, 600)
    x = x / [1e4, 1, 1, 1] + np.random.default_rng(2).standard_normal(x.shape) * 1.2  # clouds that overlap
    kept, new = truth < n_emotions, np.arange(600) % 2 == 0
    model = linear_svm(1).fit(x[kept & ~new], truth[kept & ~new])
    chances, margins = model.predict_proba(x[kept & new]), model[-1].machine_.decision_function(x[kept & new])
    said = (margins > 0).astype(int) if n_emotions == 2 else margins.argmax(axis=1)
    np.testing.assert_array_equal(model.predict(x[kept & new]), said)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert abs(chances.max(axis=1).mean() - (said == truth[kept & new]).mean()) < 0.06
