"""What there is to score: the annotations of a dataset, their labelled cells and the split of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.core.params import Evaluate
from genept.data import splits
from genept.data.cells import ANNOTATIONS
from genept.metrics.results import Row

REQUIRED = "cell_type"


@dataclass(frozen=True)
class Target:
    """One annotation, ready to score."""

    annotation: str
    labels: np.ndarray  # (n_cells,): of all cells, text
    cells: np.ndarray  # rows with a label
    split: splits.Split  # of those rows
    from_reference: bool = False  # trained on the reference, tested on the query: nearest neighbours only

    @property
    def actual(self) -> np.ndarray:
        """Labels of the test cells."""
        return self.labels[self.split.test]


def plan(obs: pd.DataFrame, evaluate: Evaluate, seed: int, where: str) -> tuple[list[Target], list[Row]]:
    """Find what can be scored in `obs`, the annotations of all cells, which come from the file `where`.

    Returns a target for each of `genept.data.cells.ANNOTATIONS` that has two classes, of any size, and can be divided,
    ``cell_type`` first; if there are a reference and a query, last the cell types of the query, predicted from the
    reference. And a row with a note for each of the others that is present. `InputError` if ``cell_type`` is missing,
    has fewer than two classes or cannot be divided.
    """
    if REQUIRED not in obs:
        raise InputError(f"{where}: no column {REQUIRED}; name one under `obs` in the dataset's file")
    targets, left_out = [], []
    for annotation in (name for name in ANNOTATIONS if name in obs):
        labels = obs[annotation].to_numpy(dtype=str)
        cells = splits.scored_cells(obs, annotation)
        classes = np.unique(labels[cells])
        try:
            if len(classes) < 2:
                content = f"one class, {str(classes[0])!r}" if len(classes) else "no label"
                raise InputError(f"{annotation} has {content}, in {len(cells)} cells; scores need two classes")
            split = splits.divide(obs, annotation, cells, evaluate.split, seed)
        except InputError as error:
            if annotation == REQUIRED:
                raise InputError(f"{where}: {error.message}") from None
            note = f"not scored: {error.message}"
            left_out.append(Row("labels", annotation, "n_classes", len(classes), len(cells), len(classes), note=note))
            continue
        targets.append(Target(annotation, labels, cells, split))
    if by_part := splits.reference_to_query(obs, REQUIRED):
        targets.append(Target(REQUIRED, targets[0].labels, by_part.test, by_part, from_reference=True))
    return targets, left_out
