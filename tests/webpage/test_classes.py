"""The view Classes: matrices in one order and F1 as the files have them, and thinned curves."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from genept.core import params
from genept.plots.palette import ModelLook
from genept.plots.scores import Curve
from genept.report import pairs
from genept.report.pairs import Run
from genept.report.pictures import points_of
from genept.webpage import classes
from tests.report import comparisons, made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    made.write_project()
    made.write_record(
        "blood",
        annotations={"cell_type": made.annotation("kind", 3) | {"evaluated_cells": {"T cell": 9, "B cell": 400}}},
    )
    return pairs.read(params.load())


def test_all_models_have_the_counts_of_their_files_in_one_order(run: Run) -> None:
    matrices = classes.confusion(run, "blood")
    assert matrices is not None
    names = matrices["classes"]
    assert sorted(names) == sorted(made.CLASSES) and matrices["models"] == [*made.SCORED, *made.BOUNDS]
    for model, counts in zip(matrices["models"], matrices["counts"], strict=True):
        with Path(f"plots/confusion/blood/{model}.csv").open(newline="") as stream:
            expected = Counter((line["actual"], line["predicted"]) for line in csv.DictReader(stream))
        cells = [(actual, predicted) for actual in names for predicted in names]
        assert counts == [expected[cell] for cell in cells]
        assert f"the {sum(counts)} test cells" in matrices["caption"]


def test_what_scores_lie_between_does_not_move_the_order(run: Run) -> None:
    names = list("ABCDEF")
    comparisons.write_confusion("blood", made.SCORED, names)
    comparisons.write_confusion("blood", made.BOUNDS, names)
    before = classes.confusion(run, "blood")
    comparisons.write_confusion("blood", ["spare"] * 8 + made.BOUNDS, ["A", "D", "B", "E", "C", "F"])
    after = classes.confusion(run, "blood")
    assert before and after and before["classes"] == after["classes"] and before["counts"] != after["counts"]


def test_f1_is_that_of_the_files_with_large_classes_first(run: Run) -> None:
    (scores,) = classes.f1(run)["blood"]
    assert list(zip(scores["classes"], scores["cells"], strict=True)) == [
        ("B cell", 400),
        ("T cell", 9),
        ("Plasma cell", None),
    ]
    assert scores["value"][scores["models"].index("text_w")] == [0.3] * 3
    assert scores["low"][scores["models"].index("text_w")] == pytest.approx([0.3 - 0.0264] * 3)
    assert "random split, 100 test cells" in scores["caption"] and "(at most 20)" in scores["caption"]


@pytest.mark.parametrize("signal", [0.0, 0.7, 3.0, 50.0])
def test_a_thinned_curve_keeps_its_ends_and_its_area(signal: float) -> None:
    rng = np.random.default_rng(0)
    actual = rng.random(1500) < 0.3
    lines = points_of(actual, signal * actual + rng.normal(size=1500))
    for x, y in (lines[:2], lines[2:]):
        packed = [np.array(axis) / 1000 for axis in classes.packed(Curve("m", ModelLook("#808080", "full"), x, y))]
        assert abs(np.trapezoid(packed[1], packed[0]) - np.trapezoid(y, x)) < 0.002
        assert [packed[0][0], packed[1][0], packed[0][-1], packed[1][-1]] == pytest.approx(
            [x[0], y[0], x[-1], y[-1]], abs=0.0005
        )
        assert len(packed[0]) < len(x) / 2
