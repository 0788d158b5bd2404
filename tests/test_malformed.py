"""Malformed inputs of every stage: one clear line or the right result, never a traceback, a crash, a hang, half a file.

Each case is a stage, a change to a copy of a finished project, the exit code and a pattern in the error line. After an
error every file is as it was. After a success too, unless a check says what is right.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest

from tests import malformed
from tests.spoiled import (
    ABSENT,
    CELLS,
    NPY,
    RAW,
    Change,
    a_list,
    array,
    as_column,
    attribute,
    bad_crc,
    bomb,
    broken_heap,
    code,
    corpus,
    dangling,
    deep,
    dense,
    device,
    directory,
    edit_json,
    edit_weights,
    empty,
    extra_field,
    fifo,
    first_column_missing,
    hdf5,
    infinite_numbers,
    latin1,
    linked,
    missing,
    nan_values,
    no_keys,
    noise,
    null,
    null_values,
    only_titles,
    open_quote,
    other_cells,
    other_file,
    other_titles,
    payload,
    put,
    relabel,
    rename_everywhere,
    row_missing,
    row_repeated,
    rows_swapped,
    settings,
    stored_outside,
    surplus_fields,
    text_values,
    texts_for_numbers,
    titles_repeated,
    tokenizer,
    truncated,
    virtual,
)

INF, NAN = float("inf"), float("nan")
NOT_COMPARED = {"cache", "downloads", "tmp"}  # folders of what may be made again at any time
LONGEST = 1500  # characters of an error
EMBED, EVALUATE, LABEL = "embed mine", "evaluate mine", "label mine"
FINETUNE, EXPORT = "finetune mine genept_w_ft --from text_w", "export mine plain --output x.h5ad"
Check = Callable[[Path], None]  # of the finished project; the working folder is the changed one
Kinds = Iterable[Callable[[Path], Any]] | dict[str, Callable[[Path], Any]]


class Case(NamedTuple):
    """What happens to which stage, and what is right."""

    name: str
    stage: str
    change: Change
    code: int
    text: str = ""  # in the error line
    check: Check | None = None  # after a success


def spoil(stage: str, path: str, kinds: Kinds, code: int = 1, text: str = "") -> Iterator[Case]:
    """Spoil a file in each way; the error names it."""
    named = kinds if isinstance(kinds, dict) else {kind.__name__: kind for kind in kinds}
    for name, kind in named.items():
        yield Case(f"{path}-{name}", stage, partial(kind, Path(path)), code, text or Path(path).stem)


def refused(stage: str, group: str, changes: dict[str, Change], text: str, code: int = 1) -> Iterator[Case]:
    for name, change in changes.items():
        yield Case(f"{group}-{name}", stage, change, code, text)


def accepted(stage: str, group: str, changes: dict[str, Change], check: Check) -> Iterator[Case]:
    for name, change in changes.items():
        yield Case(f"{group}-{name}", stage, change, 0, check=check)


def wrong(stage: str, path: str, key: str, *values: Any) -> Iterator[Case]:
    """Give a setting each of the values; the error names the settings file."""
    for value in values:
        name = "absent" if value is ABSENT else repr(value)[:50]
        yield Case(f"{path}-{key}={name}", stage, settings(path, {key: value}), 2, Path(path).stem)


def damaged_cache() -> None:
    """Damage joblib's records of the cached functions of `evaluate`."""
    records = [*Path("data/cache/evaluate").rglob("func_code.py")]
    for path in records:
        noise(path)
    assert records


# What stages hand each other


def negated(cells: Any) -> None:
    cells.X = -cells.X


def unnamed(cells: Any) -> None:
    cells.var["ensembl_id"] = ""


