"""What a picture of UMAPs shows: layouts, annotations, how well labels are mixed, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from genept.core.params import Plot
from genept.data import cells, embeddings, sampling, umap
from genept.plots.palette import Look, looks, told_apart_in_grey

KINDS = ("phenotype", "disease", "cancer_type")  # the first of these that exists makes the first column
NUMBERED_FROM = 9  # labels; patients, who lie everywhere, are never numbered
MOST_COLOURED = 24  # labels; of more, a panel shows how well they are mixed
NEIGHBOURS = 30  # whose labels say how well labels are mixed: the perplexity of LISI


class Layout(NamedTuple):
    """A model's cells on a plane: `coordinates`, shape (n_cells, 2), are NaN for cells that are not drawn.

    `space`, shape (n_drawn, n), is what the layout was computed from, and the model has `n_dimensions`.
    """

    model: str
    title: str
    coordinates: np.ndarray
    space: np.ndarray
    n_dimensions: int
    is_unseen: bool = False  # only cells that fine-tuning has not seen are drawn

    @property
    def drawn(self) -> np.ndarray:
        """The rows of the cells that are drawn."""
        return np.flatnonzero(np.isfinite(self.coordinates).all(axis=1))


class Column(NamedTuple):
    """An annotation: the labels of all cells, shape (n_cells,), and how labels look.

    In a `numbered` column the number of each label stands at its most central cell. Of an annotation that lies
    `apart` in a good embedding, such as cell types, many labels are drawn one by one as well.
    """

    name: str
    labels: np.ndarray
    looks: dict[str, Look]
    numbered: bool
    apart: bool = True

    @property
    def heading(self) -> str:
        """The name as it is printed: ``cell_type`` is "Cell type"."""
        return cells.heading(self.name)

    @property
    def no_label(self) -> str:
        """What cells without a label have in its place."""
        return list(self.looks)[-1]

    @property
    def n_labels(self) -> int:
        """How many labels the dataset has."""
        return len(self.looks) - 1

    @property
    def is_mixing(self) -> bool:
        """Whether panels show how well labels are mixed, since there are too many to tell colours apart."""
        return self.n_labels > MOST_COLOURED

    def entries(self, drawn: np.ndarray) -> list[tuple[str, Look]]:
        """Return the labels of the drawn cells, as the legend calls them, with their looks."""
        present = set(self.labels[drawn])
        return [
            (f"{look.number} {label}" if self.numbered and label not in ("", str(look.number)) else label, look)
            for label, look in self.looks.items()
            if label in present
        ]


def sample(n_cells: int, settings: Plot) -> np.ndarray:
    """Return the rows of the cells that are drawn of every model: of a large dataset a sample, else all."""
    every, order = np.arange(n_cells), sampling.order(n_cells, settings.above, settings.seed)
    return every if order is None else order.first(every, settings.above)


def described(n_cells: int, settings: Plot) -> str:
    """Say how many cells are drawn of how many."""
    n_drawn = len(sample(n_cells, settings))
    drawn = f"{n_drawn:,} of {n_cells:,} cells, drawn by seed {settings.seed}"
    return drawn if n_drawn < n_cells else f"{n_cells:,} cells"


def read(dataset: str, model: str, title: str, cell_ids: list[str], settings: Plot) -> Layout:
    """Lay out a dataset's cells in a model's embedding; of a fine-tuned model those that it has not seen.

    `InputError` if the embedding is of other cells.
    """
    matrix, n_cells = np.asarray(embeddings.read(dataset, model, cell_ids)), len(cell_ids)
    unseen = embeddings.read_notes(dataset, model).get("unseen_cells")
    drawn = sample(n_cells, settings)
    if unseen is not None:
        drawn = np.intersect1d(drawn, unseen)
    coordinates = np.full((n_cells, 2), np.nan, dtype=np.float32)
    coordinates[drawn] = umap.cached_coordinates(matrix[drawn], settings)
    if unseen is not None:
        title += f" ({len(drawn):,} unseen cells)"
    with threadpool_limits(limits=1):
        space = umap.principal_components(matrix[drawn].astype(np.float32), settings.n_components_pca, settings.seed)
    return Layout(model, title, coordinates, space, matrix.shape[1], unseen is not None)


def columns(obs: pd.DataFrame) -> list[Column]:
    """Choose the columns as in Figure 3: phenotype (or its like), cell type and patient, those that exist."""
    chosen = []
    for name in [*[name for name in KINDS if name in obs][:1], "cell_type", "patient"]:
        if name in obs:
            labels, is_patient = obs[name].replace(cells.UNKNOWN, "").to_numpy(dtype=str), name == "patient"
            table = looks(labels)
            is_numbered = not is_patient and len(table) - 1 >= NUMBERED_FROM
            chosen.append(Column(name, labels, table, is_numbered, apart=not is_patient))
    return chosen


def mixing(space: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return how well labels are mixed around each cell: 0 if all neighbours have one label, 1 as at random.

    LISI (Korsunsky et al. 2019), the inverse Simpson index of the labels of a cell's neighbours, is 1 if all have one.
    Deviations: `NEIGHBOURS` count alike (LISI weighs some 90 by distance), and the scale ends at the mean index with
    labels permuted over cells, not at the number of labels (iLISI of scib, Luecken et al. 2022), which the neighbours
    cannot reach if there are 43 donors of unequal size.
    """
    codes = np.unique(labels, return_inverse=True)[1]
    k = min(NEIGHBOURS, len(labels) - 1)
    if k < 1:
        return np.ones(len(labels))
    with threadpool_limits(limits=1):
        nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(space).kneighbors(return_distance=False)
    by_chance = inverse_simpson(np.random.default_rng(0).permutation(codes)[nearest]).mean()
    return (inverse_simpson(codes[nearest]) - 1) / (by_chance - 1) if by_chance > 1 else np.ones(len(labels))


