"""Geneformer: dictionaries, rank-value tokens, checkpoints, the network and the engine.

``fixtures/geneformer`` holds numbers that the original code (``TranscriptomeTokenizer``, V1 and V2) gave for two cells
of a public ovarian tumour (Qian et al. 2020), cut to the genes of those cells, and for the shorter one the mean of the
second-to-last layer of a BERT with random weights, cut to the cell's genes and positions.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from stages.embed.geneformer import embed
from stages.errors import InputError
from stages.geneformer import checkpoint, dictionaries, network, ranking, tokens
from stages.geneformer.dictionaries import Dictionaries

FIXTURES = Path(__file__).parent / "fixtures" / "geneformer"
V1 = {"<pad>": 0, "<mask>": 1}
V2 = {**V1, "<cls>": 2, "<eos>": 3}


def names(numbers: np.ndarray) -> list[str]:
    return [f"ENSG{number:011d}" if number else "" for number in numbers]


def upstream(rules: str) -> tuple[sparse.csr_matrix, list[str], Dictionaries, list[list[int]]]:
    """Counts, ids, dictionaries and the original code's tokens; `rules` is v1, v2 or collapse (V2 with alias ids)."""
    frozen = np.load(FIXTURES / "upstream_tokens.npz")
    edition = "v1" if rules == "v1" else "v2"
    ids = names(frozen[f"ensembl_{edition}"])
    medians = dict(zip(ids, frozen[f"median_{edition}"].tolist(), strict=True))
    aliases = {}
    genes = list(ids)
    if rules == "collapse":  # some columns relabelled with another id of a gene that mostly has a column already
        labels, targets = names(frozen["alias"]), names(frozen["alias_gene"])
        aliases = dict(zip(labels, targets, strict=True))
        medians |= dict(zip(targets, frozen["alias_median"].tolist(), strict=True))
        for column, label, target in zip(frozen["alias_column"], labels, targets, strict=True):
            ids[column], genes[column] = label, target
    medians = {gene: median for gene, median in medians.items() if median > 0}
    special = V1 if rules == "v1" else V2
    entries = {**special, **{gene: len(special) + i for i, gene in enumerate(medians)}}
    ranked = [[entries[genes[column]] for column in frozen[f"ranked_{rules}_{cell}"]] for cell in range(2)]
    if rules != "v1":
        ranked = [[V2["<cls>"], *cell, V2["<eos>"]] for cell in ranked]
    return sparse.csr_matrix(frozen["counts"]), ids, Dictionaries(entries, medians, aliases), ranked


def small(special: dict[str, int], n_genes: int = 30) -> Dictionaries:
    """Dictionaries of made-up genes with unequal medians."""
    genes = [f"ENSG{i:011d}" for i in range(1, n_genes + 1)]
    medians = {gene: 0.7 + 0.37 * i for i, gene in enumerate(genes)}
    return Dictionaries(special | {gene: len(special) + i for i, gene in enumerate(genes)}, medians)


