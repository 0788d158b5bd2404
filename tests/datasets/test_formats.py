"""Files of cells in every format that is read give the same cells; others are one line that says what to do."""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.io import write_elem
from scipy.io import mmwrite

from genept.core.errors import InputError
from genept.data import cells as labelled
from genept.downloads import zipped
from tests.datasets.made import (
    CELLS,
    FOLDER,
    N_CELLS,
    RAW,
    SYMBOLS,
    assert_refused,
    configure,
    in_turn,
    local,
    make_cells,
    run,
    sample_keys,
    write_samples,
)

Write = Callable[[Path], Any]
Hdf5 = Callable[[h5py.File], Any]


def zarr_store(version: int, form: Callable[[Any], Any] = sp.csr_matrix, top: str = "") -> Write:
    """Write a zarr store as anndata does, into a zip as it is or within a folder."""

    def write(path: Path) -> None:
        data = make_cells()
        data.X = form(data.X)
        anndata.settings.zarr_write_format = version
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of version 2
            data.write_zarr(path.parent / "store.zarr")
        anndata.settings.zarr_write_format = 2
        zipped.write(path.parent / "store.zarr", path)
        if top:
            with zipfile.ZipFile(path) as archive:
                members = {name: archive.read(name) for name in archive.namelist()}
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in members.items():
                    archive.writestr(f"{top}/{name}", content)

    return write


def features() -> dict[str, list[bytes]]:
    """The columns of 10x files, with an antibody that is left out."""
    return {
        "id": [*(f"ENSG{i}".encode() for i in range(len(SYMBOLS))), b"CD4p"],
        "name": [*(name.encode() for name in SYMBOLS), b"CD4p"],
        "feature_type": [*[b"Gene Expression"] * len(SYMBOLS), b"Antibody Capture"],
    }


def tenx(group: h5py.Group, counts: Any) -> None:
    """Write the parts of a matrix as Cell Ranger does: features in rows, cells in columns."""
    columns = sp.csc_matrix(counts.T.astype(np.int32))
    group.update({"data": columns.data, "indices": columns.indices.astype(np.int64), "indptr": columns.indptr})
    group.update({"shape": np.array(columns.shape, np.int32), "barcodes": np.array(make_cells().obs_names, "S")})


def tenx_3(path: Path) -> None:
    with h5py.File(path, "w") as file:
        tenx(file.create_group("matrix"), np.hstack([make_cells().X.toarray(), np.full((N_CELLS, 1), 9)]))
        file.create_group("matrix/features").update({key: np.array(texts) for key, texts in features().items()})


def tenx_2(path: Path) -> None:
    with h5py.File(path, "w") as file:
        tenx(file.create_group("GRCh38"), make_cells().X.toarray())
        for key, column in (("genes", "id"), ("gene_names", "name")):
            file["GRCh38"][key] = np.array(features()[column][: len(SYMBOLS)])


def mtx(path: Path) -> None:
    folder = path.parent / "mtx"
    folder.mkdir()
    counts = np.hstack([make_cells().X.toarray(), np.full((N_CELLS, 1), 9)]).astype(int)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(counts.T))
    rows = zip(*features().values(), strict=True)
    (folder / "features.tsv").write_bytes(b"".join(b"\t".join(row) + b"\n" for row in rows))
    (folder / "barcodes.tsv").write_text("".join(f"{name}\n" for name in make_cells().obs_names))
    (folder / "notes.txt").write_text("not of the matrix")
    zipped.write(folder, path)


def h5mu(path: Path) -> None:
    """A modality whose cell types stand in the table that modalities share, as mudata writes it."""
    data = make_cells()
    shared = data.obs[["celltype"]][::-1]
    del data.obs["celltype"]
    with h5py.File(path, "w") as file:
        file.create_group("mod")
        write_elem(file, "mod/rna", data)
        write_elem(file, "mod/prot", data[:, :3].copy())
        write_elem(file, "obs", shared)


