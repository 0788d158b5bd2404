"""The label stage run on the small file, and what must be true after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import click.testing

from genept.data import cells as shared
from stages.label import main

OUTPUTS = ("data/mine/cells.h5ad", "data/mine/rest.h5ad", "data/mine/obs.csv", "metrics/verification/mine.json")


def invoke(dataset: str = "mine") -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, [dataset], catch_exceptions=False)


def run() -> tuple[anndata.AnnData, anndata.AnnData, dict[str, Any]]:
    result = invoke()
    assert result.exit_code == 0, result.output
    report = json.loads(Path("metrics/verification/mine.json").read_text())
    return shared.read("mine"), shared.read("mine", "rest"), report


def keep_earlier_results() -> None:
    for name in OUTPUTS:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"earlier")


def assert_earlier_results_are_kept() -> None:
    assert all(Path(name).read_bytes() == b"earlier" for name in OUTPUTS)
    assert not list(Path().rglob(".writing-*"))


def assert_refused(*texts: str, exit_code: int = 1) -> None:
    """Assert one clear line, and every earlier result as it was."""
    keep_earlier_results()
    result = invoke()
    assert result.exit_code == exit_code, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    for text in texts:
        assert text in result.output
    assert_earlier_results_are_kept()
