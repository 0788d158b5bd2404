"""The pictures: every cell in its place, legends, numbers and texts."""

from __future__ import annotations

import struct

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from genept.plots import palette, panels, scatter

pytestmark = pytest.mark.xdist_group("umap")  # one process imports it and compiles its functions


def annotated(**n_labels: int) -> pd.DataFrame:
    """Annotations of 200 cells with given numbers of labels."""
    return pd.DataFrame({name: [f"{name} {i % n}" for i in range(200)] for name, n in n_labels.items()})


def picture(obs: pd.DataFrame, drawn: np.ndarray | None = None, title: str = "A dataset"):
    """Draw a picture of random coordinates."""
    drawn = np.arange(len(obs)) if drawn is None else drawn
    rng = np.random.default_rng(0)
    rows = [
        panels.Row("Log-normalised expression, PCA", rng.normal(size=(len(drawn), 2))),
        panels.Row("scGPT, small, trained here on other cells of the same donors", rng.normal(size=(len(drawn), 2))),
    ]
    return panels.draw(rows, obs, drawn, title, "Dataset a, 200 cells. " * 4)


@pytest.mark.parametrize(
    "n_labels",
    [
        {"phenotype": 2, "cell_type": 17, "patient": 43},
        {"cell_type": 6, "patient": 4},
        {"cell_type": 43},
        {"disease": 3, "cell_type": 9},
    ],
)
def test_legends_and_texts_are_inside_the_picture_and_off_the_panels(n_labels):
    figure = picture(annotated(**n_labels), title="A dataset with a title that is somewhat long for one column")
    page = figure.bbox
    frames = [ax.get_window_extent() for ax in figure.axes]
    blocks = [item.get_window_extent() for item in (*figure.legends, *figure.texts)]
    assert len(figure.axes) == 2 * len(n_labels)
    assert len(figure.legends) == len(n_labels)
    for i, block in enumerate(blocks):
        assert page.x0 <= block.x0
        assert block.x1 <= page.x1
        assert page.y0 <= block.y0
        assert block.y1 <= page.y1
        assert not block.count_overlaps(frames)
        assert not block.count_overlaps(blocks[:i])


def test_long_labels_are_broken_over_lines_not_cut():
    name = "CD8-positive, alpha-beta cytotoxic T cell of a long-named lineage"
    figure = picture(pd.DataFrame({"cell_type": [f"{name} {i % 9}" for i in range(200)]}))
    (legend,) = figure.legends
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    written = [" ".join(text.get_text().split()) for text in legend.get_texts()]
    assert written == [f"{i + 1} {name} {i}" for i in range(9)]


def test_every_cell_is_a_point_of_its_label_s_colour_inside_the_panel():
    obs = annotated(cell_type=17)
    figure = picture(obs)
    looks = palette.looks(obs["cell_type"])
    expected = np.array(sorted(to_rgb(looks[label].colour) for label in obs["cell_type"]))
    for ax in figure.axes:
        (points,) = ax.collections
        assert np.allclose(sorted(tuple(colour[:3]) for colour in points.get_facecolors()), expected)
        assert len(points.get_paths()) == len(obs)  # one marker each, of two shapes
        offsets = np.asarray(points.get_offsets())
        assert (offsets.min(axis=0) > [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
        assert (offsets.max(axis=0) < [ax.get_xlim()[1], ax.get_ylim()[1]]).all()
    assert len({len(path.vertices) for path in figure.axes[0].collections[0].get_paths()}) == 2


def test_a_label_looks_the_same_when_fewer_cells_are_drawn():
    obs = annotated(cell_type=17, patient=43)

    def shown(figure):
        return [
            {
                text.get_text(): (handle.get_color(), handle.get_marker())
                for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            }
            for legend in figure.legends
        ]

    every, some = shown(picture(obs)), shown(picture(obs, drawn=np.arange(30, 40)))
    for all_labels, few in zip(every, some, strict=True):
        assert len(few) == 10
        assert few.items() <= all_labels.items()


def test_cells_without_a_label_are_drawn_and_named():
    obs = annotated(cell_type=3)
    obs.loc[:4, "cell_type"] = ""
    (legend,) = picture(obs).legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "no label"


def test_cell_types_are_numbered_from_nine_on_and_patients_never():
    def numbers(n_labels):
        figure = picture(annotated(cell_type=n_labels, patient=20))
        return [[text.get_text() for text in ax.texts] for ax in figure.axes]

    all_nine = [str(i) for i in range(1, 10)]
    assert numbers(8) == [[], [], [], []]
    assert numbers(9) == [all_nine, [], all_nine, []]


def test_a_number_is_in_the_larger_of_two_groups_of_cells():
    coordinates = np.array([[0.0, 0.0]] * 6 + [[9.0, 0.0], [0.0, 9.0], [5.0, 5.0], [4.0, 0.5]])
    ax = Figure().add_subplot()
    looks = palette.looks(["only"])
    labels = np.array(["only"] * len(coordinates))
    scatter.panel(ax, coordinates, labels, looks, side=2.0)
    scatter.numbers(ax, coordinates, labels, looks, side=2.0)
    (number,) = ax.texts
    assert number.get_text() == "1"
    assert np.allclose(number.get_position(), (0, 0), atol=0.5)


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_spread_parts_numbers_that_overlap(n_points, seed):
    places = np.random.default_rng(seed).normal(scale=15, size=(n_points, 2))
    places[n_points // 2 :] = places[0]
    moved = scatter.spread(places, apart=8, rounds=1000)
    distances = cdist(moved, moved) + np.where(np.eye(n_points), np.inf, 0)
    assert distances.min() > 7.9


def test_numbers_that_are_apart_stay():
    places = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    assert np.allclose(scatter.spread(places, apart=8), places, atol=0.01)


def test_picture_files_are_equal_and_hold_no_date_or_program(tmp_path):
    for name in ("one.png", "two.png"):
        panels.save(picture(annotated(cell_type=17)), tmp_path / name)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    position, kinds = 8, set()
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kinds.add(content[position + 4 : position + 8])
        position += length + 12
    assert kinds == {b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"}


def test_lines_are_few_and_nearly_equal():
    assert panels.wrapped("one two three four five", 20) == "one two three\nfour five"
    assert panels.wrapped("short", 20) == "short"
