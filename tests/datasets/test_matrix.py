"""Matrices that are read some cells at a time: the same cells as in memory, from every kind of store."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.data import cells
from genept.datasets import labelled, matrix, stored
from tests.datasets.made import (
    N_CELLS,
    RAW,
    SYMBOLS,
    invoke,
    make_cells,
    run,
)


def random_matrix(data: st.DataObject, n_cells: int, n_genes: int) -> sp.csr_matrix:
    seed = data.draw(st.integers(0, 99))
    return sp.random(n_cells, n_genes, 0.4, "csr", np.float32, np.random.default_rng(seed))


def in_some_blocks(x: sp.csr_matrix, n_at_once: int) -> matrix.Matrix:
    """As a large file is read."""
    return matrix.Matrix(
        lambda rows: matrix.in_blocks(lambda first, last: x[first:last], x.shape[0], rows, n_at_once), x.shape, x.dtype
    )


@given(st.data(), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.lists(st.integers(0, 6), max_size=6))
@settings(max_examples=50)
def test_cells_regrouped_are_the_same_cells(data: st.DataObject, sizes: list[int], cuts: list[int]) -> None:
    x = random_matrix(data, sum(sizes), 5)
    ends = sorted({*(min(cut, x.shape[0]) for cut in cuts), x.shape[0]})
    blocks = [x[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    groups = list(labelled.regrouped(iter(blocks), sizes))
    assert [group.shape for group in groups] == [(size, 5) for size in sizes]
    np.testing.assert_array_equal(sp.vstack(groups).toarray(), x.toarray())
    assert all(group.dtype == np.float32 and group.indices.dtype == np.int32 for group in groups)


@given(st.data())
@settings(max_examples=80)
def test_some_cells_and_genes_of_a_matrix_are_those_of_the_whole(data: st.DataObject) -> None:
    n_genes = data.draw(st.integers(1, 6))
    wholes = [random_matrix(data, data.draw(st.integers(0, 9)), n_genes) for _ in range(data.draw(st.integers(1, 3)))]
    matrices = [
        matrix.in_memory(x) if data.draw(st.booleans()) else in_some_blocks(x, data.draw(st.integers(1, 5)))
        for x in wholes
    ]
    found, expected = matrix.stack(matrices), sp.vstack(wholes, format="csr").toarray()
    for _ in range(data.draw(st.integers(0, 3))):
        if data.draw(st.booleans()):
            columns = np.array(data.draw(st.permutations(range(expected.shape[1])))[: data.draw(st.integers(1, 6))])
            found, expected = found.genes(columns), expected[:, columns]
        else:
            rows = chosen_rows(data, len(expected))
            found, expected = found.cells(rows), expected[rows]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.csr().toarray(), expected)
    rows = chosen_rows(data, len(expected))
    blocks = [block.toarray() for block in found.blocks(rows)]
    np.testing.assert_array_equal(np.vstack([np.empty((0, expected.shape[1])), *blocks]), expected[rows])


def chosen_rows(data: st.DataObject, n_rows: int) -> np.ndarray:
    wanted = data.draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    return np.flatnonzero(np.array(wanted, dtype=bool))


@pytest.mark.parametrize("form", [sp.csr_matrix, lambda x: x.toarray()], ids=["sparse", "dense"])
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_some_cells_of_a_file_are_those_of_the_whole(
    tmp_path: Path, form: Any, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, path = make_cells(), tmp_path / "raw"
    whole = data.X.toarray()
    data.X = form(data.X)
    if suffix == "h5ad":
        data.write_h5ad(path)
    else:
        zip_store(data, path)
    for name, n in (("IN_MEMORY", 1), ("SPARSENESS", 1), ("CELLS_AT_ONCE", 9), ("BYTES_AT_ONCE", 500)):
        monkeypatch.setattr(stored, name, n)
    with stored.opened(path) as file:
        found = stored.read_matrix(file, "X", whole.shape, path)
    assert found.whole is None
    rng = np.random.default_rng(0)
    for share in (0, 0.1, 0.5, 1):
        rows = np.flatnonzero(rng.random(N_CELLS) < share)
        blocks = [block.toarray() for block in found.blocks(rows)]
        np.testing.assert_array_equal(np.vstack([np.empty((0, len(SYMBOLS))), *blocks]), whole[rows])


# Zarr stores of which something is lost


def zip_store(data: anndata.AnnData, path: Path, lost: str = "", **chunks: Any) -> None:
    """Write a zarr store (v3) into a file, without the chunks whose names begin with `lost`."""
    folder = path.with_suffix(".store")
    shutil.rmtree(folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with anndata.settings.override(zarr_write_format=3):
            data.write_zarr(folder)
        group: Any = zarr.open_group(folder, mode="r+")
        names = ("X/data", "X/indices", "X/indptr") if sp.issparse(data.X) else ("X",)
        for name in names if chunks else ():
            values, attributes = group[name][...], dict(group[name].attrs)
            group.create_array(name, data=values, overwrite=True, attributes=attributes, **chunks)
    if lost:
        removed = [one for one in folder.rglob("*") if one.is_file() and f"/{one.relative_to(folder)}".startswith(lost)]
        assert removed, sorted(folder.rglob("*"))
        for one in removed:
            one.unlink()
    shutil.make_archive(str(folder), "zip", folder)
    folder.with_suffix(".store.zip").rename(path)


CHUNKS = {"chunks": (20,)}
SHARDS = {"chunks": (20,), "shards": (100,)}


@pytest.mark.parametrize(
    "chunks",
    [{}, CHUNKS, SHARDS, {"chunks": (20, 5)}, {"chunks": (10, 5), "shards": (40, 10)}],
    ids=["one", "chunks", "shards", "dense", "dense shards"],
)
@pytest.mark.parametrize("is_large", [False, True], ids=["in memory", "in parts"])
def test_a_zarr_store_is_read_however_it_is_divided(
    project: Path, chunks: dict[str, Any], is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the last shard is not full: there are more places for chunks than chunks."""
    data = make_cells()
    if len(chunks.get("chunks", ())) == 2:
        data.X = data.X.toarray()
    zip_store(data, RAW, **chunks)
    if is_large:
        monkeypatch.setattr(stored, "IN_MEMORY", 1)
    run()
    np.testing.assert_array_equal(cells.read("mine").X.toarray(), make_cells().X.toarray())


