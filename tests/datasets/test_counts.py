"""The matrix, what is expected of a file, and the entries of this repository."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import yaml

from genept.core.errors import InputError, ParamsError
from genept.datasets import counts, parse, record
from tests import helpers


def test_explicit_zeros_and_repeated_entries_are_no_values() -> None:
    matrix = sp.csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 3))
    result = counts.to_csr(matrix)
    assert result.toarray().tolist() == [[0, 3, 0]]
    assert result.nnz == 1


def test_an_empty_matrix_and_whole_floats_are_counts() -> None:
    counts.check(sp.csr_matrix((3, 4)), "counts")
    counts.check(sp.csr_matrix(np.array([[0.0, 2.0**24]])), "counts")
    with pytest.raises(InputError, match="whole numbers only"):
        counts.check(sp.csr_matrix(np.array([[0.0, 3.0]])), "lognorm")


def test_text_instead_of_numbers_is_refused() -> None:
    matrix = sp.csr_matrix(np.ones((1, 2)))
    matrix.data = np.array(["a", "b"])
    with pytest.raises(InputError, match="not numbers"):
        counts.check(matrix, "counts")


def test_comparing_reports_every_number_and_whether_it_was_expected() -> None:
    assert record.compare("f", {"n_cells": 3}, {"n_cells": 3, "n_genes": 2}) == {
        "n_cells": {"found": 3, "expected": 3, "match": True},
        "n_genes": {"found": 2},
    }


def test_the_entries_of_this_repository_are_valid() -> None:
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name, content in params["datasets"].items():
        files = content["source"]["files"]
        hashes = {file: item["sha256"] for file, item in files.items() if "sha256" in item}
        assert parse.parse(name, content).sha256 == hashes
    assert params["datasets"]["covid"]["source"]["files"]["raw.h5ad"]["sha256"]
    with pytest.raises(ParamsError):
        parse.parse("x", {})
