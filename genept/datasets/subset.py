"""Drawing the evaluated cells: evenly over donors, the same cells whatever the order of the file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from genept.datasets.config import Subset


def draw(cell_ids: Sequence[str], groups: Sequence[str] | None, subset: Subset | None) -> np.ndarray:
    """Return which cells are evaluated, shape (n_cells,) of bool.

    Each group (without groups: all cells) gives the number of cells that `shares` says. Within a group the cells are
    ranked by a hash of seed and cell id, and the first ones are drawn: at random, but independent of the other cells,
    of their order and of a random generator's version.
    """
    n_cells = len(cell_ids) if subset is None else subset.size(len(cell_ids))
    if subset is None or n_cells == len(cell_ids):
        return np.ones(len(cell_ids), dtype=bool)
    hashes = [hashlib.sha256(f"{subset.seed}\0{cell_id}".encode()).hexdigest() for cell_id in cell_ids]
    cells = pd.DataFrame({"group": "" if groups is None else groups, "hash": hashes})
    ranks = cells.sort_values("hash").groupby("group").cumcount().sort_index()
    given = shares(Counter(cells["group"]), n_cells)
    return (ranks < cells["group"].map(given)).to_numpy()


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
