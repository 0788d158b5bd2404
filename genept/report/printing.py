"""The tables as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from genept.core.params import MAJORITY, RANDOM_CELLS
from genept.report import captions, glossary, significance
from genept.report.captions import escaped, filled
from genept.report.pairs import NOT_COMPARABLE, Key, Run, Score, labels_from
from genept.report.significance import NO_TEST, Best, Differences
from genept.report.table import Column, Row, Table

NONE = "\u2013"
Bests = list[list[Best]]  # of a table, by group and column


def markdown(table: Table, run: Run, best: Bests) -> str:
    """Write a table with its caption, its footnotes, and what its datasets and models are."""
    letters: dict[str, str] = {}  # by note, in the order of reading
    lines = []
    for i, group in enumerate(table.groups):
        problems = [
            note_of(f"no bold, {problem}", columns, table.columns) for problem, columns in problems_of(best[i]).items()
        ]
        notes = [note_of(note, at, table.columns) for note, at in group.notes.items() if note != NO_TEST]
        names = [group.dataset, f"{group.title or NONE}{mark([*notes, *problems], letters)}"]
        for row in group.rows:
            comparable = "" if row.is_comparable else f", {NOT_COMPARABLE}"
            of_row = [
                note if row.has_in_all(note) else note_of(note, at, table.columns)
                for note, at in group.row_notes(row).items()
            ]
            name = f"`{row.model}`{comparable}{mark(of_row, letters)}"
            scores = [
                printed(score, row.model in best[i][j].models) + mark(group.score_notes(row, j), letters)
                for j, score in enumerate(row.scores)
            ]
            sizes = [
                (score and score.sampled if size.attribute == "n_cells" else "") or (NONE if n is None else f"{n:,}")
                for size, n in zip(table.sizes, table.sizes_of(row), strict=True)
                for score in [row.scores[size.column]]
            ]
            lines.append([*names, name, *scores, *sizes])
            names = ["", ""]
    headings = [*(column.heading for column in table.columns), *(size.heading for size in table.sizes)]
    datasets = [name for name in dict.fromkeys(group.dataset for group in table.groups) if name in run.records]
    models = list(dict.fromkeys(row.model for group in table.groups for row in group.rows))
    caption = [
        f"Computed in this run with seed {run.params.scoring_seed}.",
        *map(escaped, captions.dataset_notes(run, datasets)),
        *captions.samples(run, datasets),
    ]
    caption.append(table.explanation)
    if any(column.best for column in table.columns):
        caption.append(captions.bold(any(one.models for of_group in best for one in of_group)))
    key = [
        items(
            escaped(f"`{name}`: {record['title']}; {labels_from(record)}")
            for name, record in ((name, run.records[name]) for name in datasets)
        ),
        items(escaped(f"`{name}`: {run.model_title(name)}") for name in models),
    ]
    blocks = [
        f"# {table.title}",
        filled(" ".join(caption)),
        markdown_table(lines, ["Dataset", table.heading, "Model", *headings], n_left=3),
        items(f"({letter}) {escaped(note)}" for note, letter in letters.items()),
        *("Datasets:", key[0], "Models:", key[1]),
        *map(filled, [*glossary.terms(" ".join([*caption, *key])), *captions.roles(run, models)]),
        "All scores, with those of each class: `metrics/full/<dataset>/<model>.csv`.",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def best_of(table: Table, run: Run, comparisons: Mapping[str, Mapping[Key, Differences]]) -> Bests:
    """Find the models that cannot be told from the best, for each group and each of its columns.

    `comparisons` are by dataset. What has learned from labels, what scores lie between, and rows that are not
    comparable do not compete.
    """
    bests = []
    for group in table.groups:
        competing = [row for row in group.rows if row.is_comparable and run.competes(row.model)]
        floors = [row for row in group.rows if row.model in (MAJORITY, RANDOM_CELLS)]
        columns = []
        for j, column in enumerate(group.columns):
            key = column.task, column.annotation, column.split or "", column.metric
            values = values_of(competing, j) if column.best else {}
            differences = comparisons.get(group.dataset, {}).get(key, {})
            found = significance.best(values, values_of(floors, j), differences)
            if found.problem == NO_TEST:  # of single numbers, such as ASW, the caption speaks
                n_donors = next((score.n_donors for row in competing if (score := row.scores[j])), None)
                found = Best(frozenset(), f"{NO_TEST} with {n_donors} donors" if column.split == "donors" else "")
            columns.append(found)
        bests.append(columns)
    return bests


def values_of(rows: Iterable[Row], j: int) -> dict[str, float]:
    """Return the scores of a column by model, those that have a value."""
    return {row.model: score.value for row in rows if (score := row.scores[j]) is not None and score.value is not None}


def problems_of(best: Sequence[Best]) -> dict[str, list[int]]:
    """Return why columns of a group have no best, each reason with the numbers of its columns."""
    problems: dict[str, list[int]] = {}
    for j, one in enumerate(best):
        if one.problem:
            problems.setdefault(one.problem, []).append(j)
    return problems


def note_of(note: str, at: Sequence[int], columns: Sequence[Column]) -> str:
    """Write a note with the headings of its columns, unless all have it."""
    return note if len(at) == len(columns) else f"{', '.join(columns[j].heading for j in at)}: {note}"


def mark(notes: Sequence[str], letters: dict[str, str]) -> str:
    """Give notes their letters, new ones if needed, and print them in brackets."""
    for note in notes:
        letters.setdefault(note, letter(len(letters)))
    return f" ({', '.join(letters[note] for note in notes)})" if notes else ""


def letter(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... for 0, 1, ..."""
    head, tail = divmod(number, 26)
    return (letter(head - 1) if head else "") + chr(ord("a") + tail)


