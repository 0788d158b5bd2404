"""A dataset's file, ``data/<dataset>.yaml``: where its cells come from and how they are read.

``title``, ``note``, ``source`` and ``obs`` are enough; data/README.md explains every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from genept.core import files
from genept.core.config import Config, check_name
from genept.core.errors import InputError, nearest
from genept.core.params import QC, Annotate, Seed, Share
from genept.core.params import Annotation as AnnotationName

DATA = Path("data")
RAW = "raw.h5ad"  # the one file of a dataset, wherever it comes from
REFERENCE_QUERY = {"reference": "reference.h5ad", "query": "query.h5ad"}  # or its two files
MARKERS = "markers.tsv"
FALLBACK_NOTE = "fallback.json"  # written by `fetch` beside the files of a dataset's fallback

AUTHOR, ANNOTATION, USER = "author", "annotation", "user"
ANNOTATIONS = get_args(AnnotationName)
SIZES = ("n_cells", "n_genes", *REFERENCE_QUERY)
Value = str | int | float | bool


def refuse_unknown(names: Iterable[Any], known: Iterable[str]) -> None:
    """Raise `ValueError` for a name that is not known; the message names the nearest one that is."""
    known = list(known)
    for name in names:
        if name not in known:
            raise ValueError(f"no {name!r} here{nearest(str(name), known) or '.'} Known: {', '.join(known) or 'none'}")


def refuse_unknown_annotations(content: Any) -> Any:
    """Check the keys of a mapping, which are annotations; for pydantic's ``BeforeValidator``."""
    refuse_unknown(content if isinstance(content, dict) else (), ANNOTATIONS)
    return content


def refuse_bad_report(value: Any) -> Any:
    """Refuse what is neither a number of something nor a list of labels."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not is_number and not (isinstance(value, list) and value and all(isinstance(label, str) for label in value)):
        raise ValueError(f"needs a positive whole number, or for an annotation a list of labels, got {value!r}")
    return sorted(value) if isinstance(value, list) else value


ByAnnotation = BeforeValidator(refuse_unknown_annotations)
Reported = Annotated[Any, AfterValidator(refuse_bad_report)]  # int | list[str]; a union would spoil pydantic's message


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
    """The counts of a sample: a file, or a folder of 10x files; of a folder with several samples the barcodes' ending."""

    path: Annotated[str, Field(min_length=1), AfterValidator(lambda path: path.rstrip("/"))]
    suffix: int | str | None = None

    @model_validator(mode="before")
    @classmethod
    def accept_path(cls, content: Any) -> Any:
        """Take a text for the path."""
        return {"path": content} if isinstance(content, str) else content


class Labels(Config):
    """The table of labels beside counts that come sample by sample; see `genept.datasets.samples`."""

    file: str
    sample: str
    names: dict[str, str] = {}
    unlabelled: Literal["drop", "keep"] = "drop"
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.5


class Derive(Config):
    """An annotation made from annotation `of`: by a `map` of labels, or as bins of numbers.

    Bins are between `edges`, or between `quantiles` of the numbers, over the labels of annotation `over` or over cells.
    """

    of: AnnotationName
    map: dict[str, str] | None = None
    edges: Annotated[list[float], Field(min_length=1)] | None = None
    quantiles: Annotated[int, Field(ge=2)] | None = None
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

    min_genes: PositiveInt | None = None
    max_genes: PositiveInt | None = None
    max_mitochondrial: Annotated[float, Field(ge=0, le=1)] | None = None
    min_cells_per_gene: PositiveInt | None = None


class Annotation(Config):
    """How ``annotate`` gives cell types to clusters by the dataset's ``markers.tsv``.

    `batch` is the annotation that tells batches apart, or null. `names` says what the authors call the types of the
    marker table, to compare with their labels. Every other key replaces the one under ``annotate`` in ``params.yaml``.
    """

    batch: AnnotationName | None
    names: dict[str, str] = {}
    qc: QCOverrides = QCOverrides()
    n_hvgs: Annotated[int, Field(ge=2)] | None = None
    n_components: PositiveInt | None = None
    n_neighbors: Annotated[int, Field(ge=3)] | None = None
    resolution: PositiveFloat | None = None
    min_margin: Annotated[float, Field(ge=0)] | None = None
    seed: Seed | None = None
    umap_epochs: PositiveInt | None = None

    def settings(self, shared: Annotate) -> Annotate:
        """Return the settings of ``params.yaml`` with the dataset's own in their place.

        Raises
        ------
        ParamsError
            If they contradict each other.
        """
        own = self.model_dump(exclude_unset=True, exclude={"batch", "names"})
        qc = {**shared.qc.model_dump(), **own.pop("qc", {})}
        return Annotate.parse({**shared.model_dump(), **own, "qc": QC.parse(qc, "annotation.qc")}, "annotation")


