"""Colours: of labels, for every kind of vision and for grey print, and of models, by the role of each.

A label's look depends on the dataset's complete set of labels, never on which cells are drawn, so it is the same in
every picture of the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, cycle
from typing import NamedTuple

from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

#: The least CIE L*a*b* difference (CIE76) of the first 2, 4, 6, 8, 10 and 12 is 155, 50, 33, 25, 21 and 20.7, the least
#: of full colour vision, protanopes and deuteranopes (Machado et al. 2009); of Okabe and Ito's it is 18. Found by
#: simulated annealing with lightness from 30 to 80, so that no colour is lost on paper or on a dark page. Tritanopes,
#: one person in 10,000 or fewer, can take the 8th for the 2nd (12). For grey print see `told_apart_in_grey`.
COLOURS = tuple(
    "#5438F4 #D9A205 #7E2C0C #56D5FD #0B8673 #3091FF #AF6510 #F8B4A4 #673575 #FA0077 #B48DB8 #6B393A".split()
)
SHAPES = ("o", "^", "s", "D", "v", "P")  # matplotlib's marker names
NO_LABEL = "#B8B8B8"
DIVERGING = "RdBu_r"  # matplotlib's name: blue below the mean, red above
SHARES = colormaps["cividis"].resampled(8)  # from 0 to 1: made for every kind of vision, lighter from end to end
GREY_STEP = 9.5  # of L*: half of all people see it between dots of 1.2 mm at 40 cm (Stone, Szafir and Setlur 2014)


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


def lightness(colour: str) -> float:
    """Return CIE L* of a colour, from 0 to 100: all that grey print keeps of it."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour))
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def told_apart_in_grey(n_labels: int) -> int:
    """Return how many of the first labels grey print tells apart: all differ in lightness by `GREY_STEP`."""
    shades = [lightness(colour) for colour in COLOURS[:n_labels]]
    pairs = combinations(range(len(shades)), 2)
    return min((j for i, j in pairs if abs(shades[i] - shades[j]) < GREY_STEP), default=len(shades))


# Models.


class ModelLook(NamedTuple):
    """How a model is drawn: a colour, and marks that are ``full``, ``hollow`` (bars: hatched), ``half`` or ``thin``."""

    colour: str
    fill: str


#: The hue of what is fine-tuned is no model's.
BASELINE = "#808080"
TUNED = COLOURS[9]
MODELS = tuple(colour for colour in COLOURS if colour != TUNED)
BOUNDS = ("#C8C8C8", "#A8A8A8", "#585858")


def model_looks(kinds: Mapping[str, Sequence[str]], baseline: str, text: str = "") -> dict[str, ModelLook]:
    """Give every model a look by its role; ``kinds`` names the ``models``, ``controls``, ``fine-tuned`` and ``bounds``.

    The `baseline` is grey and models are saturated. Controls are hollow, in tones of the hue of `text`, the model that
    they are made from; what is fine-tuned is half filled; what scores lie between is thin and grey.
    """
    coloured = [name for name in sorted(kinds["models"], key=lambda name: name != text) if name != baseline]
    full = dict(zip(coloured, cycle(MODELS), strict=False))
    table = {name: ModelLook(full.get(name, BASELINE), "full") for name in kinds["models"]}
    for kind, fill, colours in (
        ("controls", "hollow", tones(MODELS[0])),
        ("fine-tuned", "half", tones(TUNED)),
        ("bounds", "thin", BOUNDS),
    ):
        names = kinds.get(kind, ())
        table |= {name: ModelLook(colour, fill) for name, colour in zip(names, cycle(colours), strict=False)}
    return table


def tones(colour: str) -> tuple[str, str, str]:
    """Return a colour, a lighter and a darker one of its hue."""
    red, green, blue = to_rgb(colour)
    lighter = to_hex(((1 + red) / 2, (1 + green) / 2, (1 + blue) / 2)).upper()
    return colour, lighter, to_hex((0.55 * red, 0.55 * green, 0.55 * blue)).upper()
