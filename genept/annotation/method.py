"""From counts to cell types, in nine steps, none of which sees the authors' types.

1. Quality control: cells with too few or too many genes, or too many mitochondrial counts, are dropped (`quality`).
2. log1p of counts per 10,000, the total over all genes (`genept.data.expression`).
3. Highly variable genes: dispersion as in Seurat, ranked within each batch and combined (scanpy's ``seurat`` flavour
   with ``batch_key``), so that no gene is chosen because batches differ. It reads log-normalised values, as a data set
   without counts has them. Batches of fewer than `LEAST_VOTERS` cells do not vote.
4. Exact principal components of those genes, centred and not scaled (`genept.data.pca`).
5. Neighbours balanced over batches (`neighbours`).
6. Edges with UMAP's weights.
7. Leiden clusters (scanpy with igraph), numbered from 1 by size; of equal ones, the one of the first cell comes first.
8. A cell type per cluster, or ``Unknown`` (`signatures`).
9. A UMAP layout of the same graph, for the picture only.

The defaults in ``params.yaml`` are the usual ones of these tools. They were fixed before the first comparison with
labels and are not tuned on them.

Cells are put in the order of their ids and genes in that of their symbols first, so the order in the file does not
matter. Leiden and UMAP draw random numbers from the seed. All runs in one thread: equal input gives equal output on
any number of cores of one kind of CPU; on another kind the last bits of a product may differ, and with them, rarely, a
cell's cluster. Increase `METHOD_VERSION` with every change that can change a label.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scanpy
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from genept.annotation import neighbours, quality, signatures
from genept.annotation.marker_table import UNKNOWN, Markers
from genept.annotation.options import Options
from genept.core.errors import InputError
from genept.data import pca
from genept.data.expression import log_normalise

METHOD_VERSION = 1
METHOD = (
    "quality control, log1p of counts per 10,000, highly variable genes per batch, exact PCA, neighbours balanced over "
    "batches, Leiden clusters, each named by the mean z of a cell type's marker genes"
)
LEAST_CELLS = 30  # fewer have no clusters worth a name
LEAST_VOTERS = 30  # cells of a batch that has a say in the choice of genes


@dataclass(frozen=True)
class Analysis:
    """The result.

    Attributes
    ----------
    qc
        Of every cell, in the order given, shape (n_cells,): one of `quality.OUTCOMES`.
    cluster
        Of every cell, from 1; 0 of a dropped one.
    layout
        UMAP coordinates of every cell, shape (n_cells, 2); NaN of a dropped one.
    calls
        Of every cluster, in the order of their numbers.
    genes
        The marker genes that can be scored, in the order of the table; the columns of the next two arrays.
    z, shares
        Of every cluster (rows): what the score is the mean of, and the share of cells that have the gene.
    lacking, rare
        The marker genes that the data has not, or in too few cells.
    unscored
        The types of which it has none.
    n_hvgs, n_neighbors
        Number of highly variable genes and of neighbours of each cell, itself included.
    """

    qc: np.ndarray
    cluster: np.ndarray
    layout: np.ndarray
    calls: list[signatures.Call]
    genes: list[str]
    z: np.ndarray
    shares: np.ndarray
    lacking: list[str]
    rare: list[str]
    unscored: list[str]
    n_hvgs: int
    n_neighbors: int

    @property
    def cell_types(self) -> np.ndarray:
        """Of every cell its type, shape (n_cells,) of text; empty of a dropped one."""
        return np.array(["", *(call.cell_type for call in self.calls)], dtype=object)[self.cluster]


def analyse(cells: anndata.AnnData, batches: np.ndarray | None, markers: Markers, options: Options) -> Analysis:
    """Cluster cells and name the clusters.

    Parameters
    ----------
    cells
        ``X`` CSR without stored zeros, ``uns['x']`` what it holds; ids and symbols unique.
    batches
        Each cell's batch, shape (n_cells,) of text; `None` if there is one.

    Raises
    ------
    InputError
        If too few cells or genes are left, or no marker gene.
    """
    batches = np.full(cells.n_obs, "") if batches is None else np.asarray(batches, dtype=str)
    order = np.argsort(np.asarray(cells.obs_names, dtype=str), kind="stable")
    by_symbol = np.argsort(np.asarray(cells.var_names, dtype=str), kind="stable")
    with threadpool_limits(1):
        found = in_fixed_order(ordered(cells, order, by_symbol), batches[order], markers, options)
    back = np.argsort(order)
    return Analysis(
        **{**vars(found), "qc": found.qc[back], "cluster": found.cluster[back], "layout": found.layout[back]}
    )


def ordered(cells: anndata.AnnData, rows: np.ndarray, columns: np.ndarray) -> anndata.AnnData:
    """Return the cells with rows and columns in a given order, or some of them; CSR, its indices ascending."""
    x = csr_matrix(cells.X)[rows][:, columns]
    x.sort_indices()
    obs, var = cells.obs.index[rows], cells.var.index[columns]
    return anndata.AnnData(x, obs=pd.DataFrame(index=obs), var=pd.DataFrame(index=var), uns={"x": cells.uns["x"]})


def in_fixed_order(cells: anndata.AnnData, batches: np.ndarray, markers: Markers, options: Options) -> Analysis:
    """Do the nine steps, in one thread already."""
    symbols = list(cells.var_names)
    qc = quality.judge(cells.X, symbols, cells.uns["x"], options.qc)
    kept = np.flatnonzero(qc == quality.OUTCOMES[0])
    if len(kept) < LEAST_CELLS:
        raise InputError(
            f"only {len(kept)} of {len(qc)} cells pass quality control, and {LEAST_CELLS} are needed; "
            "see `qc` under reanalysis in params.yaml"
        )
    x = log_normalise(ordered(cells, kept, np.arange(cells.n_vars)))
    is_common = quality.common_genes(x, options.qc.min_cells_per_gene)
    marker_genes = list(dict.fromkeys(gene for genes in markers.genes.values() for gene in genes))
    present, common = set(symbols), {symbols[i] for i in np.flatnonzero(is_common)}
    genes = [gene for gene in marker_genes if gene in common]
    if not genes:
        raise InputError(
            f"none of the {len(marker_genes)} genes of genept/annotation/markers/{options.markers}.tsv (such as "
            f"{', '.join(marker_genes[:3])}) is in the data; is it the table for these cells?"
        )
    chosen = highly_variable(x[:, is_common], batches[kept], options.n_hvgs)
    points = pca.principal_components(x[:, is_common][:, chosen], options.n_components)
    indices, distances = neighbours.balanced(points, batches[kept], options.n_neighbors)
    graph = neighbours.weights(indices, distances)
    codes = leiden(graph, options.resolution, options.seed)
    n_clusters = codes.max() + 1
    means, shares = signatures.by_cluster(x[:, [symbols.index(gene) for gene in genes]], codes, n_clusters)
    z = signatures.standardise(means)
    scores = signatures.scores(z, genes, markers.genes)
    calls = [
        signatures.call({name: float(values[cluster]) for name, values in scores.items()}, options.min_margin)
        for cluster in range(n_clusters)
    ]
    cluster = np.zeros(len(qc), dtype=int)
    cluster[kept] = codes + 1
    layout = np.full((len(qc), 2), np.nan)
    layout[kept] = lay_out(points, graph, indices.shape[1], options)
    return Analysis(
        qc=qc,
        cluster=cluster,
        layout=layout,
        calls=calls,
        genes=genes,
        z=z,
        shares=shares,
        lacking=[gene for gene in marker_genes if gene not in present],
        rare=[gene for gene in marker_genes if gene in present and gene not in common],
        unscored=[name for name in markers.genes if name not in scores],
        n_hvgs=len(chosen),
        n_neighbors=indices.shape[1],
    )


def highly_variable(x: csr_matrix, batches: np.ndarray, n_genes: int) -> np.ndarray:
    """Return the columns of the most variable genes, ascending; all where there are no more than asked for.

    Parameters
    ----------
    x
        Log-normalised expression, shape (n_cells, n_genes).
    batches
        Shape (n_cells,).
    """
    if x.shape[1] < 2:
        raise InputError("fewer than 2 genes are in enough cells; see `qc` under reanalysis in params.yaml")
    if x.shape[1] <= n_genes:
        return np.arange(x.shape[1])
    names, sizes = np.unique(batches, return_counts=True)
    voters = np.isin(batches, names[sizes >= LEAST_VOTERS])
    several = (sizes >= LEAST_VOTERS).sum() > 1
    cells = anndata.AnnData(x[voters] if several else x)
    if several:
        cells.obs["batch"] = pd.Categorical(batches[voters])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' notes on scanpy's use of it
        scanpy.pp.highly_variable_genes(
            cells, flavor="seurat", n_top_genes=n_genes, batch_key="batch" if several else None
        )
    return np.flatnonzero(cells.var["highly_variable"].to_numpy())


def leiden(graph: csr_matrix, resolution: float, seed: int) -> np.ndarray:
    """Return each cell's cluster, shape (n_cells,), from 0, the largest first."""
    cells = anndata.AnnData(obs=pd.DataFrame(index=np.arange(graph.shape[0]).astype(str)))
    scanpy.tl.leiden(
        cells,
        resolution=resolution,
        random_state=seed,
        adjacency=graph,
        flavor="igraph",
        n_iterations=2,
        directed=False,
    )
    return by_size(cells.obs["leiden"].to_numpy().astype(int))