FILE = (noise, fifo)
MORE = (empty, truncated, directory, dangling, device)
JSON = (*FILE, a_list, no_keys)
TABLE = (*FILE, latin1, other_titles)
SOME_NPY = {name: NPY[name] for name in ("fewer_rows", "nan")}
ANNOTATION, ENCODER = "data/tissue/annotation", "data/encoders/text_w"
HANDED_ON = [
    *spoil(LABEL, "params.yaml", (*FILE, *MORE, latin1, a_list), 2),
    *spoil(LABEL, "data/mine.yaml", (fifo, null), 2),
    *spoil(f"{EMBED} text_w", "models/text_w.yaml", (noise, a_list), 2),
    *spoil("fetch reference", "data/reference.yaml", (noise, no_keys), 2),
    *spoil("fetch dataset mine", "data/hashes.lock.yaml", (*FILE, directory, a_list)),
    *spoil(LABEL, "data/reference/hgnc.tsv", (*FILE, *MORE, latin1, other_titles, only_titles)),
    *spoil("annotate tissue", "data/tissue/raw/markers.tsv", (*TABLE, only_titles, titles_repeated)),
    *spoil("annotate tissue", "data/tissue/raw/raw.h5ad", FILE),
    *spoil(LABEL, str(RAW), (*FILE, *MORE)),
    *spoil("label parts", "data/parts/raw/labels.csv", (*TABLE, surplus_fields)),
    *spoil("label parts", "data/parts/raw/dense.txt.gz", (*FILE, truncated)),
    *spoil("label parts", "data/parts/raw/x/matrix.mtx.gz", FILE, text="raw/x"),
    *spoil("label parts", "data/parts/raw/x/barcodes.tsv.gz", FILE, text="raw/x"),
    *spoil("vectors text_w", f"{ENCODER}/config.json", (*JSON, deep), text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/tokenizer.json", JSON, text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/sentence_bert_config.json", (noise, a_list, null), text="text_w"),
    *spoil("vectors text_w", f"{ENCODER}/model.safetensors", (*FILE, truncated), text="text_w"),
    *spoil("vectors released", "data/encoders/released/released.pickle", (*FILE, truncated, device, payload)),
    *spoil(f"{EMBED} plain", str(CELLS), (*FILE, *MORE)),
    *spoil("pretrain scgpt_t", "data/corpus/mine/cells.h5ad", (fifo, truncated)),
    *refused("pretrain scgpt_t", "corpus", {"negative": corpus(negated)}, "cells.h5ad"),
    *refused("pretrain gf_t", "corpus", {"negative": corpus(negated), "no_ids": corpus(unnamed)}, "cells.h5ad"),
    *spoil(
        EVALUATE, "data/mine/obs.csv", (*TABLE, empty, first_column_missing, only_titles, row_repeated), text="obs.csv"
    ),
    *spoil(
        EVALUATE, "data/mine/obs.csv", (row_missing, rows_swapped, extra_field, other_cells, open_quote), text="obs.csv"
    ),
    *spoil(FINETUNE, "data/mine/obs.csv", (noise, row_missing), text="obs.csv"),
    *spoil(EXPORT, "data/mine/obs.csv", (noise, row_missing, row_repeated), text="obs.csv"),
    *spoil("plot mine", "data/mine/obs.csv", (fifo, row_missing), text="obs.csv"),
    *spoil(f"{EMBED} text_w", "models/text_w/genes.tsv", (*TABLE, row_repeated, row_missing)),
    *spoil(f"{EMBED} text_w", "models/text_w/vectors.npy", (*FILE, *MORE)),
    *spoil(f"{EMBED} text_w", "models/text_w/vectors.npy", SOME_NPY, text="vectors|text_w"),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/best_model.pt", (*FILE, truncated, payload, bad_crc)),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/args.json", (*JSON, deep, text_values)),
    *spoil(f"{EMBED} scgpt_t", "models/scgpt_t/vocab.json", (*FILE, nan_values)),
    *spoil(f"{EMBED} gf_t", "models/gf_t/config.json", (*FILE, null_values), text="gf_t"),
    *spoil(f"{EMBED} gf_t", "models/gf_t/model.safetensors", FILE),
    *spoil(f"{EMBED} gf_t", "models/gf_t/token_dictionary.pkl", (*FILE, payload)),
    *spoil(EVALUATE, "data/mine/embeddings/plain.npy", (*FILE, truncated)),
    *spoil(EVALUATE, "data/mine/embeddings/plain.npy", NPY),
    *spoil(EVALUATE, "data/mine/embeddings/plain.json", (*JSON, deep, null_values)),
    *spoil("plot mine", "data/mine/embeddings/plain.npy", SOME_NPY),
    *spoil(EXPORT, "data/mine/embeddings/plain.npy", SOME_NPY),
    *spoil(FINETUNE, "data/mine/embeddings/text_w.npy", SOME_NPY),
    *spoil("label tissue", f"{ANNOTATION}/cells.csv", (*TABLE, row_missing, row_repeated), text="annotation"),
    *spoil("label tissue", f"{ANNOTATION}/summary.json", JSON, text="annotation"),
    *spoil("plot tissue", f"{ANNOTATION}/clusters.csv", (other_titles, texts_for_numbers), text="annotation"),
    *spoil("plot tissue", f"{ANNOTATION}/umap.csv", (infinite_numbers, row_repeated), text="annotation"),
    *spoil("report", "metrics/full/mine/plain.csv", (*TABLE, truncated, infinite_numbers)),
    *spoil("report", "metrics/scores/mine/plain.json", (fifo, a_list, nan_values)),
    *spoil("report", "metrics/verification/mine.json", (*JSON, deep, null_values)),
    *spoil("report", "metrics/comparisons/mine/models.csv", (*FILE, other_titles, texts_for_numbers)),
    *spoil("report", "metrics/comparisons/mine/text.csv", (fifo, texts_for_numbers)),
    *spoil("report", "metrics/predictions/mine.csv", (other_titles, row_repeated)),
    *spoil("report", "metrics/probabilities/mine/phenotype/plain.csv", (noise, texts_for_numbers)),
    *spoil("report", "plots/cells/mine.csv", (fifo, texts_for_numbers)),
    *spoil("report", "dvc.lock", (noise, no_keys), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "dvc.lock", (*JSON, empty), text="dvc.lock"),
    *spoil("trace metrics/predictions/mine.csv", "metrics/predictions/mine.csv", FILE),
    *spoil("verify", "dvc.lock", (*FILE, null), text="dvc.lock"),
    Case("dvcignore-latin1", "verify", lambda: Path(".dvcignore").write_bytes(b"\xe9\xff"), 1, ".dvcignore"),
    Case("cache-noise", EVALUATE, damaged_cache, 0),
    *spoil("verify", "data/mine/obs.csv", (empty, missing, fifo), text="dvc.lock"),
]

