"""The cells in a browser: what is pointed at, isolated or encircled is what the files have; no WebGL, many cells."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.report.made import read_csv
from tests.webpage import made
from tests.webpage.conftest import Build, Visit

SIDES = {"left": "expression", "right": "genept_w_minilm"}
CHOICES = "&".join(["view=cells&dataset=covid", *map("=".join, SIDES.items())])
NO_WEBGL = """const { getContext } = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.getContext = function (kind, ...options) {
  return kind.includes("webgl") ? null : getContext.call(this, kind, ...options);
};"""
IN_PAGE = "([side, id]) => page.cells.screenPosition(side, id)"
TIMERS = "new Promise((done) => setTimeout(done, 20))"  # those that a move of the mouse has set, of 10 ms, come first
HOVER = """([x, y]) => {
  const canvas = document.querySelector("canvas[data-panel=left]");
  const start = performance.now();
  canvas.dispatchEvent(new MouseEvent("mousemove", { bubbles: true, clientX: x, clientY: y }));
  return performance.now() - start;
}"""


class Spot(NamedTuple):
    """A place in the window."""

    x: float
    y: float


def open_cells(visit: Visit, file: Path, state: str = CHOICES, **options: object) -> Page:
    """Open the view in a window in which nothing has to be scrolled."""
    return visit(file, state, viewport={"width": 680, "height": 1600}, **options)


def read(page: Path, dataset: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Read the cells and their predictions, of which a page was made."""
    run = page.parent.parent
    return read_csv(f"{run}/plots/cells/{dataset}.csv"), read_csv(f"{run}/metrics/predictions/{dataset}.csv")


def models_of(prediction: dict[str, str]) -> list[str]:
    """Return which models predict, without the floors."""
    return [name for name in prediction if name not in ("cell_id", "split", "actual", "majority", "random_cells")]


def places(rows: list[dict[str, str]], model: str) -> np.ndarray:
    """Return the coordinates of cells, shape (n_cells, 2)."""
    return np.array([[row[f"{model}_1"], row[f"{model}_2"]] for row in rows], dtype=float)


def lonely(rows: list[dict[str, str]], label: str) -> dict[str, str]:
    """Return the cell of a type that is farthest from all others in both layouts."""
    layouts = np.array([places(rows, model) for model in SIDES.values()])
    distances = np.linalg.norm(layouts[:, :, None] - layouts[:, None], axis=-1)
    nearest = np.sort(distances)[:, :, 1].min(axis=0)
    return max(zip(nearest, rows, strict=True), key=lambda one: (one[1]["cell_type"] == label, one[0]))[1]


def spot(page: Page, side: str, cell: str) -> Spot:
    """Return where a cell is, once it is drawn."""
    return Spot(**page.wait_for_function(IN_PAGE, arg=[side, cell]).json_value())


def colours(page: Page, at: Spot) -> set[str]:
    """Return the colours of the window in a square of 3 by 3 pixels."""
    clip = {"x": round(at.x) - 1, "y": round(at.y) - 1, "width": 3, "height": 3}
    image = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")  # type: ignore[arg-type]
    return {"rgb({}, {}, {})".format(*colour) for _, colour in image.getcolors() or []}  # type: ignore[misc]


def expect_colour(page: Page, at: Spot, colour: str) -> None:
    """Wait until a place in the window has a colour; a picture of the window takes a frame or more."""
    assert any(colour in colours(page, at) for _ in range(300)), (at, colour, colours(page, at))


def expect_cell(page: Page, side: str, cell: str, colour: str) -> None:
    """Wait until a cell has a colour in a panel."""
    expect_colour(page, spot(page, side, cell), colour)


def colour_of(page: Page, name: str) -> str:
    """Return a colour of the page's style as ``rgb(r, g, b)``."""
    hexadecimal = page.evaluate("(name) => page.colour(name)", name)
    return "rgb({}, {}, {})".format(*bytes.fromhex(hexadecimal[1:]))


def entry(page: Page, label: str) -> Locator:
    """Return the button of a label in the legend."""
    return page.locator("#cells .legend button").filter(has=page.get_by_text(label, exact=True))


def swatch(page: Page, label: str) -> str:
    colour = entry(page, label).locator(".swatch").evaluate("(swatch) => getComputedStyle(swatch).backgroundColor")
    return str(colour)


