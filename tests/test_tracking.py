"""The paper's numbers against ours: the data file, what counts as ours, the statuses, the page."""

from __future__ import annotations

import copy
import csv
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from stages.errors import InputError, ParamsError
from stages.label import parse
from stages.report import paper, results, tracking, tracking_page
from stages.report.__main__ import main
from stages.report.results import Pair, Score
from tests.helpers import ROOT

SOURCE = yaml.safe_load((ROOT / "stages/report/paper.yaml").read_text(encoding="utf-8"))
CSV, PAGE = Path("metrics/paper_tracking.csv"), Path("metrics/paper_tracking.md")
KEY = ("section", "dataset", "annotation", "model", "metric")
UNSTATED = ("n_cells", "n_cells_paper", "missing_gene_rate", "label_source")

PARAMS: dict[str, Any] = {
    "seed": 7,
    "threads": 1,
    "report": {"tracking": {"tolerance": 0.02}},
    "grid": {
        "datasets": ["vessel", "blood"],
        "models": ["text_w", "released", "pca"],
        "finetune": {"datasets": [], "from": "text_w", "model": "tuned"},
        "ensemble": {"datasets": [], "members": []},
    },
    "datasets": {
        "vessel": {"title": "Vessel cells", "note": "made up", "paper": "aorta"},
        "blood": {"title": "Blood cells", "note": "a stand-in"},
        "unused": {"title": "Other vessel cells", "paper": "aorta"},
    },
    "models": {
        "text_w": {"title": "Text", "paper": "genept_w"},
        "released": {"title": "scGPT as released", "paper": "scgpt"},
        "pca": {"title": "Expression"},
    },
    "evaluate": yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["evaluate"],
}
SCORES = {  # of text_w; the paper's GenePT-w on the aorta is in the comments
    ("kmeans", "ari"): 0.55,  # 0.54
    ("kmeans", "ami"): 0.65,  # 0.60
    ("silhouette", "asw"): 0.05,  # 0.03: off by the tolerance, no more
    ("knn", "accuracy"): 0.9001,  # 0.88
    ("knn", "precision_macro"): 0.91,  # 0.91
    ("knn", "recall_macro"): 0.66,  # 0.68
    ("knn", "f1_macro"): 0.5,  # 0.72
}
GENES: list[list[Any]] = [  # as `evaluate` copies them from the notes beside the embedding
    ["embedding", "", "n_genes", "", 23331, "", 500, 0, ""],
    ["embedding", "", "n_genes_missing", "", 5665, "", 500, 0, ""],
    ["embedding", "", "share_of_counts_missing", "", 0.0432, "", 500, 0, ""],
]
HEADER = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note".split(",")


def write_pair(dataset: str, model: str, rows: list[list[Any]]) -> None:
    full, scores = Path(f"metrics/full/{dataset}/{model}.csv"), Path(f"metrics/scores/{dataset}/{model}.json")
    for path in (full, scores):
        path.parent.mkdir(parents=True, exist_ok=True)
    with full.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *([dataset, model, *row] for row in rows)])
    scores.write_text("{}")


def rows_of(annotation: str, note: str = "") -> list[list[Any]]:
    return [[task, annotation, metric, "", value, "", 100, 3, note] for (task, metric), value in SCORES.items()]


def record(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": "vessel",
        "label_source": "author",
        "subset": {"share": 0.2},
        "checked": {"n_genes": {"found": 23331}},
        "cells": {"n_file": 48000, "n_evaluated": 9625, "n_scored": 9625},
        "annotations": {"cell_type": {"n_labels_scored": 11}, "patient": {"n_labels_scored": 10}},
    } | changes


@pytest.fixture
def project(tmp_path, monkeypatch) -> dict[str, Any]:
    """A run in which one dataset and two models are the paper's; the scores of one model are not comparable."""
    monkeypatch.chdir(tmp_path)
    for dataset in ("vessel", "blood"):
        write_pair(dataset, "text_w", [*rows_of("cell_type"), *GENES])
        write_pair(dataset, "released", rows_of("cell_type", "on 9 cells; released is not comparable: no counts"))
        write_pair(dataset, "pca", rows_of("cell_type") + rows_of("patient"))
    Path("metrics/verification").mkdir()
    for dataset in ("vessel", "blood"):
        Path(f"metrics/verification/{dataset}.json").write_text(json.dumps(record()))
    return save(copy.deepcopy(PARAMS))