# Files of cells


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
    assert Path("data/mine/obs.csv").read_bytes() == (finished / "data/mine/obs.csv").read_bytes()
    with h5py.File(CELLS) as ours, h5py.File(finished / CELLS) as theirs:
        for name in ("data", "indices", "indptr"):
            assert np.array_equal(ours[f"X/{name}"][...], theirs[f"X/{name}"][...]), name


def other_labels(finished: Path) -> None:
    """Another column of labels, the same cells."""
    assert pd.read_csv("data/mine/obs.csv")["cell_type"].nunique() == 2
    assert len(pd.read_csv("data/mine/obs.csv")) == 40


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

# Labels are data

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
    table = pd.read_csv("data/mine/obs.csv", dtype=str, keep_default_na=False)
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

# Settings

OF_SETTINGS = [  # a few of each room; tests/core has all of them
    *wrong(LABEL, "params.yaml", "evaluate.repeats", 10**12),
    *wrong(LABEL, "params.yaml", "evaluate.logreg.C", NAN),
    *wrong(LABEL, "params.yaml", "grid.datasets", ["a;rm -rf b"], ["../mine"], None),
    *wrong(LABEL, "params.yaml", "grids", {"a;b": {}}),
    *wrong(LABEL, "data/mine.yaml", "obs", {}, {"cell_type": ["kind"]}),
    *wrong(LABEL, "data/mine.yaml", "subset", {"n_cells": True}, {"share": NAN}),
    *wrong(LABEL, "data/mine.yaml", "derive", {"age": {"of": "patient", "map": None}}, []),
    *wrong(LABEL, "data/mine.yaml", "source", {}, {"kind": "local", "files": {"../raw.h5ad": {"path": "a"}}}),
    *wrong(LABEL, "data/mine.yaml", "title", ABSENT, 5),
    *wrong(f"{EMBED} text_w", "models/text_w.yaml", "embed.unit_norm", "no"),
    *wrong(f"{EMBED} text_w", "models/text_w.yaml", "engine", "../genept_w", ["genept_w"]),
    *wrong(f"{EMBED} random_w", "models/random_w.yaml", "draws", 0, True, 10**12),
    *wrong(f"{EMBED} text_s", "models/text_s.yaml", "embed.max_symbols", True),
    *wrong(f"{EMBED} scgpt_t", "models/scgpt_t.yaml", "embed.max_length", 1, 10**12),
    *wrong("pretrain scgpt_t", "models/scgpt_t.yaml", "pretrain.steps", 0, 10**12),
    *wrong(FINETUNE, "models/genept_w_ft.yaml", "finetune.epochs", 10**12),
]

