"""The entry of a data set, checked: what `genept.datasets.parse` makes of ``params.yaml``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from genept.data.cells import QUERY, REFERENCE

if TYPE_CHECKING:
    from genept.datasets.derive import Derivation

AUTHOR, REANALYSIS, USER = "author", "reanalysis", "user"
LABEL_SOURCES = (AUTHOR, REANALYSIS, USER)
LEAST_SHARE = 0.5  # of a table's rows; fewer that find their cell are those of other samples, or of other barcodes
RAW = "raw.h5ad"  # what a data set's one file is called, wherever it comes from
PARTS = {REFERENCE: "reference.h5ad", QUERY: "query.h5ad"}  # or what its two are


@dataclass(frozen=True)
class Subset:
    """Which cells are evaluated: `n_cells`, or a `share` of all, rounded down; evenly over annotation `by`, if any."""

    n_cells: int | None = None
    by: str | None = None
    seed: int = 0
    share: float | None = None

    def size(self, n_all: int) -> int:
        """Return how many of `n_all` cells are evaluated, at most all and at least one."""
        wanted = self.n_cells if self.share is None else max(1, int(self.share * n_all))
        return n_all if wanted is None else min(wanted, n_all)


@dataclass(frozen=True)
class SampleFiles:
    """Where the counts of a sample are: a file or folder and, where that has several samples, the barcodes' ending."""

    path: str
    suffix: str | None = None


@dataclass(frozen=True)
class LabelTable:
    """The labels beside counts that come sample by sample; see `genept.datasets.samples`.

    `places` are the paths on this machine of the places that the file may come from, None of one elsewhere.
    `least_share` is the share of a sample's rows that must find their cell.
    """

    file: str
    sample: str
    names: dict[str, str]
    keeps_unlabelled: bool = False
    places: tuple[str | None, ...] = ()
    least_share: float = LEAST_SHARE


@dataclass(frozen=True)
class Entry:
    """A data set's entry, checked.

    Attributes
    ----------
    obs
        The column of ``obs`` that holds each annotation of the common schema.
    derived
        How annotations are made from those; see `genept.datasets.derive`.
    label_source
        Who labelled the cells, of labels that a file holds: ``author``, ``reanalysis`` or ``user``. None where the
        entry does not say: the user if the table of labels was put on this machine by hand, else the authors.
    is_reanalysed
        Whether clusters are labelled by `genept.annotation` where no file holds cell types.
    x
        What the matrix holds: ``counts``, ``lognorm``, or ``detect``: whole numbers only are counts.
    layer
        The layer to take in place of X; ``raw`` may also be the file's ``raw``.
    numbers_repeated_ids
        Whether ids that several cells have are told apart by -1, -2, ..., as scanpy does, or refused.
    symbol, ensembl
        Columns of ``var`` with gene symbols (else its index) and with Ensembl gene ids.
    keep_var
        The genes among the rows of ``var``: values allowed in its columns.
    expected
        Numbers that the file must show: ``n_cells``, ``n_genes``, per annotation the number of labels, and of a data
        set in two files the cells of ``reference`` and ``query``.
    said
        What others say of the data set, by who says it: the same numbers, ``n_scored`` (cells that scores are of), and
        of an annotation also the labels by name. Differences are recorded.
    finetune
        The annotation that fine-tuning learns.
    files
        The one file, under an empty name, the files of both parts, or all files where counts come by sample.
    samples, labels
        The counts of each sample, and the table of labels, which may be missing where `is_reanalysed`.
    parts
        The part of each sample, reference or query, where the data set has two.
    sha256
        What files must be, by their names, where the entry says so.
    """

    obs: dict[str, str]
    derived: dict[str, Derivation] = field(default_factory=dict)
    label_source: str | None = None
    x: str = "counts"
    layer: str | None = None
    numbers_repeated_ids: bool = False
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    said: dict[str, dict[str, int | list[str]]] = field(default_factory=dict)
    subset: Subset | None = None
    finetune: str | None = None
    files: dict[str, str] = field(default_factory=lambda: {"": RAW})
    sha256: dict[str, str] = field(default_factory=dict)
    samples: dict[str, SampleFiles] = field(default_factory=dict)
    labels: LabelTable | None = None
    parts: dict[str, str] = field(default_factory=dict)
    is_reanalysed: bool = False

    def without_types(self) -> Entry:
        """Return the entry as if no file had cell types, and without what is derived from them."""
        from genept.datasets.derive import Binned

        derived = {
            name: how
            for name, how in self.derived.items()
            if "cell_type" not in (name, how.of, how.over if isinstance(how, Binned) else None)
        }
        kept = {name: column for name, column in self.obs.items() if name != "cell_type"}
        return dataclasses.replace(self, obs=kept, derived=derived, labels=None)

    def may_lack(self, name: str) -> bool:
        """Say whether a file may be missing: the labels of the authors, whose place a re-analysis takes."""
        return self.is_reanalysed and self.labels is not None and name == self.labels.file
