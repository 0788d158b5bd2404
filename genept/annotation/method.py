"""From counts to cell types, in nine steps, none of which sees the authors' types.

1. Quality control: cells with too few or too many genes, or too many mitochondrial counts, are left out (`cells`).
2. log1p of counts per 10,000, the total over all genes (`genept.data.expression`).
3. Highly variable genes: dispersion as in Seurat, ranked within each batch and combined (scanpy's ``seurat`` flavour
   with ``batch_key``), so that no gene is chosen because batches differ. It reads log-normalised values, since
   a dataset without counts has only those. Batches of fewer than `MIN_BATCH` cells, or of equal ones, do not vote. Of
   cells that are too many for the memory, `SAMPLE` choose the genes, drawn at random.
4. Exact principal components of those genes, centred and not scaled (`genept.data.pca`).
5. Neighbours balanced over batches (`graph`).
6. Edges with UMAP's weights.
7. Leiden clusters (scanpy with igraph), numbered from 1 by size; of equal ones, the one of the first cell comes first.
   Of more than ``most_cells`` cells so many, drawn at random, go through steps 4 to 7 and 9. The others are projected
   on the components, and get the cluster that most of their ``n_neighbors`` nearest drawn cells have.
8. A cell type per cluster, or ``Unknown`` (`markers`).
9. A UMAP layout of the same graph, for the picture only.

The defaults in ``params.yaml`` are the usual ones of these tools, fixed before the first comparison with labels.
Cells are sorted by id and genes by symbol first, so their order in the file does not matter. Leiden and UMAP draw
random numbers from the seed. All steps run in one thread: equal input gives equal output on any number of cores of one
kind of CPU. On another kind the last bits of a product may differ, and with them, rarely, a cell's cluster. Increase
`METHOD_VERSION` with every change that can change a label.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import anndata
import numpy as np
import pandas as pd
import scanpy
import scipy.sparse as sp
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from genept.annotation import graph
from genept.annotation.cells import OK, ManyCells, common_genes, judge
from genept.annotation.markers import Call, Markers, by_cluster, call_type, score_types, standardise
from genept.core.errors import InputError
from genept.core.params import Annotate
from genept.data import pca
from genept.data.expression import log_normalise
from genept.datasets.matrix import Matrix

METHOD_VERSION = 2
METHOD = (
    "quality control, log1p of counts per 10,000, highly variable genes per batch, exact PCA, neighbours balanced over "
    "batches, Leiden clusters, each named by the mean z of a cell type's marker genes"
)
MIN_CELLS = 30  # fewer have no clusters worth a name
MIN_GENES = 2  # that differ between cells, with fewer there are no principal components
MIN_BATCH = 30  # cells of a batch that has a say in the choice of genes
SAMPLE = 50_000  # cells that choose the genes, of cells that are not in memory


@dataclass(frozen=True)
class Result:
    """The annotation of a dataset."""

    qc: np.ndarray  # of each cell, (n_cells,): one of `genept.annotation.cells.OUTCOMES`
    cluster: np.ndarray  # of each cell, from 1; 0 for a cell that quality control left out
    layout: np.ndarray  # UMAP coordinates, (n_cells, 2); NaN for a cell that was left out, or not drawn
    calls: list[Call]  # the type of each cluster
    genes: list[str]  # the marker genes that can be scored, in the order of the table
    means: np.ndarray  # log-normalised expression, (n_clusters, n_genes)
    z: np.ndarray  # of the means over clusters, limited
    shares: np.ndarray  # of a cluster's cells that express the gene
    absent: list[str]  # marker genes that the data does not have
    rare: list[str]  # marker genes in too few cells
    n_hvgs: int
    n_neighbors: int  # of each cell, itself included
    n_drawn: int  # cells that made the clusters

    @property
    def cell_types(self) -> np.ndarray:
        """Each cell's type, shape (n_cells,) of text; empty for a cell that was left out."""
        return np.array(["", *(call.cell_type for call in self.calls)], dtype=object)[self.cluster]


@dataclass(frozen=True)
class Chosen:
    """What clusters and types are made from: log-normalised expression of the cells that pass quality control."""

    qc: np.ndarray  # as in `Result`, of all cells
    points: np.ndarray  # principal components of highly variable genes, (n_passing, n_components)
    drawn: np.ndarray  # ascending rows of `points`: cells that make the clusters
    n_hvgs: int
    marking: csr_matrix  # of marker genes
    genes: list[str]  # these, in the order of the table
    marker_genes: list[str]  # of the whole table
    common: set[str]  # genes that are in enough cells


