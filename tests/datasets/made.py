"""Small published files in every form, a dataset's file for them, and the label stage run on both."""

from __future__ import annotations

import functools
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import click.testing
import numpy as np
import pandas as pd
import scipy.sparse as sp
import yaml
from scipy.io import mmwrite

from genept.datasets.config import DatasetConfig
from stages.label import main
from tests import helpers

FOLDER = Path("data/mine/raw")
RAW = FOLDER / "raw.h5ad"
RECORD = Path("metrics/verification/mine.json")
CELLS, CORPUS = Path("data/mine/labelled/cells.h5ad"), Path("data/corpus/mine/cells.h5ad")
OUTPUTS = (CELLS, Path("data/mine/labelled/obs.csv"), CORPUS, RECORD)
SYMBOLS = ["TP53", "IL8", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH", "ACTB", "AC000001.1", "AMY1"]
N_CELLS = 60

# One h5ad.


def make_cells() -> anndata.AnnData:
    """60 cells of 6 donors, 3 cell types and 2 conditions; 12 genes; counts in X, their logarithms in a layer."""
    rng = np.random.default_rng(7)
    matrix = rng.poisson(1.5, size=(N_CELLS, len(SYMBOLS))).astype(np.float32)
    matrix[:, 0] += 1  # no empty cell
    donors = np.arange(N_CELLS) % 6
    table = pd.DataFrame(
        {
            "celltype": pd.Categorical(np.array(["B", "T", "NK"])[np.arange(N_CELLS) % 3]),
            "donor": donors,
            "condition": np.where(donors < 3, "sick", "well"),
        },
        index=[f"cell{number}" for number in range(N_CELLS)],
    )
    data = anndata.AnnData(sp.csr_matrix(matrix), obs=table, var=pd.DataFrame(index=SYMBOLS))
    data.layers["logged"] = sp.csr_matrix(np.log1p(matrix / matrix.sum(axis=1, keepdims=True) * 1e4))
    return data


def local(*names: str, **items: Any) -> dict[str, Any]:
    """A source of files on this machine."""
    return {"kind": "local", "files": {name: {"path": name} for name in names} | items}


def content(**changes: Any) -> dict[str, Any]:
    """The smallest possible dataset's file, with changes; `None` takes a key out."""
    smallest = {
        "title": "Mine",
        "note": "",
        "source": local("raw.h5ad"),
        "obs": {"cell_type": "celltype", "patient": "donor", "phenotype": "condition"},
    }
    return {key: value for key, value in {**smallest, **changes}.items() if value is not None}


def parse(**changes: Any) -> DatasetConfig:
    return DatasetConfig.parse(content(**changes), "data/mine.yaml")


def configure(**changes: Any) -> None:
    """Write the dataset's file."""
    Path("data/mine.yaml").write_text(yaml.safe_dump(content(**changes), sort_keys=False))


@functools.cache
def params_text(pretrain: str = "mine") -> str:
    """The repository's params.yaml, with a grid that pretrains on one dataset and no other grids."""
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    grid = {"datasets": ["mine", "other"], "models": {"custom": [params["baseline"]]}, "pretrain": [pretrain]}
    return yaml.safe_dump({**params, "threads": 1, "grid": grid, "grids": {}})


def change(how: Callable[[anndata.AnnData], Any]) -> None:
    """Rewrite the raw file after changing the cells; `how` may return others."""
    data = anndata.read_h5ad(RAW)
    result = how(data)
    (result if isinstance(result, anndata.AnnData) else data).write_h5ad(RAW)


def set_value(value: float) -> Callable[[anndata.AnnData], None]:
    """Change one value, of cell 3 and gene 2."""
    is_there = np.zeros((N_CELLS, len(SYMBOLS)), dtype=bool)
    is_there[3, 2] = True
    return set_x(lambda x: np.where(is_there, value, x.astype(np.float64)))


def set_x(matrix: Callable[[np.ndarray], Any]) -> Callable[[anndata.AnnData], None]:
    return lambda data: setattr(data, "X", matrix(data.X.toarray()))


def put(attribute: str, value: Any) -> Callable[[anndata.AnnData], None]:
    return lambda data: setattr(data, attribute, value)


def set_obs(column: str, values: Any) -> Callable[[anndata.AnnData], None]:
    return lambda data: data.obs.__setitem__(column, values)


def split_files(query: anndata.AnnData | None = None, **changes: Any) -> None:
    """Put the file's first 40 cells into reference.h5ad and the others, or `query`, into query.h5ad."""
    data = anndata.read_h5ad(RAW)
    RAW.unlink()
    data[:40].copy().write_h5ad(FOLDER / "reference.h5ad")
    (data[40:].copy() if query is None else query).write_h5ad(FOLDER / "query.h5ad")
    configure(source=local("reference.h5ad", "query.h5ad"), **changes)


# Samples: one as a dense table, one as 10x files, and a table of labels.

GENES = ["TP53", "CD4", "CD8A", "CD14", "MS4A1", "NKG7", "LYZ", "GAPDH"]
LABELLED = 12  # cells of each sample; three more have no label
DENSE, TENX = FOLDER / "samples/Con4.txt.gz", FOLDER / "samples/TAA1"
LABELS = {"file": "labels.csv", "sample": "orig.ident", "names": {"ATAA1": "TAA1"}}


def barcodes(sample: int) -> list[str]:
    letters = np.random.default_rng(sample).choice(list("ACGT"), (LABELLED + 3, 16))
    return ["".join(row) for row in letters]


def counts_of(sample: int) -> np.ndarray:
    """Counts of a sample, cells x genes."""
    return 1 + np.random.default_rng(10 + sample).poisson(1.0, (LABELLED + 3, len(GENES)))


def write_text(path: Path, text: str) -> None:
    with gzip.open(path, "wt") as stream:
        stream.write(text)


def write_dense(genes: list[str] = GENES, separator: str = "\t") -> None:
    columns = [f"{barcode}.1" for barcode in barcodes(0)]
    table = pd.DataFrame(counts_of(0).T[: len(genes)], index=genes, columns=columns)
    write_text(DENSE, table.to_csv(sep=separator))


def write_tenx(folder: Path, counts: np.ndarray, names: list[str], features: str) -> None:
    """Write the three files of 10x Genomics; `features` names the file of genes, of Cell Ranger 3 with a protein."""
    folder.mkdir(parents=True)
    rows = [f"ENSG{i}\t{name}" for i, name in enumerate(GENES)]
    if features.startswith("features"):
        counts = np.hstack([counts, np.full((len(counts), 1), 9)])
        rows = [*(f"{row}\tGene Expression" for row in rows), "CD4p\tCD4p\tAntibody"]
    with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
        mmwrite(stream, sp.coo_matrix(counts.T))
    write_text(folder / "barcodes.tsv.gz", "".join(f"{name}\n" for name in names))
    write_text(folder / features, "".join(f"{row}\n" for row in rows))


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
    (FOLDER / "labels.csv").write_text("\n".join(lines) + "\n")


def sample_keys(**changes: Any) -> dict[str, Any]:
    tenx = [f"samples/TAA1/{name}.tsv.gz" for name in ("barcodes", "features")]
    return {
        "source": local("samples/Con4.txt.gz", "samples/TAA1/matrix.mtx.gz", *tenx, "labels.csv"),
        "samples": {"Con4": "samples/Con4.txt.gz", "TAA1": {"path": "samples/TAA1"}},
        "labels": LABELS,
        "obs": {"cell_type": "celltype", "patient": "sample"},
        "derive": {"phenotype": {"of": "patient", "map": {"Con4": "Control", "TAA1": "Ascending only"}}},
        "expected": {"n_cells": 2 * LABELLED, "n_genes": len(GENES), "cell_type": 2},  # and Unknown
        **changes,
    }


def write_samples(**changes: Any) -> None:
    DENSE.parent.mkdir(parents=True)
    write_dense()
    write_tenx(TENX, counts_of(1), [f"{barcode}-1" for barcode in barcodes(1)], "features.tsv.gz")
    write_labels()
    configure(**sample_keys(**changes))


def gather(**changes: Any) -> None:
    """Put both samples into one folder, as `cellranger aggr` does; no table of labels, `annotate` gives cell types."""
    shutil.rmtree(FOLDER)
    names = [f"{barcode}-{sample + 1}" for sample in (0, 1) for barcode in barcodes(sample)]
    write_tenx(FOLDER / "all", np.vstack([counts_of(0), counts_of(1)]), names, "genes.tsv.gz")
    tenx = [f"all/{name}.gz" for name in ("matrix.mtx", "barcodes.tsv", "genes.tsv")]
    gathered = {
        "source": local(*tenx, "labels.csv", "markers.tsv"),
        "samples": {"Con4": {"path": "all", "suffix": 1}, "TAA1": {"path": "all", "suffix": "2"}},
        "annotation": {"batch": "batch"},
        "obs": {"cell_type": "celltype", "batch": "sample"},
        "derive": {"patient": {"of": "batch", "map": {"Con4": "p1", "TAA1": "p2"}}},
        "expected": {},
    }
    configure(**sample_keys(**{**gathered, **changes}))


def annotate(cell_types: list[str | None]) -> None:
    """What ``annotate`` leaves for these cells; `None`: dropped by quality control."""
    ids = [f"{name}_{barcode}" for sample, name in enumerate(("Con4", "TAA1")) for barcode in barcodes(sample)]
    folder = Path("data/mine/annotation")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["cell_id,cluster,cell_type,qc"]
    lines += [f"{i},1,{t},ok" if t else f"{i},,,few_genes" for i, t in zip(ids, cell_types, strict=True)]
    (folder / "cells.csv").write_text("\n".join(lines) + "\n")
    cells = {"ok": len(ids) - cell_types.count(None), "few_genes": cell_types.count(None)}
    summary = {"label_source": "annotation", "method": "by hand", "method_version": 1, "cells": cells}
    (folder / "summary.json").write_text(json.dumps(summary))


def in_turn(*steps: Callable[[], Any]) -> Callable[[], Any]:
    """Several changes as one, for a table of refusals."""
    return lambda: [step() for step in steps]


# The stage, and what must be true after it.


def invoke(dataset: str = "mine") -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, [dataset], catch_exceptions=False)


def run() -> tuple[anndata.AnnData, dict[str, Any]]:
    """The evaluated cells and the record."""
    result = invoke()
    assert result.exit_code == 0, result.output
    return anndata.read_h5ad(CELLS), json.loads(RECORD.read_text())


def write_earlier_results() -> None:
    for path in OUTPUTS:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"earlier")


def assert_refused(exit_code: int, *texts: str) -> None:
    """One clear line, and every earlier result as it was."""
    write_earlier_results()
    result = invoke()
    *_, line = result.output.splitlines()  # of a large file, after what it will take
    assert result.exit_code == exit_code and line.startswith("Error: "), result.output
    assert "Error: " not in result.output.removesuffix(f"{line}\n") and "Traceback" not in result.output, result.output
    for text in texts:
        assert text in result.output, result.output
    assert all(path.read_bytes() == b"earlier" for path in OUTPUTS)
    assert not list(Path().rglob(".writing-*"))
