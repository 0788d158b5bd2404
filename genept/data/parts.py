"""Labelled cells that are too many for one file, on disk: a zarr store for every `CELLS` of them, and a manifest.

In a folder of such cells are

``manifest.json``
    What X holds, the cells and the sha256 of each part and of the tables.
``obs.parquet``, ``var.parquet``
    The annotations and the genes, as in an h5ad; ``obs`` has a row group for each part.
``parts/00000.zarr``, ...
    The cells of a part as an AnnData (zarr v3), which ``anndata.read_zarr`` reads. X is CSR, each of its arrays one
    shard; counts are stored as whole numbers of 16 or 32 bits.

Equal cells give equal bytes. A part is hashed before it is read: one that was cut or changed is an error, not a number.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from genept.core import files, readers
from genept.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

CELLS = 16_384  # in a part, but for the last: 40 MB of 2,000 genes each
MANIFEST, OBS, VAR, FOLDER = "manifest.json", "obs.parquet", "var.parquet", "parts"
CHUNK = 1 << 18  # values that are compressed together
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """A part in the manifest."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^\d{5,}\.zarr$")]
    n_cells: PositiveInt
    sha256: Sha256


class Manifest(BaseModel):
    """The content of ``manifest.json``."""

    model_config = ConfigDict(strict=True, extra="forbid")

    n_cells: PositiveInt
    n_genes: PositiveInt
    cell_ids_sha256: Sha256
    uns: dict[str, Any]
    obs_sha256: Sha256
    var_sha256: Sha256
    parts: list[Entry]


def divide(n_cells: int) -> list[slice]:
    """Return the rows of each part, of no cells a single one."""
    return [slice(start, min(start + CELLS, n_cells)) for start in range(0, max(1, n_cells), CELLS)]


def name_of(number: int) -> str:
    """Return the name of a part."""
    return f"{number:05d}.zarr"


def write_tables(folder: Path, obs: pd.DataFrame, var: pd.DataFrame) -> None:
    """Write ``obs.parquet`` and ``var.parquet``, texts as they are, the index first."""
    import pyarrow as pa
    from pyarrow import parquet

    for name, table, n_rows in ((OBS, obs, CELLS), (VAR, var, max(1, len(var)))):
        schema = pa.schema([(str(title), pa.string()) for title in (table.index.name, *table.columns)])
        with parquet.ParquetWriter(folder / name, schema, compression="zstd", store_schema=False) as writer:
            for first in range(0, max(1, len(table)), n_rows):  # the texts of one row group at a time
                some = table.iloc[first : first + n_rows]
                texts = [some.index.astype(str), *(some[title].astype(str) for title in some.columns)]
                columns = [pa.array(column, pa.string()) for column in texts]
                writer.write_table(pa.table(columns, schema), row_group_size=n_rows)


def read_table(path: Path, sha256: str, stage: str, part: int | None = None) -> pd.DataFrame:
    """Read a table of texts, or of ``obs``, once `require_table` has checked it, the rows of one part.

    The first column is the index. `InputError` if it is not what `stage` wrote.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if part is None:
        require_table(path, sha256, stage)
    try:
        with parquet.ParquetFile(path) as file:
            table = file.read() if part is None else file.read_row_group(part)
    except (pa.ArrowException, ValueError) as error:
        raise readers.damaged(path, stage, str(error)) from None
    return table.to_pandas(deduplicate_objects=True).set_index(table.column_names[0])


def require_table(path: Path, sha256: str, stage: str) -> None:
    """Check that a table is what `stage` wrote; `InputError` if it is not."""
    if files.sha256(path) != sha256:
        raise readers.damaged(path, stage, "cut or changed, its sha256 is not that of the manifest")


def write_part(folder: Path, x: csr_matrix, cell_ids: Sequence[str], var: pd.DataFrame, content: str) -> None:
    """Write some cells into a new folder as a zarr store; `content` of X is ``counts`` or ``lognorm``.

    `x` is float32, shape (n_cells, n_genes), columns ascending.
    """
    import pandas as pd
    import zarr
    from anndata.io import write_elem
    from zarr.codecs import BloscCodec

    dtype: Any = np.float32
    if content == "counts":
        dtype = np.uint16 if x.data.max(initial=0) < 2**16 else np.uint32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr's, that its texts have no final specification
        root = zarr.open_group(folder, mode="w", zarr_format=3)
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        group = root.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [int(n) for n in x.shape]}
        )
        pack = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
        for name, own in (("data", dtype), ("indices", x.indices.dtype), ("indptr", np.int64)):
            values = getattr(x, name).astype(own, copy=False)  # one array is converted at a time
            chunk = min(CHUNK, max(1, len(values)))
            shard = chunk * -(-max(1, len(values)) // chunk)
            group.create_array(name, data=values, chunks=(chunk,), shards=(shard,), compressors=pack)
        write_elem(root, "obs", pd.DataFrame(index=pd.Series(cell_ids, name="cell_id", dtype=object)))
        write_elem(root, "var", var)


def folder_sha256(folder: Path) -> str:
    """Return a hash of all files in a folder, of their names and their content."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return hashlib.sha256(json.dumps([[name, files.sha256(folder / name)] for name in names]).encode()).hexdigest()


def read_part(folder: Path, sha256: str, shape: tuple[int, int], stage: str) -> csr_matrix:
    """Read X of a part, float32 of shape (n_cells, n_genes); `InputError` if it is not what `stage` wrote."""
    import zarr
    from scipy.sparse import csr_matrix

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; `dvc checkout` brings it back, or `dvc repro {stage}` makes it")
    if folder_sha256(folder) != sha256:
        raise readers.damaged(folder, stage, "cut or changed, its sha256 is not that of the manifest")
    group: Any = zarr.open_group(folder, mode="r", path="X", zarr_format=3)
    data, indices, indptr = (group[name][:] for name in ("data", "indices", "indptr"))
    return csr_matrix((data.astype(np.float32, copy=False), indices, indptr), shape=shape)


def write_manifest(folder: Path, uns: dict[str, Any], n_genes: int, ids_sha256: str, parts: Iterable[Entry]) -> None:
    """Write the manifest of the tables and parts in a folder."""
    parts = list(parts)
    content = Manifest(
        n_cells=sum(part.n_cells for part in parts),
        n_genes=n_genes,
        cell_ids_sha256=ids_sha256,
        uns=uns,
        obs_sha256=files.sha256(folder / OBS),
        var_sha256=files.sha256(folder / VAR),
        parts=parts,
    )
    files.write_json(folder / MANIFEST, content.model_dump())


def read_manifest(folder: Path, stage: str) -> Manifest:
    """Read the manifest; `InputError` if it is not what `stage` wrote."""
    manifest: Manifest = readers.read_json(folder / MANIFEST, Manifest, stage)
    sizes = [part.n_cells for part in manifest.parts]
    if sizes != [rows.stop - rows.start for rows in divide(manifest.n_cells)]:
        raise readers.damaged(folder / MANIFEST, stage, f"its parts have other sizes than {manifest.n_cells} cells")
    if [part.name for part in manifest.parts] != [name_of(number) for number in range(len(sizes))]:
        raise readers.damaged(folder / MANIFEST, stage, "its parts are not in their order")
    return manifest
