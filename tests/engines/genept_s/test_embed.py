"""GenePT-s sentences against plain sorting, their embeddings against whole sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import ParamsError
from genept.engines.genept_s import embed as genept_s
from tests import helpers
from tests.engines.embed.genes import GENES, N_GENES, make_cells

SYMBOLS = ["CD19", "CD3D", "A2M", "HLA-A", "cd19", "ZZZ3", "IGHV3-23", "B2M"]


counts = st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 2, 2, 3, 700]), min_size=8, max_size=8), min_size=1, max_size=6)


@given(counts, st.integers(1, 9), st.permutations(range(8)))
def test_sentences_name_expressed_genes_highest_first_and_ties_by_alphabet(
    rows: list[list[int]], max_symbols: int, columns: list[int]
) -> None:
    x = sp.csr_matrix(np.array(rows, dtype=np.float32)[:, columns])
    found = list(genept_s.sentences(x, [SYMBOLS[column] for column in columns], "Genes: ", max_symbols))
    for row, sentence in zip(rows, found, strict=True):
        expressed = [(-value, symbol) for value, symbol in zip(row, SYMBOLS, strict=True) if value > 0]
        assert sentence == "Genes: " + " ".join(symbol for _, symbol in sorted(expressed)[:max_symbols])


@given(counts)
def test_normalising_a_cell_does_not_change_its_sentence(rows: list[list[int]]) -> None:
    dense = np.array(rows, dtype=np.float64)
    normalised = np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 10_000)
    of_counts = list(genept_s.sentences(sp.csr_matrix(dense), SYMBOLS, "", 1000))
    assert list(genept_s.sentences(sp.csr_matrix(normalised), SYMBOLS, "", 1000)) == of_counts


def test_zeros_that_the_matrix_stores_are_not_expression() -> None:
    x = sp.csr_matrix(np.array([[1.0, 2.0, 3.0]]))
    x.data[1] = 0
    assert list(genept_s.sentences(x, ["A", "B", "C"], "", 1000)) == ["C A"]


PROMPT = "A cell with genes ranked by expression: "


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(path, [PROMPT, *GENES[:30]])
    return path


def brute_force(cells: anndata.AnnData, folder: Path, prompt: str, max_symbols: int) -> dict[str, Any]:
    """Whole sentences of all symbols through the encoder, and symbols added one by one until they no longer fit."""
    from tokenizers import Tokenizer

    from genept.engines.encoder.text_encoder import TextEncoder

    full = list(genept_s.sentences(cells.X, list(cells.var_names), prompt, max_symbols))
    encoded = TextEncoder(folder, "cpu").encode(full)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    n_read = []
    for sentence in full:
        symbols = sentence[len(prompt) :].split()
        fits = [k for k in range(len(symbols) + 1) if len(tokenizer.encode(prompt + " ".join(symbols[:k])).ids) <= 64]
        n_read.append(max(fits))
    return {"vectors": encoded.vectors, "truncated": encoded.truncated, "n_read": n_read}


@pytest.mark.parametrize("max_symbols", [5, 1000])
def test_genept_s_equals_the_encoding_of_whole_sentences(encoder_folder: Path, max_symbols: int) -> None:
    cells = make_cells(60)
    genes = [f"GENE-{i}" if i % 3 else f"G{i}" for i in range(N_GENES)]
    cells.var_names = genes
    expected = brute_force(cells, encoder_folder, PROMPT, max_symbols)
    options = {"prompt": PROMPT, "max_symbols": max_symbols}
    matrix, notes = genept_s.embed(cells, encoder_folder, options, "cpu")
    np.testing.assert_allclose(matrix, expected["vectors"], atol=1e-6)
    assert matrix.dtype == np.float32
    assert notes["n_truncated"] == expected["truncated"].sum()
    assert notes["symbols_read_min"] == min(expected["n_read"])
    assert notes["symbols_read_max"] == max(expected["n_read"])
    assert notes["symbols_read_mean"] == pytest.approx(np.mean(expected["n_read"]), abs=0.005)
    assert notes["symbols_expressed_mean"] == pytest.approx((cells.X.toarray() > 0).sum(axis=1).mean(), abs=0.005)
    assert notes["device"] == "cpu" and notes["max_length"] == 64 and notes["n_genes_missing"] == 0
    assert (notes["n_truncated"] > 0) == (max_symbols == 1000)


def test_genept_s_uses_the_authors_prompt_by_default_and_turns_newlines_to_spaces(encoder_folder: Path) -> None:
    cells = make_cells(4)
    expected, _ = genept_s.embed(cells, encoder_folder, {"prompt": PROMPT, "max_symbols": 1000}, "cpu")
    by_default, _ = genept_s.embed(cells, encoder_folder, {}, "cpu")
    np.testing.assert_array_equal(by_default, expected)
    broken, _ = genept_s.embed(cells, encoder_folder, {"prompt": PROMPT.replace(" ", "\n")}, "cpu")
    np.testing.assert_array_equal(broken, expected)
    other, _ = genept_s.embed(cells, encoder_folder, {"prompt": "ranked: "}, "cpu")
    assert np.abs(other - expected).max() > 1e-3


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(encoder_folder: Path) -> None:
    cells = make_cells(20)
    exact, notes = genept_s.embed(cells, encoder_folder, {}, "cpu")
    rough, rough_notes = genept_s.embed(cells, encoder_folder, {"precision": "bfloat16"}, "cpu")
    told = rough_notes["against_float32"]
    assert "against_float32" not in notes
    assert told["n_compared"] == 16 and 0.99 < told["cosine_min"] < 1
    assert (exact * rough).sum(axis=1).min() > 0.99  # unit rows


@pytest.mark.parametrize("max_symbols", [0, 2.5, "all"])
def test_a_limit_that_makes_no_sense_is_said(encoder_folder: Path, max_symbols: Any) -> None:
    with pytest.raises(ParamsError, match="max_symbols must be a whole number"):
        genept_s.embed(make_cells(4), encoder_folder, {"max_symbols": max_symbols}, "cpu")


@given(
    st.lists(st.text("ABC-1", min_size=1, max_size=5), max_size=6),
    st.integers(0, 40),
)
def test_symbols_count_as_read_only_if_read_wholly(symbols: list[str], n_characters: int) -> None:
    text = "P: " + " ".join(symbols)
    n_characters = min(n_characters, len(text))
    ends = [len("P: " + " ".join(symbols[: k + 1])) for k in range(len(symbols))]
    assert genept_s.symbols_read(text, 3, n_characters) == sum(end <= n_characters for end in ends)
