"""What `evaluate` and `plot` write beside scores: paired differences, the effect of text, predictions, single cells."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genept.report.pairs import read_pair

MODELS = "dataset,task,annotation,split,metric,model,other,difference,low,high,p,method,n,note".split(",")
TEXT = "dataset,annotation,metric,setting,text,value,versus,value_versus,difference,low,high,p,p_min,n_draws".split(",")
METHODS = ("kmeans", "silhouette", "knn", "logreg", "logreg_standardised")
NO_TEST = "4 donors: no test possible"
SETTINGS = {
    "accuracy": ("cosine", "centred_cosine", "euclidean"),
    "f1_macro": ("cosine", "centred_cosine", "euclidean"),
    "ari": ("minibatch k-means", "full k-means"),
}


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, header, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_differences(dataset: str, models: Sequence[str], untested: Sequence[str] = ()) -> None:
    """Write all pairs of every score: models .08 apart or less are p = .5, others .0001; none for `untested` splits."""
    scores = {model: read_pair(dataset, model).scores for model in models}
    rows = []
    for key in dict.fromkeys(key for of_model in scores.values() for key in of_model):
        task, annotation, split, metric = key
        for model, other in itertools.combinations(models, 2):
            a, b = scores[model].get(key), scores[other].get(key)
            if a and b and a.value is not None and b.value is not None and task in METHODS:
                value = a.value - b.value
                row: dict[str, Any] = {
                    "dataset": dataset,
                    "task": task,
                    "annotation": annotation,
                    "split": split,
                    "metric": metric,
                }
                row |= {"model": model, "other": other, "difference": value}
                if split in untested:
                    rows.append(row | {"note": NO_TEST})
                else:
                    p = 0.5 if abs(value) < 0.081 else 0.0001
                    rows.append(row | {"low": value - 0.081, "high": value + 0.081, "p": p, "n": 20})
    write_csv(Path(f"metrics/comparisons/{dataset}/models.csv"), MODELS, rows)


def write_text(dataset: str, differences: Mapping[tuple[str, str, str], float], text: str = "text_w") -> None:
    """Write the effect of text: .1 by each score and setting, unless `differences` has another; half-widths are .05."""
    rows = []
    for metric, settings in SETTINGS.items():
        for setting, versus in itertools.product(settings, ("random_w", "expression")):
            value = differences.get((metric, setting, versus), 0.1)
            row: dict[str, Any] = {
                "dataset": dataset,
                "annotation": "cell_type",
                "metric": metric,
                "setting": setting,
                "text": text,
            }
            row |= {"value": 0.7, "versus": versus, "value_versus": 0.7 - value, "difference": value}
            draws: dict[str, Any] = (
                {"p": 1 / 11, "p_min": 1 / 11, "n_draws": 10} if versus != "expression" else {"p": 0.01}
            )
            rows.append(row | {"low": value - 0.05, "high": value + 0.05} | draws)
    write_csv(Path(f"metrics/comparisons/{dataset}/text.csv"), TEXT, rows)


def write_probabilities(
    dataset: str, annotation: str, models: Sequence[str], classes: Sequence[str], n_cells: int = 60
) -> None:
    """Write probabilities of both regressions and splits; later models predict better."""
    rng = np.random.default_rng(0)
    actual = rng.choice(
        len(classes), n_cells, p=np.linspace(1, 3, len(classes)) / np.linspace(1, 3, len(classes)).sum()
    )
    for i, model in enumerate(models):
        rows = []
        for task, split in itertools.product(("logreg", "logreg_standardised"), ("random", "donors")):
            scores = rng.random((n_cells, len(classes))) + 0.05
            scores[np.arange(n_cells), actual] += 0.1 * i
            scores /= scores.sum(axis=1, keepdims=True)
            for cell, (label, of_cell) in enumerate(zip(actual, scores, strict=True)):
                row: dict[str, Any] = {"cell_id": f"c{cell}", "task": task, "split": split, "actual": classes[label]}
                rows.append(row | dict(zip(classes, of_cell.round(4), strict=True)))
        path = Path(f"metrics/probabilities/{dataset}/{annotation}/{model}.csv")
        write_csv(path, ["cell_id", "task", "split", "actual", *classes], rows)


def write_cells(
    dataset: str,
    drawn: Sequence[str],
    predicted: Sequence[str],
    types: Sequence[str] = ("B cell", "T cell"),
    n: int = 40,
) -> None:
    """Write what models predict for each cell and where they lay it out; the last drawn model has seen every other."""
    rng = np.random.default_rng(0)
    layouts = [f"{model}_{axis}" for model in drawn for axis in (1, 2)]
    cells, predictions = [], []
    for number in range(n):
        cell = {"cell_id": f"c{number}", "cell_type": types[number % len(types)], "patient": f"P{number % 3}"}
        cells.append(cell | dict(zip(layouts, rng.normal(size=len(layouts)).round(4), strict=True)))
        if number % 2:
            cells[-1] |= dict.fromkeys(layouts[-2:], "")
        said = dict(zip(predicted, rng.choice(types, len(predicted)), strict=True))
        predictions.append({"cell_id": cell["cell_id"], "split": "donors", "actual": cell["cell_type"], **said})
    write_csv(Path(f"plots/cells/{dataset}.csv"), [*cells[0]], cells)
    write_csv(Path(f"metrics/predictions/{dataset}.csv"), [*predictions[0]], predictions)


def write_confusion(dataset: str, models: Sequence[str], classes: Sequence[str]) -> None:
    """Write the predicted cell types of 10 cells of each class: later models take more of them for the next class."""
    for i, model in enumerate(models):
        pairs = itertools.pairwise([*classes, classes[0]])
        rows = [
            {"actual": label, "predicted": other if cell < i else label} for label, other in pairs for cell in range(10)
        ]
        write_csv(Path(f"plots/confusion/{dataset}/{model}.csv"), ["predicted", "actual"], rows)