def by_size(codes: np.ndarray) -> np.ndarray:
    """Renumber clusters from 0 by size; of equal ones, the one of the first cell comes first."""
    names, firsts, sizes = np.unique(codes, return_index=True, return_counts=True)
    ranked = names[np.lexsort((firsts, -sizes))]
    places = {name: place for place, name in enumerate(ranked)}
    return np.array([places[code] for code in codes])


def lay_out(points: np.ndarray, graph: csr_matrix, n_neighbors: int, options: Options) -> np.ndarray:
    """Return UMAP coordinates of a graph, shape (n_cells, 2); ``min_dist`` 0.5 and ``spread`` 1, as in the paper."""
    cells = anndata.AnnData(obs=pd.DataFrame(index=np.arange(len(points)).astype(str)), obsm={"points": points})
    cells.obsp["connectivities"] = graph
    cells.uns["neighbors"] = {
        "connectivities_key": "connectivities",
        "params": {"method": "umap", "n_neighbors": n_neighbors, "use_rep": "points"},
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]raph is not fully connected")
        scanpy.tl.umap(cells, min_dist=0.5, spread=1.0, maxiter=options.umap_epochs, random_state=options.seed)
    return cells.obsm["X_umap"]


def summary(found: Analysis, batches: np.ndarray | None, markers: Markers) -> dict[str, Any]:
    """Return the numbers of a re-analysis, for its record."""
    types = found.cell_types[found.cluster > 0]
    order = [*(name for name in markers.genes if name in types), *([UNKNOWN] if UNKNOWN in types else [])]
    return {
        "markers": {
            "n_genes_per_type": {
                name: sum(gene in found.genes for gene in genes) for name, genes in markers.genes.items()
            },
            "renamed": markers.renamed,
            "unknown_to_hgnc": list(markers.unknown),
            "not_in_the_data": found.lacking,
            "in_too_few_cells": found.rare,
            "types_without_gene": found.unscored,
        },
        "cells": {outcome: int((found.qc == outcome).sum()) for outcome in quality.OUTCOMES},
        "n_batches": 1 if batches is None else len(np.unique(batches)),
        "n_hvgs": found.n_hvgs,
        "n_neighbors": found.n_neighbors,
        "n_clusters": len(found.calls),
        "cells_per_type": {name: int((types == name).sum()) for name in order},
    }
