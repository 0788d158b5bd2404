"""UMAP panels at the widths of a journal: all models in one grid, and many labels one by one; Figures 3 and D8."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.patheffects import withStroke
from scipy.spatial.distance import cdist

from genept.core.params import Plot
from genept.core.text import shorten
from genept.plots.layouts import Column, Layout, caption, legend_caption, mixing
from genept.plots.page import (
    DPI,
    FRAME,
    INK,
    LINE,
    LONGEST_LABEL,
    MARGIN,
    MUTED,
    SMALL,
    TEXT,
    TITLE,
    Page,
    fill,
    plain_style,
)
from genept.plots.palette import COLOURS, SHARES

FULL, NARROW = 180 / 25.4 - 2 * MARGIN, 85 / 25.4 - 2 * MARGIN  # inches: what a page and a column of a journal hold
LEAST, MOST, TILE = 0.95, 2.3, 0.8  # inches: side of a panel, and of one label's
GAP, BETWEEN = 0.04, 0.14  # inches: between the panels of a model, and between models
COVERED = 0.24  # of a panel's area, by the points laid side by side
SIZES = (0.5, 11.0)  # of a point, in square points: least and most
NUMBER, APART = 6.0, 7.5  # points: height of a number, and distance of the centres of two
OTHERS = "#DADADA"


def of_models(
    layouts: Sequence[Layout], columns: Sequence[Column], title: str, about: str, settings: Plot
) -> dict[str, Figure]:
    """Draw all models by all annotations, the width of a page, and by one of them, the width of a column."""
    if not columns:
        return {}
    words = caption(about, layouts, settings)
    one = next((column for column in columns if column.name == "cell_type"), columns[0])
    figures = pictures(layouts, columns, title, words, "all_models")
    return {**figures, one.name: grid(layouts, [one], title, words, NARROW)}


def pictures(
    layouts: Sequence[Layout], columns: Sequence[Column], title: str, words: str, name: str
) -> dict[str, Figure]:
    """Draw the grid of all layouts, called `name`, and annotations with many labels one by one in the first layout."""
    figures = {name: grid(layouts, columns, title, words)}
    for column in columns:
        if column.is_mixing and column.apart:
            figures[f"{column.name}_one_by_one"] = one_by_one(layouts[0], column, title, words)
    return figures


@plain_style
def grid(layouts: Sequence[Layout], columns: Sequence[Column], title: str, words: str, width: float = FULL) -> Figure:
    """Draw a panel for each layout and column: `title` above the panels, legends and `words` below them."""
    page = Page(width)
    titles = [layout.title for layout in layouts]
    blocks, below = place(page, title, titles, [heading_of(column) if len(columns) > 1 else "" for column in columns])
    for layout, axes in zip(layouts, blocks, strict=True):
        coordinates = layout.coordinates[layout.drawn]
        for column, ax in zip(columns, axes, strict=True):
            labels = column.labels[layout.drawn]
            side = frame(ax, coordinates)
            if column.is_mixing:
                draw_mixing(ax, coordinates, mixing(layout.space, labels), side)
                continue
            draw_cells(ax, coordinates, labels, column, side)
            if column.numbered:
                draw_numbers(ax, coordinates, labels, column, side)
    drawn = np.unique(np.concatenate([layout.drawn for layout in layouts]))
    for column in columns:
        if column.is_mixing:
            below += page.bar(below, column.heading, SHARES, (f"all of one {column.heading.lower()}", "as at random"))
        else:
            below += page.legend(below, column.heading, column.entries(drawn))
        below += LINE / 2
    write_caption(page, below, f"{words} {legend_caption(columns)}")
    return page.figure


@plain_style
def one_by_one(layout: Layout, column: Column, title: str, words: str) -> Figure:
    """Draw a panel for each label: its cells coloured, all others light grey."""
    page = Page(FULL)
    labels, coordinates = column.labels[layout.drawn], layout.coordinates[layout.drawn]
    shown = [(label, look) for label, look in column.looks.items() if (labels == label).any()]
    titles = [f"{shorten(label, LONGEST_LABEL) or 'no label'} ({(labels == label).sum():,})" for label, _ in shown]
    blocks, below = place(
        page, ", ".join(filter(None, [f"{title}: {column.heading.lower()}", layout.title])), titles, [""], TILE
    )
    for (label, _), (ax,) in zip(shown, blocks, strict=True):
        side = frame(ax, coordinates)
        size = point_size(side, len(labels))
        order = np.argsort(labels == label, kind="stable")  # its own cells last, upon the others
        own = labels[order] == label
        colours, sizes = np.array([OTHERS, COLOURS[0]])[own.astype(int)], np.where(own, 2 * size, size)
        x, y = coordinates[order].T
        ax.scatter(x, y, s=sizes, c=colours, linewidths=0, rasterized=True)
    write_caption(page, below, f"{words} In brackets: cells with the label, which are coloured.")
    return page.figure


def place(
    page: Page, title: str, titles: Sequence[str], headings: Sequence[str], least: float = LEAST
) -> tuple[list[list[Axes]], float]:
    """Make panels in rows of blocks, a block for each of `titles` with a panel for each of `headings`.

    As many blocks stand side by side as can have panels of the `least` side, all rows equally full. Returns the axes of
    each block, and where the panels end.
    """
    n = len(headings)
    page.text(0, -LINE, fill(title, page.width, TITLE, "bold"), TITLE, weight="bold", va="bottom")
    most = max(1, int((page.width + BETWEEN) / (n * (least + GAP) - GAP + BETWEEN)))
    n_rows = -(-len(titles) // most)
    across = -(-len(titles) // n_rows)
    side = min(MOST, ((page.width + BETWEEN) / across - BETWEEN + GAP) / n - GAP)
    width = n * (side + GAP) - GAP
    blocks: list[list[Axes]] = []
    top = 0.0
    for start in range(0, len(titles), across):
        wrapped = [fill(text, width, TEXT) for text in titles[start : start + across]]
        n_lines = max(text.count("\n") + bool(text) for text in wrapped)
        top += n_lines * LINE + (LINE if start == 0 and any(headings) else 0)
        for i, text in enumerate(wrapped):
            left = i * (width + BETWEEN)
            over = top - (LINE if start == 0 and any(headings) else 0) - LINE / 3
            page.text(left, over, text, TEXT, va="bottom", linespacing=1.15)
            blocks.append([page.square(left + j * (side + GAP), top, side) for j in range(n)])
            for ax, heading in zip(blocks[-1], headings if start == 0 else (), strict=False):
                ax.set_title(heading, fontsize=SMALL, pad=2, color=MUTED)
        top += side + LINE
    return blocks, top


def heading_of(column: Column) -> str:
    """Return what stands above the panels of a column."""
    return f"{column.heading}, mixing" if column.is_mixing else column.heading


def write_caption(page: Page, below: float, text: str) -> None:
    """Write the caption at the foot of the page."""
    page.text(0, below + LINE / 2, fill(text.strip(), page.width, SMALL), SMALL, linespacing=1.3)


def frame(ax: Axes, coordinates: np.ndarray) -> float:
    """Give axes one scale and no ticks, since UMAP's coordinates have no unit; return their side in points."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    half = max((high - low).max() / 2 * 1.06, 1e-3)
    x, y = (low + high) / 2
    ax.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[])
    ax.spines[:].set(linewidth=0.5, color=FRAME)
    return 72 * ax.get_window_extent().width / DPI


