"""Legends outside the panels: one block per annotation, across the whole picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

    from genept.plots.palette import Look

MARKER = 4.5  # points
SPACING = 1  # between columns, in heights of the text
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
    one = inches(legend)[0]
    if one > width:
        legend.remove()
        length = max(8, int(0.85 * max(map(len, texts)) * width / one))
        return _legend(figure, [textwrap.fill(text, length) for text in texts], entries, 1, size)
    for n_columns in _candidates(len(entries), at_least=int(width / (one + SPACING * size / 72))):
        wider = _legend(figure, texts, entries, n_columns, size)
        if inches(wider)[0] > width:
            wider.remove()
            break
        legend.remove()
        legend = wider
    return legend


def _candidates(n_entries: int, at_least: int) -> list[int]:
    """List the numbers of columns worth trying: the least for each number of lines, from `at_least`, which fits, on."""
    least = {-(-n_entries // n_columns): n_columns for n_columns in range(n_entries, 0, -1)}
    at_least = least[-(-n_entries // min(max(at_least, 1), n_entries))]
    return [n_columns for n_columns in sorted(least.values()) if n_columns >= at_least]


def inches(legend: Legend) -> tuple[float, float]:
    """Measure a legend: width and height."""
    box = legend.get_window_extent().transformed(legend.figure.dpi_scale_trans.inverted())
    return box.width, box.height


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
        columnspacing=SPACING,
        labelspacing=0.3,
    )
