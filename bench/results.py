"""From measured seconds to the rows of the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial

from tabulate import tabulate

from bench.case import FLOAT32, Case, Rates, Spec, Target
from bench.timing import interleaved

TITLES = (
    *("Case", "Upstream", "Cells", "Ours, s", "Upstream, s", "Ratio", "Goal", "Largest difference"),
    *("Ours, GFLOP/s", "Of bound"),
)


@dataclass(frozen=True)
class Row:
    """Our side in one precision against one upstream side.

    ``ratio`` is None if the answers differ by more than ``tolerance``. ``share_of_bound`` is the bound's seconds over
    ours: 1 is as fast as the machine can. What a case has no goal or no bound for is None.
    """

    case: str
    precision: str
    upstream: str
    cells: int
    ours_seconds: float
    upstream_seconds: float
    ratio: float | None
    goal: float | None
    difference: float
    tolerance: float
    ours_gflops: float | None
    bound_seconds: float | None
    share_of_bound: float | None
    share_goal: float | None

    @property
    def agrees(self) -> bool:
        """Whether both sides gave the same answer."""
        return self.difference <= self.tolerance

    @property
    def title(self) -> str:
        """The case, with our precision where it is not float32."""
        return self.case if self.precision == FLOAT32 else f"{self.case}, {self.precision}"


def measure(name: str, case: Case, spec: Spec, repeats: int, rates: Rates) -> list[Row]:
    """Run a case: every side on the few cells, then all in turns on the many; a row for each pair of sides."""
    sides = {f"ours {key}": side for key, side in case.ours.items()}
    sides |= {f"upstream {key}": side for key, side in case.upstream.items()}
    _, few = interleaved({key: partial(side, case.few) for key, side in sides.items()}, 1)
    seconds, many = interleaved({key: partial(side, case.cells) for key, side in sides.items()}, repeats)
    compared = [few] if case.draws else [few, many]
    rows = []
    for precision in case.ours:
        for rival in case.upstream:
            ours, theirs = f"ours {precision}", f"upstream {rival}"
            difference = max(case.difference(answers[ours], answers[theirs]) for answers in compared)
            rows.append(
                row(
                    *(name, precision, rival, case, spec.targets[precision]),
                    *(seconds[ours], seconds[theirs], difference, rates),
                )
            )
    return rows


def row(
    name: str,
    precision: str,
    upstream: str,
    case: Case,
    target: Target,
    ours_seconds: float,
    upstream_seconds: float,
    difference: float,
    rates: Rates,
) -> Row:
    """Compute what the table says of two sides from their seconds."""
    bound = case.bound(rates) if case.bound else None
    return Row(
        case=name,
        precision=precision,
        upstream=upstream,
        cells=case.n_cells,
        ours_seconds=ours_seconds,
        upstream_seconds=upstream_seconds,
        ratio=upstream_seconds / ours_seconds if difference <= target.tolerance else None,
        goal=target.ratios.get(upstream),
        difference=difference,
        tolerance=target.tolerance,
        ours_gflops=case.flops / ours_seconds / 1e9 if case.flops else None,
        bound_seconds=bound,
        share_of_bound=bound / ours_seconds if bound else None,
        share_goal=1 / target.times_bound if target.times_bound else None,
    )


def table(rows: Sequence[Row]) -> str:
    """Write the rows for people."""
    lines = [
        (
            *(row.title, row.upstream, f"{row.cells:,}", f"{row.ours_seconds:.3g}", f"{row.upstream_seconds:.3g}"),
            f"{row.ratio:.3g}" if row.ratio else "different answers",
            against(row.ratio, row.goal, "{:g}"),
            f"{row.difference:.1e}" + ("" if row.agrees else f" > {row.tolerance:g}"),
            f"{row.ours_gflops:.0f}" if row.ours_gflops else "",
            share(row),
        )
        for row in rows
    ]
    return tabulate(
        lines, TITLES, disable_numparse=True, maxcolwidths=[None, 30], colalign=["left"] * 2 + ["right"] * 8
    )


def against(value: float | None, goal: float | None, form: str) -> str:
    """Write a goal and whether it is met; nothing without a goal."""
    if goal is None:
        return ""
    return form.format(goal) + (" met" if value is not None and value >= goal else " missed")


def share(row: Row) -> str:
    """Write our share of the bound, with its goal."""
    if row.share_of_bound is None:
        return ""
    goal = against(row.share_of_bound, row.share_goal, "{:.0%}")
    return f"{row.share_of_bound:.0%}" + (f" (goal {goal})" if goal else "")


def to_csv(rows: Sequence[Row]) -> str:
    """Write the rows with full precision."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return stream.getvalue()