def write_model(folder: Path, entries: Dictionaries, seed: int = 0, bin_file: bool = False, **changes: Any) -> None:
    """Write a random checkpoint whose weights all matter, with its dictionaries, as transformers writes it."""
    from transformers import BertConfig, BertForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    size: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config = BertConfig(vocab_size=len(entries.tokens), max_position_embeddings=20, hidden_act="relu", **size | changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForMaskedLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    if bin_file:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    dictionaries.write(folder, entries.tokens, entries.medians)


def random_cells(entries: Dictionaries, n_cells: int = 12, seed: int = 0) -> AnnData:
    """Cells with the genes of `entries` and three that it does not have, each cell with a depth of its own."""
    rng = np.random.default_rng(seed)
    genes = [gene for gene in entries.tokens if not gene.startswith("<")]
    ids = [*genes, "", "ENSG99999999999", "not_a_gene"]
    counts = rng.poisson(rng.gamma(0.4, 4, size=(n_cells, 1)) * rng.random((n_cells, len(ids))))
    counts[0, :5] = 1
    cells = AnnData(
        sparse.csr_matrix(counts.astype(np.float32)),
        var=pd.DataFrame({"ensembl_id": ids}, index=[f"g{i}" for i in range(len(ids))]),
    )
    cells.uns["x"] = "counts"
    return cells


def reference_tokens(row: np.ndarray, ids: list[str], entries: Dictionaries, max_length: int) -> list[int]:
    """Rank a cell gene by gene, as the method is described."""
    total: dict[str, float] = {}
    for name, count in zip(ids, row.astype(float).tolist(), strict=True):
        gene = entries.gene(name)
        if count and gene in entries.medians:
            total[gene] = total.get(gene, 0.0) + count
    n_counts = float(row.sum())
    value = {entries.tokens[gene]: count / n_counts * 10_000 / entries.medians[gene] for gene, count in total.items()}
    framed = "<cls>" in entries.tokens
    ranked = sorted(value, key=lambda token: (-value[token], token))[: max_length - 2 * framed]
    return [2, *ranked, 3] if framed and ranked else ranked


# --- tokens ---


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


# --- dictionaries ---


class Malicious:
    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def test_a_pickle_that_runs_a_program_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "token_dictionary.pkl"
    path.write_bytes(pickle.dumps({"ENSG00000000001": Malicious()}))
    with pytest.raises(InputError, match=r"token_dictionary\.pkl: refused.*(posix|nt)\.system"):
        dictionaries.read_pickle(path, int)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "content", [b"cbuiltins\neval\n.", b"\x80\x04cnumpy\nload\n.", b"cnumpy.core.multiarray\n_reconstruct\n."]
)
def test_any_other_import_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(InputError, match="refused, the pickle asks to import"):
        dictionaries.read_pickle(tmp_path / "x.pkl", int)


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numpy_numbers_are_read_under_old_and_new_module_names(tmp_path: Path, module: bytes) -> None:
    numbers = {
        "a": np.float64(1.5),
        "b": np.float32(0.25),
        "c": np.int16(-7),
        "d": np.uint8(200),
        "e": np.dtype(">f8").type(2),
    }
    content = pickle.dumps(numbers, protocol=4)
    here = b"numpy._core.multiarray"
    assert here in content
    content = content.replace(bytes([len(here)]) + here, bytes([len(module)]) + module)
    (tmp_path / "x.pkl").write_bytes(unframed(content))
    found = dictionaries.read_pickle(tmp_path / "x.pkl", float)
    assert found == {"a": 1.5, "b": 0.25, "c": -7, "d": 200, "e": 2.0}
    assert {type(value) for value in found.values()} == {int, float}


def unframed(content: bytes) -> bytes:
    """Drop the frame of a small protocol 4 pickle, whose length an edit made wrong."""
    return content[:2] + content[11:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x80\x04\x8d" + b"\xff" * 8,
        b"\x80\x04\x8d\0\0\0\0\0\0\0\x01",
        pickle.dumps({"a": 1})[:-3],
        pickle.dumps([1]),
        pickle.dumps({1: 1}),
    ],
)
def test_a_damaged_or_wrong_pickle_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(InputError) as error:
        dictionaries.read_pickle(tmp_path / "x.pkl", int)
    assert "x.pkl: " in error.value.message
    assert "\n" not in error.value.message


WHOLE = pickle.dumps({"ENSG00000000001": np.float64(1.5), "ENSG00000000002": np.int16(3)}, protocol=4)


@given(length=st.integers(0, len(WHOLE) - 1))
@settings(deadline=None)
def test_a_dictionary_cut_short_anywhere_is_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.pkl"
    path.write_bytes(WHOLE[:length])
    with pytest.raises(InputError, match=r"cut\.pkl: not a readable pickle"):
        dictionaries.read_pickle(path, float)


@pytest.mark.parametrize("suffix", ["", "_gc30M", "_gc95M", "_gc104M"])
def test_dictionaries_are_found_under_every_name_upstream_gave_them(tmp_path: Path, suffix: str) -> None:
    entries = small(V2, 4)
    dictionaries.write(tmp_path, entries.tokens, entries.medians)
    for kind in ("token_dictionary", "gene_median_dictionary"):
        (tmp_path / f"{kind}.pkl").rename(tmp_path / f"{kind}{suffix}.pkl")
    (tmp_path / f"ensembl_mapping_dict{suffix}.pkl").write_bytes(pickle.dumps({"OLD": "ENSG00000000002"}))
    found = dictionaries.read(tmp_path)
    assert (found.tokens, found.medians, found.version) == (entries.tokens, entries.medians, "V2")
    assert (found.gene("old"), found.gene("ENSG00000000001")) == ("ENSG00000000002", "ENSG00000000001")


