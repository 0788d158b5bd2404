"""Files of cells, their genes and their labels."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from tests.malformed.case import (
    EMBED,
    LABEL,
    Case,
    accepted,
    refused,
)
from tests.malformed.changes import (
    CELLS,
    Change,
)
from tests.malformed.hdf5 import (
    array,
    as_column,
    attribute,
    bomb,
    broken_heap,
    dense,
    hdf5,
    linked,
    other_file,
    put,
    relabel,
    rename_everywhere,
    stored_outside,
    virtual,
)


def some(how: Callable[[np.ndarray], Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Change the tenth entry."""
    return lambda x: np.where(np.arange(len(x)) == 9, how(x), x)


def gene_names(names: Iterable[object]) -> Change:
    return hdf5(put("var/_index", np.array([*map(str, names)], dtype=object)))


def content(make: Callable[[Path], Any]) -> Change:
    return other_file(make)


def loom(file: h5py.File) -> None:
    for name in [*file]:
        del file[name]
    for name in ("row_attrs", "col_attrs", "layers"):
        file.create_group(name)
    file["matrix"] = np.zeros((40, 60))


def softly(target: str) -> Callable[[h5py.File], None]:
    def apply(file: h5py.File) -> None:
        file.move("X/data", "kept")
        file["X/data"] = h5py.SoftLink(target)

    return apply


def unsorted(file: h5py.File) -> None:
    end = int(file["X/indptr"][1])
    for name in ("data", "indices"):
        array(f"X/{name}", lambda x: np.concatenate([x[:end][::-1], x[end:]]))(file)


