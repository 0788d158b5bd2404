"""The pictures of an annotation: its marker genes, its clusters and types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from genept.plots import annotation, palette
from tests.plots import made


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
    np.testing.assert_allclose(np.asarray(dots.get_facecolor()), colormaps[palette.DIVERGING]((table["z"] + 2) / 4))
    np.testing.assert_allclose(dots.get_sizes(), table["share"] * annotation.Dots.DEFAULT_LARGEST_DOT)
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [(frame.get_x(), frame.get_y(), frame.get_width()) for frame in frames] == [(0, 0, 8), (0, 1, 8), (8, 2, 1)]
    assert {"1.25", "1.50", "0.10", "Score", "Margin"} == {text.get_text() for text in ax.texts}
    captions = made.words(figure)
    assert captions.startswith("Dataset a.") and captions.endswith("the first 8 genes of the table are drawn.")


@pytest.mark.parametrize("batch", [None, "age_bin"])
def test_cells_that_pass_are_drawn_by_cluster_type_and_batch(tmp_path: Path, batch: str | None) -> None:
    made.write_annotation(tmp_path, batch)
    figure = annotation.umap(annotation.read(tmp_path), "A title", "Dataset a")["umap"]
    assert [ax.get_title() for ax in figure.axes] == ["Cluster", "Cell type", "Age bin"][: 3 if batch else 2]
    assert ("balanced over batches" in made.words(figure)) == (batch is not None)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3", "4"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "2", "3", "4"]
    (points,) = figure.axes[1].collections
    colours = [to_hex(colour).upper() for colour in np.asarray(points.get_facecolor())]
    assert len(colours) == 36 and colours.count(palette.NO_LABEL) == 9


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
    figure = annotation.umap(annotation.read(tmp_path), "A title", "Dataset a", agreed)["umap"]
    caption = made.words(figure)
    assert f"seed 0. Agreement with the authors' labels: {sentence}" in caption
