"""What of a run may be held against a number of the paper, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from genept.core.errors import InputError, ParamsError
from genept.datasets import parse
from genept.report import paper, results, tracking
from genept.report.results import Pair, Score
from stages.report import main
from tests.helpers import ROOT
from tests.report.scored import write_pair
from tests.report.tracking.made import CSV, page, report, rows_of, save


def test_the_ensemble_is_the_papers_only_with_the_papers_members(project):
    write_pair("vessel", "ensemble", rows_of("cell_type"))
    key = ("table_c4", "aorta", "cell_type", "ensemble", "precision_macro")
    project["models"]["sentences"] = {"title": "Sentences", "paper": "genept_s"}
    project["grid"]["ensemble"] = {"datasets": ["vessel"], "members": ["released", "text_w", "pca"]}
    save(project)
    assert report()[key]["status"] == "not run"
    project["grid"]["ensemble"]["members"] = ["released", "text_w", "sentences"]
    save(project)
    row = report()[key]
    assert (row["status"], row["ours"], row["difference"]) == ("differs", "0.9100", "-0.0400")


def test_without_an_entry_that_names_the_paper_nothing_is_held_against_it(project):
    for section in ("datasets", "models"):
        for content in project[section].values():
            content.pop("paper", None)
    save(project)
    rows = report()
    assert {row["status"] for row in rows.values()} == {"not run"}
    assert all(row["reason"] == f"{row['dataset']} is not in the grid" for row in rows.values())
    assert "Of the paper's 7 datasets, none is in this run. Instead it ran `vessel` (Vessel cells; made up)" in page()
    assert "no number of the paper can be held against this run" in page()


def test_the_default_datasets_are_stand_ins():
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    pairs = [Pair(pair.dataset, pair.model, {}, {}) for pair in results.named(params)]
    published = paper.load()
    rows = tracking.track(published, tracking.read_run(published, pairs, params), tracking.read_tolerance(params))
    assert params["report"]["tracking"]["tolerance"] == tracking.DEFAULT_TOLERANCE == tracking.read_tolerance({})
    assert {(row.status, row.gap) for row in rows} == {("not run", "dataset")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": {"vessel": {"paper": "aorte"}}}, "datasets.vessel.paper: 'aorte'"),
        ({"models": {"text_w": {"paper": "genept"}}}, "models.text_w.paper: 'genept'"),
        ({"models": {"pca": {"paper": "scgpt"}}}, "released of the same grid is 'scgpt' already"),
        ({"datasets": {"blood": {"paper": "aorta"}}}, "vessel of the same grid is 'aorta' already"),
        ({"report": {"tracking": {"tolerance": -0.1}}}, "report.tracking.tolerance"),
        ({"report": {"tracking": {"tolerance": "small"}}}, "report.tracking.tolerance"),
    ],
)
def test_a_wrong_choice_is_one_line(project, change, message):
    for section, names in change.items():
        for name, values in names.items():
            project[section][name] = values
    save(project)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == ParamsError.exit_code
    assert result.output.count("\n") == 1
    assert message in result.output
    assert not CSV.exists()


def test_a_missing_verification_record_is_named_with_the_stage_that_makes_it(project):
    Path("metrics/verification/vessel.json").unlink()
    result = CliRunner().invoke(main, [])
    assert result.exit_code == InputError.exit_code
    assert result.output.count("\n") == 1
    assert "dvc repro label@vessel" in result.output


def test_ages_in_bins_stand_for_ages_only_where_there_are_no_ages():
    number = paper.Published("table2", 0, "multiple_sclerosis", "age", "scgpt", "kmeans", "ari", 0.04)
    bins, ages = ({("kmeans", name, "ari"): Score(value)} for name, value in (("age_bin", 0.2), ("age", 0.1)))
    found = tracking.score(number, Pair("ms", "m", {}, bins))
    assert (found.value, found.reason) == (0.2, "ours is of age_bin")
    assert tracking.score(number, Pair("ms", "m", {}, {**bins, **ages})) == tracking.Value(0.1)


def test_what_could_not_be_scored_is_a_gap():
    number = paper.Published("section_4_4", 0, "aorta", "phenotype", "scgpt", "logreg", "accuracy", 0.75)
    left_out = Pair("d", "m", {}, {("labels", "phenotype", "n_classes"): Score(1.0, notes=("one class",))})
    assert tracking.score(number, left_out) == tracking.Value(None, "one class", "score")
    other = Pair("d", "m", {}, {("kmeans", "phenotype", "ari"): Score(0.1)})
    assert tracking.score(number, other).reason == "no logreg of phenotype in this run"
    undefined = Pair("d", "m", {}, {("logreg", "phenotype", "accuracy"): Score(math.nan)})
    assert tracking.score(number, undefined).gap == "score"


def test_an_entry_of_a_dataset_may_name_the_papers():
    content = {"obs": {"cell_type": "kind"}, "source": {"files": {"raw.h5ad": {"path": "x"}}}, "paper": "aorta"}
    assert parse.parse("vessel", content).obs == {"cell_type": "kind"}
