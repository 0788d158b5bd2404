"""What must be there at the end, and what must not."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

REANALYSED = ("artery", "bones")  # whose authors published no cell types
TABLES = ("table2", "table_c4", "section_4_4")
COUNTED = ("n_cells", "n_classes", "n_test_cells")
NEEDS = {"patient_ari": ("patient",)}  # columns of tables by the annotations of which one must be there
OF_CLASSES = ("phenotype", "disease")  # what the other columns of Section 4.4 are of
ALLOWED = ("not comparable", "the file may be the evaluated cells only")  # reasons for a number that was not run
BLANK = 2.0  # grey levels by which the pixels of a picture differ at least


def all_of(clone: Path, grid: dict[str, Any], others: list[str], key: str) -> list[str]:
    """Return everything that is wrong, in words."""
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    return [
        *([] if params["grid"] == grid else ["params.yaml: the grid is not the paper's"]),
        *scores(clone, grid),
        *(gap for name in TABLES for gap in gaps(clone, name, params, grid)),
        *tracking(clone),
        *pictures(clone, grid),
        *label_sources(clone, grid),
        *(f"{name}: no verification record" for name in others if not record(clone, name).is_file()),
        *leaks(clone, key),
    ]


def record(clone: Path, dataset: str) -> Path:
    return clone / "metrics" / "verification" / f"{dataset}.json"


def models_of(dataset: str, grid: dict[str, Any]) -> list[str]:
    """Return the models of which a dataset must have scores."""
    models = list(grid["models"])
    models += [grid["finetune"]["model"]] if dataset in grid["finetune"]["datasets"] else []
    models += ["ensemble"] if dataset in grid["ensemble"]["datasets"] else []
    return models


def n_scores(clone: Path, dataset: str, model: str) -> int:
    """Return how many scores a pair has."""
    path = clone / "metrics" / "full" / dataset / f"{model}.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8") as stream:
        return sum(bool(row.get("value")) for row in csv.DictReader(stream))


def scores(clone: Path, grid: dict[str, Any]) -> list[str]:
    """Say which pair has no score."""
    pairs = [(dataset, model) for dataset in grid["datasets"] for model in models_of(dataset, grid)]
    return [f"{dataset} x {model}: no score" for dataset, model in pairs if not n_scores(clone, dataset, model)]


def gaps(clone: Path, name: str, params: dict[str, Any], grid: dict[str, Any]) -> list[str]:
    """Say which cell of a table is empty without a reason: a note, or that the dataset has no such annotation."""
    with (clone / "metrics" / f"{name}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    there = {row["dataset"] for row in rows}
    found = [f"{name}: no row of {one}" for one in grid["datasets"] if one not in there and wanted(name, params, one)]
    for row in rows:
        has = annotations_of(params, row["dataset"])
        for column, value in row.items():
            needs = NEEDS.get(column, OF_CLASSES) if name == "section_4_4" else ()
            must = column not in ("note", *COUNTED) and not column.endswith("_sd") and (not needs or has & {*needs})
            if not value and must and not row["note"]:
                found.append(f"{name}: {row['dataset']} x {row['model']}: {column} is empty without a reason")
    return found


def annotations_of(params: dict[str, Any], dataset: str) -> set[str]:
    """Return the annotations that a dataset's entry names."""
    entry = params["datasets"][dataset]
    return {*entry["obs"], *entry.get("derive", {}), *(["cell_type"] if entry.get("reanalysis") else [])}


def wanted(name: str, params: dict[str, Any], dataset: str) -> bool:
    """Say whether a dataset belongs into a table."""
    return name != "section_4_4" or bool(annotations_of(params, dataset) & {"patient", *OF_CLASSES})


