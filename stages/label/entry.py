"""The entry of a data set in ``params.yaml``: what may stand there and what is meant where nothing does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stages.cells import ANNOTATIONS, QUERY, REFERENCE
from stages.errors import ParamsError, nearest

if TYPE_CHECKING:
    from stages.label.derive import Derivation

KEYS = (
    "title",
    "note",
    "paper",
    "label_source",
    "reanalysis",
    "source",
    "x",
    "layer",
    "symbol",
    "ensembl",
    "keep_var",
    "samples",
    "labels",
    "obs",
    "derive",
    "expected",
    "subset",
    "finetune",
)
CONTENTS = ("counts", "lognorm")
LABEL_SOURCES = ("author", "reanalysis")
RAW = "raw.h5ad"  # what a data set's one file is called, wherever it comes from
PARTS = {REFERENCE: "reference.h5ad", QUERY: "query.h5ad"}  # or what its two are


@dataclass(frozen=True)
class Subset:
    """Which cells are evaluated: `n_cells`, drawn evenly over the labels of annotation `by` (`None`: over all)."""

    n_cells: int
    by: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class LabelTable:
    """The authors' labels beside counts that come sample by sample; see `stages.label.samples`."""

    file: str
    sample: str
    names: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """A data set's entry, checked.

    Attributes
    ----------
    obs
        The column of ``obs`` that holds each annotation of the common schema.
    derived
        How annotations are made from those; see `stages.label.derive`.
    label_source
        Whether the authors labelled the cells or a re-analysis did.
    x
        What the matrix holds: ``counts`` or ``lognorm``.
    layer
        The layer to take in place of X; ``raw`` may also be the file's ``raw``.
    symbol, ensembl
        Columns of ``var`` with gene symbols (else its index) and with Ensembl gene ids.
    keep_var
        The genes among the rows of ``var``: values allowed in its columns.
    expected
        Numbers that the file must show: ``n_cells``, ``n_genes``, per annotation the number of labels, and of a data
        set in two files the cells of ``reference`` and ``query``.
    finetune
        The annotation that fine-tuning learns.
    files
        The one file, under an empty name, the files of both parts, or all files where counts come by sample.
    samples, labels
        The counts of each sample, and the table of labels.
    sha256
        What files must be, by their names, where the entry says so.
    """

    obs: dict[str, str]
    derived: dict[str, Derivation] = field(default_factory=dict)
    label_source: str = LABEL_SOURCES[0]
    x: str = "counts"
    layer: str | None = None
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    subset: Subset | None = None
    finetune: str | None = None
    files: dict[str, str] = field(default_factory=lambda: {"": RAW})
    sha256: dict[str, str] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)
    labels: LabelTable | None = None


def parse(name: str, content: dict[str, Any]) -> Entry:
    """Check the entry ``datasets.<name>``.

    Raises
    ------
    ParamsError
        If a key is unknown or a value cannot be meant.
    """
    where = f"params.yaml: datasets.{name}"
    check_names(where, content, KEYS)
    obs = content.get("obs")
    if not isinstance(obs, dict) or not obs:
        raise ParamsError(f"{where}: needs `obs:`, the column of each annotation, such as cell_type: celltype")
    check_names(f"{where}.obs", obs, ANNOTATIONS)
    x = content.get("x", "counts")
    if x not in CONTENTS:
        raise ParamsError(f"{where}.x: {x!r} is neither of {' and '.join(CONTENTS)}")
    derived = parse_derived(f"{where}.derive", mapping(where, content, "derive"), obs)
    annotations = {**obs, **derived}
    label_source = content.get("label_source", LABEL_SOURCES[0])
    if label_source not in LABEL_SOURCES:
        raise ParamsError(f"{where}.label_source: {label_source!r} is neither of {' and '.join(LABEL_SOURCES)}")
    expected = mapping(where, content, "expected")
    check_names(f"{where}.expected", expected, ("n_cells", "n_genes", *PARTS, *annotations))
    for key, value in expected.items():
        whole(f"{where}.expected.{key}", value)
    finetune = content.get("finetune")
    if finetune is not None and finetune not in annotations:
        raise ParamsError(f"{where}.finetune: {finetune!r} is not an annotation under obs ({', '.join(annotations)})")
    listed = mapping(f"{where}.source", mapping(where, content, "source"), "files")
    samples, labels = parse_samples(where, content, tuple(listed))
    files = {name: name for name in listed} if samples else {"": RAW} if RAW in listed else PARTS
    if not set(files.values()) <= set(listed):
        raise ParamsError(f"{where}.source.files: needs the file {RAW}, or {' and '.join(PARTS.values())}")
    hashes = {name: mapping(f"{where}.source.files", listed, name).get("sha256") for name in files.values()}
    columns = {key: content.get(key) for key in ("layer", "symbol", "ensembl")}
    return Entry(
        obs={key: str(column) for key, column in obs.items()},
        derived=derived,
        label_source=label_source,
        x=x,
        keep_var=mapping(where, content, "keep_var"),
        expected=expected,
        subset=parse_subset(f"{where}.subset", mapping(where, content, "subset"), annotations),
        finetune=finetune,
        files=files,
        samples=samples,
        labels=labels,
        sha256={name: str(value).lower() for name, value in hashes.items() if value is not None},
        **{key: None if value is None else str(value) for key, value in columns.items()},
    )


