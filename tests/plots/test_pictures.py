"""The pictures: colours and shapes for every kind of vision, every cell in its place, legends, numbers and texts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from matplotlib.artist import Artist, getp
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.spatial.distance import cdist

from genept.plots import annotation, page, panels
from tests.plots import made


def annotated(**n_labels: int) -> pd.DataFrame:
    """Annotations of 200 cells with given numbers of labels."""
    return pd.DataFrame({name: [f"{name} {i % n}" for i in range(200)] for name, n in n_labels.items()})


def picture(obs: pd.DataFrame, drawn: np.ndarray | None = None, title: str = "A dataset") -> Figure:
    """Draw a picture of random coordinates."""
    drawn = np.arange(len(obs)) if drawn is None else drawn
    rng = np.random.default_rng(0)
    rows = [
        panels.Row("Log-normalised expression, PCA", rng.normal(size=(len(drawn), 2))),
        panels.Row("scGPT, small, trained here on other cells of the same donors", rng.normal(size=(len(drawn), 2))),
    ]
    return panels.draw(rows, panels.columns(obs, drawn), title, "Dataset a, 200 cells. " * 4)


@pytest.mark.parametrize(
    "n_labels",
    [{"phenotype": 2, "cell_type": 17, "patient": 43}, {"cell_type": 43}, {"disease": 3, "cell_type": 9}],
)
def test_legends_and_texts_overlap_nothing_and_are_not_wider_than_the_panels(n_labels: dict[str, int]) -> None:
    figure = picture(annotated(**n_labels), title="A dataset with a title that is somewhat long for one column")
    frames = [ax.get_window_extent() for ax in figure.axes]
    blocks = [item.get_window_extent() for item in (*figure.legends, *figure.texts)]
    assert len(figure.axes) == 2 * len(n_labels)
    assert len(figure.legends) == len(n_labels)
    right = max(frame.x1 for frame in frames)
    for i, block in enumerate(blocks):
        assert block.x1 <= right
        assert not block.count_overlaps(frames)
        assert not block.count_overlaps(blocks[:i])


def test_long_labels_are_broken_over_lines_not_cut_and_cells_without_one_are_named() -> None:
    name = "CD8-positive, alpha-beta cytotoxic T cell of a long-named lineage"
    figure = picture(pd.DataFrame({"cell_type": [f"{name} {i % 9}" for i in range(200)] + [""]}))
    (legend,) = figure.legends
    assert legend.get_window_extent().x1 <= figure.axes[0].get_window_extent().x1
    written = [" ".join(text.get_text().split()) for text in legend.get_texts()]
    assert written == [*(f"{i + 1} {name} {i}" for i in range(9)), "no label"]


def test_every_cell_is_a_point_of_its_label_s_colour_inside_the_panel() -> None:
    obs = annotated(cell_type=17)
    figure = picture(obs)
    looks = page.looks(obs["cell_type"])
    expected = np.array(sorted(to_rgb(looks[label].colour) for label in obs["cell_type"]))
    for ax in figure.axes:
        (points,) = ax.collections
        assert np.allclose(sorted(tuple(colour[:3]) for colour in np.asarray(points.get_facecolor())), expected)
        assert len(points.get_paths()) == len(obs)  # one marker each, of two shapes
        offsets = np.asarray(points.get_offsets())
        assert (offsets.min(axis=0) > [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
        assert (offsets.max(axis=0) < [ax.get_xlim()[1], ax.get_ylim()[1]]).all()
    assert len({len(np.asarray(path.vertices)) for path in figure.axes[0].collections[0].get_paths()}) == 2


def test_a_label_looks_the_same_when_fewer_cells_are_drawn() -> None:
    obs = annotated(cell_type=17, patient=43)

    def shown(figure: Figure) -> list[dict]:
        return [
            {
                text.get_text(): tuple(getp(cast(Artist, handle), name) for name in ("color", "marker"))
                for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            }
            for legend in figure.legends
        ]

    every, some = shown(picture(obs)), shown(picture(obs, drawn=np.arange(30, 40)))
    for all_labels, few in zip(every, some, strict=True):
        assert len(few) == 10
        assert few.items() <= all_labels.items()


def test_cell_types_are_numbered_from_nine_on_and_patients_never() -> None:
    def numbers(n_labels: int) -> list[list[str]]:
        figure = picture(annotated(cell_type=n_labels, patient=20))
        return [[text.get_text() for text in ax.texts] for ax in figure.axes]

    all_nine = [str(i) for i in range(1, 10)]
    assert numbers(8) == [[], [], [], []]
    assert numbers(9) == [all_nine, [], all_nine, []]


def test_a_number_is_in_the_larger_of_two_groups_of_cells() -> None:
    coordinates = np.array([[0.0, 0.0]] * 6 + [[9.0, 0.0], [0.0, 9.0], [5.0, 5.0], [4.0, 0.5]])
    column = panels.Column("One", np.array(["only"] * len(coordinates)), page.looks(["only"]), numbered=True)
    (ax,) = panels.draw([panels.Row("", coordinates)], [column], "", "").axes
    (number,) = ax.texts
    assert number.get_text() == "1" and np.allclose(number.get_position(), (0, 0), atol=0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_spread_parts_numbers_that_overlap(n_points: int, seed: int) -> None:
    places = np.random.default_rng(seed).normal(scale=15, size=(n_points, 2))
    places[n_points // 2 :] = places[0]
    moved = panels.spread(places, apart=8, rounds=1000)
    distances = cdist(moved, moved) + np.where(np.eye(n_points), np.inf, 0)
    assert distances.min() > 7.9


def test_picture_files_are_equal_and_hold_no_date_or_program(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        page.save(picture(annotated(cell_type=17)), tmp_path / name)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    position, kinds = 8, set()
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kinds.add(content[position + 4 : position + 8])
        position += length + 12
    assert kinds == {b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"}


def test_captions_follow_the_settings() -> None:
    def caption(n_drawn: int, **changes: object) -> str:
        return panels.caption("tiny", "made up", n_drawn, 60, (384, 32), made.settings(**changes))

    cells = "Dataset tiny (made up), 60 cells."
    assert caption(60).startswith(f"{cells} UMAP of 50 and 32 principal components (upper and lower row): 10 neighb")
    assert caption(60, n_components_pca=20).startswith(f"{cells} UMAP of 20 principal components: 10 neighbours")
    assert "14 of 60 cells that fine-tuning has not seen" in caption(14)
    for key, value, text in (("n_neighbors", 7, "7 neighbours"), ("n_epochs", 33, "33 epochs"), ("seed", 9, "seed 9")):
        assert text not in caption(60) and text in caption(60, **{key: value})
    assert "UMAP of" not in caption(9)


# Evidence of an annotation.


@pytest.fixture
def evidence(tmp_path: Path) -> annotation.Evidence:
    made.write_annotation(tmp_path)
    return annotation.read(tmp_path)


def test_a_dot_says_z_and_share(evidence: annotation.Evidence) -> None:
    figure = annotation.markers(evidence, "A title", "Dataset a")
    ax = next(ax for ax in figure.axes if len(ax.get_yticklabels()) == 4)
    rows = [label.get_text() for label in ax.get_yticklabels()]
    assert [row.split()[-1] for row in rows] == ["3", "4", "1", "2"]  # by type as in the table, Unknown last
    assert rows[0] == "T, 9 cells  3"
    assert [label.get_text() for label in ax.get_xticklabels()] == [*(f"T{i}" for i in range(8)), "P0"]
    (dots,) = (part for part in ax.collections if isinstance(part, PathCollection))
    table = (
        evidence.markers[~evidence.markers["gene"].isin(["T8", "T9"])].set_index("cluster").loc[["3", "4", "1", "2"]]
    )
    np.testing.assert_allclose(np.asarray(dots.get_facecolor()), colormaps[page.DIVERGING]((table["z"] + 2) / 4))
    np.testing.assert_allclose(dots.get_sizes(), table["share"] * annotation.Dots.DEFAULT_LARGEST_DOT)
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [(frame.get_x(), frame.get_y(), frame.get_width()) for frame in frames] == [(0, 0, 8), (0, 1, 8), (8, 2, 1)]
    assert {"1.25", "1.50", "0.10", "Score", "Margin"} == {text.get_text() for text in ax.texts}
    captions = " ".join(figure.texts[-1].get_text().split())
    assert captions.startswith("Dataset a.") and captions.endswith("the first 8 genes of the table are drawn.")


@pytest.mark.parametrize("batch", [None, "age_bin"])
def test_cells_that_pass_are_drawn_by_cluster_type_and_batch(tmp_path: Path, batch: str | None) -> None:
    made.write_annotation(tmp_path, batch)
    figure = annotation.umap(annotation.read(tmp_path), "A title", "Dataset a")
    assert [ax.get_title() for ax in figure.axes] == ["Cluster", "Cell type", "Age bin"][: 3 if batch else 2]
    assert ("balanced over batches" in figure.texts[-1].get_text().replace("\n", " ")) == (batch is not None)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3", "4"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "2", "3", "4"]
    (points,) = figure.axes[1].collections
    colours = [to_hex(colour).upper() for colour in np.asarray(points.get_facecolor())]
    assert len(colours) == 36 and colours.count(page.NO_LABEL) == 9


@pytest.mark.parametrize(
    ("donors", "sentence"),
    [
        ([0.364, None, 0.998], "adjusted Rand index 0.73; of single donors 0.36 to 1.00."),
        ([None], "adjusted Rand index 0.73."),
        (None, "adjusted Rand index 0.73."),
    ],
)
def test_a_caption_says_how_far_the_authors_labels_agree(
    tmp_path: Path, donors: list[float | None] | None, sentence: str
) -> None:
    made.write_annotation(tmp_path)
    assert annotation.agreement(tmp_path / "agreement.json", tmp_path) == ""
    (tmp_path / "agreement.json").write_text('{"ari": 0.731}')
    if donors:
        pd.DataFrame({"ari": donors}).to_csv(tmp_path / "agreement_by_patient.csv")
    agreed = annotation.agreement(tmp_path / "agreement.json", tmp_path)
    figure = annotation.umap(annotation.read(tmp_path), "A title", "Dataset a", agreed)
    caption = " ".join(figure.texts[-1].get_text().split())
    assert f"seed 0. Agreement with the authors' labels: {sentence}" in caption


def test_no_text_is_read_as_a_formula_or_hidden(tmp_path: Path) -> None:
    labels = [r"$\frac{1}{$", "$x^2$", "_hidden", "{", "a & b % \\", "100 %", "\u03b2-cell", "T<b>cell</b>"]
    figure = picture(pd.DataFrame({"cell_type": np.resize(labels, 200)}), title=labels[0])
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(labels)
    page.save(figure, tmp_path / "panels.png")
    made.write_annotation(tmp_path, rename=dict(zip(made.CALLED, labels, strict=False)))
    evidence = annotation.read(tmp_path)
    page.save(annotation.markers(evidence, labels[0], labels[1]), tmp_path / "markers.png", has_shades=True)
    page.save(annotation.umap(evidence, labels[0], labels[1]), tmp_path / "umap.png")


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
