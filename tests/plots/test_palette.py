"""The colours and shapes of labels, for every kind of vision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from scipy.spatial.distance import cdist

from genept.plots import page

pytestmark = pytest.mark.xdist_group("umap")  # one process imports it and compiles its functions


def test_up_to_72_labels_all_look_different_in_the_order_of_names_and_numbers():
    looks = page.looks(f"label {i}" for i in range(72))
    assert len({look[:2] for look in looks.values()}) == 73  # and cells without a label
    assert {look.shape for look in list(looks.values())[:12]} == {"o"}
    assert list(page.looks(["P10", "P2", "p1", "", "P2"])) == ["p1", "P2", "P10", ""]
    assert page.looks(["b", "a"]) == page.looks(["a", "b", "a", ""])


@given(st.sets(st.text("aB19 _", max_size=4), max_size=30))
def test_looks_cover_any_labels_once(labels):
    looks = page.looks(labels)
    assert set(looks) == labels | {""}
    assert sorted(look.number for look in looks.values()) == list(range(1, len(looks) + 1))


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "normal": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def oklab(colours: list[str], vision: str) -> np.ndarray:
    """Colours in OKLab (Ottosson 2020) as seen with a kind of vision."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(VISION[vision]), 0, 1)
    cones = [[0.4122215, 0.5363325, 0.0514460], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
    axes = [[0.2104543, 0.7936178, -0.0040720], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]
    return np.cbrt(seen @ np.transpose(cones)) @ np.transpose(axes)


@pytest.mark.parametrize("vision", VISION)
def test_colours_differ_for_every_kind_of_vision(vision):
    """No two are nearer than the nearest of Okabe and Ito's own eight, and all are darker than white paper."""
    okabe_ito = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
    least = min(np.sort(cdist(lab, lab), axis=None)[8] for lab in (oklab(okabe_ito, kind) for kind in VISION))
    found = oklab(list(page.COLOURS), vision)
    distances = cdist(found, found)[np.triu_indices(len(found), 1)]
    assert distances.min() >= least - 1e-9
    assert found[:, 0].max() < 0.85
