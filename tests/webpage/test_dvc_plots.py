"""The page of `dvc plots` in a browser: every picture is drawn, titles are words, and no server is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genept.report import confusion
from tests.helpers import ROOT
from tests.report.test_confusion import pairs
from tests.webpage.conftest import Visit

PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
SCORE = {"dataset": "blood", "model": "one", "kind": "models", "metric": "ARI: words", "value": "0.3", "low": "0.2"}


@pytest.mark.parametrize("revisions", [["workspace"], ["HEAD", "workspace"]])
def test_dvc_s_page_draws_every_plot_and_says_in_words_what_it_is(
    visit: Visit, tmp_path: Path, revisions: list[str]
) -> None:
    from dvc_render import ImageRenderer, VegaRenderer
    from dvc_render.html import render_html

    counts = confusion.matrices("blood", {"one": pairs(("B", "B", 4), ("T", "B", 1))}).astype(str).to_dict("records")
    scores = [{**SCORE, "high": "0.4"}, {**SCORE, "model": "two", "value": "", "high": ""}]
    rows: dict[str, list[dict[Any, Any]]] = {"scores": scores, "confusion_matrices": counts}
    plots = [
        VegaRenderer(
            [{**row, "rev": rev} for rev in revisions for row in table],
            name,
            template=name,
            template_dir=str(ROOT / ".dvc/plots"),
            title="Words",
        )
        for name, table in rows.items()
    ]
    images = [
        ImageRenderer([{"rev": rev, "src": PICTURE} for rev in revisions], name)
        for name in ("plots/umap/blood/text_w.png", "plots/summary_light.svg")
    ]
    path = tmp_path / "index.html"
    render_html([*images, *plots], path, html_template=ROOT / ".dvc/plots/page.html")
    page = visit(path)
    page.wait_for_selector("#confusion_matrices canvas")
    assert page.locator("canvas").count() == 2
    assert page.locator("body > div > p").all_inner_texts() == ["Summary", "UMAP, blood, text_w"]
    named = page.locator("body > div > div > p").all_inner_texts()
    assert named == (revisions * 2 if len(revisions) > 1 else [])
