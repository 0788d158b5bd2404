"""A small run: scores as `evaluate` writes them, verification records as `label` does, and the report of them."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from genept.core.params import Models
from genept.metrics.results import COLUMNS
from stages.report import main
from tests.helpers import write_settings
from tests.report import comparisons

MODELS: dict[str, dict[str, Any]] = {
    "expression": {"title": "Expression"},
    "random_w": {"title": "Control: random"},
    "text_w": {"title": "GenePT-w, MiniLM on names", "engine": "genept_w", "vectors": {"text": "name"}},
    "tuned": {"title": "Tuned text"},
    "unused": {"title": "Not in the grid", "paper": "geneformer"},
}
NO_MODELS: dict[str, list[str]] = {key: [] for key in Models.model_fields}
GRID: dict[str, Any] = {
    "datasets": ["blood", "tumour"],
    "models": NO_MODELS
    | {"custom": ["expression"], "controls": ["random_w"], "genept_w": ["text_w"], "finetuned": ["tuned"]},
    "pretrain": [],
    "ensemble": ["text_w", "random_w", "expression"],
}
SCORED = ["expression", "random_w", "text_w", "tuned", "random_tuned", "ensemble"]  # with headline scores
BOUNDS = ["majority", "random_cells", "supervised"]
PAIRS = {(dataset, model) for dataset in ("blood", "tumour") for model in (*SCORED, *BOUNDS)}
KNN = ("accuracy", "precision_macro", "recall_macro", "f1_macro", "balanced_accuracy")
CLASSES, OF_CLASS = ("B cell", "Plasma cell", "T cell"), ("precision", "recall", "f1", "support")
FREQUENT = ("precision_frequent", "recall_frequent", "f1_frequent")
WEIGHTED = ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")
LOGREG = (*WEIGHTED, "precision_macro", "recall_macro", "f1_macro", "balanced_accuracy", "auroc")
ROW: dict[str, Any] = dict.fromkeys(COLUMNS[3:], "")


def row(task: str, annotation: str, metric: str, value: Any, **columns: Any) -> dict[str, Any]:
    """One line of the full table; the columns not given are as those of a score over 20 runs, or empty."""
    classifies = task in ("knn", "logreg", "logreg_standardised")
    filled: dict[str, Any] = {"n_cells": 100 if classifies else 500, "n_classes": 3, "n_donors": 6}
    if task in ("labels", "embedding"):
        filled |= {"n_runs": 1, "n_donors": ""}
    elif task == "silhouette":
        filled |= {"n_runs": 1, "scaled": 0.5}
    elif columns.get("split") in ("donors", "reference"):
        filled |= {"n_runs": 1, "low": value - 0.05, "high": value + 0.05, "scaled": 0.5, "n_cells": 500}
    else:
        sd, half = 0.0123, 0.0264  # half: t of 19 degrees of freedom times SD times sqrt(1 + 1/20)
        filled |= {"low": value - half, "high": value + half, "sd": sd, "n_runs": 20, "first": value, "scaled": 0.5}
    if classifies:
        filled["split"] = "random"
    return ROW | {"task": task, "annotation": annotation, "metric": metric, "value": value} | filled | columns


def rows_of(annotation: str, base: float, note: str = "", coordinates: bool = True) -> list[dict[str, Any]]:
    """Rows of one annotation; every value follows from `base`.

    Clusters of all cells unless the note says "unseen cells only", and of test cells; neighbours with cells at random
    and whole donors held out.
    """
    rows: list[dict[str, Any]] = []
    for split in ("", "random") if coordinates else ():
        if split or "unseen cells only" not in note:
            cells = {"split": split, "note": note, "n_cells": 100 if split else 500}
            rows += [
                row("kmeans", annotation, "ari", base, **cells),
                row("kmeans", annotation, "ami", base + 0.01, **cells),
                row("silhouette", annotation, "asw", base - 0.5, **cells),
            ]
    for split in ("random", "donors"):
        for i, name in enumerate(KNN):
            rows.append(row("knn", annotation, name, base + 0.1 * min(i, 3), split=split, note=note))
        for name in FREQUENT:
            rows.append(row("knn", annotation, name, base + 0.25, split=split, note=note))
    of_classes = [
        row("knn", annotation, name, base, note=note, **{"class": label}) for label in CLASSES for name in OF_CLASS
    ]
    return [*rows, *of_classes]


def regression_rows(annotation: str, value: float, note: str = "") -> list[dict[str, Any]]:
    """Rows of both logistic regressions, with cells at random and whole donors held out; all have one value."""
    return [
        row(task, annotation, name, value, split=split, note=note, n_classes=2)
        for task in ("logreg", "logreg_standardised")
        for split in ("random", "donors")
        for name in LOGREG
    ]


def write_pair(
    dataset: str, model: str, rows: list[dict[str, Any]], by_authors: list[dict[str, Any]] | None = None
) -> None:
    """Write the files of a pair; the scores by the authors' protocol are the same if no others are given."""
    by_protocol = {"evaluate": rows, "authors": rows if by_authors is None else by_authors}
    full, scores = Path(f"metrics/full/{dataset}/{model}.csv"), Path(f"metrics/scores/{dataset}/{model}.json")
    full.parent.mkdir(parents=True, exist_ok=True)
    with full.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for protocol, some in by_protocol.items():
            writer.writerows({"dataset": dataset, "model": model, "protocol": protocol} | one for one in some)
    if model not in BOUNDS:
        scores.parent.mkdir(parents=True, exist_ok=True)
        scores.write_text(json.dumps({"ari": rows[0]["value"], "accuracy": 0.25}))