def cells_of(table: Locator) -> list[list[str]]:
    """Return a table's cells, the heading first."""
    return [row.locator("th, td").all_inner_texts() for row in table.locator("tr").all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pointing_at_a_cell_says_what_it_is_and_marks_it_in_the_other_panel(
    built: Build, visit: Visit, scheme: str
) -> None:
    page = open_cells(visit, built("committed"), color_scheme=scheme)
    rows, predictions = read(built("committed"), "covid")
    status = page.locator("#cell-status")
    for label in ("B cell", "T cell"):
        row = lonely(rows, label)
        at, other = (spot(page, side, row["cell_id"]) for side in SIDES)
        field = page.locator("canvas[data-panel=right]").bounding_box()
        assert field
        for place in (at, other):
            expect_colour(page, place, swatch(page, label))
        page.mouse.move(*at)
        expect(status.locator("strong")).to_have_text(row["cell_id"])
        expect(status).to_contain_text(f" · Cell type: {label} · Patient: {row['patient']}")
        said = next(one for one in predictions if one["cell_id"] == row["cell_id"])
        right = [model for model in models_of(said) if said[model] == label]
        expect(status).to_contain_text(f"Right: {', '.join(right)}.")
        reticle = Spot(other.x, field["y"] + 2)
        expect_colour(page, reticle, colour_of(page, "ink"))
        page.mouse.move(1, 1)
        expect_colour(page, reticle, colour_of(page, "paper"))
    assert swatch(page, "B cell") != swatch(page, "T cell")


def test_a_click_or_key_in_the_legend_isolates_a_label(built: Build, visit: Visit) -> None:
    page = open_cells(visit, built("committed"))
    rows, _ = read(built("committed"), "covid")
    cells = {label: lonely(rows, label)["cell_id"] for label in ("B cell", "T cell")}

    def expect_colours(colours: dict[str, str]) -> None:
        for side in SIDES:
            for label, colour in colours.items():
                expect_cell(page, side, cells[label], colour)

    both, faint = {label: swatch(page, label) for label in cells}, colour_of(page, "line")
    expect_colours(both)
    entry(page, "T cell").click()
    expect(entry(page, "T cell")).to_have_attribute("aria-pressed", "true")
    expect(entry(page, "B cell")).to_have_attribute("aria-pressed", "false")
    expect_colours(both | {"B cell": faint})
    expect(entry(page, "T cell")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(entry(page, "B cell")).to_have_attribute("aria-pressed", "true")
    expect_colours(both | {"T cell": faint})
    page.keyboard.press("Space")
    expect(entry(page, "B cell")).to_have_attribute("aria-pressed", "false")
    expect_colours(both)


@pytest.mark.parametrize("way", ["Shift", "Lasso"])
def test_the_lasso_counts_cells_by_label_and_by_who_has_them_right(built: Build, visit: Visit, way: str) -> None:
    page = open_cells(visit, built("committed"))
    rows, predictions = read(built("committed"), "covid")
    x = places(rows, SIDES["left"])[:, 0]
    order = np.argsort(x)
    last = 10 + int(np.diff(x[order])[10:30].argmax())  # the widest gap in the middle
    inside = [rows[i] for i in order[: last + 1]]
    edges = [spot(page, "left", rows[i]["cell_id"]).x for i in order[last : last + 2]]
    expect_cell(page, "left", lonely(rows, "B cell")["cell_id"], swatch(page, "B cell"))
    box = page.locator("canvas[data-panel=left]").bounding_box()
    assert box
    left, right, top, bottom = box["x"] + 2, sum(edges) / 2, box["y"] + 2, box["y"] + box["height"] - 2
    if way == "Lasso":
        page.get_by_role("button", name="Lasso").click()
        expect(page.get_by_role("button", name="Lasso")).to_have_attribute("aria-pressed", "true")
    else:
        page.keyboard.down("Shift")
    page.mouse.move(left, top)
    page.mouse.down()
    for corner in ((left, bottom), (right, bottom), (right, top), (left, top)):
        page.mouse.move(*corner)
        page.evaluate(TIMERS)
    page.mouse.up()
    expect(page.get_by_role("heading", name=f"{len(inside)} selected cells")).to_be_visible()
    labels, models = (cells_of(table) for table in page.locator("#cells .pair table").all())
    n = Counter(row["cell_type"] for row in inside)
    assert labels == [["Cell type", "Cells"], *([label, str(n[label])] for label in sorted(n))]
    said = [one for one in predictions if one["cell_id"] in {row["cell_id"] for row in inside}]
    expected = []
    for model in models_of(said[0]):
        n_right = sum(one[model] == one["actual"] for one in said)
        expected.append([model, str(n_right), str(len(said)), f"{n_right / len(said):.3f}"])
    assert models == [["Model", "Right", "Of cells", "Share"], *expected]
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_role("heading", name="selected cell")).to_have_count(0)


def test_the_address_holds_what_is_chosen(built: Build, visit: Visit) -> None:
    page = open_cells(visit, built("committed"), "view=cells")
    choices = {"dataset": "ovarian", "left": "random_w", "right": "scgpt_mini", "colour": "patient"}
    for key, value in choices.items():
        page.locator(f"#cells select[data-key={key}]").select_option(value)
    entry(page, "P1").click()
    rows, _ = read(built("committed"), "ovarian")
    own, other = (next(row["cell_id"] for row in rows if row["patient"] == patient) for patient in ("P1", "P2"))

    def expect_chosen(page: Page) -> None:
        for key, value in choices.items():
            expect(page.locator(f"#cells select[data-key={key}]")).to_have_value(value)
        expect(entry(page, "P1")).to_have_attribute("aria-pressed", "true")
        for side in SIDES:
            expect_cell(page, side, own, swatch(page, "P1"))
        expect_cell(page, "left", other, colour_of(page, "line"))

    expect_chosen(page)
    page.reload()
    expect_chosen(page)
    expect_chosen(open_cells(visit, built("committed"), page.url.partition("#")[2]))


def test_ids_and_labels_are_text(built: Build, visit: Visit) -> None:
    page = open_cells(visit, built("hostile"), "view=cells&dataset=blood&left=expression&right=expression")
    text = " ".join(made.HOSTILE.split())
    row = next(row for row in read(built("hostile"), "blood")[0] if row["cell_id"] == made.HOSTILE)
    assert row["cell_type"] == made.HOSTILE
    at = spot(page, "left", made.HOSTILE)
    expect_colour(page, at, swatch(page, text))
    page.mouse.move(*at)
    expect(page.locator("#cell-status strong")).to_have_text(text)
    expect(page.locator("#cell-status")).to_contain_text(f"Cell type: {text}")
    entry(page, text).click()
    page.reload()
    expect(entry(page, text)).to_have_attribute("aria-pressed", "true")
    expect_cell(page, "left", made.HOSTILE, swatch(page, text))
    field = page.get_by_role("searchbox", name="Find a cell by its id")
    for cell, said in ((made.HOSTILE, text), ("c1", "No cell has this id.")):
        field.fill(cell)
        field.press("Enter")
        expect(page.locator("#cell-status")).to_contain_text(said)
    assert page.locator("#cells b").count() == 0


def test_without_webgl_a_sentence_and_the_tables_stand_there(built: Build, visit: Visit) -> None:
    page = open_cells(visit, built("committed"), script=NO_WEBGL)
    sentence = "This browser draws no cells, since it has no WebGL. The numbers are below."
    expect(page.locator("#cells .panel .picture")).to_have_text([sentence] * 2)
    expect(page.locator("#cells canvas")).to_have_count(0)
    rows, _ = read(built("committed"), "covid")
    counts = [[label, str(n)] for label, n in sorted(Counter(row["cell_type"] for row in rows).items())]
    expect(page.locator("#cells .drawn tbody tr")).to_have_count(len(counts))
    assert [cells[:2] for cells in cells_of(page.locator("#cells .drawn table"))[1:]] == counts
    entry(page, "T cell").click()
    expect(entry(page, "T cell")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("searchbox", name="Find a cell by its id").fill("c2")
    page.keyboard.press("Enter")
    expect(page.locator("#cell-status strong")).to_have_text("c2")


def test_fifty_thousand_cells_stay_usable(
    built: Build, visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    page = open_cells(visit, built("crowded"), "view=cells&dataset=blood&left=expression&right=text_w")
    type_of = {row["cell_id"]: row["cell_type"] for row in read(built("crowded"), "blood")[0]}
    cell = min(type_of)

    def now() -> float:
        return float(page.evaluate("performance.now()")) / 1000

    expect(page.locator("#cells .panel figcaption")).to_have_text(["50,000 cells"] * 2)
    for side in SIDES:
        expect_colour(page, spot(page, side, cell), swatch(page, type_of[cell]))
    seconds = {"open": now()}
    at = spot(page, "left", cell)
    page.mouse.move(*at)
    named = page.locator("#cell-status strong").inner_text()
    assert np.hypot(*np.subtract(spot(page, "left", named), at)) < 8
    expect(page.locator("#cell-status")).to_contain_text(f"Cell type: {type_of[named]} ")
    seconds["hover"] = max(page.evaluate(HOVER, [at.x + i, at.y]) for i in range(5)) / 1000
    start = now()
    other = next(label for label in type_of.values() if label != type_of[cell])
    entry(page, other).click()
    expect_cell(page, "left", cell, colour_of(page, "line"))
    seconds["isolate"] = now() - start
    for name, value in seconds.items():
        record_property(f"seconds to {name}, 50,000 cells", round(value, 3))
    assert seconds["hover"] < 1 and max(seconds.values()) < 30  # 0.01 and about 2 on an idle machine
