"""What holds for every view of every page: it fits its window and can be read by all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.webpage import made
from tests.webpage.conftest import Build, Visit, expect_view

WIDTHS = (390, 768, 1440)
TOO_WIDE = """limit => [...document.querySelectorAll("body *")]
  .filter(element => element.getBoundingClientRect().right > limit && !element.closest(".scroll, .picture, .aside"))
  .map(element => element.cloneNode().outerHTML)"""
NAMES = list(dict.fromkeys(name for name, _ in made.VIEWS))


def each_view(page: Page, name: str) -> Iterator[str]:
    """Open one view of a page after the other; a page takes its time to load, and a view to be drawn first."""
    for view in [view for of_page, view in made.VIEWS if of_page == name]:
        page.evaluate("view => { location.hash = `view=${view}`; }", view)
        expect_view(page, view)
        if view == "cells":  # which are unpacked first
            expect(page.locator("#cells .panel figcaption").first).not_to_be_empty()
        yield view


@pytest.mark.parametrize("name", NAMES)
def test_every_view_fits_its_window(built: Build, visit: Visit, name: str) -> None:
    page = visit(built(name), viewport={"width": WIDTHS[0], "height": 900})
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for view in each_view(page, name):
            page.evaluate("page.set({})")  # which draws again
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (
                view,
                page.evaluate(TOO_WIDE, width),
            )


def test_long_names_leave_room_for_numbers_on_a_phone(built: Build, visit: Visit) -> None:
    page = visit(built("committed"), "view=overview", viewport={"width": WIDTHS[0], "height": 900})
    code = page.locator("#overview th code").first
    code.evaluate("code => code.textContent = 'genept_w_' + 'a'.repeat(31)")
    names = page.locator("#overview .heat").first.locator("th[scope=row]")
    sizes = names.evaluate_all("names => names.map(name => [name.offsetWidth, name.offsetHeight])")
    assert all(100 < width < WIDTHS[0] / 2 for width, _ in sizes)
    assert min(height for _, height in sizes) < 40  # a short name is one line


@pytest.mark.parametrize("width", [320, 1280])
def test_the_navigation_hides_nothing_that_has_the_focus(built: Build, visit: Visit, width: int) -> None:
    page = visit(built("committed"), "view=data", viewport={"width": width, "height": 600})
    page.locator("#data summary").last.focus()
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("""() => {
          const [nav, focused] = [document.querySelector("nav"), document.activeElement];
          return nav.getBoundingClientRect().bottom < focused.getBoundingClientRect().bottom;
        }""")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "hostile"])  # axe takes its time
def test_every_view_can_be_read_by_all(built: Build, visit: Visit, name: str) -> None:
    page = visit(built(name), color_scheme="light")
    for number, view in enumerate(each_view(page, name)):
        parts = (
            {"include": [["nav"], ["header"], [f"#{view}"]]} if number else None
        )  # once with rules of the whole page
        page.emulate_media(color_scheme="light")
        found = Axe().run(page, parts, {"resultTypes": ["violations"]}).response["violations"]
        page.emulate_media(color_scheme="dark")
        in_the_dark = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
        found += Axe().run(page, parts, in_the_dark).response["violations"]
        serious = [finding for finding in found if finding["impact"] in ("serious", "critical")]
        nodes = [(finding["id"], node) for finding in serious for node in finding["nodes"]]
        assert not [(view, rule, node["html"], node["failureSummary"]) for rule, node in nodes]
        for picture in page.locator(f"#{view} figure").all():
            assert picture.locator(".picture").locator("[aria-label], title, table").count()
            assert picture.locator("figcaption").inner_text()


def test_labels_are_text(built: Build, visit: Visit) -> None:
    page = visit(built("hostile"))
    for view in each_view(page, "hostile"):
        expect(page.locator(f"#{view}")).to_contain_text(made.HOSTILE)
        assert page.locator("main b").count() == 0, view
