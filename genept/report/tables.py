"""The three tables of the paper's cell-level section, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from genept.report.results import ENSEMBLE, Pair, Score

TABLE_2_ANNOTATIONS = ("phenotype", "disease", "cancer_type", "cell_type", "age", "age_bin")
REFERENCE_ROWS = "cell_type, reference to query"
SECTION_4_4_ANNOTATIONS = ("phenotype", "disease")  # the first that a dataset has


class Column(NamedTuple):
    """A column of scores.

    `name` heads it in the CSV file, `heading` in the printed table. `annotation` is empty for the row's own. `best`
    says that the highest score of a group is printed bold.
    """

    name: str
    heading: str
    task: str
    metric: str
    annotation: str = ""
    best: bool = True


class Count(NamedTuple):
    """A column that says how many cells or classes the scores of another column, by its name, are of."""

    name: str
    heading: str
    column: str
    attribute: str  # n_cells or n_classes


class Row(NamedTuple):
    """A row of scores, one per column; the rows of one dataset and annotation form a group."""

    dataset: str
    annotation: str
    model: str
    scores: tuple[Score | None, ...]


@dataclass(frozen=True)
class Table:
    """A table: the stem of its files' names, its heading, what its numbers are, its columns and rows."""

    name: str
    title: str
    explanation: str
    columns: tuple[Column, ...]
    counts: tuple[Count, ...]
    rows: list[Row]


def table_2(pairs: Sequence[Pair]) -> Table:
    """Table 2: k-means clusters and silhouettes against the annotations; an ensemble of votes has neither."""
    columns = (
        Column("ari", "ARI", "kmeans", "ari"),
        Column("ami", "AMI", "kmeans", "ami"),
        Column("asw", "ASW", "silhouette", "asw"),
    )
    return Table(
        "table2",
        "Table 2: clusters against annotations",
        "ARI and AMI compare the labels with k-means clusters, as many as there are labels (mean and standard "
        "deviation over k-means seeds). ASW is the average silhouette width of the labels. Higher is better.",
        columns,
        (Count("n_cells", "Cells", "ari", "n_cells"), Count("n_classes", "Labels", "ari", "n_classes")),
        [
            row
            for dataset in _datasets(pairs)
            for annotation in TABLE_2_ANNOTATIONS
            for row in _rows(_with_coordinates(pairs), dataset, annotation, columns)
        ],
    )


def table_c4(pairs: Sequence[Pair], k: int) -> Table:
    """Table C4: the cell type of test cells by their nearest training cells, for all models and the ensemble.

    A dataset that came as reference and query has a second group: test cells of the query by cells of the reference.
    """
    columns = (
        Column("accuracy", "Accuracy", "knn", "accuracy"),
        Column("precision", "Precision", "knn", "precision_macro"),
        Column("recall", "Recall", "knn", "recall_macro"),
        Column("f1", "F1", "knn", "f1_macro"),
    )
    by_reference = [column._replace(task="knn_reference", annotation="cell_type") for column in columns]
    two = any(task == "knn_reference" for pair in pairs for task, _, _ in pair.scores)
    return Table(
        "table_c4",
        f"Table C4: cell type by {k} nearest neighbours",
        f"The cell type of a test cell is the majority's among its {k} nearest training cells. Precision, recall "
        "and F1 are means over cell types, each with the same weight (macro). Higher is better."
        + (
            f" {REFERENCE_ROWS}: the training cells are the reference's, the test cells all of the query."
            if two
            else ""
        ),
        columns,
        (Count("n_cells", "Test cells", "accuracy", "n_cells"), Count("n_classes", "Labels", "accuracy", "n_classes")),
        [
            row
            for dataset in _datasets(pairs)
            for annotation, group in (("cell_type", columns), (REFERENCE_ROWS, by_reference))
            for row in _rows(pairs, dataset, annotation, group)
        ],
    )


def section_4_4(pairs: Sequence[Pair], baseline: str) -> Table:
    """Section 4.4: how much of the patient, and how much of the phenotype or disease, an embedding shows.

    The paper averages precision and recall over classes weighted by their cells, which makes recall equal to accuracy.
    """
    columns = (
        Column("patient_ari", "Patient ARI", "kmeans", "ari", annotation="patient", best=False),
        Column("phenotype_ari", "Phenotype ARI", "kmeans", "ari"),
        Column("accuracy", "Accuracy", "logreg", "accuracy"),
        Column("precision", "Precision", "logreg", "precision_weighted"),
        Column("recall", "Recall", "logreg", "recall_weighted"),
    )
    ordered = sorted(_with_coordinates(pairs), key=lambda pair: pair.model != baseline)
    return Table(
        "section_4_4",
        "Section 4.4: patients and phenotypes",
        "ARI compares k-means clusters, as many as there are labels, with the labels (mean and standard deviation "
        "over k-means seeds). Patient ARI: lower means less of a batch effect, or less of everything. The other "
        "columns are of the annotation named: its ARI, and accuracy, precision and recall (weighted by the classes' "
        "cells) of a logistic regression on test cells; higher is better."
        + (f" Baseline: `{baseline}`." if baseline else ""),
        columns,
        (
            Count("n_cells", "Cells", "patient_ari", "n_cells"),
            Count("n_test_cells", "Test cells", "accuracy", "n_cells"),
        ),
        [
            row
            for dataset in _datasets(pairs)
            for row in _rows(ordered, dataset, _annotation_of_4_4(pairs, dataset), columns)
        ],
    )


def counts(table: Table, row: Row) -> list[int | None]:
    """Return the numbers of cells or classes that a row's scores are of; None where there is no score."""
    scores = {column.name: score for column, score in zip(table.columns, row.scores, strict=True)}
    return [getattr(scores[count.column], count.attribute, None) for count in table.counts]


def _datasets(pairs: Sequence[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.dataset for pair in pairs))


def _with_coordinates(pairs: Sequence[Pair]) -> list[Pair]:
    return [pair for pair in pairs if pair.model != ENSEMBLE]


def _annotation_of_4_4(pairs: Sequence[Pair], dataset: str) -> str:
    scored = {annotation for pair in pairs if pair.dataset == dataset for _, annotation, _ in pair.scores}
    return next((annotation for annotation in SECTION_4_4_ANNOTATIONS if annotation in scored), "")


def _rows(pairs: Sequence[Pair], dataset: str, annotation: str, columns: Sequence[Column]) -> list[Row]:
    """Make the rows of one group; a pair without any of the scores has none."""
    rows = [
        Row(
            dataset,
            annotation,
            pair.model,
            tuple(pair.score(column.task, column.annotation or annotation, column.metric) for column in columns),
        )
        for pair in pairs
        if pair.dataset == dataset
    ]
    return [row for row in rows if any(row.scores)]
