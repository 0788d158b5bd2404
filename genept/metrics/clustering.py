"""Table 2: k-means clusters of cells, to be compared with an annotation, and silhouette widths of annotations.

The silhouettes are our own, because they are faster: three annotations of 10,000 x 1,536 cells take 9 s on two busy
cores, scikit-learn's ``silhouette_score`` 37 s. Memory does not grow with n_cells squared.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize

from genept.core import compute, params
from genept.metrics import minibatch
from genept.metrics.minibatch import Run

TILE = 512  # cells on either side of the distances held at once: 2 MiB, a core's cache
SHARES = 16
BLOCK = 4096  # cells of a large dataset whose coordinates are held in float64


def kmeans(runs: Sequence[Run], n_clusters: int, config: params.KMeans) -> list[np.ndarray]:
    """Cluster the cells of each run: the cluster of each as a number, shape (n_cells,); perhaps fewer than asked for.

    The authors run ``MiniBatchKMeans(n_clusters=k, batch_size=20, random_state=2023)`` once. Its result depends on the
    seed (cell-type ARI .24 to .44 for one embedding of 6,000 blood cells over three seeds), so scores are of many
    seeds. They do not pass ``n_init``; its default was 3 before scikit-learn 1.4 (January 2024) and means 1 since. The
    preprint is of October 2023, so ``n_init: 3`` is the default here. Mini-batch k-means tries that many
    initialisations and runs once from the best.
    """
    if config.algorithm == "minibatch":
        return minibatch.cluster(runs, n_clusters, config.batch_size, config.n_init)
    found = []
    for matrix, rows, seed in runs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the rows of the full table tell it
            algorithm = KMeans(n_clusters, n_init=config.n_init, random_state=seed)
            found.append(algorithm.fit_predict(matrix[rows].astype(np.float64)))
    return found


def principal_components(matrix: np.ndarray, n_components: int) -> np.ndarray:
    """Project cells, float64, on at most `n_components` principal components, exactly; fewer for small matrices.

    Three lines of numpy: the last digits of scikit-learn's `PCA` are others, and mini-batch k-means carries them on
    into the scores (by up to 0.002). Axes may be mirrored, which does not change clusters.
    """
    centred = matrix - matrix.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1]  # ascending eigenvalues
    return centred @ axes[:, ::-1][:, : min(n_components, *matrix.shape)]


def components_of_many(matrix: np.ndarray, rows: np.ndarray, n_components: int) -> np.ndarray:
    """Return the `principal_components` of rows of a matrix too large to copy, float32, block by block."""
    parts = [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]
    mean = sum(matrix[part].sum(axis=0, dtype=np.float64) for part in parts) / len(rows)
    scatter = np.zeros((matrix.shape[1], matrix.shape[1]))
    for part in parts:
        centred = matrix[part] - mean
        scatter += centred.T @ centred
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :n_components]
    return np.concatenate([((matrix[part] - mean) @ axes).astype(np.float32) for part in parts])


def average_widths(matrix: np.ndarray, labelings: np.ndarray, distance: params.Distance = "euclidean") -> list[float]:
    """Return the average silhouette width (ASW) of each annotation.

    Equal to scikit-learn's unscaled ``silhouette_score`` (from -1 to 1; a cell alone in its class counts 0), as in the
    paper; benchmarks such as scIB rescale it to 0 to 1. The paper does not name its distance. ``centred_cosine`` is the
    cosine after the mean over the cells is subtracted. `matrix` is float64, shape (n_cells, n_dimensions);
    `labelings`, shape (n_annotations, n_cells), hold the class as a code from 0 without gaps, or -1 for a cell that is
    left out: at least two classes, and fewer classes than cells.
    """
    used = (labelings >= 0).any(axis=0)
    matrix, labelings = matrix[used], labelings[:, used]
    sizes = [np.bincount(codes[codes >= 0]) for codes in labelings]
    members = np.concatenate(
        [codes[:, None] == np.arange(len(size)) for codes, size in zip(labelings, sizes, strict=True)], axis=1
    ).astype(np.float64)
    sums = np.split(distance_sums(matrix, members, distance), np.cumsum([len(size) for size in sizes])[:-1], axis=1)
    return [
        float(widths(of_classes[codes >= 0], codes[codes >= 0], size).mean())
        for of_classes, codes, size in zip(sums, labelings, sizes, strict=True)
    ]


def distance_sums(matrix: np.ndarray, members: np.ndarray, distance: params.Distance) -> np.ndarray:
    """Sum each cell's distances to the members of each class: shape (n_cells, n_classes).

    Each distance is computed once and counts for both its cells. The tiles are dealt out to `SHARES` sums, which are
    added in their order, so that the number of threads does not change what is added to what. As many sums are held as
    there are threads.
    """
    points = matrix if distance == "cosine" else matrix - matrix.mean(axis=0)
    if is_cosine := distance != "euclidean":
        points = normalize(points)
    else:  # centred, since near-parallel vectors would lose digits in the subtraction below
        squares = np.einsum("ij,ij->i", points, points)
    tiles = [slice(start, min(start + TILE, len(matrix))) for start in range(0, len(matrix), TILE)]

    def share(first: int) -> np.ndarray:
        sums = np.zeros((len(matrix), members.shape[1]))
        for number in range(first, len(tiles), SHARES):
            rows = tiles[number]
            for columns in tiles[number:]:
                distances = points[rows] @ points[columns].T
                if is_cosine:
                    np.subtract(1, distances, out=distances)
                else:
                    distances *= -2
                    distances += squares[rows, None]
                    distances += squares[columns]
                    np.sqrt(distances.clip(min=0, out=distances), out=distances)
                if columns is rows:
                    np.fill_diagonal(distances, 0)
                else:
                    sums[columns] += distances.T @ members[rows]
                sums[rows] += distances @ members[columns]
        return sums

    total = np.zeros((len(matrix), members.shape[1]))
    n_shares, at_once = min(SHARES, len(tiles)), compute.n_threads()
    for first in range(0, n_shares, at_once):
        sums = compute.each(share, range(first, min(first + at_once, n_shares)))
        while sums:  # so that none is left when the next are made
            total += sums.pop(0)
    return total


def widths_of_many(
    matrix: np.ndarray, labelings: np.ndarray, anchors: Sequence[np.ndarray], distance: params.Distance
) -> list[np.ndarray]:
    """Return silhouette widths in a large dataset, for each annotation as `average_widths` averages them.

    They are those of the `anchors` of each annotation, rows of the matrix, each with its distances to all cells. By a
    cosine distance they are those of all its cells, since 1 - a @ b adds up over a class to its size less a @ the sum
    of the b: the time is proportional to the number of cells.
    """
    used = np.flatnonzero((labelings >= 0).any(axis=0))
    parts = [used[first : first + BLOCK] for first in range(0, len(used), BLOCK)]
    centre = np.zeros(matrix.shape[1])
    if distance != "cosine":
        centre = sum(matrix[part].sum(axis=0, dtype=np.float64) for part in parts) / len(used)
    sizes = [np.bincount(codes[codes >= 0]) for codes in labelings]
    first_class = np.cumsum([0, *map(len, sizes)])

    def members(part: np.ndarray) -> np.ndarray:
        """Tell which classes of all annotations cells are in, (n_cells, n_classes)."""
        return np.concatenate(
            [codes[part, None] == np.arange(len(size)) for codes, size in zip(labelings, sizes, strict=True)], axis=1
        ).astype(np.float64)

    def points(part: np.ndarray) -> np.ndarray:
        centred = matrix[part] - centre
        return centred if distance == "euclidean" else normalize(centred)

    def widths_of(number: int, sums: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """Return the widths of those cells that an annotation scores."""
        scored, columns = labelings[number, cells] >= 0, slice(*first_class[number : number + 2])
        return widths(sums[scored, columns], labelings[number, cells[scored]], sizes[number])

    if distance != "euclidean":
        total = np.zeros((first_class[-1], matrix.shape[1]))
        for part in parts:
            total += members(part).T @ points(part)
        found: list[list[np.ndarray]] = [[] for _ in labelings]
        for part in parts:
            own, here = points(part), members(part)
            sums = np.concatenate(sizes) - own @ total.T
            sums -= here * (1 - np.einsum("ij,ij->i", own, own))[:, None]  # a cell's distance to itself is none
            for number, so_far in enumerate(found):
                so_far.append(widths_of(number, sums, part))
        return [np.concatenate(so_far) for so_far in found]

    all_anchors = np.unique(np.concatenate(anchors))
    tiles = [all_anchors[first : first + TILE] for first in range(0, len(all_anchors), TILE)]

    def sums_of(tile: np.ndarray) -> np.ndarray:
        own = points(tile)
        squares, sums = np.einsum("ij,ij->i", own, own)[:, None], np.zeros((len(tile), first_class[-1]))
        for part in parts:
            others = points(part)
            distances = -2 * (own @ others.T) + squares + np.einsum("ij,ij->i", others, others)
            np.sqrt(distances.clip(min=0, out=distances), out=distances)
            distances[tile[:, None] == part] = 0
            sums += distances @ members(part)
        return sums

    sums = np.concatenate(compute.each(sums_of, tiles))
    return [widths_of(number, sums[np.searchsorted(all_anchors, own)], own) for number, own in enumerate(anchors)]


def widths(sums: np.ndarray, codes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return each cell's silhouette width from its distances' sums per class, shape (n_cells, n_classes)."""
    cell = np.arange(len(codes))
    own_size = sizes[codes]
    within = sums[cell, codes] / np.maximum(own_size - 1, 1)
    means = sums / sizes
    means[cell, codes] = np.inf
    nearest_other = means.min(axis=1)
    larger = np.maximum(within, nearest_other)
    defined = (own_size > 1) & (larger > 0)
    return np.divide(nearest_other - within, larger, out=np.zeros(len(codes)), where=defined)
