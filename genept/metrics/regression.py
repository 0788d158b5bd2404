"""Section 4.4: the class of test cells by logistic regression, and how well its probabilities rank them.

All fits to a matrix are made at once, because they share its products: 25 to 10,000 x 1,536 standardised cells take
the time of 6 to 9 of scikit-learn's, to cells as they are, where single fits go on alone, of 16 to 24.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax

from genept.core import compute
from genept.core.params import Logreg
from genept.data.splits import Split

TOLERANCE = 1e-4  # of the gradient's largest element, as scikit-learn's
MEMORY = 10  # pairs of steps and gradients that L-BFGS keeps
LOGITS = 1 << 25  # held at once, of several fits: 256 MiB
WHOLE, PART = 1 << 17, 1 << 13  # cells whose coordinates are one block of float64; of more, those of each block
BLOCK = 1 << 22  # weights of resampled cells held at once


class Fit(NamedTuple):
    """What to fit to: the training cells of a split, their coordinates as they are or standardised."""

    split: Split
    standardise: bool = False


class Prediction(NamedTuple):
    """What a regression says of test cells: probabilities, (n_test, n_classes), and whether its solver ended."""

    probabilities: np.ndarray
    converged: bool

    @property
    def codes(self) -> np.ndarray:
        """The most probable class of each cell."""
        return self.probabilities.argmax(axis=1)


def regress(
    matrix: np.ndarray, codes: np.ndarray, n_classes: int, fits: Sequence[Fit], config: Logreg
) -> list[Prediction]:
    """Predict the classes of each split's test cells by a multinomial logistic regression on the whole embedding.

    The model of the authors' ``LogisticRegression(max_iter=100)``: L2 penalty with C = 1, an intercept without penalty,
    coordinates as they are; of two classes one set of weights. On unit vectors that penalty is strong: near-parallel
    cells are hardly told apart, and the most frequent class may be all that it predicts. Standardising scales each
    coordinate by the training cells' mean and standard deviation first. The optimum is scikit-learn's; on the way
    there, coordinates are centred, which the intercept undoes.

    `matrix` has shape (n_cells, n_dimensions), float32 or float64, `codes` the classes of all cells, shape (n_cells,).
    A class without training cells has probability 0; if the training cells have one class, it is predicted.
    """
    found: dict[int, Prediction] = {}
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)  # fits by the classes of their training cells
    for number, fit in enumerate(fits):
        alike[tuple(np.unique(codes[fit.split.fit]).tolist())].append(number)
    for classes, numbers in alike.items():
        if len(classes) == 1:
            for number in numbers:
                probabilities = np.zeros((len(fits[number].split.test), n_classes))
                probabilities[:, classes] = 1
                found[number] = Prediction(probabilities, True)
            continue
        n_held = len(codes) if len(codes) <= WHOLE else PART * compute.n_threads()
        step = max(1, LOGITS // (len(classes) * n_held))
        for some in (numbers[first : first + step] for first in range(0, len(numbers), step)):
            logits, converged = solve(matrix, codes, np.array(classes), [fits[number] for number in some], config)
            for number, of_fit, ended in zip(some, logits, converged, strict=True):
                probabilities = np.zeros((len(fits[number].split.test), n_classes))
                probabilities[:, classes] = np.exp(log_softmax(of_fit.T, axis=1))
                found[number] = Prediction(probabilities, bool(ended))
    return [found[number] for number in range(len(fits))]


def solve(
    matrix: np.ndarray, codes: np.ndarray, classes: np.ndarray, fits: Sequence[Fit], config: Logreg
) -> tuple[list[np.ndarray], np.ndarray]:
    """Fit a regression to each of several sets of training cells, all with the same classes.

    Returns for each the logits of its test cells, shape (n_classes, n_test), and whether the solver ended. More than
    `WHOLE` cells are gone through block by block, in threads; their sums are added in order.
    """
    n_fits, (n_cells, n_dimensions) = len(fits), matrix.shape
    trains = [fit.split.fit for fit in fits]
    member = np.zeros((n_fits, n_cells), dtype=bool)
    for row, train in zip(member, trains, strict=True):
        row[train] = True
    shares = np.array([1 / len(train) for train in trains])  # the loss is a mean over training cells
    parts = [slice(0, n_cells)]
    if n_cells > WHOLE:
        parts = [slice(first, min(first + PART, n_cells)) for first in range(0, n_cells, PART)]
    centre = matrix.mean(axis=0, dtype=np.float64)
    n_columns = 1 if len(classes) == 2 else len(classes)  # two classes: the first one's logit is 0
    label = np.searchsorted(classes, codes).clip(max=len(classes) - 1)
    penalty = np.array([1 / (config.C * len(train)) for train in trains])

    def over_parts(function: Callable[[slice], tuple[np.ndarray, ...]]) -> list[np.ndarray]:
        """Add up what a function returns for each part."""
        if len(parts) == 1:
            return list(function(parts[0]))
        at_once, total = 4 * compute.n_threads(), list[np.ndarray]()
        for first in range(0, len(parts), at_once):
            for found in compute.each(function, parts[first : first + at_once]):
                total = [a + b for a, b in zip(total, found, strict=True)] if total else list(found)
        return total

    x = matrix - centre if len(parts) == 1 else None

    def centred(part: slice) -> np.ndarray:
        return matrix[part] - centre if x is None else x

    means, scales = np.zeros((n_fits, n_dimensions)), np.ones((n_fits, n_dimensions))
    if (scaled := np.array([fit.standardise for fit in fits])).any():

        def moments(part: slice) -> tuple[np.ndarray, ...]:
            own = centred(part)
            mask = member[scaled, part] * shares[scaled, None]
            squared = own**2
            return mask @ own, mask @ squared, squared.sum()

        first, second, all_squares = over_parts(moments)
        means[scaled] = first
        variances = np.clip(second - means[scaled] ** 2, 0, None)
        scales[scaled] = np.sqrt(np.where(variances > 1e-14 * (all_squares / matrix.size), variances, 1.0))

    def logits(weights: np.ndarray, of: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Return all classes' logits for some fits, (n, n_classes, n_cells); the last weight is the intercept."""
        slopes = weights[:, :, :-1] / scales[of][:, None]
        shift = weights[:, :, -1] - (slopes * means[of][:, None]).sum(axis=2)
        z = np.zeros((len(of), len(classes), len(own)))
        z[:, -n_columns:] = (slopes.reshape(-1, n_dimensions) @ own.T).reshape(len(of), n_columns, len(own))
        z[:, -n_columns:] += shift[:, :, None]
        return z

    def loss(weights: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slopes = weights[:, :, :-1]

        def of_part(part: slice) -> tuple[np.ndarray, ...]:
            own = centred(part)
            mask = member[of, part] * shares[of, None]
            own_class = label[part] * len(own) + np.arange(len(own))
            z = logits(weights, of, own)
            z -= z.max(axis=1, keepdims=True)
            of_class = z.reshape(len(of), -1)[:, own_class]
            residual = np.exp(z, out=z)
            sums = residual.sum(axis=1)
            value = (mask * (np.log(sums) - of_class)).sum(axis=1)
            residual *= (mask / sums)[:, None]  # shares of the classes
            residual.reshape(len(of), -1)[:, own_class] -= mask
            residual = residual[:, -n_columns:]
            return value, residual.sum(axis=2), (residual.reshape(-1, len(own)) @ own).reshape(slopes.shape)

        value, intercepts, by_dimension = over_parts(of_part)  # intercepts: (n, n_columns)
        value = value + penalty[of] / 2 * (slopes**2).sum(axis=(1, 2))
        by_dimension -= intercepts[:, :, None] * means[of][:, None]
        gradient = by_dimension / scales[of][:, None] + penalty[of][:, None, None] * slopes
        return value, np.concatenate([gradient, intercepts[:, :, None]], axis=2)

    weights, converged = minimise(loss, np.zeros((n_fits, n_columns, n_dimensions + 1)), config.max_iter)
    found: list[list[np.ndarray]] = [[] for _ in fits]
    everything = np.arange(n_fits)
    for part in parts:
        z = logits(weights, everything, centred(part))
        for so_far, fit, of_fit in zip(found, fits, z, strict=True):
            first, last = np.searchsorted(fit.split.test, (part.start, part.stop))
            so_far.append(of_fit[:, fit.split.test[first:last] - part.start])
    return [so_far[0] if len(parts) == 1 else np.concatenate(so_far, axis=1) for so_far in found], converged


def minimise(
    loss: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]], start: np.ndarray, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise several strictly convex functions side by side by L-BFGS with halved steps.

    `loss` returns the values, shape (n,), and gradients of the functions with the given numbers, (n,), at n points, the
    shape of `start`. No function's path depends on another's; each leaves when its gradient falls below `TOLERANCE`.
    Returns the points, and for each whether it did.
    """

    def evaluate(points: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = loss(points.reshape(-1, *start.shape[1:]), of)
        return value, gradient.reshape(len(of), -1)

    final, converged = start.reshape(len(start), -1).copy(), np.zeros(len(start), dtype=bool)
    active = np.arange(len(start))
    points, (value, gradient) = final, evaluate(final, active)
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    for iteration in range(max_iter + 1):
        goes_on = np.abs(gradient).max(axis=1) > TOLERANCE
        if not goes_on.all():
            final[active[~goes_on]], converged[active[~goes_on]] = points[~goes_on], True
            active, points, value, gradient = active[goes_on], points[goes_on], value[goes_on], gradient[goes_on]
            steps, changes = ([pair[goes_on] for pair in pairs] for pairs in (steps, changes))
        if not len(active) or iteration == max_iter:
            break
        direction = -two_loops(gradient, steps, changes)
        slope = (direction * gradient).sum(axis=1)
        size = np.ones(len(active))
        if not iteration:
            size /= np.maximum(np.linalg.norm(gradient, axis=1), 1.0)
        trial = points + size[:, None] * direction
        new_value, new_gradient = evaluate(trial, active)
        for _ in range(30):
            if not (far := new_value > value + 1e-4 * size * slope).any():
                break
            size[far] /= 2
            trial[far] = points[far] + size[far, None] * direction[far]
            new_value[far], new_gradient[far] = evaluate(trial[far], active[far])
        steps = [*steps, trial - points][-MEMORY:]
        changes = [*changes, new_gradient - gradient][-MEMORY:]
        points, value, gradient = trial, new_value, new_gradient
    final[active] = points
    return final.reshape(start.shape), converged


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
