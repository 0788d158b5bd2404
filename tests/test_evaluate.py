"""The evaluate command as a user runs it: files, notes, errors, threads."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from stages import embeddings
from stages.evaluate import choices, neighbours, scores, tasks
from stages.evaluate.__main__ import main
from tests import helpers

KEYS = [
    "cell_type_ari",
    "cell_type_ami",
    "cell_type_asw",
    "cell_type_knn_accuracy",
    "cell_type_knn_f1",
    "patient_ari",
    "phenotype_ari",
    "phenotype_logreg_accuracy",
]
COLUMNS = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note"
OUTPUTS = ("metrics/scores/blood/{}.json", "metrics/full/blood/{}.csv", "plots/confusion/blood/{}.csv")
N_CELLS = 150


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one dataset, `blood`, and embeddings of it by three models."""
    monkeypatch.chdir(tmp_path)
    models: dict[str, Any] = {name: {"title": name} for name in ("one", "two", "three")}
    change = {
        "datasets": {"blood": {"finetune": "phenotype"}},
        "models": models,
        "evaluate": {"kmeans": {"repeats": 2}},
    }
    helpers.write_params(tmp_path / "params.yaml", change)
    rng = np.random.default_rng(0)
    cell_type = rng.choice(["T cell", "B cell", "Unknown"], size=N_CELLS, p=[0.5, 0.4, 0.1])
    cell_type[0] = "pDC"  # a class of one cell
    patient = rng.choice(["D1", "D2", "D3"], size=N_CELLS)
    write_obs(
        cell_type=cell_type,
        patient=patient,
        phenotype=np.where(patient == "D1", "sick", "well"),
        age_bin=np.where(np.arange(N_CELLS) < 20, "", rng.choice(["<60", ">=60"], size=N_CELLS)),
    )
    signal = np.stack([cell_type == "T cell", patient == "D1"], axis=1)
    for number, name in enumerate(models):
        noise = np.random.default_rng(number).normal(size=(N_CELLS, 8))
        write_embedding(name, np.hstack([3 * signal, noise]))
    return tmp_path


def write_obs(**columns: Any) -> None:
    Path("data/blood").mkdir(parents=True, exist_ok=True)
    index = pd.Index([f"cell{number}" for number in range(N_CELLS)], name="cell_id")
    pd.DataFrame(columns, index=index).to_csv("data/blood/obs.csv")


def obs() -> pd.DataFrame:
    return pd.read_csv("data/blood/obs.csv", index_col=0, dtype=str, keep_default_na=False)


def write_embedding(model: str, matrix: np.ndarray, **notes: Any) -> None:
    embeddings.write("blood", model, matrix, [f"cell{number}" for number in range(len(matrix))], notes)


