"""A page of a picture: how labels look, places in inches, texts, legends as wide as the page, and the file.

A label's look depends on the dataset's complete set of labels, never on which cells are drawn, so it is the same in
every picture of the dataset.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from PIL import Image

from genept.core import files

# Six colours of Okabe and Ito, then six more, each chosen as far as possible from all before it in OKLab under normal,
# protan, deutan and tritan vision (Machado et al. 2009), and dark enough for small points on white.
COLOURS = tuple(
    "#0072B2 #E69F00 #009E73 #D55E00 #56B4E9 #CC79A7 #581000 #000098 #903828 #604070 #9868F8 #B0C098".split()
)
SHAPES = ("o", "^", "s", "D", "v", "P")  # matplotlib's marker names
NO_LABEL = "#B8B8B8"
INK, MUTED, FRAME = "#202020", "#606060", "#9A9A9A"  # texts and outlines, from dark to light
DIVERGING = "RdBu_r"  # matplotlib's name: blue below the mean, red above

LINE, MARGIN, LEGEND_HEADING = 0.13, 0.08, 0.7  # inches
TITLE, HEADING, TEXT, SMALL, MARKER = 9, 7.5, 6.5, 5, 4.5  # points
TIGHT = {"borderpad": 0, "borderaxespad": 0, "handlelength": 1, "handletextpad": 0.3, "labelspacing": 0.3}
SPACING = 1  # between the columns of a legend, in heights of the text
DPI = 150

#: Context of every picture: matplotlib's own defaults, whatever the user's are, and no text read as a formula, since
#: labels come from data.
plain_style = style.context(["default", {"text.parse_math": False}])


class Look(NamedTuple):
    """How the cells of one label are drawn; the number is the label's place among all of the dataset, from 1."""

    colour: str
    shape: str
    number: int


def looks(labels: Iterable[str], no_label: str = "") -> dict[str, Look]:
    """Give every label its look: the first 12 by name differ in colour, each further 12 have the next shape.

    Takes the labels of all cells of the dataset. The result is in the order of the names, numbers within them by value
    (P2 before P10). `no_label`, of cells without a label, is light grey and comes last, whether a cell has it or not.
    """
    names = sorted(set(labels) - {no_label}, key=by_name)
    shapes = [shape for shape in SHAPES for _ in COLOURS]
    table = {name: Look(COLOURS[i % len(COLOURS)], shapes[i % len(shapes)], i + 1) for i, name in enumerate(names)}
    return {**table, no_label: Look(NO_LABEL, "o", len(names) + 1)}


def by_name(label: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return the key that sorts a label by its words and the values of its numbers."""
    parts = re.split(r"([0-9]+)", label.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], label


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
