"""The view Classes: F1 of each cell type, what is taken for what, and curves of predicted probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genept.core.params import OWN
from genept.core.readers import number, optional
from genept.plots.palette import by_name
from genept.plots.scores import Curve
from genept.report import captions, pictures, summary
from genept.report.confusion import counted, read
from genept.report.pairs import Run
from genept.webpage import table
from genept.webpage.render import html
from genept.webpage.sources import Sources, View

COUNTS_UP_TO = 40  # classes of a matrix with a number in each cell
TOLERANCE = 0.002  # of a thinned curve, in the units of its axes: 0.6 of 300 pixels


def view(sources: Sources) -> View:
    """Return the view; each picture has its dataset, and the models in the order of the tables."""
    run = sources.run
    scores = f1(run)
    datasets = {
        dataset: {"f1": scores[dataset], "confusion": confusion(run, dataset), "curves": curves(run, dataset)}
        for dataset in run.records
    }
    baseline = run.params.baseline
    text_models = [name for name in run.params.grid.models.genept_w if name != baseline]
    data = {"roles": roles(run), "shown": [*text_models[:1], baseline], "datasets": datasets}
    return View("classes", "Classes", html("classes.html", k=captions.neighbours(run.params)), data)


def roles(run: Run) -> dict[str, str]:
    """Return what each row is: a model, the baseline, a control, fine-tuned, or what scores lie between."""
    kinds = {name: kind for kind, names in summary.kinds(run).items() for name in names}
    return {name: kinds.get(name, "bounds") for name in run.params.grid.scored} | {run.params.baseline: "baseline"}


def f1(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return F1 of each cell type by dataset, one entry for each split: classes with most cells first, then models."""
    lines = table.read(run)
    keys = ("protocol", "task", "annotation", "metric")
    is_f1 = (OWN, "knn", "cell_type", "f1")
    found: dict[str, dict[str, dict[tuple[str, str], list[float | None]]]] = {name: {} for name in run.records}
    sizes: dict[tuple[str, str], str] = {}
    for key, dataset, split, model, label, n_cells, *values in zip(
        zip(*(lines[name] for name in keys), strict=True),
        *(lines[name] for name in ("dataset", "split", "model", "class", "n_cells", "value", "low", "high", "n_runs")),
        strict=True,
    ):
        if key == is_f1 and label:
            found[dataset].setdefault(split, {})[model, label] = [optional(number)(value) for value in values]
            sizes[dataset, split] = n_cells
    return {
        dataset: [of_split(run, dataset, split, values, sizes[dataset, split]) for split, values in of_dataset.items()]
        for dataset, of_dataset in found.items()
    }


def of_split(
    run: Run, dataset: str, split: str, values: dict[tuple[str, str], list[float | None]], n_cells: str
) -> dict[str, Any]:
    """Arrange F1 of one split: a list over classes for each model, None where there is none."""
    n_of = run.records[dataset]["annotations"].get("cell_type", {}).get("evaluated_cells", {})
    classes = sorted({label for _, label in values}, key=lambda label: (-n_of.get(label, 0), by_name(label)))
    models = [name for name in run.params.grid.scored if any(name == model for model, _ in values)]
    nothing = [None] * 4
    means, lows, highs, n_runs = (
        [[values.get((model, label), nothing)[i] for label in classes] for model in models] for i in range(4)
    )
    most = max((int(n) for of_model in n_runs for n in of_model if n), default=0)
    words = table.in_words("split", split, run.params)
    return {
        "split": split,
        "words": words,
        "classes": classes,
        "cells": [n_of.get(label) for label in classes],
        "models": models,
        "value": means,
        "low": lows,
        "high": highs,
        "caption": (
            f"{pictures.about(run, dataset)} F1 of each cell type, by {captions.neighbours(run.params)} "
            f"({captions.DISTANCES[run.params.evaluate.metric]}), {words}, {int(n_cells):,} test cells. In brackets: "
            f"the evaluated cells of the type. A dot is the mean over the runs (at most {most}) whose test cells "
            "or predictions have the type; a line is the range in which 95 % of single runs fall."
        ),
    }


def confusion(run: Run, dataset: str) -> dict[str, Any] | None:
    """Return the confusion matrices of all rows, classes in the order of `counted`.

    A matrix is flat, a row for each actual class. None if no model was scored by nearest neighbours.
    """
    pairs = read(run, dataset)
    if not pairs:
        return None
    names, counts = counted(pairs)
    n_cells = len(next(iter(pairs.values())))
    is_printed = len(names) <= COUNTS_UP_TO
    return {
        "classes": names,
        "printed": is_printed,
        "models": list(counts),
        "counts": [table.to_numpy().ravel().tolist() for table in counts.values()],
        "caption": (
            f"{pictures.about(run, dataset)} Cell type by {captions.neighbours(run.params)} "
            f"({captions.DISTANCES[run.params.evaluate.metric]}), the {n_cells:,} test cells of the first random "
            f"split. A row is an actual type, a column a predicted one; {'a number counts cells, ' * is_printed}the "
            "colour is the share of the actual type, from 0 to 1 in all matrices. Types that models take for each "
            "other stand together, in one order for all models."
        ),
    }


def curves(run: Run, dataset: str) -> dict[str, Any]:
    """Return ROC and precision-recall curves, one panel for each annotation and way of predicting it."""
    panels = [
        {
            "title": panel.title,
            "share": round(panel.share, 3),
            "models": [curve.model for curve in panel.roc],
            "roc": [packed(curve) for curve in panel.roc],
            "precision_recall": [packed(curve) for curve in panel.precision_recall],
        }
        for panel in pictures.curves(run, dataset)
    ]
    return {"caption": pictures.curve_caption(run, dataset), "panels": panels}


def packed(curve: Curve) -> list[list[int]]:
    """Return x and y of a thinned curve in thousandths."""
    return [np.rint(1000 * axis).astype(int).tolist() for axis in thinned(curve.x, curve.y)]


def thinned(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out points that lie within `TOLERANCE` of the line through the others (Ramer, Douglas and Peucker)."""
    points = np.column_stack([x, y])
    kept, stretches = {0, len(points) - 1}, [(0, len(points) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        offsets = points[first + 1 : last] - points[first]
        share = np.clip(offsets @ along / max(along @ along, 1e-12), 0, 1)
        distances = np.hypot(*(offsets - share[:, None] * along).T)
        if distances.max() > TOLERANCE:
            farthest = first + 1 + int(distances.argmax())
            kept.add(farthest)
            stretches += [(first, farthest), (farthest, last)]
    return tuple(points[sorted(kept)].T)