# A user's own model, by what its `embed` does


def embedded(finished: Path) -> None:
    """The embedding is a row of finite numbers for each cell, and its notes are JSON."""
    x = np.load("data/mine/embeddings/plain.npy")
    assert x.shape == (40, 5) and x.dtype == np.float32 and np.isfinite(x).all()
    json.loads(Path("data/mine/embeddings/plain.json").read_text(), parse_constant=pytest.fail)


ACCEPTED_MODELS = {
    "float64": "return x.astype(float), {}",
    "big_endian": "return x.astype('>f4'), {}",
    "no_notes": "return x, None",
    "numpy_numbers": "return x, {'a': np.int64(1), 'b': np.float32(0.5), 'c': np.bool_(True)}",
    "tensor_with_gradient": "import torch; return torch.tensor(x, requires_grad=True), {}",
}
REFUSED_MODELS = {
    "nothing": "return None",
    "only_a_matrix": "return x",
    "notes_with_nan": "return x, {'a': float('nan')}",
    "notes_with_an_object": "return x, {'a': object()}",
    "notes_in_a_circle": "notes = {}; notes['a'] = notes; return x, notes",
    "fewer_rows": "return x[1:], {}",
    "one_axis": "return x[:, 0], {}",
    "no_dimensions": "return x[:, :0], {}",
    "texts": "return x.astype(str), {}",
    "complex": "return x + 1j, {}",
    "objects": "return np.full((40, 5), None), {}",
    "nan": "return x * np.nan, {}",
    "beyond_float32": "return x + 1e300, {}",
    "raises": "raise ValueError('no luck')",
    "recurses": "return embed(cells, folder, config, device)",
    "leaves": "import sys; sys.exit(0)",
    "closes": "raise GeneratorExit",
    "is_cancelled": "import asyncio; raise asyncio.CancelledError",
    "filters": "cells._inplace_subset_obs(np.arange(30)); return x[:30], {}",
    "reorders": "cells._inplace_subset_obs(np.arange(40)[::-1]); return x, {}",
    "memory": "return np.ones((10**6, 10**6)), {}",
}
FAILING_CODE = {
    "syntax": code("return ("),
    "import": code("return x, {}", "import gone_for_good"),
    "import_raises": code("return x, {}", "raise RuntimeError('no luck')"),
}
BROKEN_MODELS = {
    "no_embed": lambda: Path("models/plain.py").write_text("from genept.engines.config import ModelConfig as Model"),
    "model_is_no_class": lambda: Path("models/plain.py").write_text("Model = 5\ndef embed(*_): pass\n"),
}
OF_MODELS = [
    *accepted(f"{EMBED} plain", "model", {name: code(body) for name, body in ACCEPTED_MODELS.items()}, embedded),
    *refused(f"{EMBED} plain", "model", {name: code(body) for name, body in REFUSED_MODELS.items()}, "plain|memory"),
    *refused(f"{EMBED} plain", "model", FAILING_CODE, "plain.py"),
    *refused(f"{EMBED} plain", "model", BROKEN_MODELS, "plain.py", 2),
]

