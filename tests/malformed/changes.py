"""Ways to spoil the files of a finished project: each changes a file of the working folder."""

from __future__ import annotations

import functools
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests import helpers

Change = Callable[[], Any]
RAW, CELLS = Path("data/mine/raw/raw.h5ad"), Path("data/mine/labelled/cells.h5ad")
ABSENT = object()  # in place of a setting: it is taken out

# Changes to a file of any kind, by name.


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


def surplus_fields(path: Path) -> None:
    title, *lines = path.read_text().splitlines()
    path.write_text("\n".join([title, *(line + separator(path) for line in lines)]) + "\n")


def titles_repeated(path: Path) -> None:
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_text("".join("\t".join([*line, line[0]]) + "\n" for line in lines))


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
        np.savez(stream, np.zeros((40, 5)))


def bad_crc(path: Path) -> None:
    """Change a byte of the largest member of a zip file."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + len(largest.FileHeader()) + largest.file_size // 2] ^= 0x40
    path.write_bytes(content)


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


def code(body: str, before: str = "") -> Change:
    """A model of a user's own with this body of `embed`."""
    head = Path(helpers.ROOT / "models/expression.py").read_text(encoding="utf-8").partition("def embed")[0]
    text = (
        f"{head}\n{before}\ndef embed(cells, folder, config, device):\n    x = cells.X.toarray()[:, :5]\n    {body}\n"
    )
    return lambda: Path("models/plain.py").write_text(text)


def edit_json(path: str, change: dict[str, Any]) -> Change:
    def apply() -> None:
        content = json.loads(Path(path).read_text())
        content.update(change)
        Path(path).write_text(json.dumps(content))

    return apply


def tokenizer(*keys: str, folder: str = "data/encoders/text_w", **change: Any) -> Change:
    """Change the tokenizer of an encoder: values within a part of it, which the keys lead to."""

    def apply() -> None:
        path = Path(folder, "tokenizer.json")
        content = json.loads(path.read_text())
        functools.reduce(lambda inner, key: inner[key], keys, content).update(change)
        path.write_text(json.dumps(content))

    return apply


def corpus(how: Callable[[Any], Any]) -> Change:
    """Change the cells to learn from."""

    def apply() -> None:
        import anndata

        path = Path("data/corpus/mine/cells.h5ad")
        cells = anndata.read_h5ad(path)
        how(cells)
        path.unlink()
        cells.write_h5ad(path)

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
