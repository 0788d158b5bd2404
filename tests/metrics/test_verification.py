"""Scoring again what is committed: what lies in its range, what does not, and what the command says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genept.metrics import verification
from genept.metrics.results import COLUMNS
from tests import helpers
from tests.metrics import blood


def table(**changes: Any) -> pd.DataFrame:
    row = dict.fromkeys(COLUMNS) | {"dataset": "blood", "model": "one", "protocol": "evaluate", "task": "knn"}
    row |= {"annotation": "cell_type", "split": "random", "metric": "accuracy", "value": 0.8, "low": 0.7, "high": 0.85}
    return pd.DataFrame([row | {"n_cells": 30, "n_classes": 3} | changes])


@pytest.mark.parametrize(
    ("before", "after", "excess"),
    [
        ({}, {}, 0),
        ({}, {"value": 0.7}, 0),
        ({}, {"value": 0.69, "low": 0.6}, 0.01),
        ({}, {"value": 0.9, "high": 0.95}, 0.05),
        ({"low": None, "high": None}, {"value": 0.81}, 0),
        ({"low": None, "high": None}, {"value": 0.77}, 0.02),
        ({"low": 0.799, "high": 0.801}, {"value": 0.81}, 0),  # a range may be narrower than the tolerance
        ({}, {"n_donors": 4}, np.inf),
        ({}, {"n_cells": 31}, np.inf),
        ({}, {"value": 0.8, "split": "donors"}, np.inf),  # one vanishes, one appears
        ({"class": "B cell"}, {"class": "B cell", "value": 0.1}, None),  # of one class: not compared
        ({"task": "embedding", "low": None, "high": None, "value": 3}, {"task": "embedding", "value": 3.005}, 0.005),
        ({"protocol": "authors"}, {"protocol": "authors", "value": 0.95}, 0.1),
    ],
)
def test_excess(before: dict[str, Any], after: dict[str, Any], excess: float | None) -> None:
    compared = verification.compare(table(**before), table(**after), {})
    assert compared["excess"].tolist()[:1] == pytest.approx([] if excess is None else [excess])
    assert len(compared) == (0 if excess is None else 2 if after.get("split") else 1)


def test_a_model_trained_here_may_move_as_far_as_another_training() -> None:
    score = ("knn", "cell_type", "random", "accuracy")
    before, after = table(low=None, high=None), table(value=0.9, low=None, high=None)
    for margin, excess in ((0.1, 0), (0.06, 0.04)):
        margins = {("blood", "one", *score): margin, ("blood", "two", *score): 1.0}
        assert verification.compare(before, after, margins)["excess"].tolist() == pytest.approx([excess])


def test_the_command_names_what_moved_appeared_and_vanished_and_writes_nothing(project: Path) -> None:
    blood.evaluate()
    for command in (["init", "-q"], ["config", "user.name", "Test"], ["config", "user.email", "test@example.org"]):
        helpers.run("git", *command, cwd=project)
    assert "the last commit has no scores to compare with" in blood.evaluate("--check", exit_code=1)
    path = blood.outputs("one")[1]
    full = pd.read_csv(path)
    helpers.run("git", "add", "metrics/full", cwd=project)
    helpers.run("git", "commit", "-q", "-m", "scores", cwd=project)
    path.write_text("")
    assert "scores computed again: 0 outside their ranges, by up to 0.0000\n" in blood.evaluate("--check")
    assert path.read_text() == ""

    silhouette = full.index[full["metric"].eq("asw") & full["annotation"].eq("cell_type") & full["split"].isna()][0]
    accuracy = full.index[full["metric"].eq("accuracy") & full["split"].eq("random") & full["class"].isna()][0]
    full.loc[silhouette, "value"] += 0.06
    full.loc[accuracy, "metric"] = "accurazy"
    full.to_csv(path, index=False)
    helpers.run("git", "commit", "-q", "-a", "-m", "other scores", cwd=project)
    output = blood.evaluate("blood", "--check", exit_code=1)
    assert "3 outside their ranges, by up to 0.05" in output
    for text in ("accuracy appeared", "accurazy vanished", "blood one evaluate silhouette cell_type asw "):
        assert text in output
