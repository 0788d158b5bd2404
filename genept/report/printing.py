"""The tables as Markdown, as CSV, and for a terminal."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from genept.report import captions
from genept.report.captions import filled
from genept.report.pairs import NOT_COMPARABLE, Pair, Run, Score, labels_from
from genept.report.paper_tables import Table

NONE = "\u2013"
TERMINAL, MODEL_WIDTH = 80, 32
SPREAD = r" \u00b1 \d\.\d+"
SIZES = ("Cells", "Test cells", "Labels")


def markdown(table: Table, run: Run) -> str:
    """Write a table with its caption, its footnotes, and what its datasets and models are."""
    finetuned = run.params.grid.models.finetuned
    best = best_scores(table, finetuned)
    letters: dict[str, str] = {}  # by note, in the order of reading
    lines = []
    for i, row in enumerate(table.rows):
        group = ["", ""] if i and row[:2] == table.rows[i - 1][:2] else [row.dataset, row.annotation or NONE]
        comparable = "" if row.is_comparable else f", {NOT_COMPARABLE}"
        name = f"`{row.model}`{comparable}{mark(row.shared_notes, letters)}"
        scores = [printed(score, (i, j) in best) + mark(row.notes_of(j), letters) for j, score in enumerate(row.scores)]
        sizes = [NONE if size is None else f"{size:,}" for size in table.sizes_of(row)]
        lines.append([*group, name, *scores, *sizes])
    headings = [*(column.heading for column in table.columns), *(size.heading for size in table.sizes)]
    datasets, models = (list(dict.fromkeys(getattr(row, key) for row in table.rows)) for key in ("dataset", "model"))
    caption = [f"Computed in this run with seed {run.params.scoring_seed}.", *captions.dataset_notes(run, datasets)]
    caption.append(table.explanation)
    if best:
        caption.append("Bold: the highest; fine-tuned and not comparable rows do not compete.")
    key = [
        items(f"`{name}`: {run.records[name]['title']}; {labels_from(run.records[name])}" for name in datasets),
        items(f"`{name}`: {run.model_title(name)}" for name in models),
    ]
    blocks = [
        f"# {table.title}",
        filled(" ".join(caption)),
        markdown_table(lines, ["Dataset", "Annotation", "Model", *headings], n_left=3),
        items(f"({letter}) {note}" for note, letter in letters.items()),
        *("Datasets:", key[0], "Models:", key[1]),
        *map(filled, [*captions.terms(" ".join([*caption, *key])), *captions.roles(run, models)]),
        "All scores, with those of each class: `metrics/full/<dataset>/<model>.csv`.",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def best_scores(table: Table, finetuned: Sequence[str]) -> set[tuple[int, int]]:
    """Find the best score, or equal scores, of each group and column: row and column numbers.

    A fine-tuned model, which has learned from the labels, does not compete, nor do scores that are not comparable.
    """
    best = set()
    for _, group in itertools.groupby(enumerate(table.rows), key=lambda item: item[1][:2]):
        competing = [(i, row.scores) for i, row in group if row.model not in finetuned and row.is_comparable]
        for j in (j for j, column in enumerate(table.columns) if column.best):
            values = {
                i: round(score.value, 3) for i, scores in competing if (score := scores[j]) and score.value is not None
            }
            if len(values) > 1:
                best |= {(i, j) for i, value in values.items() if value == max(values.values())}
    return best


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
    """Print a score with three decimals, and its standard deviation if it has one."""
    if score is None or score.value is None:
        return NONE
    value = f"{round(score.value, 3) + 0.0:.3f}"  # + 0.0: no sign for a rounded zero
    spread = "" if score.sd is None else f" \u00b1 {score.sd:.3f}"
    return (f"**{value}**" if bold else value) + spread


def markdown_table(lines: Sequence[Sequence[str]], headings: Sequence[str], n_left: int, n_right: int = 0) -> str:
    """Write a table in Markdown; the first `n_left` and last `n_right` columns are text, the others numbers."""
    n_numbers = len(headings) - n_left - n_right
    align = ["left"] * n_left + ["right"] * n_numbers + ["left"] * n_right
    return tabulate(lines, headings, tablefmt="github", disable_numparse=True, colalign=align)


def items(texts: Iterable[str]) -> str:
    """Write a list in Markdown."""
    return "\n".join(f"- {text}" for text in texts)


def as_csv(table: Table, run: Run) -> str:
    """Write a table for programs: four decimals, standard deviations over k-means seeds, label source and notes."""
    with_sd = [column.task == "kmeans" for column in table.columns]
    header = ["dataset", "annotation", "model"]
    for column, has_sd in zip(table.columns, with_sd, strict=True):
        header += [column.name, f"{column.name}_sd"] if has_sd else [column.name]
    lines = []
    for row in table.rows:
        line: list[Any] = [row.dataset, row.annotation, row.model]
        for score, has_sd in zip(row.scores, with_sd, strict=True):
            line += [decimals(score and score.value), *([decimals(score and score.sd)] if has_sd else [])]
        notes = [  # one that not all scores have begins with the columns that have it
            note if note in row.shared_notes else f"{', '.join(table.columns[j].name for j in columns)}: {note}"
            for note, columns in row.notes.items()
        ]
        lines.append([*line, *table.sizes_of(row), run.records[row.dataset]["label_source"], "; ".join(notes)])
    return csv_text([*header, *(size.name for size in table.sizes), "label_source", "note"], lines)


def headline_csv(pairs: Sequence[Pair]) -> str:
    """Write the headline scores in long form, one a line, for the bar charts of `dvc plots`."""
    lines = [
        (pair.dataset, pair.model, name, decimals(value)) for pair in pairs for name, value in pair.headlines.items()
    ]
    return csv_text(("dataset", "model", "metric", "value"), lines)


def decimals(value: float | None) -> str:
    """Print a score with four decimals; empty where there is none."""
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def csv_text(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """Write a table as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *lines])
    return stream.getvalue()


