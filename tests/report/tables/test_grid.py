"""The grid says which pairs there are; what is missing, damaged or wrong is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.report import results
from tests.report.scored import HEADER
from tests.report.tables.made import PARAMS, read_csv, report


@pytest.mark.parametrize("folder", ["scores/blood/text_w.json", "full/tumour/random_w.csv"])
def test_a_missing_file_of_the_grid_is_named_and_nothing_is_written(project, folder):
    Path("metrics", folder).unlink()
    result = report()
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"metrics/{folder}" in result.output
    assert f"dvc repro evaluate@{folder.split('/')[1]}-{Path(folder).stem}" in result.output
    assert not list(Path("metrics").glob("*.*"))
    assert not Path("plots").exists()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("full/blood/tuned.csv", "a,b\n1,2\n"),
        ("full/blood/tuned.csv", ",".join(HEADER) + "\nblood,tuned,knn,cell_type,accuracy,,high,,1,1,\n"),
        ("scores/blood/tuned.json", "{"),
    ],
)
def test_a_damaged_file_is_named_with_the_stage_that_makes_it(project, path, content):
    Path("metrics", path).write_text(content)
    result = report()
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"metrics/{path}" in result.output
    assert "evaluate_finetuned@blood" in result.output


def test_the_grid_is_checked(project):
    grids: tuple[Any, ...] = ({"datasets": [], "models": []}, None)
    for grid in grids:
        Path("params.yaml").write_text(yaml.safe_dump({**project, "grid": grid}))
        result = report()
        assert result.exit_code == 2
        assert result.output.count("\n") == 1
    empty = {"datasets": [], "models": [], "finetune": {"datasets": []}, "ensemble": {"datasets": []}}
    Path("params.yaml").write_text(yaml.safe_dump({**project, "grid": empty}))
    assert "names no pair" in report().output


def test_a_grid_without_fine_tuning_or_ensemble_is_reported(project):
    project["grid"] |= {"finetune": {"datasets": []}, "ensemble": {"datasets": []}}
    project["grid"].pop("figures")
    Path("params.yaml").write_text(yaml.safe_dump(project))
    result = report()
    assert result.exit_code == 0, result.output
    assert {row["model"] for row in read_csv("metrics/table_c4.csv")} == {"expression", "random_w", "text_w"}


def test_pairs_of_the_grid_come_dataset_by_dataset_with_their_stages():
    assert [tuple(pair) for pair in results.named(PARAMS)][2:6] == [
        ("blood", "text_w", "evaluate@blood-text_w"),
        ("blood", "tuned", "evaluate_finetuned@blood"),
        ("blood", "ensemble", "evaluate_ensemble@blood"),
        ("tumour", "expression", "evaluate@tumour-expression"),
    ]
