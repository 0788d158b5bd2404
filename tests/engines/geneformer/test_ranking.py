"""Rank-value tokens of Geneformer: against the original code, and properties of any cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from genept.engines.geneformer import ranking
from genept.engines.geneformer.dictionaries import Dictionaries
from tests.engines.geneformer.made import V1, V2, random_cells, reference_tokens, small, upstream


@pytest.mark.parametrize(("rules", "max_length"), [("v1", 2048), ("v2", 4096), ("collapse", 4096)])
def test_tokens_are_those_of_the_original_code(rules: str, max_length: int) -> None:
    counts, ids, entries, expected = upstream(rules)
    found, n_truncated = ranking.rank(counts, ranking.match(ids, entries), entries, max_length)
    assert [cell.tolist() for cell in found] == expected
    assert n_truncated == (1 if rules == "v1" else 0)


def test_cells_of_many_equal_or_hugely_different_values_are_sorted() -> None:
    """The sort's buckets are fine for expression; here all values share a few of them."""
    entries = small(V1, 3000)
    entries.medians.update(dict.fromkeys(entries.medians, 1.0))
    ids = list(entries.medians)[::-1]
    rng = np.random.default_rng(0)
    rows = np.array([rng.integers(0, 3, 3000), np.ones(3000), rng.random(3000), 10.0 ** rng.uniform(-30, 30, 3000)])
    found, _ = ranking.rank(sparse.csr_matrix(rows), ranking.match(ids, entries), entries, 3000)
    assert [cell.tolist() for cell in found] == [reference_tokens(row, ids, entries, 3000) for row in rows]


def test_a_special_token_is_no_gene_name() -> None:
    entries = small(V1, 2)
    assert not ranking.match(["<pad>", "<mask>", "", "nan"], entries).has_token.any()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_and_their_portions_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    entries = small(V2)
    cells = random_cells(entries, n_cells=11)
    matched = ranking.match(cells.var["ensembl_id"].tolist(), entries)
    whole, n_truncated = ranking.rank(cells.X, matched, entries, 8)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(ranking, "CELLS_AT_ONCE", 3)
    portions, n_truncated_in_portions = ranking.rank(cells.X, matched, entries, 8)
    assert [cell.tolist() for cell in portions] == [cell.tolist() for cell in whole]
    assert n_truncated == n_truncated_in_portions


def test_values_that_differ_in_the_last_bit_are_no_tie() -> None:
    genes = ["A", "B", "C", "D"]
    medians = dict(zip(genes, [1.0, np.nextafter(1, 2), np.nextafter(1, 0), 1.0], strict=True))
    entries = Dictionaries({**V1, **{gene: i + 2 for i, gene in enumerate(genes)}}, medians)
    found, _ = ranking.rank(sparse.csr_matrix([[3, 3, 3, 3]]), ranking.match(genes, entries), entries, 10)
    assert found[0].tolist() == [4, 2, 5, 3]


@st.composite
def cells_with_shared_genes(draw: st.DrawFn) -> tuple[np.ndarray, list[str], Dictionaries]:
    """Few counts and medians, so that many values are equal or differ in the last bit, and columns that share genes."""
    genes = [f"ENSG{i:011d}" for i in range(1, 9)]
    special = draw(st.sampled_from([V1, V2]))
    order = draw(st.permutations(genes))
    few = st.sampled_from([0.1, 0.3, 0.7, 0.9, 1.0, 1.4, 3.0])
    entries = Dictionaries(
        special | {gene: len(special) + i for i, gene in enumerate(order)},
        {gene: draw(few) for gene in genes},
        {f"ALIAS{i}": gene for i, gene in enumerate(genes)},
    )
    names = st.sampled_from([*genes, *entries.aliases, "alias0", "unknown", ""])
    ids = draw(st.lists(names, min_size=1, max_size=20))
    rows = st.lists(st.sampled_from([0, 0, 1, 2, 3, 7, 9, 30]), min_size=len(ids), max_size=len(ids))
    return np.array(draw(st.lists(rows, min_size=1, max_size=5))), ids, entries


@given(cells=cells_with_shared_genes(), max_length=st.integers(3, 12), zeros=st.booleans())
def test_any_cells_are_ranked_as_described(
    cells: tuple[np.ndarray, list[str], Dictionaries], max_length: int, zeros: bool
) -> None:
    rows, ids, entries = cells
    counts = sparse.csr_matrix(rows.astype(np.float32))
    if zeros:  # every place stored
        starts = np.arange(len(rows) + 1) * len(ids)
        stored = rows.astype(np.float32).ravel(), np.tile(np.arange(len(ids)), len(rows)), starts
        counts = sparse.csr_matrix(stored, shape=rows.shape)
    before = counts.copy()
    found, n_truncated = ranking.rank(counts, ranking.match(ids, entries), entries, max_length)
    assert [cell.tolist() for cell in found] == [reference_tokens(row, ids, entries, max_length) for row in rows]
    unlimited = [len(reference_tokens(row, ids, entries, 1000)) for row in rows]
    assert n_truncated == sum(length > max_length for length in unlimited)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(counts, part), getattr(before, part))
