"""One UMAP panel: its points, the numbers of its labels, its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.patheffects import withStroke

from genept.plots.palette import FRAME, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path

    from genept.plots.palette import Look

COVERED = 0.24  # of a panel's area, by the points laid side by side
SIZES = (0.5, 11.0)  # of a point, in square points: least and most
NUMBER = 6.0  # points, height of a number
APART = 8.0  # points, between the centres of two numbers


def panel(ax: Axes, coordinates: np.ndarray, labels: np.ndarray, looks: dict[str, Look], side: float) -> None:
    """Draw cells as points.

    Parameters
    ----------
    coordinates
        Shape (n_cells, 2).
    labels
        Shape (n_cells,), keys of `looks`.
    side
        Of the panel, in inches; it is square.
    """
    # One fixed shuffle, cells without a label at the bottom: no label lies on top because of its place in the file.
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order] != "", kind="stable")]
    size = np.clip(COVERED * (side * 72) ** 2 / max(len(labels), 1), *SIZES)
    colours = [looks[label].colour for label in labels[order]]
    x, y = coordinates[order].T
    points = ax.scatter(x, y, s=size, c=colours, linewidths=0)
    paths = {look.shape: _path(look.shape) for look in looks.values()}
    if len(paths) > 1:
        points.set_paths([paths[looks[label].shape] for label in labels[order]])
    _frame(ax, coordinates)


def numbers(ax: Axes, coordinates: np.ndarray, labels: np.ndarray, looks: dict[str, Look], side: float) -> None:
    """Write every label's number at the label's most central cell, moved a little where numbers would overlap."""
    present = [label for label in looks if label and (labels == label).any()]
    centres = np.array([_central(coordinates[labels == label]) for label in present]).reshape(-1, 2)
    low, high = ax.get_xlim()
    scale = side * 72 / (high - low)  # points per unit
    margin = NUMBER / scale
    places = spread(centres * scale, APART) / scale
    corner = np.array([low, ax.get_ylim()[0]])
    places = np.clip(places, corner + margin, corner + (high - low) - margin)
    for label, (x, y) in zip(present, places, strict=True):
        outline = [withStroke(linewidth=1.6, foreground="white")]
        text = str(looks[label].number)
        ax.text(x, y, text, fontsize=NUMBER, color=INK, weight="bold", ha="center", va="center", path_effects=outline)


def spread(places: np.ndarray, apart: float, rounds: int = 100) -> np.ndarray:
    """Push points that are closer than `apart` away from each other, in equal parts, until none is or rounds end.

    Parameters
    ----------
    places
        Shape (n_points, 2). Points in the same place part along a direction of their own.
    """
    places = places.astype(float)
    turns = np.arange(len(places)) * 2.4  # radians, all different
    places += 1e-3 * apart * np.column_stack([np.cos(turns), np.sin(turns)])
    for _ in range(rounds):
        gaps = places[:, None] - places[None]
        distances = np.sqrt((gaps**2).sum(-1))
        np.fill_diagonal(distances, np.inf)
        missing = np.clip(apart - distances, 0, None)
        if not missing.any():
            break
        places += 0.5 * (gaps / distances[..., None] * missing[..., None]).sum(axis=1)
    return places


def _frame(ax: Axes, coordinates: np.ndarray) -> None:
    """Give both axes one scale, all points room, and no ticks, since UMAP's coordinates have no unit."""
    low, high = (coordinates.min(axis=0), coordinates.max(axis=0)) if len(coordinates) else (np.zeros(2), np.ones(2))
    half = max((high - low).max() / 2 * 1.06, 1e-3)
    middle = (low + high) / 2
    ax.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, color=FRAME)


def _central(points: np.ndarray) -> np.ndarray:
    """Return the point with the least sum of distances to the others, of at most about 1,000 taken at even steps."""
    some = points[:: 1 + len(points) // 1000]
    distances = np.sqrt(((some[:, None] - some[None]) ** 2).sum(-1))
    return some[distances.sum(axis=1).argmin()]


def _path(shape: str) -> Path:
    marker = MarkerStyle(shape)
    return marker.get_path().transformed(marker.get_transform())