# Checkpoints and gene vectors

WEIGHT = "transformer_encoder.layers.0.linear1.weight"
ARGS: dict[str, Any] = {"embsize": 0, "nheads": 3, "nlayers": 5, "d_hid": 10**9}
VOCAB: dict[str, Any] = {"negative": -1, "twice": 0, "text": "1", "huge": 10**30}
CONFIG: dict[str, Any] = {"vocab_size": 5, "num_hidden_layers": 10**6, "hidden_size": 7, "num_attention_heads": 0}
WEIGHTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nan": lambda weights: {**weights, WEIGHT: weights[WEIGHT] * NAN},
    "whole": lambda weights: {**weights, WEIGHT: weights[WEIGHT].int()},
    "transposed": lambda weights: {**weights, WEIGHT: weights[WEIGHT].T.contiguous()[:-1]},
    "missing": lambda weights: {name: weight for name, weight in weights.items() if name != WEIGHT},
    "unknown": lambda weights: {**weights, "a.b": weights[WEIGHT]},
    "list": lambda weights: [*weights.values()],
    "none": lambda weights: {"a": None},
}
RELEASED: dict[str, Any] = {
    "list": [1, 2],
    "empty": {},
    "no_vectors": {"A1BG": "x"},
    "other_lengths": {"A1BG": [1.0], "A2M": [1.0, 2.0]},
    "nan": {"A1BG": [NAN]},
    "huge_numbers": {"A1BG": [10**400]},
    "complex": {"A1BG": np.array([1j])},
    "objects": {"A1BG": np.array([None])},
}


def both(*changes: Change) -> Change:
    return lambda: [change() for change in changes]


def added(path: str, kind: Callable[[Path], Any]) -> Change:
    """Put a file that is spoiled where none was."""

    def apply() -> None:
        Path(path).touch()
        kind(Path(path))

    return apply


def summaries(name: str) -> Change:
    """Let the summaries come from a pipe."""
    vectors = {"text": "summary", "summaries": name, "without_summary": "name"}
    return both(settings("models/text_w.yaml", {"vectors": vectors}), added(f"{ENCODER}/{name}", fifo))


def python_source(designation: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(f"5 : NtData(other_designations='{designation}')")


def normalizer(**change: Any) -> Change:
    return tokenizer(normalizer=change)


def json_values(path: str, values: dict[str, Any]) -> dict[str, Change]:
    return {f"{Path(path).stem}_{key}": edit_json(path, {key: value}) for key, value in values.items()}


def released(value: Any) -> Change:
    return lambda: Path("data/encoders/released/released.pickle").write_bytes(pickle.dumps(value))


LONG = settings("models/text_w.yaml", {"vectors.text": "long"})
OF_FILE = settings("models/text_s.yaml", {"embed": {"encoder": "file"}})
NCBI = Path("data/reference/genes_ncbi.py")
DESIGNATIONS: dict[str, Callable[[Path], Any]] = {
    "fifo": fifo,
    "device": device,
    "latin1": latin1,
    "escape": python_source(r"\x"),
    "name_of_no_letter": python_source(r"\N{nothing}"),
    "nul": python_source("\0"),
}
UNKNOWN: dict[str, dict[str, Any]] = {
    "word_level": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "z"},
    "bpe": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "unk_token": "z"},
    "unigram": {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": None},
}
CUT = {"type": "Precompiled", "precompiled_charsmap": "/" * 24}
TOKENIZERS: dict[str, Change] = {
    "vocab_empty": tokenizer("model", vocab={}),
    **{name: tokenizer(model=model) for name, model in UNKNOWN.items()},
    "no_special_tokens": tokenizer("post_processor", special_tokens={}),
    "second_text": tokenizer("post_processor", single=[{"Sequence": {"id": "B", "type_id": 0}}]),
    "special_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", ids=[999_999]),
    "special_far_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", ids=[2**32 - 1]),
    "charsmap_short": normalizer(type="Precompiled", precompiled_charsmap="AAAA"),
    "charsmap_cut": normalizer(**CUT),
    "charsmap_within": normalizer(type="Sequence", normalizers=[CUT]),
    "charsmap_no_text": normalizer(type="Precompiled", precompiled_charsmap=5),
    "regex": normalizer(type="Replace", pattern={"Regex": r"(a+)+$|(\w+\s?)*$"}, content="b"),
    "pieces_of_0": tokenizer(pre_tokenizer={"type": "FixedLength", "length": 0}),
}
OF_SENTENCES = {
    "vocab_empty": tokenizer("model", folder="models/text_s", vocab={}),
    "special_beyond": tokenizer("post_processor", "special_tokens", "[SEP]", folder="models/text_s", ids=[999_999]),
}

