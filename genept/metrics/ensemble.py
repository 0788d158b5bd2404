"""The paper's ensemble: several models' nearest neighbours vote on a test cell's label.

A rule of voting is one function of the members' predictions; it scores on the same splits as its members.
"""

from __future__ import annotations

import numpy as np


def majority(predictions: np.ndarray, tie: str) -> np.ndarray:
    """Combine the predictions of any number of models by majority vote.

    The paper does not say what happens when all three members differ. Here the member that is listed first decides
    among the labels with the most votes (`tie` ``first``), or the smallest of these labels wins (``smallest``).

    Parameters
    ----------
    predictions
        Labels, shape (n_members, n_cells), n_members at least 1.

    Returns
    -------
    Shape (n_cells,).
    """
    if tie == "smallest":
        predictions = np.sort(predictions, axis=0)
    votes = (predictions[:, None] == predictions).sum(axis=0)  # (member, cell): members that give its label
    return np.take_along_axis(predictions, votes.argmax(axis=0)[None], axis=0)[0]
