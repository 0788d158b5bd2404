"""Vectors of cells in parts equal those of one file, in the memory of a part."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from genept.data import cells, parts
from tests.engines.parts.blood import (
    CACHE,
    ENTRIES,
    FOLDER,
    N_CELLS,
    SYMBOLS,
    embed,
    embedded,
    make,
    write,
    written,
)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        *[(model, "counts") for model in ENTRIES if model != "mine"],
        *[(model, "lognorm") for model in ("words", "expression", "geneformer")],
    ],
)
def test_an_embedding_by_parts_is_that_of_one_file(
    project: Path, model: str, x: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make(x=x)
    write(data)
    assert (FOLDER / parts.MANIFEST).exists()
    in_parts, notes = embedded(model, data)
    monkeypatch.setattr(cells, "IN_ONE_FILE", N_CELLS)
    write(data)
    in_parts_of_file = embed(model)
    monkeypatch.setattr(parts, "CELLS", N_CELLS)
    whole, expected = embedded(model, data)
    assert (FOLDER / cells.IN_FILE).exists() and not (FOLDER / parts.MANIFEST).exists()
    assert notes == expected and list(notes) == list(expected)
    assert json.loads(in_parts_of_file[1]) == expected
    if model in ("words", "control"):
        np.testing.assert_array_equal(in_parts, whole)
        assert in_parts_of_file == written(model)
    elif model == "expression":
        assert (np.abs(in_parts - whole) <= 1e-6 * whole.std(axis=1, keepdims=True)).all()
    else:
        np.testing.assert_allclose(in_parts, whole, rtol=0, atol=2e-6 * np.abs(whole).max())
    assert in_parts.shape[0] == (3 if model == "control" else 1)


def test_memory_does_not_grow_with_the_number_of_parts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "CELLS", 300)
    rng = np.random.default_rng(0)
    peaks = []
    for n_parts in (2, 8):
        n_cells = 300 * n_parts
        x = sp.csr_matrix(rng.poisson(1.0, (n_cells, len(SYMBOLS))).astype(np.float32))
        obs = pd.DataFrame({"cell_type": pd.Categorical(["B"] * n_cells)}, index=[f"c{n:06d}" for n in range(n_cells)])
        write(AnnData(x, obs, make().var, uns=dict(make().uns)))
        del x
        embed("words")
        shutil.rmtree(CACHE)
        tracemalloc.start()
        embed("words")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] <= 1.1 * peaks[0], peaks
