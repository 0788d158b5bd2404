"""The pictures: every cell in its place, widths and texts of a journal, legends, numbers, captions, and the files."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.artist import Artist, getp
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy.spatial.distance import cdist

from genept.plots import annotation, layouts, page, palette, panels
from tests.plots import made

TITLES = ["Log-normalised expression, PCA", "scGPT, small, trained here"]


def annotated(**n_labels: int) -> pd.DataFrame:
    """Annotations of 200 cells with given numbers of labels."""
    return pd.DataFrame({name: [f"{name} {i % n}" for i in range(200)] for name, n in n_labels.items()})


def laid_out(n_cells: int = 200, seen: int = 0, title: str = TITLES[0], n_dimensions: int = 2) -> layouts.Layout:
    """Lay out cells at random, the first `seen` of which are not drawn."""
    coordinates = np.random.default_rng(0).normal(size=(n_cells, 2))
    coordinates[:seen] = np.nan
    return layouts.Layout("a_model", title, coordinates, coordinates[seen:], n_dimensions)


def pictures(obs: pd.DataFrame, seen: int = 0, title: str = "A dataset") -> dict[str, Figure]:
    """Draw all pictures of three models."""
    drawn = [laid_out(len(obs), seen, name) for name in (*TITLES, "Fine-tuned GenePT-w")]
    return panels.of_models(drawn, layouts.columns(obs), title, "Dataset a, 200 cells.", made.settings())


def picture(obs: pd.DataFrame, seen: int = 0, title: str = "A dataset") -> Figure:
    return pictures(obs, seen, title)["all_models"]


MANY = [{"phenotype": 2, "cell_type": 17, "patient": 43}, {"cell_type": 43}, {"disease": 3, "cell_type": 9}]


@pytest.mark.parametrize("n_labels", MANY)
def test_texts_overlap_nothing_are_6_points_or_more_and_pages_have_a_journal_s_width(n_labels: dict[str, int]) -> None:
    for name, figure in pictures(annotated(**n_labels), title="A dataset, its title too long for one column").items():
        frames = [ax.get_window_extent() for ax in figure.axes]
        blocks = [item.get_window_extent() for item in (*figure.legends, *figure.texts)]
        for i, block in enumerate(blocks):
            assert not block.count_overlaps(frames), name
            assert not block.count_overlaps(blocks[:i]), name
        texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
        assert len(texts) > 9 and min(float(text.get_fontsize()) for text in texts) >= 6
        millimetres = 85 if name == "cell_type" else 180
        assert page.bounds(figure).width * 25.4 == pytest.approx(millimetres, abs=0.01)


def test_all_models_share_one_grid_and_each_is_drawn_once() -> None:
    figures = pictures(annotated(phenotype=2, cell_type=7, patient=4))
    for name, headings in (("all_models", ["Phenotype", "Cell type", "Patient"]), ("cell_type", [""])):
        texts = [" ".join(text.get_text().split()) for text in figures[name].texts]
        assert [texts.count(title) for title in TITLES] == [1, 1]
        assert len(figures[name].axes) == 3 * len(headings)
        assert [ax.get_title() for ax in figures[name].axes[: len(headings)]] == headings


def test_long_labels_are_broken_over_lines_not_cut_and_cells_without_one_are_named() -> None:
    name = "CD8-positive, alpha-beta cytotoxic T cell of a long-named lineage, 200 characters long or so, " * 2
    figure = pictures(pd.DataFrame({"cell_type": [f"{name}{i % 9}" for i in range(200)] + ["Unknown"]}))["cell_type"]
    (legend,) = figure.legends
    assert page.size(legend)[0] <= panels.NARROW
    written = ["".join(text.get_text().split()) for text in legend.get_texts()]
    assert written == [*(f"{i + 1}{name.replace(' ', '')}{i}" for i in range(9)), "nolabel"]


def test_every_cell_is_a_point_of_its_label_s_colour_inside_the_panel() -> None:
    obs = annotated(cell_type=17)
    looks = palette.looks(obs["cell_type"])
    expected = np.array(sorted(to_rgb(looks[label].colour) for label in obs["cell_type"]))
    figure = picture(obs)
    for ax in figure.axes:
        (points,) = ax.collections
        assert np.allclose(sorted(tuple(colour[:3]) for colour in np.asarray(points.get_facecolor())), expected)
        assert len(points.get_paths()) == len(obs)  # one marker each, of two shapes
        offsets = np.asarray(points.get_offsets())
        assert (offsets.min(axis=0) > [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
        assert (offsets.max(axis=0) < [ax.get_xlim()[1], ax.get_ylim()[1]]).all()
    assert len({len(np.asarray(path.vertices)) for path in figure.axes[0].collections[0].get_paths()}) == 2


def test_a_label_looks_the_same_when_fewer_cells_are_drawn() -> None:
    obs = annotated(cell_type=17, patient=23)

    def shown(figure: Figure) -> list[dict]:
        return [
            {
                text.get_text(): tuple(getp(cast(Artist, handle), name) for name in ("color", "marker"))
                for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
            }
            for legend in figure.legends
        ]

    every, some = shown(picture(obs)), shown(picture(obs, seen=190))
    for all_labels, few in zip(every, some, strict=True):
        assert len(few) == 10
        assert few.items() <= all_labels.items()


def test_cell_types_are_numbered_from_nine_on_and_patients_never() -> None:
    def numbers(n_labels: int) -> list[list[str]]:
        figure = picture(annotated(cell_type=n_labels, patient=20))
        return [[text.get_text() for text in ax.texts] for ax in figure.axes]

    all_nine = [str(i) for i in range(1, 10)]
    assert numbers(8) == [[]] * 6
    assert numbers(9) == [all_nine, []] * 3


def test_a_number_is_in_the_larger_of_two_groups_of_cells() -> None:
    coordinates = np.array([[0.0, 0.0]] * 6 + [[9.0, 0.0], [0.0, 9.0], [5.0, 5.0], [4.0, 0.5]])
    column = layouts.Column("one", np.array(["only"] * len(coordinates)), palette.looks(["only"]), numbered=True)
    (ax,) = panels.grid([layouts.Layout("", "", coordinates, coordinates, 2)], [column], "", "").axes
    (number,) = ax.texts
    assert number.get_text() == "1" and np.allclose(number.get_position(), (0, 0), atol=0.5)


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_spread_parts_numbers_that_overlap(n_points: int, seed: int) -> None:
    places = np.random.default_rng(seed).normal(scale=15, size=(n_points, 2))
    places[n_points // 2 :] = places[0]
    moved = panels.spread(places, apart=8, rounds=1000)
    distances = cdist(moved, moved) + np.where(np.eye(n_points), np.inf, 0)
    assert distances.min() > 7.9


# Many labels.


def test_more_than_24_labels_show_mixing_and_types_stand_one_by_one() -> None:
    obs = annotated(cell_type=25, patient=24)
    assert set(pictures(obs)) == {"all_models", "cell_type", "cell_type_one_by_one"}
    assert set(pictures(annotated(cell_type=24, patient=25))) == {"all_models", "cell_type"}
    assert set(pictures(annotated(batch=2))) == set()
    grid = picture(obs)
    assert len(grid.legends) == 1 and "all of one cell type" in " ".join(text.get_text() for text in grid.texts)
    column = layouts.columns(obs)[0]
    mixed = layouts.mixing(laid_out().space, column.labels)
    for ax in grid.axes[:-1:2]:
        assert np.allclose(sorted(np.asarray(ax.collections[0].get_array())), sorted(mixed))
        assert [text.get_text() for text in ax.texts] == [f"{np.median(mixed):.2f}"]
    tiles = pictures(obs)["cell_type_one_by_one"]
    assert len(tiles.axes) == 25
    for i, ax in enumerate(tiles.axes):
        (points,) = ax.collections
        assert isinstance(points, PathCollection)
        sizes = np.array(points.get_sizes())
        assert (sizes > sizes[0]).tolist() == [False] * 192 + [True] * 8  # its own cells, which lie on top
        assert f"cell_type {i} (8)" in [" ".join(text.get_text().split()) for text in tiles.texts]


def test_points_of_many_panels_are_coarser_in_a_pdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each panel's points matplotlib holds an image of the whole page."""
    tiles = pictures(annotated(cell_type=25, patient=2))["cell_type_one_by_one"]
    sizes = []
    for n_bytes in (page.IMAGES, page.IMAGES // 1000):
        monkeypatch.setattr(page, "IMAGES", n_bytes)
        page.save_vector(tiles, tmp_path / "a.pdf")
        sizes.append((tmp_path / "a.pdf").stat().st_size)
    assert sizes[1] < sizes[0]


def test_mixing_is_0_in_groups_of_one_label_and_1_on_average_at_random() -> None:
    rng = np.random.default_rng(0)
    space, donors = rng.normal(size=(2000, 5)), rng.integers(40, size=2000) ** 2 // 40  # of unequal size
    assert layouts.mixing(space, donors).mean() == pytest.approx(1, abs=0.05)
    apart = np.repeat(np.arange(40), 50)
    np.testing.assert_allclose(layouts.mixing(space + 100 * apart[:, None], apart), 0, atol=1e-12)
    for few in (1, 2, 3):
        assert np.isfinite(layouts.mixing(space[:few], donors[:few])).all()


# Words and files.


def test_of_a_large_dataset_the_same_cells_are_drawn_of_every_model_and_the_caption_says_how_many() -> None:
    few, more, all_ = (layouts.sample(1000, made.settings(above=n)) for n in (100, 300, 1000))
    assert (len(few), len(more), len(all_)) == (100, 300, 1000) and set(few) < set(more)
    assert layouts.described(1000, made.settings(above=300)) == "300 of 1,000 cells, drawn by seed 0"
    assert layouts.described(1000, made.settings()) == "1,000 cells"


def test_captions_say_what_was_used() -> None:
    def caption(*used: tuple[int, int, int], **changes: object) -> str:
        """Say what layouts of (drawn cells, components, dimensions) show."""
        drawn = [
            laid_out(60, 60 - n)._replace(model=f"m{d}", space=np.zeros((n, k)), n_dimensions=d, is_unseen=n < 60)
            for n, k, d in used
        ]
        return layouts.caption("About.", drawn, made.settings(**changes))

    start = "About. UMAP of "
    assert caption((60, 50, 384)).startswith(f"{start}the first 50 principal components: 10 neighbours")
    assert caption((60, 32, 32)).startswith(f"{start}all 32 dimensions: 10 neighbours")
    every = caption((60, 50, 50), (60, 50, 384), (60, 32, 32), (60, 50, 768))
    assert (
        "all 50 dimensions (m50) or the first 50 principal components (m384, m768) or all 32 dimensions (m32)" in every
    )
    assert "Unseen" not in every and "Unseen cells" in caption((60, 50, 384), (20, 20, 384))
    for key, value, text in (("n_neighbors", 7, "7 neighbours"), ("n_epochs", 33, "33 epochs"), ("seed", 9, "seed 9")):
        assert text not in every and text in caption((60, 50, 384), **{key: value})
    few = caption((9, 9, 384))
    assert "UMAP of" not in few and "The first two principal components, since UMAP needs 10 cells: m384." in few


@pytest.mark.parametrize(("n_labels", "lost"), [(6, None), (7, "first 6 of 7"), (17, "first 6 of 17"), (25, None)])
def test_captions_say_which_labels_grey_print_loses(n_labels: int, lost: str | None) -> None:
    caption = made.words(picture(annotated(cell_type=n_labels)))
    assert ("In grey print" in caption) == (lost is not None)
    assert lost is None or f"In grey print only the {lost} labels can be told apart (cell type)." in caption
    assert ("Mixing of 25 labels" in caption) == (n_labels == 25)


def test_picture_files_are_equal_and_hold_no_date_or_program(tmp_path: Path) -> None:
    for name in ("one", "two"):
        figure = picture(annotated(cell_type=17))
        page.save(figure, tmp_path / f"{name}.png")
        page.save_vector(figure, tmp_path / f"{name}.pdf")
    content, pdf = ((tmp_path / f"one.{kind}").read_bytes() for kind in ("png", "pdf"))
    assert content == (tmp_path / "two.png").read_bytes() and pdf == (tmp_path / "two.pdf").read_bytes()
    position, kinds = 8, set()
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kinds.add(content[position + 4 : position + 8])
        position += length + 12
    assert kinds == {b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"}
    assert not re.search(rb"Date|matplotlib", pdf)


def test_a_png_keeps_the_colour_of_every_label(tmp_path: Path) -> None:
    rare = ["", *(f"type {i}" for i in range(12))]
    obs = pd.DataFrame({"cell_type": ["type 0"] * 500 + rare, "patient": [f"P{i % 43}" for i in range(513)]})
    page.save(picture(obs), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)
    found = {f"#{red:02X}{green:02X}{blue:02X}" for red, green, blue in pixels}
    assert {*palette.COLOURS, palette.NO_LABEL, "#FFFFFF"} <= found


def test_a_pdf_is_of_vectors_and_fonts_with_points_as_pixels(tmp_path: Path) -> None:
    figure = picture(annotated(phenotype=2, cell_type=7, patient=30))
    with rc_context({"pdf.compression": 0}):
        page.save_vector(figure, tmp_path / "a.pdf")
    pdf = (tmp_path / "a.pdf").read_bytes()
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ([0-9.]+) \]", pdf)
    assert float(box[0]) / 72 * 25.4 == pytest.approx(180, abs=0.1)
    images = re.findall(rb"/Subtype /Image", pdf)
    assert len(images) >= len(panels_of(figure)) and b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert len(re.findall(rb"\bTj\b|\bTJ\b", pdf)) > 10  # texts
    assert not re.search(rb"/M\d+ Do", pdf)  # no marker is a path


def panels_of(figure: Figure) -> list[Artist]:
    return [ax for ax in figure.axes if isinstance(ax.collections[0], PathCollection)]


def test_no_text_is_read_as_a_formula_or_hidden(tmp_path: Path) -> None:
    labels = [r"$\frac{1}{$", "$x^2$", "_hidden", "{", "a & b % \\", "100 %", "\u03b2-cell", "T<b>cell</b>"]
    figure = picture(pd.DataFrame({"cell_type": np.resize(labels, 200)}), title=labels[0])
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(labels)
    page.save(figure, tmp_path / "panels.png")
    made.write_annotation(tmp_path, rename=dict(zip(made.CALLED, labels, strict=False)))
    evidence = annotation.read(tmp_path)
    page.save(annotation.markers(evidence, labels[0], labels[1]), tmp_path / "markers.png", has_shades=True)
    page.save(annotation.umap(evidence, labels[0], labels[1])["umap"], tmp_path / "umap.png")


@pytest.mark.parametrize(
    "label", [r"$\frac{1}{$", "_hidden", "$x_i$", "\N{GRINNING FACE}\u05d0", "T" * 10_000, "a^{2", r"\textbf{x"]
)
def test_no_label_or_title_is_a_formula_or_hidden_or_fills_the_page(label: str, tmp_path: Path) -> None:
    obs = pd.DataFrame({"cell_type": [f"{label}{i % 3}" for i in range(200)]})
    figures = pictures(obs, title=label)
    for name, figure in figures.items():
        page.save(figure, tmp_path / f"{name}.png")
        (legend,) = figure.legends
        written = ["".join(text.get_text().split()) for text in legend.get_texts()]
        assert len(written) == 3 and all(text[0] == label[0] and len(text) <= 240 for text in written)
