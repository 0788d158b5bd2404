"""A dataset's file, ``data/<dataset>.yaml``: where its cells come from and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genept.core.config import Config, check_name
from genept.downloads.config import Sources

DATA = Path("data")


class DatasetConfig(Config):
    """The content of ``data/<dataset>.yaml``."""

    title: str
    note: str
    paper: str | None = None  # the paper's dataset that it is
    label_source: str | None = None
    source: Sources
    x: str = "counts"
    layer: str | None = None
    repeated_ids: str = "refuse"
    symbol: str | None = None
    ensembl: str | None = None
    keep_var: dict[str, Any] = {}
    samples: dict[str, Any] = {}
    labels: dict[str, Any] | None = None
    reference: list[str] = []
    query: list[str] = []
    annotation: dict[str, Any] | None = None
    obs: dict[str, str]
    derive: dict[str, Any] = {}
    expected: dict[str, int] = {}
    reported: dict[str, dict[str, Any]] = {}
    subset: dict[str, Any] | None = None
    finetune: str | None = None
    fallback: DatasetConfig | None = None  # another way to the dataset, if a file of `source` is not there


def path(name: str) -> Path:
    """Path of a dataset's file."""
    return DATA / f"{name}.yaml"


def read(name: str) -> DatasetConfig:
    """Read and check a dataset's file.

    Raises
    ------
    ParamsError
        If the file or one of its settings is not what it should be.
    """
    check_name(name, "datasets")
    return DatasetConfig.read(path(name))
