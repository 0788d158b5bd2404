"""GenePT-w: against a direct computation gene by gene; its sums, and its controls, which `test_command` runs, too."""

from __future__ import annotations

import math
import os
import tracemalloc
from pathlib import Path
from unittest import mock

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from genept.data import expression, gene_vectors
from genept.engines.genept_w import embed as genept_w
from genept.engines.genept_w.config import Model
from genept.engines.genept_w.weighted_sums import DIMENSIONS, weighted_sums
from genept.engines.genept_w.weighted_sums import GENES as CACHED
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


def test_cells_in_parts_give_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, divided = make_cells_of_genes(), Model.parse(ENTRY | {"embed": {"divide_by": "weights"}}, "models/t.yaml")
    control = Model.parse({"title": "c", "engine": "genept_w", "control": "random", "draws": 3}, "models/c.yaml")

    def embeddings() -> list[np.ndarray]:
        found = [genept_w.embed(cells, folder, config, "cpu")[0] for config in (DEFAULT, divided)]
        return [*found, genept_w.embed_control(cells, folder, control, "cpu", seed=0)[0]]

    whole = embeddings()
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 7)
    for part, at_once in zip(embeddings(), whole, strict=True):
        np.testing.assert_array_equal(part, at_once)


def test_beside_the_matrix_memory_is_that_of_the_embedding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = anndata.AnnData(
        sp.csr_matrix(np.random.default_rng(0).poisson(1.0, size=(20_000, len(GENES))).astype(np.float32)),
        var=pd.DataFrame(index=GENES),
        uns={"x": "counts"},
    )
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 500)
    genept_w.embed(cells[:10].copy(), folder, DEFAULT, "cpu")
    tracemalloc.start()
    matrix, _ = genept_w.embed(cells, folder, DEFAULT, "cpu")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - matrix.nbytes < 3e6 < cells.X.data.nbytes  # some cells at a time, and the table of the compiled sums


def test_neither_other_cells_nor_the_order_of_genes_matter_and_the_input_stays(folder: Path) -> None:
    cells = make_cells_of_genes()
    before = cells.X.copy()
    matrix, _ = genept_w.embed(cells, folder, DEFAULT, "cpu")
    assert (cells.X != before).nnz == 0
    part, _ = genept_w.embed(cells[[7, 4, 20]].copy()[:, ::-1].copy(), folder, DEFAULT, "cpu")
    np.testing.assert_allclose(part, matrix[[7, 4, 20]], rtol=0, atol=1e-6)


def test_released_vectors_are_also_counted_by_exact_name_as_the_authors_do(folder: Path, tmp_path: Path) -> None:
    cells = make_cells_of_genes()
    vectors, genes = gene_vectors.read(folder)
    in_file = [gene._replace(n_tokens=0, text="OLD1" if gene.symbol == "G1" else gene.symbol) for gene in genes]
    gene_vectors.write(tmp_path / "model", vectors, in_file, {})
    names = {"G1": "OLD1", "G2": "OLD2", "G3": "g3"}  # the file's own; G1 is old in both files
    cells.var["original_symbol"] = [names.get(gene, gene) for gene in cells.var_names]
    matrix, notes = genept_w.embed(cells, tmp_path / "model", DEFAULT, "cpu")
    assert (notes["n_genes_missing"], notes["n_genes_missing_exact"]) == (10, 12)
    np.testing.assert_array_equal(matrix, genept_w.embed(make_cells_of_genes(), folder, DEFAULT, "cpu")[0])
    of_texts = Model.parse(ENTRY | {"vectors": {"text": "name"}}, "models/t.yaml")
    assert "n_genes_missing_exact" not in genept_w.embed(cells, folder, of_texts, "cpu")[1]


N_CELLS = 23


def make(n_genes: int, n_dimensions: int, density: float) -> tuple[sp.csr_matrix, np.ndarray]:
    weights = sp.random(N_CELLS, n_genes, density, format="csr", dtype=np.float32, random_state=0)
    return weights, np.random.default_rng(0).normal(size=(n_genes, n_dimensions)).astype(np.float32)


@pytest.mark.parametrize("n_genes", [1, 40, CACHED, 2 * CACHED + 7])
@pytest.mark.parametrize("n_dimensions", [1, 40, DIMENSIONS, DIMENSIONS + 44])
@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_sums_are_those_of_float64(n_genes: int, n_dimensions: int, density: float) -> None:
    weights, vectors = make(n_genes, n_dimensions, density)
    found = weighted_sums(weights, vectors)
    assert found.dtype == np.float32 and found.shape == (N_CELLS, n_dimensions)
    exact = weights.toarray().astype(float) @ vectors.astype(float)
    lengths = weights.toarray().astype(float) @ np.abs(vectors).astype(float)
    assert (np.abs(found - exact) <= 1e-6 * lengths).all()