def printed(score: Score | None, bold: bool = False) -> str:
    """Print a score with three decimals, and its range in brackets if it has one: ``0.705 [.651, .759]``.

    That of a sample has its standard error after it: ``0.705 ± .003``.
    """
    if score is None or score.value is None:
        return NONE
    value = three(score.value)
    return (f"**{value}**" if bold else value) + error(score.se) + interval(score.low, score.high)


def error(se: float | None) -> str:
    """Print a standard error after a space, without the zero before the point; nothing where there is none."""
    return "" if se is None else f" ± {three(se).removeprefix('0')}"


def three(value: float | None) -> str:
    """Print a number with three decimals; a dash where there is none."""
    return NONE if value is None else f"{round(value, 3) + 0.0:.3f}"  # + 0.0: no sign for a rounded zero


def interval(low: float | None, high: float | None) -> str:
    """Print a range in brackets after a space, without zeros before the points; nothing if it has no ends."""
    if low is None or high is None:
        return ""
    ends = [re.sub(r"^(-?)0\.", r"\1.", f"{round(end, 3) + 0.0:.3f}") for end in (low, high)]
    return f" [{ends[0]}, {ends[1]}]"


def markdown_table(lines: Sequence[Sequence[str]], headings: Sequence[str], n_left: int, n_right: int = 0) -> str:
    """Write a table in Markdown; the first `n_left` and last `n_right` columns are text, the others numbers.

    Nothing in a cell ends it or is taken for HTML.
    """
    lines = [[re.sub(r"(?<!\\)(\||<(?=[A-Za-z/!?]))", r"\\\1", cell) for cell in line] for line in lines]
    n_numbers = len(headings) - n_left - n_right
    align = ["left"] * n_left + ["right"] * n_numbers + ["left"] * n_right
    return tabulate(lines, headings, tablefmt="github", disable_numparse=True, colalign=align)


def items(texts: Iterable[str]) -> str:
    """Write a list in Markdown."""
    return "\n".join(f"- {text}" for text in texts)


def as_csv(table: Table, run: Run) -> str:
    """Write a table for programs: scores with four decimals, their ranges and scaled values, label source and notes."""
    header, parts = ["dataset", "annotation", "model"], table.parts
    is_sampled = any(score and score.n_all for group in table.groups for row in group.rows for score in row.scores)
    if is_sampled:
        parts = (*parts, "se")
    for column in table.columns:
        header += [column.name, *(f"{column.name}_{part}" for part in parts)]
    lines = []
    for group in table.groups:
        for row in group.rows:
            line: list[Any] = [group.dataset, group.title, row.model]
            for score in row.scores:
                line += [decimals(score and getattr(score, part)) for part in ("value", *parts)]
            notes = [  # one that not all scores have begins with the columns that have it
                note if row.has_in_all(note) else f"{', '.join(table.columns[j].name for j in columns)}: {note}"
                for note, columns in row.notes.items()
            ]
            source = run.records.get(group.dataset, {}).get("label_source")
            drawn_from = [row.scores[size.column] for size in table.sizes if is_sampled and size.attribute == "n_cells"]
            sizes = [*table.sizes_of(row), *(score and score.n_all for score in drawn_from)]
            lines.append([*line, *sizes, source, "; ".join(notes)])
    drawn = [f"{size.name}_drawn_from" for size in table.sizes if is_sampled and size.attribute == "n_cells"]
    return csv_text([*header, *(size.name for size in table.sizes), *drawn, "label_source", "note"], lines)


def decimals(value: float | None) -> str:
    """Print a score with four decimals; empty where there is none."""
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def csv_text(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """Write a table as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *lines])
    return stream.getvalue()
