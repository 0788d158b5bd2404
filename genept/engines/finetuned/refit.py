"""The embedding of a fine-tuned head, fitted anew for every split it is scored on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genept.data import splits
from genept.engines.finetuned import head, training
from genept.metrics.choices import Choices

if TYPE_CHECKING:
    import pandas as pd


class Refitted:
    """Project all cells by a head that has seen only a split's training cells.

    Each annotation is divided on its own (other cells may have its label; a stratified split balances it), so a head
    fitted once would have seen some test cells of another annotation. Splits with the same training cells share a fit.

    Parameters
    ----------
    obs
        Annotations of all cells.
    matrix
        The embedding under the head, shape (n_cells, n_dimensions), float32.
    label
        The annotation that the head is trained to predict.
    """

    def __init__(
        self, obs: pd.DataFrame, matrix: np.ndarray, label: str, options: head.HeadChoices, choices: Choices
    ) -> None:
        self.matrix, self.options, self.seed = matrix, options, choices.seed
        self.labels = obs[label].to_numpy(dtype=str)
        self.usable = splits.cells_of_both(obs, label, choices.unknown)
        self.fits: dict[bytes, np.ndarray] = {}

    def __call__(self, split: splits.Split) -> np.ndarray:
        """Return the projection of all cells, shape (n_cells, width), float64."""
        train = np.intersect1d(split.train, self.usable)
        key = train.tobytes()
        if key not in self.fits:
            fitted = training.fit(self.matrix[train], self.labels[train], self.options, self.seed)
            self.fits[key] = training.project(fitted.head, self.matrix).astype(np.float64)
        return self.fits[key]
