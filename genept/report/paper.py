"""The paper's numbers, from ``paper.yaml`` beside this file: to compare with, never to give as results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from genept.core import params as parameters
from genept.core.errors import InputError

PATH = Path(__file__).with_name("paper.yaml")


class Published(NamedTuple):
    """One printed number and what it is of; `annotation` and `model` are empty where it is of none.

    `task` and `metric` are as in ``metrics/full``; besides these, task ``counts`` is of a dataset, and task
    ``embedding`` of the notes beside an embedding. `table` numbers the tables of a section. `not_comparable` says why
    nothing can be held against the number, and is empty if something can.
    """

    section: str
    table: int
    dataset: str
    annotation: str
    model: str
    task: str
    metric: str
    value: float
    not_comparable: str = ""


class Mapping(NamedTuple):
    """How many of a dataset's genes a model does not know, as somebody else counted."""

    dataset: str
    model: str
    n_genes: int
    n_genes_missing: int
    by: str


class Oddity(NamedTuple):
    """Something in the paper that does not fit, and what shows it."""

    name: str
    title: str
    evidence: str


@dataclass(frozen=True)
class Paper:
    """What ``paper.yaml`` holds.

    Attributes
    ----------
    titles, read_from
        Of each section, in the order of the file.
    models
        The models that an entry of ``params.yaml`` may name by ``paper:``.
    ensemble
        The models whose votes the paper's ensemble is.
    numbers
        Every printed number once, in the order of the file.
    """

    citation: str
    transcription: str
    date: str
    titles: dict[str, str]
    read_from: dict[str, str]
    models: tuple[str, ...]
    ensemble: tuple[str, ...]
    numbers: list[Published]
    oddities: list[Oddity]
    gene_mapping: list[Mapping]

    @property
    def datasets(self) -> list[str]:
        """The paper's datasets, in the order in which the file first names them."""
        return list(dict.fromkeys(number.dataset for number in self.numbers))

    @property
    def compared_models(self) -> list[str]:
        """The models that the numbers are of, in the same order."""
        return list(dict.fromkeys(number.model for number in self.numbers if number.model))

    def n_cells(self, dataset: str) -> int | None:
        """Return how many cells the paper says it evaluated; None where it does not say."""
        counts = [n for n in self.numbers if (n.task, n.metric, n.dataset) == ("counts", "n_cells", dataset)]
        return int(counts[0].value) if counts else None


def load(path: Path = PATH) -> Paper:
    """Read the paper's numbers.

    Raises
    ------
    InputError
        If a key is missing, or a row does not have one number per column.
    """
    content = parameters.load(path)
    try:
        sections = content["sections"]
        return Paper(
            citation=content["citation"],
            transcription=content["transcription"],
            date=str(content["date"]),
            titles={name: section["title"] for name, section in sections.items()},
            read_from={name: section["read_from"] for name, section in sections.items()},
            models=tuple(content["models"]),
            ensemble=tuple(content["ensemble"]),
            numbers=[number for name, section in sections.items() for number in _numbers(name, section)],
            oddities=[Oddity(**oddity) for oddity in content["oddities"]],
            gene_mapping=[Mapping(**found) for found in content["evidence"]["gene_mapping"]["counts"]],
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not the paper's numbers in the form that its head describes ({error})") from None


def _numbers(name: str, section: dict[str, Any]) -> Iterator[Published]:
    for index, table in enumerate(section["tables"]):
        columns = [column.split(".") for column in table["columns"]]
        for dataset, by_annotation in table["values"].items():
            for annotation, models in by_annotation.items():
                for model, values in models.items():
                    for (task, metric), value in zip(columns, values, strict=True):
                        reason = table.get("not_comparable", "")
                        yield Published(name, index, dataset, annotation, model, task, metric, value, reason)
