"""Pages to open: the frame with views made up here, and reports of a committed, a hostile and a crowded run."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from markupsafe import Markup

from genept.core import params as parameters
from genept.plots import cell_table
from genept.webpage import build as views
from genept.webpage import render
from genept.webpage.cells import PREDICTIONS
from genept.webpage.sources import View
from stages.report import PAGE
from tests.helpers import clone
from tests.report import comparisons
from tests.report import made as small
from tests.report.made import report

HOSTILE = '</script><b>B</b> & "cells" $x_1$ 🧬 \u2028' + "long" * 50
NAMES = [view.__module__.rpartition(".")[2] for view in views.VIEWS]
VIEWS = [("frame", "text"), ("frame", "drawn"), *((page, name) for page in ("committed", "hostile") for name in NAMES)]
SCRIPT = """page.register("drawn", (place, data, state) => {
  const label = page.chosen("label", data.labels);
  const bars = { x: (_, i) => i + 1, y: (text) => text.slice(-9), fill: page.colour("accent") };
  const marks = [page.Plot.barX(data.labels, bars)];
  const picture = page.Plot.plot({ width: place.clientWidth, ariaLabel: `Bars of ${label}`, marks });
  const rows = data.labels.map((name, i) => ({ label: name, value: page.three(-i) }));
  const choices = page.element("div", { class: "choices" }, page.choice("label", "Label", data.labels, label));
  place.replaceChildren(choices, page.figure(picture, `${data.labels.length} labels, chosen: ${label}`, rows));
});
"""


def build(name: str, folder: Path) -> Path:
    """Write a page of `PAGES`, and the run that it is of, to a new folder; return the page."""
    folder.mkdir()
    with chdir(folder), mock.patch.dict(os.environ):  # a stage changes its environment
        PAGES[name]()
    return folder / PAGE


def frame() -> None:
    """Write the page with a view of text only and one that a script draws of hostile labels."""
    text = View("text", "Text & <table>", Markup("<p>{}</p>").format(HOSTILE))
    drawn = View("drawn", "Drawn", Markup("<p>A picture of {}.</p>").format(HOSTILE), {"labels": ["plain", HOSTILE]})
    folder = Path("webpage").absolute()
    shutil.copytree(render.HERE, folder)
    (folder / "drawn.js").write_text(SCRIPT, encoding="utf-8")
    with mock.patch.object(render, "HERE", folder):
        page = render.page(HOSTILE, Markup("<h1>{}</h1>").format(HOSTILE), [text, drawn])
    PAGE.parent.mkdir()
    PAGE.write_text(page, encoding="utf-8")


def reported() -> None:
    """Write the page of the run in the working folder, without the report's pictures."""
    with mock.patch("stages.report.draw"):
        result = report()
    assert result.exit_code == 0, result.output


def committed() -> None:
    """Write the page of the committed scores, with comparisons made up here, which git does not have."""
    clone(Path())
    params = parameters.load()
    models = params.grid.scored
    for dataset in params.grid.datasets:
        comparisons.write_differences(dataset, models)
        comparisons.write_text(dataset, {}, text=params.grid.models.genept_w[0])
        comparisons.write_cells(dataset, params.grid.models.names, params.grid.scored)
        comparisons.write_confusion(dataset, models, small.CLASSES)
    comparisons.write_probabilities("covid", "phenotype", models, ["HC", "Severe"])
    reported()


def replace(path: Path, texts: dict[str, str]) -> None:
    """Replace whole fields of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([texts.get(field, field) for field in row] for row in rows)


def hostile() -> None:
    """Write the page of a small run whose titles, notes, labels and cells are `HOSTILE`."""
    with mock.patch.dict(small.MODELS, {"text_w": small.MODELS["text_w"] | {"title": HOSTILE}}):
        small.write_project()
    for dataset in small.GRID["datasets"]:
        small.write_record(dataset, title=HOSTILE, note=HOSTILE)
        comparisons.write_cells(dataset, ["expression", "text_w"], small.SCORED, ["T cell", HOSTILE])
        comparisons.write_confusion(dataset, [*small.SCORED, *small.BOUNDS], [*small.CLASSES, HOSTILE])
        for folder in (cell_table.FOLDER, PREDICTIONS):
            replace(folder / f"{dataset}.csv", {"c1": HOSTILE})
    for path in Path("metrics/full").glob("*/*.csv"):
        replace(path, {"B cell": HOSTILE, "on 50 principal components": HOSTILE})
    comparisons.write_probabilities("blood", "phenotype", [*small.SCORED[:-1], *small.BOUNDS[:2]], ["sick", HOSTILE])
    reported()


def crowded() -> None:
    """Write the page of a small run, one of whose datasets has as many cells as a page shows of one, in clouds."""
    small.write_project()
    rng, n = np.random.default_rng(0), cell_table.MOST_CELLS
    kinds = rng.integers(12, size=n)
    types = np.array([f"type {kind}" for kind in range(12)])
    obs = pd.DataFrame({"cell_type": types[kinds]}, index=pd.Index([f"c{i}" for i in range(n)], name="cell_id"))
    clouds = {model: rng.normal(8 * rng.random((12, 2))[kinds], 0.5) for model in ("expression", "text_w")}
    cell_table.make(obs, clouds, 0).to_csv(cell_table.FOLDER / "blood.csv")
    said = {model: types[(kinds + (rng.random(n) < 0.2)) % 12] for model in small.SCORED}
    predictions = pd.DataFrame({"split": "random", "actual": obs["cell_type"], **said})
    predictions.to_csv(PREDICTIONS / "blood.csv")
    small.write_record("blood", cells={"n_file": n, "n_empty_dropped": 0, "n_evaluated": n, "n_scored": n})
    reported()


PAGES: dict[str, Callable[[], None]] = {
    "frame": frame,
    "committed": committed,
    "hostile": hostile,
    "crowded": crowded,
}
