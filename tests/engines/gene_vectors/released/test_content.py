"""What becomes of released vectors: numbers, names and the card."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from genept.core import files
from genept.data import gene_vectors, hgnc
from genept.engines.genept_w.vectors import released
from tests.engines.genept_w.released.pickled import FILE, MODEL, PATH, draw, run, take, write_params


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("n_dimensions", [1536, 3072])
def test_lists_arrays_and_numpy_numbers_give_the_same_vectors(project: Path, protocol: int, n_dimensions: int) -> None:
    rows = draw(4, n_dimensions)
    content = {
        "TP53": rows[0],
        "CXCL8": np.array(rows[1]),
        "GAPDH": [np.float64(number) for number in rows[2]],
        "LOC9": np.array(rows[3], dtype=np.float32),
    }
    found, card = take(content, protocol)
    assert list(found) == list(content)
    for symbol, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(found[symbol], np.array(row, dtype=np.float32))
    assert (card["n_genes"], card["n_dimensions"], card["n_in_file"]) == (4, n_dimensions, 4)


def test_the_card_says_where_the_vectors_are_from_and_what_became_of_every_name(project: Path) -> None:
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
    assert card == {
        "n_genes": 8,
        "n_dimensions": 2,
        "vectors": "released",
        "source": {"kind": "zenodo", "record": 10833191, "name": "GenePT_emebdding_v2.zip", "member": FILE},
        "file": FILE,
        "sha256": files.sha256(PATH),
        "n_in_file": 9,
        "n_renamed": 3,
        "n_found_by": {
            "alias": 1,
            "ambiguous": 1,
            "approved": 2,
            "ensembl": 1,
            "previous": 1,
            "taken": 1,
            "unknown": 1,
        },
        "n_dropped": 1,
        "dropped_as_repeated": ["TP53"],
        "n_collisions": 1,
        "collisions": {"IL8": "CXCL8"},
        "n_without_ensembl_id": 3,
    }
    _, genes = gene_vectors.read(MODEL)
    by_symbol = {gene.symbol: gene for gene in genes}
    assert by_symbol["MARCHF1"] == ("MARCHF1", "ENSG00000145416", 0, False, "")
    assert by_symbol["IL8"].ensembl_id == ""


@pytest.mark.parametrize("order", [1, -1])
def test_an_approved_symbol_wins_over_old_names_wherever_it_stands(project: Path, order: int) -> None:
    names = ["AK3", "AK4", "AKL3L1"][::order]  # AK3 is also a previous symbol of AK4, AKL3L1 an alias of AK3
    found, card = take({name: [float(len(name)), float(names.index(name))] for name in names})
    assert {symbol: names[int(row[1])] for symbol, row in found.items()} == {name: name for name in names}
    assert card["collisions"] == {"AKL3L1": "AK3"}


def test_a_dataset_and_the_file_agree_on_old_and_new_names(project: Path) -> None:
    """Harmonised alike, whichever of a gene's names either has."""
    from genept.data.genes import Table, harmonise

    table = Table(hgnc.read())
    in_file = ["IL8", "MARCHF1", "AMY1", "LOC9", "GAPDH"]
    in_dataset = ["CXCL8", "MARCH1", "AMY1", "LOC9", "ENSG00000111640"]
    found, _ = take({name: [float(row)] for row, name in enumerate(in_file)})
    symbols = harmonise(in_dataset, [1.0] * 5, table).symbols
    assert [float(found[symbol][0]) for symbol in symbols] == [0, 1, 2, 3, 4]


def test_the_text_command_takes_released_vectors_too_so_that_one_grid_lists_both(project: Path) -> None:
    take({"TP53": [1.0, 2.0]})
    before = {path.name: files.sha256(path) for path in MODEL.iterdir()}
    files.remove(MODEL)
    result = run("text")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("ada: 1 genes, 2 dimensions; 0 under a newer symbol, 0 under their own")
    assert {path.name: files.sha256(path) for path in MODEL.iterdir()} == before


def test_the_path_of_a_local_file_stays_out_of_the_card(project: Path) -> None:
    source = {"kind": "zenodo", "record": 1, "files": {FILE: {"kind": "local", "path": "/home/me/x.pickle"}}}
    write_params({"source": source, "vectors": {"released": FILE}})
    assert take({"TP53": [1.0]})[1]["source"] == {"kind": "local", "record": 1}
    write_params({"vectors": {"released": FILE}})
    assert take({"TP53": [1.0]})[1]["source"] == {}


def test_a_list_of_whole_numbers_is_a_vector_too(project: Path) -> None:
    found, _ = take({"TP53": [1, 0, 0.5], "GAPDH": np.array([1, 2, 3])})
    assert found["TP53"].tolist() == [1, 0, 0.5] and found["GAPDH"].tolist() == [1, 2, 3]


def test_vectors_are_taken_over_without_a_second_copy(tmp_path: Path) -> None:
    """Decoded as Python lists, they would take eight times the memory of the float32 that are kept."""
    import tracemalloc

    path = tmp_path / FILE
    n_genes, n_dimensions = 200, 1536
    rows = draw(n_genes, n_dimensions)
    path.write_bytes(pickle.dumps({f"G{row}": numbers for row, numbers in enumerate(rows)}, protocol=4))
    tracemalloc.start()
    names, vectors = released.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert names == [f"G{row}" for row in range(n_genes)]
    np.testing.assert_array_equal(vectors, np.array(rows, dtype=np.float32))
    assert peak < 2.5 * vectors.nbytes
