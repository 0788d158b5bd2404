"""The evidence of a re-analysis in two pictures: the marker genes of every cluster, and the clusters on a UMAP."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from genept.annotation.marker_table import UNKNOWN
from genept.annotation.method import Analysis
from genept.annotation.signatures import LIMIT
from genept.plots import legends, scatter
from genept.plots.palette import NO_LABEL, Look, looks
from genept.plots.panels import DPI, GAP, HEADING, LINE, MARGIN, PANEL, SMALL, TEXT, TITLE, Page, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = 0.17  # inches, of the grid of dots
DOT = 0.15  # inches, the widest
BETWEEN = 0.06  # inches, between the genes of two types
LETTER = 0.058  # inches, of a text of 6.5 points
TILT = 40  # degrees, of the names of types where one is wider than its genes
SHADES = "RdBu_r"
INK = "#202020"
RULE = "#DDDDDD"
MOST_GENES = 8  # of a type that are drawn, the first of the table
KEY_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


class Block(NamedTuple):
    """The genes of one type: their columns in the analysis, and where they lie from the left, in inches."""

    cell_type: str
    columns: list[int]
    places: list[float]


class Frame(NamedTuple):
    """Where the grid of dots lies: its left and upper edge and its height in inches; and the tilt of types' names."""

    left: float
    top: float
    down: float
    tilt: float


def blocks(found: Analysis, types: dict[str, tuple[str, ...]]) -> list[Block]:
    """Lay out the genes of the types side by side, at most `MOST_GENES` of each."""
    x, made = 0.0, []
    for name, genes in types.items():
        columns = [found.genes.index(gene) for gene in genes if gene in found.genes][:MOST_GENES]
        if columns:
            made.append(Block(name, columns, [x + CELL * (i + 0.5) for i in range(len(columns))]))
            x += CELL * len(columns) + BETWEEN
    return made


def rows(found: Analysis, types: Sequence[str]) -> list[int]:
    """Order clusters by their type, as in the table and ``Unknown`` last, then by number."""
    order = {name: place for place, name in enumerate([*types, UNKNOWN])}
    return sorted(range(len(found.calls)), key=lambda cluster: (order[found.calls[cluster].cell_type], cluster))


