"""The picture of an embedding below that of the expression, as Figure 3 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genept.core.params import Plot
from genept.data import embeddings, umap
from genept.plots.page import looks
from genept.plots.panels import Column

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("phenotype", "disease", "cancer_type")  # the first of these that exists makes the first column
NUMBERED_FROM = 9  # labels; patients, who lie everywhere, are never numbered


def columns(obs: pd.DataFrame, drawn: np.ndarray) -> list[Column]:
    """Choose the columns as in Figure 3: phenotype (or its like), cell type and patient, those that exist.

    A label looks the same whichever cells are `drawn`, since its look depends on all cells of `obs`.
    """
    chosen = []
    for name in [*[name for name in KINDS if name in obs][:1], "cell_type", "patient"]:
        if name in obs:
            labels = obs[name].to_numpy(dtype=str)
            table = looks(labels)
            is_numbered = name != "patient" and len(table) - 1 >= NUMBERED_FROM
            chosen.append(Column(heading(name), labels[drawn], table, is_numbered))
    return chosen


def heading(name: str) -> str:
    """Return an annotation's name as it is printed: ``cell_type`` is "Cell type"."""
    return name.replace("_", " ").capitalize()


def layout(dataset: str, model: str, cell_ids: list[str], settings: Plot) -> np.ndarray:
    """Return the coordinates of a dataset's cells in a model's embedding: shape (n_cells, 2), float32.

    They are NaN for cells that are not drawn, those that a fine-tuned model has seen. Raises `InputError` if the
    embedding is of other cells.
    """
    matrix = embeddings.read(dataset, model, cell_ids)
    n_cells = len(cell_ids)
    drawn = embeddings.read_notes(dataset, model).get("unseen_cells", list(range(n_cells)))
    coordinates = np.full((n_cells, 2), np.nan, dtype=np.float32)
    coordinates[drawn] = umap.cached_coordinates(np.asarray(matrix)[drawn], settings)
    return coordinates


def caption(dataset: str, note: str, n_drawn: int, n_cells: int, settings: Plot) -> str:
    """Say what a picture shows."""
    cells = f"{n_drawn:,} cells"
    if n_drawn < n_cells:
        cells = f"the {n_drawn:,} of {n_cells:,} cells that fine-tuning has not seen"
    method = (
        f"UMAP of at most {settings.n_components_pca} principal components: {settings.n_neighbors} neighbours, "
        f"min_dist {settings.min_dist}, spread {settings.spread}, "
        f"{'' if settings.n_epochs is None else f'{settings.n_epochs} epochs, '}seed {settings.seed}."
    )
    if n_drawn < umap.MIN_CELLS:
        method = "The first two principal components, since UMAP needs more cells."
    about = f"Dataset {dataset}{f' ({note})' if note else ''}, {cells}."
    return f"{about} {method} Each row is a layout of its own; colours are the same in both."
