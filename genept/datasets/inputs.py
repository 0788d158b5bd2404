"""What `label` and `annotate` start from: the fetched files, checked and read, and the cell types of an annotation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from genept.core import files
from genept.core.errors import InputError
from genept.data.cells import DATA
from genept.datasets import h5ad, reference_query, samples
from genept.datasets.config import ANNOTATION, AUTHOR, DatasetConfig, file_places, local_path
from genept.datasets.raw import RawDataset

ATTEMPTS = (
    "attempts.json"  # written by `fetch`: of each file with several places what was tried, the successful one last
)
COLUMNS = ["cell_id", "cluster", "cell_type", "qc"]  # of the annotation's cells.csv


def where(folder: Path, config: DatasetConfig) -> Path:
    """Return the one file of a dataset, else the folder of its files, for errors."""
    return folder / next(iter(config.h5ad_files.values())) if len(config.h5ad_files) == 1 else folder


def read_raw(folder: Path, config: DatasetConfig) -> RawDataset:
    """Read a raw dataset from its fetched files: one h5ad, reference and query, or sample by sample.

    Derived annotations are not among its ``obs``: `genept.datasets.derive.add_derived` adds them.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    InputError
        If a file is damaged or contradicts the config.
    """
    if config.samples:
        return samples.read(folder, config)
    if len(config.h5ad_files) == 1:
        return h5ad.read(where(folder, config), config)
    return reference_query.read(folder, config)


def check_hashes(folder: Path, config: DatasetConfig) -> dict[str, str]:
    """Hash the fetched files and compare each with the ``sha256`` in its source, if it has one.

    A table of labels may be missing where `annotate` gives cell types in its place.

    Returns
    -------
    The sha256 of each file, by its path.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    InputError
        If a file was changed since it was fetched.
    """
    listed = file_places(config.source)
    optional = config.labels.file if config.labels and config.annotation else None
    digests = {}
    for name in config.input_files:
        path = folder / name
        if name == optional and not path.exists():
            continue
        digests[path.as_posix()] = digest = files.sha256(path)
        expected = listed[name][0].get("sha256")
        if expected is not None and digest != str(expected).lower():
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


def local_labels(folder: Path, config: DatasetConfig) -> dict[str, str]:
    """Return ``path`` and ``sha256`` of a table of labels that came from a file on this machine, else nothing.

    Raises
    ------
    InputError
        If the folder does not say which of several places the table is from.
    """
    if config.labels is None:
        return {}
    name = config.labels.file
    paths = [local_path(place) for place in file_places(config.source)[name]]
    if not any(paths):
        return {}
    tried = 1
    if len(paths) > 1:
        attempts = folder / ATTEMPTS
        tried = len(files.read_json(attempts).get(name, [])) if attempts.is_file() else 0
        if not 0 < tried <= len(paths):
            raise InputError(f"{attempts}: does not say which place {name} is from; fetch it again")
    path = paths[tried - 1]
    return {"path": path, "sha256": files.sha256(folder / name)} if path else {}


def read_annotation(dataset: str) -> tuple[pd.Series, dict[str, Any]] | None:
    """Read what ``annotate`` wrote; `None` where the dataset's file asks for no annotation.

    That there is one does not mean that its cell types are used: the ovarian set has it to compare them with the
    authors'. `uses_annotation` decides.

    Returns
    -------
    The type of every cell of the raw dataset, in its order, indexed by cell id: ``Unknown`` if its cluster has none,
    `None` if quality control dropped the cell. And the content of ``summary.json``: method, settings and numbers.

    Raises
    ------
    FileNotFoundError
        If the stage has not run.
    InputError
        If its files are damaged or do not belong together.
    """
    folder = DATA / dataset / "annotation"
    try:
        summary = files.read_json(folder / "summary.json")
        if summary["label_source"] == AUTHOR:
            return None
        table = pd.read_csv(folder / "cells.csv", dtype=str, keep_default_na=False, usecols=COLUMNS)
        if sum(summary["cells"].values()) != len(table):
            raise ValueError(f"summary.json is not of the {len(table)} cells in cells.csv")
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}: damaged ({reason}); `dvc repro annotate@{dataset}` makes it") from None
    cell_types = table.set_index("cell_id")["cell_type"].astype(object)
    return cell_types.where((table["qc"] == "ok").to_numpy(), None), summary
