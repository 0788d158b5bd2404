"""A project with one embedding and entries for heads on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import helpers
from tests.engines.finetuned.made import N_CELLS, cells, write


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one dataset, `blood`, an embedding of it, and entries for heads on it."""
    monkeypatch.chdir(tmp_path)
    entry = {
        "title": "A head",
        "head": "mlp",
        "width": 8,
        "epochs": 5,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
    }
    change = {
        "datasets": {"blood": {"finetune": "phenotype"}},
        "models": {"base": {"title": "base"}, "tuned": entry, "logits": {**entry, "head": "linear"}},
        "evaluate": {"kmeans": {"repeats": 2}},
    }
    helpers.write_params(tmp_path / "params.yaml", change)
    matrix, labels = cells()
    rng = np.random.default_rng(1)
    kinds = rng.choice(["T cell", "B cell", "Unknown"], size=N_CELLS, p=[0.5, 0.4, 0.1])
    write(matrix, cell_type=kinds, patient=rng.choice(["D1", "D2", "D3"], size=N_CELLS), phenotype=labels)
    return tmp_path
