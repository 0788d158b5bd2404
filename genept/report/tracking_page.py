"""``metrics/paper_tracking.md``: verdicts, each table of the paper as far as it ran, counts of genes, oddities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from genept.report import captions
from genept.report.captions import filled
from genept.report.pairs import Run
from genept.report.paper import Paper
from genept.report.printing import NONE, decimals, markdown_table
from genept.report.tracking import DIFFERS, EQUAL, NOT_RUN, Counterparts, Tracked
from genept.report.tracking_csv import ours, printed
from genept.report.tracking_rows import COUNTS_OF_ROWS, TrackedRow, expected_false_differs
from genept.report.verdicts import FIXED, HALF_WIDTH, OTHER_SUBSET, Interval

BASIS = ("Labels by", "Cells", "Genes missing", "Notes")
STATUSES = (EQUAL, DIFFERS, NOT_RUN)  # of counts
HEADINGS = {
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "n_cells": "Cells evaluated",
    "n_cells_full": "Cells of the study",
}
HEADINGS |= {"n_genes": "Genes", "n_labels": "Labels", "n_genes_missing_exact": "Genes without vector"}
RULE = (
    "A verdict is on a row: all scores that the paper prints of one model on one annotation of one dataset, in Tables "
    "2 and C4 together. `reproduced`: all lie where single runs of ours fall (prediction intervals with Bonferroni's "
    f"correction for the row; a number that no seed moves, such as ASW: within {FIXED:g}), and no other model's or "
    "control's row fits. `inconclusive`: they do, but another row fits as well, or every interval is wider than "
    f"{HALF_WIDTH:g} on each side, or a number fits only with {OTHER_SUBSET:g} times the SD, which counts where "
    "the cells are another subset. `differs`: otherwise. `not comparable`: cells, labels, checkpoint, settings of the "
    "authors' protocol or unknown genes are others, the paper's row is odd, or our classifier is constant. `not run`: "
    "the run has nothing of the row. Single numbers have no verdict of their own."
)
GENES = (
    "Genes of each dataset that a model does not know, and their share of all counts (of the sum where X holds "
    "logarithms). By exact name: as GenePT's authors count, where the vectors are released ones. Elsewhere: what "
    "others counted under the names in their file; ours are harmonised, so more are known."
)


def page(numbers: Sequence[Tracked], rows: Sequence[TrackedRow], paper: Paper, run: Run, named: Counterparts) -> str:
    """Write the page: what ran, verdicts, each table of the paper as far as it ran, gene counts, oddities."""
    n_judged = sum(row.is_judged for row in rows)
    blocks = [
        "# The paper's numbers against ours",
        filled(paper.citation),
        filled(f"The paper's numbers are {paper.transcription} Transcribed {paper.date}; genept/report/paper.yaml."),
        "## What was run",
        *map(filled, what_ran(paper, run, named)),
        *map(filled, (captions.protocol(run.params), captions.unlike_authors(run.params))),
        filled(next_step(numbers, run)),
        "## Verdicts",
        filled(RULE),
        summary(rows, paper),
        filled(
            f"Rows judged: {n_judged}. If all were runs of the paper's models, at most "
            f"{expected_false_differs(rows):.1f} of them would be called different by chance. How often the rule is "
            "right: bench/verdicts.csv."
        ),
        *verdict_table(rows, paper),
        filled(
            "Counts of cells, genes and labels are equal or not, and have no verdict. Tables below show the paper's "
            "number / ours: our single run by the authors' protocol, in brackets the mean of all runs and where 95 % "
            "of single runs fall. Where the evidence leaves two readings of a number, the first line of the two "
            "decides. All numbers: paper_tracking.csv."
        ),
        counts_summary(numbers),
    ]
    for name, section in paper.sections.items():
        of_section = [number for number in numbers if number.published.section == name]
        blocks += [f"## {section.title}", filled(f"Paper: {section.read_from}.")]
        blocks += [*section_tables(of_section, rows), *not_run(of_section)]
    blocks += ["## Genes that the models know", filled(GENES), gene_table(paper, run, named)]
    blocks += ["## Oddities in the paper"]
    blocks += [filled(f"**{oddity.title}.** {oddity.evidence}", bullet="- ") for oddity in paper.oddities]
    return "\n\n".join(block for block in blocks if block) + "\n"


def what_ran(paper: Paper, run: Run, named: Counterparts) -> Iterator[str]:
    """Say which of the paper's datasets and models are in this run, and what else ran."""
    models = list(dict.fromkeys(number.model for number in paper.numbers if number.model))
    for what, names, counterpart in (
        (f"the paper's {len(paper.datasets)} datasets", list(run.records), named.datasets),
        (f"{len(models)} models to compare", list(dict.fromkeys(pair.model for pair in run.pairs)), named.models),
    ):
        claims = {name: claim for claim, name in counterpart.items()}
        present = ", ".join(f"{claims[name]} (`{name}`)" for name in names if name in claims)
        others = ", ".join(f"`{name}`" for name in names if name not in claims)
        also = f" {'Also' if present else 'Instead'} run: {others}." if others else ""
        yield f"Of {what}, in this run: {present or 'none'}.{also}"
    yield from captions.dataset_notes(run, run.records)