def terminal(text: str) -> str:
    """Print a table that `markdown` wrote within 80 columns, without what its datasets and models are.

    Numbers of cells and labels move to the head of each group; standard deviations, then the letters of footnotes are
    left out where they do not fit.
    """
    title, caption, table, *rest = text.strip().split("\n\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.replace("`", "").splitlines()]
    head, rows = cells[0], cells[2:]
    n = len([name for name in head if name not in SIZES])
    shown = [[re.sub(r"\*\*(.*?)\*\*", r"*\1", cell) for cell in row[2:n]] for row in (head, *rows)]
    first = min(MODEL_WIDTH, max(len(row[0]) for row in shown))
    for pattern, gap in (("$", 2), (SPREAD, 1), (rf"{SPREAD}| \(.*\)", 1)):
        scores = [[re.sub(pattern, "", cell) for cell in row[1:]] for row in shown]
        widths = [max(map(len, column)) + gap for column in zip(*scores, strict=True)]
        if first + sum(widths) <= TERMINAL:
            break
    lines = [
        (name.ljust(first) if len(name) <= first else f"{name}\n{' ' * first}")
        + "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for (name, *_), row in zip(shown, scores, strict=True)
    ]
    for i, row in enumerate(rows, start=1):
        if row[0]:
            sizes = ", ".join(f"{size} {name.lower()}" for size, name in zip(row[n:], head[n:], strict=True))
            lines[i] = f"\n{row[0]}, {row[1]}: {sizes}\n{lines[i]}"
    notes = [block for block in rest[:1] if block.startswith("- (")]
    paragraph = filled(" ".join(caption.split()).replace("Bold:", "Star:"), TERMINAL)
    return "\n\n".join([title.removeprefix("# "), paragraph, "\n".join(lines), *notes]) + "\n"
