"""The command: the head and the embedding that it stores, from its training cells alone, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.model_selection import train_test_split

from genept.data import embeddings
from tests import helpers
from tests.engines.finetuned.made import N_CELLS, base_matrix, columns, score, tune, write


def test_the_stored_head_gives_the_stored_embedding_its_hidden_activations(project: Path) -> None:
    assert tune().exit_code == 0
    stored = load_file("models/tuned/blood/head.safetensors")
    standard = (base_matrix() - stored["mean"]) / stored["sd"]
    activations = np.maximum(standard @ stored["hidden.weight"].T + stored["hidden.bias"], 0)
    embedding = np.load("data/blood/embeddings/tuned.npy")
    assert embedding.shape == (N_CELLS, 8)
    np.testing.assert_allclose(embedding, activations, rtol=1e-4, atol=1e-5)
    guesses = (activations @ stored["output.weight"].T + stored["output.bias"]).argmax(axis=1)
    card = json.loads(Path("models/tuned/blood/card.json").read_text())
    train = np.setdiff1d(np.arange(N_CELLS), embeddings.read_notes("blood", "tuned")["unseen_cells"])
    right = np.array(card["classes"])[guesses][train] == columns()["phenotype"][train]
    assert card["train_accuracy"] == round(float(right.mean()), 4)


def test_the_embedding_of_a_linear_head_is_its_logits(project: Path) -> None:
    assert tune("logits").exit_code == 0
    stored = load_file("models/logits/blood/head.safetensors")
    logits = (base_matrix() - stored["mean"]) / stored["sd"] @ stored["output.weight"].T + stored["output.bias"]
    np.testing.assert_allclose(np.load("data/blood/embeddings/logits.npy"), logits, rtol=1e-4, atol=1e-5)


def test_unseen_cells_are_the_test_cells_of_the_labels_own_split_and_the_dropped_ones(project: Path) -> None:
    helpers.write_params(project / "params.yaml", {"datasets": {"blood": {"finetune": "cell_type"}}})
    tune()
    known = np.flatnonzero(columns()["cell_type"] != "Unknown")
    train = train_test_split(known, test_size=0.2, random_state=0)[0]
    notes = embeddings.read_notes("blood", "tuned")
    assert notes["unseen_cells"] == sorted(set(range(N_CELLS)) - set(train))
    assert (notes["label"], notes["from"], notes["n_train"]) == ("cell_type", "base", len(train))


def test_two_runs_write_the_same_bytes(project: Path) -> None:
    paths = [
        Path("models/tuned/blood/head.safetensors"),
        Path("models/tuned/blood/card.json"),
        Path("data/blood/embeddings/tuned.npy"),
        Path("data/blood/embeddings/tuned.json"),
    ]
    runs = []
    for _ in range(2):
        tune()
        runs.append([path.read_bytes() for path in paths])
    assert runs[0] == runs[1]


def test_test_cells_can_hold_anything_without_changing_the_head(project: Path) -> None:
    tune()
    clean = Path("models/tuned/blood/head.safetensors").read_bytes()
    unseen = embeddings.read_notes("blood", "tuned")["unseen_cells"]
    poisoned, labels = base_matrix(), columns()
    poisoned[unseen] = 1e6
    labels["phenotype"][unseen] = "sick"
    write(poisoned, **labels)
    tune()
    assert Path("models/tuned/blood/head.safetensors").read_bytes() == clean
    labels["phenotype"][np.setdiff1d(np.arange(N_CELLS), unseen)[0]] = "other"
    write(poisoned, **labels)
    tune()
    assert Path("models/tuned/blood/head.safetensors").read_bytes() != clean


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": {"blood": {"finetune": "disease"}}}, "datasets.blood.finetune must name an annotation"),
        ({"datasets": {"blood": {"finetune": None}}}, "(cell_type, patient, phenotype), got None"),
        ({"models": {"tuned": {"head": "transformer"}}}, "models.tuned.head must be one of mlp, linear"),
        ({"models": {"tuned": {"weight_decay": -1}}}, "models.tuned.weight_decay must be"),
    ],
)
def test_wrong_choices_are_named_by_both_commands(project: Path, change: dict[str, Any], message: str) -> None:
    helpers.write_params(project / "params.yaml", change)
    for result in (tune(), score()):
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert message in result.output
    assert not Path("models").exists()


def test_a_label_with_one_class_is_an_error_and_nothing_is_written(project: Path) -> None:
    write(base_matrix(), **{**columns(), "phenotype": np.full(N_CELLS, "sick")})
    for result in (tune(), score()):
        assert (result.exit_code, result.output.count("\n")) == (1, 1)
        assert "fine-tuning needs two classes" in result.output
    assert not any(map(Path.exists, map(Path, ("models", "metrics", "data/blood/embeddings/tuned.npy"))))
