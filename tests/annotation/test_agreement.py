"""Agreement with labels, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
from sklearn import metrics

from genept.annotation import agreement

NAMES = {"T cells": "T", "Helper T": "T", "B cells": "B"}


def test_scores_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["B", "M", "T"], dtype=object)[rng.integers(3, size=300)]
    types = np.array(["B cells", "Helper T", "M", "T cells", "Unknown", "Other"], dtype=object)[
        rng.integers(6, size=300)
    ]
    called = np.array([NAMES.get(name, name) for name in types], dtype=object)
    scores, classes = agreement.compare(labels, types, NAMES)
    expected = {
        "ari": metrics.adjusted_rand_score(labels, called),
        "ami": metrics.adjusted_mutual_info_score(labels, called),
        "accuracy": metrics.accuracy_score(labels, called),
        "f1_macro": metrics.f1_score(labels, called, labels=["B", "M", "T"], average="macro"),
        "share_unknown": (types == "Unknown").mean(),
        "n_cells": 300,
    }
    assert list(scores) == list(expected)
    np.testing.assert_allclose(list(scores.values()), list(expected.values()), atol=5e-5)
    precision, recall, f1, sizes = metrics.precision_recall_fscore_support(
        labels, called, labels=["B", "M", "T"], zero_division=0
    )
    found = np.array([[row.precision, row.recall, row.f1, row.n_cells] for row in classes])
    np.testing.assert_allclose(found, np.column_stack([precision, recall, f1, sizes]), atol=5e-5)


def test_a_type_that_no_name_maps_is_wrong_and_a_label_never_called_scores_zero() -> None:
    labels = np.array(["T", "T", "B", "B"], dtype=object)
    types = np.array(["T cells", "Unknown", "Plasma", "Plasma"], dtype=object)
    scores, classes = agreement.compare(labels, types, NAMES)
    assert scores["accuracy"] == 0.25 and scores["share_unknown"] == 0.25
    assert classes == [("B", 2, 0.0, 0.0, 0.0, "Plasma"), ("T", 2, 1.0, 0.5, 0.6667, "T cells")]
    assert scores["f1_macro"] == 0.3333
