"""A project with one embedding whose small differences tell two phenotypes apart, and two heads on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genept.engines.finetuned.config import Finetune
from tests import helpers
from tests.metrics import blood
from tests.metrics.conftest import one_thread as one_thread

MLP = Finetune(head="mlp", width=8, epochs=5, batch_size=16, learning_rate=0.01, weight_decay=0.1)
LINEAR = MLP.model_copy(update={"head": "linear"})


def cells() -> tuple[np.ndarray, np.ndarray]:
    """Nearly parallel unit vectors, as GenePT-w gives, whose small differences tell two labels apart."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["sick", "well"], size=blood.N_CELLS)
    matrix = 1 + 0.02 * rng.normal(size=(blood.N_CELLS, 12))
    matrix[:, 0] += 0.05 * (labels == "sick")
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    models = {
        name: {**blood.settings("models/genept_w_ft_minilm.yaml"), "finetune": head.model_dump()}
        for name, head in (("tuned", MLP), ("logits", LINEAR))
    }
    models["base"] = blood.settings("models/genept_w_minilm.yaml")
    helpers.write_settings(tmp_path, datasets={"blood": blood.settings("data/covid.yaml")}, models=models)
    blood.write_settings({"repeats": 3}, threads=1, baseline="base")
    blood.write_grid({"genept_w": ["base"], "finetuned": ["tuned"]})
    matrix, labels = cells()
    rng = np.random.default_rng(1)
    kinds = rng.choice(["T cell", "B cell", "Unknown"], size=blood.N_CELLS, p=[0.5, 0.4, 0.1])
    blood.write_obs(cell_type=kinds, patient=rng.choice(["D1", "D2", "D3"], size=blood.N_CELLS), phenotype=labels)
    blood.write_embedding("base", matrix, comparable=False, reason="no counts")
    return tmp_path
