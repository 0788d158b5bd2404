"""The pipeline end to end, as a user drives it with DVC: a tiny grid in a clone of its own, files from a server here.

Stages run in forks of one process that has their imports (`tests.forks`); all else is as for a user.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import forks, helpers

pytestmark = pytest.mark.xdist_group("pipeline")

ENCODER_FILES = ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors")
OWN_FILE = "data/manual/notes.txt"
MODELS = ("expression", "random_w", "genept_w_tiny", "scgpt_tiny", "genept_w_ft_tiny", "ensemble")
OWN_MODEL = '''"""Library size and number of genes: two numbers that every embedding should beat."""

import numpy as np

from genept.core.config import Config
from genept.engines.config import ModelConfig


class Embed(Config):
    scale: float


class Model(ModelConfig):
    embed: Embed


def embed(cells, folder, config, device):
    total = np.asarray(cells.X.sum(axis=1)).ravel()
    detected = np.diff(cells.X.indptr)
    return np.column_stack([total, detected]) / config.embed.scale, {"comparable": True}
'''


class Site:
    """A server of the files of a folder, which counts what it is asked for before it sends anything."""

    def __init__(self, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        asked = self.asked

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[self.path] += 1
                super().do_GET()

            def log_message(self, *_: Any) -> None:
                pass

        folder.mkdir(parents=True)
        self.folder = folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=os.fspath(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def source(self, *names: str, **targets: str) -> dict[str, Any]:
        """Return the source of files of the folder, under their own names or others, with their sha256."""
        base = f"http://127.0.0.1:{self.server.server_port}"
        files = {}
        for target, name in [*((Path(name).name, name) for name in names), *targets.items()]:
            digest = hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            files[target.replace("_h5ad", ".h5ad")] = {"url": f"{base}/{name}", "sha256": digest}
        return {"kind": "http", "files": files}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site") / "files")
    genes = symbols()
    for seed, name in enumerate(("alpha", "mine"), start=1):
        helpers.write_counts(site.folder / f"{name}.h5ad", genes, 160, seed=seed)
    helpers.write_encoder(site.folder / "encoder", [f"{gene}: protein" for gene in genes])
    (site.folder / "genes_ncbi.py").write_text("GENEID2NT = {\n}\n", encoding="utf-8")
    shutil.copy(helpers.HGNC, site.folder / "hgnc.tsv")
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of commands whose `python -m stages.x` is a fork of a server's process."""
    folder = tmp_path_factory.mktemp("forks")
    address = folder / "socket"
    paths = [os.fspath(folder), os.fspath(Path(sys.executable).parent), os.environ["PATH"]]
    variables = {**os.environ, "PATH": os.pathsep.join(paths), "DVC_NO_ANALYTICS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTHONPATH", "GENEPT_DOWNLOADS"):
        variables.pop(name, None)
    command = [sys.executable, forks.__file__, os.fspath(address)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, cwd=folder)
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    forks.write_shim(folder / "python", sys.executable, address, folder / "seconds.tsv")
    yield variables
    server.terminate()
    server.wait()


def symbols() -> list[str]:
    with helpers.HGNC.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    return [row["Approved symbol"] for row in rows if row["Locus type"] == "gene with protein product"][:90]


def dataset(name: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "title": f"The cells of {name}",
        "note": "made up",
        "source": source,
        "obs": {"cell_type": "kind", "patient": "donor", "phenotype": "condition"},
        **more,
    }


def tiny(site: Site) -> dict[str, dict[str, Any]]:
    """Return the settings of the tiny grid: `params`, `datasets` and `models`."""
    mini = yaml.safe_load((helpers.ROOT / "models/scgpt_mini.yaml").read_text(encoding="utf-8"))
    head = yaml.safe_load((helpers.ROOT / "models/genept_w_ft_minilm.yaml").read_text(encoding="utf-8"))
    models: dict[str, list[str]] = {
        "custom": ["expression"],
        "controls": ["random_w"],
        "genept_w": ["genept_w_tiny"],
        "genept_s": [],
        "scgpt": [],
        "geneformer": [],
        "scgpt_trained": ["scgpt_tiny"],
        "geneformer_trained": [],
        "finetuned": ["genept_w_ft_tiny"],
    }
    grid = {
        "datasets": ["alpha"],
        "models": models,
        "pretrain": ["alpha"],
        "ensemble": ["scgpt_tiny", "genept_w_tiny", "random_w", "expression"],  # four: lists are read whole
    }
    few = {**models, "controls": [], "scgpt_trained": [], "finetuned": []}
    small = {"datasets": ["alpha"], "models": few, "pretrain": [], "ensemble": []}
    source = site.source(raw_h5ad="alpha.h5ad")
    source["files"]["notes.txt"] = {"kind": "local", "path": OWN_FILE, "optional": True}
    subset = {"n_cells": 80, "by": "patient", "seed": 0}
    return {
        "params": {"grid": grid, "grids": {"tiny": grid, "small": small}, "plot": {"n_epochs": 20}},
        "datasets": {
            "reference": {"source": [site.source("hgnc.tsv", "genes_ncbi.py")]},
            "alpha": dataset("alpha", source, subset=subset, finetune="phenotype"),
        },
        "models": {
            "expression": {"title": "Expression", "embed": {"n_components": 10}},
            "genept_w_tiny": {
                "title": "GenePT-w, tiny",
                "engine": "genept_w",
                "source": site.source(*(f"encoder/{name}" for name in ENCODER_FILES)),
                "vectors": {"text": "name", "locus_types": ["gene with protein product"]},
                "embed": {"divide_by": "n_genes", "unit_norm": True},
            },
            "scgpt_tiny": {
                **mini,
                "title": "scGPT, tiny",
                "pretrain": {**mini["pretrain"], "steps": 5, "max_length": 24, "width": 16, "n_layers": 1},
                "embed": {**mini["embed"], "max_length": 40},
            },
            "genept_w_ft_tiny": {**head, "finetune": {**head["finetune"], "epochs": 2}},
        },
    }


