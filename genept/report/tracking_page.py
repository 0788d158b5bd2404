"""The page and the CSV file of `genept.report.tracking`."""

from __future__ import annotations

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from genept.metrics.choices import Choices
from genept.report import known_genes, next_steps
from genept.report.markdown import NONE, WIDTH
from genept.report.paper import Paper
from genept.report.tracked_text import both, decimals, difference, grouped, ours, printed
from genept.report.tracking import DIFFERS, NOT_RUN, REPRODUCED, Run, Tracked

NOTHING = f"{NONE} / {NONE}"
COLUMNS = (
    "dataset",
    "section",
    "annotation",
    "model",
    "metric",
    "paper",
    "ours",
    "difference",
    "ours_reference_to_query",
    "label_source",
    "n_cells",
    "n_cells_paper",
    "missing_gene_rate",
    "status",
    "reason",
)
HEADINGS = {
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "accuracy": "Accuracy",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "precision_macro": "Precision, macro",
    "precision_weighted": "Precision, weighted",
    "recall_macro": "Recall, macro",
    "recall_weighted": "Recall, weighted",
    "n_cells": "Cells evaluated",
    "n_cells_full": "Cells of the study",
    "n_genes": "Genes",
    "n_labels": "Labels",
    "n_genes_missing": "Genes without vector",
}


def table(rows: Sequence[Tracked]) -> str:
    """Write every number of the paper as one line of CSV; empty where there is nothing."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        number = row.published
        rate = "" if row.missing_gene_rate is None else f"{row.missing_gene_rate:.4f}"
        writer.writerow(
            [
                *(number.dataset, number.section, number.annotation, number.model, number.metric, printed(number)),
                *(ours(row), difference(row), decimals(row.by_reference)),
                *(row.label_source, row.n_cells, row.n_cells_paper, rate),
                *(row.status, row.reason),
            ]
        )
    return stream.getvalue()


def page(
    rows: Sequence[Tracked], paper: Paper, run: Run, params: dict[str, Any], choices: Choices, limit: float
) -> str:
    """Write the page: what ran, a table per printed table, the oddities, the gaps and next steps.

    Parameters
    ----------
    limit
        The largest difference of a score that counts as reproduced.
    """
    blocks = [
        "# The paper's numbers against ours",
        _filled(paper.citation),
        _filled(f"The paper's numbers are {paper.transcription} Taken over {paper.date}; `genept/report/paper.yaml`."),
        "## What was run",
        *map(_filled, what_ran(paper, run, params)),
        _filled(protocol(choices, limit)),
        summary(rows, paper),
    ]
    for section, title in paper.titles.items():
        of_section = [row for row in rows if row.published.section == section]
        blocks += [f"## {title}", _filled(f"Paper: {paper.read_from[section]}.")]
        for index in dict.fromkeys(row.published.table for row in of_section):
            blocks.append(section_table([row for row in of_section if row.published.table == index]))
    blocks += ["## Genes that the models know", _filled(known_genes.EXPLANATION), known_genes.table(paper, run)]
    blocks += ["## Oddities in the paper"]
    blocks += [_item(f"**{oddity.title}.** {oddity.evidence}") for oddity in paper.oddities]
    blocks += ["## Gaps and next steps", "\n".join(_item(text) for text in next_steps.gaps(rows, run, params))]
    return "\n\n".join(blocks) + "\n"


def what_ran(paper: Paper, run: Run, params: dict[str, Any]) -> Iterator[str]:
    """Say which of the paper's datasets and models are in this run, and what ran besides or instead."""
    datasets = list(dict.fromkeys(dataset for dataset, _ in run.pairs))
    models = list(dict.fromkeys(model for _, model in run.pairs))
    for section, names, found, known in (
        ("datasets", datasets, run.datasets, paper.datasets),
        ("models", models, run.models, paper.compared_models),
    ):
        claims = {name: claim for claim, name in found.items()}
        here = ", ".join(f"{claims[name]} (`{name}`)" for name in names if name in claims)
        others = "; ".join(f"`{name}`{_described(params, section, name)}" for name in names if name not in claims)
        said = f"in this run: {here}." if here else "none is in this run."
        also = f" {'Besides' if here else 'Instead'} it ran {others}." if others else ""
        yield f"Of the paper's {len(known)} {section}, {said}{also}"
    if not run.datasets:
        yield "So no number of the paper can be held against this run: its own tables are of other cells."


