"""The tables as CSV, for programs: four decimals, empty where there is no number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from genept.report.results import Pair
from genept.report.tables import Row, Table, counts


def table(content: Table, label_sources: dict[str, str]) -> str:
    """Write a table, with the standard deviations over k-means seeds, whose the labels are, and the notes."""
    with_sd = [column.task == "kmeans" for column in content.columns]
    header = ["dataset", "annotation", "model"]
    for column, has_sd in zip(content.columns, with_sd, strict=True):
        header += [column.name, f"{column.name}_sd"] if has_sd else [column.name]
    lines = []
    for row in content.rows:
        line: list[Any] = [row.dataset, row.annotation, row.model]
        for score, has_sd in zip(row.scores, with_sd, strict=True):
            line.append(_decimals(score and score.value))
            if has_sd:
                line.append(_decimals(score and score.sd))
        lines.append([*line, *counts(content, row), label_sources[row.dataset], notes(content, row)])
    return _written([*header, *(count.name for count in content.counts), "label_source", "note"], lines)


def scores(pairs: Sequence[Pair]) -> str:
    """Write the headline numbers in long form, one a line, for bar charts."""
    lines = [
        (pair.dataset, pair.model, name, _decimals(value)) for pair in pairs for name, value in pair.headlines.items()
    ]
    return _written(("dataset", "model", "metric", "value"), lines)


def notes(content: Table, row: Row) -> str:
    """Join the notes of a row's scores; a note that is not of all of them begins with the columns that it is of."""
    present = [(column.name, score.notes) for column, score in zip(content.columns, row.scores, strict=True) if score]
    joined = []
    for note in dict.fromkeys(note for _, of_score in present for note in of_score):
        names = [name for name, of_score in present if note in of_score]
        joined.append(note if len(names) == len(present) else f"{', '.join(names)}: {note}")
    return "; ".join(joined)


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"  # + 0.0: no sign for a rounded zero


def _written(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    return stream.getvalue()