def markers(found: Analysis, types: dict[str, tuple[str, ...]], title: str, caption: str) -> Figure:
    """Draw a dot for every cluster (rows) and marker gene: z as colour, the share of cells that have it as area.

    The genes of a cluster's type are framed; score and margin stand on the right.
    """
    drawn, order = blocks(found, types), rows(found, list(types))
    sizes = np.bincount(found.cluster, minlength=len(found.calls) + 1)[1:]
    names = [f"{found.calls[c].cell_type}, {sizes[c]:,} cells" for c in order]
    across = drawn[-1].places[-1] + CELL / 2
    down = CELL * len(order)
    n_genes = max(len(gene) for gene in found.genes)
    left = MARGIN + 0.3 + 0.052 * max(map(len, names))
    numbers_width = 1.0
    width = max(left + across + numbers_width + MARGIN, 6.2)
    title = wrapped(title, int((width - 2 * MARGIN) * 72 / (0.62 * TITLE)))
    caption = textwrap.fill(caption, int((width - 2 * MARGIN) * 72 / (0.54 * TEXT)), break_on_hyphens=False)
    tilt = 0 if all(LETTER * len(block.cell_type) <= CELL * len(block.columns) for block in drawn) else TILT
    heads = 0.15 + LETTER * max(len(block.cell_type) for block in drawn) * np.sin(np.radians(tilt))
    top = MARGIN + LINE * (2.2 + 1.2 * title.count("\n")) + heads
    below = top + down + 0.08 + 0.058 * n_genes
    key = below + 0.12
    height = key + 0.42 + LINE * (1.2 + caption.count("\n")) + MARGIN
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    page = Page(figure, width, height)
    page.text(MARGIN, MARGIN, title, TITLE, weight="bold", va="top")

    ax = figure.add_axes((left / width, 1 - (top + down) / height, across / width, down / height))
    ax.set(xlim=(0, across), ylim=(len(order), 0), xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)
    for row in range(len(order) + 1):
        ax.axhline(row, color=RULE, linewidth=0.4, zorder=0)
    for block in drawn:
        _draw_block(page, ax, block, found, order, Frame(left, top, down, tilt))
    page.text(left - 0.06, top - 0.03, "Cluster", TEXT, weight="bold", ha="right", va="bottom")
    for row, (cluster, name) in enumerate(zip(order, names, strict=True)):
        middle = top + CELL * (row + 0.5)
        colour = "#707070" if found.calls[cluster].cell_type == UNKNOWN else INK
        page.text(left - 0.28, middle, name, TEXT, ha="right", va="center_baseline", color=colour)
        page.text(left - 0.06, middle, str(cluster + 1), TEXT, weight="bold", ha="right", va="center_baseline")
        for place, value in ((0.42, found.calls[cluster].score), (0.86, found.calls[cluster].margin)):
            page.text(left + across + place, middle, f"{value:.2f}", TEXT, ha="right", va="center_baseline")
    for place, head in ((0.42, "Score"), (0.86, "Margin")):
        page.text(left + across + place, top - 0.03, head, TEXT, weight="bold", ha="right", va="bottom")
    _draw_keys(page, left, key)
    page.text(MARGIN, height - MARGIN, caption, TEXT, va="bottom", linespacing=1.3)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture as PNG with all its shades; equal pictures give equal bytes."""
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _draw_block(page: Page, ax: Axes, block: Block, found: Analysis, order: list[int], frame: Frame) -> None:
    z = found.z[np.ix_(order, block.columns)]
    shares = found.shares[np.ix_(order, block.columns)]
    x, y = np.meshgrid(block.places, np.arange(len(order)) + 0.5)
    ax.scatter(
        x.ravel(),
        y.ravel(),
        s=(DOT * 72) ** 2 * shares.ravel(),
        c=z.ravel(),
        cmap=SHADES,
        vmin=-LIMIT,
        vmax=LIMIT,
        linewidths=0.3,
        edgecolors="#606060",
    )
    first, last = block.places[0] - CELL / 2, block.places[-1] + CELL / 2
    for row, cluster in enumerate(order):
        if found.calls[cluster].cell_type == block.cell_type:
            ax.add_patch(
                Rectangle((first, row), last - first, 1, fill=False, edgecolor=INK, linewidth=0.8, clip_on=False)
            )
    for place, column in zip(block.places, block.columns, strict=True):
        bottom = frame.top + frame.down + 0.05
        page.text(frame.left + place, bottom, found.genes[column], TEXT - 0.5, rotation=90, ha="center", va="top")
    page.figure.add_artist(_line(page, frame.left + first + 0.02, frame.left + last - 0.02, frame.top - 0.05))
    middle, above = frame.left + (first + last) / 2, frame.top - 0.08
    if frame.tilt:
        style = {"rotation": frame.tilt, "rotation_mode": "anchor", "ha": "left"}
        page.text(middle - 0.02, above, block.cell_type, TEXT, va="bottom", **style)
    else:
        page.text(middle, above, block.cell_type, TEXT, va="bottom", ha="center")


def _line(page: Page, start: float, end: float, y: float) -> Line2D:
    (x0, y0), (x1, _) = page.at(start, y), page.at(end, y)
    return Line2D([x0, x1], [y0, y0], color=INK, linewidth=0.8)


def _draw_keys(page: Page, left: float, y: float) -> None:
    """Draw what colours and areas mean."""
    width = 1.2
    bar = page.figure.add_axes((*page.at(left, y + 0.2), width / page.width, 0.08 / page.height))
    bar.imshow(np.linspace(-LIMIT, LIMIT, 256)[np.newaxis], cmap=SHADES, aspect="auto", extent=(-LIMIT, LIMIT, 0, 1))
    bar.set(yticks=[], xticks=[-LIMIT, 0, LIMIT])
    bar.tick_params(labelsize=SMALL, length=2, width=0.4, pad=1)
    for spine in bar.spines.values():
        spine.set(linewidth=0.4)
    page.text(left, y + 0.06, "Mean expression, z over clusters", TEXT - 0.5, va="bottom")
    start = left + 2.0
    page.text(start, y + 0.06, "Share of cells that have the gene", TEXT - 0.5, va="bottom")
    ax = page.figure.add_axes((*page.at(start, y + 0.26), 1.5 / page.width, 0.16 / page.height))
    ax.set(xlim=(0, 1.5), ylim=(0, 0.16))
    ax.axis("off")
    places = [0.1 + 0.3 * i for i in range(len(KEY_SHARES))]
    areas = [(DOT * 72) ** 2 * share for share in KEY_SHARES]
    ax.scatter(places, [0.08] * len(places), s=areas, c="#B8B8B8", linewidths=0.3, edgecolors="#606060", clip_on=False)
    for place, share in zip(places, KEY_SHARES, strict=True):
        page.text(start + place, y + 0.28, f"{share:.0%}", SMALL, ha="center", va="top")


class Panel(NamedTuple):
    """One panel of the UMAP picture: each cell's label, shape (n_kept,), and how labels look."""

    heading: str
    labels: np.ndarray
    looks: dict[str, Look]
    numbered: bool


