"""A project with scores of a small grid."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.report.tables.made import PARAMS, rows_of, write


@pytest.fixture
def project(tmp_path, monkeypatch) -> dict[str, Any]:
    """Scores of all pairs that PARAMS names, and of a model and a dataset that have left the grid."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    for base, model in ((0.1, "expression"), (0.2, "random_w"), (0.3, "text_w"), (0.4, "tuned")):
        note = "unseen cells only" if model == "tuned" else ""
        phenotype = [*rows_of("phenotype", base, note)]
        supervised = "; ".join(filter(None, [note, "supervised by phenotype" if note else ""]))
        phenotype += [
            ["logreg", "phenotype", name, "", base + 0.3, "", 100, 2, supervised]
            for name in ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")
        ]
        pca = "; ".join(filter(None, ["on 50 principal components", note]))
        patient = rows_of("patient", base - 0.05, pca)
        write("blood", model, rows_of("cell_type", base, note) + patient + phenotype)
    write("blood", "ensemble", rows_of("cell_type", 0.45, "majority vote", coordinates=False))
    for base, model in ((0.5, "expression"), (0.6, "random_w"), (0.55, "text_w")):
        note = "random_w is not comparable: no counts" if model == "random_w" else ""
        reason = "; ".join(filter(None, ["not scored: phenotype has one class", note]))
        left_out = ["labels", "phenotype", "n_classes", "", 1, "", 500, 1, reason]
        write("tumour", model, rows_of("cell_type", base, note) + rows_of("patient", base, note) + [left_out])
    write("blood", "gone", rows_of("cell_type", 0.99))
    write("gone", "expression", rows_of("cell_type", 0.99))
    Path("metrics/verification").mkdir()
    Path("metrics/verification/blood.json").write_text('{"label_source": "author"}')
    found = {"label_source": "reanalysis", "reanalysis": {"method_version": 3}}
    Path("metrics/verification/tumour.json").write_text(json.dumps(found))
    return copy.deepcopy(PARAMS)
