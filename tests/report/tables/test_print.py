"""The tables as they are printed: rounded numbers, the best in bold, captions and footnotes."""

from __future__ import annotations

import re
from pathlib import Path

from genept.report import notes, results, tables
from tests.report.tables.made import printed_rows, read_csv, report


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


def test_show_prints_the_tables_that_are_there(project):
    assert report("--show").exit_code == 1
    report()
    before = {path: path.stat().st_mtime_ns for path in Path("metrics").glob("*.*")}
    output = report("--show").output
    for name in ("table2", "table_c4", "section_4_4"):
        assert Path(f"metrics/{name}.md").read_text(encoding="utf-8") in output
    assert {path: path.stat().st_mtime_ns for path in Path("metrics").glob("*.*")} == before


def test_letters_go_on_after_z():
    assert [notes.letter(i) for i in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_a_rounded_zero_has_no_sign():
    from genept.report import markdown, tidy

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


def test_labels_that_somebody_put_there_are_not_called_the_authors():
    table = {"path": "data/manual/artery/labels.csv", "sha256": "0123456789ab" + 52 * "c"}
    place = "from data/manual/artery/labels.csv, put there by hand (sha256 0123456789ab)"
    assert results.labelled_by({"label_source": "user", "labels_from": table}) == f"labels {place}"
    said = f"labels by the authors, {place}"  # who put it there says so, by label_source
    assert results.labelled_by({"label_source": "author", "labels_from": table}) == said
    assert results.labelled_by({"label_source": "user"}) == "labels by the user"
