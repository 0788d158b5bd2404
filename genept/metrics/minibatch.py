"""Mini-batch k-means of many seeds side by side: scikit-learn's clusters, draw for draw, in less time.

For each batch, scikit-learn's ``MiniBatchKMeans`` walks through a table of all cells to draw twenty of them, as the
authors' batches have: one run on 200,000 cells takes half a minute. Here a batch costs the same for any number of
cells, and all runs take a step together. A test holds that the clusters are those of scikit-learn 1.9 (earlier versions
drew other batches). They differ where rounding decides a tie, as between two centres on one cell: seldom, but in half
of the runs for 25 clusters of 50 cells.

Sculley, Web-scale k-means clustering (WWW 2010); Arthur and Vassilvitskii, k-means++ (SODA 2007).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MAX_EPOCHS, PATIENCE, RARE = 100, 10, 0.01  # scikit-learn's defaults
CACHE = 1 << 20  # coordinates of batches and centres held at once: 2 MiB, a core's cache
BLOCK = 1 << 13  # cells whose clusters are found at once


class Run(NamedTuple):
    """What one k-means clusters: rows of a matrix, float32 or float64 of shape (n, n_dimensions), and its seed."""

    matrix: np.ndarray
    rows: np.ndarray
    seed: int


class Cells:
    """The cells of runs that have equally many of them, with as many coordinates."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self.n = len(runs[0].rows)
        self.is_shared = all(run.matrix is runs[0].matrix for run in runs)

    def of(self, active: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return cells of some runs, (n_active, n) to (n_active, n, n_dimensions), float64."""
        rows = np.stack([self.runs[run].rows[own] for run, own in zip(active, numbers, strict=True)])
        if self.is_shared:
            return self.runs[0].matrix[rows].astype(np.float64, copy=False)
        return np.stack([self.runs[run].matrix[own] for run, own in zip(active, rows, strict=True)], dtype=np.float64)


def cluster(runs: Sequence[Run], n_clusters: int, batch_size: int, n_init: int) -> list[np.ndarray]:
    """Cluster the cells of each run: the cluster of each cell as a number; there may be fewer than `n_clusters`."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)  # runs whose arrays have the same shapes
    for number, run in enumerate(runs):
        alike[len(run.rows), run.matrix.shape[1]].append(number)
    found: dict[int, np.ndarray] = {}
    for (n_cells, n_dimensions), numbers in alike.items():
        size = min(batch_size, n_cells)
        step = max(1, CACHE // (n_dimensions * (size + n_clusters)))
        for some in (numbers[first : first + step] for first in range(0, len(numbers), step)):
            cells = Cells([runs[number] for number in some])
            random = [np.random.RandomState(run.seed) for run in cells.runs]
            centres = improve(cells, random, start(cells, random, n_clusters, size, n_init), size)
            found |= dict(zip(some, assign(cells, centres), strict=True))
    return [found[number] for number in range(len(runs))]


def assign(cells: Cells, centres: np.ndarray) -> list[np.ndarray]:
    """Return the nearest centre of each cell in each run."""
    found = np.empty((len(centres), cells.n), dtype=np.intp)
    alike = cells.is_shared and all(run.rows is cells.runs[0].rows for run in cells.runs)
    for group in [slice(None)] if alike else [slice(run, run + 1) for run in range(len(centres))]:
        matrix, rows, _ = cells.runs[group.start or 0]
        for block in (slice(first, first + BLOCK) for first in range(0, cells.n, BLOCK)):
            few = matrix[rows[block]].astype(np.float64, copy=False)
            found[group, block] = distances(few[None], centres[group]).argmin(axis=2)
    return list(found)


def distances(cells: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return squared distances less the cells' squares: (..., n, n_dimensions), (..., k, ...) to (..., n, k)."""
    products = cells @ centres.swapaxes(-1, -2)
    products *= -2
    products += squares(centres)[..., None, :]
    return products


def squares(cells: np.ndarray) -> np.ndarray:
    """Return squared lengths, (..., n_dimensions) to (...)."""
    return np.einsum("...d,...d->...", cells, cells)


def pick(points: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return each run's points of these numbers: (n_runs, n, ...), (n_runs, m) to (n_runs, m, ...)."""
    return points[np.arange(len(points))[:, None], numbers]


def start(
    cells: Cells, random: Sequence[np.random.RandomState], n_clusters: int, batch_size: int, n_init: int
) -> np.ndarray:
    """Choose the first centres, shape (n_runs, n_clusters, n_dimensions).

    Of `n_init` k-means++, each on a few cells, the best for a few others.
    """
    size = 3 * batch_size if 3 * batch_size >= n_clusters else 3 * n_clusters
    size = min(size, cells.n)
    everything = np.arange(len(random))

    def draw() -> np.ndarray:
        """Draw a few cells for each run."""
        return cells.of(everything, np.stack([one.randint(0, cells.n, size) for one in random]))

    others = draw()
    best, least = np.empty(0), np.full(len(random), np.inf)
    for _ in range(n_init):
        few = draw() if size < cells.n else cells.of(everything, np.tile(np.arange(size), (len(random), 1)))
        centres = spread(few, random, n_clusters)
        inertia = (distances(others, centres).min(axis=2) + squares(others)).sum(axis=1)
        better = inertia < least
        best = np.where(better[:, None, None], centres, best) if best.size else centres
        least = np.where(better, inertia, least)
    return best


def spread(cells: np.ndarray, random: Sequence[np.random.RandomState], n_clusters: int) -> np.ndarray:
    """Choose cells far from each other as centres, by greedy k-means++: (n_runs, n_cells, ...) to (n_runs, k, ...)."""
    n_runs, n_cells = cells.shape[:2]
    run = np.arange(n_runs)
    n_trials = 2 + int(np.log(n_clusters))
    drawn = np.stack([one.random_sample(1 + (n_clusters - 1) * n_trials) for one in random])
    trials = drawn[:, 1:].reshape(n_runs, n_clusters - 1, n_trials)
    lengths = squares(cells)[:, :, None]

    def from_chosen(numbers: np.ndarray) -> np.ndarray:
        """Return the squared distances of all cells to chosen ones, shape (n_runs, n_chosen, n_cells)."""
        return (distances(cells, pick(cells, numbers)) + lengths).clip(min=0).swapaxes(1, 2)

    chosen = np.empty((n_runs, n_clusters), dtype=np.intp)
    chosen[:, 0] = np.searchsorted(cumulated(n_cells), drawn[:, 0], side="right")
    closest = from_chosen(chosen[:, :1])[:, 0]
    for number in range(1, n_clusters):
        wanted = trials[:, number - 1] * closest.sum(axis=1, keepdims=True)
        below = np.cumsum(closest, axis=1)[:, None] < wanted[:, :, None]
        candidates = np.minimum(below.sum(axis=2), n_cells - 1)
        after = np.minimum(from_chosen(candidates), closest[:, None])
        best = after.sum(axis=2).argmin(axis=1)
        chosen[:, number], closest = candidates[run, best], after[run, best]
    return pick(cells, chosen)


def cumulated(n: int) -> np.ndarray:
    """Return 1/n, 2/n ... 1, with the rounding of ``RandomState.choice``."""
    shares = np.cumsum(np.full(n, 1 / n))
    return shares / shares[-1]


def improve(cells: Cells, random: Sequence[np.random.RandomState], centres: np.ndarray, batch_size: int) -> np.ndarray:
    """Move centres by batches of cells until their smoothed inertia has not fallen for `PATIENCE` steps."""
    n_runs, n_clusters = centres.shape[:2]
    final = centres.copy()
    active = np.arange(n_runs)
    counts = np.zeros((n_runs, n_clusters))
    smoothed, least, n_worse = np.full(n_runs, np.nan), np.full(n_runs, np.inf), np.zeros(n_runs, dtype=int)
    since = np.zeros(n_runs, dtype=int)  # cells since rare clusters were last given another centre
    shares = cumulated(cells.n)
    alpha = min(1.0, 2 * batch_size / (cells.n + 1))
    for step in range(MAX_EPOCHS * cells.n // batch_size):
        drawn = np.stack([random[int(run)].random_sample(batch_size) for run in active])
        batch = cells.of(active, np.searchsorted(shares, drawn, side="right"))
        since += batch_size
        is_due = (counts == 0).any(axis=1) | (since >= 10 * n_clusters)
        since[is_due] = 0
        away = distances(batch, centres)
        inertia = (away.min(axis=2) + squares(batch)).mean(axis=1)
        members = away.argmin(axis=2)[:, None, :] == np.arange(n_clusters)[:, None]  # (n_runs, k, batch)
        total = counts + members.sum(axis=2)
        centres *= np.divide(counts, total, out=np.ones_like(counts), where=total > counts)[:, :, None]
        centres += (members / np.maximum(total, 1)[:, :, None]) @ batch
        counts = total
        for row in np.flatnonzero(is_due):
            replace_rare(centres[row], counts[row], batch[row], random[int(active[row])])
        if not step:  # its inertia is that of the start
            continue
        smoothed = np.where(np.isnan(smoothed), inertia, smoothed * (1 - alpha) + inertia * alpha)
        n_worse = np.where(smoothed < least, 0, n_worse + 1)
        least = np.minimum(least, smoothed)
        goes_on = n_worse < PATIENCE
        if not goes_on.all():
            final[active[~goes_on]] = centres[~goes_on]
            active, centres, counts = active[goes_on], centres[goes_on], counts[goes_on]
            smoothed, least, n_worse, since = (own[goes_on] for own in (smoothed, least, n_worse, since))
        if not len(active):
            break
    final[active] = centres
    return final


def replace_rare(centres: np.ndarray, counts: np.ndarray, cells: np.ndarray, random: np.random.RandomState) -> None:
    """Put the centres of rare clusters on cells of the batch, at most on half of them; in place."""
    is_rare = counts < RARE * counts.max()
    if is_rare.sum() > 0.5 * len(cells):
        is_rare[np.argsort(counts)[int(0.5 * len(cells)) :]] = False
    if not is_rare.any():
        return
    centres[is_rare] = cells[random.choice(len(cells), replace=False, size=int(is_rare.sum()))]
    counts[is_rare] = counts[~is_rare].min()
