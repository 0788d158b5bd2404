"""The picture: how many times as fast as upstream, one bar a comparison, with the goals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.results import Row

MET, MISSED, NO_GOAL = "#0072B2", "#E69F00", "#B8B8B8"  # Okabe and Ito's blue and orange, and grey
HEIGHT = 0.55  # inches a bar
WIDTH = 10.0


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the rows whose answers agree, from top to bottom; the axis is logarithmic, 1 is as fast as upstream."""
    shown = [(row, row.ratio) for row in rows if row.ratio is not None][::-1]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.6 + HEIGHT * len(shown)), layout="constrained")
    for place, (row, ratio) in enumerate(shown):
        colour, hatch = look(row)
        axes.barh(place, ratio - 1, left=1, height=0.6, color=colour, hatch=hatch, edgecolor="white")
        text = f"{ratio:.3g}x" + (f" (goal {row.goal:g}x)" if row.goal is not None else "")
        axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=11)
        if row.goal is not None:
            axes.plot([row.goal] * 2, [place - 0.42, place + 0.42], color="black", linewidth=2.5)
    axes.set_yticks(range(len(shown)), [label(row) for row, _ in shown], fontsize=10)
    axes.set_xscale("log")
    numbers = [number for row, ratio in shown for number in (ratio, row.goal) if number is not None]
    axes.set_xlim(min([0.9, *(0.8 * number for number in numbers)]), 1.2 * max([2, *numbers]))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times as fast as upstream (logarithmic)", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(handles=handles(), loc="lower center", bbox_to_anchor=(0.4, 1), ncols=4, frameon=False, fontsize=10)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def look(row: Row) -> tuple[str, str]:
    """Return a bar's colour and hatch: a missed goal is hatched, too, for those who do not see the colours."""
    if row.goal is None or row.ratio is None:
        return NO_GOAL, ""
    return (MET, "") if row.ratio >= row.goal else (MISSED, "//")


def label(row: Row) -> str:
    """Name a bar on two lines."""
    return f"{row.title}\nagainst {row.upstream}"


def handles() -> list:
    """Return the legend's entries."""
    return [
        plt.Rectangle((0, 0), 1, 1, color=MET, label="goal met"),
        plt.Rectangle((0, 0), 1, 1, facecolor=MISSED, hatch="//", edgecolor="white", label="goal missed"),
        plt.Rectangle((0, 0), 1, 1, color=NO_GOAL, label="no goal"),
        plt.Line2D([], [], color="black", linewidth=2.5, label="goal"),
    ]
