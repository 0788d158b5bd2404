"""Drawing the evaluated cells: evenly over donors, the same cells whatever the order of the file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from genept.datasets.config import Subset


def draw(cell_ids: Sequence[str], groups: Sequence[str] | None, subset: Subset | None) -> np.ndarray:
    """Return which cells are evaluated, shape (n_cells,) of bool.

    Each group gives the same number of cells, or all it has where it has fewer (`shares`). Within a group the cells are
    ranked by a hash of seed and cell id, and the first ones are drawn: at random, but independent of the other cells,
    of their order and of a random generator's version.

    Parameters
    ----------
    groups
        Each cell's group; `None` where the draw is over all cells alike.
    subset
        How many cells and with which seed; `None` for all cells.
    """
    n_cells = len(cell_ids) if subset is None else subset.size(len(cell_ids))
    if subset is None or n_cells == len(cell_ids):
        return np.ones(len(cell_ids), dtype=bool)
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups if groups is not None else [""] * len(cell_ids)):
        members.setdefault(group, []).append(index)
    ranks = [hashlib.sha256(f"{subset.seed}\0{cell_id}".encode()).digest() for cell_id in cell_ids]
    drawn = np.zeros(len(cell_ids), dtype=bool)
    for group, share in shares({group: len(cells) for group, cells in members.items()}, n_cells).items():
        drawn[sorted(members[group], key=ranks.__getitem__)[:share]] = True
    return drawn


def shares(sizes: dict[str, int], n_cells: int) -> dict[str, int]:
    """Return how many cells each group gives, in all `n_cells` or, if there are fewer, every cell.

    Water-filling: from the smallest group to the largest (by name where equal), each gives an equal part of the cells
    that are still needed, rounded down, or all it has. So no two groups that have enough differ by more than one cell,
    and those that give one more are the largest.
    """
    given, needed = {}, n_cells
    groups = sorted(sizes, key=lambda name: (sizes[name], name))
    for n_waiting, group in zip(range(len(groups), 0, -1), groups, strict=True):
        given[group] = min(sizes[group], needed // n_waiting)
        needed -= given[group]
    return given
