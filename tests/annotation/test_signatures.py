"""Scores and margins, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from genept.annotation import signatures

X = sp.csr_matrix(np.array([[1.0, 0, 2], [3, 0, 0], [0, 4, 0], [0, 0, 0], [0, 2, 0]]))
CLUSTERS = np.array([0, 0, 1, 1, 1])


def test_means_and_shares_of_clusters() -> None:
    means, shares = signatures.by_cluster(X, CLUSTERS, 2)
    np.testing.assert_allclose(means, [[2, 0, 1], [0, 2, 0]])
    np.testing.assert_allclose(shares, [[1, 0, 0.5], [0, 2 / 3, 0]])


def test_z_is_over_clusters_with_a_least_deviation_and_a_limit() -> None:
    means = np.zeros((10, 3))
    means[0, 0] = 5.0  # one of ten: z would be 3
    means[:5, 1] = 1.0  # half of them: z is 1
    means[:5, 2] = 0.04  # hardly any difference: the deviation 0.02 is taken to be 0.1
    z = signatures.standardise(means)
    assert z[0, 0] == 2.0
    np.testing.assert_allclose(z[1, 0], -0.5 / 1.5)
    np.testing.assert_allclose(z[:, 1], [1] * 5 + [-1] * 5)
    np.testing.assert_allclose(z[:, 2], [0.2] * 5 + [-0.2] * 5)


def test_a_score_is_the_mean_over_the_genes_that_the_data_has() -> None:
    z = np.array([[2.0, 1.0, -1.0], [-2.0, 0.0, 1.5]])
    types = {"T": ("g1", "g2", "gone"), "B": ("g3", "g1"), "None": ("gone",)}
    found = signatures.scores(z, ["g1", "g2", "g3"], types)
    assert list(found) == ["T", "B"]
    np.testing.assert_allclose(found["T"], [1.5, -1.0])
    np.testing.assert_allclose(found["B"], [0.5, -0.25])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({"T": 1.0, "B": 0.5}, ("T", "T", 1.0, "B", 0.5, 0.5)),
        ({"T": 0.5, "B": 0.75, "M": 0.25}, ("B", "B", 0.75, "T", 0.5, 0.25)),  # a margin at the limit is enough
        ({"T": 1.0, "B": 0.875}, ("Unknown", "T", 1.0, "B", 0.875, 0.125)),
        ({"T": 0.5, "B": 0.5}, ("Unknown", "T", 0.5, "B", 0.5, 0.0)),
        ({"T": -1.0, "B": 0.0}, ("Unknown", "B", 0.0, "T", -1.0, 1.0)),
        ({"T": 0.5}, ("T", "T", 0.5, "", None, 0.5)),
        ({"T": 0.125}, ("Unknown", "T", 0.125, "", None, 0.125)),
    ],
)
def test_a_cluster_gets_the_best_type_if_it_leads_by_the_margin(scores: dict[str, float], expected: tuple) -> None:
    assert signatures.call(scores, 0.25) == expected
