"""A page of a picture: places in inches, texts, legends as wide as the page, and the file."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from genept.core import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

    from genept.plots.palette import Look

LINE, MARGIN, LEGEND_HEADING = 0.13, 0.08, 0.7  # inches
TITLE, HEADING, TEXT, SMALL, MARKER = 9, 7.5, 6.5, 5, 4.5  # points
TIGHT = {"borderpad": 0, "borderaxespad": 0, "handlelength": 1, "handletextpad": 0.3, "labelspacing": 0.3}
SPACING = 1  # between the columns of a legend, in heights of the text
DPI = 150

#: Context of every picture: matplotlib's own defaults, whatever the user's are, and no text read as a formula, since
#: labels come from data.
plain_style = style.context(["default", {"text.parse_math": False}])


class Page:
    """A figure whose contents are placed in inches from its upper left corner; it grows with them when it is saved."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.figure = Figure(figsize=(width, width), dpi=DPI)
        FigureCanvasAgg(self.figure)  # measures text

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return a place as the figure counts, in fractions from the lower left corner."""
        return x / self.width, 1 - y / self.width

    def text(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """Write a text of a size in points, its upper left corner at a place unless `options` say another."""
        self.figure.text(*self.at(x, y), text, fontsize=size, **{"va": "top", **options})

    def square(self, x: float, y: float, side: float) -> Axes:
        """Make axes with their upper left corner at a place."""
        return self.figure.add_axes((*self.at(x, y + side), side / self.width, side / self.width))

    def legend(self, y: float, heading: str, entries: Sequence[tuple[str, Look]]) -> float:
        """Write labels with their looks beside a heading, down the columns; return the height in inches.

        The legend has as many columns of its widest label as fit. Labels too long for one column are broken over lines.
        """
        width = self.width - LEGEND_HEADING
        self.text(0, y, heading, TEXT, weight="bold")
        texts = [label or "no label" for label, _ in entries]
        longest = sorted(texts, key=len)[-5:]  # to measure all takes longer than to draw the picture
        probe = self._legend(longest, entries[: len(longest)], 1)
        widest = size(probe)[0]
        probe.remove()
        if widest > width:
            length = max(8, int(0.85 * max(map(len, texts)) * width / widest))
            texts = [textwrap.fill(text, length) for text in texts]
        n_columns = max(1, int((width + SPACING * TEXT / 72) / (widest + SPACING * TEXT / 72)))
        n_lines = -(-len(entries) // n_columns)
        legend = self._legend(texts, entries, -(-len(entries) // n_lines))
        legend.set_bbox_to_anchor(self.at(LEGEND_HEADING, y), self.figure.transFigure)
        return size(legend)[1]

    def _legend(self, texts: Sequence[str], entries: Sequence[tuple[str, Look]], n_columns: int) -> Legend:
        handles = [
            Line2D([], [], linestyle="", marker=look.shape, markersize=MARKER, color=look.colour, markeredgewidth=0)
            for _, look in entries
        ]
        return self.figure.legend(
            handles,
            texts,
            ncols=n_columns,
            fontsize=TEXT,
            loc="upper left",
            frameon=False,
            columnspacing=SPACING,
            **TIGHT,
        )


def size(legend: Legend) -> tuple[float, float]:
    """Measure a legend in inches: width and height."""
    box = legend.get_window_extent().transformed(legend.figure.dpi_scale_trans.inverted())
    return box.width, box.height


def fill(text: str, width: float, size: float) -> str:
    """Break a text of a size in points into lines that fit a width in inches."""
    return textwrap.fill(text, max(8, int(width * 72 / (0.56 * size))), break_on_hyphens=False)


def save(figure: Figure, path: Path, has_shades: bool = False) -> None:
    """Write a picture as PNG, without date or program.

    It has 256 colours, which keep those of the labels and take a third of the space; all colours if it `has_shades`.
    """
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, bbox_inches=figure.get_tightbbox().padded(MARGIN))  # "tight" would draw twice
    image = Image.open(content).convert("RGB")
    if not has_shades:
        image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    with files.replacing(path) as temporary:
        image.save(temporary, dpi=(DPI, DPI))
