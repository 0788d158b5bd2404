"""The tables of an annotation, for the label stage, the pictures and readers; how far the authors agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, precision_recall_fscore_support

from genept.annotation.cells import OUTCOMES
from genept.annotation.markers import UNKNOWN, Markers
from genept.annotation.method import METHOD, METHOD_VERSION, Result
from genept.core import files

DECIMALS = 4
Scores = dict[str, float | int]


def write(
    folder: Path,
    cell_ids: Sequence[str],
    result: Result,
    batches: np.ndarray | None,
    markers: Markers,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Write the tables that `stages.annotate` lists into a folder; return the summary.

    `about` is what the summary says beside the numbers: the marker table and the settings.
    """
    cluster = pd.Series(result.cluster)
    cells = pd.DataFrame({"cell_id": list(cell_ids), "cluster": cluster.where(cluster > 0).astype("Int64")})
    cells = cells.assign(cell_type=result.cell_types, qc=result.qc)
    sizes = cluster[cluster > 0].value_counts().sort_index().rename_axis("cluster").rename("n_cells").reset_index()
    clusters = sizes.join(pd.DataFrame(result.calls).round(DECIMALS))
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


def compare(labels: np.ndarray, types: np.ndarray, names: dict[str, str]) -> tuple[Scores, pd.DataFrame]:
    """Compare annotated types with the authors' labels, both of shape (n_cells,) and of text.

    `names` has the authors' label for a type of the marker table. A type without one is compared under its own name, as
    is ``Unknown``: it is wrong unless a label is spelt the same. Returns

    - scores: ``ari`` and ``ami`` (adjusted Rand index and mutual information of the two partitions; types of one label
      are one part, ``Unknown`` another), ``accuracy``, ``f1_macro`` (mean over the authors' labels), ``share_unknown``
      and ``n_cells``;
    - a row per label, by name: ``n_cells``, ``precision`` (0 if no cell is called so), ``recall``, ``f1`` and
      ``most_frequent``, the type of the marker table that most of its cells have, the first by name of equal ones.
    """
    labels, types = labels.astype(str), types.astype(str)
    called = np.array([names.get(name, name) for name in types])
    classes = np.unique(labels)
    precision, recall, f1, sizes = precision_recall_fscore_support(labels, called, labels=classes, zero_division=0)
    table = pd.DataFrame(
        {"label": classes, "n_cells": sizes, "precision": precision, "recall": recall, "f1": f1}
        | {"most_frequent": pd.crosstab(labels, types).idxmax(axis=1).to_numpy()}
    )
    scores = {
        "ari": adjusted_rand_score(labels, called),
        "ami": adjusted_mutual_info_score(labels, called),
        "accuracy": (called == labels).mean(),
        "f1_macro": f1.mean(),
        "share_unknown": (types == UNKNOWN).mean(),
    }
    rounded: Scores = {name: round(float(value), DECIMALS) for name, value in scores.items()}
    return {**rounded, "n_cells": len(labels)}, table.round(DECIMALS)


def write_agreement(
    folder: Path, metrics: Path, labels: pd.Series, types: pd.Series, names: dict[str, str], unknown: Sequence[str]
) -> Scores:
    """Compare the cells that have both; write ``agreement.csv``, and ``agreement.json`` into `metrics`.

    Nothing is written, and no score returned, if there is no such cell. Labels and types are indexed by cell id; types
    are empty where quality control left the cell out. Cells whose label is `unknown` are not compared.
    """
    labels = labels.reindex(types.index)
    compared = (types != "") & labels.notna() & ~labels.isin(unknown)
    if not compared.any():
        return {}
    scores, classes = compare(labels[compared].to_numpy(), types[compared].to_numpy(), names)
    files.write_json(metrics / "agreement.json", scores)
    classes.to_csv(folder / "agreement.csv", index=False, lineterminator="\n", encoding="utf-8")
    return scores
