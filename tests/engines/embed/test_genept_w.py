"""GenePT-w against a direct computation gene by gene."""

from __future__ import annotations

import math
from pathlib import Path

import anndata
import numpy as np
import pytest

from genept.core.errors import InputError
from genept.data import gene_vectors
from genept.engines.genept_w import embed as genept_w
from genept.engines.genept_w.config import Model
from tests.engines.embed.genes import GENES, N_DIMENSIONS, N_GENES, make_cells

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
    cells = make_cells(x=x)
    embed = {"divide_by": divide_by, "unit_norm": unit_norm}
    config = Model.parse(ENTRY | {"embed": embed}, "models/t.yaml")
    matrix, notes = genept_w.embed(cells, folder, config, "cpu")
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, gene_by_gene(cells, folder, divide_by, unit_norm), atol=1e-6)
    assert notes["comparable"] is True


def test_the_defaults_are_the_authors_sum_and_the_papers_unit_length(folder: Path) -> None:
    matrix, _ = genept_w.embed(make_cells(), folder, DEFAULT, "cpu")
    np.testing.assert_allclose(matrix, gene_by_gene(make_cells(), folder, "n_genes", True), atol=1e-6)
    lengths = np.linalg.norm(matrix, axis=1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1, atol=1e-6)


def test_a_cell_without_known_gene_is_zero_and_counted_with_the_missing_genes(folder: Path) -> None:
    cells = make_cells()
    matrix, notes = genept_w.embed(cells, folder, DEFAULT, "cpu")
    assert (matrix[3] == 0).all()
    dense = cells.X.toarray().astype(float)
    assert notes["n_genes"] == 60 and notes["n_genes_missing"] == 10 and notes["n_cells_without_gene"] == 1
    assert notes["share_of_counts_missing"] == pytest.approx(dense[:, 50:].sum() / dense.sum(), abs=1e-6)


def test_neither_other_cells_nor_the_order_of_genes_matter_and_the_input_stays(folder: Path) -> None:
    cells = make_cells()
    before = cells.X.copy()
    matrix, _ = genept_w.embed(cells, folder, DEFAULT, "cpu")
    assert (cells.X != before).nnz == 0
    part, _ = genept_w.embed(cells[[7, 4, 20]].copy()[:, ::-1].copy(), folder, DEFAULT, "cpu")
    np.testing.assert_allclose(part, matrix[[7, 4, 20]], rtol=0, atol=1e-6)


def test_a_dataset_without_any_known_gene_is_an_error_of_one_line(folder: Path) -> None:
    mouse = make_cells()
    mouse.var_names = [f"Actb{i}" for i in range(N_GENES)]
    with pytest.raises(InputError, match=r"none of the 60 genes \(Actb0, Actb1, Actb2, \.\.\.\); it needs human genes"):
        genept_w.embed(mouse, folder, DEFAULT, "cpu")
