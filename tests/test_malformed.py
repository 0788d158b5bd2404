"""Malformed inputs of every stage: one clear line or the right result, never a traceback, a crash, a hang, half a file.

Every case is (stage, change to a finished project, exit code, pattern in the error line).
"""

from __future__ import annotations

import csv
import functools
import gzip
import json
import os
import pickle
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

from tests import helpers, malformed

Change = Callable[[], Any]
LONGEST = 1500  # characters of an error
RAW, CELLS = Path("data/mine/raw/raw.h5ad"), Path("data/mine/cells.h5ad")


class Case(NamedTuple):
    """The stage; what becomes of its input; the exit code; what the error line has, or what holds after a success."""

    stage: str
    change: Change
    code: int
    text: str = ""
    check: Callable[[Path, Path], None] | None = None
    name: str = ""


# Changes to a file of any kind, by name.


def write(path: str | Path, content: str | bytes) -> None:
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(600))


def latin1(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2] + b"\xe9\xff" + text[len(text) // 2 :])


def missing(path: Path) -> None:
    path.unlink()


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone")


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_list(path: Path) -> None:
    path.write_text("[1, 2]\n")


def null(path: Path) -> None:
    path.write_text("null\n")


def number(path: Path) -> None:
    path.write_text("7\n")


def no_keys(path: Path) -> None:
    path.write_text("{}\n")


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def nan_values(path: Path) -> None:
    path.write_text(re.sub(r": [\d.]+", ": NaN", path.read_text()))


def text_values(path: Path) -> None:
    path.write_text(re.sub(r": [\d.]+", ': "x"', path.read_text()))


def null_values(path: Path) -> None:
    path.write_text(re.sub(r'("[^"]*"): (?:"[^"]*"|[\d.]+)', r"\1: null", path.read_text()))


def extra_field(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], lines[2] + ",x,y", *lines[3:]]) + "\n")


def first_column_missing(path: Path) -> None:
    path.write_text("".join(line.partition(separator(path))[2] + "\n" for line in path.read_text().splitlines()))


def separator(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","


def other_titles(path: Path) -> None:
    title, _, rest = path.read_text().partition("\n")
    path.write_text(separator(path).join("x" + name for name in title.split(separator(path))) + "\n" + rest)


def only_titles(path: Path) -> None:
    path.write_text(path.read_text().partition("\n")[0] + "\n")


def row_repeated(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], *lines[1:]]) + "\n")


def rows_swapped(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + "\n")


def row_missing(path: Path) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]) + "\n")


def other_cells(path: Path) -> None:
    path.write_text(path.read_text().replace("cell", "zell", 1_000_000).replace("zell_", "cell_"))


def texts_for_numbers(path: Path) -> None:
    path.write_text(re.sub(r"(?<=,)-?\d+\.\d+", "many", path.read_text()))


def infinite_numbers(path: Path) -> None:
    path.write_text(re.sub(r"(?<=,)-?\d+\.\d+", "inf", path.read_text()))


def nul(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2] + b"\0\0" + text[len(text) // 2 :])


def open_quote(path: Path) -> None:
    path.write_text(path.read_text().replace("\n", '\n"', 1))


def matrix(how: Callable[[np.ndarray], Any]) -> Callable[[Path], None]:
    return lambda path: np.save(path, how(np.load(path)), allow_pickle=True)


def header(shape: tuple[int, ...], dtype: str = "<f4") -> Callable[[Path], None]:
    """An npy file that declares a shape, and has a few bytes."""

    def change(path: Path) -> None:
        text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b" " * 20 + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 64)

    return change


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("payload_ran",)


def payload(path: Path) -> None:
    path.write_bytes(pickle.dumps({"A1BG": Payload()}))


def npz(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, np.load(path)) if False else np.savez(stream, np.zeros((40, 5)))