def inverse_simpson(codes: np.ndarray) -> np.ndarray:
    """Return the inverse Simpson index of each row of labels, given as numbers from 0."""
    counts = np.zeros((len(codes), codes.max() + 1))
    np.add.at(counts, (np.arange(len(codes))[:, None], codes), 1)
    return codes.shape[1] ** 2 / (counts**2).sum(axis=1)


def caption(about: str, layouts: Sequence[Layout], settings: Plot) -> str:
    """Say what the layouts of a dataset were computed from, and how."""
    by_space: dict[str, list[str]] = {}
    few: list[str] = []
    for layout in layouts:
        used, n_drawn = layout.space.shape[1], len(layout.drawn)
        is_all = used == layout.n_dimensions
        what = f"all {used} dimensions" if is_all else f"the first {used} principal components"
        (few if n_drawn < umap.MIN_CELLS else by_space.setdefault(what, [])).append(layout.model)
    names = {what: f" ({', '.join(models)})" if len(by_space) > 1 else "" for what, models in by_space.items()}
    epochs = "" if settings.n_epochs is None else f"{settings.n_epochs} epochs (the authors: umap-learn's own number), "
    method = (
        f"UMAP of {' or '.join(what + models for what, models in names.items())}: {settings.n_neighbors} neighbours, "
        f"min_dist {settings.min_dist}, spread {settings.spread}, {epochs}seed {settings.seed}."
    )
    of_few = f"The first two principal components, since UMAP needs {umap.MIN_CELLS} cells: {', '.join(few)}."
    unseen = any(layout.is_unseen for layout in layouts)
    of_unseen = "Unseen cells are those whose labels fine-tuning has not read."
    chosen = ((method, by_space), (of_few, few), (of_unseen, unseen))
    sentences = [about, *(text for text, is_needed in chosen if is_needed)]
    return " ".join([*sentences, "Each layout is its own, without units; colours are the same in all."])


def legend_caption(columns: Sequence[Column]) -> str:
    """Say what the numbers and colours of columns are, and which of them grey print loses."""
    sentences = []
    if any(column.numbered and not column.is_mixing for column in columns):
        sentences.append("A number is at the label's most central cell.")
    for column in columns:
        n_grey, noun = told_apart_in_grey(column.n_labels), column.heading.lower()
        if column.is_mixing:
            sentences.append(
                f"Mixing of {column.n_labels} labels ({noun}): LISI (Korsunsky et al. 2019) of {NEIGHBOURS} nearest "
                "neighbours in what UMAP read, from 0 (all of one label) to 1 (as with labels permuted over "
                "cells); the number is the median."
            )
        elif n_grey < column.n_labels:
            sentences.append(
                f"In grey print only the first {n_grey} of {column.n_labels} labels can be told apart ({noun})."
            )
    return " ".join(sentences)
