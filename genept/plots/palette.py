"""Colours and marker shapes that tell labels apart, also without normal colour vision.

A label's look depends on the dataset's complete set of labels, never on which cells are drawn, so it is the same in
every picture of the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# Six colours of Okabe and Ito, then six more, each chosen as far as possible from all before it in OKLab under normal,
# protan, deutan and tritan vision (Machado et al. 2009), and dark enough for small points on white.
COLOURS = tuple(
    "#0072B2 #E69F00 #009E73 #D55E00 #56B4E9 #CC79A7 #581000 #000098 #903828 #604070 #9868F8 #B0C098".split()
)
SHAPES = ("o", "^", "s", "D", "v", "P")  # matplotlib's marker names
NO_LABEL = "#B8B8B8"
INK, MUTED, FRAME = "#202020", "#606060", "#9A9A9A"  # texts and outlines, from dark to light
DIVERGING = "RdBu_r"  # matplotlib's name: blue below the mean, red above


class Look(NamedTuple):
    """How the cells of one label are drawn; the number is the label's place among all of the dataset, from 1."""

    colour: str
    shape: str
    number: int


def looks(labels: Iterable[str], no_label: str = "") -> dict[str, Look]:
    """Give every label its look: the first 12 by name differ in colour, each further 12 have the next shape.

    Takes the labels of all cells of the dataset. The result is in the order of the names, numbers within them by value
    (P2 before P10). `no_label`, of cells without a label, is light grey and comes last, whether a cell has it or not.
    """
    names = sorted(set(labels) - {no_label}, key=by_name)
    shapes = [shape for shape in SHAPES for _ in COLOURS]
    table = {name: Look(COLOURS[i % len(COLOURS)], shapes[i % len(shapes)], i + 1) for i, name in enumerate(names)}
    return {**table, no_label: Look(NO_LABEL, "o", len(names) + 1)}


def by_name(label: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return the key that sorts a label by its words and the values of its numbers."""
    parts = re.split(r"([0-9]+)", label.casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], label
