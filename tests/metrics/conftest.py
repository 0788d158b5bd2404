"""A project with one dataset and embeddings of it by three models, one of them in the grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests import helpers
from tests.metrics import blood


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a library wait for each other for seconds on a loaded machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    helpers.write_settings(tmp_path, datasets={"blood": blood.settings("data/covid.yaml")})
    blood.write_settings({"repeats": 3}, threads=1, baseline="one")
    blood.write_grid({"custom": ["one"]})
    rng = np.random.default_rng(0)
    cell_type = rng.choice(["T cell", "B cell", "Unknown"], size=blood.N_CELLS, p=[0.5, 0.4, 0.1])
    cell_type[0] = "pDC"  # a class of one cell
    patient = rng.choice(["D1", "D2", "D3"], size=blood.N_CELLS)
    blood.write_obs(
        cell_type=cell_type,
        patient=patient,
        phenotype=np.where(patient == "D1", "sick", "well"),
        age_bin=np.where(np.arange(blood.N_CELLS) < 20, "", rng.choice(["<60", ">=60"], size=blood.N_CELLS)),
    )
    signal = np.stack([cell_type == "T cell", patient == "D1"], axis=1)
    for number, name in enumerate(["one", "two", "three"]):
        noise = np.random.default_rng(number).normal(size=(blood.N_CELLS, 8))
        blood.write_embedding(name, np.hstack([3 * signal, noise]))
    return tmp_path
