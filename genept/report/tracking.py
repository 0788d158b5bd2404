"""Every number of the paper against ours: computed in this run, or the reason why not.

A score is compared with the paper only if the dataset's file and the model's file both declare ``paper:``
(``paper: aorta``, ``paper: scgpt``). So a stand-in is never compared with the paper, and neither is a dataset whose
files are not as its ``expected`` says, which ``label.accept_unexpected`` let run. The authors' numbers are judged by
a run of the authors' protocol (``protocols.authors`` in ``params.yaml``); that of the settings stands beside it.

Where the evidence leaves two readings of a number, the likelier one decides, and the other has a status of its own.
Table C4 of a dataset in two parts: from the reference to the query, since the authors' bundle holds GenePT-s vectors of
pancreas training cells and scGPT's notebook has 0.784 there (the paper 0.77); else a random split of the query. Ages:
as they are, else in bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genept.core.errors import InputError, ParamsError, nearest
from genept.core.params import ENSEMBLE
from genept.report.pairs import NOT_COMPARABLE, Pair, Run
from genept.report.paper import Paper, Published

REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run"
BY_REFERENCE, AT_RANDOM = "from reference to query", "random split of the query"


class Reading(NamedTuple):
    """What a printed number may be of: a task and an annotation of ours; `name` is empty if it is the only reading."""

    task: str
    annotation: str
    name: str = ""


class Second(NamedTuple):
    """Our number by the less likely of two readings."""

    name: str
    ours: float
    status: str


class Tracked(NamedTuple):
    """A printed number with ours beside it."""

    published: Published
    ours: float | None = None  # by the authors' protocol; None where the run has nothing that may be compared
    repeated: float | None = None  # by the protocol of the settings
    second: Second | None = None
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
    datasets = {name: record.get("paper") for name, record in run.records.items() if not record.get("unexpected")}
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
        for name, record in run.records.items():
            if record.get("paper") == number.dataset:  # the user accepted that its files are not as expected
                return row._replace(reason=f"{name} is not the paper's: {'; '.join(record['unexpected'])}")
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
        row = score(row, pair, run.params.report.tolerance)
    return row if row.ours is None else row._replace(status=judge(number, row.ours, run.params.report.tolerance))


def judge(number: Published, ours: float, tolerance: float) -> str:
    """Say whether ours is the paper's number: a count exactly, a score within the tolerance."""
    limit = 0 if number.is_count else tolerance
    # rounded, because 0.12 - 0.10 is above 0.02 in binary
    return REPRODUCED if abs(round(ours - number.value, 6)) <= limit else DIFFERS


def readings(number: Published, has_reference: bool) -> list[Reading]:
    """Return what a number may be of, the likeliest first."""
    if number.annotation == "age":
        return [Reading(number.task, "age", "ages as they are"), Reading(number.task, "age_bin", "ages in bins")]
    own = Reading(number.task, number.annotation)
    if number.task == "knn" and has_reference:
        return [Reading("knn_reference", number.annotation, BY_REFERENCE), own._replace(name=AT_RANDOM)]
    return [own]


def score(row: Tracked, pair: Pair, tolerance: float) -> Tracked:
    """Add a score of ours; one whose notes call it not comparable does not count."""
    number = row.published
    if number.task == "embedding":
        noted = pair.noted(number.metric)
        return row._replace(ours=noted, reason=f"{pair.model} notes no {number.metric}" if noted is None else "")
    if not pair.by_authors:
        raise InputError(
            f"metrics/full/{pair.dataset}/{pair.model}.csv: has no scores by the authors' protocol, which a dataset of "
            f"the paper needs; `dvc repro evaluate@{pair.dataset}` makes them"
        )
    scored = {annotation for _, annotation, _ in pair.by_authors}
    has_reference = any(task == "knn_reference" for task, _, _ in pair.by_authors)
    possible = [reading for reading in readings(number, has_reference) if reading.annotation in scored]
    if not possible:
        return row._replace(reason=f"no annotation {number.annotation} in {pair.dataset}")
    found = [
        (reading, own)
        for reading in possible
        if (own := pair.by_authors.get((reading.task, reading.annotation, number.metric)))
    ]
    if not found:
        unscored = pair.by_authors.get(("labels", possible[0].annotation, "n_classes"))
        why = "; ".join(unscored.notes) if unscored else f"no {number.task} of {number.annotation} in this run"
        return row._replace(reason=why)
    (reading, own), *others = found
    notes = [*own.notes, *([reading.name] if reading.name else [])]
    if any(NOT_COMPARABLE in note for note in notes) or own.value is None:
        return row._replace(reason="; ".join(note for note in notes if NOT_COMPARABLE in note))
    repeated = pair.scores.get((reading.task, reading.annotation, number.metric))
    row = row._replace(ours=own.value, repeated=repeated and repeated.value, reason="; ".join(notes))
    if others and (value := others[0][1].value) is not None:
        row = row._replace(second=Second(others[0][0].name, value, judge(number, value, tolerance)))
    return row


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
    if number.metric == "n_cells_full" and record.get("fallback"):
        row = row._replace(reason="all cells of the fallback's files, by construction")
    counts = {"n_cells_full": record["cells"]["n_file"], "n_cells": record["cells"]["n_scored"]}
    return row._replace(ours=counts.get(number.metric, record["checked"]["n_genes"]["found"]))


def missing_gene_rate(pair: Pair | None) -> float | None:
    """Return the share of a dataset's genes that a model does not know; None where its scores do not say."""
    if pair is None or not (n_genes := pair.noted("n_genes")) or (n_missing := pair.noted("n_genes_missing")) is None:
        return None
    return n_missing / n_genes
