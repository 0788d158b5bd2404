"""Confusion matrices: counts of every model on one set and order of classes, relatives together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genept.report import confusion
from tests.report.made import SCORED, report


def pairs(*counts: tuple[str, str, int]) -> pd.DataFrame:
    rows = [(actual, predicted) for actual, predicted, n in counts for _ in range(n)]
    return pd.DataFrame(rows, columns=["actual", "predicted"])


def test_every_model_has_the_same_classes_in_one_order_on_both_axes() -> None:
    one = pairs(("B", "B", 4), ("T", "T", 1), ("NK", "T", 3), ("NK", "NK", 1))
    two = pairs(("B", "Platelet", 4), ("T", "NK", 1), ("NK", "NK", 4))  # one class is predicted only, one never
    table = confusion.matrices("blood", {"one": one, "two": two})
    assert list(table) == confusion.COLUMNS and set(table["dataset"]) == {"blood"}
    orders = []
    for model, counted in (("one", one), ("two", two)):
        own = table[table["model"] == model]
        diagonal, others = own.iloc[:4], own.iloc[4:]
        assert (diagonal["actual"] == diagonal["predicted"]).all() and (others["actual"] != others["predicted"]).all()
        orders.append(list(diagonal["actual"]))
        assert (others["cells"] > 0).all() and own["cells"].sum() == len(counted)
        assert own.groupby("actual")["share"].sum().round(4).to_dict() == {"B": 1, "NK": 1, "T": 1, "Platelet": 0}
    order = orders[0]
    assert orders[1] == order and sorted(order) == ["B", "NK", "Platelet", "T"]
    assert abs(order.index("T") - order.index("NK")) == abs(order.index("B") - order.index("Platelet")) == 1
    (row,) = table[(table["model"] == "one") & (table["actual"] == "NK") & (table["predicted"] == "T")].itertuples()
    assert (row.cells, row.share) == (3, 0.75)


@pytest.mark.parametrize("seed", range(3))
def test_relatives_stand_together_however_the_classes_are_numbered(seed: int) -> None:
    families = np.random.default_rng(seed).permutation(np.repeat(np.arange(4), 3))
    counts = np.where(families[:, None] == families, 5, 1) + 20 * np.eye(12, dtype=int)
    ordered = families[confusion.relatives(counts)]
    assert np.count_nonzero(np.diff(ordered)) == 3


@pytest.mark.parametrize("n_classes", [1, 2])
def test_one_or_two_classes_stay_as_they_are(n_classes: int) -> None:
    assert confusion.relatives(np.eye(n_classes)) == list(range(n_classes))


def test_the_report_counts_what_evaluate_wrote_and_drops_datasets_outside_the_grid(project: Path) -> None:
    folder = Path("plots/confusion/blood")
    for model in ("text_w", "gone"):  # one of the grid, and one that is not
        pairs(("1", "NA", 2), ("NA", "NA", 1)).to_csv(folder / f"{model}.csv", index=False)
    stale = Path("plots/confusion_matrices/elsewhere.csv")
    stale.parent.mkdir()
    stale.write_text("")
    assert report().exit_code == 0
    assert {path.name for path in stale.parent.iterdir()} == {"blood.csv", "tumour.csv"}
    table = pd.read_csv(stale.parent / "blood.csv", dtype=str, keep_default_na=False)
    assert set(table["model"]) == set(SCORED)
    own = table[(table["model"] == "text_w") & (table["cells"] != "0")]
    assert sorted(zip(own["actual"], own["predicted"], own["cells"], strict=True)) == [
        ("1", "NA", "2"),
        ("NA", "NA", "1"),
    ]
