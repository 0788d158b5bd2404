"""The overview prints every main score once, apart by kind, and marks the best as the tables do."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from genept.report.printing import NONE
from tests.report import made


@pytest.fixture
def overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tag:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.report.draw", lambda *_: None)
    made.write_project()
    assert made.report().exit_code == 0
    page = BeautifulSoup(Path("plots/report.html").read_text(encoding="utf-8"), "html.parser")
    section = page.find(id="overview")
    assert isinstance(section, Tag)
    return section


def rows_of(table: Tag) -> dict[str, list[Tag]]:
    return {row.code.text: list(row.select("td.number")) for row in table.select("tr") if row.code}


def test_each_dataset_has_its_scores_by_kind(overview: Tag) -> None:
    _, blood, tumour = overview.select("table.heat")
    kinds = {body["class"][0]: list(rows_of(body)) for body in blood.select("tbody")}
    assert kinds == {
        "models": ["expression", "text_w", "ensemble"],
        "controls": ["random_w"],
        "fine-tuned": [
            "tuned",
            *[name for name in made.SCORED if name.startswith("tuned_") or name == "random_tuned"],
        ],
        "bounds": ["majority", "random_cells", "supervised"],
    }
    assert [head.text for head in blood.select("th.family")] == [
        "Clusters",
        "New cells",
        "New donors",
        "Batch and phenotype",
    ]
    printed = {name: [cell.contents[0] for cell in cells] for name, cells in rows_of(blood).items()}
    assert printed["text_w"] == ["0.300", "0.310", "-0.200", "0.300", "0.600", "0.300", "0.600", "0.250", "0.600"]
    assert printed["ensemble"] == [NONE, NONE, NONE, "0.450", "0.750", "0.450", "0.750", NONE, NONE]
    heads = [head.text for head in tumour.select("thead tr")[1].select("th")]
    assert "Patient ARI ↓" in heads and not any("AUROC" in head for head in heads)  # the phenotype has one label


def test_a_cell_says_its_range_and_whether_it_is_among_the_best(overview: Tag) -> None:
    blood = rows_of(overview.select("table.heat")[1])
    accuracy = blood["text_w"][3]
    assert accuracy["title"] == "range [.274, .326]" and "[.274, .326]" in accuracy.text
    best = {name for name, cells in blood.items() if "best" in cells[3]["class"]}
    assert best == {"ensemble"}
    assert blood["text_w"][7]["style"] == "--shade: 0.0"  # the batch effect has no shade
    assert blood["text_w"][3]["style"] == "--shade: 0.5"


def test_the_comparisons_that_the_answer_counts_are_there(overview: Tag) -> None:
    (caption,) = (one for one in overview.select("caption") if one.text == "Text less another row")
    table = caption.find_parent("table")
    assert table is not None
    rows = [[cell.text for cell in row.select("th, td")] for row in table.select("tbody tr")]
    assert len(rows) == 32 and all(row[3] == "helps" for row in rows)  # 16 of 16 scores, in the answer, for both rows
    first = [
        "blood",
        "text_w less random_w",
        "accuracy, cosine",
        "helps",
        "0.700",
        "0.600",
        "0.100 [.050, .150]",
        ".091",
    ]
    assert rows[0] == first
