"""Paired differences of models, and which models cannot be told from the best of a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from genept.core.readers import Reader, number, optional, read_table, rows_of
from genept.report.pairs import Key
from genept.report.records import METRICS

COMPARISONS = METRICS / "comparisons"
LEVEL = 0.05


class Difference(NamedTuple):
    """A model's score less another's with its 95 % interval, as ``metrics/comparisons/<dataset>/models.csv`` has it.

    `p` is two-sided and not adjusted; it and the interval are None where no test is possible, and `note` says why.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    note: str = ""

    @property
    def reversed(self) -> Difference:
        """The other model's score less this one's."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return self._replace(value=-self.value, low=low, high=high)


Differences = dict[tuple[str, str], Difference]  # of one score, by (model, other) in both orders


class Best(NamedTuple):
    """The models that cannot be told from the best of a column, or the reason why there are none."""

    models: frozenset[str]
    problem: str = ""


AT_FLOOR = "the best cannot be told from the floor"
NO_TEST = "no test possible"
NOT_COMPARED = "not tested"


def read_comparisons(dataset: str) -> dict[Key, Differences]:
    """Read the paired differences of a dataset, by (task, annotation, split, metric)."""
    columns: dict[str, Reader] = dict.fromkeys(("task", "annotation", "split", "metric"), str)
    columns |= dict.fromkeys(("difference", "low", "high", "p"), optional(number))
    columns |= dict.fromkeys(("model", "other", "note"), str)
    table: dict[Key, Differences] = {}
    for row in rows_of(read_table(COMPARISONS / dataset / "models.csv", columns, f"evaluate@{dataset}")):
        if row["difference"] is not None:
            of_score = table.setdefault((row["task"], row["annotation"], row["split"], row["metric"]), {})
            difference = Difference(row["difference"], row["low"], row["high"], row["p"], row["note"])
            of_score[row["model"], row["other"]] = difference
            of_score[row["other"], row["model"]] = difference.reversed
    return table


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down method (Scandinavian Journal of Statistics 6:65, 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below an earlier one or above 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def best(values: Mapping[str, float], floors: Mapping[str, float], differences: Differences) -> Best:
    """Find the models that cannot be told from the one with the highest score.

    `values` are the scores of the models that compete, `floors` those of the floor rows. A model is among the best if
    its difference from the highest has a p above `LEVEL`, adjusted over the comparisons with the highest. There is no
    best if a p is missing, or if the highest is not above the higher floor with p below `LEVEL`.
    """
    if len(values) < 2 or not differences:
        return Best(frozenset(), NOT_COMPARED if len(values) > 1 else "")
    top = max(values, key=values.__getitem__)
    others = [model for model in values if model != top]
    floor = max(floors, key=floors.__getitem__, default=None)
    pairs = [differences.get((top, model)) for model in [*others, *([floor] if floor else [])]]
    p_values = [pair.p for pair in pairs if pair and pair.p is not None]
    if len(p_values) < len(pairs):
        return Best(frozenset(), NO_TEST)
    if floor and (p_values.pop() >= LEVEL or values[top] <= floors[floor]):
        return Best(frozenset(), AT_FLOOR)
    equals = {model for model, p in zip(others, holm(p_values), strict=True) if p > LEVEL}
    return Best(frozenset({top, *equals}))


def significant(models: Sequence[str], differences: Differences) -> Iterable[tuple[str, str]]:
    """Yield the pairs of models that differ with p below `LEVEL`, adjusted over all pairs."""
    pairs = [(a, b) for i, a in enumerate(models) for b in models[i + 1 :]]
    tested = {pair: p for pair in pairs if (d := differences.get(pair)) and (p := d.p) is not None}
    for pair, adjusted in zip(tested, holm(list(tested.values())), strict=True):
        if adjusted < LEVEL:
            yield pair
