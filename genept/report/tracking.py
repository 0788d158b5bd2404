"""Every number of the paper against ours: computed in this run, or the reason why not.

A score counts as ours only where the dataset's entry in ``params.yaml`` says which dataset of the paper it is
(``paper: aorta``) and the model's entry which model (``paper: scgpt``). So a stand-in is never held against the paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genept.core import params as parameters
from genept.core.errors import ParamsError, nearest
from genept.report import results
from genept.report.markdown import NOT_COMPARABLE
from genept.report.paper import Paper, Published
from genept.report.results import ENSEMBLE, Pair

DEFAULT_TOLERANCE = 0.02
REPRODUCED, DIFFERS, NOT_RUN = "reproduced", "differs", "not run"
OF_COUNTS = ("counts", "embedding")  # tasks whose numbers are whole and must be equal
OURS_FOR = {"age": ("age", "age_bin")}  # our annotations for one of the paper's, the first that is scored


class Tracked(NamedTuple):
    """A printed number with ours beside it.

    Attributes
    ----------
    ours
        None where nothing was computed that may be compared.
    by_reference
        Of a score by nearest neighbours, in a dataset of two parts: the same from the reference to the query.
    label_source
        Who labelled our cells, as the verification record says; empty where it does not.
    n_cells, n_cells_paper
        Cells of the dataset that are scored (of one in two parts the query's): ours, and what the paper says.
    missing_gene_rate
        Share of our genes that the model does not know, 0 to 1.
    status
        `REPRODUCED`, `DIFFERS` or `NOT_RUN`.
    reason
        Why not run; of a number that was run, the notes of its score.
    gap
        What is missing: ``dataset``, ``model``, ``annotation``, ``score``, or ``comparison`` where nothing can be held
        against the number; empty if it was run.
    """

    published: Published
    ours: float | None = None
    by_reference: float | None = None
    label_source: str = ""
    n_cells: int | None = None
    n_cells_paper: int | None = None
    missing_gene_rate: float | None = None
    status: str = NOT_RUN
    reason: str = ""
    gap: str = ""

    @property
    def difference(self) -> float | None:
        """Ours less the paper's; None where there is none of ours."""
        return None if self.ours is None else self.ours - self.published.value


class Value(NamedTuple):
    """What this run has for one printed number: a value with notes, or a gap with its reason."""

    value: float | None
    reason: str = ""
    gap: str = ""
    by_reference: float | None = None


@dataclass(frozen=True)
class Run:
    """What of this run stands for what of the paper.

    Attributes
    ----------
    datasets, models
        Our name by the paper's.
    pairs
        Scores by our dataset and model.
    records
        Verification records by our dataset.
    """

    datasets: dict[str, str]
    models: dict[str, str]
    pairs: dict[tuple[str, str], Pair]
    records: dict[str, dict[str, Any]]


def read_tolerance(params: dict[str, Any]) -> float:
    """Return the largest difference of a score that counts as reproduced: ``report.tracking.tolerance``.

    Raises
    ------
    ParamsError
        If it is not a number from 0 up to but not including 1.
    """
    value = ((params.get("report") or {}).get("tracking") or {}).get("tolerance", DEFAULT_TOLERANCE)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ParamsError(f"{parameters.PATH}: report.tracking.tolerance must be from 0 to below 1, got {value!r}")
    return float(value)


def read_run(paper: Paper, pairs: Sequence[Pair], params: dict[str, Any]) -> Run:
    """Find what of the grid stands for what of the paper, and read what is known of it.

    Raises
    ------
    ParamsError
        If an entry says ``paper:`` with a name that is not the paper's, or two of the grid say the same.
    InputError
        If a dataset's verification record is missing.
    """
    datasets = claims(params, "datasets", [pair.dataset for pair in pairs], paper.datasets)
    models = claims(params, "models", [pair.model for pair in pairs], paper.models)
    members = [
        (params["models"].get(name) or {}).get("paper") for name in params["grid"]["ensemble"].get("members", ())
    ]
    if sorted(map(str, members)) == sorted(paper.ensemble):
        models[ENSEMBLE] = ENSEMBLE
    by_name = {(pair.dataset, pair.model): pair for pair in pairs}
    return Run(
        datasets=datasets,
        models=models,
        pairs=by_name,
        records={dataset: results.read_record(dataset) for dataset in datasets.values()},
    )


def claims(params: dict[str, Any], section: str, used: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return which of the grid's entries is which of the paper's: our name by the paper's.

    Parameters
    ----------
    used
        The names of the entries that the grid uses, which may repeat; other entries are only checked.
    known
        The paper's names.

    Raises
    ------
    ParamsError
        As `read_run`.
    """
    found: dict[str, str] = {}
    entries = params.get(section) or {}
    said = {name: entry["paper"] for name, entry in entries.items() if isinstance(entry, dict) and "paper" in entry}
    for name, claim in said.items():
        where = f"{parameters.PATH}: {section}.{name}.paper"
        if claim not in known:
            hint = nearest(str(claim), known)
            raise ParamsError(f"{where}: {claim!r} is none of the paper's {section}{hint}; known: {', '.join(known)}")
        if name in set(used):
            if claim in found:
                raise ParamsError(f"{where}: {found[claim]} of the same grid is {claim!r} already; only one can be")
            found[claim] = name
    return found


def track(paper: Paper, run: Run, tolerance: float) -> list[Tracked]:
    """Return every number of the paper, in its order, with ours or the reason why there is none."""
    return [tracked(number, paper, run, tolerance) for number in paper.numbers]


def tracked(number: Published, paper: Paper, run: Run, tolerance: float) -> Tracked:
    """Hold one number of the paper against ours."""
    row = Tracked(number, n_cells_paper=paper.n_cells(number.dataset))
    dataset = run.datasets.get(number.dataset)
    if dataset is None:
        return row._replace(reason=f"{number.dataset} is not in the grid", gap="dataset")
    record = run.records[dataset]
    row = row._replace(
        label_source=str(record.get("label_source", "")),
        n_cells=record["cells"]["n_scored"],
        missing_gene_rate=missing_gene_rate(run.pairs.get((dataset, run.models.get(number.model, "")))),
    )
    found = value_of(number, dataset, run)
    if found.value is None:
        return row._replace(reason=found.reason, gap=found.gap)
    distance = abs(round(found.value - number.value, 6))  # 0.12 - 0.10 is not above 0.02
    equal = distance <= (0 if number.task in OF_COUNTS else tolerance)
    status = REPRODUCED if equal else DIFFERS
    return row._replace(ours=found.value, by_reference=found.by_reference, status=status, reason=found.reason)


def value_of(number: Published, dataset: str, run: Run) -> Value:
    """Find our value for a printed number on a dataset that the grid has."""
    if number.not_comparable:
        return Value(None, f"{NOT_COMPARABLE}: {number.not_comparable}", "comparison")
    if number.task == "counts":
        return count(number, run.records[dataset])
    model = run.models.get(number.model)
    if model is None or (dataset, model) not in run.pairs:
        return Value(None, f"{number.model} is not in the grid", "model")
    if number.task == "embedding":
        found = run.pairs[dataset, model].scores.get((number.task, "", number.metric))
        return Value(found.value) if found else Value(None, f"no {number.metric} noted for {model}", "score")
    return score(number, run.pairs[dataset, model])


def score(number: Published, pair: Pair) -> Value:
    """Find a score; one whose notes say that it is not comparable does not count."""
    annotations = OURS_FOR.get(number.annotation, (number.annotation,))
    scored = {annotation for _, annotation, _ in pair.scores}
    annotation = next((name for name in annotations if name in scored), None)
    if annotation is None:
        return Value(None, f"no annotation {number.annotation} in {pair.dataset}", "annotation")
    found = pair.score(number.task, annotation, number.metric)
    if found is None:
        return Value(None, f"no {number.task} of {annotation} in this run", "score")
    notes = [*found.notes, *([f"ours is of {annotation}"] if annotation != number.annotation else [])]
    against = [note for note in notes if NOT_COMPARABLE in note]
    if against:
        return Value(None, "; ".join(against), "comparison")
    if found.value is None or not math.isfinite(found.value):
        return Value(None, "; ".join(notes) or f"{annotation} could not be scored", "score")
    other = pair.scores.get((f"{number.task}_reference", annotation, number.metric))
    return Value(found.value, "; ".join(notes), by_reference=other and other.value)


def count(number: Published, record: dict[str, Any]) -> Value:
    """Find a count of the dataset in its verification record; labels are counted among the scored cells."""
    if number.metric == "n_cells":
        return Value(record["cells"]["n_scored"])
    if number.metric == "n_genes":
        return Value(record["checked"]["n_genes"]["found"])
    if number.metric == "n_cells_full":
        if not record.get("subset") and not record.get("n_samples"):
            return Value(None, "the file may be the evaluated cells only, or all", "score")
        return Value(record["cells"]["n_file"])
    labels = record["annotations"].get(number.annotation)
    if labels is None:
        return Value(None, f"no annotation {number.annotation} in {record['dataset']}", "annotation")
    return Value(labels["n_labels_scored"])


def missing_gene_rate(pair: Pair | None) -> float | None:
    """Return the share of a dataset's genes that a model does not know; None where its scores do not say."""
    found = {name: pair.scores.get(("embedding", "", name)) for name in ("n_genes", "n_genes_missing")} if pair else {}
    n_genes, n_missing = (
        score.value if score else None for score in (found.get("n_genes"), found.get("n_genes_missing"))
    )
    return None if not n_genes or n_missing is None else n_missing / n_genes
