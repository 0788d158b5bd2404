"""The command: where files go, and that all settings of the grid are checked before anything is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.downloads.fetching import STORE, invoke, refusal, write_demo
from tests.downloads.loopback import Web

MODEL = "from genept.engines.config import ModelConfig\n\n\nclass Model(ModelConfig):\n    pass\n"


def write_model(name: str, content: Any) -> None:
    Path("models").mkdir(exist_ok=True)
    Path("models", f"{name}.yaml").write_text(yaml.safe_dump({"title": name, **content}))
    Path("models", f"{name}.py").write_text(MODEL)


def source(web: Web) -> dict[str, Any]:
    return {"kind": "http", "files": {"a": {"url": web.put("/a", b"a")}}}


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["reference"], "data/reference/a"),
        (["dataset", "demo"], "data/demo/raw/a"),
        (["model", "m"], "models/m/a"),
        (["encoder", "m"], "data/encoders/m/a"),
    ],
)
def test_files_go_to_their_folder(web: Web, arguments: list[str], place: str) -> None:
    write_demo(source(web), {"models": {"custom": ["m"]}})
    write_model("m", {"source": source(web)})
    Path("data/reference.yaml").write_text(yaml.safe_dump({"source": [source(web)]}))
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert Path(place).read_bytes() == b"a"
    assert f"{place}: 0.0 MB, downloaded (http {web.url}/a)" in result.output


def test_a_model_with_nothing_to_fetch_has_an_empty_folder(web: Web) -> None:
    write_demo(source(web), {"models": {"custom": ["m"]}})
    write_model("m", {"source": None})
    assert invoke("model", "m").exit_code == 0
    assert list(Path("models/m").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"grid": {"datasets": ["demo", "pbmc.3k"]}}, "'pbmc.3k' cannot be a name; begin with a letter"),
        ({"grid": {"datasets": ["demo", 1234]}}, "1234 cannot be a name"),
        ({"grid": {"datasets": ["demo", "pbmc 3k"]}}, "'pbmc 3k' cannot be a name"),
        ({"grid": {"datasets": ["demo", "../x"]}}, "'../x' cannot be a name"),
        ({"grid": {"datasets": ["demo", "dmeo"]}}, "data/dmeo.yaml: no such file; did you mean 'demo'?"),
        (
            {"grid": {"datasets": ["demo", "reference"]}},
            "no dataset can be called 'reference': the folder data/reference",
        ),
        ({"grid": {"datasets": ["demo", "cache"]}}, "no dataset can be called 'cache'"),
        ({"grid": {"models": {"custom": ["m.1"]}}}, "'m.1' cannot be a name"),
        ({"grid": {"models": {"custom": ["m", "sources"]}}}, "no model can be called 'sources'"),
        ({"grid": {"models": {"custom": ["n"]}}}, "models/n.yaml: no such file"),
        ({"grid": {"modles": {}}}, "grid: no setting 'modles'; did you mean 'models'?"),
        ({"dataset": {"tilte": "x"}}, "data/demo.yaml: no setting 'tilte'; did you mean 'title'?"),
        ({"dataset": {"fallback": {"source": None}}}, "data/demo.yaml: fallback."),
        ({"model": {"sorce": "x"}}, "models/m.yaml: no setting 'sorce'; did you mean 'source'?"),
        ({"model": {"source": "minilm"}}, "models/sources/minilm.yaml: no such file"),
        (
            {"reference": {"source": None, "souce": 1}},
            "data/reference.yaml: no setting 'souce'; did you mean 'source'?",
        ),
        ({"arguments": ["dataset", "../x"]}, "'../x' cannot be a name"),
        ({"arguments": ["dataset"]}, "fetch dataset: needs the name of a dataset or model"),
        ({"arguments": ["reference", "hgnc"]}, "fetch reference: takes no name"),
    ],
    ids=str,
)
def test_wrong_settings_are_one_line_before_anything_is_downloaded(web: Web, change: dict[str, Any], text: str) -> None:
    write_demo(source(web), {"models": {"custom": ["m"]}, **change.get("grid", {})}, **change.get("dataset", {}))
    write_model("m", change.get("model", {}))
    Path("data/reference.yaml").write_text(yaml.safe_dump(change.get("reference", {"source": None})))
    assert text in refusal(invoke(*change.get("arguments", [])), exit_code=2)
    assert not web.server.requests
    assert not STORE.exists()
