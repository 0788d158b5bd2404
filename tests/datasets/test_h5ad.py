"""h5ad files: any storage of the matrix, layers, and what reading and labelling hold in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.data import genes, hgnc
from genept.datasets import h5ad, label, raw
from tests import helpers
from tests.datasets.made import CELLS, RAW, change, configure, make_cells, parse, run, set_x

ROWS = 7  # at once
N_CELLS, N_GENES = 1500, 1500


@pytest.mark.parametrize("form", [np.asarray, sp.csc_matrix, sp.csr_matrix, lambda x: x.astype(np.int32)])
def test_any_storage_of_counts_gives_the_same_cells(project: Path, form: Callable[[Any], Any]) -> None:
    change(set_x(form))
    np.testing.assert_array_equal(run()[0].X.toarray(), make_cells().X.toarray())


@pytest.mark.parametrize("stored", [{}, {"chunks": (3, 2)}, {"chunks": (50, 4), "compression": "gzip"}])
@pytest.mark.parametrize("dtype", ["float64", "uint16", "bool"])
def test_every_block_of_a_dense_matrix_is_read_once(
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
    monkeypatch.setattr(h5ad, "BYTES_AT_ONCE", ROWS * dense[0].nbytes)
    matrix, obs, var, layers = h5ad.read_elements(tmp_path / "a.h5ad")
    assert sp.isspmatrix_csr(matrix) and matrix.dtype == dense.dtype
    assert (matrix.toarray() == dense).all() and matrix.nnz == np.count_nonzero(dense)
    assert list(obs.index) == list(data.obs_names) and list(var.index) == list(data.var_names)
    assert layers == ["logged"]


@pytest.mark.parametrize("is_dense", [False, True])
@pytest.mark.parametrize("subset", [{}, {"subset": {"n_cells": N_CELLS // 2}}])
def test_the_matrix_is_in_memory_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: dict[str, Any], is_dense: bool
) -> None:
    monkeypatch.setattr(h5ad, "BYTES_AT_ONCE", 2**20)
    counts = np.random.default_rng(0).poisson(0.1, size=(N_CELLS, N_GENES)).astype(np.float32)
    matrix = sp.csr_matrix(counts)
    size = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    hgnc_genes = hgnc.read(helpers.HGNC)
    names = [*(gene.symbol for gene in hgnc_genes), *(f"unknown{i}" for i in range(N_GENES))][:N_GENES]
    obs = pd.DataFrame({"type": np.array(["B", "T"])[np.arange(N_CELLS) % 2]}, index=[f"c{i}" for i in range(N_CELLS)])
    data = anndata.AnnData(counts if is_dense else matrix, obs=obs, var=pd.DataFrame(index=names))
    data.write_h5ad(tmp_path / "raw.h5ad")
    del data, matrix, counts
    config, table = parse(obs={"cell_type": "type"}, **subset), genes.Table(hgnc_genes)
    tracemalloc.start()
    labelled = label.label(tmp_path, config, table, "x", with_corpus=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labelled.corpus is not None and labelled.cells.n_obs + labelled.corpus.n_obs == N_CELLS
    assert peak < 2.5 * size, peak / size


@pytest.mark.parametrize("subset", [None, {"n_cells": 20}])
def test_indices_of_64_bits_change_no_byte(project: Path, subset: dict[str, int] | None) -> None:
    """Where all cells are evaluated the matrix is not copied; so its indices must be made small by themselves."""
    configure(subset=subset)
    run()
    first = CELLS.read_bytes()
    with h5py.File(RAW, "a") as file:
        for name in ("indices", "indptr"):
            values = file["X"][name][:].astype(np.int64)
            del file["X"][name]
            file["X"].create_dataset(name, data=values).attrs.update({"encoding-type": "array"})
            file["X"][name].attrs["encoding-version"] = "0.2.0"
    run()
    assert CELLS.read_bytes() == first


def test_counts_may_stand_in_a_layer_or_in_raw(project: Path) -> None:
    def to_raw(data: anndata.AnnData) -> None:
        data.raw = data
        data.layers["counts"] = data.X
        data.X = data.layers["logged"]

    change(to_raw)
    for layer in ("raw", "counts"):
        configure(layer=layer)
        np.testing.assert_array_equal(run()[0].X.toarray(), make_cells().X.toarray())


@pytest.mark.parametrize(("keys", "content"), [({"layer": "logged"}, "lognorm"), ({}, "counts")])
def test_log_normalised_values_are_marked_and_found_by_themselves(
    project: Path, keys: dict[str, str], content: str
) -> None:
    for x in (content, "detect"):
        configure(**keys, x=x)
        cells, report = run()
        assert cells.uns["x"] == report["x"] == content
    expected = make_cells().layers["logged"] if keys else make_cells().X
    np.testing.assert_allclose(cells.X.toarray(), expected.toarray(), rtol=1e-6)


def test_explicit_zeros_and_repeated_entries_are_no_values() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 3))
    result = raw.to_csr(matrix)
    assert result.toarray().tolist() == [[0, 3, 0]] and result.nnz == 1


def test_whole_floats_are_counts() -> None:
    assert raw.check_values(sp.csr_matrix((3, 4)), "counts", RAW) == "counts"
    assert raw.check_values(sp.csr_matrix(np.array([[0.0, 2.0**24]])), "detect", RAW) == "counts"
