"""What cannot be right is one clear line, and nothing is written."""

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
from tests.datasets.made import RAW, SYMBOLS, change, name_cells, rename, set_obs, set_value, set_x, write_params
from tests.datasets.outcome import OUTPUTS, assert_refused, invoke, keep_earlier_results, run


@pytest.mark.parametrize(
    ("how", "texts"),
    [
        (set_value(-1), ["X has negative values (down to -1)", "as `layer:` in params.yaml (it has logged)"]),
        (set_value(np.nan), ["X has NaN or infinite values in 1 of 60 cells"]),
        (set_value(np.inf), ["X has NaN or infinite values in 1 of 60 cells"]),
        (set_value(100.5), ["declared counts but 1 of its", "corrected or estimated counts perhaps"]),
        (set_value(2**24 + 1), ["X has a count of 16777217, more than 2^24"]),
        (set_x(np.log1p), ["it looks log-normalised", "declare `x: lognorm`"]),
        (set_x(lambda x: x / x.sum(axis=1, keepdims=True) * 1e4), ["it looks normalised to 10000 per cell, without"]),
        (set_x(np.zeros_like), ["none of its 60 cells has a count"]),
        (lambda data: data[:0].copy(), ["has 0 cells and 12 genes"]),
        (lambda data: data[:, :0].copy(), ["has 60 cells and 0 genes"]),
        (rename(["Trp53", "Cd4", "Gapdh", "Actb", "Cd14", "Lyz", "Nkg7", *SYMBOLS[7:]]), ["look like mouse genes"]),
        (rename([f"ENSMUSG000000{n:05}" for n in range(12)]), ["not human"]),
        (rename([str(n) for n in range(12)]), ["none of the 12 gene names", "name it as `symbol:` or `ensembl:`"]),
        (name_cells(["a", "a", "b", "a"]), ["2 cells have the id of an earlier cell (such as 'a')", "+ '_' + barcode"]),
        (set_obs("celltype", "B"), ["cell_type has only 'B' in the evaluated cells", "datasets.mine.obs"]),
        (set_obs("celltype", np.nan), ["cell_type has only 'Unknown'"]),
        (lambda data: [data.obs.pop("celltype")], ["obs has no column 'celltype'", "it has donor, condition"]),
        (lambda data: setattr(data, "X", None), ["has no X; name a layer as `layer:` in params.yaml (it has logged)"]),
    ],
)
def test_a_file_that_cannot_be_right_is_refused(project: Path, how: Callable[..., Any], texts: list[str]) -> None:
    change(how)
    assert_refused(str(RAW) if "cell_type has only" not in texts[0] else "mine: ", *texts)


def test_every_contradiction_is_named_in_the_one_line(project: Path) -> None:
    write_params(expected={"n_cells": 61, "n_genes": 12, "cell_type": 4, "patient": 6})
    assert_refused("contradicts params.yaml: n_cells is 60, not 61; cell_type is 3, not 4; correct `expected:` there")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"obs": {"cell_type": "cell_type"}}, "obs has no column 'cell_type', named in params.yaml under obs; did you"),
        ({"obs": {"cell_type": "cell_type"}}, "did you mean 'celltype'?; it has celltype, donor, condition"),
        (
            {"keep_var": {"feature_types": "Gene"}},
            "var has no column 'feature_types', named in params.yaml under keep_",
        ),
        (
            {"symbol": "gene_name"},
            "var has no column 'gene_name', named in params.yaml under symbol; it has no columns",
        ),
        ({"layer": "loged"}, "no layer 'loged'; did you mean 'logged'?; it has logged"),
        ({"layer": "raw"}, "no layer 'raw'; it has logged"),
        ({"x": "lognorm"}, "declared lognorm but holds whole numbers only"),
        ({"source": {"kind": "wheel", "files": {"raw.h5ad": {"sha256": "0" * 64}}}}, "but params.yaml expects 000"),
    ],
)
def test_an_entry_that_does_not_fit_the_file_is_refused(project: Path, changes: dict[str, Any], text: str) -> None:
    write_params(**changes)
    assert_refused(text)


def test_values_that_keep_var_never_meets_are_named(project: Path) -> None:
    change(lambda data: data.var.insert(0, "kind", "gene"))
    write_params(keep_var={"kind": ["Gene", "Gene Expression"]})
    assert_refused("keep_var leaves no gene, var['kind'] is never Gene or Gene Expression; it has 'gene'")


def test_layers_that_could_take_the_place_of_the_matrix_are_listed(project: Path) -> None:
    def scale(data: anndata.AnnData) -> None:
        data.layers["counts"] = data.X.copy()
        data.raw = data
        data.X = data.X.toarray() - 1.5

    change(scale)
    assert_refused("down to -1.5): it looks centred", "name the layer with counts as", "(it has counts, logged, raw)")
    write_params(layer="logged")
    assert_refused("it looks log-normalised", "(it has counts, raw)")


