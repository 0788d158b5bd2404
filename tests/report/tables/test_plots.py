"""Bar charts and the page of `dvc plots`."""

from __future__ import annotations

import json
import re
from typing import Any

from genept.plots import palette
from tests.helpers import ROOT
from tests.report.tables.made import read_csv, report


def test_bar_chart_data_are_the_headline_numbers(project):
    report()
    rows = read_csv("plots/scores.csv")
    assert list(rows[0]) == ["dataset", "model", "metric", "value"]
    assert rows[0] == {"dataset": "blood", "model": "expression", "metric": "cell_type_ari", "value": "0.1000"}
    assert len(rows) == 2 * 8


def filled_template(rows: list[dict[str, str]]) -> dict[str, Any]:
    from dvc_render.vega import VegaRenderer

    renderer = VegaRenderer(rows, "plots/scores.csv", template="grouped_bars", template_dir=str(ROOT / ".dvc/plots"))
    return renderer.get_filled_template()


def test_the_bar_template_takes_the_report_s_columns(project):
    report()
    rows = [{**row, "rev": "workspace"} for row in read_csv("plots/scores.csv")]
    spec = filled_template(rows)
    assert spec["data"]["values"] == rows
    assert "<DVC_METRIC" not in json.dumps(spec)
    derived = {"line", "model_place", "rev_place", "bar"}
    used = set(re.findall(r'"field": "(\w+)"', json.dumps(spec))) | set(re.findall(r"datum\.(\w+)", json.dumps(spec)))
    assert used <= set(rows[0]) | derived


def test_bars_have_the_colours_of_the_pictures():
    spec = json.loads((ROOT / ".dvc/plots/grouped_bars.json").read_text())
    assert tuple(spec["spec"]["encoding"]["color"]["scale"]["range"]) == palette.COLOURS


def test_the_plots_page_loads_nothing_from_elsewhere(tmp_path):
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
