"""Texts of genes: from HGNC and the NCBI table, for the genes that are chosen, and embedded."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genept.core import files
from genept.core.errors import InputError, ParamsError
from genept.data import gene_vectors, hgnc
from genept.engines.genept_w.vectors import texts
from tests.engines.genept_w.made import LOCUS_TYPES, run, write_params


def test_the_ncbi_table_is_read_and_never_run(project: Path) -> None:
    expected = {"930": ['B-cell "surface" antigen B4', "T16"], "2": ["5'-end", "a\\b"], "503538": []}
    assert texts.read_designations() == expected
    assert not Path("ran").exists()


@given(st.dictionaries(st.integers(1, 10**7), st.lists(st.text(min_size=1).filter(lambda text: "|" not in text))))
def test_any_designation_survives_being_python_source(
    tmp_path_factory: pytest.TempPathFactory, table: dict[int, list[str]]
) -> None:
    path = tmp_path_factory.mktemp("ncbi") / "table.py"
    entries = [
        f"  {ncbi_id} : NtData(tax_id=9606, Symbol='X', other_designations={'|'.join(words)!r}, OMIM=''),"
        for ncbi_id, words in table.items()
    ]
    path.write_text("\n".join(["GENEID2NT = {", *entries, "  0 : NtData(other_designations='end'),", "}"]))
    found = texts.read_designations(path)
    assert found == {**{str(ncbi_id): words for ncbi_id, words in table.items()}, "0": ["end"]}


def test_an_ncbi_table_without_genes_is_an_error(project: Path) -> None:
    texts.NCBI.write_text("GENEID2NT = {}\n")
    with pytest.raises(InputError, match="no gene found"):
        texts.read_designations()


def test_long_text_adds_aliases_and_designations_where_there_are_any(project: Path) -> None:
    genes = {gene.symbol: gene for gene in hgnc.read()}
    designations = texts.read_designations()
    assert texts.name(genes["CD19"]) == "CD19: CD19 molecule"
    assert texts.long(genes["CD19"], designations) == (
        'CD19: CD19 molecule. Also known as: B4, CVID3. Designations: B-cell "surface" antigen B4; T16'
    )
    assert texts.long(genes["A1BG-AS1"], designations) == ("A1BG-AS1: A1BG antisense RNA 1. Also known as: FLJ23569")
    assert texts.long(genes["IGHV3-23"], designations) == "IGHV3-23: immunoglobulin heavy variable 3-23"


def test_genes_are_chosen_by_locus_type(project: Path) -> None:
    genes = hgnc.read()
    assert [gene.symbol for gene in texts.choose(genes, LOCUS_TYPES)] == ["CD19", "A2M", "IGHV3-23", "LONG1"]
    assert texts.choose(genes, None) == genes
    with pytest.raises(ParamsError, match="no gene is of type 'protein'; HGNC has RNA, long"):
        texts.choose(genes, ["protein"])


def test_text_embeds_every_gene_and_keeps_what_was_embedded(embedded: Path, encoder_folder: Path) -> None:
    from genept.engines.encoder.text_encoder import TextEncoder

    vectors, genes = gene_vectors.read(Path("models/words"))
    assert [gene.symbol for gene in genes] == ["CD19", "A2M", "IGHV3-23", "LONG1"]
    assert genes[0].text == "CD19: CD19 molecule" and genes[0].ensembl_id == "ENSG00000177455"
    assert [gene.truncated for gene in genes] == [False, False, False, True]
    assert genes[3].n_tokens == 64
    encoder = TextEncoder(encoder_folder, "cpu")
    for row, gene in zip(vectors, genes, strict=True):
        np.testing.assert_allclose(row, encoder.encode([gene.text]).vectors[0], atol=1e-6)
    card = files.read_json(Path("models/words/card.json"))
    assert card["n_genes"] == 4 and card["n_dimensions"] == 16 and card["n_truncated"] == 1
    assert card["n_without_ensembl_id"] == 1 and card["text"] == "name"
    assert card["encoder_sha256"] == files.sha256(encoder_folder / "model.safetensors")


def test_the_long_text_is_embedded_if_asked_for(embedded: Path) -> None:
    write_params("long")
    run("text", "words", ok=True)
    with Path("models/words/genes.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[1]["text"] == "A2M: alpha-2-macroglobulin. Also known as: FWP007, S863-7. Designations: 5'-end; a\\b"


@pytest.mark.parametrize("vectors", [{"text": "summaries"}, {}, None, "random"])
def test_an_unknown_text_is_said(project: Path, vectors: Any) -> None:
    Path("params.yaml").write_text(json.dumps({"models": {"words": {"vectors": vectors}}}))
    result = run("text", "words")
    assert result.exit_code == 2
    assert result.output == "Error: params.yaml: models.words: vectors.text must be one of name, long, summary\n"
