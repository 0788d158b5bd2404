"""Texts of genes: from HGNC and the NCBI table, for the genes that are chosen, and embedded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from genept.core import files, readers
from genept.core.errors import InputError, ParamsError
from genept.data import gene_vectors, hgnc
from genept.engines.encoder.local import LocalEncoder
from genept.engines.gene_vectors import texts
from genept.engines.genept_w.config import Model
from stages.vectors import main
from tests.engines.encoder.service import Service, vector
from tests.engines.gene_vectors.made import FOLDER, LOCUS_TYPES, MODEL, run


def test_the_ncbi_table_is_read_and_never_run(project: Path) -> None:
    expected = {"930": ['B-cell "surface" antigen B4', "T16"], "2": ["5'-end", "a\\b"], "503538": []}
    assert texts.read_designations() == expected
    assert not Path("ran").exists()
    run(ok=True, text="long")
    text = "A2M: alpha-2-macroglobulin. Also known as: FWP007, S863-7. Designations: 5'-end; a\\b"
    assert gene_vectors.read(MODEL)[1][1].text == text
    texts.NCBI.write_text("GENEID2NT = {}\n")
    with pytest.raises(InputError, match="no gene found"):
        texts.read_designations()


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


def test_every_gene_is_embedded_with_its_text(embedded: Path) -> None:
    vectors, genes = gene_vectors.read(MODEL)
    assert [gene.symbol for gene in genes] == ["CD19", "A2M", "IGHV3-23", "LONG1"]
    assert genes[0].text == "CD19: CD19 molecule" and genes[0].ensembl_id == "ENSG00000177455"
    assert [gene.truncated for gene in genes] == [False, False, False, True]
    assert genes[3].n_tokens == 64
    encoder = LocalEncoder(FOLDER, "cpu")
    for row, gene in zip(vectors, genes, strict=True):
        np.testing.assert_allclose(row, encoder.encode([gene.text]).vectors[0], atol=1e-6)
    assert readers.read_foreign(MODEL / "card.json") == {
        "n_genes": 4,
        "n_dimensions": 16,
        "vectors": "text",
        "text": "name",
        "locus_types": LOCUS_TYPES,
        "encoder_sha256": files.sha256(FOLDER / "model.safetensors"),
        "pooling": "mean over tokens, unit length",
        "max_length": 64,
        "n_truncated": 1,
        "n_without_ensembl_id": 1,
    }


def test_an_embeddings_api_reads_the_texts_of_genes_too(project: Path, service: Service) -> None:
    openai = {"base_url": service.url, "max_tokens": 60}
    run(ok=True, text="name", locus_types=LOCUS_TYPES, encoder="openai", openai=openai)
    vectors, genes = gene_vectors.read(MODEL)
    np.testing.assert_array_equal(vectors[:3], np.stack([vector(gene.text) for gene in genes[:3]]))
    assert [gene.truncated for gene in genes] == [False, False, False, True] and genes[3].n_tokens <= 60
    card = readers.read_foreign(MODEL / "card.json")
    assert (card["encoder"], card["model"], card["max_length"]) == ("openai", "text-embedding-ada-002", 60)
    assert "usd" not in card  # a run that finds all in the cache gives equal bytes


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"text": "summaries"}, "vectors.text: should be 'name', 'long' or 'summary', got 'summaries'"),
        ({}, "vectors: set one of text and released"),
        ({"text": "summary"}, "vectors: summaries: the file belongs to `text: summary`, which needs it"),
        ({"text": "name", "without_summary": "leave_out"}, "vectors: without_summary: belongs to `text: summary`"),
        ({"text": "summary", "summaries": "../a.json"}, "vectors.summaries: "),
        ({"released": "a.pickle", "encoder": "openai"}, "vectors: locus_types and encoder belong to `text`"),
        ({"text": "name", "locus_types": ["protein"]}, "vectors.locus_types: no gene is of type 'protein'"),
        ({"text": "name", "openai": {}}, "vectors: openai: belongs to `encoder: openai`"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(project: Path, vectors: Any, message: str) -> None:
    result = run(**vectors)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert message in result.output


def test_a_model_has_vectors_or_is_a_control(project: Path) -> None:
    for settings_of_model, message in (
        ({}, "set one of vectors and control"),
        ({"vectors": {"text": "name"}, "control": "random"}, "set one of vectors and control"),
        ({"vectors": {"text": "name"}, "draws": 2}, "draws: belongs to `control`"),
        ({"control": "random"}, "draws: belongs to `control`, which needs it"),
        ({"control": "random", "draws": 0}, "draws"),
    ):
        with pytest.raises(ParamsError, match=message):
            Model.parse({"title": "t", "engine": "genept_w", **settings_of_model}, "models/x.yaml")
    run(text="name")
    Path("models/words.yaml").write_text("title: t\nengine: genept_w\ncontrol: random\ndraws: 1\n")
    result = CliRunner().invoke(main, ["words"])
    assert result.exit_code == 2
    assert result.output == "Error: models/words.yaml: has no vectors, so there are none to make\n"
