"""UMAP panels: a row per layout, a column per annotation, a legend of each annotation below; Figure 3 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.patheffects import withStroke
from scipy.spatial.distance import cdist

from genept.core.params import Plot
from genept.data import embeddings, umap
from genept.plots.page import FRAME, HEADING, INK, LINE, SMALL, TEXT, TITLE, Look, Page, fill, looks, plain_style

KINDS = ("phenotype", "disease", "cancer_type")  # the first of these that exists makes the first column
NUMBERED_FROM = 9  # labels; patients, who lie everywhere, are never numbered
PANEL, GAP = 2.2, 0.12  # inches; three columns fill the width of a printed page
COVERED = 0.24  # of a panel's area, by the points laid side by side
SIZES = (0.5, 11.0)  # of a point, in square points: least and most
NUMBER, APART = 6.0, 8.0  # points: height of a number, and distance of the centres of two


class Row(NamedTuple):
    """A row of panels: what is laid out, and the coordinates of the drawn cells, shape (n_drawn, 2)."""

    title: str
    coordinates: np.ndarray


class Column(NamedTuple):
    """A column of panels: the labels of the drawn cells, shape (n_drawn,), and how labels look.

    In a `numbered` column the number of each label stands at its most central cell.
    """

    heading: str
    labels: np.ndarray
    looks: dict[str, Look]
    numbered: bool

    def entries(self) -> list[tuple[str, Look]]:
        """Return the labels that are drawn, as the legend calls them, with their looks."""
        drawn = set(self.labels)
        return [
            (f"{look.number} {label}" if self.numbered and label not in ("", str(look.number)) else label, look)
            for label, look in self.looks.items()
            if label in drawn
        ]


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

    They are NaN for cells that a fine-tuned model has seen. `InputError` if the embedding is of other cells.
    """
    matrix = embeddings.read(dataset, model, cell_ids)
    n_cells = len(cell_ids)
    drawn = embeddings.read_notes(dataset, model).get("unseen_cells", list(range(n_cells)))
    coordinates = np.full((n_cells, 2), np.nan, dtype=np.float32)
    coordinates[drawn] = umap.cached_coordinates(np.asarray(matrix)[drawn], settings)
    return coordinates


def caption(dataset: str, note: str, n_drawn: int, n_cells: int, n_dimensions: Sequence[int], settings: Plot) -> str:
    """Say what a picture shows, whose rows are of embeddings with `n_dimensions`."""
    cells = f"{n_drawn:,} cells"
    if n_drawn < n_cells:
        cells = f"the {n_drawn:,} of {n_cells:,} cells that fine-tuning has not seen"
    used = dict.fromkeys(min(n, settings.n_components_pca, n_drawn) for n in n_dimensions)
    epochs = "" if settings.n_epochs is None else f"{settings.n_epochs} epochs (the authors: umap-learn's own number), "
    which = " (upper and lower row)" if len(used) > 1 else ""
    method = (
        f"UMAP of {' and '.join(map(str, used))} principal components{which}: "
        f"{settings.n_neighbors} neighbours, min_dist {settings.min_dist}, spread {settings.spread}, {epochs}"
        f"seed {settings.seed}."
    )
    if n_drawn < umap.MIN_CELLS:
        method = "The first two principal components, since UMAP needs more cells."
    about = f"Dataset {dataset}{f' ({note})' if note else ''}, {cells}."
    return f"{about} {method} Each row is a layout of its own; colours are the same in both."


