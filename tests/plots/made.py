"""Cells in clear clusters, the settings of their layout, and the tables of an annotation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from genept.core.params import Plot

SETTINGS: dict[str, Any] = {"n_components_pca": 50, "n_neighbors": 10, "min_dist": 0.5, "spread": 1.0, "n_epochs": 30}
SETTINGS |= {"above": 60_000, "seed": 0}
N_CELLS = 45


def settings(**changes: Any) -> Plot:
    return Plot.parse({**SETTINGS, **changes}, "made")


def clusters(n_cells: int = N_CELLS, n_clusters: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in clear clusters, and the cluster of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_cells) % n_clusters
    return (10 * rng.normal(size=(n_clusters, 20))[labels] + rng.normal(size=(n_cells, 20))).astype(np.float32), labels


TYPES = {"T": [f"T{i}" for i in range(10)], "Plasma cell, long-lived": ["P0"]}
CALLED = ("Plasma cell, long-lived", "Unknown", "T", "T")  # types of clusters 1 to 4


def write_annotation(folder: Path, batch: str | None = "age_bin", rename: dict[str, str] | None = None) -> None:
    """Write the tables of an annotation of 40 cells in four clusters, four cells left out; types may be renamed."""
    rng, rename = np.random.default_rng(0), rename or {}
    called = [rename.get(name, name) for name in CALLED]
    genes = [(rename.get(name, name), gene) for name, genes in TYPES.items() for gene in genes]
    cluster = np.repeat([0, 1, 2, 3, 4], [4, 9, 9, 9, 9])
    ids = [f"cell{i}" for i in range(len(cluster))]
    is_left_out = cluster == 0
    markers = pd.DataFrame(genes * 4, columns=["cell_type", "gene"])
    markers.insert(0, "cluster", np.repeat([1, 2, 3, 4], len(genes)))
    tables = {
        "cells": pd.DataFrame(
            {
                "cell_id": ids,
                "cluster": pd.Series(cluster).where(~is_left_out).astype("Int64"),
                "cell_type": np.array(["", *called])[cluster],
            }
        ),
        "clusters": pd.DataFrame(
            {"cluster": [1, 2, 3, 4], "n_cells": 9, "cell_type": called, "score": 1.25, "margin": [1.5, 0.1, 1.5, 1.5]}
        ),
        "markers": markers.assign(z=rng.uniform(-2, 2, len(markers)), share=rng.uniform(size=len(markers))),
        "umap": pd.DataFrame(
            {"cell_id": ids, "umap_1": rng.normal(size=40), "umap_2": rng.normal(size=40), "batch": ["D1", "D2"] * 20}
        )[~is_left_out],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    settings = {"batch": batch, "resolution": 1.0, "seed": 0}
    content = {"label_source": "annotation", "settings": settings, "n_neighbors": 15}
    (folder / "summary.json").write_text(json.dumps(content))


def words(figure: Figure) -> str:
    """Return the caption as one line."""
    return " ".join(figure.texts[-1].get_text().split())
