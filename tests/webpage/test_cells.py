"""The view of cells holds what the pipeline wrote of each, in little space, of large datasets a fair sample."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genept.core import params
from genept.plots import cell_table
from genept.report import pairs
from genept.webpage import cells
from tests.report import comparisons, made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pairs.Run:
    monkeypatch.chdir(tmp_path)
    made.write_project()
    return pairs.read(params.load())


def unpack(data: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """Read ids and codes, shape (n_columns, n_cells), as the script does."""
    content = np.frombuffer(gzip.decompress(base64.b64decode(data["matrix"])), dtype=np.uint8)
    low, high = content.reshape(-1, 2, data["cells"]).transpose(1, 0, 2).astype(int)
    return json.loads(gzip.decompress(base64.b64decode(data["ids"]))), low + 256 * high


def test_the_page_has_each_cells_labels_predictions_and_places(run: pairs.Run) -> None:
    data = cells.as_data("blood", cells.read("blood"), run)
    ids, matrix = unpack(data)
    written = pd.read_csv("plots/cells/blood.csv", index_col="cell_id").loc[ids]
    predicted = pd.read_csv("metrics/predictions/blood.csv", index_col="cell_id").loc[ids]
    columns = iter(matrix)
    labels = {one["name"]: one["labels"] for one in data["annotations"]}
    for name in ("cell_type", "patient"):
        assert [labels[name][code] for code in next(columns)] == written[name].tolist()
    assert data["predicted"] == [*made.SCORED, "supervised"]  # floors know nothing of a cell
    for name in data["predicted"]:
        assert [labels["cell_type"][code] for code in next(columns)] == predicted[name].tolist()
    assert [model["name"] for model in data["models"]] == ["expression", "random_w", "text_w", "tuned"]
    for model in data["models"]:
        places, exact = (
            np.stack([next(columns), next(columns)], axis=1),
            written[[f"{model['name']}_{i}" for i in (1, 2)]],
        )
        drawn = exact.notna().all(axis=1).to_numpy()
        assert (places[~drawn] == cells.NONE).all() and drawn.any() and drawn.all() == (model["name"] != "tuned")
        (x, x_steps), (y, y_steps) = zip(exact[drawn].to_numpy().T, places[drawn].T, strict=True)
        scale = max(np.ptp(x), np.ptp(y)) * cells.MARGIN / cells.STEPS  # one for both axes
        np.testing.assert_allclose(
            [np.diff(x_steps) * scale, np.diff(y_steps) * scale], [np.diff(x), np.diff(y)], atol=scale * 1.01
        )
        assert places[drawn].min() > 0 and places[drawn].max() < cells.STEPS
    assert next(columns, None) is None


def test_cells_without_prediction_or_place_are_said_to_have_none(run: pairs.Run) -> None:
    path = Path("metrics/predictions/blood.csv")
    table = pd.read_csv(path, dtype=str).iloc[:7].assign(text_w="")
    table.to_csv(path, index=False)
    read = cells.read("blood")
    read.layouts["expression"][:] = np.nan
    data = cells.as_data("blood", read, run)
    _, matrix = unpack(data)
    by_model = dict(zip(data["predicted"], matrix[2:], strict=False))
    assert (by_model["text_w"] == cells.NONE).all() and (by_model["expression"] == cells.NONE).sum() == 33
    assert (matrix[-8:-6] == cells.NONE).all()
    models, rows = cells.shares(read)
    assert [row[:2] for row in rows] == [["B cell", "4"], ["T cell", "3"]]
    right = (table["expression"] == table["actual"]).groupby(table["actual"]).mean()
    assert [row[2 + models.index("expression")] for row in rows] == [f"{share:.3f}" for share in right]


def test_a_sample_keeps_shares_and_rare_types(monkeypatch: pytest.MonkeyPatch) -> None:
    types = np.repeat(["many", "some", "rare"], [9000, 990, 10])
    obs = pd.DataFrame({"cell_type": types}, index=[f"c{i}" for i in range(10_000)])
    rows = cell_table.sample(obs, 1000, 0)
    n = pd.Series(types[rows]).value_counts()
    assert len(set(rows)) == 1000 and n["rare"] == 10
    assert n["many"] / n["some"] == pytest.approx(9000 / 990, rel=0.02)
    assert not np.array_equal(rows, cell_table.sample(obs, 1000, 1))
    monkeypatch.setattr(cell_table, "MOST_CELLS", 1000)
    table = cell_table.make(obs, {"one": np.zeros((10_000, 2))}, 0)
    assert list(table.index) == [f"c{row}" for row in cell_table.sample(obs, 1000, 0)]
    assert cell_table.sample(obs, 20_000, 0).tolist() == [*range(10_000)]
    assert len(cell_table.sample(obs.drop(columns="cell_type"), 1000, 0)) == 1000


def test_all_datasets_together_stay_within_the_page() -> None:
    assert cells.limit([1290, 1000]) == cell_table.MOST_CELLS
    paper = [9625, 50_000, 26_192, 50_000, 13_178, 14_818, 21_312]
    most = cells.limit(paper)
    assert cells.PAGE_CELLS - 1500 < sum(min(size, most) for size in paper) <= cells.PAGE_CELLS


def test_a_cell_of_twelve_models_takes_at_most_80_bytes(run: pairs.Run) -> None:
    models = [f"model_{i}" for i in range(12)]
    comparisons.write_cells("blood", models, models, [f"type {i}" for i in range(20)], n=2000)
    run.models.update(dict.fromkeys(models, run.models["expression"]))
    data = cells.as_data("blood", cells.read("blood"), run)
    assert len(json.dumps(data)) <= 80 * 2000


@pytest.mark.parametrize("name", ["plots/cells/blood.csv", "metrics/predictions/blood.csv"])
def test_a_missing_or_damaged_file_is_one_line(run: pairs.Run, name: str) -> None:
    stage = "plot" if name.startswith("plots") else "evaluate"
    for text, words in (
        (None, f"no such file; `dvc repro {stage}@blood` makes it"),
        ("a\n1\n", f"not what {stage} writes (no column cell_id"),
    ):
        Path(name).unlink() if text is None else Path(name).write_text(text)
        result = made.report()
        assert result.exit_code == 1 and f"{name}: {words}" in result.output
