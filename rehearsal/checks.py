"""What must be there at the end, and what must not; the working folder is the clone."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genept.core.params import MAJORITY, Params
from genept.datasets import config as datasets

METRICS = Path("metrics")
TABLES = ("table2", "table_c4", "section_4_4")
COUNTS = ("n_cells", "n_classes", "n_test_cells", "n_donors")
PARTS = ("_low", "_high", "_scaled")  # of a score; a number without runs has no range
ABOUT = ("note", "label_source")
NEEDS = {"patient_ari": {"patient"}}  # columns of Section 4.4 by the annotations of which the dataset must have one
OF_CLASSES = {"phenotype", "disease"}  # what its other columns are of
ALLOWED = ("the file may be the evaluated cells only",)  # reasons for a number that was not run
NO_COORDINATES = (MAJORITY, "asw")  # row and column
BY_SIZE = "f1_frequent"  # of classes of so many test cells as a miniature may not have: then no model has it
BLANK = 2.0  # grey levels by which the pixels of a picture differ at least


def all_of(params: Params, others: list[str], key: str) -> list[str]:
    """Return everything that is wrong, in words; `others` are datasets outside the grid."""
    return [
        *([] if params.grid == params.grids["paper"] else ["params.yaml: the grid is not the paper's"]),
        *(f"{' x '.join(pair)}: no score" for pair in params.pairs() if not n_scores(*pair)),
        *(gap for name in TABLES for gap in gaps(name, params)),
        *text_effect(params),
        *tracking(),
        *pictures(params),
        *label_sources(params),
        *(f"{name}: no cells" for name in others if not record(name)["cells"]["n_evaluated"]),
        *leaks(Path.cwd(), key),
    ]


def record(dataset: str) -> dict[str, Any]:
    """Return the verification record of a dataset."""
    found: dict[str, Any] = json.loads((METRICS / "verification" / f"{dataset}.json").read_text(encoding="utf-8"))
    return found


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def n_scores(dataset: str, model: str) -> int:
    """Return how many scores a pair has."""
    return sum(bool(row.get("value")) for row in read_table(METRICS / "full" / dataset / f"{model}.csv"))


def gaps(name: str, params: Params) -> list[str]:
    """Say which cell of a table is empty without a reason: a note, or that the dataset has no such annotation."""
    rows = read_table(METRICS / f"{name}.csv")
    annotations = {dataset: set(datasets.read(dataset).annotations) for dataset in params.grid.datasets}
    wanted = [one for one in annotations if name != "section_4_4" or annotations[one] & {"patient", *OF_CLASSES}]
    there = {row["dataset"] for row in rows}
    found = [f"{name}: no row of {dataset}" for dataset in wanted if dataset not in there]
    sized = {(row["dataset"], row["annotation"]) for row in rows if row.get(BY_SIZE)}
    for row in rows:
        group = row["dataset"], row["annotation"]
        for column, value in row.items():
            is_score = column not in (*ABOUT, *COUNTS) and not column.endswith(PARTS)
            has_labels = name != "section_4_4" or annotations[row["dataset"]] & NEEDS.get(column, OF_CLASSES)
            is_excused = (row["model"], column) == NO_COORDINATES or (column == BY_SIZE and group not in sized)
            if is_score and has_labels and not value and not row["note"] and not is_excused:
                found.append(f"{name}: {' x '.join((*group, row['model']))}: {column} is empty without a reason")
    return found


def text_effect(params: Params) -> list[str]:
    """Say with which control, or with the baseline, text is not compared on a dataset."""
    rows = read_table(METRICS / "text_effect.csv")
    compared = {(row["dataset"], row["versus"]) for row in rows if row["difference"] and row["low"]}
    wanted = [(dataset, other) for dataset in params.grid.datasets for other in params.grid.models.controls]
    wanted += [(dataset, params.baseline) for dataset in params.grid.datasets]
    return [
        f"text_effect: {dataset}: not compared with {other}"
        for dataset, other in wanted
        if (dataset, other) not in compared
    ]


def tracking() -> list[str]:
    """Say which number of the paper was not run, but for those that nothing can be held against."""
    rows = [row for row in read_table(METRICS / "paper_tracking.csv") if not row["ours"]]
    names = ("dataset", "section", "annotation", "model", "metric", "note")
    wrong = [row for row in rows if not any(reason in row["note"] for reason in ALLOWED)]
    return [f"paper_tracking: {', '.join(row[name] for name in names)}" for row in wrong]


def pictures(params: Params) -> list[str]:
    """Say which picture is missing or blank."""
    grid = params.grid
    wanted = [Path("umap", dataset, "all_models.png") for dataset in grid.datasets]
    for dataset in grid.datasets:
        wanted.append(Path("differences", f"{dataset}.png"))
        if set(datasets.read(dataset).annotations) & OF_CLASSES:
            wanted.append(Path("curves", f"{dataset}.png"))
        if datasets.read(dataset).annotation:
            wanted += [Path("annotation", dataset, f"{name}.png") for name in ("markers", "umap")]
    found = []
    for name in wanted:
        path = Path("plots") / name
        if not path.is_file():
            found.append(f"{name}: no picture")
        elif np.asarray(Image.open(path).convert("L"), dtype=float).std() < BLANK:
            found.append(f"{name}: a blank picture")
    return found


def label_sources(params: Params) -> list[str]:
    """Say whose record does not name who labelled the cells."""
    found = []
    for dataset in params.grid.datasets:
        source = record(dataset)["label_source"]
        if source != (datasets.ANNOTATION if datasets.read(dataset).annotation else datasets.AUTHOR):
            found.append(f"{dataset}: its record says that its labels are by {source}")
    return found


def leaks(clone: Path, key: str) -> list[str]:
    """Say which file, or object of git, holds the key; the log of commands beside the clone counts, too."""
    secret = key.encode()
    paths = [path for path in clone.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [f"{path.relative_to(clone.parent)}: holds the API key" for path in paths if secret in path.read_bytes()]
    command = ["git", "cat-file", "--batch", "--batch-all-objects"]
    objects = subprocess.run(command, cwd=clone, check=True, capture_output=True).stdout
    return [*found, *(["an object of git holds the API key"] if secret in objects else [])]


def summary(params: Params) -> str:
    """Return how many scores each pair has, datasets in rows, and how many of the paper's numbers were run."""
    table: dict[str, list[str]] = defaultdict(list)
    for dataset, model in params.pairs():
        table[dataset].append(f"{n_scores(dataset, model) or 'none':>{len(model)}}")
    models = [model for dataset, model in params.pairs() if dataset == params.grid.datasets[0]]
    width = max(map(len, table))
    lines = [f"{name:{width}}  " + "  ".join(cells) for name, cells in {"Scores": models, **table}.items()]
    rows = read_table(METRICS / "paper_tracking.csv")
    reasons = Counter("run" if row["ours"] else f"{row['verdict']}: {row['note']}" for row in rows)
    return "\n".join([*lines, "", "The numbers of the paper:", *(f"  {n:4} {r}" for r, n in reasons.most_common())])


def seconds(log: Path) -> str:
    """Return number and seconds of the stages by kind, the slowest kind first."""
    spent: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        took, _, command = line.partition("\t")
        stage, *arguments = command.removeprefix("stages.").split()
        spent[f"{stage} {arguments[1]}" if stage == "embed" else stage].append(float(took))
    lines = sorted(((sum(took), kind, len(took)) for kind, took in spent.items()), reverse=True)
    return "\n".join(f"  {total:7.1f} s  {n:4} x {kind}" for total, kind, n in lines)
