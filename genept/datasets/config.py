"""A dataset's file, ``data/<dataset>.yaml``: where its cells come from and how they are read.

``title``, ``note``, ``source`` and ``obs`` are enough; data/README.md explains every key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import PositiveInt, model_validator

from genept.core.config import Config, check_name
from genept.core.errors import InputError
from genept.core.params import Annotation as AnnotationName
from genept.core.readers import read_json
from genept.core.text import Line, Title
from genept.data.cells import ANNOTATIONS, DATA
from genept.datasets.kinds import ENDINGS, hint_by_name
from genept.datasets.nested_config import Annotation, Derive, Labels, SampleFiles, Subset, refuse_unknown
from genept.downloads.config import Sources, files_of

RAW = "raw"  # the one file of a dataset, without its ending, wherever it comes from
REFERENCE_QUERY = ("reference", "query")  # or its two files
MARKERS = "markers.tsv"
FALLBACK_NOTE = "fallback.json"  # written by `fetch` beside the files of a dataset's fallback

AUTHOR, ANNOTATION, USER = "author", "annotation", "user"
SIZES = ("n_cells", "n_genes", *REFERENCE_QUERY)
Value = str | int | float | bool


class DatasetConfig(Config):
    """The content of ``data/<dataset>.yaml``."""

    title: Title
    note: Line
    paper: str | None = None  # the paper's dataset that it is
    label_source: Literal["author", "annotation", "user"] | None = None  # null: the user for a local table of labels
    source: Sources
    x: Literal["counts", "lognorm", "detect"] = "counts"
    layer: str | None = None
    modality: str | None = None  # of an h5mu file
    repeated_ids: Literal["refuse", "number"] = "refuse"
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Value | list[Value]] = {}
    samples: dict[str, SampleFiles] = {}
    labels: Labels | None = None
    reference: list[str] = []
    query: list[str] = []
    annotation: Annotation | None = None
    obs: dict[AnnotationName, str]
    derive: dict[AnnotationName, Derive] = {}
    missing_labels: list[str] | None = None  # replaces the list of params.yaml; none: only empty cells have no label
    expected: dict[str, PositiveInt] = {}
    reported: dict[str, dict[str, PositiveInt | list[str]]] = {}  # by who does: numbers, or the labels of an annotation
    subset: Subset | None = None
    finetune: AnnotationName = "cell_type"
    fallback: DatasetConfig | None = None

    @property
    def annotations(self) -> list[str]:
        """Every annotation of the cells: of columns, derived, and the cell types that `annotate` gives."""
        found: set[str] = {*self.obs, *self.derive, *(["cell_type"] if self.annotation else [])}
        return [name for name in ANNOTATIONS if name in found]

    @property
    def cell_files(self) -> dict[str, str]:
        """The dataset's files of cells by part: the one file under an empty name, else those of reference and query."""
        if self.samples:
            return {}
        stems = {name: stem for name in files_of(self.source) if (stem := stem_of(name))}
        parts = [""] if RAW in stems.values() else [*REFERENCE_QUERY]
        return {part: name for part in parts for name, stem in stems.items() if stem == (part or RAW)}

    @property
    def input_files(self) -> list[str]:
        """The files that ``label`` reads, in the order of the source."""
        listed = [name for name in files_of(self.source) if name != MARKERS]
        return listed if self.samples else [*self.cell_files.values(), *([self.labels.file] if self.labels else [])]

    @property
    def n_cells_likely(self) -> int | None:
        """How many cells are evaluated by `expected`, else `reported`, else the fallback; for estimates only."""
        statements: list[Mapping[str, int | list[str]]] = [self.expected, *self.reported.values()]
        for numbers in statements:
            names = ["n_cells"] if "n_cells" in numbers else [*REFERENCE_QUERY]
            if n_cells := sum(n for name in names if isinstance(n := numbers.get(name), int)):
                return self.subset.size(n_cells) if self.subset else n_cells
        return self.fallback.n_cells_likely if self.fallback else None

    def missing(self, shared: Iterable[str]) -> frozenset[str]:
        """Return the texts that are no label, see `genept.datasets.raw.without_missing`; `shared` is the run's list."""
        return frozenset(map(comparable, shared if self.missing_labels is None else self.missing_labels))

    def without_cell_types(self) -> DatasetConfig:
        """Return the config as if no file had cell types, and without what is derived from them."""
        obs = {name: column for name, column in self.obs.items() if name != "cell_type"}
        derive = {name: how for name, how in self.derive.items() if "cell_type" not in (name, how.of, how.over)}
        return self.model_copy(update={"obs": obs, "derive": derive, "labels": None})

    @model_validator(mode="after")
    def check_files(self) -> DatasetConfig:
        """Check that the source has the files that the other keys need."""
        names = list(files_of(self.source))
        if self.labels and (self.labels.sample is None) == bool(self.samples):
            needs = "is missing: its column of samples" if self.samples else "is for `samples`; leave it out"
            raise ValueError(f"labels.sample {needs}")
        if self.samples and not (self.labels or self.annotation):
            raise ValueError("samples needs labels, a table of the cells' labels, or annotation")
        self.check_cell_files(names)
        for sample, counts in self.samples.items():
            if not any(name == counts.path or name.startswith(f"{counts.path}/") for name in names):
                raise ValueError(f"samples.{sample}: {counts.path!r} is neither a file nor a folder under source.files")
        refuse_unknown([self.labels and self.labels.file], names, "labels.file: ")
        if self.annotation and MARKERS not in names:
            raise ValueError(f"annotation needs a table of marker genes, {MARKERS}, under source.files")
        listed = [*self.reference, *self.query]
        if listed and (sorted(listed) != sorted(self.samples) or not self.reference or not self.query):
            known = ", ".join(self.samples) or "there are no samples"
            raise ValueError(f"reference and query need every sample once: {known}")
        if self.fallback and self.fallback.fallback:
            raise ValueError("fallback must have no fallback of its own")
        return self

    def check_cell_files(self, names: list[str]) -> None:
        """Check that there is one file of cells, or a reference and a query, in a format that is read."""
        of_parts = sorted(filter(None, map(stem_of, names)), reverse=True)
        if not self.samples and of_parts not in ([RAW], [*REFERENCE_QUERY]):
            for name in names:
                if name.partition(".")[0] in (RAW, *REFERENCE_QUERY) and (hint := hint_by_name(name)):
                    raise ValueError(f"source.files: {name} is {hint}")
            raise ValueError(
                f"source.files needs one {RAW}.h5ad, or {' and '.join(f'{part}.h5ad' for part in REFERENCE_QUERY)}; "
                f"other endings are {', '.join(f'.{ending}' for ending in ENDINGS[1:])}"
            )
        if self.labels and not self.samples and len(of_parts) > 1:
            raise ValueError("labels is for one file of cells or for samples, not for reference and query")

    @model_validator(mode="after")
    def check_annotations(self) -> DatasetConfig:
        """Check that every annotation that a key names is one of the dataset's."""
        annotations = self.annotations
        if not self.obs:
            raise ValueError("obs needs the column of an annotation, such as cell_type: celltype")
        for name, how in self.derive.items():
            if name in self.obs:
                raise ValueError(f"derive: {name!r} is a column under obs already")
            refuse_unknown([how.of, how.over], self.obs, f"derive.{name}: ")
        refuse_unknown(self.expected, [*SIZES, *annotations], "expected: ")
        for who, reports in self.reported.items():
            refuse_unknown(reports, [*SIZES, "n_scored", *annotations], f"reported.{who}: ")
        refuse_unknown([self.subset and self.subset.by], annotations, "subset.by: ")
        known = [name for name in (*self.obs, *self.derive) if name != "cell_type"]  # annotate never reads these
        refuse_unknown([self.annotation and self.annotation.batch], known, "annotation.batch: ")
        if "finetune" in self.model_fields_set:
            refuse_unknown([self.finetune], annotations, "finetune: ")
            if self.fallback:
                refuse_unknown([self.finetune], self.fallback.annotations, "finetune, of the fallback: ")
        return self


def stem_of(name: str) -> str | None:
    """Return ``raw``, ``reference`` or ``query`` of the name of a file of cells, `None` of any other."""
    stem, _, ending = name.partition(".")
    return stem if stem in (RAW, *REFERENCE_QUERY) and ending in ENDINGS else None


def comparable(text: str) -> str:
    """Return a label as it is compared with those that mean missing: in any case, without the space around it."""
    return text.strip().casefold()


def path(name: str) -> Path:
    """Path of a dataset's file."""
    return DATA / f"{name}.yaml"


def read(name: str) -> DatasetConfig:
    """Read and check a dataset's file; `ParamsError` names the first setting that is not what it should be."""
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
    """
    config = read(name)
    folder = DATA / name / "raw"
    if not (folder / FALLBACK_NOTE).is_file():
        return config, None
    if config.fallback is None:
        raise InputError(f"{folder}: holds files of a fallback that {path(name)} no longer has; fetch it again")
    because = read_json(folder / FALLBACK_NOTE, dict[str, str], f"fetch@{name}").get("because", "")
    own = {key: getattr(config, key) for key in ("title", "note", "paper", "finetune")}
    return config.fallback.model_copy(update=own), Replacement(config.fallback.title, config.fallback.note, because)
