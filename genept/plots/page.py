"""A page of a picture: places in inches, texts, legends as wide as the page, and the files."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rcParams, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from PIL import Image

from genept.core import files
from genept.core.text import shorten
from genept.plots.palette import COLOURS, NO_LABEL, SHARES, Look

INK, MUTED, FRAME = "#202020", "#606060", "#9A9A9A"  # texts and outlines, from dark to light

LINE, MARGIN, LEGEND_HEADING, BAR = 0.13, 0.08, 0.7, 1.2  # inches
NARROW = 4  # inches: on a page up to this width, a legend stands below its heading
TITLE, HEADING, TEXT, SMALL, MARKER = 9, 7.5, 6.5, 6, 4.5  # points; journals print no text below 6
TIGHT = {"borderpad": 0, "borderaxespad": 0, "handlelength": 1, "handletextpad": 0.3, "labelspacing": 0.3}
SPACING = 1  # between the columns of a legend, in heights of the text
LONGEST, LONGEST_LABEL = 4000, 240  # characters of a caption and of a label
DPI, PRINT = 150, 300  # of pictures on a screen, and on paper
POINTS = 400  # dots per inch of the points in a PDF
IMAGES = 1 << 30  # bytes of the images of such points, see `save_vector`
PIXELS = RendererAgg(1, 1, DPI)  # measures text as a figure does

#: Context of every picture: matplotlib's own defaults, whatever the user's are, and no text read as a formula, since
#: labels come from data.
plain_style = style.context(["default", {"text.parse_math": False}])
rcParams["text.parse_math"] = False  # of texts that are made when a picture is saved, too
warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # an emoji in a label is drawn as a box


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
        left, top = self._legend_heading(y, heading)
        width = self.width - left
        texts = [shorten(label, LONGEST_LABEL) or "no label" for label, _ in entries]
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
        legend.set_bbox_to_anchor(self.at(left, top), self.figure.transFigure)
        return top - y + size(legend)[1]

    def bar(self, y: float, heading: str, colours: Colormap, ends: tuple[str, str]) -> float:
        """Draw a bar of colours from 0 to 1 with what its ends mean; return the height in inches."""
        left, top = self._legend_heading(y, heading)
        low, high = f"0, {ends[0]}", f"1, {ends[1]}"
        text = self.figure.text(*self.at(left, top), low, fontsize=TEXT, va="top")
        box = text.get_window_extent().transformed(self.figure.dpi_scale_trans.inverted())
        left += box.width + LINE / 2
        place = (*self.at(left, top + 0.75 * LINE), BAR / self.width, 0.6 * LINE / self.width)
        bar = self.figure.add_axes(place, xticks=[], yticks=[])
        bar.pcolormesh([np.arange(colours.N)], cmap=colours)
        bar.spines[:].set_visible(False)
        self.text(left + BAR + LINE / 2, top, high, TEXT)
        return top - y + LINE

    def _legend_heading(self, y: float, heading: str) -> tuple[float, float]:
        """Write the heading of a legend; return where the legend begins: beside it, on a narrow page below."""
        self.text(0, y, heading, TEXT, weight="bold")
        return (LEGEND_HEADING, y) if self.width > NARROW else (0, y + LINE)

    def _legend(self, texts: Sequence[str], entries: Sequence[tuple[str, Look]], n_columns: int) -> Legend:
        handles = [
            Line2D([], [], linestyle="", marker=look.shape, markersize=MARKER, color=look.colour, markeredgewidth=0)
            for _, look in entries
        ]
        legend = self.figure.legend(
            handles,
            ["label"] * len(texts),
            ncols=n_columns,
            fontsize=TEXT,
            loc="upper left",
            frameon=False,
            columnspacing=SPACING,
            **TIGHT,
        )
        for line, text in zip(legend.get_texts(), texts, strict=True):
            line.set_text(text)  # matplotlib leaves labels out that begin with _
        return legend


def size(legend: Legend) -> tuple[float, float]:
    """Measure a legend in inches: width and height."""
    box = legend.get_window_extent().transformed(legend.figure.dpi_scale_trans.inverted())
    return box.width, box.height


def fill(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Break a text of a size in points into lines that fit a width in inches; cut a very long one."""
    text = shorten(text, LONGEST)
    font = FontProperties(size=size, weight=weight)
    for length in range(int(width * 72 / (0.4 * size)), 8, -1):
        lines = textwrap.wrap(text, length, break_on_hyphens=False)
        if all(PIXELS.get_text_width_height_descent(line, font, False)[0] <= width * DPI for line in lines):
            break
    return "\n".join(lines)


def save(figure: Figure, path: Path, has_shades: bool = False, dpi: int = DPI) -> None:
    """Write a picture as PNG, without date or program; in all its colours if it `has_shades`, else `few_colours`."""
    content = io.BytesIO()
    figure.savefig(content, dpi=dpi, bbox_inches=bounds(figure))
    image = Image.open(content).convert("RGB")
    with files.replacing(path) as temporary:
        (image if has_shades else few_colours(image)).save(temporary, dpi=(dpi, dpi))


def few_colours(image: Image.Image) -> Image.Image:
    """Return a picture in at most 256 colours, which takes a third of the space.

    They are those of labels, of shares and of greys, and their mixtures with white, which smooth edges. Pillow's own
    choice would lose the colour of a label with few cells.
    """
    inks = np.array([to_rgb(ink) for ink in (*COLOURS, NO_LABEL, *SHARES(range(SHARES.N)))])
    mixtures = 1 - np.linspace(1, 0.15, 9)[:, None, None] * (1 - inks)
    greys = np.repeat(np.append(np.linspace(0, 0.92, 50), 1)[:, None], 3, axis=1)  # Pillow takes one near white for it
    table = Image.new("P", (1, 1))
    table.putpalette(np.rint(255 * np.concatenate([mixtures.reshape(-1, 3), greys])).astype(np.uint8).tobytes())
    return image.quantize(palette=table, dither=Image.Dither.NONE)


def save_vector(figure: Figure, path: Path) -> None:
    """Write a picture as PDF with texts as fonts, without date or program.

    Of each group of points matplotlib holds an image of the whole page until the end, so many groups are drawn coarser.
    """
    metadata = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    n_images = sum(bool(artist.get_rasterized()) for artist in figure.findobj())
    n_bytes = 4 * n_images * figure.get_figwidth() * figure.get_figheight()  # at one dot per inch
    dpi = min(POINTS, (IMAGES / max(1, n_bytes)) ** 0.5)
    with files.replacing(path) as temporary, style.context({"pdf.fonttype": 42}):
        figure.savefig(temporary, format="pdf", dpi=dpi, bbox_inches=bounds(figure), metadata=metadata)


def bounds(figure: Figure) -> Bbox:
    """Return what a file shows, in inches: the figure's whole width, so that it prints at that, and all contents."""
    box = figure.get_tightbbox()  # measured here, since "tight" would draw twice
    return Bbox([[min(box.x0, 0), box.y0], [max(box.x1, figure.get_figwidth()), box.y1]]).padded(MARGIN)
