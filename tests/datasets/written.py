"""Files of cells in formats other than h5ad, and changes to the HDF5 content of one."""

from __future__ import annotations

import gzip
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import scipy.sparse as sp
from anndata.io import write_elem
from scipy.io import mmwrite

from genept.downloads import zipped
from tests.datasets.made import N_CELLS, RAW, SYMBOLS, make_cells

Write = Callable[[Path], Any]
Hdf5 = Callable[[h5py.File], Any]


def zarr_store(version: int, form: Callable[[Any], Any] = sp.csr_matrix, top: str = "") -> Write:
    """Write a zarr store as anndata does, into a zip as it is or within a folder."""

    def write(path: Path) -> None:
        data = make_cells()
        data.X = form(data.X)
        anndata.settings.zarr_write_format = version
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of version 2
            data.write_zarr(path.parent / "store.zarr")
        anndata.settings.zarr_write_format = 2
        zipped.write(path.parent / "store.zarr", path)
        if top:
            with zipfile.ZipFile(path) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in members.items():
                    archive.writestr(f"{top}/{name}", content)

    return write


def features() -> dict[str, list[bytes]]:
    """The columns of 10x files, with an antibody that is left out."""
    return {
        "id": [*(f"ENSG{i}".encode() for i in range(len(SYMBOLS))), b"CD4p"],
        "name": [*(name.encode() for name in SYMBOLS), b"CD4p"],
        "feature_type": [*[b"Gene Expression"] * len(SYMBOLS), b"Antibody Capture"],
    }


def tenx(group: h5py.Group, counts: Any) -> None:
    """Write the parts of a matrix as Cell Ranger does: features in rows, cells in columns."""
    columns = sp.csc_matrix(counts.T.astype(np.int32))
    group.update({"data": columns.data, "indices": columns.indices.astype(np.int64), "indptr": columns.indptr})
    group.update({"shape": np.array(columns.shape, np.int32), "barcodes": np.array(make_cells().obs_names, "S")})


def tenx_3(path: Path) -> None:
    with h5py.File(path, "w") as file:
        tenx(file.create_group("matrix"), np.hstack([make_cells().X.toarray(), np.full((N_CELLS, 1), 9)]))
        file.create_group("matrix/features").update({key: np.array(texts) for key, texts in features().items()})


def tenx_2(path: Path) -> None:
    with h5py.File(path, "w") as file:
        tenx(file.create_group("GRCh38"), make_cells().X.toarray())
        for key, column in (("genes", "id"), ("gene_names", "name")):
            file["GRCh38"][key] = np.array(features()[column][: len(SYMBOLS)])


def mtx(path: Path) -> None:
    folder = path.parent / "mtx"
    folder.mkdir()
    counts = np.hstack([make_cells().X.toarray(), np.full((N_CELLS, 1), 9)]).astype(int)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(counts.T))
    rows = zip(*features().values(), strict=True)
    (folder / "features.tsv").write_bytes(b"".join(b"\t".join(row) + b"\n" for row in rows))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in make_cells().obs_names))
    (folder / "notes.txt").write_text("not of the matrix")
    zipped.write(folder, path)


def h5mu(path: Path) -> None:
    """A modality whose cell types stand in the table that modalities share, as mudata writes it."""
    data = make_cells()
    shared = data.obs[["celltype"]][::-1]
    del data.obs["celltype"]
    with h5py.File(path, "w") as file:
        file.create_group("mod")
        write_elem(file, "mod/rna", data)
        write_elem(file, "mod/prot", data[:, :3].copy())
        write_elem(file, "obs", shared)


def stored(how: Hdf5) -> Callable[[], None]:
    """Change the HDF5 content of the raw file."""

    def apply() -> None:
        with h5py.File(RAW, "a") as file:
            how(file)

    return apply


def replace(name: str, how: Callable[[np.ndarray], Any], **storage: Any) -> Callable[[], None]:
    """Put other values into the place of an array."""

    def apply(file: h5py.File) -> None:
        attributes, values = dict(file[name].attrs), file[name][()]
        del file[name]
        file.create_dataset(name, data=how(values), **storage).attrs.update(attributes)

    return stored(apply)
