"""The page of a run: its header and its views, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from genept.webpage import render
from genept.webpage.sources import Sources, View

VIEWS: tuple[Callable[[Sources], View], ...] = ()


def build(sources: Sources) -> str:
    """Return ``plots/report.html``; the same bytes for the same sources."""
    return render.page("GenePT at the level of cells", Markup("<h1>GenePT at the level of cells</h1>"), [view(sources) for view in VIEWS])
