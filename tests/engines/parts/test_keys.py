"""A run makes only the parts that no earlier one has made of the same cells by the same means."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genept.core import compute, files
from genept.engines import running
from tests import helpers
from tests.engines.parts.blood import (
    BY_PARTS,
    CACHE,
    ENTRIES,
    N_CELLS,
    N_PARTS,
    embed,
    kept,
    make,
    write,
)


def test_each_part_is_made_once_and_further_cells_make_further_parts(project: Path, made: list[str]) -> None:
    first = embed("words")
    assert len(made) == N_PARTS and [path.name for path in kept("words")] == sorted(made)
    assert embed("words") == first and len(made) == N_PARTS
    write(make(N_CELLS + 1))
    longer = embed("words")
    assert len(made) == N_PARTS + 1, "the last part has one more cell"
    write(make(N_CELLS + 5))
    embed("words")
    assert len(made) == N_PARTS + 3, "it is full, and there is another one"
    assert sorted(json.loads((CACHE / "words/parts/used.json").read_text())) == sorted([*made[:3], *made[-2:]])
    shutil.rmtree(CACHE)
    write(make(N_CELLS + 1))
    assert embed("words") == longer


def set_entry(model: str, **changes: Any) -> None:
    helpers.write_settings(Path(), models={model: {"title": model, **ENTRIES[model], **changes}})


def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "resolve_device", lambda device: "cuda")


def with_labels(labels: str) -> None:
    data = make()
    data.obs["cell_type"] = pd.Categorical(np.array(list(labels))[np.arange(N_CELLS) % len(labels)])
    write(data)


def of_type(dtype: str) -> None:
    data = make()
    data.uns["x_dtype"] = dtype
    write(data)


def one_count_more() -> None:
    data = make()
    data.X[10, 0] += 1
    write(data)


Change = Callable[[], object]


@pytest.mark.parametrize(
    ("model", "change", "n_made"),
    [
        ("words", lambda: set_entry("words", embed={"unit_norm": False}), N_PARTS),
        ("words", lambda: set_entry("words", title="New", note="words"), 0),
        ("words", lambda: files.write_json(Path("models/words/more.json"), 1), N_PARTS),
        ("words", lambda: helpers.write_settings(Path(), {"seed": 1}), 0),
        ("control", lambda: helpers.write_settings(Path(), {"seed": 1}), N_PARTS),
        ("words", lambda: helpers.write_settings(Path(), {"threads": 2}), N_PARTS),
        ("mine", lambda: Path("models/mine.py").write_text(BY_PARTS + "# other code\n"), N_PARTS),
        ("words", lambda: with_labels("TB"), 0),
        ("mine", lambda: with_labels("TB"), N_PARTS),
        ("words", lambda: of_type("float64"), N_PARTS),
        ("words", one_count_more, 1),
    ],
)
def test_what_a_part_depends_on_makes_it_anew(
    project: Path, made: list[str], model: str, change: Change, n_made: int
) -> None:
    embed(model)
    made.clear()
    change()
    after = embed(model)
    assert len(set(made)) == n_made
    shutil.rmtree(CACHE)
    assert embed(model) == after, "as without any earlier part"


def test_parts_of_another_device_are_made_anew(project: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    embed("words")
    on_a_gpu(monkeypatch)
    embed("words")
    assert len(set(made)) == 2 * N_PARTS
    monkeypatch.setattr(running, "version", lambda name: "0")
    embed("words")
    assert len(set(made)) == 3 * N_PARTS, "nor of other libraries"
