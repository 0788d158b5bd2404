"""Quality control of cells, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genept.annotation import quality
from genept.annotation.options import QC

SYMBOLS = ["A", "B", "C", "MT-ND1"]
COUNTS = sp.csr_matrix(
    np.array(
        [
            [4, 3, 2, 1],  # 4 genes, 1 of 10 counts mitochondrial
            [5, 0, 0, 0],  # 1 gene
            [2, 2, 2, 2],  # 4 genes, a quarter
            [3, 3, 0, 0],  # 2 genes, none
            [0, 0, 0, 0],  # nothing
            [0, 0, 0, 9],  # 1 gene, all of it: too few genes is said first
        ],
        dtype=np.float32,
    )
)


def test_each_cell_is_kept_or_has_the_first_reason_that_holds() -> None:
    found = quality.judge(COUNTS, SYMBOLS, "counts", QC(2, None, 0.2, 1))
    assert list(found) == ["ok", "few_genes", "many_mitochondrial", "ok", "few_genes", "few_genes"]
    found = quality.judge(COUNTS, SYMBOLS, "counts", QC(1, 3, None, 1))
    assert list(found) == ["many_genes", "ok", "many_genes", "ok", "few_genes", "ok"]


def test_the_mitochondrial_share_is_of_counts_even_if_x_is_logarithms() -> None:
    expected = [0.1, 0, 0.25, 0, 0, 1]
    np.testing.assert_allclose(quality.mitochondrial_share(COUNTS, SYMBOLS, "counts"), expected)
    dense = COUNTS.toarray().astype(np.float64)
    logged = sp.csr_matrix(np.log1p(dense / np.maximum(dense.sum(axis=1, keepdims=True), 1) * 1e4))
    np.testing.assert_allclose(quality.mitochondrial_share(logged, SYMBOLS, "lognorm"), expected)


def test_a_share_at_the_limit_is_kept() -> None:
    assert list(quality.judge(COUNTS[[2]], SYMBOLS, "counts", QC(1, None, 0.25, 1))) == ["ok"]


@pytest.mark.parametrize(("least", "expected"), [(1, [1, 1, 1, 1]), (3, [1, 1, 0, 1]), (4, [1, 0, 0, 0])])
def test_common_genes_are_in_enough_cells(least: int, expected: list[int]) -> None:
    assert list(quality.common_genes(COUNTS, least)) == [bool(value) for value in expected]