@pytest.mark.parametrize("chunks", [CHUNKS, SHARDS], ids=["chunks", "shards"])
@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
@pytest.mark.parametrize("number", [0, "last"])
def test_a_zarr_store_of_which_a_chunk_is_lost_is_refused(
    project: Path, chunks: dict[str, Any], name: str, number: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_values = {"indptr": N_CELLS + 1}.get(name, make_cells().X.nnz)
    last = (n_values - 1) // chunks.get("shards", chunks["chunks"])[0]
    zip_store(make_cells(), RAW, f"/X/{name}/c/{last if number == 'last' else number}", **chunks)
    for n_in_memory in (stored.IN_MEMORY, 1):
        monkeypatch.setattr(stored, "IN_MEMORY", n_in_memory)
        result = invoke()
        assert result.exit_code == 1 and result.output.startswith(f"Error: {RAW}: X is no valid sparse matrix, ")
        assert result.output.count("\n") == 1 and not cells.labelled("mine").exists()
        assert name == "indptr" or "chunks of it are not there; copy the whole store again" in result.output


DENSE: dict[str, Any] = {"chunks": (20, 5)}  # of 60 cells and 12 genes: 3 x 3
DENSE_SHARDS: dict[str, Any] = {"chunks": (10, 5), "shards": (20, 10)}  # 3 x 2


def dense() -> anndata.AnnData:
    data = make_cells()
    data.X = data.X.toarray()
    return data


@pytest.mark.parametrize(
    ("chunks", "n_chunks", "genes"),
    [(DENSE, 9, slice(5, 10)), (DENSE_SHARDS, 6, slice(10, 12))],
    ids=["chunks", "shards"],
)
@pytest.mark.parametrize("is_large", [False, True], ids=["in memory", "in parts"])
@pytest.mark.parametrize("is_lost", [False, True], ids=["zeros", "lost"])
def test_a_chunk_that_a_dense_zarr_store_lacks_is_noted(
    project: Path,
    chunks: dict[str, Any],
    n_chunks: int,
    genes: slice,
    is_large: bool,
    is_lost: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Zarr leaves a chunk of zeros out, so nobody can tell it from one that is lost."""
    data = dense()
    expected = data.X.copy()
    expected[20:40, genes] = 0
    if is_lost:
        zip_store(data, RAW, "/X/c/1/1", **chunks)
    else:
        data.X = expected
        zip_store(data, RAW, **chunks)
    if is_large:
        monkeypatch.setattr(stored, "IN_MEMORY", 1)
    found, record = run()
    note = f"raw.h5ad: 1 of {n_chunks} chunks of X are not in the store and count as zeros; "
    assert f"{note}zarr leaves chunks of zeros out, but a copy may have lost them" in record["notes"]
    np.testing.assert_array_equal(found.X.toarray(), expected)


def test_a_dense_zarr_store_with_all_chunks_has_no_note(project: Path) -> None:
    zip_store(dense(), RAW, **DENSE)
    assert not any("chunks" in note for note in run()[1]["notes"])


@pytest.mark.parametrize("chunks", [DENSE, DENSE_SHARDS, {"chunks": (20, 12)}], ids=["chunks", "shards", "rows"])
def test_a_dense_zarr_store_without_any_value_of_some_cells_is_refused(project: Path, chunks: dict[str, Any]) -> None:
    zip_store(dense(), RAW, "/X/c/1/", **chunks)
    result = invoke()
    assert result.exit_code == 1 and not cells.labelled("mine").exists()
    assert result.output == (
        f"Error: {RAW}: the store has no value of X for cells 21 to 40, so it is not whole; copy all of it again\n"
    )


def test_an_empty_cell_that_is_a_chunk_of_its_own_is_noted(project: Path) -> None:
    zip_store(dense(), RAW, "/X/c/7/", chunks=(1, 12))
    found, record = run()
    assert record["cells"]["n_empty_dropped"] == 1 and "cell7" not in found.obs_names
    assert any(note.startswith("raw.h5ad: 1 of 60 chunks of X are not in the store") for note in record["notes"])
