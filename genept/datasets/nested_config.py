"""The nested settings of a dataset's file: subset, samples, labels, derived annotations and ``annotate``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from genept.core.config import Config, Rounds, Size
from genept.core.errors import nearest
from genept.core.params import QC, Annotate, Seed, Share
from genept.core.params import Annotation as AnnotationName


def refuse_unknown(names: Iterable[Any], known: Iterable[str], place: str) -> None:
    """Raise `ValueError` for a name (`None` is none) that is not known; the message names the nearest one that is."""
    known = list(known)
    for name in names:
        if name is not None and name not in known:
            hint = nearest(str(name), known) or "."
            raise ValueError(f"{place}no {name!r} here{hint} Known: {', '.join(known) or 'none'}")


class Subset(Config):
    """Which cells are evaluated: `n_cells`, or a `share` of all, rounded down; evenly over annotation `by`, if any."""

    n_cells: PositiveInt | None = None
    share: Share | None = None
    by: AnnotationName | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def check(self) -> Subset:
        """Require one of the two sizes."""
        if (self.n_cells is None) == (self.share is None):
            raise ValueError("needs n_cells, or a share of the cells such as 0.2, and not both")
        return self

    def size(self, n_all: int) -> int:
        """Return how many of `n_all` cells are evaluated, at most all and at least one."""
        return min(n_all, self.n_cells or max(1, int((self.share or 0) * n_all)))


class SampleFiles(Config):
    """The counts of a sample: a file, or a folder of 10x files and, if it has several samples, the barcodes' ending."""

    path: Annotated[str, Field(min_length=1), AfterValidator(lambda path: path.rstrip("/"))]
    suffix: int | str | None = None

    @model_validator(mode="before")
    @classmethod
    def accept_path(cls, content: Any) -> Any:
        """Take a text for the path."""
        return {"path": content} if isinstance(content, str) else content


class Labels(Config):
    """The table of labels beside counts; see `genept.datasets.samples`. `sample` is for counts by samples only."""

    file: str
    sample: str | None = None
    names: dict[str, str] = {}
    unlabelled: Literal["drop", "keep"] = "drop"
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.5


class Derive(Config):
    """An annotation made from annotation `of`: by a `map` of labels, or as bins of numbers.

    Bins are between `edges`, or between `quantiles` of the numbers, over the labels of annotation `over` or over cells.
    """

    of: AnnotationName
    map: Annotated[dict[str, str], Field(min_length=1)] | None = None
    edges: Annotated[list[float], Field(min_length=1)] | None = None
    quantiles: Annotated[int, Field(ge=2, le=1000)] | None = None
    over: AnnotationName | None = None

    @model_validator(mode="after")
    def check(self) -> Derive:
        """Require one way to make it."""
        if sum(how is not None for how in (self.map, self.edges, self.quantiles)) != 1:
            raise ValueError("needs one of map, edges and quantiles")
        if self.edges is not None and sorted(set(self.edges)) != self.edges:
            raise ValueError(f"edges must ascend, got {self.edges}")
        if self.over is not None and self.quantiles is None:
            raise ValueError("over is for quantiles only")
        return self


class QCOverrides(Config):
    """Limits of quality control that replace those of ``params.yaml``; an explicit null is no limit."""

    min_genes: Size | None = None
    max_genes: Size | None = None
    max_mitochondrial: Annotated[float, Field(ge=0, le=1)] | None = None
    min_cells_per_gene: Size | None = None


class Annotation(Config):
    """How ``annotate`` gives cell types to clusters by the dataset's ``markers.tsv``.

    `batch` is the annotation that tells batches apart, or null. `names` says what the authors call the types of the
    marker table, to compare with their labels. Every other key replaces the one under ``annotate`` in ``params.yaml``.
    """

    batch: AnnotationName | None
    names: dict[str, str] = {}
    qc: QCOverrides = QCOverrides()
    n_hvgs: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    n_components: Size | None = None
    n_neighbors: Annotated[int, Field(ge=3, le=1_000_000)] | None = None
    resolution: PositiveFloat | None = None
    most_cells: Annotated[int, Field(ge=30)] | None = None
    min_margin: Annotated[float, Field(ge=0)] | None = None
    seed: Seed | None = None
    umap_epochs: Rounds | None = None

    def settings(self, shared: Annotate) -> Annotate:
        """Return the settings of ``params.yaml`` with the dataset's own in their place."""
        own = self.model_dump(exclude_unset=True, exclude={"batch", "names"})
        qc = {**shared.qc.model_dump(), **own.pop("qc", {})}
        return Annotate.parse({**shared.model_dump(), **own, "qc": QC.parse(qc, "annotation.qc")}, "annotation")
