"""Files of cells in every format that is read give the same cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tests.datasets.made import (
    FOLDER,
    N_CELLS,
    RAW,
    SYMBOLS,
    assert_refused,
    configure,
    local,
    make_cells,
    run,
    sample_keys,
    write_samples,
)
from tests.datasets.written import Write, features, h5mu, mtx, replace, tenx, tenx_2, tenx_3, zarr_store


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
