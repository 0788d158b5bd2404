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
    "repeated_ids",
    "symbol",
    "ensembl",
    "keep_var",
    "samples",
    "labels",
    "parts",
    "reanalysis",
    "obs",
    "derive",
    "expected",
    "said",
    "subset",
    "finetune",
)
CONTENTS = ("counts", "lognorm", "detect")
REPEATED_IDS = ("refuse", "number")
UNLABELLED = ("drop", "keep")
LABEL_SOURCES = ("author", "reanalysis")
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
    """The authors' labels beside counts that come sample by sample; see `stages.label.samples`."""

    file: str
    sample: str
    names: dict[str, str]
    keeps_unlabelled: bool = False


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
        Whether the authors labelled the cells or a re-analysis did, of labels that a file holds.
    is_reanalysed
        Whether clusters are labelled by `stages.reanalyse` where no file holds cell types.
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
    label_source: str = LABEL_SOURCES[0]
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

    def may_lack(self, name: str) -> bool:
        """Say whether a file may be missing: the labels of the authors, whose place a re-analysis takes."""
        return self.is_reanalysed and self.labels is not None and name == self.labels.file


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
        raise ParamsError(f"{where}.x: {x!r} is none of {', '.join(CONTENTS)}")
    repeated_ids = content.get("repeated_ids", REPEATED_IDS[0])
    if repeated_ids not in REPEATED_IDS:
        raise ParamsError(f"{where}.repeated_ids: {repeated_ids!r} is neither of {' and '.join(REPEATED_IDS)}")
    derived = parse_derived(f"{where}.derive", mapping(where, content, "derive"), obs)
    is_reanalysed = bool(mapping(where, content, "reanalysis"))
    annotations = {**obs, **derived, **({"cell_type": ""} if is_reanalysed else {})}
    label_source = content.get("label_source", LABEL_SOURCES[0])
    if label_source not in LABEL_SOURCES:
        raise ParamsError(f"{where}.label_source: {label_source!r} is neither of {' and '.join(LABEL_SOURCES)}")
    expected = mapping(where, content, "expected")
    check_names(f"{where}.expected", expected, ("n_cells", "n_genes", *PARTS, *annotations))
    for key, value in expected.items():
        whole(f"{where}.expected.{key}", value)
    said = parse_said(f"{where}.said", mapping(where, content, "said"), tuple(annotations))
    finetune = content.get("finetune")
    if finetune is not None and finetune not in annotations:
        raise ParamsError(f"{where}.finetune: {finetune!r} is not an annotation under obs ({', '.join(annotations)})")
    listed = mapping(f"{where}.source", mapping(where, content, "source"), "files")
    samples, labels = parse_samples(where, content, tuple(listed), is_reanalysed)
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
        numbers_repeated_ids=repeated_ids == "number",
        keep_var=mapping(where, content, "keep_var"),
        expected=expected,
        said=said,
        subset=parse_subset(f"{where}.subset", mapping(where, content, "subset"), annotations),
        finetune=finetune,
        files=files,
        samples=samples,
        labels=labels,
        parts=parse_parts(f"{where}.parts", mapping(where, content, "parts"), tuple(samples)),
        is_reanalysed=is_reanalysed,
        sha256={name: str(value).lower() for name, value in hashes.items() if value is not None},
        **{key: None if value is None else str(value) for key, value in columns.items()},
    )


def parse_samples(
    where: str, content: dict[str, Any], listed: tuple[str, ...], is_reanalysed: bool
) -> tuple[dict[str, SampleFiles], LabelTable | None]:
    """Check ``samples`` and ``labels``, which are there together; without labels cells must be re-analysed."""
    samples, labels = mapping(where, content, "samples"), mapping(where, content, "labels")
    if not samples and not labels:
        return {}, None
    if not samples or not (labels or is_reanalysed):
        raise ParamsError(
            f"{where}: samples and labels belong together; {'labels' if samples else 'samples'} is missing"
        )
    counts = {str(name): sample_files(f"{where}.samples.{name}", value) for name, value in samples.items()}
    for sample, files in counts.items():
        if not any(file == files.path or file.startswith(f"{files.path}/") for file in listed):
            raise ParamsError(
                f"{where}.samples.{sample}: {files.path!r} is neither a file nor a folder under source.files"
            )
    if not labels:
        return counts, None
    check_names(f"{where}.labels", labels, ("file", "sample", "names", "unlabelled"))
    if labels.get("file") not in listed or not labels.get("sample"):
        raise ParamsError(f"{where}.labels: needs file, one of those under source.files, and sample, a column of it")
    names = {str(theirs): str(ours) for theirs, ours in mapping(f"{where}.labels", labels, "names").items()}
    unlabelled = labels.get("unlabelled", UNLABELLED[0])
    if unlabelled not in UNLABELLED:
        raise ParamsError(f"{where}.labels.unlabelled: {unlabelled!r} is neither of {' and '.join(UNLABELLED)}")
    return counts, LabelTable(str(labels["file"]), str(labels["sample"]), names, unlabelled == "keep")


def sample_files(where: str, value: Any) -> SampleFiles:
    """Return where the counts of a sample are, from a path or from ``{path: ..., suffix: ...}``."""
    content = value if isinstance(value, dict) else {"path": value}
    check_names(where, content, ("path", "suffix"))
    if not content.get("path"):
        raise ParamsError(f"{where}: needs the path of a file or folder under source.files")
    suffix = content.get("suffix")
    return SampleFiles(str(content["path"]).rstrip("/"), None if suffix is None else str(suffix))


def parse_parts(where: str, content: dict[str, Any], samples: tuple[str, ...]) -> dict[str, str]:
    """Check ``parts``: which samples are the reference and which the query, each sample once; return each one's."""
    if not content:
        return {}
    check_names(where, content, tuple(PARTS))
    listed = [(str(sample), part) for part in PARTS for sample in content.get(part) or ()]
    if sorted(sample for sample, _ in listed) != sorted(samples) or {part for _, part in listed} != set(PARTS):
        raise ParamsError(
            f"{where}: needs every sample once, under {' or '.join(PARTS)}: {', '.join(samples) or 'none'}"
        )
    return dict(listed)


def parse_said(
    where: str, content: dict[str, Any], annotations: tuple[str, ...]
) -> dict[str, dict[str, int | list[str]]]:
    """Check ``said``: per who says it, numbers, and for annotations numbers or lists of labels."""
    said: dict[str, dict[str, int | list[str]]] = {}
    for who in content:
        place, statements = f"{where}.{who}", mapping(where, content, who)
        check_names(place, statements, ("n_cells", "n_genes", "n_scored", *PARTS, *annotations))
        said[str(who)] = {
            key: sorted(map(str, value))
            if isinstance(value, list) and key in annotations
            else whole(f"{place}.{key}", value)
            for key, value in statements.items()
        }
    return said


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
    check_names(where, content, ("n_cells", "share", "by", "seed"))
    by, share = content.get("by"), content.get("share")
    if by is not None and by not in obs:
        raise ParamsError(f"{where}.by: {by!r} is not an annotation under obs ({', '.join(obs)})")
    seed = whole(f"{where}.seed", content.get("seed", 0), 0)
    if share is None:
        return Subset(whole(f"{where}.n_cells", content.get("n_cells")), by, seed)
    if "n_cells" in content or not isinstance(share, float) or not 0 < share < 1:
        raise ParamsError(f"{where}: needs n_cells, or a share of the cells such as 0.2, got {content!r}")
    return Subset(None, by, seed, share)


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
