"""The tables of `stages.report`, and how `dvc plots` draws its bar charts."""

from __future__ import annotations

import copy
import csv
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from stages.figures import palette
from stages.report import notes, results, tables
from stages.report.__main__ import main
from tests.helpers import ROOT

PARAMS: dict[str, Any] = {
    "seed": 7,
    "threads": 1,
    "grid": {
        "datasets": ["blood", "tumour"],
        "models": ["expression", "random_w", "text_w"],
        "controls": {"of": "text_w", "models": ["random_w"]},
        "pretrain": {"models": ["mini"], "on": []},
        "finetune": {"datasets": ["blood"], "from": "text_w", "model": "tuned"},
        "ensemble": {"datasets": ["blood"], "members": ["text_w", "random_w", "expression"]},
        "figures": {"datasets": [], "baseline": "expression", "models": []},
    },
    "datasets": {
        "blood": {"title": "Blood cells", "note": "stand-in, not a dataset of the paper"},
        "tumour": {"title": "Tumour cells"},
    },
    "models": {
        "expression": {"title": "Expression"},
        "random_w": {"title": "Control: random"},
        "text_w": {"title": "Text"},
        "tuned": {"title": "Tuned text"},
    },
    "evaluate": {
        "kmeans": {"algorithm": "full", "batch_size": 20, "n_init": 1, "repeats": 2, "pca_for_patient": 50},
        "split": {"test_size": 0.2, "stratified": False, "groups": None},
        "knn": {"k": 9, "metric": "cosine"},
        "logreg": {"max_iter": 100, "C": 1.0, "standardise": False, "labels": ["phenotype", "disease"]},
        "ensemble_tie": "first",
        "unknown": [],
    },
}
HEADER = "dataset,model,task,annotation,metric,class,value,sd,n_cells,n_classes,note".split(",")


def rows_of(annotation: str, base: float, note: str = "", coordinates: bool = True) -> list[list[Any]]:
    """Rows of one annotation, as `evaluate` writes them; every value follows from `base`."""
    rows: list[list[Any]] = []
    if coordinates:
        rows += [
            ["kmeans", annotation, "ari", "", base, 0.0123, 500, 3, note],
            ["kmeans", annotation, "ami", "", base + 0.01, 0.0045, 500, 3, note],
            ["silhouette", annotation, "asw", "", base - 0.5, "", 500, 3, note],
        ]
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    rows += [["knn", annotation, name, "", base + 0.1 * i, "", 100, 3, note] for i, name in enumerate(names)]
    rows.append(["knn", annotation, "precision", "B cell", 0.9999, "", 100, 3, note])
    return rows


def write(dataset: str, model: str, rows: list[list[Any]]) -> None:
    """Write both files of a pair."""
    full, scores = Path(f"metrics/full/{dataset}/{model}.csv"), Path(f"metrics/scores/{dataset}/{model}.json")
    for path in (full, scores):
        path.parent.mkdir(parents=True, exist_ok=True)
    with full.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *([dataset, model, *row] for row in rows)])
    headlines = {"cell_type_ari": rows[0][4], "cell_type_knn_accuracy": 0.25}
    scores.write_text(json.dumps(headlines))


