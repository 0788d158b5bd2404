"""What the page of the committed run prints is what the run's files have, read here without the project's code."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
from playwright.sync_api import Page, expect

from tests.report.made import read_csv
from tests.webpage.conftest import Build, Visit

COLUMNS = {  # of the overview: task, annotation, split and metric
    ("Clusters", "ARI"): ("kmeans", "cell_type", "", "ari"),
    ("Clusters", "AMI"): ("kmeans", "cell_type", "", "ami"),
    ("Clusters", "ASW"): ("silhouette", "cell_type", "", "asw"),
    ("New cells", "Accuracy"): ("knn", "cell_type", "random", "accuracy"),
    ("New cells", "F1"): ("knn", "cell_type", "random", "f1_macro"),
    ("New donors", "Accuracy"): ("knn", "cell_type", "donors", "accuracy"),
    ("New donors", "F1"): ("knn", "cell_type", "donors", "f1_macro"),
    ("Batch and phenotype", "Patient ARI ↓"): ("kmeans", "patient", "", "ari"),
    ("Batch and phenotype", "Phenotype AUROC"): ("logreg_standardised", "phenotype", "donors", "auroc"),
}
DATASETS = ("covid", "ovarian")
PARTS = {  # of the summary
    "Clustering": [("kmeans", "cell_type", "", metric) for metric in ("ari", "ami")],
    "New cells": [("knn", "cell_type", "random", metric) for metric in ("accuracy", "f1_macro")],
    "New donors": [("knn", "cell_type", "donors", metric) for metric in ("accuracy", "f1_macro")],
    "Phenotype": [("logreg_standardised", "phenotype", "donors", metric) for metric in ("balanced_accuracy", "auroc")],
}
FLOORS, CONTROLS = ("majority", "random_cells"), ("random_w", "shuffled_w")
TABLES = """() => [...document.querySelectorAll("#overview table.heat")].map((table) => {
  const spread = ({ cells }) => [...cells].flatMap((cell) => Array(cell.colSpan).fill(cell.innerText.trim()));
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => row.cells.length > 1);
  const cells = (row) => [...row.cells].map((cell) => [cell.firstChild.textContent.trim(), cell.title]);
  const named = rows.map((row) => [row.cells[0].innerText, cells(row).slice(1)]);
  return { head: [...table.tHead.rows].map(spread), rows: named };
})"""

NONE, MINUS = "\u2013", "\u2212"
Lines = dict[tuple[str, ...], dict[str, str]]


def lines_of(run: Path, dataset: str, model: str) -> Lines:
    """Read the scores over classes by this run's protocol."""
    lines = read_csv(f"{run}/metrics/full/{dataset}/{model}.csv")
    keys = ("task", "annotation", "split", "metric")
    own = (line for line in lines if not line["class"] and line["protocol"] == "evaluate")
    return {tuple(line[key] for key in keys): line for line in own}


def models_of(run: Path, dataset: str) -> set[str]:
    return {path.stem for path in (run / "metrics/full" / dataset).glob("*.csv")}


def three(value: str | float | None) -> str:
    """Print a number with three decimals, zero without sign."""
    return NONE if value in ("", None) else f"{float(value):.3f}".replace("-0.000", "0.000")


@pytest.fixture
def run(built: Build) -> Path:
    return built("committed").parent.parent


@pytest.fixture
def overview(built: Build, visit: Visit) -> Page:
    return visit(built("committed"), "view=overview")


def test_the_overview_prints_the_scores_and_ranges_of_the_files(overview: Page, run: Path) -> None:
    _, *tables = overview.evaluate(TABLES)
    n_numbers = 0
    for dataset, table in zip(DATASETS, tables, strict=True):
        families, headings = table["head"]
        keys = [COLUMNS[column] for column in zip(families[1:], headings[1:], strict=True)]
        assert {model for model, _ in table["rows"]} == models_of(run, dataset)
        for model, cells in table["rows"]:
            lines = lines_of(run, dataset, model)
            for key, (printed, note) in zip(keys, cells, strict=True):
                line = lines.get(key, defaultdict(str))
                assert printed == three(line["value"]), (dataset, model, key)
                ends = re.findall(r"range \[([-.\d]+), ([-.\d]+)\]", note)
                expected = [(line["low"], line["high"])] if line["low"] else []
                assert [[*map(three, pair)] for pair in ends] == [[*map(three, pair)] for pair in expected]
                n_numbers += printed != NONE
    assert n_numbers > 150


def scaled(lines: Lines) -> dict[str, float]:
    """Return the parts of the summary of one model; clusters are of test cells where there are no others."""
    found = {}
    for part, keys in PARTS.items():
        for split in ("", "random"):
            some = [lines.get((key[0], key[1], key[2] or split, key[3]), {}).get("scaled") for key in keys]
            values = [min(1.0, max(0.0, float(value))) for value in some if value]
            if values and part not in found:
                found[part] = fmean(values)
    return found


