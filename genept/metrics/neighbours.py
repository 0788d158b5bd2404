"""Table C4: the class of test cells by their nearest training cells, and by an ensemble.

The exact neighbour search is our own because of ties: of equally distant cells (duplicates, or a model that knows few
genes) scikit-learn's ``NearestNeighbors`` takes whichever its partition leaves first. With a seventh of 4,000 x 1,536
cells equal, 114 of 800 test cells got other neighbours. And one search serves all splits: `rank` finds each cell's
nearest cells, `select` those of them that a split trains on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from sklearn.preprocessing import normalize

from genept.core import compute
from genept.core.params import Distance
from genept.data.splits import Split
from genept.metrics import screening
from genept.metrics.screening import DECIMALS

BLOCK = 1 << 21  # distances that a thread holds at once: 16 MiB, and as much for their ranks
SPARE = 6  # times k: how many neighbours of a cell are ranked, so that enough are left when test cells are left out


def prepare(matrix: np.ndarray, metric: Distance) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates and a number for each cell, so that cells rank by number - coordinates @ a cell's coordinates.

    ``cosine``: the distance to a cell with all coordinates zero is 1. ``centred_cosine``: the same after the mean over
    all cells is subtracted, without which the distances of near-parallel vectors mostly tell sequencing depth.
    ``euclidean``: of centred coordinates, relative to the cloud's size, so that rounding is.
    """
    if metric != "cosine":
        matrix = matrix - matrix.mean(axis=0)
    if metric != "euclidean":
        return normalize(matrix), np.zeros(len(matrix))  # unit rows; a row of zeros must not come nearer
    matrix = matrix / (np.linalg.norm(matrix, axis=1).max() or 1.0)
    return matrix, np.einsum("ij,ij->i", matrix, matrix) / 2


def search(matrix: np.ndarray, queries: np.ndarray, among: np.ndarray, k: int, metric: Distance) -> np.ndarray:
    """Find the `k` nearest of the cells `among` for each cell of `queries`, exactly; a cell is not its own neighbour.

    Equally distant cells rank by row number. The authors search approximately (hnswlib, cosine, M=16,
    ef_construction=200, ef=50); an exact search needs neither index nor seed. `queries` and `among` are row numbers of
    `matrix`, float64 of shape (n_cells, n_dimensions), `among` ascending. Returns row numbers, nearest first, shape
    (n_queries, k) or, of fewer than k other cells, all of them.
    """
    points, squares = prepare(matrix, metric)
    others, numbers = points[among], squares[among]
    k = min(k, len(among) - int(np.isin(queries, among).any()))
    columns = np.arange(len(among))
    position = np.full(len(matrix), -1)
    position[among] = columns
    step = max(1, BLOCK // len(among))

    def block(start: int) -> np.ndarray:
        rows = queries[start : start + step]
        distances = numbers - points[rows] @ others.T
        ranks = np.rint(distances * 10.0**DECIMALS).astype(np.int64) * len(among) + columns
        own = position[rows]
        ranks[np.flatnonzero(own >= 0), own[own >= 0]] = np.iinfo(np.int64).max
        return np.sort(np.partition(ranks, k - 1, axis=1)[:, :k], axis=1) % len(among)

    if not len(queries):
        return np.empty((0, k), dtype=np.intp)
    return among[np.concatenate(compute.each(block, range(0, len(queries), step)))]


def rank(matrix: np.ndarray, k: int, metric: Distance) -> np.ndarray:
    """Return each cell's `SPARE` times `k` nearest other cells, nearest first: row numbers, (n_cells, n_ranked)."""
    cells = np.arange(len(matrix))
    return search(matrix, cells, cells, SPARE * k, metric)


def select(ranked: np.ndarray, matrix: np.ndarray, split: Split, k: int, metric: Distance) -> np.ndarray:
    """Return the test cells' `k` nearest training cells, as `search` does, from what `rank` found.

    Test cells with too few training cells among their ranked neighbours, such as those of a large donor that is held
    out, are searched anew. Shape (n_test, min(k, n_train)).
    """
    return select_among(ranked[split.test], partial(search, matrix, k=k, metric=metric), len(matrix), split, k)


def rank_drawn(cells: screening.Cells, drawn: np.ndarray, k: int) -> np.ndarray:
    """Return what `rank` does of some cells of a large dataset."""
    return screening.search(cells, drawn, np.arange(len(cells.matrix)), SPARE * k).astype(np.int32)


def select_drawn(ranked: np.ndarray, cells: screening.Cells, split: Split, k: int) -> np.ndarray:
    """Return what `select` does, from what `rank_drawn` found of the split's drawn cells."""
    assert split.drawn is not None
    candidates = ranked[np.searchsorted(split.drawn, split.test)]
    return select_among(candidates, partial(screening.search, cells, k=k), len(cells.matrix), split, k)


def select_among(
    candidates: np.ndarray,
    search_anew: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n_cells: int,
    split: Split,
    k: int,
) -> np.ndarray:
    """Take the `k` nearest training cells from each test cell's ranked neighbours, (n_test, n_ranked)."""
    k = min(k, len(split.train))
    trains = np.zeros(n_cells, dtype=bool)
    trains[split.train] = True
    known = trains[candidates]
    order = np.argsort(~known, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(candidates, order, axis=1)
    few = np.flatnonzero(known.sum(axis=1) < k)
    if len(few) or nearest.shape[1] < k:
        few = few if nearest.shape[1] == k else np.arange(len(split.test))
        complete = np.empty((len(split.test), k), dtype=nearest.dtype)
        complete[:, : nearest.shape[1]] = nearest
        complete[few] = search_anew(split.test[few], split.train)
        return complete
    return nearest


def vote(codes: np.ndarray, tie: str = "nearest") -> np.ndarray:
    """Give each test cell the class that most of its neighbours have: shape (n_test, n_neighbours) to (n_test,).

    Of classes with equally many votes, the one of the nearest cell wins (`tie` ``nearest``), whatever classes are
    called; or the smallest code, which is the first label in text order, as in the authors' notebook (``smallest``).
    `codes` are nearest first.
    """
    if tie == "smallest":
        codes = np.sort(codes, axis=1)
    votes = (codes[:, :, None] == codes[:, None, :]).sum(
        axis=2
    )  # (n_test, j): neighbours with the class of neighbour j
    return np.take_along_axis(codes, votes.argmax(axis=1)[:, None], axis=1)[:, 0]


def pool(members: Sequence[np.ndarray], tie: str = "nearest") -> np.ndarray:
    """Combine any number of models: the most frequent class among the neighbours that all of them find.

    The paper does not say how its ensemble combines three embeddings. The authors' notebook collects the labels of each
    embedding's ten neighbours, which is what pooling needs and a vote of models does not; so the 30 labels together
    most likely decide. `majority` is the other reading. For ties as in `vote`, the nearest neighbours of all models
    come before the second nearest, in the order of the models.

    `members` hold the classes of each model's neighbours, shape (n_test, k) each.
    """
    return vote(np.stack(members, axis=2).reshape(len(members[0]), -1), tie)


def majority(predictions: np.ndarray, tie: str) -> np.ndarray:
    """Combine the classes that any number of models give, by majority vote: (n_models, n_cells) to (n_cells,).

    Among the classes with the most votes the smallest wins (`tie` ``smallest``), or that of the member which is listed
    first (``first``). With three members that all differ, ``first`` is the first member alone.
    """
    return vote(predictions.T, "smallest" if tie == "smallest" else "nearest")
