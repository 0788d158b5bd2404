"""What scoring gives: one row per number, the headline numbers among them, and the predictions for the confusion."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genept.core import files

DECIMALS = 4
COLUMNS = (
    "dataset",
    "model",
    "task",
    "annotation",
    "metric",
    "class",
    "value",
    "sd",
    "n_cells",
    "n_classes",
    "note",
)
HEADLINES = {  # name: (task, annotation, metric)
    "cell_type_ari": ("kmeans", "cell_type", "ari"),
    "cell_type_ami": ("kmeans", "cell_type", "ami"),
    "cell_type_asw": ("silhouette", "cell_type", "asw"),
    "cell_type_knn_accuracy": ("knn", "cell_type", "accuracy"),
    "cell_type_knn_f1": ("knn", "cell_type", "f1_macro"),
    "patient_ari": ("kmeans", "patient", "ari"),
    "phenotype_ari": ("kmeans", "phenotype", "ari"),
    "phenotype_logreg_accuracy": ("logreg", "phenotype", "accuracy"),
}


class Row(NamedTuple):
    """One number of the full table.

    `label` is the class the number is of, empty for all classes together. `sd` is the standard deviation over k-means
    seeds. `n_cells` are the cells scored: all clustered ones, or the test cells; `n_classes` the labels among them.
    """

    task: str
    annotation: str
    metric: str
    value: float
    n_cells: int
    n_classes: int
    label: str = ""
    sd: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """All rows, and the 10-NN cell-type predictions with the true labels, each of shape (n_test,)."""

    rows: list[Row]
    actual: np.ndarray
    predicted: np.ndarray

    def and_rows(self, rows: Iterable[Row]) -> Results:
        """Add rows at the end."""
        return dataclasses.replace(self, rows=[*self.rows, *rows])

    def with_note(self, note: str, annotation: str | None = None) -> Results:
        """Add a note to every row, or to those of one annotation; an empty note changes nothing."""
        chosen = [note and annotation in (None, row.annotation) for row in self.rows]
        rows = [
            row._replace(note="; ".join(filter(None, [row.note, note]))) if add else row
            for row, add in zip(self.rows, chosen, strict=True)
        ]
        return dataclasses.replace(self, rows=rows)


def rounded(value: float) -> float:
    """Round a score as every file holds it; a rounded zero has no sign."""
    return round(float(value), DECIMALS) + 0.0


def headlines(rows: Iterable[Row]) -> dict[str, float]:
    """Return the headline numbers that exist, in the order of `HEADLINES`."""
    values = {(row.task, row.annotation, row.metric): row.value for row in rows if not row.label}
    return {name: rounded(values[key]) for name, key in HEADLINES.items() if key in values}


def write(dataset: str, model: str, results: Results) -> dict[str, float]:
    """Write the three files of a (dataset, model) pair and return the headline numbers.

    ``metrics/full/<dataset>/<model>.csv`` has all rows, ``plots/confusion/<dataset>/<model>.csv`` the actual and the
    predicted cell type of each test cell, ``metrics/scores/<dataset>/<model>.json`` the headline numbers.
    """
    rows = [
        (
            dataset,
            model,
            row.task,
            row.annotation,
            row.metric,
            row.label,
            row.value if isinstance(row.value, int | np.integer) else rounded(row.value),
            "" if row.sd is None else rounded(row.sd),
            row.n_cells,
            row.n_classes,
            row.note,
        )
        for row in results.rows
    ]
    write_csv(Path("metrics/full") / dataset / f"{model}.csv", COLUMNS, rows)
    pairs = zip(results.actual, results.predicted, strict=True)
    write_csv(Path("plots/confusion") / dataset / f"{model}.csv", ("actual", "predicted"), pairs)
    scores = headlines(results.rows)
    files.write_json(Path("metrics/scores") / dataset / f"{model}.json", scores)
    return scores


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table as UTF-8 CSV with the same line ends everywhere."""
    with files.replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
