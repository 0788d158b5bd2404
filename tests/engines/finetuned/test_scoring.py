"""Scoring a head: on cells it has not seen, with a fit for every split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.model_selection import train_test_split

from genept.data import embeddings, splits
from genept.engines.finetuned import refit as finetuned
from genept.engines.finetuned import training
from genept.metrics import choices
from tests.engines.finetuned.made import MLP, N_CELLS, base_matrix, columns, full, score, tune, write


def refitted(options: dict[str, Any], matrix: np.ndarray, labels: dict[str, np.ndarray]) -> finetuned.Refitted:
    return finetuned.Refitted(pd.DataFrame(labels), matrix, "phenotype", MLP, choices.read(options))


def test_each_split_has_a_head_that_has_seen_only_its_training_cells(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    labels = columns()
    for seed in (0, 1):
        train, test = (np.sort(part) for part in train_test_split(np.arange(N_CELLS), test_size=0.3, random_state=seed))
        split = splits.Split(train, test)
        clean = refitted(params, base_matrix(), labels)(split)
        poisoned, poison = base_matrix(), {**labels, "phenotype": labels["phenotype"].copy()}
        poisoned[test], poison["phenotype"][test] = 1e6, "sick"
        np.testing.assert_array_equal(refitted(params, poisoned, poison)(split)[train], clean[train])
        fitted = training.fit(base_matrix()[train], labels["phenotype"][train], MLP, params["seed"])
        np.testing.assert_array_equal(clean, training.project(fitted.head, base_matrix()))


def test_equal_splits_share_a_fit_and_others_do_not(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    fit = training.fit

    def counted(matrix: np.ndarray, *rest: Any) -> training.Fitted:
        sizes.append(len(matrix))
        return fit(matrix, *rest)

    monkeypatch.setattr(training, "fit", counted)
    assert score().exit_code == 0
    n_known = int((columns()["cell_type"] != "Unknown").sum())
    assert sizes == [n_known - int(np.ceil(0.2 * n_known)), 120]  # cell_type without Unknown; patient and phenotype


def test_scores_are_of_unseen_cells_and_say_what_was_supervised(project: Path) -> None:
    assert score().exit_code == 0
    rows = [row for row in full() if row["task"] in ("kmeans", "silhouette", "knn", "logreg")]
    assert {row["n_cells"] for row in rows if row["annotation"] != "cell_type"} == {"30"}
    assert {row["task"] for row in rows if row["annotation"] == "phenotype"} == {
        "kmeans",
        "silhouette",
        "knn",
        "logreg",
    }
    for row in rows:
        assert "unseen cells only" in row["note"]
        assert ("supervised by phenotype" in row["note"]) == (row["annotation"] == "phenotype")
    headlines = json.loads(Path("metrics/scores/blood/tuned.json").read_text())
    assert len(headlines) == 8
    assert headlines["phenotype_logreg_accuracy"] > 0.7


def test_the_score_of_the_label_is_that_of_the_stored_embedding(project: Path) -> None:
    tune()
    score()
    notes = embeddings.read_notes("blood", "tuned")
    unseen = np.array(notes["unseen_cells"])
    train = np.setdiff1d(np.arange(N_CELLS), unseen)
    embedding = np.load("data/blood/embeddings/tuned.npy").astype(float)
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-12)
    nearest = np.argsort(-unit[unseen] @ unit[train].T, axis=1, kind="stable")[:, :10]
    sick = (columns()["phenotype"][train][nearest] == "sick").sum(axis=1) >= 5  # 5 to 5: the smaller label
    accuracy = (np.where(sick, "sick", "well") == columns()["phenotype"][unseen]).mean()
    (row,) = [
        row for row in full() if (row["task"], row["annotation"], row["metric"]) == ("knn", "phenotype", "accuracy")
    ]
    assert float(row["value"]) == round(accuracy, 4)


def test_classes_missing_from_the_training_or_the_test_cells_do_not_matter(project: Path) -> None:
    labels = columns()
    test = train_test_split(np.arange(N_CELLS), test_size=0.2, random_state=0)[1]
    labels["phenotype"][test[0]] = "only in test"
    labels["phenotype"][np.setdiff1d(np.arange(N_CELLS), test)[0]] = "only in training"
    write(base_matrix(), **labels)
    assert (tune().exit_code, score().exit_code) == (0, 0)
    notes = {row["class"]: row["note"].split(";")[0] for row in full() if row["class"].startswith("only")}
    assert notes == {"only in test": "no training cell", "only in training": "no test cell"}


def test_scoring_a_head_does_not_depend_on_threads(project: Path) -> None:
    written = []
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            score()
        finally:
            torch.set_num_threads(before)
        written.append(Path("metrics/full/blood/tuned.csv").read_bytes())
    assert written[0] == written[1]
