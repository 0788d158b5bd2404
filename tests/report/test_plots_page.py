"""Bar charts and the page of `dvc plots`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from genept.plots import page
from tests.helpers import ROOT
from tests.report.made import read_csv, report


def test_the_bar_template_takes_the_report_s_columns(project: Path) -> None:
    from dvc_render.vega import VegaRenderer

    report()
    rows = [{**row, "rev": "workspace"} for row in read_csv("plots/scores.csv")]
    folder = str(ROOT / ".dvc/plots")
    spec = VegaRenderer(rows, "plots/scores.csv", template="grouped_bars", template_dir=folder).get_filled_template()
    text = json.dumps(spec)
    assert spec["data"]["values"] == rows and "<DVC_METRIC" not in text
    used = set(re.findall(r'"field": "(\w+)"', text)) | set(re.findall(r"datum\.(\w+)", text))
    assert used <= set(rows[0]) | {"line", "model_place", "rev_place", "bar"}


def test_bars_have_the_colours_of_the_pictures() -> None:
    spec = json.loads((ROOT / ".dvc/plots/grouped_bars.json").read_text())
    assert tuple(spec["spec"]["encoding"]["color"]["scale"]["range"]) == page.COLOURS


def test_the_plots_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    from dvc_render.html import render_html
    from dvc_render.vega import VegaRenderer

    rows = [{"step": "1", "loss": "0.5", "rev": "workspace"}]
    page = tmp_path / "index.html"
    render_html([VegaRenderer(rows, "loss", x="step", y="loss")], page, html_template=ROOT / ".dvc/plots/page.html")
    text = page.read_text(encoding="utf-8")
    assert "cdn.jsdelivr.net" not in text
    without_code = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert "<script" in text
    assert not re.findall(r"<script\b[^>]*\bsrc|<link|<iframe|<img|@import|url\(", without_code)
    assert not {"{plot_divs}", "{refresh_tag}", "{scripts}"} & set(re.findall(r"\{\w+\}", text))
    assert len(re.findall("<script", text)) - len(re.findall("</script>", text)) == 0
    for library in ("vega 5.", "vega-lite 5.", "vega-embed 6."):
        assert f"<script>/* {library}" in text
    assert "vegaEmbed('#loss', spec)" in text
