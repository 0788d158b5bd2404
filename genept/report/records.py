"""The verification record of a dataset, as `label` writes it, and the agreement of an annotation, as `annotate` does.

The shapes name what the report reads. A record may hold more.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, FiniteFloat, NonNegativeInt, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from genept.core.readers import read_json

METRICS = Path("metrics")
SHAPE = ConfigDict(extra="allow", strict=True)
Counts = dict[str, NonNegativeInt]


@with_config(SHAPE)
class Checked(TypedDict):
    """A count of the files, and what it should be."""

    found: NonNegativeInt
    expected: NotRequired[NonNegativeInt]
    match: NotRequired[bool]


@with_config(SHAPE)
class Reported(TypedDict):
    """What others report of a dataset, and what its files show."""

    by: str
    what: str
    reported: int | list[str]
    found: int | list[str]
    match: bool


@with_config(SHAPE)
class Genes(TypedDict):
    """What became of the gene names."""

    n_genes: NonNegativeInt
    renamed: dict[str, str]
    unknown: list[str]
    ambiguous: list[str]
    collisions: list[str]
    dropped_duplicates: list[str]


@with_config(SHAPE)
class Annotation(TypedDict):
    """The labels of an annotation."""

    column: str
    n_labels_scored: NonNegativeInt
    n_missing: NonNegativeInt
    smaller_than_min_class_size: list[str]
    all_cells: Counts
    evaluated_cells: Counts


@with_config(SHAPE)
class Patients(TypedDict):
    """The patients behind a condition."""

    patients_per_label: Counts


@with_config(SHAPE)
class Cells(TypedDict):
    """How many cells there are."""

    n_file: NonNegativeInt
    n_evaluated: NonNegativeInt
    n_scored: NonNegativeInt


@with_config(SHAPE)
class Subset(TypedDict):
    """Which cells were drawn."""

    n_cells: NotRequired[NonNegativeInt]
    share: NotRequired[FiniteFloat]
    by: NotRequired[str]
    seed: int


@with_config(SHAPE)
class Table(TypedDict):
    """A table of labels that came from this machine."""

    path: str
    sha256: str


@with_config(SHAPE)
class Fallback(TypedDict):
    """The dataset that stands in for another."""

    title: str
    note: str
    because: str


@with_config(SHAPE)
class Place(TypedDict):
    """A place that a file was sought at."""

    where: str
    outcome: str


@with_config(SHAPE)
class Hashed(TypedDict):
    """A file that was read."""

    sha256: str


@with_config(SHAPE)
class Method(TypedDict):
    """How cells were annotated."""

    method_version: NotRequired[int]


@with_config(SHAPE)
class Record(TypedDict):
    """The record."""

    dataset: str
    title: str
    note: str
    paper: NotRequired[str | None]
    label_source: str
    labels_from: NotRequired[Table]
    fallback: NotRequired[Fallback]
    annotation: NotRequired[Method]
    x: str
    layer: str | None
    subset: Subset | None
    n_samples: NotRequired[NonNegativeInt]
    files: dict[str, Hashed]
    attempts: NotRequired[dict[str, list[Place]]]
    checked: dict[str, Checked]
    unexpected: NotRequired[list[str]]
    reported: NotRequired[list[Reported]]
    cells: Cells
    genes: Genes
    annotations: dict[str, Annotation]
    derived: NotRequired[dict[str, dict[str, Any]]]
    patients: dict[str, Patients]
    notes: list[str]


def read_record(dataset: str) -> dict[str, Any]:
    """Read the verification record of a dataset; `InputError` if it is missing or damaged."""
    return read_json(METRICS / "verification" / f"{dataset}.json", Record, f"label@{dataset}")


def read_agreements(datasets: Iterable[str]) -> dict[str, dict[str, float]]:
    """Read how far cell types by clusters and markers agree with the authors' labels, of datasets that have both."""
    paths = {dataset: METRICS / "annotation" / dataset / "agreement.json" for dataset in datasets}
    return {
        dataset: read_json(path, dict[str, FiniteFloat], f"annotate@{dataset}")
        for dataset, path in paths.items()
        if path.is_file()
    }
