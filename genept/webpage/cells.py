"""The view of cells: two layouts side by side, whose points a browser colours, searches and counts.

A dataset's numbers are one matrix of 16-bit codes, a column after another, each as its low bytes and then its high
bytes, which compress better apart: first the labels of each annotation, then the cell type that each model predicts,
then x and y of each layout.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from genept.core.params import MAJORITY, RANDOM_CELLS
from genept.core.readers import Reader, exactly, number, optional, read_table
from genept.data.cells import UNKNOWN, heading
from genept.plots import cell_table
from genept.plots.palette import NO_LABEL, looks
from genept.report.pairs import Run
from genept.report.records import METRICS
from genept.webpage import render
from genept.webpage.sources import Sources, View

PREDICTIONS = METRICS / "predictions"
STEPS = 4095  # from one side of a panel to the other: no error is seen before a point is drawn eight times as large
NONE = 65535  # a cell without coordinates or prediction
MARGIN = 1.06  # of a panel, to its outermost cells
PAGE_CELLS = 80_000  # of all datasets, so that the page of the paper's 190,000 stays below 8 MB
TYPE = "cell_type"
RIGHT, WRONG = "#0072B2", "#D55E00"
SPLITS = {"donors": "with whole donors held out", "random": "in the first random split, its test cells only"}


class Cells(NamedTuple):
    """A dataset's cells: annotations and predictions as texts, and coordinates, a row for each cell."""

    annotations: pd.DataFrame
    predictions: pd.DataFrame  # of cells that are drawn; empty texts where a model predicts none
    layouts: dict[str, np.ndarray]
    split: str


def view(sources: Sources) -> View:
    """Make the view of all datasets of the run."""
    run = sources.run
    everything = {dataset: read(dataset) for dataset in run.records}
    n_cells = limit([len(cells.annotations) for cells in everything.values()])
    shown = {dataset: some(cells, n_cells, run.params.plot.seed) for dataset, cells in everything.items()}
    data = {
        "datasets": {dataset: as_data(dataset, cells, run) for dataset, cells in shown.items()},
        "right": next(iter(run.params.grid.models.genept_w), ""),
        "steps": STEPS,
        "none": NONE,
        "verdicts": [RIGHT, WRONG, NO_LABEL],
    }
    tables = [
        (run.records[dataset]["title"], SPLITS[cells.split], of_shown(cells, run.records[dataset]), *shares(cells))
        for dataset, cells in shown.items()
    ]
    return View("cells", "Cells", render.html("cells.html", tables=tables, k=run.params.evaluate.knn.k), data)


def read(dataset: str) -> Cells:
    """Read what `plot` and `evaluate` write of a dataset's cells; `InputError` if a file is missing or damaged."""

    def coordinate(name: str) -> Reader:
        return optional(number) if name.endswith(("_1", "_2")) else str

    path = cell_table.FOLDER / f"{dataset}.csv"
    table = read_cells(path, {}, f"plot@{dataset}", coordinate)
    columns: dict[str, Reader] = {"actual": str, "split": exactly(*SPLITS)}
    predictions = read_cells(PREDICTIONS / f"{dataset}.csv", columns, f"evaluate@{dataset}")
    models = [name.removesuffix("_1") for name in map(str, table) if f"{name.removesuffix('_1')}_2" in table]
    axes = {model: [f"{model}_1", f"{model}_2"] for model in models}
    layouts = {model: table[names].to_numpy(np.float64) for model, names in axes.items()}
    annotations = table.drop(columns=[name for names in axes.values() for name in names])
    split = str(predictions["split"].iloc[0])
    known = predictions.drop(columns=["split", "actual", MAJORITY, RANDOM_CELLS], errors="ignore")
    return Cells(annotations, known.reindex(table.index, fill_value=""), layouts, split)


def read_cells(
    path: Path, columns: Mapping[str, Reader], stage: str, others: Callable[[str], Reader] = lambda name: str
) -> pd.DataFrame:
    """Read a table by cell; `others` returns the reader of a column that is not among `columns`."""
    table = read_table(path, {"cell_id": str, **columns}, stage, others, key="cell_id", may_be_empty=False)
    return pd.DataFrame(table).set_index("cell_id")


