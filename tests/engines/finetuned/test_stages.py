"""The finetune stage, and how the evaluate stage scores a head: on cells it has not seen, fitted for each split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from sklearn.model_selection import train_test_split

from genept.data import embeddings
from genept.engines.finetuned import training
from genept.metrics.targets import seeds
from tests import helpers
from tests.engines.finetuned.conftest import MLP
from tests.metrics import blood

FILES = ["models/tuned/blood/head.safetensors", "models/tuned/blood/card.json", "data/blood/embeddings/tuned.json"]


def base() -> np.ndarray:
    return np.load("data/blood/embeddings/base.npy")


def change(file: str, key: str, value: Any) -> None:
    content = yaml.safe_load(Path(file).read_text())
    helpers.merge(content, {key: value})
    Path(file).write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("model", ["tuned", "logits"])
def test_the_stored_head_gives_the_stored_embedding_its_activations_or_logits(project: Path, model: str) -> None:
    assert blood.finetune(model).exit_code == 0
    head = load_file(f"models/{model}/blood/head.safetensors")
    activations = (base() - head["mean"]) / head["sd"]
    if model == "tuned":
        activations = np.maximum(activations @ head["hidden.weight"].T + head["hidden.bias"], 0)
    logits = activations @ head["output.weight"].T + head["output.bias"]
    stored = np.load(f"data/blood/embeddings/{model}.npy")
    np.testing.assert_allclose(stored, activations if model == "tuned" else logits, rtol=1e-4, atol=1e-5)
    card = json.loads(Path(f"models/{model}/blood/card.json").read_text())
    train = np.setdiff1d(np.arange(blood.N_CELLS), embeddings.read_notes("blood", model)["unseen_cells"])
    right = np.array(card["classes"])[logits.argmax(axis=1)][train] == blood.columns()["phenotype"][train]
    assert card["train_accuracy"] == round(float(right.mean()), 4)


def test_without_finetune_in_the_datasets_file_cell_types_are_learned(project: Path) -> None:
    dataset = blood.settings("data/covid.yaml")
    del dataset["finetune"]
    helpers.write_settings(project, datasets={"blood": dataset})
    assert blood.finetune().exit_code == 0
    known = np.flatnonzero(blood.columns()["cell_type"] != "Unknown")
    train = train_test_split(known, test_size=0.2, random_state=0)[0]
    notes = embeddings.read_notes("blood", "tuned")
    assert notes["unseen_cells"] == sorted(set(range(blood.N_CELLS)) - set(train))
    assert (notes["annotation"], notes["base"], notes["n_train"]) == ("cell_type", "base", len(train))
    assert notes["finetune"] == MLP.model_dump()
    assert (notes["comparable"], notes["reason"]) == (False, "no counts")


@pytest.mark.parametrize("present", [["patient", "phenotype"], ["patient"]])
def test_without_cell_types_the_first_annotation_there_is_is_learned(project: Path, present: list[str]) -> None:
    columns = blood.columns()
    no_cell_type()
    blood.write_obs(**{name: columns[name] for name in present})
    assert blood.finetune().exit_code == 0
    assert embeddings.read_notes("blood", "tuned")["annotation"] == present[-1]


def test_equal_runs_write_equal_files_and_unseen_cells_can_hold_anything(project: Path) -> None:
    blood.finetune()
    first = [Path(name).read_bytes() for name in FILES]
    unseen = embeddings.read_notes("blood", "tuned")["unseen_cells"]
    other, labels = base(), blood.columns()
    other[unseen], labels["phenotype"][unseen] = 1e6, "sick"
    blood.write_embedding("base", other, comparable=False, reason="no counts")
    blood.write_obs(**labels)
    blood.finetune()
    assert [Path(name).read_bytes() for name in FILES] == first
    labels["phenotype"][np.setdiff1d(np.arange(blood.N_CELLS), unseen)[0]] = "other"
    blood.write_obs(**labels)
    blood.finetune()
    assert [Path(name).read_bytes() for name in FILES] != first


def test_many_cells_are_projected_block_by_block(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blood.finetune()
    whole, notes = np.load("data/blood/embeddings/tuned.npy"), embeddings.read_notes("blood", "tuned")
    monkeypatch.setattr(training, "PROJECTED", 7)
    monkeypatch.setattr(training, "VALUES", 1)  # the accuracy is that of blocks, too
    project_parts = Mock(wraps=training.project_parts)
    monkeypatch.setattr(training, "project_parts", project_parts)
    blood.finetune()
    assert isinstance(project_parts.call_args.args[1], np.memmap)
    np.testing.assert_allclose(np.load("data/blood/embeddings/tuned.npy"), whole, rtol=1e-5, atol=1e-6)
    assert embeddings.read_notes("blood", "tuned") == notes


def test_scores_are_of_unseen_cells_by_a_fit_for_each_split(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blood.finetune()
    columns, row_of = blood.columns(), {cell.tobytes(): row for row, cell in enumerate(base().astype(np.float32))}
    train = []
    for cells in (np.flatnonzero(columns["cell_type"] != "Unknown"), np.arange(blood.N_CELLS)):  # the latter of two
        train += [train_test_split(cells, test_size=0.2, random_state=seed)[0] for seed in seeds(0, 3)]
        train += [cells[columns["patient"][cells] != donor] for donor in ("D1", "D2", "D3")]
    fit_each = Mock(wraps=training.fit_each)
    monkeypatch.setattr(training, "fit_each", fit_each)
    blood.evaluate()
    (call,) = fit_each.call_args_list
    fitted = [np.array([row_of[cell.tobytes()] for cell in matrix]) for matrix in call.args[0]]
    assert sorted(sorted(rows) for rows in fitted) == sorted(sorted(rows) for rows in train)
    for own, labels in zip(fitted, call.args[1], strict=True):
        assert (labels == columns["phenotype"][own]).all()
    rows = blood.full("tuned")
    n_known = int((columns["cell_type"] != "Unknown").sum())
    found = {(row["annotation"] == "cell_type", row["split"], int(row["n_cells"])) for row in rows}
    assert found == {
        *((True, "random", int(np.ceil(0.2 * n_known))), (True, "donors", n_known)),  # with donors held out, each once
        *((False, "random", 30), (False, "donors", blood.N_CELLS)),
    }
    tasks = {row["task"] for row in blood.full("tuned", annotation="phenotype")}
    assert tasks == {"kmeans", "silhouette", "knn", "logreg", "logreg_standardised"}
    assert {row["split"] for row in rows if row["task"] in ("kmeans", "silhouette")} == {"random"}
    for row in rows:
        supervised = "; supervised by phenotype" if row["annotation"] == "phenotype" else ""
        assert row["note"].endswith(f"unseen cells only{supervised}; base is not comparable: no counts")
    assert len(blood.headlines("tuned")) == 6
    assert blood.headlines("tuned")["phenotype"] > 0.7
    blood.write_obs(**columns, part=np.where(np.arange(blood.N_CELLS) % 3 == 0, "query", "reference"))
    blood.evaluate()
    assert len(blood.full("tuned", task="knn", split="reference", metric="accuracy")) == 1


def test_the_first_score_of_the_supervised_annotation_is_that_of_the_stored_embedding(project: Path) -> None:
    labels = blood.columns()["phenotype"]
    every = np.arange(blood.N_CELLS)
    divided = [train_test_split(every, test_size=0.2, random_state=seed) for seed in seeds(0, 3)]
    splits = [(np.sort(train), np.sort(test)) for train, test in divided]
    labels[splits[0][1][0]], labels[splits[0][0][0]] = "only in test", "only in training"
    blood.write_obs(**{**blood.columns(), "phenotype": labels})
    blood.finetune()
    blood.evaluate()
    assert embeddings.read_notes("blood", "tuned")["unseen_cells"] == splits[0][1].tolist()
    made = [np.load("data/blood/embeddings/tuned.npy")]
    made += [training.project(training.fit(base()[own], labels[own], MLP, 0).head, base()) for own, _ in splits[1:]]
    accuracies = []
    for embedding, (train, test) in zip(made, splits, strict=True):
        unit = embedding / np.maximum(np.linalg.norm(embedding.astype(float), axis=1, keepdims=True), 1e-12)
        nearest = train[np.argsort(-unit[test] @ unit[train].T, axis=1, kind="stable")[:, :10]]
        said = [Counter(labels[cells]).most_common(1)[0][0] for cells in nearest]  # a tie: the nearest cell's label
        accuracies.append(float((np.array(said) == labels[test]).mean()))
    (row,) = blood.full("tuned", task="knn", annotation="phenotype", split="random", metric="accuracy")
    assert [float(row[name]) for name in ("first", "value")] == [round(accuracies[0], 4), round(np.mean(accuracies), 4)]


def another_engine() -> None:
    Path("models/tuned.yaml").write_text("title: another model")
    Path("models/tuned.py").write_text("from genept.engines.config import ModelConfig as Model\ndef embed(): pass")


def no_cell_type() -> None:
    dataset = blood.settings("data/covid.yaml")
    del dataset["finetune"]
    helpers.write_settings(Path(), datasets={"blood": dataset})
    blood.write_obs()


def one_class() -> None:
    blood.write_obs(**{**blood.columns(), "phenotype": np.full(blood.N_CELLS, "sick")})


@pytest.mark.parametrize(
    ("cause", "exit_code", "message"),
    [
        (("data/blood.yaml", "finetune", "disease"), 2, "data/blood.yaml: finetune: no 'disease' here. Known: cell_ty"),
        (no_cell_type, 2, "finetune: the dataset has no annotation 'cell_type'; it has none"),
        (("models/tuned.yaml", "finetune", {"head": "transformer"}), 2, "models/tuned.yaml: finetune.head"),
        (("models/tuned.yaml", "finetune", {"dropout": 0.1}), 2, "no setting 'dropout'"),
        (("params.yaml", "evaluate", {"split": {"test_size": 1}}), 2, "split.test_size: should be less than 1"),
        (another_engine, 2, "models/tuned.yaml: fine-tuning needs `engine: finetuned`, got None"),
        (one_class, 1, "fine-tuning needs two classes in the training cells, found 1 in "),
        (Path("data/blood/embeddings/base.json").unlink, 1, "data/blood/embeddings/base.json: no such file"),
    ],
)
def test_what_cannot_be_fitted_is_one_line_and_nothing_is_written(
    project: Path, cause: Any, exit_code: int, message: str
) -> None:
    change(*cause) if isinstance(cause, tuple) else cause()
    result = blood.finetune()
    assert (result.exit_code, result.output.count("\n")) == (exit_code, 1), result.output
    assert message in result.output
    assert not Path("models/tuned").exists()
