"""Files of cells that contradict themselves, or are something else: one line says what to do."""

from __future__ import annotations

import gzip
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from genept.core.errors import InputError
from genept.data import cells as labelled
from tests.datasets.made import CELLS, FOLDER, N_CELLS, RAW, assert_refused, configure, in_turn, local, run
from tests.datasets.written import Hdf5, h5mu, replace, stored, zarr_store


def at_5(value: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.where(np.arange(len(values)) == 5, value, values)


def elsewhere(file: h5py.File) -> None:
    Path("secret").write_bytes(b"\1\0\0\0" * 10_000)
    attributes, n = dict(file["X/data"].attrs), len(file["X/data"])
    del file["X/data"]
    file.create_dataset("X/data", (n,), "i4", external=[("secret", 0, 4 * n)]).attrs.update(attributes)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("secret", "x", shape=(3,))
    file.create_virtual_dataset("uns/a", layout)


def declare(n_cells: int, n_genes: int) -> Hdf5:
    """Declare a matrix of which nothing is stored."""

    def apply(file: h5py.File) -> None:
        for table, size in (("obs", n_cells), ("var", n_genes)):
            index = file[table].attrs["_index"]
            attributes = dict(file[table][index].attrs)
            file[table].attrs["column-order"] = np.array([], dtype=h5py.string_dtype())
            del file[table][index]
            file[table].create_dataset(index, (size,), h5py.string_dtype(), chunks=(9,)).attrs.update(attributes)
        del file["X"]
        x = file.create_dataset("X", (n_cells, n_genes), "f4", chunks=(9, 9), compression="gzip")
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    return apply


def long_texts(file: h5py.File) -> None:
    """Let every cell name the same long text."""
    texts = file["obs"].create_dataset("text", (N_CELLS,), h5py.string_dtype(), chunks=(N_CELLS,))
    texts[0] = "x" * 3_000_000
    chunk = texts.id.read_direct_chunk((0,))[1]
    texts.id.write_direct_chunk((0,), chunk[:16] * N_CELLS)
    texts.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    file["obs"].attrs["column-order"] = ["celltype", "donor", "condition", "text"]


def attribute(name: str, key: str, value: Any) -> Callable[[], None]:
    return stored(lambda file: file[name].attrs.__setitem__(key, value))


def write(content: bytes) -> Callable[[], None]:
    return in_turn(lambda: RAW.write_bytes(content))


def instead(make: Callable[[Path], Any]) -> Callable[[], None]:
    """Put something else in the place of the raw file."""

    def apply() -> None:
        RAW.unlink()
        make(RAW)

    return apply


def zip_of(**members: bytes) -> Callable[[], None]:
    def apply() -> None:
        with zipfile.ZipFile(RAW, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name.replace("__", "."), content)

    return apply


def rewrite(path: Path, name: str, how: Callable[[bytes], bytes]) -> None:
    """Write a zarr store of version 2, and one of its members otherwise."""
    zarr_store(2)(path)
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    assert how(members[name]) != members[name]
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in members.items():
            if new := how(content) if one == name else content:
                archive.writestr(one, new)


def pickled(path: Path) -> None:
    """A zarr store whose numbers are pickles, which are code."""
    rewrite(
        path,
        "obs/donor/.zarray",
        lambda text: re.sub(rb'"compressor": {.*?}', b'"compressor": {"id": "pickle"}', text, flags=re.S),
    )


def incomplete(path: Path) -> None:
    """A zarr store of which a part was not copied."""
    rewrite(path, "X/data/0", lambda text: b"")


def hollow(path: Path) -> None:
    """A zarr store that declares much and stores nothing."""
    rewrite(path, "obs/donor/.zarray", lambda text: re.sub(rb"\b60\b", b"1000000000", text))


def keys(**changes: Any) -> Callable[[], None]:
    return lambda: configure(**changes)


def mudata(**changes: Any) -> Callable[[], None]:
    return in_turn(lambda: h5mu(RAW), lambda: configure(**changes))


NO_MATRIX = f"{RAW}: X is no valid sparse matrix, "
REFUSALS: list[tuple[Callable[[], None], str]] = [
    # other files
    (stored(lambda file: file.__setitem__("uns/a", h5py.ExternalLink("secret", "/x"))), "a is a link to another file"),
    (stored(elsewhere), f"{RAW}: refused, the values of data are in another file"),
    (stored(virtual), "refused, the values of a are in another file"),
    (instead(os.mkfifo), f"{RAW}: is a pipe, a socket or a device, not a file"),
    (instead(lambda path: path.symlink_to("/dev/zero")), "is a pipe, a socket or a device"),
    (instead(Path.mkdir), f"{RAW}: is a folder, not a file"),
    # sizes
    (stored(declare(10**6, 30_000)), f"{RAW}: refused, X declares 120,000 MB, more than the 0.000 MB that are stored"),
    (stored(long_texts), "refused, its texts are longer than the file"),
    (instead(hollow), "refused, obs declares 8,000 MB"),
    (zip_of(zarr__json=bytes(10**8)), "unpacks to 100 MB; no cells do"),
    # X beside obs and var
    (attribute("X", "shape", (N_CELLS, 13)), "X has shape 60 x 13, but obs has 60 rows and var 12"),
    (attribute("X", "shape", (N_CELLS, 12, 1)), "X has shape 60 x 12 x 1, but"),
    (attribute("X", "encoding-type", "csc_matrix"), f"{NO_MATRIX}its parts do not fit 60 cells and 12 genes"),
    (attribute("X", "encoding-type", "dataframe"), "X is stored as dataframe, not as a matrix"),
    (replace("X/indptr", lambda values: values[:-1]), f"{NO_MATRIX}its parts do not fit"),
    (replace("X/indptr", at_5(0)), f"{NO_MATRIX}ind"),
    (replace("X/indptr", lambda values: np.minimum(values, 9)), "values, but its index pointer ends at 9"),
    (replace("X/indptr", lambda values: values * 2), NO_MATRIX),
    (replace("X/indices", lambda values: values * 0), f"{NO_MATRIX}it has several values for one gene of a cell"),
    (instead(incomplete), f"{NO_MATRIX}1 chunks of it are not there; copy the whole store again"),
    (replace("X/indices", at_5(12)), f"{NO_MATRIX}indices must be < 12"),
    (replace("X/indices", at_5(-1)), f"{NO_MATRIX}indices must be >= 0"),
    (replace("X/indices", lambda values: values.astype("f4")), "its indices are no whole numbers"),
    (replace("X/data", lambda values: values.astype("c8")), f"{RAW}: X holds complex64, not numbers"),
    (replace("X/data", lambda values: values.astype("S4")), "X holds |S4, not numbers"),
    # obs and var
    (replace("obs/celltype/codes", at_5(77)), "('celltype' of /obs: codes need to be between"),
    (replace("obs/donor", lambda values: values[:5]), "('obs' of /: Length of values (5) does not match"),
    (attribute("obs", "column-order", ["donor", "donor"]), "obs has column 'donor' twice"),
    (attribute("obs", "encoding-version", "9"), "('obs' of /: No read method registered"),
    # other kinds
    (write(b""), f"{RAW}: is empty; fetch it again"),
    (lambda: write(gzip.compress(RAW.read_bytes()))(), f"{RAW}: is compressed; unpack it"),
    (write(gzip.compress(b"RDX3\nX\n")), "is an R object, which is not read; in R, `anndataR::write_h5ad("),
    (write(gzip.compress(b",a,b\n")), "is a table of text; with genes in rows name it under `samples`"),
    (write(b"\n<!DOCTYPE html>"), "is a web page and not a file of cells"),
    (write(b"version https://git-lfs.github.com/spec/v1\n"), "is a pointer of Git LFS and not the file"),
    (write(b"%%MatrixMarket matrix"), "is a matrix alone; give the folder with its barcodes and features"),
    (write(b"\0" * 999), "is no h5ad file, nor another file of cells that is read"),
    (instead(lambda path: h5py.File(path, "w").update({"row_attrs": 1, "col_attrs": 1})), "is a loom file, which is"),
    (zip_of(a__h5ad=b""), "is a zip archive with a.h5ad; name the file in it as `member`"),
    (instead(pickled), "'object_codec_id': 'pickle'"),
    # modalities, tables of labels
    (keys(modality="rna"), f"{RAW}: no modality 'rna'; it is no h5mu file"),
    (mudata(), f"{RAW}: has the modalities prot, rna; name one as `modality` in the dataset's file"),
    (mudata(modality="rn"), "no modality 'rn'; did you mean 'rna'?; it has prot, rna"),
    (
        in_turn(
            lambda: (FOLDER / "labels.csv").write_text(",kind\na,T\n"),
            keys(source=local("raw.h5ad", "labels.csv"), labels={"file": "labels.csv"}),
        ),
        "labels.csv: none of the 1 barcodes of raw.h5ad (not a) found among the 60 of",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("how", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_contradicts_itself_is_refused(project: Path, how: Callable[[], None], text: str) -> None:
    how()
    assert_refused(1, text)


def of_cells(how: Callable[[], None]) -> Callable[[], None]:
    """Make a change to the labelled cells in the place of the raw file."""

    def apply() -> None:
        run()
        RAW.unlink()
        CELLS.rename(RAW)
        how()
        RAW.rename(CELLS)

    return apply


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (
            replace("X/indices", at_5(12)),
            "no valid file of cells (indices must be < 12); `dvc repro label@mine` makes it",
        ),
        (replace("X/data", lambda values: values * np.inf), "X has values that are no finite numbers"),
        (attribute("X", "encoding-type", "csc_matrix"), "X is not as label writes it"),
        (stored(lambda file: file.pop("obs")), "it has no obs"),
        (stored(lambda file: file.__setitem__("uns/a", h5py.ExternalLink("b", "/c"))), "a is a link to another file"),
        (stored(declare(10**6, 30_000)), "refused, it declares"),
        (write(b""), "damaged, cut short or not a file of cells"),
        (instead(os.mkfifo), "is a pipe, a socket or a device"),
    ],
)
def test_labelled_cells_are_read_with_suspicion(project: Path, how: Callable[[], None], text: str) -> None:
    of_cells(how)()
    with pytest.raises(InputError, match=re.escape(text)):
        labelled.read("mine")
