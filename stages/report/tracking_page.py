"""The page and the CSV file of `stages.report.tracking`."""

from __future__ import annotations

import csv
import io
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tabulate import tabulate

from stages.evaluate.choices import Choices
from stages.report.markdown import NONE, WIDTH
from stages.report.paper import Paper, Published
from stages.report.results import ENSEMBLE
from stages.report.tracking import DIFFERS, NOT_RUN, OF_COUNTS, REPRODUCED, Run, Tracked

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
GENES = (
    "Of each dataset and model of this run: genes of the dataset (under HGNC's approved symbols), those that the model "
    "does not know, and their share of all counts. Elsewhere: genes that the model did not know as others counted, of "
    "how many, under the names in their file. Under harmonised names more genes are found, so ours "
    "should be fewer."
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
        _filled(f"The paper's numbers are {paper.transcription} Taken over {paper.date}; `stages/report/paper.yaml`."),
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
    blocks += ["## Genes that the models know", _filled(GENES), genes_table(paper, run)]
    blocks += ["## Oddities in the paper"]
    blocks += [_item(f"**{oddity.title}.** {oddity.evidence}") for oddity in paper.oddities]
    blocks += ["## Gaps and next steps", "\n".join(_item(text) for text in gaps(rows, run, params))]
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
    cells = NOTHING if row.published.task == "counts" else f"{_grouped(row.n_cells_paper)} / {_grouped(row.n_cells)}"
    rate = NONE if row.missing_gene_rate is None else f"{row.missing_gene_rate:.1%}"
    return [row.label_source or NONE, cells, rate, outcome(rows)]


def both(row: Tracked) -> str:
    """Print the paper's number and ours."""
    if row.ours is None:
        return f"{printed(row.published)} / {NONE}"
    if row.status == REPRODUCED:
        return f"{printed(row.published)} / {ours(row)}"
    return f"{printed(row.published)} / **{ours(row)}** ({difference(row)})"


def outcome(rows: Sequence[Tracked]) -> str:
    """Say the status of the numbers of one line, with their reasons."""
    counts = Counter(row.status for row in rows)
    said = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())
    others = ", ".join(decimals(row.by_reference) for row in rows if row.by_reference is not None)
    by_reference = [f"from reference to query {others}"] if others else []
    reasons = "; ".join(dict.fromkeys([*by_reference, *(row.reason for row in rows if row.reason)]))
    return f"{said}: {reasons}" if reasons else said


def genes_table(paper: Paper, run: Run) -> str:
    """Print how many genes each model of the run does not know, beside what others counted."""
    elsewhere = {(run.datasets.get(found.dataset), run.models.get(found.model)): found for found in paper.gene_mapping}
    lines = []
    for (dataset, model), pair in run.pairs.items():
        scores = {metric: score.value for (task, _, metric), score in pair.scores.items() if task == "embedding"}
        n_genes, n_missing = scores.get("n_genes"), scores.get("n_genes_missing")
        if not n_genes or n_missing is None:
            continue
        share = scores.get("share_of_counts_missing")
        known = elsewhere.get((dataset, model))
        lines.append(
            [
                *(dataset, model, _grouped(int(n_genes)), f"{_grouped(int(n_missing))} ({n_missing / n_genes:.1%})"),
                NONE if share is None else f"{share:.1%}",
                f"{known.n_genes_missing:,} of {known.n_genes:,} ({known.by})" if known else NONE,
            ]
        )
    headings = ["Dataset", "Model", "Genes", "Unknown to the model", "Share of counts", "Elsewhere"]
    return tabulate(
        lines, headings, tablefmt="github", disable_numparse=True, colalign=["left"] * 2 + ["right"] * 3 + ["left"]
    )


