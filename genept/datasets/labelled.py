"""Writing labelled cells: one h5ad, or parts if they are too many for it (`genept.data.cells`).

A finished part is kept in ``data/cache/label/<dataset>/``, as ``<key>.<sha256>.zarr``, and linked into the output. Its
key is a hash of its cells, their values and genes: a run that was killed goes on behind the last finished part, and one
more cell at the end of a dataset makes one more part. ``used.json`` names the parts of the last run that finished;
`stages.clean` removes others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from genept.core import disk, files
from genept.core.pace import Pace
from genept.data import cells, parts
from genept.datasets.matrix import Matrix, joined

CACHE = Path("data/cache/label")
FORMAT = 1  # of parts; another one shares none


@dataclass(frozen=True)
class Chosen:
    """Cells of a dataset that are written together."""

    x: Matrix
    obs: pd.DataFrame  # categories
    digests: np.ndarray  # a hash of each cell's values, bytes of a fixed length


def write(
    folder: Path, chosen: Chosen, var: pd.DataFrame, uns: dict[str, Any], dataset: str, obs: bool = True
) -> list[str]:
    """Write cells into an empty folder, without the table beside an h5ad if `obs` is false.

    Returns the names of the parts, in the cache, that they were written in, for `note_used`.
    """
    if len(chosen.obs) > cells.IN_ONE_FILE:
        return write_parts(folder, chosen, var, uns, dataset)
    table = chosen.obs.set_axis(chosen.obs.index.astype(object))
    write_h5ad(folder / cells.IN_FILE, AnnData(chosen.x.csr(), obs=table, var=var), uns)
    if obs:
        table.to_csv(folder / cells.OBS, index_label="cell_id", lineterminator="\n", encoding="utf-8")
    return []


def note_used(dataset: str, names: list[str]) -> None:
    """Note which parts are those of the last run, of the evaluated cells and of the corpus together."""
    store = files.shared(CACHE) / dataset
    if store.exists():
        files.write_json(store / "used.json", sorted(set(names)))


def write_h5ad(path: Path, data: AnnData, uns: dict[str, Any]) -> None:
    """Write an h5ad with `uns`, texts and numbers; equal cells give equal bytes."""
    with files.writing_h5(path) as file:
        cells.write_elements(file, data, uns)


def write_parts(folder: Path, chosen: Chosen, var: pd.DataFrame, uns: dict[str, Any], dataset: str) -> list[str]:
    """Write cells in parts, and return their names; cells of parts that an earlier run has finished are not read."""
    parts.write_tables(folder, chosen.obs.rename_axis("cell_id"), var)
    store, rows = files.shared(CACHE) / dataset, parts.divide(len(chosen.obs))
    about = [FORMAT, uns["x"], files.sha256(folder / parts.VAR)]
    keys = [key(chosen, some, about) for some in rows]
    found = {name: path for name in keys if (path := finished(store, name))}
    missing = [number for number, name in enumerate(keys) if name not in found]
    sizes = [some.stop - some.start for some in rows]
    with Pace(f"{dataset}: writing", len(chosen.obs)) as pace:
        pace.add(sum(sizes) - sum(sizes[number] for number in missing), earlier=True)
        wanted = np.concatenate([np.r_[rows[number]] for number in missing]) if 0 < len(missing) < len(keys) else None
        blocks = chosen.x.blocks(wanted) if missing else iter(())
        groups = regrouped(blocks, [sizes[number] for number in missing])
        for number in missing:
            x = next(groups)
            with files.writing(store) as temporary:
                part = temporary / "part.zarr"
                parts.write_part(part, x, list(chosen.obs.index[rows[number]]), var, uns["x"])
                if number == missing[0]:
                    require_room(part, folder, sizes, missing, dataset)
                found[keys[number]] = keep(part, store / f"{keys[number]}.{parts.folder_sha256(part)}.zarr")
            del x  # before the next is read
            pace.add(sizes[number])
    entries = []
    for number, name in enumerate(keys):
        entry = parts.Entry(name=parts.name_of(number), n_cells=sizes[number], sha256=found[name].name.split(".")[1])
        link(found[name], folder / parts.FOLDER / entry.name)
        entries.append(entry)
    parts.write_manifest(folder, uns, len(var), cells.ids_digest(chosen.obs.index), entries)
    return [path.name for path in found.values()]


def require_room(part: Path, folder: Path, sizes: list[int], missing: list[int], dataset: str) -> None:
    """Say what the `missing` parts will take, by the first of them; `InputError` if a disk has not that much room.

    They are kept beside `part`; in `folder` all are links to them, or copies on another disk.
    """
    of_cell = sum(path.stat().st_size for path in part.rglob("*") if path.is_file()) / sizes[missing[0]]
    n_cells, n_left = sum(sizes), sum(sizes[number] for number in missing)
    resumed = f", {n_cells - n_left:,} of them by an earlier run" if n_left < n_cells else ""
    what = f"{n_cells:,} cells in {len(sizes)} parts{resumed}"
    click.echo(f"{dataset}: writing {what}; {disk.readable(of_cell * n_left)} of disk", err=True)
    copied = of_cell * n_cells if folder.stat().st_dev != part.stat().st_dev else 0
    disk.require([(part, of_cell * (n_left - sizes[missing[0]])), (folder, copied)])


def regrouped(blocks: Iterable[csr_matrix], sizes: Iterable[int]) -> Iterator[csr_matrix]:
    """Yield the cells of some blocks, float32, in groups of the given sizes, which add up to all of them."""
    blocks, rest = iter(blocks), None
    for size in sizes:
        waiting, n_waiting = list[csr_matrix](), 0
        while n_waiting < size:
            rest = next(blocks) if rest is None else rest  # no other name keeps a block while its cells are written
            n = min(size - n_waiting, rest.shape[0])
            waiting.append(rest[:n] if n < rest.shape[0] else rest)
            rest = rest[n:] if n < rest.shape[0] else None
            n_waiting += n
        yield stacked(waiting)


def stacked(blocks: list[csr_matrix]) -> csr_matrix:
    """Join blocks, and drop each as it is copied, so that both never are in memory as a whole."""
    n_genes, sizes = blocks[0].shape[1], [np.diff(block.indptr) for block in blocks]
    values, indices = (
        [block.data.astype(np.float32, copy=False) for block in blocks],
        [block.indices for block in blocks],
    )
    blocks.clear()
    indptr = np.concatenate([[0], *sizes]).cumsum()
    arrays = joined(values, np.float32), joined(indices, np.int32), indptr
    return csr_matrix(arrays, shape=(len(indptr) - 1, n_genes))


def key(chosen: Chosen, rows: slice, about: list[Any]) -> str:
    """Return a hash of all that a part depends on: its cells, their values, and `about`."""
    digest = hashlib.sha256(json.dumps([about, list(chosen.obs.index[rows])]).encode())
    digest.update(chosen.digests[rows].tobytes())
    return digest.hexdigest()[:32]


def finished(store: Path, name: str) -> Path | None:
    """Return a part that an earlier run has finished; one that is damaged is removed."""
    for path in store.glob(f"{name}.*.zarr"):
        if parts.folder_sha256(path) == path.name.split(".")[1]:
            path.touch()  # the folder: `stages.clean` takes what is older than the last run that finished
            return path
        files.remove(path)
    return None


def keep(part: Path, path: Path) -> Path:
    """Give a finished part its name, unless another process has just written the same."""
    try:
        part.rename(path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    return path


def link(folder: Path, target: Path) -> None:
    """Copy a folder by hard links, which take no room, or as it is where a file system has none."""

    def one(source: str, to: str) -> None:
        try:
            os.link(source, to)
        except OSError:
            shutil.copyfile(source, to)

    shutil.copytree(folder, target, copy_function=one)
