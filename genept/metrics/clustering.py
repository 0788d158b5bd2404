"""Table 2: k-means clusters of cells, to be compared with an annotation."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from genept.core import params


def kmeans(matrix: np.ndarray, n_clusters: int, config: params.KMeans, seed: int) -> np.ndarray:
    """Cluster cells several times, each time with another seed.

    The authors run ``MiniBatchKMeans(n_clusters=k, batch_size=20, random_state=2023)`` once. The spread over seeds of
    that one run is large (cell-type ARI .24 to .44 for one embedding of 6,000 blood cells over three seeds), so here
    a score is the mean over ``repeats`` seeds. The first of them is `seed` itself: ``repeats: 1`` with ``seed: 2023``
    is the authors' run. They do not pass ``n_init``; its default was 3 before scikit-learn 1.4 (January 2024) and
    means 1 since. The preprint is of October 2023, so ``n_init: 3`` is the default here. Mini-batch k-means tries that
    many initialisations and runs once from the best.

    Returns clusters as numbers, shape (repeats, n_cells). Some runs may find fewer than `n_clusters`.
    """
    algorithm = KMeans if config.algorithm == "full" else partial(MiniBatchKMeans, batch_size=config.batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the rows of the full table tell it
        runs = [
            algorithm(n_clusters, n_init=config.n_init, random_state=number).fit_predict(matrix)
            for number in seeds(seed, config.repeats)
        ]
    return np.stack(runs)


def seeds(seed: int, repeats: int) -> list[int]:
    """Return `seed` and further seeds that follow from it and from no other seed."""
    return [seed, *map(int, np.random.SeedSequence(seed).generate_state(repeats - 1))]


def principal_components(matrix: np.ndarray, n_components: int) -> np.ndarray:
    """Project cells, float64, on at most `n_components` principal components, exactly; fewer for small matrices.

    Three lines of numpy: the last digits of scikit-learn's `PCA` are others, and mini-batch k-means carries them on
    into the scores (by up to 0.002). Axes may be mirrored, which does not change clusters.
    """
    centred = matrix - matrix.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1]  # ascending eigenvalues
    return centred @ axes[:, ::-1][:, : min(n_components, *matrix.shape)]
