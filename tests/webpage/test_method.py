"""The view of methods: words for every metric and model of a run, and the chain that dvc.lock records of each score."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import Tag

from genept.core import params
from genept.metrics.scores import METRICS
from genept.report import captions, glossary
from genept.report.trace import explain
from genept.repository import lock
from genept.webpage import method
from tests.helpers import write_settings
from tests.report import made
from tests.webpage.conftest import Build, Visit
from tests.webpage.views import parsed, sources, words

MODELS = [*made.SCORED, *made.BOUNDS]


def stage(name: str, deps: list[str], outs: list[str], **parameters: Any) -> dict[str, Any]:
    hashed = [[{"path": path, "md5": f"{path} {name}"} for path in paths] for paths in (deps, outs)]
    return {"cmd": f"make {name}", "deps": hashed[0], "outs": hashed[1], "params": {"params.yaml": parameters}}


def write_lock(shuffled: int = 0, of_report: str = "") -> dict[str, Any]:
    """Write a lock of the made run in the order of changes, as DVC does; the report's own record is not settled."""
    stages = {"report": stage(f"report {of_report}", ["metrics/scores"], ["metrics/table2.md"])}
    stages |= {"plot@blood": stage("plot@blood", ["data/blood/embeddings"], ["plots/umap/blood"])}
    for dataset in ("blood", "tumour"):
        cells, embeddings, raw = (f"data/{dataset}/{name}" for name in ("cells.h5ad", "embeddings", "raw"))
        scores = [f"metrics/{folder}/{dataset}" for folder in ("full", "scores")]
        stages[f"label@{dataset}"] = stage(f"label@{dataset}", [raw], [cells], seed=7, label={"<b>": ["&"]})
        stages[f"fetch@{dataset}"] = stage(f"fetch@{dataset}", [], [raw])
        stages[f"evaluate@{dataset}"] = stage(f"evaluate@{dataset}", [embeddings, "genept/metrics"], scores)
        for model in ("expression", "random_w", "text_w"):
            name = f"embed@{dataset}-{model}"
            stages[name] = stage(name, [cells, f"models/{model}"], [f"{embeddings}/{model}.npy"])
        first = f"{embeddings}/text_w.npy"
        stages[f"finetune@{dataset}"] = stage(f"finetune@{dataset}", [first], [f"{embeddings}/tuned.npy"])
    order = sorted(stages)
    random.Random(shuffled).shuffle(order)
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {name: stages[name] for name in order}}, sort_keys=False))
    return stages


def listed(heading: str) -> dict[str, str]:
    """The definitions below a heading, by their terms."""
    (found,) = [one for one in parsed(method.view)("h3") if words(one) == heading]
    listing = found.find_next_sibling("dl")
    assert isinstance(listing, Tag)
    return {words(item.dt): words(item.dd) for item in listing("div") if item.dt and item.dd}


@pytest.mark.usefixtures("stand_ins")
def test_chains_are_those_that_trace_prints() -> None:
    write_lock()
    data = method.view(sources()).data
    assert data and data["datasets"] == ["blood", "tumour"] and data["models"] == MODELS
    for dataset, chains in zip(data["datasets"], data["chains"], strict=True):
        for model, (path, places) in zip(MODELS, chains, strict=True):
            assert Path(path).parts[2] == dataset and Path(path).stem == model and Path(path).is_file()
            lines = explain(Path(path), lock.read(), lambda *_: "")
            printed = [
                line.split()[1].rstrip(":") for line in lines if line.strip().startswith("by ") if "(see" not in line
            ]
            assert [data["stages"][place] for place in places] == printed
    of_text = data["chains"][0][MODELS.index("text_w")][1]
    assert [data["stages"][place] for place in of_text] == [
        f"{name}@blood" + ("-text_w" if name == "embed" else "") for name in ("evaluate", "embed", "label", "fetch")
    ]


