"""The templates and the page of `dvc plots`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from genept.plots import palette
from genept.report import confusion
from tests.helpers import ROOT
from tests.report.made import read_csv, report

KINDS = ["baseline", "models", "controls", "fine-tuned", "bounds"]


@pytest.mark.parametrize("template", ["scores", "confusion_matrices"])
def test_a_template_takes_the_columns_of_its_file(project: Path, template: str) -> None:
    from dvc_render.vega import VegaRenderer

    report()
    pairs = pd.DataFrame({"actual": ["T", "B"], "predicted": ["T", "T"]})
    confusion.matrices("blood", {"one": pairs}).to_csv("plots/confusion_matrices.csv", index=False)
    rows = [{**row, "rev": "workspace"} for row in read_csv(f"plots/{template}.csv")]
    folder = str(ROOT / ".dvc/plots")
    spec = VegaRenderer(rows, "id", template=template, template_dir=folder, title="Words").get_filled_template()
    text = json.dumps(spec)
    assert spec["data"]["values"] == rows and spec["title"]["text"] == "Words" and "<DVC_METRIC" not in text
    used = set(re.findall(r'"field": "(\w+)"', text)) | set(re.findall(r"datum\.(\w+)", text))
    assert used - set(re.findall(r'"as": "(\w+)"', text)) <= {*rows[0], "label"}  # label: of a facet's header


def test_scores_have_a_kind_and_a_line_for_every_model_in_every_panel(project: Path) -> None:
    report()
    table = pd.read_csv("plots/scores.csv")
    assert list(table.loc[0]) == ["blood", "expression", "baseline", "Accuracy", 0.1, 0.0736, 0.1264]
    panels = table.groupby(["dataset", "metric"], sort=False)["model"].agg(list)
    assert len(panels) == 2 * 8 and all(models == panels.iloc[0] for models in panels)  # Vega-Lite mislabels gaps
    kinds = dict(zip(table["model"], table["kind"], strict=True))
    assert {kinds[name] for name in ("random_w", "tuned", "majority")} == {"controls", "fine-tuned", "bounds"}
    spec = json.loads((ROOT / ".dvc/plots/scores.json").read_text(encoding="utf-8"))
    plain, text, tuned, bound = palette.BASELINE, palette.MODELS[0], palette.TUNED, palette.BOUNDS[0]
    encoding = spec["spec"]["layer"][0]["encoding"]
    assert encoding["color"]["scale"] == {"domain": KINDS, "range": [plain, text, "#FFFFFF", tuned, bound]}
    assert encoding["stroke"]["condition"]["value"] == text and set(kinds.values()) <= set(KINDS)


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
