"""The page as a whole: its navigation and address, paper, no script, hostile labels, its bytes and its first paint."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.webpage import made
from tests.webpage.conftest import Build, Visit, expect_view

PAGES = list(dict.fromkeys(page for page, _ in made.VIEWS))
MEGABYTES = 2.0  # of the default grid


def views_of(name: str) -> list[str]:
    return [view for page, view in made.VIEWS if page == name]


@pytest.mark.parametrize("name", PAGES)
def test_the_navigation_names_every_view_and_opens_it(built: Build, visit: Visit, name: str) -> None:
    page = visit(built(name))
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the results")
    assert [link.get_attribute("href") for link in page.locator("nav a").all()] == [
        f"#view={view}" for view in views_of(name)
    ]
    for _ in page.locator("header summary").all():
        page.keyboard.press("Tab")
    for view in views_of(name):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect_view(page, view)
        expect(page.locator("nav a[aria-current]")).to_have_attribute("href", f"#view={view}")
    page.locator("nav a").first.click()
    expect_view(page, views_of(name)[0])


@pytest.mark.parametrize("name", PAGES)
def test_paper_shows_every_view_in_ink(built: Build, visit: Visit, name: str) -> None:
    page = visit(built(name), color_scheme="dark")
    page.evaluate("""addEventListener("beforeprint", () => {
      window.printed = [...document.querySelectorAll("main > section")].map((section) => ({
        view: section.id,
        height: section.clientHeight,
        ink: getComputedStyle(section).color,
        widths: [...section.querySelectorAll(".picture > svg")].map((picture) => picture.getBoundingClientRect().width),
      }));
    })""")
    page.pdf()
    printed = page.evaluate("printed")
    assert [section["view"] for section in printed] == views_of(name)
    for section in printed:
        assert section["height"] > 0 and section["ink"] == "rgb(27, 31, 36)"
        assert all(width > 200 for width in section["widths"])
    expect(page.locator("main > section:visible")).to_have_count(1)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_can_be_read_without_script(built: Build, visit: Visit, name: str) -> None:
    page = visit(built(name), java_script_enabled=False)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("footer noscript p")).to_be_visible()
    for view in views_of(name):
        expect(page.locator(f"#{view}")).to_be_visible()


def test_the_page_is_painted_soon(built: Build, visit: Visit, record_property: Callable[[str, object], None]) -> None:
    def painted() -> float:
        page = visit(built("committed"))
        entry = page.wait_for_function("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        return entry.json_value() / 1000

    seconds = statistics.median(painted() for _ in range(3))
    record_property("seconds to the first paint", round(seconds, 2))
    assert seconds < 3  # 1 on an idle machine


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_the_same_bytes_again(built: Build, tmp_path: Path, name: str) -> None:
    assert made.build(name, tmp_path / "again").read_bytes() == built(name).read_bytes()


def test_the_page_of_the_committed_run_is_small(built: Build, record_property: Callable[[str, object], None]) -> None:
    megabytes = built("committed").stat().st_size / 1e6
    record_property("megabytes of the page", round(megabytes, 2))
    assert megabytes <= MEGABYTES


def test_scores_are_printed_with_three_decimals(built: Build, visit: Visit) -> None:
    page = visit(built("frame"))
    printed = page.evaluate("[0.12345, -0.5, -0.0004, 1, null, undefined].map(page.three)")
    assert printed == ["0.123", "\u22120.500", "0.000", "1.000", "\u2013", "\u2013"]


def test_the_address_holds_the_choices(built: Build, visit: Visit) -> None:
    page = visit(built("frame"), "view=drawn&label=plain")
    chosen = page.locator("select[data-key=label]")
    expect(chosen).to_have_value("plain")
    chosen.select_option(made.HOSTILE)
    expect(page.locator("figcaption")).to_have_text(f"2 labels, chosen: {made.HOSTILE}")
    page.reload()
    expect(chosen).to_have_value(made.HOSTILE)
    page.locator("nav a").first.click()
    page.locator("nav a").last.click()
    expect(chosen).to_have_value(made.HOSTILE)
    opened = visit(built("frame"), page.url.partition("#")[2])
    expect(opened.locator("select[data-key=label]")).to_have_value(made.HOSTILE)


def test_back_returns_to_the_view_before(built: Build, visit: Visit) -> None:
    page = visit(built("frame"), "view=drawn&label=plain")
    page.locator("nav a").first.click()
    expect_view(page, "text")
    page.go_back()
    expect_view(page, "drawn")
    assert page.url.endswith("#view=drawn&label=plain")


def test_a_view_opens_in_a_tab_of_its_own(built: Build, visit: Visit) -> None:
    page = visit(built("frame"), "view=text")
    with page.context.expect_page() as opened:
        page.locator("nav a").last.click(modifiers=["Control"])
    opened.value.wait_for_load_state()
    expect_view(opened.value, "drawn")
    expect_view(page, "text")


def test_who_skips_to_the_results_stays_in_the_view(built: Build, visit: Visit) -> None:
    page = visit(built("frame"), "view=drawn&label=plain")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect_view(page, "drawn")
    assert page.url.endswith("#view=drawn&label=plain")


@pytest.mark.parametrize(
    "state", ["view=gone", "view=drawn&label=gone", "%E0%A4%A&view", "view=__proto__", "label=%3Cb%3E"]
)
def test_an_address_that_is_wrong_opens_the_default(built: Build, visit: Visit, state: str) -> None:
    page = visit(built("frame"), state)
    view = "drawn" if "drawn" in state else "text"
    expect_view(page, view)
    if view == "drawn":
        expect(page.locator("select[data-key=label]")).to_have_value("plain")


@pytest.mark.parametrize("view", ["text", "drawn"])
def test_labels_are_text(built: Build, visit: Visit, view: str) -> None:
    page = visit(built("frame"), f"view={view}")
    expect(page).to_have_title(" ".join(made.HOSTILE.split()))
    expect(page.locator(f"#{view}")).to_contain_text(made.HOSTILE)
    assert page.locator("h1 b, section b").count() == 0


def test_paper_has_no_empty_frames_of_cells(built: Build, visit: Visit) -> None:
    page = visit(built("committed"), "view=overview")
    page.emulate_media(media="print")
    height = "document.querySelector('#cells .panels').clientHeight"
    assert page.evaluate(f"() => {{ dispatchEvent(new Event('beforeprint')); return {height}; }}") == 0
    page.wait_for_function(f"{height} > 0")  # once the points are drawn


def test_paper_keeps_the_colours_that_mean_something(built: Build, visit: Visit) -> None:
    page = visit(built("committed"), "view=overview")
    page.emulate_media(media="print")
    expect(page.locator("#overview td.number").first).to_have_css("print-color-adjust", "exact")