def limit(sizes: Sequence[int]) -> int:
    """Return how many cells each dataset may show, in steps of 500, so that all together are at most `PAGE_CELLS`."""
    steps = range(cell_table.MOST_CELLS, 0, -500)
    return next(most for most in steps if sum(min(size, most) for size in sizes) <= PAGE_CELLS)


def some(cells: Cells, n_cells: int, seed: int) -> Cells:
    """Keep a sample of each cell type."""
    rows = cell_table.sample(cells.annotations, n_cells, seed)
    layouts = {model: layout[rows] for model, layout in cells.layouts.items()}
    return Cells(cells.annotations.iloc[rows], cells.predictions.iloc[rows], layouts, cells.split)


def as_data(dataset: str, cells: Cells, run: Run) -> dict[str, Any]:
    """Return what the script reads of a dataset: names and labels, the cells' ids, and the matrix."""
    labels = {str(name): names_of(column) for name, column in cells.annotations.items()}
    columns = [codes(cells.annotations[name], [*own]) for name, own in labels.items()]
    columns += [codes(column, [*labels.get(TYPE, {})]) for _, column in cells.predictions.items()]
    columns += [column for layout in cells.layouts.values() for column in quantise(layout).T]
    record = run.records[dataset]
    return {
        "title": record["title"],
        "cells": len(cells.annotations),
        "total": record["cells"]["n_evaluated"],
        "split": SPLITS[cells.split] + (", by a control in its first draw" if run.params.grid.models.controls else ""),
        "annotations": [
            {"name": name, "heading": heading(name), "labels": [*own], "colours": [*own.values()]}
            for name, own in labels.items()
        ],
        "predicted": [*cells.predictions],
        "models": [{"name": model, "title": run.model_title(model)} for model in cells.layouts],
        "ids": packed(json.dumps([*cells.annotations.index], ensure_ascii=False).encode()),
        "matrix": packed(b"".join(map(planes, columns))),
    }


def names_of(column: pd.Series) -> dict[str, str]:
    """Return the labels of an annotation in their order, with their colours."""
    return {label: look.colour for label, look in looks(column, UNKNOWN).items() if label in set(column)}


def codes(column: pd.Series, labels: Sequence[str]) -> np.ndarray:
    """Return the place of each cell's label among `labels`, `NONE` for others."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places.get(label, NONE) for label in column])


def quantise(layout: np.ndarray) -> np.ndarray:
    """Place cells on a square of `STEPS` by `STEPS`, the same scale for both axes; `NONE` where there are none."""
    drawn = np.isfinite(layout).all(axis=1)
    if not drawn.any():
        return np.full(layout.shape, NONE)
    low, high = layout[drawn].min(axis=0), layout[drawn].max(axis=0)
    side = max((high - low).max() * MARGIN, 1e-6)
    steps = np.rint(((layout - (low + high) / 2) / side + 0.5) * STEPS)
    return np.where(drawn[:, None], steps, NONE).astype(np.int64)


def planes(column: np.ndarray) -> bytes:
    """Return codes as their low bytes, then their high bytes."""
    return column.astype("<u2").view(np.uint8).reshape(-1, 2).T.tobytes()


def packed(content: bytes) -> str:
    """Compress bytes into text; the same text for the same bytes."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def of_shown(cells: Cells, record: Mapping[str, Any]) -> str:
    """Say of which cells the shares are, if not all cells are shown."""
    n_shown, n_all = len(cells.annotations), record["cells"]["n_evaluated"]
    if n_shown == n_all:
        return ""
    return f" Shares are of the {n_shown:,} of {n_all:,} cells that are shown here, so they differ from the tables'."


def shares(cells: Cells) -> tuple[list[str], list[list[str]]]:
    """Return models and, for each cell type, its number of predicted cells and the share that each model has right."""
    tested = cells.predictions[(cells.predictions != "").any(axis=1)]
    if TYPE not in cells.annotations or tested.empty:
        return [], []
    actual = cells.annotations.loc[tested.index, TYPE]
    by_type = tested.eq(actual, axis=0).groupby(actual)
    right, n_cells = by_type.mean(), by_type.size()
    labels = [label for label in names_of(actual) if label in n_cells]
    rows = [[label, f"{n_cells[label]:,}", *(f"{share:.3f}" for share in right.loc[label])] for label in labels]
    return [*tested], rows
