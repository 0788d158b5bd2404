"""What kind of file arrived, by its first bytes, and in one line how to convert one that is not read here."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from genept.core import files

ENDINGS = ("h5ad", "zarr.zip", "h5", "h5mu", "mtx.zip")  # of what is read; the content, not the ending, says how
HDF5, ZIP, EMPTY_ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"PK\x05\x06"
COMPRESSIONS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
N_BYTES = 1024  # that tell
LOOM = "a loom file, which is not read; `anndata.io.read_loom(path).write_h5ad('raw.h5ad')` converts it"
R = "an R object, which is not read; in R, `anndataR::write_h5ad(readRDS(path), 'raw.h5ad')` converts it"
H5SEURAT = "an h5Seurat file, which is not read; in R, `SeuratDisk::Convert(path, dest = 'h5ad')` converts it"
TABLE = (
    "a table of text; with genes in rows name it under `samples`, or convert it: "
    "`anndata.io.read_csv(path).T.write_h5ad('raw.h5ad')`, without .T if cells are in rows"
)
PACKED = "compressed; unpack it or, in a source on the web, give its name without the last ending as `member`"
MATRIX = "a matrix alone; give the folder with its barcodes and features as well, as raw.mtx.zip"
MATLAB = "a MATLAB file, which is not read; write counts, cells and genes as an h5ad"
SIGNATURES = (
    (b"RDX", R),
    (b"X\n\x00\x00", R),
    (b"A\n", R),
    (b"%%MatrixMarket", MATRIX),
    (b"MATLAB", MATLAB),
    (b"PAR1", "a parquet table, which is not read; write counts, cells and genes as an h5ad"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file; fetch the file itself (`git lfs pull`)"),
    (HDF5, "an HDF5 file, not a table of text"),
    (ZIP, "a spreadsheet or an archive; save what is in it as text, with commas or tabs"),
    (b"%PDF", "a PDF, not data; correct the address"),
    (b"<", "a web page and not a file of cells; correct the address, which may ask to log in"),
)
NAMES = {
    r"loom": LOOM,
    r"rds|rdata|rda|robj": R,
    r"h5seurat": H5SEURAT,
    r"(csv|tsv|txt)(\.gz|\.bz2|\.xz)?": TABLE,
    r"mtx(\.gz)?": MATRIX,
    r".*\.(gz|bz2|xz)": PACKED,
    r"mat": MATLAB,
    r"zarr": "a zarr store; name it raw.zarr.zip, also where `path` is a folder",
}


def hint_by_name(name: str) -> str:
    """Say what a file with this name probably is and how to convert it; nothing if nothing is known of the name."""
    ending = PurePosixPath(name).name.partition(".")[2].lower()
    return next((hint for pattern, hint in NAMES.items() if re.fullmatch(pattern, ending)), "")


def hint(path: Path) -> str:
    """Say what a file is that cannot be read as it is, by its first bytes; nothing if they tell nothing."""
    with files.require_file(path).open("rb") as stream:
        start = stream.read(N_BYTES)
    for magic, unpack in COMPRESSIONS.items():
        if start.startswith(magic):
            inner = b""
            with contextlib.suppress(OSError, EOFError, zlib.error, lzma.LZMAError), unpack(path) as stream:
                inner = stream.read(N_BYTES)
            of_inner = hint_of(inner)
            return of_inner if of_inner in (R, TABLE) else PACKED
    return hint_of(start)


def hint_of(start: bytes) -> str:
    """Say what begins with these bytes."""
    if not start:
        return "empty; fetch it again"
    if known := [text for magic, text in SIGNATURES if start.lstrip().startswith(magic)]:
        return known[0]
    if start[257:262] == b"ustar":
        return "a tar archive; name the file in it as `member` in the source"
    is_text = b"\0" not in start and start.decode("utf-8", "replace").count("\ufffd") < 2
    return TABLE if is_text and re.search(rb"[\t,]", start.partition(b"\n")[0]) else ""


def hint_of_zip(archive: zipfile.ZipFile) -> str:
    """Say what a zip is that holds neither a zarr store nor a matrix."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if "[Content_Types].xml" in names:
        return "a spreadsheet, which is not read; write counts, cells and genes as an h5ad"
    listed = ", ".join(names[:3]) + (", ..." if names[3:] else "") or "nothing"
    return f"a zip archive with {listed}; name the file in it as `member` in the source"
