"""Summaries of genes as texts: read from JSON and tables, matched to approved symbols, embedded."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core import files, readers
from genept.core.errors import InputError
from genept.data import gene_vectors, hgnc
from genept.engines.gene_vectors import texts as gene_texts
from tests import helpers
from tests.engines.gene_vectors.made import FOLDER, MODEL, run

GENES = hgnc.read(helpers.HGNC)
TEXTS = {
    "TP53": "This gene encodes a tumor suppressor\nprotein.",
    "IL8": "A chemokine, under its old symbol.",
    "GAPDH": "An enzyme of glycolysis. " * 40,
    "LOC9": "Nobody knows.",
    "A4GALT": "",
}
CHOSEN = ["gene with protein product"]


@pytest.fixture
def summarised(with_hgnc: Path) -> Path:
    (FOLDER / "summaries.json").write_text(json.dumps(TEXTS))
    return with_hgnc


def embed(**changes: Any) -> Result:
    return run(**{"text": "summary", "summaries": "summaries.json", "locus_types": CHOSEN, **changes})


def write(path: Path, rows: list[list[str]]) -> Path:
    opened = gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="")
    with opened as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_genes_without_summary_are_read_by_name_or_left_out(summarised: Path) -> None:
    result = embed()
    assert result.exit_code == 0, result.output
    _, genes = gene_vectors.read(MODEL)
    coding = [gene for gene in GENES if gene.locus_type in CHOSEN]
    assert [gene.symbol for gene in genes] == [gene.symbol for gene in coding]
    texts = {gene.symbol: gene.text for gene in genes}
    assert texts["TP53"] == "This gene encodes a tumor suppressor protein."
    assert texts["CXCL8"] == TEXTS["IL8"]
    assert texts["A4GALT"] == "A4GALT: alpha 1,4-galactosyltransferase (P1PK blood group)"
    card = readers.read_foreign(MODEL / "card.json")
    path = FOLDER / "summaries.json"
    assert card["summaries"] == {"file": path.name, "sha256": files.sha256(path), "n_summaries": 4}
    assert (card["text"], card["without_summary"]) == ("summary", "name")
    assert card["n_without_summary"] == len(coding) - 3
    assert card["n_truncated"] == sum(gene.truncated for gene in genes) >= 1
    assert embed(without_summary="leave_out").exit_code == 0
    assert sorted(gene.symbol for gene in gene_vectors.read(MODEL)[1]) == ["CXCL8", "GAPDH", "TP53"]
    card = readers.read_foreign(MODEL / "card.json")
    assert (card["n_genes"], card["n_without_summary"], card["without_summary"]) == (3, len(coding) - 3, "leave_out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"summaries": "no.json"}, "data/encoders/words/no.json: no such file"),
        ({"locus_types": ["pseudogene"], "without_summary": "leave_out"}, "none of the chosen genes has a summary"),
    ],
)
def test_what_cannot_be_embedded_is_one_line(summarised: Path, changes: dict[str, Any], message: str) -> None:
    result = embed(**changes)
    assert (result.exit_code, result.output.count("\n")) == (1, 1), result.output
    assert message in result.output


def test_the_columns_of_refseqs_table_are_found_by_title(tmp_path: Path) -> None:
    rows = [
        ["Gene_ID", "RefSeq_accession", "Review_status", "Gene_summary", "symbol"],
        ["7157.0", "NM_000546.6", "REVIEWED REFSEQ", "Tumor\nsuppressor", "TP53"],
        ["693168.0", "NR_030309.1", "PROVISIONAL REFSEQ", "Without a symbol", ""],
        ["3576.0", "NM_000584.4", "REVIEWED REFSEQ", "The newer", "CXCL8"],
        ["3576.0", "NM_000584.4", "REVIEWED REFSEQ", "The older", "IL8"],
    ]
    found = gene_texts.read_summaries(write(tmp_path / "refseq.csv.gz", rows), GENES)
    assert {symbol: found.texts[symbol] for symbol in ("TP53", "CXCL8")} == {
        "TP53": "Tumor suppressor",
        "CXCL8": "The newer",
    }
    assert found.card["n_summaries"] == 3


def test_null_and_nan_are_no_summary(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"TP53": "Tumor suppressor", "CD19": null, "GAPDH": NaN}')
    assert gene_texts.read_summaries(path, GENES).texts == {"TP53": "Tumor suppressor"}


@given(
    st.dictionaries(
        st.sampled_from([gene.symbol for gene in GENES]), st.text(st.characters(codec="utf-8")), min_size=1, max_size=8
    ),
    st.sampled_from([".json", ".json.gz", ".csv", ".csv.gz"]),
)
@settings(max_examples=60)
def test_any_text_is_read_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, str], suffix: str
) -> None:
    table = {"TP53": "one", **{symbol: text.replace("\0", "") for symbol, text in table.items()}}
    table["TP53"] += " more"
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    if ".json" in suffix:
        content = json.dumps(table).encode()
        path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    else:
        write(path, [["symbol", "summary"], *map(list, table.items())])
    expected = {symbol: " ".join(text.split()) for symbol, text in table.items()}
    assert gene_texts.read_summaries(path, GENES).texts == {symbol: text for symbol, text in expected.items() if text}


# Without a time of its making: the bytes are in the tests' names, which every worker must find alike.
GZIPPED = gzip.compress(b"symbol,summary\n" + b"TP53,Tumor suppressor\n" * 50, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.tsv", b"", "expected summaries as .json, .csv, .json.gz or .csv.gz"),
        ("t.json", b'{"TP53": "Tumor', "not readable"),
        ("t.json", b"[" * 100_000, "not readable"),
        ("t.json", b"\xff", "not readable"),
        ("t.json", b"[1]", "expected an object from gene symbols to summaries"),
        ("t.json", b'{"TP53": ["a"]}', "TP53 has no text but list"),
        ("t.csv", b"", "not readable"),
        ("t.csv", b"gene,text\nTP53,a\n", "expected a column symbol and a column summary or gene_summary"),
        ("t.csv", b"symbol,summary\nTP53,a,b\n", "not readable (rows have more columns than the header)"),
        ("t.csv", b"symbol,summary\nTP53,a\nA2M,a,b\n", "not readable"),
        ("t.csv", b'symbol,summary\nTP53,"a\n', "not readable"),
        ("t.csv", b"symbol,summary\nno-gene,a\n", "HGNC knows none of its 1 gene symbols (such as 'no-gene')"),
        ("t.csv", b"symbol,summary\nTP53,\n", "HGNC knows none of its 0 gene symbols"),
        ("t.csv.gz", GZIPPED[:-12], "not readable"),
        ("t.csv.gz", GZIPPED[:20] + b"\0\0\0\0" + GZIPPED[24:], "not readable"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        gene_texts.read_summaries(tmp_path / name, GENES)
    assert caught.value.message.startswith(f"{tmp_path / name}: {message}") and "\n" not in caught.value.message
