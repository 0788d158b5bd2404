"""Matrices that are stored dense: read as sparse ones, some cells at a time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from genept.datasets import h5ad as source
from tests.datasets.made import RAW, change, make_cells
from tests.datasets.outcome import invoke

ROWS = 7  # at once


@pytest.mark.parametrize("stored", [{}, {"chunks": (3, 2)}, {"chunks": (50, 4), "compression": "gzip"}])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint16", "bool"])
def test_every_block_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: dict[str, Any], dtype: str
) -> None:
    data = make_cells()
    dense = data.X.toarray().astype(dtype)
    data.X = dense
    data.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=dense, **stored).attrs.update(attributes)
    monkeypatch.setattr(source, "BYTES_AT_ONCE", ROWS * dense[0].nbytes)
    matrix, obs, var = source.read(tmp_path / "a.h5ad")
    assert sp.isspmatrix_csr(matrix) and matrix.dtype == dense.dtype
    assert (matrix.toarray() == dense).all() and matrix.nnz == np.count_nonzero(dense)
    assert list(obs.index) == list(data.obs_names) and list(var.index) == list(data.var_names)


def test_what_is_mostly_zeros_never_lies_dense_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = np.zeros((2000, 3000), dtype=np.float32)
    dense[:, ::50] = 2
    anndata.AnnData(dense).write_h5ad(tmp_path / "a.h5ad")
    monkeypatch.setattr(source, "BYTES_AT_ONCE", 2**20)
    tracemalloc.start()
    matrix, _, _ = source.read(tmp_path / "a.h5ad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert matrix.sum() == dense.sum(dtype=np.float64)
    assert peak < dense.nbytes / 4, peak


def test_the_labelled_cells_are_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke().exit_code == 0
    sparse = anndata.read_h5ad("data/mine/cells.h5ad")
    change(lambda data: setattr(data, "X", data.X.toarray()))
    assert isinstance(anndata.read_h5ad(RAW).X, np.ndarray)
    monkeypatch.setattr(source, "BYTES_AT_ONCE", 200)
    assert invoke().exit_code == 0
    assert (anndata.read_h5ad("data/mine/cells.h5ad").X != sparse.X).nnz == 0


def test_a_file_without_cells_is_refused(project: Path) -> None:
    def emptied(data: anndata.AnnData) -> anndata.AnnData:
        data.X = data.X.toarray()
        return data[:0].copy()

    change(emptied)
    result = invoke()
    assert result.exit_code == 1 and "has 0 cells and 12 genes" in result.output
