"""The labelled cells of a dataset, as `stages.label` writes them and every later stage reads them.

``data/<dataset>/labelled/`` holds the evaluated cells, in one of two forms. Up to `IN_ONE_FILE` of them are

``cells.h5ad``
    ``X`` CSR (counts, or log-normalised values where declared), ``obs`` the common schema, ``var`` indexed by gene
    symbol with a column ``ensembl_id`` (empty where unknown).
``obs.csv``
    Its ``obs`` again, so that scoring needs no expression matrix.

More are in parts, see `genept.data.parts`. ``data/corpus/<dataset>/`` holds the cells outside the evaluated subset in
the same form, for pretraining; without ``obs.csv``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from genept.core import files, readers
from genept.core.params import Annotation

if TYPE_CHECKING:
    import h5py
    import numpy as np
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix

DATA = Path("data")
IN_FILE, OBS = "cells.h5ad", "obs.csv"
IN_ONE_FILE = 32_768  # cells
COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}  # others read gzip, too
ANNOTATIONS: tuple[str, ...] = get_args(Annotation)

PART = "part"  # column of obs.csv where a dataset has a reference and a query file: which one a cell is from
UNKNOWN = "Unknown"  # the label of a cell without one, in obs.csv
REFERENCE, QUERY = "reference", "query"  # its values: scores are of the query; the reference may be learned from


class Some(NamedTuple):
    """Some cells of a dataset that are read together."""

    rows: slice
    read: Callable[[], AnnData]
    identity: Callable[[], str]  # which other cells, or other values, do not have
    obs: Callable[[], pd.DataFrame]  # their annotations, which `identity` may leave out


@dataclass(frozen=True)
class Cells:
    """The labelled cells of a dataset, which are read some at a time.

    ``uns['x']`` tells what X holds, ``counts`` or ``lognorm``, ``uns['x_dtype']`` the type that its file has it in.
    Iterating reads `parts` one after the other, each an AnnData of at most `genept.data.parts.CELLS` cells with `var`
    and `uns`.
    """

    folder: Path
    n_obs: int
    var: pd.DataFrame
    uns: dict[str, Any]
    ids_sha256: str
    parts: Sequence[Some]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells and of genes."""
        return self.n_obs, len(self.var)

    def __iter__(self) -> Iterator[AnnData]:
        return (part.read() for part in self.parts)

    def take(self, rows: np.ndarray) -> AnnData:
        """Read some cells into memory, row numbers in ascending order, one or more; other parts are not read."""
        import anndata
        import numpy as np

        found: list[AnnData] = []
        for part in self.parts:
            start, stop = np.searchsorted(rows, [part.rows.start, part.rows.stop])
            if stop > start:
                found.append(part.read()[rows[start:stop] - part.rows.start].copy())
        return found[0] if len(found) == 1 else anndata.concat(found, merge="same")

    def whole(self) -> AnnData:
        """Read all cells into memory."""
        import anndata

        if len(self.parts) == 1:
            return self.parts[0].read()
        cells = anndata.concat(list(self), merge="same")
        cells.uns = dict(self.uns)
        return cells


def heading(annotation: str) -> str:
    """Return an annotation's name as it is printed: ``cell_type`` is "Cell type"."""
    return annotation.replace("_", " ").capitalize()


def write_elements(file: h5py.File, data: AnnData, uns: dict[str, Any]) -> None:
    """Write an AnnData with `uns`, texts and numbers, into a new h5ad; equal cells give equal bytes."""
    from anndata.io import write_elem

    write_elem(file, "/", data, dataset_kwargs=COMPRESSION)
    for key, value in uns.items():
        write_elem(file["uns"], key, value)  # by itself, since HDF5 compresses no scalars


def labelled(dataset: str) -> Path:
    """Return the folder of a dataset's labelled cells."""
    return DATA / dataset / "labelled"


def of(dataset: str) -> Cells:
    """Return the evaluated cells of a dataset."""
    return opened(labelled(dataset), f"label@{dataset}")


def corpus_of(dataset: str) -> Cells:
    """Return the cells of a dataset outside its evaluated subset."""
    return opened(DATA / "corpus" / dataset, f"label@{dataset}")


def read(dataset: str) -> AnnData:
    """Read the evaluated cells of a dataset into memory."""
    return of(dataset).whole()


def in_memory(cells: AnnData) -> Cells:
    """Return cells that are in memory already, in one part."""
    digest = ids_digest(cells.obs_names)
    whole = Some(slice(0, cells.n_obs), lambda: cells, lambda: digest, lambda: cells.obs)
    return Cells(Path(), cells.n_obs, cells.var, dict(cells.uns), digest, [whole])


def opened(folder: Path, stage: str) -> Cells:
    """Open labelled cells in either form; `InputError` if they are not what `stage` writes."""
    from genept.data import parts

    return in_parts(folder, stage) if (folder / parts.MANIFEST).exists() else in_file(folder / IN_FILE, stage)


