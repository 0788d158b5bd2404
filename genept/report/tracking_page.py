"""``metrics/paper_tracking.md``, which shows what ran, and ``.csv``, which has every number of the paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from genept.report import captions
from genept.report.captions import filled
from genept.report.pairs import Run
from genept.report.paper import Paper, Published
from genept.report.printing import NONE, csv_text, decimals, markdown_table
from genept.report.tracking import DIFFERS, NOT_RUN, REPRODUCED, Counterparts, Tracked

STATUSES = (REPRODUCED, DIFFERS, NOT_RUN)
COLUMNS = (
    *("dataset", "section", "annotation", "model", "metric", "paper", "ours", "difference", "status", "ours_repeated"),
    *("second_reading", "second", "second_status"),
    *("label_source", "n_cells", "n_cells_paper", "missing_gene_rate", "reason"),
)
BASIS = ("Labels by", "Cells", "Genes missing", "Notes")
HEADINGS = {
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "n_cells": "Cells evaluated",
    "n_cells_full": "Cells of the study",
}
HEADINGS |= {"n_genes": "Genes", "n_labels": "Labels", "n_genes_missing_exact": "Genes without vector"}
GENES = (
    "Genes of each dataset that a model does not know, and their share of all counts (of the sum where X holds "
    "logarithms). By exact name: as GenePT's authors count, where the vectors are released ones. Elsewhere: what "
    "others counted under the names in their file; ours are harmonised, so more are known."
)


def as_csv(rows: Sequence[Tracked]) -> str:
    """Write every number of the paper as one line of CSV; empty where there is nothing."""
    return csv_text(COLUMNS, map(csv_line, rows))


def csv_line(row: Tracked) -> list[str | int | None]:
    """Return the line of one number."""
    number, second = row.published, row.second
    return [
        *(number.dataset, number.section, number.annotation, number.model, number.metric, printed(number)),
        *(ours(row), difference(row), row.status, decimals(row.repeated)),
        *((second.name, decimals(second.ours), second.status) if second else ("", "", "")),
        *(row.label_source, row.n_cells, row.n_cells_paper, decimals(row.missing_gene_rate), row.reason),
    ]


def page(rows: Sequence[Tracked], paper: Paper, run: Run, named: Counterparts) -> str:
    """Write the page: what ran, each table of the paper as far as it ran, gene counts, oddities."""
    blocks = [
        "# The paper's numbers against ours",
        filled(paper.citation),
        filled(f"The paper's numbers are {paper.transcription} Transcribed {paper.date}; genept/report/paper.yaml."),
        "## What was run",
        *map(filled, what_ran(paper, run, named)),
        *map(filled, (captions.protocol(run.params), captions.unlike_authors(run.params))),
        filled(
            f"`{REPRODUCED}`: a score differs by at most {run.params.report.tolerance:g}, a count not at all; "
            f"`{DIFFERS}`: by more; `{NOT_RUN}`: nothing of this run is comparable. Tables show the paper's number / "
            "ours by the authors' protocol, in bold and with the difference where it differs / ours by the settings of "
            "this run. Where the evidence leaves two readings of a number, the first line of the two decides. All "
            "numbers: paper_tracking.csv."
        ),
        summary(rows, paper),
        filled(next_step(rows, run)),
    ]
    for name, section in paper.sections.items():
        of_section = [row for row in rows if row.published.section == name]
        blocks += [f"## {section.title}", filled(f"Paper: {section.read_from}.")]
        blocks += [*section_tables(of_section), *not_run(of_section)]
    blocks += ["## Genes that the models know", filled(GENES), gene_table(paper, run, named)]
    blocks += ["## Oddities in the paper"]
    blocks += [filled(f"**{oddity.title}.** {oddity.evidence}", bullet="- ") for oddity in paper.oddities]
    return "\n\n".join(blocks) + "\n"


def what_ran(paper: Paper, run: Run, named: Counterparts) -> Iterator[str]:
    """Say which of the paper's datasets and models are in this run, and what else ran."""
    models = list(dict.fromkeys(number.model for number in paper.numbers if number.model))
    for what, names, ours in (
        (f"the paper's {len(paper.datasets)} datasets", list(run.records), named.datasets),
        (f"{len(models)} models to compare", list(dict.fromkeys(pair.model for pair in run.pairs)), named.models),
    ):
        claims = {name: claim for claim, name in ours.items()}
        present = ", ".join(f"{claims[name]} (`{name}`)" for name in names if name in claims)
        others = ", ".join(f"`{name}`" for name in names if name not in claims)
        also = f" {'Also' if present else 'Instead'} run: {others}." if others else ""
        yield f"Of {what}, in this run: {present or 'none'}.{also}"
    yield from captions.dataset_notes(run, run.records)


