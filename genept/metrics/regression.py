"""Section 4.4: the class of test cells by logistic regression, and how well its probabilities rank them.

All splits of a matrix are fitted at once, because they share its products: 25 fits of 10,000 x 1,536 cells take the
time of some five of scikit-learn's.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from genept.core.params import Logreg
from genept.data.splits import Split

TOLERANCE = 1e-4  # of the gradient's largest element, as scikit-learn's
MEMORY = 10  # pairs of steps and gradients that L-BFGS keeps
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
    matrix: np.ndarray, codes: np.ndarray, n_classes: int, splits: Sequence[Split], config: Logreg, standardise: bool
) -> list[Prediction]:
    """Predict the classes of each split's test cells by a multinomial logistic regression on the whole embedding.

    The model of the authors' ``LogisticRegression(max_iter=100)``: L2 penalty with C = 1, an intercept without penalty,
    coordinates as they are; of two classes one set of weights. On unit vectors that penalty is strong: near-parallel
    cells are hardly told apart, and the most frequent class may be all that it predicts. `standardise` scales each
    coordinate by the training cells' mean and standard deviation first. The optimum is scikit-learn's; on the way
    there, coordinates are centred, which the intercept undoes.

    `matrix` is float64, shape (n_cells, n_dimensions), `codes` the classes of all cells, shape (n_cells,). A class
    without training cells has probability 0; if the training cells have one class, it is predicted.
    """
    found: dict[int, Prediction] = {}
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)  # splits by the classes of their training cells
    for number, split in enumerate(splits):
        alike[tuple(np.unique(codes[split.train]).tolist())].append(number)
    for classes, numbers in alike.items():
        if len(classes) == 1:
            for number in numbers:
                probabilities = np.zeros((len(splits[number].test), n_classes))
                probabilities[:, classes] = 1
                found[number] = Prediction(probabilities, True)
            continue
        logits, converged = fit(
            matrix, codes, np.array(classes), [splits[n].train for n in numbers], config, standardise
        )
        for number, of_split, ended in zip(numbers, logits, converged, strict=True):
            test = splits[number].test
            probabilities = np.zeros((len(test), n_classes))
            probabilities[:, classes] = np.exp(log_softmax(of_split[test], axis=1))
            found[number] = Prediction(probabilities, bool(ended))
    return [found[number] for number in range(len(splits))]


def fit(
    matrix: np.ndarray,
    codes: np.ndarray,
    classes: np.ndarray,
    trains: Sequence[np.ndarray],
    config: Logreg,
    standardise: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a regression to each of several sets of training cells, all with the same classes.

    Returns the logits of all cells, shape (n_fits, n_cells, n_classes), and whether each solver ended.
    """
    x = matrix - matrix.mean(axis=0)
    n_fits, (n_cells, n_dimensions) = len(trains), x.shape
    mask = np.zeros((n_fits, n_cells))
    for row, train in zip(mask, trains, strict=True):
        row[train] = 1 / len(train)  # the loss is a mean over training cells
    means, scales = np.zeros((n_fits, n_dimensions)), np.ones((n_fits, n_dimensions))
    if standardise:
        means = mask @ x
        variances = np.clip(mask @ x**2 - means**2, 0, None)
        scales = np.sqrt(np.where(variances > 1e-14 * (x**2).mean(), variances, 1.0))
    n_columns = 1 if len(classes) == 2 else len(classes)  # two classes: the first one's logit is 0
    label = np.searchsorted(classes, codes).clip(max=len(classes) - 1)
    is_label = label[:, None] == np.arange(len(classes))[-n_columns:]  # (n_cells, n_columns)
    penalty = np.array([1 / (config.C * len(train)) for train in trains])

    def logits(weights: np.ndarray) -> np.ndarray:
        """Return the columns' logits, shape (n_fits, n_cells, n_columns); the last weight is the intercept."""
        slopes = weights[:, :, :-1] / scales[:, None]
        products = x @ slopes.reshape(-1, n_dimensions).T
        shift = weights[:, :, -1] - (slopes * means[:, None]).sum(axis=2)
        return products.reshape(n_cells, n_fits, n_columns).swapaxes(0, 1) + shift[:, None]

    own_column = np.arange(n_cells) * len(classes) + label

    def loss(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = complete(logits(weights))
        z -= z.max(axis=2, keepdims=True)
        own = z.reshape(n_fits, -1)[:, own_column]
        shares = np.exp(z, out=z)
        sums = shares.sum(axis=2, keepdims=True)
        shares /= sums
        slopes = weights[:, :, :-1]
        surprise = (mask * (np.log(sums[:, :, 0]) - own)).sum(axis=1)
        value = surprise + penalty / 2 * (slopes**2).sum(axis=(1, 2))
        residual = (shares[:, :, -n_columns:] - is_label) * mask[:, :, None]
        intercepts = residual.sum(axis=1)  # (n_fits, n_columns)
        by_dimension = residual.swapaxes(1, 2).reshape(-1, n_cells) @ x
        by_dimension = by_dimension.reshape(n_fits, n_columns, n_dimensions) - intercepts[:, :, None] * means[:, None]
        gradient = by_dimension / scales[:, None] + penalty[:, None, None] * slopes
        return value, np.concatenate([gradient, intercepts[:, :, None]], axis=2)

    def complete(z: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(z), z], axis=2) if n_columns == 1 else np.ascontiguousarray(z)

    weights, converged = minimise(loss, np.zeros((n_fits, n_columns, n_dimensions + 1)), config.max_iter)
    return complete(logits(weights)), converged


