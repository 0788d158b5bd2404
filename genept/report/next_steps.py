"""What is missing or differs from the paper, and the next step of each: nothing but what follows from the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from genept.report.results import ENSEMBLE
from genept.report.tracked_text import both, grouped, is_count
from genept.report.tracking import DIFFERS, REPRODUCED, Run, Tracked


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
    if row.by_reference is not None and abs(row.by_reference - row.published.value) < abs(row.difference or 0):
        causes.append(f"from reference to query it is {row.by_reference:.4f}, nearer to the paper's")
    if row.n_cells_paper and row.n_cells != row.n_cells_paper:
        causes.append(f"the cells are others ({grouped(row.n_cells)}, the paper's {grouped(row.n_cells_paper)})")
    if row.label_source and row.label_source != "author":
        whose = {"user": "the user's own"}.get(row.label_source, f"by {row.label_source}")
        causes.append(f"the labels are {whose}")
    if row.missing_gene_rate:
        causes.append(f"the model does not know {row.missing_gene_rate:.1%} of the genes")
    return f"Next: {'; '.join(causes) or 'nothing known of cells, labels or genes explains it, so the protocol'}."


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
