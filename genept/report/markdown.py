"""A table as Markdown: caption, numbers, footnotes, and what its datasets and models are."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from tabulate import tabulate

from genept.report import notes
from genept.report.results import ENSEMBLE, Score
from genept.report.tables import Row, Table, counts

NONE = "\u2013"
NOT_COMPARABLE = "not comparable"
WIDTH = 110


def markdown(table: Table, params: dict[str, Any], labelled_by: dict[str, str]) -> str:
    """Write a table with its caption, its footnotes, and what its datasets and models are.

    `labelled_by` says of each dataset who labelled its cells.
    """
    placed = notes.place(table)
    marks = placed.marks()
    best = best_scores(table, _finetuned(params))
    lines = []
    for i, row in enumerate(table.rows):
        repeated = i > 0 and row[:2] == table.rows[i - 1][:2]
        comparable = "" if is_comparable(row) else f", {NOT_COMPARABLE}"
        lines.append(
            [
                "" if repeated else row.dataset,
                "" if repeated else row.annotation or NONE,
                f"`{row.model}`{comparable}{_mark(placed.rows[i], marks)}",
                *(
                    printed(score, bold=(i, j) in best) + _mark(placed.cells[i][j], marks)
                    for j, score in enumerate(row.scores)
                ),
                *(NONE if value is None else f"{value:,}" for value in counts(table, row)),
            ]
        )
    headings = [column.heading for column in table.columns] + [count.heading for count in table.counts]
    body = tabulate(
        lines,
        ["Dataset", "Annotation", "Model", *headings],
        tablefmt="github",
        disable_numparse=True,
        colalign=["left"] * 3 + ["right"] * len(headings),
    )
    footnotes = [
        f"{column.heading}: {'; '.join(of_column)}"
        for column, of_column in zip(table.columns, placed.columns, strict=True)
        if of_column
    ] + [f"({mark}) {note}" for note, mark in marks.items()]
    caption = " ".join(
        [
            f"Computed in this run with seed {params.get('seed')}.",
            *dataset_notes(table, params),
            table.explanation,
            *(["Bold: the highest; fine-tuned and not comparable rows do not compete."] if best else []),
        ]
    )
    blocks = [f"# {table.title}", _filled(caption), body, *([_items(footnotes)] if footnotes else [])]
    return "\n\n".join([*blocks, *key(table, params, labelled_by)]) + "\n"


def dataset_notes(table: Table, params: dict[str, Any]) -> list[str]:
    """Say what the notes on datasets say, such as that they are stand-ins; datasets of one note in one sentence."""
    by_note: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(row.dataset for row in table.rows):
        if note := _entry(params, "datasets", dataset).get("note"):
            by_note.setdefault(str(note), []).append(f"`{dataset}`")
    return [f"{', '.join(names)}: {note}." for note, names in by_note.items()]


def key(table: Table, params: dict[str, Any], labelled_by: dict[str, str]) -> list[str]:
    """Say what the datasets and models of a table are, which are controls, which are small, which are fine-tuned."""
    grid = params["grid"]
    models = list(dict.fromkeys(row.model for row in table.rows))
    titles = {name: _entry(params, "models", name).get("title", "") for name in models}
    if ENSEMBLE in titles:
        titles[ENSEMBLE] = "Majority vote of " + ", ".join(f"`{name}`" for name in grid["ensemble"].get("members", ()))
    roles = [
        ("Controls, whose gene vectors mean nothing", (grid.get("controls") or {}).get("models")),
        ("Small models trained here, not the published ones", (grid.get("pretrain") or {}).get("models")),
        ("Fitted on training cells, anew for every split, and scored only on other cells", [_finetuned(params)]),
    ]
    named = [(role, [f"`{name}`" for name in members or () if name in models]) for role, members in roles]
    return [
        "Datasets:",
        _items(
            f"`{name}`: {_entry(params, 'datasets', name).get('title', '')}; {labelled_by[name]}"
            for name in dict.fromkeys(row.dataset for row in table.rows)
        ),
        "Models:",
        _items(f"`{name}`: {title}" for name, title in titles.items()),
        *(_filled(f"{role}: {', '.join(members)}.") for role, members in named if members),
        "All scores, with those of every class: `metrics/full/<dataset>/<model>.csv`.",
    ]


def best_scores(table: Table, finetuned: str) -> set[tuple[int, int]]:
    """Find the best score, or equal scores, of each group and column: row and column numbers.

    A fine-tuned model, which has learned from the labels, does not compete, nor do scores that are not comparable.
    """
    best = set()
    for j, column in enumerate(table.columns):
        groups: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for i, row in enumerate(table.rows):
            score = row.scores[j]
            if column.best and row.model != finetuned and is_comparable(row) and score and score.value is not None:
                groups.setdefault((row.dataset, row.annotation), []).append((round(score.value, 3), i))
        for scores in groups.values():
            if len(scores) > 1:
                best |= {(i, j) for value, i in scores if value == max(scores)[0]}
    return best


def is_comparable(row: Row) -> bool:
    """Say whether no note of a row's scores calls it not comparable."""
    return not any(NOT_COMPARABLE in note for score in row.scores if score for note in score.notes)


def printed(score: Score | None, bold: bool = False) -> str:
    """Print a score with three decimals, and its standard deviation if it has one."""
    if score is None or score.value is None:
        return NONE
    value = f"{round(score.value, 3) + 0.0:.3f}"  # + 0.0: no sign for a rounded zero
    spread = "" if score.sd is None else f" \u00b1 {score.sd:.3f}"
    return (f"**{value}**" if bold else value) + spread


def _entry(params: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    return (params.get(section) or {}).get(name) or {}


def _finetuned(params: dict[str, Any]) -> str:
    return params["grid"]["finetune"].get("model", "")


def _mark(placed: Sequence[str], marks: dict[str, str]) -> str:
    return f" ({', '.join(marks[note] for note in placed)})" if placed else ""


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
