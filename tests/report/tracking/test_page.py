"""The page: its tables and counts, what ran, the gaps and the next steps."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from genept.report import tracking_page
from tests.report.scored import write_pair
from tests.report.tracking.made import PAGE, page, record, report, rows_of, save
from tests.report.tracking.source import SOURCE


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
    Path("metrics/verification/vessel.json").write_text(json.dumps({**changed, "label_source": "user"}))
    report()
    assert "the cells are others (5,000, the paper's 9,625); the labels are the user's own" in page()


def test_genes_unknown_to_the_models_stand_beside_what_others_counted(project):
    report()
    text = PAGE.read_text(encoding="utf-8").split("## Genes that the models know")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    known = "5,665 of 23,331 (the authors' notebook)"
    assert lines[2] == ["vessel", "text_w", "23,331", "5,665 (24.3%)", "4.3%", known]
    assert lines[3] == ["blood", "text_w", "23,331", "5,665 (24.3%)", "4.3%", "\u2013"]
    assert len(lines) == 4  # the other models noted nothing


def test_scores_from_reference_to_query_stand_beside_those_of_the_random_split(project):
    rows = [*rows_of("cell_type"), ["knn_reference", "cell_type", "accuracy", "", 0.7843, "", 100, 3, ""]]
    write_pair("vessel", "text_w", rows)
    found = report()
    line = found["table_c4", "aorta", "cell_type", "genept_w", "accuracy"]
    assert (line["ours"], line["ours_reference_to_query"]) == ("0.9001", "0.7843")
    assert found["table_c4", "aorta", "cell_type", "genept_w", "f1_macro"]["ours_reference_to_query"] == ""
    assert "from reference to query Accuracy 0.7843" in PAGE.read_text(encoding="utf-8")
