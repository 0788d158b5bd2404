"""The table behind the page's view of cells: annotations and layouts of a dataset's cells, of a large one a sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path("plots/cells")
MOST_CELLS = 50_000  # that a browser still moves and searches at once
LEAST_OF_CLASS = 50  # that a sample keeps, or all of a smaller class
DECIMALS = 4


def make(
    obs: pd.DataFrame, layouts: Mapping[str, np.ndarray], seed: int, drawn: np.ndarray | slice = slice(None)
) -> pd.DataFrame:
    """Return a line for each cell: its id, its annotations, and ``<model>_1`` and ``<model>_2`` of each layout.

    `layouts` have shape (n_cells, 2), NaN for cells that a model does not draw. The cells are those that are `drawn`,
    rows of `obs`; of more than `MOST_CELLS` a sample of each cell type.
    """
    obs = obs.iloc[drawn]
    layouts = {model: layout[drawn] for model, layout in layouts.items()}
    columns = {f"{model}_{axis + 1}": layout[:, axis] for model, layout in layouts.items() for axis in (0, 1)}
    coordinates = pd.DataFrame(columns, index=obs.index).astype(np.float64).round(DECIMALS)
    return pd.concat([obs, coordinates], axis=1).iloc[sample(obs, MOST_CELLS, seed)]


def sample(obs: pd.DataFrame, n_cells: int, seed: int) -> np.ndarray:
    """Draw at most `n_cells` cells: of each cell type its share, but at least `LEAST_OF_CLASS`. Returns their rows."""
    order = np.random.default_rng(seed).permutation(len(obs))
    types = obs["cell_type"].iloc[order] if "cell_type" in obs else pd.Series("", index=obs.index)
    groups = types.groupby(types.to_numpy())
    turn = groups.cumcount().to_numpy()
    due = turn / groups.transform("size").to_numpy()  # all classes are drawn from at an equal pace
    due[turn < LEAST_OF_CLASS] -= 1
    return np.sort(order[np.argsort(due, kind="stable")[:n_cells]])
