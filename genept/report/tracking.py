"""Every number of the paper with ours beside it: computed in this run, or the reason why not.

A score is compared with the paper only if the dataset's file and the model's file both declare ``paper:``
(``paper: aorta``, ``paper: scgpt``). So a stand-in is never compared with the paper, and neither is a dataset whose
files are not as its ``expected`` says, which ``label.accept_unexpected`` let run. The authors' numbers are compared
with runs of the authors' protocol (``protocols.authors`` in ``params.yaml``), the first of which is their single run.
Counts of cells, genes and labels must be equal; on scores `genept.report.tracking_rows` gives verdicts, row by row.

Where the evidence leaves two readings of a number, the likelier one decides, and the other has a verdict of its own.
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
from genept.report.pairs import NOT_COMPARABLE, Key, Pair, Run, Score
from genept.report.paper import Paper, Published

EQUAL, DIFFERS, NOT_RUN = "equal", "differs", "not run"  # of counts; scores have none but the last
BY_REFERENCE, AT_RANDOM = "from reference to query", "random split of the query"


class Reading(NamedTuple):
    """What a printed number may be of: a score of ours by its key; `name` is empty if it is the only reading."""

    key: Key
    name: str = ""


class Tracked(NamedTuple):
    """A printed number with ours beside it."""

    published: Published
    ours: float | None = None  # a count, or the single run of the authors' protocol; None if nothing was run
    readings: tuple[Reading, ...] = ()  # those that were run, the likeliest first
    scores: tuple[Score, ...] = ()  # of the readings, by the authors' protocol
    by_settings: float | None = None  # mean by the protocol of the settings
    dataset: str = ""  # our names of dataset and model; empty if they are not in the grid
    model: str = ""
    missing_gene_rate: float | None = None  # share of our genes that the model does not know, 0 to 1
    status: str = ""  # EQUAL or DIFFERS of counts; NOT_RUN; NOT_COMPARABLE of a dataset that is not the paper's
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
    return [tracked(number, run, ours) for number in paper.numbers]


def tracked(number: Published, run: Run, ours: Counterparts) -> Tracked:
    """Put ours beside one number of the paper."""
    row = Tracked(number, status=NOT_RUN)
    dataset, model = ours.datasets.get(number.dataset), ours.models.get(number.model)
    if dataset is None:
        for name, record in run.records.items():
            if record.get("paper") == number.dataset:  # the user accepted that its files are not as expected
                why = f"{name} is not the paper's: {'; '.join(record['unexpected'])}"
                return row._replace(status=NOT_COMPARABLE, reason=why)
        return row._replace(reason=f"{number.dataset} is not in the grid", absent=number.dataset)
    pair = run.pair(dataset, model)
    row = row._replace(dataset=dataset, model=model or "", missing_gene_rate=missing_gene_rate(pair))
    if number.task == "counts":
        row = count(row, run.records[dataset])
    elif pair is None:
        return row._replace(reason=f"{number.model} is not in the grid", absent=number.model)
    elif number.task == "embedding":
        noted = pair.noted(number.metric)
        row = row._replace(ours=noted, reason=f"{pair.model} notes no {number.metric}" if noted is None else "")
    else:
        return score(row, pair)
    if row.ours is None:
        return row
    return row._replace(status=EQUAL if row.ours == number.value else DIFFERS)


def readings(number: Published, has_reference: bool) -> list[Reading]:
    """Return what a number may be of, the likeliest first."""
    split = "random" if number.task in ("knn", "logreg") else ""
    own = number.task, number.annotation, split, number.metric
    if number.annotation == "age":
        bins = number.task, "age_bin", split, number.metric
        return [Reading(own, "ages as they are"), Reading(bins, "ages in bins")]
    if number.task == "knn" and has_reference:
        by_reference = number.task, number.annotation, "reference", number.metric
        return [Reading(by_reference, BY_REFERENCE), Reading(own, AT_RANDOM)]
    return [Reading(own)]


def score(row: Tracked, pair: Pair) -> Tracked:
    """Add the scores of ours, one for each reading that was run."""
    number = row.published
    if not pair.by_authors:
        raise InputError(
            f"metrics/full/{pair.dataset}/{pair.model}.csv: has no scores by the authors' protocol, which a dataset of "
            f"the paper needs; `dvc repro evaluate@{pair.dataset}` makes them"
        )
    scored = {annotation for _, annotation, _, _ in pair.by_authors}
    has_reference = any(task == "knn" and split == "reference" for task, _, split, _ in pair.by_authors)
    possible = [reading for reading in readings(number, has_reference) if reading.key[1] in scored]
    if not possible:
        return row._replace(reason=f"no annotation {number.annotation} in {pair.dataset}")
    found = [(reading, own) for reading in possible if (own := pair.by_authors.get(reading.key))]
    run = [(reading, own) for reading, own in found if own.value is not None]
    if not run:
        unscored = pair.by_authors.get(("labels", possible[0].key[1], "", "n_classes"))
        notes = [note for one in [unscored, *(own for _, own in found)] if one for note in one.notes]
        why = "; ".join(dict.fromkeys(notes)) or f"no {number.task} of {number.annotation} in this run"
        return row._replace(reason=why)
    (reading, own), *_ = run
    by_settings = pair.scores.get(reading.key)
    return row._replace(
        ours=own.value if own.first is None else own.first,
        readings=tuple(reading for reading, _ in run),
        scores=tuple(own for _, own in run),
        by_settings=by_settings and by_settings.value,
        status="",
        reason="; ".join([*own.notes, *([reading.name] if reading.name else [])]),
    )


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
