"""The layout, the colours and the pictures of `stages.figures`."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from stages import embeddings
from stages.figures import layout, palette, panels, scatter
from stages.figures.__main__ import main
from tests.helpers import ROOT

pytestmark = pytest.mark.xdist_group("umap")  # one process imports it and compiles its functions

OPTIONS: dict[str, Any] = {
    "n_components_pca": 50,
    "n_neighbors": 15,
    "min_dist": 0.5,
    "spread": 1.0,
    "n_epochs": 50,
    "seed": 0,
}
N_CELLS = 60


def clusters(n_cells: int = N_CELLS, n_clusters: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in clear clusters, and the cluster of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_cells) % n_clusters
    return (10 * rng.normal(size=(n_clusters, 20))[labels] + rng.normal(size=(n_cells, 20))).astype(np.float32), labels


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


# Layout


def test_layout_keeps_clusters_apart():
    matrix, labels = clusters()
    found = layout.coordinates(matrix, **OPTIONS)
    distances = cdist(found, found)
    np.fill_diagonal(distances, np.inf)
    assert found.shape == (N_CELLS, 2)
    assert found.dtype == np.float32
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_layout_is_equal_between_runs_and_differs_between_seeds():
    matrix, _ = clusters()
    first = layout.coordinates(matrix, **OPTIONS)
    assert np.array_equal(first, layout.coordinates(matrix, **OPTIONS))
    assert not np.allclose(first, layout.coordinates(matrix, **{**OPTIONS, "seed": 1}))


def test_layout_holds_every_library_to_one_thread():
    code = """
