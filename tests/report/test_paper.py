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


def of(section: str, dataset: str, annotation: str = "", model: str = "") -> dict[str, float]:
    """The numbers of one line by metric; of nearest neighbours only, if the line has several tasks."""
    return {n.metric: n.value for n in NUMBERS if n[:4] == (section, dataset, annotation, model)}


def lines(section: str) -> dict[tuple[str, ...], list[float]]:
    keys = dict.fromkeys(n[1:4] for n in NUMBERS if n.section == section)
    return {key: [n.value for n in NUMBERS if n[:4] == (section, *key)] for key in keys}


def count(node: Any) -> int:
    if isinstance(node, dict | list):
        return sum(map(count, node.values() if isinstance(node, dict) else node))
    return 1


def test_every_number_of_the_file_is_read_in_its_range_and_with_its_origin() -> None:
    blocks = [block for section in SOURCE["sections"].values() for block in section["tables"]]
    assert sum(count(block["values"]) for block in blocks) == len(NUMBERS) == len({n[:6] for n in NUMBERS}) == 301
    for number in NUMBERS:
        if number.is_count:
            assert number.value == int(number.value) > 0
        else:
            assert -0.5 <= number.value <= 1 and number.model in (*SOURCE["models"], "ensemble"), number
    for section in SOURCE["sections"].values():
        assert section["read_from"] and (section["transcription"], str(section["date"])) == ("second-hand", "2026-11")
    assert "doi:10.1101/2023.10.16.562533" in SOURCE["citation"]


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    content = copy.deepcopy(SOURCE)
    content["sections"]["table2"]["tables"][0]["values"]["bones"]["cell_type"]["scgpt"].pop()
    for text, words in (
        (yaml.safe_dump(content), r"sections\.table2\.tables\.0: "),
        ("citation: a", "transcription is"),
    ):
        (tmp_path / "paper.yaml").write_text(text)
        with pytest.raises(ParamsError, match=rf"paper\.yaml: {words}"):
            paper.load(tmp_path / "paper.yaml")


# Each test of an oddity holds what the file says of it to the file's own numbers.


def test_oddity_the_counts_of_myeloid_and_ms_are_the_queries_exchanged() -> None:
    names = ["myeloid", "multiple_sclerosis"]
    files = [yaml.safe_load((ROOT / f"data/{name}.yaml").read_text())["reported"]["scGPT's authors"] for name in names]
    text = [of("datasets", name)["n_cells"] for name in names]
    assert text == [query["query"] for query in reversed(files)] == [13468, 3430]


def test_oddities_of_the_aortas_cells_and_genes() -> None:
    counts, notebook = of("datasets", "aorta"), of("author_notebook", "aorta", "", "genept_w")
    assert round(notebook["n_genes_missing_exact"] / counts["n_genes"], 3) == 0.243
    assert int(0.2 * counts["n_cells_full"]) == 9616
    assert [n for n in range(48000, 48200) if int(0.2 * n) == counts["n_cells"]] == list(range(48125, 48130))


def test_oddities_within_the_papers_tables() -> None:
    equal = [{a, b} for (a, x), (b, y) in itertools.combinations(lines("table_c4").items(), 2) if x == y]
    assert equal == [{("aorta", "cell_type", "geneformer"), ("aorta", "cell_type", "genept_s")}]
    sections, models = ("table2", "section_4_4"), ("geneformer", "genept_s", "scgpt")
    pairs = [tuple(of(section, "aorta", "phenotype", model)["ari"] for section in sections) for model in models]
    assert pairs == [(0.10, 0.12), (0.12, 0.11), (0.12, 0.12)]
    rows = {key: of("section_4_4", *key) for key in lines("section_4_4")}
    unequal = [key for key, row in rows.items() if row.get("accuracy") != row.get("recall_weighted")]
    assert unequal == [("aorta", "phenotype", "genept_s")]


def test_oddities_of_the_authors_notebook() -> None:
    notebook = lines("author_notebook")
    s, w = notebook["aorta", "cell_type", "genept_s"][2:], notebook["aorta", "cell_type", "genept_w"]  # after ARI, AMI
    assert s == pytest.approx(w, abs=0.0011)  # the neighbours of GenePT-s are those of GenePT-w
    table = lines("table_c4")["aorta", "cell_type", "genept_w"]
    assert [round(value, 2) for value in s] == [round(value, 2) for value in w] == table
    mine, printed = (of(name, "aorta", "cell_type", "genept_s") for name in ("author_notebook", "table2"))
    assert [printed["ari"], printed["ami"], round(mine["ari"], 2), round(mine["ami"], 2)] == [0.31, 0.47, 0.39, 0.53]
    patient = [of(name, "aorta", "patient", "genept_s")["ari"] for name in ("author_notebook", "section_4_4")]
    assert patient == [0.1485, 0.10]
    phenotype = of("author_notebook", "aorta", "phenotype", "genept_s")
    assert phenotype["accuracy"] == phenotype["recall_weighted"] == 0.7366
