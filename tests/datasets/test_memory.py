"""What labelling holds in memory: the matrix once, and beside it what is written of it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.data import genes, hgnc
from genept.datasets import label as cells
from genept.datasets import parse
from tests import helpers
from tests.datasets.made import RAW, write_params
from tests.datasets.outcome import run

N_CELLS, N_GENES = 1500, 1500


@pytest.fixture
def size(tmp_path: Path) -> int:
    """A file of counts in float32, a third of which are not zero; the bytes of its matrix."""
    counts = np.random.default_rng(0).poisson(0.4, size=(N_CELLS, N_GENES))
    matrix = sp.csr_matrix(counts.astype(np.float32))
    symbols = [gene.symbol for gene in hgnc.read(helpers.HGNC)]
    names = [*symbols, *(f"unknown{i}" for i in range(N_GENES))][:N_GENES]
    obs = pd.DataFrame({"type": np.array(["B", "T"])[np.arange(N_CELLS) % 2]}, index=[f"c{i}" for i in range(N_CELLS)])
    anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=names)).write_h5ad(tmp_path / "raw.h5ad")
    return int(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)


@pytest.mark.parametrize("n_cells", [None, N_CELLS // 2])
def test_the_matrix_is_in_memory_at_most_twice(tmp_path: Path, size: int, n_cells: int | None) -> None:
    subset = {"subset": {"n_cells": n_cells}} if n_cells else {}
    entry = parse.parse("x", {"source": {"files": {"raw.h5ad": {}}}, "obs": {"cell_type": "type"}, **subset})
    table = genes.Table(hgnc.read(helpers.HGNC))
    tracemalloc.start()
    labelled = cells.label(tmp_path, entry, table, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labelled.cells.n_obs + labelled.rest.n_obs == N_CELLS
    assert peak < 2.5 * size, peak / size


@pytest.mark.parametrize("subset", [None, {"n_cells": 20}])
def test_indices_of_64_bits_change_no_byte(project: Path, subset: dict[str, int] | None) -> None:
    """Where all cells are evaluated the matrix is not copied; so its indices must be made small by themselves."""
    write_params(subset=subset)
    run()
    path = Path("data/mine/cells.h5ad")
    first = path.read_bytes()
    with h5py.File(RAW, "a") as file:
        for name in ("indices", "indptr"):
            values = file["X"][name][:].astype(np.int64)
            del file["X"][name]
            file["X"].create_dataset(name, data=values).attrs.update({"encoding-type": "array"})
            file["X"][name].attrs["encoding-version"] = "0.2.0"
    run()
    assert path.read_bytes() == first