SCGPT = "models/scgpt_t"
OF_CHECKPOINTS = [
    *refused(f"{EMBED} scgpt_t", "checkpoint", json_values(f"{SCGPT}/args.json", ARGS), "scgpt_t"),
    *refused(
        f"{EMBED} scgpt_t",
        "vocab",
        {name: edit_json(f"{SCGPT}/vocab.json", {"A1BG": value}) for name, value in VOCAB.items()},
        "vocab",
    ),
    *refused(
        f"{EMBED} scgpt_t", "weights", {name: edit_weights(how) for name, how in WEIGHTS.items()}, "best_model.pt"
    ),
    *refused(f"{EMBED} gf_t", "checkpoint", json_values("models/gf_t/config.json", CONFIG), "gf_t"),
    *refused(
        "vectors text_w", "encoder", json_values(f"{ENCODER}/config.json", {**CONFIG, "model_type": "a"}), "text_w"
    ),
    *refused("vectors text_w", "tokenizer", TOKENIZERS, "tokenizer.json"),
    *refused(f"{EMBED} text_s", "tokenizer", OF_SENTENCES, "tokenizer.json"),
    *refused(
        "vectors text_w",
        "designations",
        {name: both(LONG, partial(kind, NCBI)) for name, kind in DESIGNATIONS.items()},
        "genes_ncbi",
    ),
    *(Case(f"{name}-fifo", "vectors text_w", summaries(name), 1, name) for name in ("s.json", "s.csv")),
    Case("v.csv-fifo", f"{EMBED} text_s", both(OF_FILE, added("models/text_s/v.csv", fifo)), 1, "v.csv"),
    *refused("vectors released", "released", {name: released(value) for name, value in RELEASED.items()}, "released"),
]

# Sources, and the command line

URLS = {
    "ftp": "ftp://127.0.0.1/a",
    "empty": "",
    "no_host": "http://",
    "bracket": "http://[/a",
    "file": "file:///etc/passwd",
    "port": "http://127.0.0.1:99999/a",
    "lines": "http://127.0.0.1/a\nb",
    "number": 5,
}


def source(name: str = "raw.h5ad", kind: str = "local", **place: Any) -> Change:
    """Name one file, of which nothing is known."""
    change = settings("data/mine.yaml", {"source": {"kind": kind, "files": {name: place}}})

    def apply() -> None:
        Path("data/hashes.lock.yaml").unlink()
        change()

    return apply


def piped() -> None:
    os.mkfifo("pipe")
    source(path="pipe")()