import numpy, threadpoolctl
from stages.figures import layout
def report(matrix, *_):
    import scipy.linalg, sklearn.decomposition, sklearn.neighbors
    print(*(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
    return matrix
layout.principal_components = report
layout.coordinates(numpy.zeros((2, 2)), 2, 2, 0.5, 1.0, 1, 0)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert len(found.stdout.split()) >= 2
    assert set(found.stdout.split()) == {"1"}


@pytest.mark.parametrize("n_cells", [1, 2, 3, 9, 10, 15, 16, 17])
def test_layout_takes_fewer_cells_than_neighbours(n_cells):
    found = layout.coordinates(clusters(n_cells)[0], **OPTIONS)
    assert found.shape == (n_cells, 2)
    assert np.isfinite(found).all()


def test_layout_takes_identical_cells():
    assert np.isfinite(layout.coordinates(np.ones((20, 5)), **OPTIONS)).all()


def test_neighbours_are_the_nearest_with_the_cell_itself_first():
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    indices, distances = layout.nearest_neighbors(points, 7)
    expected = cdist(points.astype(float), points.astype(float))
    assert np.array_equal(indices, np.argsort(expected, axis=1)[:, :7])
    assert np.allclose(distances, np.sort(expected, axis=1)[:, :7], atol=1e-6)
    assert np.array_equal(indices[:, 0], np.arange(50))


def test_principal_components_are_those_of_the_centred_matrix():
    matrix, _ = clusters()
    centred = matrix - matrix.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred.astype(float), full_matrices=False)
    found = layout.principal_components(matrix, 5, seed=0)
    assert np.allclose(np.abs(found), np.abs(left[:, :5] * singular[:5]), rtol=1e-3, atol=1e-3)


# Colours


def test_up_to_72_labels_all_look_different():
    looks = palette.looks(f"label {i}" for i in range(72))
    assert len({look[:2] for look in looks.values()}) == 73  # and cells without a label
    assert {look.shape for look in list(looks.values())[:12]} == {"o"}


def test_looks_follow_the_names_with_numbers_by_value():
    assert list(palette.looks(["P10", "P2", "p1", "", "P2"])) == ["p1", "P2", "P10", ""]
    assert palette.looks(["b", "a"]) == palette.looks(["a", "b", "a", ""])


@given(st.sets(st.text(max_size=6), max_size=30))
def test_looks_cover_any_labels_once(labels):
    looks = palette.looks(labels)
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
    found = oklab(list(palette.COLOURS), vision)
    distances = cdist(found, found)[np.triu_indices(len(found), 1)]
    assert distances.min() >= least - 1e-9
    assert found[:, 0].max() < 0.85


# Pictures


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


# Command line


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A dataset of 60 cells with two embeddings and a fine-tuned one, in the current folder."""
    monkeypatch.chdir(tmp_path)
    params = {
        "seed": 0,
        "threads": 1,
        "datasets": {"tiny": {"title": "Tiny cells", "note": "made up"}},
        "models": {"expression": {"title": "Expression"}, "good": {"title": "Good"}, "tuned": {"title": "Tuned"}},
        "umap": OPTIONS,
    }
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    matrix, labels = clusters()
    ids = [f"cell{i}" for i in range(N_CELLS)]
    obs = pd.DataFrame({"cell_type": labels, "patient": labels // 2}, index=pd.Index(ids, name="cell_id"))
    Path("data/tiny").mkdir(parents=True)
    obs.to_csv("data/tiny/obs.csv")
    embeddings.write("tiny", "expression", matrix, ids, {})
    embeddings.write("tiny", "good", matrix[:, :10], ids, {})
    embeddings.write("tiny", "tuned", matrix[:, :5], ids, {"unseen_cells": [1, 5, *range(20, 32)]})
    return params


def call(*arguments: str):
    return CliRunner().invoke(main, arguments)


def test_commands_write_coordinates_and_a_picture(project):
    assert call("baseline", "tiny", "expression").exit_code == 0
    result = call("panel", "tiny", "good", "--above", "expression")
    assert result.exit_code == 0, result.output
    for model in ("expression", "good"):
        found = np.load(f"data/tiny/umap/{model}.npy")
        assert found.shape == (N_CELLS, 2)
        assert np.isfinite(found).all()
    assert Path("plots/umap/tiny/good.png").read_bytes().startswith(b"\x89PNG")
    assert "60 of 60 cells" in result.output


def test_only_unseen_cells_of_a_fine_tuned_embedding_are_laid_out(project):
    call("baseline", "tiny", "expression")
    result = call("panel", "tiny", "tuned", "--above", "expression")
    assert "14 of 60 cells" in result.output
    found = np.load("data/tiny/umap/tuned.npy")
    assert np.flatnonzero(np.isfinite(found).all(axis=1)).tolist() == [1, 5, *range(20, 32)]


def test_caption_says_what_the_dataset_is_and_which_cells_are_drawn(project):
    from stages.figures.__main__ import caption

    text = caption(project, "tiny", 14, 60)
    assert "Dataset tiny (made up)" in text
    assert "14 of 60 cells that fine-tuning has not seen" in text
    project["datasets"]["tiny"]["note"] = ""
    assert "Dataset tiny, 60 cells." in caption(project, "tiny", 60, 60)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("baseline", "tinny", "expression"), 2, "did you mean 'tiny'"),
        (("panel", "tiny", "bad", "--above", "expression"), 2, "no entry 'bad' under models"),
        (("panel", "tiny", "good", "--above", "worse"), 2, "no entry 'worse' under models"),
        (("panel", "tiny", "good", "--above", "expression"), 1, "data/tiny/umap/expression.npy: no such file"),
    ],
)
def test_what_is_missing_is_named_in_one_line(project, arguments, exit_code, message):
    result = call(*arguments)
    assert result.exit_code == exit_code
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not Path("plots").exists()


def test_coordinates_of_other_cells_are_refused(project):
    Path("data/tiny/umap").mkdir()
    np.save("data/tiny/umap/expression.npy", np.zeros((3, 2), dtype=np.float32))
    result = call("panel", "tiny", "good", "--above", "expression")
    assert result.exit_code == 1
    assert "3 rows for the 60 cells" in result.output


def test_unseen_cells_that_are_no_rows_are_refused(project):
    ids = [f"cell{i}" for i in range(N_CELLS)]
    embeddings.write("tiny", "tuned", np.ones((N_CELLS, 3)), ids, {"unseen_cells": [N_CELLS]})
    result = call("baseline", "tiny", "tuned")
    assert result.exit_code == 1
    assert "unseen_cells are not rows" in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spread": None}, "umap.spread is missing"),
        ({"n_epoch": 3}, "umap.n_epoch is unknown"),
        ({"min_dist": 2.0}, "umap.min_dist must be from 0 to umap.spread, got 2.0, 1.0"),
        ({"n_neighbors": 1}, "umap.n_neighbors must be a whole number from 2, got 1"),
        ({"seed": "zero"}, "umap.seed must be a whole number from 0, got 'zero'"),
    ],
)
def test_wrong_options_are_named_in_one_line(project, change, message):
    options = {name: value for name, value in {**OPTIONS, **change}.items() if value is not None}
    Path("params.yaml").write_text(yaml.safe_dump({**project, "umap": options}), encoding="utf-8")
    result = call("baseline", "tiny", "expression")
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not Path("data/tiny/umap").exists()
