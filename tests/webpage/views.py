"""What a view is made of, read from the working folder, and the view's HTML parsed."""

from __future__ import annotations

from collections.abc import Callable

from bs4 import BeautifulSoup, Tag

from genept.core import params
from genept.report import pairs, paper, records, tracking, tracking_rows
from genept.repository import lock
from genept.webpage.sources import Sources, View


def sources() -> Sources:
    """Read a run as the report stage does, without its comparisons."""
    run, published = pairs.read(params.load()), paper.load()
    named = tracking.counterparts(published, run)
    numbers = tracking.track(published, run, named)
    rows = tracking_rows.judge_rows(numbers, published, run)
    agreements = records.read_agreements(run.records)
    return Sources(run, {}, [], published, named, numbers, rows, agreements, lock.read())


def parsed(view: Callable[[Sources], View]) -> BeautifulSoup:
    """Return the HTML of a view of the run in the working folder."""
    return BeautifulSoup(view(sources()).html, "html.parser")


def words(tag: Tag) -> str:
    """Return the text of an element with single spaces."""
    return " ".join(tag.get_text().split())
