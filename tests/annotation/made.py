"""Made-up cells of known types in two batches, a marker table for them, and the parameters that re-analyse them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from tests import helpers

N_CELLS = 240
TYPES = ("Blue", "Green", "Red")  # Red has no marker in the table
N_OWN = 12  # genes that a type expresses more
SHARED: dict[str, Any] = {
    "qc": {"min_genes": 5, "max_genes": None, "max_mitochondrial": 0.2, "min_cells_per_gene": 3},
    "n_hvgs": 60,
    "n_components": 8,
    "n_neighbors": 10,
    "resolution": 0.5,
    "min_margin": 0.25,
    "seed": 0,
    "umap_epochs": 20,
}


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
    return anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes))


def markers() -> dict[str, tuple[str, ...]]:
    """Return four genes of two of the types, and a type whose genes the cells have not."""
    return {"Blue": tuple(own("Blue")[:4]), "Green": tuple(own("Green")[:4]), "Absent": ("NOTAGENE1", "NOTAGENE2")}


def write_table(path: Path, table: dict[str, tuple[str, ...]]) -> None:
    """Write a marker table."""
    lines = ["cell_type\tgene\tsource\tquote"]
    lines += [f"{name}\t{gene}\thttps://example.org/markers\ta list" for name, genes in table.items() for gene in genes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def params(**entry: Any) -> dict[str, Any]:
    """Return parameters with one data set, `mine`, that is re-analysed, and one, `theirs`, that is not."""
    source = {"kind": "local", "files": {"raw.h5ad": {"path": "mine.h5ad"}}}
    content = {"title": "Mine", "note": "made up", "source": source, "obs": {"cell_type": "kind", "patient": "donor"}}
    own = {"markers": "made", "batch": "patient", **entry}
    return {
        "threads": 1,
        "evaluate": {"unknown": ["Unknown"]},
        "reanalysis": {**SHARED, "qc": dict(SHARED["qc"])},
        "datasets": {"mine": {**content, "reanalysis": own}, "theirs": content},
    }