def fixed_length(file: h5py.File) -> None:
    """Write the labels as texts of a fixed length, as other programs than anndata do."""
    labels = file["obs/kind/categories"][...].astype("S")[file["obs/kind/codes"][...]]
    del file["obs/kind"]
    file["obs"].create_dataset("kind", data=labels)
    file["obs/kind"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def huge_count() -> None:
    path = Path("data/parts/raw/x/matrix.mtx.gz")
    *lines, last = gzip.decompress(path.read_bytes()).decode().splitlines()
    lines.append(" ".join([*last.split()[:2], "9" * 24]))
    path.write_bytes(gzip.compress("\n".join(lines).encode()))


def same_cells(finished: Path) -> None:
    """The evaluated cells are those of the undisturbed file."""
    assert Path("data/mine/labelled/obs.csv").read_bytes() == (finished / "data/mine/labelled/obs.csv").read_bytes()
    with h5py.File(CELLS) as ours, h5py.File(finished / CELLS) as theirs:
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(ours[f"X/{name}"][...], theirs[f"X/{name}"][...]), name


def other_labels(finished: Path) -> None:
    """Another column of labels, the same cells."""
    assert pd.read_csv("data/mine/labelled/obs.csv")["cell_type"].nunique() == 2
    assert len(pd.read_csv("data/mine/labelled/obs.csv")) == 40


HDF5: dict[str, Callable[[h5py.File], Any]] = {
    **{f"link_{name.replace('/', '_')}": linked(name) for name in ("X", "X/data", "obs", "obs/kind", "var/_index")},
    "external_storage": stored_outside,
    "virtual": virtual,
    "soft_link_to_nothing": softly("/gone"),
    "soft_link_to_itself": softly("/X/data"),
    "more_columns": attribute("X", "shape", (60, 45)),
    "fewer_columns": attribute("X", "shape", (60, 30)),
    "fewer_rows": attribute("X", "shape", (50, 40)),
    "huge": attribute("X", "shape", (10**6, 30_000)),
    "huge_dense": bomb,
    "negative_shape": attribute("X", "shape", (-60, 40)),
    "shape_of_text": attribute("X", "shape", "60"),
    "no_shape": lambda file: file["X"].attrs.pop("shape"),
    "csc": attribute("X", "encoding-type", "csc_matrix"),
    "unknown_encoding": attribute("X", "encoding-type", "dia_matrix"),
    "indices_beyond": array("X/indices", some(lambda x: x * 0 + 40)),
    "indices_far_beyond": array("X/indices", some(lambda x: x * 0 + (2**31 - 1))),
    "indices_negative": array("X/indices", some(lambda x: x * 0 - 1)),
    "indices_of_fractions": array("X/indices", lambda x: x + 0.5),
    "indices_short": array("X/indices", lambda x: x[:-5]),
    "data_short": array("X/data", lambda x: x[:-5]),
    "indptr_beyond": array("X/indptr", lambda x: np.append(x[:-1], 10**7)),
    "indptr_descends": array("X/indptr", lambda x: x[::-1]),
    "indptr_short": array("X/indptr", lambda x: x[:-3]),
    "indptr_from_one": array("X/indptr", lambda x: x + 1),
    "complex": array("X/data", lambda x: x.astype("c8")),
    "nan": array("X/data", some(lambda x: x * np.nan)),
    "dense_fewer_rows": dense(lambda x: x[:-1]),
    "dense_more_columns": dense(lambda x: np.hstack([x, x])),
    "dense_flat": dense(np.ravel),
    "dense_complex": dense(lambda x: x.astype(complex)),
    "no_obs": lambda file: file.pop("obs"),
    "no_var_names": lambda file: file.pop("var/_index"),
    "fewer_names": array("var/_index", lambda x: x[:-1]),
    "index_elsewhere": attribute("obs", "_index", "gone"),
    "index_is_a_list": attribute("obs", "_index", [1, 2]),
    "codes_beyond": put("obs/kind/codes", np.full(60, 7, "i1")),
    "column_short": as_column(np.zeros(59)),
    "column_of_two_axes": as_column(np.zeros((60, 2))),
    "cells_twice": array("obs/_index", lambda x: np.concatenate([x[:1], x[:-1]])),
    "cells_without_name": put("obs/_index", np.array([""] * 60, object)),
    "loom": loom,
}
OTHER_KINDS: dict[str, Change] = {  # of files, which are never "damaged"
    "hdf5": hdf5(lambda file: file.__setitem__("a", 1), mode="w"),
    "gzip": content(lambda path: path.write_bytes(gzip.compress(Path("data/manual/mine/raw.h5ad").read_bytes()))),
    "zip": content(lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a")),
    "csv": content(lambda path: path.write_text("gene,cell1\nCD4,5\n")),
    "rds": content(lambda path: path.write_bytes(gzip.compress(b"X\n\0\0\0\3\0\4\3\1"))),
    "web_page": content(lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>")),
    "lfs_pointer": content(lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
}
GENES = {
    "row_numbers": gene_names(range(40)),
    "without_name": gene_names([""] * 40),
    "nan": gene_names(["nan"] * 40),
    "of_10000_letters": gene_names(f"{n}{'x' * 10_000}" for n in range(40)),
}
OF_CELLS = [
    *refused(LABEL, "h5ad", {name: hdf5(how) for name, how in HDF5.items()}, "raw.h5ad"),
    *refused(LABEL, "h5ad", {"column_of_nan": hdf5(as_column(np.full(60, np.nan)))}, "cell_type"),
    *refused(LABEL, "not_h5ad", OTHER_KINDS, "^(?!.*damaged).*raw.h5ad"),
    *refused(LABEL, "h5ad", {"broken_heap": broken_heap()}, "raw.h5ad"),
    *refused(f"{EMBED} plain", "cells", {"broken_heap": broken_heap(CELLS)}, "cells.h5ad"),
    *refused("label parts", "mtx", {"count_beyond_64_bits": huge_count}, "raw/x"),
    *refused(LABEL, "genes", GENES, "gene"),
    *accepted(
        LABEL,
        "h5ad",
        {
            "soft_link": hdf5(softly("/kept")),
            "indices_unsorted": hdf5(unsorted),
            "int64_indices": hdf5(array("X/indices", lambda x: x.astype("i8"))),
            "big_endian": hdf5(array("X/data", lambda x: x.astype(">f4"))),
            "half": hdf5(array("X/data", lambda x: x.astype("f2"))),
            "bytes": hdf5(array("X/data", lambda x: x.astype("u1"))),
            "dense": hdf5(dense(lambda x: x)),
            "dense_big_endian": hdf5(dense(lambda x: x.astype(">f8"))),
            "column_of_bytes": hdf5(fixed_length),
        },
        same_cells,
    ),
    Case("h5ad-equal", "annotate tissue", hdf5(dense(np.ones_like), Path("data/tissue/raw/raw.h5ad")), 1, "genes vary"),
    *accepted(LABEL, "h5ad", {"column_of_bool": hdf5(as_column(np.arange(60) % 2 == 0))}, other_labels),
    *refused(
        f"{EMBED} plain",
        "cells",
        {
            "link": hdf5(linked("X/data"), CELLS),
            "external_storage": hdf5(stored_outside, CELLS),
            "indices_beyond": hdf5(array("X/indices", lambda x: x + 40), CELLS),
            "indptr_short": hdf5(array("X/indptr", lambda x: x[:-3]), CELLS),
            "more_columns": hdf5(attribute("X", "shape", (40, 45)), CELLS),
            "nan": hdf5(array("X/data", lambda x: x * np.nan), CELLS),
        },
        "cells.h5ad",
    ),
]


LABELS = {
    "script": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "formula": r"$\frac{1}{$",
    "long": "x" * 10_000,
    "control": "a\x1b[31m\x07b\u202ec",
    "lines": "a\r\nb\tc",
    "quotes": "'a\"b`|c,d;e🧬",
}


def one_row_for_each_cell(finished: Path) -> None:
    """Of 40 cells, 16 have the label in place of "B cell"."""
    table = pd.read_csv("data/mine/labelled/obs.csv", dtype=str, keep_default_na=False)
    assert sorted(table["cell_type"].value_counts()) == [9, 15, 16]


def no_markup(finished: Path) -> None:
    """No label is a tag of a page or picture."""
    for path in Path("plots").rglob("*"):
        if path.suffix in (".html", ".svg"):
            assert "<script>alert(1)" not in path.read_text() and "<img src=x" not in path.read_text(), path


OF_LABELS = [
    *accepted(LABEL, "labels", {name: relabel(label) for name, label in LABELS.items()}, one_row_for_each_cell),
    Case("labels-all", "plot mine", rename_everywhere("".join(LABELS.values())), 0, check=no_markup),
    Case("labels-all", "report", rename_everywhere("".join(LABELS.values())), 0, check=no_markup),
]
