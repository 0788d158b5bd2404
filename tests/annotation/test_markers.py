"""Marker tables: every row has a source, symbols are today's, and the tables of this repository can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.annotation import markers
from genept.core.errors import InputError
from genept.data import hgnc
from genept.data.genes import Table
from tests import helpers

HEAD = "cell_type\tgene\tsource\tquote\n"
SHIPPED = sorted((helpers.ROOT / "data/markers").glob("*.tsv"))


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(hgnc.read(helpers.HGNC))


def read(folder: Path, text: str, table: Table) -> markers.Markers:
    path = folder / "markers.tsv"
    path.write_bytes(text.encode("latin-1"))
    return markers.read(path, table)


def test_symbols_become_the_approved_ones_and_count_once(tmp_path: Path, table: Table) -> None:
    found = read(tmp_path, HEAD + "T\tIL8\tu\tq\n\nT\tCXCL8\tv\t\n\t \t\t\nB\tCD14\tu\tq\nT\tNOSUCH\tu\tq\n", table)
    assert found.genes == {"T": ("CXCL8", "NOSUCH"), "B": ("CD14",)}
    assert (found.renamed, found.unknown) == ({"IL8": "CXCL8"}, ("NOSUCH",))
    assert read(tmp_path, HEAD + 'T\tCD4\tu\t"a\tb ""c"""\n', table).genes == {"T": ("CD4",)}  # a tab in quotes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell_type\tgene\tquote\nT\tCD4\tq\n", "no column source; a marker table has cell_type, gene, source, quote"),
        ("", "no column cell_type, gene, source, quote"),
        (HEAD + "T\tCD4\tu\tq\nT\tCD8A\t \tq\n", "line 3 has no source; every marker needs"),
        (HEAD + "\tCD4\tu\tq\n", "line 2 has no cell_type"),
        (HEAD + "T\t\tu\tq\n", "line 2 has no gene"),
        (HEAD + "T\tCD4\tu\n", "line 2 does not have the 4 columns of the header"),
        (HEAD + "T\tCD4\tu\tq\tr\n", "line 2 does not have the 4 columns of the header"),
        (HEAD + "Unknown\tCD4\tu\tq\n", "line 2: Unknown is the name of clusters without a type"),
        (HEAD + "T\tCD4\tu\t\xe9\n", "not readable as tab-separated text"),
        (HEAD, "has no marker gene"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, table: Table, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text, table)
    assert "markers.tsv" in error.value.message and message in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_row_of_a_shipped_table_has_an_address(path: Path, table: Table) -> None:
    assert markers.read(path, table).genes
    assert all(row["source"].startswith("https://") for row in markers.rows(path))
    assert {"ovarian", "artery", "bones"} <= {path.stem for path in SHIPPED}
