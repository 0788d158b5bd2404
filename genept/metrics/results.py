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
from genept.metrics.counts import Counts

DECIMALS, FEW_DECIMALS = 4, 3  # of the full table; of the headline numbers, a row of `dvc metrics show`
SCORES, FULL = Path("metrics/scores"), Path("metrics/full")
CONFUSION = Path("plots/confusion")
PROBABILITIES, COMPARISONS = Path("metrics/probabilities"), Path("metrics/comparisons")
PREDICTIONS = Path("metrics/predictions")
NUMBERS = ("value", "low", "high", "sd", "first", "scaled", "se")
COLUMNS = [
    *("dataset", "model", "protocol", "task", "annotation", "split", "metric", "class"),
    *("value", "low", "high", "sd", "n_runs", "first", "scaled", "n_cells", "n_classes", "n_donors", "note"),
]
OF_SAMPLES = ["n_all", "se"]  # of a table with such rows
HEADLINES = {  # name: (task, annotation, metric); names are short, so that `dvc metrics show` fits a screen
    "ari": ("kmeans", "cell_type", "ari"),
    "ami": ("kmeans", "cell_type", "ami"),
    "asw": ("silhouette", "cell_type", "asw"),
    "accuracy": ("knn", "cell_type", "accuracy"),
    "f1": ("knn", "cell_type", "f1_macro"),
    "phenotype": ("logreg", "phenotype", "accuracy"),
}


