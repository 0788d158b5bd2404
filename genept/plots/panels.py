"""UMAP panels: a row per layout, a column per annotation, a legend of each annotation below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from genept.plots import scatter
from genept.plots.page import HEADING, LINE, SMALL, Page, fill, plain_style
from genept.plots.palette import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Inches; three columns fill the width of a printed page.
PANEL = 2.2
GAP = 0.12


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


@plain_style
def draw(rows: Sequence[Row], columns: Sequence[Column], title: str, caption: str) -> Figure:
    """Draw a picture: `title` above the panels, `caption` below the legends."""
    width = len(columns) * (PANEL + GAP) - GAP
    page = Page(width)
    page.title(0, title, width)
    if any(column.numbered for column in columns):
        caption += " A number is at the label's most central cell."
    for i, row in enumerate(rows):
        top = i * (PANEL + GAP)
        heading = fill(row.title, PANEL, HEADING)
        page.text(-GAP, top + PANEL / 2, heading, HEADING, rotation=90, ha="right", va="center", ma="center")
        for j, column in enumerate(columns):
            ax = page.square(j * (PANEL + GAP), top, PANEL)
            scatter.panel(ax, row.coordinates, column.labels, column.looks, PANEL)
            if column.numbered:
                scatter.numbers(ax, row.coordinates, column.labels, column.looks, PANEL)
            if i == 0:
                ax.set_title(column.heading, fontsize=HEADING, pad=3)
            if j == 0:
                ax.set_xlabel("UMAP 1 \u2192", loc="left", fontsize=SMALL, labelpad=1)
                ax.set_ylabel("UMAP 2 \u2192", loc="bottom", fontsize=SMALL, labelpad=1)
    below = len(rows) * (PANEL + GAP) + LINE / 2
    for column in columns:
        below += page.legend(0, below, column.heading, column.entries(), width) + LINE / 2
    page.caption(0, below + LINE, caption, width)
    return page.figure
