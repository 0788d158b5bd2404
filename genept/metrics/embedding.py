"""An embedding as scoring sees it: for each run the coordinates of all cells, and the neighbours of test cells."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from genept.core.params import Distance
from genept.data.splits import Split
from genept.metrics import neighbours, screening
from genept.metrics.screening import Cells
from genept.metrics.targets import RANDOM, Target

CENTRED = 1e-3  # of the coordinates' size; a mean below it is none


def digest(rows: np.ndarray) -> bytes:
    """Return a hash of row numbers."""
    return hashlib.sha256(rows.tobytes()).digest()


class Searches(NamedTuple):
    """Nearest cells that were searched before, by coordinates, training and test cells, k and metric."""

    known: dict[tuple[object, ...], np.ndarray]
    last: dict[tuple[object, ...], Cells]  # the coordinates of a large dataset that were searched last

    def nearest(self, embedding: Scored, split: Split, run: int, k: int, metric: Distance) -> np.ndarray:
        """Return the nearest training cells of a split's test cells, (n_test, k)."""
        key = embedding.key(split, run), digest(split.train), digest(split.test), k, metric
        if key not in self.known:
            if split.drawn is None:
                found = neighbours.search(embedding.points(split, run), split.test, split.train, k, metric)
            else:
                found = screening.search(self.cells(embedding, split, run, metric), split.test, split.train, k)
            self.known[key] = found
        return self.known[key]

    def of_drawn(self, embedding: Scored, split: Split, run: int, k: int, metric: Distance) -> np.ndarray:
        """Return the same of a large dataset, by one search for the drawn cells of all splits."""
        assert split.drawn is not None
        draw = embedding.key(split, run)
        ranking, key = (
            (draw, digest(split.drawn), k, metric),
            (draw, digest(split.train), digest(split.test), k, metric),
        )
        if key not in self.known:
            cells = self.cells(embedding, split, run, metric)
            if ranking not in self.known:
                self.known[ranking] = neighbours.rank_drawn(cells, split.drawn, k)
            self.known[key] = neighbours.select_drawn(self.known[ranking], cells, split, k)
        return self.known[key]

    def cells(self, embedding: Scored, split: Split, run: int, metric: Distance) -> Cells:
        """Return the coordinates of a large dataset, prepared for a search."""
        key = embedding.key(split, run), metric
        if key not in self.last:
            self.last.clear()
            self.last[key] = Cells(embedding.stored(split, run), metric)
        return self.last[key]


@dataclass
class Embedding:
    """Coordinates that do not depend on a split: one matrix, or the draws of a control, which the runs take in turn.

    `draws` have shape (n_draws, n_cells, n_dimensions). Run number r, of any split, is of draw r modulo n_draws, so
    that the spread of a control's runs contains that of its draws. The first `n_whole` draws are also scored with
    donors held out and by silhouettes of all cells, which cost as much as all else.
    """

    draws: np.ndarray
    n_whole: int = 3
    ranked: dict[tuple[int, int, Distance], np.ndarray] = field(default_factory=dict)
    searches: Searches = field(default_factory=lambda: Searches({}, {}))
    last: tuple[int, np.ndarray] | None = None
    unseen_only = False

    @cached_property
    def matrices(self) -> list[np.ndarray]:
        """The matrix of each draw."""
        return list(self.draws)

    @property
    def n_draws(self) -> int:
        """Number of matrices."""
        return len(self.draws)

    @property
    def whole_draws(self) -> range:
        """The draws that are scored whole."""
        return range(min(self.n_whole, len(self.draws)))

    @property
    def is_centred(self) -> bool:
        """Whether the mean over cells is zero, as after PCA: its cosine distance is a centred cosine distance."""
        matrix = self.draws[0]
        size = math.sqrt(np.einsum("ij,ij", matrix, matrix, dtype=np.float64) / len(matrix))
        return size > 0 and bool(np.linalg.norm(matrix.mean(axis=0, dtype=np.float64)) <= CENTRED * size)

    def key(self, split: Split | None, run: int) -> int:
        """Return what the coordinates depend on."""
        return run % self.n_draws

    def points(self, split: Split | None, run: int) -> np.ndarray:
        """Return the coordinates of all cells in a run, float64, shape (n_cells, n_dimensions); not to be changed."""
        draw = self.key(split, run)
        if self.last is None or self.last[0] != draw:
            self.last = draw, np.asarray(self.draws[draw], dtype=np.float64)
        return self.last[1]

    def stored(self, split: Split, run: int) -> np.ndarray:
        """Return the coordinates as they are kept, mostly float32; the same array each time."""
        return self.matrices[self.key(split, run)]

    def nearest(self, split: Split, run: int, k: int, metric: Distance) -> np.ndarray:
        """Return the nearest training cells of a split's test cells, (n_test, k); annotations may share a split.

        One search serves all splits of a draw that is scored whole; the others have a few splits each.
        """
        key = self.key(split, run), k, metric
        if key[0] not in self.whole_draws:
            return self.searches.nearest(self, split, run, k, metric)
        if split.drawn is not None:
            return self.searches.of_drawn(self, split, run, k, metric)
        if key not in self.ranked:
            self.ranked[key] = neighbours.rank(self.points(split, run), k, metric).astype(np.int32)
        return neighbours.select(self.ranked[key], self.points(split, run), split, k, metric)


