"""Marker tables: every row has a source, symbols are today's, and the tables of this repository can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from genept.annotation import marker_table
from genept.core.errors import InputError
from genept.data import hgnc
from genept.data.genes import Table
from tests import helpers

HEAD = "cell_type\tgene\tsource\tquote\n"
SHIPPED = sorted((helpers.ROOT / "genept/annotation/markers").glob("*.tsv"))


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(hgnc.read(helpers.HGNC))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_symbols_become_the_approved_ones_and_count_once(tmp_path: Path, table: Table) -> None:
    text = HEAD + "T\tIL8\tu\tq\n\nT\tCXCL8\tv\t\nB\tCD14\tu\tq\nT\tNOSUCH\tu\tq\n"
    found = marker_table.read(write(tmp_path / "m.tsv", text), table)
    assert found.genes == {"T": ("CXCL8", "NOSUCH"), "B": ("CD14",)}
    assert found.renamed == {"IL8": "CXCL8"}
    assert found.unknown == ("NOSUCH",)


def test_a_quoted_cell_may_hold_a_tab(tmp_path: Path, table: Table) -> None:
    found = marker_table.read(write(tmp_path / "m.tsv", HEAD + 'T\tCD4\tu\t"a\tb ""c"""\n'), table)
    assert found.genes == {"T": ("CD4",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell_type\tgene\tquote\nT\tCD4\tq\n", "no column source; a marker table has cell_type, gene, source, quote"),
        ("", "no column cell_type, gene, source, quote"),
        (HEAD + "T\tCD4\tu\tq\nT\tCD8A\t \tq\n", "line 3 has no source; every marker needs"),
        (HEAD + "\tCD4\tu\tq\n", "line 2 has no cell_type"),
        (HEAD + "T\t\tu\tq\n", "line 2 has no gene"),
        (HEAD + "T\tCD4\tu\n", "line 2 has 3 columns, not 4"),
        (HEAD + "Unknown\tCD4\tu\tq\n", "line 2: no cell type can be called Unknown"),
        (HEAD, "no marker in it"),
    ],
)
def test_a_bad_table_is_said_in_one_line(tmp_path: Path, table: Table, text: str, message: str) -> None:
    path = write(tmp_path / "m.tsv", text)
    with pytest.raises(InputError) as error:
        marker_table.read(path, table)
    assert str(path) in error.value.message and message in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_row_of_a_shipped_table_has_an_address(path: Path, table: Table) -> None:
    assert marker_table.read(path, table).genes
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        assert line.split("\t")[2].startswith("https://"), line


def test_tables_are_shipped() -> None:
    assert {"ovarian", "artery", "bones"} <= {path.stem for path in SHIPPED}
