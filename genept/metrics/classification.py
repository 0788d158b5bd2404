"""Comparing predicted with true labels, and the logistic regression of Section 4.4."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from genept.metrics.choices import LogregChoices


@dataclass(frozen=True)
class Report:
    """How well predictions match, per class; a class is a label that a test cell has or was given."""

    classes: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray  # test cells of the class
    accuracy: float

    def macro(self, name: str) -> float:
        """Average precision, recall or f1 with the same weight for every class."""
        return float(getattr(self, name).mean())

    def weighted(self, name: str) -> float:
        """Average precision, recall or f1 with each class weighted by its test cells."""
        return float(np.average(getattr(self, name), weights=self.support))


def compare(actual: np.ndarray, predicted: np.ndarray) -> Report:
    """Compare labels cell by cell.

    As scikit-learn's ``precision_recall_fscore_support`` with ``zero_division=0``: a quotient without denominator is 0,
    and a class that was predicted but has no test cell takes part in the macro average.

    Parameters
    ----------
    actual, predicted
        Shape (n_cells,), n_cells at least 1.
    """
    classes, codes = np.unique(np.concatenate([actual, predicted]), return_inverse=True)
    true, given = codes[: len(actual)], codes[len(actual) :]
    right = np.bincount(true[true == given], minlength=len(classes))
    support = np.bincount(true, minlength=len(classes))
    called = np.bincount(given, minlength=len(classes))
    return Report(
        classes=classes,
        precision=right / np.maximum(called, 1),
        recall=right / np.maximum(support, 1),
        f1=2 * right / (support + called),
        support=support,
        accuracy=float((true == given).mean()),
    )


def logistic_regression(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, choices: LogregChoices
) -> tuple[np.ndarray, bool]:
    """Predict the labels of test cells by a multinomial logistic regression on the whole embedding.

    The authors' ``LogisticRegression(max_iter=100)``: L2 penalty with C = 1, lbfgs, coordinates as they are. On unit
    vectors that penalty is strong and near-parallel cells are hardly told apart; ``standardise`` scales each coordinate
    by the training cells' mean and standard deviation first.

    Parameters
    ----------
    train, test
        Shape (n_train, n_dimensions) and (n_test, n_dimensions), float64.
    labels
        Labels of the training cells, at least two different ones.

    Returns
    -------
    Predictions
        Shape (n_test,).
    Converged
        False if the solver stopped at ``max_iter``.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if choices.standardise:
        mean, sd = train.mean(axis=0), train.std(axis=0)
        sd[sd == 0] = 1
        train, test = (train - mean) / sd, (test - mean) / sd
    model = LogisticRegression(max_iter=choices.max_iter, C=choices.C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # returned instead
        model.fit(train, labels)
    return model.predict(test), bool((model.n_iter_ < choices.max_iter).all())
