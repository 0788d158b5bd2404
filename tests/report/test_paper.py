"""The file of the paper's numbers: whole, in range, with its origin; and the oddities that follow from them."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from genept.core.errors import ParamsError
from genept.report import paper
from tests.helpers import ROOT

SOURCE = yaml.safe_load(paper.PATH.read_text(encoding="utf-8"))
NUMBERS = paper.load().numbers


def of(section: str, dataset: str, annotation: str, model: str) -> dict[str, float]:
    """The numbers of one line by metric; of nearest neighbours only, if the line has several tasks."""
    return {n.metric: n.value for n in NUMBERS if n[:4] == (section, dataset, annotation, model)}


def lines(section: str) -> dict[tuple[str, str, str], list[float]]:
    found: dict[tuple[str, str, str], list[float]] = {}
    for number in NUMBERS:
        if number.section == section:
            found.setdefault((number.dataset, number.annotation, number.model), []).append(number.value)
    return found


def count(node: Any) -> int:
    if isinstance(node, dict | list):
        return sum(map(count, node.values() if isinstance(node, dict) else node))
    return 1


def test_every_number_of_the_file_is_read_and_in_its_range() -> None:
    blocks = [block for section in SOURCE["sections"].values() for block in section["tables"]]
    assert sum(count(block["values"]) for block in blocks) == len(NUMBERS) == 296
    assert len({number[:6] for number in NUMBERS}) == 296
    for number in NUMBERS:
        if number.is_count:
            assert number.value == int(number.value) > 0
        else:
            assert -0.5 <= number.value <= 1 and number.model in (*SOURCE["models"], "ensemble"), number


def test_every_section_says_where_it_was_read_and_when() -> None:
    for section in SOURCE["sections"].values():
        assert section["read_from"] and (section["transcription"], str(section["date"])) == ("second-hand", "2026-11")
    assert "doi:10.1101/2023.10.16.562533" in SOURCE["citation"]


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


def test_oddity_the_counts_of_myeloid_and_ms_are_the_queries_exchanged() -> None:
    names = ["myeloid", "multiple_sclerosis"]
    files = [yaml.safe_load((ROOT / f"data/{name}.yaml").read_text())["reported"]["scGPT's authors"] for name in names]
    text = [of("datasets", name, "", "")["n_cells"] for name in names]
    assert text == [query["query"] for query in reversed(files)] == [13468, 3430]


def test_oddity_one_pair_of_rows_of_table_c4_is_identical() -> None:
    equal = [{a, b} for (a, x), (b, y) in itertools.combinations(lines("table_c4").items(), 2) if x == y]
    assert equal == [{("aorta", "cell_type", "geneformer"), ("aorta", "cell_type", "genept_s")}]


def test_oddity_the_notebooks_genept_s_neighbours_are_genept_w() -> None:
    notebook = lines("author_notebook")
    s, w = notebook["aorta", "cell_type", "genept_s"][2:], notebook["aorta", "cell_type", "genept_w"]  # after ARI, AMI
    assert all(abs(a - b) < 0.0011 for a, b in zip(s, w, strict=True))
    table = lines("table_c4")["aorta", "cell_type", "genept_w"]
    assert [round(value, 2) for value in s] == [round(value, 2) for value in w] == table


def test_oddity_the_notebooks_clusters_are_not_the_papers() -> None:
    notebook, printed = (of(name, "aorta", "cell_type", "genept_s") for name in ("author_notebook", "table2"))
    assert [printed[metric] for metric in ("ari", "ami")] == [0.31, 0.47]
    assert [round(notebook[metric], 2) for metric in ("ari", "ami")] == [0.39, 0.53]
    patient = [of(name, "aorta", "patient", "genept_s")["ari"] for name in ("author_notebook", "section_4_4")]
    assert patient == [0.1485, 0.10]


def test_oddities_of_the_aortas_cells_and_genes() -> None:
    counts, notebook = of("datasets", "aorta", "", ""), of("author_notebook", "aorta", "", "genept_w")
    assert round(notebook["n_genes_missing"] / counts["n_genes"], 3) == 0.243
    assert int(0.2 * counts["n_cells_full"]) == 9616
    assert [n for n in range(48000, 48200) if int(0.2 * n) == counts["n_cells"]] == list(range(48125, 48130))


def test_oddity_two_places_print_one_ari_differently() -> None:
    sections, models = ("table2", "section_4_4"), ("geneformer", "genept_s", "scgpt")
    pairs = [tuple(of(section, "aorta", "phenotype", model)["ari"] for section in sections) for model in models]
    assert pairs == [(0.10, 0.12), (0.12, 0.11), (0.12, 0.12)]


def test_oddity_weighted_recall_is_accuracy_but_for_one_row() -> None:
    rows = {key: of("section_4_4", *key) for key in lines("section_4_4")}
    unequal = [key for key, row in rows.items() if row.get("accuracy") != row.get("recall_weighted")]
    assert unequal == [("aorta", "phenotype", "genept_s")]
    notebook = of("author_notebook", "aorta", "phenotype", "genept_s")
    assert notebook["accuracy"] == notebook["recall_weighted"] == 0.7366
