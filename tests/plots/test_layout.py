"""The layout of cells on a plane."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_info, threadpool_limits

from genept.data import umap
from tests.plots.made import N_CELLS, clusters, settings


def lay_out(matrix: np.ndarray, **changes: Any) -> np.ndarray:
    return umap.coordinates(matrix, **settings(**changes).model_dump(exclude={"above"}))


def test_layout_keeps_clusters_apart_is_equal_between_runs_and_differs_between_seeds() -> None:
    matrix, labels = clusters()
    found = lay_out(matrix)
    distances = cdist(found, found)
    np.fill_diagonal(distances, np.inf)
    assert (found.shape, found.dtype) == ((N_CELLS, 2), np.float32)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert np.array_equal(found, lay_out(matrix))
    assert not np.allclose(found, lay_out(matrix, seed=1))


def test_a_layout_is_computed_once_per_embedding_settings_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[dict[str, Any]] = []

    def coordinates(matrix: np.ndarray, **options: Any) -> np.ndarray:
        calls.append(options)
        return matrix[:, :2] + len(calls)

    monkeypatch.setattr(umap, "coordinates", coordinates)
    matrix, _ = clusters()
    first = umap.cached_coordinates(matrix, settings())
    np.testing.assert_array_equal(umap.cached_coordinates(matrix.copy(), settings()), first)
    assert len(calls) == 1
    umap.cached_coordinates(matrix, settings(min_dist=0.3))
    umap.cached_coordinates(matrix + 1, settings())
    assert len(calls) == 3
    monkeypatch.setattr(umap.files, "sha256", lambda path: "of another version of the file")
    fourth = umap.cached_coordinates(matrix, settings())
    assert len(calls) == 4
    for path in umap.CACHE.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_allclose(umap.cached_coordinates(matrix, settings()), fourth + 1, rtol=1e-6)
    monkeypatch.setattr(umap, "CACHED_LAYOUTS", 1)
    umap.cached_coordinates(matrix + 2, settings())
    assert len(list(umap.CACHE.iterdir())) == 1


@pytest.mark.parametrize(("n_copies", "start"), [(1, "spectral"), (30, "pca")])
def test_many_groups_of_copies_start_from_principal_components(
    n_copies: int, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 groups of 30 equal cells each; UMAP's spectral start works on one group after the other."""
    starts = []
    own = umap.import_umap()

    def constructor(init: str, **options: Any) -> Any:
        starts.append(init)
        return own(init=init, **options)

    monkeypatch.setattr(umap, "import_umap", lambda: constructor)
    cells = np.random.default_rng(0).normal(size=(1800 // n_copies, 5))
    assert np.isfinite(lay_out(np.repeat(cells, n_copies, axis=0), n_epochs=5)).all()
    assert starts == [start]


def test_every_library_runs_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def principal_components(matrix: np.ndarray, *_: Any) -> np.ndarray:
        seen.extend(pool["num_threads"] for pool in threadpool_info())
        return matrix

    monkeypatch.setattr(umap, "principal_components", principal_components)
    with threadpool_limits(2):
        lay_out(np.zeros((2, 2)))
    assert len(seen) >= 2 and set(seen) == {1}


@pytest.mark.parametrize("n_cells", [1, 2, 3, 9, 10, 11])
def test_fewer_cells_than_neighbours_and_identical_cells_have_a_layout(n_cells: int) -> None:
    for matrix in (clusters(n_cells)[0], np.ones((n_cells, 5))):
        found = lay_out(matrix)
        assert found.shape == (n_cells, 2) and np.isfinite(found).all()