class Project:
    """A clone and the commands in it."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path, self.environment = path, environment

    def run(self, *command: str, code: int = 0) -> str:
        result = subprocess.run(
            command, cwd=self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == code, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
        return result.stdout + result.stderr

    def change(self, name: str, change: dict[str, Any]) -> None:
        path = self.path / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        helpers.merge(content, change)
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def tables(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted((self.path / "metrics").glob("*.*"))}

    def rows(self, table: str) -> set[tuple[str, str]]:
        with (self.path / "metrics" / f"{table}.csv").open(encoding="utf-8") as stream:
            return {(row["dataset"], row["model"]) for row in csv.DictReader(stream)}

    def scores(self) -> dict[str, dict[str, float]]:
        folder = self.path / "metrics/scores"
        return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, site: Site, environment: dict[str, str]) -> Project:
    """A clone after `dvc repro` of the tiny grid, everything committed."""
    project = Project(helpers.clone(tmp_path_factory.mktemp("pipeline") / "project"), environment)
    project.run("rm", "-rf", "metrics", "plots", "dvc.lock")
    helpers.write_settings(project.path, **tiny(site))
    (project.path / OWN_FILE).write_text("about these cells\n", encoding="utf-8")
    project.run("dvc", "repro", "--quiet")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "tiny grid")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished clone, cache included, that a test may change."""
    copied = shutil.copytree(finished.path, tmp_path / "project", symlinks=True)
    return Project(copied, finished.environment)