def umap(found: Analysis, batches: np.ndarray | None, batch: str, title: str, caption: str) -> Figure:
    """Draw the kept cells coloured by cluster, by type and, where there are several, by batch."""
    kept = found.cluster > 0
    columns = [
        Panel("Cluster", found.cluster[kept].astype(str), looks(map(str, range(1, len(found.calls) + 1))), True),
        Panel("Cell type", found.cell_types[kept], type_looks(found), False),
    ]
    if batches is not None:
        columns.append(Panel(batch.replace("_", " ").capitalize(), batches[kept], looks(batches), False))
    across = len(columns) * (PANEL + GAP) - GAP
    left = MARGIN + 0.12
    width = left + across + MARGIN
    title = wrapped(title, int(across * 72 / (0.62 * TITLE)))
    caption = textwrap.fill(caption, int(across * 72 / (0.54 * TEXT)), break_on_hyphens=False)
    figure = Figure(figsize=(width, width), dpi=DPI)
    FigureCanvasAgg(figure)  # measures text
    keys = [
        legends.fitting(
            figure,
            [(label, look) for label, look in column.looks.items() if label in set(column.labels)],
            False,
            PANEL,
            TEXT,
        )
        for column in columns
    ]
    top = MARGIN + LINE * (2.6 + 1.2 * title.count("\n"))
    below = top + PANEL + 1.2 * LINE
    height = below + max(legends.inches(key)[1] for key in keys) + LINE * (2 + caption.count("\n")) + MARGIN
    figure.set_size_inches(width, height)
    page = Page(figure, width, height)
    page.text(left, MARGIN, title, TITLE, weight="bold", va="top")
    places = found.layout[kept]
    for i, (column, key) in enumerate(zip(columns, keys, strict=True)):
        x = left + i * (PANEL + GAP)
        ax = page.square(x, top, PANEL)
        scatter.panel(ax, places, column.labels, column.looks, PANEL)
        if column.numbered:
            scatter.numbers(ax, places, column.labels, column.looks, PANEL)
        ax.set_title(column.heading, fontsize=HEADING, pad=3)
        if i == 0:
            ax.set_xlabel("UMAP 1 \u2192", loc="left", fontsize=SMALL, labelpad=1)
            ax.set_ylabel("UMAP 2 \u2192", loc="bottom", fontsize=SMALL, labelpad=1)
        key.set_bbox_to_anchor(page.at(x, below))
    page.text(left, height - MARGIN, caption, TEXT, va="bottom", linespacing=1.3)
    return figure


def type_looks(found: Analysis) -> dict[str, Look]:
    """Give every assigned type its look, ``Unknown`` a light grey and the last place."""
    names = {call.cell_type for call in found.calls} - {UNKNOWN}
    table = looks(names)
    grey = table.pop("")
    return {**table, UNKNOWN: Look(NO_LABEL, "o", grey.number)}
