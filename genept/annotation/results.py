"""The tables of an annotation, for the label stage, the pictures and readers; how far the authors agree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, precision_recall_fscore_support

from genept.annotation.cells import CELL_TYPE, OUTCOMES, PATIENT
from genept.annotation.markers import Markers
from genept.annotation.method import METHOD, METHOD_VERSION, Result
from genept.core import files
from genept.data.cells import UNKNOWN

DECIMALS, FEW_DECIMALS = 4, 3  # of tables; of the metric, a row of `dvc metrics show`
AGREEMENT = ("ari", "ami", "accuracy", "f1")  # the scores in the metric
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

    `about` is what the summary says beside the numbers: the marker table, the settings, and notes if there are any.
    """
    cluster = pd.Series(result.cluster)
    cells = pd.DataFrame({"cell_id": list(cell_ids), "cluster": cluster.where(cluster > 0).astype("Int64")})
    cells = cells.assign(cell_type=result.cell_types, qc=result.qc)
    sizes = cluster[cluster > 0].value_counts().sort_index().rename_axis("cluster").rename("n_cells").reset_index()
    clusters = sizes.join(pd.DataFrame(result.calls).round(DECIMALS))
    layout = pd.DataFrame({"cell_id": list(cell_ids), "umap_1": result.layout[:, 0], "umap_2": result.layout[:, 1]})
    layout = layout.assign(batch="" if batches is None else batches)[np.isfinite(result.layout[:, 0])]
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
        **({"n_cells_of_clusters": result.n_drawn} if result.n_drawn < len(types) else {}),
        "n_clusters": len(result.calls),
        "cells_per_type": {name: int((types == name).sum()) for name in [*n_genes, UNKNOWN] if name in types},
    }


def compare(labels: np.ndarray, types: np.ndarray, names: dict[str, str]) -> tuple[Scores, pd.DataFrame]:
    """Compare annotated types with the authors' labels, both of shape (n_cells,) and of text.

    `names` has the authors' label for a type of the marker table. A type without one is compared under its own name, as
    is ``Unknown``: it is wrong unless a label is spelt the same. Returns

    - scores: ``ari`` and ``ami`` (adjusted Rand index and mutual information of the two partitions; types of one label
      are one part, ``Unknown`` another), ``accuracy``, ``f1`` (mean over the authors' labels), ``share_unknown`` and
      ``n_cells``;
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
        "f1": f1.mean(),
        "share_unknown": (types == UNKNOWN).mean(),
    }
    rounded: Scores = {name: round(float(value), DECIMALS) for name, value in scores.items()}
    return {**rounded, "n_cells": len(labels)}, table.round(DECIMALS)


def compare_by_patient(labels: pd.Series, types: pd.Series, patients: pd.Series, names: dict[str, str]) -> pd.DataFrame:
    """Compare as `compare` for every patient alone, all indexed by cell id: one who fails is hidden among the others.

    A row per patient, by name: ``patient``, ``n_cells`` and the other scores of `compare`. Of a patient whose cells
    have one label ``ari`` and ``ami`` are empty, since they are not defined. Cells without a patient are left out.
    """
    rows = []
    for patient, cells in patients.dropna().groupby(patients.dropna()):
        own = labels[cells.index]
        scores, _ = compare(own.to_numpy(), types[cells.index].to_numpy(), names)
        undefined = {"ari": None, "ami": None} if own.nunique() < 2 else {}
        rows.append({"patient": patient, **scores, **undefined})
    columns = ["patient", "n_cells", "ari", "ami", "accuracy", "f1", "share_unknown"]
    return pd.DataFrame(rows, columns=columns).astype({"ari": float, "ami": float})


def write_agreement(
    folder: Path, metrics: Path, authors: pd.DataFrame, types: pd.Series, names: dict[str, str]
) -> tuple[Scores, str]:
    """Compare the cells that have both; write ``agreement.csv`` and ``.json``, and the main scores into `metrics`.

    `authors` are their labels, see `genept.annotation.cells.author_labels`. Types are indexed by cell id, too, and
    empty where quality control left the cell out. With several patients ``agreement_by_patient.csv`` has the scores of
    each, and the lowest ``ari`` is among the scores: ``ari_lowest_patient``. Returns the scores, none if no cell has
    both, and in words why there are none per patient.
    """
    authors = authors.reindex(types.index)
    compared = (types != "") & authors[CELL_TYPE].notna()
    if not compared.any():
        return {}, "no cell has a type and a label of the authors"
    labels, types = authors.loc[compared, CELL_TYPE], types[compared]
    scores, classes = compare(labels.to_numpy(), types.to_numpy(), names)
    classes.to_csv(folder / "agreement.csv", index=False, lineterminator="\n", encoding="utf-8")
    patients = authors.loc[compared, PATIENT] if PATIENT in authors else pd.Series(None, labels.index, dtype=object)
    why_not = {0: "no patients are known", 1: "one patient only"}.get(patients.nunique(), "")
    if not why_not:
        table = compare_by_patient(labels, types, patients, names)
        table.to_csv(folder / "agreement_by_patient.csv", index=False, lineterminator="\n", encoding="utf-8")
        if table["ari"].notna().any():
            scores["ari_lowest_patient"] = float(table["ari"].min())
    files.write_json(folder / "agreement.json", scores)
    files.write_json(metrics / "agreement.json", {name: round(scores[name], FEW_DECIMALS) for name in AGREEMENT})
    return scores, why_not
