"""The rows of a benchmark: by hand and against scikit-learn, headlines, notes, and a metric that is added."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from genept.core.errors import InputError
from genept.data.splits import Split
from genept.metrics import (
    benchmark,
    bounds,
    clustering,
    comparisons,
    counts,
    evaluation,
    neighbours,
    ranges,
    rows,
    scores,
    targets,
)
from genept.metrics.embedding import Embedding
from genept.metrics.minibatch import Run
from genept.metrics.results import Results, Row
from genept.metrics.targets import DONORS, RANDOM
from tests.metrics import blood

SHORT = blood.EVALUATE.model_copy(update={"repeats": 3})


def target_of(actual: list[str], train: list[str]) -> targets.Target:
    cells = np.arange(len(actual) + len(train))
    classes, codes = np.unique([*actual, *train], return_inverse=True)
    split = Split(cells[len(actual) :], cells[: len(actual)])
    return targets.Target("cell_type", classes, codes, cells, {RANDOM: [split]})


def plan(**columns: list[str]) -> list[targets.Target]:
    return targets.plan(pd.DataFrame(columns), SHORT, 0, "obs.csv")[0]


def test_predictions_by_hand() -> None:
    target = target_of(list("aaab"), list("abcd"))
    counted = counts.stack([counts.count(target.codes[:4], np.array([0, 0, 1, 2]), 4)])
    # a: 2 of 2 calls right, 2 of 3 cells found; b: 0 of 1, 0 of 1; c: called once, no cell; d: neither
    by_class = {"a": (1, 2 / 3, 4 / 5, 3), "b": (0, 0, 0, 1), "c": (0, 0, 0, 0)}
    found = list(rows.class_rows(target, RANDOM, counted))
    values = {(row.label, row.metric): row.value for row in found}
    for label, numbers in by_class.items():
        assert [values[label, name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(numbers)
    notes = {row.label: row.note for row in found}
    assert notes == {"a": "", "b": "", "c": "no test cell", "d": "no test cell; not in the macro average"}
    key = ("knn", "cell_type", RANDOM)
    scored = rows.prediction_values(target, key, counted, None, blood.EVALUATE)
    expected = {"accuracy": 1 / 2, "precision_macro": 1 / 3, "recall_macro": 2 / 9, "f1_macro": 4 / 15}
    assert {name: scored[name][0] for name in expected} == pytest.approx(expected)
    weighted = rows.prediction_values(target, ("logreg", "cell_type", RANDOM), counted, None, blood.EVALUATE)
    averages = [weighted[f"{name}_weighted"][0] for name in ("precision", "recall", "f1")]
    assert averages == pytest.approx([3 / 4, 1 / 2, 3 / 5])


def test_clusters_are_compared_by_scikit_learn_over_all_seeds() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(60, 3))
    (target,) = plan(cell_type=rng.choice(list("abc"), size=60).tolist())
    scored = benchmark.score([target], Embedding(matrix[None]), SHORT, 5)
    by_metric = {row.metric: row for row in scored.rows if (row.task, row.split) == ("kmeans", "")}
    jobs = [Run(matrix, target.cells, seed) for seed in targets.seeds(5, 3)]
    runs = clustering.kmeans(jobs, 3, SHORT.kmeans)
    for name, compare in (("ari", adjusted_rand_score), ("ami", adjusted_mutual_info_score)):
        values = np.array([compare(target.codes, clusters) for clusters in runs])
        row = by_metric[name]
        assert (row.value, row.sd, row.first) == pytest.approx((values.mean(), values.std(ddof=1), values[0]))
        assert (row.low, row.high) == pytest.approx(ranges.single_runs(values, (-1, 1)))
        assert row.n_runs == 3


def test_the_runs_of_a_control_take_its_draws_in_turn() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(2, 80, 3))
    planned = plan(cell_type=rng.choice(list("ab"), size=80).tolist())
    both = benchmark.score(planned, Embedding(draws), SHORT, 0)
    single = [benchmark.score(planned, Embedding(draw[None]), SHORT, 0) for draw in draws]
    for key in (("kmeans", "cell_type", ""), ("knn", "cell_type", RANDOM)):
        for metric in scores.metrics_of(key[0]):
            own = both.runs[key, metric.name]
            expected = [single[run % 2].runs[key, metric.name][run] for run in range(3)]
            np.testing.assert_array_equal(own, expected)  # NaN where no class is frequent
    widths = both.runs[("silhouette", "cell_type", ""), "asw"]
    assert widths.tolist() == [one.runs[("silhouette", "cell_type", ""), "asw"][0] for one in single]


@pytest.mark.parametrize("n_whole", [0, 1, 3])
def test_neighbours_of_a_draw_do_not_depend_on_what_was_searched_before(n_whole: int) -> None:
    draws = np.random.default_rng(0).normal(size=(3, 40, 4)).astype(np.float32)
    embedding, test = Embedding(draws, n_whole), np.arange(8)
    divisions = [Split(train, test) for train in (np.arange(8, 40), np.arange(8, 40), np.arange(20, 40))]
    for run, k in ((0, 3), (1, 3), (2, 5), (4, 3)):  # run 4 is of draw 1
        for split in divisions:  # two annotations may have the same test cells, and not the same labelled others
            expected = neighbours.search(draws[run % 3].astype(np.float64), test, split.train, k, "cosine")
            np.testing.assert_array_equal(embedding.nearest(split, run, k, "cosine"), expected)


def test_a_metric_is_one_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def share_of_first(matrix: np.ndarray, labels: np.ndarray) -> float:
        return float((labels == 0).mean() * matrix.shape[1])

    monkeypatch.setattr(scores, "METRICS", [*scores.METRICS, scores.Metric(("mine",), "share", share_of_first, (0, 9))])
    planned = plan(cell_type=list("aabbab" * 2))
    scored = benchmark.score(planned, Embedding(np.random.default_rng(0).normal(size=(1, 12, 4))), SHORT, 0)
    (row,) = [row for row in scored.rows if (row.task, row.split) == ("mine", "")]
    assert (row.annotation, row.metric, row.value, row.n_cells) == ("cell_type", "share", 2.0, 12)


@pytest.mark.parametrize(("n_draws", "n_runs"), [(1, 3), (2, 2), (5, 3)])
def test_a_head_on_a_control_runs_once_for_each_draw(n_draws: int, n_runs: int) -> None:
    few, evaluate = evaluation.once_a_draw(plan(cell_type=list("aabbab" * 2)), SHORT, n_draws)
    assert (len(few[0].splits[RANDOM]), evaluate.repeats, SHORT.repeats) == (n_runs, n_runs, 3)


@pytest.fixture(scope="module")
def donors() -> tuple[list[targets.Target], dict[str, Results]]:
    """Twelve donors, a phenotype of the donor, a model that shows both labels, and one that shows nothing."""
    rng = np.random.default_rng(0)
    patient = np.repeat([f"D{number}" for number in range(12)], 20)
    phenotype = np.where(np.repeat(np.arange(12) % 3 == 0, 20), "ill", "well")
    cell_type = rng.choice(["T", "B", "NK"], size=240, p=[0.5, 0.4, 0.1])
    planned = plan(cell_type=cell_type.tolist(), patient=patient.tolist(), phenotype=phenotype.tolist())
    signal = np.stack([cell_type == "T", cell_type == "B", phenotype == "ill"], axis=1)
    good = signal * 4 + rng.normal(size=(240, 3))
    matrices = {"good": good[None], "bad": rng.normal(size=(1, 240, 3)), "random_cells": bounds.random_cells(240, 0)}
    results = {name: benchmark.score(planned, Embedding(draws), SHORT, 0) for name, draws in matrices.items()}
    results["majority"] = bounds.majority(planned, SHORT, 0)
    results["supervised"] = bounds.supervised(planned, Embedding(good[None]), "good", SHORT, 0)
    return planned, bounds.scale(results)


def row_of(result: Results, task: str, annotation: str, split: str, metric: str) -> Row:
    key = (task, annotation, split, metric)
    (row,) = [row for row in result.rows if bounds.key_of(row) == key and not row.label]
    return row


def test_donors_are_held_out_whole_and_once(donors: tuple[list[targets.Target], dict[str, Results]]) -> None:
    planned, results = donors
    by_name = {target.annotation: target for target in planned}
    assert by_name["phenotype"].default == DONORS and by_name["cell_type"].default == RANDOM
    assert "patient" in by_name and DONORS not in by_name["patient"].splits
    for name in ("cell_type", "phenotype"):
        target = by_name[name]
        assert target.donors is not None
        for split in target.splits[DONORS]:
            assert not set(target.donors.codes[split.train]) & set(target.donors.codes[split.test])
            assert len(split.train) + len(split.test) == 240
        assert sorted(np.concatenate([split.test for split in target.splits[DONORS]])) == list(range(240))
    row = row_of(results["good"], "logreg_standardised", "phenotype", DONORS, "accuracy")
    assert row.low is not None and row.high is not None and row.low < row.value < row.high
    assert (row.n_cells, row.n_donors, row.n_classes) == (240, 12, 2)
    random = row_of(results["good"], "logreg", "phenotype", RANDOM, "accuracy")
    assert random.note.startswith("each donor has one label")
    majority = row_of(results["majority"], "logreg", "phenotype", DONORS, "accuracy")
    assert (majority.value, majority.note) == (pytest.approx(2 / 3), "predicts one class: well")
    assert row_of(results["majority"], "logreg", "phenotype", DONORS, "balanced_accuracy").value == 0.5


def test_the_interval_over_donors_is_that_of_their_cells(
    donors: tuple[list[targets.Target], dict[str, Results]],
) -> None:
    results = donors[1]
    row = row_of(results["good"], "knn", "cell_type", DONORS, "accuracy")
    counted = results["good"].by_donor["knn", "cell_type", DONORS].draw(0)
    of_donor = counted.hits.sum(axis=1) / counted.actual.sum(axis=1)
    rng = np.random.default_rng(1)
    resampled = [of_donor[rng.integers(12, size=12)].mean() for _ in range(4000)]  # donors have equally many cells
    assert row.value == pytest.approx(of_donor.mean())
    assert (row.low, row.high) == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.02)


def test_values_lie_between_floor_and_ceiling(donors: tuple[list[targets.Target], dict[str, Results]]) -> None:
    results = donors[1]
    key = ("knn", "cell_type", RANDOM, "accuracy")
    good, floor, top = (row_of(results[name], *key) for name in ("good", "majority", "supervised"))
    floor_value = max(floor.value, row_of(results["random_cells"], *key).value)
    assert good.scaled == pytest.approx((good.value - floor_value) / (1 - floor_value))
    assert floor.scaled == pytest.approx(0, abs=0.2) and top.value > 0.8
    assert (
        "a logistic regression on `good`" in top.note
        and row_of(results["majority"], "kmeans", "patient", "", "ari").value == 0
    )


def test_models_are_compared_in_pairs(donors: tuple[list[targets.Target], dict[str, Results]]) -> None:
    planned, results = donors
    pairs = comparisons.compare({name: results[name] for name in ("good", "bad", "majority")}, planned, SHORT, 0)
    columns = ["task", "annotation", "split", "metric", "model", "other"]
    where = {tuple(line[name] for name in columns): line for line in pairs.to_dict("records")}
    line = where["knn", "cell_type", "donors", "accuracy", "good", "bad"]
    counted = [results[name].by_donor["knn", "cell_type", DONORS].hits[0].sum(axis=1) for name in ("good", "bad")]
    difference = counted[0] - counted[1]
    signs = 1 - 2 * (np.arange(2**12)[:, None] >> np.arange(12) & 1)
    exact = (np.abs(signs @ difference) >= abs(difference.sum())).mean()
    assert (line["difference"], line["p"], line["n"]) == (
        pytest.approx(difference.sum() / 240, abs=1e-4),
        pytest.approx(exact, rel=1e-2),
        12,
    )
    runs = [results[name].runs[("knn", "cell_type", RANDOM), "accuracy"] for name in ("good", "bad")]
    line = where["knn", "cell_type", "random", "accuracy", "good", "bad"]
    low, high, p = ranges.corrected_t(runs[0] - runs[1], 48 / 192)
    assert (line["low"], line["high"], line["p"]) == pytest.approx((low, high, p), rel=1e-2, abs=1e-4)
    assert where["kmeans", "cell_type", "", "ari", "good", "majority"]["method"] == "seeds"
    assert where["silhouette", "cell_type", "", "asw", "good", "bad"]["note"] == "one number; no test"
    assert len(where) == len(pairs)
    area = where["logreg", "phenotype", "donors", "auroc", "good", "bad"]
    assert area["low"] < area["difference"] < area["high"] and area["p"] < 0.05 and area["method"] == "resamples"


CELLS = {"cell_type": list("ab" * 30)}
INPUTS: dict[str, tuple[dict[str, list[str]], str]] = {
    "two donors": ({**CELLS, "patient": ["D1", "D1", "D2"] * 20}, "2 donors: from the lowest to the highest"),
    "one donor": ({**CELLS, "patient": ["D1"] * 60}, "patient has one label, 'D1'"),
    "one donor per label": (
        {**CELLS, "patient": ["D1"] * 30 + ["D2"] * 30, "phenotype": ["ill"] * 30 + ["well"] * 30},
        "donors cannot be held out, each label has one donor",
    ),
    "a label of one donor": (
        {**CELLS, "patient": [f"D{n // 12}" for n in range(60)], "phenotype": ["x"] * 12 + ["y"] * 24 + ["z"] * 24},
        "x: of one donor only, never right",
    ),
    "a class with one cell": (
        {"cell_type": [*"ab" * 30, "c"], "patient": ["D1", "D2", "D3"] * 20 + ["D1"]},
        "c: of one",
    ),
    "a donor with one cell": ({"cell_type": [*"ab" * 30, "a"], "patient": ["D1", "D2"] * 30 + ["D3"]}, "3 donors"),
    "300 classes": (
        {"cell_type": [f"type{n % 300}" for n in range(600)], "patient": ["D1", "D2"] * 300},
        "each label has one",
    ),
    "5 cells": ({"cell_type": list("aabbb"), "patient": ["D1", "D2", "D1", "D2", "D2"]}, ""),
    "a constant label": ({**CELLS, "phenotype": ["ill"] * 60}, "one label, 'ill'"),
    "missing labels": ({**CELLS, "phenotype": ["tumour"] * 40 + ["Unknown"] * 20}, "one label, 'tumour', in 40 cells"),
    "missing donors": ({**CELLS, "patient": ["D1", "D2", "Unknown"] * 20}, "2 donors"),
    "no labels": ({**CELLS, "phenotype": ["Unknown"] * 60}, "no label"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_what_cannot_be_scored_is_said_and_the_rest_is_scored(name: str, recwarn: pytest.WarningsRecorder) -> None:
    columns, message = INPUTS[name]
    obs = pd.DataFrame(columns)
    planned, left_out = targets.plan(obs, SHORT, 0, "obs.csv")
    matrix = np.random.default_rng(0).normal(size=(1, len(obs), 3))
    results = {
        "one": benchmark.score(planned, Embedding(matrix), SHORT, 0),
        "majority": bounds.majority(planned, SHORT, 0),
    }
    results |= {"random_cells": benchmark.score(planned, Embedding(bounds.random_cells(len(obs), 0)), SHORT, 0)}
    results["supervised"] = bounds.supervised(planned, Embedding(matrix), "one", SHORT, 0)
    comparisons.compare(results, planned, SHORT, 0)
    for model, result in bounds.scale(results).items():
        table = result.and_rows(left_out).table("blood", model)
        numbers = table[["value", "low", "high", "sd", "scaled"]].astype(float)
        assert np.isfinite(numbers["value"]).all() and not np.isinf(numbers.to_numpy()).any()
        assert (numbers["low"].isna() | (numbers["low"] <= numbers["value"] + 1e-9)).all()
        assert (numbers["high"].isna() | (numbers["high"] >= numbers["value"] - 1e-9)).all()
        if model == "one":
            assert message in "; ".join(table["note"])
    assert not recwarn.list


def test_cell_types_that_cannot_be_scored_are_an_error() -> None:
    for labels, message in ((["a"] * 9, "one label, 'a', in 9 cells"), (["Unknown"] * 9, "no label, in 0 cells")):
        with pytest.raises(InputError, match=message):
            plan(cell_type=labels)


def test_headlines_are_rounded_in_their_own_order_and_only_those_that_exist() -> None:
    found = [
        Row("knn", "cell_type", "f1_macro", 0.00046, 10, 2, split=RANDOM),
        Row("knn", "cell_type", "accuracy", 0.9, 10, 2, split=RANDOM),
        Row("knn", "cell_type", "accuracy", 0.2, 10, 2, split=DONORS),
        Row("knn", "cell_type", "accuracy", 0.1, 10, 2, split=RANDOM, label="T cell"),
        Row("silhouette", "cell_type", "asw", -0.00001, 10, 2),
        Row("kmeans", "patient", "ari", 0.5, 10, 2),
        Row("logreg", "phenotype", "accuracy", 0.7, 10, 2, split=RANDOM),
        Row("logreg", "phenotype", "accuracy", 0.6, 10, 2, split=DONORS),
    ]
    headlines = json.dumps(Results(found).headlines({"phenotype": DONORS}))  # F1 is 0.0005 in the full table
    assert headlines == json.dumps({"asw": 0.0, "accuracy": 0.9, "f1": 0.001, "phenotype": 0.6})


def test_the_full_table_keeps_counts_whole_and_notes_go_to_all_rows_or_one_annotation() -> None:
    found = [
        Row("knn", "cell_type", "support", 3, 5, 2, split=RANDOM, label="T cell, CD4", note="a"),
        Row("kmeans", "phenotype", "ari", 0.123456, 5, 2, low=0.1, high=0.2, sd=0.00004, n_runs=3, first=0.1, note="a"),
    ]
    noted = Results(found).with_note("").with_note("b").with_note("c", "phenotype")
    assert noted.table("blood", "one").to_csv(index=False, lineterminator="\n").splitlines() == [
        "dataset,model,protocol,task,annotation,split,metric,class,value,low,high,sd,n_runs,first,scaled,"
        "n_cells,n_classes,n_donors,note",
        'blood,one,evaluate,knn,cell_type,random,support,"T cell, CD4",3,,,,1,,,5,2,,a; b',
        "blood,one,evaluate,kmeans,phenotype,,ari,,0.1235,0.1,0.2,0.0,3,0.1,,5,2,,a; b; c",
    ]
