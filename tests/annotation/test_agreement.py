"""Agreement with labels, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from genept.annotation import agreement

NAMES = {"T cells": "T", "Helper T": "T", "B cells": "B"}


def test_types_of_one_label_are_one_and_a_type_without_name_is_wrong() -> None:
    labels = np.array(["T", "T", "T", "B", "B"], dtype=object)
    types = np.array(["T cells", "Helper T", "Unknown", "Plasma", "Plasma"], dtype=object)
    scores, classes = agreement.compare(labels, types, NAMES)
    assert list(scores) == ["ari", "ami", "accuracy", "f1_macro", "share_unknown", "n_cells"]
    assert (scores["accuracy"], scores["f1_macro"], scores["share_unknown"], scores["n_cells"]) == (0.4, 0.4, 0.2, 5)
    called = ["T", "T", "Unknown", "Plasma", "Plasma"]
    assert scores["ari"] == pytest.approx(metrics.adjusted_rand_score(list(labels), called), abs=5e-5)
    assert list(classes) == ["label", "n_cells", "precision", "recall", "f1", "most_frequent"]
    rows = [["B", 2, 0.0, 0.0, 0.0, "Plasma"], ["T", 3, 1.0, 0.6667, 0.8, "Helper T"]]  # of equal ones the first
    assert classes.to_numpy().tolist() == rows
