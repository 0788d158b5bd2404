"""The paper's numbers, from ``paper.yaml`` beside this file: to compare with, never to give as results."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pydantic import model_validator

from genept.core.config import Config

PATH = Path(__file__).with_name("paper.yaml")


class Published(NamedTuple):
    """One printed number and what it is of; `annotation` and `model` are empty where it has none.

    `task` and `metric` are as in ``metrics/full``; the tasks ``counts`` (of a dataset) and ``embedding`` (of the notes
    beside an embedding) hold counts. `decimals` are those that it is printed with. `not_comparable` says why no
    score can be compared with the number.
    """

    section: str
    dataset: str
    annotation: str
    model: str
    task: str
    metric: str
    value: float
    decimals: int = 2
    not_comparable: str = ""

    @property
    def is_count(self) -> bool:
        """Whether it is a whole number of cells, genes or labels, which must be equal."""
        return self.task in ("counts", "embedding")


class Block(Config):
    """Values by dataset, annotation and model, one for each column ``task.metric``.

    Each is printed with `decimals`, or with more where it has more.
    """

    columns: list[str]
    values: dict[str, dict[str, dict[str, list[float]]]]
    decimals: int = 2
    not_comparable: str = ""

    def numbers(self, section: str) -> list[Published]:
        """Return the numbers one by one; raise `ValueError` for a row that has not one for each column."""
        numbers = []
        for dataset, by_annotation in self.values.items():
            for annotation, by_model in by_annotation.items():
                for model, values in by_model.items():
                    for column, value in zip(self.columns, values, strict=True):
                        task, metric = column.split(".", 1)
                        decimals = max(self.decimals, len(f"{value:.4f}".rstrip("0").partition(".")[2]))
                        name = section, dataset, annotation, model, task, metric
                        numbers.append(Published(*name, value, decimals, self.not_comparable))
        return numbers

    @model_validator(mode="after")
    def check_rows(self) -> Block:
        """Refuse rows that are too short or too long."""
        self.numbers("")
        return self


class Section(Config):
    """A table or section of the paper, and where and when its numbers were read."""

    title: str
    read_from: str
    transcription: str
    date: str
    tables: list[Block]


class GeneCount(Config):
    """How many of a dataset's genes a model does not know, as somebody else counted."""

    dataset: str
    model: str
    n_genes: int
    n_genes_missing: int
    by: str


class Concerned(Config):
    """A row of a table that an oddity makes useless for a comparison."""

    section: str
    dataset: str
    annotation: str
    model: str


class Oddity(Config):
    """Something in the paper that does not fit, and what shows it.

    Of `rows` no number is comparable. `n_cells` are numbers of cells, by dataset, that are likelier than the printed.
    """

    name: str
    title: str
    evidence: str
    rows: list[Concerned] = []
    n_cells: dict[str, int] = {}


class Paper(Config):
    """The content of ``paper.yaml``.

    `models` are the names that ``paper:`` in a model's file may have; `ensemble` are the models of the paper's.
    `protocol` has by task the settings of the authors, by their dotted keys.
    """

    citation: str
    transcription: str
    date: str
    models: list[str]
    ensemble: list[str]
    protocol: dict[str, dict[str, str | int | float | bool | None]]
    sections: dict[str, Section]
    gene_counts: list[GeneCount]
    oddities: list[Oddity]

    @property
    def numbers(self) -> list[Published]:
        """Every printed number once, in the order of the file."""
        odd = {
            (row.section, row.dataset, row.annotation, row.model): f"oddity of the paper: {oddity.title}"
            for oddity in self.oddities
            for row in oddity.rows
        }
        return [
            number._replace(not_comparable=number.not_comparable or odd.get(number[:4], ""))
            for name, section in self.sections.items()
            for block in section.tables
            for number in block.numbers(name)
        ]

    def n_cells(self, dataset: str) -> int | None:
        """Return how many cells of a dataset the paper evaluates, by the likelier reading; None if it does not say."""
        likelier = [oddity.n_cells[dataset] for oddity in self.oddities if dataset in oddity.n_cells]
        return next(iter([*likelier, *self.counts(dataset, "", "n_cells")]), None)

    def counts(self, dataset: str, annotation: str, metric: str) -> list[int]:
        """Return the printed counts of a dataset or annotation under a name: one or none."""
        key = dataset, annotation, "", "counts", metric
        return [int(number.value) for number in self.numbers if number[1:6] == key]

    @property
    def datasets(self) -> list[str]:
        """The paper's datasets, in the order in which the file first names them."""
        return list(dict.fromkeys(number.dataset for number in self.numbers))


def load(path: Path = PATH) -> Paper:
    """Read the paper's numbers; `ParamsError` if a key or a number is missing or too much."""
    return Paper.read(path)