@dataclass
class Head:
    """A head that is fitted anew to the training cells of each split, and scored on other cells only.

    Each annotation is divided on its own, so a head fitted once would have seen some test cells of another annotation.
    `fit` returns a function for each head, which projects all cells, (n_cells, n_dimensions) to float32 of shape
    (n_cells, width), given the matrix and the rows of the training cells of each. It is called once, for all splits of
    `targets`; splits with the same training cells share a fit. Of a large dataset the last projection alone is held.
    """

    base: Embedding
    targets: Sequence[Target]
    fit: Callable[[Sequence[tuple[np.ndarray, np.ndarray]]], Sequence[Callable[[np.ndarray], np.ndarray]]]
    searches: Searches = field(default_factory=lambda: Searches({}, {}))
    projections: dict[tuple[int, bytes], np.ndarray] = field(default_factory=dict)
    unseen_only = True
    is_centred = False
    n_draws = 1
    whole_draws = range(1)

    @cached_property
    def heads(self) -> dict[tuple[int, bytes], Callable[[np.ndarray], np.ndarray]]:
        """All heads, by the draw of the base and the training cells."""
        jobs: dict[tuple[int, bytes], tuple[np.ndarray, np.ndarray]] = {}
        for target in self.targets:
            for kind, divisions in target.splits.items():
                for number, split in enumerate(divisions):
                    run = number if kind == RANDOM else 0
                    jobs.setdefault(self.key(split, run), (self.base.stored(split, run), split.fit))
        return dict(zip(jobs, self.fit(list(jobs.values())), strict=True))

    def key(self, split: Split, run: int) -> tuple[int, bytes]:
        """Return what a projection depends on."""
        return run % self.base.n_draws, digest(split.train)

    def points(self, split: Split, run: int) -> np.ndarray:
        """Return the projection of all cells by the head of a split, float64, shape (n_cells, width)."""
        return self.stored(split, run).astype(np.float64)

    def stored(self, split: Split, run: int) -> np.ndarray:
        """Return the projection as it is kept, float32."""
        key = self.key(split, run)
        if key not in self.projections:
            if split.drawn is not None:
                self.projections.clear()
            self.projections[key] = self.heads[key](self.base.stored(split, run))
        return self.projections[key]

    def nearest(self, split: Split, run: int, k: int, metric: Distance) -> np.ndarray:
        """Return the nearest training cells of a split's test cells, (n_test, k); annotations may share a split."""
        return self.searches.nearest(self, split, run, k, metric)


Scored = Embedding | Head
