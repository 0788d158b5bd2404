"""What `label` and `annotate` start from: the fetched files, checked and read, and the cell types of an annotation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
import pandas as pd
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from genept.core import files
from genept.core.errors import InputError
from genept.core.readers import damaged, read_json, read_table
from genept.data.cells import DATA
from genept.datasets import h5ad, samples
from genept.datasets.config import ANNOTATION, AUTHOR, DatasetConfig
from genept.datasets.raw import RawDataset
from genept.downloads.config import files_of

SHAPE = ConfigDict(extra="allow", strict=True)
ATTEMPTS = "attempts.json"  # by `fetch`: what was tried for each file with several places, the successful one last


@with_config(SHAPE)
class Attempt(TypedDict):
    """A place that `fetch` tried."""

    kind: str
    where: str


@with_config(SHAPE)
class Summary(TypedDict):
    """What is read of the summary of `annotate`; the record holds all of it."""

    label_source: str
    cells: NotRequired[dict[str, int]]


def read_raw(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read a raw dataset from its fetched files: one file, reference and query, or sample by sample.

    Derived annotations are not among its ``obs``: `genept.datasets.derive.add_derived` adds them.
    `InputError` names a file that is damaged or contradicts the config, `FileNotFoundError` one that is missing.
    """
    if config.samples:
        return samples.read(folder, config)
    if len(config.cell_files) == 1:
        return h5ad.read(folder / config.cell_files[""], config)
    return h5ad.read_reference_and_query(folder, config)


def count_cells(folder: Path, config: DatasetConfig) -> dict[str, int]:
    """Count the cells of files by their ids, without reading a matrix: ``n_cells``, and ``reference``, ``query``.

    Nothing is counted where a file is not readable in that way (`read_raw` says then what is wrong with it), or where
    only cells with a label in another table are read.
    """
    if config.labels is not None:
        return {}
    n_cells = {part: h5ad.count_cells(folder / name, config.modality) for part, name in config.cell_files.items()}
    known = {part: n for part, n in n_cells.items() if n is not None}
    if not known or len(known) < len(n_cells):
        return {}
    return {"n_cells": sum(known.values())} | {part: n for part, n in known.items() if part}


def check_hashes(folder: Path, config: DatasetConfig) -> dict[str, str]:
    """Return the sha256 of each fetched file by its path, compared with the one in its source, if it has one.

    A table of labels may be missing where `annotate` gives cell types in its place.
    """
    listed = files_of(config.source)
    optional = config.labels.file if config.labels and config.annotation else None
    digests = {}
    for name in config.input_files:
        path = folder / name
        if name == optional and not path.exists():
            continue
        digests[path.as_posix()] = digest = files.sha256(path)
        expected = listed[name].places[0].sha256
        if expected is not None and digest != expected.lower():
            raise InputError(
                f"{path}: has sha256 {digest}, but its source expects {expected}; remove it and fetch it again"
            )
    return digests


def uses_annotation(folder: Path, config: DatasetConfig) -> bool:
    """Say whether `annotate` gives the cell types: the config prefers that, or no file has other ones."""
    if config.annotation is None:
        return False
    has_types = "cell_type" in config.obs if config.labels is None else (folder / config.labels.file).is_file()
    return config.label_source == ANNOTATION or not has_types


def local_labels(folder: Path, config: DatasetConfig, dataset: str) -> dict[str, str]:
    """Return ``path`` and ``sha256`` of a table of labels that came from a file on this machine, else nothing.

    Records are the same on every machine, so of an absolute path only the name is returned.
    """
    if config.labels is None:
        return {}
    name = config.labels.file
    places = files_of(config.source)[name].places
    kind, words = places[0].kind, places[0].words
    if len(places) > 1:
        attempts = read_attempts(folder, dataset)
        if not attempts.get(name):
            raise damaged(folder / ATTEMPTS, f"fetch@{dataset}", f"nothing of {name}")
        kind, words = attempts[name][-1]["kind"], attempts[name][-1]["where"]
    return {"path": words.removeprefix("local "), "sha256": files.sha256(folder / name)} if kind == "local" else {}


def read_attempts(folder: Path, dataset: str) -> dict[str, list[Attempt]]:
    """Return what `fetch` tried for each file that has several places."""
    return read_json(folder / ATTEMPTS, dict[str, list[Attempt]], f"fetch@{dataset}")


def join_cell_types(published: RawDataset, dataset: str) -> tuple[RawDataset, dict[str, Any]]:
    """Give the cells the types that ``annotate`` found, without those that its quality control left out.

    A cell is ``Unknown`` if its cluster has no type. Returns the cells and the content of ``summary.json``: method,
    settings and numbers. `InputError` if the annotation is damaged or of other cells.
    """
    folder, stage = DATA / dataset / "annotation", f"annotate@{dataset}"
    again = f"`dvc repro {stage}` makes it"
    summary = read_json(folder / "summary.json", Summary, stage)
    if summary["label_source"] == AUTHOR:
        raise InputError(f"{dataset}: no file has cell types, and there is no annotation; {again}")
    columns = dict.fromkeys(("cell_id", "cluster", "cell_type", "qc"), str)
    table = pd.DataFrame(read_table(folder / "cells.csv", columns, stage, key="cell_id"))
    if sum(summary.get("cells", {}).values()) != len(table):
        raise damaged(folder / "summary.json", stage, f"it is not of the {len(table)} cells in cells.csv")
    table = table.set_index("cell_id")
    if set(table.index) != set(published.obs.index):
        raise InputError(f"{dataset}: the annotation is of other cells than data/{dataset}/raw; {again}")
    table = table.loc[published.obs.index]
    rows = np.flatnonzero(table["qc"] == "ok")
    obs = published.obs.iloc[rows].copy()
    obs.insert(0, "cell_type", table["cell_type"].astype(object).iloc[rows])
    note = f"cell types by annotation of clusters; its quality control left out {len(table) - len(rows)} cells"
    return replace(published, x=published.x.cells(rows), obs=obs, notes=[*published.notes, note]), summary
