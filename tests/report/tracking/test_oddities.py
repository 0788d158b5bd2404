"""The oddities of the paper, computed from its own numbers."""

from __future__ import annotations

import itertools

from tests.report.tracking.source import SOURCE, leaves, values


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