def test_a_file_without_layers_is_told_so(project: Path) -> None:
    def keep_logarithms(data: anndata.AnnData) -> None:
        data.X = data.layers.pop("logged")

    change(keep_logarithms)
    assert_refused("it looks log-normalised", "there is no layer to take in its place; give raw counts")


def test_declared_logarithms_that_are_too_large_are_refused(project: Path) -> None:
    change(set_value(812.5))
    write_params(x="lognorm")
    assert_refused("declared lognorm but has values up to 812.5, too large for logarithms")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"note": None}, "datasets.mine has no note"),
        ({"obs": None}, "needs `obs:`"),
        ({"obs": {"celltype": "celltype"}}, "unknown key 'celltype'; did you mean 'cell_type'?"),
        ({"subste": {"n_cells": 3}}, "unknown key 'subste'; did you mean 'subset'?"),
        ({"subset": {"n_cells": 0}}, "subset.n_cells: must be a whole number of at least 1, got 0"),
        ({"subset": {"n_cells": 9, "by": "batch"}}, "subset.by: 'batch' is not an annotation under obs"),
        ({"subset": 100}, "subset: expected a mapping, got 100"),
        ({"expected": {"cells": 60}}, "unknown key 'cells'; did you mean 'n_cells'?"),
        ({"expected": {"n_cells": "many"}}, "must be a whole number of at least 1, got 'many'"),
        ({"finetune": "disease"}, "finetune: 'disease' is not an annotation under obs"),
        ({"x": "log"}, "x: 'log' is none of counts, lognorm, detect"),
        ({"source": {"kind": "local", "files": {"mine.h5ad": {}}}}, "source.files: needs the file raw.h5ad"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(project: Path, changes: dict[str, Any], text: str) -> None:
    write_params(**changes)
    assert_refused("params.yaml: datasets.mine", text, exit_code=2)


def test_an_unknown_dataset_is_said(project: Path) -> None:
    result = invoke("mime")
    assert result.exit_code == 2
    assert "did you mean 'mine'?" in result.output


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(project: Path, keep: float) -> None:
    content = RAW.read_bytes()
    RAW.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    assert_refused(str(RAW), "damaged, cut short or not an h5ad file", "fetch it again")


def test_a_file_with_a_part_missing_is_refused(project: Path) -> None:
    with h5py.File(RAW, "a") as file:
        del file["X/indptr"]
    assert_refused("damaged, cut short or not an h5ad file")


def test_another_hdf5_file_is_refused(project: Path) -> None:
    with h5py.File(RAW, "w") as file:
        file["matrix"] = np.ones(3)
    assert_refused("an HDF5 file but not an h5ad file, it has no obs and no var")


def test_a_file_from_before_anndata_0_7_is_refused_with_a_way_out(project: Path) -> None:
    with h5py.File(RAW, "w") as file:
        file["obs"] = np.array([(b"a",)], dtype=[("index", "S1")])
        file["var"] = np.array([(b"a",)], dtype=[("index", "S1")])
    assert_refused("written by anndata before 0.7", "anndata.read_h5ad(old).write_h5ad(new)")


@pytest.mark.parametrize("path", [RAW, Path("data/reference/hgnc/hgnc.tsv")])
def test_a_missing_input_is_said(project: Path, path: Path) -> None:
    path.unlink()
    assert_refused(f"{path}: no such file; run the stage that makes it first")


def test_a_full_disk_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = labelling.write

    def write_the_first_only(path: Path, cells: anndata.AnnData, uns: dict[str, Any]) -> None:
        if path.name == "rest.h5ad":
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, cells, uns)

    monkeypatch.setattr(labelling, "write", write_the_first_only)
    assert_refused("the disk is full")


def test_a_process_killed_while_writing_leaves_the_earlier_results(project: Path) -> None:
    """Killed by itself at the worst moment: the first file written, the second half-written."""
    keep_earlier_results()
    program = (
        "import os, signal, pathlib\n"
        "from genept.datasets import cells, __main__ as stage\n"
        "write = cells.write\n"
        "def dying(path, *rest):\n"
        "    if path.name == 'rest.h5ad':\n"
        "        path.write_bytes(b'half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(path, *rest)\n"
        "cells.write = dying\n"
        "stage.main(['mine'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(helpers.ROOT)}
    process = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert process.returncode == -signal.SIGKILL
    assert all(Path(name).read_bytes() == b"earlier" for name in OUTPUTS)
    run()


# The parts by themselves.
