"""The overview: all rows by the main scores of each dataset, as a table with shades and as lollipops."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from genept.core.params import MAJORITY, RANDOM_CELLS
from genept.report import captions, printing
from genept.report.pairs import BOUNDS, Key, Run, Score
from genept.report.significance import Best
from genept.report.summary import kinds, summary
from genept.report.table import Column, Group, Row, Table
from genept.webpage import render
from genept.webpage.sources import Sources, View

CLUSTERS, CELLS, DONORS, BATCH = "Clusters", "New cells", "New donors", "Batch and phenotype"
KINDS = {
    "models": "Models",
    "controls": "Controls",
    "fine-tuned": "Fine-tuned heads",
    "bounds": "What scores lie between",
}


class Headed(NamedTuple):
    """A column below a heading that it shares; where lower is better it has neither shade nor best."""

    family: str
    column: Column
    is_lower_better: bool = False

    @property
    def key(self) -> Key:
        """The key of its scores."""
        return self.column.task, self.column.annotation, self.column.split or "", self.column.metric


class Cell(NamedTuple):
    """A printed number, what is known of it beyond the number, whether it is among the best, its shade from 0 to 1."""

    text: str
    note: str = ""
    is_best: bool = False
    shade: float = 0.0


def view(sources: Sources) -> View:
    """Return the view: a summary over datasets, then each dataset's table; the script draws lollipops."""
    run = sources.run
    scores = {dataset: scores_of(run, dataset) for dataset in run.records}
    html = render.html(
        "overview.html",
        kinds=KINDS,
        summary=summary_of(run),
        datasets=[table_of(sources, dataset, scores[dataset]) for dataset in run.records],
        runs=captions.runs(run.params),
    )
    data = {dataset: lollipops(run, dataset, scores[dataset]) for dataset in run.records}
    return View("overview", "Overview", html, {"datasets": data, "baseline": run.params.baseline})


def columns(run: Run, dataset: str) -> list[Headed]:
    """Return what may be printed of a dataset: clusters, neighbours by both splits, patients and the phenotype."""
    clusters = (("kmeans", "ari"), ("kmeans", "ami"), ("silhouette", "asw"))
    neighbours = (("Accuracy", "accuracy"), ("F1", "f1_macro"))
    patient = Column("patient_ari", "Patient ARI", "kmeans", "ari", "patient", "", best=False)
    found = [Headed(CLUSTERS, Column(name, name.upper(), task, name, "cell_type", "")) for task, name in clusters]
    for family, split in ((CELLS, "random"), (DONORS, "donors")):
        found += [Headed(family, Column(name, head, "knn", name, "cell_type", split)) for head, name in neighbours]
    found.append(Headed(BATCH, patient, is_lower_better=True))
    for label in run.params.evaluate.logreg.labels:
        heading, split = f"{label.replace('_', ' ').capitalize()} AUROC", run.default_split(dataset, label)
        found.append(Headed(BATCH, Column(label, heading, "logreg_standardised", "auroc", label, split)))
    return found


def scores_of(run: Run, dataset: str) -> dict[Headed, dict[str, Score]]:
    """Return the scores of each row by column, without columns that no row has a value in."""
    pairs = [pair for pair in run.pairs if pair.dataset == dataset]
    table = {
        one: {pair.model: score for pair in pairs if (score := pair.scores.get(one.key))}
        for one in columns(run, dataset)
    }
    return {one: rows for one, rows in table.items() if any(score.value is not None for score in rows.values())}


def table_of(sources: Sources, dataset: str, scores: Mapping[Headed, Mapping[str, Score]]) -> dict[str, Any]:
    """Return what the template prints of one dataset."""
    run, headed = sources.run, list(scores)
    models = [pair.model for pair in run.pairs if pair.dataset == dataset]
    group = Group(
        dataset,
        "",
        tuple(one.column for one in headed),
        [Row(model, tuple(scores[one].get(model) for one in headed)) for model in models],
    )
    best = printing.best_of(Table("", "", "", group.columns, (), [group]), run, sources.comparisons)[0]
    families = [one.family for one in headed]
    cells = {
        row.model: [cell_of(*parts, row.model) for parts in zip(row.scores, best, headed, strict=True)]
        for row in group.rows
    }
    return {
        "name": dataset,
        "title": run.records[dataset]["title"],
        "note": run.records[dataset]["note"],
        "families": [(name, families.count(name)) for name in dict.fromkeys(families)],
        "columns": headed,
        "groups": [(kind, [(model, cells[model]) for model in some]) for kind, some in grouped(run, cells)],
    }


def cell_of(score: Score | None, best: Best, headed: Headed, model: str) -> Cell:
    """Print a score; its shade is its place between the floor and the label itself."""
    if score is None or score.value is None:
        return Cell(printing.NONE, "; ".join(score.notes) if score else "")
    shade = 0.0 if headed.is_lower_better else min(1.0, max(0.0, score.scaled or 0.0))
    span = printing.interval(score.low, score.high).strip()
    notes = [f"range {span}" if span else "no range", *score.notes]
    return Cell(printing.three(score.value), "; ".join(notes), model in best.models, round(shade, 2))


def grouped(run: Run, present: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the kinds of rows that are present, with their names."""
    for kind, models in {**kinds(run), "bounds": list(BOUNDS)}.items():
        if some := [model for model in models if model in present]:
            yield kind, some


def summary_of(run: Run) -> dict[str, Any]:
    """Return the scaled summary: the rows by kind, a column for each dataset and, of several, for their mean."""
    table = summary(run)
    cells: dict[str, dict[str, Cell]] = {}
    for group in table.groups:
        for row in group.rows:
            mean, *parts = row.scores
            named = zip(table.columns[1:], parts, strict=True)
            note = ", ".join(f"{column.heading} {printing.three(part.value)}" for column, part in named if part)
            value = mean.value if mean else None
            cells.setdefault(row.model, {})[group.dataset] = Cell(
                printing.three(value), note, shade=round(value or 0, 2)
            )
    datasets = list(dict.fromkeys(group.dataset for group in table.groups))
    groups = [
        (kind, [(model, [cells[model].get(dataset, Cell(printing.NONE)) for dataset in datasets]) for model in some])
        for kind, some in grouped(run, cells)
    ]
    return {"datasets": datasets, "groups": groups, "explanation": table.explanation}


def lollipops(run: Run, dataset: str, scores: Mapping[Headed, Mapping[str, Score]]) -> list[dict[str, Any]]:
    """Return the panels of a dataset: of each score its name, its floor, and a line for each row by kind."""
    panels = []
    for one, rows in scores.items():
        values = {model: score for model, score in rows.items() if score.value is not None}
        floors = [values[name].value for name in (MAJORITY, RANDOM_CELLS) if name in values]
        lines = [
            {"model": model, "kind": kind, "value": score.value, "low": score.low, "high": score.high}
            for kind, some in grouped(run, values)
            for model in some
            if (score := values[model])
        ]
        name = f"{one.column.heading}, {one.family.lower()}" if one.family != BATCH else one.column.heading
        panels.append({"name": name, "lower": one.is_lower_better, "floor": max(floors, default=0.0), "lines": lines})
    return panels
