"""The tables of an annotation: for the label stage, for the pictures, and for a reader who asks about a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genept.annotation.markers import UNKNOWN, Markers
from genept.annotation.method import METHOD, METHOD_VERSION, Result
from genept.annotation.quality import OUTCOMES
from genept.core import files

DECIMALS = 4


def write(
    folder: Path,
    cell_ids: Sequence[str],
    result: Result,
    batches: np.ndarray | None,
    markers: Markers,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Write the tables and the summary into a folder; return the summary.

    ==================  ===============================================================================================
    ``cells.csv``       each cell's cluster and type, or why quality control left it out
    ``clusters.csv``    each cluster's type, its score, the next type and the margin
    ``markers.csv``     mean expression, z and share of cells of each type's marker genes in each cluster
    ``umap.csv``        coordinates and batch of the cells that passed quality control
    ``summary.json``    the method, its settings, missing marker genes, numbers of cells
    ==================  ===============================================================================================

    Parameters
    ----------
    about
        What the summary says beside the numbers: the marker table and the settings.
    """
    cluster = pd.Series(result.cluster, name="cluster")
    cells = pd.DataFrame({"cell_id": list(cell_ids), "cluster": cluster.where(cluster > 0).astype("Int64")})
    cells = cells.assign(cell_type=result.cell_types, qc=result.qc)
    sizes = np.bincount(result.cluster, minlength=len(result.calls) + 1)[1:]
    clusters = pd.DataFrame([call._asdict() for call in result.calls]).round(DECIMALS)
    clusters.insert(0, "n_cells", sizes)
    clusters.insert(0, "cluster", np.arange(1, len(sizes) + 1))
    layout = pd.DataFrame({"cell_id": list(cell_ids), "umap_1": result.layout[:, 0], "umap_2": result.layout[:, 1]})
    layout = layout.assign(batch="" if batches is None else batches)[result.cluster > 0]
    tables = {"cells": cells, "clusters": clusters, "markers": marker_table(result, markers), "umap": layout}
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")
    numbers = summary(result, batches, markers)
    content = {"label_source": "annotation", "method": METHOD, "method_version": METHOD_VERSION, **about, **numbers}
    files.write_json(folder / "summary.json", content)
    return content


def marker_table(result: Result, markers: Markers) -> pd.DataFrame:
    """Return a row per cluster, type and marker gene that the data has; types and genes in the order of the table."""
    columns = {gene: column for column, gene in enumerate(result.genes)}
    pairs = [(name, gene) for name, genes in markers.genes.items() for gene in genes if gene in columns]
    chosen = [columns[gene] for _, gene in pairs]
    n_clusters = len(result.calls)
    return pd.DataFrame(
        {
            "cluster": np.repeat(np.arange(1, n_clusters + 1), len(pairs)),
            "cell_type": [name for name, _ in pairs] * n_clusters,
            "gene": [gene for _, gene in pairs] * n_clusters,
            "mean": result.means[:, chosen].ravel().round(DECIMALS),
            "z": result.z[:, chosen].ravel().round(DECIMALS),
            "share": result.shares[:, chosen].ravel().round(DECIMALS),
        }
    )


def summary(result: Result, batches: np.ndarray | None, markers: Markers) -> dict[str, Any]:
    """Return the numbers of an annotation, for its record."""
    types = result.cell_types[result.cluster > 0]
    n_genes = {name: sum(gene in result.genes for gene in genes) for name, genes in markers.genes.items()}
    return {
        "markers": {
            "n_genes_per_type": n_genes,
            "renamed": markers.renamed,
            "unknown_to_hgnc": list(markers.unknown),
            "not_in_the_data": result.absent,
            "in_too_few_cells": result.rare,
            "types_without_gene": [name for name, number in n_genes.items() if not number],
        },
        "cells": {outcome: int((result.qc == outcome).sum()) for outcome in OUTCOMES},
        "n_batches": 1 if batches is None else len(np.unique(batches)),
        "n_hvgs": result.n_hvgs,
        "n_neighbors": result.n_neighbors,
        "n_clusters": len(result.calls),
        "cells_per_type": {name: int((types == name).sum()) for name in [*n_genes, UNKNOWN] if name in types},
    }
