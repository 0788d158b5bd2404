"""The file of the paper's numbers: whole, in range, with its origin; and the oddities that follow from them."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import yaml

from genept.core.errors import ParamsError
from genept.report import paper
from tests.helpers import ROOT
from tests.report.source import SOURCE, leaves, values


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    path.write_text("citation: a\n")
    with pytest.raises(ParamsError, match=r"paper\.yaml: transcription is missing"):
        paper.load(path)
    content = copy.deepcopy(SOURCE)
    content["sections"]["table2"]["tables"][0]["values"]["bones"]["cell_type"]["scgpt"].pop()
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match=r"paper\.yaml: sections\.table2\.tables\.0: "):
        paper.load(path)


def test_every_number_is_in_its_range_and_has_an_origin() -> None:
    for section in SOURCE["sections"].values():
        assert section["read_from"] and (section["transcription"], str(section["date"])) == ("second-hand", "2026-11")
    assert "doi:10.1101/2023.10.16.562533" in SOURCE["citation"]
    for number in paper.load().numbers:
        if number.is_count:
            assert number.value == int(number.value) > 0
        else:
            assert -0.5 <= number.value <= 1 and number.model in (*SOURCE["models"], "ensemble"), number


def test_oddity_the_counts_of_myeloid_and_ms_are_the_queries_exchanged() -> None:
    text = {name: values("datasets", name, "", "")["n_cells"] for name in ("myeloid", "multiple_sclerosis")}
    files = {
        name: yaml.safe_load((ROOT / f"data/{name}.yaml").read_text())["reported"]["scGPT's authors"] for name in text
    }
    assert text["myeloid"] == files["multiple_sclerosis"]["query"] == 13468
    assert text["multiple_sclerosis"] == files["myeloid"]["query"] == 3430


def test_oddity_one_pair_of_rows_of_table_c4_is_identical() -> None:
    rows: dict[tuple[str, str], list[float]] = {}
    for key, value in leaves("table_c4"):
        rows.setdefault((key[1], key[3]), []).append(value)
    equal = [{a, b} for (a, x), (b, y) in itertools.combinations(rows.items(), 2) if x == y]
    assert equal == [{("aorta", "geneformer"), ("aorta", "genept_s")}]


def test_oddity_the_notebooks_genept_s_neighbours_are_genept_w() -> None:
    s, w = (list(values("author_notebook", "aorta", "cell_type", name).values()) for name in ("genept_s", "genept_w"))
    s = s[2:]  # after ARI and AMI
    assert all(abs(a - b) < 0.0011 for a, b in zip(s, w, strict=True))
    table = list(values("table_c4", "aorta", "cell_type", "genept_w").values())
    assert [round(value, 2) for value in s] == [round(value, 2) for value in w] == table


def test_oddity_the_notebooks_clusters_are_not_the_papers() -> None:
    notebook = {name: values("author_notebook", "aorta", name, "genept_s") for name in ("patient", "cell_type")}
    assert round(notebook["patient"]["ari"], 3) in (0.148, 0.149)
    assert values("section_4_4", "aorta", "patient", "genept_s")["ari"] == 0.10
    printed = values("table2", "aorta", "cell_type", "genept_s")
    assert (printed["ari"], printed["ami"]) == (0.31, 0.47)
    assert round(notebook["cell_type"]["ari"], 2) == 0.39
    assert round(notebook["cell_type"]["ami"], 2) == 0.53


def test_oddity_a_quarter_of_the_genes_has_no_vector() -> None:
    missing = values("author_notebook", "aorta", "", "genept_w")["n_genes_missing"]
    assert round(missing / values("datasets", "aorta", "", "")["n_genes"], 3) == 0.243


def test_oddity_two_places_print_one_ari_differently() -> None:
    pairs = {
        model: tuple(values(section, "aorta", "phenotype", model)["ari"] for section in ("table2", "section_4_4"))
        for model in ("geneformer", "genept_s", "scgpt")
    }
    assert pairs == {"geneformer": (0.10, 0.12), "genept_s": (0.12, 0.11), "scgpt": (0.12, 0.12)}


def test_oddity_weighted_recall_is_accuracy_but_for_one_row() -> None:
    rows: dict[tuple[str, str, str], dict[str, float]] = {}
    for key, value in leaves("section_4_4"):
        rows.setdefault((key[1], key[2], key[3]), {})[key[4]] = value
    unequal = [key for key, row in rows.items() if row.get("accuracy") != row.get("recall_weighted")]
    assert unequal == [("aorta", "phenotype", "genept_s")]
    notebook = values("author_notebook", "aorta", "phenotype", "genept_s")
    assert notebook["accuracy"] == notebook["recall_weighted"] == 0.7366


def test_oddity_the_subset_is_a_fifth_of_more_cells_than_have_a_label() -> None:
    counts = values("datasets", "aorta", "", "")
    assert int(0.2 * counts["n_cells_full"]) == 9616
    assert [n for n in range(48000, 48200) if int(0.2 * n) == counts["n_cells"]] == list(range(48125, 48130))