class DatasetConfig(Config):
    """The content of ``data/<dataset>.yaml``."""

    title: str
    note: str
    paper: str | None = None  # the paper's dataset that it is
    label_source: Literal["author", "annotation", "user"] | None = None  # null: the user for a local table of labels
    source: Any
    x: Literal["counts", "lognorm", "detect"] = "counts"
    layer: str | None = None
    repeated_ids: Literal["refuse", "number"] = "refuse"
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Value | list[Value]] = {}
    samples: dict[str, SampleFiles] = {}
    labels: Labels | None = None
    reference: list[str] = []
    query: list[str] = []
    annotation: Annotation | None = None
    obs: Annotated[dict[AnnotationName, str], ByAnnotation, Field(min_length=1)]
    derive: Annotated[dict[AnnotationName, Derive], ByAnnotation] = {}
    expected: dict[str, PositiveInt] = {}
    reported: dict[str, dict[str, Reported]] = {}
    subset: Subset | None = None
    finetune: AnnotationName = "cell_type"
    fallback: DatasetConfig | None = None

    @property
    def annotations(self) -> list[str]:
        """Every annotation of the cells: of columns, derived, and the cell types that ``annotate`` gives."""
        found = {*self.obs, *self.derive, *(["cell_type"] if self.annotation else [])}
        return [name for name in ANNOTATIONS if name in found]

    @property
    def h5ad_files(self) -> dict[str, str]:
        """The dataset's h5ad by part: the one file under an empty name, else those of reference and query."""
        return {} if self.samples else {"": RAW} if RAW in source_files(self.source) else REFERENCE_QUERY

    @property
    def input_files(self) -> list[str]:
        """The files that ``label`` reads, in the order of the source."""
        listed = [name for name in source_files(self.source) if name != MARKERS]
        return listed if self.samples else list(self.h5ad_files.values())

    def without_cell_types(self) -> DatasetConfig:
        """Return the config as if no file had cell types, and without what is derived from them."""
        obs = {name: column for name, column in self.obs.items() if name != "cell_type"}
        derive = {
            name: how for name, how in self.derive.items() if "cell_type" not in (name, how.of, how.over)
        }
        return self.model_copy(update={"obs": obs, "derive": derive, "labels": None})

    @model_validator(mode="after")
    def check_files(self) -> DatasetConfig:
        """Check that the source has the files that the other keys need."""
        names = list(source_files(self.source))
        if self.labels and not self.samples:
            raise ValueError("labels is for counts that come sample by sample; samples is missing")
        if self.samples and not (self.labels or self.annotation):
            raise ValueError("samples needs labels, a table of the cells' labels, or annotation")
        if not self.samples and not set(self.h5ad_files.values()) <= set(names):
            raise ValueError(f"source.files needs {RAW}, or {' and '.join(REFERENCE_QUERY.values())}")
        for sample, where in self.samples.items():
            if not any(name == where.path or name.startswith(f"{where.path}/") for name in names):
                raise ValueError(f"samples.{sample}: {where.path!r} is neither a file nor a folder under source.files")
        if self.labels and self.labels.file not in names:
            raise ValueError(f"labels.file: no {self.labels.file!r} under source.files{nearest(self.labels.file, names)}")
        if self.annotation and MARKERS not in names:
            raise ValueError(f"annotation needs a table of marker genes, {MARKERS}, under source.files")
        listed = [*self.reference, *self.query]
        if listed and (sorted(listed) != sorted(self.samples) or not self.reference or not self.query):
            raise ValueError(
                f"reference and query need every sample once: {', '.join(self.samples) or 'there are no samples'}"
            )
        return self

    @model_validator(mode="after")
    def check_annotations(self) -> DatasetConfig:
        """Check that every annotation that a key names is one of the dataset's."""

        def check(place: str, names: Iterable[Any], known: Iterable[str]) -> None:
            try:
                refuse_unknown(names, known)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None

        for name, how in self.derive.items():
            if name in self.obs:
                raise ValueError(f"derive: {name!r} is a column under obs already")
            check(f"derive.{name}", [key for key in (how.of, how.over) if key is not None], self.obs)
        check("expected", self.expected, [*SIZES, *self.annotations])
        for who, statements in self.reported.items():
            check(f"reported.{who}", statements, [*SIZES, "n_scored", *self.annotations])
            for key, value in statements.items():
                if isinstance(value, list) and key not in ANNOTATIONS:
                    raise ValueError(f"reported.{who}.{key} must be a number, got {value}")
        if self.subset and self.subset.by:
            check("subset.by", [self.subset.by], self.annotations)
        if self.annotation and self.annotation.batch:
            known = [name for name in (*self.obs, *self.derive) if name != "cell_type"]  # annotate never reads these
            check("annotation.batch", [self.annotation.batch], known)
        if "finetune" in self.model_fields_set:
            check("finetune", [self.finetune], self.annotations)
            check("finetune of the fallback", [self.finetune], self.fallback.annotations if self.fallback else ANNOTATIONS)
        if self.fallback and self.fallback.fallback:
            raise ValueError("fallback: must have no fallback of its own")
        return self


