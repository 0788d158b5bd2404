"""How far trainings are apart: the arithmetic, and which settings a study covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from genept.core import params as parameters
from genept.metrics import trainings
from tests import helpers

PLACE = trainings.Score("knn", "cell_type", "random", "accuracy")


def test_the_spread_is_that_of_an_analysis_of_variance() -> None:
    # squares within seeds: (.02^2 / 2 + .04^2 / 2) / 2 = .0005; means .71 and .62, between: 2 * .09^2 / 2 = .0081
    values = np.array([[0.70, 0.72], [0.60, 0.64]])
    assert trainings.variances(values) == pytest.approx((0.0005, (0.0081 - 0.0005) / 2))
    # Satterthwaite: shares .0081 / 2 with 1 degree of freedom and .0005 / 2 with 2
    expected = 0.0043**0.5, 0.0043**2 / (0.00405**2 + 0.00025**2 / 2)
    assert trainings.total_sd(values) == pytest.approx(expected)
    assert trainings.total_sd(values[::-1, ::-1]) == pytest.approx(expected)
    swapped = np.array([[0.1, 0.9], [0.9, 0.1]])
    assert trainings.variances(swapped) == pytest.approx((0.32, 0))  # not below 0
    assert trainings.total_sd(swapped) == pytest.approx((swapped.std(ddof=1), 3))
    assert trainings.total_sd(values[:, :1]) == pytest.approx((np.std([0.7, 0.6], ddof=1), 1))
    many = np.random.default_rng(0).normal(size=(7, 3)) + np.arange(7)[:, None]
    processors, seeds = trainings.variances(many)
    assert (3 * seeds + processors) / processors == pytest.approx(stats.f_oneway(*many).statistic)


@pytest.mark.parametrize(("of_seeds", "of_processors"), [(0.03, 0.02), (0.03, 0.001), (0.001, 0.03)])
def test_another_training_falls_within_the_margin_in_95_percent_of_cases(of_seeds: float, of_processors: float) -> None:
    rng = np.random.default_rng(0)
    studies = rng.normal(scale=of_seeds, size=(4000, 4, 1)) + rng.normal(scale=of_processors, size=(4000, 4, 2))
    another = rng.normal(scale=(of_seeds**2 + of_processors**2) ** 0.5, size=4000)
    margins = [trainings.margin(study) for study in studies]
    assert np.mean(np.abs(another - studies[:, 0, 0]) <= margins) == pytest.approx(0.95, abs=0.025)


def write_table(params: parameters.Params, path: Path) -> None:
    numbers = {"0-native": 0.70, "0-avx2": 0.72, "1-native": 0.60, "1-avx2": 0.64}
    rows: list[dict[str, Any]] = []
    for model in ("scgpt_mini", "geneformer_mini", "ensemble"):
        key = {"model": model, "dataset": "covid", "settings": trainings.settings(model, params)}
        places = [PLACE, ("kmeans", "cell_type", "", "ari")]
        rows += [key | dict(zip(trainings.KEY, place, strict=True)) | numbers for place in places]
    table = pd.DataFrame(rows)
    table.loc[table["model"] == "geneformer_mini", ["1-native", "1-avx2"]] = None  # one seed: no spread
    table.loc[3, "0-avx2"] = None
    table["2-native"] = table["2-avx2"] = np.where(table["model"] == "ensemble", 0.65, np.nan)
    table.to_csv(path, index=False)


def test_a_study_covers_the_settings_that_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    for path in (helpers.ROOT / "models").glob("*.yaml"):
        (tmp_path / "models" / path.name).write_text(path.read_text())
    monkeypatch.chdir(tmp_path)
    params = parameters.load(helpers.ROOT / "params.yaml")
    assert trainings.spread("scgpt_mini", "covid", params) == {}  # no study
    write_table(params, trainings.TABLE)
    spread = trainings.spread("scgpt_mini", "covid", params)
    assert list(spread) == [PLACE, ("kmeans", "cell_type", "", "ari")]
    of_two = np.array([[0.70, 0.72], [0.60, 0.64]])
    assert spread[PLACE] == pytest.approx(trainings.margin(of_two))
    of_three = np.array([[0.70, 0.72], [0.60, 0.64], [0.65, 0.65]])
    assert trainings.spread("ensemble", "covid", params)[PLACE] == pytest.approx(trainings.margin(of_three))
    for model, dataset in (("scgpt_mini", "ovarian"), ("expression", "covid"), ("genept_w_minilm", "covid")):
        assert trainings.spread(model, dataset, params) == {}
        assert trainings.is_uncovered(model, dataset, params) == (model == "scgpt_mini")

    def covered(change: dict[str, Any], grid: dict[str, Any]) -> list[bool]:
        file = Path("models/scgpt_mini.yaml")
        config = yaml.safe_load((helpers.ROOT / file).read_text())
        file.write_text(yaml.safe_dump(config | {"pretrain": config["pretrain"] | change}))
        changed = params.model_copy(update={"grid": params.grid.model_copy(update=grid)})
        return [bool(trainings.spread(model, "covid", changed)) for model in ("scgpt_mini", "ensemble")]

    assert covered({}, {}) == [True, True]
    assert covered({"seed": 7}, {}) == [True, True]  # the study is of any seed
    assert covered({"steps": 801}, {}) == [False, False]
    assert covered({}, {"pretrain": ["covid"]}) == [False, False]
    assert covered({}, {"ensemble": ["scgpt_mini", "expression"]}) == [True, False]


@pytest.mark.parametrize("model", ["scgpt_mini", "geneformer_mini", "ensemble"])
@pytest.mark.parametrize("dataset", ["covid", "ovarian"])
def test_scores_on_another_processor_lie_in_the_printed_ranges(
    model: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(helpers.ROOT)
    table = trainings.covered(model, dataset, parameters.load()).set_index(trainings.KEY)
    printed = pd.read_csv(f"metrics/full/{dataset}/{model}.csv", dtype={"split": str, "class": str})
    printed = printed[printed["class"].isna() & printed["protocol"].eq("evaluate") & printed["low"].notna()]
    printed = printed.fillna({"split": "", "annotation": ""}).set_index(trainings.KEY)
    assert len(table) > 20 and set(printed.index) <= set(table.index)
    table = table.loc[printed.index]
    for name in ("0-native", "0-avx2"):  # the study's machine need not be that of the committed run
        outside = ~table[name].between(printed["low"] - 1e-4, printed["high"] + 1e-4)
        assert outside.mean() <= 0.05, table[outside]  # ranges are of 95 percent
        width = printed["high"] - printed["low"]
        assert table[name].between(printed["low"] - width / 2 - 1e-4, printed["high"] + width / 2 + 1e-4).all()
    others = table[[name for name in table.columns if name.endswith("-native") and name != "0-native"]]
    inside = others.ge(printed["low"] - 1e-4, axis=0) & others.le(printed["high"] + 1e-4, axis=0)
    assert inside.to_numpy().mean() >= 0.95  # of other seeds
