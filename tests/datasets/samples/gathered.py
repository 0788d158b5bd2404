"""Both samples in one folder, and a re-analysis of their cells."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.io import mmwrite

from tests.datasets.samples.made import LABELLED, RAW, SYMBOLS, barcodes, table_of, write_labels, write_params


def gather(without_labels: bool = True, **changes: Any) -> None:
    """Put both samples into one folder, as `cellranger aggr` does, with the sample's number behind the barcode."""
    shutil.rmtree(RAW)
    folder = RAW / "all"
    folder.mkdir(parents=True)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(np.vstack([table_of(0), table_of(1)]).T))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
        stream.writelines(f"{barcode}-{sample + 1}\n" for sample in (0, 1) for barcode in barcodes(sample))
    with gzip.open(folder / "genes.tsv.gz", "wt") as stream:
        stream.writelines(f"ENSG{i}\t{name}\n" for i, name in enumerate(SYMBOLS))
    names = ("matrix.mtx", "barcodes.tsv", "genes.tsv")
    if not without_labels:
        write_labels()
    write_params(
        **{
            "source": {
                "kind": "local",
                "files": {**{f"all/{name}.gz": {"path": "x"} for name in names}, "labels.csv": {"path": "x"}},
            },
            "samples": {"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": 2}},
            "reanalysis": {"markers": "any", "batch": "batch"},
            "obs": {"cell_type": "celltype", "batch": "sample"},
            "derive": {"patient": {"of": "batch", "map": {"Con4": "p1", "TAA1": "p2"}}},
            "expected": {"n_cells": 2 * LABELLED + 6, "n_genes": len(SYMBOLS)} if without_labels else None,
            "said": {"GEO": {"n_cells": 2 * LABELLED + 6}},
            **changes,
        }
    )


def reanalysed(cell_types: list[str | None]) -> None:
    """What `genept.annotation` leaves for these cells; `None`: dropped by quality control."""
    ids = [f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)]
    folder = Path("data/aorta/reanalysis")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["cell_id,cluster,cell_type,qc"]
    lines += [f"{i},1,{t},ok" if t else f"{i},,,few_genes" for i, t in zip(ids, cell_types, strict=True)]
    (folder / "cells.csv").write_text("\n".join(lines) + "\n")
    n_dropped = cell_types.count(None)
    counts = {"ok": len(ids) - n_dropped, "few_genes": n_dropped}
    content = {"label_source": "reanalysis", "method": "by hand", "method_version": 1, "cells": counts}
    (folder / "summary.json").write_text(json.dumps(content))
