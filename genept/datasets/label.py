"""From a published h5ad to the cells that later stages read: the parts of this folder in their order."""

from __future__ import annotations

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
from genept.datasets import derive, obs, origin, record, samples, subset
from genept.datasets import h5ad as source
from genept.datasets import reference_query as parts
from genept.datasets.entry import AUTHOR, REANALYSIS, USER, Entry
from genept.datasets.raw import Whole

COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}  # gzip: other languages read it too


@dataclass(frozen=True)
class Labelled:
    """A labelled data set.

    Attributes
    ----------
    cells, rest
        The evaluated cells and the others.
    labels
        The annotations of both, in the order of the file, missing labels being `None`.
    content
        What X holds, ``counts`` or ``lognorm``.
    columns
        Of each annotation the column of the file, or how else it came about.
    derived
        How each derived annotation was made.
    label_source
        ``author``, ``reanalysis`` or ``user``.
    labels_from
        Of a table of labels that was put on this machine by hand its path and sha256; else empty.
    reanalysis
        Of a re-analysis how it was done; empty where the labels are those of a file.
    genes
        What became of the gene names.
    checked
        The numbers found in the file beside those expected.
    n_empty
        Number of cells dropped because they have no count.
    n_dropped_by_qc
        Number of cells that the quality control of a re-analysis left out.
    notes
        What a user should know, one sentence each.
    """

    cells: AnnData
    rest: AnnData
    labels: pd.DataFrame
    content: str
    columns: dict[str, str]
    derived: dict[str, dict[str, Any]]
    genes: genes.Harmonised
    checked: dict[str, dict[str, Any]]
    n_empty: int
    n_dropped_by_qc: int
    notes: list[str]
    label_source: str
    labels_from: dict[str, str]
    reanalysis: dict[str, Any]


def read(folder: Path, entry: Entry) -> Whole:
    """Read all cells of a data set, from one file, two parts, or sample by sample."""
    return samples.read(folder, entry) if entry.samples else parts.read(folder, entry)


def takes_reanalysis(folder: Path, entry: Entry) -> bool:
    """Say whether the cell types are those of the re-analysis: the entry wants them, or no file holds others."""
    if not entry.is_reanalysed:
        return False
    has_types = "cell_type" in entry.obs if entry.labels is None else (folder / entry.labels.file).is_file()
    return entry.label_source == REANALYSIS or not has_types


def label(folder: Path, entry: Entry, table: genes.Table, dataset: str) -> Labelled:
    """Read, check, harmonise and divide a data set, whose file or files are in `folder`.

    Raises
    ------
    InputError
        If a file is damaged or contradicts its entry.
    """
    where = folder / next(iter(entry.files.values())) if len(entry.files) == 1 else folder
    reanalysis, labels_from = dict[str, Any](), dict[str, str]()
    if takes_reanalysis(folder, entry):
        in_files = read(folder, entry.without_types())
        whole, reanalysis = reanalysed(in_files, dataset)
        label_source = REANALYSIS
    else:
        whole = in_files = read(folder, entry)
        labels_from = origin.by_hand(folder, entry.labels)
        label_source = entry.label_source or (USER if labels_from else AUTHOR)
    labels, derived = derive.add(whole.labels, entry.derived, str(where))
    columns = {
        str(key): "derived" if key in derived else entry.obs.get(str(key), REANALYSIS) for key in labels if key != PART
    }
    if reanalysis:
        columns["cell_type"] = REANALYSIS
    checked = record.compare(str(where), entry.expected, record.found(in_files, labels))
    n_dropped_by_qc = len(in_files.labels) - len(whole.labels)
    x, var, content, notes = whole.x, whole.var, whole.content, whole.notes
    del in_files, whole  # the matrix may be most of the memory: no more than one name holds it from here on
    try:
        harmonised = harmonise(x, var, entry, table, where)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from None
    if len(harmonised.keep) < x.shape[1]:
        x = x[:, harmonised.keep]
    x = x.astype(np.float32, copy=False)

    is_empty = np.diff(x.indptr) == 0
    if is_empty.all():
        raise InputError(f"{where}: none of its {len(labels)} cells has a count")
    if is_empty.any():
        x, labels = x[~is_empty], labels[~is_empty]
    filled = obs.fill(labels)
    by = entry.subset.by if entry.subset else None
    evaluated = subset.draw(list(labels.index), None if by is None else list(filled[by]), entry.subset)
    notes = [*notes, *obs.check_scorable(filled[evaluated], dataset, is_reanalysed=bool(reanalysis))]
    return Labelled(
        cells=assemble(rows(x, evaluated), filled[evaluated], harmonised),
        rest=assemble(x[~evaluated], filled[~evaluated], harmonised),
        labels=labels,
        content=content,
        columns=columns,
        derived=derived,
        genes=harmonised,
        checked=checked,
        n_empty=int(is_empty.sum()),
        n_dropped_by_qc=n_dropped_by_qc,
        notes=notes,
        label_source=label_source,
        labels_from=labels_from,
        reanalysis=reanalysis,
    )