def bad_crc(path: Path) -> None:
    """Change a byte of the largest member of a zip file."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + len(largest.FileHeader()) + largest.file_size // 2] ^= 0x40
    path.write_bytes(content)


FILE = (empty, noise, directory, fifo, dangling)
MORE = (truncated, device)
JSON = (*FILE, latin1, a_list, null, no_keys, deep)
TABLE = (*FILE, latin1, nul, other_titles, first_column_missing)
NPY: dict[str, Callable[[Path], None]] = {
    "declared_huge": header((10**9, 10**6)),
    "declared_negative": header((-40, 5)),
    "objects": header((40, 5), "|O"),
    "texts": matrix(lambda x: x.astype(str)),
    "complex": matrix(lambda x: x.astype(complex)),
    "nan": matrix(lambda x: np.where(np.arange(x.shape[-1]) == 1, np.nan, x)),
    "infinite": matrix(lambda x: np.where(np.arange(x.shape[-1]) == 1, np.inf, x)),
    "fewer_rows": matrix(lambda x: x[..., :-1, :]),
    "more_rows": matrix(lambda x: np.concatenate([x, x], axis=-2)),
    "no_columns": matrix(lambda x: x[..., :0]),
    "flat": matrix(np.ravel),
    "four_axes": matrix(lambda x: x[np.newaxis, np.newaxis]),
    "number": matrix(lambda x: np.float32(1)),
    "structured": matrix(lambda x: np.zeros(len(x), dtype=[("a", "f4"), ("b", "f4")])),
    "pickle": payload,
    "npz": npz,
}


def spoil(stage: str, path: str, kinds: Iterable[Callable[[Path], None]], code: int = 1, text: str = "") -> Iterator[Case]:
    """A case for each kind; the error names the file."""
    for kind in kinds:
        yield Case(stage, functools.partial(kind, Path(path)), code, text or Path(path).stem, name=f"{path}:{kind.__name__}")


def named(stage: str, path: str, kinds: dict[str, Any], code: int = 1, text: str = "") -> Iterator[Case]:
    for name, kind in kinds.items():
        yield Case(stage, functools.partial(kind, Path(path)), code, text or Path(path).stem, name=f"{path}:{name}")


HANDED_ON: list[Case] = [
    # settings
    *spoil("label mine", "params.yaml", (*FILE, *MORE, latin1, a_list, null, no_keys, nul), 2),
    *spoil("label mine", "data/mine.yaml", (*FILE, latin1, a_list, no_keys), 2),
    *spoil("embed mine text_w", "models/text_w.yaml", (*FILE, a_list), 2),
    *spoil("fetch reference", "data/reference.yaml", (empty, noise, fifo, a_list, no_keys), 2),
    *spoil("fetch dataset mine", "data/hashes.lock.yaml", (noise, directory, fifo, a_list)),
    # what comes from elsewhere
    *spoil("label mine", "data/reference/hgnc.tsv", (*FILE, *MORE, latin1, other_titles, only_titles, first_column_missing)),
    *spoil("annotate tissue", "data/tissue/raw/markers.tsv", (*FILE, latin1, nul, other_titles, only_titles)),
    *spoil("label mine", str(RAW), (*FILE, *MORE)),
    *spoil("annotate tissue", "data/tissue/raw/raw.h5ad", (truncated, directory, fifo)),
    *spoil("label parts", "data/parts/raw/labels.csv", (*FILE, latin1, nul, other_titles, only_titles)),
    *spoil("label parts", "data/parts/raw/dense.txt.gz", (*FILE, *MORE)),
    *spoil("label parts", "data/parts/raw/x/matrix.mtx.gz", (*FILE, truncated), text="raw/x"),
    *spoil("label parts", "data/parts/raw/x/barcodes.tsv.gz", (empty, noise, fifo, truncated), text="raw/x"),
    *spoil("vectors text_w", "data/encoders/text_w/config.json", JSON, text="text_w"),
    *spoil("vectors text_w", "data/encoders/text_w/tokenizer.json", JSON, text="text_w"),
    *spoil("vectors text_w", "data/encoders/text_w/sentence_bert_config.json", (noise, fifo, a_list, null), text="text_w"),
    *spoil("vectors text_w", "data/encoders/text_w/model.safetensors", (*FILE, *MORE), text="text_w"),
    *spoil("vectors released", "data/encoders/released/released.pickle", (*FILE, *MORE, payload)),
    # cells
    *spoil("embed mine plain", str(CELLS), (*FILE, *MORE)),
    *spoil("pretrain scgpt_t", "data/corpus/mine/cells.h5ad", (*FILE, truncated)),
    *spoil("evaluate mine", "data/mine/obs.csv", (*TABLE, only_titles, row_repeated, row_missing, rows_swapped, extra_field, other_cells, open_quote), text="obs.csv"),
    *spoil("plot mine", "data/mine/obs.csv", (fifo, row_missing, other_titles), text="obs.csv"),
    *spoil("finetune mine genept_w_ft --from text_w", "data/mine/obs.csv", (noise, only_titles, row_missing), text="obs.csv"),
    *spoil("export mine plain --output x.h5ad", "data/mine/obs.csv", (noise, row_missing, row_repeated), text="obs.csv"),
    # models
    *spoil("embed mine text_w", "models/text_w/genes.tsv", (*FILE, latin1, other_titles, only_titles, row_repeated, row_missing, nul)),
    *spoil("embed mine text_w", "models/text_w/vectors.npy", (*FILE, *MORE)),
    *named("embed mine text_w", "models/text_w/vectors.npy", NPY),
    *spoil("embed mine scgpt_t", "models/scgpt_t/best_model.pt", (*FILE, *MORE, payload, bad_crc)),
    *spoil("embed mine scgpt_t", "models/scgpt_t/args.json", (*JSON, text_values)),
    *spoil("embed mine scgpt_t", "models/scgpt_t/vocab.json", (*JSON, nan_values)),
    *spoil("embed mine gf_t", "models/gf_t/config.json", (*JSON, null_values), text="gf_t"),
    *spoil("embed mine gf_t", "models/gf_t/model.safetensors", (*FILE, *MORE)),
    *spoil("embed mine gf_t", "models/gf_t/token_dictionary.pkl", (*FILE, truncated, payload)),
    *spoil("embed mine gf_t", "models/gf_t/gene_median_dictionary.pkl", (empty, payload, fifo)),
    # embeddings
    *spoil("evaluate mine", "data/mine/embeddings/plain.npy", (*FILE, *MORE)),
    *named("evaluate mine", "data/mine/embeddings/plain.npy", NPY),
    *spoil("evaluate mine", "data/mine/embeddings/plain.json", (*JSON, null_values)),
    *spoil("plot mine", "data/mine/embeddings/plain.npy", (fifo, truncated)),
    *named("plot mine", "data/mine/embeddings/plain.npy", {name: NPY[name] for name in ("fewer_rows", "nan", "objects")}),
    *named("export mine plain --output x.h5ad", "data/mine/embeddings/plain.npy", {name: NPY[name] for name in ("fewer_rows", "more_rows", "nan", "texts")}),
    *named("finetune mine genept_w_ft --from text_w", "data/mine/embeddings/text_w.npy", {name: NPY[name] for name in ("fewer_rows", "nan", "pickle")}),
    # annotation
    *spoil("label tissue", "data/tissue/annotation/cells.csv", (*TABLE, row_missing, row_repeated), text="annotation"),
    *spoil("label tissue", "data/tissue/annotation/summary.json", JSON, text="annotation"),
    *spoil("plot tissue", "data/tissue/annotation/summary.json", JSON, text="annotation"),
    *spoil("plot tissue", "data/tissue/annotation/clusters.csv", (*TABLE, texts_for_numbers, only_titles), text="annotation"),
    *spoil("plot tissue", "data/tissue/annotation/markers.csv", (noise, other_titles, texts_for_numbers, infinite_numbers, only_titles), text="annotation"),
    *spoil("plot tissue", "data/tissue/annotation/umap.csv", (noise, row_repeated, texts_for_numbers, infinite_numbers, only_titles), text="annotation"),
    *spoil("plot tissue", "metrics/annotation/tissue/agreement.json", (*FILE, a_list, null_values, text_values), text="agreement"),
    # scores
    *spoil("evaluate mine", "models/trainings.csv", ()),
    *spoil("report", "metrics/full/mine/plain.csv", (*TABLE, only_titles, texts_for_numbers, infinite_numbers, truncated), text="plain"),
    *spoil("report", "metrics/scores/mine/plain.json", (*JSON, nan_values, text_values), text="plain"),
    *spoil("report", "metrics/verification/mine.json", (*JSON, null_values, text_values), text="mine"),
    *spoil("report", "metrics/comparisons/mine/models.csv", (*TABLE, texts_for_numbers, infinite_numbers), text="models.csv"),
    *spoil("report", "metrics/comparisons/mine/text.csv", (*TABLE, texts_for_numbers), text="text.csv"),
    *spoil("report", "metrics/predictions/mine.csv", (*TABLE, row_missing, row_repeated), text="mine"),
    *spoil("report", "metrics/probabilities/mine/phenotype/plain.csv", (*TABLE, texts_for_numbers, infinite_numbers), text="probabilities"),
    *spoil("report", "metrics/annotation/tissue/agreement.json", (fifo, noise, a_list, null_values, text_values), text="agreement"),
    *spoil("report", "plots/cells/mine.csv", (*TABLE, texts_for_numbers), text="mine"),
    *spoil("report", "dvc.lock", (noise, directory, fifo, a_list, null, no_keys), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "dvc.lock", (*FILE, *MORE, latin1, a_list, null, no_keys), text="dvc.lock"),
]  # fmt: skip
# HDF5


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


def same_cells(folder: Path, finished: Path) -> None:
    """The evaluated cells are those of the undisturbed file."""
    assert Path("data/mine/obs.csv").read_bytes() == (finished / "data/mine/obs.csv").read_bytes()
    with h5py.File(CELLS) as ours, h5py.File(finished / CELLS) as theirs:
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(ours[f"X/{name}"][...], theirs[f"X/{name}"][...]), name


def anything(folder: Path, finished: Path) -> None:
    """All is well if the stage succeeds."""


HDF5: list[tuple[str, Change, int, str, Any]] = [
    *((f"link_{name}", hdf5(linked(name)), 1, "raw.h5ad", None) for name in ("X", "X/data", "obs", "obs/kind", "var", "var/_index")),
    ("external_storage", hdf5(stored_outside), 1, "raw.h5ad", None),
    ("virtual", hdf5(virtual), 1, "raw.h5ad", None),
    ("soft_link", hdf5(lambda file: (file.move("X/data", "kept"), file["X"].__setitem__("data", h5py.SoftLink("/kept")))), 0, "", same_cells),
    ("soft_link_to_nothing", hdf5(lambda file: (file.pop("X/data"), file["X"].__setitem__("data", h5py.SoftLink("/gone")))), 1, "raw.h5ad", None),
    ("soft_link_to_itself", hdf5(lambda file: (file.pop("X"), file.__setitem__("X", h5py.SoftLink("/X")))), 1, "raw.h5ad", None),
    ("more_columns", hdf5(attribute("X", "shape", (60, 45))), 1, "raw.h5ad", None),
    ("fewer_columns", hdf5(attribute("X", "shape", (60, 30))), 1, "raw.h5ad", None),
    ("fewer_rows", hdf5(attribute("X", "shape", (50, 40))), 1, "raw.h5ad", None),
    ("huge", hdf5(attribute("X", "shape", (10**6, 30_000))), 1, "raw.h5ad", None),
    ("huge_dense", hdf5(bomb), 1, "raw.h5ad", None),
    ("negative_shape", hdf5(attribute("X", "shape", (-60, 40))), 1, "raw.h5ad", None),
    ("one_axis", hdf5(attribute("X", "shape", (60,))), 1, "raw.h5ad", None),
    ("shape_of_text", hdf5(attribute("X", "shape", "60")), 1, "raw.h5ad", None),
    ("no_shape", hdf5(lambda file: file["X"].attrs.pop("shape")), 1, "raw.h5ad", None),
    ("csc", hdf5(attribute("X", "encoding-type", "csc_matrix")), 1, "raw.h5ad", None),
    ("unknown_encoding", hdf5(attribute("X", "encoding-type", "dia_matrix")), 1, "raw.h5ad", None),
    ("indices_beyond", hdf5(array("X/indices", lambda x: np.where(np.arange(len(x)) == 9, 40, x))), 1, "raw.h5ad", None),
    ("indices_far_beyond", hdf5(array("X/indices", lambda x: np.where(np.arange(len(x)) == 9, 2**31 - 1, x))), 1, "raw.h5ad", None),
    ("indices_negative", hdf5(array("X/indices", lambda x: np.where(np.arange(len(x)) == 9, -1, x))), 1, "raw.h5ad", None),
    ("indices_of_fractions", hdf5(array("X/indices", lambda x: x + 0.5)), 1, "raw.h5ad", None),
    ("indices_of_texts", hdf5(array("X/indices", lambda x: x.astype("S4"))), 1, "raw.h5ad", None),
    ("indices_short", hdf5(array("X/indices", lambda x: x[:-5])), 1, "raw.h5ad", None),
    ("data_short", hdf5(array("X/data", lambda x: x[:-5])), 1, "raw.h5ad", None),
    ("indptr_beyond", hdf5(array("X/indptr", lambda x: np.append(x[:-1], 10**7))), 1, "raw.h5ad", None),
    ("indptr_descends", hdf5(array("X/indptr", lambda x: x[::-1])), 1, "raw.h5ad", None),
    ("indptr_short", hdf5(array("X/indptr", lambda x: x[:-3])), 1, "raw.h5ad", None),
    ("indptr_from_one", hdf5(array("X/indptr", lambda x: x + 1)), 1, "raw.h5ad", None),
    ("indptr_of_two_axes", hdf5(array("X/indptr", lambda x: np.stack([x, x]))), 1, "raw.h5ad", None),
    ("indices_unsorted", hdf5(lambda file: [array(f"X/{name}", lambda x: np.concatenate([x[:file["X/indptr"][1]][::-1], x[file["X/indptr"][1]:]]))(file) for name in ("data", "indices")]), 0, "", same_cells),
    ("int64_indices", hdf5(array("X/indices", lambda x: x.astype("i8"))), 0, "", same_cells),
    ("big_endian", hdf5(array("X/data", lambda x: x.astype(">f4"))), 0, "", same_cells),
    ("half", hdf5(array("X/data", lambda x: x.astype("f2"))), 0, "", same_cells),
    ("bytes", hdf5(array("X/data", lambda x: x.astype("u1"))), 0, "", same_cells),
    ("dense", hdf5(dense(lambda x: x)), 0, "", same_cells),
    ("dense_big_endian", hdf5(dense(lambda x: x.astype(">f8"))), 0, "", same_cells),
    ("complex", hdf5(array("X/data", lambda x: x.astype("c8"))), 1, "raw.h5ad", None),
    ("compound", hdf5(array("X/data", lambda x: x.astype([("a", "f4")]))), 1, "raw.h5ad", None),
    ("texts", hdf5(array("X/data", lambda x: x.astype("S6"))), 1, "raw.h5ad", None),
    ("nan", hdf5(array("X/data", lambda x: np.where(np.arange(len(x)) == 3, np.nan, x))), 1, "raw.h5ad", None),
    ("negative", hdf5(array("X/data", lambda x: -x)), 1, "raw.h5ad", None),
    ("dense_fewer_rows", hdf5(dense(lambda x: x[:-1])), 1, "raw.h5ad", None),
    ("dense_more_columns", hdf5(dense(lambda x: np.hstack([x, x]))), 1, "raw.h5ad", None),
    ("dense_flat", hdf5(dense(np.ravel)), 1, "raw.h5ad", None),
    ("dense_three_axes", hdf5(dense(lambda x: x[np.newaxis])), 1, "raw.h5ad", None),
    ("dense_complex", hdf5(dense(lambda x: x.astype(complex))), 1, "raw.h5ad", None),
    ("number", hdf5(dense(lambda x: 5.0)), 1, "raw.h5ad", None),
    ("no_X", hdf5(lambda file: file.pop("X")), 1, "raw.h5ad", None),
    ("no_obs", hdf5(lambda file: file.pop("obs")), 1, "raw.h5ad", None),
    ("no_var_names", hdf5(lambda file: file.pop("var/_index")), 1, "raw.h5ad", None),
    ("fewer_names", hdf5(array("var/_index", lambda x: x[:-1])), 1, "raw.h5ad", None),
    ("names_of_two_axes", hdf5(array("var/_index", lambda x: np.stack([x, x]))), 1, "raw.h5ad", None),
    ("index_elsewhere", hdf5(attribute("obs", "_index", "gone")), 1, "raw.h5ad", None),
    ("index_is_a_list", hdf5(attribute("obs", "_index", [1, 2])), 1, "raw.h5ad", None),
    ("obs_is_an_array", hdf5(lambda file: (file.pop("obs"), file.create_dataset("obs", data=np.zeros(60)))), 1, "raw.h5ad", None),
    ("codes_beyond", hdf5(lambda file: put("obs/kind/codes", np.full(60, 7, "i1"))(file)), 1, "raw.h5ad", None),
    ("column_short", hdf5(as_column(np.zeros(59))), 1, "raw.h5ad", None),
    ("column_of_two_axes", hdf5(as_column(np.zeros((60, 2)))), 1, "raw.h5ad", None),
    ("column_complex", hdf5(as_column(np.arange(60) % 3 + 1j)), 1, "raw.h5ad|kind", None),
    ("column_of_nan", hdf5(as_column(np.full(60, np.nan))), 1, "cell_type", None),
    ("column_of_categories", hdf5(lambda file: as_column(pd.Categorical(["a", "b"] * 30))(file)), 0, "", anything),
    ("column_of_bool", hdf5(as_column(np.arange(60) % 2 == 0)), 0, "", anything),
    ("genes_are_row_numbers", hdf5(put("var/_index", np.arange(40).astype(str).astype(object))), 1, "gene", None),
    ("genes_without_name", hdf5(put("var/_index", np.array([""] * 40, object))), 1, "gene", None),
    ("genes_nan", hdf5(put("var/_index", np.array(["nan"] * 40, object))), 1, "gene", None),
    ("genes_of_10000_letters", hdf5(put("var/_index", np.array([f"{n}{'x' * 10_000}" for n in range(40)], object))), 1, "gene", None),
    ("cells_twice", hdf5(array("obs/_index", lambda x: np.concatenate([x[:1], x[:-1]]))), 1, "cell0", None),
    ("cells_without_name", hdf5(put("obs/_index", np.array([""] * 60, object))), 1, "id", None),
    ("cells_with_quotes", hdf5(array("obs/_index", lambda x: np.array([f'{name.decode()}",\n\'' for name in x], object))), 0, "", anything),
    ("loom", hdf5(lambda file: [file.pop(name) for name in [*file]] and [file.create_group(name) for name in ("row_attrs", "col_attrs", "layers")] and file.__setitem__("matrix", np.zeros((40, 60)))), 1, "loom", None),
    ("hdf5_of_something", hdf5(lambda file: file.__setitem__("a", 1), mode="w"), 1, "^(?!.*fetch it again).*raw.h5ad", None),
    ("gzip", other_file(lambda path: path.write_bytes(gzip.compress(Path("data/manual/mine/raw.h5ad").read_bytes()))), 1, "^(?!.*fetch it again).*gz", None),
    ("zip", other_file(lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "a")), 1, "^(?!.*damaged).*raw.h5ad", None),
    ("csv", other_file(lambda path: path.write_text("gene,cell1\nCD4,5\n")), 1, "^(?!.*damaged).*raw.h5ad", None),
    ("rds", other_file(lambda path: path.write_bytes(gzip.compress(b"X\n\0\0\0\3\0\4\3\1"))), 1, "^(?!.*damaged).*raw.h5ad", None),
    ("web_page", other_file(lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>")), 1, "raw.h5ad", None),
    ("lfs_pointer", other_file(lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")), 1, "raw.h5ad", None),
]  # fmt: skip

# Labels are data.

LABELS = {
    "script": "</script><script>alert(1)</script>",
    "formula": r"$\frac{1}{$",
    "emoji": "🧬 T̈ 细胞",
    "long": "x" * 10_000,
    "control": "a\x1b[31m\x07b",
    "lines": "a\r\nb\tc",
    "quotes": "'a\"b`|c,d;e",
    "turned": "a\u202eb\u2066c",
    "spreadsheet": "=1+1",
    "markup": "<img src=x onerror=alert(1)>&lt;",
}


def relabel(label: str) -> Change:
    """Give cell type "B cell" another name in the file of cells."""
    return hdf5(lambda file: array("obs/kind/categories", lambda x: np.array([label if name == b"B cell" else name.decode() for name in x], object))(file))


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


def labelled(folder: Path, finished: Path) -> None:
    """Every cell is one line of obs.csv, and 16 of them have the label, which no terminal or table acts on."""
    table = pd.read_csv("data/mine/obs.csv", dtype=str, keep_default_na=False)
    assert len(table) == 40 and sorted(table["cell_type"].value_counts()) == [9, 15, 16]


def no_markup(folder: Path, finished: Path) -> None:
    """No label is a tag of a page; pages, tables and pictures are there."""
    for path in [*Path("plots").rglob("*.html"), *Path("plots").rglob("*.svg"), *Path("metrics").rglob("*.md"), *Path("plots").rglob("*.csv")]:
        if path.suffix in (".html", ".svg"):
            assert "<script>alert(1)" not in path.read_text() and "<img src=x" not in path.read_text(), path


# Settings


def settings(path: str, change: dict[str, Any]) -> Change:
    """Change keys, given as a.b.c; the value ABSENT removes one."""

    def apply() -> None:
        content = yaml.safe_load(Path(path).read_text())
        for key, value in change.items():
            *parents, last = key.split(".")
            place = functools.reduce(lambda inner, name: inner.setdefault(name, {}), parents, content)
            if value is ABSENT:
                place.pop(last)
            else:
                place[last] = value
        Path(path).write_text(yaml.safe_dump(content, sort_keys=False))

    return apply


ABSENT, INF, NAN = object(), float("inf"), float("nan")
PARAMS: list[tuple[str, Any]] = [
    *(("seed", value) for value in (-1, 2**32, 1.5, "0", True, None, [0])),
    *(("threads", value) for value in (0, 10**6, True, "2")),
    *(("device", value) for value in ("gpu", None, 0)),
    *(("baseline", value) for value in ("nobody", 5, None)),
    *(("evaluate.repeats", value) for value in (0, 10**12, True)),
    *(("evaluate.knn.k", value) for value in (0, 10**12, True, "5")),
    *(("evaluate.split.test_size", value) for value in (0, 1, "0.2", NAN, True)),
    *(("evaluate.split.groups", value) for value in ("donor", [])),
    *(("evaluate.logreg.C", value) for value in (INF, 0, -1, NAN)),
    *(("evaluate.logreg.max_iter", value) for value in (10**12, 0)),
    *(("evaluate.logreg.labels", value) for value in ("phenotype", ["cell"], None)),
    *(("evaluate.kmeans.n_init", value) for value in (10**12, None)),
    *(("evaluate.kmeans.batch_size", value) for value in (10**12, 0)),
    ("evaluate.min_test_cells", 10**12),
    ("evaluate.metric", "manhattan"),
    ("evaluate", None),
    *(("plot.n_epochs", value) for value in (10**12, 0, True)),
    *(("plot.spread", value) for value in (INF, NAN, 0.1)),
    ("plot.n_neighbors", 10**12),
    *(("annotate.qc.max_mitochondrial", value) for value in (2, "0.2", NAN)),
    *(("annotate.n_hvgs", value) for value in (1, 10**12)),
    *(("annotate.resolution", value) for value in (INF, 0, 10**9)),
    *(("annotate.umap_epochs", value) for value in (10**12,)),
    *(("grid.datasets", value) for value in (["a;rm -rf b"], ["../mine"], "mine", ["mine", "mine"], [None], None, [["mine"]], ["mine "])),
    *(("grid.models.custom", value) for value in (["a b"], ["plain", "plain"], {"plain": 1}, None, ["$(ls)"])),
    ("grid.ensemble", ["nobody"]),
    ("grid", None),
    *(("grids", value) for value in ([], {"a;b": {}}, None)),
    ("protocols", {}),
    *(("label.missing_labels", value) for value in ("nan", [None], {"a": 1})),
    *(("label.min_class_size", value) for value in (True, 0, 10**12)),
    ("label.accept_unexpected", ["a-b"]),
    ("lable", {}),
]  # fmt: skip
DATASET: list[tuple[str, Any]] = [
    *(("obs", value) for value in ({}, {"cell_type": ["kind"]}, {"celltype": "kind"}, {"cell_type": 5}, None)),
    *(("subset", value) for value in ({"n_cells": 0}, {"share": 2}, {"n_cells": 9, "share": 0.1}, {"n_cells": True}, {"share": NAN}, {"n_cells": 9, "by": "kind"})),
    *(("derive", value) for value in ({"age": {"of": "patient", "map": None}}, {"age": {"of": "kind", "map": {}}}, {"age": {"of": "patient", "edges": [2, 1]}}, {"age": {"of": "patient", "edges": [NAN]}}, {"age": {"of": "patient", "quantiles": 1}}, {"age": {"of": "patient", "quantiles": 10**12}}, {"age": {"of": "patient", "map": {"D1": None}}}, [], "x")),
    *(("x", value) for value in ("maybe", None, True)),
    *(("title", value) for value in (5, None, ABSENT)),
    *(("layer", value) for value in (5, [])),
    *(("source", value) for value in ({}, {"kind": "ftp", "files": {"raw.h5ad": {}}}, {"kind": "local", "files": {}}, {"kind": "local", "files": {"../raw.h5ad": {"path": "a"}}}, {"kind": "local", "files": {"/raw.h5ad": {"path": "a"}}}, {"kind": "local", "files": {"raw.h5ad": {"path": 5}}}, {"kind": "local", "files": {"raw.h5ad": {"path": "a", "sha256": "12"}}}, {"kind": "local", "files": {"raw.h5ad": {"path": "a\0b"}}}, [{}], "nobody", 5)),
    *(("keep_var", value) for value in ({"kind": None}, [], {"kind": {}})),
    *(("expected", value) for value in ({"n_cells": 0}, {"n_cells": True}, {"cells": 5}, {"n_cells": "60"})),
    *(("finetune", value) for value in ("kind", None, [])),
    *(("missing_labels", value) for value in ("nan", [5])),
    ("repeated_ids", "drop"),
    ("label_source", "me"),
    ("symbol", 5),
    ("reported", []),
    ("fallback", {"title": "b"}),
    ("colour", "red"),
]  # fmt: skip
MODELS: list[tuple[str, str, Any]] = [
    *(("text_w", key, value) for key, value in (("embed.unit_norm", "no"), ("embed.unit_norm", 1), ("embed.divide_by", "genes"), ("vectors", None), ("control", "random"), ("engine", "genept"), ("engine", "../genept_w"), ("engine", 5), ("engine", ["genept_w"]), ("title", ["a"]), ("vectors.max_length", 10**12), ("source", 5))),
    *(("random_w", key, value) for key, value in (("draws", 0), ("draws", True), ("draws", 10**12), ("control", "zeros"), ("draws", None))),
    *(("plain", key, value) for key, value in (("embed.n_components", 0), ("embed.n_components", True), ("embed.n_components", "5"), ("embed.components", 5), ("title", ABSENT))),
    *(("text_s", key, value) for key, value in (("embed.max_symbols", True), ("embed.max_symbols", 0), ("embed.prompt", 5), ("embed.order", "random"), ("embed.encoder", "remote"), ("embed.precision", "float16"))),
    *(("scgpt_t", key, value) for key, value in (("embed.max_length", 1), ("embed.max_length", 10**12), ("embed.seed", -1), ("embed.binning", None), ("embed", None))),
    *(("gf_t", key, value) for key, value in (("embed.emb_mode", "mean"), ("embed.precision", 32))),
]  # fmt: skip
TRAINING: list[tuple[str, str, str, Any]] = [
    *(("pretrain scgpt_t", "scgpt_t", key, value) for key, value in (("pretrain.steps", 10**12), ("pretrain.steps", 0), ("pretrain.width", 10**9), ("pretrain.width", 7), ("pretrain.n_bins", 2), ("pretrain.learning_rate", INF), ("pretrain.mask_ratio", 0), ("pretrain.mask_ratio", 1.5), ("pretrain.batch_size", 10**12), ("pretrain.max_length", 2), ("pretrain", None))),
    *(("finetune mine genept_w_ft --from text_w", "genept_w_ft", key, value) for key, value in (("finetune.epochs", 10**12), ("finetune.width", 10**12), ("finetune.learning_rate", NAN), ("finetune.learning_rate", INF), ("finetune.weight_decay", -1), ("finetune.head", "deep"), ("finetune.batch_size", 0))),
]  # fmt: skip

# A user's model


def code(body: str, before: str = "") -> Change:
    """A model of a user's own with this body of `embed`."""
    head = Path(helpers.ROOT / "models/expression.py").read_text(encoding="utf-8").partition("def embed")[0]
    text = f"{head}\n{before}\ndef embed(cells, folder, config, device):\n    x = cells.X.toarray()[:, :5]\n    {body}\n"
    return lambda: Path("models/plain.py").write_text(text)


