"""A folder of this machine as one file: a zip of a zarr store or of the files of a matrix, equal where these are equal.

Nothing is compressed, since the chunks of a store are, and a zip of stored files is read like the folder.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from genept.core import files
from genept.core.errors import InputError

ENDING = ".zip"  # of the names under ``source.files`` that may stand for a folder
STORE = (".zgroup", "zarr.json")
MATRIX = ("matrix.mtx", "barcodes.tsv", "features.tsv", "genes.tsv")  # or with .gz


def members(folder: Path) -> list[Path]:
    """Return the files of a zarr store, or those of a matrix of 10x Genomics; `InputError` if a folder is neither."""
    if any((folder / name).is_file() for name in STORE):
        paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
        if links := [path for path in paths if path.is_symlink()]:
            raise InputError(f"{links[0]}: refused, a link within a zarr store; put the file itself there")
    else:
        paths = [path for name in MATRIX for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not any(path.name.startswith(MATRIX[0]) for path in paths):
            raise InputError(
                f"{folder}: neither a zarr store (.zgroup or zarr.json) nor a folder with matrix.mtx, barcodes.tsv and "
                "features.tsv; correct the path in the settings"
            )
    for path in paths:
        files.require_file(path)
    return paths


def write(folder: Path, target: Path) -> None:
    """Write the files of a folder into a zip, in the order of their names and without their times and owners."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in members(folder):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix())  # of the year 1980
            info.file_size, info.create_system, info.external_attr = path.stat().st_size, 3, 0o644 << 16
            with path.open("rb") as source, archive.open(info, "w") as stored:
                shutil.copyfileobj(source, stored, files.CHUNK)
