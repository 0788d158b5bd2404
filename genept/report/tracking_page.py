"""``metrics/paper_tracking.md``: verdicts, each table of the paper as far as it ran, counts of genes, oddities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from genept.report import captions
from genept.report import tracking_words as words
from genept.report.captions import escaped, filled
from genept.report.pairs import Run
from genept.report.paper import Paper
from genept.report.printing import NONE, markdown_table
from genept.report.tracking import DIFFERS, EQUAL, NOT_RUN, Counterparts, Tracked
from genept.report.tracking_rows import COUNTS_OF_ROWS, TrackedRow

STATUSES = (EQUAL, DIFFERS, NOT_RUN)  # of counts


def page(numbers: Sequence[Tracked], rows: Sequence[TrackedRow], paper: Paper, run: Run, named: Counterparts) -> str:
    """Write the page: what ran, verdicts, each table of the paper as far as it ran, gene counts, oddities."""
    blocks = [
        "# The paper's numbers against ours",
        filled(paper.citation),
        filled(words.transcribed(paper)),
        "## What was run",
        *map(filled, map(escaped, words.what_ran(paper, run, named))),
        *map(filled, (captions.protocol(run.applied), captions.unlike_authors(run.params))),
        filled(next_step(numbers, run)),
        "## Verdicts",
        filled(words.RULE),
        summary(rows, paper),
        filled(words.judged(rows)),
        *verdict_table(rows, paper),
        filled(
            f"{words.OF_COUNTS} Tables below show the paper's number / ours: our single run by the authors' protocol, "
            f"in brackets the mean of all runs and where 95 % of single runs fall. {words.READINGS} All numbers: "
            "paper_tracking.csv."
        ),
        counts_summary(numbers),
    ]
    for name, section in paper.sections.items():
        of_section = [number for number in numbers if number.published.section == name]
        blocks += [f"## {section.title}", filled(f"Paper: {section.read_from}.")]
        blocks += [*section_tables(of_section, rows), *not_run(of_section)]
    blocks += ["## Genes that the models know", filled(words.GENES), gene_table(paper, run, named)]
    blocks += ["## Oddities in the paper"]
    blocks += [filled(f"**{oddity.title}.** {oddity.evidence}", bullet="- ") for oddity in paper.oddities]
    return "\n\n".join(block for block in blocks if block) + "\n"


def summary(rows: Sequence[TrackedRow], paper: Paper) -> str:
    """Count the verdicts on rows by the section that begins them."""
    headings = ["Rows that begin in", "Rows", *map(str.capitalize, COUNTS_OF_ROWS)]
    return markdown_table(list(words.row_counts(rows, paper)), headings, n_left=1)


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
    by_metrics: dict[tuple[str, ...], list[list[str]]] = {}
    for names, group in words.by_names([number for number in numbers if number.ours is not None]).items():
        metrics = tuple(number.published.metric for number in group)
        lines = by_metrics.setdefault(metrics, [])
        row = row_of.get(group[0].published)
        numbers_beside = [str(words.beside(number, row_of.get(number.published))) for number in group]
        lines.append([*(name or NONE for name in names), *numbers_beside, *words.basis(group, row)])
        if row and row.second and any(len(number.scores) > 1 for number in group):
            second = [str(words.beside_second(number, row) or NONE) for number in group]
            lines.append([names[0], f"{names[1]}, {row.second_name}", names[2], *second, *[""] * len(words.BASIS)])
    for metrics, lines in by_metrics.items():
        headings = ["Dataset", "Annotation", "Model", *(words.heading(metric) for metric in metrics)]
        yield markdown_table(lines, [*headings, *words.BASIS], n_left=3, n_right=len(words.BASIS))


def not_run(numbers: Sequence[Tracked]) -> Iterator[str]:
    """Say how many numbers of a section were not run, and why."""
    if missing := [number for number in numbers if number.ours is None]:
        yield filled(f"Not run: {len(missing)} of {len(numbers)} numbers ({words.why_not_run(missing)}).")


def gene_table(paper: Paper, run: Run, named: Counterparts) -> str:
    """Print how many genes each model of the run does not know, beside what others counted."""
    lines = list(words.gene_lines(paper, run, named))
    return markdown_table(lines, ["Dataset", "Model", *words.GENE_HEADINGS], n_left=2, n_right=1)


def next_step(numbers: Sequence[Tracked], run: Run) -> str:
    """Say how to run what is not in the grid."""
    absent = Counter(number.absent for number in numbers if number.absent)
    if not absent:
        return "Every dataset and model of the paper is in the grid."
    files = [f"models/{name}.yaml is {model.paper}" for name, model in run.models.items() if model.paper in absent]
    hint = f" ({', '.join(files)})" if files else ""
    return (
        f"Not in the grid: {words.listed(absent)}. To run them, name files that declare them as `paper:` in the grid"
        f"{hint}, or run `dvc exp run -S 'grid=${{grids.paper}}'`."
    )
