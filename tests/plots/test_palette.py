"""Colours of labels for every kind of vision and for grey print, and of models by their role."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from scipy.spatial.distance import cdist

from genept.plots import palette

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
# Half of all people see a difference between dots of 0.17 degrees (1.2 mm at 40 cm) if one of L*, a* and b* differs by
# 0.5 (A + B / 0.17): Stone, Szafir and Setlur 2014, table 2.
NOTICED = 0.5 * (np.array([10.16, 10.68, 10.70]) + np.array([1.50, 3.08, 5.74]) / 0.17)
OLD = "#0072B2 #E69F00 #009E73 #D55E00 #56B4E9 #CC79A7".split()  # of Okabe and Ito: 18 apart for deuteranopes


def lab(colours: list[str], vision: str = "normal") -> np.ndarray:
    """Return CIE L*a*b* (D65) of colours as seen with a kind of vision."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(VISION[vision]), 0, 1) @ TO_XYZ.T / TO_XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])


def least(colours: list[str], vision: str) -> float:
    """Return the least CIE76 difference of two colours."""
    seen = lab(colours, vision)
    return cdist(seen, seen)[np.triu_indices(len(seen), 1)].min()


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("n", "promised"), [(2, 155), (4, 50), (6, 33), (8, 25), (10, 21), (12, 20.7)])
def test_labels_differ_for_every_kind_of_vision(vision: str, n: int, promised: float) -> None:
    """Half of all people see each pair, and no pair is as near as the nearest of Okabe and Ito's are."""
    colours = list(palette.COLOURS[:n])
    seen = lab(colours, vision)
    noticed = (np.abs(seen[:, None] - seen[None]) / NOTICED).max(axis=-1)[np.triu_indices(n, 1)]
    assert noticed.min() >= 1
    assert least(colours, vision) >= promised > least(OLD, "deutan")
    assert cdist(lab([palette.NO_LABEL], vision), seen).min() > NOTICED[0]
    assert 29 < seen[:, 0].min() or vision != "normal"  # neither as dark as a dark page nor as light as paper
    assert seen[:, 0].max() < 81 or vision != "normal"


def test_grey_print_tells_the_first_six_apart_and_says_where_it_ends() -> None:
    shades = lab(list(palette.COLOURS))[:, 0]
    np.testing.assert_allclose([palette.lightness(colour) for colour in palette.COLOURS], shades, atol=0.01)
    found = [palette.told_apart_in_grey(n) for n in range(20)]
    assert found == [*range(6), *[6] * 14]
    first = shades[:6]
    assert np.diff(np.sort(first)).min() >= NOTICED[0]
    assert np.abs(first - shades[6]).min() < palette.GREY_STEP


def test_up_to_72_labels_all_look_different_in_the_order_of_names_and_numbers() -> None:
    looks = palette.looks(f"label {i}" for i in range(72))
    assert len({look[:2] for look in looks.values()}) == 73  # and cells without a label
    assert {look.shape for look in list(looks.values())[:12]} == {"o"}
    assert list(palette.looks(["P10", "P2", "p1", "", "P2"])) == ["p1", "P2", "P10", ""]
    assert palette.looks(["b", "a"]) == palette.looks(["a", "b", "a", ""])


@given(st.sets(st.text("aB19 _", max_size=4), max_size=30))
def test_looks_cover_any_labels_once(labels: set[str]) -> None:
    looks = palette.looks(labels)
    assert set(looks) == labels | {""}
    assert sorted(look.number for look in looks.values()) == list(range(1, len(looks) + 1))


def test_models_look_by_role() -> None:
    kinds = {
        "models": ["mine", "expression", "worded", "sentences"],
        "controls": ["random", "shuffled"],
        "fine-tuned": ["tuned", "tuned_on_random", "tuned_on_shuffled"],
        "bounds": ["majority", "random_cells", "supervised"],
    }
    looks = palette.model_looks(kinds, "expression", "worded")
    assert list(looks) == [name for names in kinds.values() for name in names]
    assert len(set(looks.values())) == len(looks)
    chroma = {name: np.hypot(*lab([look.colour])[0, 1:]) for name, look in looks.items()}
    grey = {name for name, value in chroma.items() if value < 1}
    assert grey == {"expression", *kinds["bounds"]} and min(chroma[name] for name in looks if name not in grey) > 20
    fills = {kind: {looks[name].fill for name in names} for kind, names in kinds.items()}
    assert fills == {"models": {"full"}, "controls": {"hollow"}, "fine-tuned": {"half"}, "bounds": {"thin"}}
    assert looks["random"].colour == looks["worded"].colour
    assert looks["tuned"].colour not in {look.colour for look in looks.values() if look.fill == "full"}
    many = palette.model_looks({"models": [f"m{i}" for i in range(30)]}, "m0")
    assert len(many) == 30