@pytest.mark.usefixtures("stand_ins")
def test_each_stage_behind_scores_stands_once_with_the_lock_s_hashes_and_parameters() -> None:
    stages = write_lock()
    page = parsed(method.view)
    found = {str(one["data-stage"]): one for one in page.select("details.stage")}
    assert found.keys() == stages.keys() - {"report", "plot@blood"}
    for name, one in found.items():
        lines = [[words(cell) for cell in line("td")] for line in one("tr") if line("td")]
        recorded = [file for key in ("outs", "deps") for file in stages[name][key]]
        assert [line[:2] for line in lines] == [[file["path"], file["md5"]] for file in recorded]
        assert stages[name]["cmd"] in words(one)
    label = found["label@blood"]
    assert "seed: 7 label.<b>: ['&']" in words(label) and [words(one) for one in label("td")][-1] == "fetch@blood"
    writers = [one["data-writer"] for one in found["evaluate@blood"].select("[data-writer]")]
    assert sorted(map(str, writers)) == [
        *(f"embed@blood-{m}" for m in ("expression", "random_w", "text_w")),
        "finetune@blood",
    ]


@pytest.mark.usefixtures("stand_ins")
def test_neither_the_report_s_own_record_nor_the_order_of_the_lock_changes_a_byte() -> None:
    write_lock()
    first = method.view(sources())
    write_lock(shuffled=1, of_report="again")
    assert method.view(sources()) == first


@pytest.mark.usefixtures("stand_ins")
def test_without_a_lock_a_sentence_says_so() -> None:
    without = method.view(sources())
    assert without.data is None and "There is no dvc.lock with stages behind these scores" in without.html
    Path("dvc.lock").write_text("stages:\n  report: {cmd: make, outs: [{path: metrics/table2.md, md5: '1'}]}\n")
    assert method.view(sources()) == without


def test_every_metric_has_words_and_its_range() -> None:
    assert {name: low for name, (_, low) in glossary.METRICS.items()} == {
        metric.name: metric.bounds[0] for metric in METRICS
    }
    assert {metric.bounds[1] for metric in METRICS} == {1}
    assert glossary.TASKS.keys() == {task for metric in METRICS for task in metric.tasks}


@pytest.mark.usefixtures("stand_ins")
def test_metrics_and_models_are_those_of_the_run_and_texts_follow_its_settings() -> None:
    metrics = listed("Metrics")
    assert metrics["ARI"].endswith("Of clusters, from -0.5 to 1.")
    assert "Of nearest neighbours and logistic regression, from 0 to 1." in metrics["Accuracy"]
    assert "at least 10 test cells" in metrics["F1, frequent"]
    write_settings(Path(), {"evaluate": {"min_test_cells": 3, "knn": {"k": 4}}})
    assert "at least 3 test cells" in listed("Metrics")["F1, frequent"]
    for sentence in (captions.protocol(params.load()), captions.unlike_authors(params.load())):
        assert sentence.replace("`", "") in words(parsed(method.view))
    models = listed("Models")
    assert list(models) == MODELS
    assert models["text_w"] == "GenePT-w, MiniLM on names. Kind: GenePT-w; nothing fetched, see models/text_w.yaml."
    assert models["random_w"] == "Control: random. Kind: control; drawn here, from those of text_w."
    assert models["random_tuned"].endswith("a control; fitted here on training cells of random_w.")


@pytest.mark.usefixtures("stand_ins")
def test_dimensions_and_sources_are_those_of_a_model_s_file() -> None:
    wheel = {
        "kind": "wheel",
        "package": "weights",
        "version": "1.2",
        "files": {name: {"member": name} for name in "ab"},
    }
    write_settings(Path(), models={"text_w": {"title": "T", "source": wheel, "vectors": {"n_dimensions": 1536}}})
    write_settings(Path(), models={"expression": {"title": "E", "embed": {"n_components": 50}}})
    models = listed("Models")
    assert models["text_w"] == "T. Kind: GenePT-w; 1536 dimensions; wheel weights 1.2."
    assert models["expression"] == "E. Kind: code of its own; at most 50 dimensions; models/expression.py."


def test_a_choice_shows_the_chain_of_its_score_and_stands_in_the_address(built: Build, visit: Visit) -> None:
    page = visit(built("committed"), "view=method&dataset=ovarian&model=genept_w_minilm")
    steps = page.locator("#method .chain .stage")
    names = [str(step.get_attribute("data-stage")) for step in steps.all()]
    assert names[:3] == ["evaluate@ovarian", "embed_genept_w@ovarian-genept_w_minilm", "label@ovarian"]
    steps.first.locator("summary").click()
    assert steps.first.locator("[data-writer*=embed]").all_inner_texts() == [names[1]]
    page.locator("#method [data-key=model]").select_option("scgpt_mini")
    assert "pretrain_scgpt@scgpt_mini" in [step.get_attribute("data-stage") for step in steps.all()]
    assert "model=scgpt_mini" in page.url
