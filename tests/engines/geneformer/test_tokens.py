"""Rank-value tokens of Geneformer: against the original code, and properties of any cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from genept.engines.geneformer import ranking, tokens
from genept.engines.geneformer.dictionaries import Dictionaries
from tests.engines.geneformer.made import V1, V2, random_cells, reference_tokens, small, upstream


def test_the_geneformer_package_ranks_a_cell_the_same() -> None:
    original = pytest.importorskip(
        "geneformer.tokenizer",
        reason="the optional geneformer package is absent; frozen vectors stand in for it",
    )
    counts, ids, entries, _ = upstream("v1")
    ranked, _ = tokens.rank(counts, tokens.match(ids, entries), entries, 2048)
    known = np.array([name in entries.medians for name in ids])
    medians = np.array([entries.medians[name] for name in np.array(ids)[known]])
    numbers = np.array([entries.tokens[name] for name in np.array(ids)[known]])
    for row, ours in zip(counts.toarray().astype(float), ranked, strict=True):
        theirs = original.tokenize_cell(row[known] / row.sum() * 10_000 / medians, numbers)[:2048]
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("rules", "max_length"), [("v1", 2048), ("v2", 4096), ("collapse", 4096)])
def test_tokens_are_those_of_the_original_code(rules: str, max_length: int) -> None:
    counts, ids, entries, expected = upstream(rules)
    found, n_truncated = tokens.rank(counts, tokens.match(ids, entries), entries, max_length)
    assert [cell.tolist() for cell in found] == expected
    assert n_truncated == (1 if rules == "v1" else 0)


@pytest.mark.parametrize("special", [V1, V2])
def test_tokens_follow_the_description(special: dict[str, int]) -> None:
    entries = small(special)
    cells = random_cells(entries, n_cells=40)
    ids = cells.var["ensembl_id"].tolist()
    found, n_truncated = tokens.rank(cells.X, tokens.match(ids, entries), entries, max_length=12)
    rows = cells.X.toarray()
    assert [cell.tolist() for cell in found] == [reference_tokens(row, ids, entries, 12) for row in rows]
    room = 12 if special is V1 else 10
    assert n_truncated == int(((rows[:, :30] > 0).sum(axis=1) > room).sum()) > 0


def test_the_total_counts_genes_without_a_token_and_the_ranking_does_not_show_them() -> None:
    entries = Dictionaries({**V1, "A": 2, "B": 3}, {"A": 1.0, "B": 2.5})
    matched = tokens.match(["A", "X", "B"], entries)
    values = tokens.relative(np.array([2, 3, 5]), np.arange(3), np.array([0, 3]), matched)
    assert values.tolist() == [2000.0, 0.0, 2000.0]
    found, _ = tokens.rank(sparse.csr_matrix([[2, 3, 5]]), matched, entries, 10)
    assert found[0].tolist() == [2, 3]  # 2000 / 1 and 5000 / 2.5: a tie, given to the smaller token
    assert matched.has_token.tolist() == [True, False, True]


@pytest.mark.parametrize("special", [V1, V2])
def test_a_cell_without_a_gene_that_has_a_token_has_no_tokens(special: dict[str, int]) -> None:
    entries = small(special, 2)
    counts = sparse.csr_matrix(np.array([[0, 0, 4], [0, 0, 0], [1, 0, 0]]))
    matched = tokens.match([*list(entries.medians), "unknown"], entries)
    found, _ = tokens.rank(counts, matched, entries, 10)
    assert [len(cell) for cell in found] == [0, 0, 1 if special is V1 else 3]


def test_stored_zeros_are_no_genes() -> None:
    entries = small(V1, 3)
    counts = sparse.csr_matrix((np.array([0.0, 2.0]), [0, 1], [0, 2]), shape=(1, 3))
    found, _ = tokens.rank(counts, tokens.match(list(entries.medians), entries), entries, 10)
    assert found[0].tolist() == [3]


def test_columns_of_one_gene_are_summed_also_under_an_alias() -> None:
    entries = Dictionaries({**V2, "A": 4, "B": 5}, {"A": 1.0, "B": 1.0}, {"OLD_A": "A", "A": "A", "B": "B"})
    counts = sparse.csr_matrix(np.array([[2, 3, 2]]))
    found, _ = tokens.rank(counts, tokens.match(["A", "B", "old_a"], entries), entries, 10)
    assert found[0].tolist() == [2, 4, 5, 3]


def test_a_special_token_is_no_gene_name() -> None:
    entries = small(V1, 2)
    assert not tokens.match(["<pad>", "<mask>", "", "nan"], entries).has_token.any()


def test_many_cells_are_ranked_in_pieces_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = small(V2)
    cells = random_cells(entries, n_cells=11)
    matched = tokens.match(cells.var["ensembl_id"].tolist(), entries)
    whole, n_truncated = tokens.rank(cells.X, matched, entries, 8)
    monkeypatch.setattr(tokens, "VALUES_AT_ONCE", 40)
    assert len(tokens.pieces(cells.X.indptr)) > 2
    pieces, n_truncated_in_pieces = tokens.rank(cells.X, matched, entries, 8)
    assert [cell.tolist() for cell in pieces] == [cell.tolist() for cell in whole]
    assert n_truncated == n_truncated_in_pieces


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
    found, n_truncated = tokens.rank(counts, tokens.match(ids, entries), entries, max_length)
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
    straight, n_truncated = tokens.rank(sparse.csr_matrix(rows), tokens.match(ids, entries), entries, 6)
    shuffled = sparse.csr_matrix(rows[by_cell][:, by_column])
    found, n_truncated_shuffled = tokens.rank(shuffled, tokens.match([ids[i] for i in by_column], entries), entries, 6)
    assert [cell.tolist() for cell in found] == [straight[i].tolist() for i in by_cell]
    assert n_truncated_shuffled == n_truncated


@given(
    cells=st.lists(st.lists(st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.integers(-1, 3)), max_size=12), max_size=5),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_values_that_differ_in_the_last_bit_are_no_tie(cells: list[list[tuple[float, int]]], seed: int) -> None:
    values = [0.0 if n < 0 else value + n * float(np.spacing(value)) for cell in cells for value, n in cell]
    starts = np.cumsum([0, *map(len, cells)])
    numbers = np.random.default_rng(seed).permutation(len(values)).astype(np.int32)
    ranked, n_expressed = np.empty_like(numbers), np.empty(len(cells), dtype=np.int64)
    ranking.descending(np.array(values, dtype=float), numbers, starts, ranked, n_expressed)
    for i, (start, end) in enumerate(pairwise(starts)):
        cell = zip(values[start:end], numbers[start:end].tolist(), strict=True)
        expected = sorted((-value, number) for value, number in cell if value)
        assert n_expressed[i] == len(expected)
        assert ranked[start : start + len(expected)].tolist() == [number for _, number in expected]


@pytest.mark.parametrize("n_values", [1, 40, 3000])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 5.0, 200.0])
def test_the_order_holds_for_equal_crowded_and_far_values(n_values: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    values = np.exp(spread * rng.standard_normal(n_values)) * rng.integers(0, 3, n_values)
    numbers = rng.permutation(n_values).astype(np.int32)
    ranked, n_expressed = np.empty_like(numbers), np.empty(1, dtype=np.int64)
    ranking.descending(values, numbers, np.array([0, n_values]), ranked, n_expressed)
    expected = numbers[np.lexsort((numbers, -values))][: np.count_nonzero(values)]
    np.testing.assert_array_equal(ranked[: n_expressed[0]], expected)


counts_of_a_cell = st.lists(st.integers(0, 50), min_size=8, max_size=8).map(np.array)


@given(row=counts_of_a_cell, order=st.permutations(range(8)))
@settings(deadline=None)
def test_the_order_of_the_genes_changes_nothing_even_with_ties(row: np.ndarray, order: list[int]) -> None:
    ids = ["A", "B", "C", "D", "E", "F", "other", ""]
    entries = Dictionaries({**V1, **{gene: i + 2 for i, gene in enumerate("ABCDEF")}}, dict.fromkeys("ABCDEF", 2.0))
    straight, _ = tokens.rank(sparse.csr_matrix(row[None]), tokens.match(ids, entries), entries, 4)
    shuffled = tokens.match([ids[i] for i in order], entries)
    permuted, _ = tokens.rank(sparse.csr_matrix(row[order][None]), shuffled, entries, 4)
    assert permuted[0].tolist() == straight[0].tolist()


@given(row=counts_of_a_cell, factor=st.integers(1, 1000))
@settings(deadline=None)
def test_a_deeper_cell_of_the_same_composition_has_the_same_tokens(row: np.ndarray, factor: int) -> None:
    entries = small(V2, 7)
    matched = tokens.match([*list(entries.medians), "other"], entries)
    found, _ = tokens.rank(sparse.csr_matrix(np.stack([row, row * factor])), matched, entries, 6)
    assert found[0].tolist() == found[1].tolist()


@given(rows=st.lists(counts_of_a_cell, min_size=1, max_size=4), max_length=st.integers(3, 12))
@settings(deadline=None)
def test_tokens_are_distinct_known_and_at_most_the_length_the_network_takes(
    rows: list[np.ndarray], max_length: int
) -> None:
    entries = small(V2, 7)
    matched = tokens.match([*list(entries.medians), "other"], entries)
    found, _ = tokens.rank(sparse.csr_matrix(np.stack(rows)), matched, entries, max_length)
    assert len(found) == len(rows)
    for row, cell in zip(rows, found, strict=True):
        assert len(set(cell.tolist())) == len(cell) <= max_length
        assert set(cell.tolist()) <= set(range(2, 11))
        assert len(cell) == (min(max_length, (row[:7] > 0).sum() + 2) if row[:7].any() else 0)