def test_written_dictionaries_hold_plain_numbers_and_are_equal_bytes(tmp_path: Path) -> None:
    plain = {"<pad>": 0, "<mask>": 1, "A": 2}
    from_numpy: dict[str, Any] = {entry: np.int64(token) for entry, token in plain.items()}
    dictionaries.write(tmp_path / "one", plain, {"A": 0.5})
    dictionaries.write(tmp_path / "two", from_numpy, {"A": np.float64(0.5)})
    for name in ("token_dictionary.pkl", "gene_median_dictionary.pkl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert b"numpy" not in (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("token", "median", "message"),
    [
        ({"<mask>": 0, "A": 1}, {"A": 1.0}, "must have <pad>"),
        ({**V1, "<cls>": 2, "A": 3}, {"A": 1.0}, "both or none of <cls> and <eos>"),
        ({**V1, "A": 7}, {"A": 1.0}, "without gaps"),
        ({**V1, "A": 2, "B": 3}, {"A": 1.0}, r"1 genes .* no positive median \(B"),
        ({**V1, "A": 2}, {"A": 0.0}, "no positive median"),
        ({**V1, "A": 2}, {"A": float("nan")}, "no positive median"),
    ],
)
def test_dictionaries_that_do_not_fit_are_refused(tmp_path: Path, token: Any, median: Any, message: str) -> None:
    dictionaries.write(tmp_path, token, median)
    with pytest.raises(InputError, match=message):
        dictionaries.read(tmp_path)


def test_a_missing_and_a_second_dictionary_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one token_dictionary\*\.pkl, found none"):
        dictionaries.read(tmp_path)
    dictionaries.write(tmp_path, V1, {})
    shutil.copy(tmp_path / "token_dictionary.pkl", tmp_path / "token_dictionary_gc30M.pkl")
    with pytest.raises(InputError, match=r"found token_dictionary\.pkl, token_dictionary_gc30M\.pkl"):
        dictionaries.read(tmp_path)


# --- checkpoint and network ---