def summary(rows: Sequence[TrackedRow], paper: Paper) -> str:
    """Count the verdicts on rows by the section that begins them."""
    lines = []
    sections = list(dict.fromkeys(row.sections[0] for row in rows))
    for name, title in [*((name, paper.sections[name].title) for name in sections), ("", "All")]:
        of_section = [row for row in rows if name in ("", row.sections[0])]
        count = Counter(row.verdict.verdict for row in of_section)
        lines.append([title, *map(str, (count.total(), *(count[verdict] for verdict in COUNTS_OF_ROWS)))])
    return markdown_table(lines, ["Rows that begin in", "Rows", *map(str.capitalize, COUNTS_OF_ROWS)], n_left=1)


def counts_summary(numbers: Sequence[Tracked]) -> str:
    """Count how many of the paper's counts are equal."""
    count = Counter(number.status for number in numbers if number.published.is_count)
    lines = [["Counts", str(count.total()), *(str(count[status]) for status in STATUSES)]]
    return markdown_table(lines, ["", "Numbers", *map(str.capitalize, STATUSES)], n_left=1)


def verdict_table(rows: Sequence[TrackedRow], paper: Paper) -> Iterator[str]:
    """Print the verdict on each row that was run, with its reasons; the less likely reading has a line of its own."""
    lines = []
    for row in rows:
        if row.verdict.intervals:
            where = ", ".join(paper.sections[section].title.split(":")[0] for section in row.sections)
            lines.append([*row.names, where, row.verdict.verdict, "; ".join(row.verdict.reasons)])
            if row.second:
                annotation = f"{row.names[1]}, {row.second_name}"
                lines.append([row.names[0], annotation, row.names[2], where, row.second.verdict])
                lines[-1].append("; ".join(row.second.reasons))
    if lines:
        yield markdown_table(lines, ["Dataset", "Annotation", "Model", "Printed in", "Verdict", "Why"], n_left=6)


def section_tables(numbers: Sequence[Tracked], rows: Sequence[TrackedRow]) -> Iterator[str]:
    """Print what ran of a section: a line per dataset, annotation and model, and one for its second reading."""
    row_of = {number.published: row for row in rows for number in row.numbers}
    groups: dict[tuple[str, str, str], list[Tracked]] = {}
    for number in numbers:
        if number.ours is not None:
            groups.setdefault(number.published[1:4], []).append(number)
    by_metrics: dict[tuple[str, ...], list[list[str]]] = {}
    for names, group in groups.items():
        metrics = tuple(number.published.metric for number in group)
        lines = by_metrics.setdefault(metrics, [])
        row = row_of.get(group[0].published)
        numbers_beside = [beside(number, row_of.get(number.published)) for number in group]
        lines.append([*(name or NONE for name in names), *numbers_beside, *basis(group, row)])
        if row and row.second and any(len(number.scores) > 1 for number in group):
            second = [beside_second(number, row) for number in group]
            lines.append([names[0], f"{names[1]}, {row.second_name}", names[2], *second, *[""] * len(BASIS)])
    for metrics, lines in by_metrics.items():
        headings = ["Dataset", "Annotation", "Model", *(heading(metric) for metric in metrics)]
        yield markdown_table(lines, [*headings, *BASIS], n_left=3, n_right=len(BASIS))


def heading(metric: str) -> str:
    """Return the heading of a metric's column: ``f1_macro`` is "F1, macro"."""
    return HEADINGS.get(metric) or metric.replace("_", ", ").capitalize()


