"""Which cells an annotation is scored on, and how they are divided into training and test cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from genept.core.errors import InputError, ParamsError
from genept.data.cells import PART, QUERY, REFERENCE
from genept.metrics.choices import SplitChoices

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Split:
    """Training and test cells as ascending row numbers."""

    train: np.ndarray
    test: np.ndarray

    @property
    def key(self) -> tuple[bytes, bytes]:
        """What two equal splits have in common: what is computed for one holds for the other."""
        return self.train.tobytes(), self.test.tobytes()


def labelled(labels: np.ndarray, unknown: tuple[str, ...] = ()) -> np.ndarray:
    """Return the rows of the cells that have a label: not empty, and none of `unknown`."""
    return np.flatnonzero(~np.isin(labels, ["", *unknown]))


def cells_with(obs: pd.DataFrame, annotation: str, unknown: tuple[str, ...]) -> np.ndarray:
    """Return the rows of the cells that `annotation` is scored on.

    Cells of unknown type are dropped for the tasks on ``cell_type`` only, as the authors drop 'Unknown' in the aorta.
    Of a dataset in two parts, cells of the query are scored: the numbers of cells that the paper gives are, as far as
    they fit any, those of the queries.
    """
    cells = cells_of_both(obs, annotation, unknown)
    return cells[of_part(obs, cells, QUERY)] if PART in obs else cells


def cells_of_both(obs: pd.DataFrame, annotation: str, unknown: tuple[str, ...]) -> np.ndarray:
    """Return the rows of the cells that have a label, of whichever part of the dataset."""
    labels = obs[annotation].to_numpy(dtype=str)
    return labelled(labels, unknown if annotation == "cell_type" else ())


def from_reference(obs: pd.DataFrame, annotation: str, unknown: tuple[str, ...]) -> Split | None:
    """Train on the cells of the reference, test on those of the query; None where a dataset has one part only."""
    if PART not in obs:
        return None
    cells = cells_of_both(obs, annotation, unknown)
    split = Split(cells[of_part(obs, cells, REFERENCE)], cells[of_part(obs, cells, QUERY)])
    return split if len(split.train) and len(split.test) else None


def of_part(obs: pd.DataFrame, cells: np.ndarray, part: str) -> np.ndarray:
    """Return which of the cells are of a part, bool, shape (len(cells),)."""
    return obs[PART].to_numpy(dtype=str)[cells] == part


def divide(obs: pd.DataFrame, annotation: str, cells: np.ndarray, choices: SplitChoices, seed: int) -> Split:
    """Divide `cells` into training and test cells.

    By default these are the cells of scikit-learn's ``train_test_split(test_size=..., random_state=seed)``, as in the
    authors' notebook: cells not donors, not stratified. So cells of one donor are on both sides, and a score says how
    well an embedding places further cells of known donors; ``groups: patient`` holds whole donors out. Cells are
    returned in ascending order, which scikit-learn does not do, so that ties between neighbours are broken by the
    order of ``obs.csv`` and not by the draw.

    Parameters
    ----------
    obs
        Annotations of all cells.
    annotation
        Whose labels a stratified division balances. A label with a single cell cannot be balanced and goes to the
        training cells.
    cells
        Row numbers to divide.

    Raises
    ------
    InputError
        If the division is impossible: too few cells, groups, or cells per label.
    ParamsError
        If `obs` lacks the column named by ``groups``.
    """
    if choices.groups:
        if choices.groups not in obs:
            raise ParamsError(f"params.yaml: evaluate.split.groups names {choices.groups!r}, which obs.csv lacks")
        train, test = by_group(obs[choices.groups].to_numpy(dtype=str)[cells], choices.test_size, seed)
    elif choices.stratified:
        train, test = stratified(obs[annotation].to_numpy(dtype=str)[cells], choices.test_size, seed)
    else:
        train, test = at_random(len(cells), choices.test_size, seed)
    if not len(train) or not len(test):
        raise InputError(f"{annotation}: {len(cells)} cells cannot be divided into training and test cells")
    return Split(np.sort(cells[train]), np.sort(cells[test]))


def at_random(n_cells: int, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the training and test positions of ``train_test_split`` without importing scikit-learn (1 s)."""
    order = np.random.RandomState(seed).permutation(n_cells)
    n_test = int(np.ceil(test_size * n_cells))
    return order[n_test:], order[:n_test]


def stratified(labels: np.ndarray, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions so that each label has its share in both parts; labels with one cell go to training."""
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


def by_group(groups: np.ndarray, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions so that no group, such as a donor, has cells in both parts."""
    names, codes = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"{len(names)} group cannot be divided; set evaluate.split.groups to null in params.yaml")
    # at_random draws the groups exactly as scikit-learn's GroupShuffleSplit does
    held_out = np.isin(codes, at_random(len(names), test_size, seed)[1])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
