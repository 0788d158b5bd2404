"""Samples and labels that cannot be joined are one clear line."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.core.errors import ParamsError
from genept.datasets import parse
from tests.datasets.samples.gathered import gather
from tests.datasets.samples.made import RAW, assert_refused, barcodes, run, write_dense, write_labels, write_params


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ([("ACGTACGTACGTACGT-1", "Con4", "SMC")], ["none of the 1 barcodes of Con4 (not ACGTACGTACGTACGT)"]),
        ([("ACGTACGTACGTACGT-1", "Con4", "a"), ("ACGTACGTACGTACGT.1_1", "Con4", "b")], ["1 rows repeat a cell"]),
        ([("ACGTACGTACGTACGT-1", "Con5", "SMC")], ["no cell of sample 'Con4'; it has Con5"]),
        ([("cell 1", "Con4", "SMC")], ["'cell 1' in its first column is no cell barcode"]),
    ],
)
def test_labels_that_do_not_fit_are_refused(project: Path, rows: list[tuple[str, str, str]], texts: list[str]) -> None:
    write_labels(rows)
    assert_refused(*texts)


def test_labels_of_which_few_find_their_cell_are_refused(project: Path) -> None:
    """Of Con4 one row of ten; of TAA1 all."""
    others = ["A" * number + "C" * (16 - number) for number in range(9)]
    rows = [(f"{barcode}-1", "Con4", "SMC") for barcode in [barcodes(0)[0], *others]]
    write_labels(rows + [(f"{barcode}-1", "TAA1", "Tcell") for barcode in barcodes(1)])
    assert_refused(
        f"labels.csv: 1 of the 10 barcodes of Con4 (not {min(others)}) found among the 15 of data/aorta/raw/",
        f"samples/Con4.txt.gz (such as {barcodes(0)[1]}), but labels.least_share is 0.5; is it the table",
    )
    labels: dict[str, Any] = {"file": "labels.csv", "sample": "orig.ident", "least_share": 0.1}
    write_params(labels=labels, expected=None)
    assert run().exit_code == 0
    write_params(labels={**labels, "least_share": 0.11}, expected=None)
    result = run()
    assert result.exit_code == 1 and "labels.least_share is 0.11" in result.output


def test_a_barcode_that_is_twice_in_a_sample_is_refused(project: Path) -> None:
    names = [f"{barcode}-1" for barcode in barcodes(1)]
    names[3] = names[4].replace("-1", "-2")
    with gzip.open(RAW / "samples/TAA1/barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{name}\n" for name in names)
    assert_refused("is twice in sample TAA1")


@pytest.mark.parametrize("name", ["samples/Con4.txt.gz", "samples/TAA1/matrix.mtx.gz", "labels.csv"])
def test_damaged_files_are_named(project: Path, name: str) -> None:
    content = (RAW / name).read_bytes()
    (RAW / name).write_bytes(content[: len(content) // 2] if name.endswith(".gz") else b"\xff\xfe\x00")
    assert_refused("data/aorta/raw/" + name.rsplit("/matrix", 1)[0])


def test_a_table_separated_by_spaces_is_not_called_damaged(project: Path) -> None:
    write_dense(RAW / "samples/Con4.txt.gz", 0, separator=" ")  # as R's write.table by default
    assert_refused("Con4.txt.gz: no tab or comma was found in its first line", "write.table does with sep = '\\t'")
    assert "damaged" not in run().output
    write_dense(RAW / "samples/Con4.txt.gz", 0)
    (RAW / "labels.csv").write_text("barcode orig.ident celltype\nACGTACGT-1 Con4 SMC\n")
    assert_refused("labels.csv: no column 'orig.ident'; it has one column only, no comma was found")


@pytest.mark.parametrize("value", ["NA", ""])
def test_a_count_that_is_missing_is_refused(project: Path, value: str) -> None:
    path = RAW / "samples/Con4.txt.gz"
    with gzip.open(path, "wt") as stream:
        stream.write(f"\t{barcodes(0)[0]}\t{barcodes(0)[1]}\nCD4\t1\t2\nLYZ\t{value}\t3\n")
    assert_refused(f"{path}: ", "no table of counts (could not convert string to float")


def test_other_numbers_of_barcodes_or_a_missing_column_are_said(project: Path) -> None:
    with gzip.open(RAW / "samples/TAA1/barcodes.tsv.gz", "wt") as stream:
        stream.write("ACGTACGTACGTACGT-1\n")
    assert_refused("9 genes and 1 barcodes for a matrix")
    write_params(labels={"file": "labels.csv", "sample": "ident"})
    assert_refused("labels.csv: no column 'ident'; it has orig.ident, celltype")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "samples and labels belong together; labels is missing"),
        ({"samples": {"a": "samples/Con5.txt.gz"}}, "'samples/Con5.txt.gz' is neither a file nor a folder"),
        ({"labels": {"file": "other.csv", "sample": "x"}}, "needs file, one of those under source.files"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(project: Path, changes: dict[str, Any], message: str) -> None:
    write_params(**changes)
    content = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["aorta"]
    with pytest.raises(ParamsError, match=message):
        parse.parse("aorta", content)


def test_an_ending_that_no_barcode_has_is_said(project: Path) -> None:
    gather(samples={"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": 7}})
    assert_refused("no barcode ends in -7; the endings are 1, 2")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": {"reference": ["Con4"]}}, "parts: needs every sample once, under reference or query: Con4, TAA1"),
        ({"parts": {"reference": ["Con4"], "query": ["Con4", "TAA1"]}}, "needs every sample once"),
        ({"samples": {"Con4": {"suffix": 1}}}, "samples.Con4: needs the path of a file or folder"),
        ({"samples": {"Con4": {"path": "samples/TAA1", "ending": 1}}}, "unknown key 'ending'"),
        (
            {"labels": {"file": "labels.csv", "sample": "orig.ident", "unlabelled": "no"}},
            "'no' is neither of drop and keep",
        ),
        (
            {"labels": {"file": "labels.csv", "sample": "orig.ident", "least_share": 2}},
            "labels.least_share: must be a number from 0 to 1, got 2",
        ),
    ],
)
def test_samples_that_cannot_be_meant_are_refused(project: Path, changes: dict[str, Any], message: str) -> None:
    write_params(**changes)
    content = yaml.safe_load(Path("params.yaml").read_text())["datasets"]["aorta"]
    with pytest.raises(ParamsError, match=message):
        parse.parse("aorta", content)