def save(params: dict[str, Any]) -> dict[str, Any]:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return params


def report() -> dict[tuple[str, ...], dict[str, str]]:
    """Run the stage and return the lines of the CSV file by section, dataset, annotation, model and metric."""
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.output
    with CSV.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    found = {tuple(row[name] for name in KEY): row for row in rows}
    assert len(found) == len(rows)
    return found


def page() -> str:
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def leaves(section: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number of a section of the data file, walked as plain YAML."""
    for table in SOURCE["sections"][section]["tables"]:

        def walk(node: Any, path: tuple[str, ...], columns: list[str]) -> Iterator[tuple[tuple[str, ...], float]]:
            if isinstance(node, dict):
                for key, below in node.items():
                    yield from walk(below, (*path, key), columns)
            else:
                assert len(node) == len(columns), path
                for column, value in zip(columns, node, strict=True):
                    yield (*path, column.rpartition(".")[2]), value

        yield from walk(table["values"], (section,), table["columns"])


def printed_cells() -> dict[tuple[str, ...], str]:
    """Every number of the page's tables by the same key as the CSV file's lines."""
    names = {heading: metric for metric, heading in tracking_page.HEADINGS.items()}
    sections = {section["title"]: name for name, section in SOURCE["sections"].items()}
    found: dict[tuple[str, ...], str] = {}
    section, headings = "", list[str]()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section, headings = sections.get(line[3:], ""), []
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or not section:
            headings = []
        elif not headings:
            headings = cells
        elif not cells[0].startswith("--"):
            row = dict(zip(headings, cells, strict=True))
            where = ["" if (name := row.get(key, "")) == "\u2013" else name for key in ("Annotation", "Model")]
            for heading in set(headings) & set(names):
                key = (section, row["Dataset"], *where, names[heading])
                assert key not in found
                found[key] = row[heading]
    return found


def test_statuses_follow_from_hand_computed_differences(project):
    rows = report()

    def of(section: str, metric: str) -> tuple[str, ...]:
        row = rows[section, "aorta", "cell_type", "genept_w", metric]
        return row["paper"], row["ours"], row["difference"], row["status"]

    assert of("table2", "ari") == ("0.54", "0.5500", "+0.0100", "reproduced")
    assert of("table2", "ami") == ("0.60", "0.6500", "+0.0500", "differs")
    assert of("table2", "asw") == ("0.03", "0.0500", "+0.0200", "reproduced")
    assert of("table_c4", "accuracy") == ("0.88", "0.9001", "+0.0201", "differs")
    assert of("table_c4", "precision_macro") == ("0.91", "0.9100", "+0.0000", "reproduced")
    assert of("table_c4", "recall_macro") == ("0.68", "0.6600", "-0.0200", "reproduced")
    assert of("table_c4", "f1_macro") == ("0.72", "0.5000", "-0.2200", "differs")
    row = rows["table2", "aorta", "cell_type", "genept_w", "ari"]
    assert [row[name] for name in UNSTATED] == ["9625", "9625", "0.2428", "author"]


def test_what_was_not_run_says_why_and_has_no_value_of_ours(project):
    rows = report()
    reasons = {
        ("table2", "aorta", "cell_type", "scgpt", "ari"): "released is not comparable: no counts",
        ("table2", "aorta", "phenotype", "genept_w", "ari"): "no annotation phenotype in vessel",
        ("table2", "aorta", "cell_type", "geneformer", "ari"): "geneformer is not in the grid",
        ("table_c4", "aorta", "cell_type", "ensemble", "accuracy"): "ensemble is not in the grid",
        ("section_4_4", "aorta", "patient", "expression", "ari"): "expression is not in the grid",
        ("table2", "bones", "cell_type", "genept_w", "ari"): "bones is not in the grid",
        ("datasets", "aorta", "phenotype", "", "n_labels"): "no annotation phenotype in vessel",
    }
    for key, reason in reasons.items():
        row = rows[key]
        assert (row["status"], row["reason"], row["ours"], row["difference"]) == ("not run", reason, "", ""), key
    mislabelled = rows["author_notebook", "aorta", "cell_type", "genept_s", "accuracy"]
    assert "on the GenePT-w matrix" in mislabelled["reason"]


def test_counts_must_be_equal(project):
    rows = report()

    def of(annotation: str, metric: str, section: str = "datasets", model: str = "") -> tuple[str, ...]:
        row = rows[section, "aorta", annotation, model, metric]
        return row["paper"], row["ours"], row["difference"], row["status"]

    assert of("", "n_cells") == ("9625", "9625", "+0", "reproduced")
    assert of("", "n_cells_full") == ("48082", "48000", "-82", "differs")
    assert of("cell_type", "n_labels") == ("11", "11", "+0", "reproduced")  # Unknown is no label
    assert of("patient", "n_labels") == ("11", "10", "-1", "differs")
    assert of("", "n_genes_missing", "author_notebook", "genept_w") == ("5665", "5665", "+0", "reproduced")


def test_every_number_of_the_data_file_is_one_line(project):
    rows = report()
    expected = [leaf for section in SOURCE["sections"] for leaf in leaves(section)]
    assert Counter(key for key, _ in expected) == Counter(rows.keys())
    for key, value in expected:
        assert float(rows[key]["paper"]) == value, key


def test_statuses_and_differences_follow_from_the_line(project):
    for key, row in report().items():
        assert row["status"] in ("reproduced", "differs", "not run")
        assert (row["ours"] == "") == (row["difference"] == "") == (row["status"] == "not run"), key
        if row["status"] == "not run":
            assert row["reason"], key
            continue
        difference = Decimal(row["ours"]) - Decimal(row["paper"])
        assert difference == Decimal(row["difference"])
        limit = 0 if row["metric"].startswith("n_") else Decimal("0.02")
        assert (row["status"] == "reproduced") == (abs(difference) <= limit), key


def test_the_tables_of_the_page_hold_what_the_csv_file_holds(project):
    rows = report()
    cells = printed_cells()
    assert cells.keys() == rows.keys()
    for key, row in rows.items():
        ours = {
            "not run": "\u2013",
            "reproduced": row["ours"],
            "differs": f"**{row['ours']}** ({row['difference']})",
        }[row["status"]]
        assert cells[key] == f"{row['paper']} / {ours}", key


def test_the_summary_counts_the_lines(project):
    rows = report()
    text = PAGE.read_text(encoding="utf-8")
    for section, content in [*SOURCE["sections"].items(), ("", {"title": "All"})]:
        counts = Counter(row["status"] for key, row in rows.items() if section in ("", key[0]))
        (line,) = re.findall(rf"^\| {re.escape(content['title'])} +\|(.*)\|$", text, flags=re.MULTILINE)
        expected = [counts.total(), counts["reproduced"], counts["differs"], counts["not run"]]
        assert [int(cell) for cell in line.split("|")] == expected


def test_the_page_says_what_ran(project):
    report()
    text = page()
    assert "Of the paper's 7 datasets, in this run: aorta (`vessel`). Besides it ran `blood` (Blood cells" in text
    assert "in this run: genept_w (`text_w`), scgpt (`released`). Besides it ran `pca`" in text
    assert "second-hand" in text
    assert "2026-11" in text
    for oddity in SOURCE["oddities"]:
        assert " ".join(oddity["evidence"].split()) in text


def test_next_steps_follow_from_the_lines(project):
    rows = report()
    text = page().split("## Gaps and next steps")[1]
    for dataset in {key[1] for key in rows} - {"aorta"}:
        n = sum(key[1] == dataset for key in rows)
        assert f"{dataset}: {n} numbers not run. Next: an entry under `datasets`" in text
    ready = {"other": {"title": "T", "note": "", "paper": "bones"}}
    save({**project, "datasets": {**project["datasets"], **ready}})
    report()
    assert "bones: 34 numbers not run. Next: name `other` in the grid; `params.yaml` has the entry." in page()
    assert "aorta: 11 numbers not run, no annotation phenotype in vessel." in text  # genept_w 3, scgpt 7, the labels 1
    assert "geneformer: 60 numbers, and no model of the grid is it." in text
    # AMI of Table 2; accuracy and F1 of Table C4; accuracy, recall and F1 of the notebook
    assert "aorta, genept_w: 6 numbers differ, most cell_type f1_macro of author_notebook" in text
    assert "(0.7234 / **0.5000** (-0.2234))" in text
    assert "aorta: 2 numbers differ, most n_cells_full of datasets" in text
    assert "the model does not know 24.3% of the genes" in text
    assert "aorta, scgpt" not in text
    assert "`paper: genept_w`" not in text


def test_other_cells_and_labels_are_named_where_scores_differ(project):
    cells = {"n_file": 5000, "n_evaluated": 5000, "n_scored": 5000}
    changed = record(label_source="reanalysis", cells=cells, subset=None)
    Path("metrics/verification/vessel.json").write_text(json.dumps(changed))
    rows = report()
    assert rows["datasets", "aorta", "", "", "n_cells_full"]["status"] == "not run"  # perhaps a subset already
    assert rows["datasets", "aorta", "", "", "n_cells"]["difference"] == "-4625"
    assert "the cells are others (5,000, the paper's 9,625); the labels are by reanalysis" in page()


def test_a_wider_tolerance_reproduces_more(project):
    project["report"]["tracking"]["tolerance"] = 0.3
    save(project)
    rows = report()
    assert rows["table_c4", "aorta", "cell_type", "genept_w", "f1_macro"]["status"] == "reproduced"
    assert rows["datasets", "aorta", "patient", "", "n_labels"]["status"] == "differs"


def test_genes_unknown_to_the_models_stand_beside_what_others_counted(project):
    report()
    text = PAGE.read_text(encoding="utf-8").split("## Genes that the models know")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    known = "5,665 of 23,331 (the authors' notebook)"
    assert lines[2] == ["vessel", "text_w", "23,331", "5,665 (24.3%)", "4.3%", known]
    assert lines[3] == ["blood", "text_w", "23,331", "5,665 (24.3%)", "4.3%", "\u2013"]
    assert len(lines) == 4  # the other models noted nothing


def test_scores_without_numbers_of_genes_leave_the_rate_open(project):
    write_pair("vessel", "text_w", rows_of("cell_type"))
    rows = report()
    row = rows["table2", "aorta", "cell_type", "genept_w", "ari"]
    assert (row["status"], row["missing_gene_rate"]) == ("reproduced", "")
    assert rows["author_notebook", "aorta", "", "genept_w", "n_genes_missing"]["status"] == "not run"


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


@pytest.mark.parametrize("damage", ["sections: {}\n", "citation: a\n", "sections: [1]\n"])
def test_a_damaged_data_file_is_one_line(tmp_path, damage):
    path = tmp_path / "paper.yaml"
    path.write_text(damage)
    with pytest.raises(InputError, match=r"paper\.yaml: not the paper's numbers"):
        paper.load(path)


def test_a_row_with_too_few_numbers_is_refused(tmp_path):
    content = copy.deepcopy(SOURCE)
    content["sections"]["table2"]["tables"][0]["values"]["bones"]["cell_type"]["scgpt"].pop()
    path = tmp_path / "paper.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="not the paper's numbers"):
        paper.load(path)


def test_every_block_says_where_it_was_read_and_when():
    for block in [*SOURCE["sections"].values(), *SOURCE["evidence"].values()]:
        assert block["read_from"]
        assert (block["transcription"], str(block["date"])) == ("second-hand", "2026-11")
    assert "doi:10.1101/2023.10.16.562533" in SOURCE["citation"]


def test_numbers_are_in_their_range():
    for number in paper.load().numbers:
        if number.task in tracking.OF_COUNTS:
            assert number.value == int(number.value) > 0
        else:
            assert -0.5 <= number.value <= 1, number
            assert number.model in (*SOURCE["models"], "ensemble")


def values(section: str, dataset: str, annotation: str, model: str) -> dict[str, float]:
    return {key[-1]: value for key, value in leaves(section) if key[1:4] == (dataset, annotation, model)}


def test_oddity_the_counts_of_myeloid_and_ms_are_the_queries_exchanged():
    files = SOURCE["evidence"]["scgpt_files"]["cells"]
    text = {name: values("datasets", name, "", "")["n_cells"] for name in files}
    assert text["myeloid"] == files["multiple_sclerosis"]["query"] == 13468
    assert text["multiple_sclerosis"] == files["myeloid"]["query"] == 3430


def test_oddity_one_pair_of_rows_of_table_c4_is_identical():
    rows: dict[tuple[str, str], list[float]] = {}
    for key, value in leaves("table_c4"):
        rows.setdefault((key[1], key[3]), []).append(value)
    equal = [{a, b} for (a, x), (b, y) in itertools.combinations(rows.items(), 2) if x == y]
    assert equal == [{("aorta", "geneformer"), ("aorta", "genept_s")}]


def test_oddity_the_notebooks_genept_s_neighbours_are_genept_w():
    s, w = (list(values("author_notebook", "aorta", "cell_type", name).values()) for name in ("genept_s", "genept_w"))
    s = s[2:]  # after ARI and AMI
    assert all(abs(a - b) < 0.0011 for a, b in zip(s, w, strict=True))
    table = list(values("table_c4", "aorta", "cell_type", "genept_w").values())
    assert [round(value, 2) for value in s] == [round(value, 2) for value in w] == table


def test_oddity_the_notebooks_clusters_are_not_the_papers():
    notebook = {name: values("author_notebook", "aorta", name, "genept_s") for name in ("patient", "cell_type")}
    assert round(notebook["patient"]["ari"], 3) in (0.148, 0.149)
    assert values("section_4_4", "aorta", "patient", "genept_s")["ari"] == 0.10
    printed = values("table2", "aorta", "cell_type", "genept_s")
    assert (printed["ari"], printed["ami"]) == (0.31, 0.47)
    assert round(notebook["cell_type"]["ari"], 2) == 0.39
    assert round(notebook["cell_type"]["ami"], 2) == 0.53


def test_oddity_a_quarter_of_the_genes_has_no_vector():
    missing = values("author_notebook", "aorta", "", "genept_w")["n_genes_missing"]
    assert round(missing / values("datasets", "aorta", "", "")["n_genes"], 3) == 0.243


def test_oddity_two_places_print_one_ari_differently():
    pairs = {
        model: tuple(values(section, "aorta", "phenotype", model)["ari"] for section in ("table2", "section_4_4"))
        for model in ("geneformer", "genept_s", "scgpt")
    }
    assert pairs == {"geneformer": (0.10, 0.12), "genept_s": (0.12, 0.11), "scgpt": (0.12, 0.12)}


def test_oddity_weighted_recall_is_accuracy_but_for_one_row():
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for key, value in leaves("section_4_4"):
        rows.setdefault((key[1], key[2], key[3]), {})[key[4]] = value
    unequal = [key for key, row in rows.items() if row.get("accuracy") != row.get("recall_weighted")]
    assert unequal == [("aorta", "phenotype", "genept_s")]
    notebook = values("author_notebook", "aorta", "phenotype", "genept_s")
    assert notebook["accuracy"] == notebook["recall_weighted"] == 0.7366


def test_oddity_the_subset_is_a_fifth_of_more_cells_than_have_a_label():
    counts = values("datasets", "aorta", "", "")
    assert int(0.2 * counts["n_cells_full"]) == 9616
    assert [n for n in range(48000, 48200) if int(0.2 * n) == counts["n_cells"]] == list(range(48125, 48130))


def test_scores_from_reference_to_query_stand_beside_those_of_the_random_split(project):
    rows = [*rows_of("cell_type"), ["knn_reference", "cell_type", "accuracy", "", 0.7843, "", 100, 3, ""]]
    write_pair("vessel", "text_w", rows)
    found = report()
    line = found["table_c4", "aorta", "cell_type", "genept_w", "accuracy"]
    assert (line["ours"], line["ours_reference_to_query"]) == ("0.9001", "0.7843")
    assert found["table_c4", "aorta", "cell_type", "genept_w", "f1_macro"]["ours_reference_to_query"] == ""
    assert "from reference to query Accuracy 0.7843" in PAGE.read_text(encoding="utf-8")