def embedded(folder: Path, finished: Path) -> None:
    """The embedding is whole: a row of finite numbers for each cell, and notes that are JSON."""
    x = np.load("data/mine/embeddings/plain.npy")
    assert x.shape == (40, 5) and x.dtype == np.float32 and np.isfinite(x).all()
    json.loads(Path("data/mine/embeddings/plain.json").read_text(), parse_constant=pytest.fail)


CUSTOM: list[tuple[str, Change, int, str, Any]] = [
    *((name, code(body), 0, "", embedded) for name, body in {
        "float64": "return x.astype(float), {}",
        "big_endian": "return x.astype('>f4'), {}",
        "column_order": "return np.asfortranarray(x), {}",
        "numpy_numbers": "return x, {'a': np.int64(1), 'b': np.float32(0.5), 'c': np.bool_(True), 'd': np.arange(3)}",
        "tensor_with_gradient": "import torch; return torch.tensor(x, requires_grad=True), {}",
    }.items()),
    *((name, code(body), 1, text, None) for name, (body, text) in {
        "nothing": ("return None", "plain"),
        "only_a_matrix": ("return x", "plain"),
        "three": ("return x, {}, 5", "plain"),
        "no_notes": ("return x, None", "plain"),
        "notes_are_a_list": ("return x, [1]", "plain"),
        "notes_with_nan": ("return x, {'a': float('nan')}", "plain"),
        "notes_with_an_object": ("return x, {'a': object()}", "plain"),
        "notes_with_keys_of_a_kind": ("return x, {(1, 2): 3}", "plain"),
        "notes_in_a_circle": ("notes = {}; notes['a'] = notes; return x, notes", "plain"),
        "fewer_rows": ("return x[1:], {}", "plain"),
        "one_axis": ("return x[:, 0], {}", "plain"),
        "no_dimensions": ("return x[:, :0], {}", "plain"),
        "no_draws": ("return x[np.newaxis][:0], {}", "plain"),
        "four_axes": ("return x[np.newaxis, np.newaxis], {}", "plain"),
        "number": ("return 5, {}", "plain"),
        "texts": ("return x.astype(str), {}", "plain"),
        "complex": ("return x + 1j, {}", "plain"),
        "objects": ("return np.full((40, 5), None), {}", "plain"),
        "nan": ("return x * np.nan, {}", "plain"),
        "beyond_float32": ("return x + 1e300, {}", "plain"),
        "raises": ("raise ValueError('no luck')", "plain"),
        "asserts": ("assert False, 'no luck'", "plain"),
        "divides": ("return 1 // 0, {}", "plain"),
        "recurses": ("return embed(cells, folder, config, device)", "plain"),
        "leaves": ("import sys; sys.exit(0)", "plain"),
        "filters": ("cells._inplace_subset_obs(np.arange(30)); return x[:30], {}", "plain"),
        "reorders": ("cells._inplace_subset_obs(np.arange(40)[::-1]); return x, {}", "plain"),
        "renames": ("cells.obs_names = [f'n{i}' for i in range(40)]; return x, {}", "plain"),
        "memory": ("return np.ones((10**6, 10**6)), {}", "plain|memory"),
    }.items()),
    ("syntax", code("return ("), 2, "plain.py", None),
    ("import", code("return x, {}", "import gone_for_good"), 2, "plain.py", None),
    ("import_raises", code("return x, {}", "raise RuntimeError('no luck')"), 2, "plain.py", None),
    ("no_embed", lambda: Path("models/plain.py").write_text("from genept.engines.config import ModelConfig as Model\n"), 2, "plain.py", None),
    ("no_model", lambda: Path("models/plain.py").write_text("def embed(*_): pass\n"), 2, "plain.py", None),
    ("model_is_no_class", lambda: Path("models/plain.py").write_text("Model = 5\ndef embed(*_): pass\n"), 2, "plain.py", None),
    ("embed_is_no_function", code("pass", "") and (lambda: Path("models/plain.py").write_text("from genept.engines.config import ModelConfig as Model\nembed = 5\n")), 2, "plain.py", None),
]  # fmt: skip

