"""The entry of a data set in ``params.yaml``: what may stand there and what is meant where nothing does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stages.cells import ANNOTATIONS
from stages.errors import ParamsError, nearest

KEYS = (
    "title",
    "note",
    "paper",
    "source",
    "x",
    "layer",
    "symbol",
    "ensembl",
    "keep_var",
    "obs",
    "expected",
    "subset",
    "finetune",
)
CONTENTS = ("counts", "lognorm")
RAW = "raw.h5ad"  # what a data set's one file is called, wherever it comes from


@dataclass(frozen=True)
class Subset:
    """Which cells are evaluated: `n_cells`, drawn evenly over the labels of annotation `by` (`None`: over all)."""

    n_cells: int
    by: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Entry:
    """A data set's entry, checked.

    Attributes
    ----------
    obs
        The column of ``obs`` that holds each annotation of the common schema.
    x
        What the matrix holds: ``counts`` or ``lognorm``.
    layer
        The layer to take in place of X; ``raw`` may also be the file's ``raw``.
    symbol, ensembl
        Columns of ``var`` with gene symbols (else its index) and with Ensembl gene ids.
    keep_var
        The genes among the rows of ``var``: values allowed in its columns.
    expected
        Numbers that the file must show: ``n_cells``, ``n_genes``, and per annotation the number of labels.
    finetune
        The annotation that fine-tuning learns.
    sha256
        What `RAW` must be, where the entry says so.
    """

    obs: dict[str, str]
    x: str = "counts"
    layer: str | None = None
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    subset: Subset | None = None
    finetune: str | None = None
    sha256: str | None = None


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
    expected = mapping(where, content, "expected")
    check_names(f"{where}.expected", expected, ("n_cells", "n_genes", *obs))
    for key, value in expected.items():
        whole(f"{where}.expected.{key}", value)
    finetune = content.get("finetune")
    if finetune is not None and finetune not in obs:
        raise ParamsError(f"{where}.finetune: {finetune!r} is not an annotation under obs ({', '.join(obs)})")
    files = mapping(f"{where}.source", mapping(where, content, "source"), "files")
    if RAW not in files:
        raise ParamsError(f"{where}.source.files: needs the file {RAW}")
    sha256 = mapping(f"{where}.source.files", files, RAW).get("sha256")
    columns = {key: content.get(key) for key in ("layer", "symbol", "ensembl")}
    return Entry(
        obs={key: str(column) for key, column in obs.items()},
        x=x,
        keep_var=mapping(where, content, "keep_var"),
        expected=expected,
        subset=parse_subset(f"{where}.subset", mapping(where, content, "subset"), obs),
        finetune=finetune,
        sha256=None if sha256 is None else str(sha256).lower(),
        **{key: None if value is None else str(value) for key, value in columns.items()},
    )


def parse_subset(where: str, content: dict[str, Any], obs: dict[str, str]) -> Subset | None:
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
