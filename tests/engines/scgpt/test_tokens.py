"""Bins and tokens of scGPT: against numpy, upstream's recorded draws and the distribution of its draws."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genept.engines.scgpt import binning, tokens
from genept.engines.scgpt.tokens import Tokens
from tests.engines.scgpt.made import counts


def reference_bins(values: np.ndarray, uniforms: np.ndarray, n_bins: int) -> np.ndarray:
    edges = np.quantile(values, np.linspace(0, 1, n_bins - 1))
    left, right = np.digitize(values, edges), np.digitize(values, edges, right=True)
    return np.ceil(uniforms * (right - left) + left)


def cut(values: np.ndarray, uniforms: np.ndarray, n_bins: int, drawn: bool = True) -> np.ndarray:
    bins = np.empty(len(values), dtype=np.float32)
    binning.cut(values.astype(np.float32), uniforms, np.linspace(0, 1, n_bins - 1), drawn, bins)
    return bins


@given(data=st.data(), n_bins=st.sampled_from([3, 5, 51, 100]), n=st.integers(1, 300))
def test_bins_equal_quantile_and_digitize_to_the_bit(data: st.DataObject, n_bins: int, n: int) -> None:
    numbers = data.draw(st.sampled_from([st.integers(1, 4), st.integers(1, 10_000), st.floats(2**-10, 12, width=32)]))
    values = data.draw(hnp.arrays(np.float32, n, elements=numbers))
    uniforms = np.random.default_rng(data.draw(st.integers(0, 99))).random(n)
    found = cut(values, uniforms, n_bins)
    np.testing.assert_array_equal(found, reference_bins(values, uniforms, n_bins))
    assert found.min() >= 1 and found.max() <= n_bins - 1


def test_bins_replay_upstreams_draws_for_real_cells(golden: dict[str, np.ndarray]) -> None:
    generator = np.random.RandomState(0)
    for cell, n_cells_between in ((0, 0), (1, 1124)):  # upstream drew once per gene, cell after cell
        generator.random_sample(n_cells_between)
        expressed = golden["counts"][cell] > 0
        values = golden["counts"][cell][expressed].astype(np.float32)
        bins = cut(values, generator.random_sample(len(values)), 51)
        by_gene = dict(zip(golden["gene_ids"][expressed], bins, strict=True))
        length = golden["drawn_lengths"][cell]
        recorded = golden["drawn_values"][cell, 1:length]
        assert [by_gene[gene] for gene in golden["drawn_ids"][cell, 1:length]] == recorded.tolist()


def tokenise(
    data: anndata.AnnData, gene_ids: np.ndarray, max_length: int = 1200, seed: int = 0, drawn: bool = True
) -> Tokens:
    special = {"cls_id": 99, "pad_value": -2, "n_bins": 51}
    cells = list(data.obs_names)
    return tokens.tokenise(data.X, cells, gene_ids, max_length=max_length, seed=seed, drawn=drawn, **special)


def cell_tokens(sequences: Tokens, cell: int) -> dict[int, int]:
    part = slice(sequences.starts[cell], sequences.starts[cell + 1])
    return dict(zip(sequences.ids[part].tolist(), sequences.values[part].tolist(), strict=True))


def test_a_cell_is_cls_and_its_expressed_vocabulary_genes_in_the_order_of_var() -> None:
    data = counts()
    gene_ids = np.arange(60)[::-1].copy()
    gene_ids[::7] = -1
    sequences = tokenise(data, gene_ids)
    for cell, row in enumerate(data.X.toarray()):
        expected = [99, *(gene for gene, value in zip(gene_ids, row, strict=True) if value and gene >= 0)]
        start, stop = sequences.starts[cell : cell + 2]
        assert sequences.ids[start:stop].tolist() == expected
        assert sequences.values[start] == -2
        assert (sequences.values[start + 1 : stop] >= 1).all() and (sequences.values[start + 1 : stop] <= 50).all()


def test_explicit_zeros_and_unsorted_indices_change_nothing() -> None:
    data = counts()
    shuffled = data.copy()
    x = shuffled.X
    x.data[0] = 0
    data.X[0, x.indices[0]] = 0
    for row in range(x.shape[0]):
        part = slice(x.indptr[row], x.indptr[row + 1])
        x.indices[part], x.data[part] = x.indices[part][::-1].copy(), x.data[part][::-1].copy()
    x.has_sorted_indices = False
    expected, found = tokenise(data, np.arange(60)), tokenise(shuffled, np.arange(60))
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.values, expected.values)


def test_draws_belong_to_cell_and_gene_and_a_long_cell_keeps_a_subset_binned_over_all_its_genes() -> None:
    data = counts()
    whole, cut = tokenise(data, np.arange(60)), tokenise(data, np.arange(60), max_length=15)
    assert cut.lengths.tolist() == np.minimum(whole.lengths, 15).tolist()
    assert cut.n_expressed.tolist() == whole.n_expressed.tolist()
    rng = np.random.default_rng(1)
    cells, genes = rng.permutation(12)[:7], rng.permutation(60)
    some = tokenise(data[cells][:, genes].copy(), genes, max_length=15)
    for place, cell in enumerate(cells.tolist()):
        subset = cell_tokens(some, place)
        assert next(iter(subset)) == 99
        assert subset == cell_tokens(cut, cell) and subset.items() <= cell_tokens(whole, cell).items()


def cells_of_ones(n_cells: int, n_genes: int) -> anndata.AnnData:
    x = sp.csr_matrix(np.ones((n_cells, n_genes), dtype=np.float32))
    return anndata.AnnData(x, pd.DataFrame(index=[f"cell{i}" for i in range(n_cells)]))


def test_every_gene_of_a_long_cell_is_equally_likely_to_be_kept() -> None:
    sequences = tokenise(cells_of_ones(2000, 30), np.arange(30), max_length=11)
    times = np.bincount(sequences.ids[sequences.ids != 99], minlength=30)
    assert times.sum() == 2000 * 10
    assert np.abs(times / 2000 - 1 / 3).max() < 0.05  # standard deviation 0.0105


def test_draws_are_uniform_over_the_bins_as_upstreams_and_independent_between_genes() -> None:
    """Values that are all equal can be in any bin; upstream draws each from 1 to 50 alike."""
    sequences = tokenise(cells_of_ones(2000, 20), np.arange(20))
    bins = sequences.values.reshape(2000, 21)[:, 1:]
    for gene in range(20):
        assert scipy.stats.chisquare(np.bincount(bins[:, gene].astype(int), minlength=51)[1:]).pvalue > 1e-4
    correlations = np.corrcoef(bins.T)[np.triu_indices(20, 1)]
    assert np.abs(correlations).max() < 0.1  # standard deviation 0.022
    assert abs(np.corrcoef(bins[:-1].ravel(), bins[1:].ravel())[0, 1]) < 0.02  # of neighbouring cells; 0.005


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_and_their_portions_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    expected = tokenise(counts(40), np.arange(60), 25)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(tokens, "CELLS_AT_ONCE", 3)
    found = tokenise(counts(40), np.arange(60), 25)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.values, expected.values)


COUNTS = hnp.arrays(np.float32, st.integers(1, 80), elements=st.integers(1, 6))


@given(values=COUNTS, n_bins=st.sampled_from([3, 5, 51]))
def test_the_expected_bin_is_the_middle_of_those_that_can_be_drawn(values: np.ndarray, n_bins: int) -> None:
    found = cut(values, np.zeros(len(values)), n_bins, drawn=False)
    highest, lowest = (cut(values, np.full(len(values), share), n_bins) for share in (0.0, 1 - 1e-9))
    np.testing.assert_array_equal(found, (highest + lowest) / 2)


def test_expected_bins_need_no_seed_where_no_cell_is_too_long() -> None:
    data = counts()
    first, second = (tokenise(data, np.arange(60), seed=seed, drawn=False) for seed in (0, 1))
    np.testing.assert_array_equal(first.values, second.values)
    assert (first.values % 1 == 0.5).any()