@plain_style
def draw(rows: Sequence[Row], columns: Sequence[Column], title: str, caption: str) -> Figure:
    """Draw a picture: `title` above the panels, `caption` below the legends."""
    width = len(columns) * (PANEL + GAP) - GAP
    page = Page(width)
    page.text(0, -2.2 * LINE, fill(title, width, 1.12 * TITLE), TITLE, weight="bold", va="bottom")
    if any(column.numbered for column in columns):
        caption += " A number is at the label's most central cell."
    for i, row in enumerate(rows):
        top = i * (PANEL + GAP)
        heading = fill(row.title, PANEL, HEADING)
        page.text(-GAP, top + PANEL / 2, heading, HEADING, rotation=90, ha="right", va="center", ma="center")
        for j, column in enumerate(columns):
            ax = page.square(j * (PANEL + GAP), top, PANEL)
            draw_cells(ax, row.coordinates, column)
            if column.numbered:
                draw_numbers(ax, row.coordinates, column)
            if i == 0:
                ax.set_title(column.heading, fontsize=HEADING, pad=3)
            if j == 0:
                ax.set_xlabel("UMAP 1 \u2192", loc="left", fontsize=SMALL, labelpad=1)
                ax.set_ylabel("UMAP 2 \u2192", loc="bottom", fontsize=SMALL, labelpad=1)
    below = len(rows) * (PANEL + GAP) + LINE / 2
    for column in columns:
        below += page.legend(below, column.heading, column.entries()) + LINE / 2
    page.text(0, below + LINE, fill(caption, width, TEXT), TEXT, linespacing=1.3)
    return page.figure


def draw_cells(ax: Axes, coordinates: np.ndarray, column: Column) -> None:
    """Draw cells as points on axes of one scale, without ticks, since UMAP's coordinates have no unit."""
    # One fixed shuffle, cells without a label at the bottom: no label lies on top because of its place in the file.
    order = np.random.default_rng(0).permutation(len(column.labels))
    order = order[np.argsort(column.labels[order] != "", kind="stable")]
    shown = [column.looks[label] for label in column.labels[order]]
    size = np.clip(COVERED * (PANEL * 72) ** 2 / len(shown), *SIZES)
    x, y = coordinates[order].T
    points = ax.scatter(x, y, s=size, c=[look.colour for look in shown], linewidths=0)
    markers = {look.shape: MarkerStyle(look.shape) for look in column.looks.values()}
    if len(markers) > 1:
        paths = {shape: marker.get_path().transformed(marker.get_transform()) for shape, marker in markers.items()}
        points.set_paths([paths[look.shape] for look in shown])
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    half = max((high - low).max() / 2 * 1.06, 1e-3)
    x, y = (low + high) / 2
    ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, color=FRAME)


def draw_numbers(ax: Axes, coordinates: np.ndarray, column: Column) -> None:
    """Write every label's number at the label's most central cell, moved a little where numbers would overlap."""
    present = [label for label in column.looks if label and (column.labels == label).any()]
    centres = np.array([central(coordinates[column.labels == label]) for label in present]).reshape(-1, 2)
    low, high = ax.get_xlim()
    scale = PANEL * 72 / (high - low)  # points per unit
    margin = NUMBER / scale
    corner = np.array([low, ax.get_ylim()[0]])
    places = np.clip(spread(centres * scale, APART) / scale, corner + margin, corner + (high - low) - margin)
    outline = [withStroke(linewidth=1.6, foreground="white")]
    for label, (x, y) in zip(present, places, strict=True):
        text = str(column.looks[label].number)
        ax.text(x, y, text, fontsize=NUMBER, color=INK, weight="bold", ha="center", va="center", path_effects=outline)


def central(points: np.ndarray) -> np.ndarray:
    """Return the point with the least sum of distances to the others, of at most about 1,000 taken at even steps."""
    some = points[:: 1 + len(points) // 1000]
    return some[cdist(some, some).sum(axis=1).argmin()]


def spread(places: np.ndarray, apart: float, rounds: int = 100) -> np.ndarray:
    """Push points, shape (n, 2), that are closer than `apart` away from each other until none is or rounds end."""
    turns = np.arange(len(places)) * 2.4  # radians, all different: points in the same place part, too
    places = places + 1e-3 * apart * np.column_stack([np.cos(turns), np.sin(turns)])
    for _ in range(rounds):
        gaps = places[:, None] - places[None]
        distances = np.linalg.norm(gaps, axis=-1)
        np.fill_diagonal(distances, np.inf)
        missing = np.clip(apart - distances, 0, None)
        if not missing.any():
            break
        places += 0.5 * (gaps / distances[..., None] * missing[..., None]).sum(axis=1)
    return places
