"""The picture of an embedding under that of the expression: two rows of UMAP panels, one column per annotation."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from genept.core import files
from genept.plots import legends, scatter
from genept.plots.palette import Look, looks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# Inches; three columns fill the width of a printed page.
PANEL = 2.2
GAP = 0.12
MARGIN = 0.08
LINE = 0.13
AXIS = 0.12
LEGEND_HEADING = 0.7
DPI = 150

# Points.
TITLE = 9
HEADING = 7.5
TEXT = 6.5
SMALL = 5

KINDS = ("phenotype", "disease", "cancer_type")  # the first of these that exists makes the first column
HEADINGS = {
    "phenotype": "Phenotype",
    "disease": "Disease",
    "cancer_type": "Cancer type",
    "cell_type": "Cell type",
    "patient": "Patient",
}
NUMBERED_FROM = 9  # this many labels are also numbered in the panels; patients, who lie everywhere, are not


class Row(NamedTuple):
    """A row of panels: what is laid out, and where its cells lie, shape (n_drawn, 2)."""

    title: str
    coordinates: np.ndarray


class Column(NamedTuple):
    """A column of panels: the labels of the drawn cells, shape (n_drawn,), and how they look."""

    heading: str
    labels: np.ndarray
    looks: dict[str, Look]
    numbered: bool

    def entries(self) -> list[tuple[str, Look]]:
        """Return the labels that are drawn, with their looks."""
        drawn = set(self.labels)
        return [(label, look) for label, look in self.looks.items() if label in drawn]


class Page(NamedTuple):
    """A figure addressed in inches from its left and upper edge."""

    figure: Figure
    width: float
    height: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Give a place in the figure's own terms, fractions from the left and the lower edge."""
        return x / self.width, 1 - y / self.height

    def text(self, x: float, y: float, text: str, size: float, **style: Any) -> None:
        """Write a text of a size in points."""
        self.figure.text(*self.at(x, y), text, fontsize=size, **style)

    def square(self, x: float, y: float, side: float) -> Axes:
        """Make axes with their upper left corner at a place."""
        return self.figure.add_axes((*self.at(x, y + side), side / self.width, side / self.height))


def shown(obs: pd.DataFrame) -> list[str]:
    """Choose the columns as in Figure 3: phenotype (or its like), cell type and patient, those that exist."""
    kind = [name for name in KINDS if name in obs][:1]
    return kind + [name for name in ("cell_type", "patient") if name in obs]


def draw(rows: Sequence[Row], obs: pd.DataFrame, drawn: np.ndarray, title: str, caption: str) -> Figure:
    """Draw a picture.

    Parameters
    ----------
    rows
        From top to bottom, with the coordinates of the drawn cells.
    obs
        Annotations of all cells of the dataset, so that a label looks the same whichever cells are drawn.
    drawn
        Rows of `obs`, in the order of the coordinates.
    title, caption
        Printed above the panels, and below the legends.
    """
    columns = [_column(name, obs[name].to_numpy(dtype=str), drawn) for name in shown(obs)]
    if any(column.numbered for column in columns):
        caption += " A number is at the label's most central cell."
    row_titles = [wrapped(row.title, 36) for row in rows]
    left = MARGIN + AXIS + LINE * max(1 + text.count("\n") for text in row_titles)
    across = len(columns) * (PANEL + GAP) - GAP
    title = wrapped(title, int(across * 72 / (0.65 * TITLE)))
    caption = textwrap.fill(caption, int(across * 72 / (0.54 * TEXT)), break_on_hyphens=False)

    width = left + across + MARGIN
    figure = Figure(figsize=(width, width), dpi=DPI)
    FigureCanvasAgg(figure)  # measures text
    keys = [
        legends.fitting(figure, column.entries(), column.numbered, across - LEGEND_HEADING, TEXT) for column in columns
    ]
    key_heights = [legends.inches(legend)[1] + LINE / 2 for legend in keys]
    top = MARGIN + LINE * (2.6 + 1.2 * title.count("\n"))
    below = top + len(rows) * (PANEL + GAP) + LINE / 2
    height = below + sum(key_heights) + LINE * (1.5 + caption.count("\n")) + MARGIN
    figure.set_size_inches(width, height)
    page = Page(figure, width, height)

    page.text(left, MARGIN, title, TITLE, weight="bold", va="top")
    for i, row in enumerate(rows):
        _draw_row(page, left, top + i * (PANEL + GAP), row, columns, first=i == 0)
        middle = top + i * (PANEL + GAP) + PANEL / 2
        page.text(left - AXIS, middle, row_titles[i], HEADING, rotation=90, ha="right", va="center", ma="center")
    for column, legend, key_height in zip(columns, keys, key_heights, strict=True):
        page.text(left, below, column.heading, TEXT, weight="bold", va="top")
        legend.set_bbox_to_anchor(page.at(left + LEGEND_HEADING, below))
        below += key_height
    page.text(left, height - MARGIN, caption, TEXT, va="bottom", linespacing=1.3)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG with 256 colours, which keep the labels' own and take a third of the space."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with files.replacing(path) as temporary:
        image.save(temporary, dpi=(DPI, DPI))


def wrapped(text: str, length: int) -> str:
    """Break a text into lines of at most `length` characters: as few as possible, and nearly equal in length."""
    n_lines = len(textwrap.wrap(text, length, break_on_hyphens=False))
    while length > 1 and len(textwrap.wrap(text, length - 1, break_on_hyphens=False)) == n_lines:
        length -= 1
    return textwrap.fill(text, length, break_on_hyphens=False)


def _draw_row(page: Page, left: float, top: float, row: Row, columns: Sequence[Column], first: bool) -> None:
    for j, column in enumerate(columns):
        ax = page.square(left + j * (PANEL + GAP), top, PANEL)
        scatter.panel(ax, row.coordinates, column.labels, column.looks, PANEL)
        if column.numbered:
            scatter.numbers(ax, row.coordinates, column.labels, column.looks, PANEL)
        if first:
            ax.set_title(column.heading, fontsize=HEADING, pad=3)
        if j == 0:
            ax.set_xlabel("UMAP 1 \u2192", loc="left", fontsize=SMALL, labelpad=1)
            ax.set_ylabel("UMAP 2 \u2192", loc="bottom", fontsize=SMALL, labelpad=1)


def _column(name: str, labels: np.ndarray, drawn: np.ndarray) -> Column:
    table = looks(labels)
    n_labels = len(table) - 1
    return Column(
        heading=HEADINGS[name],
        labels=labels[drawn],
        looks=table,
        numbered=name != "patient" and n_labels >= NUMBERED_FROM,
    )
