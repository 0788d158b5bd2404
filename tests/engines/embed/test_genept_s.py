"""GenePT-s: sentences against plain sorting, their embeddings against whole sentences, and vectors from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from genept.core.errors import InputError, ParamsError
from genept.engines.encoder.local import LocalEncoder
from genept.engines.genept_s import embed as genept_s
from genept.engines.genept_s.config import Embed, Model
from genept.engines.genept_s.embed import read_vectors
from tests import helpers
from tests.engines.embed.made import GENES, N_GENES, make_cells_of_genes
from tests.engines.encoder.service import Service, vector

SYMBOLS = ["CD19", "CD3D", "A2M", "HLA-A", "cd19", "ZZZ3", "IGHV3-23", "B2M"]


def sentences(x: sp.csr_matrix, symbols: list[str], prompt: str, max_symbols: int) -> list[str]:
    return [genept_s.sentence(prompt, symbols, row) for row in genept_s.ranked(x, symbols, max_symbols)]


def embed(cells: anndata.AnnData, folder: Path, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    return genept_s.embed(cells, folder, Model(title="GenePT-s", embed=Embed(**settings)), "cpu")


counts = st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 2, 2, 3, 700]), min_size=8, max_size=8), min_size=1, max_size=6)


@given(counts, st.integers(1, 9), st.permutations(range(8)))
def test_sentences_name_expressed_genes_highest_first_and_ties_by_alphabet(
    rows: list[list[int]], max_symbols: int, columns: list[int]
) -> None:
    x = sp.csr_matrix(np.array(rows, dtype=np.float32)[:, columns] + 1)
    x.data -= 1  # some zeros are stored
    found = sentences(x, [SYMBOLS[column] for column in columns], "Genes: ", max_symbols)
    for row, sentence in zip(rows, found, strict=True):
        expressed = [(-value, symbol) for value, symbol in zip(row, SYMBOLS, strict=True) if value > 0]
        assert sentence == "Genes: " + " ".join(symbol for _, symbol in sorted(expressed)[:max_symbols])


@given(counts, st.integers(1, 9), st.sampled_from(["int64", "float32", "float64", None]))
def test_the_authors_order_is_that_of_their_notebook(
    rows: list[list[int]], max_symbols: int, dtype: str | None
) -> None:
    x = sp.csr_matrix(np.array(rows, dtype=np.float32))
    found = list(genept_s.ranked_by_authors(x, max_symbols, dtype))
    for cell, ours in zip(np.array(rows, dtype=dtype or "float32"), found, strict=True):
        zero_indices = np.where(cell == 0)[0]  # the names and steps are the notebook's
        gene_indices = np.argsort(cell)[::-1]
        filtered_genes = gene_indices[~np.isin(gene_indices, list(zero_indices))]
        assert ours.tolist() == filtered_genes[:max_symbols].tolist()


def test_differences_are_shares_of_what_is_read() -> None:
    default = [np.array([0, 1, 2, 3]), np.array([0, 1]), np.array([0])]
    rows = [np.array([0, 2, 1, 3]), np.array([0, 1]), np.array([0])]
    symbols = ["A", "B", "OLD", "D"]
    approved = ["A", "B", "NEW", "D"]
    # the first cell reads A OLD in place of A B, the second A B, the third nothing
    found = genept_s.differences(rows, default, [2, 2, 0], symbols, approved)
    assert found == {"symbols": 0.25, "places": 0.25}
    assert genept_s.differences(rows[:1], default[:1], [3], approved, approved) == {"symbols": 0, "places": 0.666667}
    assert genept_s.differences([], [], [], symbols, approved) == {"symbols": 0, "places": 0}


PROMPT = "A cell with genes ranked by expression: "


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(path, [PROMPT, *GENES[:30]])
    return path


def brute_force(cells: anndata.AnnData, folder: Path, prompt: str, max_symbols: int) -> dict[str, Any]:
    """Whole sentences of all symbols through the encoder, and symbols added one by one until they no longer fit."""
    from tokenizers import Tokenizer

    full = sentences(cells.X, list(cells.var_names), prompt, max_symbols)
    encoded = LocalEncoder(folder, "cpu").encode(full)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    n_read = []
    for sentence in full:
        symbols = sentence[len(prompt) :].split()
        fits = [k for k in range(len(symbols) + 1) if len(tokenizer.encode(prompt + " ".join(symbols[:k])).ids) <= 64]
        n_read.append(max(fits))
    return {"vectors": encoded.vectors, "truncated": encoded.truncated, "n_read": n_read}


@pytest.mark.parametrize("max_symbols", [5, 1000])
def test_genept_s_equals_the_encoding_of_whole_sentences(encoder_folder: Path, max_symbols: int) -> None:
    cells = make_cells_of_genes(60)
    genes = [f"GENE-{i}" if i % 3 else f"G{i}" for i in range(N_GENES)]
    cells.var_names = genes
    expected = brute_force(cells, encoder_folder, PROMPT, max_symbols)
    matrix, notes = embed(cells, encoder_folder, prompt=PROMPT, max_symbols=max_symbols)
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
    cells = make_cells_of_genes(4)
    expected, _ = embed(cells, encoder_folder, prompt=PROMPT, max_symbols=1000)
    np.testing.assert_array_equal(embed(cells, encoder_folder)[0], expected)
    np.testing.assert_array_equal(embed(cells, encoder_folder, prompt=PROMPT.replace(" ", "\n"))[0], expected)
    assert np.abs(embed(cells, encoder_folder, prompt="ranked: ")[0] - expected).max() > 1e-3


def test_the_authors_sentences_have_their_order_and_the_names_of_the_file(service: Service) -> None:
    cells = make_cells_of_genes(5)[[0, 1, 2, 4]].copy()  # cell 3 has one gene, and so one sentence
    old = [f"OLD{gene}" if gene in GENES[:5] else gene for gene in GENES]
    cells.var["original_symbol"] = old
    cells.uns["x_dtype"] = "float64"
    openai = {"base_url": service.url}
    _, default = embed(cells, Path("x"), encoder="openai", openai=openai)
    service.served.clear()
    _, notes = embed(cells, Path("x"), encoder="openai", openai=openai, order="authors", names="original")
    texts = []
    for cell in cells.X.toarray().astype(np.float64):
        expressed = [gene for gene in np.argsort(cell)[::-1] if cell[gene]]
        texts.append(PROMPT + " ".join(old[gene] for gene in expressed))
    assert set(service.served) == set(texts)
    share = np.mean([text.count("OLD") / len(text[len(PROMPT) :].split()) for text in texts])
    assert notes["against_default"]["symbols"] == pytest.approx(share, abs=1e-6) and "against_default" not in default
    assert notes["against_default"]["places"] >= notes["against_default"]["symbols"]


def test_bfloat16_is_near_float32_and_the_notes_say_how_near(encoder_folder: Path) -> None:
    cells = make_cells_of_genes(20)
    exact, notes = embed(cells, encoder_folder)
    rough, rough_notes = embed(cells, encoder_folder, precision="bfloat16")
    difference = rough_notes["against_float32"]
    assert "against_float32" not in notes
    assert difference["n_compared"] == 16 and 0.99 < difference["cosine_min"] < 1
    assert (exact * rough).sum(axis=1).min() > 0.99  # unit rows


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "opanai"}, "embed.encoder: should be 'local', 'openai' or 'file', got 'opanai'"),
        ({"encoder": "openai", "precision": "bfloat16"}, "embed: precision: belongs to `encoder: local`"),
        (
            {"encoder": "file", "order": "authors"},
            "embed: order and names: belong to sentences, not to `encoder: file`",
        ),
        ({"encoder": "file", "openai": {}}, "embed: openai: belongs to `encoder: openai`, not to `encoder: file`"),
        ({"encoder": "openai", "openai": {"api_key": "secret"}}, "embed.openai: api_key: a key is read from the env"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError) as caught:
        Model.parse({"title": "t", "engine": "genept_s", "embed": settings}, "models/x.yaml")
    assert caught.value.message.startswith(f"models/x.yaml: {message}") and "secret" not in caught.value.message


def test_a_prompt_that_leaves_no_room_for_symbols_is_one_line(encoder_folder: Path, service: Service) -> None:
    with pytest.raises(InputError, match="prompt fills all 64 tokens that the encoder reads; shorten it"):
        embed(make_cells_of_genes(4), encoder_folder, prompt="cell " * 100)
    with pytest.raises(InputError, match="prompt fills all 3 tokens"):
        embed(
            make_cells_of_genes(4), encoder_folder, encoder="openai", openai={"base_url": service.url, "max_tokens": 3}
        )


# By an embeddings API


@pytest.mark.parametrize("max_tokens", [100, 8191])
def test_an_api_gets_sentences_cut_behind_a_symbol(service: Service, max_tokens: int) -> None:
    cells = make_cells_of_genes(20)
    full = sentences(cells.X, list(cells.var_names), PROMPT, 1000)
    fitting = [[k for k in range(len(text) + 1) if k <= max_tokens and f"{text} "[k : k + 1] == " "] for text in full]
    texts = [text[: max(ends)] for text, ends in zip(full, fitting, strict=True)]
    n_read = [len(text[len(PROMPT) :].split()) for text in texts]
    matrix, notes = embed(
        cells, Path("x"), encoder="openai", openai={"base_url": service.url, "max_tokens": max_tokens}
    )
    np.testing.assert_array_equal(matrix, np.stack([vector(text) for text in texts]))
    assert set(service.served) == set(texts)
    assert notes["n_truncated"] == sum(len(text) < len(whole) for text, whole in zip(texts, full, strict=True))
    assert (notes["n_truncated"] > 0) == (max_tokens == 100)
    assert notes["symbols_read_min"] == min(n_read) and notes["symbols_read_max"] == max(n_read)
    assert notes["encoder"] == "openai" and notes["model"] == "text-embedding-ada-002" and notes["comparable"] is True
    assert notes["max_length"] == max_tokens and notes["cached_share"] == 0 and notes["n_genes_missing"] == 0
    assert notes["tokens_sent"] > 0 and notes["usd"] == pytest.approx(notes["tokens_sent"] * 1e-7, abs=1e-6)


@given(
    st.lists(st.text("ABC-1", min_size=1, max_size=5), max_size=6),
    st.integers(0, 40),
)
def test_symbols_count_as_read_only_if_read_wholly(symbols: list[str], n_characters: int) -> None:
    text = "P: " + " ".join(symbols)
    n_characters = min(n_characters, len(text))
    ends = [len("P: " + " ".join(symbols[: k + 1])) for k in range(len(symbols))]
    assert genept_s.symbols_read(text, 3, n_characters) == sum(end <= n_characters for end in ends)


@pytest.fixture
def cells() -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"00{i}" for i in range(20)])  # ids that look like numbers
    return anndata.AnnData(sp.csr_matrix(np.ones((20, 3))), obs=obs, uns={"x": "counts"})


def write(folder: Path, name: str, ids: list[str], vectors: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, vectors)
        (folder / name).with_suffix(".cells.txt").write_text("".join(f"{cell}\n" for cell in ids))
    else:
        pd.DataFrame(vectors, index=pd.Index(ids, name="cell")).to_csv(folder / name)


@pytest.mark.parametrize("name", ["aorta.npy", "aorta.csv"])
def test_precomputed_vectors_are_found_by_cell_id(cells: anndata.AnnData, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    ids = [*cells.obs_names[::-1], "elsewhere"]
    vectors = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)
    write(folder, name, ids, vectors)
    write(folder, "other.csv", ["x", "y"], np.zeros((2, 7)))  # of another dataset
    matrix, notes = embed(cells, folder, encoder="file")
    np.testing.assert_allclose(matrix, vectors[:20][::-1], rtol=1e-6)
    assert matrix.dtype == np.float32
    assert notes["encoder"] == "file" and notes["file"] == name and len(notes["file_sha256"]) == 64


IDS = [f"00{i}" for i in range(20)]
PICKLED = np.array([{"a": 1}] * 20, dtype=object)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "model: no vectors; put NAME.csv, or NAME.npy and NAME.cells.txt, there"),
        ({"a.npy": (IDS, np.zeros((19, 2)))}, "a.npy: not a table of vectors (float64 of shape (19, 2) for 20 cells)"),
        ({"a.npy": (IDS, PICKLED)}, "a.npy: not a readable matrix (Array can't be memory-mapped"),
        ({"a.npy": b"\x93NUMPY\x01\x00", "a.cells.txt": b"000\n"}, "a.npy: not a readable matrix (EOF"),
        (
            {"a.npy": (IDS, np.zeros((20, 2))), "a.cells.txt": None},
            "a.cells.txt: no such file; it names the cells",
        ),
        ({"a.csv": b"cell\n000\n"}, "a.csv: not a table of vectors (one column; expected ids and coordinates)"),
        ({"a.csv": b"cell,0,1\n000,0.5,high\n"}, "could not convert string to float: 'high'"),
        ({"a.csv": b"cell,0\n000,0.5,1,2\n"}, "a.csv: not a table of vectors"),
        ({"a.csv": b"cell,0\n\xff,0.5\n"}, "a.csv: not a table of vectors"),
        *(
            case
            for name in ("a.npy", "a.csv")
            for case in (
                (
                    {"b.csv": (["x"], np.zeros((1, 7))), name: ([*IDS[:18], "0018", "18"], np.zeros((20, 2)))},
                    f"{name}: lacks 1 of 20 cells, the first is '0019'; ids must be equal to the letter",
                ),
                ({name: ([*IDS, IDS[4]], np.zeros((21, 2)))}, f"{name}: cell id '004' occurs more than once"),
            )
        ),
        ({name: (IDS, np.zeros((20, 2))) for name in ("a.csv", "b.npy")}, "both have all 20 cells; keep one of them"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(
    cells: anndata.AnnData, tmp_path: Path, tables: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in tables.items():
        if content is None:
            (folder / name).unlink()
        elif isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            write(folder, name, *content)
    with pytest.raises(InputError) as caught:
        read_vectors(cells, folder)
    assert message in caught.value.message and "\n" not in caught.value.message
