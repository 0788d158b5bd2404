"""Legends outside the panels: one block per annotation, across the whole picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

    from stages.figures.palette import Look

MARKER = 4.5  # points
WITHOUT_LABEL = "no label"


def fitting(figure: Figure, entries: Sequence[tuple[str, Look]], numbered: bool, width: float, size: float) -> Legend:
    """Make a legend with as many columns as fit a width, no more than its number of lines needs.

    Parameters
    ----------
    entries
        Labels and their looks, in the order of the legend, which goes down the columns.
    numbered
        Write each label's number before it.
    width
        In inches. Labels too long even for one column are broken over lines.
    size
        Of the text, in points.
    """
    texts = [label or WITHOUT_LABEL for label, _ in entries]
    if numbered:
        texts = [f"{look.number} {text}" if label else text for text, (label, look) in zip(texts, entries, strict=True)]
    legend = _legend(figure, texts, entries, 1, size)
    excess = inches(legend)[0] / width
    if excess > 1:
        legend.remove()
        length = max(8, int(0.85 * max(map(len, texts)) / excess))
        return _legend(figure, [textwrap.fill(text, length) for text in texts], entries, 1, size)
    for n_columns in range(2, len(entries) + 1):
        if -(-len(entries) // n_columns) == -(-len(entries) // (n_columns - 1)):
            continue  # no fewer lines
        wider = _legend(figure, texts, entries, n_columns, size)
        if inches(wider)[0] > width:
            wider.remove()
            break
        legend.remove()
        legend = wider
    return legend


def inches(legend: Legend) -> tuple[float, float]:
    """Measure a legend: width and height."""
    figure = legend.get_figure(root=True)
    box = legend.get_window_extent()
    return box.width / figure.dpi, box.height / figure.dpi


def _legend(
    figure: Figure, texts: Sequence[str], entries: Sequence[tuple[str, Look]], n_columns: int, size: float
) -> Legend:
    handles = [
        Line2D([], [], linestyle="", marker=look.shape, markersize=MARKER, color=look.colour, markeredgewidth=0)
        for _, look in entries
    ]
    return figure.legend(
        handles,
        texts,
        ncols=n_columns,
        fontsize=size,
        loc="upper left",
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1,
        handletextpad=0.3,
        columnspacing=1,
        labelspacing=0.3,
    )
