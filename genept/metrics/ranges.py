"""Where scores fall, and whether two of them differ: over splits, k-means seeds, and donors.

Each function says what its numbers hold for: further runs on the same cells, further cells of the same donors, or
further donors. ``docs/statistics.md`` explains them with examples.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

MIN_DONORS = 10  # fewer give no interval and no test
RESAMPLES = 1000  # of donors
SWAPS = 4999  # smallest p .0002: after Holm's correction for all pairs of 22 models still below .05
LEVEL = 0.95


def t_quantile(freedom: int) -> float:
    """Return what the absolute value of Student's t exceeds in 5 % of cases; scipy.stats takes 0.2 ms for it."""
    return float(special.stdtrit(freedom, (1 + LEVEL) / 2))


def single_runs(values: np.ndarray, bounds: tuple[float, float], margin: float = 0) -> tuple[float, float] | None:
    """Return the range in which `LEVEL` of single runs fall, within the score's bounds; None if nothing varies.

    mean -/+ t(n - 1) SD sqrt(1 + 1/n): the prediction interval of one further run, whose split and k-means seed are
    drawn as those of the n runs, shape (n,); widened by a `margin`.
    """
    n, mean = len(values), float(values.mean())
    if n < 2 and not margin:
        return None
    half = t_quantile(n - 1) * float(values.std(ddof=1)) * math.sqrt(1 + 1 / n) if n > 1 else 0.0
    return widen(mean, (mean - half, mean + half), bounds, margin)


def widen(
    value: float, between: tuple[float, float], bounds: tuple[float, float], margin: float
) -> tuple[float, float]:
    """Widen an interval by the margin within which another training of a model falls, and keep the score's bounds.

    Either half becomes sqrt(half^2 + margin^2), since both are of the same level and the trainings are independent of
    what the interval is over.
    """
    low, high = max(value - between[0], 0.0), max(between[1] - value, 0.0)
    if margin:
        low, high = math.hypot(low, margin), math.hypot(high, margin)
        between = value - low, value + high
    return max(between[0], bounds[0]), min(between[1], bounds[1])


def standard_error(left_out: np.ndarray, n_drawn: int, n_all: int) -> float | None:
    """Return the standard error of a score of cells that were drawn from all; None where it is undefined.

    The jackknife with groups (Wolter 2007, section 4.2): `left_out`, shape (n_groups,), are the scores without each
    group of the drawn cells; a mean of runs has the means of runs, so that cells that several runs test count once.
    With the correction for a finite population, it is 0 when all cells are drawn.
    """
    n = len(left_out)
    if not np.isfinite(left_out).all():
        return None
    return math.sqrt((n - 1) * float(left_out.var()) * (1 - n_drawn / n_all))


def resample(n_donors: int, seed: int) -> np.ndarray:
    """Draw how often each donor is in each resample of as many donors, shape (RESAMPLES, n_donors)."""
    random = np.random.default_rng(seed)
    return random.multinomial(n_donors, np.full(n_donors, 1 / n_donors), size=RESAMPLES).astype(np.float64)


def over_donors(values: np.ndarray) -> tuple[float, float] | None:
    """Return the percentile interval of a score over resamples of donors; None if it is undefined in most."""
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def swaps(n_donors: int, seed: int) -> np.ndarray:
    """Draw for which donors two models swap their predictions, shape (n_swaps, n_donors), 0 or 1.

    All 2^n where these are fewer than `SWAPS`.
    """
    if 2**n_donors <= SWAPS:
        return (np.arange(2**n_donors)[:, None] >> np.arange(n_donors) & 1).astype(np.float64)
    return np.random.default_rng(seed).integers(0, 2, size=(SWAPS, n_donors)).astype(np.float64)


def p_of_swaps(observed: float, swapped: np.ndarray, is_complete: bool) -> float:
    """Return the two-sided p-value of a difference among those after swaps, shape (n_swaps,).

    Under the null hypothesis the two models are exchangeable for each donor; for a score that adds up over donors these
    are sign flips of the donors' differences. The observed order counts as one of the drawn swaps.
    """
    extreme = int((np.abs(swapped) >= abs(observed) - 1e-12).sum())
    return extreme / len(swapped) if is_complete else (extreme + 1) / (len(swapped) + 1)


def p_of_resamples(differences: np.ndarray) -> float:
    """Return the two-sided p-value of a difference over resamples of donors: twice the smaller tail beyond 0."""
    defined = differences[np.isfinite(differences)]
    tail = 1 + min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * tail / (len(defined) + 1))


def corrected_t(differences: np.ndarray, test_over_train: float) -> tuple[float, float, float]:
    """Return the interval and two-sided p-value of a mean difference over n random splits, shape (n,).

    Splits overlap, so their differences are not independent; Nadeau and Bengio (Machine Learning 52, 2003) multiply the
    variance by 1/n + n_test/n_train instead of 1/n. It holds for further cells of the same donors. With
    `test_over_train` 0 it is the paired t-test, which fits independent runs such as k-means seeds. Equal differences
    have an interval without width and the p of a sign test, 2^(1 - n), or 1 if all are 0. One split gives NaN.
    """
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return math.nan, math.nan, math.nan
    error = math.sqrt(float(differences.var(ddof=1)) * (1 / n + test_over_train))
    if error < 1e-12:
        return mean, mean, 1.0 if abs(mean) < 1e-12 else 2.0 ** (1 - n)
    half = t_quantile(n - 1) * error
    return mean - half, mean + half, float(2 * special.stdtr(n - 1, -abs(mean) / error))


def among_draws(value: float, draws: np.ndarray) -> tuple[float | None, float | None, float, float]:
    """Compare a score with those of n random draws of a control, shape (n,).

    Returns the interval of the difference from a further draw (t, n - 1 degrees of freedom; None of one draw), and the
    permutation p-value, (1 + number of draws that are at least as high) / (n + 1), which is one-sided, with the
    smallest that it can be.
    """
    n = len(draws)
    p = (1 + int((draws >= value - 1e-12).sum())) / (n + 1)
    if n < 2:
        return None, None, p, 1 / (n + 1)
    half = t_quantile(n - 1) * float(draws.std(ddof=1)) * math.sqrt(1 + 1 / n)
    difference = value - float(draws.mean())
    return difference - half, difference + half, p, 1 / (n + 1)
