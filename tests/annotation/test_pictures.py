"""The pictures of the evidence: what is drawn, in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from genept.annotation import pictures
from genept.annotation.method import Analysis
from genept.annotation.signatures import Call
from genept.plots.palette import NO_LABEL

TYPES = {"T": tuple(f"T{i}" for i in range(10)), "Gone": ("X",), "Plasma cell, long-lived": ("P0",)}
GENES = [*TYPES["T"], "P0"]
CALLED = ("Plasma cell, long-lived", "Unknown", "T", "T")


@pytest.fixture
def found() -> Analysis:
    """40 cells in four clusters, 4 of them dropped."""
    rng = np.random.default_rng(0)
    cluster = np.repeat([0, 1, 2, 3, 4], [4, 9, 9, 9, 9])
    return Analysis(
        qc=np.where(cluster == 0, "few_genes", "ok"),
        cluster=cluster,
        layout=np.where(cluster[:, np.newaxis] == 0, np.nan, rng.normal(size=(40, 2))),
        calls=[Call(name, "T" if name == "Unknown" else name, 1.25, "", None, 1.5) for name in CALLED],
        genes=GENES,
        z=rng.uniform(-2, 2, size=(4, len(GENES))),
        shares=rng.uniform(size=(4, len(GENES))),
        lacking=["X"],
        rare=[],
        unscored=["Gone"],
        n_hvgs=10,
        n_neighbors=5,
    )


def test_at_most_eight_genes_of_a_type_are_drawn_and_types_without_gene_left_out(found: Analysis) -> None:
    made = pictures.blocks(found, TYPES)
    assert [(block.cell_type, block.columns) for block in made] == [
        ("T", list(range(8))),
        ("Plasma cell, long-lived", [10]),
    ]
    places = [place for block in made for place in block.places]
    assert min(np.diff(places)) >= pictures.CELL - 1e-9


def test_clusters_are_in_the_order_of_their_types_and_unknown_last(found: Analysis) -> None:
    assert pictures.rows(found, list(TYPES)) == [2, 3, 0, 1]


def test_a_dot_says_z_and_share(found: Analysis) -> None:
    figure = pictures.markers(found, TYPES, "A title", "A caption.")
    ax = figure.axes[0]
    dots = [part for part in ax.collections if isinstance(part, PathCollection)]
    order = [2, 3, 0, 1]
    np.testing.assert_allclose(np.asarray(dots[0].get_array(), dtype=float), found.z[order, :8].ravel())
    areas = (pictures.DOT * 72) ** 2 * found.shares[order, :8].ravel()
    np.testing.assert_allclose(dots[0].get_sizes(), areas)
    framed = sorted((patch.get_y(), patch.get_x()) for patch in ax.patches if isinstance(patch, Rectangle))
    assert [row for row, _ in framed] == [0, 1, 2]  # not the unknown cluster
    texts = {text.get_text() for text in figure.texts}
    assert {"T, 9 cells", "Unknown, 9 cells", "P0", "T7", "1.25", "1.50", "A title", "A caption."} <= texts
    assert "T8" not in texts


@pytest.mark.parametrize("batches", [None, np.array(["D1", "D2"] * 20)])
def test_kept_cells_are_drawn_by_cluster_type_and_batch(found: Analysis, batches: np.ndarray | None) -> None:
    figure = pictures.umap(found, batches, "age_bin", "A title", "A caption.")
    headings = [ax.get_title() for ax in figure.axes]
    assert headings == ["Cluster", "Cell type", "Age bin"][: 2 if batches is None else 3]
    points = figure.axes[1].collections[0]
    assert isinstance(points, PathCollection)
    assert len(np.asarray(points.get_offsets())) == 36
    colours = [to_hex(colour).upper() for colour in np.asarray(points.get_facecolor())]
    assert colours.count(NO_LABEL) == 9


def test_equal_pictures_are_equal_files(found: Analysis, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        pictures.save(pictures.markers(found, TYPES, "A title", "A caption."), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
