"""From a raw dataset to labelled cells: annotations in the common schema, approved symbols, the evaluated cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from anndata.io import write_elem

from genept.core.errors import InputError
from genept.data import genes
from genept.data.cells import PART
from genept.datasets import inputs, raw, subset
from genept.datasets.config import ANNOTATION, AUTHOR, USER, DatasetConfig
from genept.datasets.derive import add_derived
from genept.datasets.obs import check_scorable, fill
from genept.datasets.raw import RawDataset

COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}  # gzip: other languages read it too


@dataclass(frozen=True)
class Labelled:
    """A labelled dataset: its cells, and all that the verification record says of how they came about."""

    cells: AnnData  # the evaluated cells
    corpus: AnnData | None  # the other cells, if wanted
    obs: pd.DataFrame  # the annotations of both, in the order of the file, missing labels being None
    content: str  # what X holds: counts or lognorm
    columns: dict[str, str]  # of each annotation the column of the file, or `derived` or `annotation`
    derived: dict[str, dict[str, Any]]  # how each derived annotation was made
    label_source: str  # author, annotation or user
    labels_from: dict[str, str]  # path and sha256 of a table of labels from this machine; else empty
    annotation: dict[str, Any]  # how `annotate` gave the cell types; empty where the labels are those of a file
    genes: genes.Harmonised
    checked: dict[str, dict[str, Any]]  # the numbers in the files beside those expected
    n_empty: int  # cells dropped because they have no count
    n_dropped_by_qc: int  # cells that the annotation's quality control left out
    notes: list[str]  # what a user should know, one sentence each

    def uns(self) -> dict[str, Any]:
        """Return what an h5ad says of itself: what X holds (``x``), and how the labels came about, as in the record."""
        method = {key: self.annotation[key] for key in ("method", "method_version") if key in self.annotation}
        content = {"x": self.content, "label_source": self.label_source}
        return content | {k: v for k, v in (("labels_from", self.labels_from), ("annotation", method)) if v}


def label(folder: Path, config: DatasetConfig, table: genes.Table, dataset: str, with_corpus: bool = False) -> Labelled:
    """Read, check, harmonise and divide a dataset, whose files are in `folder`.

    Parameters
    ----------
    table
        The HGNC table.
    with_corpus
        Whether the cells outside the evaluated subset are wanted, too.

    Raises
    ------
    InputError
        If a file is damaged or contradicts the config.
    """
    where = inputs.where(folder, config)
    annotation, labels_from = dict[str, Any](), dict[str, str]()
    if inputs.uses_annotation(folder, config):
        published = inputs.read_raw(folder, config.without_cell_types())
        dataset_raw, annotation = join_cell_types(published, dataset)
        label_source = ANNOTATION
    else:
        dataset_raw = published = inputs.read_raw(folder, config)
        labels_from = inputs.local_labels(folder, config)
        label_source = config.label_source or (USER if labels_from else AUTHOR)
    obs, derived = add_derived(dataset_raw.obs, config.derive, where)
    origins = config.obs | dict.fromkeys(derived, "derived") | ({"cell_type": ANNOTATION} if annotation else {})
    columns = {str(key): origins[str(key)] for key in obs if key != PART}
    checked = check_expected(where, config.expected, count(published, obs))
    n_dropped_by_qc = len(published.obs) - len(dataset_raw.obs)
    x, var, content, notes = dataset_raw.x, dataset_raw.var, dataset_raw.content, dataset_raw.notes
    del published, dataset_raw  # the matrix may be most of the memory: no more than one name holds it from here on
    harmonised = raw.harmonise(x, var, config, table, where)
    if len(harmonised.keep) < x.shape[1]:
        x = x[:, harmonised.keep]
    x = x.astype(np.float32, copy=False)

    is_empty = np.diff(x.indptr) == 0
    if is_empty.all():
        raise InputError(f"{where}: none of its {len(obs)} cells has a count")
    if is_empty.any():
        x, obs = x[~is_empty], obs[~is_empty]
    filled = fill(obs)
    by = config.subset.by if config.subset else None
    evaluated = subset.draw(list(obs.index), None if by is None else list(filled[by]), config.subset)
    notes = [*notes, *check_scorable(filled[evaluated], dataset, is_annotated=bool(annotation))]
    return Labelled(
        cells=assemble(select_rows(x, evaluated), filled[evaluated], harmonised),
        corpus=assemble(x[~evaluated], filled[~evaluated], harmonised) if with_corpus else None,
        obs=obs,
        content=content,
        columns=columns,
        derived=derived,
        label_source=label_source,
        labels_from=labels_from,
        annotation=annotation,
        genes=harmonised,
        checked=checked,
        n_empty=int(is_empty.sum()),
        n_dropped_by_qc=n_dropped_by_qc,
        notes=notes,
    )


def join_cell_types(published: RawDataset, dataset: str) -> tuple[RawDataset, dict[str, Any]]:
    """Give the cells the types that ``annotate`` found, without those that its quality control left out.

    Returns
    -------
    The cells, and the summary of the annotation.
    """
    annotated = inputs.read_annotation(dataset)
    again = f"`dvc repro annotate@{dataset}` makes it"
    if annotated is None:
        raise InputError(f"{dataset}: no file has cell types, and there is no annotation; {again}")
    cell_types, summary = annotated
    if set(cell_types.index) != set(published.obs.index):
        raise InputError(f"{dataset}: the annotation is of other cells than data/{dataset}/raw; {again}")
    types = cell_types.reindex(published.obs.index).to_numpy()
    rows = np.flatnonzero(pd.notna(types))
    obs = published.obs.iloc[rows].copy()
    obs.insert(0, "cell_type", types[rows])
    note = f"cell types by annotation of clusters; its quality control left out {len(types) - len(rows)} cells"
    return RawDataset(published.x[rows], obs, published.var, published.content, [*published.notes, note]), summary


def count(published: RawDataset, obs: pd.DataFrame) -> dict[str, int]:
    """Count what ``expected`` can name: cells and genes, the cells of each part, and the labels of each annotation.

    Parameters
    ----------
    published
        What the files hold, before any cell is left out.
    obs
        The annotations of the cells, derived ones and those of ``annotate`` included. `None` is no label.
    """
    n_cells, n_genes = published.x.shape
    parts: Mapping[Any, int] = published.obs[PART].value_counts().to_dict() if PART in published.obs else {}
    return {
        "n_cells": n_cells,
        "n_genes": n_genes,
        **{str(part): int(number) for part, number in parts.items()},
        **{str(key): int(values.nunique()) for key, values in obs.items() if key != PART},
    }


def check_expected(where: Path, expected: dict[str, int], counted: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Compare the numbers in the files with those that the config expects; return both, for the record."""
    wrong = [f"{key} is {counted.get(key, 0)}, not {n}" for key, n in expected.items() if counted.get(key) != n]
    if wrong:
        raise InputError(f"{where} is not as expected: {'; '.join(wrong)}; correct `expected` in the dataset's file")
    return {
        key: {"found": n} | ({"expected": expected[key], "match": True} if key in expected else {})
        for key, n in counted.items()
    }


def select_rows(x: sp.csr_matrix, selected: np.ndarray) -> sp.csr_matrix:
    """Return the selected cells; where these are all, the values are not copied."""
    if not selected.all():
        return x[selected]
    return sp.csr_matrix((x.data, x.indices, x.indptr), shape=x.shape)  # indices of 32 bits if they fit, as above


def assemble(x: sp.csr_matrix, obs: pd.DataFrame, harmonised: genes.Harmonised) -> AnnData:
    """Put cells into an AnnData; labels become categories in alphabetical order."""
    var = pd.DataFrame(
        {"ensembl_id": harmonised.ensembl_ids, "original_symbol": harmonised.original},
        index=pd.Index(harmonised.symbols, name="symbol"),
    )
    return AnnData(x, obs=obs.astype("category"), var=var)


def write(path: Path, cells: AnnData, uns: dict[str, Any]) -> None:
    """Write an h5ad with `uns`, texts and numbers; equal cells give equal bytes."""
    with h5py.File(path, "w") as file:
        write_elem(file, "/", cells, dataset_kwargs=COMPRESSION)
        for key, value in uns.items():
            write_elem(file["uns"], key, value)  # by itself, since HDF5 compresses no scalars
