"""Footnotes: each note of the scores once, at the widest place for which it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from genept.report.results import Score
from genept.report.tables import Table


class Notes(NamedTuple):
    """Where the notes of a table go.

    columns
        For each column, the notes that all its scores have; said once below the table.
    rows
        For each row, the notes that all its scores have, without those of the columns; marked at the model.
    cells
        For each row and column, the other notes; marked at the number.
    """

    columns: list[list[str]]
    rows: list[list[str]]
    cells: list[list[list[str]]]

    def marks(self) -> dict[str, str]:
        """Give every note that is marked its letter, in the order of reading."""
        marked = [
            note for row, cells in zip(self.rows, self.cells, strict=True) for notes in (row, *cells) for note in notes
        ]
        return {note: letter(i) for i, note in enumerate(dict.fromkeys(marked))}


def place(table: Table) -> Notes:
    """Find the place of every note."""
    columns = [_common([row.scores[j] for row in table.rows]) for j in range(len(table.columns))]
    rows, cells = [], []
    for row in table.rows:
        rest = [
            [note for note in score.notes if note not in columns[j]] if score else []
            for j, score in enumerate(row.scores)
        ]
        present = [notes for notes, score in zip(rest, row.scores, strict=True) if score]
        shared = [note for note in present[0] if all(note in notes for notes in present)]
        rows.append(shared)
        cells.append([[note for note in notes if note not in shared] for notes in rest])
    return Notes(columns, rows, cells)


def letter(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... for 0, 1, ..."""
    head, tail = divmod(number, 26)
    return (letter(head - 1) if head else "") + chr(ord("a") + tail)


def _common(scores: Sequence[Score | None]) -> list[str]:
    present = [score.notes for score in scores if score]
    return [note for note in present[0] if all(note in notes for notes in present)] if present else []