def annotate(
    cells: anndata.AnnData | ManyCells, batches: np.ndarray | None, markers: Markers, settings: Annotate
) -> Result:
    """Cluster cells and name the clusters.

    Of `cells`, ``X`` is CSR without stored zeros, ``uns['x']`` ``counts`` or ``lognorm``, ids and symbols are unique;
    `batches` are text, shape (n_cells,), `None` if there is one. `InputError` if too few cells or genes pass quality
    control, or no marker gene is among them.
    """
    batches = np.full(cells.n_obs, "") if batches is None else np.asarray(batches, dtype=str)
    order, columns = np.argsort(cells.obs_names.to_numpy(str)), np.argsort(cells.var_names.to_numpy(str))
    symbols, content = list(cells.var_names[columns]), cells.uns["x"]
    with threadpool_limits(1):
        if isinstance(cells, ManyCells):
            chosen = choose_of_many(cells.x.genes(columns), symbols, content, order, batches, markers, settings)
        else:
            ordered = cells[order, columns].copy()
            ordered.X.sort_indices()
            chosen = choose(ordered, batches[order], markers, settings)
        result = annotate_ordered(chosen, symbols, batches[order], markers, settings)
    back = np.argsort(order)
    return dataclasses.replace(result, qc=result.qc[back], cluster=result.cluster[back], layout=result.layout[back])


def choose(cells: anndata.AnnData, batches: np.ndarray, markers: Markers, settings: Annotate) -> Chosen:
    """Do the first three steps."""
    symbols = list(cells.var_names)
    qc = judge(cells.X, symbols, cells.uns["x"], settings.qc)
    passing = passing_cells(qc)
    x = log_normalise(cells[passing])
    is_common = common_genes(x, settings.qc.min_cells_per_gene)
    marker_genes, common, genes = scorable(symbols, is_common, markers, settings)
    x_common = x[:, is_common]
    hvgs = variable_genes(x_common, batches[passing], len(passing), settings)
    marking = x[:, [symbols.index(gene) for gene in genes]]
    variable, drawn = x_common[:, hvgs], draw(len(passing), settings)
    if len(drawn) == len(passing):
        points = pca.principal_components(variable, settings.n_components)
    else:
        scores, axes, mean = pca.fit(variable[drawn], settings.n_components)
        points = pca.project(variable, axes, mean)
        points[drawn] = scores
    return Chosen(qc, points, drawn, len(hvgs), marking, genes, marker_genes, common)


def draw(n_passing: int, settings: Annotate) -> np.ndarray:
    """Return which of the cells that pass quality control make the clusters: ascending rows."""
    if n_passing <= settings.most_cells:
        return np.arange(n_passing)
    return np.sort(np.random.default_rng(settings.seed).choice(n_passing, settings.most_cells, replace=False))


def choose_of_many(
    x: Matrix,
    symbols: list[str],
    content: str,
    order: np.ndarray,
    batches: np.ndarray,
    markers: Markers,
    settings: Annotate,
) -> Chosen:
    """Do the first four steps in three readings of a matrix in the order of the file; `order` is that of the result.

    They are four if not all cells make the clusters. But for the sample that chooses genes, the result is that of
    `choose`.
    """
    judged, n_cells = list[np.ndarray](), np.zeros(len(symbols), dtype=np.int64)
    for block in x.read():
        judged.append(judge(block, symbols, content, settings.qc))
        n_cells += np.bincount(block[judged[-1] == OK].indices, minlength=len(symbols))
    in_file = np.concatenate(judged)
    qc = in_file[order]
    passing = order[passing_cells(qc)]
    is_common = n_cells >= settings.qc.min_cells_per_gene
    marker_genes, common, genes = scorable(symbols, is_common, markers, settings)

    def blocks(rows: np.ndarray, columns: np.ndarray) -> Iterator[csr_matrix]:
        """Yield log-normalised values of some genes, of some cells in the order of the file."""
        for block in x.blocks(np.sort(rows)):
            yield log_normalise(anndata.AnnData(block.astype(np.float32), uns={"x": content}))[:, columns]

    def read(rows: np.ndarray, columns: np.ndarray) -> csr_matrix:
        """Return them in the order of the cells that are asked for."""
        return sp.vstack([*blocks(rows, columns)], format="csr")[np.argsort(np.argsort(rows))]

    sample = passing
    if len(passing) > SAMPLE:
        drawn = np.random.default_rng(settings.seed).choice(len(passing), SAMPLE, replace=False)
        sample = passing[np.sort(drawn)]
    of_common = np.flatnonzero(is_common)
    hvgs = of_common[variable_genes(read(sample, of_common), batches[sample], len(passing), settings)]
    n_hvgs, drawn = len(hvgs), draw(len(passing), settings)
    both = np.append(hvgs, [symbols.index(gene) for gene in genes]).astype(int)
    if len(drawn) == len(passing):
        found = read(passing, both)
        points, marking = pca.principal_components(found[:, :n_hvgs], settings.n_components), found[:, n_hvgs:]
    else:
        scores, axes, mean = pca.fit(read(passing[drawn], hvgs), settings.n_components)
        parts = [(pca.project(block[:, :n_hvgs], axes, mean), block[:, n_hvgs:]) for block in blocks(passing, both)]
        back = np.argsort(np.argsort(passing))
        points, marking = np.concatenate([own for own, _ in parts])[back], sp.vstack([own for _, own in parts])[back]
        points[drawn] = scores
    return Chosen(qc, points, drawn, n_hvgs, marking, genes, marker_genes, common)


