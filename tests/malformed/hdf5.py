"""Ways to spoil a file of cells, within HDF5."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from tests.malformed.changes import RAW, Change


def hdf5(how: Callable[[h5py.File], Any], path: Path = RAW, mode: str = "a") -> Change:
    def apply() -> None:
        with h5py.File(path, mode) as file:
            how(file)

    return apply


def put(name: str, data: Any, **attributes: Any) -> Callable[[h5py.File], None]:
    """Replace a dataset of the file."""

    def apply(file: h5py.File) -> None:
        kept = dict(file[name].attrs) if name in file else {}
        if name in file:
            del file[name]
        file.create_dataset(name, data=data(file) if callable(data) else data)
        file[name].attrs.update(kept | attributes)

    return apply


def attribute(name: str, key: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file[name].attrs.__setitem__(key, value)


def array(name: str, how: Callable[[np.ndarray], Any]) -> Callable[[h5py.File], None]:
    return lambda file: put(name, how(file[name][...]))(file)


def linked(name: str) -> Callable[[h5py.File], None]:
    """Let a link to another file of this machine take the place of a part."""

    def apply(file: h5py.File) -> None:
        with h5py.File("other.h5", "w") as other:
            file.copy(file[name], other, "part")
        del file[name]
        file[name] = h5py.ExternalLink(os.path.abspath("other.h5"), "part")  # noqa: PTH100

    return apply


def stored_outside(file: h5py.File) -> None:
    values = file["X/data"][...]
    Path("other.bin").write_bytes(values.tobytes())
    del file["X/data"]
    outside = [(os.path.abspath("other.bin"), 0, values.nbytes)]  # noqa: PTH100
    file.create_dataset("X/data", values.shape, values.dtype, external=outside)


def virtual(file: h5py.File) -> None:
    values = file["X/data"][...]
    with h5py.File("other.h5", "w") as other:
        other["part"] = values
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[:] = h5py.VirtualSource(os.path.abspath("other.h5"), "part", values.shape)  # noqa: PTH100
    del file["X/data"]
    file.create_virtual_dataset("X/data", layout)


def broken_heap(path: Path = RAW) -> Change:
    """Give an entry in the first collection of texts the size 0, at which HDF5 turns for ever."""

    def apply() -> None:
        content = bytearray(path.read_bytes())
        entry = content.index(b"GCOL") + 16
        content[entry : entry + 16] = bytes(16)  # entry 0 is the free rest
        path.write_bytes(content)

    return apply


def dense(how: Callable[[np.ndarray], Any]) -> Callable[[h5py.File], None]:
    """Write X as a dense matrix, changed."""

    def apply(file: h5py.File) -> None:
        data, indices, indptr = (file[f"X/{name}"][...] for name in ("data", "indices", "indptr"))
        x = sp.csr_matrix((data, indices, indptr), shape=tuple(file["X"].attrs["shape"])).toarray()
        del file["X"]
        file.create_dataset("X", data=how(x))
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    return apply


def bomb(file: h5py.File) -> None:
    """A matrix of 10^6 x 30,000 zeros that takes no place in the file."""
    del file["X"]
    file.create_dataset("X", (10**6, 30_000), "f4", chunks=(1000, 1000), compression="gzip")
    file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def as_column(values: Any, column: str = "kind") -> Callable[[h5py.File], None]:
    def apply(file: h5py.File) -> None:
        from anndata.io import write_elem

        del file[f"obs/{column}"]
        write_elem(file["obs"], column, values)

    return apply


def other_file(make: Callable[[Path], Any]) -> Change:
    """Put another kind of file in the place of the h5ad."""

    def apply() -> None:
        RAW.unlink()
        make(RAW)

    return apply


def relabel(label: str) -> Change:
    """Give cell type "B cell" another name in the file of cells."""
    return hdf5(
        lambda file: array(
            "obs/kind/categories",
            lambda x: np.array([label if name == b"B cell" else name.decode() for name in x], object),
        )(file)
    )


def rename_everywhere(label: str) -> Change:
    """Give it the name in all that earlier stages have written."""

    def apply() -> None:
        for path in [*Path("data/mine").glob("*.csv"), *Path("metrics").rglob("*.csv"), *Path("plots").rglob("*.csv")]:
            with path.open(newline="") as stream:
                rows = [[label if cell == "B cell" else cell for cell in row] for row in csv.reader(stream)]
            with path.open("w", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows(rows)
        for path in Path("metrics").rglob("*.json"):
            path.write_text(path.read_text().replace('"B cell"', json.dumps(label)))

    return apply