def basis(numbers: Sequence[Tracked], row: TrackedRow | None) -> list[str]:
    """Say what the numbers of one line rest on: labels, cells (the paper's / ours), unknown genes, notes."""
    notes = dict.fromkeys(number.reason for number in numbers if number.reason)
    cells = f"{grouped(row.n_cells_paper)} / {grouped(row.n_cells)}" if row else NONE
    who = row.label_source if row else NONE
    return [who, cells, percent(numbers[0].missing_gene_rate), "; ".join(notes)]


def not_run(numbers: Sequence[Tracked]) -> Iterator[str]:
    """Say how many numbers of a section were not run, and why, the most frequent reason first."""
    missing = [number for number in numbers if number.ours is None]
    absent = Counter(number.absent for number in missing if number.absent)
    reasons = Counter(number.reason for number in missing if not number.absent)
    why = [f"not in the grid: {listed(absent)}"] if absent else []
    why += [listed(reasons)] if reasons else []
    if missing:
        yield filled(f"Not run: {len(missing)} of {len(numbers)} numbers ({'; '.join(why)}).")


def gene_table(paper: Paper, run: Run, named: Counterparts) -> str:
    """Print how many genes each model of the run does not know, beside what others counted."""
    elsewhere = {
        (named.datasets.get(count.dataset), named.models.get(count.model)): count for count in paper.gene_counts
    }
    lines = []
    for pair in run.pairs:
        n_genes, n_missing, share = map(pair.noted, ("n_genes", "n_genes_missing", "share_of_counts_missing"))
        if n_genes and n_missing is not None:
            count = elsewhere.get((pair.dataset, pair.model))
            others = f"{count.n_genes_missing:,} of {count.n_genes:,} ({count.by})" if count else NONE
            exact = pair.noted("n_genes_missing_exact")
            unknown = f"{n_missing:,.0f} ({n_missing / n_genes:.1%})"
            unknown += "" if exact is None else f"; {exact:,.0f} by exact name"
            numbers = [f"{n_genes:,.0f}", unknown, percent(share)]
            lines.append([pair.dataset, pair.model, *numbers, others])
    headings = ["Dataset", "Model", "Genes", "Unknown to the model", "Share of counts", "Elsewhere"]
    return markdown_table(lines, headings, n_left=2, n_right=1)


def next_step(numbers: Sequence[Tracked], run: Run) -> str:
    """Say how to run what is not in the grid."""
    absent = Counter(number.absent for number in numbers if number.absent)
    if not absent:
        return "Every dataset and model of the paper is in the grid."
    files = [f"models/{name}.yaml is {model.paper}" for name, model in run.models.items() if model.paper in absent]
    hint = f" ({', '.join(files)})" if files else ""
    return (
        f"Not in the grid: {listed(absent)}. To run them, name files that declare them as `paper:` in the grid"
        f"{hint}, or run `dvc exp run -S 'grid=${{grids.paper}}'`."
    )


def beside(number: Tracked, row: TrackedRow | None) -> str:
    """Print the paper's number and ours: the single run, and of a score the mean and where single runs fall."""
    mean = number.scores[0].value if number.scores else None
    one = row.interval(number) if row else None
    return f"{printed(number.published)} / {ours(number) or NONE}{spread(mean, one)}"


def beside_second(number: Tracked, row: TrackedRow) -> str:
    """Print the paper's number and ours by the second reading."""
    if len(number.scores) < 2:
        return NONE
    score, one = number.scores[1], row.second and row.second.intervals.get(number.published.metric)
    own = score.value if score.first is None else score.first
    return f"{printed(number.published)} / {decimals(own)}{spread(score.value, one)}"


def spread(mean: float | None, one: Interval | None) -> str:
    """Print a mean and an interval in brackets, after a space; nothing where there is none or one without ends."""
    if mean is None or one is None or not math.isfinite(one.half_width):
        return ""
    return f" ({mean:.3f}, {one.low:.3f} to {one.high:.3f})"


def grouped(value: int | None) -> str:
    """Print a count with commas between thousands; a dash where there is none."""
    return NONE if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """Print a share in percent; a dash where there is none."""
    return NONE if share is None else f"{share:.1%}"


def listed(counts: Counter[str]) -> str:
    """Print names with their counts, the most frequent first."""
    return ", ".join(f"{name} ({n})" for name, n in counts.most_common())
