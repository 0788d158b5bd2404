"""The overview: all rows by the main scores of each dataset, as a table with shades and as lollipops."""

from __future__ import annotations

from typing import Any, NamedTuple

from genept.plots.summary import Panel
from genept.report import captions, main_scores, printing, text_effect
from genept.report.main_scores import Headed, Scores, grouped
from genept.report.pairs import NOT_COMPARABLE, Run, Score
from genept.report.significance import Best
from genept.report.summary import summary
from genept.report.table import Group, Row, Table
from genept.webpage import render
from genept.webpage.sources import Sources, View

KINDS = {
    "models": "Models",
    "controls": "Controls",
    "fine-tuned": "Fine-tuned heads",
    "bounds": "What scores lie between",
}


class Cell(NamedTuple):
    """A printed number, what is known of it beyond the number, whether it is among the best, its shade from 0 to 1."""

    text: str
    note: str = ""
    is_best: bool = False
    shade: float = 0.0


def view(sources: Sources) -> View:
    """Return the view: a summary over datasets, then each dataset's table; the script draws lollipops."""
    run = sources.run
    scores = {dataset: main_scores.scores_of(run, dataset) for dataset in run.records}
    html = render.html(
        "overview.html",
        kinds=KINDS,
        summary=summary_of(run),
        datasets=[table_of(sources, dataset, scores[dataset]) for dataset in run.records],
        runs=" ".join([captions.runs(run.applied), *captions.samples(run)]),
        holds_out=run.applied.evaluate.split.groups is not None,
        effects=[effect_of(line) for line in sources.effects],
        explanation=text_effect.explain(run.params),
    )
    panels = {
        dataset: [as_data(panel) for panel in main_scores.panels(run, of_dataset)]
        for dataset, of_dataset in scores.items()
    }
    return View("overview", "Overview", html, {"panels": panels, "looks": main_scores.looks(run)})


def table_of(sources: Sources, dataset: str, scores: Scores) -> dict[str, Any]:
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
        "groups": [
            (
                kind,
                [(model, "" if run.is_comparable(dataset, model) else NOT_COMPARABLE, cells[model]) for model in some],
            )
            for kind, some in grouped(run, cells)
        ],
    }


def cell_of(score: Score | None, best: Best, headed: Headed, model: str) -> Cell:
    """Print a score; its shade is its place between the floor and the label itself."""
    if score is None or score.value is None:
        return Cell(printing.NONE, "; ".join(score.notes) if score else "")
    shade = 0.0 if headed.is_lower_better else min(1.0, max(0.0, score.scaled or 0.0))
    span = printing.interval(score.low, score.high).strip()
    notes = [f"range {span}" if span else "no range", *score.notes]
    if score.sampled:
        notes.insert(1, f"{score.sampled} cells{', standard error' * bool(score.se)}{printing.error(score.se)[2:]}")
    return Cell(printing.three(score.value), "; ".join(notes), model in best.models, round(shade, 2))


def effect_of(line: text_effect.Line) -> list[str]:
    """Return a comparison of text with another row, as ``metrics/text_effect.md`` prints it."""
    numbers = [printing.three(line.value), printing.three(line.value_versus)]
    difference = f"{printing.three(line.difference)}{printing.interval(line.low, line.high)}"
    names = [line.dataset, f"{line.text} less {line.versus}", text_effect.score(line), line.result]
    return [*names, *numbers, difference, text_effect.short(line.p)]


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
        (
            kind,
            [(model, "", [cells[model].get(dataset, Cell(printing.NONE)) for dataset in datasets]) for model in some],
        )
        for kind, some in grouped(run, cells)
    ]
    return {"datasets": datasets, "groups": groups, "explanation": table.explanation}


def as_data(panel: Panel) -> dict[str, Any]:
    """Return a panel as the script reads it."""
    return {**panel._asdict(), "lines": [line._asdict() for line in panel.lines]}
