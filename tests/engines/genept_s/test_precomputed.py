"""GenePT-s by vectors from a file."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.engines.genept_s import precomputed
from genept.engines.genept_s.config import Embed, Model
from genept.engines.genept_s.embed import embed


@pytest.fixture
def cells() -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"00{i}" for i in range(20)])  # ids that look like numbers
    return anndata.AnnData(sp.csr_matrix(np.ones((20, 3))), obs=obs, uns={"x": "counts"})


def write(folder: Path, name: str, ids: list[str], vectors: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    if name.endswith(".npy"):
        np.save(folder / name, vectors)
        (folder / name).with_suffix(".cells.txt").write_text("".join(f"{cell}\n" for cell in ids))
    else:
        pd.DataFrame(vectors, index=pd.Index(ids, name="cell")).to_csv(folder / name)


@pytest.mark.parametrize("name", ["aorta.npy", "aorta.csv"])
def test_precomputed_vectors_are_found_by_cell_id(cells: anndata.AnnData, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    ids = [*cells.obs_names[::-1], "elsewhere"]
    vectors = np.random.default_rng(0).normal(size=(21, 5)).astype(np.float32)
    write(folder, name, ids, vectors)
    write(folder, "other.csv", ["x", "y"], np.zeros((2, 7)))  # of another dataset
    matrix, notes = embed(cells, folder, Model(title="t", embed=Embed(encoder="file")), "cpu")
    np.testing.assert_allclose(matrix, vectors[:20][::-1], rtol=1e-6)
    assert matrix.dtype == np.float32
    assert notes["encoder"] == "file" and notes["file"] == name and len(notes["file_sha256"]) == 64


@pytest.mark.parametrize("name", ["a.npy", "a.csv"])
def test_missing_and_repeated_cells_are_one_line(cells: anndata.AnnData, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(InputError, match=r"model: no vectors; put NAME\.csv, or NAME\.npy and NAME\.cells\.txt, there"):
        precomputed.embed(cells, folder)
    ids = list(cells.obs_names)
    write(folder, "b.csv", ["x"], np.zeros((1, 7)))
    write(folder, name, [*ids[:18], "0018", "18"], np.zeros((20, 2)))
    with pytest.raises(InputError, match=rf"model/{name}: lacks 1 of 20 cells, the first is '0019'; ids must be equal"):
        precomputed.embed(cells, folder)
    write(folder, name, [*ids, ids[4]], np.zeros((21, 2)))
    with pytest.raises(InputError, match=rf"model/{name}: cell id '004' occurs more than once"):
        precomputed.embed(cells, folder)


def test_two_tables_for_the_same_cells_are_one_line(cells: anndata.AnnData, tmp_path: Path) -> None:
    for name in ("a.csv", "b.npy"):
        write(tmp_path / "model", name, list(cells.obs_names), np.zeros((20, 2)))
    with pytest.raises(InputError, match=r"a\.csv and .*b\.npy both have all 20 cells; keep one of them"):
        precomputed.embed(cells, tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"\x93NUMPY\x01\x00", "not a table of vectors"),
        ("a.csv", b"cell\n000\n", "one column; expected ids and coordinates"),
        ("a.csv", b"cell,0,1\n000,0.5,high\n", "could not convert string to float: 'high'"),
        ("a.csv", b"cell,0\n000,0.5,1,2\n", "not a table of vectors"),
        ("a.csv", b"cell,0\n\xff,0.5\n", "not a table of vectors"),
    ],
)
def test_damaged_tables_are_one_line(
    cells: anndata.AnnData, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "a.cells.txt").write_text("000\n")
    with pytest.raises(InputError, match=message) as caught:
        precomputed.embed(cells, folder)
    assert "\n" not in caught.value.message and f"model/{name}: " in caught.value.message


def test_a_matrix_must_have_a_row_for_every_id_and_no_pickles(cells: anndata.AnnData, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write(folder, "a.npy", list(cells.obs_names), np.zeros((19, 2)))
    with pytest.raises(InputError, match=r"float64 of shape \(19, 2\) for 20 cells"):
        precomputed.embed(cells, folder)
    np.save(folder / "a.npy", np.array([{"a": 1}] * 20, dtype=object))
    with pytest.raises(InputError, match=r"a\.npy: not a table of vectors"):
        precomputed.embed(cells, folder)
    (folder / "a.cells.txt").unlink()
    np.save(folder / "a.npy", np.zeros((20, 2)))
    with pytest.raises(InputError, match=r"a\.cells\.txt: no such file; it names the cells of a\.npy"):
        precomputed.embed(cells, folder)
