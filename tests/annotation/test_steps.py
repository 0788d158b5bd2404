"""Marker tables, the steps of the method and the comparison with labels, each by hand or by its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from genept.annotation import cells, graph, markers, results
from genept.core.errors import InputError
from genept.core.params import QC
from genept.data import hgnc
from genept.data.genes import Table
from tests import helpers

SYMBOLS = ["A", "B", "C", "MT-ND1"]
COUNTS = np.array(
    [
        [4, 3, 2, 1],  # 4 genes, 1 of 10 counts mitochondrial
        [5, 0, 0, 0],  # 1 gene
        [2, 2, 2, 2],  # 4 genes, a quarter
        [3, 3, 0, 0],  # 2 genes, none
        [0, 0, 0, 0],  # nothing
        [0, 0, 0, 9],  # 1 gene, all of it: too few genes is the first reason
    ],
    dtype=np.float32,
)


def test_each_cell_passes_or_has_the_first_reason_that_holds() -> None:
    x = sp.csr_matrix(COUNTS)

    def judge(min_genes: int, max_genes: int | None, max_mitochondrial: float | None) -> list[str]:
        qc = QC(min_genes=min_genes, max_genes=max_genes, max_mitochondrial=max_mitochondrial, min_cells_per_gene=1)
        return list(cells.judge(x, SYMBOLS, "counts", qc))

    few, mito = "few_genes", "many_mitochondrial"
    assert judge(2, None, 0.2) == ["ok", few, mito, "ok", few, few]
    assert judge(1, 3, None) == ["many_genes", "ok", "many_genes", "ok", few, "ok"]
    assert judge(1, None, 0.25) == ["ok", "ok", "ok", "ok", few, mito]  # a share at the limit passes
    assert [list(cells.common_genes(x, least)) for least in (1, 3, 4)] == [
        [True] * 4,
        [True, True, False, True],
        [True, False, False, False],
    ]


def test_the_mitochondrial_share_is_of_counts_even_if_x_is_logarithms() -> None:
    expected = [0.1, 0, 0.25, 0, 0, 1]
    logged = np.log1p(COUNTS / np.maximum(COUNTS.sum(axis=1, keepdims=True), 1) * 1e4)
    for x, content in ((COUNTS, "counts"), (logged, "lognorm")):
        share = cells.mitochondrial_share(sp.csr_matrix(x), SYMBOLS, content)
        np.testing.assert_allclose(share, expected, rtol=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 4), st.integers(3, 12), st.booleans())
def test_neighbours_are_the_nearest_of_every_batch(
    seed: int, n_cells: int, n_batches: int, n_neighbors: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(-2, 3, size=(n_cells, 2)).astype(float) if ties else rng.normal(size=(n_cells, 3))
    if ties:  # no more cells in one place than candidates are asked for
        points[:, 0] += 10 * (np.arange(n_cells) // 6)
    batches = rng.integers(n_batches, size=n_cells)
    share = graph.per_batch(n_neighbors, len(set(batches)))
    expected = []
    for point in points:
        distances = np.sqrt(((point - points) ** 2).sum(axis=1))
        by_batch = [sorted((distances[i], i) for i in np.flatnonzero(batches == name)) for name in set(batches)]
        expected.append(sorted(pair for pairs in by_batch for pair in pairs[:share]))
    indices, distances = graph.balanced_neighbors(points, batches, n_neighbors)
    assert indices.tolist() == [[i for _, i in row] for row in expected]
    np.testing.assert_allclose(distances, [[distance for distance, _ in row] for row in expected], rtol=1e-12)


def test_each_batch_gives_an_equal_part_at_least_three_or_what_it_has() -> None:
    assert [graph.per_batch(15, n) for n in (1, 2, 4, 5, 20)] == [15, 7, 3, 3, 3]
    points = np.arange(9, dtype=float)[:, np.newaxis]
    indices, _ = graph.balanced_neighbors(points, np.array(["a"] * 7 + ["b"] * 2), 8)
    assert indices.shape == (9, 4 + 2) and set(indices[0]) == {0, 1, 2, 3, 7, 8}


def test_weights_are_symmetric_and_one_for_the_nearest() -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    indices, distances = graph.balanced_neighbors(points, np.arange(40) % 2, 6)
    weights = graph.connect(indices, distances).toarray()
    np.testing.assert_array_equal(weights, weights.T)
    assert weights.diagonal().sum() == 0
    np.testing.assert_allclose(weights[np.arange(40), indices[:, 1]], 1.0, rtol=1e-5)
    joined = (np.arange(40)[:, None, None] == indices[None]).any(axis=2)  # (neighbour, cell)
    assert not weights[~(joined | joined.T)].any()


def test_clusters_are_numbered_by_size_then_by_their_first_cell() -> None:
    assert list(graph.by_size(np.array([5, 1, 1, 7, 5, 3, 3, 3]))) == [1, 2, 2, 3, 1, 0, 0, 0]


def test_means_and_shares_of_clusters() -> None:
    x = sp.csr_matrix(np.array([[1.0, 0, 2], [3, 0, 0], [0, 4, 0], [0, 0, 0], [0, 2, 0]]))
    means, shares = markers.by_cluster(x, np.array([0, 0, 1, 1, 1]), 2)
    np.testing.assert_allclose(means, [[2, 0, 1], [0, 2, 0]])
    np.testing.assert_allclose(shares, [[1, 0, 0.5], [0, 2 / 3, 0]])


def test_z_is_over_clusters_with_a_least_deviation_and_a_limit() -> None:
    means = np.zeros((10, 3))
    means[0, 0] = 5.0  # one of ten: z would be 3
    means[:5, 1] = 1.0  # half of them: z is 1
    means[:5, 2] = 0.04  # hardly any difference: the deviation 0.02 is taken to be 0.1
    z = markers.standardise(means)
    np.testing.assert_allclose(z[:2, 0], [2.0, -0.5 / 1.5])
    np.testing.assert_allclose(z[:, 1:], [[1, 0.2]] * 5 + [[-1, -0.2]] * 5)


def test_a_score_is_the_mean_over_the_genes_that_the_data_has() -> None:
    z = np.array([[2.0, 1.0, -1.0], [-2.0, 0.0, 1.5]])
    scores = markers.score_types(
        z, ["g1", "g2", "g3"], {"T": ("g1", "g2", "gone"), "B": ("g3", "g1"), "None": ("gone",)}
    )
    assert {name: list(values) for name, values in scores.items()} == {"T": [1.5, -1.0], "B": [0.5, -0.25]}


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"T": 1.0, "B": 0.5}, ("T", "T", 1.0, "B", 0.5, 0.5)),
        ({"T": 0.5, "B": 0.75, "M": 0.25}, ("B", "B", 0.75, "T", 0.5, 0.25)),  # a margin at the limit is enough
        ({"T": 0.5, "B": 0.5}, ("Unknown", "T", 0.5, "B", 0.5, 0.0)),
        ({"T": -1.0, "B": 0.0}, ("Unknown", "B", 0.0, "T", -1.0, 1.0)),
        ({"T": 0.5}, ("T", "T", 0.5, "", None, 0.5)),
        ({"T": 0.125}, ("Unknown", "T", 0.125, "", None, 0.125)),
    ],
)
def test_a_cluster_gets_the_best_type_if_it_leads_by_the_margin(scores: dict[str, float], expected: tuple) -> None:
    assert markers.call_type(scores, 0.25) == expected


def test_agreement_counts_types_of_one_label_as_one_and_a_type_without_name_as_wrong() -> None:
    labels = np.array(["T", "T", "T", "B", "B"], dtype=object)
    types = np.array(["T cells", "Helper T", "Unknown", "Plasma", "Plasma"], dtype=object)
    scores, classes = results.compare(labels, types, {"T cells": "T", "Helper T": "T", "B cells": "B"})
    assert list(scores) == ["ari", "ami", "accuracy", "f1", "share_unknown", "n_cells"]
    assert (scores["accuracy"], scores["f1"], scores["share_unknown"], scores["n_cells"]) == (0.4, 0.4, 0.2, 5)
    called = ["T", "T", "Unknown", "Plasma", "Plasma"]
    assert scores["ari"] == pytest.approx(adjusted_rand_score(list(labels), called), abs=5e-5)
    assert list(classes) == ["label", "n_cells", "precision", "recall", "f1", "most_frequent"]
    rows = [["B", 2, 0.0, 0.0, 0.0, "Plasma"], ["T", 3, 1.0, 0.6667, 0.8, "Helper T"]]  # of equal ones the first
    assert classes.to_numpy().tolist() == rows


def test_each_patient_is_compared_alone_and_what_is_not_defined_is_empty(tmp_path: Path) -> None:
    """p1 agrees, p2 does not, p3 has one label only; two cells have no patient, one no label and one no type."""
    rows = [
        ("p1", "T", "T"), ("p1", "T", "T"), ("p1", "B", "B"),
        ("p2", "T", "B"), ("p2", "B", "B"), ("p2", "B", "Unknown"), ("p2", "T", "T"),
        ("p3", "T", "T"), ("p3", None, "T"), ("p3", "B", ""), (None, "T", "B"), (None, "B", "B"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["patient", "cell_type", "type"], index=[f"c{i}" for i in range(len(rows))])
    authors = table.sample(frac=1, random_state=0)  # by cell id, in any order
    scores, why_not = results.write_agreement(tmp_path, tmp_path, authors, table["type"], {})
    found = pd.read_csv(tmp_path / "agreement_by_patient.csv")
    assert list(found) == ["patient", "n_cells", "ari", "ami", "accuracy", "f1", "share_unknown"]
    p2 = adjusted_rand_score(["T", "B", "B", "T"], ["B", "B", "Unknown", "T"])
    assert found["patient"].tolist() == ["p1", "p2", "p3"] and found["n_cells"].tolist() == [3, 4, 1]
    assert found["accuracy"].tolist() == [1.0, 0.5, 1.0] and found["share_unknown"].tolist() == [0, 0.25, 0]
    assert found["ari"].tolist()[:2] == [1.0, pytest.approx(p2, abs=5e-5)] and found.loc[2, ["ari", "ami"]].isna().all()
    assert scores["ari_lowest_patient"] == found["ari"].min() and scores["n_cells"] == 10 and why_not == ""


HEAD = "cell_type\tgene\tsource\tquote\n"
SHIPPED = sorted((helpers.ROOT / "data/markers").glob("*.tsv"))


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(hgnc.read(helpers.HGNC))


def read(folder: Path, text: str, table: Table) -> markers.Markers:
    path = folder / "markers.tsv"
    path.write_bytes(text.encode("latin-1"))
    return markers.read(path, table)


def test_symbols_become_the_approved_ones_and_count_once(tmp_path: Path, table: Table) -> None:
    found = read(tmp_path, HEAD + "T\tIL8\tu\tq\n\nT\tCXCL8\tv\t\n\t \t\t\nB\tCD14\tu\tq\nT\tNOSUCH\tu\tq\n", table)
    assert found.genes == {"T": ("CXCL8", "NOSUCH"), "B": ("CD14",)}
    assert (found.renamed, found.unknown) == ({"IL8": "CXCL8"}, ("NOSUCH",))
    assert read(tmp_path, HEAD + 'T\tCD4\tu\t"a\tb ""c"""\n', table).genes == {"T": ("CD4",)}  # a tab in quotes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell_type\tgene\tquote\nT\tCD4\tq\n", "no column source; a marker table has cell_type, gene, source, quote"),
        ("", "no column cell_type, gene, source, quote"),
        (HEAD + "T\tCD4\tu\tq\nT\tCD8A\t \tq\n", "line 3 has no source; every marker needs"),
        (HEAD + "\tCD4\tu\tq\n", "line 2 has no cell_type"),
        (HEAD + "T\t\tu\tq\n", "line 2 has no gene"),
        (HEAD + "T\tCD4\tu\n", "line 2 does not have the 4 columns of the header"),
        (HEAD + "T\tCD4\tu\tq\tr\n", "line 2 does not have the 4 columns of the header"),
        (HEAD + "Unknown\tCD4\tu\tq\n", "line 2: Unknown is the name of clusters without a type"),
        (HEAD + "T\tCD4\tu\t\xe9\n", "not readable as tab-separated text"),
        (HEAD, "has no marker gene"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, table: Table, text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text, table)
    assert "markers.tsv" in error.value.message and message in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_row_of_a_shipped_table_has_an_address(path: Path, table: Table) -> None:
    assert markers.read(path, table).genes
    assert all(row["source"].startswith("https://") for row in markers.rows(path))
    assert {"ovarian", "artery", "bones"} <= {path.stem for path in SHIPPED}
