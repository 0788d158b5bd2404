"""Made-up cells of known types in two batches, a marker table for them, and the settings that annotate them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.params import Annotate
from tests import helpers

N_CELLS = 240
TYPES = ("Blue", "Green", "Red")  # Red has no marker in the table
N_OWN = 12  # genes that a type expresses more
SETTINGS: dict[str, Any] = {
    "qc": {"min_genes": 5, "max_genes": None, "max_mitochondrial": 0.2, "min_cells_per_gene": 3},
    "n_hvgs": 60,
    "n_components": 8,
    "n_neighbors": 10,
    "resolution": 0.5,
    "most_cells": 1000,
    "min_margin": 0.25,
    "seed": 0,
    "umap_epochs": 20,
}


def settings(**changes: Any) -> Annotate:
    """Return the settings, changed."""
    qc = {**SETTINGS["qc"], **changes.pop("qc", {})}
    return Annotate.parse({**SETTINGS, **changes, "qc": qc}, "made")


def symbols() -> list[str]:
    """Return 90 approved symbols of proteins."""
    with helpers.HGNC.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    return [row["Approved symbol"] for row in rows if row["Locus type"] == "gene with protein product"][:90]


def own(cell_type: str) -> list[str]:
    """Return the genes that a type expresses more."""
    start = N_OWN * TYPES.index(cell_type)
    return symbols()[start : start + N_OWN]


def cells(seed: int = 0) -> anndata.AnnData:
    """240 cells of three types and two batches, which differ in a third of the genes that no type has for itself."""
    rng = np.random.default_rng(seed)
    genes = symbols()
    types, batches = np.arange(N_CELLS) % 3, (np.arange(N_CELLS) // 3) % 2
    rate = np.full((N_CELLS, len(genes)), 0.8)
    for place in range(3):
        rate[np.ix_(types == place, np.arange(place * N_OWN, (place + 1) * N_OWN))] = 6.0
    rate[np.ix_(batches == 1, np.arange(70, 90))] = 4.0
    counts = rng.poisson(rate).astype(np.float32)
    obs = pd.DataFrame(
        {"kind": np.array(TYPES)[types], "donor": np.where(batches == 1, "D2", "D1")},
        index=[f"cell{number:03d}" for number in rng.permutation(N_CELLS)],
    )
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes), uns={"x": "counts"})


def markers() -> dict[str, tuple[str, ...]]:
    """Return four genes of two of the types, and a type whose genes the cells do not have."""
    return {"Blue": tuple(own("Blue")[:4]), "Green": tuple(own("Green")[:4]), "Absent": ("NOTAGENE1", "NOTAGENE2")}


def write_markers(path: Path) -> None:
    """Write the marker table."""
    lines = [f"{name}\t{gene}\thttps://example.org\ta list" for name, genes in markers().items() for gene in genes]
    path.write_text("\n".join(["cell_type\tgene\tsource\tquote", *lines]) + "\n")


def dataset(**changes: Any) -> dict[str, Any]:
    """Return the file of a dataset that is annotated."""
    source = {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad"}, "markers.tsv": {"path": "markers.tsv"}}}
    content = {"title": "Mine", "note": "made up", "source": source, "obs": {"cell_type": "kind", "patient": "donor"}}
    return {**content, "annotation": {"batch": "patient"}, **changes}
