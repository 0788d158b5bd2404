"""Pages to open: the frame with views made up here, and reports of a committed and of a hostile run."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from unittest import mock

from markupsafe import Markup

from genept.core import params as parameters
from genept.webpage import build, render
from genept.webpage.sources import View
from tests.helpers import clone
from tests.report import comparisons
from tests.report import made as small
from tests.report.made import report

HOSTILE = '</script><b>B</b> & "cells" $x_1$ 🧬 \u2028' + "long" * 50
NAMES = [view.__module__.rpartition(".")[2] for view in build.VIEWS]
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


def frame() -> bytes:
    """Return the page with a view of text only and one that a script draws of hostile labels."""
    text = View("text", "Text & <table>", Markup("<p>{}</p>").format(HOSTILE))
    drawn = View("drawn", "Drawn", Markup("<p>A picture of {}.</p>").format(HOSTILE), {"labels": ["plain", HOSTILE]})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "webpage"
        shutil.copytree(render.HERE, folder)
        (folder / "drawn.js").write_text(SCRIPT, encoding="utf-8")
        with mock.patch.object(render, "HERE", folder):
            return render.page(HOSTILE, Markup("<h1>{}</h1>").format(HOSTILE), [text, drawn]).encode()


@contextmanager
def project() -> Iterator[Path]:
    """Work in a folder that ends with its user, and in an environment that a stage may change."""
    with tempfile.TemporaryDirectory() as temporary, chdir(temporary), mock.patch.dict(os.environ):
        yield Path(temporary)


def reported() -> bytes:
    """Run the report without its pictures and return the page."""
    with mock.patch("stages.report.draw"):
        result = report()
    assert result.exit_code == 0, result.output
    return Path("plots/report.html").read_bytes()


def committed() -> bytes:
    """Return the page of the committed scores, with comparisons made up here, which git does not have."""
    with project() as folder:
        clone(folder)
        params = parameters.load()
        models = params.grid.scored
        for dataset in params.grid.datasets:
            comparisons.write_differences(dataset, models)
            comparisons.write_text(dataset, {}, text=params.grid.models.genept_w[0])
            comparisons.write_cells(dataset, params.grid.models.names, params.grid.scored)
            comparisons.write_confusion(dataset, models, small.CLASSES)
        comparisons.write_probabilities("covid", "phenotype", models, ["HC", "Severe"])
        return reported()


def replace(path: Path, texts: dict[str, str]) -> None:
    """Replace whole fields of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([texts.get(field, field) for field in row] for row in rows)


def hostile() -> bytes:
    """Return the page of a small run whose titles, notes and labels are `HOSTILE`."""
    with project():
        with mock.patch.dict(small.MODELS, {"text_w": small.MODELS["text_w"] | {"title": HOSTILE}}):
            small.write_project()
        for dataset in small.GRID["datasets"]:
            small.write_record(dataset, title=HOSTILE, note=HOSTILE)
            comparisons.write_cells(dataset, ["expression", "text_w"], small.SCORED, ["T cell", HOSTILE])
            comparisons.write_confusion(dataset, [*small.SCORED, *small.BOUNDS], [*small.CLASSES, HOSTILE])
        for path in Path("metrics/full").glob("*/*.csv"):
            replace(path, {"B cell": HOSTILE, "on 50 principal components": HOSTILE})
        comparisons.write_probabilities(
            "blood", "phenotype", [*small.SCORED[:-1], *small.BOUNDS[:2]], ["sick", HOSTILE]
        )
        return reported()


PAGES: dict[str, Callable[[], bytes]] = {"frame": frame, "committed": committed, "hostile": hostile}