def parse_samples(where: str, content: dict[str, Any], listed: tuple[str, ...]) -> tuple[dict[str, str], Any]:
    """Check ``samples`` and ``labels``, which are there together or not at all."""
    samples, labels = mapping(where, content, "samples"), mapping(where, content, "labels")
    if not samples and not labels:
        return {}, None
    if not samples or not labels:
        raise ParamsError(
            f"{where}: samples and labels belong together; {'labels' if samples else 'samples'} is missing"
        )
    check_names(f"{where}.labels", labels, ("file", "sample", "names"))
    if labels.get("file") not in listed or not labels.get("sample"):
        raise ParamsError(f"{where}.labels: needs file, one of those under source.files, and sample, a column of it")
    for sample, name in samples.items():
        if not any(file == name or file.startswith(f"{name}/") for file in listed):
            raise ParamsError(f"{where}.samples.{sample}: {name!r} is neither a file nor a folder under source.files")
    names = {str(theirs): str(ours) for theirs, ours in mapping(f"{where}.labels", labels, "names").items()}
    table = LabelTable(str(labels["file"]), str(labels["sample"]), names)
    return {str(sample): str(name).rstrip("/") for sample, name in samples.items()}, table


def parse_derived(where: str, content: dict[str, Any], obs: dict[str, Any]) -> dict[str, Derivation]:
    """Check ``derive``: annotations that no column holds, each of one that a column does."""
    derived: dict[str, Derivation] = {}
    if not content:
        return derived
    from stages.label.derive import Binned, Mapped

    check_names(where, content, tuple(name for name in ANNOTATIONS if name not in obs))
    for name in content:
        place, how = f"{where}.{name}", mapping(where, content, name)
        check_names(place, how, ("of", "map", "edges", "quantiles", "over"))
        of, over = str(how.get("of")), how.get("over")
        for key in (of, over) if over is not None else (of,):
            if key not in obs:
                raise ParamsError(f"{place}: {key!r} is not an annotation under obs ({', '.join(obs)})")
        if sum(key in how for key in ("map", "edges", "quantiles")) != 1:
            raise ParamsError(f"{place}: needs one of map, edges and quantiles")
        if "map" in how:
            derived[name] = Mapped(of, {str(label): str(value) for label, value in mapping(place, how, "map").items()})
        elif "quantiles" in how:
            derived[name] = Binned(of, quantiles=whole(f"{place}.quantiles", how["quantiles"], 2), over=over)
        else:
            derived[name] = Binned(of, edges=ascending(f"{place}.edges", how["edges"]))
    return derived


def ascending(where: str, value: Any) -> tuple[float, ...]:
    """Return a list of ascending numbers."""
    numbers = value if isinstance(value, list) else []
    good = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in numbers)
    if not numbers or not good or sorted(set(numbers)) != numbers:
        raise ParamsError(f"{where}: expected a list of ascending numbers, got {value!r}")
    return tuple(map(float, numbers))


def parse_subset(where: str, content: dict[str, Any], obs: dict[str, Any]) -> Subset | None:
    """Check a ``subset``; an empty one means that every cell is evaluated."""
    if not content:
        return None
    check_names(where, content, ("n_cells", "by", "seed"))
    by = content.get("by")
    if by is not None and by not in obs:
        raise ParamsError(f"{where}.by: {by!r} is not an annotation under obs ({', '.join(obs)})")
    return Subset(
        whole(f"{where}.n_cells", content.get("n_cells")), by, whole(f"{where}.seed", content.get("seed", 0), 0)
    )


def mapping(where: str, content: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a mapping of the entry, empty if it is not there."""
    value = content.get(key)
    if value is not None and not isinstance(value, dict):
        raise ParamsError(f"{where}.{key}: expected a mapping, got {value!r}")
    return value or {}


def whole(where: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ParamsError(f"{where}: must be a whole number of at least {least}, got {value!r}")
    return value


def check_names(where: str, content: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a key that is not known, naming the nearest one that is."""
    for key in content:
        if key not in known:
            raise ParamsError(f"{where}: unknown key {key!r}{nearest(str(key), known)}; known: {', '.join(known)}")
