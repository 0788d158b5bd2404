"""Malformed inputs of every stage: one clear line or the right result, never a traceback, a crash, a hang, half a file.

Every case is (stage, change to a finished project, exit code, pattern in the error line).
"""

from __future__ import annotations

import functools
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

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
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
    check: Callable[[Path], None] | None = None
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
CASES = [*HANDED_ON]


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


def symptom(case: Case, server: malformed.Server, folder: Path) -> str:
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
        case.check(folder)
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
    assert not symptom(case, server, folder)
