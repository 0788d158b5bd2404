"""A project with scores, some of them of the paper's datasets and models."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.scored import write_pair
from tests.report.tracking.made import GENES, PARAMS, record, rows_of, save


@pytest.fixture
def project(tmp_path, monkeypatch) -> dict[str, Any]:
    """A run in which one dataset and two models are the paper's; the scores of one model are not comparable."""
    monkeypatch.chdir(tmp_path)
    for dataset in ("vessel", "blood"):
        write_pair(dataset, "text_w", [*rows_of("cell_type"), *GENES])
        write_pair(dataset, "released", rows_of("cell_type", "on 9 cells; released is not comparable: no counts"))
        write_pair(dataset, "pca", rows_of("cell_type") + rows_of("patient"))
    Path("metrics/verification").mkdir()
    for dataset in ("vessel", "blood"):
        Path(f"metrics/verification/{dataset}.json").write_text(json.dumps(record()))
    return save(copy.deepcopy(PARAMS))
