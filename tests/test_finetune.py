"""The head: what it learns from, what it stores, and that it is scored on cells it has not seen."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from safetensors.numpy import load_file
from sklearn.model_selection import train_test_split

from stages import embeddings
from stages.errors import InputError
from stages.evaluate import choices, finetuned, splits
from stages.evaluate.__main__ import main as evaluate_main
from stages.finetune import head, training
from stages.finetune.__main__ import main as finetune_main
from tests import helpers

N_CELLS = 150
MLP = head.HeadChoices("mlp", width=8, epochs=5, batch_size=16, learning_rate=0.01, weight_decay=0.1)
LINEAR = head.HeadChoices("linear", width=8, epochs=5, batch_size=16, learning_rate=0.01, weight_decay=0.1)


def cells(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Nearly parallel unit vectors, as GenePT-w gives, whose small differences tell two labels apart."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(["sick", "well"], size=N_CELLS)
    matrix = 1 + 0.02 * rng.normal(size=(N_CELLS, 12))
    matrix[:, 0] += 0.05 * (labels == "sick")
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one dataset, `blood`, an embedding of it, and entries for heads on it."""
    monkeypatch.chdir(tmp_path)
    entry = {
        "title": "A head",
        "head": "mlp",
        "width": 8,
        "epochs": 5,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
    }
    change = {
        "datasets": {"blood": {"finetune": "phenotype"}},
        "models": {"base": {"title": "base"}, "tuned": entry, "logits": {**entry, "head": "linear"}},
        "evaluate": {"kmeans": {"repeats": 2}},
    }
    helpers.write_params(tmp_path / "params.yaml", change)
    matrix, labels = cells()
    rng = np.random.default_rng(1)
    kinds = rng.choice(["T cell", "B cell", "Unknown"], size=N_CELLS, p=[0.5, 0.4, 0.1])
    write(matrix, cell_type=kinds, patient=rng.choice(["D1", "D2", "D3"], size=N_CELLS), phenotype=labels)
    return tmp_path


def write(matrix: np.ndarray, **columns: Any) -> None:
    ids = [f"cell{number}" for number in range(N_CELLS)]
    Path("data/blood").mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns, index=pd.Index(ids, name="cell_id")).to_csv("data/blood/obs.csv")
    embeddings.write("blood", "base", matrix, ids, {"comparable": True})


def columns() -> dict[str, np.ndarray]:
    obs = pd.read_csv("data/blood/obs.csv", index_col=0, dtype=str, keep_default_na=False)
    return {str(name): obs[name].to_numpy() for name in obs}


def base_matrix() -> np.ndarray:
    return np.load("data/blood/embeddings/base.npy")


def edit_params(project: Path, change: dict[str, Any]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    helpers.merge(params, change)
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def tune(model: str = "tuned") -> Result:
    return run(finetune_main, "blood", model, "--from", "base")


def score(model: str = "tuned") -> Result:
    return run(evaluate_main, "finetuned", "blood", model, "--from", "base")


def full(model: str = "tuned") -> list[dict[str, str]]:
    with Path(f"metrics/full/blood/{model}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def weights(fitted: training.Fitted) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in fitted.head.state_dict().items()}


def test_the_optimiser_takes_torchs_own_adamw_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, 4, generator=generator), torch.randn(4, generator=generator)]
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in ours]
    mine = training.AdamW(ours, learning_rate=0.03, weight_decay=0.2)
    reference = torch.optim.AdamW(theirs, lr=0.03, weight_decay=0.2)
    for _ in range(20):
        gradients = [torch.randn(tensor.shape, generator=generator) for tensor in ours]
        mine.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("options", [MLP, LINEAR])
def test_a_head_learns_labels_that_lie_in_small_differences(options: head.HeadChoices) -> None:
    matrix, labels = cells()
    assert training.fit(matrix, labels, options, 0).train_accuracy > 0.85


def test_equal_input_gives_equal_heads_on_any_number_of_threads_and_another_seed_another() -> None:
    matrix, labels = cells()
    before = torch.get_num_threads()
    try:
        heads = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            heads.append(weights(training.fit(matrix, labels, MLP, 0)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all((heads[0][name] == heads[1][name]).all() for name in heads[0])
    other = weights(training.fit(matrix, labels, MLP, 1))
    assert (other["output.weight"] != heads[0]["output.weight"]).any()


def test_training_leaves_torchs_global_generator_alone() -> None:
    matrix, labels = cells()
    state = torch.get_rng_state()
    training.fit(matrix, labels, MLP, 0)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_constant_coordinate_does_no_harm() -> None:
    matrix, labels = cells()
    matrix[:, 3] = 0.25
    assert np.isfinite(training.project(training.fit(matrix, labels, MLP, 0).head, matrix)).all()


def test_one_class_and_divergence_are_errors_in_one_line() -> None:
    matrix, labels = cells()
    with pytest.raises(InputError, match="needs two classes in the training cells, found 1"):
        training.fit(matrix, np.full(N_CELLS, "sick"), MLP, 0)
    with pytest.raises(InputError, match="lower learning_rate"):
        training.fit(matrix, labels, head.HeadChoices("mlp", 8, 5, 16, 1e30, 0.1), 0)


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
    edit_params(project, {"datasets": {"blood": {"finetune": "cell_type"}}})
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
    edit_params(project, change)
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