def gaps(rows: Sequence[Tracked], run: Run, params: dict[str, Any]) -> Iterator[str]:
    """Say what is missing or differs, and the next step of each: nothing but what follows from the rows.

    Datasets and models that are not there first, then what the ones that are there lack, then what differs.
    """
    for dataset, n in Counter(row.published.dataset for row in rows if row.gap == "dataset").items():
        yield f"{dataset}: {_numbers(n)} not run. Next: {_entry(params, 'datasets', dataset)}."
    for model, n in Counter(row.published.model for row in rows if row.published.model).items():
        lacking = [row.published.dataset for row in rows if row.gap == "model" and row.published.model == model]
        if model not in run.models:
            yield f"{model}: {_numbers(n)}, and no model of the grid is it. Next: {_entry(params, 'models', model)}."
        elif lacking:
            where = ", ".join(dict.fromkeys(lacking))
            yield f"{model}: {_numbers(len(lacking))} not run. Next: name it in the grid for {where}."
    others = [row for row in rows if row.gap in ("annotation", "score", "comparison")]
    for (dataset, reason, gap), n in Counter((row.published.dataset, row.reason, row.gap) for row in others).items():
        step = {
            "annotation": f" Next: name its column under `datasets.{run.datasets[dataset]}.obs`.",
            "score": " Next: see the notes of the scores and the verification record.",
            "comparison": "",
        }[gap]
        yield f"{dataset}: {_numbers(n)} not run, {reason}.{step}"
    yield from differences(rows)
    if all(row.status == REPRODUCED for row in rows):
        yield "None: every number is reproduced."


def differences(rows: Sequence[Tracked]) -> Iterator[str]:
    """Say of each dataset and model what differs, the largest difference, and what about the run may explain it."""
    groups: dict[tuple[str, str, bool], list[Tracked]] = {}
    for row in rows:
        if row.status == DIFFERS:
            number = row.published
            groups.setdefault((number.dataset, number.model, is_count(number)), []).append(row)
    for (dataset, model, _), group in groups.items():
        largest = max(group, key=lambda row: abs(row.difference or 0))
        what = " ".join(filter(None, [largest.published.annotation, largest.published.metric]))
        differ = f"{_numbers(len(group))} differ{'s' if len(group) == 1 else ''}"
        name = f"{dataset}, {model}" if model else dataset
        yield f"{name}: {differ}, most {what} of {largest.published.section} ({both(largest)}). {explanation(largest)}"


def explanation(row: Tracked) -> str:
    """Name what to look at next where ours differs."""
    if is_count(row.published):
        return "Next: see the verification record, and whether the file is the paper's."
    causes = []
    if row.n_cells_paper and row.n_cells != row.n_cells_paper:
        causes.append(f"the cells are others ({_grouped(row.n_cells)}, the paper's {_grouped(row.n_cells_paper)})")
    if row.label_source and row.label_source != "author":
        causes.append(f"the labels are by {row.label_source}")
    if row.missing_gene_rate:
        causes.append(f"the model does not know {row.missing_gene_rate:.1%} of the genes")
    return f"Next: {'; '.join(causes) or 'nothing known of cells, labels or genes explains it, so the protocol'}."


def printed(number: Published) -> str:
    """Print the paper's number with the decimals that it needs, at least two; counts whole."""
    if is_count(number):
        return str(int(number.value))
    text = f"{number.value:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def ours(row: Tracked) -> str:
    """Print our number with four decimals, a count whole; empty where there is none."""
    if row.ours is None:
        return ""
    return str(int(row.ours)) if is_count(row.published) else decimals(row.ours)


def decimals(value: float | None) -> str:
    """Print a score with four decimals, without a sign for a rounded zero; empty where there is none."""
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def difference(row: Tracked) -> str:
    """Print ours less the paper's with its sign; empty where there is none of ours."""
    if row.difference is None:
        return ""
    return f"{int(row.difference):+d}" if is_count(row.published) else f"{round(row.difference, 4) + 0.0:+.4f}"


def is_count(number: Published) -> bool:
    """Say whether a number is a count of cells, genes or labels."""
    return number.task in OF_COUNTS


def _entry(params: dict[str, Any], section: str, name: str) -> str:
    if name == ENSEMBLE:
        return "the paper's three models as members of `grid.ensemble`"
    entries = params.get(section) or {}
    ready = [key for key, entry in entries.items() if isinstance(entry, dict) and entry.get("paper") == name]
    if ready:
        return f"name {' or '.join(f'`{key}`' for key in ready)} in the grid; `params.yaml` has the entry"
    return f"an entry under `{section}` in `params.yaml` with `paper: {name}`, named in the grid"


def _numbers(n: int) -> str:
    return "1 number" if n == 1 else f"{n} numbers"


def _grouped(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _described(params: dict[str, Any], section: str, name: str) -> str:
    entry = (params.get(section) or {}).get(name) or {}
    said = "; ".join(str(entry[key]) for key in ("title", "note") if entry.get(key))
    return f" ({said})" if said else ""


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ", break_long_words=False)
