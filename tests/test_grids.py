"""Switching grids as the README says: ``dvc exp run -S 'grid=${grids.paper}'`` rewrites a part of params.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.helpers import ROOT

GRIDS = tuple(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["grids"])


@pytest.mark.parametrize("names", [*((name, "default") for name in GRIDS), GRIDS, GRIDS[::-1]])
def test_every_grid_can_follow_every_other(names: tuple[str, ...], tmp_path: Path) -> None:
    """A comment beside a list that another grid has empty would leave a file that is no YAML."""
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    for name in names:
        apply_overrides(path, [f"grid=${{grids.{name}}}"])
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert params["grid"] == params["grids"][name]
