"""Whether a run reproduces a row of a paper: one pure function, `judge`, on numbers that it is given.

A paper prints one run. Ours are many, so the question is whether the paper's run could be one of them, and nobody
else's. A single number says little: a third of another model's numbers fall in a 95 % interval. So the whole row
decides: all scores of one model on one annotation of one dataset, as Table 2 and Table C4 print them: ARI, AMI
and ASW of its clusters, accuracy, precision, recall and F1 of its nearest neighbours. A row of fewer numbers, such as a
patient ARI alone, is judged by the same rules: fewer tests make each interval narrower, but more models fit, so that it
is inconclusive more often. A row of silhouettes alone decides by those.

`bench/verdicts.py` measures how often the rule is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from scipy import stats

from genept.report.pairs import NOT_COMPARABLE

REPRODUCED, INCONCLUSIVE, DIFFERS = "reproduced", "inconclusive", "differs"
VERDICTS = (REPRODUCED, INCONCLUSIVE, DIFFERS, NOT_COMPARABLE)
AGREES = "agrees on a sample, which reproduces nothing"  # the words for a sampled row that would be `REPRODUCED`
ALPHA = 0.05  # of a row: so often, at most, is a row that is reproduced called different
FIXED = 0.02  # largest difference of a number that no seed moves, such as ASW
HALF_WIDTH = 0.10  # of a single number's interval: beyond it the number cannot tell models apart
OTHER_SUBSET = 1.2  # times the SD where the paper's cells are another subset of the same study


class Printed(NamedTuple):
    """A number as a paper prints it: 0.54 has two decimals."""

    value: float
    decimals: int = 2

    @property
    def rounding(self) -> float:
        """Half of the last digit: how far the printed number may be from the computed one."""
        return 0.5 * 10.0**-self.decimals


class Estimate(NamedTuple):
    """Our runs of a number: mean and standard deviation (n - 1 in the denominator) over `n_runs` seeds.

    `sd` is None for a number that no seed moves (a silhouette, neighbours of a query in the reference).
    """

    mean: float
    sd: float | None = None
    n_runs: int = 1


class Interval(NamedTuple):
    """Where a single run falls, as printed."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half of the interval's length."""
        return (self.high - self.low) / 2

    def __contains__(self, value: object) -> bool:
        """Whether a value lies in the interval; an edge belongs to it, whatever its last binary digit."""
        return isinstance(value, float | int) and self.low - 1e-9 <= value <= self.high + 1e-9


class Verdict(NamedTuple):
    """A verdict on a row and why; `intervals` are the 95 % prediction intervals of its single numbers, by metric."""

    verdict: str
    reasons: tuple[str, ...]
    intervals: dict[str, Interval]


Row = Mapping[str, Estimate]  # by metric


def interval(ours: Estimate, printed: Printed, n_tests: int = 1, widening: float = 1.0) -> Interval:
    r"""Return where a single run falls with probability 1 - `ALPHA` / `n_tests`, as printed with `printed`'s decimals.

    With mean :math:`m`, standard deviation :math:`s` and :math:`n` runs the half-width is
    :math:`w\,t_{n-1}\,s\sqrt{1 + 1/n}` plus half of the last digit: the prediction interval of one further normal
    value (Hahn and Meeker, *Statistical Intervals*, 1991, section 4.7), with Bonferroni's correction for `n_tests`
    numbers and the SD times the `widening` :math:`w`. One run has no spread, and its interval no end. A number that no
    seed moves has `FIXED` on both sides, rounding included.
    """
    if ours.sd is None:
        half = FIXED
    elif ours.n_runs < 2:
        half = math.inf
    else:
        half = widening * runs_apart(ours.n_runs, n_tests) * ours.sd + printed.rounding
    return Interval(ours.mean - half, ours.mean + half)


@cache
def runs_apart(n_runs: int, n_tests: int) -> float:
    """Return how many standard deviations of `n_runs` runs a further run may be from their mean."""
    return float(stats.t.ppf(1 - ALPHA / (2 * n_tests), n_runs - 1)) * math.sqrt(1 + 1 / n_runs)


def outside(printed: Mapping[str, Printed], ours: Row, widening: float = 1.0) -> list[str]:
    """Return the metrics of a printed row that lie outside our intervals; a metric that we lack lies outside."""
    n_tests = max(1, sum(name in ours and ours[name].sd is not None for name in printed))
    return [
        name
        for name, number in printed.items()
        if name not in ours or number.value not in interval(ours[name], number, n_tests, widening)
    ]


def judge(
    printed: Mapping[str, Printed],
    ours: Row,
    others: Mapping[str, Row],
    not_comparable: Sequence[str] = (),
    widening: float = 1.0,
    sampled: Sequence[str] = (),
) -> Verdict:
    """Compare a printed row with ours and with the rows of other models and controls on the same cells.

    In this order:

    - ``not comparable``: reasons are given why the numbers cannot be of one thing.
    - ``differs``: a number is outside its interval. The intervals of a row hold together with probability .95
      (Bonferroni). `widening` multiplies each SD: `OTHER_SUBSET` where the paper's cells are another subset.
    - ``inconclusive``: all are inside, but so they are for another model or control; or each number that a seed moves
      has a 95 % interval of its own with a half-width above `HALF_WIDTH`; or a number is inside only by `widening`; or
      some are of samples, `sampled` says of how many cells.
    - ``reproduced``: otherwise.

    So widening an interval can turn ``differs`` into ``inconclusive``, and ``reproduced``, too, because other models
    fit sooner; it never earns ``reproduced``, which needs the whole row in the intervals as measured. The measured SD
    has no such order in any rule with prediction intervals: where a seed moves a score by .03, a difference of .03 is
    none. There `HALF_WIDTH` and the other models are the limits: a row all of whose intervals are wide is never
    ``reproduced``, however near its means.

    The limit is on the row's narrowest interval, not on each: on small datasets ARI alone has a half-width above .10
    for most models, and hardly a row would ever be reproduced (``bench/README.md``).
    """
    single = {name: interval(ours[name], number, 1, widening) for name, number in printed.items() if name in ours}
    if not_comparable:
        return Verdict(NOT_COMPARABLE, tuple(not_comparable), single)
    if beyond := outside(printed, ours, widening):
        return Verdict(DIFFERS, (f"outside: {', '.join(beyond)}",), single)
    reasons = []
    if fitting := [name for name, other in others.items() if not outside(printed, other, widening)]:
        reasons.append(f"fits as well: {', '.join(fitting)}")
    widths = [single[name].half_width for name in printed if ours[name].sd is not None]
    if widths and min(widths) > HALF_WIDTH:
        reasons.append(f"every interval is wider than {HALF_WIDTH:g} on each side")
    if widening > 1 and (beyond := outside(printed, ours)):
        reasons.append(f"inside only by {widening:g} times the SD: {', '.join(beyond)}")
    if sampled:
        reasons.append(f"{AGREES}: {', '.join(sampled)} cells")
    return Verdict(INCONCLUSIVE if reasons else REPRODUCED, tuple(reasons), single)


def expected_false_differs(n_judged: int) -> float:
    """Return how many rows are called ``differs`` by chance, at most, if all `n_judged` are the paper's models."""
    return ALPHA * n_judged
