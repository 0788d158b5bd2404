"""From measured seconds to the rows of the table, and their picture: one bar a comparison, with the goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from tabulate import tabulate

from bench.case import FLOAT32, Case, Rates, Spec, Target, interleaved

MET, MISSED, NO_GOAL = "#0072B2", "#E69F00", "#B8B8B8"  # Okabe and Ito's blue and orange, and grey


@dataclass(frozen=True)
class Row:
    """Our side in one precision against one upstream side; None where a case has no goal or no bound."""

    case: str
    precision: str
    upstream: str
    cells: int
    ours_seconds: float
    upstream_seconds: float
    ratio: float | None  # None if the answers differ by more than `tolerance`
    goal: float | None
    difference: float
    tolerance: float
    ours_gflops: float | None
    bound_seconds: float | None
    share_of_bound: float | None  # the bound's seconds over ours: 1 is as fast as the machine can
    share_goal: float | None

    @property
    def title(self) -> str:
        """The case, with our precision where it is not float32."""
        return self.case if self.precision == FLOAT32 else f"{self.case}, {self.precision}"


def measure(name: str, case: Case, spec: Spec, repeats: int, rates: Rates) -> list[Row]:
    """Run a case: every side on the few cells, then all in turns on the many; a row for each pair of sides."""
    sides = {("ours", key): side for key, side in case.ours.items()}
    sides |= {("upstream", key): side for key, side in case.upstream.items()}
    _, few = interleaved({key: partial(side, case.few) for key, side in sides.items()}, 1)
    seconds, many = interleaved({key: partial(side, case.cells) for key, side in sides.items()}, repeats)
    rows = []
    for ours in [key for key in sides if key[0] == "ours"]:
        for theirs in [key for key in sides if key[0] == "upstream"]:
            compared = [few] if case.draws else [few, many]
            difference = max(case.difference(answers[ours], answers[theirs]) for answers in compared)
            times = seconds[ours], seconds[theirs]
            rows.append(row(name, ours[1], theirs[1], case, spec.targets[ours[1]], *times, difference, rates))
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
    lines = []
    for row in rows:
        share = "" if row.share_of_bound is None else f"{row.share_of_bound:.0%}"
        if row.share_of_bound and row.share_goal:
            share += f" (goal {against(row.share_of_bound, row.share_goal, '.0%')})"
        lines.append(
            {
                "Case": row.title,
                "Upstream": row.upstream,
                "Cells": f"{row.cells:,}",
                "Ours, s": f"{row.ours_seconds:.3g}",
                "Upstream, s": f"{row.upstream_seconds:.3g}",
                "Ratio": f"{row.ratio:.3g}" if row.ratio else "different answers",
                "Goal": against(row.ratio, row.goal, "g") if row.goal else "",
                "Largest difference": f"{row.difference:.1e}" + ("" if row.ratio else f" > {row.tolerance:g}"),
                "Ours, GFLOP/s": f"{row.ours_gflops:.0f}" if row.ours_gflops else "",
                "Of bound": share,
            }
        )
    align = ["left"] * 2 + ["right"] * 8
    return tabulate(lines, headers="keys", disable_numparse=True, maxcolwidths=[None, 30], colalign=align)


def against(value: float | None, goal: float, form: str) -> str:
    """Write a goal and whether it is met."""
    return f"{goal:{form}} {'met' if value is not None and value >= goal else 'missed'}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the rows whose answers agree, from top to bottom; the axis is logarithmic, 1 is as fast as upstream."""
    shown = [(row, row.ratio) for row in rows if row.ratio is not None][::-1]
    figure, axes = plt.subplots(figsize=(10, 1.6 + 0.55 * len(shown)), layout="constrained")
    for place, (row, ratio) in enumerate(shown):
        colour, hatch = look(row)
        axes.barh(place, ratio - 1, left=1, height=0.6, color=colour, hatch=hatch, edgecolor="white")
        text = f"{ratio:.3g}x" + (f" (goal {row.goal:g}x)" if row.goal is not None else "")
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=11)
        if row.goal is not None:
            axes.plot([row.goal] * 2, [place - 0.42, place + 0.42], color="black", linewidth=2.5)
    axes.set_yticks(range(len(shown)), [f"{row.title}\nagainst {row.upstream}" for row, _ in shown], fontsize=10)
    axes.set_xscale("log")
    numbers = [number for row, ratio in shown for number in (ratio, row.goal) if number is not None]
    axes.set_xlim(min([0.9, *(0.8 * number for number in numbers)]), 1.2 * max([2, *numbers]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times as fast as upstream (logarithmic)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    bars = (("goal met", MET, ""), ("goal missed", MISSED, "//"), ("no goal", NO_GOAL, ""))
    handles = [
        *(plt.Rectangle((0, 0), 1, 1, fc=fc, hatch=hatch, ec="white", label=name) for name, fc, hatch in bars),
        plt.Line2D([], [], color="black", linewidth=2.5, label="goal"),
    ]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=4, frameon=False, fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def look(row: Row) -> tuple[str, str]:
    """Return a bar's colour and hatch: a missed goal is hatched, too, for those who do not see the colours."""
    if row.goal is None or row.ratio is None:
        return NO_GOAL, ""
    return (MET, "") if row.ratio >= row.goal else (MISSED, "//")
