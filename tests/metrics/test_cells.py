"""Which cells are scored: by their labels, their part and their group."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from genept.data import embeddings
from tests import helpers
from tests.metrics.made import N_CELLS, chosen, evaluate, full, obs, outputs, write_obs


def test_unknown_is_dropped_for_cell_types_only_and_a_class_of_one_cell_is_kept(project: Path) -> None:
    evaluate("model", "blood", "one")
    (kmeans,) = chosen(full("one"), task="kmeans", annotation="cell_type", metric="ari")
    known = int((obs()["cell_type"] != "Unknown").sum())
    assert (kmeans["n_cells"], kmeans["n_classes"]) == (str(known), "3")
    assert {row["n_cells"] for row in chosen(full("one"), task="kmeans", annotation="patient")} == {str(N_CELLS)}
    single = chosen(full("one"), task="knn", annotation="cell_type", **{"class": "pDC"})
    assert single[-1]["metric"] == "support"
    assert single[-1]["note"] in ("no training cell", "no test cell; not in the macro average")


def test_cells_without_a_label_are_left_out_of_that_annotation(project: Path) -> None:
    evaluate("model", "blood", "one")
    (row,) = chosen(full("one"), task="silhouette", annotation="age_bin")
    assert row["n_cells"] == str(N_CELLS - 20)


def test_an_optional_annotation_with_one_class_is_skipped_with_a_note(project: Path) -> None:
    write_obs(**{**{str(name): obs()[name].to_numpy() for name in obs()}, "batch": "b1"})
    assert evaluate("model", "blood", "one").exit_code == 0
    (row,) = chosen(full("one"), annotation="batch")
    assert (row["task"], row["value"]) == ("labels", "1")
    assert row["note"] == "not scored: batch has one class, 'b1', in 150 cells; scores need two classes"


def test_of_two_parts_the_query_is_scored_and_also_predicted_from_the_reference(project: Path) -> None:
    part = np.where(np.arange(N_CELLS) % 3 == 0, "query", "reference")
    before = obs()
    write_obs(**{**{str(name): before[name].to_numpy() for name in before}, "part": part})
    assert evaluate("model", "blood", "one").exit_code == 0
    assert {row["n_cells"] for row in chosen(full("one"), task="kmeans", annotation="patient")} == {"50"}
    known = (before["cell_type"] != "Unknown").to_numpy()
    train, test = known & (part == "reference"), known & (part == "query")
    (accuracy,) = chosen(full("one"), task="knn_reference", metric="accuracy")
    assert accuracy["n_cells"] == str(test.sum())
    matrix, labels = embeddings.read("blood", "one", list(before.index)), before["cell_type"].to_numpy()
    knn = KNeighborsClassifier(10, metric="cosine").fit(matrix[train], labels[train])
    assert float(accuracy["value"]) == pytest.approx(knn.score(matrix[test], labels[test]), abs=0.03)  # ties
    headline = json.loads(outputs("one")[0].read_text())["cell_type_knn_accuracy"]
    (within,) = chosen(full("one"), task="knn", annotation="cell_type", metric="accuracy")
    assert float(within["value"]) == headline and int(within["n_cells"]) == np.ceil(0.2 * test.sum())


def test_a_head_that_is_fitted_on_the_reference_is_scored_on_the_query(project: Path) -> None:
    before = obs()
    part = np.where(np.arange(N_CELLS) % 3 == 0, "query", "reference")
    write_obs(**{**{str(name): before[name].to_numpy() for name in before}, "part": part})
    head = yaml.safe_load((helpers.ROOT / "params.yaml").read_text())["models"]["genept_w_ft_minilm"]
    change = {"models": {"tuned": {**head, "epochs": 2}}}
    helpers.write_params(project / "params.yaml", change)
    result = evaluate("finetuned", "blood", "tuned", "--from", "one")
    assert result.exit_code == 0, result.output
    assert len(chosen(full("tuned"), task="knn_reference", metric="accuracy")) == 1


def test_holding_patients_out_says_that_patients_cannot_be_found_again(project: Path) -> None:
    helpers.write_params(project / "params.yaml", {"evaluate": {"split": {"groups": "patient"}}})
    assert evaluate("model", "blood", "one").exit_code == 0
    (row,) = chosen(full("one"), task="knn", annotation="patient", metric="accuracy")
    assert (row["value"], row["note"]) == ("0.0", "no class of the test cells is among the training cells")
    assert "patient_ari" in json.loads(outputs("one")[0].read_text())


def test_a_class_with_one_cell_in_the_test_part_leaves_nothing_to_regress_and_says_so(project: Path) -> None:
    test = train_test_split(np.arange(N_CELLS), test_size=0.2, random_state=0)[1]
    labels = {str(name): obs()[name].to_numpy() for name in obs()}
    write_obs(**{**labels, "phenotype": np.where(np.arange(N_CELLS) == test[0], "sick", "well")})
    assert evaluate("model", "blood", "one").exit_code == 0
    (row,) = chosen(full("one"), task="labels", annotation="phenotype")
    assert row["note"] == "no logistic regression: one class among the training cells"
    assert "phenotype_logreg_accuracy" not in json.loads(outputs("one")[0].read_text())