@given(
    n_threads=st.integers(1, 40), cells=st.lists(st.integers(0, N_CELLS - 1), max_size=40), shuffled=st.integers(0, 99)
)
def test_sums_are_the_same_to_the_bit_for_any_threads_cells_and_order_of_stored_values(
    n_threads: int, cells: list[int], shuffled: int
) -> None:
    weights, vectors = make(60, 30, 0.3)
    everything = weighted_sums(weights, vectors)
    part = weights[cells]
    rng = np.random.default_rng(shuffled)
    for start, end in zip(part.indptr[:-1], part.indptr[1:], strict=True):
        order = start + rng.permutation(end - start)
        part.indices[start:end], part.data[start:end] = part.indices[order], part.data[order]
    part.has_sorted_indices = False
    before = part.indices.copy()
    with mock.patch.dict(os.environ, OMP_NUM_THREADS=str(n_threads)):
        np.testing.assert_array_equal(weighted_sums(part, vectors), everything[cells])
    np.testing.assert_array_equal(part.indices, before)


SYMBOLS = [f"G{i}" for i in range(4000)]


def test_random_directions_are_uniform_and_have_the_norms_of_the_vectors() -> None:
    vectors = np.random.default_rng(1).gamma(2.0, size=(4000, 1)) * np.ones(8)
    noise = genept_w.random(vectors, SYMBOLS, np.random.default_rng(3))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1, keepdims=True), norms)
    np.testing.assert_allclose((noise / norms).mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose((noise / norms).T @ (noise / norms) / 4000, np.eye(8) / 8, atol=0.01)


def test_controls_follow_the_seed_and_not_the_order_of_rows() -> None:
    vectors = np.random.default_rng(1).normal(size=(4000, 4))
    order = np.random.default_rng(2).permutation(4000)
    reordered = [SYMBOLS[i] for i in order]
    rng = np.random.default_rng
    for seed in (5, 6):
        noise, dealt = genept_w.random(vectors, SYMBOLS, rng(seed)), vectors[genept_w.shuffle(SYMBOLS, rng(seed))]
        np.testing.assert_allclose(genept_w.random(vectors[order], reordered, rng(seed)), noise[order])
        np.testing.assert_array_equal(vectors[order][genept_w.shuffle(reordered, rng(seed))], dealt[order])
        assert sorted(map(tuple, dealt)) == sorted(map(tuple, vectors))
    assert (genept_w.random(vectors, SYMBOLS, rng(5)) != noise).all()
    assert (genept_w.shuffle(SYMBOLS, rng(6)) != genept_w.shuffle(SYMBOLS, rng(5))).mean() > 0.9


@pytest.mark.parametrize("kind", ["random", "shuffled"])
def test_a_draw_is_an_embedding_by_vectors_of_its_own_and_depends_on_no_other(folder: Path, kind: str) -> None:
    """Each draw against the embedding of its vectors, written as a model of its own; draw 0 starts from the seed."""
    cells = make_cells_of_genes()
    vectors, genes = gene_vectors.read(folder)
    symbols = [gene.symbol for gene in genes]
    draws = of_control(cells, folder, kind, draws=3, seed=7)
    assert draws.shape == (3, cells.n_obs, N_DIMENSIONS) and draws.dtype == np.float32
    for draw, matrix in enumerate(draws):
        rng = np.random.default_rng(7 if draw == 0 else np.random.SeedSequence([7, draw]))
        own = genept_w.random(vectors, symbols, rng) if kind == "random" else vectors[genept_w.shuffle(symbols, rng)]
        gene_vectors.write(folder.parent / f"{kind}{draw}", own, genes, {})
        np.testing.assert_array_equal(matrix, genept_w.embed(cells, folder.parent / f"{kind}{draw}", DEFAULT, "cpu")[0])
    np.testing.assert_array_equal(of_control(cells, folder, kind, draws=1, seed=7)[0], draws[0])
    assert len(np.unique(np.concatenate([draws, of_control(cells, folder, kind, draws=3, seed=8)]), axis=0)) == 6


def of_control(cells: anndata.AnnData, folder: Path, kind: str, draws: int, seed: int) -> np.ndarray:
    config = Model.parse({"title": "t", "engine": "genept_w", "control": kind, "draws": draws}, "models/t.yaml")
    return genept_w.embed_control(cells, folder, config, "cpu", seed)[0]
