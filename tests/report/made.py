"""A small run: scores as `evaluate` writes them, verification records as `label` does, and the report of them."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from genept.core.params import Models
from stages.report import main
from tests.helpers import write_settings

HEADER = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note,protocol".split(",")
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
PAIRS = {(d, m) for d in ("blood", "tumour") for m in ("expression", "random_w", "text_w", "tuned", "ensemble")}


def rows_of(annotation: str, base: float, note: str = "", coordinates: bool = True) -> list[list[Any]]:
    """Rows of one annotation; every value follows from `base`."""
    rows: list[list[Any]] = []
    if coordinates:
        rows += [
            ["kmeans", annotation, "ari", "", base, 0.0123, 500, 3, note],
            ["kmeans", annotation, "ami", "", base + 0.01, 0.0045, 500, 3, note],
            ["silhouette", annotation, "asw", "", base - 0.5, "", 500, 3, note],
        ]
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    rows += [["knn", annotation, name, "", base + 0.1 * i, "", 100, 3, note] for i, name in enumerate(names)]
    rows.append(["knn", annotation, "precision", "B cell", 0.9999, "", 100, 3, note])
    return rows


def write_pair(dataset: str, model: str, rows: list[list[Any]], by_authors: list[list[Any]] | None = None) -> None:
    """Write both files of a pair; the scores by the authors' protocol are the same if no others are given."""
    by_protocol = [(rows, "evaluate"), (rows if by_authors is None else by_authors, "authors")]
    full, scores = Path(f"metrics/full/{dataset}/{model}.csv"), Path(f"metrics/scores/{dataset}/{model}.json")
    for path in (full, scores):
        path.parent.mkdir(parents=True, exist_ok=True)
    with full.open("w", newline="") as stream:
        lines = [[dataset, model, *row, protocol] for some, protocol in by_protocol for row in some]
        csv.writer(stream).writerows([HEADER, *lines])
    scores.write_text(json.dumps({"cell_type_ari": rows[0][4], "cell_type_knn_accuracy": 0.25}))


def write_record(dataset: str, **changes: Any) -> None:
    """Write a verification record."""
    record = {
        "dataset": dataset,
        "title": f"{dataset.title()} cells",
        "note": "",
        "label_source": "author",
        "subset": {"share": 0.2},
        "checked": {"n_genes": {"found": 23331}},
        "cells": {"n_file": 48000, "n_evaluated": 9625, "n_scored": 9625},
        "annotations": {"cell_type": {"n_labels_scored": 11}, "patient": {"n_labels_scored": 10}},
    }
    path = Path(f"metrics/verification/{dataset}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | changes))


def write_project() -> None:
    """Write a run of two datasets into the working folder, and scores of a model and a dataset outside the grid."""
    write_settings(Path(), {"seed": 7, "threads": 1, "grid": GRID}, models=MODELS)
    for base, model in ((0.1, "expression"), (0.2, "random_w"), (0.3, "text_w"), (0.4, "tuned")):
        note, supervised = "", ""
        if model == "tuned":
            note, supervised = "unseen cells only", "unseen cells only; supervised by phenotype"
        patient = rows_of("patient", base - 0.05, "; ".join(filter(None, ["on 50 principal components", note])))
        phenotype = rows_of("phenotype", base, note) + [
            ["logreg", "phenotype", name, "", base + 0.3, "", 100, 2, supervised]
            for name in ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")
        ]
        write_pair("blood", model, rows_of("cell_type", base, note) + patient + phenotype)
    for base, model in ((0.5, "expression"), (0.6, "random_w"), (0.55, "text_w"), (0.65, "tuned")):
        note = "random_w is not comparable: no counts" if model == "random_w" else ""
        reason = "; ".join(filter(None, ["not scored: phenotype has one class", note]))
        unscored = ["labels", "phenotype", "n_classes", "", 1, "", 500, 1, reason]
        write_pair("tumour", model, [*rows_of("cell_type", base, note), *rows_of("patient", base, note), unscored])
    for dataset, model in (("blood", "ensemble"), ("tumour", "ensemble"), ("blood", "gone"), ("gone", "expression")):
        write_pair(dataset, model, rows_of("cell_type", 0.45, coordinates=model != "ensemble"))
    write_record("blood", note="a stand-in, not a dataset of the paper")
    write_record("tumour", label_source="annotation", annotation={"method_version": 3})


def report(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


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
