"""What cannot be right in a file is one clear line, and nothing is written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest

from tests import helpers
from tests.datasets.made import (
    OUTPUTS,
    RAW,
    SYMBOLS,
    assert_refused,
    change,
    configure,
    in_turn,
    local,
    make_cells,
    put,
    run,
    set_obs,
    set_value,
    set_x,
    split_files,
    write_earlier_results,
)

Change = Callable[[], Any]
HGNC = Path("data/reference/hgnc.tsv")


def cells(how: Callable[[anndata.AnnData], Any], **keys: Any) -> Change:
    """Change the cells of the file, and keys of the dataset's file."""
    return in_turn(lambda: change(how), lambda: configure(**keys))


def keys(**changes: Any) -> Change:
    return lambda: configure(**changes)


def truncate(share: float) -> Change:
    return lambda: RAW.write_bytes(RAW.read_bytes()[: int(share * RAW.stat().st_size)])


def hdf5(how: Callable[[h5py.File], Any], mode: str = "a") -> Change:
    def apply() -> None:
        with h5py.File(RAW, mode) as file:
            how(file)

    return apply


def before_0_7(file: h5py.File) -> None:
    for name in ("obs", "var"):
        file[name] = np.array([(b"a",)], dtype=[("index", "S1")])


def scale(data: anndata.AnnData) -> None:
    data.layers["counts"] = data.X.copy()
    data.raw = data
    data.X = data.X.toarray() - 1.5


def split(how: Callable[[anndata.AnnData], Any], **keys: Any) -> Change:
    """Put the cells into two files, after changing those of the query."""

    def apply() -> None:
        query = make_cells()[40:].copy()
        how(query)
        split_files(query, **keys)

    return apply


MOUSE = ["Trp53", "Cd4", "Gapdh", "Actb", "Cd14", "Lyz", "Nkg7", *SYMBOLS[7:]]
DAMAGED = f"{RAW}: damaged, cut short or not a file of cells"
LAYER = "as `layer:` in the dataset's file (it has "
NO_TYPE = (
    "no column 'cell_type', which `obs` in the dataset's file names; did you mean 'celltype'?; it has celltype, do"
)
REFUSALS: list[tuple[Change, str]] = [
    # values
    (cells(set_value(-1)), f"{RAW}: X is declared counts but has negative values (down to -1): it looks"),
    (cells(set_value(100.5)), "nor logarithms (up to 100.5): corrected or estimated counts perhaps"),
    (cells(set_value(2**24 + 1)), "has a count of 16777217, more than 2^24"),
    (cells(set_x(np.log1p)), "it looks log-normalised (largest value "),
    (cells(set_x(lambda x: x / x.sum(axis=1, keepdims=True) * 1e4)), "it looks normalised to 10000 per cell"),
    (cells(set_x(np.zeros_like)), f"{RAW}: none of its 60 cells has a count"),
    (cells(set_value(812.5), x="lognorm"), "declared lognorm but has neither counts (1 of its"),
    (keys(x="lognorm"), "X is declared lognorm but has whole numbers only"),
    (cells(set_x(lambda x: x * 33.3), x="detect"), "nor logarithms (up to 233.1): corrected"),
    # layers
    (cells(put("X", None)), f"has no X; name a layer {LAYER}logged)"),
    (cells(scale), f"name the layer with counts {LAYER}counts, logged, raw)"),
    (cells(lambda data: setattr(data, "X", data.layers.pop("logged"))), "the file has no other layer; give raw"),
    (keys(layer="loged"), f"{RAW}: no layer 'loged'; did you mean 'logged'?; it has logged"),
    (keys(layer="raw"), "no layer 'raw'; it has logged"),
    # genes and cells
    (cells(lambda data: data[:0].copy()), f"{RAW}: has 0 cells and 12 genes; nothing can be scored"),
    (cells(put("var_names", MOUSE)), f"{RAW}: the genes look like mouse genes"),
    (cells(put("var_names", [f"ENSMUSG000000{n:05}" for n in range(12)])), "the genes are not human"),
    (keys(keep_var={"kind": "Gene"}), "var has no column 'kind', which `keep_var` in the dataset's file names"),
    (
        cells(lambda data: data.var.insert(0, "kind", "gene"), keep_var={"kind": ["Gene", "Gene Expression"]}),
        "keep_var leaves no gene, var['kind'] is never Gene or Gene Expression; it has 'gene'",
    ),
    # annotations
    (keys(obs={"cell_type": "cell_type"}), NO_TYPE),
    (cells(set_obs("celltype", "B")), "mine: cell_type has only 'B' in the evaluated cells, so nothing can be"),
    (keys(subset={"share": 0.001}, obs={"patient": "donor", "phenotype": "condition"}), "so nothing can be scored"),
    (
        keys(expected={"n_cells": 61, "n_genes": 12, "cell_type": 4, "patient": 6}),
        "data/mine/raw is not as expected: n_cells is 60, not 61; if it is the right file, correct `expected` in",
    ),
    (
        keys(expected={"n_cells": 60, "n_genes": 13, "cell_type": 4, "patient": 6}),
        f"{RAW} is not as expected: n_genes is 12, not 13; cell_type is 3, not 4; if it is",
    ),
    (split(lambda data: None, expected={"query": 21}), "query is 20, not 21; if it is the right file"),
    # reference and query
    (split(put("var_names", [f"Gene{n}" for n in range(12)])), "reference.h5ad and query.h5ad have no gene in common"),
    (split(put("X", make_cells()[40:].layers["logged"]), x="detect"), "query.h5ad holds counts, the other does not"),
    # files
    (keys(source=local(**{"raw.h5ad": {"path": "a", "sha256": "0" * 64}})), "but its source expects 0000"),
    (RAW.unlink, f"{RAW}: no such file; run the stage that makes it first"),
    (HGNC.unlink, f"{HGNC}: no such file; run the stage that makes it first"),
    *[(truncate(share), DAMAGED) for share in (0.01, 0.99)],
    (hdf5(lambda file: file.pop("X/indptr")), f"{RAW}: no valid file of cells ("),
    (hdf5(lambda file: file.create_group("matrix"), "w"), "an HDF5 file but not an h5ad file, it has no obs"),
    (hdf5(before_0_7, "w"), "written by anndata before 0.7; read and write it again with a current anndata"),
]  # fmt: skip

DYING = """
import os, signal
from genept.datasets import labelled
from stages.label import main
write = labelled.write_h5ad
def dying(path, *rest):
    if path.parent.name == 'labelled':
        path.write_bytes(b'half')
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, *rest)
labelled.write_h5ad = dying
main(['mine'])
"""


@pytest.mark.parametrize(("how", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_cannot_be_right_is_refused(project: Path, how: Change, text: str) -> None:
    how()
    assert_refused(1, text)


def test_a_process_killed_while_writing_leaves_the_earlier_results(project: Path) -> None:
    """Killed by itself at the worst moment: the first file written, the second half-written."""
    write_earlier_results()
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.run([sys.executable, "-c", DYING], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert all(path.read_bytes() == b"earlier" for path in OUTPUTS)
    run()
