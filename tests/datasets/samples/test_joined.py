"""Samples and labels are joined by the letters of the barcodes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genept.data import cells as shared
from genept.datasets import samples
from tests.datasets.samples.made import (
    FILES,
    LABELLED,
    RAW,
    SYMBOLS,
    barcodes,
    run,
    table_of,
    write_dense,
    write_labels,
    write_params,
)


def test_samples_of_both_forms_are_joined_with_their_labels(project: Path) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    cells = shared.read("aorta")
    assert cells.shape == (2 * LABELLED, len(SYMBOLS))
    for sample, name in enumerate(("Con4", "TAA1")):
        for i, barcode in enumerate(barcodes(sample)[:LABELLED]):
            cell = cells[f"{name}_{barcode}"]
            np.testing.assert_array_equal(cell.X.toarray()[0], table_of(sample)[i])
            assert cell.obs["cell_type"].item() == ["Tcell", "SMC", "Unknown"][i % 3]
            assert cell.obs["phenotype"].item() == ["Control", "Ascending only"][sample]
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert "Con4: 15 cells counted, 12 of them labelled; 0 labels without a cell" in report["notes"]
    assert len(report["files"]) == len(FILES) + 1


def test_commas_and_genes_that_only_one_sample_has(project: Path) -> None:
    write_dense(RAW / "samples/Con4.txt.gz", 0, genes=SYMBOLS[:5], separator=",")
    write_params(expected={"n_genes": 5})
    assert run().exit_code == 0
    assert list(shared.read("aorta").var["original_symbol"]) == SYMBOLS[:5]


def test_a_gene_may_be_called_like_a_missing_value(project: Path) -> None:
    """With a corner above the names of genes, and without, as R writes it."""
    names = [*SYMBOLS[:5], "NA", "nan", "null"]
    write_dense(RAW / "samples/Con4.txt.gz", 0, genes=names)
    found = samples.read_sample(RAW / "samples/Con4.txt.gz")
    assert list(found.genes.index) == names
    np.testing.assert_array_equal(found.x.toarray(), table_of(0))
    with gzip.open(RAW / "samples/Con4.txt.gz", "rt") as stream:
        text = stream.read()
    with gzip.open(RAW / "samples/Con4.txt.gz", "wt") as stream:
        stream.write(text.removeprefix("\t"))
    without_corner = samples.read_sample(RAW / "samples/Con4.txt.gz")
    assert list(without_corner.genes.index) == names and without_corner.barcodes == found.barcodes
    np.testing.assert_array_equal(without_corner.x.toarray(), table_of(0))


def test_labels_without_a_cell_are_counted(project: Path) -> None:
    rows = [(f"{barcode}-1", "Con4", "SMC") for barcode in barcodes(0)[:4]]
    rows += [("ACGTACGTACGTACGT-1", "Con4", "SMC")] + [(f"{barcode}_2", "TAA1", "Tcell") for barcode in barcodes(1)]
    write_labels(rows)
    write_params(expected={"n_cells": 4 + LABELLED + 3})
    result = run()
    assert result.exit_code == 0, result.output
    assert "Con4: 15 cells counted, 4 of them labelled; 1 labels without a cell" in result.output


def test_the_samples_may_be_a_reference_and_a_query(project: Path) -> None:
    write_params(parts={"reference": ["TAA1"], "query": ["Con4"]})
    assert run().exit_code == 0
    cells = shared.read("aorta")
    assert cells.obs["part"].tolist() == ["query"] * LABELLED + ["reference"] * LABELLED
    report = json.loads(Path("metrics/verification/aorta.json").read_text())
    assert report["cells"]["n_scored"] == report["checked"]["query"]["found"] == LABELLED


def test_cells_without_a_label_may_be_kept(project: Path) -> None:
    labels = {"file": "labels.csv", "sample": "orig.ident", "names": {"ATAA1": "TAA1"}, "unlabelled": "keep"}
    write_params(labels=labels, expected=None)
    assert run().exit_code == 0
    cells = shared.read("aorta")
    assert cells.obs_names.tolist() == [
        f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)
    ]
    assert (cells.obs["cell_type"][LABELLED : LABELLED + 3] == "Unknown").all()
    assert cells.obs["cell_type"].tolist()[1] == "SMC"
    np.testing.assert_array_equal(cells.X.toarray(), np.vstack([table_of(0), table_of(1)]))


@given(letters=st.text("ACGTN", min_size=8, max_size=20), number=st.integers(1, 99), sample=st.integers(1, 99))
def test_a_barcode_is_its_letters_whatever_programs_put_around(letters: str, number: int, sample: int) -> None:
    for name in (letters, f"{letters}-{number}", f"{letters}.{number}_{sample}", f"s{sample}_{letters}-{number}"):
        assert samples.letters_of(name) == letters
    assert samples.letters_of(f"{letters}-{letters}") is None
