"""The paper's numbers as plain YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.helpers import ROOT

SOURCE = yaml.safe_load((ROOT / "genept/report/paper.yaml").read_text(encoding="utf-8"))


def leaves(section: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number of a section of the data file, walked as plain YAML."""
    for table in SOURCE["sections"][section]["tables"]:

        def walk(node: Any, path: tuple[str, ...], columns: list[str]) -> Iterator[tuple[tuple[str, ...], float]]:
            if isinstance(node, dict):
                for key, below in node.items():
                    yield from walk(below, (*path, key), columns)
            else:
                assert len(node) == len(columns), path
                for column, value in zip(columns, node, strict=True):
                    yield (*path, column.rpartition(".")[2]), value

        yield from walk(table["values"], (section,), table["columns"])


def values(section: str, dataset: str, annotation: str, model: str) -> dict[str, float]:
    return {key[-1]: value for key, value in leaves(section) if key[1:4] == (dataset, annotation, model)}