@pytest.mark.parametrize(
    ("name", "write", "keys"),
    [
        ("raw.zarr.zip", zarr_store(2), {}),
        ("raw.zarr.zip", zarr_store(3), {}),
        ("raw.zarr.zip", zarr_store(3, lambda x: x.toarray().astype(">f8")), {}),
        ("raw.zarr.zip", zarr_store(2, sp.csc_matrix, "store.zarr"), {}),
        ("raw.h5", tenx_3, {"labels": {"file": "labels.csv"}, "ensembl": "gene_ids"}),
        ("raw.h5", tenx_2, {"labels": {"file": "labels.csv"}}),
        ("raw.mtx.zip", mtx, {"labels": {"file": "labels.csv"}}),
        ("raw.h5mu", h5mu, {"modality": "rna"}),
        ("raw.h5ad", h5mu, {"modality": "rna"}),  # the content says what a file is, not its name
    ],
)
def test_every_format_gives_the_same_cells(empty: Path, name: str, write: Write, keys: dict[str, Any]) -> None:
    write(FOLDER / name)
    make_cells().obs[::-1].to_csv(FOLDER / "labels.csv")
    names = [name, *(["labels.csv"] if "labels" in keys else [])]
    configure(source=local(*names), expected={"n_cells": N_CELLS, "n_genes": len(SYMBOLS), "cell_type": 3}, **keys)
    cells, report = run()
    np.testing.assert_array_equal(cells.X.toarray(), make_cells().X.toarray())
    assert list(cells.obs_names) == list(make_cells().obs_names)
    assert list(cells.obs["cell_type"]) == list(make_cells().obs["celltype"])
    assert list(cells.var["original_symbol"]) == SYMBOLS
    assert report["label_source"] == ("user" if "labels" in keys else "author")
    assert {Path(path).name for path in report["files"]} == {*names, "hgnc.tsv"}
    configure(source=local(*names), expected={"n_cells": 61}, **keys)
    assert_refused(1, "is not as expected: n_cells is 60, not 61")


def test_a_sample_may_be_a_file_of_cell_ranger(empty: Path) -> None:
    write_samples()
    barcodes = [line.split(".")[0] for line in (FOLDER / "labels.csv").read_text().splitlines()[1:13]]
    with h5py.File(FOLDER / "samples/Con4.h5", "w") as file:
        tenx(file.create_group("matrix"), np.ones((12, len(SYMBOLS) + 1)))
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = np.array([f"{barcode}-1" for barcode in barcodes], "S")
        file.create_group("matrix/features").update({key: np.array(texts) for key, texts in features().items()})
    keys = sample_keys(samples={"Con4": "samples/Con4.h5", "TAA1": "samples/TAA1"}, expected={"n_cells": 24})
    keys["source"]["files"]["samples/Con4.h5"] = {"path": "a"}
    configure(**keys)
    assert "Con4: 12 cells counted, 12 of them labelled; 0 labels without a cell" in run()[1]["notes"]


# What is refused.


def stored(how: Hdf5) -> Callable[[], None]:
    """Change the HDF5 content of the raw file."""

    def apply() -> None:
        with h5py.File(RAW, "a") as file:
            how(file)

    return apply


def replace(name: str, how: Callable[[np.ndarray], Any], **storage: Any) -> Callable[[], None]:
    """Put other values into the place of an array."""

    def apply(file: h5py.File) -> None:
        attributes, values = dict(file[name].attrs), file[name][()]
        del file[name]
        file.create_dataset(name, data=how(values), **storage).attrs.update(attributes)

    return stored(apply)


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


@pytest.mark.parametrize("dtype", ["f2", ">f4", ">i2", "g", "u8"])
@pytest.mark.parametrize("name", ["X/data", "obs/donor"])
def test_numbers_of_any_type_are_read(project: Path, name: str, dtype: str) -> None:
    replace(name, lambda values: values.astype(dtype))()
    replace("X/indices", lambda values: values.astype(">i8"))()
    cells, _ = run()
    np.testing.assert_array_equal(cells.X.toarray(), make_cells().X.toarray())
    assert list(cells.obs["patient"]) == list(make_cells().obs["donor"].astype(str))


def test_columns_with_gaps_are_read(project: Path) -> None:
    data = make_cells()
    data.obs["donor"] = pd.array([number % 6 or None for number in range(N_CELLS)], dtype="Int64")
    data.obs["condition"] = pd.array([[True, False, None][number % 3] for number in range(N_CELLS)], dtype="boolean")
    data.write_h5ad(RAW)
    obs = run()[0].obs
    assert sorted(obs["patient"].unique()) == ["1", "2", "3", "4", "5", "Unknown"]
    assert sorted(obs["phenotype"].unique()) == ["False", "True", "Unknown"]


def test_groups_nested_without_end_are_passed_over(project: Path) -> None:
    with h5py.File(RAW, "a") as file:
        group = file["uns"].id
        for _ in range(1200):
            group = h5py.h5g.create(group, b"a")
        file["uns/loop"], file["other"] = file["uns"], h5py.SoftLink("/nowhere")
    run()
