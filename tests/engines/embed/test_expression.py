"""Log-normalised expression, how much of it a model sees, and its PCA, the baseline."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from genept.core.errors import InputError
from genept.data import covariance, expression
from genept.data.cells import in_memory
from genept.data.pca import principal_components
from genept.engines import config as models
from tests import helpers
from tests.engines.embed.made import GENES, make_cells


def log_normalised(cells: anndata.AnnData) -> np.ndarray:
    dense = cells.X.toarray().astype(float)
    if cells.uns["x"] == "lognorm":
        return dense
    totals = dense.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(dense * 10_000, totals, out=np.zeros_like(dense), where=totals > 0))


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(helpers.ROOT)


@pytest.mark.parametrize("x", ["counts", "lognorm"])
def test_expression_is_log_normalised_only_if_it_is_counts(x: str) -> None:
    cells = make_cells(30, 20, x)
    cells.X = sp.csr_matrix(cells.X.toarray() * (np.arange(30) != 4)[:, np.newaxis])  # an empty cell stays empty
    found = expression.log_normalise(cells)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.toarray(), log_normalised(cells), rtol=1e-6)


def test_coverage_counts_what_a_model_does_not_see() -> None:
    x = sp.csr_matrix(np.array([[1, 0, 3], [0, 0, 6], [0, 0, 0]], dtype=np.float32))
    cells = anndata.AnnData(x, var=pd.DataFrame(index=["A", "B", "C"]))
    assert expression.coverage(cells, np.array([True, True, False])) == {
        "n_genes": 3,
        "n_genes_missing": 1,
        "share_of_counts_missing": 0.9,
        "n_cells_without_gene": 2,
    }
    with pytest.raises(InputError, match=r"none of the 3 genes \(A, B, C, \.\.\.\)"):
        expression.coverage(cells, np.zeros(3, dtype=bool))


@given(
    dense=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    data=st.data(),
    index_type=st.sampled_from([np.int32, np.int64]),
    cells_at_once=st.integers(1, 10),
)
def test_coverage_is_that_of_the_dense_matrix_however_it_is_stored(
    dense: np.ndarray, data: st.DataObject, index_type: type, cells_at_once: int
) -> None:
    known = data.draw(hnp.arrays(bool, dense.shape[1]))
    stored = data.draw(hnp.arrays(bool, dense.shape)) | (dense > 0)  # some of the zeros, too
    x = sp.csr_matrix(stored.astype(np.float32))
    x.data = dense[stored]
    x.indices, x.indptr = x.indices.astype(index_type), x.indptr.astype(index_type)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expression, "CELLS_AT_ONCE", cells_at_once)
        sums = expression.gene_totals(x)
        if known.any():
            notes = expression.coverage(anndata.AnnData(x, var=pd.DataFrame(index=GENES[: len(known)])), known)
            assert notes["n_cells_without_gene"] == sum(not row.any() for row in dense[:, known])
    assert sums.tolist() == dense.sum(axis=0).tolist() and sums.dtype == np.float64
    assert x.indices.dtype == index_type


def test_a_gene_with_more_counts_than_float32_can_count_is_summed_exactly() -> None:
    n = 30_000
    x = sp.csr_matrix(np.array([[2**24, 2**24], *([[1, 0]] * n)], dtype=np.float32))
    cells = anndata.AnnData(x, var=pd.DataFrame(index=["A", "B"]))
    notes = expression.coverage(cells, np.array([False, True]))
    assert notes["share_of_counts_missing"] == round((2**24 + n) / (2**25 + n), 6)
    assert notes["n_cells_without_gene"] == n


@pytest.mark.parametrize("x", ["counts", "lognorm"])
@pytest.mark.parametrize("shape", [(80, 40), (40, 80)])
def test_the_baseline_is_an_exact_pca_with_fixed_signs(x: str, shape: tuple[int, int], repository: None) -> None:
    """Against numpy's decomposition of the dense matrix; of each component's loadings the largest is positive."""
    config = models.read("expression")
    cells = make_cells(*shape, x)
    matrix, notes = models.code("expression", config).embed(cells, Path(), config, "cpu")
    centred = log_normalised(cells) - log_normalised(cells).mean(axis=0)
    _, _, loadings = np.linalg.svd(centred, full_matrices=False)
    loadings = loadings[: min(50, min(shape) - 1)]
    signs = [1 if max(row, key=abs) > 0 else -1 for row in loadings.tolist()]
    np.testing.assert_allclose(matrix, centred @ loadings.T * signs, atol=1e-4 * np.abs(centred).max())
    assert matrix.dtype == np.float32
    assert notes["comparable"] is True and notes["n_genes"] == shape[1]


def test_components_do_not_depend_on_the_number_of_threads_or_on_storage() -> None:
    x = expression.log_normalise(make_cells(300, 200))
    with threadpool_limits(1):
        one = principal_components(x, 20)
    with threadpool_limits(2):
        np.testing.assert_array_equal(principal_components(x, 20), one)
    np.testing.assert_allclose(principal_components(x.toarray(), 20), one, rtol=0, atol=1e-9)


@pytest.mark.parametrize("x", ["counts", "lognorm"])
@pytest.mark.parametrize("shape", [(300, 90), (90, 300)])
def test_components_of_many_cells_are_read_in_parts_and_the_same(
    x: str, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch, repository: None
) -> None:
    config = models.read("expression")
    code, cells = models.code("expression", config), make_cells(*shape, x)
    whole, _ = code.embed(cells, Path(), config, "cpu")
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 70)
    monkeypatch.setattr(covariance, "CELLS_AT_ONCE", 40)

    def in_parts() -> np.ndarray:
        sums: dict[str, np.ndarray] = {}
        for some in (slice(0, 55), slice(55, None)):
            code.add(cells[some], sums, config)
        found = code.survey(in_memory(cells), sums, config)
        parts = [cells[some].copy() for some in (slice(0, 20), slice(20, None))]
        for part in parts:
            part.uns |= found
        return np.concatenate([code.embed(part, Path(), config, "cpu")[0] for part in parts])

    parts = in_parts()
    rounding = 2 * np.spacing(np.abs(whole).max())  # of float32, in which both are kept
    assert np.abs(parts - whole).max() <= 1e-6 * whole.std(axis=0).min() + rounding
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    np.testing.assert_array_equal(in_parts(), parts)


@given(
    st.integers(1, 30).flatmap(lambda n: hnp.arrays(np.float32, (7, n), elements=st.integers(0, 9))), st.integers(1, 8)
)
def test_sums_of_products_are_those_of_numpy(values: np.ndarray, n_at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(covariance, "CELLS_AT_ONCE", n_at_once)
        sums: dict[str, np.ndarray] = {}
        for some in (values[:3], values[3:]):
            covariance.add_products(sums, sp.csr_matrix(some))
    products = values.T.astype(float) @ values
    np.testing.assert_array_equal(sums["products"], products[np.triu_indices(values.shape[1])])
    np.testing.assert_array_equal(sums["totals"], values.sum(axis=0))


def test_normalising_takes_memory_for_its_result_and_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression, "CELLS_AT_ONCE", 100)
    cells = make_cells(5000, 60)
    expression.log_normalise(cells[:10])
    tracemalloc.start()
    found = expression.log_normalise(cells)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * found.data.nbytes + 200_000


@pytest.mark.parametrize("shape", [(6, 40), (40, 6)])
def test_few_cells_or_genes_have_few_components(shape: tuple[int, int]) -> None:
    x = expression.log_normalise(make_cells(*shape))
    assert principal_components(x, 50).shape == (shape[0], 5)
    dense = principal_components(x.toarray(), 50)
    assert dense.shape == (shape[0], 6)
    np.testing.assert_allclose(dense[:, :5], principal_components(x, 50), rtol=0, atol=1e-9)
