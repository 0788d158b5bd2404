"""The summary picture: for each dataset the main scores of all rows, with ranges, floors and a band of the controls."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genept.core import files
from genept.plots.page import HEADING, SMALL, TEXT, plain_style
from genept.plots.palette import ModelLook

ROW, PANEL, NAMES, GAP, HEAD, FOOT = 0.155, 2.6, 1.4, 0.2, 0.42, 0.4  # inches
MARKERS = {"full": "full", "hollow": "none", "half": "left", "thin": "full"}  # matplotlib's fill styles


class Line(NamedTuple):
    """The score of one row; `low` and `high` are None where it has no range."""

    model: str
    kind: str
    value: float
    low: float | None
    high: float | None


class Panel(NamedTuple):
    """One score of all rows; the floor is what an answer without knowledge reaches."""

    title: str
    lines: list[Line]
    floor: float
    is_lower_better: bool = False

    @property
    def band(self) -> tuple[float, float] | None:
        """Where the controls lie, with their ranges; None without controls."""
        controls = [line for line in self.lines if line.kind == "controls"]
        ends = [end for line in controls for end in (line.value, line.low, line.high) if end is not None]
        return (min(ends), max(ends)) if ends else None


class Theme(NamedTuple):
    """Colours of texts, lines and the band; the background is that of the page that shows the picture."""

    ink: str
    muted: str
    band: str


THEMES = {"light": Theme("#202020", "#606060", "#E4E6E9"), "dark": Theme("#E8EAED", "#A7B0BA", "#343B45")}


@plain_style
def draw(datasets: Mapping[str, Sequence[Panel]], looks: Mapping[str, ModelLook], theme: Theme) -> Figure:
    """Draw a row of panels for each dataset; the rows of all panels are the same, so that names stand once."""
    n_columns = max(len(panels) for panels in datasets.values())
    names = [
        model for model in looks if any(model == line.model for ps in datasets.values() for p in ps for line in p.lines)
    ]
    side, width = ROW * len(names), NAMES + n_columns * (PANEL + GAP)
    height = len(datasets) * (HEAD + side + FOOT)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    for i, (dataset, panels) in enumerate(datasets.items()):
        top = i * (HEAD + side + FOOT) + HEAD
        for j, panel in enumerate(panels):
            left = NAMES + j * (PANEL + GAP)
            ax = figure.add_axes((left / width, 1 - (top + side) / height, PANEL / width, side / height))
            draw_panel(ax, panel, names, looks, theme)
            title = panel.title if j else f"{dataset}\n{panel.title}"
            ax.set_title(title, fontsize=HEADING, color=theme.ink, loc="left", pad=4)
            if j:
                ax.set_yticklabels([])
    return figure


def draw_panel(ax: Axes, panel: Panel, names: Sequence[str], looks: Mapping[str, ModelLook], theme: Theme) -> None:
    """Draw one panel: names from top to bottom, values from left to right."""
    if panel.band:
        ax.axvspan(*panel.band, color=theme.band, linewidth=0, zorder=0)
    ax.axvline(panel.floor, color=theme.muted, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    for line in panel.lines:
        y, look = names.index(line.model), looks[line.model]
        ax.plot([panel.floor, line.value], [y, y], color=look.colour, linewidth=0.6, zorder=2)
        if line.low is not None and line.high is not None:
            ax.plot([line.low, line.high], [y, y], color=look.colour, linewidth=1.8, solid_capstyle="butt", zorder=2)
        size, fill = (3.2 if look.fill == "thin" else 4.6), MARKERS[look.fill]
        ax.plot(
            line.value, y, "o", color=look.colour, markersize=size, fillstyle=fill, markerfacecoloralt="white", zorder=3
        )
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), names, fontsize=TEXT, color=theme.ink)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=SMALL, length=2, width=0.5, color=theme.muted, labelcolor=theme.muted)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set(linewidth=0.5, color=theme.muted)
    ax.patch.set_alpha(0)


def save(figure: Figure, path: Path) -> None:
    """Write a picture as SVG without date and with constant names of its parts: equal bytes for equal pictures."""
    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "genept", "svg.fonttype": "path"}):
        figure.savefig(
            content, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None}
        )
    with files.replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())
