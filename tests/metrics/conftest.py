"""A project with one dataset and three embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import helpers
from tests.metrics.made import N_CELLS, write_embedding, write_obs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one dataset, `blood`, and embeddings of it by three models."""
    monkeypatch.chdir(tmp_path)
    models: dict[str, Any] = {name: {"title": name} for name in ("one", "two", "three")}
    change = {
        "datasets": {"blood": {"finetune": "phenotype"}},
        "models": models,
        "evaluate": {"kmeans": {"repeats": 2}},
    }
    helpers.write_params(tmp_path / "params.yaml", change)
    rng = np.random.default_rng(0)
    cell_type = rng.choice(["T cell", "B cell", "Unknown"], size=N_CELLS, p=[0.5, 0.4, 0.1])
    cell_type[0] = "pDC"  # a class of one cell
    patient = rng.choice(["D1", "D2", "D3"], size=N_CELLS)
    write_obs(
        cell_type=cell_type,
        patient=patient,
        phenotype=np.where(patient == "D1", "sick", "well"),
        age_bin=np.where(np.arange(N_CELLS) < 20, "", rng.choice(["<60", ">=60"], size=N_CELLS)),
    )
    signal = np.stack([cell_type == "T cell", patient == "D1"], axis=1)
    for number, name in enumerate(models):
        noise = np.random.default_rng(number).normal(size=(N_CELLS, 8))
        write_embedding(name, np.hstack([3 * signal, noise]))
    return tmp_path
