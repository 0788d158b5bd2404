"""The table that a run ends with: each model's main scores on each dataset, within 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from genept.report import captions, printing
from genept.report.pairs import BOUNDS, Key, Run, Score
from genept.report.paper_tables import group_of
from genept.report.significance import Best, Differences
from genept.report.summary import kinds
from genept.report.table import Column, Group, Row, Table

WIDTH, NAME_WIDTH = 80, 34
COLUMNS = (
    Column("accuracy", "Accuracy", "knn", "accuracy", split="random"),
    Column("donors", "Donors", "knn", "accuracy", split="donors"),
    Column("f1", "F1", "knn", "f1_macro", split="random"),
    Column("ari", "ARI", "kmeans", "ari", split=""),
    Column("ami", "AMI", "kmeans", "ami", split=""),
    Column("asw", "ASW", "silhouette", "asw", split=""),
)


def screen(run: Run, comparisons: Mapping[str, Mapping[Key, Differences]]) -> str:
    """Print the scores of cell types on every dataset; those that cannot be told from the best are bright.

    `click.echo` drops the brightness where the output is no terminal. `comparisons` are by dataset.
    """
    table = main_scores(run)
    best = printing.best_of(table, run, comparisons)
    blocks = ["\n".join(lines_of(group, run, of_group)) for group, of_group in zip(table.groups, best, strict=True)]
    return "\n\n".join([*blocks, captions.filled(explain(run, table, best), WIDTH)])


def main_scores(run: Run) -> Table:
    """Collect the main scores of every model, without columns that no dataset has."""
    groups = [
        group_of(run, dataset, "cell_type", "", run.records[dataset]["title"], COLUMNS) for dataset in run.records
    ]
    used = [j for j in range(len(COLUMNS)) if any(row.scores[j] for group in groups for row in group.rows)]

    def narrowed(group: Group) -> Group:
        rows = [Row(row.model, tuple(row.scores[j] for j in used)) for row in group.rows]
        return group._replace(columns=tuple(group.columns[j] for j in used), rows=rows)

    columns = tuple(COLUMNS[j] for j in used)
    return Table("screen", "Cell types", "", columns, (), [narrowed(group) for group in groups if group.rows])


def lines_of(group: Group, run: Run, best: list[Best]) -> Iterator[str]:
    """Yield the heading of a dataset and its rows; an empty line sets apart what does not compete."""
    widths = [max(len(column.heading), 6) + 1 for column in group.columns]
    scores = [score for row in group.rows for score in row.scores if score]
    sizes = {"cells": "n_cells", "donors": "n_donors", "cell types": "n_classes"}
    highest = {noun: max((getattr(score, name) or 0 for score in scores), default=0) for noun, name in sizes.items()}
    counts = [f"{number:,} {noun}" for noun, number in highest.items() if number]
    if drawn := run.sampled(group.dataset):
        counts.append(f"tested on {drawn[0]:,} of {drawn[1]:,} cells")
    yield captions.filled(f"{group.dataset}, {group.title}: {', '.join(counts)}", WIDTH)
    heads = [column.heading.rjust(width) for column, width in zip(group.columns, widths, strict=True)]
    yield " " * NAME_WIDTH + "".join(heads)
    of_kind = [*kinds(run).values(), list(BOUNDS)]
    parts = [[row for row in group.rows if row.model in names] for names in of_kind]
    for number, rows in enumerate(filter(None, parts)):
        if number:
            yield ""
        for row in rows:
            is_long = len(row.model) >= NAME_WIDTH  # it has a line of its own
            if is_long:
                yield row.model
            cells = zip(row.scores, widths, best, strict=True)
            numbers = [printed(score, width, row.model in one.models) for score, width, one in cells]
            yield f"{'' if is_long else row.model:<{NAME_WIDTH}}{''.join(numbers)}"


def printed(score: Score | None, width: int, is_best: bool) -> str:
    """Print a score without its range."""
    value = printing.three(score and score.value)
    return click.style(value.rjust(width), bold=True) if is_best else value.rjust(width)


def explain(run: Run, table: Table, best: list[list[Best]]) -> str:
    """Say what the numbers are, and which are bright."""
    names = {column.name for column in table.columns}
    evaluate = run.params.evaluate
    held_out = captions.HELD_OUT.get(evaluate.split.groups or "", "groups")
    sentences = [
        f"Cell types, seed {run.params.scoring_seed}: means over {captions.count(evaluate.repeats, 'run')}.",
        f"Accuracy, F1 (macro): {captions.neighbours(run.params)}, test cells drawn at random.",
        f"Donors: accuracy with whole {held_out} held out." if "donors" in names else "",
        "ARI, AMI (adjusted Rand index, adjusted mutual information): k-means. ASW: average silhouette width.",
        "Bright: cannot be told from the best." if any(one.models for of_group in best for one in of_group) else "",
    ]
    return " ".join(filter(None, sentences))