def passing_cells(qc: np.ndarray) -> np.ndarray:
    """Return the rows of the cells that pass quality control; `InputError` if they are too few."""
    passing = np.flatnonzero(qc == OK)
    if len(passing) < MIN_CELLS:
        raise InputError(
            f"only {len(passing)} of {len(qc)} cells pass quality control, and {MIN_CELLS} are needed; "
            "see annotate.qc in params.yaml"
        )
    return passing


def scorable(
    symbols: list[str], is_common: np.ndarray, markers: Markers, settings: Annotate
) -> tuple[list[str], set[str], list[str]]:
    """Return all marker genes, the genes in enough cells, and the marker genes among these; `InputError` if none."""
    marker_genes = list(dict.fromkeys(gene for genes in markers.genes.values() for gene in genes))
    common = {symbols[column] for column in np.flatnonzero(is_common)}
    genes = [gene for gene in marker_genes if gene in common]
    if not genes:
        raise InputError(
            f"none of the {len(marker_genes)} marker genes (such as {', '.join(marker_genes[:3])}) is in "
            f"{settings.qc.min_cells_per_gene} cells; is markers.tsv the table for these cells?"
        )
    return marker_genes, common, genes


def variable_genes(x: csr_matrix, batches: np.ndarray, n_passing: int, settings: Annotate) -> np.ndarray:
    """Return the columns of the highly variable genes; `InputError` if they are too few."""
    hvgs = highly_variable(x, batches, settings.n_hvgs)
    if len(hvgs) < MIN_GENES:
        raise InputError(
            f"{len(hvgs)} genes vary among the {n_passing} cells that pass quality control, and {MIN_GENES} are "
            "needed to find clusters; does X of the file hold counts of different cells?"
        )
    return hvgs


def annotate_ordered(
    chosen: Chosen, symbols: list[str], batches: np.ndarray, markers: Markers, settings: Annotate
) -> Result:
    """Do the other steps, in one thread already; `batches` are those of all cells."""
    qc, genes, drawn = chosen.qc, chosen.genes, chosen.drawn
    passing, points = np.flatnonzero(qc == OK), chosen.points[drawn]
    indices, distances = graph.balanced_neighbors(points, batches[passing[drawn]], settings.n_neighbors)
    connectivities = graph.connect(indices, distances)
    codes = graph.cluster(connectivities, settings.resolution, settings.seed)
    if len(drawn) < len(passing):
        codes = graph.by_size(graph.extend(chosen.points, drawn, codes, settings.n_neighbors))
    n_clusters, n_neighbors = codes.max() + 1, indices.shape[1]

    means, shares = by_cluster(chosen.marking, codes, n_clusters)
    z = standardise(means)
    scores = score_types(z, genes, markers.genes)
    calls = [
        call_type({name: float(values[code]) for name, values in scores.items()}, settings.min_margin)
        for code in range(n_clusters)
    ]
    cluster = np.zeros(len(qc), dtype=int)
    cluster[passing] = codes + 1
    layout = np.full((len(qc), 2), np.nan, dtype=np.float32)
    layout[passing[drawn]] = graph.lay_out(points, connectivities, n_neighbors, settings.umap_epochs, settings.seed)
    measured = set(symbols)
    absent = [gene for gene in chosen.marker_genes if gene not in measured]
    rare = [gene for gene in chosen.marker_genes if gene in measured - chosen.common]
    numbers = chosen.n_hvgs, n_neighbors, len(drawn)
    return Result(qc, cluster, layout, calls, genes, means, z, shares, absent, rare, *numbers)


def varies(x: csr_matrix) -> bool:
    """Say whether any two cells differ."""
    n_expressed = np.diff(x.indptr)
    return bool((n_expressed != n_expressed[0]).any() or (x[1:] != x[:-1]).nnz)


def highly_variable(x: csr_matrix, batches: np.ndarray, n_genes: int) -> np.ndarray:
    """Return the columns of the most variable genes, ascending; all of them if there are at most `n_genes`.

    Batches of few cells, or of equal ones, have no vote. If all cells are equal there are no such genes.
    """
    if not varies(x):
        return np.array([], dtype=int)
    if x.shape[1] <= n_genes:
        return np.arange(x.shape[1])
    names, sizes = np.unique(batches, return_counts=True)
    votes = [size >= MIN_BATCH and varies(x[batches == name]) for name, size in zip(names, sizes, strict=True)]
    voting = names[np.array(votes)]
    voters = np.isin(batches, voting)
    cells, key = anndata.AnnData(x), None
    if len(voting) > 1:
        cells, key = anndata.AnnData(x[voters], obs={"batch": pd.Categorical(batches[voters])}), "batch"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' notes on scanpy's use of it
        scanpy.pp.highly_variable_genes(cells, n_top_genes=n_genes, flavor="seurat", batch_key=key)
    return np.flatnonzero(cells.var["highly_variable"].to_numpy())
