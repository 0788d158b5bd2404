"""The choices of a re-analysis: the block ``reanalysis:`` of ``params.yaml``, and that of a data set's entry.

::

    reanalysis:                     # for every re-analysed data set
      qc: {min_genes: 200, max_genes: null, max_mitochondrial: 0.2, min_cells_per_gene: 3}
      n_hvgs: 2000
      ...
    datasets:
      ovarian:
        reanalysis:
          markers: ovarian          # genept/annotation/markers/ovarian.tsv
          batch: patient            # an annotation under obs or derive, or null
          names: {T cells: T_cell}  # what the authors call the types of the marker table, for `check`
          resolution: 0.5           # any of the choices above
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genept.core.errors import ParamsError, nearest
from genept.datasets.checks import check_names, mapping, whole

FOLDER = Path("genept/annotation/markers")
QC_KEYS = ("min_genes", "max_genes", "max_mitochondrial", "min_cells_per_gene")
KEYS = ("qc", "n_hvgs", "n_components", "n_neighbors", "resolution", "min_margin", "seed", "umap_epochs")
OWN_KEYS = ("markers", "batch", "names")


@dataclass(frozen=True)
class QC:
    """Which cells are kept: numbers of detected genes, and the largest share of mitochondrial counts.

    A gene counts where at least `min_cells_per_gene` kept cells have it. `None` is no limit.
    """

    min_genes: int
    max_genes: int | None
    max_mitochondrial: float | None
    min_cells_per_gene: int


@dataclass(frozen=True)
class Options:
    """The checked choices of one data set; `genept.annotation.method` says what each does."""

    markers: str
    batch: str | None
    names: dict[str, str]
    qc: QC
    n_hvgs: int
    n_components: int
    n_neighbors: int
    resolution: float
    min_margin: float
    seed: int
    umap_epochs: int

    @property
    def marker_path(self) -> Path:
        """The marker table."""
        return FOLDER / f"{self.markers}.tsv"


def parse(params: dict[str, Any], dataset: str, entry: dict[str, Any]) -> Options | None:
    """Return the choices for a data set, `None` if its entry asks for no re-analysis.

    Parameters
    ----------
    params
        The content of ``params.yaml``.
    entry
        The entry ``datasets.<dataset>``.

    Raises
    ------
    ParamsError
        If a choice is missing, unknown or not what it should be.
    """
    where = f"params.yaml: datasets.{dataset}.reanalysis"
    own = mapping(f"params.yaml: datasets.{dataset}", entry, "reanalysis")
    if entry.get("reanalysis") is None:
        return None
    shared = mapping("params.yaml", params, "reanalysis")
    check_names("params.yaml: reanalysis", shared, KEYS)
    check_names(where, own, (*OWN_KEYS, *KEYS))
    choices = {**shared, **{key: value for key, value in own.items() if key in KEYS}}
    qc = {**mapping("params.yaml: reanalysis", shared, "qc"), **mapping(where, own, "qc")}
    for key in KEYS:
        if key not in choices:
            raise ParamsError(f"params.yaml: reanalysis.{key} is missing, and {where} does not give it")
    names = mapping(where, own, "names")
    return Options(
        markers=marker_table(where, own.get("markers")),
        batch=batch(where, own, entry),
        names={str(theirs): str(ours) for theirs, ours in names.items()},
        qc=parse_qc(where, qc),
        n_hvgs=whole(f"{where}.n_hvgs", choices["n_hvgs"], 2),
        n_components=whole(f"{where}.n_components", choices["n_components"]),
        n_neighbors=whole(f"{where}.n_neighbors", choices["n_neighbors"], 3),
        resolution=number(f"{where}.resolution", choices["resolution"], above=True),
        min_margin=number(f"{where}.min_margin", choices["min_margin"]),
        seed=whole(f"{where}.seed", choices["seed"], 0),
        umap_epochs=whole(f"{where}.umap_epochs", choices["umap_epochs"]),
    )


def parse_qc(where: str, content: dict[str, Any]) -> QC:
    """Check the choices of quality control."""
    check_names(f"{where}.qc", content, QC_KEYS)
    for key in QC_KEYS:
        if key not in content:
            raise ParamsError(f"params.yaml: reanalysis.qc.{key} is missing, and {where} does not give it")
    least = whole(f"{where}.qc.min_genes", content["min_genes"])
    most, share = content["max_genes"], content["max_mitochondrial"]
    return QC(
        min_genes=least,
        max_genes=None if most is None else whole(f"{where}.qc.max_genes", most, least),
        max_mitochondrial=None if share is None else number(f"{where}.qc.max_mitochondrial", share, most=1.0),
        min_cells_per_gene=whole(f"{where}.qc.min_cells_per_gene", content["min_cells_per_gene"]),
    )


def marker_table(where: str, name: Any) -> str:
    """Check that there is a marker table of this name."""
    known = sorted(path.stem for path in FOLDER.glob("*.tsv"))
    if not isinstance(name, str) or name not in known:
        hint = nearest(str(name), known)
        raise ParamsError(f"{where}.markers: no table {name!r} in {FOLDER}{hint}; it has {', '.join(known) or 'none'}")
    return name


def batch(where: str, own: dict[str, Any], entry: dict[str, Any]) -> str | None:
    """Check the annotation that tells batches apart, which must be said even if it is none."""
    if "batch" not in own:
        raise ParamsError(f"{where}: needs batch, an annotation such as patient, or null if the cells are of one batch")
    name = own["batch"]
    known = [key for part in ("obs", "derive") for key in (entry.get(part) or {}) if key != "cell_type"]
    if name is not None and name not in known:
        raise ParamsError(
            f"{where}.batch: {name!r} is no annotation under obs or derive{nearest(str(name), known)}; "
            f"there are {', '.join(known) or 'none'} (cell types are never read)"
        )
    return None if name is None else str(name)


def number(where: str, value: Any, above: bool = False, most: float | None = None) -> float:
    """Return a number of at least 0, or above it, and at most `most`."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not good or (above and value == 0) or (most is not None and value > most):
        limit = "above 0" if above else "from 0" if most is None else f"from 0 to {most:g}"
        raise ParamsError(f"{where}: must be a number {limit}, got {value!r}")
    return float(value)
