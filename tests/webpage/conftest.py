"""One browser for each worker, a context of its own for each visit; no visit may end with a message or a request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, WebError, expect, sync_playwright

from stages.report import PAGE
from tests.report import made as small
from tests.report import vessel
from tests.webpage import made

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
GRAPHICS = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking")
INSIDE = ("file:", "data:", "blob:")
expect.set_options(timeout=30_000)  # milliseconds, of a busy machine

Visit = Callable[..., Page]
Build = Callable[[str], Path]


def expect_view(page: Page, view: str) -> None:
    """Wait until the page shows one view only; before its script has run it shows all."""
    expect(page.locator("main > section:visible")).to_have_count(1)
    expect(page.locator(f"#{view}")).to_be_visible()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        its_own = Path(playwright.chromium.executable_path)
        path = next(filter(None, map(shutil.which, BROWSERS)), str(its_own) if its_own.is_file() else None)
        if path is None:
            pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH, nor is there Playwright's own")
        browser = playwright.chromium.launch(executable_path=path, args=GRAPHICS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a file at a hash in a context of its own: options of `Browser.new_context`, a script to run before."""
    messages: list[str] = []
    contexts = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            messages.append(f"{message.type}: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith(INSIDE):
            messages.append(f"request: {request.url}")

    def on_error(error: WebError) -> None:
        messages.append(f"uncaught: {error.error.stack or error.error}")

    def open_page(file: Path, state: str = "", script: str = "", **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        context.on("console", on_console)
        context.on("request", on_request)
        context.on("weberror", on_error)
        context.add_init_script(script)
        page = context.new_page()
        page.goto(f"{file.as_uri()}#{state}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not messages


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Build:
    """Return a page of `made.PAGES` by its name, in the folder of its run; it is built once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "pages"
    folder.mkdir(exist_ok=True)

    def build(name: str) -> Path:
        path = folder / name / PAGE
        with FileLock(folder / f"{name}.lock"):
            if path.is_file():
                return path
            shutil.rmtree(folder / name, ignore_errors=True)  # of a build that failed, whose fault each test shall show
            return made.build(name, folder / name)

    return build


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a run of two datasets that are not the paper's."""
    monkeypatch.chdir(tmp_path)
    small.write_project()


@pytest.fixture
def papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a run of which a dataset and two models are the paper's."""
    monkeypatch.chdir(tmp_path)
    vessel.write_run()
