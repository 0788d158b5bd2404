"""The files of a model's vectors and the HGNC table: equal between runs, whole or as they were, one line if damaged."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core import files
from genept.core.errors import InputError
from genept.data import gene_vectors, hgnc
from tests import helpers
from tests.engines.gene_vectors.made import FOLDER, LOCUS_TYPES, MODEL, run


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: files.sha256(path) for path in sorted(folder.iterdir())}


def test_equal_runs_give_equal_bytes_and_a_failed_run_leaves_the_earlier_vectors(embedded: Path) -> None:
    before = snapshot(MODEL)
    run(ok=True, text="name", locus_types=LOCUS_TYPES)
    assert snapshot(MODEL) == before
    (FOLDER / "tokenizer.json").unlink()
    result = run(text="name", locus_types=LOCUS_TYPES)
    assert result.exit_code == 1 and "run the stage that makes it first" in result.output
    assert snapshot(MODEL) == before
    assert sorted(path.name for path in Path("models").iterdir()) == ["words", "words.yaml"]


def test_damaged_vectors_are_an_error_of_one_line(embedded: Path) -> None:
    folder = MODEL
    table = (folder / "genes.tsv").read_text()
    for content, message in (
        (table.replace("A2M\t", "CD19\t"), "listed twice"),
        (table[: table.index("LONG1")], r"shape \(4, 16\), but genes.tsv lists 3"),
        (table.replace("n_tokens", "tokens"), "expected the columns symbol, ensembl_id"),
        ("", "expected the columns"),
    ):
        (folder / "genes.tsv").write_text(content)
        with pytest.raises(InputError, match=message):
            gene_vectors.read(folder)
    (folder / "genes.tsv").write_text(table)
    (folder / "vectors.npy").write_bytes((folder / "vectors.npy").read_bytes()[:-10])
    with pytest.raises(InputError, match="not a readable matrix"):
        gene_vectors.read(folder)
    np.save(folder / "vectors.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable matrix"):
        gene_vectors.read(folder)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique_by=lambda text: " ".join(text.split())))
def test_any_text_stays_one_line_of_the_table(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any") / "model"
    genes = [gene_vectors.VectorGene(f"G{i}", "", 3, i % 2 == 0, text) for i, text in enumerate(lines)]
    gene_vectors.write(folder, np.zeros((len(genes), 2)), genes, {})
    _, found = gene_vectors.read(folder)
    assert found == [gene._replace(text=" ".join(gene.text.split())) for gene in genes]
    with io.StringIO((folder / "genes.tsv").read_text(encoding="utf-8")) as stream:
        assert sum(1 for _ in stream) == len(genes) + 1


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
