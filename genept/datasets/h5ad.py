"""Published files of cells: of each only one matrix, ``obs`` and ``var`` are read.

A dataset may be in two files, a reference and a query, as scGPT's authors published theirs; these are joined by gene.
A gene name may stand above several columns. In one file `genept.data.genes` keeps, of columns with one name and
meaning, that with the largest total. So it does here if the repeated columns have the same ids in both files: they are
joined by id, and the totals over both decide, so that both files keep the same column. An id is the column's Ensembl id
or, where another column of ``var`` has the symbols, its entry in the index, else its place in the file. If the ids
differ, nobody can say which columns are one; each file then keeps the one with its own largest total, the first if
equal.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.utils import make_index_unique

from genept.core.errors import InputError, nearest
from genept.data import genes
from genept.data.cells import PART
from genept.datasets import samples, stored, tables
from genept.datasets.config import DatasetConfig, Value
from genept.datasets.matrix import Matrix, in_memory, stack
from genept.datasets.raw import RawDataset, check_values, column, to_schema


def read(path: Path, config: DatasetConfig) -> RawDataset:
    """Read one file: its genes, its values checked, its annotations in the common schema."""
    matrix, raw_obs, var, layers = read_elements(path, config.layer, config.modality)
    is_gene = select_genes(var, config.keep_var, path)
    notes = [matrix.note] if matrix.note else []
    if config.repeated_ids == "number" and (n_repeated := int(raw_obs.index.duplicated().sum())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an id such as AAAC-1 was there before; it is passed over
            raw_obs.index = make_index_unique(raw_obs.index.astype(str))
        notes.append(f"{path.name}: {n_repeated} cells have the id of an earlier cell; they are numbered")
    if config.labels is not None:
        to_schema(raw_obs, {}, path)  # ids are unique
        raw_obs, rows, note = samples.join_labels(raw_obs, path, config.labels)
        matrix = matrix.cells(rows)
        notes.append(note)
    obs = to_schema(raw_obs, config.obs, path)
    del raw_obs  # before the matrix is read
    if 0 in (len(obs), len(var)):
        raise InputError(f"{path}: has {len(obs)} cells and {len(var)} genes; nothing can be scored")
    x = matrix
    if not is_gene.all():
        x, var = x.genes(np.flatnonzero(is_gene)), var[is_gene]
    return RawDataset(path, x, obs, var, check_values(x, config.x, path, layers), notes)


def count_cells(path: Path, modality: str | None = None) -> int | None:
    """Return the number of cells by their ids; None if that takes more than a look, or the file is damaged."""
    try:
        with stored.opened(path, modality) as file:
            if file.kind == stored.ANNDATA:
                return int(file.group["obs"][file.group["obs"].attrs["_index"]].shape[0])
            return int(file.group["barcodes"].shape[0]) if file.kind == stored.TENX else None
    except (InputError, OSError):
        return None


def read_elements(
    path: Path, layer: str | None = None, modality: str | None = None
) -> tuple[Matrix, pd.DataFrame, pd.DataFrame, list[str]]:
    """Read the matrix (cells x genes, in the file's order), ``obs``, ``var`` and the names of the other layers.

    Layer ``raw`` is the layer of that name or, where there is none, the file's ``raw``, with its own ``var``. Counts of
    10x Genomics have no layers and an ``obs`` without columns.
    """
    with stored.opened(path, modality) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file.kind != stored.ANNDATA:
            if layer is not None:
                raise InputError(f"{path}: no layer {layer!r}; a matrix of 10x Genomics has none")
            counts = tables.read_stored(file, path)
            return in_memory(counts.x), pd.DataFrame(index=counts.barcodes), counts.genes, []
        group = file.group
        if missing := [name for name in ("obs", "var") if name not in group]:
            has = ", ".join([*group][:5]) or "nothing"
            raise InputError(
                f"{path}: an HDF5 file but not an h5ad file, it has no {' and no '.join(missing)} (it has {has})"
                if isinstance(group, h5py.Group)
                else f"{path}: a zarr store but not of anndata, it has no {' and no '.join(missing)} (it has {has})"
            )
        obs = stored.read_table(file, "obs", path)
        if "mod" in (whole := getattr(group, "file", {})) and "obs" in whole:
            shared = stored.read_table(file._replace(group=whole), "obs", path)
            obs = obs.join(shared.loc[:, ~shared.columns.isin(obs.columns)])
        layers = {name: f"layers/{name}" for name in group.get("layers", {})}
        if "raw" in group and "X" in getattr(group["raw"], "keys", list)():
            layers.setdefault("raw", "raw/X")
        listed = f"it has {', '.join(layers) or 'none'}"
        if layer is None and ("X" not in group or group["X"].attrs.get("encoding-type") == "null"):
            raise InputError(f"{path}: has no X; name a layer as `layer:` in the dataset's file ({listed})")
        if layer is not None and layer not in layers:
            raise InputError(f"{path}: no layer {layer!r}{nearest(layer, layers)}; {listed}")
        name = "X" if layer is None else layers[layer]
        var = stored.read_table(file, "raw/var" if name == "raw/X" else "var", path)
        matrix = stored.read_matrix(file, name, (len(obs), len(var)), path, modality)
        return matrix, obs, var, [other for other in layers if other != layer]


def select_genes(var: pd.DataFrame, keep: dict[str, Value | list[Value]], path: Path) -> np.ndarray:
    """Return which rows of `var` are genes, shape (n_var,): those whose columns have a value named in ``keep_var``."""
    selected = np.ones(len(var), dtype=bool)
    for name, value in keep.items():
        values = column(var, name, path, "keep_var").astype(str)
        allowed = [str(item) for item in (value if isinstance(value, list) else [value])]
        selected &= np.isin(values, allowed)
        if not selected.any():
            seen = ", ".join(map(repr, sorted(values.unique())[:5]))
            raise InputError(
                f"{path}: keep_var leaves no gene, var[{name!r}] is never {' or '.join(allowed)}; it has {seen}"
            )
    return selected


def read_reference_and_query(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read reference and query: the genes that both have, in the order of the reference."""
    names = config.cell_files
    reference, query = datasets = [read(folder / name, config) for name in names.values()]
    if reference.content != query.content:
        raise InputError(f"{folder}: one of {' and '.join(names.values())} holds counts, the other does not")
    columns = [describe_columns(dataset, config) for dataset in datasets]
    places, repeats = match_columns(*columns)
    if not places[0]:
        raise InputError(f"{folder}: {' and '.join(names.values())} have no gene in common")
    x = stack([dataset.x.genes(np.array(own)) for dataset, own in zip(datasets, places, strict=True)])
    var, shared = reference.var.iloc[places[0]], set(columns[0]["name"].iloc[places[0]])
    obs = pd.concat([dataset.obs.assign(**{PART: part}) for part, dataset in zip(names, datasets, strict=True)])
    notes = [*reference.notes, *query.notes]
    for name, own in zip(names.values(), columns, strict=True):
        if n_alone := int((~own["name"].isin(shared)).sum()):
            notes.append(f"{name}: {n_alone} of {len(own)} genes are not in the other file")
    notes += repeats
    if not obs.index.is_unique:
        obs.index = pd.Index(obs[PART] + "_" + obs.index, name=obs.index.name)
        notes.append("cells of both files share ids, so reference or query stands before each id")
    return RawDataset(folder, x, obs, var, reference.content, notes)


def describe_columns(dataset: RawDataset, config: DatasetConfig) -> pd.DataFrame:
    """Return name, id and total of each gene of a file; the top of this file says what an id is."""
    var = dataset.var
    if config.ensembl is not None and config.ensembl in {*var.columns, var.index.name, "index"}:
        ids = [genes.unversioned(text) for text in dataset.ensembl_ids(config) or ()]
    elif config.symbol is not None:  # the index may be something else in one of them
        ids = [str(text) for text in var.index]
    else:
        ids = [str(place) for place in range(len(var))]
    return pd.DataFrame({"name": dataset.gene_names(config), "id": ids, "total": dataset.x.survey.gene_totals})


def match_columns(reference: pd.DataFrame, query: pd.DataFrame) -> tuple[list[list[int]], list[str]]:
    """Find the columns that both files have.

    A name is in the result once, or, if its columns have the same ids in both files, as often as the files have it.
    Returns of each file the places of these columns, in the order of the reference; and a sentence for each way in
    which repeated names were settled.
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
