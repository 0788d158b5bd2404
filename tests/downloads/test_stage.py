"""The command: where files go, and that all settings of the grid are checked before anything is downloaded."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import click.testing
import pytest
import yaml

from genept.core.params import Models
from stages.fetch import main
from tests import helpers
from tests.downloads.fetching import STORE
from tests.downloads.loopback import Web

MODEL = "from genept.engines.config import ModelConfig as Model\n\n\ndef embed(dataset, model): ...\n"


@functools.cache
def default_params() -> dict[str, Any]:
    return dict(yaml.safe_load((helpers.ROOT / "params.yaml").read_text()))


def source(web: Web) -> dict[str, Any]:
    return {"kind": "http", "files": {"raw.h5ad": {"url": web.put("/a", b"a")}}}


def write(web: Web, change: dict[str, Any]) -> None:
    """Write the settings of a grid with one dataset and one model, and of gene tables."""
    grid = {"datasets": ["demo"], "pretrain": [], "ensemble": [], **change.get("grid", {})}
    grid["models"] = {**{key: [] for key in Models.model_fields}, "custom": ["m"], **grid.get("models", {})}
    dataset = {"title": "Demo", "note": "", "source": source(web), "obs": {"cell_type": "kind"}}
    files = {
        "params": {
            **default_params(),
            "grid": grid,
            "grids": {},
            "baseline": next(filter(None, grid["models"].values()))[0],
        },
        "data/demo": {**dataset, **change.get("dataset", {})},
        "data/reference": change.get("reference", {"source": [source(web)]}),
        "models/m": {"title": "M", "source": source(web), **change.get("model", {})},
    }
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(f"{name}.yaml").write_text(json.dumps(content))  # JSON is YAML, and quicker to read and write
    Path("models/m.py").write_text(MODEL)


def invoke(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["reference"], "data/reference/raw.h5ad"),
        (["dataset", "demo"], "data/demo/raw/raw.h5ad"),
        (["model", "m"], "models/m/raw.h5ad"),
        (["encoder", "m"], "data/encoders/m/raw.h5ad"),
    ],
)
def test_files_go_to_their_folder(web: Web, arguments: list[str], place: str) -> None:
    write(web, {})
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert Path(place).read_bytes() == b"a"
    assert f"{place}: 0.0 MB, downloaded (http {web.url}/a)" in result.output
    web.put("/a", status=403)
    Path(place).unlink()
    assert invoke(*arguments).exit_code == 0  # from the store


def test_nothing_to_fetch_is_an_empty_folder_and_a_file_that_cannot_be_had_one_line(web: Web) -> None:
    write(web, {"model": {"source": None}})
    assert invoke("model", "m").exit_code == 0
    assert list(Path("models/m").iterdir()) == []
    web.put("/a", status=403)
    result = invoke("dataset", "demo")
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert result.output.startswith(f"Error: {web.url}/a: it answered 403 (Forbidden)")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"grid": {"datasets": ["demo", "pbmc.3k"]}}, "'pbmc.3k' cannot be a name; begin with a letter"),
        ({"grid": {"datasets": ["demo", 1234]}}, "1234 cannot be a name"),
        ({"grid": {"datasets": ["demo", "dmeo"]}}, "data/dmeo.yaml: no such file; did you mean 'demo'?"),
        ({"grid": {"datasets": ["demo", "cache"]}}, "no dataset can be called 'cache': the folder data/cache is in"),
        ({"grid": {"models": {"custom": ["m", "sources"]}}}, "no model can be called 'sources'"),
        ({"grid": {"models": {"custom": ["n"]}}}, "models/n.yaml: no such file"),
        ({"dataset": {"tilte": "x"}}, "data/demo.yaml: no setting 'tilte'; did you mean 'title'?"),
        ({"dataset": {"fallback": {"source": None}}}, "data/demo.yaml: fallback."),
        ({"model": {"sorce": "x"}}, "models/m.yaml: no setting 'sorce'; did you mean 'source'?"),
        ({"model": {"source": "minilm"}}, "models/sources/minilm.yaml: no such file"),
        ({"reference": {"source": None, "souce": 1}}, "data/reference.yaml: no setting 'souce'"),
        ({"arguments": ["dataset", "../x"]}, "'../x' cannot be a name"),
        ({"arguments": ["dataset"]}, "fetch dataset: needs the name of a dataset or model"),
        ({"arguments": ["reference", "hgnc"]}, "fetch reference: takes no name"),
    ],
    ids=str,
)
def test_wrong_settings_are_one_line_before_anything_is_downloaded(web: Web, change: dict[str, Any], text: str) -> None:
    write(web, change)
    result = invoke(*change.get("arguments", ["dataset", "demo"]))
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert text in result.output
    assert not web.server.requests
    assert not STORE.exists()
