"""Which cells an annotation is scored on, and how they are divided into training and test cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genept.core import params
from genept.core.errors import InputError
from genept.data.cells import PART, QUERY, REFERENCE, UNKNOWN
from genept.data.sampling import Order

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Split:
    """Training and test cells as ascending row numbers.

    Of a large dataset, `test` are the drawn ones of all test cells, `tested`; models are fitted to the training cells
    `fitted`, and neighbours are searched among all. `drawn` are the cells that any annotation's splits test: their
    neighbours are searched at once.
    """

    train: np.ndarray
    test: np.ndarray
    drawn: np.ndarray | None = None
    tested: np.ndarray | None = None
    fitted: np.ndarray | None = None

    @property
    def all_test(self) -> np.ndarray:
        """All test cells."""
        return self.test if self.tested is None else self.tested

    @property
    def fit(self) -> np.ndarray:
        """The training cells that models are fitted to."""
        return self.train if self.fitted is None else self.fitted

    def draw(self, order: Order, own: np.ndarray, drawn: np.ndarray, n_train: int) -> Split:
        """Test the annotation's `own` drawn cells only, and fit models to `n_train` training cells."""
        test = np.intersect1d(self.test, own, assume_unique=True)
        return Split(self.train, test, drawn, self.test, order.first(self.train, n_train))


def labelled_cells(obs: pd.DataFrame, annotation: str) -> np.ndarray:
    """Return the rows of the cells that have a label of `annotation`, in the reference and the query.

    Cells without a label are ``Unknown`` in ``obs.csv``; they are left out of every annotation, as the authors leave
    them out of the aorta's cell types.
    """
    return np.flatnonzero(~obs[annotation].isin(["", UNKNOWN]).to_numpy())


def scored_cells(obs: pd.DataFrame, annotation: str) -> np.ndarray:
    """Return the rows of the cells that `annotation` is scored on.

    These are all labelled cells or, of a dataset with a reference and a query, the query's: the paper's numbers of
    cells, as far as they fit either, are those of the queries.
    """
    cells = labelled_cells(obs, annotation)
    return cells[obs[PART].to_numpy()[cells] == QUERY] if PART in obs else cells


def reference_to_query(obs: pd.DataFrame, annotation: str) -> Split | None:
    """Train on the cells of the reference, test on those of the query; None for a dataset without these parts."""
    if PART not in obs:
        return None
    cells = labelled_cells(obs, annotation)
    parts = obs[PART].to_numpy()[cells]
    split = Split(cells[parts == REFERENCE], cells[parts == QUERY])
    return split if len(split.train) and len(split.test) else None


def divide(obs: pd.DataFrame, annotation: str, cells: np.ndarray, config: params.Split, seed: int) -> Split:
    """Divide `cells` into training and test cells, single cells at random.

    These are the cells of scikit-learn's ``train_test_split(test_size=..., random_state=seed)``, as in the authors'
    notebook, not stratified by default. Each donor then has cells on both sides, and a score says how well an
    embedding places further cells of known donors; `folds` holds whole donors out. Cells are returned in ascending
    order, which scikit-learn does not do, so that equally distant neighbours are ranked by the order of ``obs.csv``. A
    stratified division balances the labels of `annotation`; a label with one cell goes to training.

    `InputError` if there are too few cells, or cells per label.
    """
    if config.stratified:
        train, test = stratified(obs[annotation].to_numpy(dtype=str)[cells], config.test_size, seed)
    else:
        train, test = at_random(len(cells), config.test_size, seed)
    if not len(train) or not len(test):
        raise InputError(f"{annotation}: {len(cells)} cells cannot be divided into training and test cells")
    return Split(np.sort(cells[train]), np.sort(cells[test]))


def folds(donors: np.ndarray, strata: np.ndarray, test_size: float, seed: int) -> np.ndarray:
    """Deal donors to folds, of which each is held out once: the fold of each donor, shape (n_donors,).

    There are 1 / test_size folds or, of fewer donors, one for each donor: leave one donor out. Donors of the same
    stratum, such as a phenotype, are dealt out in turn, so that no two folds differ by more than one of the donors of
    a stratum. `donors` and `strata` are texts, shape (n_donors,). The draw depends on seed and names, not on their
    order.
    """
    n_folds = max(2, min(round(1 / test_size), len(donors)))
    by_name = np.argsort(donors)
    drawn = by_name[np.random.default_rng(seed).permutation(len(donors))]
    dealt = drawn[np.argsort(strata[drawn], kind="stable")]
    fold = np.empty(len(donors), dtype=np.intp)
    fold[dealt] = np.arange(len(donors)) % n_folds
    return fold


def at_random(n_cells: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the training and test positions of ``train_test_split`` without its errors and its import (1 s)."""
    order = np.random.RandomState(seed).permutation(n_cells)
    n_test = int(np.ceil(test_size * n_cells))
    return order[n_test:], order[:n_test]


def stratified(labels: np.ndarray, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions so that each label has its share on both sides; labels with one cell go to training."""
    from sklearn.model_selection import train_test_split

    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    single = counts[codes] == 1
    several = np.flatnonzero(~single)
    try:
        train, test = train_test_split(several, test_size=test_size, random_state=seed, stratify=codes[several])
    except ValueError:
        raise InputError(
            f"{len(labels)} cells of {len(classes)} labels cannot be divided with every label on both sides; "
            "set evaluate.split.stratified to false in params.yaml"
        ) from None
    return np.concatenate([train, np.flatnonzero(single)]), test
