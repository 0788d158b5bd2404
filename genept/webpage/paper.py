"""The paper's numbers against ours: what was judged, and, folded, what did not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from genept.report import captions, tracking_page
from genept.report import tracking_words as words
from genept.report.printing import NONE
from genept.report.tracking import Tracked
from genept.report.tracking_rows import COUNTS_OF_ROWS, TrackedRow
from genept.report.verdicts import Verdict
from genept.webpage.render import html
from genept.webpage.sources import Sources, View


class Line(NamedTuple):
    """One number of a row that ran; `status` is that of a count."""

    heading: str
    numbers: words.Beside
    status: str


class Judged(NamedTuple):
    """A row that ran: its names, our model, its verdict (None of counts), what it rests on, its numbers."""

    annotation: str
    model: str
    ours: str
    verdict: Verdict | None
    basis: list[str]
    lines: list[Line]


class Unrun(NamedTuple):
    """Numbers that did not run: the headings of their metrics, then each row's names, numbers and reason."""

    headings: list[str]
    rows: list[tuple[str, str, list[str], str]]


class Block(NamedTuple):
    """What a section of the paper has of one dataset, under our name too if it ran."""

    dataset: str
    ours: str
    judged: list[Judged]
    n_missing: str
    why: str
    has_reasons: bool  # more than one
    missing: list[Unrun]


def view(sources: Sources) -> View:
    """Return the view."""
    numbers, rows, paper, run = sources.numbers, sources.rows, sources.paper, sources.run
    text = html(
        "paper.html",
        paper=paper,
        tested=words.tested(numbers, rows),
        judged=words.judged(rows),
        ran=[*words.what_ran(paper, run, sources.counterparts), tracking_page.next_step(numbers, run)],
        rule=words.RULE,
        counts=words.OF_COUNTS,
        readings=words.READINGS,
        transcribed=words.transcribed(paper),
        headings=["Section", "Rows", *(word.capitalize() for word in COUNTS_OF_ROWS)],
        row_counts=list(words.row_counts(rows, paper)),
        sections=[(section, list(blocks(name, sources))) for name, section in paper.sections.items()],
    )
    return View("paper", "Paper", text)


def blocks(section: str, sources: Sources) -> Iterator[Block]:
    """Yield what a section has of each dataset."""
    row_of = {number.published: row for row in sources.rows for number in row.numbers}
    titles = {name: section.title for name, section in sources.paper.sections.items()}
    of_section = [number for number in sources.numbers if number.published.section == section]
    for dataset in dict.fromkeys(number.published.dataset for number in of_section):
        own = [number for number in of_section if number.published.dataset == dataset]
        ran = words.by_names([number for number in own if number.ours is not None])
        judged = [one for group in ran.values() for one in judge(group, row_of.get(group[0].published), titles)]
        missing = [number for number in own if number.ours is None]
        name = next((number.dataset for number in own if number.dataset), "")
        reasons = list(dict.fromkeys(number.reason for number in missing))
        why = reasons[0] if len(reasons) == 1 else words.why_not_run(missing)
        yield Block(
            dataset, name, judged, captions.count(len(missing), "number"), why, len(reasons) > 1, list(unrun(missing))
        )


def judge(numbers: Sequence[Tracked], row: TrackedRow | None, titles: Mapping[str, str]) -> Iterator[Judged]:
    """Yield a row that ran and, where its numbers have one, its second reading; `titles` are those of the sections."""
    _, annotation, model = numbers[0].published[1:4]
    lines = [
        Line(words.heading(number.published.metric), words.beside(number, row), number.status) for number in numbers
    ]
    basis = [f"{what}: {value}" for what, value in zip(words.BASIS, words.basis(numbers, row), strict=True)]
    basis = [text for text in basis if not text.endswith((": ", f": {NONE}"))]
    if row and len(row.sections) > 1:
        basis.append(f"One row in {' and '.join(titles[name].partition(':')[0] for name in row.sections)}")
    yield Judged(annotation, model, numbers[0].model, row.verdict if row else None, basis, lines)
    if row and row.second and any(len(number.scores) > 1 for number in numbers):
        second = [(number, found) for number in numbers if (found := words.beside_second(number, row))]
        lines = [Line(words.heading(number.published.metric), found, "") for number, found in second]
        yield Judged(f"{annotation}, {row.second_name}", model, numbers[0].model, row.second, [], lines)


def unrun(numbers: Sequence[Tracked]) -> Iterator[Unrun]:
    """Yield a table for each set of metrics."""
    tables: dict[tuple[str, ...], list[tuple[str, str, list[str], str]]] = {}
    for (_, annotation, model), group in words.by_names(numbers).items():
        metrics = tuple(number.published.metric for number in group)
        values = [words.beside(number, None).paper for number in group]
        why = "; ".join(dict.fromkeys(number.reason for number in group))
        tables.setdefault(metrics, []).append((annotation, model, values, why))
    for metrics, rows in tables.items():
        yield Unrun([words.heading(metric) for metric in metrics], rows)
