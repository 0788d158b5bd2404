"""Which cells stand for all of a large dataset: the first ones in one seeded order of its cells.

All samples follow this order. So annotations of the same cells have the same sample, a small sample lies within a
larger one, and nothing depends on threads or processes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROUPS = 20  # whose spread gives the standard error of a sample's score


@dataclass(frozen=True, repr=False)
class Order:
    """A seeded order of all cells: the place of each, shape (n_cells,)."""

    place: np.ndarray

    def first(self, cells: np.ndarray, n: int) -> np.ndarray:
        """Return the first `n` of some cells, ascending row numbers both; of fewer cells all, the same array."""
        if len(cells) <= n:
            return cells
        return np.sort(cells[np.argpartition(self.place[cells], n - 1)[:n]])

    def groups(self, cells: np.ndarray) -> np.ndarray:
        """Deal cells to `GROUPS` groups, which are drawn as they are: the group of each as a code."""
        return self.place[cells] % GROUPS


def order(n_cells: int, above: int, seed: int) -> Order | None:
    """Draw the order of the cells of a dataset with more than `above` of them; None for a smaller one."""
    if n_cells <= above:
        return None
    return Order(np.random.default_rng([seed, n_cells]).permutation(n_cells))  # no other draw begins so
