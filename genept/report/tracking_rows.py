"""Verdicts on the rows of the paper: every score that it prints of one model on one annotation of one dataset."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from genept.report import comparability, verdicts
from genept.report.pairs import NOT_COMPARABLE, Pair, Run, Score
from genept.report.paper import Paper
from genept.report.tracking import NOT_RUN, Reading, Tracked
from genept.report.verdicts import OTHER_SUBSET, Estimate, Interval, Printed, Row, Verdict

CONTINUES = {"table_c4": "table2"}  # the section whose rows go on in another one
COUNTS_OF_ROWS = (*verdicts.VERDICTS, NOT_RUN)


class TrackedRow(NamedTuple):
    """A row of the paper with ours; `sections` are those that print it.

    `second` is the verdict by the less likely reading of its numbers, `second_name`, where there is one.
    """

    sections: tuple[str, ...]
    numbers: tuple[Tracked, ...]
    verdict: Verdict  # its `verdict` is NOT_RUN if no number was run
    second_name: str = ""
    second: Verdict | None = None
    label_source: str = ""
    n_cells: int | None = None  # scored
    n_cells_paper: int | None = None

    @property
    def names(self) -> tuple[str, str, str]:
        """The paper's names of dataset, annotation and model."""
        return self.numbers[0].published[1:4]

    @property
    def is_judged(self) -> bool:
        """Whether the row was compared."""
        return self.verdict.verdict not in (NOT_RUN, NOT_COMPARABLE)

    def interval(self, number: Tracked) -> Interval | None:
        """Return where a single run of a number falls, None where the row has none."""
        return self.verdict.intervals.get(number.published.metric)


def judge_rows(numbers: Sequence[Tracked], paper: Paper, run: Run) -> list[TrackedRow]:
    """Give every row of the paper its verdict, in the paper's order.

    Tables 2 and C4 print one row together; a section of its own has its own rows, since it prints other runs. Numbers
    that are not comparable though others of their row are (an oddity of one table) form a row by themselves.
    """
    groups: dict[tuple[str, ...], list[Tracked]] = {}
    for number in numbers:
        section, *names = number.published[:4]
        if not number.published.is_count:
            key = CONTINUES.get(section, section), *names, number.published.not_comparable
            groups.setdefault(key, []).append(number)
    return [judge_row(tuple(group), paper, run) for group in groups.values()]


def judge_row(numbers: tuple[Tracked, ...], paper: Paper, run: Run) -> TrackedRow:
    """Compare one row with ours; numbers of it that were not run do not count."""
    sections = tuple(dict.fromkeys(number.published.section for number in numbers))
    with_scores = [number for number in numbers if number.scores]
    dataset, model = numbers[0].dataset, numbers[0].model
    pair = run.pair(dataset, model)
    if not with_scores or pair is None:
        reasons = tuple(dict.fromkeys(number.reason for number in numbers))
        status = NOT_COMPARABLE if numbers[0].status == NOT_COMPARABLE else NOT_RUN
        return TrackedRow(sections, numbers, Verdict(status, reasons, {}))
    record = run.records[dataset]
    others = [other for other in run.pairs if other.dataset == dataset and other.model != model]
    first, *second = [
        judge_reading(with_scores, place, pair, others, paper, run)
        for place in range(max(len(number.scores) for number in with_scores))
    ]
    names = [number.readings[1].name for number in with_scores if len(number.readings) > 1]
    return TrackedRow(
        sections,
        numbers,
        first,
        next(iter(names), ""),
        next(iter(second), None),
        record["label_source"],
        record["cells"]["n_scored"],
        paper.n_cells(numbers[0].published.dataset),
    )


def judge_reading(
    numbers: Sequence[Tracked], place: int, pair: Pair, others: Sequence[Pair], paper: Paper, run: Run
) -> Verdict:
    """Compare a row by the reading at a place, by the first one where a number has only that."""
    chosen = {number.published.metric: number.readings[min(place, len(number.readings) - 1)] for number in numbers}
    published = [number.published for number in numbers]
    printed = {number.metric: Printed(number.value, number.decimals) for number in published}
    scores = [pair.by_authors[reading.key] for reading in chosen.values()]
    reasons = comparability.reasons(published, scores, paper, run, pair)
    is_drawn_here = bool(run.records[pair.dataset].get("subset"))
    return verdicts.judge(
        printed,
        estimates(pair, chosen),
        {other.model: estimates(other, chosen) for other in others},
        reasons,
        OTHER_SUBSET if is_drawn_here else 1.0,
        tuple(dict.fromkeys(score.sampled for score in scores if score.sampled)),
    )


def estimates(pair: Pair, chosen: dict[str, Reading]) -> Row:
    """Return a model's means and spreads by metric; without those that it lacks."""
    scores = {name: pair.by_authors.get(reading.key) for name, reading in chosen.items()}
    return {
        name: estimate(score, score.value, chosen[name])
        for name, score in scores.items()
        if score and score.value is not None
    }


def estimate(score: Score, value: float, reading: Reading) -> Estimate:
    """Return mean and spread; silhouettes, and neighbours of a query in the reference, depend on no seed.

    The standard error of a sample adds to the spread, since all runs share the sample.
    """
    task, _, split, _ = reading.key
    if task == "silhouette" or split == "reference":
        return Estimate(value)
    return Estimate(value, math.hypot(score.sd or 0.0, score.se or 0.0), score.n_runs)


def counts(rows: Sequence[TrackedRow]) -> dict[str, int]:
    """Count the verdicts on the rows that were judged, for ``metrics/verdicts.json``; none that no row has."""
    of_rows = Counter(row.verdict.verdict for row in rows if row.is_judged)
    return {verdict: of_rows[verdict] for verdict in verdicts.VERDICTS if verdict in of_rows}


def expected_false_differs(rows: Sequence[TrackedRow]) -> float:
    """Return how many rows differ by chance alone, at most, if all that were judged are reproduced."""
    return verdicts.expected_false_differs(sum(row.is_judged for row in rows))
