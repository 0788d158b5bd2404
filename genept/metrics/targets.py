"""What there is to score: the annotations of a dataset, their labelled cells and how these are divided."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from genept.core.errors import InputError
from genept.core.params import Evaluate, Sample
from genept.core.text import listed, shorten
from genept.data import sampling, splits
from genept.data.cells import ANNOTATIONS
from genept.data.sampling import Order
from genept.data.splits import Split
from genept.metrics.ranges import MIN_DONORS
from genept.metrics.results import Row

REQUIRED = "cell_type"
ALL, RANDOM, DONORS, REFERENCE = "", "random", "donors", "reference"


@dataclass(frozen=True, repr=False)  # joblib writes the repr of each argument
class Donors:
    """The donors of a dataset: their names, the donor of each cell (-1: unknown), and the fold of each donor."""

    annotation: str
    names: np.ndarray
    codes: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True, repr=False)
class Target:
    """One annotation, ready to score.

    `splits` are by kind: ``random``, one for each repeat; ``donors``, one for each fold, each cell being a test cell
    once; ``reference``, one, trained on the reference and tested on the query. `notes` are on the rows of a kind. Of a
    large dataset, samples are drawn in an `order` of its cells, and the splits have theirs.
    """

    annotation: str
    classes: np.ndarray  # texts, sorted
    codes: np.ndarray  # (n_cells,): of all cells; -1 without a label
    cells: np.ndarray  # rows that are scored
    splits: dict[str, list[Split]]
    donors: Donors | None = None
    notes: dict[str, str] = field(default_factory=dict)
    is_donors_own: bool = False  # each donor has one label
    order: Order | None = None

    def first_cells(self, cells: np.ndarray, n: int) -> np.ndarray:
        """Return the `n` of some cells that are drawn first; of a small dataset all."""
        return cells if self.order is None else self.order.first(cells, n)

    @property
    def default(self) -> str:
        """The kind of split that classification is to be read by: with one label per donor, whole donors held out."""
        return DONORS if self.is_donors_own and DONORS in self.splits else RANDOM

    def first(self, n_runs: int) -> Target:
        """Keep the first random splits."""
        return dataclasses.replace(self, splits=self.splits | {RANDOM: self.splits[RANDOM][:n_runs]})

    def n_donors(self, cells: np.ndarray) -> int | None:
        """Count the donors of some cells; None without donors."""
        if self.donors is None:
            return None
        codes = self.donors.codes[cells]
        return len(np.unique(codes[codes >= 0]))


def plan(obs: pd.DataFrame, evaluate: Evaluate, seed: int, where: str) -> tuple[list[Target], list[Row]]:
    """Find what can be scored in `obs`, the annotations of all cells, which come from the file `where`.

    Returns a target for each of `genept.data.cells.ANNOTATIONS` that has two classes, of any size, and can be divided,
    ``cell_type`` first. And a row with a note for each of the others that is present. `InputError` if ``cell_type`` is
    missing, has fewer than two classes or cannot be divided; `ParamsError` if there is no annotation of that name by
    whose groups to divide.
    """
    if REQUIRED not in obs:
        raise InputError(f"{where}: no column {REQUIRED}; name one under `obs` in the dataset's file")
    donors = read_donors(obs, evaluate, seed)
    order = sampling.order(len(obs), evaluate.sample.above, seed)
    targets, left_out = list[Target](), list[Row]()
    for annotation in (name for name in ANNOTATIONS if name in obs):
        cells = splits.scored_cells(obs, annotation)
        labels = obs[annotation].to_numpy(dtype=str)
        n_classes = len(np.unique(labels[cells]))
        try:
            if n_classes < 2:
                content = f"one label, {shorten(str(labels[cells[0]]))!r}" if n_classes else "no label"
                raise InputError(f"{annotation} has {content}, in {len(cells)} cells; scores need two labels")
            targets.append(target(obs, annotation, cells, donors, evaluate, seed))
        except InputError as error:
            if annotation == REQUIRED:
                raise InputError(f"{where}: {error.message}") from None
            note = f"not scored: {error.message}"
            left_out.append(Row("labels", annotation, "n_classes", n_classes, len(cells), n_classes, note=note))
    return targets if order is None else draw(targets, order, evaluate.sample), left_out


def draw(targets: Sequence[Target], order: Order, config: Sample) -> list[Target]:
    """Draw the cells that stand for all in each split. Equal arrays of annotations become one."""
    own = [order.first(one.cells, config.test_cells) for one in targets]
    drawn, same = np.unique(np.concatenate(own)), dict[bytes, np.ndarray]()

    def one(split: Split, cells: np.ndarray) -> Split:
        found = split.draw(order, cells, drawn, config.training_cells)
        return Split(*(same.setdefault(rows.tobytes(), rows) for rows in vars(found).values()))

    kinds = [
        {kind: [one(split, cells) for split in divisions] for kind, divisions in target.splits.items()}
        for target, cells in zip(targets, own, strict=True)
    ]
    return [dataclasses.replace(target, splits=of, order=order) for target, of in zip(targets, kinds, strict=True)]


def target(
    obs: pd.DataFrame, annotation: str, cells: np.ndarray, donors: Donors | None, evaluate: Evaluate, seed: int
) -> Target:
    """Divide the cells of one annotation in each of the ways that it can be divided."""
    labels = obs[annotation].to_numpy(dtype=str)
    labelled = splits.labelled_cells(obs, annotation)
    classes = np.unique(labels[labelled])
    codes = np.full(len(obs), -1)
    codes[labelled] = np.searchsorted(classes, labels[labelled])
    kinds = {
        RANDOM: [splits.divide(obs, annotation, cells, evaluate.split, one) for one in seeds(seed, evaluate.repeats)]
    }
    notes: dict[str, str] = {}
    is_donors_own = False
    if donors is not None and annotation != donors.annotation:
        of_donor = [np.unique(codes[cells][donors.codes[cells] == code]) for code in range(len(donors.names))]
        present = [own for own in of_donor if len(own)]
        is_donors_own = len(present) > 1 and all(len(own) == 1 for own in present)
        n_with = np.bincount(np.concatenate([np.empty(0, np.intp), *present]), minlength=len(classes))
        if is_donors_own:
            notes[RANDOM] = "each donor has one label: the same donors' cells are on both sides"
        if (n_with > 1).any() and (held_out := by_fold(donors, cells)):
            kinds[DONORS] = held_out
            n = len(present)
            few = f"{n} donors: from the lowest to the highest; no test possible" if n < MIN_DONORS else ""
            single = classes[n_with == 1]
            alone = f"{listed(single)}: of one donor only, never right" if len(single) else ""
            notes[DONORS] = "; ".join(filter(None, [few, alone]))
        else:
            alone = "donors cannot be held out, each label has one donor"
            notes[RANDOM] = "; ".join(filter(None, [notes.get(RANDOM), alone]))
    if by_part := splits.reference_to_query(obs, annotation):
        if annotation == REQUIRED:
            kinds[REFERENCE] = [by_part]
    return Target(annotation, classes, codes, cells, kinds, donors, notes, is_donors_own)


def read_donors(obs: pd.DataFrame, evaluate: Evaluate, seed: int) -> Donors | None:
    """Find the donors, and deal them to folds; None where donors are not to be held out, or are not known.

    Folds are balanced by the annotations of the logistic regressions, such as the phenotype, the most frequent label
    of each donor. `ParamsError` if no dataset can have the named annotation.
    """
    name = evaluate.split.groups
    if name is None or name not in obs:
        return None
    labels = obs[name].to_numpy(dtype=str)
    scored = splits.scored_cells(obs, name)
    names = np.unique(labels[scored])
    if len(names) < 2:
        return None
    codes = np.full(len(obs), -1)
    codes[scored] = np.searchsorted(names, labels[scored])
    by = [annotation for annotation in evaluate.logreg.labels if annotation in obs and annotation != name]
    rows = [np.flatnonzero(codes == code) for code in range(len(names))]
    strata = np.array(
        ["\0".join(most_frequent(obs[annotation].to_numpy(dtype=str)[cells]) for annotation in by) for cells in rows]
    )
    return Donors(name, names, codes, splits.folds(names, strata, evaluate.split.test_size, seed))


def most_frequent(labels: np.ndarray) -> str:
    """Return the most frequent text, the first of equals."""
    names, counts = np.unique(labels, return_counts=True)
    return str(names[counts.argmax()])


def by_fold(donors: Donors, cells: np.ndarray) -> list[Split]:
    """Hold out the donors of each fold; cells without a donor are on neither side. Folds without cells are left out."""
    cells = cells[donors.codes[cells] >= 0]
    fold = donors.fold[donors.codes[cells]]
    divided = [Split(cells[fold != number], cells[fold == number]) for number in np.unique(fold)]
    return divided if len(divided) > 1 else []


def seeds(seed: int, repeats: int) -> list[int]:
    """Return `seed` and further seeds that follow from it and from no other seed."""
    return [seed, *map(int, np.random.SeedSequence(seed).generate_state(repeats - 1))] if repeats > 1 else [seed]