class Row(NamedTuple):
    """One number of the full table.

    `split` says which cells: ``random`` (test cells drawn at random; of k-means and silhouettes, those cells only),
    ``donors`` (whole donors held out; each cell is a test cell once), ``reference`` (all of the query, trained on the
    reference), empty for all cells. `label` is the class the number is of, empty for all classes together.

    `value` is the mean over `n_runs` runs, `sd` their standard deviation, `first` the first run, and from `low` to
    `high` fall 95 % of single runs. With donors held out they are the interval over donors or, of fewer than ten
    donors, the lowest and the highest donor's own value. None where there is no such number. `scaled` is the value
    between floor (0) and the label itself (1). `n_cells` are the cells scored, `n_classes` the labels among them,
    `n_donors` the donors. Of a sample, `n_all` are the cells that it was drawn from, and `se` is the standard error.
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
    n_all: int | None = None
    se: float | None = None

    def noted(self, note: str) -> Row:
        """Return the row with a further note; an empty one changes nothing."""
        return self._replace(note="; ".join(filter(None, [self.note, note])))


Key = tuple[str, str, str]  # task, annotation, split


@dataclass(frozen=True)
class Results:
    """All rows of a model, and what its comparison with others needs.

    `runs` are the values of single runs by key and metric; `by_donor` the counts of held-out cells, (n_draws,
    n_donors, n_classes); `areas` the AUROC of held-out cells, of all, then of each resample of donors. `neighbours` are
    the classes of each test cell's neighbours by annotation and split, an array (n_test, k) for each division. `pairs`
    are the actual and predicted cell types of the first random split's test cells, `probabilities` tables of predicted
    probabilities by annotation.
    """

    rows: list[Row]
    runs: dict[tuple[Key, str], np.ndarray] = field(default_factory=dict)
    by_donor: dict[Key, Counts] = field(default_factory=dict)
    areas: dict[tuple[Key, str], np.ndarray] = field(default_factory=dict)
    neighbours: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    predicted: dict[tuple[str, str], list[np.ndarray]] = field(default_factory=dict)
    pairs: pd.DataFrame | None = None
    probabilities: dict[str, pd.DataFrame] = field(default_factory=dict)

    def and_rows(self, rows: Iterable[Row]) -> Results:
        """Add rows at the end."""
        return dataclasses.replace(self, rows=[*self.rows, *rows])

    def with_rows(self, rows: Iterable[Row]) -> Results:
        """Return the same with other rows."""
        return dataclasses.replace(self, rows=list(rows))

    def with_cell_ids(self, cell_ids: pd.Index) -> Results:
        """Name the cells of the probabilities instead of their rows."""
        tables = {
            annotation: table.assign(row=cell_ids[table["row"]]).rename(columns={"row": "cell_id"})
            for annotation, table in self.probabilities.items()
        }
        return dataclasses.replace(self, probabilities=tables)

    def with_note(self, note: str, annotation: str | None = None) -> Results:
        """Add a note to every row, or to those of one annotation; an empty note changes nothing."""
        rows = [row.noted(note) if annotation in (None, row.annotation) else row for row in self.rows]
        return dataclasses.replace(self, rows=rows)

    def headlines(self, default_split: Mapping[str, str]) -> dict[str, float]:
        """Return the headline numbers that exist, those of the full table with fewer decimals.

        Logistic regressions are by the default split of their annotation.
        """
        values = {(row.task, row.annotation, row.split, row.metric): row.value for row in self.rows if not row.label}
        named = {}
        for name, (task, annotation, metric) in HEADLINES.items():
            split = {"knn": "random", "logreg": default_split.get(annotation, "random")}.get(task, "")
            key = (task, annotation, split, metric)
            if task not in ("knn", "logreg") and key not in values:  # of a fine-tuned model
                key = (task, annotation, "random", metric)
            if key in values:
                named[name] = round(rounded(values[key]), FEW_DECIMALS)
        return named

    def table(self, dataset: str, model: str, protocol: str = OWN) -> pd.DataFrame:
        """Return the full table, one line per row."""
        table = pd.DataFrame(self.rows, columns=list(Row._fields), dtype=object).rename(columns={"label": "class"})
        for name in NUMBERS:
            numbers = [None if value is None else rounded(value) for value in table[name]]
            table[name] = pd.Series(numbers, dtype=object)  # counts stay whole
        columns = [*COLUMNS, *(OF_SAMPLES if table["n_all"].notna().any() else [])]
        return table.assign(dataset=dataset, model=model, protocol=protocol)[columns]


def rounded(value: float) -> float:
    """Round a score as every file holds it; a count stays whole and a rounded zero has no sign."""
    return int(value) if isinstance(value, int | np.integer) else round(float(value), DECIMALS) + 0.0


def write(
    dataset: str,
    results: Mapping[str, Results],
    by_authors: Mapping[str, Results],
    headlines: Mapping[str, dict[str, float]],
    comparisons: Mapping[str, pd.DataFrame],
    predictions: pd.DataFrame,
) -> None:
    """Write the files of all models on a dataset; files of other models are removed.

    ``metrics/full/<dataset>/<model>.csv`` has all rows, then those of the authors' protocol if `by_authors` has some;
    ``metrics/scores/<dataset>/<model>.json`` the headline numbers; ``plots/confusion/<dataset>/<model>.csv`` the actual
    and the predicted cell type of each test cell; ``metrics/probabilities/<dataset>/<annotation>/<model>.csv`` what
    logistic regressions predict; ``metrics/comparisons/<dataset>`` the tables `comparisons` by name;
    ``metrics/predictions/<dataset>.csv`` the cell types of `predictions`, a column for each model.
    """
    with contextlib.ExitStack() as stack:
        folders = (folder / dataset for folder in (SCORES, FULL, CONFUSION, PROBABILITIES, COMPARISONS))
        scores, full, confused, probabilities, compared = (
            stack.enter_context(files.replacing_folder(folder)) for folder in folders
        )
        tables: dict[Path, pd.DataFrame] = {compared / f"{name}.csv": table for name, table in comparisons.items()}
        for model, result in results.items():
            if model in headlines:
                files.write_json(scores / f"{model}.json", headlines[model])
            table = result.table(dataset, model)
            if model in by_authors:
                table = pd.concat([table, by_authors[model].table(dataset, model, AUTHORS)])
            tables[full / f"{model}.csv"] = table
            if result.pairs is not None:
                tables[confused / f"{model}.csv"] = result.pairs
            for annotation, table in result.probabilities.items():
                tables[probabilities / annotation / f"{model}.csv"] = table
        predicted = stack.enter_context(files.replacing(PREDICTIONS / f"{dataset}.csv"))
        tables[predicted] = predictions
        for path, table in tables.items():
            path.parent.mkdir(exist_ok=True)
            table.to_csv(path, index=False, lineterminator="\n")
