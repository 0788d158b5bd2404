"""The three tables of the paper's cell-level section, as groups of rows of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from genept.core.params import ENSEMBLE
from genept.report import captions
from genept.report.pairs import Pair, Run, Score
from genept.report.table import Column, Group, Row, Size, Table

TABLE_2_ANNOTATIONS = ("phenotype", "disease", "cancer_type", "cell_type", "age", "age_bin")
SPLITS = {
    "random": "",
    "donors": ", donors held out",
    "reference": ", reference to query",
}  # after an annotation's name


DONORS, LABELS = Size("n_donors", "Donors", 0, "n_donors"), Size("n_classes", "Labels", 0, "n_classes")


def table_2(run: Run) -> Table:
    """Table 2: k-means clusters and silhouettes against the annotations, of all cells and of test cells only.

    A fine-tuned model is scored on test cells only, so each annotation has a second group in which all models are
    scored on these cells. An ensemble has no coordinates.
    """
    columns = (
        Column("ari", "ARI", "kmeans", "ari"),
        Column("ami", "AMI", "kmeans", "ami"),
        Column("asw", "ASW", "silhouette", "asw"),
    )
    groups = [
        group_of(run, dataset, annotation, split, annotation + which, columns)
        for dataset in run.records
        for annotation in TABLE_2_ANNOTATIONS
        for split, which in (("", ""), ("random", ", test cells only"))
    ]
    is_sampled = any(run.sampled(dataset, "silhouette") for dataset in run.records)
    of_silhouettes = [Size("n_cells_asw", "Cells, ASW", column=2)] if is_sampled else []
    return Table(
        "table2",
        "Table 2: clusters against annotations",
        captions.table_2(run.applied),
        columns,
        (Size("n_cells", "Cells"), *of_silhouettes, DONORS, LABELS),
        with_rows(groups),
    )


def table_c4(run: Run) -> Table:
    """Table C4: the cell type of test cells by their nearest training cells, for all models and the ensemble.

    The groups of a dataset: cells drawn at random, donors held out, and cells of a query by cells of its reference.
    """
    columns = (
        Column("accuracy", "Accuracy", "knn", "accuracy"),
        Column("precision", "Precision", "knn", "precision_macro"),
        Column("recall", "Recall", "knn", "recall_macro"),
        Column("f1", "F1", "knn", "f1_macro"),
        Column("f1_frequent", "F1, frequent", "knn", "f1_frequent"),
    )
    groups = with_rows(
        group_of(run, dataset, "cell_type", split, f"cell_type{SPLITS[split]}", columns)
        for dataset in run.records
        for split in in_order(SPLITS, run.default_split(dataset, "cell_type"))
    )
    has_reference = any(group.columns[0].split == "reference" for group in groups)
    return Table(
        "table_c4",
        f"Table C4: cell type by {captions.neighbours(run.params)}",
        captions.table_c4(run.applied, f"cell_type{SPLITS['reference']}" if has_reference else ""),
        columns,
        (Size("n_cells", "Test cells"), DONORS, LABELS),
        groups,
    )


def section_4_4(run: Run) -> Table:
    """Section 4.4: how much of the patient, and of the phenotype or disease, an embedding shows.

    The annotations are those of ``evaluate.logreg.labels`` that a dataset has; one that is constant within donors has
    its groups with donors held out first. Each is predicted from coordinates as the authors take them, as they are,
    and from standardised ones. The paper's recall, weighted by the cells of each class, is left
    out: it is the accuracy.
    """
    labels = run.params.evaluate.logreg.labels
    columns = (
        Column("patient_ari", "Patient ARI", "kmeans", "ari", annotation="patient", split="", best=False),
        Column("phenotype_ari", "ARI", "kmeans", "ari", split=""),
        Column("accuracy", "Accuracy", "logreg", "accuracy"),
        Column("balanced_accuracy", "Balanced", "logreg", "balanced_accuracy"),
        Column("auroc", "AUROC", "logreg", "auroc"),
        Column("precision", "Precision", "logreg", "precision_weighted"),
    )
    standardised = tuple(
        column._replace(task="logreg_standardised") if column.task == "logreg" else column for column in columns
    )
    groups = []
    for dataset in run.records:
        scored = {annotation for pair in run.pairs if pair.dataset == dataset for _, annotation, _, _ in pair.scores}
        present = [label for label in labels if label in scored]
        for label in present:
            for split in in_order(("random", "donors"), run.default_split(dataset, label)):
                for how, own in (("as the authors", columns), ("standardised", standardised)):
                    title = f"{label}{SPLITS[split]}, {how}"
                    groups.append(group_of(run, dataset, label, split, title, own, required=2))
        if not present:
            groups.append(group_of(run, dataset, "", "", "patient", columns))
    return Table(
        "section_4_4",
        f"Section 4.4: {', and '.join(filter(None, ['patient' * run.has_patients, ' or '.join(labels)]))}",
        captions.section_4_4(run.applied, run.has_patients),
        columns,
        (Size("n_cells", "Cells"), Size("n_test_cells", "Test cells", column=2), DONORS),
        with_rows(groups, required=2),
    )


def in_order(splits: Iterable[str], first: str) -> list[str]:
    """Return the splits with the default reading first."""
    return sorted(splits, key=lambda split: split != first)


def group_of(
    run: Run, dataset: str, annotation: str, split: str, title: str, columns: Sequence[Column], required: int = 0
) -> Group:
    """Make the rows of one group; a model has none without a score in the columns from the `required` one on."""
    own = tuple(
        column._replace(
            annotation=column.annotation or annotation, split=split if column.split is None else column.split
        )
        for column in columns
    )
    votes = (ENSEMBLE,) if own[0].task != "knn" else ()  # it has no coordinates
    pairs = [pair for pair in run.pairs if pair.dataset == dataset and pair.model not in votes]
    rows = [Row(pair.model, scores_of(pair, own)) for pair in pairs]
    return Group(dataset, title, own, [row for row in rows if any(row.scores[required:])])


def scores_of(pair: Pair, columns: Sequence[Column]) -> tuple[Score | None, ...]:
    """Return a model's score in each column."""
    return tuple(pair.score(column.task, column.annotation, column.metric, column.split or "") for column in columns)


def with_rows(groups: Iterable[Group], required: int = 0) -> list[Group]:
    """Leave out groups without rows, and those without any value after the first of an annotation that has none.

    Values are those of the columns from the `required` one on.
    """
    kept: list[Group] = []
    for group in groups:
        scores = [score for row in group.rows for score in row.scores[required:]]
        has_value = any(score and score.value is not None for score in scores)
        is_first = not any(
            (other.dataset, other.columns[-1].annotation) == (group.dataset, group.columns[-1].annotation)
            for other in kept
        )
        if group.rows and (has_value or is_first):
            kept.append(group)
    return kept
