"""Two samples in different forms, the authors' table of labels, and the label stage run on them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import yaml
from click.testing import CliRunner, Result
from scipy.io import mmwrite

from stages.label import main

RAW = Path("data/aorta/raw")
SYMBOLS = ["TP53", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH"]
LABELLED = 12  # cells of each sample; three more have no label
FILES = {
    "samples/Con4.txt.gz": {"path": "x"},
    **{f"samples/TAA1/{name}.gz": {"path": "x"} for name in ("matrix.mtx", "barcodes.tsv", "features.tsv")},
    "labels.csv": {"path": "x"},
}


def barcodes(sample: int) -> list[str]:
    rng = np.random.default_rng(sample)
    return ["".join(rng.choice(list("ACGT"), 16)) for _ in range(LABELLED + 3)]


def table_of(sample: int) -> np.ndarray:
    """Counts of a sample, cells x genes."""
    return 1 + np.random.default_rng(10 + sample).poisson(1.0, (LABELLED + 3, len(SYMBOLS)))


def write_dense(path: Path, sample: int, genes: list[str] = SYMBOLS, separator: str = "\t") -> None:
    columns = [f"{barcode}.1" for barcode in barcodes(sample)]
    table = pd.DataFrame(table_of(sample).T[: len(genes)], index=genes, columns=columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as stream:
        table.to_csv(stream, sep=separator)


def write_tenx(folder: Path, sample: int) -> None:
    """As Cell Ranger 3 writes them, with a protein among the features."""
    folder.mkdir(parents=True)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(np.hstack([table_of(sample), np.full((LABELLED + 3, 1), 9)]).T))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{barcode}-1\n" for barcode in barcodes(sample))
    kinds = [*((f"ENSG{i}", name, "Gene Expression") for i, name in enumerate(SYMBOLS)), ("CD4p", "CD4p", "Antibody")]
    with gzip.open(folder / "features.tsv.gz", "wt") as stream:
        stream.writelines("\t".join(kind) + "\n" for kind in kinds)


def write_labels(rows: list[tuple[str, str, str]] | None = None) -> None:
    """The authors' table: Seurat's names of cells, and the second sample under another name."""
    if rows is None:
        types = ["Tcell", "SMC", "Unknown"]
        rows = [
            (f"{barcode}.1_{sample + 1}", name, types[i % 3])
            for sample, name in enumerate(("Con4", "ATAA1"))
            for i, barcode in enumerate(barcodes(sample)[:LABELLED])
        ]
    lines = [",orig.ident,celltype", *(",".join(row) for row in rows)]
    (RAW / "labels.csv").write_text("\n".join(lines) + "\n")


def write_params(**changes: Any) -> None:
    content = {
        "title": "Aorta",
        "note": "",
        "source": {"kind": "local", "files": FILES},
        "samples": {"Con4": "samples/Con4.txt.gz", "TAA1": "samples/TAA1"},
        "labels": {"file": "labels.csv", "sample": "orig.ident", "names": {"ATAA1": "TAA1"}},
        "obs": {"cell_type": "celltype", "patient": "sample"},
        "derive": {"phenotype": {"of": "patient", "map": {"Con4": "Control", "TAA1": "Ascending only"}}},
        "expected": {"n_cells": 2 * LABELLED, "n_genes": len(SYMBOLS), "cell_type": 3},
        **changes,
    }
    content = {key: value for key, value in content.items() if value is not None}
    params = {"threads": 1, "label": {"min_class_size": 10}, "datasets": {"aorta": content}}
    Path("params.yaml").write_text(yaml.safe_dump(params))


def run() -> Result:
    return CliRunner().invoke(main, ["aorta"], catch_exceptions=False)


def assert_refused(*texts: str) -> None:
    result = run()
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    for text in texts:
        assert text in result.output
    assert not Path("data/aorta/cells.h5ad").exists()