def test_the_summary_is_the_mean_of_scaled_scores(overview: Page, run: Path) -> None:
    table, *_ = overview.evaluate(TABLES)
    assert table["head"] == [["Row", "all datasets", *DATASETS]]
    printed = {model: [text for text, _ in cells] for model, cells in table["rows"]}
    notes = {model: [note for _, note in cells] for model, cells in table["rows"]}
    parts = {
        (dataset, model): scaled(lines_of(run, dataset, model))
        for dataset in DATASETS
        for model in models_of(run, dataset)
    }
    for model in printed:
        means = []
        for i, dataset in enumerate(DATASETS, 1):
            own = parts[dataset, model]
            assert notes[model][i] == ", ".join(f"{part} {value:.3f}" for part, value in own.items())
            of_all = {part for (name, _), some in parts.items() if name == dataset for part in some}
            means.append(fmean(own.values()) if own.keys() == of_all else None)
            assert printed[model][i] == three(means[-1]), (dataset, model)
        present = [mean for mean in means if mean is not None]
        assert printed[model][0] == three(fmean(present) if present else None)
    assert sum(text != NONE for texts in printed.values() for text in texts) > 20


def test_captions_of_lollipops_have_the_floor_and_the_controls_of_the_files(overview: Page, run: Path) -> None:
    lines = {model: lines_of(run, "covid", model) for model in models_of(run, "covid")}
    captions = []
    for key in COLUMNS.values():
        of_key = {model: own[key] for model, own in lines.items() if own.get(key, {}).get("value")}
        floor = max((float(of_key[name]["value"]) for name in FLOORS if name in of_key), default=0.0)
        ends = [float(of_key[name][end] or of_key[name]["value"]) for name in CONTROLS for end in ("low", "high")]
        text = f"floor, {three(floor)}. Band: the controls, {three(min(ends))} to {three(max(ends))}."
        captions.append(text.replace("-", MINUS))
    expect(overview.locator("#overview .panels figcaption")).to_contain_text(captions)


def test_chips_count_what_is_there(overview: Page, run: Path) -> None:
    n_cells = sum(
        json.loads((run / f"metrics/verification/{name}.json").read_text())["cells"]["n_scored"] for name in DATASETS
    )
    lines = [lines_of(run, dataset, model) for dataset in DATASETS for model in models_of(run, dataset)]
    n_runs = max(int(line["n_runs"] or 0) for own in lines for line in own.values())
    numbers = read_csv(f"{run}/metrics/paper_tracking.csv")
    n_tested = sum(number["ours"] != "" for number in numbers)
    chips = ["2 datasets", f"{n_cells:,} cells", f"{len(set.union(*(models_of(run, name) for name in DATASETS)))} rows"]
    chips += [f"{sum(map(len, lines)):,} scores", f"{n_runs} runs of each"]
    chips += [f"{n_tested} of {len(numbers)} numbers of the paper tested"]
    expect(overview.locator("ul.chips li")).to_have_text(chips)


def test_captions_of_confusion_matrices_count_the_files(built: Build, visit: Visit, run: Path) -> None:
    models = sorted(path.stem for path in (run / "plots/confusion/covid").glob("*.csv"))
    page = visit(built("committed"), "view=classes&dataset=covid")
    for model in models:
        page.evaluate("(model) => page.set({ model, beside: model })", model)
        pairs = [(one["actual"], one["predicted"]) for one in read_csv(f"{run}/plots/confusion/covid/{model}.csv")]
        right = sum(actual == predicted for actual, predicted in pairs)
        text = f"{model}: {right} of {len(pairs)} cells right (accuracy {right / len(pairs):.3f})."
        expect(page.locator("#classes figcaption").get_by_text(text, exact=True)).to_have_count(1)


@pytest.mark.parametrize("dataset", DATASETS)
def test_shares_of_cells_are_those_of_the_predictions(built: Build, visit: Visit, run: Path, dataset: str) -> None:
    page = visit(built("committed"), f"view=cells&dataset={dataset}&left=expression&right=random_w")
    cells = read_csv(f"{run}/metrics/predictions/{dataset}.csv")
    types = sorted({cell["actual"] for cell in cells})
    models = [name for name in cells[0] if name not in ("cell_id", "split", "actual", *FLOORS)]

    def shares(some: list[str]) -> list[list[str]]:
        rows = []
        for kind in types:
            own = [cell for cell in cells if cell["actual"] == kind]
            rows.append([kind, str(len(own)), *(f"{fmean(cell[name] == kind for cell in own):.3f}" for name in some)])
        return rows

    expect(page.locator("#cells .drawn tbody tr")).to_have_count(len(types))
    texts = "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
    assert page.locator("#cells .drawn tbody tr").evaluate_all(texts) == shares(["expression", "random_w"])
    static = page.locator("#cells details table").nth(DATASETS.index(dataset))
    assert static.locator("thead th").evaluate_all("(heads) => heads.map((head) => head.textContent)")[2:] == models
    assert static.locator("tbody tr").evaluate_all(texts) == shares(models)
