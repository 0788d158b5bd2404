"""Datasets in two h5ad files, a reference and a query, as scGPT's authors published theirs: joined by gene.

A gene name may stand above several columns. In one file `genept.data.genes` keeps, of columns with one name and
meaning, that with the largest total. So it does here if the repeated columns have the same ids in both files: they are
joined by id, and the totals over both decide, so that both files keep the same column. An id is the column's Ensembl id
or, where another column of ``var`` has the symbols, its entry in the index, else its place in the file. If the ids
differ, nobody can say which columns are one; each file then keeps the one with its own largest total, the first if
equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from genept.core.errors import InputError
from genept.data import genes
from genept.data.cells import PART
from genept.datasets import h5ad
from genept.datasets.config import DatasetConfig
from genept.datasets.raw import RawDataset, gene_names, gene_totals


class Columns(NamedTuple):
    """The columns of one file: their names, their ids and their sums over its cells."""

    names: list[str]
    ids: list[str]
    totals: np.ndarray


def read(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read reference and query: the genes that both have, in the order of the reference."""
    files = config.h5ad_files
    datasets = {part: h5ad.read(folder / name, config) for part, name in files.items()}
    reference = next(iter(datasets.values()))
    if len({dataset.content for dataset in datasets.values()}) > 1:
        raise InputError(f"{folder}: one of {' and '.join(files.values())} holds counts, the other does not")
    columns = [describe_columns(dataset, config, folder / files[part]) for part, dataset in datasets.items()]
    places, notes = match_columns(columns)
    if not places[0]:
        raise InputError(f"{folder}: {' and '.join(files.values())} have no gene in common")
    matrices = [dataset.x[:, order] for dataset, order in zip(datasets.values(), places, strict=True)]
    names = [columns[0].names[i] for i in places[0]]
    shared = set(names)
    obs = pd.concat([dataset.obs.assign(**{PART: part}) for part, dataset in datasets.items()])
    notes = [
        *(note for dataset in datasets.values() for note in dataset.notes),
        *(
            f"{files[part]}: {n_alone} of {len(own.names)} genes are not in the other file"
            for part, own in zip(datasets, columns, strict=True)
            if (n_alone := sum(name not in shared for name in own.names))
        ),
        *notes,
    ]
    if not obs.index.is_unique:
        obs.index = pd.Index(obs[PART] + "_" + obs.index, name=obs.index.name)
        notes.append("cells of both files share ids, so reference or query stands before each id")
    var = reference.var.iloc[places[0]].set_axis(names)
    return RawDataset(sp.vstack(matrices, format="csr"), obs, var, reference.content, notes)


def describe_columns(dataset: RawDataset, config: DatasetConfig, path: Path) -> Columns:
    """Return names, ids and totals of a file's genes; the top of this file says what an id is."""
    var = dataset.var
    if config.ensembl is not None and config.ensembl in var:
        ids = [genes.unversioned(str(text)) for text in var[config.ensembl]]
    elif config.symbol is not None:  # the index may be something else in one of them
        ids = [str(text) for text in var.index]
    else:
        ids = [str(place) for place in range(len(var))]
    return Columns(gene_names(var, config, path), ids, gene_totals(dataset.x))


def match_columns(files: Sequence[Columns]) -> tuple[list[list[int]], list[str]]:
    """Find the columns that all files have.

    A name is in the result once, or, if its columns have the same ids in all files, as often as the files have it.

    Returns
    -------
    Of each file the places of these columns, in the order of the first file; and a sentence for each way in which
    repeated names were settled.
    """
    places = [places_by_name(columns.names) for columns in files]
    matches: list[dict[tuple[str, str], int]] = [{} for _ in files]  # of each file: (name, id) -> place
    by_id, by_total = list[str](), list[str]()
    for name in places[0]:
        if not all(name in others for others in places):
            continue
        repeats = [own[name] for own in places]
        ids = [sorted(columns.ids[i] for i in own) for columns, own in zip(files, repeats, strict=True)]
        is_repeated = any(len(own) > 1 for own in repeats)
        has_same_ids = len(set(ids[0])) == len(ids[0]) and all(own == ids[0] for own in ids)
        if is_repeated:
            (by_id if has_same_ids else by_total).append(name)
        for match, columns, own in zip(matches, files, repeats, strict=True):
            if is_repeated and has_same_ids:
                match.update({(name, columns.ids[i]): i for i in own})
            else:
                match[name, ""] = max(own, key=lambda i: (columns.totals[i], -i))
    order = sorted(matches[0], key=matches[0].__getitem__)
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
    return [[match[key] for key in order] for match in matches], notes


def places_by_name(names: list[str]) -> dict[str, list[int]]:
    """Return the places of each name."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places
