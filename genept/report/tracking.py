"""Every number of the paper against ours: computed in this run, or the reason why not.

A score is compared with the paper only if the dataset's file and the model's file both declare ``paper:``
(``paper: aorta``, ``paper: scgpt``). So a stand-in is never compared with the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genept.core.errors import ParamsError, nearest
from genept.core.params import ENSEMBLE
from genept.report.pairs import NOT_COMPARABLE, Pair, Run
from genept.report.paper import Paper, Published

REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run"
OURS_FOR = {"age": ("age", "age_bin")}  # our annotations for one of the paper's, the first that is scored


class Tracked(NamedTuple):
    """A printed number with ours beside it."""

    published: Published
    ours: float | None = None  # None where the run has nothing that may be compared
    by_reference: float | None = None  # the score of the query's cells by their neighbours in the reference
    label_source: str = ""
    n_cells: int | None = None  # scored
    n_cells_paper: int | None = None
    missing_gene_rate: float | None = None  # share of our genes that the model does not know, 0 to 1
    status: str = NOT_RUN
    reason: str = ""  # why it was not run; for a number that was, the notes of its score
    absent: str = ""  # the dataset or model of the paper that is not in the grid

    @property
    def difference(self) -> float | None:
        """Ours less the paper's; None where there is none of ours."""
        return None if self.ours is None else self.ours - self.published.value


@dataclass(frozen=True)
class Counterparts:
    """Our names of the paper's datasets and models, by the paper's."""

    datasets: dict[str, str]
    models: dict[str, str]


def counterparts(paper: Paper, run: Run) -> Counterparts:
    """Find which datasets and models of the grid are the paper's.

    `ParamsError` if ``paper:`` in a file is no name of the paper, or two of the grid declare the same.
    """
    grid = run.params.grid
    datasets = {name: record.get("paper") for name, record in run.records.items()}
    models = {name: model.paper for name, model in run.models.items()}
    ours = Counterparts(
        declared("data", datasets, grid.datasets, paper.datasets),
        declared("models", models, grid.models.names, paper.models),
    )
    if sorted(str(models[member]) for member in grid.ensemble) == sorted(paper.ensemble):
        ours.models[ENSEMBLE] = ENSEMBLE
    return ours


def declared(
    folder: str, claims: dict[str, str | None], in_grid: Iterable[str], known: Sequence[str]
) -> dict[str, str]:
    """Check what files declare as ``paper:`` and return our names in the grid by the paper's."""
    ours: dict[str, str] = {}
    for name, claim in claims.items():
        if claim is None:
            continue
        where = f"{folder}/{name}.yaml: paper"
        if claim not in known:
            hint = nearest(str(claim), known) or "."
            raise ParamsError(f"{where}: the paper has no {claim!r}{hint} Known: {', '.join(known)}")
        if name in in_grid and ours.setdefault(claim, name) != name:
            raise ParamsError(f"{where}: {ours[claim]}, in the same grid, is {claim!r} already; only one can be")
    return ours


def track(paper: Paper, run: Run, ours: Counterparts) -> list[Tracked]:
    """Return every number of the paper, in its order, with ours or the reason why there is none."""
    counts = {n.dataset: int(n.value) for n in paper.numbers if (n.task, n.metric) == ("counts", "n_cells")}
    return [tracked(number, run, ours, counts.get(number.dataset)) for number in paper.numbers]


def tracked(number: Published, run: Run, ours: Counterparts, n_cells_paper: int | None) -> Tracked:
    """Compare one number of the paper with ours."""
    row = Tracked(number, n_cells_paper=n_cells_paper)
    dataset = ours.datasets.get(number.dataset)
    if dataset is None:
        return row._replace(reason=f"{number.dataset} is not in the grid", absent=number.dataset)
    pair, record = run.pair(dataset, ours.models.get(number.model)), run.records[dataset]
    row = row._replace(
        label_source=record["label_source"],
        n_cells=record["cells"]["n_scored"],
        missing_gene_rate=missing_gene_rate(pair),
    )
    if number.not_comparable:
        return row._replace(reason=f"{NOT_COMPARABLE}: {number.not_comparable}")
    if number.task == "counts":
        row = count(row, record)
    elif pair is None:
        return row._replace(reason=f"{number.model} is not in the grid", absent=number.model)
    else:
        row = score(row, pair)
    if row.difference is None:
        return row
    limit = 0 if number.is_count else run.params.report.tolerance
    # rounded, because 0.12 - 0.10 is above 0.02 in binary
    return row._replace(status=REPRODUCED if abs(round(row.difference, 6)) <= limit else DIFFERS)


def score(row: Tracked, pair: Pair) -> Tracked:
    """Add a score of ours; one whose notes call it not comparable does not count."""
    number = row.published
    if number.task == "embedding":
        noted = pair.noted(number.metric)
        return row._replace(ours=noted, reason=f"{pair.model} notes no {number.metric}" if noted is None else "")
    scored = {annotation for _, annotation, _ in pair.scores}
    candidates = OURS_FOR.get(number.annotation, (number.annotation,))
    annotation = next((name for name in candidates if name in scored), None)
    if annotation is None:
        return row._replace(reason=f"no annotation {number.annotation} in {pair.dataset}")
    own = pair.score(number.task, annotation, number.metric)
    if own is None:
        return row._replace(reason=f"no {number.task} of {annotation} in this run")
    notes = [*own.notes, *([f"ours is of {annotation}"] if annotation != number.annotation else [])]
    against = [note for note in notes if NOT_COMPARABLE in note]
    if against or own.value is None:
        return row._replace(reason="; ".join(against or notes) or f"{annotation} could not be scored")
    other = pair.scores.get((f"{number.task}_reference", annotation, number.metric))
    return row._replace(ours=own.value, by_reference=other and other.value, reason="; ".join(notes))


def count(row: Tracked, record: dict[str, Any]) -> Tracked:
    """Add a count of ours from the verification record; labels are counted among the scored cells."""
    number = row.published
    if number.metric == "n_labels":
        labels = record["annotations"].get(number.annotation)
        if labels is None:
            return row._replace(reason=f"no annotation {number.annotation} in {record['dataset']}")
        return row._replace(ours=labels["n_labels_scored"])
    if number.metric == "n_cells_full" and not record.get("subset") and not record.get("n_samples"):
        return row._replace(reason="the file may be the evaluated cells only, or all")
    counts = {"n_cells_full": record["cells"]["n_file"], "n_cells": record["cells"]["n_scored"]}
    return row._replace(ours=counts.get(number.metric, record["checked"]["n_genes"]["found"]))


def missing_gene_rate(pair: Pair | None) -> float | None:
    """Return the share of a dataset's genes that a model does not know; None where its scores do not say."""
    if pair is None or not (n_genes := pair.noted("n_genes")) or (n_missing := pair.noted("n_genes_missing")) is None:
        return None
    return n_missing / n_genes