def protocol(choices: Choices, limit: float) -> str:
    """Say how our numbers were computed and what the statuses mean."""
    kmeans, split = choices.kmeans, choices.split
    kind = f"by whole groups of {split.groups}" if split.groups else "stratified" if split.stratified else "random"
    return (
        f"Ours: seed {choices.seed}; k-means ({kmeans.algorithm}), mean over {kmeans.repeats} seeds; split {kind}, "
        f"{split.test_size:.0%} test cells; {choices.k} nearest neighbours. `{REPRODUCED}`: a score differs by at most "
        f"{limit:g}, a count not at all; `{DIFFERS}`: by more; `{NOT_RUN}`: nothing of ours may be held against it. A "
        "cell of the tables below is the paper's number / ours, and where they differ ours is bold with the difference."
    )


def summary(rows: Sequence[Tracked], paper: Paper) -> str:
    """Count the statuses of each section."""
    statuses = (REPRODUCED, DIFFERS, NOT_RUN)
    lines: list[list[Any]] = []
    for section, title in paper.titles.items():
        counts = Counter(row.status for row in rows if row.published.section == section)
        lines.append([title, counts.total(), *(counts[status] for status in statuses)])
    lines.append(["All", *(sum(line[i] for line in lines) for i in range(1, 5))])
    return tabulate(lines, ["Section", "Numbers", *map(str.capitalize, statuses)], tablefmt="github")


def section_table(rows: Sequence[Tracked]) -> str:
    """Print one table of the paper: a line per dataset, annotation and model, the paper's numbers / ours.

    Columns that say nothing in any line are left out.
    """
    metrics = list(dict.fromkeys(row.published.metric for row in rows))
    groups: dict[tuple[str, str, str], dict[str, Tracked]] = {}
    for row in rows:
        number = row.published
        groups.setdefault((number.dataset, number.annotation, number.model), {})[number.metric] = row
    headings = ["Dataset", "Annotation", "Model", *(HEADINGS[metric] for metric in metrics)]
    headings += ["Labels by", "Cells", "Genes missing", "Status"]
    lines = [
        [*(name or NONE for name in names), *(both(group[metric]) for metric in metrics), *about(list(group.values()))]
        for names, group in groups.items()
    ]
    kept = [j for j in range(len(headings)) if any(line[j] not in (NONE, NOTHING) for line in lines)]
    return tabulate(
        [[line[j] for j in kept] for line in lines],
        [headings[j] for j in kept],
        tablefmt="github",
        disable_numparse=True,
        colalign=["right" if 3 <= j < 3 + len(metrics) else "left" for j in kept],
    )


def about(rows: Sequence[Tracked]) -> list[str]:
    """Say what the numbers of one line rest on, and their status."""
    row = rows[0]
    cells = NOTHING if row.published.task == "counts" else f"{grouped(row.n_cells_paper)} / {grouped(row.n_cells)}"
    rate = NONE if row.missing_gene_rate is None else f"{row.missing_gene_rate:.1%}"
    return [row.label_source or NONE, cells, rate, outcome(rows)]


def outcome(rows: Sequence[Tracked]) -> str:
    """Say the status of the numbers of one line, with their reasons."""
    counts = Counter(row.status for row in rows)
    said = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())
    others = ", ".join(
        f"{HEADINGS[row.published.metric]} {decimals(row.by_reference)}" for row in rows if row.by_reference is not None
    )
    by_reference = [f"from reference to query {others}"] if others else []
    reasons = "; ".join(dict.fromkeys([*by_reference, *(row.reason for row in rows if row.reason)]))
    return f"{said}: {reasons}" if reasons else said


def _described(params: dict[str, Any], section: str, name: str) -> str:
    entry = (params.get(section) or {}).get(name) or {}
    said = "; ".join(str(entry[key]) for key in ("title", "note") if entry.get(key))
    return f" ({said})" if said else ""


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False)
