"""Pictures of scores: differences of all pairs of models as matrices, and ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genept.plots.page import (
    FRAME,
    HEADING,
    INK,
    LINE,
    MUTED,
    SMALL,
    TEXT,
    TIGHT,
    TITLE,
    Page,
    fill,
    plain_style,
    size,
)
from genept.plots.palette import DIVERGING, NO_LABEL, ModelLook

NAMES, CELL, BAR, GAP = 1.45, 0.165, 0.5, 0.25  # inches: width of names, side of a cell, colour bar with its numbers
PANEL, AXIS = 2.9, 0.45  # inches: a panel of curves, and what its axis takes
LINES: dict[str, dict[str, Any]] = {  # by the fill of a model's look
    "full": {"linewidth": 1.2, "linestyle": "-"},
    "hollow": {"linewidth": 1.2, "linestyle": (0, (4, 1.5))},
    "half": {"linewidth": 1.2, "linestyle": (0, (1, 1))},
    "thin": {"linewidth": 0.9, "linestyle": "-"},
}


class Matrix(NamedTuple):
    """Differences of one score: `values` of the row's model less the column's, shape (n, n), NaN where not tested.

    `stars` marks the pairs that differ, adjusted over all pairs; `note` is printed below the title. Colours reach
    their ends at `limit`, differences beyond have the same.
    """

    title: str
    note: str
    models: list[str]
    values: np.ndarray
    stars: np.ndarray
    limit: float


class Curve(NamedTuple):
    """One line: x and y from 0 to 1, of a model and in its look."""

    model: str
    look: ModelLook
    x: np.ndarray
    y: np.ndarray


class Curves(NamedTuple):
    """The two panels of one classifier; `share` are the positives among the cells, where a constant answer lies."""

    title: str
    roc: list[Curve]
    precision_recall: list[Curve]
    share: float


@plain_style
def differences(matrices: Sequence[Matrix], title: str, caption: str) -> Figure:
    """Draw the matrices in two columns, the caption below."""
    n = max(len(matrix.models) for matrix in matrices)
    width_of_panel, height_of_panel = NAMES + n * CELL + BAR, n * CELL + 4.5 * LINE
    width = 2 * width_of_panel + GAP
    page = Page(width)
    page.text(0, -1.5 * LINE, fill(title, width, TITLE, "bold"), TITLE, weight="bold", va="bottom")
    for i, matrix in enumerate(matrices):
        left, top = (i % 2) * (width_of_panel + GAP), i // 2 * height_of_panel
        page.text(left + NAMES, top, matrix.title, HEADING, weight="bold")
        page.text(left + NAMES, top + LINE, matrix.note, SMALL, color=MUTED)
        side = len(matrix.models) * CELL
        draw_matrix(page, page.square(left + NAMES, top + 2 * LINE, side), matrix, left + NAMES + side, top + 2 * LINE)
    below = -(-len(matrices) // 2) * height_of_panel
    page.text(0, below, fill(caption, width, TEXT), TEXT, linespacing=1.3)
    return page.figure


def draw_matrix(page: Page, ax: Axes, matrix: Matrix, right: float, top: float) -> None:
    """Draw one matrix with its colour bar, on a scale that is as long on either side of zero."""
    n = len(matrix.models)
    limit, norm = matrix.limit, Normalize(-matrix.limit, matrix.limit, clip=True)
    colours = colormaps[DIVERGING].with_extremes(bad=NO_LABEL)
    cells = colours(norm(np.ma.masked_invalid(matrix.values)))
    cells[np.eye(n, dtype=bool)] = 1  # white
    ax.imshow(cells, interpolation="nearest")
    i, j = np.nonzero(matrix.stars)
    is_dark = np.abs(matrix.values[i, j]) > 0.6 * limit
    ax.scatter(j, i, s=9, marker=(6, 2, 0), color=np.where(is_dark, "white", INK), linewidths=0.7)
    between = np.arange(n - 1) + 0.5
    ax.hlines(between, -0.5, n - 0.5, color="white", linewidth=0.4)
    ax.vlines(between, -0.5, n - 0.5, color="white", linewidth=0.4)
    names = [f"{name} {i}" for i, name in enumerate(matrix.models, start=1)]
    ax.set_xticks(range(n), map(str, range(1, n + 1)), fontsize=SMALL)
    ax.set_yticks(range(n), names, fontsize=SMALL)
    ax.tick_params(length=0, pad=2)
    frame(ax)
    if np.isnan(matrix.values).all():
        return
    height = min(1.4, n * CELL)
    bar = page.figure.add_axes((*page.at(right + 0.08, top + height), 0.08 / page.width, height / page.width))
    page.figure.colorbar(ScalarMappable(norm, colours), cax=bar)
    bar.set_yticks((-limit, 0, limit), (f"\u2212{limit:.2f}", "0", f"+{limit:.2f}"))
    bar.tick_params(labelsize=SMALL, length=1.5, width=0.5, pad=1.5)
    bar.spines[:].set(linewidth=0.5, color=FRAME)


@plain_style
def curves(rows: Sequence[Curves], title: str, caption: str) -> Figure:
    """Draw a row of two panels for each classifier, one legend and the caption below."""
    width = 2 * (PANEL + AXIS) + GAP
    page = Page(width)
    page.text(0, -1.5 * LINE, fill(title, width, TITLE, "bold"), TITLE, weight="bold", va="bottom")
    looks = {curve.model: {"color": curve.look.colour, **LINES[curve.look.fill]} for row in rows for curve in row.roc}
    for i, row in enumerate(rows):
        top = i * (PANEL + AXIS + 2.5 * LINE)
        page.text(0, top, row.title, HEADING, weight="bold")
        panels = (
            (row.roc, "False positive rate", "True positive rate (recall)", ((0, 1), (0, 1))),
            (row.precision_recall, "Recall", "Precision", ((0, 1), (row.share, row.share))),
        )
        for j, (lines, x, y, constant) in enumerate(panels):
            ax = page.square(AXIS + j * (PANEL + AXIS + GAP), top + 1.5 * LINE, PANEL)
            ax.plot(*constant, color=FRAME, linewidth=0.8, linestyle=(0, (2, 2)))
            for curve in lines:
                order = 1.5 if curve.look.fill == "thin" else 2  # below the others
                ax.plot(curve.x, curve.y, zorder=order, **looks[curve.model])
            ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
            ax.set_xlabel(x, fontsize=TEXT, labelpad=2)
            ax.set_ylabel(y, fontsize=TEXT, labelpad=2)
            ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=2)
            frame(ax)
    handles = [Line2D([], [], **look) for look in looks.values()]
    handles.append(Line2D([], [], color=FRAME, linestyle=(0, (2, 2)), linewidth=1))
    names = [*looks, "constant answer (majority)"]
    below = len(rows) * (PANEL + AXIS + 2.5 * LINE)
    legend = page.figure.legend(
        handles, names, ncols=3, fontsize=TEXT, loc="upper left", frameon=False, **{**TIGHT, "handlelength": 2.6}
    )
    legend.set_bbox_to_anchor(page.at(0, below), page.figure.transFigure)
    page.text(0, below + size(legend)[1] + LINE, fill(caption, width, TEXT), TEXT, linespacing=1.3)
    return page.figure


def frame(ax: Axes) -> None:
    """Draw thin grey outlines."""
    ax.spines[:].set(linewidth=0.5, color=FRAME)