# Checkpoints and gene vectors


def edit_json(path: str, change: dict[str, Any]) -> Change:
    def apply() -> None:
        content = json.loads(Path(path).read_text())
        content.update(change)
        Path(path).write_text(json.dumps(content))

    return apply


def edit_weights(how: Callable[[dict[str, Any]], Any], path: str = "models/scgpt_t/best_model.pt") -> Change:
    """Rewrite a checkpoint of torch or safetensors."""

    def apply() -> None:
        import torch
        from safetensors.torch import load_file, save_file

        is_safe = path.endswith(".safetensors")
        weights = load_file(path) if is_safe else torch.load(path, weights_only=True)
        changed = how(weights)
        save_file(changed or weights, path) if is_safe else torch.save(changed or weights, path)

    return apply


def released(content: Any) -> Change:
    return lambda: Path("data/encoders/released/released.pickle").write_bytes(pickle.dumps(content))


WEIGHT = "transformer_encoder.layers.0.linear1.weight"
CHECKPOINTS: list[tuple[str, Change, int, str, Any]] = [
    *((f"embed mine scgpt_t:args_{key}_{value}", edit_json("models/scgpt_t/args.json", {key: value}), 1, "scgpt_t", None) for key, value in
      {"embsize": 0, "nheads": 3, "nlayers": 5, "d_hid": 10**9, "pad_token": "x", "n_bins": True, "pad_value": None}.items()),
    *((f"embed mine scgpt_t:vocab_{name}", edit_json("models/scgpt_t/vocab.json", change), 1, "vocab|scgpt_t", None) for name, change in
      {"negative": {"A1BG": -1}, "twice": {"A1BG": 0}, "text": {"A1BG": "1"}, "huge": {"A1BG": 10**30}}.items()),
    ("embed mine scgpt_t:weights_nan", edit_weights(lambda weights: weights[WEIGHT].fill_(float("nan")) and None), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weights_whole", edit_weights(lambda weights: {**weights, WEIGHT: weights[WEIGHT].int()}), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weights_of_other_shape", edit_weights(lambda weights: {**weights, WEIGHT: weights[WEIGHT].T.contiguous()}), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weight_missing", edit_weights(lambda weights: weights.pop(WEIGHT) is None), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weight_unknown", edit_weights(lambda weights: {**weights, "a.b": weights[WEIGHT]}), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weights_list", edit_weights(lambda weights: [*weights.values()]), 1, "best_model.pt", None),
    ("embed mine scgpt_t:weights_none", edit_weights(lambda weights: {"a": None}), 1, "best_model.pt", None),
    ("embed mine gf_t:weight_missing", edit_weights(lambda weights: {name: weights[name] for name in [*weights][3:]}, "models/gf_t/model.safetensors"), 1, "gf_t", None),
    *((f"embed mine gf_t:config_{key}_{value}", edit_json("models/gf_t/config.json", {key: value}), 1, "gf_t", None) for key, value in
      {"vocab_size": 5, "num_hidden_layers": 10**6, "hidden_size": 7, "num_attention_heads": 0, "hidden_act": "sine", "max_position_embeddings": 10**9}.items()),
    *((f"vectors text_w:config_{key}_{value}", edit_json("data/encoders/text_w/config.json", {key: value}), 1, "text_w", None) for key, value in
      {"vocab_size": 5, "num_hidden_layers": 10**6, "hidden_size": 7, "num_attention_heads": 0, "hidden_act": "sine", "model_type": "nothing"}.items()),
    *((f"vectors text_w:{name}", edit_json("data/encoders/text_w/sentence_bert_config.json", {"max_seq_length": value}), 1, "max_seq_length|text_w", None) for name, value in
      {"length_0": 0, "length_text": "64", "length_huge": 10**12}.items()),
    *((f"vectors released:{name}", released(content), 1, "released", None) for name, content in {
        "list": [1, 2], "empty_dict": {}, "numbers_as_names": {1: [1.0]}, "no_vectors": {"A1BG": "x"}, "empty_vector": {"A1BG": []},
        "other_lengths": {"A1BG": [1.0], "A2M": [1.0, 2.0]}, "nan": {"A1BG": [NAN]}, "huge_numbers": {"A1BG": [10**400]}, "no_genes": {"xyz": [1.0]},
        "nested": {"A1BG": [[1.0]]}, "complex": {"A1BG": np.array([1j])}, "objects": {"A1BG": np.array([None])}}.items()),
]  # fmt: skip

# What is fetched, traced, exported, and named on the command line


def source(place: dict[str, Any], name: str = "raw.h5ad") -> Change:
    return settings("data/mine.yaml", {"source": {"kind": place.pop("kind", "http"), "files": {name: place}}})


FETCH: list[tuple[str, Change, int, str, Any]] = [
    *((f"url_{name}", source({"url": url}), 2, "url|address", None) for name, url in {
        "ftp": "ftp://127.0.0.1/a", "empty": "", "no_host": "http://", "bracket": "http://[/a", "file": "file:///etc/passwd", "space": "http://a b/c",
        "port": "http://127.0.0.1:99999/a", "lines": "http://127.0.0.1/a\nb", "number": 5}.items()),
    ("refused", source({"url": "http://127.0.0.1:9/a"}), 1, "127.0.0.1", None),
    ("password", source({"url": "http://me:sesame@127.0.0.1:9/a?token=sesame"}), 1, "^(?!.*sesame).*127.0.0.1", None),
    ("local_absent", source({"kind": "local", "path": "gone"}), 1, "gone", None),
    ("local_folder", source({"kind": "local", "path": "data"}), 1, "data", None),
    ("local_device", source({"kind": "local", "path": "/dev/zero"}), 1, "/dev/zero", None),
    ("local_fifo", lambda: (os.mkfifo("pipe"), source({"kind": "local", "path": "pipe"})()), 1, "pipe", None),
    ("local_long_name", source({"kind": "local", "path": "x" * 5000}), 1, "x", None),
    ("local_other_sha256", source({"kind": "local", "path": "params.yaml", "sha256": "0" * 64}), 1, "params.yaml", None),
    ("target_in_use", source({"kind": "local", "path": "params.yaml"}, "attempts.json"), 2, "attempts.json", None),
    ("lock_of_other_hash", lambda: Path("data/hashes.lock.yaml").write_text("data/mine/raw.h5ad: " + "0" * 64), 1, "raw.h5ad", None),
]  # fmt: skip
COMMANDS: list[tuple[str, int, str]] = [
    *((f"label {name}", 2, "name|such") for name in ("nobody", "../mine", "mine;ls", "MINE", "🧬", "x" * 300)),
    *((f"{stage} nobody", 2, "nobody") for stage in ("annotate", "evaluate", "plot", "vectors", "pretrain")),
    *((f"{stage} parts", 1, "parts") for stage in ("evaluate", "plot")),
    ("embed mine nobody", 2, "nobody"),
    ("embed nobody plain", 2, "nobody"),
    ("embed parts scgpt_t", 0, ""),
    ("embed mine genept_w_ft", 2, "genept_w_ft"),
    ("vectors plain", 2, "plain"),
    ("vectors random_w", 2, "random_w"),
    ("pretrain plain", 2, "plain"),
    ("finetune mine plain --from text_w", 2, "plain"),
    ("finetune mine genept_w_ft --from nobody", 1, "nobody"),
    ("finetune mine genept_w_ft --from ../obs", 2, "obs"),
    ("fetch dataset", 2, "name"),
    ("fetch dataset reference", 2, "reference"),
    ("fetch model sources", 2, "sources"),
    ("fetch reference mine", 2, "name"),
    ("fetch everything", 2, "everything"),
    ("export mine plain", 2, "--output"),
    ("export mine plain --output data/mine/cells.h5ad", 2, "cells.h5ad"),
    ("export mine plain --output data", 2, "data"),
    ("export mine plain --output params.yaml/x.h5ad", 1, "params.yaml"),
    ("export mine plain --into params.yaml", 1, "params.yaml"),
    ("export mine plain --into data/tissue/cells.h5ad", 1, "cells.h5ad"),
    ("export mine plain --into /dev/zero", 2, "/dev/zero"),
    ("trace gone", 1, "gone"),
    ("trace ../../etc/passwd", 1, "passwd"),
    ("verify gone", 1, "gone"),
]  # fmt: skip


def table(stage: str, group: str, rows: Iterable[tuple[str, Change, int, str, Any]]) -> Iterator[Case]:
    for name, change, exit_code, text, check in rows:
        yield Case(stage, change, exit_code, text, check, f"{group}:{name}")


def wrong_settings(stage: str, path: str, rows: Iterable[tuple[str, Any]]) -> Iterator[Case]:
    for key, value in rows:
        short = "absent" if value is ABSENT else repr(value)[:60]
        yield Case(stage, settings(path, {key: value}), 2, Path(path).stem, name=f"{path}:{key}={short}")


BY_HAND: list[Case] = [
    *table("label mine", "h5ad", HDF5),
    *table("embed mine plain", "cells", [(name, hdf5(how, CELLS), 1, "cells.h5ad", None) for name, how in {
        "link": linked("X/data"), "external": stored_outside, "indices_beyond": array("X/indices", lambda x: x + 40), "indptr_short": array("X/indptr", lambda x: x[:-3]),
        "more_columns": attribute("X", "shape", (40, 45)), "nan": array("X/data", lambda x: x * np.nan), "no_ensembl": lambda file: file.pop("var/ensembl_id"),
        "no_x": lambda file: file.pop("uns/x"), "other_x": put("uns/x", "guess"), "cells_twice": array("obs/_index", lambda x: np.concatenate([x[:1], x[:-1]]))}.items()]),
    *(Case("label mine", relabel(label), 0, "", labelled, f"labels:{name}") for name, label in LABELS.items()),
    *(Case("evaluate mine", rename_everywhere(LABELS[name]), 0, "", anything, f"labels:{name}") for name in ("quotes", "long")),
    *(Case("plot mine", rename_everywhere(LABELS[name]), 0, "", no_markup, f"labels:{name}") for name in ("script", "formula", "long", "control")),
    *(Case("report", rename_everywhere(LABELS[name]), 0, "", no_markup, f"labels:{name}") for name in ("script", "formula", "long", "control", "markup")),
    *wrong_settings("label mine", "params.yaml", PARAMS),
    *wrong_settings("label mine", "data/mine.yaml", DATASET),
    *(case for model, key, value in MODELS for case in wrong_settings(f"embed mine {model}", f"models/{model}.yaml", [(key, value)])),
    *(case for stage, model, key, value in TRAINING for case in wrong_settings(stage, f"models/{model}.yaml", [(key, value)])),
    *table("embed mine plain", "custom", CUSTOM),
    *(Case(name.partition(":")[0], change, exit_code, text, check, name.partition(":")[2]) for name, change, exit_code, text, check in CHECKPOINTS),
    *table("fetch dataset mine", "source", FETCH),
    *(Case(command, lambda: None, exit_code, text, None if exit_code else anything, command) for command, exit_code, text in COMMANDS),
    *spoil("verify", "dvc.lock", (*FILE, latin1, a_list, null, no_keys), text="dvc.lock"),
    *spoil("verify", "data/mine/obs.csv", (empty, missing, directory, fifo, dangling), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "metrics/predictions/mine.csv", (noise, missing, fifo), text="mine.csv"),
]  # fmt: skip
CASES = [*HANDED_ON, *BY_HAND]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[malformed.Server]:
    server = malformed.Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def finished(server: malformed.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = Path.cwd()
    yield malformed.build(tmp_path_factory.mktemp("finished") / "project", server)
    os.chdir(before)


def identify(case: Case) -> str:
    return f"{case.stage.split()[0]}-{case.name}"


def symptom(case: Case, server: malformed.Server, folder: Path, finished: Path) -> str:
    """Change a copy of the project, run the stage on it and say what is wrong with what it does; empty if nothing is."""
    case.change()
    before = malformed.snapshot(folder)
    status, output = server.run(folder, *case.stage.split())
    after = malformed.snapshot(folder)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    if "Traceback" in output or status not in (0, 1, 2):
        return f"{status}: {output[-300:]}"
    if status != case.code:
        return f"exit code {status}, expected {case.code}: {output[-300:]}"
    if left := [name for name in after if ".writing-" in name]:
        return f"left {left}"
    if case.check:
        case.check(folder, finished)
    elif changed:
        return f"changed {changed[:9]}"
    if status and (len(errors) != 1 or len(errors[0]) > LONGEST):
        return f"{len(errors)} lines, {len(output)} characters: {output[:300]}"
    if status and not re.search(case.text, errors[0]):
        return f"says nothing of {case.text!r}: {errors[0]}"
    return ""


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_malformed(case: Case, server: malformed.Server, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(finished, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(folder)
    assert not symptom(case, server, folder, finished)
