"""What holds for every view of every page: it fits its window and can be read by all."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.webpage import made
from tests.webpage.conftest import Build, Visit

WIDTHS = (390, 768, 1440)
TOO_WIDE = """limit => [...document.querySelectorAll("body *")]
  .filter(element => element.getBoundingClientRect().right > limit && !element.closest(".scroll, .picture, .aside"))
  .map(element => element.cloneNode().outerHTML)"""
ALONE = "document.querySelectorAll('main > section:not(.shown)').forEach((section) => section.remove())"
READ = [view for view in made.VIEWS if view[0] != "hostile"]  # axe takes its time
every_view = pytest.mark.parametrize(("name", "view"), made.VIEWS, ids=["-".join(view) for view in made.VIEWS])


@every_view
def test_a_view_fits_its_window(built: Build, visit: Visit, name: str, view: str) -> None:
    page = visit(built(name), f"view={view}", viewport={"width": WIDTHS[0], "height": 900})
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("page.set({})")  # which draws again
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.evaluate(TOO_WIDE, width)


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


@pytest.mark.parametrize(("name", "view"), READ, ids=["-".join(view) for view in READ])
def test_a_view_can_be_read_by_all(built: Build, visit: Visit, name: str, view: str) -> None:
    page = visit(built(name), f"view={view}", color_scheme="light")
    expect(page.locator("main > section:visible")).to_have_attribute("id", view)
    page.evaluate(ALONE)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.emulate_media(color_scheme="dark")
    in_the_dark = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
    found += Axe().run(page, options=in_the_dark).response["violations"]
    serious = [finding for finding in found if finding["impact"] in ("serious", "critical")]
    nodes = [(finding["id"], node) for finding in serious for node in finding["nodes"]]
    assert not [(rule, node["html"], node["failureSummary"]) for rule, node in nodes]
    for picture in page.locator(f"#{view} figure").all():
        assert picture.locator(".picture").locator("[aria-label], title, table").count()
        assert picture.locator("figcaption").inner_text()


@pytest.mark.parametrize("view", made.NAMES)
def test_labels_are_text(built: Build, visit: Visit, view: str) -> None:
    page = visit(built("hostile"), f"view={view}")
    expect(page.locator(f"#{view}")).to_contain_text(made.HOSTILE)
    assert page.locator("main b").count() == 0