def edit_params(project: Path, change: dict[str, Any]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    helpers.merge(params, change)
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def evaluate(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="python -m stages.evaluate")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def outputs(model: str) -> list[Path]:
    return [Path(pattern.format(model)) for pattern in OUTPUTS]


def full(model: str) -> list[dict[str, str]]:
    with Path(f"metrics/full/blood/{model}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def chosen(rows: list[dict[str, str]], **where: str) -> list[dict[str, str]]:
    return [row for row in rows if all(row[key] == value for key, value in where.items())]


def test_all_eight_headlines_come_in_order_rounded_and_equal_the_full_table(project: Path) -> None:
    assert evaluate("model", "blood", "one").exit_code == 0
    headlines = json.loads(outputs("one")[0].read_text())
    assert list(headlines) == KEYS
    assert all(value == round(value, 4) for value in headlines.values())
    rows = full("one")
    assert outputs("one")[1].read_text().splitlines()[0] == COLUMNS
    for key, where in {
        "cell_type_asw": {"task": "silhouette", "annotation": "cell_type", "metric": "asw"},
        "patient_ari": {"task": "kmeans", "annotation": "patient", "metric": "ari"},
        "cell_type_knn_f1": {"task": "knn", "annotation": "cell_type", "metric": "f1_macro", "class": ""},
    }.items():
        assert [float(row["value"]) for row in chosen(rows, **where)] == [headlines[key]]


def test_every_annotation_has_its_tasks(project: Path) -> None:
    evaluate("model", "blood", "one")
    found = {(row["annotation"], row["task"]) for row in full("one")}
    everywhere = {(name, task) for name in obs() for task in ("kmeans", "silhouette", "knn")}
    assert found == everywhere | {("phenotype", "logreg")}


def test_genes_unknown_to_the_model_are_copied_from_the_notes_and_the_ensemble_has_none(project: Path) -> None:
    counted = {"n_genes": 900, "n_genes_missing": 41, "share_of_counts_missing": 0.01234}
    write_embedding("one", np.random.default_rng(5).normal(size=(N_CELLS, 8)), **counted)
    evaluate("model", "blood", "one")
    found = {row["metric"]: row for row in chosen(full("one"), task="embedding", annotation="")}
    assert {name: row["value"] for name, row in found.items()} == {
        "n_genes": "900",
        "n_genes_missing": "41",
        "share_of_counts_missing": "0.0123",
    }
    assert {row["n_cells"] for row in found.values()} == {str(N_CELLS)}
    evaluate("ensemble", "blood", "one", "two", "three")
    assert not chosen(full("ensemble"), task="embedding")


def test_confusion_rows_are_the_test_cells_and_give_the_accuracy(project: Path) -> None:
    evaluate("model", "blood", "one")
    pairs = pd.read_csv(outputs("one")[2])
    known = np.flatnonzero(obs()["cell_type"] != "Unknown")
    test = np.sort(train_test_split(known, test_size=0.2, random_state=0)[1])
    assert pairs["actual"].tolist() == obs()["cell_type"].iloc[test].tolist()
    accuracy = json.loads(outputs("one")[0].read_text())["cell_type_knn_accuracy"]
    assert accuracy == round(float((pairs["actual"] == pairs["predicted"]).mean()), 4)


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
    edit_params(project, change)
    result = evaluate("finetuned", "blood", "tuned", "--from", "one")
    assert result.exit_code == 0, result.output
    assert len(chosen(full("tuned"), task="knn_reference", metric="accuracy")) == 1


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
    edit_params(project, {"models": {"four": {"title": "four"}}})
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
    edit_params(project, {"evaluate": change})
    result = evaluate("model", "blood", "one")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert result.output.startswith("Error: params.yaml: ")
    assert message in result.output


@pytest.mark.parametrize("seed", [-1, 2**32, "zero", True])
def test_a_seed_that_is_none_is_refused(project: Path, seed: Any) -> None:
    edit_params(project, {"seed": seed})
    assert "params.yaml: seed must be a whole number" in evaluate("model", "blood", "one").output


def test_the_reason_why_an_embedding_is_not_comparable_is_on_every_row(project: Path) -> None:
    write_embedding("two", np.random.default_rng(0).normal(size=(N_CELLS, 4)), comparable=False, reason="no counts")
    evaluate("model", "blood", "two")
    assert all(row["note"].endswith("two is not comparable: no counts") for row in full("two"))
    evaluate("ensemble", "blood", "one", "two", "three")
    assert all("two is not comparable: no counts" in row["note"] for row in full("ensemble"))


def test_holding_patients_out_says_that_patients_cannot_be_found_again(project: Path) -> None:
    edit_params(project, {"evaluate": {"split": {"groups": "patient"}}})
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


def test_more_repeats_change_the_mean_and_one_repeat_has_no_spread(project: Path) -> None:
    def patient_ari(repeats: int) -> dict[str, str]:
        edit_params(project, {"evaluate": {"kmeans": {"repeats": repeats}}})
        evaluate("model", "blood", "one")
        return chosen(full("one"), task="kmeans", annotation="patient", metric="ari")[0]

    one, many = patient_ari(1), patient_ari(6)
    assert float(one["sd"]) == 0.0 < float(many["sd"])
    assert one["value"] != many["value"]


def test_zero_and_identical_cells_are_scored(project: Path) -> None:
    write_embedding("one", np.zeros((N_CELLS, 3)))
    result = evaluate("model", "blood", "one")
    assert result.exit_code == 0, result.output
    assert json.loads(outputs("one")[0].read_text())["cell_type_asw"] == 0


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
        edit_params(project, {"evaluate": {"ensemble_tie": tie}})
        options = choices.read(yaml.safe_load((project / "params.yaml").read_text()))
        results = scores.score_ensemble([task], [np.eye(4)] * 3, options)
        assert results.predicted.tolist() == [first, "T cell"]


def test_an_ensemble_has_three_members(project: Path) -> None:
    assert evaluate("ensemble", "blood", "one", "two").exit_code == 2


def test_files_do_not_depend_on_threads_and_scoring_does_not_load_torch(project: Path) -> None:
    rng = np.random.default_rng(0)
    write_embedding("one", rng.normal(size=(N_CELLS, 700)) + 5)  # wide enough for the library to share out
    command = (
        f"import sys; sys.path.insert(0, {str(helpers.ROOT)!r}); from stages.evaluate.__main__ import main; "
        "main(['model', 'blood', 'one'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    written = []
    for threads in (1, 2):
        edit_params(project, {"threads": threads})
        helpers.run(sys.executable, "-c", command, cwd=project)
        written.append([path.read_bytes() for path in outputs("one")])
    assert written[0] == written[1]


@pytest.mark.parametrize("command", ["model", "finetuned", "ensemble"])
def test_help_says_what_is_needed(command: str) -> None:
    result = evaluate(command, "--help")
    assert result.exit_code == 0
    assert "DATASET" in result.output