def summary(rows: Sequence[Tracked], paper: Paper) -> str:
    """Count the statuses of each section."""
    lines = []
    for name, title in [*((name, section.title) for name, section in paper.sections.items()), ("", "All")]:
        counts = Counter(row.status for row in rows if name in ("", row.published.section))
        lines.append([title, *map(str, (counts.total(), *(counts[status] for status in STATUSES)))])
    return markdown_table(lines, ["Section", "Numbers", *map(str.capitalize, STATUSES)], n_left=1)


def section_tables(rows: Sequence[Tracked]) -> Iterator[str]:
    """Print what ran of a section: a line per dataset, annotation and model, and one for its second reading."""
    groups: dict[tuple[str, str, str], dict[str, Tracked]] = {}
    for row in rows:
        if row.ours is not None:
            number = row.published
            groups.setdefault((number.dataset, number.annotation, number.model), {})[number.metric] = row
    by_metrics: dict[tuple[str, ...], list[list[str]]] = {}
    for names, group in groups.items():
        lines = by_metrics.setdefault(tuple(group), [])
        lines.append([*(name or NONE for name in names), *map(beside, group.values()), *basis(list(group.values()))])
        if second := next((row.second for row in group.values() if row.second), None):
            numbers = [beside_second(row) for row in group.values()]
            lines.append([names[0], f"{names[1]}, {second.name}", names[2], *numbers, *[""] * len(BASIS)])
    for metrics, lines in by_metrics.items():
        headings = ["Dataset", "Annotation", "Model", *(heading(metric) for metric in metrics)]
        yield markdown_table(lines, [*headings, *BASIS], n_left=3, n_right=len(BASIS))


def heading(metric: str) -> str:
    """Return the heading of a metric's column: ``f1_macro`` is "F1, macro"."""
    return HEADINGS.get(metric) or metric.replace("_", ", ").capitalize()


def basis(rows: Sequence[Tracked]) -> list[str]:
    """Say what the numbers of one line rest on: labels, cells (the paper's / ours), unknown genes, notes."""
    row = rows[0]
    notes = dict.fromkeys(row.reason for row in rows if row.reason)
    cells = f"{grouped(row.n_cells_paper)} / {grouped(row.n_cells)}"
    return [row.label_source, cells, percent(row.missing_gene_rate), "; ".join(notes)]


def not_run(rows: Sequence[Tracked]) -> Iterator[str]:
    """Say how many numbers of a section were not run, and why, the most frequent reason first."""
    missing = [row for row in rows if row.status == NOT_RUN]
    absent = Counter(row.absent for row in missing if row.absent)
    reasons = Counter(row.reason for row in missing if not row.absent)
    why = [f"not in the grid: {listed(absent)}"] if absent else []
    why += [listed(reasons)] if reasons else []
    if missing:
        yield filled(f"Not run: {len(missing)} of {len(rows)} numbers ({'; '.join(why)}).")


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


def next_step(rows: Sequence[Tracked], run: Run) -> str:
    """Say how to run what is not in the grid."""
    absent = Counter(row.absent for row in rows if row.absent)
    if not absent:
        return "Every dataset and model of the paper is in the grid."
    files = [f"models/{name}.yaml is {model.paper}" for name, model in run.models.items() if model.paper in absent]
    hint = f" ({', '.join(files)})" if files else ""
    return (
        f"Not in the grid: {listed(absent)}. To run them, name files that declare them as `paper:` in the grid"
        f"{hint}, or run `dvc exp run -S 'grid=${{grids.paper}}'`."
    )


def beside(row: Tracked) -> str:
    """Print the paper's number, ours by the authors' protocol, bold with the difference if it differs, and repeated."""
    own = f"**{ours(row)}** ({difference(row)})" if row.status == DIFFERS else ours(row) or NONE
    return " / ".join([printed(row.published), own, *([decimals(row.repeated)] if row.repeated is not None else [])])


def beside_second(row: Tracked) -> str:
    """Print the paper's number and ours by the second reading."""
    if row.second is None:
        return NONE
    own = decimals(row.second.ours)
    return f"{printed(row.published)} / {f'**{own}**' if row.second.status == DIFFERS else own}"


def printed(number: Published) -> str:
    """Print the paper's number with the decimals that it needs, at least two; counts whole."""
    if number.is_count:
        return str(int(number.value))
    text = f"{number.value:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def ours(row: Tracked) -> str:
    """Print our number with four decimals, a count whole; empty where there is none."""
    return str(int(row.ours)) if row.ours is not None and row.published.is_count else decimals(row.ours)


def difference(row: Tracked) -> str:
    """Print ours less the paper's with its sign; empty where there is none of ours."""
    if row.difference is None:
        return ""
    return f"{int(row.difference):+d}" if row.published.is_count else f"{round(row.difference, 4) + 0.0:+.4f}"


def grouped(value: int | None) -> str:
    """Print a count with commas between thousands; a dash where there is none."""
    return NONE if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """Print a share in percent; a dash where there is none."""
    return NONE if share is None else f"{share:.1%}"


def listed(counts: Counter[str]) -> str:
    """Print names with their counts, the most frequent first."""
    return ", ".join(f"{name} ({n})" for name, n in counts.most_common())
