"""What is said of a number of the paper beside ours, on the tracking page and on the report page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from genept.report import captions
from genept.report.pairs import Run
from genept.report.paper import Paper
from genept.report.printing import NONE, decimals
from genept.report.tracking import DIFFERS, EQUAL, NOT_RUN, Counterparts, Tracked
from genept.report.tracking_csv import ours, printed
from genept.report.tracking_rows import COUNTS_OF_ROWS, TrackedRow, expected_false_differs
from genept.report.verdicts import FIXED, HALF_WIDTH, OTHER_SUBSET, Interval

BASIS = ("Labels by", "Cells", "Genes missing", "Notes")
HEADINGS = {
    "ari": "ARI",
    "ami": "AMI",
    "asw": "ASW",
    "n_cells": "Cells evaluated",
    "n_cells_full": "Cells of the study",
}
HEADINGS |= {"auroc": "AUROC", "balanced_accuracy": "Balanced accuracy"}
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
OF_COUNTS = "Counts of cells, genes and labels are equal or not, and have no verdict."
READINGS = "Where the evidence leaves two readings of a number, the first line of the two decides."
GENE_HEADINGS = ("Genes", "Unknown to the model", "Share of counts", "Elsewhere")
GENES = (
    "Genes of each dataset that a model does not know, and their share of all counts (of the sum where X holds "
    "logarithms). By exact name: as GenePT's authors count, where the vectors are released ones. Elsewhere: what "
    "others counted under the names in their file; ours are harmonised, so more are known."
)


class Beside(NamedTuple):
    """The paper's number and ours as printed: the single run, the mean, and where 95 % of single runs fall."""

    paper: str
    ours: str
    mean: str = ""
    runs: str = ""

    def __str__(self) -> str:
        spread = f" ({self.mean}, {self.runs})" if self.runs else ""
        return f"{self.paper} / {self.ours}{spread}"


def beside(number: Tracked, row: TrackedRow | None) -> Beside:
    """Print the paper's number and ours, by the likelier reading; a count has no mean."""
    mean = number.scores[0].value if number.scores else None
    one = row.interval(number) if row else None
    return Beside(printed(number.published), ours(number) or NONE, *spread(mean, one))


def beside_second(number: Tracked, row: TrackedRow) -> Beside | None:
    """Print the paper's number and ours by the second reading; None where there is none."""
    if len(number.scores) < 2:
        return None
    score, one = number.scores[1], row.second and row.second.intervals.get(number.published.metric)
    own = score.value if score.first is None else score.first
    return Beside(printed(number.published), decimals(own), *spread(score.value, one))


def spread(mean: float | None, one: Interval | None) -> tuple[str, str]:
    """Print a mean and an interval; nothing where there is none or one without ends."""
    if mean is None or one is None or not math.isfinite(one.half_width):
        return "", ""
    return f"{mean:.3f}", f"{one.low:.3f} to {one.high:.3f}"


def by_names(numbers: Sequence[Tracked]) -> dict[tuple[str, str, str], list[Tracked]]:
    """Group numbers by the paper's names of dataset, annotation and model."""
    groups: dict[tuple[str, str, str], list[Tracked]] = {}
    for number in numbers:
        groups.setdefault(number.published[1:4], []).append(number)
    return groups


def heading(metric: str) -> str:
    """Return the heading of a metric's column: ``f1_macro`` is "F1, macro"."""
    return HEADINGS.get(metric) or metric.replace("_", ", ").capitalize()


def basis(numbers: Sequence[Tracked], row: TrackedRow | None) -> list[str]:
    """Say what the numbers of one line rest on: labels, cells (the paper's / ours), unknown genes, notes."""
    notes = dict.fromkeys(number.reason for number in numbers if number.reason)
    cells = f"{grouped(row.n_cells_paper)} / {grouped(row.n_cells)}" if row else NONE
    who = row.label_source if row else NONE
    return [who, cells, percent(numbers[0].missing_gene_rate), "; ".join(notes)]


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


