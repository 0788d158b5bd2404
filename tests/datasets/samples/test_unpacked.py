"""What a compressed file may unpack to: no more than a table of counts does."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from genept.core.errors import InputError
from genept.datasets import samples
from genept.datasets import unpack as unpacked
from genept.datasets.entry import LabelTable
from tests import helpers
from tests.datasets.samples.made import RAW, assert_refused, run

ROWS = b"gene\t0\t0\n" * 40_000  # 360,000 bytes; some hundred times less when compressed
TENX = RAW / "samples/TAA1"
DENSE = RAW / "samples/Con4.txt.gz"


def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files unpack to 20 times their size and 100,000 bytes, enough for what the project has."""
    monkeypatch.setattr(unpacked, "SLACK", 100_000)
    monkeypatch.setattr(unpacked, "MAX_RATIO", 20)
    monkeypatch.setattr(unpacked, "AT_ONCE", 4096)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        (DENSE, b"\tACGTACGTACGT\tACGTACGTACGA\n" + ROWS),
        (DENSE, b"A" * 400_000),  # one line
        (TENX / "barcodes.tsv.gz", b"ACGTACGTACGT-1\n" * 30_000),
        (TENX / "features.tsv.gz", ROWS),
        (
            TENX / "matrix.mtx.gz",
            b"%%MatrixMarket matrix coordinate integer general\n9 15 60000\n" + b"1 1 1\n" * 60_000,
        ),
    ],
)
def test_a_file_that_unpacks_to_more_than_a_table_does_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, path: Path, content: bytes
) -> None:
    tight(monkeypatch)
    assert run().exit_code == 0
    for written in Path("data/aorta").glob("*.*"):
        written.unlink()
    path.write_bytes(gzip.compress(content))
    assert_refused(f"{path}: unpacks to more than", "over 20 times its size; no table of counts does; if it is one,")


@pytest.mark.parametrize(
    ("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("csv", bytes)]
)
def test_any_compression_is_read_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    tight(monkeypatch)
    path, head = tmp_path / f"labels.csv.{ending}", b",sample,type\nACGTACGT-1,a,T\n"
    path.write_bytes(compress(head))
    table = samples.read_labels(path, LabelTable(path.name, "sample", {}))
    assert table.loc[("a", "ACGTACGT"), "type"] == "T"
    path.write_bytes(compress(head + b",,\n" * 400_000))
    with pytest.raises(InputError, match="unpacks to more than" if ending != "csv" else "is no cell barcode"):
        samples.read_labels(path, LabelTable(path.name, "sample", {}))


def test_the_limit_is_a_factor_of_the_size_and_a_floor(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"ab"))
    with unpacked.opened(path) as stream:
        assert stream.read() == b"ab"
    n_bytes = path.stat().st_size
    allowed = unpacked.SLACK + unpacked.MAX_RATIO * n_bytes
    assert (unpacked.SLACK, unpacked.MAX_RATIO, allowed) == (67_108_864, 250, 67_108_864 + 250 * n_bytes)
    with unpacked.opened(path) as stream:
        assert stream.raw.limit == allowed  # type: ignore[attr-defined]


def test_one_long_line_never_fills_the_memory(tmp_path: Path) -> None:
    """400 MB in one line, compressed to 0.4 MB, of which some 165 MB are unpacked before it is refused."""
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb") as stream:
        for _ in range(400):
            stream.write(bytes(1_000_000))
    program = (
        "import resource, sys, pathlib\n"
        "from genept.datasets import samples\n"
        "from genept.core.errors import InputError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    samples.read_sample(pathlib.Path(sys.argv[1]))\n"
        "except InputError as error:\n"
        "    print(error.message)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=helpers.ROOT, capture_output=True, text=True, check=True
    )
    message, megabytes = ran.stdout.splitlines()
    assert "unpacks to more than" in message and int(megabytes) < 350
