"""Gene vectors: the HGNC and NCBI tables, what is embedded of a gene, the controls, the files on disk."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from stages import files, gene_vectors, hgnc
from stages.errors import InputError, ParamsError
from stages.vectors import controls, texts
from stages.vectors.__main__ import main
from tests import helpers

TITLES = (
    "HGNC ID|Approved symbol|Approved name|Status|Alias symbols|NCBI Gene ID(supplied by NCBI)|Previous symbols|"
    "Ensembl gene ID|Locus type"
).split("|")
ROWS = [
    "HGNC:1633|CD19|CD19 molecule|Approved|B4, CVID3|930||ENSG00000177455|gene with protein product",
    "HGNC:7|A2M|alpha-2-macroglobulin|Approved|FWP007,S863-7|2||ENSG00000175899.14|gene with protein product",
    "HGNC:6|A1S9T|symbol withdrawn, see UBA1|Symbol Withdrawn|||||unknown",
    "HGNC:37133|A1BG-AS1|A1BG antisense RNA 1|Approved|FLJ23569|503538|NCRNA00181, A1BGAS||RNA, long non-coding",
    "HGNC:5588|IGHV3-23|immunoglobulin heavy variable 3-23|Approved||28442|VH26|ENSG00000211949|immunoglobulin gene",
    "HGNC:9999|LONG1|" + "interminable " * 80 + "|Approved||77777|||gene with protein product",
]
NCBI = """
import pathlib
pathlib.Path("ran").touch()
GENEID2NT = {
  930 : NtData(tax_id=9606, Symbol='CD19', Aliases='B4', other_designations='B-cell "surface" antigen B4|T16', OMIM=1),
  2 : NtData(tax_id=9606, Symbol='A2M', Aliases='', other_designations="5'-end|a\\\\b", OMIM=''),
  503538 : NtData(tax_id=9606, Symbol='A1BG-AS1', Aliases='', other_designations='', OMIM=''),
}
"""
LOCUS_TYPES = ["gene with protein product", "immunoglobulin gene"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/reference/hgnc").mkdir(parents=True)
    lines = ["\t".join(TITLES), *(row.replace("|", "\t") for row in ROWS)]
    (tmp_path / hgnc.PATH).write_text("\n".join(lines) + "\n")
    (tmp_path / texts.NCBI).parent.mkdir()
    (tmp_path / texts.NCBI).write_text(NCBI)
    write_params("name")
    return tmp_path


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    helpers.write_encoder(folder, ROWS)
    return folder


@pytest.fixture
def embedded(project: Path, encoder_folder: Path) -> Path:
    """The project after `text`."""
    (project / "data/encoders").mkdir()
    (project / "data/encoders/words").symlink_to(encoder_folder)
    run("text", "words", ok=True)
    return project


def write_params(text: str, locus_types: Any = LOCUS_TYPES, seed: int = 0) -> None:
    models = {
        "words": {"engine": "genept_w", "vectors": {"text": text, "locus_types": locus_types}},
        "noise": {"engine": "genept_w", "vectors": "random"},
        "dealt": {"engine": "genept_w", "vectors": "shuffled"},
    }
    params = {"seed": seed, "threads": 1, "device": "cpu", "models": models}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run(*arguments: str, ok: bool = False) -> Result:
    result = CliRunner().invoke(main, arguments)
    if ok:
        assert result.exit_code == 0, result.output
    return result


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: files.sha256(path) for path in sorted(folder.iterdir())}


def test_the_hgnc_table_gives_what_a_plain_reader_gives() -> None:
    path = helpers.ROOT / "tests/fixtures/hgnc_small.tsv"
    with path.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    genes = hgnc.read(path)
    assert len(genes) == len(rows) > 100
    for gene, row in zip(genes, rows, strict=True):
        assert (gene.symbol, gene.name, gene.ensembl_id, gene.locus_type, gene.ncbi_id) == tuple(
            row[title]
            for title in (
                "Approved symbol",
                "Approved name",
                "Ensembl gene ID",
                "Locus type",
                "NCBI Gene ID(supplied by NCBI)",
            )
        )
        assert ", ".join(gene.aliases) == row["Alias symbols"].replace(", ", ",").replace(",", ", ")
        assert ", ".join(gene.previous) == row["Previous symbols"]


def test_hgnc_cells_are_split_and_ensembl_versions_cut_off(project: Path) -> None:
    genes = {gene.symbol: gene for gene in hgnc.read()}
    assert list(genes) == ["CD19", "A2M", "A1BG-AS1", "IGHV3-23", "LONG1"]
    assert genes["CD19"].aliases == ("B4", "CVID3") and genes["CD19"].previous == ()
    assert genes["A2M"].aliases == ("FWP007", "S863-7") and genes["A2M"].ensembl_id == "ENSG00000175899"
    assert genes["A1BG-AS1"].previous == ("NCRNA00181", "A1BGAS") and genes["A1BG-AS1"].ensembl_id == ""


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
    from stages.networks.text_encoder import TextEncoder

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


def test_equal_runs_give_equal_bytes(embedded: Path) -> None:
    for command in (["text", "words"], ["control", "noise", "--of", "words"], ["control", "dealt", "--of", "words"]):
        run(*command, ok=True)
        before = snapshot(Path("models") / command[1])
        run(*command, ok=True)
        assert snapshot(Path("models") / command[1]) == before


def test_a_failed_run_leaves_the_earlier_vectors(embedded: Path) -> None:
    before = snapshot(Path("models/words"))
    Path("data/encoders/words").unlink()
    result = run("text", "words")
    assert result.exit_code == 1 and "run the stage that makes it first" in result.output
    assert snapshot(Path("models/words")) == before
    assert [path.name for path in Path("models").iterdir()] == ["words"]


@pytest.mark.parametrize("vectors", [{"text": "summaries"}, {}, None, "random"])
def test_an_unknown_text_is_said(project: Path, vectors: Any) -> None:
    Path("params.yaml").write_text(json.dumps({"models": {"words": {"vectors": vectors}}}))
    result = run("text", "words")
    assert result.exit_code == 2
    assert result.output == "Error: params.yaml: models.words: vectors.text must be one of name, long, summary\n"


def test_a_control_of_unknown_kind_or_model_is_said(project: Path) -> None:
    result = run("control", "words", "--of", "words")
    assert result.exit_code == 2 and "must be random or shuffled" in result.output
    assert "did you mean 'words'" in run("control", "noise", "--of", "word").output


def test_random_vectors_have_the_norms_of_the_text_vectors(embedded: Path) -> None:
    folder = Path("models/long_and_short")
    vectors, genes = gene_vectors.read(Path("models/words"))
    lengths = np.array([0.5, 2.0, 7.0, 1.0], dtype=np.float32)
    gene_vectors.write(folder, vectors * lengths[:, np.newaxis], genes, {})
    noise = controls.random(gene_vectors.read(folder)[0], [gene.symbol for gene in genes], seed=0)
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1), lengths, rtol=1e-6)
    run("control", "noise", "--of", "words", ok=True)
    drawn, drawn_genes = gene_vectors.read(Path("models/noise"))
    assert [gene[:2] for gene in drawn_genes] == [gene[:2] for gene in genes]
    assert {gene[2:] for gene in drawn_genes} == {(0, False, "")}
    assert np.abs(np.sum(drawn * vectors, axis=1)).max() < 0.9


def test_random_directions_are_uniform() -> None:
    noise = controls.random(np.ones((4000, 8)), [f"g{i}" for i in range(4000)], seed=3) / np.sqrt(8)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(noise.T @ noise / 4000, np.eye(8) / 8, atol=0.01)


def test_shuffled_vectors_move_with_their_text(embedded: Path) -> None:
    run("control", "dealt", "--of", "words", ok=True)
    vectors, genes = gene_vectors.read(Path("models/words"))
    dealt, dealt_genes = gene_vectors.read(Path("models/dealt"))
    text_of = {gene.text: row for row, gene in enumerate(genes)}
    assert sorted(gene.text for gene in dealt_genes) == sorted(text_of)
    assert [gene[:2] for gene in dealt_genes] == [gene[:2] for gene in genes]
    for row, gene in zip(dealt, dealt_genes, strict=True):
        np.testing.assert_array_equal(row, vectors[text_of[gene.text]])
        assert gene[2:4] == genes[text_of[gene.text]][2:4]


def test_controls_follow_the_seed_and_not_the_order_of_rows() -> None:
    symbols = [f"G{i}" for i in range(200)]
    vectors = np.random.default_rng(1).normal(size=(200, 4))
    order = np.random.default_rng(2).permutation(200)
    renamed = [symbols[i] for i in order]
    np.testing.assert_allclose(
        controls.random(vectors[order], renamed, seed=5), controls.random(vectors, symbols, seed=5)[order]
    )
    given_to = {symbol: symbols[row] for symbol, row in zip(symbols, controls.shuffled(symbols, seed=5), strict=True)}
    reordered = {symbol: renamed[row] for symbol, row in zip(renamed, controls.shuffled(renamed, seed=5), strict=True)}
    assert reordered == given_to
    assert sorted(given_to.values()) == sorted(symbols)
    assert (controls.shuffled(symbols, seed=6) != controls.shuffled(symbols, seed=5)).mean() > 0.9
    assert (controls.random(vectors, symbols, seed=6) != controls.random(vectors, symbols, seed=5)).all()


def test_another_seed_gives_other_controls_on_disk(embedded: Path) -> None:
    for model in ("noise", "dealt"):
        write_params("name", seed=0)
        run("control", model, "--of", "words", ok=True)
        first, _ = gene_vectors.read(Path("models") / model)
        first = np.array(first)
        write_params("name", seed=1)
        run("control", model, "--of", "words", ok=True)
        assert (gene_vectors.read(Path("models") / model)[0] != first).any()
        assert files.read_json(Path("models") / model / "card.json")["seed"] == 1


def test_damaged_vectors_are_an_error_of_one_line(embedded: Path) -> None:
    folder = Path("models/words")
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