def minimise(
    loss: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], start: np.ndarray, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise several strictly convex functions side by side by L-BFGS with halved steps.

    `loss` returns the values, shape (n,), and gradients of n functions at n points, the shape of `start`. No function's
    path depends on another's. Returns the points, and for each whether its gradient fell below `TOLERANCE`.
    """
    n = len(start)
    points, (value, gradient) = start.reshape(n, -1), loss(start)
    gradient = gradient.reshape(n, -1)
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    for iteration in range(max_iter):
        active = np.abs(gradient).max(axis=1) > TOLERANCE
        if not active.any():
            break
        direction = -two_loops(gradient, steps, changes)
        slope = (direction * gradient).sum(axis=1)
        size = np.where(active, 1.0, 0.0)
        if not iteration:
            size /= np.maximum(np.linalg.norm(gradient, axis=1), 1.0)
        for _ in range(30):
            trial = points + size[:, None] * direction
            new_value, new_gradient = loss(trial.reshape(start.shape))
            too_far = active & (new_value > value + 1e-4 * size * slope)
            if not too_far.any():
                break
            size[too_far] /= 2
        new_gradient = new_gradient.reshape(n, -1)
        steps.append(trial - points)
        changes.append(new_gradient - gradient)
        steps, changes = steps[-MEMORY:], changes[-MEMORY:]
        points, value, gradient = trial, new_value, new_gradient
    return points.reshape(start.shape), np.abs(gradient).max(axis=1) <= TOLERANCE


def two_loops(gradient: np.ndarray, steps: Sequence[np.ndarray], changes: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply gradients by L-BFGS's approximate inverse Hessians (Nocedal and Wright, algorithm 7.4), row by row."""

    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", a, b)

    def over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.divide(a, b, out=np.zeros_like(a), where=b > 1e-300)

    q, shares = gradient.copy(), []
    for step, change in zip(reversed(steps), reversed(changes), strict=True):
        share = over(dot(step, q), dot(step, change))
        q -= share[:, None] * change
        shares.append(share)
    if steps:
        curvature = dot(changes[-1], changes[-1])
        size = over(dot(steps[-1], changes[-1]), curvature)
        q *= np.where(size > 0, size, 1.0)[:, None]
    for step, change, share in zip(steps, changes, reversed(shares), strict=True):
        q += (share - over(dot(change, q), dot(step, change)))[:, None] * step
    return q


def auroc(
    actual: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None, folds: np.ndarray | None = None
) -> np.ndarray:
    """Return the area under the ROC curve, one class against the rest, averaged over classes: shape (n_weightings,).

    The mean over the classes that some, but not all cells have; NaN if there is none. `weights`, shape
    (n_weightings, n_cells), count cells as often as they say; a class without weight on one side is left out. With
    `folds`, the fold of each cell, only cells of one fold are compared, because each fold has a classifier of its own:
    together, a constant answer that follows the training cells' share would lie below one half.
    """
    weights = np.ones((1, len(actual))) if weights is None else weights
    parts = [np.arange(len(actual))] if folds is None else [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    classes = range(1 if probabilities.shape[1] == 2 else probabilities.shape[1])  # of two classes both are equal
    step = max(1, BLOCK // max(1, len(actual)))
    areas = []
    for start in range(0, len(weights), step):
        own = weights[start : start + step]
        wins, pairs = np.zeros((2, len(classes), len(own)))
        for code, part in ((code, part) for code in classes for part in parts):
            won, compared = compare(actual[part] == code, probabilities[part, code], own[:, part])
            wins[code] += won
            pairs[code] += compared
        areas.append(np.divide(wins, pairs, out=np.full(wins.shape, np.nan), where=pairs > 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN
        return np.nanmean(np.concatenate(areas, axis=1), axis=0)


def compare(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count, for each weighting, the pairs of a positive and a negative cell in which the positive one scores higher.

    Ties count half. Returns these and the number of all pairs, shape (n_weightings,) each.
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0)  # of cells with equal scores
    plus = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    minus = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(minus, axis=1) - minus / 2
    return (plus * below).sum(axis=1), plus.sum(axis=1) * minus.sum(axis=1)
