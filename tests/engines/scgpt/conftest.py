"""What several tests of scgpt read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genept.engines.scgpt import checkpoint
from tests.engines.scgpt.made import ARGS, FIXTURES, upstream_model


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "golden.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, vocab = upstream_model()
    folder = tmp_path_factory.mktemp("scgpt")
    checkpoint.write(folder, ARGS, vocab, model.state_dict())
    return folder
