"""``metrics/paper_tracking.csv``: every number of the paper with ours, the verdict on its row and what both rest on."""

from __future__ import annotations

from collections.abc import Sequence

from genept.report.paper import Published
from genept.report.printing import csv_text, decimals
from genept.report.tracking import Tracked
from genept.report.tracking_rows import TrackedRow

COLUMNS = (
    *("dataset", "section", "annotation", "model", "metric", "paper", "ours", "difference", "mean", "low", "high"),
    *("mean_by_settings", "verdict", "why", "second_reading", "second_mean", "second_verdict"),
    *("label_source", "n_cells", "n_cells_paper", "missing_gene_rate", "note"),
)


def as_csv(numbers: Sequence[Tracked], rows: Sequence[TrackedRow]) -> str:
    """Write every number of the paper as one line of CSV, in the paper's order; empty where there is nothing."""
    row_of = {number.published: row for row in rows for number in row.numbers}
    return csv_text(COLUMNS, [csv_line(number, row_of.get(number.published)) for number in numbers])


def csv_line(number: Tracked, row: TrackedRow | None) -> list[str | int | None]:
    """Return the line of one number; `row` is None for a count."""
    printed_number, score = number.published, number.scores[0] if number.scores else None
    one = row and row.interval(number)
    verdict = number.status or (row.verdict.verdict if row else "")
    second = row.second if row and len(number.scores) > 1 else None
    return [
        *(printed_number.dataset, printed_number.section, printed_number.annotation, printed_number.model),
        *(printed_number.metric, printed(printed_number), ours(number), difference(number)),
        *(decimals(score and score.value), decimals(one and one.low), decimals(one and one.high)),
        *(decimals(number.by_settings), verdict, "; ".join(row.verdict.reasons) if row else ""),
        *((row.second_name, decimals(number.scores[1].value), second.verdict) if row and second else ("", "", "")),
        *((row.label_source, row.n_cells, row.n_cells_paper) if row else ("", None, None)),
        *(decimals(number.missing_gene_rate), number.reason),
    ]


def printed(number: Published) -> str:
    """Print the paper's number with its decimals; counts whole."""
    return str(int(number.value)) if number.is_count else f"{number.value:.{number.decimals}f}"


def ours(row: Tracked) -> str:
    """Print our number with four decimals, a count whole; empty where there is none."""
    return str(int(row.ours)) if row.ours is not None and row.published.is_count else decimals(row.ours)


def difference(row: Tracked) -> str:
    """Print ours less the paper's with its sign; empty where there is none of ours."""
    if row.difference is None:
        return ""
    return f"{int(row.difference):+d}" if row.published.is_count else f"{round(row.difference, 4) + 0.0:+.4f}"
