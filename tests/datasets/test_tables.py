"""Tables of counts and labels: names that look like missing values, and how far a compressed file is unpacked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genept.core.errors import InputError
from genept.datasets import tables
from genept.datasets.nested_config import Labels
from genept.datasets.samples import read_labels
from tests.datasets.made import DENSE, GENES, TENX, assert_refused, counts_of, write_dense, write_text

ROWS = b"gene\t0\t0\n" * 40_000  # 360,000 bytes; some hundred times less when compressed
MATRIX = b"%%MatrixMarket matrix coordinate integer general\n9 15 60000\n" + b"1 1 1\n" * 60_000


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files unpack to 20 times their size and 100,000 bytes, enough for what the project has."""
    monkeypatch.setattr(tables, "SLACK", 100_000)
    monkeypatch.setattr(tables, "MAX_RATIO", 20)


@pytest.mark.parametrize("has_corner", [True, False], ids=["a corner above the genes", "none, as R writes it"])
def test_a_gene_may_be_called_like_a_missing_value(samples: Path, has_corner: bool) -> None:
    names = [*GENES[:5], "NA", "nan", "null"]
    write_dense(names)
    text = gzip.decompress(DENSE.read_bytes()).decode()
    write_text(DENSE, text if has_corner else text.removeprefix("\t"))
    counts = tables.read_counts(DENSE)
    assert list(counts.genes.index) == names
    np.testing.assert_array_equal(counts.x.toarray(), counts_of(0))


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (DENSE, b"\tACGTACGTACGT\tACGTACGTACGA\n" + ROWS),
        (TENX / "barcodes.tsv.gz", b"ACGTACGTACGT-1\n" * 30_000),
        (TENX / "features.tsv.gz", ROWS),
        (TENX / "matrix.mtx.gz", MATRIX),
    ],
)
def test_a_file_that_unpacks_to_more_than_a_table_does_is_refused(
    samples: Path, tight: None, path: Path, content: bytes
) -> None:
    tables.read_counts(DENSE)
    tables.read_counts(TENX)
    path.write_bytes(gzip.compress(content))
    assert_refused(1, f"{path}: unpacks to more than 20 times its size; no table of counts does; if it is one,")


@pytest.mark.parametrize(
    ("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("csv", bytes)]
)
def test_any_compression_is_read_and_bounded(
    tmp_path: Path, tight: None, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path, head = tmp_path / f"labels.csv.{ending}", b",sample,type\nACGTACGT-1,a,T\n"
    config = Labels(file=path.name, sample="sample")
    path.write_bytes(compress(head))
    assert read_labels(path, config).loc[("a", "ACGTACGT"), "type"] == "T"
    path.write_bytes(compress(head + b",,\n" * 400_000))
    with pytest.raises(InputError, match="unpacks to more than" if ending != "csv" else "is no cell barcode"):
        read_labels(path, config)


def test_one_long_line_never_fills_the_memory(tmp_path: Path, tight: None) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(bytes(100_000_000)))
    tracemalloc.start()
    with pytest.raises(InputError, match="unpacks to more than"):
        tables.read_counts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