def annotation(column: str, n_labels: int) -> dict[str, Any]:
    """The record of an annotation, as `label` writes it."""
    return {
        "column": column,
        "n_labels_scored": n_labels,
        "n_missing": 0,
        "smaller_than_min_class_size": ["pDC"],
        "all_cells": {"T cell": 47000, "pDC": 1000},
        "evaluated_cells": {"T cell": 9624, "pDC": 1},
    }


def write_record(dataset: str, **changes: Any) -> None:
    """Write a verification record."""
    record = {
        "dataset": dataset,
        "title": f"{dataset.title()} cells",
        "note": "",
        "label_source": "author",
        "x": "counts",
        "layer": None,
        "subset": {"share": 0.2, "by": "patient", "seed": 2023},
        "files": {f"data/{dataset}/raw/raw.h5ad": {"sha256": 64 * "a"}},
        "checked": {"n_genes": {"found": 23331, "expected": 23331, "match": True}, "cell_type": {"found": 11}},
        "cells": {"n_file": 48000, "n_empty_dropped": 125, "n_evaluated": 9625, "n_scored": 9625},
        "genes": {"n_genes": 23331, "n_renamed": 1, "renamed": {"IL8": "CXCL8"}, "unknown": ["RP11-1"]}
        | {"ambiguous": [], "collisions": [], "dropped_duplicates": []},
        "annotations": {"cell_type": annotation("celltype", 11), "patient": annotation("donor", 10)},
        "patients": {"phenotype": {"patients_per_label": {"sick": 6, "well": 4}, "patients_with_several_labels": []}},
        "notes": ["cell_type: fewer than 10 evaluated cells of pDC (1)"],
    }
    path = Path(f"metrics/verification/{dataset}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | changes))


def write_project() -> None:
    """Write a run of two datasets into the working folder, and scores of a model and a dataset outside the grid."""
    write_settings(Path(), {"seed": 7, "threads": 1, "grid": GRID}, models=MODELS)
    blood = {"expression": 0.1, "random_w": 0.2, "text_w": 0.3, "tuned": 0.4, "random_tuned": 0.35}
    for model, base in (blood | {"majority": 0.02, "random_cells": 0.05}).items():
        note, supervised = "", ""
        if model.endswith("tuned"):
            note, supervised = "unseen cells only", "unseen cells only; supervised by phenotype"
        patient = rows_of("patient", base - 0.05, "; ".join(filter(None, ["on 50 principal components", note])))
        phenotype = rows_of("phenotype", base, note) + regression_rows("phenotype", base + 0.3, supervised)
        write_pair("blood", model, rows_of("cell_type", base, note) + patient + phenotype)
    tumour = {"expression": 0.5, "random_w": 0.6, "text_w": 0.55, "tuned": 0.65, "random_tuned": 0.64}
    for model, base in (tumour | {"majority": 0.02, "random_cells": 0.05}).items():
        note = "random_w is not comparable: no counts" if model == "random_w" else ""
        reason = "; ".join(filter(None, ["not scored: phenotype has one class", note]))
        unscored = row("labels", "phenotype", "n_classes", 1, n_classes=1, note=reason)
        write_pair("tumour", model, [*rows_of("cell_type", base, note), *rows_of("patient", base, note), unscored])
    for dataset, model in (("blood", "ensemble"), ("tumour", "ensemble"), ("blood", "gone"), ("gone", "expression")):
        write_pair(dataset, model, rows_of("cell_type", 0.45, coordinates=model != "ensemble"))
    for dataset, base in (("blood", 0.6), ("tumour", 0.68)):  # which only cell types have
        write_pair(dataset, "supervised", rows_of("cell_type", base, "a logistic regression", coordinates=False))
    for dataset, untested in (("blood", ()), ("tumour", ("donors",))):
        comparisons.write_differences(dataset, [*SCORED, *BOUNDS], untested)
        comparisons.write_text(dataset, {})
        comparisons.write_cells(dataset, ["expression", "random_w", "text_w", "tuned"], [*SCORED, *BOUNDS])
        comparisons.write_confusion(dataset, [*SCORED, *BOUNDS], CLASSES)
    comparisons.write_probabilities("blood", "phenotype", [*SCORED[:-1], "majority", "random_cells"], ["sick", "well"])
    write_record("blood", note="a stand-in, not a dataset of the paper")
    write_record("tumour", label_source="annotation", annotation={"method_version": 3})


def report(*arguments: str, color: bool = False) -> Result:
    return CliRunner().invoke(main, arguments, color=color)


def texts() -> dict[str, str]:
    """Run the report and return the Markdown that it writes, by stem, with single spaces."""
    result = report()
    assert result.exit_code == 0, result.output
    return {path.stem: " ".join(path.read_text(encoding="utf-8").split()) for path in Path("metrics").glob("*.md")}


def read_csv(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def printed_rows(name: str) -> list[list[str]]:
    """The rows of a Markdown table, cell by cell, with the blanks of repeated groups filled in."""
    lines = [line for line in Path(name).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for above, row in itertools.pairwise(rows):
        row[:2] = row[:2] if row[0] else above[:2]
    return rows
