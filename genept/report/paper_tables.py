"""The three tables of the paper's cell-level section, as columns and rows of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genept.core.params import ENSEMBLE
from genept.report import captions
from genept.report.pairs import NOT_COMPARABLE, Pair, Run, Score

TABLE_2_ANNOTATIONS = ("phenotype", "disease", "cancer_type", "cell_type", "age", "age_bin")
REFERENCE_ROWS = "cell_type, reference to query"


class Column(NamedTuple):
    """A column of scores; `annotation` is empty if it is the row's own. If `best`, the highest of a group is bold."""

    name: str  # in the CSV file
    heading: str  # in the printed table
    task: str
    metric: str
    annotation: str = ""
    best: bool = True


class Size(NamedTuple):
    """A column with the number of cells or classes behind the scores of another column."""

    name: str
    heading: str
    column: int = 0
    attribute: str = "n_cells"  # or n_classes


class Row(NamedTuple):
    """A row of scores, one per column; the rows of one dataset and annotation form a group."""

    dataset: str
    annotation: str
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
    def shared_notes(self) -> list[str]:
        """The notes that all scores of the row have."""
        n_scores = len(list(filter(None, self.scores)))
        return [note for note, columns in self.notes.items() if len(columns) == n_scores]

    def notes_of(self, j: int) -> list[str]:
        """Return the notes of one score that not all have."""
        return [note for note, columns in self.notes.items() if j in columns and note not in self.shared_notes]

    @property
    def is_comparable(self) -> bool:
        """Whether no note calls a score not comparable."""
        return not any(NOT_COMPARABLE in note for note in self.notes)


@dataclass(frozen=True)
class Table:
    """A table: the stem of its files' names, its title, what its numbers are, its columns and rows."""

    name: str
    title: str
    explanation: str
    columns: tuple[Column, ...]
    sizes: tuple[Size, Size]
    rows: list[Row]

    def sizes_of(self, row: Row) -> list[int | None]:
        """Return the numbers of cells or classes behind a row's scores; None where there is no score."""
        return [getattr(row.scores[size.column], size.attribute, None) for size in self.sizes]


LABELS = Size("n_classes", "Labels", attribute="n_classes")


def table_2(run: Run) -> Table:
    """Table 2: k-means clusters and silhouettes against the annotations; an ensemble of votes has neither."""
    columns = (
        Column("ari", "ARI", "kmeans", "ari"),
        Column("ami", "AMI", "kmeans", "ami"),
        Column("asw", "ASW", "silhouette", "asw"),
    )
    return Table(
        "table2",
        "Table 2: clusters against annotations",
        captions.table_2(run.params),
        columns,
        (Size("n_cells", "Cells"), LABELS),
        [
            row
            for dataset in run.records
            for annotation in TABLE_2_ANNOTATIONS
            for row in rows_of(run.pairs, dataset, annotation, columns)
            if row.model != ENSEMBLE
        ],
    )


def table_c4(run: Run) -> Table:
    """Table C4: the cell type of test cells by their nearest training cells, for all models and the ensemble.

    A dataset with a reference and a query has a second group: cells of the query by cells of the reference.
    """
    columns = (
        Column("accuracy", "Accuracy", "knn", "accuracy"),
        Column("precision", "Precision", "knn", "precision_macro"),
        Column("recall", "Recall", "knn", "recall_macro"),
        Column("f1", "F1", "knn", "f1_macro"),
    )
    by_reference = [column._replace(task="knn_reference", annotation="cell_type") for column in columns]
    has_reference = any(task == "knn_reference" for pair in run.pairs for task, _, _ in pair.scores)
    return Table(
        "table_c4",
        f"Table C4: cell type by {captions.neighbours(run.params)}",
        captions.table_c4(run.params, REFERENCE_ROWS if has_reference else ""),
        columns,
        (Size("n_cells", "Test cells"), LABELS),
        [
            row
            for dataset in run.records
            for annotation, group in (("cell_type", columns), (REFERENCE_ROWS, by_reference))
            for row in rows_of(run.pairs, dataset, annotation, group)
        ],
    )


def section_4_4(run: Run) -> Table:
    """Section 4.4: how much of the patient, and of the phenotype or disease, an embedding shows.

    The second annotation is the first of ``evaluate.logreg.labels`` that a dataset has. The paper averages precision
    and recall over classes weighted by their cells, which makes recall equal to accuracy.
    """
    labels = run.params.evaluate.logreg.labels
    columns = (
        Column("patient_ari", "Patient ARI", "kmeans", "ari", annotation="patient", best=False),
        Column("phenotype_ari", "ARI", "kmeans", "ari"),
        Column("accuracy", "Accuracy", "logreg", "accuracy"),
        Column("precision", "Precision", "logreg", "precision_weighted"),
        Column("recall", "Recall", "logreg", "recall_weighted"),
    )
    with_coordinates = [pair for pair in run.pairs if pair.model != ENSEMBLE]
    ordered = sorted(with_coordinates, key=lambda pair: pair.model != run.params.baseline)
    rows = []
    for dataset in run.records:
        scored = {annotation for pair in run.pairs if pair.dataset == dataset for _, annotation, _ in pair.scores}
        annotation = next((label for label in labels if label in scored), "")
        rows += rows_of(ordered, dataset, annotation, columns)
    return Table(
        "section_4_4",
        f"Section 4.4: patient{', and ' if labels else ''}{' or '.join(labels)}",
        captions.section_4_4(run.params),
        columns,
        (Size("n_cells", "Cells"), Size("n_test_cells", "Test cells", column=2)),
        rows,
    )


def rows_of(pairs: Sequence[Pair], dataset: str, annotation: str, columns: Sequence[Column]) -> list[Row]:
    """Make the rows of one group; a pair without any of the scores has none."""
    rows = []
    for pair in (pair for pair in pairs if pair.dataset == dataset):
        scores = [pair.score(column.task, column.annotation or annotation, column.metric) for column in columns]
        rows += [Row(dataset, annotation, pair.model, tuple(scores))] if any(scores) else []
    return rows
