"""Rank-value tokens of Geneformer: against the original code, and properties of any cells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
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


@pytest.mark.parametrize("special", [V1, V2])
def test_tokens_follow_the_description(special: dict[str, int]) -> None:
    entries = small(special)
    cells = random_cells(entries, n_cells=40)
    ids = cells.var["ensembl_id"].tolist()
    found, n_truncated = ranking.rank(cells.X, ranking.match(ids, entries), entries, max_length=12)
    rows = cells.X.toarray()
    assert [cell.tolist() for cell in found] == [reference_tokens(row, ids, entries, 12) for row in rows]
    room = 12 if special is V1 else 10
    assert n_truncated == int(((rows[:, :30] > 0).sum(axis=1) > room).sum()) > 0


def test_the_total_counts_genes_without_a_token_and_the_ranking_does_not_show_them() -> None:
    entries = Dictionaries({**V1, "A": 2, "B": 3}, {"A": 1.0, "B": 2.5})
    matched = ranking.match(["A", "X", "B"], entries)
    values = ranking.relative(sparse.csr_matrix([[2, 3, 5]]), matched)
    assert values.toarray().tolist() == [[0.0, 0.0, 2000.0, 2000.0]]
    found, _ = ranking.rank(sparse.csr_matrix([[2, 3, 5]]), matched, entries, 10)
    assert found[0].tolist() == [2, 3]  # 2000 / 1 and 5000 / 2.5: a tie, given to the smaller token
    assert matched.has_token.tolist() == [True, False, True]


@pytest.mark.parametrize("special", [V1, V2])
def test_a_cell_without_a_gene_that_has_a_token_has_no_tokens(special: dict[str, int]) -> None:
    entries = small(special, 2)
    counts = sparse.csr_matrix(np.array([[0, 0, 4], [0, 0, 0], [1, 0, 0]]))
    matched = ranking.match([*list(entries.medians), "unknown"], entries)
    found, _ = ranking.rank(counts, matched, entries, 10)
    assert [len(cell) for cell in found] == [0, 0, 1 if special is V1 else 3]


def test_stored_zeros_are_no_genes() -> None:
    entries = small(V1, 3)
    counts = sparse.csr_matrix((np.array([0.0, 2.0]), [0, 1], [0, 2]), shape=(1, 3))
    found, _ = ranking.rank(counts, ranking.match(list(entries.medians), entries), entries, 10)
    assert found[0].tolist() == [3]


def test_columns_of_one_gene_are_summed_also_under_an_alias() -> None:
    entries = Dictionaries({**V2, "A": 4, "B": 5}, {"A": 1.0, "B": 1.0}, {"OLD_A": "A", "A": "A", "B": "B"})
    counts = sparse.csr_matrix(np.array([[2, 3, 2]]))
    found, _ = ranking.rank(counts, ranking.match(["A", "B", "old_a"], entries), entries, 10)
    assert found[0].tolist() == [2, 4, 5, 3]


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
@settings(deadline=None)
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


@given(data=st.data())
@settings(deadline=None)
def test_the_order_of_cells_and_columns_changes_no_token(data: st.DataObject) -> None:
    rows, ids, entries = data.draw(cells_with_shared_genes())
    by_cell = data.draw(st.permutations(range(len(rows))))
    by_column = data.draw(st.permutations(range(len(ids))))
    straight, n_truncated = ranking.rank(sparse.csr_matrix(rows), ranking.match(ids, entries), entries, 6)
    shuffled = sparse.csr_matrix(rows[by_cell][:, by_column])
    found, n_truncated_shuffled = ranking.rank(
        shuffled, ranking.match([ids[i] for i in by_column], entries), entries, 6
    )
    assert [cell.tolist() for cell in found] == [straight[i].tolist() for i in by_cell]
    assert n_truncated_shuffled == n_truncated


counts_of_a_cell = st.lists(st.integers(0, 50), min_size=8, max_size=8).map(np.array)


@given(row=counts_of_a_cell, factor=st.integers(1, 1000))
@settings(deadline=None)
def test_a_deeper_cell_of_the_same_composition_has_the_same_tokens(row: np.ndarray, factor: int) -> None:
    entries = small(V2, 7)
    matched = ranking.match([*list(entries.medians), "other"], entries)
    found, _ = ranking.rank(sparse.csr_matrix(np.stack([row, row * factor])), matched, entries, 6)
    assert found[0].tolist() == found[1].tolist()


@given(rows=st.lists(counts_of_a_cell, min_size=1, max_size=4), max_length=st.integers(3, 12))
@settings(deadline=None)
def test_tokens_are_distinct_known_and_at_most_the_length_the_network_takes(
    rows: list[np.ndarray], max_length: int
) -> None:
    entries = small(V2, 7)
    matched = ranking.match([*list(entries.medians), "other"], entries)
    found, _ = ranking.rank(sparse.csr_matrix(np.stack(rows)), matched, entries, max_length)
    assert len(found) == len(rows)
    for row, cell in zip(rows, found, strict=True):
        assert len(set(cell.tolist())) == len(cell) <= max_length
        assert set(cell.tolist()) <= set(range(2, 11))
        assert len(cell) == (min(max_length, (row[:7] > 0).sum() + 2) if row[:7].any() else 0)
