"""The files of a model's vectors: equal between runs, whole or as they were, and one line if damaged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core import files
from genept.core.errors import InputError
from genept.data import gene_vectors
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
@settings(deadline=None)
def test_any_text_stays_one_line_of_the_table(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any") / "model"
    genes = [gene_vectors.VectorGene(f"G{i}", "", 3, i % 2 == 0, text) for i, text in enumerate(lines)]
    gene_vectors.write(folder, np.zeros((len(genes), 2)), genes, {})
    _, found = gene_vectors.read(folder)
    assert found == [gene._replace(text=" ".join(gene.text.split())) for gene in genes]
    with io.StringIO((folder / "genes.tsv").read_text(encoding="utf-8")) as stream:
        assert sum(1 for _ in stream) == len(genes) + 1
