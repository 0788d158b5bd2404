"""What cannot be right in a file is one clear line, and nothing is written."""

from __future__ import annotations

import errno
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

from genept.datasets import label as labelling
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
    name_cells,
    rename,
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


def log_query() -> None:
    query = make_cells()[40:].copy()
    query.X = query.layers["logged"]
    split_files(query, x="detect")


def rename_query() -> None:
    query = make_cells()[40:].copy()
    query.var_names = [f"Gene{number}" for number in range(len(SYMBOLS))]
    split_files(query)


MOUSE = ["Trp53", "Cd4", "Gapdh", "Actb", "Cd14", "Lyz", "Nkg7", *SYMBOLS[7:]]
DAMAGED = f"{RAW}: damaged, cut short or not an h5ad file"
LAYER = "as `layer:` in the dataset's file (it has "
NO_TYPE = (
    "obs has no column 'cell_type', which `obs` in the dataset's file names; did you mean 'celltype'?; it has cellt"
)
REFUSALS: list[tuple[Change, int, str]] = [
    # values
    (cells(set_value(-1)), 1, f"{RAW}: X has negative values (down to -1): it looks centred or scaled; name the layer"),
    (cells(set_value(np.nan)), 1, f"{RAW}: X has NaN or infinite values in 1 of 60 cells"),
    (cells(set_value(np.inf)), 1, "X has NaN or infinite values in 1 of 60 cells"),
    (cells(set_value(100.5)), 1, "declared counts but 1 of its"),
    (cells(set_value(100.5)), 1, "corrected or estimated counts perhaps (largest value 100.5)"),
    (cells(set_value(2**24 + 1)), 1, "X has a count of 16777217, more than 2^24"),
    (cells(set_x(np.log1p)), 1, "it looks log-normalised (largest value "),
    (cells(set_x(lambda x: x / x.sum(axis=1, keepdims=True) * 1e4)), 1, "it looks normalised to 10000 per cell"),
    (cells(set_x(np.zeros_like)), 1, f"{RAW}: none of its 60 cells has a count"),
    (cells(set_value(812.5), x="lognorm"), 1, "declared lognorm but has values up to 812.5, too large for logarithms"),
    (keys(x="lognorm"), 1, "declared lognorm but holds whole numbers only"),
    (cells(set_x(lambda x: x * 33.3), x="detect"), 1, f"{RAW}: X holds neither counts ("),
    (cells(set_x(lambda x: x * 33.3), x="detect"), 1, "nor logarithms (values up to 233.1 are too large): corrected"),
    # layers
    (cells(lambda data: setattr(data, "X", None)), 1, f"has no X; name a layer {LAYER}logged)"),
    (cells(scale), 1, f"name the layer with counts {LAYER}counts, logged, raw)"),
    (cells(scale, layer="logged"), 1, f"name the layer with counts {LAYER}counts, raw)"),
    (cells(lambda data: setattr(data, "X", data.layers.pop("logged"))), 1, "the file has no other layer; give raw"),
    (keys(layer="loged"), 1, f"{RAW}: no layer 'loged'; did you mean 'logged'?; it has logged"),
    (keys(layer="raw"), 1, "no layer 'raw'; it has logged"),
    # genes and cells
    (cells(lambda data: data[:0].copy()), 1, f"{RAW}: has 0 cells and 12 genes; nothing can be scored"),
    (cells(lambda data: data[:, :0].copy()), 1, "has 60 cells and 0 genes"),
    (cells(rename(MOUSE)), 1, f"{RAW}: the genes look like mouse genes"),
    (cells(rename([f"ENSMUSG000000{n:05}" for n in range(12)])), 1, "the genes are not human"),
    (cells(rename([str(n) for n in range(12)])), 1, "none of the 12 gene names"),
    (cells(name_cells(["a", "a", "b", "a"])), 1, f"{RAW}: 2 cells have the id of an earlier cell (such as 'a')"),
    (cells(name_cells(["a", "a"])), 1, "or set `repeated_ids: number`"),
    (keys(symbol="gene_name"), 1, "var has no column 'gene_name', which `symbol` in the dataset's file names; it has"),
    (keys(keep_var={"kind": "Gene"}), 1, "var has no column 'kind', which `keep_var` in the dataset's file names"),
    (
        cells(lambda data: data.var.insert(0, "kind", "gene"), keep_var={"kind": ["Gene", "Gene Expression"]}),
        1,
        "keep_var leaves no gene, var['kind'] is never Gene or Gene Expression; it has 'gene'",
    ),
    # annotations
    (keys(obs={"cell_type": "cell_type"}), 1, NO_TYPE),
    (cells(set_obs("celltype", "B")), 1, "mine: cell_type has only 'B' in the evaluated cells, so nothing can be"),
    (cells(set_obs("celltype", np.nan)), 1, "cell_type has only 'Unknown' in the evaluated cells"),
    (cells(set_obs("celltype", "B")), 1, "correct its column under `obs` in data/mine.yaml"),
    (keys(subset={"share": 0.001}, obs={"patient": "donor", "phenotype": "condition"}), 1, "so nothing can be scored"),
    (
        keys(expected={"n_cells": 61, "n_genes": 12, "cell_type": 4, "patient": 6}),
        1,
        f"{RAW} is not as expected: n_cells is 60, not 61; cell_type is 3, not 4; correct `expected`",
    ),
    # reference and query
    (rename_query, 1, "data/mine/raw: reference.h5ad and query.h5ad have no gene in common"),
    (log_query, 1, "one of reference.h5ad and query.h5ad holds counts, the other does not"),
    # files
    (keys(source=local(**{"raw.h5ad": {"path": "a", "sha256": "0" * 64}})), 1, "but its source expects 0000"),
    (RAW.unlink, 1, f"{RAW}: no such file; run the stage that makes it first"),
    (HGNC.unlink, 1, f"{HGNC}: no such file; run the stage that makes it first"),
    *[(truncate(share), 1, DAMAGED) for share in (0, 0.01, 0.5, 0.99)],
    (hdf5(lambda file: file.pop("X/indptr")), 1, DAMAGED),
    (hdf5(lambda file: file.create_group("matrix"), "w"), 1, "an HDF5 file but not an h5ad file, it has no obs"),
    (hdf5(before_0_7, "w"), 1, "written by anndata before 0.7; read and write it once with a current anndata"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "exit_code", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_cannot_be_right_is_refused(project: Path, how: Change, exit_code: int, text: str) -> None:
    how()
    assert_refused(exit_code, text)


def test_a_full_disk_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = labelling.write

    def write_the_first_only(path: Path, *rest: Any) -> None:
        if path.parent.name == "new":
            return write(path, *rest)
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(labelling, "write", write_the_first_only)
    assert_refused(1, "the disk is full")


def test_a_process_killed_while_writing_leaves_the_earlier_results(project: Path) -> None:
    """Killed by itself at the worst moment: the first file written, the second half-written."""
    write_earlier_results()
    program = (
        "import os, signal\n"
        "from genept.datasets import label\n"
        "from stages.label import main\n"
        "write = label.write\n"
        "def dying(path, *rest):\n"
        "    if path.parent.name != 'new':\n"
        "        path.write_bytes(b'half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(path, *rest)\n"
        "label.write = dying\n"
        "main(['mine'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert all(path.read_bytes() == b"earlier" for path in OUTPUTS)
    run()