def rows(x: sp.csr_matrix, chosen: np.ndarray) -> sp.csr_matrix:
    """Return the chosen cells; where these are all, the values are not copied."""
    if not chosen.all():
        return x[chosen]
    return sp.csr_matrix((x.data, x.indices, x.indptr), shape=x.shape)  # indices of 32 bits if they fit, as above


def reanalysed(whole: Whole, dataset: str) -> tuple[Whole, dict[str, Any]]:
    """Give the cells the types that `genept.annotation` found; leave out those that its quality control left out.

    Raises
    ------
    InputError
        If there is no re-analysis, or it is of other cells.
    """
    from genept.annotation import result

    found = result.read(dataset)
    again = f"`dvc repro reanalyse@{dataset}` makes it anew"
    if found is None:
        raise InputError(f"{dataset}: no file has cell types, and no re-analysis is there; {again}")
    types = found.cell_types.reindex(whole.labels.index)
    if len(types) != len(found.cell_types) or not whole.labels.index.isin(found.cell_types.index).all():
        raise InputError(f"{dataset}: the re-analysis is of other cells than data/{dataset}/raw; {again}")
    kept = np.flatnonzero(types.notna().to_numpy())
    labels = whole.labels.iloc[kept].copy()
    labels.insert(0, "cell_type", types.iloc[kept].to_numpy())
    notes = [f"cell types by re-analysis; {len(types) - len(kept)} cells left out by its quality control"]
    return Whole(whole.x[kept], labels, whole.var, whole.content, [*whole.notes, *notes]), found.summary


def harmonise(x: sp.csr_matrix, var: pd.DataFrame, entry: Entry, table: genes.Table, path: Path) -> genes.Harmonised:
    """Harmonise the genes of `var` by the columns that the entry names."""
    names = var.index if entry.symbol is None else source.column(var, entry.symbol, path, "var", "symbol")
    ids = None if entry.ensembl is None else source.column(var, entry.ensembl, path, "var", "ensembl")
    totals = np.asarray(x.sum(axis=0, dtype=np.float64)).ravel()
    return genes.harmonise(
        [str(name) for name in names], totals, table, None if ids is None else [str(text) for text in ids]
    )


def assemble(x: sp.csr_matrix, labels: pd.DataFrame, harmonised: genes.Harmonised) -> AnnData:
    """Put cells into an AnnData; labels become categories in alphabetical order."""
    var = pd.DataFrame(
        {"ensembl_id": harmonised.ensembl_ids, "original_symbol": harmonised.original},
        index=pd.Index(harmonised.symbols, name="symbol"),
    )
    return AnnData(x, obs=labels.astype("category"), var=var)


def about(labelled: Labelled) -> dict[str, Any]:
    """Return what an h5ad says of itself in ``uns``: what X holds, and how the labels came about.

    ``x``, ``label_source``, and as in the verification record ``labels_from`` and of ``reanalysis`` method and version.
    """
    how = {key: labelled.reanalysis[key] for key in ("method", "method_version") if key in labelled.reanalysis}
    said = {"x": labelled.content, "label_source": labelled.label_source}
    return {
        **said,
        **{key: value for key, value in (("labels_from", labelled.labels_from), ("reanalysis", how)) if value},
    }


def write(path: Path, cells: AnnData, uns: dict[str, Any]) -> None:
    """Write an h5ad with `uns`, texts and numbers; equal cells give equal bytes."""
    with h5py.File(path, "w") as file:
        write_elem(file, "/", cells, dataset_kwargs=COMPRESSION)
        for key, value in uns.items():
            write_elem(file["uns"], key, value)  # by itself, since HDF5 compresses no scalars


def write_obs(path: Path, cells: AnnData) -> None:
    """Write the annotations as CSV, the cells in the order of the matrix."""
    cells.obs.to_csv(path, index_label="cell_id", lineterminator="\n", encoding="utf-8")
