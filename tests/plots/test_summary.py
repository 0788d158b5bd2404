"""The summary picture: what its lines show, and equal bytes in both themes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from genept.plots import summary
from genept.plots.palette import ModelLook
from genept.plots.summary import Line, Panel
from tests.helpers import ROOT

LOOKS = {
    "expression": ModelLook("#808080", "full"),
    "text <w>": ModelLook("#3052d1", "full"),
    "random": ModelLook("#3052d1", "hollow"),
    "gone": ModelLook("#000000", "thin"),
}
ACCURACY = Panel(
    "Accuracy",
    [
        Line("expression", "models", 0.7, 0.6, 0.8),
        Line("text <w>", "models", 0.6, None, None),
        Line("random", "controls", 0.5, 0.3, 0.65),
    ],
    floor=0.2,
)
ARI = Panel("ARI $x$", [Line("random", "controls", 0.1, None, None)], floor=0.0)


def test_a_panel_shows_values_ranges_floor_and_the_band_of_the_controls() -> None:
    figure = summary.draw({"blood": [ACCURACY, ARI]}, LOOKS, summary.THEMES["light"])
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["expression", "text <w>", "random"]
    assert not any(label.get_text() for label in right.get_yticklabels())
    lines = [
        (np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float), line)
        for line in left.lines
    ]
    points = {y[0]: (x[0], line.get_fillstyle()) for x, y, line in lines if line.get_marker() == "o"}
    assert [points[y] for y in range(3)] == [(0.7, "full"), (0.6, "full"), (0.5, "none")]
    segments = [sorted(x) for x, _, line in lines if line.get_marker() != "o"]
    assert [0.6, 0.8] in segments and [0.3, 0.65] in segments and [0.2, 0.7] in segments and [0.2, 0.2] in segments
    band = left.patches[0].get_extents().transformed(left.transData.inverted())
    assert (band.x0, band.x1) == pytest.approx((0.3, 0.65))
    assert ARI.band == (0.1, 0.1) and Panel("", ACCURACY.lines[:2], 0.0).band is None


def test_the_title_of_a_dataset_with_a_long_name_stays_above_its_panel() -> None:
    accuracy, name = ACCURACY._replace(title="Accuracy, new donors"), "multiple_sclerosis_of_the_brain"
    left, right = summary.draw({name: [accuracy, ARI]}, LOOKS, summary.THEMES["light"]).axes
    title = left.get_title(loc="left")
    (drawn,) = (text for text in left.findobj(Text) if text.get_text() == title)
    assert title.split("\n") == [name, accuracy.title] and right.get_title(loc="left") == ARI.title
    assert drawn.get_window_extent().x1 < right.bbox.x0


def test_pictures_are_equal_bytes_and_themes_differ(tmp_path: Path) -> None:
    def written(theme: str, name: str) -> bytes:
        summary.save(summary.draw({"b": [ACCURACY], "t": [ARI]}, LOOKS, summary.THEMES[theme]), tmp_path / name)
        return (tmp_path / name).read_bytes()

    light = written("light", "a.svg")
    assert light == written("light", "b.svg") != written("dark", "c.svg")
    assert b"<dc:date>" not in light


def test_a_letter_that_no_font_has_is_drawn_without_a_warning() -> None:
    code = (
        "import pathlib, tempfile; from genept.plots import summary, palette;"
        "look = palette.ModelLook('#000000', 'full');"
        "panel = summary.Panel('Ari', [summary.Line('\\N{DNA DOUBLE HELIX}', 'models', 0.5, None, None)], 0.0);"
        "figure = summary.draw({'b': [panel]}, {'\\N{DNA DOUBLE HELIX}': look}, summary.THEMES['light']);"
        "summary.save(figure, pathlib.Path(tempfile.mkdtemp(), 'a.svg'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
