"""The HGNC table: what is read of it, and one line if it is damaged."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from genept.core.errors import InputError
from genept.data import hgnc
from tests import helpers


def test_the_hgnc_table_gives_what_a_plain_reader_gives() -> None:
    path = helpers.HGNC
    with path.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    genes = hgnc.read(path)
    assert len(genes) == len(rows) > 100
    for gene, row in zip(genes, rows, strict=True):
        assert (gene.symbol, gene.name) == (row["Approved symbol"], row["Approved name"])
        assert (gene.ensembl_id, gene.locus_type) == (row["Ensembl gene ID"], row["Locus type"])
        assert gene.ncbi_id == row["NCBI Gene ID(supplied by NCBI)"]
        assert ", ".join(gene.aliases) == row["Alias symbols"].replace(", ", ",").replace(",", ", ")
        assert ", ".join(gene.previous) == row["Previous symbols"]


def test_commas_without_space_split_aliases_too_and_ensembl_versions_are_cut_off(project: Path) -> None:
    gene = hgnc.read()[1]
    assert (gene.aliases, gene.ensembl_id) == (("FWP007", "S863-7"), "ENSG00000175899")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Locus type", "Kind", "no column 'Locus type'"),
        ("\tApproved\t", "\tGone\t", "no approved gene"),
        ("\tFWP007,S863-7", "", r"line 3 has 8 columns, not 9"),
    ],
)
def test_a_damaged_hgnc_table_is_an_error_of_one_line(project: Path, old: str, new: str, message: str) -> None:
    hgnc.PATH.write_text(hgnc.PATH.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        hgnc.read()