def source_files(source: Any) -> dict[str, dict[str, Any]]:
    """Return the files of a source, or of a list of sources, by their names in ``data/<dataset>/raw``.

    Of each file what its source says: ``sha256``, ``kind`` and ``folder`` where they stand beside the files, too.
    """
    listed: dict[str, dict[str, Any]] = {}
    for part in source if isinstance(source, list) else [source]:
        shared = {key: part[key] for key in ("kind", "folder") if key in part} if isinstance(part, Mapping) else {}
        items = part.get("files") if isinstance(part, Mapping) else None
        for name, item in (items if isinstance(items, Mapping) else {}).items():
            own = item if isinstance(item, Mapping) else {}
            is_alike = own.get("kind", shared.get("kind")) == shared.get("kind")
            listed[str(name)] = {**(shared if is_alike else {}), **own}
    return listed


def local_path(place: Mapping[str, Any]) -> str | None:
    """Return the path of a file on this machine, `None` of one elsewhere.

    Of an absolute path only the name is returned, since records are the same on every machine.
    """
    if place.get("kind") != "local":
        return None
    path = PurePath(str(place.get("folder") or "")) / str(place.get("path", ""))
    return f".../{path.name}" if path.is_absolute() else path.as_posix()


def path(name: str) -> Path:
    """Path of a dataset's file."""
    return DATA / f"{name}.yaml"


def read(name: str) -> DatasetConfig:
    """Read and check a dataset's file.

    Raises
    ------
    ParamsError
        If the file or one of its settings is not what it should be.
    """
    check_name(name, "datasets")
    return DatasetConfig.read(path(name))


class Replacement(NamedTuple):
    """Title and note of the fallback that replaces a dataset, and why it does."""

    title: str
    note: str
    because: str


def fetched(name: str) -> tuple[DatasetConfig, Replacement | None]:
    """Return the config by which the files in ``data/<dataset>/raw`` are read.

    It is the dataset's own, or its fallback where the dataset's own files were not there. The fallback gets title,
    note, paper and ``finetune`` of the dataset; its own title and note are then returned beside it, with the reason.

    Raises
    ------
    ParamsError
        As `read`.
    InputError
        If the files are those of a fallback that the dataset's file no longer has.
    """
    config = read(name)
    folder = DATA / name / "raw"
    if not (folder / FALLBACK_NOTE).is_file():
        return config, None
    if config.fallback is None:
        raise InputError(f"{folder}: holds files of a fallback that {path(name)} no longer has; fetch it again")
    because = str(files.read_json(folder / FALLBACK_NOTE)["because"])
    own = {key: getattr(config, key) for key in ("title", "note", "paper", "finetune")}
    return config.fallback.model_copy(update=own), Replacement(config.fallback.title, config.fallback.note, because)
