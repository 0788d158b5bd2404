"""Quality control of cells, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genept.annotation import quality
from genept.core.params import QC

SYMBOLS = ["A", "B", "C", "MT-ND1"]
COUNTS = sp.csr_matrix(
    np.array(
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
)


def judge(min_genes: int, max_genes: int | None, max_mitochondrial: float | None) -> list[str]:
    qc = QC(min_genes=min_genes, max_genes=max_genes, max_mitochondrial=max_mitochondrial, min_cells_per_gene=1)
    return list(quality.judge(COUNTS, SYMBOLS, "counts", qc))


def test_each_cell_passes_or_has_the_first_reason_that_holds() -> None:
    few, mito = "few_genes", "many_mitochondrial"
    assert judge(2, None, 0.2) == ["ok", few, mito, "ok", few, few]
    assert judge(1, 3, None) == ["many_genes", "ok", "many_genes", "ok", few, "ok"]
    assert judge(1, None, 0.25) == ["ok", "ok", "ok", "ok", few, mito]  # a share at the limit passes


def test_the_mitochondrial_share_is_of_counts_even_if_x_is_logarithms() -> None:
    expected = [0.1, 0, 0.25, 0, 0, 1]
    np.testing.assert_allclose(quality.mitochondrial_share(COUNTS, SYMBOLS, "counts"), expected)
    dense = COUNTS.toarray().astype(np.float64)
    logged = sp.csr_matrix(np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 1e4))
    np.testing.assert_allclose(quality.mitochondrial_share(logged, SYMBOLS, "lognorm"), expected)


@pytest.mark.parametrize(("least", "expected"), [(1, [1, 1, 1, 1]), (3, [1, 1, 0, 1]), (4, [1, 0, 0, 0])])
def test_common_genes_are_in_enough_cells(least: int, expected: list[int]) -> None:
    assert list(quality.common_genes(COUNTS, least)) == [bool(value) for value in expected]
