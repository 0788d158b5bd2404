"""Section 4.4: predicting labels by logistic regression."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genept.core.params import Logreg


def predict(train: np.ndarray, labels: np.ndarray, test: np.ndarray, config: Logreg) -> tuple[np.ndarray, bool]:
    """Predict the labels of test cells by a multinomial logistic regression on the whole embedding.

    The authors' ``LogisticRegression(max_iter=100)``: L2 penalty with C = 1, lbfgs, coordinates as they are. On unit
    vectors that penalty is strong and hardly separates near-parallel cells; ``standardise`` scales each coordinate
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
    model = LogisticRegression(max_iter=config.max_iter, C=config.C)
    steps = [StandardScaler(), model] if config.standardise else [model]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # returned instead
        pipeline = make_pipeline(*steps).fit(train, labels)
    return pipeline.predict(test), bool((model.n_iter_ < config.max_iter).all())