def in_file(path: Path, stage: str) -> Cells:
    """Open an h5ad; `FileNotFoundError` if there is none, `InputError` if it is damaged or not as `stage` writes it."""
    from anndata.io import read_elem

    from genept.core import hdf5
    from genept.data import parts

    again = f"`dvc repro {stage}` makes it"
    with hdf5.opened(path, again=again) as file:
        hdf5.require_size(hdf5.arrays(file), path.stat().st_size, path, "it")
        if lacking := {"X", "obs", "var", "uns"} - set(file):
            raise ValueError(f"it has no {min(lacking)}")
        obs, var, uns = (read_elem(file[name]) for name in ("obs", "var", "uns"))
        if uns["x"] not in ("counts", "lognorm") or file["X"].attrs.get("encoding-type") != "csr_matrix":
            raise ValueError("X is not as label writes it")
        if len(file["X/indptr"]) != len(obs) + 1 or tuple(file["X"].attrs["shape"]) != (len(obs), len(var)):
            raise ValueError("X, obs and var are of different sizes")

    def read(rows: slice) -> AnnData:
        with hdf5.opened(path, again=again) as file:
            x = rows_of(file["X"], rows, len(var))
            return assembled(x, obs.iloc[rows], var, uns)

    sha256 = cache(partial(files.sha256, path))

    def identity(rows: slice) -> str:
        return f"{sha256()} {rows.start} {rows.stop}"

    some = [
        Some(rows, partial(read, rows), partial(identity, rows), partial(obs.iloc.__getitem__, rows))
        for rows in parts.divide(len(obs))
    ]
    return Cells(path.parent, len(obs), var, uns, ids_digest(obs.index), some)


def in_parts(folder: Path, stage: str) -> Cells:
    """Open cells in parts, `genept.data.parts`; `InputError` if they are not what `stage` wrote."""
    from genept.data import parts

    manifest = parts.read_manifest(folder, stage)
    var = parts.read_table(folder / parts.VAR, manifest.var_sha256, stage)
    if len(var) != manifest.n_genes or manifest.uns.get("x") not in ("counts", "lognorm"):
        raise readers.damaged(folder / parts.MANIFEST, stage, "not of these genes and values")
    parts.require_table(folder / parts.OBS, manifest.obs_sha256, stage)

    def read(number: int, entry: parts.Entry) -> AnnData:
        x = parts.read_part(folder / parts.FOLDER / entry.name, entry.sha256, (entry.n_cells, len(var)), stage)
        return assembled(x, obs(number), var, manifest.uns)

    def obs(number: int) -> pd.DataFrame:
        return parts.read_table(folder / parts.OBS, manifest.obs_sha256, stage, number)

    def identity(entry: parts.Entry) -> str:
        return " ".join([entry.sha256, *(str(manifest.uns.get(name)) for name in ("x", "x_dtype"))])

    chosen = zip(parts.divide(manifest.n_cells), manifest.parts, strict=True)
    some = [
        Some(rows, partial(read, number, entry), partial(identity, entry), partial(obs, number))
        for number, (rows, entry) in enumerate(chosen)
    ]
    return Cells(folder, manifest.n_cells, var, manifest.uns, manifest.cell_ids_sha256, some)


def rows_of(group: h5py.Group, rows: slice, n_genes: int) -> csr_matrix:
    """Read some rows of a CSR matrix in an h5ad; `ValueError` if it is none."""
    import numpy as np
    from scipy.sparse import csr_matrix

    indptr = group["indptr"][rows.start : rows.stop + 1].astype(np.int64)
    if np.any(np.diff(indptr) < 0) or indptr[-1] > len(group["data"]):
        raise ValueError("X is no sparse matrix, its index pointer descends")
    data, indices = (group[name][indptr[0] : indptr[-1]] for name in ("data", "indices"))
    return csr_matrix((data, indices, indptr - indptr[0]), shape=(rows.stop - rows.start, n_genes))


def assembled(x: csr_matrix, obs: pd.DataFrame, var: pd.DataFrame, uns: dict[str, Any]) -> AnnData:
    """Put cells together; `ValueError` if X is no matrix of finite numbers from 0."""
    import numpy as np
    from anndata import AnnData

    x.check_format(full_check=True)  # with an index out of range the process would die later
    if x.dtype.kind not in "fiu" or not np.isfinite(x.data).all():
        raise ValueError("X has values that are no finite numbers")
    if (x.data < 0).any():
        raise ValueError("X has negative values")
    return AnnData(x, obs=obs, var=var.copy(), uns=dict(uns))  # each may be changed in place


def obs_path(dataset: str) -> Path:
    """Return the table of the evaluated cells' annotations."""
    from genept.data import parts

    folder = labelled(dataset)
    return folder / (parts.OBS if (folder / parts.MANIFEST).exists() else OBS)


def read_obs(dataset: str) -> pd.DataFrame:
    """Read the annotations of the evaluated cells: text columns named as in `ANNOTATIONS`, indexed by cell id.

    Where a dataset has a reference and a query file, the column `PART` tells which one each cell is from. `InputError`
    if the table is damaged.
    """
    import pandas as pd

    from genept.data import parts

    folder, stage = labelled(dataset), f"label@{dataset}"
    if (folder / parts.MANIFEST).exists():
        path = folder / parts.OBS
        manifest = parts.read_manifest(folder, stage)
        table = parts.read_table(path, manifest.obs_sha256, stage)
    else:
        path = folder / OBS
        columns = readers.read_table(path, {"cell_id": str}, stage, key="cell_id", may_be_empty=False)
        table = pd.DataFrame(columns, dtype=object).set_index("cell_id")
    if others := set(table) - {PART, *ANNOTATIONS}:
        raise readers.damaged(path, stage, f"no annotation is called {min(map(str, others))!r}")
    return table


def ids_digest(cell_ids: Iterable[str]) -> str:
    """Return a hash of cell ids in their order; the notes of an embedding hold it, to show which cells its rows are."""
    digest = hashlib.sha256()
    for cell_id in cell_ids:
        digest.update(str(cell_id).encode() + b"\0")
    return digest.hexdigest()
