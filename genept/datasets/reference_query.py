"""A data set's file, or its two: scGPT's reference and query sets are one data set in two h5ad files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.data import genes
from genept.data.cells import PART
from genept.datasets import counts, obs, repeated
from genept.datasets import h5ad as source
from genept.datasets.entry import Entry
from genept.datasets.raw import Whole


def read(folder: Path, entry: Entry) -> Whole:
    """Read a data set's file or files; of two, the genes that both have, in the order of the first.

    Raises
    ------
    InputError
        If a file is damaged, lacks what the entry names, or holds other values than the entry says, or if two files
        share no gene.
    """
    wholes = {part: read_file(folder / name, entry) for part, name in entry.files.items()}
    first = next(iter(wholes.values()))
    if len(wholes) == 1:
        return first
    contents = {whole.content for whole in wholes.values()}
    if len(contents) > 1:
        raise InputError(f"{folder}: one of {' and '.join(entry.files.values())} holds counts, the other does not")
    columns = [columns_of(whole, entry, folder / entry.files[part]) for part, whole in wholes.items()]
    joined = repeated.join(columns)
    if not joined.columns[0]:
        raise InputError(f"{folder}: {' and '.join(entry.files.values())} have no gene in common")
    matrices = [whole.x[:, places] for whole, places in zip(wholes.values(), joined.columns, strict=True)]
    shared = {columns[0].names[i] for i in joined.columns[0]}
    labels = pd.concat([whole.labels.assign(**{PART: part}) for part, whole in wholes.items()])
    notes = [note for whole in wholes.values() for note in whole.notes] + [
        f"{entry.files[part]}: {n_alone} of {len(here.names)} genes are not in the other file"
        for part, here in zip(wholes, columns, strict=True)
        if (n_alone := sum(name not in shared for name in here.names))
    ]
    notes += joined.notes
    if not labels.index.is_unique:
        labels.index = pd.Index(labels[PART] + "_" + labels.index, name=labels.index.name)
        notes.append("cells of both files share ids, so the part stands before each id")
    var = first.var.iloc[joined.columns[0]].set_axis([columns[0].names[i] for i in joined.columns[0]])
    return Whole(sp.vstack(matrices, format="csr"), labels, var, first.content, notes)


def columns_of(whole: Whole, entry: Entry, path: Path) -> repeated.Columns:
    """Return names, ids and totals of a file's genes; see `genept.datasets.repeated` for the ids."""
    names = whole.var.index if entry.symbol is None else source.column(whole.var, entry.symbol, path, "var", "symbol")
    if entry.ensembl is not None and entry.ensembl in whole.var:
        ids = [genes.unversioned(str(text)) for text in whole.var[entry.ensembl]]
    elif entry.symbol is not None:  # the index may be something else in one of them
        ids = [str(text) for text in whole.var.index]
    else:
        ids = [str(place) for place in range(len(whole.var))]
    totals = np.asarray(whole.x.sum(axis=0, dtype=np.float64)).ravel()
    return repeated.Columns([str(name) for name in names], ids, totals)


def read_file(path: Path, entry: Entry) -> Whole:
    """Read one file: its genes, its values checked, its labels in the common schema."""
    matrix, raw_obs, var = source.read(path, entry.layer)
    is_gene = source.select_var(var, entry.keep_var, path)
    notes = []
    if entry.numbers_repeated_ids and (n_repeated := int(raw_obs.index.duplicated().sum())):
        raw_obs.index = obs.numbered(raw_obs.index)
        notes.append(f"{path.name}: {n_repeated} cells have the id of an earlier cell; they are numbered")
    labels = obs.to_schema(raw_obs, entry.obs, path)
    if 0 in (len(labels), len(var)):
        raise InputError(f"{path}: has {len(labels)} cells and {len(var)} genes; nothing can be scored")
    x = counts.to_csr(matrix)
    if not is_gene.all():
        x, var = x[:, np.flatnonzero(is_gene)], var[is_gene]
    try:
        content = counts.check(x, entry.x, source.other_layers(path, entry.layer))
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from None
    return Whole(x, labels, var, content, notes)
