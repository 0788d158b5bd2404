"""Released gene vectors: from a pickle in GenePT's format to a model's folder, or one line that says why not."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.core import files
from genept.core.readers import read_foreign
from genept.data import gene_vectors
from tests.engines.gene_vectors.made import FOLDER, MODEL, run

FILE = "GenePT_gene_embedding_ada_text.pickle"
PATH = FOLDER / FILE

pytestmark = pytest.mark.usefixtures("with_hgnc")


def take(content: Any, protocol: int = 4) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Write the pickle, run the command, and return the vectors by symbol, and the card."""
    PATH.write_bytes(pickle.dumps(content, protocol=protocol))
    run(ok=True, released=FILE)
    vectors, genes = gene_vectors.read(MODEL)
    return {gene.symbol: row for gene, row in zip(genes, vectors, strict=True)}, read_foreign(MODEL / "card.json")


def draw(n_genes: int, n_dimensions: int = 1536) -> list[list[float]]:
    return np.random.default_rng(0).normal(size=(n_genes, n_dimensions)).tolist()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("n_dimensions", [1536, 3072])
def test_lists_arrays_and_numpy_numbers_give_the_same_vectors(protocol: int, n_dimensions: int) -> None:
    rows = draw(4, n_dimensions)
    content: dict[str, Any] = {
        "TP53": rows[0],
        "CXCL8": np.array(rows[1]),
        "GAPDH": [np.float64(number) for number in rows[2]],
        "LOC9": np.array(rows[3], dtype=np.float32),
        "CD19": [1, 0, 0.5] * (n_dimensions // 3),
    }
    rows.append(content["CD19"])
    found, card = take(content, protocol)
    assert list(found) == list(content)
    for symbol, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(found[symbol], np.array(row, dtype=np.float32))
    assert (card["n_genes"], card["n_dimensions"], card["n_in_file"]) == (5, n_dimensions, 5)


def test_the_card_says_where_the_vectors_are_from_and_what_became_of_every_name() -> None:
    names = ["IL8", "TP53", "CXCL8", "SELK", "AMY1", "LOC9", "ENSG00000111640.15", " TP53", "MARCH1"]
    numbers = {name: float(row) for row, name in enumerate(names)}
    found, card = take({name: [number, 0.5] for name, number in numbers.items()})
    expected = {
        "IL8": "IL8",  # once the name of CXCL8, which has a vector of its own
        "TP53": "TP53",
        "CXCL8": "CXCL8",
        "SELENOK": "SELK",
        "AMY1": "AMY1",  # once the name of three genes
        "LOC9": "LOC9",
        "GAPDH": "ENSG00000111640.15",
        "MARCHF1": "MARCH1",
    }
    assert {symbol: row[0] for symbol, row in found.items()} == {
        symbol: numbers[name] for symbol, name in expected.items()
    }
    found_by = card.pop("n_found_by")
    assert sum(found_by.values()) == 8 and found_by["approved"] == 2 and found_by["previous"] == 1
    assert card == {
        "n_genes": 8,
        "n_dimensions": 2,
        "vectors": "released",
        "file": FILE,
        "sha256": files.sha256(PATH),
        "n_in_file": 9,
        "n_renamed": 3,
        "n_dropped": 1,
        "dropped_as_repeated": ["TP53"],
        "n_collisions": 1,
        "collisions": {"IL8": "CXCL8"},
        "n_without_ensembl_id": 3,
    }
    _, genes = gene_vectors.read(MODEL)
    by_symbol = {gene.symbol: gene for gene in genes}
    assert by_symbol["MARCHF1"] == ("MARCHF1", "ENSG00000145416", 0, False, "MARCH1")
    assert by_symbol["IL8"].ensembl_id == ""


class Harm:
    """A pickle of this runs a program in whoever reads it."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


def refusal(content: Any, **declared: Any) -> str:
    PATH.write_bytes(pickle.dumps(content, protocol=4))
    result = run(released=FILE, **declared)
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {PATH}: ") and result.output.count("\n") == 1
    assert not MODEL.exists()
    return result.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"TP53": [1.0, 2.0], "IL8": [1.0]}, "TP53 has a vector of 2 numbers and IL8 one of 1; all must have one"),
        ({"TP53": [1.0], "IL8": [float("nan")]}, "the vector of IL8 has NaN or infinite numbers"),
        ({"TP53": [1e300]}, "the vector of TP53 has NaN or infinite numbers"),
        ({"TP53": []}, "TP53 has no vector; expected a list or an array of numbers"),
        ({"TP53": [0.5, "a"]}, "TP53 has no vector"),
        ({"TP53": [True, False]}, "TP53 has no vector"),
        ({"TP53": [2**2000]}, "TP53 has no vector"),
        ({}, "expected a dictionary from gene symbols to vectors"),
        ({7157: [0.5]}, "expected a dictionary from gene symbols to vectors"),
        ([0.5], "expected a dictionary from gene symbols to vectors"),
        ({"tp53-like": [0.5]}, "HGNC knows none of its 1 gene symbols (such as 'tp53-like')"),
        ({**{name.title(): [0.5] for name in ("TP53", "GAPDH", "CXCL8")}, "TP53": [0.5]}, "look like mouse genes"),
        ({"TP53": Harm()}, "refused, the pickle asks to import"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_line(content: Any, message: str) -> None:
    assert message in refusal(content)
    assert not Path("harmed").exists()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"n_dimensions": 1536}, "has 2 dimensions, not the 1,536 of vectors.n_dimensions; another release?"),
        ({"n_genes": 93_800}, "has 3 genes, not the 93,800 of vectors.n_genes; another release?"),
    ],
)
def test_a_file_of_another_release_is_one_line(declared: dict[str, int], message: str) -> None:
    content = {"TP53": [0.5, 0.1], "IL8": [0.5, 0.2], "CXCL8": [0.1, 0.2]}
    assert message in refusal(content, **declared)
    PATH.write_bytes(pickle.dumps(content))
    run(ok=True, released=FILE, n_dimensions=2, n_genes=3)


def test_a_file_cut_short_is_one_line_and_leaves_the_earlier_vectors() -> None:
    take({"TP53": draw(1)[0]})
    before = files.sha256(MODEL / "vectors.npy")
    PATH.write_bytes(PATH.read_bytes()[:-1000])
    result = run(released=FILE)
    assert result.exit_code == 1 and "not a readable pickle" in result.output and result.output.count("\n") == 1
    assert files.sha256(MODEL / "vectors.npy") == before
