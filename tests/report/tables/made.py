"""Scores of a small grid, and the tables that the report makes of them."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from stages.report import main
from tests.report.scored import write_pair

PARAMS: dict[str, Any] = {
    "seed": 7,
    "threads": 1,
    "grid": {
        "datasets": ["blood", "tumour"],
        "models": ["expression", "random_w", "text_w"],
        "controls": {"of": "text_w", "models": ["random_w"]},
        "pretrain": {"models": ["mini"], "on": []},
        "finetune": {"datasets": ["blood"], "from": "text_w", "model": "tuned"},
        "ensemble": {"datasets": ["blood"], "members": ["text_w", "random_w", "expression"]},
        "figures": {"datasets": [], "baseline": "expression", "models": []},
    },
    "datasets": {
        "blood": {"title": "Blood cells", "note": "stand-in, not a dataset of the paper"},
        "tumour": {"title": "Tumour cells"},
    },
    "models": {
        "expression": {"title": "Expression"},
        "random_w": {"title": "Control: random"},
        "text_w": {"title": "Text"},
        "tuned": {"title": "Tuned text"},
    },
    "evaluate": {
        "kmeans": {"algorithm": "full", "batch_size": 20, "n_init": 1, "repeats": 2, "pca_for_patient": 50},
        "split": {"test_size": 0.2, "stratified": False, "groups": None},
        "knn": {"k": 9, "metric": "cosine"},
        "logreg": {"max_iter": 100, "C": 1.0, "standardise": False, "labels": ["phenotype", "disease"]},
        "ensemble_tie": "first",
        "unknown": [],
    },
}


def rows_of(annotation: str, base: float, note: str = "", coordinates: bool = True) -> list[list[Any]]:
    """Rows of one annotation, as `evaluate` writes them; every value follows from `base`."""
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


def write(dataset: str, model: str, rows: list[list[Any]]) -> None:
    """Write both files of a pair."""
    write_pair(dataset, model, rows, {"cell_type_ari": rows[0][4], "cell_type_knn_accuracy": 0.25})


def report(*arguments: str):
    return CliRunner().invoke(main, arguments)


def read_csv(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def printed_rows(name: str) -> list[list[str]]:
    """The rows of a Markdown table, cell by cell, with the blanks of repeated groups filled in."""
    lines = [line for line in Path(name).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for above, row in itertools.pairwise(rows):
        row[:2] = row[:2] if row[0] else above[:2]
    return rows