@pytest.fixture(scope="session")
def reseeded(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Such a copy after an experiment with another seed."""
    copied = shutil.copytree(finished.path, tmp_path_factory.mktemp("reseeded") / "project", symlinks=True)
    project = Project(copied, finished.environment)
    project.run("dvc", "exp", "run", "-S", "seed=1", "--name", "seed-1")
    return project


def test_every_pair_of_the_grid_has_scores_rows_and_a_picture(finished: Project) -> None:
    assert set(finished.scores()) == {f"alpha/{model}.json" for model in MODELS}
    assert finished.rows("table_c4") == {("alpha", model) for model in MODELS}
    assert (finished.path / "plots/umap/alpha/genept_w_ft_tiny.png").read_bytes().startswith(b"\x89PNG")


def test_headline_metrics_are_few_and_rounded(finished: Project) -> None:
    for path, values in finished.scores().items():
        assert 1 <= len(values) <= 8, path
        assert all(value == round(value, 4) for value in values.values()), path
    assert "alpha/ensemble.json" in finished.run("dvc", "metrics", "show", "--md")


def test_nothing_changed_means_nothing_to_do_and_a_clean_tree(finished: Project) -> None:
    assert "up to date" in finished.run("dvc", "status")
    assert finished.run("git", "status", "--porcelain") == ""


def test_another_seed_changes_scores_and_trains_nothing_again(finished: Project, reseeded: Project) -> None:
    before, after = finished.scores(), reseeded.scores()
    assert before.keys() == after.keys()
    assert any(before[path] != after[path] for path in before)
    weights = "models/scgpt_tiny/best_model.pt"
    assert (reseeded.path / weights).read_bytes() == (finished.path / weights).read_bytes()
    assert "metrics/scores/alpha/random_w.json" in reseeded.run("dvc", "metrics", "diff", "--json", "HEAD")


def test_plots_of_two_runs_stand_on_one_page_that_needs_no_network(reseeded: Project) -> None:
    reseeded.run("dvc", "plots", "diff", "HEAD", "seed-1")
    page = (reseeded.path / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "confusion" in page
    assert "genept_w_ft_tiny.png" in page
    assert 'src="http' not in page


def test_settings_for_a_run_leave_no_stale_row_and_switching_back_restores_the_tables(project: Project) -> None:
    before = project.tables()
    project.run(
        *("dvc", "exp", "run", "-S", "grid=${grids.small}"),
        *("-S", "data/alpha.yaml:subset.n_cells=60", "-S", "evaluate.knn.k=5"),
    )
    assert project.rows("table2") == {("alpha", "expression"), ("alpha", "genept_w_tiny")}
    assert project.scores().keys() == {"alpha/expression.json", "alpha/genept_w_tiny.json"}
    record = json.loads((project.path / "metrics/verification/alpha.json").read_text(encoding="utf-8"))
    assert record["cells"]["n_evaluated"] == 60
    tables = project.tables()
    assert not any(word in text for text in tables.values() for word in ("random_w", "scgpt_tiny"))
    assert "5 nearest neighbours" in tables["table_c4.md"]
    assert "10 nearest" not in tables["table_c4.md"]
    project.run(
        *("dvc", "exp", "run", "-S", "grid=${grids.tiny}"),
        *("-S", "data/alpha.yaml:subset.n_cells=80", "-S", "evaluate.knn.k=10"),
    )
    assert project.tables() == before


def test_what_is_there_is_never_downloaded_again(project: Project, site: Site) -> None:
    before = dict(site.asked)
    shutil.rmtree(project.path / "data/alpha/raw")
    project.run("dvc", "repro", "--quiet", "--force", "--single-item", "fetch@alpha", "fetch_genept_w@genept_w_tiny")
    assert (project.path / "data/alpha/raw/raw.h5ad").is_file()
    assert dict(site.asked) == before


def test_a_failed_fetch_leaves_the_earlier_files(project: Project) -> None:
    raw = project.path / "data/alpha/raw/raw.h5ad"
    before = raw.read_bytes()
    content = yaml.safe_load((project.path / "data/alpha.yaml").read_text(encoding="utf-8"))
    content["source"]["files"]["raw.h5ad"]["sha256"] = "0" * 64
    project.change("data/alpha.yaml", content)
    assert "sha256" in project.run("dvc", "repro", "fetch@alpha", code=255)
    assert raw.read_bytes() == before


def test_a_file_of_ones_own_is_a_dependency_and_another_workspace_has_it_or_fails(project: Project) -> None:
    """`dvc exp run --temp` runs in a new checkout, where files that git does not know are not."""
    before = project.scores()
    project.run("dvc", "exp", "run", "--temp", "-S", "evaluate.knn.k=9", "--name", "elsewhere", "evaluate@alpha")
    assert "elsewhere" in project.run("dvc", "exp", "list", "--name-only")
    assert (project.path / "data/alpha/raw/notes.txt").is_file()
    assert project.scores() == before
    (project.path / OWN_FILE).write_text("other words\n", encoding="utf-8")
    assert "data/manual" in project.run("dvc", "status", "fetch@alpha")
    project.run("dvc", "repro", "--quiet", "--single-item", "fetch@alpha")
    assert (project.path / "data/alpha/raw/notes.txt").read_text(encoding="utf-8") == "other words\n"


def test_own_dataset_is_one_file_and_own_model_one_more(project: Project, site: Site) -> None:
    helpers.write_settings(
        project.path,
        datasets={"mine": dataset("mine", site.source(raw_h5ad="mine.h5ad"))},
        models={"size": {"title": "Size", "embed": {"scale": 100.0}}},
    )
    (project.path / "models/size.py").write_text(OWN_MODEL, encoding="utf-8")
    params = yaml.safe_load((project.path / "params.yaml").read_text(encoding="utf-8"))
    grid = params["grids"]["small"]
    grid["datasets"].append("mine")
    grid["models"]["custom"].append("size")
    project.change("params.yaml", {"grid": grid})
    project.run("dvc", "repro", "--quiet", "evaluate@mine")
    names = {name for name in project.scores() if name.startswith("mine/")}
    assert names == {f"mine/{model}.json" for model in ("expression", "genept_w_tiny", "size")}
    status = project.run("git", "status", "--porcelain", "--untracked-files=all")
    assert all(f"?? {name}" in status for name in ("models/size.py", "models/size.yaml", "data/mine.yaml"))


def test_a_number_is_traced_to_its_inputs(finished: Project) -> None:
    trace = finished.run("python", "-m", "stages.trace", "metrics/scores/alpha/scgpt_tiny.json")
    for part in ("evaluate@alpha", "pretrain_scgpt@scgpt_tiny", "label@alpha", "fetch@alpha", "seed: 0"):
        assert part in trace


def test_default_grid_is_the_committed_grid() -> None:
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert params["grid"] == params["grids"]["default"]
    assert params["seed"] == 0
