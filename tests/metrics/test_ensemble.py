"""The ensemble: the vote of three members, and its ties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from genept.metrics import choices, neighbours, scores, tasks
from tests import helpers
from tests.metrics.made import evaluate, full, obs, outputs


def test_the_ensemble_is_the_vote_of_its_members_own_predictions(project: Path) -> None:
    assert evaluate("ensemble", "blood", "one", "two", "three").exit_code == 0
    votes = []
    for model in ("one", "two", "three"):
        evaluate("model", "blood", model)
        votes.append(pd.read_csv(outputs(model)[2])["predicted"].tolist())
    expected = [b if b == c else a for a, b, c in zip(*votes, strict=True)]  # tie: the first member
    found = pd.read_csv(outputs("ensemble")[2])
    assert found["predicted"].tolist() == expected
    assert list(json.loads(outputs("ensemble")[0].read_text())) == ["cell_type_knn_accuracy", "cell_type_knn_f1"]
    assert {row["task"] for row in full("ensemble")} == {"knn"}
    assert {row["annotation"] for row in full("ensemble")} == set(obs())


def test_the_ensembles_tie_rule_is_the_one_named(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    votes = iter([["T cell", "T cell"], ["B cell", "T cell"], ["A cell", "B cell"]] * 2)
    split = tasks.splits.Split(np.array([0, 1]), np.array([2, 3]))
    task = tasks.Task("cell_type", np.array(["T cell", "A cell", "T cell", "T cell"]), np.arange(4), split)
    monkeypatch.setattr(neighbours, "vote", lambda labels, rows: np.array(next(votes)))
    for tie, first in (("first", "T cell"), ("smallest", "A cell")):
        helpers.write_params(project / "params.yaml", {"evaluate": {"ensemble_tie": tie}})
        options = choices.read(yaml.safe_load((project / "params.yaml").read_text()))
        results = scores.score_ensemble([task], [np.eye(4)] * 3, options)
        assert results.predicted.tolist() == [first, "T cell"]


def test_an_ensemble_has_three_members(project: Path) -> None:
    assert evaluate("ensemble", "blood", "one", "two").exit_code == 2
