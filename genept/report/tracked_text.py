"""How a number of the paper and ours are printed on the tracking page and in its CSV file."""

from __future__ import annotations

from genept.report.markdown import NONE
from genept.report.paper import Published
from genept.report.tracking import OF_COUNTS, REPRODUCED, Tracked


def both(row: Tracked) -> str:
    """Print the paper's number and ours."""
    if row.ours is None:
        return f"{printed(row.published)} / {NONE}"
    if row.status == REPRODUCED:
        return f"{printed(row.published)} / {ours(row)}"
    return f"{printed(row.published)} / **{ours(row)}** ({difference(row)})"


def printed(number: Published) -> str:
    """Print the paper's number with the decimals that it needs, at least two; counts whole."""
    if is_count(number):
        return str(int(number.value))
    text = f"{number.value:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def ours(row: Tracked) -> str:
    """Print our number with four decimals, a count whole; empty where there is none."""
    if row.ours is None:
        return ""
    return str(int(row.ours)) if is_count(row.published) else decimals(row.ours)


def decimals(value: float | None) -> str:
    """Print a score with four decimals, without a sign for a rounded zero; empty where there is none."""
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def difference(row: Tracked) -> str:
    """Print ours less the paper's with its sign; empty where there is none of ours."""
    if row.difference is None:
        return ""
    return f"{int(row.difference):+d}" if is_count(row.published) else f"{round(row.difference, 4) + 0.0:+.4f}"


def is_count(number: Published) -> bool:
    """Say whether a number is a count of cells, genes or labels."""
    return number.task in OF_COUNTS


def grouped(value: int | None) -> str:
    """Print a count with commas between thousands; a dash where there is none."""
    return NONE if value is None else f"{value:,}"
