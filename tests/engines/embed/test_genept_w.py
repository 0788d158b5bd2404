"""GenePT-w against a direct computation gene by gene."""

from __future__ import annotations

import math
from pathlib import Path

import anndata
import numpy as np
import pytest

from genept.data import gene_vectors
from genept.engines.genept_w import embed as genept_w
from genept.engines.genept_w.config import Model
from tests.engines.embed.made import GENES, N_DIMENSIONS, make_cells_of_genes

ENTRY = {"title": "t", "engine": "genept_w", "vectors": {"released": "x"}, "embed": {}}
DEFAULT = Model.parse(ENTRY, "models/t.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors for 50 of the 60 genes, in another order, and for two genes of no dataset."""
    path = tmp_path_factory.mktemp("models") / "model"
    rng = np.random.default_rng(1)
    symbols = [*rng.permutation(GENES[:50]), "ELSEWHERE1", "ELSEWHERE2"]
    vectors = rng.normal(0.3, 1.0, size=(len(symbols), N_DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gene_vectors.write(path, vectors, [gene_vectors.VectorGene(str(s), "", 1, False, str(s)) for s in symbols], {})
    return path


def gene_by_gene(cells: anndata.AnnData, folder: Path, divide_by: str, unit_norm: bool) -> np.ndarray:
    """GenePT-w in pure Python floats, as its definition reads."""
    vectors, genes = gene_vectors.read(folder)
    vector_of = {gene.symbol: [float(value) for value in vectors[row]] for row, gene in enumerate(genes)}
    rows = []
    for values in cells.X.toarray().tolist():
        if cells.uns["x"] == "counts":
            total = sum(values)
            values = [math.log1p(value / total * 10_000) if total else 0.0 for value in values]
        cell = [0.0] * N_DIMENSIONS
        weights = 0.0
        for symbol, weight in zip(cells.var_names, values, strict=True):
            if symbol in vector_of:
                weights += weight
                cell = [a + weight * b for a, b in zip(cell, vector_of[symbol], strict=True)]
        divisor = len(values) if divide_by == "n_genes" else weights
        cell = [a / divisor if divisor else 0.0 for a in cell]
        norm = math.sqrt(sum(a * a for a in cell)) if unit_norm else 1.0
        rows.append([a / norm if norm else 0.0 for a in cell])
    return np.array(rows)


@pytest.mark.parametrize("x", ["counts", "lognorm"])
@pytest.mark.parametrize("divide_by", ["n_genes", "weights"])
@pytest.mark.parametrize("unit_norm", [True, False])
def test_genept_w_equals_the_sum_gene_by_gene(folder: Path, x: str, divide_by: str, unit_norm: bool) -> None:
    cells = make_cells_of_genes(x=x)
    embed = {"divide_by": divide_by, "unit_norm": unit_norm}
    config = Model.parse(ENTRY | {"embed": embed}, "models/t.yaml")
    matrix, notes = genept_w.embed(cells, folder, config, "cpu")
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, gene_by_gene(cells, folder, divide_by, unit_norm), atol=1e-6)
    assert (notes["n_genes"], notes["n_genes_missing"], notes["n_cells_without_gene"]) == (60, 10, 1)
    assert (matrix[3] == 0).all() and notes["comparable"] is True
    if (divide_by, unit_norm) == ("n_genes", True):  # the defaults: the authors' sum, the paper's unit length
        np.testing.assert_array_equal(genept_w.embed(cells, folder, DEFAULT, "cpu")[0], matrix)


def test_neither_other_cells_nor_the_order_of_genes_matter_and_the_input_stays(folder: Path) -> None:
    cells = make_cells_of_genes()
    before = cells.X.copy()
    matrix, _ = genept_w.embed(cells, folder, DEFAULT, "cpu")
    assert (cells.X != before).nnz == 0
    part, _ = genept_w.embed(cells[[7, 4, 20]].copy()[:, ::-1].copy(), folder, DEFAULT, "cpu")
    np.testing.assert_allclose(part, matrix[[7, 4, 20]], rtol=0, atol=1e-6)
