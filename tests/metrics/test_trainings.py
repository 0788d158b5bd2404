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
    assert trainings.total_sd(values) == pytest.approx(0.0043**0.5)
    assert trainings.total_sd(values[::-1, ::-1]) == pytest.approx(0.0043**0.5)
    assert trainings.variances(np.array([[0.1, 0.9], [0.9, 0.1]])) == pytest.approx((0.32, 0))  # not below 0
    assert trainings.total_sd(values[:, :1]) == pytest.approx(np.std([0.7, 0.6], ddof=1))
    many = np.random.default_rng(0).normal(size=(7, 3)) + np.arange(7)[:, None]
    processors, seeds = trainings.variances(many)
    assert (3 * seeds + processors) / processors == pytest.approx(stats.f_oneway(*many).statistic)


def test_another_training_falls_within_the_margin_in_95_to_98_percent_of_cases() -> None:
    rng = np.random.default_rng(0)
    seeds, noise = rng.normal(scale=0.03, size=(4000, 6, 1)), rng.normal(scale=0.02, size=(4000, 6, 2))
    studies = seeds + noise
    another = rng.normal(scale=(0.03**2 + 0.02**2) ** 0.5, size=4000)
    margins = [trainings.margin(study) for study in studies]
    assert 0.95 <= np.mean(np.abs(another - studies[:, 0, 0]) <= margins) <= 0.98


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
    assert spread[PLACE] == pytest.approx(
        12.7062 * (2 * 0.0043) ** 0.5 / 1.959964, rel=1e-5
    )  # t with 1 degree of freedom
    of_three = np.array([[0.70, 0.72], [0.60, 0.64], [0.65, 0.65]])
    assert trainings.spread("ensemble", "covid", params)[PLACE] * 1.959964 == pytest.approx(trainings.margin(of_three))
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
