"""Section 4.4: the class of test cells by logistic regression, and how well its probabilities rank them."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from genept.core.params import Logreg
from genept.data.splits import Split

BLOCK = 1 << 22  # weights of resampled cells held at once


class Prediction(NamedTuple):
    """What a regression says of test cells: probabilities, (n_test, n_classes), and whether its solver ended."""

    probabilities: np.ndarray
    converged: bool

    @property
    def codes(self) -> np.ndarray:
        """The most probable class of each cell."""
        return self.probabilities.argmax(axis=1)


def regress(
    matrix: np.ndarray, codes: np.ndarray, n_classes: int, split: Split, config: Logreg, standardise: bool
) -> Prediction:
    """Predict the classes of a split's test cells by a multinomial logistic regression on the whole embedding.

    The authors' ``LogisticRegression(max_iter=100)``: L2 penalty with C = 1, lbfgs, coordinates as they are. On unit
    vectors that penalty is strong: near-parallel cells are hardly told apart, and the most frequent class may be all
    that it predicts. `standardise` scales each coordinate by the training cells' mean and standard deviation first.

    `codes` are the classes of all cells, shape (n_cells,). A class without training cells has probability 0; if the
    training cells have one class, it is predicted.
    """
    train, test, labels = matrix[split.train], matrix[split.test], codes[split.train]
    classes = np.unique(labels)
    probabilities = np.zeros((len(split.test), n_classes))
    if len(classes) == 1:
        probabilities[:, classes] = 1
        return Prediction(probabilities, True)
    if standardise:
        mean, sd = train.mean(axis=0), train.std(axis=0)
        scale = np.where(sd > 1e-12 * np.abs(mean), sd, 1.0)
        scale[scale == 0] = 1.0
        train, test = (train - mean) / scale, (test - mean) / scale
    model = LogisticRegression(max_iter=config.max_iter, C=config.C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # returned instead
        model.fit(train, labels)
    probabilities[:, classes] = model.predict_proba(test)
    return Prediction(probabilities, bool((model.n_iter_ < config.max_iter).all()))


def auroc(actual: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the area under the ROC curve, one class against the rest, averaged over classes: shape (n_weightings,).

    The mean over the classes that some, but not all cells have; NaN if there is none. `weights`, shape
    (n_weightings, n_cells), count cells as often as they say; a class without weight on one side is left out.
    """
    weights = np.ones((1, len(actual))) if weights is None else weights
    classes = [code for code in range(probabilities.shape[1]) if 0 < (actual == code).sum() < len(actual)]
    if probabilities.shape[1] == 2:
        classes = classes[:1]  # of two classes both areas are equal
    step = max(1, BLOCK // max(1, len(actual)))
    areas = [
        np.concatenate(
            [area(actual == code, probabilities[:, code], weights[i : i + step]) for i in range(0, len(weights), step)]
        )
        for code in classes
    ]
    if not areas:
        return np.full(len(weights), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        return np.nanmean(areas, axis=0)


def area(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return, for each weighting, the probability that a positive cell scores higher than a negative one; ties half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)  # of cells with equal scores
    plus = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    minus = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(minus, axis=1) - minus / 2
    pairs = plus.sum(axis=1) * minus.sum(axis=1)
    return np.divide((plus * below).sum(axis=1), pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
