"""The view Table: every line of ``metrics/full``, those of single classes included, in words and as it stands there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from genept.core.params import AUTHORS, OWN, Params
from genept.core.readers import read_table
from genept.report import captions, glossary
from genept.report.pairs import Run
from genept.report.pictures import HOW, SPLITS
from genept.report.records import METRICS
from genept.report.tracking import BY_REFERENCE
from genept.webpage.render import html
from genept.webpage.sources import Sources, View

Columns = dict[str, list[str]]  # the texts of each column, line by line

TITLES = {  # of the columns, in the order of the files
    "dataset": "Dataset",
    "model": "Model",
    "protocol": "Protocol",
    "task": "Task",
    "annotation": "Annotation",
    "split": "Split",
    "metric": "Metric",
    "class": "Class",
    "value": "Score",
    "low": "Low",
    "high": "High",
    "sd": "SD",
    "n_runs": "Runs",
    "first": "First run",
    "scaled": "Scaled",
    "n_cells": "Cells",
    "n_classes": "Classes",
    "n_donors": "Donors",
    "note": "Notes",
}
OF_SAMPLES = {"n_all": "Drawn from", "se": "Standard error"}  # of the files of large datasets
NUMBERS = ("value", "low", "high", "sd", "n_runs", "first", "scaled", "n_cells", "n_classes", "n_donors", *OF_SAMPLES)
METRICS_IN_WORDS = {"ari": "ARI", "ami": "AMI", "asw": "ASW", "auroc": "AUROC", "f1": "F1", "support": "test cells"}
FILTERS = ("dataset", "model", "protocol", "task", "annotation", "split", "metric")


def view(sources: Sources) -> View:
    """Return the table of all scores of the run."""
    lines = read(sources.run)
    text = html(
        "table.html",
        n=len(lines["model"]),
        runs=" ".join([captions.runs(sources.run.applied), *captions.samples(sources.run)]),
    )
    return View("table", "Table", text, {"columns": packed(lines, sources.run.params)})


def read(run: Run) -> Columns:
    """Read all lines of the files of all pairs, in the order of the grid; numbers were checked with the scores."""
    columns = dict.fromkeys(TITLES, str)
    tables = [
        read_table(METRICS / "full" / pair.dataset / f"{pair.model}.csv", columns, f"evaluate@{pair.dataset}")
        for pair in run.pairs
    ]
    sampled = [name for name in OF_SAMPLES if any(name in table for table in tables)]
    return {
        name: [text for table in tables for text in table.get(name, [""] * len(table["model"]))]
        for name in (*TITLES, *sampled)
    }


def packed(lines: Columns, params: Params) -> list[dict[str, Any]]:
    """Pack each column: its texts, each once, and the place of each line's; runs of a place once with their lengths."""
    columns = []
    for name, of_lines in lines.items():
        places = {text: place for place, text in enumerate(dict.fromkeys(of_lines))}
        codes = [places[text] for text in of_lines]
        column: dict[str, Any] = {"name": name, "title": (TITLES | OF_SAMPLES)[name], "texts": list(places)}
        if name in NUMBERS:
            column["numbers"] = True
        elif (words := [in_words(name, text, params) for text in places]) != column["texts"]:
            column["words"] = words
        columns.append(column | run_lengths(codes) | {"filters": name in FILTERS and len(places) > 1})
    return columns


def run_lengths(codes: Sequence[int]) -> dict[str, list[int]]:
    """Return codes with the lengths of their runs where that is shorter than the codes themselves."""
    runs = [(code, len(list(some))) for code, some in groupby(codes)]
    if 2 * len(runs) > len(codes):
        return {"codes": list(codes)}
    return {"codes": [code for code, _ in runs], "lengths": [length for _, length in runs]}


def in_words(column: str, text: str, params: Params) -> str:
    """Say a code in words; a name or a label stays as it is."""
    match column:
        case "protocol":
            return {OWN: "this run's", AUTHORS: "the authors'"}.get(text, text)
        case "task":
            return tasks(params).get(text, text)
        case "split":
            return {**SPLITS, "reference": BY_REFERENCE, "": "all cells"}.get(text, text)
        case "annotation":
            return text.replace("_", " ")
        case "metric":
            of, _, average = text.rpartition("_")
            of, average = (of, f", {average}") if average in glossary.AVERAGES else (text, "")
            return METRICS_IN_WORDS.get(of, of.removeprefix("n_").replace("_", " ")) + average
    return text


def tasks(params: Params) -> dict[str, str]:
    """Name what is scored, as this run does it."""
    regressions = {task: f"logistic regression, {how}" for task, how in HOW.items()}
    own = {"knn": captions.neighbours(params), "kmeans": "k-means clusters", "silhouette": "silhouettes"}
    return own | regressions