def test_the_embedding_is_the_frozen_one(tmp_path: Path) -> None:
    frozen = np.load(FIXTURES / "upstream_embedding.npz")
    counts, ids, entries, _ = upstream("v1")
    genes = [ids[column] for column in frozen["columns"]]  # of the rows of the token embedding, after <pad>, <mask>
    cut = Dictionaries(V1 | {gene: 2 + i for i, gene in enumerate(genes)}, entries.medians)
    rng = np.random.default_rng(0)
    weights = {name: torch.from_numpy(frozen[name]) for name in frozen.files if name.startswith("bert.")}
    for name in [name for name in weights if ".layer.0." in name]:  # the last layer must not matter
        shape = weights[name].shape
        weights[name.replace(".layer.0.", ".layer.2.")] = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
    config = {
        **{"model_type": "bert", "vocab_size": len(cut.tokens), "max_position_embeddings": len(genes)},
        **{"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64},
        "hidden_act": "relu",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save(weights, tmp_path / "pytorch_model.bin")
    dictionaries.write(tmp_path, cut.tokens, {gene: entries.medians[gene] for gene in genes})
    cells = AnnData(
        counts.astype(np.float32)[:1], var=pd.DataFrame({"ensembl_id": ids}, index=[str(i) for i in range(len(ids))])
    )
    cells.uns["x"] = "counts"
    found, notes = embed(cells, tmp_path, {}, "cpu")
    np.testing.assert_allclose(found[0], frozen["embedding"], rtol=0, atol=1e-5)
    assert notes["mean_length"] == len(genes) == 960


@pytest.mark.parametrize(("special", "n_layers"), [(V1, 3), (V2, 3), (V1, 1)])
def test_the_embedding_is_the_mean_over_genes_of_the_second_to_last_layer(
    tmp_path: Path, special: dict[str, int], n_layers: int
) -> None:
    from transformers import BertForMaskedLM

    entries = small(special)
    write_model(tmp_path, entries, num_hidden_layers=n_layers)
    cells = random_cells(entries)
    found, notes = embed(cells, tmp_path, {}, "cpu")
    whole = BertForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids = cells.var["ensembl_id"].tolist()
    n_empty = 0
    for row, vector in zip(cells.X.toarray(), found, strict=True):
        cell = reference_tokens(row, ids, entries, 20)
        if not cell:
            n_empty += 1
            assert not vector.any()
            continue
        with torch.no_grad():
            states = whole(input_ids=torch.tensor([cell]), output_hidden_states=True).hidden_states
        assert len(states) == n_layers + 1
        genes = states[-2][0, 1:-1] if special is V2 else states[-2][0]
        np.testing.assert_allclose(vector, genes.mean(dim=0).numpy(), rtol=0, atol=2e-6)
    assert (notes["n_cells_without_gene"], notes["layer"]) == (n_empty, n_layers - 1)


def test_the_batch_changes_nothing(tmp_path: Path) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    model = checkpoint.load(tmp_path, len(entries.tokens))
    cells = random_cells(entries, n_cells=25)
    matched = tokens.match(cells.var["ensembl_id"].tolist(), entries)
    sequences, _ = tokens.rank(cells.X, matched, entries, 20)
    one_by_one = network.embed(model, sequences, 1, tokens_per_batch=1)
    for budget in (40, 100, 100_000):
        np.testing.assert_allclose(
            network.embed(model, sequences, 1, tokens_per_batch=budget), one_by_one, rtol=0, atol=1e-6
        )
    backwards = network.embed(model, sequences[::-1], 1)[::-1]
    np.testing.assert_allclose(backwards, one_by_one, rtol=0, atol=1e-6)


def test_a_checkpoint_in_the_sizes_of_the_104m_model_embeds_a_cell(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    entries = small(V2, 20_271)
    config = BertConfig(
        vocab_size=20_275, hidden_size=768, intermediate_size=3072, max_position_embeddings=4096, hidden_act="relu"
    )
    assert (config.num_hidden_layers, config.num_attention_heads) == (12, 12)
    with torch.device("meta"):
        sizes = {name: weight.shape for name, weight in BertModel(config).state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {
        f"bert.{name}": torch.empty(size, dtype=torch.float16).normal_(std=0.05, generator=generator)
        for name, size in sizes.items()
    }
    for name in [name for name in weights if name.endswith("LayerNorm.weight")]:
        weights[name] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(tmp_path)
    dictionaries.write(tmp_path, entries.tokens, entries.medians)
    ids = [*list(entries.medians)[::500], "unknown"]
    counts = np.arange(1, len(ids) + 1)
    cells = AnnData(
        sparse.csr_matrix(counts[None].astype(np.float32)), var=pd.DataFrame({"ensembl_id": ids}, index=ids)
    )
    cells.uns["x"] = "counts"
    found, notes = embed(cells, tmp_path, {}, "cpu")

    whole = BertModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    cell = reference_tokens(counts, ids, entries, 4096)
    with torch.no_grad():
        states = whole(input_ids=torch.tensor([cell]), output_hidden_states=True).hidden_states
    expected = states[-2][:, 1:-1].mean(dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert (notes["layer"], notes["max_length"], notes["mean_length"]) == (11, 4096, 43)
    assert found.shape == (1, 768)


def test_safetensors_and_bin_give_the_same_network(tmp_path: Path) -> None:
    entries = small(V1)
    cells = random_cells(entries)
    write_model(tmp_path / "new", entries)
    write_model(tmp_path / "old", entries, bin_file=True)
    assert not (tmp_path / "old" / "model.safetensors").exists()
    new, old = (embed(cells, tmp_path / name, {}, "cpu")[0] for name in ("new", "old"))
    assert new.any()
    np.testing.assert_array_equal(new, old)


def damage(folder: Path, change: Any) -> None:
    """Rewrite a checkpoint's weights after `change` edited the dictionary of tensors."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


QUERY = "bert.encoder.layer.2.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(QUERY), r"model\.safetensors: 1 weights .* missing, e\.g\. encoder\.layer\.2\.attention"),
        (lambda w: w.update({QUERY: w[QUERY][:3].clone()}), r"has shape \(3, 16\), config\.json calls for \(16, 16\)"),
        (lambda w: w[QUERY].fill_(float("nan")), "holds NaN"),
    ],
)
def test_a_missing_misshapen_or_broken_weight_is_an_error(tmp_path: Path, change: Any, message: str) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    damage(tmp_path, change)
    with pytest.raises(InputError, match=message):
        checkpoint.load(tmp_path, len(entries.tokens))


def test_other_broken_checkpoints_are_one_line(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    with pytest.raises(InputError, match="knows 32 tokens, the token dictionary has 33"):
        checkpoint.load(tmp_path, 33)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged"):
        checkpoint.load(tmp_path, 32)
    weights.unlink()
    with pytest.raises(InputError, match=r"no weights; expected model\.safetensors or pytorch_model\.bin"):
        checkpoint.load(tmp_path, 32)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
    with pytest.raises(InputError, match=r"pytorch_model\.bin: damaged"):
        checkpoint.load(tmp_path, 32)
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "num_attention_heads": 5}))
    with pytest.raises(InputError, match=r"config\.json: hidden_size 16 cannot be divided into 5 heads"):
        checkpoint.load(tmp_path, 32)
    config.write_text(json.dumps({**settings, "model_type": "gpt2"}))
    with pytest.raises(InputError, match="model_type is 'gpt2'; only a 'bert' can be read"):
        checkpoint.load(tmp_path, 32)
    config.write_text("{")
    with pytest.raises(InputError, match=r"config\.json: not readable as JSON"):
        checkpoint.load(tmp_path, 32)


# --- engine ---


def test_notes_say_what_the_model_did_not_see(tmp_path: Path) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    matrix, notes = embed(cells, tmp_path, {}, "cpu")
    counts = cells.X.toarray()
    n_tokens = (counts[:, :30] > 0).sum(axis=1)
    lengths = np.where(n_tokens > 0, np.minimum(n_tokens, 18) + 2, 0)
    assert matrix.dtype == np.float32
    assert matrix.shape == (12, 16)
    assert notes == {
        "version": "V2",
        "device": "cpu",
        "max_length": 20,
        "layer": 2,
        "n_genes": 33,
        "n_genes_missing": 3,
        "share_of_counts_missing": pytest.approx(counts[:, 30:].sum() / counts.sum(), abs=1e-6),
        "n_cells_without_gene": int((n_tokens == 0).sum()),
        "n_cells_truncated": int((n_tokens > 18).sum()),
        "mean_length": pytest.approx(lengths.mean(), abs=0.01),
        "comparable": True,
    }


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(tmp_path: Path) -> None:
    entries = small(V2)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    exact, notes = embed(cells, tmp_path, {}, "cpu")
    rough, rough_notes = embed(cells, tmp_path, {"precision": "bfloat16"}, "cpu")
    told = rough_notes["against_float32"]
    assert "against_float32" not in notes
    assert 0.99 < told["cosine_min"] < 1 and told["difference_max"] < 0.1
    np.testing.assert_allclose(rough, exact, rtol=0, atol=0.1 * np.abs(exact).max())
    assert not rough[~exact.any(axis=1)].any()


def test_log_normalised_values_run_and_are_marked_as_not_comparable(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    cells.X = cells.X.log1p()
    cells.uns["x"] = "lognorm"
    matrix, notes = embed(cells, tmp_path, {}, "cpu")
    assert np.isfinite(matrix).all()
    assert notes["comparable"] is False
    assert "log-normalised" in notes["reason"]


def test_a_dataset_without_a_gene_that_has_a_token_is_an_error(tmp_path: Path) -> None:
    entries = small(V1)
    write_model(tmp_path, entries)
    cells = random_cells(entries)
    cells.var["ensembl_id"] = [f"ENSMUSG{i:011d}" for i in range(cells.n_vars)]
    with pytest.raises(InputError, match="knows none of the 33 genes"):
        embed(cells, tmp_path, {}, "cpu")
