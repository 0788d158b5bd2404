"""What scoring gives: one row per number, the headline numbers among them, and the predictions for the confusion."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from genept.core import files
from genept.core.params import AUTHORS, OWN

DECIMALS = 4
SCORES, FULL, CONFUSION = Path("metrics/scores"), Path("metrics/full"), Path("plots/confusion")
COLUMNS = [
    *("dataset", "model", "protocol", "task", "annotation", "split", "metric", "class"),
    *("value", "low", "high", "sd", "n_runs", "first", "scaled", "n_cells", "n_classes", "n_donors", "note"),
]
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

    `split` says which cells: ``random`` (test cells drawn at random; of k-means and silhouettes, those cells only),
    ``donors`` (whole donors held out; each cell is a test cell once), ``reference`` (all of the query, trained on the
    reference), empty for all cells. `label` is the class the number is of, empty for all classes together.

    `value` is the mean over `n_runs` runs, `sd` their standard deviation, `first` the first run, and from `low` to
    `high` fall 95 % of single runs. With donors held out they are the interval over donors or, of fewer than ten
    donors, the lowest and the highest donor's own value. None where there is no such number. `scaled` is the value
    between floor (0) and ceiling (1). `n_cells` are the cells scored, `n_classes` the labels among them, `n_donors`
    the donors.
    """

    task: str
    annotation: str
    metric: str
    value: float
    n_cells: int
    n_classes: int
    split: str = ""
    label: str = ""
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    n_runs: int = 1
    first: float | None = None
    scaled: float | None = None
    n_donors: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """All rows, and the labels of the test cells, for each target an array, ``cell_type`` first.

    `actual` and `predicted`, as the nearest neighbours give them, have shape (n_test,), `neighbours`, the labels of
    those, (n_test, k). An ensemble has no neighbours of its own.
    """

    rows: list[Row]
    actual: list[np.ndarray]
    predicted: list[np.ndarray]
    neighbours: list[np.ndarray] = field(default_factory=list)

    def and_rows(self, rows: Iterable[Row]) -> Results:
        """Add rows at the end."""
        return dataclasses.replace(self, rows=[*self.rows, *rows])

    def with_note(self, note: str, annotation: str | None = None) -> Results:
        """Add a note to every row, or to those of one annotation; an empty note changes nothing."""

        def noted(row: Row) -> Row:
            return row._replace(note="; ".join(filter(None, [row.note, note])))

        rows = [noted(row) if annotation in (None, row.annotation) else row for row in self.rows]
        return dataclasses.replace(self, rows=rows)

    @property
    def headlines(self) -> dict[str, float]:
        """The headline numbers that exist, in the order of `HEADLINES`."""
        values = {(row.task, row.annotation, row.metric): row.value for row in self.rows if not row.label}
        return {name: rounded(values[key]) for name, key in HEADLINES.items() if key in values}

    def table(self, dataset: str, model: str, protocol: str = OWN) -> pd.DataFrame:
        """Return the full table, one line per row."""
        rows = [
            row._replace(value=rounded(row.value), sd=None if row.sd is None else rounded(row.sd)) for row in self.rows
        ]
        table = pd.DataFrame(rows, dtype=object).rename(columns={"label": "class"})
        return table.assign(dataset=dataset, model=model)[COLUMNS].assign(protocol=protocol)


def rounded(value: float) -> float:
    """Round a score as every file holds it; a count stays whole and a rounded zero has no sign."""
    return int(value) if isinstance(value, int | np.integer) else round(float(value), DECIMALS) + 0.0


def write(dataset: str, results: Mapping[str, Results], by_authors: Mapping[str, Results]) -> None:
    """Write the files of all models on a dataset; files of other models are removed.

    ``metrics/full/<dataset>/<model>.csv`` has all rows, then those of the authors' protocol if `by_authors` has some;
    ``plots/confusion/<dataset>/<model>.csv`` the actual and the
    predicted cell type of each test cell, ``metrics/scores/<dataset>/<model>.json`` the headline numbers.
    """
    with contextlib.ExitStack() as stack:
        scores, full, confusion = (
            stack.enter_context(files.replacing_folder(folder / dataset)) for folder in (SCORES, FULL, CONFUSION)
        )
        for model, result in results.items():
            files.write_json(scores / f"{model}.json", result.headlines)
            pairs = pd.DataFrame({"actual": result.actual[0], "predicted": result.predicted[0]})
            table = result.table(dataset, model)
            if model in by_authors:
                table = pd.concat([table, by_authors[model].table(dataset, model, AUTHORS)])
            for folder, content in ((full, table), (confusion, pairs)):
                content.to_csv(folder / f"{model}.csv", index=False, lineterminator="\n")