def point_size(side: float, n_cells: int) -> float:
    """Return the area of a point, in square points."""
    return float(np.clip(COVERED * side**2 / n_cells, *SIZES))


def draw_cells(ax: Axes, coordinates: np.ndarray, labels: np.ndarray, column: Column, side: float) -> None:
    """Draw cells as points in the looks of their labels."""
    # One fixed shuffle, cells without a label at the bottom: no label lies on top because of its place in the file.
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order] != column.no_label, kind="stable")]
    shown = [column.looks[label] for label in labels[order]]
    x, y = coordinates[order].T
    size = point_size(side, len(labels))
    points = ax.scatter(x, y, s=size, c=[look.colour for look in shown], linewidths=0, rasterized=True)
    markers = {look.shape: MarkerStyle(look.shape) for look in column.looks.values()}
    if len(markers) > 1:
        paths = {shape: marker.get_path().transformed(marker.get_transform()) for shape, marker in markers.items()}
        points.set_paths([paths[look.shape] for look in shown])


def draw_mixing(ax: Axes, coordinates: np.ndarray, mixed: np.ndarray, side: float) -> None:
    """Draw cells by how well labels are mixed around them, the median in the corner."""
    order = np.random.default_rng(0).permutation(len(mixed))
    x, y = coordinates[order].T
    size = point_size(side, len(mixed))
    ax.scatter(x, y, s=size, c=mixed[order], cmap=SHARES, vmin=0, vmax=1, linewidths=0, rasterized=True)
    write(ax, 0.03, 0.97, f"{np.median(mixed):.2f}", va="top", transform=ax.transAxes)


def draw_numbers(ax: Axes, coordinates: np.ndarray, labels: np.ndarray, column: Column, side: float) -> None:
    """Write every label's number at the label's most central cell, moved a little where numbers would overlap."""
    present = [label for label in column.looks if label != column.no_label and (labels == label).any()]
    centres = np.array([central(coordinates[labels == label]) for label in present]).reshape(-1, 2)
    low, high = ax.get_xlim()
    scale = side / (high - low)  # points per unit
    margin = NUMBER / scale
    corner = np.array([low, ax.get_ylim()[0]])
    places = np.clip(spread(centres * scale, APART) / scale, corner + margin, corner + (high - low) - margin)
    for label, (x, y) in zip(present, places, strict=True):
        write(ax, x, y, str(column.looks[label].number), ha="center", va="center")


def write(ax: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Write a number with a white outline, so that it is readable on points."""
    outline = [withStroke(linewidth=1.6, foreground="white")]
    ax.text(x, y, text, fontsize=NUMBER, color=INK, weight="bold", path_effects=outline, **options)


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