def transcribed(paper: Paper) -> str:
    """Say where the paper's numbers were read."""
    return f"The paper's numbers are {paper.transcription} Transcribed {paper.date}; genept/report/paper.yaml."


def judged(rows: Sequence[TrackedRow]) -> str:
    """Say how many rows were judged, and how many of them chance alone would call different."""
    return (
        f"Rows judged: {sum(row.is_judged for row in rows)}. If all were runs of the paper's models, at most "
        f"{expected_false_differs(rows):.1f} of them would be called different by chance. How often the rule is "
        "right: bench/verdicts.csv."
    )


def tested(numbers: Sequence[Tracked], rows: Sequence[TrackedRow]) -> str:
    """Say how many of the paper's numbers and rows were compared, and with what outcome."""
    of_counts = Counter(number.status for number in numbers if number.published.is_count)
    of_rows = Counter(row.verdict.verdict for row in rows)
    n_counts = of_counts.total()
    return (
        f"Of the paper's {len(numbers)} numbers, {len(numbers) - n_counts} are scores in {len(rows)} rows, and "
        f"{n_counts} are counts. "
        f"Rows: {', '.join(f'{of_rows[verdict]} {verdict}' for verdict in COUNTS_OF_ROWS)}. "
        f"Counts: {', '.join(f'{of_counts[status]} {status}' for status in (EQUAL, DIFFERS, NOT_RUN))}."
    )


def row_counts(rows: Sequence[TrackedRow], paper: Paper) -> Iterator[list[str]]:
    """Yield a line for each section that begins rows, and one for all: rows, then how many have each verdict."""
    sections = list(dict.fromkeys(row.sections[0] for row in rows))
    for name, title in [*((name, paper.sections[name].title) for name in sections), ("", "All")]:
        count = Counter(row.verdict.verdict for row in rows if name in ("", row.sections[0]))
        yield [title, *map(str, (count.total(), *(count[verdict] for verdict in COUNTS_OF_ROWS)))]


def why_not_run(missing: Sequence[Tracked]) -> str:
    """Say why numbers were not run, the most frequent reason first."""
    absent = Counter(number.absent for number in missing if number.absent)
    reasons = Counter(number.reason for number in missing if not number.absent)
    why = [f"not in the grid: {listed(absent)}"] if absent else []
    return "; ".join([*why, *([listed(reasons)] if reasons else [])])


def gene_lines(paper: Paper, run: Run, named: Counterparts) -> Iterator[list[str]]:
    """Yield dataset, model, and as `GENE_HEADINGS` how many genes the model does not know, beside others' counts."""
    elsewhere = {
        (named.datasets.get(count.dataset), named.models.get(count.model)): count for count in paper.gene_counts
    }
    for pair in run.pairs:
        n_genes, n_missing, share = map(pair.noted, ("n_genes", "n_genes_missing", "share_of_counts_missing"))
        if n_genes and n_missing is not None:
            count = elsewhere.get((pair.dataset, pair.model))
            others = f"{count.n_genes_missing:,} of {count.n_genes:,} ({count.by})" if count else NONE
            exact = pair.noted("n_genes_missing_exact")
            unknown = f"{n_missing:,.0f} ({n_missing / n_genes:.1%})"
            unknown += "" if exact is None else f"; {exact:,.0f} by exact name"
            yield [pair.dataset, pair.model, f"{n_genes:,.0f}", unknown, percent(share), others]


def grouped(value: int | None) -> str:
    """Print a count with commas between thousands; a dash where there is none."""
    return NONE if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """Print a share in percent; a dash where there is none."""
    return NONE if share is None else f"{share:.1%}"


def listed(counts: Counter[str]) -> str:
    """Print names with their counts, the most frequent first."""
    return ", ".join(f"{name} ({n})" for name, n in counts.most_common())
