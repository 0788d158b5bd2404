"""The stage: which cells and models it scores, what it writes, its cache and its refusals."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from genept.data import embeddings
from genept.metrics import benchmark, evaluation, neighbours, results
from stages import evaluate as evaluate_stage
from tests import helpers
from tests.metrics import blood


def test_headlines_and_confusion_are_those_of_the_full_table_of_the_cells_with_a_label(project: Path) -> None:
    blood.write_obs(**blood.columns(), batch="b1")
    assert "blood: 1 models scored, and what scores lie between; metrics/full/blood" in blood.evaluate()
    scores, columns = blood.headlines("one"), blood.columns()
    assert list(scores) == list(results.HEADLINES)
    splits = {"knn": "random", "logreg": "donors"}  # each donor has one phenotype
    for key, (task, annotation, metric) in results.HEADLINES.items():
        where = {"task": task, "annotation": annotation, "metric": metric, "split": splits.get(task, ""), "class": ""}
        (row,) = blood.full("one", **where)
        assert round(float(row["value"]), 3) == scores[key]
    everywhere = {(name, task) for name in set(columns) - {"batch"} for task in ("kmeans", "silhouette", "knn")}
    scored = {(row["annotation"], row["task"]) for row in blood.full("one")}
    logreg = {("phenotype", "logreg"), ("phenotype", "logreg_standardised")}
    assert scored == everywhere | logreg | {("batch", "labels")}
    (row,) = blood.full("one", annotation="batch")
    assert row["note"] == "not scored: batch has one label, 'b1', in 150 cells; scores need two labels"

    known = np.flatnonzero(columns["cell_type"] != "Unknown")
    n_cells = {"cell_type": len(known), "patient": blood.N_CELLS, "age_bin": blood.N_CELLS - 20}
    for annotation, n in n_cells.items():
        assert {row["n_cells"] for row in blood.full("one", task="kmeans", annotation=annotation, split="")} == {str(n)}
    test = np.sort(train_test_split(known, test_size=0.2, random_state=0)[1])
    confusion = blood.confusion("one")
    assert confusion["actual"].tolist() == columns["cell_type"][test].tolist()
    accuracy = (confusion["actual"] == confusion["predicted"]).mean()
    (row,) = blood.full("one", task="knn", annotation="cell_type", split="random", metric="accuracy")
    assert row["first"] == str(round(float(accuracy), 4))


@pytest.mark.parametrize(("groups", "split"), [("patient", "donors"), (None, "random")])
def test_predictions_name_each_test_cell_once_and_give_the_score(project: Path, groups: str | None, split: str) -> None:
    blood.write_settings({"split": {"groups": groups}})
    blood.evaluate()
    table = pd.read_csv("metrics/predictions/blood.csv", dtype=str, keep_default_na=False)
    assert [*table][:4] == ["cell_id", "split", "actual", "one"] and set(table["split"]) == {split}
    labels = dict(zip(blood.IDS, blood.columns()["cell_type"], strict=True))
    assert table["actual"].tolist() == [labels[one] for one in table["cell_id"]] and table["cell_id"].is_unique
    known = [one for one in blood.IDS if labels[one] != "Unknown"]
    assert groups is None or sorted(table["cell_id"]) == sorted(known)
    for name in ("one", "supervised", "majority"):
        (row,) = blood.full(name, task="knn", annotation="cell_type", split=split, metric="accuracy")
        assert row["first"] == str(round(float((table[name] == table["actual"]).mean()), 4))


def test_what_scores_lie_between_comparisons_and_probabilities_are_written(project: Path) -> None:
    blood.write_grid({"custom": ["one"], "genept_w": ["two"], "controls": ["three"]})
    blood.evaluate()
    for name in ("majority", "random_cells", "supervised"):
        assert blood.full(name) and not blood.outputs(name)[0].exists()
    assert {(row["task"], row["annotation"]) for row in blood.full("supervised")} == {("knn", "cell_type")}
    probabilities = pd.read_csv("metrics/probabilities/blood/phenotype/one.csv")
    own = probabilities[(probabilities["task"] == "logreg") & (probabilities["split"] == "donors")]
    labels = dict(zip(blood.IDS, blood.columns()["phenotype"], strict=True))
    assert sorted(own["cell_id"]) == sorted(blood.IDS) and own["actual"].tolist() == [
        labels[one] for one in own["cell_id"]
    ]
    np.testing.assert_allclose(own["sick"] + own["well"], 1, atol=1e-5)
    pairs = pd.read_csv("metrics/comparisons/blood/models.csv")
    (pair,) = pairs[
        (pairs[["model", "other", "split", "metric"]] == ["one", "two", "random", "accuracy"]).all(axis=1)
        & (pairs["task"] == "knn")
    ].to_dict("records")
    values = [
        float(blood.full(name, task="knn", annotation="cell_type", split="random", metric="accuracy")[0]["value"])
        for name in ("one", "two")
    ]
    assert pair["difference"] == pytest.approx(values[0] - values[1], abs=2e-4)
    text = pd.read_csv("metrics/comparisons/blood/text.csv")
    assert set(text["text"]) == {"two"} and set(text["versus"]) == {"three", "one"}
    assert set(text["setting"]) == {"cosine", "centred_cosine", "minibatch k-means", "full k-means"}


def test_fine_tuned_heads_are_scored_on_controls_and_on_the_same_cells(project: Path) -> None:
    blood.write_grid({"custom": ["one"], "genept_w": ["two"], "controls": ["three"], "finetuned": ["tuned"]})
    helpers.write_settings(project, models={"tuned": blood.settings("models/genept_w_ft_minilm.yaml")})
    assert blood.finetune("tuned", "two").exit_code == 0
    blood.evaluate()
    for name in ("tuned", "three_tuned"):
        rows = blood.full(name, **{"class": ""})
        assert {row["split"] for row in rows if row["annotation"] == "phenotype"} == {"random"}
        assert any("the head has one label to learn" in row["note"] for row in rows)  # D1 alone is sick
        assert all("unseen cells only" in row["note"] for row in rows)
    for task in ("kmeans", "knn"):  # every other model is scored on these cells, too
        where = {"task": task, "annotation": "phenotype", "split": "random", "class": ""}
        sizes = [{row["n_cells"] for row in blood.full(name, **where)} for name in ("tuned", "one")]
        assert sizes[0] == sizes[1] == {"30"}


def test_the_query_is_scored_and_also_predicted_from_the_reference(project: Path) -> None:
    part = np.where(np.arange(blood.N_CELLS) % 3 == 0, "query", "reference")
    blood.write_obs(**blood.columns(), part=part)
    blood.evaluate()
    assert {row["n_cells"] for row in blood.full("one", task="kmeans", annotation="patient", split="")} == {"50"}
    labels = blood.columns()["cell_type"]
    train, test = ((labels != "Unknown") & (part == name) for name in ("reference", "query"))
    (accuracy,) = blood.full("one", task="knn", split="reference", metric="accuracy")
    assert accuracy["n_cells"] == str(test.sum())
    matrix = embeddings.read("blood", "one", blood.IDS)
    knn = KNeighborsClassifier(10, metric="cosine").fit(matrix[train], labels[train])
    assert float(accuracy["value"]) == pytest.approx(knn.score(matrix[test], labels[test]), abs=0.03)  # ties
    (within,) = blood.full("one", task="knn", annotation="cell_type", split="random", metric="accuracy")
    assert int(within["n_cells"]) == np.ceil(0.2 * test.sum())
    assert blood.headlines("one")["accuracy"] == round(float(within["value"]), 3)


def test_notes_beside_an_embedding_give_coverage_and_the_reason_why_it_is_not_comparable(project: Path) -> None:
    matrix = np.random.default_rng(5).normal(size=(blood.N_CELLS, 8))
    coverage = {"n_genes": 900, "n_genes_missing": 41, "share_of_counts_missing": 0.01234}
    blood.write_embedding("one", matrix, **coverage, comparable=False, reason="no counts")
    blood.write_embedding("two", np.zeros((blood.N_CELLS, 3)))  # which must not stop it
    blood.write_grid({"custom": ["one", "two"]}, ["one", "two"])
    blood.evaluate()
    notes = {row["note"] for row in blood.full("two", task="kmeans", annotation="phenotype", split="")}
    assert notes == {"k-means found fewer clusters than classes"} and blood.headlines("two")["asw"] == 0
    rows = blood.full("one", task="embedding", annotation="")
    assert [row["value"] for row in rows] == ["900", "41", "0.0123"]
    assert {row["n_cells"] for row in rows} == {str(blood.N_CELLS)}
    scored = [row for row in [*blood.full("one"), *blood.full("ensemble")] if row["task"] != "embedding"]
    assert all(row["note"].endswith("one is not comparable: no counts") for row in scored)
    assert not blood.full("ensemble", task="embedding")


@pytest.mark.parametrize("how", ["pooled", "smallest", "first"])
def test_the_ensemble_combines_any_number_of_members(project: Path, how: str) -> None:
    members = ["three", "two", "one"] if how != "first" else ["three", "two"]
    ensemble = {"ensemble": "pooled"} if how == "pooled" else {"ensemble": "vote", "vote_tie": how}
    blood.write_settings(ensemble)
    blood.write_grid({"custom": ["one", "two", "three"]}, members)
    blood.evaluate()
    if how == "pooled":
        labels = blood.columns()["cell_type"]
        train, test = (
            np.sort(part)
            for part in train_test_split(np.flatnonzero(labels != "Unknown"), test_size=0.2, random_state=0)
        )
        found = []
        for model in members:
            matrix = np.array(embeddings.read("blood", model, blood.IDS))
            near = NearestNeighbors(n_neighbors=10, metric="cosine").fit(matrix[train]).kneighbors(matrix[test])[1]
            found.append(labels[train][near])
        by_rank = np.stack(found, axis=2).reshape(len(test), -1).tolist()
        expected = [Counter(row).most_common(1)[0][0] for row in by_rank]  # of equals the first that was counted
    else:
        votes = np.array([blood.confusion(model)["predicted"] for model in members])
        names, codes = np.unique(votes, return_inverse=True)
        expected = names[neighbours.majority(codes.reshape(votes.shape), how)].tolist()
    assert blood.confusion("ensemble")["predicted"].tolist() == expected
    assert list(blood.headlines("ensemble")) == ["accuracy", "f1"]
    assert {row["annotation"] for row in blood.full("ensemble", task="knn")} == set(blood.columns())
    notes = {row["note"] for row in blood.full("ensemble", annotation="cell_type", split="random", **{"class": ""})}
    assert notes == {f"{'pooled neighbours' if how == 'pooled' else 'majority vote'} of {' + '.join(members)}"}


def test_a_dataset_of_the_paper_is_scored_by_the_authors_protocol_too(project: Path) -> None:
    blood.evaluate()
    assert {row["protocol"] for row in blood.full("one")} == {"evaluate"}
    helpers.write_settings(project, datasets={"blood": {**blood.settings("data/covid.yaml"), "paper": "aorta"}})
    blood.evaluate()
    ours, theirs = (blood.full("one", protocol=name) for name in ("evaluate", "authors"))
    authors = blood.settings("params.yaml")["protocols"]["authors"]
    blood.write_settings(authors)
    blood.evaluate()
    assert [row | {"protocol": "evaluate"} for row in theirs] == blood.full("one", protocol="evaluate") != ours


def test_silhouettes_by_cosine_are_scikit_learns(project: Path) -> None:
    blood.write_settings({"asw": "cosine"})
    blood.evaluate()
    labels = blood.columns()["patient"]
    matrix = np.array(embeddings.read("blood", "one", blood.IDS))
    (row,) = blood.full("one", task="silhouette", annotation="patient", split="")
    assert float(row["value"]) == pytest.approx(silhouette_score(matrix, labels, metric="cosine"), abs=1e-4)


def test_only_what_changed_is_scored_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    score = Mock(wraps=benchmark.score)
    monkeypatch.setattr(benchmark, "score", score)

    def runs() -> int:
        score.reset_mock()
        blood.evaluate()
        return score.call_count

    blood.write_grid({"custom": ["one", "two"]})
    blood.write_obs(**{name: blood.columns()[name] for name in ("cell_type", "patient")})  # fewer, for speed
    assert (runs(), runs()) == (3, 0)  # with random cells
    before = [path.read_bytes() for path in blood.outputs("one")]
    blood.write_embedding("two", np.random.default_rng(7).normal(size=(blood.N_CELLS, 8)))
    assert (runs(), runs()) == (1, 0)
    blood.write_settings(baseline="two")
    blood.write_grid({"custom": ["two"]})
    assert runs() == 0
    for path in blood.outputs("two"):  # what leaves the grid leaves no file behind
        assert not path.with_stem("one").exists()
    blood.write_settings({"knn": {"k": 3}}, baseline="one")
    blood.write_grid({"custom": ["one", "two"]})
    assert runs() == 3
    blood.write_obs(**{**blood.columns(), "patient": ["D1"] * 75 + ["D2"] * 75})
    assert runs() == 3
    monkeypatch.setattr(evaluation, "code_digest", lambda: "another version")
    assert (runs(), runs()) == (3, 0)
    for entry in Path(evaluation.CACHE).rglob("output.pkl"):
        entry.write_bytes(entry.read_bytes()[:20])
    evaluated = [path.read_bytes() for path in blood.outputs("one")]
    assert runs() == 3
    assert [path.read_bytes() for path in blood.outputs("one")] == evaluated != before


def test_files_do_not_depend_on_threads_and_scoring_an_embedding_does_not_load_torch(project: Path) -> None:
    rng = np.random.default_rng(0)
    blood.write_embedding("one", rng.normal(size=(blood.N_CELLS, 700)) + 5)  # wide enough for the library to share out
    blood.evaluate()
    written = [path.read_bytes() for path in blood.outputs("one")]
    shutil.rmtree(evaluation.CACHE)
    blood.write_settings(threads=2)
    command = (
        f"import sys; sys.path.insert(0, {str(helpers.ROOT)!r}); from stages.evaluate import main; "
        "main(['blood'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    helpers.run(sys.executable, "-c", command, cwd=project)
    assert [path.read_bytes() for path in blood.outputs("one")] == written


def test_no_more_processes_start_than_there_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Mock(return_value=iter)
    monkeypatch.setattr(evaluation, "Parallel", pool)
    assert len(evaluation.in_processes({"one": (max, 1, 2), "two": (max, 3, 4)}, 1024, "")) == 2
    assert pool.call_args.kwargs["n_jobs"] == 2


MATRIX = np.ones((blood.N_CELLS, 2))
OTHER_CELLS = [f"other{number}" for number in range(blood.N_CELLS)]
ONE_TYPE = ["T cell"] * 140 + ["Unknown"] * 10


@pytest.mark.parametrize(
    ("change", "arguments", "exit_code", "message"),
    [
        (
            lambda: blood.write_obs(patient="D1"),
            ["blood"],
            1,
            "data/blood/labelled/obs.csv: no column cell_type; name one",
        ),
        (lambda: blood.write_obs(cell_type=ONE_TYPE), ["blood"], 1, "cell_type has one label, 'T cell', in 140 cells"),
        (
            lambda: embeddings.write("blood", "one", MATRIX, OTHER_CELLS, {}),
            ["blood"],
            1,
            "made for other cells than da",
        ),
        (lambda: blood.write_grid({"custom": ["one", "four"]}), ["blood"], 1, "embeddings/four.json: no such file"),
        (lambda: blood.write_grid({"custom": ["two"]}), ["blood"], 2, "baseline: 'one' is not in the grid"),
        (lambda: blood.write_grid({"genept_w": ["one"], "finetuned": ["two"]}), ["blood"], 1, "not of a fine-tuned"),
        (lambda: None, ["bloood"], 2, "did you mean 'blood'"),
        (lambda: None, [], 2, "name a DATASET"),
        (lambda: blood.write_settings({"knn": {"kk": 3}}), ["blood"], 2, "did you mean 'k'"),
    ],
)
def test_what_cannot_be_scored_is_one_clear_line_and_nothing_is_written(
    project: Path, change: Any, arguments: list[str], exit_code: int, message: str
) -> None:
    change()
    result = blood.run(evaluate_stage.main, *arguments)
    assert result.exit_code == exit_code, result.output
    assert message in result.output.splitlines()[-1]
    assert not Path("metrics").exists()


def test_notes_of_an_engine_do_not_replace_the_name_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notes of an API name its model, and scores are looked up by the name in the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/blood/embeddings").mkdir(parents=True)
    (tmp_path / "data/blood/labelled").mkdir()
    embeddings.write("blood", "own", np.ones((2, 3)), ["a", "b"], {"model": "text-embedding-ada-002", "usd": 1.0})
    notes = embeddings.read_notes("blood", "own")
    assert (notes["model"], notes["usd"]) == ("own", 1.0)
