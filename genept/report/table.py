"""A table of scores: columns, groups of rows, and the notes that all of a group, most of a row or one score have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from genept.report.pairs import BOUNDS, NOT_COMPARABLE, Score


class Column(NamedTuple):
    """A column of scores. `annotation` and `split` are those of its group if empty and None.

    If `best`, those that cannot be told from the highest of a group are bold.
    """

    name: str  # in the CSV file
    heading: str  # in the printed table
    task: str
    metric: str
    annotation: str = ""
    split: str | None = None
    best: bool = True


class Size(NamedTuple):
    """A column with the number of cells, donors or classes behind the scores of another column."""

    name: str
    heading: str
    column: int = 0
    attribute: str = "n_cells"  # or n_donors, n_classes


class Row(NamedTuple):
    """The scores of one model, one per column."""

    model: str
    scores: tuple[Score | None, ...]

    @property
    def notes(self) -> dict[str, list[int]]:
        """The notes of the scores, each with the numbers of its columns."""
        notes: dict[str, list[int]] = {}
        for j, score in enumerate(self.scores):
            for note in score.notes if score else ():
                notes.setdefault(note, []).append(j)
        return notes

    @property
    def is_comparable(self) -> bool:
        """Whether no note calls a score not comparable."""
        return not any(NOT_COMPARABLE in note for note in self.notes)

    def has_in_all(self, note: str) -> bool:
        """Whether all scores of the row have a note."""
        return len(self.notes.get(note, ())) == len(list(filter(None, self.scores)))

    def has_in_most(self, note: str) -> bool:
        """Whether more than half of the scores of the row have a note."""
        return 2 * len(self.notes.get(note, ())) > len(list(filter(None, self.scores)))


class Group(NamedTuple):
    """The rows of one dataset and annotation; `title` says which annotation, and how it was scored."""

    dataset: str
    title: str
    columns: tuple[Column, ...]  # those of the table, each with the annotation and split of its scores here
    rows: list[Row]

    @property
    def notes(self) -> dict[str, list[int]]:
        """The notes that all models have in the same columns, each with the numbers of its columns."""
        rows = [row for row in self.rows if row.model not in BOUNDS]
        shared = {}
        for note in dict.fromkeys(note for row in rows for note in row.notes):
            columns = sorted({j for row in rows for j in row.notes.get(note, ())})
            scores = [row.scores[j] for row in rows for j in columns]
            if len(rows) > 1 and all(score is None or note in score.notes for score in scores):
                shared[note] = columns
        return shared

    def row_notes(self, row: Row) -> dict[str, list[int]]:
        """Return the notes that most scores of a row have and not all rows, each with the numbers of its columns."""
        return {note: at for note, at in row.notes.items() if note not in self.notes and row.has_in_most(note)}

    def score_notes(self, row: Row, j: int) -> list[str]:
        """Return the notes of one score that neither most of its row nor all rows have."""
        notes = row.notes.items()
        return [note for note, at in notes if j in at and note not in self.notes and not row.has_in_most(note)]


@dataclass(frozen=True)
class Table:
    """A table: the stem of its files' names, its title, what its numbers are, its columns and rows.

    The CSV file has `parts` of each score beside it.
    """

    name: str
    title: str
    explanation: str
    columns: tuple[Column, ...]
    sizes: tuple[Size, ...]
    groups: list[Group]
    parts: tuple[str, ...] = ("low", "high", "scaled")
    heading: str = "Annotation"  # of the groups' titles

    def sizes_of(self, row: Row) -> list[int | None]:
        """Return the numbers of cells, donors or classes behind a row's scores; None where there is no score."""
        return [getattr(row.scores[size.column], size.attribute, None) for size in self.sizes]
