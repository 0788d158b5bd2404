"""Datasets in two h5ad files, a reference and a query, as scGPT's authors published theirs: joined by gene.

A gene name may stand above several columns. In one file `genept.data.genes` keeps, of columns with one name and
meaning, that with the largest total. So it does here if the repeated columns have the same ids in both files: they are
joined by id, and the totals over both decide, so that both files keep the same column. An id is the column's Ensembl id
or, where another column of ``var`` has the symbols, its entry in the index, else its place in the file. If the ids
differ, nobody can say which columns are one; each file then keeps the one with its own largest total, the first if
equal.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.data import genes
from genept.data.cells import PART
from genept.datasets import h5ad
from genept.datasets.config import DatasetConfig
from genept.datasets.raw import RawDataset


def read(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read reference and query: the genes that both have, in the order of the reference."""
    names = config.h5ad_files
    reference, query = datasets = [h5ad.read(folder / name, config) for name in names.values()]
    if reference.content != query.content:
        raise InputError(f"{folder}: one of {' and '.join(names.values())} holds counts, the other does not")
    columns = [describe_columns(dataset, config) for dataset in datasets]
    places, repeats = match_columns(*columns)
    if not places[0]:
        raise InputError(f"{folder}: {' and '.join(names.values())} have no gene in common")
    x = sp.vstack([dataset.x[:, own] for dataset, own in zip(datasets, places, strict=True)], format="csr")
    var = reference.var.iloc[places[0]].set_axis(columns[0]["name"].iloc[places[0]].to_list())
    obs = pd.concat([dataset.obs.assign(**{PART: part}) for part, dataset in zip(names, datasets, strict=True)])
    notes = [*reference.notes, *query.notes]
    for name, own in zip(names.values(), columns, strict=True):
        if n_alone := int((~own["name"].isin(var.index)).sum()):
            notes.append(f"{name}: {n_alone} of {len(own)} genes are not in the other file")
    notes += repeats
    if not obs.index.is_unique:
        obs.index = pd.Index(obs[PART] + "_" + obs.index, name=obs.index.name)
        notes.append("cells of both files share ids, so reference or query stands before each id")
    return RawDataset(folder, x, obs, var, reference.content, notes)


def describe_columns(dataset: RawDataset, config: DatasetConfig) -> pd.DataFrame:
    """Return name, id and total of each gene of a file; the top of this file says what an id is."""
    var = dataset.var
    if config.ensembl is not None and config.ensembl in var:
        ids = [genes.unversioned(str(text)) for text in var[config.ensembl]]
    elif config.symbol is not None:  # the index may be something else in one of them
        ids = [str(text) for text in var.index]
    else:
        ids = [str(place) for place in range(len(var))]
    return pd.DataFrame({"name": dataset.gene_names(config), "id": ids, "total": dataset.gene_totals()})


def match_columns(reference: pd.DataFrame, query: pd.DataFrame) -> tuple[list[list[int]], list[str]]:
    """Find the columns that both files have.

    A name is in the result once, or, if its columns have the same ids in both files, as often as the files have it.

    Returns
    -------
    Of each file the places of these columns, in the order of the reference; and a sentence for each way in which
    repeated names were settled.
    """
    repeated = {name for own in (reference, query) for name in own["name"][own["name"].duplicated()]}
    shared = reference["name"][reference["name"].isin(query["name"])].unique()
    by_id, by_total = list[str](), list[str]()
    for name in shared:
        if name in repeated:
            ids, others = (sorted(own["id"][own["name"] == name]) for own in (reference, query))
            (by_id if ids == others and len(set(ids)) == len(ids) else by_total).append(name)
    matches = []
    for own in (reference, query):
        own = own[own["name"].isin(shared)]
        own = own.assign(id=own["id"].where(own["name"].isin(by_id), ""))
        matches.append(own.groupby(["name", "id"])["total"].idxmax())  # the first, if equal
    order = matches[0].sort_values().index
    settled = {
        "joined by their ids, equal in both files; of one meaning the larger total over both decides": by_id,
        "their ids differ between the files, so each keeps the column with its largest total": by_total,
    }
    notes = [
        f"{len(names)} gene names are those of several columns ({', '.join(names[:5])}"
        f"{', ...' if len(names) > 5 else ''}): {how}"
        for how, names in settled.items()
        if names
    ]
    return [match[order].to_list() for match in matches], notes
