"""What cannot be scored is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genept.data import embeddings
from tests import helpers
from tests.metrics.made import N_CELLS, evaluate, obs, outputs, write_obs


def test_one_cell_type_is_an_error_in_one_line_and_nothing_is_written(project: Path) -> None:
    write_obs(cell_type=["T cell"] * 140 + ["Unknown"] * 10)
    result = evaluate("model", "blood", "one")
    assert result.exit_code == 1
    expected = "data/blood/obs.csv: cell_type has one class, 'T cell', in 140 cells; scores need two classes"
    assert result.output == f"Error: {expected}\n"
    assert not any(path.exists() for path in outputs("one"))


def test_a_dataset_without_cell_types_is_an_error_that_names_the_place(project: Path) -> None:
    write_obs(patient=obs()["patient"].to_numpy())
    result = evaluate("model", "blood", "one")
    assert result.exit_code == 1
    assert "data/blood/obs.csv: no column cell_type; name one under datasets.<dataset>.obs" in result.output


def test_an_embedding_of_other_cells_is_refused(project: Path) -> None:
    embeddings.write("blood", "one", np.ones((N_CELLS, 2)), [f"other{number}" for number in range(N_CELLS)], {})
    result = evaluate("model", "blood", "one")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "made for other cells than data/blood/obs.csv" in result.output


@pytest.mark.parametrize("arguments", [("model", "blood", "onee"), ("model", "bloood", "one")])
def test_unknown_names_are_answered_with_the_nearest(project: Path, arguments: tuple[str, ...]) -> None:
    result = evaluate(*arguments)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "did you mean" in result.output


def test_a_missing_embedding_says_what_to_run(project: Path) -> None:
    helpers.write_params(project / "params.yaml", {"models": {"four": {"title": "four"}}})
    result = evaluate("model", "blood", "four")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "data/blood/embeddings/four.json: no such file" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kmeans": {"algorithm": "hdbscan"}},
            "evaluate.kmeans.algorithm must be one of minibatch, full, got 'hdbscan'",
        ),
        ({"kmeans": {"repeats": 0}}, "evaluate.kmeans.repeats must be a whole number of at least 1, got 0"),
        ({"split": {"test_size": 1.5}}, "evaluate.split.test_size must be a number above 0 and below 1, got 1.5"),
        ({"split": {"stratified": True, "groups": "patient"}}, "choose stratified or groups, not both"),
        ({"split": {"groups": "donor"}}, "evaluate.split.groups must be one of null, cell_type"),
        ({"logreg": {"standardise": "no"}}, "evaluate.logreg.standardise must be true or false, got 'no'"),
        ({"unknown": "Unknown"}, "evaluate.unknown must be a list, got 'Unknown'"),
        ({"logreg": {"labels": ["phenotpye"]}}, "evaluate.logreg.labels must be a list of cell_type, patient"),
        ({"knn": 10}, "evaluate.knn must be a mapping, got 10"),
    ],
)
def test_a_wrong_choice_is_named_with_its_place(project: Path, change: dict[str, Any], message: str) -> None:
    helpers.write_params(project / "params.yaml", {"evaluate": change})
    result = evaluate("model", "blood", "one")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith("Error: params.yaml: ")
    assert message in result.output


@pytest.mark.parametrize("seed", [-1, 2**32, "zero", True])
def test_a_seed_that_is_none_is_refused(project: Path, seed: Any) -> None:
    helpers.write_params(project / "params.yaml", {"seed": seed})
    assert "params.yaml: seed must be a whole number" in evaluate("model", "blood", "one").output


@pytest.mark.parametrize("command", ["model", "finetuned", "ensemble"])
def test_help_says_what_is_needed(command: str) -> None:
    result = evaluate(command, "--help")
    assert result.exit_code == 0
    assert "DATASET" in result.output
