"""The layout of cells on a plane."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from genept.data import umap as layout
from tests.helpers import ROOT
from tests.plots.made import N_CELLS, OPTIONS, clusters

pytestmark = pytest.mark.xdist_group("umap")  # one process imports it and compiles its functions


def test_layout_keeps_clusters_apart():
    matrix, labels = clusters()
    found = layout.coordinates(matrix, **OPTIONS)
    distances = cdist(found, found)
    np.fill_diagonal(distances, np.inf)
    assert found.shape == (N_CELLS, 2)
    assert found.dtype == np.float32
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_layout_is_equal_between_runs_and_differs_between_seeds():
    matrix, _ = clusters()
    first = layout.coordinates(matrix, **OPTIONS)
    assert np.array_equal(first, layout.coordinates(matrix, **OPTIONS))
    assert not np.allclose(first, layout.coordinates(matrix, **{**OPTIONS, "seed": 1}))


def test_layout_holds_every_library_to_one_thread():
    code = """
import numpy, threadpoolctl
from genept.plots import layout
def report(matrix, *_):
    import scipy.linalg, sklearn.decomposition, sklearn.neighbors
    print(*(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
    return matrix
layout.principal_components = report
layout.coordinates(numpy.zeros((2, 2)), 2, 2, 0.5, 1.0, 1, 0)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.split()) >= 2
    assert set(found.stdout.split()) == {"1"}


@pytest.mark.parametrize("n_cells", [1, 2, 3, 9, 10, 15, 16, 17])
def test_layout_takes_fewer_cells_than_neighbours(n_cells):
    found = layout.coordinates(clusters(n_cells)[0], **OPTIONS)
    assert found.shape == (n_cells, 2)
    assert np.isfinite(found).all()


def test_layout_takes_identical_cells():
    assert np.isfinite(layout.coordinates(np.ones((20, 5)), **OPTIONS)).all()


def test_neighbours_are_the_nearest_with_the_cell_itself_first():
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    indices, distances = layout.nearest_neighbors(points, 7)
    expected = cdist(points.astype(float), points.astype(float))
    assert np.array_equal(indices, np.argsort(expected, axis=1)[:, :7])
    assert np.allclose(distances, np.sort(expected, axis=1)[:, :7], atol=1e-6)
    assert np.array_equal(indices[:, 0], np.arange(50))


def test_principal_components_are_those_of_the_centred_matrix():
    matrix, _ = clusters()
    centred = matrix - matrix.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred.astype(float), full_matrices=False)
    found = layout.principal_components(matrix, 5, seed=0)
    assert np.allclose(np.abs(found), np.abs(left[:, :5] * singular[:5]), rtol=1e-3, atol=1e-3)
