"""Parts of a large dataset stay in a cache, where a list names those of the last run: evaluated cells and corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genept.data import cells, parts
from genept.repository import leaving
from tests.datasets.made import configure, invoke

STORE = Path("data/cache/label/mine")


def stored() -> set[str]:
    return {path.name for path in STORE.glob("*.zarr")}


def used() -> set[str]:
    return set(json.loads((STORE / "used.json").read_text()))


def test_the_list_names_the_parts_of_the_last_run_and_others_are_stale(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "IN_ONE_FILE", 0)
    monkeypatch.setattr(parts, "CELLS", 8)
    configure(subset={"n_cells": 20})
    assert invoke().exit_code == 0
    first = stored()
    assert len(first) == 3 + 5 and used() == first and leaving.stale(STORE) == []
    configure(subset={"n_cells": 50})
    assert invoke().exit_code == 0
    assert {path.name for path in leaving.stale(STORE)} == stored() - used() and first - used()
    configure(subset={"n_cells": 20})
    assert invoke().exit_code == 0
    assert used() == first
    monkeypatch.setattr(cells, "IN_ONE_FILE", 100)
    assert invoke().exit_code == 0
    assert used() == set()
