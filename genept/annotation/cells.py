"""The cells that are annotated: read without the authors' types, judged by quality control; and those types apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from genept.core.errors import InputError
from genept.core.params import QC
from genept.data.cells import UNKNOWN
from genept.data.genes import Table
from genept.datasets import inputs, stored
from genept.datasets.config import DatasetConfig
from genept.datasets.derive import add_derived
from genept.datasets.matrix import Matrix

CELL_TYPE, PATIENT = "cell_type", "patient"
MITOCHONDRIAL = "MT-"  # prefix of HGNC's symbols of the 37 mitochondrial genes
OK = "ok"
OUTCOMES = (OK, "few_genes", "many_genes", "many_mitochondrial")


@dataclass(frozen=True)
class ManyCells:
    """Cells whose matrix is too large for the memory, with what an AnnData has."""

    x: Matrix
    obs_names: pd.Index
    var_names: pd.Index
    uns: dict[str, Any]

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return len(self.obs_names)


def read(
    folder: Path,
    config: DatasetConfig,
    table: Table,
    batch: str | None,
    missing: Collection[str] = (),
    least_known_genes: float = 0.0,
) -> tuple[AnnData | ManyCells, np.ndarray | None]:
    """Read the fetched files of a dataset; the authors' cell types are never read.

    Returns the cells, in the order of the file, genes under their approved symbols, not in memory if X has more than
    `stored.IN_MEMORY` values; and each cell's batch (its
    annotation `batch`), shape (n_cells,) of text, `None` if there is one only. Cells without a batch, or with a text
    that means `missing`, form one, ``Unknown``. `InputError` if a file is damaged or contradicts the config.
    """
    config = config.without_cell_types()
    raw = inputs.read_raw(folder, config)
    obs, _ = add_derived(raw.obs, config.derive, raw.path, missing)
    if batch is not None and batch not in obs:
        raise InputError(f"{raw.path}: has no {batch} without the cell types; choose another annotation.batch")
    harmonised = raw.harmonise(config, table, least_known_genes)
    batches = None if batch is None else obs[batch].fillna(UNKNOWN).to_numpy(dtype=str)
    if raw.x.survey.n_values > stored.IN_MEMORY:
        x = raw.x.genes(harmonised.keep)
        return ManyCells(x, obs.index, pd.Index(harmonised.symbols), {"x": raw.content}), batches
    x = raw.x.genes(harmonised.keep).csr()
    cells = AnnData(x, obs=pd.DataFrame(index=obs.index), var=pd.DataFrame(index=harmonised.symbols))
    cells.uns["x"] = raw.content
    return cells, batches


def author_labels(folder: Path, config: DatasetConfig, missing: Collection[str] = ()) -> pd.DataFrame | None:
    """Return the authors' cell types, and patients if they are known; `None` if no file has cell types.

    Columns ``cell_type`` and ``patient``, as text, labels that mean `missing` `None`, indexed by cell id.
    """
    has_file = config.labels is None or (folder / config.labels.file).is_file()
    if CELL_TYPE not in config.obs or not has_file:
        return None
    raw = inputs.read_raw(folder, config)
    derive = {name: how for name, how in config.derive.items() if name == PATIENT}
    obs, _ = add_derived(raw.obs, derive, raw.path, missing)
    return obs[[name for name in (CELL_TYPE, PATIENT) if name in obs]]


def judge(x: csr_matrix, symbols: Sequence[str], content: str, qc: QC) -> np.ndarray:
    """Return for each cell ``ok``, or the first reason in `OUTCOMES` to leave it out: shape (n_cells,), of text.

    `x` has no stored zeros; its `content` is ``counts`` or ``lognorm``.
    """
    n_genes = np.diff(x.indptr)
    outcome = np.full(x.shape[0], OK, dtype=object)
    if qc.max_mitochondrial is not None:
        outcome[mitochondrial_share(x, symbols, content) > qc.max_mitochondrial] = "many_mitochondrial"
    if qc.max_genes is not None:
        outcome[n_genes > qc.max_genes] = "many_genes"
    outcome[n_genes < qc.min_genes] = "few_genes"
    return outcome


def mitochondrial_share(x: csr_matrix, symbols: Sequence[str], content: str) -> np.ndarray:
    """Return the share of mitochondrial counts in each cell, shape (n_cells,); 0 where no such gene was measured.

    The logarithm of log-normalised values is undone first. That gives the share of the counts if the values are log1p
    of counts scaled per cell and no gene was removed before.
    """
    is_mitochondrial = np.array([symbol.startswith(MITOCHONDRIAL) for symbol in symbols], dtype=np.float64)
    values = x.data.astype(np.float64)
    linear = csr_matrix((np.expm1(values) if content == "lognorm" else values, x.indices, x.indptr), shape=x.shape)
    totals = linear @ np.ones(x.shape[1])
    return np.divide(linear @ is_mitochondrial, totals, out=np.zeros_like(totals), where=totals > 0)


def limits_without_effect(symbols: Sequence[str], qc: QC) -> list[str]:
    """Say which limits of quality control do not apply to a dataset with these genes."""
    if qc.max_mitochondrial is None or any(symbol.startswith(MITOCHONDRIAL) for symbol in symbols):
        return []
    return [f"no mitochondrial gene ({MITOCHONDRIAL}) was measured, so annotate.qc.max_mitochondrial does not apply"]


def common_genes(x: csr_matrix, min_cells: int) -> np.ndarray:
    """Return which genes at least `min_cells` cells express, shape (n_genes,) of bool."""
    return np.bincount(x.indices, minlength=x.shape[1]) >= min_cells