def tracking(clone: Path) -> list[str]:
    """Say which number of the paper was not run, but for those that nothing can be held against."""
    with (clone / "metrics" / "paper_tracking.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["status"] == "not run"]
    bad = [row for row in rows if not any(allowed in row["reason"] for allowed in ALLOWED)]
    names = ("dataset", "section", "annotation", "model", "metric", "reason")
    return [f"paper_tracking: {', '.join(row[name] for name in names)}" for row in bad]


def not_run(clone: Path) -> str:
    """Count the reasons of the numbers that were not run, as lines."""
    counts: dict[str, int] = defaultdict(int)
    with (clone / "metrics" / "paper_tracking.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            counts[f"not run: {row['reason']}" if row["status"] == "not run" else "run"] += 1
    return "\n".join(f"  {n:4} {reason}" for reason, n in sorted(counts.items(), key=lambda item: -item[1]))


def pictures(clone: Path, grid: dict[str, Any]) -> list[str]:
    """Say which picture is missing or blank."""
    figures = grid["figures"]
    wanted = [Path("umap", dataset, f"{model}.png") for dataset in figures["datasets"] for model in figures["models"]]
    wanted += [Path("reanalysis", dataset, f"{name}.png") for dataset in REANALYSED for name in ("markers", "umap")]
    found = []
    for name in wanted:
        path = clone / "plots" / name
        if not path.is_file():
            found.append(f"{name}: no picture")
        elif np.asarray(Image.open(path).convert("L"), dtype=float).std() < BLANK:
            found.append(f"{name}: a blank picture")
    return found


def label_sources(clone: Path, grid: dict[str, Any]) -> list[str]:
    """Say whose record does not say the right thing of who labelled the cells."""
    found = []
    for dataset in grid["datasets"]:
        said = json.loads(record(clone, dataset).read_text(encoding="utf-8"))["label_source"]
        if said != ("reanalysis" if dataset in REANALYSED else "author"):
            found.append(f"{dataset}: its record says that its labels are by {said}")
    return found


def leaks(clone: Path, key: str) -> list[str]:
    """Say which file, or object of git, holds the key; the log of commands beside the clone counts, too."""
    secret = key.encode()
    paths = [path for path in clone.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [f"{path.relative_to(clone.parent)}: holds the API key" for path in paths if secret in path.read_bytes()]
    objects = subprocess.run(
        ["git", "cat-file", "--batch", "--batch-all-objects"], cwd=clone, check=True, capture_output=True
    ).stdout
    return [*found, *(["an object of git holds the API key"] if secret in objects else [])]


def found(clone: Path, grid: dict[str, Any]) -> str:
    """Return how many scores each pair has, and how many of the paper's numbers were run."""
    return f"{table(clone, grid)}\n\nThe numbers of the paper:\n{not_run(clone)}"


def table(clone: Path, grid: dict[str, Any]) -> str:
    """Return how many scores each pair has, datasets in rows."""
    models = list(dict.fromkeys(model for dataset in grid["datasets"] for model in models_of(dataset, grid)))
    width = max(map(len, grid["datasets"]))
    lines = [f"{'Scores':{width}}  " + "  ".join(models)]
    for dataset in grid["datasets"]:
        cells = (
            str(n_scores(clone, dataset, model) or "none") if model in models_of(dataset, grid) else "-"
            for model in models
        )
        lines.append(
            f"{dataset:{width}}  "
            + "  ".join(f"{cell:>{len(model)}}" for cell, model in zip(cells, models, strict=True))
        )
    return "\n".join(lines)


def seconds(log: Path) -> str:
    """Return number and seconds of the stages by kind, the slowest kind first."""
    spent: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        took, _, command = line.partition("\t")
        words = command.split()
        kind = words[0].removeprefix("stages.")
        if kind == "embed":
            kind += f" {words[-1]}"
        spent[kind].append(float(took))
    lines = sorted(((sum(took), kind, len(took)) for kind, took in spent.items()), reverse=True)
    return "\n".join(f"  {total:7.1f} s  {n:4} x {kind}" for total, kind, n in lines)
