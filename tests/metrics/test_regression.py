"""Logistic regression and areas under curves against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from genept.core.params import Logreg
from genept.data.splits import Split
from genept.metrics import regression

AUTHORS = Logreg(max_iter=100, C=1.0, labels=["phenotype"])


def problem(n_classes: int, n_splits: int = 3) -> tuple[np.ndarray, np.ndarray, list[Split]]:
    rng = np.random.default_rng(n_classes)
    codes = rng.integers(n_classes, size=150)
    matrix = rng.normal(size=(150, 6)) + 1.5 * (codes[:, None] == np.arange(6)) + 5
    orders = [rng.permutation(150) for _ in range(n_splits)]
    return (
        matrix,
        codes,
        [Split(np.sort(order[30 + 10 * i :]), np.sort(order[: 30 + 10 * i])) for i, order in enumerate(orders)],
    )


def fits(splits: list[Split], standardise: bool = False) -> list[regression.Fit]:
    return [regression.Fit(split, standardise) for split in splits]


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_all_splits_at_once_find_scikit_learns_optimum(n_classes: int, standardise: bool) -> None:
    matrix, codes, splits = problem(n_classes)
    config = AUTHORS.model_copy(update={"C": 0.3})
    said = regression.regress(matrix, codes, n_classes, fits(splits, standardise), config)
    for split, own in zip(splits, said, strict=True):
        train, test = matrix[split.train], matrix[split.test]
        if standardise:
            mean, sd = train.mean(axis=0), train.std(axis=0)
            train, test = (train - mean) / sd, (test - mean) / sd
        theirs = LogisticRegression(max_iter=1000, C=0.3, tol=1e-8).fit(train, codes[split.train])
        np.testing.assert_allclose(own.probabilities, theirs.predict_proba(test), atol=2e-3)
        assert own.converged


def test_a_fit_does_not_depend_on_the_others_and_says_whether_it_ended() -> None:
    matrix, codes, splits = problem(3)
    together = regression.regress(matrix, codes, 3, [*fits(splits), *fits(splits, True)], AUTHORS)
    for fit, own in zip([*fits(splits), *fits(splits, True)], together, strict=True):
        (alone,) = regression.regress(matrix, codes, 3, [fit], AUTHORS)
        np.testing.assert_allclose(own.probabilities, alone.probabilities, atol=1e-9)
    short = AUTHORS.model_copy(update={"max_iter": 1})
    assert not any(own.converged for own in regression.regress(matrix, codes, 3, fits(splits), short))


def test_coordinates_may_be_scaled_constant_or_of_one_class() -> None:
    matrix, codes, splits = problem(2)
    other = np.hstack([matrix * np.array([1, 10, 100, 1, 0.1, 0.01]) + 3, np.full((150, 1), 7.0)])
    pairs = zip(
        regression.regress(matrix, codes, 2, fits(splits, True), AUTHORS),
        regression.regress(other, codes, 2, fits(splits, True), AUTHORS),
        strict=True,
    )
    for one, two in pairs:
        np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-6)
    single = Split(np.flatnonzero(codes == 1), np.flatnonzero(codes == 0))
    absent = Split(np.flatnonzero(codes < 2), np.arange(3))
    one, two = regression.regress(matrix, codes, 4, fits([single, absent]), AUTHORS)
    assert (one.codes == 1).all() and one.probabilities.shape[1] == 4
    assert (two.probabilities[:, 2:] == 0).all() and two.probabilities.sum(axis=1) == pytest.approx(1)


@settings(max_examples=50)
@given(st.integers(0, 1000), st.integers(2, 4))
def test_areas_are_scikit_learns_with_weights_and_ties(seed: int, n_classes: int) -> None:
    rng = np.random.default_rng(seed)
    actual = np.r_[np.arange(n_classes), rng.integers(n_classes, size=20)]
    probabilities = rng.integers(1, 4, size=(len(actual), n_classes)).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    weights = rng.integers(1, 3, size=(2, len(actual))).astype(float)
    expected = [
        np.mean([roc_auc_score(actual == code, probabilities[:, code], sample_weight=own) for code in range(n_classes)])
        for own in weights
    ]
    assert regression.auroc(actual, probabilities, weights) == pytest.approx(expected)


def test_areas_within_folds_compare_no_cells_of_two_folds() -> None:
    actual, fold = np.array([0, 0, 1, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    constant = np.where(fold == 0, 0.6, 0.4)  # the share of class 1 among the other fold's cells
    probabilities = np.stack([1 - constant, constant], axis=1)
    assert regression.auroc(actual, probabilities) < 0.5
    assert regression.auroc(actual, probabilities, None, fold) == 0.5
    scores = np.random.default_rng(0).random(6)
    probabilities = np.stack([1 - scores, scores], axis=1)
    within = [roc_auc_score(actual[fold == one], scores[fold == one]) for one in (0, 1)]  # 2 pairs each
    assert regression.auroc(actual, probabilities, None, fold) == pytest.approx(np.mean(within))


def test_an_area_without_two_sides_is_undefined() -> None:
    probabilities = np.array([[0.2, 0.8], [0.6, 0.4]])
    assert np.isnan(regression.auroc(np.array([1, 1]), probabilities)).all()
    weights = np.array([[1.0, 0.0], [1.0, 1.0]])
    areas = regression.auroc(np.array([1, 0]), probabilities, weights)
    assert np.isnan(areas[0]) and areas[1] == 1