@pytest.fixture
def project(tmp_path, monkeypatch) -> dict[str, Any]:
    """Scores of all pairs that PARAMS names, and of a model and a dataset that have left the grid."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS))
    for base, model in ((0.1, "expression"), (0.2, "random_w"), (0.3, "text_w"), (0.4, "tuned")):
        note = "unseen cells only" if model == "tuned" else ""
        phenotype = [*rows_of("phenotype", base, note)]
        supervised = "; ".join(filter(None, [note, "supervised by phenotype" if note else ""]))
        phenotype += [
            ["logreg", "phenotype", name, "", base + 0.3, "", 100, 2, supervised]
            for name in ("accuracy", "precision_weighted", "recall_weighted", "f1_weighted")
        ]
        pca = "; ".join(filter(None, ["on 50 principal components", note]))
        patient = rows_of("patient", base - 0.05, pca)
        write("blood", model, rows_of("cell_type", base, note) + patient + phenotype)
    write("blood", "ensemble", rows_of("cell_type", 0.45, "majority vote", coordinates=False))
    for base, model in ((0.5, "expression"), (0.6, "random_w"), (0.55, "text_w")):
        note = "random_w is not comparable: no counts" if model == "random_w" else ""
        reason = "; ".join(filter(None, ["not scored: phenotype has one class", note]))
        left_out = ["labels", "phenotype", "n_classes", "", 1, "", 500, 1, reason]
        write("tumour", model, rows_of("cell_type", base, note) + rows_of("patient", base, note) + [left_out])
    write("blood", "gone", rows_of("cell_type", 0.99))
    write("gone", "expression", rows_of("cell_type", 0.99))
    Path("metrics/verification").mkdir()
    Path("metrics/verification/blood.json").write_text('{"label_source": "author"}')
    found = {"label_source": "reanalysis", "reanalysis": {"method_version": 3}}
    Path("metrics/verification/tumour.json").write_text(json.dumps(found))
    return copy.deepcopy(PARAMS)


def report(*arguments: str):
    return CliRunner().invoke(main, arguments)


def read_csv(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def printed_rows(name: str) -> list[list[str]]:
    """The rows of a Markdown table, cell by cell, with the blanks of repeated groups filled in."""
    lines = [line for line in Path(name).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    for above, row in itertools.pairwise(rows):
        row[:2] = row[:2] if row[0] else above[:2]
    return rows


def test_tables_have_one_row_for_every_pair_of_the_grid_and_no_other(project):
    result = report()
    assert result.exit_code == 0, result.output
    pairs = {(row["dataset"], row["model"]) for row in read_csv("metrics/table_c4.csv")}
    expected = {(dataset, model) for dataset in ("blood", "tumour") for model in ("expression", "random_w", "text_w")}
    assert pairs == expected | {("blood", "tuned"), ("blood", "ensemble")}
    assert {(row["dataset"], row["model"]) for row in read_csv("plots/scores.csv")} == pairs
    for path in Path("metrics").glob("*.*"):
        assert "gone" not in path.read_text(encoding="utf-8")


def test_table_2_holds_the_clustering_scores(project):
    report()
    found = {(row["dataset"], row["annotation"], row["model"]): row for row in read_csv("metrics/table2.csv")}
    row = found["blood", "cell_type", "text_w"]
    assert (row["ari"], row["ari_sd"], row["ami"], row["ami_sd"], row["asw"]) == (
        "0.3000",
        "0.0123",
        "0.3100",
        "0.0045",
        "-0.2000",
    )
    assert (row["n_cells"], row["n_classes"]) == ("500", "3")
    assert ("blood", "cell_type", "ensemble") not in found
    assert not any(annotation == "patient" for _, annotation, _ in found)


def test_table_c4_holds_the_macro_scores_and_the_number_of_neighbours(project):
    report()
    (row,) = [row for row in read_csv("metrics/table_c4.csv") if row["model"] == "ensemble"]
    assert [row[name] for name in ("accuracy", "precision", "recall", "f1")] == ["0.4500", "0.5500", "0.6500", "0.7500"]
    assert "9 nearest" in Path("metrics/table_c4.md").read_text(encoding="utf-8")


def test_table_c4_has_a_group_of_its_own_for_predictions_from_the_reference(project):
    names = ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    more = [["knn_reference", "cell_type", name, "", 0.61 + 0.1 * i, "", 300, 3, ""] for i, name in enumerate(names)]
    write("tumour", "text_w", rows_of("cell_type", 0.55) + more)
    assert report().exit_code == 0
    rows = [row for row in read_csv("metrics/table_c4.csv") if row["annotation"] == "cell_type, reference to query"]
    assert [(row["dataset"], row["model"], row["accuracy"], row["n_cells"]) for row in rows] == [
        ("tumour", "text_w", "0.6100", "300")
    ]
    assert "reference to query: the training cells are the" in " ".join(Path("metrics/table_c4.md").read_text().split())


def test_section_4_4_holds_patients_and_phenotypes_with_the_baseline_first(project):
    project["grid"]["models"] = ["text_w", "expression"]
    Path("params.yaml").write_text(yaml.safe_dump(project))
    report()
    rows = read_csv("metrics/section_4_4.csv")
    assert [row["model"] for row in rows if row["dataset"] == "blood"] == ["expression", "text_w", "tuned"]
    assert [rows[0][name] for name in ("patient_ari", "phenotype_ari", "accuracy")] == ["0.0500", "0.1000", "0.4000"]
    assert (rows[0]["n_cells"], rows[0]["n_test_cells"]) == ("500", "100")


def test_markdown_repeats_the_numbers_with_three_decimals(project):
    report()
    for name in ("table2", "table_c4", "section_4_4"):
        table = read_csv(f"metrics/{name}.csv")
        printed = printed_rows(f"metrics/{name}.md")
        assert len(table) == len(printed)
        columns = [column for column in table[0] if not column.startswith("n_") and not column.endswith("_sd")][3:-2]
        for values, cells in zip(table, printed, strict=True):
            assert cells[0] == values["dataset"]
            assert f"`{values['model']}`" in cells[2]
            for column, cell in zip(columns, cells[3:], strict=False):
                assert values[column] == "" or f"{float(values[column]):.3f}" in cell


def test_the_best_of_a_group_is_bold_but_not_what_is_fine_tuned_or_not_comparable(project):
    report()
    bold = {
        (row[0], row[1], re.search("`(.*)`", row[2])[1])  # type: ignore[index]
        for row in printed_rows("metrics/table2.md")
        if "**" in row[3]
    }
    assert bold == {
        ("blood", "phenotype", "text_w"),  # tuned is higher
        ("blood", "cell_type", "text_w"),
        ("tumour", "cell_type", "text_w"),  # random_w is higher
    }


def test_captions_say_what_datasets_and_models_are(project):
    report()
    for name in ("table2", "table_c4", "section_4_4"):
        text = Path(f"metrics/{name}.md").read_text(encoding="utf-8")
        caption = " ".join(text.split("|", maxsplit=1)[0].split())
        assert "Computed in this run with seed 7." in caption
        assert "`blood`: stand-in, not a dataset of the paper." in caption
        assert text.count("stand-in") == 1  # nothing of the dataset that has no note
        assert "- `tumour`: Tumour cells" in text
        assert "- `text_w`: Text" in text
        assert "Controls, whose gene vectors mean nothing: `random_w`." in text
        assert "scored only on other cells: `tuned`." in text
        assert "Small models" not in text


def test_footnotes_mark_notes_once_at_the_widest_place(project):
    report()
    text = Path("metrics/section_4_4.md").read_text(encoding="utf-8")
    assert text.count("on 50 principal components") == 1
    assert re.search(r"`random_w`, not comparable \(\w\)", text)
    letter = re.search(r"- \((\w)\) supervised by phenotype", text)
    assert letter
    (tuned,) = [row for row in printed_rows("metrics/section_4_4.md") if "tuned" in row[2]]
    assert [f"({letter[1]})" in cell for cell in tuned[3:8]] == [False, False, True, True, True]
    (row,) = [row for row in read_csv("metrics/section_4_4.csv") if row["model"] == "tuned"]
    assert "accuracy, precision, recall: supervised by phenotype" in row["note"]
    assert "unseen cells only" in row["note"].split("; ")


def test_what_could_not_be_scored_is_a_row_with_its_reason(project):
    report()
    rows = [row for row in read_csv("metrics/table2.csv") if row["dataset"] == "tumour"]
    phenotype = [row for row in rows if row["annotation"] == "phenotype"]
    assert [row["model"] for row in phenotype] == ["expression", "random_w", "text_w"]
    assert all(row["ari"] == "" and "one class" in row["note"] for row in phenotype)


def test_bar_chart_data_are_the_headline_numbers(project):
    report()
    rows = read_csv("plots/scores.csv")
    assert list(rows[0]) == ["dataset", "model", "metric", "value"]
    assert rows[0] == {"dataset": "blood", "model": "expression", "metric": "cell_type_ari", "value": "0.1000"}
    assert len(rows) == 2 * 8


def test_equal_runs_write_equal_files(project):
    def contents():
        report()
        return {path: path.read_bytes() for path in [*Path("metrics").glob("*.*"), Path("plots/scores.csv")]}

    assert contents() == contents()


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


def test_show_prints_the_tables_that_are_there(project):
    assert report("--show").exit_code == 1
    report()
    before = {path: path.stat().st_mtime_ns for path in Path("metrics").glob("*.*")}
    output = report("--show").output
    for name in ("table2", "table_c4", "section_4_4"):
        assert Path(f"metrics/{name}.md").read_text(encoding="utf-8") in output
    assert {path: path.stat().st_mtime_ns for path in Path("metrics").glob("*.*")} == before


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


def test_letters_go_on_after_z():
    assert [notes.letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_a_rounded_zero_has_no_sign():
    from stages.report import markdown, tidy

    score = results.Score(-0.00004, None, 10, 2)
    column = tables.Column("asw", "ASW", "silhouette", "asw")
    table = tables.Table("t", "T", "", (column,), (), [tables.Row("d", "a", "m", (score,))])
    assert markdown.printed(score) == "0.000"
    assert tidy.table(table, {"d": "author"}).splitlines()[1] == "d,a,m,0.0000,author,"


def test_every_table_says_who_labelled_the_cells(project):
    report()
    for name in ("table2", "table_c4", "section_4_4"):
        sources = {row["dataset"]: row["label_source"] for row in read_csv(f"metrics/{name}.csv")}
        assert sources == {"blood": "author", "tumour": "reanalysis"}
        text = Path(f"metrics/{name}.md").read_text(encoding="utf-8")
        assert "- `blood`: Blood cells; labels by the authors\n" in text
        assert "- `tumour`: Tumour cells; cell types by re-analysis, version 3, not by the study's authors\n" in text


def test_an_entry_in_the_place_of_another_is_said():
    other = {"title": "Aorta of GEO", "note": "drawn here", "because": "it answered 404 (Not Found)"}
    said = "labels by the authors; in its place: Aorta of GEO, drawn here (it answered 404 (Not Found))"
    assert results.labelled_by({"label_source": "author", "in_its_place": other}) == said


# Bar charts and the page of `dvc plots`


def filled_template(rows: list[dict[str, str]]) -> dict[str, Any]:
    from dvc_render.vega import VegaRenderer

    renderer = VegaRenderer(rows, "plots/scores.csv", template="grouped_bars", template_dir=str(ROOT / ".dvc/plots"))
    return renderer.get_filled_template()


def test_the_bar_template_takes_the_report_s_columns(project):
    report()
    rows = [{**row, "rev": "workspace"} for row in read_csv("plots/scores.csv")]
    spec = filled_template(rows)
    assert spec["data"]["values"] == rows
    assert "<DVC_METRIC" not in json.dumps(spec)
    derived = {"line", "model_place", "rev_place", "bar"}
    used = set(re.findall(r'"field": "(\w+)"', json.dumps(spec))) | set(re.findall(r"datum\.(\w+)", json.dumps(spec)))
    assert used <= set(rows[0]) | derived


def test_bars_have_the_colours_of_the_pictures():
    spec = json.loads((ROOT / ".dvc/plots/grouped_bars.json").read_text())
    assert tuple(spec["spec"]["encoding"]["color"]["scale"]["range"]) == palette.COLOURS


def test_the_plots_page_loads_nothing_from_elsewhere(tmp_path):
    from dvc_render.html import render_html
    from dvc_render.vega import VegaRenderer

    rows = [{"step": "1", "loss": "0.5", "rev": "workspace"}]
    page = tmp_path / "index.html"
    render_html([VegaRenderer(rows, "loss", x="step", y="loss")], page, html_template=ROOT / ".dvc/plots/page.html")
    text = page.read_text(encoding="utf-8")
    assert "cdn.jsdelivr.net" not in text
    without_code = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "<script" in text
    assert not re.findall(r"<script\b[^>]*\bsrc|<link|<iframe|<img|@import|url\(", without_code)
    assert not {"{plot_divs}", "{refresh_tag}", "{scripts}"} & set(re.findall(r"\{\w+\}", text))
    assert len(re.findall("<script", text)) - len(re.findall("</script>", text)) == 0
    for library in ("vega 5.", "vega-lite 5.", "vega-embed 6."):
        assert f"<script>/* {library}" in text
    assert "vegaEmbed('#loss', spec)" in text
