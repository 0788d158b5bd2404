"""Scoring: all repeats of the protocol against one pass of plain scikit-learn over the same cells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    adjusted_mutual_info_score,
    adjusted_rand_score,
    precision_recall_fscore_support,
    silhouette_score,
)
from sklearn.neighbors import KNeighborsClassifier

from bench.case import FLOAT32, Case
from genept.core import params as parameters
from genept.data import splits
from genept.metrics import benchmark, targets
from genept.metrics.embedding import Embedding
from genept.metrics.results import Results

SINGLE_PASS = "scikit-learn, one pass"
N_DIMENSIONS, N_TYPES, N_DONORS, N_DRAWS, N_FEW = 1536, 10, 20, 10, 600
SAMPLE = 5000  # cells of the plain silhouette
COMPARED = {"accuracy": "knn", "f1_macro": "knn", "ari": "kmeans"}  # of the first run, which both sides have


class Cells(NamedTuple):
    """Made-up cells: embeddings of one size and their annotations."""

    draws: np.ndarray  # (n_draws, n_cells, n_dimensions), float32, as embeddings are on disk
    obs: pd.DataFrame


def make_cells(n_cells: int, n_draws: int = 1, n_dimensions: int = N_DIMENSIONS) -> Cells:
    """Make unit vectors of cells with a cell type, a donor and a phenotype, which is constant within donors.

    Types and donors overlap, so that nearest neighbours err now and then and no classifier ends early.
    """
    rng = np.random.default_rng(0)
    types, donors = rng.integers(N_TYPES, size=n_cells), rng.integers(N_DONORS, size=n_cells)
    sick = donors % 2 == 0
    effects = [
        rng.standard_normal((size, n_dimensions), dtype=np.float32)[codes]
        for size, codes in ((N_TYPES, types), (N_DONORS, donors), (2, sick.astype(int)))
    ]
    centre = (
        3 * rng.standard_normal(n_dimensions, dtype=np.float32) + 0.3 * effects[0] + 0.2 * effects[1] + 0.1 * effects[2]
    )
    draws = np.empty((n_draws, n_cells, n_dimensions), dtype=np.float32)
    for draw in draws:
        draw[:] = 1.5 * rng.standard_normal(draw.shape, dtype=np.float32) + centre
        draw /= np.linalg.norm(draw, axis=1, keepdims=True)
    columns = {
        "cell_type": np.char.add("type ", types.astype(str)),
        "patient": np.char.add("donor ", donors.astype(str)),
        "phenotype": np.where(sick, "sick", "well"),
    }
    return Cells(draws, pd.DataFrame(columns, index=[f"cell{number}" for number in range(n_cells)]))


def scoring(cells: Cells, folder: Path, precisions: tuple[str, ...] = (FLOAT32,)) -> Case:
    """Compare the scoring of one embedding, or of a control's draws, with one pass over one of them.

    `folder` and `precisions` are not used. The answers are the scores that both sides have, of the first run.
    """
    few = Cells(cells.draws[:, :N_FEW], cells.obs.iloc[:N_FEW])
    settings = parameters.load().evaluate
    evaluate = settings.model_copy(update={"knn": settings.knn.model_copy(update={"tie": "smallest"})})  # as theirs
    return Case(
        cells=cells,
        few=few,
        n_cells=len(cells.obs),
        ours={FLOAT32: partial(all_repeats, evaluate=evaluate)},
        upstream={SINGLE_PASS: partial(one_pass, evaluate=evaluate)},
        difference=largest_difference,
    )


def all_repeats(cells: Cells, evaluate: parameters.Evaluate) -> dict[str, float]:
    """Score as the stage does: all repeats, donors held out, both logistic regressions, exact silhouettes."""
    planned, _ = targets.plan(cells.obs, evaluate, 0, "made up")
    results: Results = benchmark.score(planned, Embedding(cells.draws), evaluate, 0)
    first = {(row.task, row.annotation, row.split, row.metric): row.first for row in results.rows if not row.label}
    split = {"knn": "random", "kmeans": ""}
    return {name: first[task, "cell_type", split[task], name] or 0.0 for name, task in COMPARED.items()}


def one_pass(cells: Cells, evaluate: parameters.Evaluate) -> dict[str, float]:
    """Score once as a script does: k-means, PCA and k-means, nearest neighbours, logistic regression, silhouette."""
    matrix = cells.draws[0].astype(np.float64)  # as the stage has always done
    types, donors, phenotype = (np.unique(cells.obs[name], return_inverse=True)[1] for name in cells.obs)
    train, test = splits.at_random(len(matrix), evaluate.split.test_size, 0)
    options: dict[str, Any] = {"batch_size": evaluate.kmeans.batch_size, "n_init": evaluate.kmeans.n_init}
    clusters = MiniBatchKMeans(N_TYPES, random_state=0, **options).fit_predict(matrix)
    components = PCA(min(50, *matrix.shape), random_state=0).fit_transform(matrix)
    of_donors = MiniBatchKMeans(N_DONORS, random_state=0, **options).fit_predict(components)
    for labels, found in ((types, clusters), (donors, of_donors)):
        adjusted_mutual_info_score(labels, found)
        adjusted_rand_score(labels, found)
    nearest = KNeighborsClassifier(evaluate.knn.k, metric="cosine").fit(matrix[train], types[train])
    predicted = nearest.predict(matrix[test])
    regression = LogisticRegression(max_iter=evaluate.logreg.max_iter).fit(matrix[train], phenotype[train])
    accuracy_score(phenotype[test], regression.predict(matrix[test]))
    silhouette_score(matrix, types, sample_size=min(SAMPLE, len(matrix)), random_state=0)
    scores = precision_recall_fscore_support(types[test], predicted, average="macro", zero_division=0)
    accuracy = accuracy_score(types[test], predicted)
    return {"accuracy": accuracy, "f1_macro": scores[2], "ari": adjusted_rand_score(types, clusters)}


def largest_difference(ours: Mapping[str, float], plain: Mapping[str, float]) -> float:
    """Return the largest difference between the scores that both sides have."""
    return max(abs(value - plain[name]) for name, value in ours.items())
