"""The page of a run: its header and its views, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Callable

from genept.webpage import cells, classes, data, method, overview, paper, render, table
from genept.webpage.header import header
from genept.webpage.sources import Sources, View

TITLE = "GenePT at the level of cells"
VIEWS: tuple[Callable[[Sources], View], ...] = (
    overview.view,
    table.view,
    cells.view,
    classes.view,
    paper.view,
    data.view,
    method.view,
)


def build(sources: Sources) -> str:
    """Return ``plots/report.html``; the same bytes for the same sources."""
    return render.page(TITLE, header(sources), [view(sources) for view in VIEWS])
