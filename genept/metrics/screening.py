"""The nearest of many cells, exactly and in little memory: 32 bits find who may be among them, 64 bits decide.

`genept.metrics.neighbours` ranks all distances in float64, with copies of all coordinates. Here a float32 product comes
first, of coordinates less their mean, so that near-parallel vectors keep their digits. Its error has a bound; whoever
lies within twice that bound of the k-th is computed again in float64. So the neighbours are the exact ones, with the
same ties.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from genept.core import compute
from genept.core.params import Distance

DECIMALS = 10  # distances that agree so far are equal: a matrix product's last bits differ between equal cells
QUERIES = 512  # that a thread searches at once
BLOCK, GROUP = 4096, 16  # cells compared at once; cells of a block of which only the nearest is kept at first
N_GROUPS = BLOCK // GROUP
ROUNDING = 2.0**-24  # of float32


def blocks(n_cells: int) -> Iterator[slice]:
    """Yield the rows of one block after another."""
    return (slice(start, min(start + BLOCK, n_cells)) for start in range(0, n_cells, BLOCK))


class Cells:
    """Coordinates as `neighbours.prepare` makes them: in float64 of a few cells, coarse ones in float32 of all."""

    def __init__(self, matrix: np.ndarray, metric: Distance) -> None:
        self.matrix, self.is_unit = matrix, metric != "euclidean"
        self.centre = np.zeros(matrix.shape[1])
        if metric != "cosine":
            self.centre = sum(matrix[some].sum(axis=0, dtype=np.float64) for some in blocks(len(matrix))) / len(matrix)
        self.size = 1.0
        if not self.is_unit:
            self.size = max(float(np.linalg.norm(self.exact(some)[0], axis=1).max()) for some in blocks(len(matrix)))
            self.size = self.size or 1.0
        middle = sum(self.exact(some)[0].sum(axis=0) for some in blocks(len(matrix))) / len(matrix)
        self.coarse = np.empty((len(matrix), matrix.shape[1] + 1), dtype=np.float32)  # the last one is the number
        for some in blocks(len(matrix)):
            points, squares = self.exact(some)
            points -= middle
            self.coarse[some, :-1] = points
            self.coarse[some, -1] = points @ middle - squares
        lengths = [np.linalg.norm(self.coarse[some, :-1], axis=1) for some in blocks(len(matrix))]
        self.longest, self.largest = float(max(map(np.max, lengths))), float(np.abs(self.coarse[:, -1]).max())

    def asked(self, rows: np.ndarray) -> np.ndarray:
        """Return coordinates of cells whose product with the coarse ones is the greater, the nearer a cell is."""
        points = self.coarse[rows]
        points[:, -1] = 1
        return points

    def exact(self, rows: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return coordinates and numbers of some cells; these rank by number - coordinates @ a cell's coordinates."""
        points = self.matrix[rows].astype(np.float64) - self.centre
        if self.is_unit:
            lengths = np.linalg.norm(points, axis=1, keepdims=True)
            return points / np.where(lengths > 0, lengths, 1.0), np.zeros(len(points))
        points /= self.size
        return points, np.einsum("ij,ij->i", points, points) / 2

    def errors(self, asked: np.ndarray) -> np.ndarray:
        """Return a bound on the error of the product of any cell with what is asked.

        A sum of D products has an error of at most D roundings of the sum of their sizes (Higham 2002, section 3.1).
        """
        lengths = np.linalg.norm(asked[:, :-1].astype(np.float64), axis=1)
        n_terms = 1.01 * (asked.shape[1] + 6)
        return ROUNDING * n_terms * (self.longest * lengths + self.largest) + 10.0**-DECIMALS


def search(cells: Cells, queries: np.ndarray, among: np.ndarray, k: int) -> np.ndarray:
    """Find the `k` nearest of the cells `among` for each cell of `queries`, as `neighbours.search` does."""
    k = min(k, len(among) - int(np.isin(queries, among).any()))
    if not len(queries):
        return np.empty((0, k), dtype=np.intp)
    parts = [queries[first : first + QUERIES] for first in range(0, len(queries), QUERIES)]
    return np.concatenate(compute.each(partial(search_part, cells, among, k), parts))


def search_part(cells: Cells, among: np.ndarray, k: int, queries: np.ndarray) -> np.ndarray:
    """Search the neighbours of a few cells."""
    is_all = len(among) == len(cells.matrix)
    asked = cells.asked(queries)
    best = np.full((len(queries), -(-len(among) // BLOCK), N_GROUPS), -np.inf, dtype=np.float32)
    nearness = np.empty((len(queries), BLOCK), dtype=np.float32)
    for number, some in enumerate(blocks(len(among))):
        rows = some if is_all else among[some]
        n = some.stop - some.start
        np.matmul(asked, cells.coarse[rows].T, out=nearness[:, :n])
        nearness[:, n:] = -np.inf
        nearness.reshape(len(queries), GROUP, N_GROUPS).max(axis=1, out=best[:, number])
    highest = best.reshape(len(queries), -1)
    margins = 2 * cells.errors(asked)
    nth = min(k + 1, highest.shape[1])  # one more, since a cell may be among its own neighbours
    limits = np.partition(highest, -nth, axis=1)[:, -nth] - margins
    group = np.arange(highest.shape[1])
    of_group = BLOCK * (group // N_GROUPS) + group % N_GROUPS  # the first position of each
    found = np.empty((len(queries), k), dtype=np.intp)
    for place, query in enumerate(queries):
        groups = np.flatnonzero(highest[place] >= limits[place])
        positions = (of_group[groups, None] + N_GROUPS * np.arange(GROUP)).ravel()
        positions = positions[positions < len(among)]
        positions = positions[among[positions] != query]
        rows = among[positions]
        near = cells.coarse[rows] @ asked[place]
        near_enough = near >= np.partition(near, -k)[-k] - margins[place]
        positions, rows = positions[near_enough], rows[near_enough]
        points, squares = cells.exact(rows)
        distances = np.rint((squares - points @ cells.exact(query[None])[0][0]) * 10.0**DECIMALS)
        found[place] = rows[np.lexsort((positions, distances))[:k]]
    return found