FETCH = "fetch dataset mine"
OF_SOURCES = [
    *refused(FETCH, "url", {name: source(kind="http", url=url) for name, url in URLS.items()}, "url", 2),
    Case("source-password", FETCH, source(kind="http", url="http://me:sesame@127.0.0.1:9/a"), 2, "^(?!.*sesame).*127"),
    Case("source-absent", FETCH, source(path="gone"), 1, "gone"),
    Case("source-folder", FETCH, source(path="data"), 1, "data"),
    Case("source-device", FETCH, source(path="/dev/zero"), 1, "/dev/zero"),
    Case("source-fifo", FETCH, piped, 1, "pipe"),
    Case("source-long_name", FETCH, source(path="x" * 5000), 2, "path"),
    Case("source-other_hash", FETCH, source(path="params.yaml", sha256="0" * 64), 1, "sha256"),
    Case("source-name_in_use", FETCH, source("attempts.json", path="params.yaml"), 2, "attempts.json"),
]
COMMANDS = {
    2: {
        **{f"label {name}": "name|such" for name in ("../mine", "mine;ls", "🧬", "x" * 300)},
        **{f"{stage} nobody": "nobody" for stage in ("evaluate", "plot", "vectors")},
        "verify gone": "gone",
        "embed mine nobody": "nobody",
        "embed mine genept_w_ft": "genept_w_ft",
        "vectors random_w": "random_w",
        "finetune mine plain --from text_w": "plain",
        "fetch dataset": "name",
        "fetch dataset reference": "reference",
        "fetch everything": "everything",
        "export mine plain": "--output",
        "export mine plain --output data/mine/cells.h5ad": "cells.h5ad",
        "export mine plain --output data/mine/obs.csv": "obs.csv",
        "export mine plain --output params.yaml": "params.yaml",
        "export mine plain --into params.yaml": "params.yaml",
        "clean sources": "sources",
    },
    1: {
        "finetune mine genept_w_ft --from ../obs": "obs",
        "evaluate parts": "parts",
        "plot parts": "parts",
        "finetune mine genept_w_ft --from nobody": "nobody",
        "export mine plain --output params.yaml/x.h5ad": "params.yaml",
        "export mine plain --into data/tissue/cells.h5ad": "cells.h5ad",
        "trace gone": "gone",
        "trace ../../etc/passwd": "passwd",
    },
}
CASES = [
    *HANDED_ON,
    *OF_CELLS,
    *OF_LABELS,
    *OF_SETTINGS,
    *OF_MODELS,
    *OF_CHECKPOINTS,
    *OF_SOURCES,
    *(Case("-", stage, lambda: None, code, text) for code, row in COMMANDS.items() for stage, text in row.items()),
]


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


@pytest.fixture(scope="module")
def copy(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> malformed.Copy:
    return malformed.Copy(finished, tmp_path_factory.mktemp("copy") / "project")


def symptom(case: Case, server: malformed.Server, copy: malformed.Copy) -> str:
    """Change the project, run the stage, and say what is wrong with what it does; empty if nothing is."""
    case.change()
    before = copy.look()
    status, output = server.run(copy.folder, *case.stage.split())
    after = copy.look()
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    changed = sorted(name for name in touched if not NOT_COMPARED & {*Path(name).parts} and not copy.is_same(name))
    errors = [line for line in output.splitlines() if line.startswith("Error: ")]
    if "Traceback" in output or status not in (0, 1, 2):
        return f"{status}: {output[-300:]}"
    if status != case.code:
        return f"exit code {status}, expected {case.code}: {output[-300:]}"
    if left := [name for name in after if ".writing-" in name]:
        return f"left {left}"
    if case.check:
        case.check(copy.finished)
    elif changed:
        return f"changed {changed[:9]}"
    if status and (len(errors) != 1 or len(errors[0]) > LONGEST):
        return f"{len(errors)} lines, {len(output)} characters: {output[:300]}"
    if status and not re.search(case.text, errors[0]):
        return f"says nothing of {case.text!r}: {errors[0]}"
    return ""


def identify(case: Case) -> str:
    return f"{case.stage}-{case.name}"


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_malformed_inputs_are_one_line_or_right(
    case: Case, server: malformed.Server, copy: malformed.Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.folder)
    try:
        assert not symptom(case, server, copy)
    finally:
        copy.restore()
