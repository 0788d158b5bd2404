"""The pipeline end to end, as a user drives it with DVC: a tiny grid over small local files in a clone of its own."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests import helpers

pytestmark = pytest.mark.xdist_group("pipeline")

LOCAL_NCBI = "GENEID2NT = {\n}\n"
OWN_MODEL = '''"""Library size and number of genes: two numbers that every embedding should beat."""

import numpy as np


def embed(cells, folder, options, device):
    total = np.asarray(cells.X.sum(axis=1)).ravel()
    detected = np.diff(cells.X.indptr)
    return np.column_stack([total, detected]) / options["scale"], {"comparable": True}
'''


def symbols() -> list[str]:
    with (helpers.ROOT / "tests/fixtures/hgnc_small.tsv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["Status"] == "Approved"]
    return [row["Approved symbol"] for row in rows if row["Locus type"] == "gene with protein product"][:90]


def dataset(name: str) -> dict:
    return {
        "title": name,
        "note": "made up",
        "source": {"kind": "local", "files": {"raw.h5ad": {"path": f"inputs/{name}.h5ad"}}},
        "obs": {"cell_type": "kind", "patient": "donor", "phenotype": "condition"},
        "subset": {"n_cells": 120, "by": "patient", "seed": 0},
        "finetune": "phenotype",
    }


def tiny_params() -> dict:
    encoder = {name: {"path": f"inputs/encoder/{name}"} for name in ENCODER_FILES}
    return {
        "grid": {
            "datasets": ["alpha", "beta"],
            "reanalysis_check": [],
            "models": ["expression", "random_w", "genept_w_tiny", "scgpt_tiny"],
            "fetched": [],
            "vectors": ["genept_w_tiny"],
            "controls": {"of": "genept_w_tiny", "models": ["random_w"]},
            "pretrain": {"models": ["scgpt_tiny"], "datasets": ["alpha", "beta"]},
            "finetune": {"datasets": ["alpha"], "from": "genept_w_tiny", "model": "genept_w_ft_tiny"},
            "ensemble": {"datasets": ["beta"], "members": ["scgpt_tiny", "genept_w_tiny", "random_w"]},
            "figures": {"datasets": ["alpha"], "baseline": "expression", "models": ["genept_w_ft_tiny"]},
        },
        "references": {
            "hgnc": {"source": {"kind": "local", "files": {"hgnc.tsv": {"path": "tests/fixtures/hgnc_small.tsv"}}}},
            "ncbi": {"source": {"kind": "local", "files": {"genes_ncbi.py": {"path": "inputs/genes_ncbi.py"}}}},
        },
        "datasets": {"alpha": dataset("alpha"), "beta": dataset("beta")},
        "models": {
            "expression": {"title": "Expression", "n_components": 10},
            "genept_w_tiny": {
                "title": "GenePT-w, tiny",
                "engine": "genept_w",
                "source": {"kind": "local", "files": encoder},
                "vectors": {"text": "name", "locus_types": ["gene with protein product"]},
                "divide_by": "n_genes",
                "unit_norm": True,
            },
            "scgpt_tiny": {
                "title": "scGPT, tiny",
                "engine": "scgpt",
                "implementation": "native",
                "seed": 0,
                "max_length": 40,
                "pretrain": {
                    **yaml.safe_load((helpers.ROOT / "params.yaml").read_text())["models"]["scgpt_mini"]["pretrain"],
                    "steps": 5,
                    "batch_size": 8,
                    "max_length": 24,
                    "width": 16,
                    "n_layers": 1,
                    "n_heads": 2,
                },
            },
            "genept_w_ft_tiny": {
                **yaml.safe_load((helpers.ROOT / "params.yaml").read_text())["models"]["genept_w_ft_minilm"],
                "epochs": 2,
            },
        },
    }


ENCODER_FILES = ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone after `dvc repro` of the tiny grid, everything committed."""
    folder = helpers.clone(tmp_path_factory.mktemp("pipeline") / "project")
    genes = symbols()
    helpers.write_counts(folder / "inputs/alpha.h5ad", genes, 260, seed=1)
    helpers.write_counts(folder / "inputs/beta.h5ad", genes, 260, seed=2)
    helpers.write_encoder(folder / "inputs/encoder", [f"{gene}: protein" for gene in genes])
    (folder / "inputs/genes_ncbi.py").write_text(LOCAL_NCBI, encoding="utf-8")
    helpers.write_params(folder / "params.yaml", tiny_params())
    for leftover in (folder / "metrics", folder / "plots", folder / "dvc.lock"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
    helpers.run("dvc", "repro", "--quiet", cwd=folder)
    helpers.run("git", "add", "-A", cwd=folder)
    helpers.run("git", "commit", "-qm", "tiny grid", cwd=folder)
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished clone, cache included, that a test may change."""
    return shutil.copytree(finished, tmp_path / "project", symlinks=True)


def tables(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "metrics").glob("*.*"))}


def rows(folder: Path, table: str) -> set[tuple[str, str]]:
    with (folder / "metrics" / f"{table}.csv").open(encoding="utf-8") as stream:
        return {(row["dataset"], row["model"]) for row in csv.DictReader(stream)}


def scores(folder: Path) -> dict[str, dict[str, float]]:
    paths = sorted((folder / "metrics/scores").rglob("*.json"))
    return {str(path.relative_to(folder / "metrics/scores")): json.loads(path.read_text()) for path in paths}


def test_every_pair_of_the_grid_has_scores_and_rows(finished: Path) -> None:
    found = set(scores(finished))
    expected = {
        f"{d}/{m}.json" for d in ("alpha", "beta") for m in ("expression", "random_w", "genept_w_tiny", "scgpt_tiny")
    }
    assert found == expected | {"alpha/genept_w_ft_tiny.json", "beta/ensemble.json"}
    assert ("beta", "ensemble") in rows(finished, "table_c4")
    assert ("alpha", "genept_w_ft_tiny") in rows(finished, "table2")
    assert (finished / "plots/umap/alpha/genept_w_ft_tiny.png").read_bytes().startswith(b"\x89PNG")


def test_headline_metrics_are_at_most_eight_finite_and_rounded(finished: Path) -> None:
    for path, values in scores(finished).items():
        assert 1 <= len(values) <= 8, path
        assert all(value == round(value, 4) for value in values.values()), path
    shown = helpers.run("dvc", "metrics", "show", "--md", cwd=finished).stdout
    assert shown.count("\n| ") - 1 >= len(scores(finished)) - 1


def test_nothing_changed_means_nothing_to_do_and_a_clean_tree(finished: Path) -> None:
    assert "up to date" in helpers.run("dvc", "status", cwd=finished).stdout
    assert helpers.run("git", "status", "--porcelain", cwd=finished).stdout == ""


def test_another_seed_changes_scores_and_both_diffs_show_it(project: Path) -> None:
    before = scores(project)
    pretrained = (project / "models/scgpt_tiny/best_model.pt").read_bytes()
    helpers.run("dvc", "exp", "run", "-S", "seed=1", "--name", "seed-1", cwd=project)
    after = scores(project)
    assert before.keys() == after.keys()
    assert any(before[path] != after[path] for path in before)
    assert (project / "models/scgpt_tiny/best_model.pt").read_bytes() == pretrained
    diff = json.loads(helpers.run("dvc", "metrics", "diff", "--json", "HEAD", cwd=project).stdout)
    assert "metrics/scores/alpha/random_w.json" in diff
    helpers.run("dvc", "plots", "diff", "HEAD", "seed-1", cwd=project)
    page = (project / "dvc_plots/index.html").read_text()
    assert "confusion" in page
    assert "genept_w_ft_tiny.png" in page
    assert 'src="http' not in page
    assert "seed-1" in helpers.run("dvc", "exp", "show", "--csv", cwd=project).stdout


def test_leaving_a_model_out_leaves_no_row_and_switching_back_restores_the_tables(project: Path) -> None:
    whole = tables(project)
    helpers.write_params(
        project / "params.yaml", {"grids": {"whole": yaml.safe_load((project / "params.yaml").read_text())["grid"]}}
    )
    small = yaml.safe_load((project / "params.yaml").read_text())["grid"]
    small["models"] = ["expression", "genept_w_tiny"]
    small["controls"]["models"] = []
    small["ensemble"] = {"datasets": [], "members": []}
    helpers.write_params(project / "params.yaml", {"grids": {"small": small}})
    helpers.run("git", "commit", "-qam", "two named grids", cwd=project)

    helpers.run("dvc", "exp", "run", "-S", "grid=${grids.small}", cwd=project)
    kept = {"expression", "genept_w_tiny", "genept_w_ft_tiny"}
    for table in ("table2", "table_c4"):
        assert {model for _, model in rows(project, table)} == kept
    for name, text in tables(project).items():
        assert "random_w" not in text, name
        assert "scgpt_tiny" not in text, name

    helpers.run("dvc", "exp", "run", "-S", "grid=${grids.whole}", cwd=project)
    assert tables(project) == whole


def test_a_fresh_clone_computes_the_same_tables(finished: Path, tmp_path: Path) -> None:
    helpers.run("git", "clone", "-q", str(finished), str(tmp_path / "fresh"), cwd=tmp_path)
    fresh = tmp_path / "fresh"
    helpers.run("dvc", "repro", "--quiet", cwd=fresh)
    assert tables(fresh) == tables(finished)
    assert helpers.run("git", "status", "--porcelain", cwd=fresh).stdout == ""


def test_own_dataset_is_one_entry_and_own_model_one_entry_and_one_file(project: Path) -> None:
    helpers.write_counts(project / "inputs/mine.h5ad", symbols(), 100, seed=3)
    entry = dataset("mine")
    del entry["subset"], entry["finetune"]
    (project / "models/size").mkdir()
    (project / "models/size/embed.py").write_text(OWN_MODEL, encoding="utf-8")
    grid = yaml.safe_load((project / "params.yaml").read_text())["grid"]
    grid["datasets"].append("mine")
    grid["models"].append("size")
    grid["ensemble"]["datasets"].append("mine")
    helpers.write_params(
        project / "params.yaml",
        {"grid": grid, "datasets": {"mine": entry}, "models": {"size": {"title": "Size", "scale": 100.0}}},
    )
    helpers.run("dvc", "repro", "--quiet", cwd=project)
    mine = {model for name, model in rows(project, "table_c4") if name == "mine"}
    assert mine == {"expression", "genept_w_tiny", "scgpt_tiny", "random_w", "size", "ensemble"}
    status = helpers.run("git", "status", "--porcelain", "--untracked-files=all", cwd=project).stdout
    assert "models/size/embed.py" in status


def test_one_pair_can_be_run_alone_and_a_number_traced_to_its_inputs(project: Path) -> None:
    (project / "metrics/scores/beta/scgpt_tiny.json").unlink()
    helpers.run("dvc", "repro", "--quiet", "evaluate@beta-scgpt_tiny", cwd=project)
    assert (project / "metrics/scores/beta/scgpt_tiny.json").exists()
    trace = helpers.run("python", "-m", "stages.trace", "metrics/scores/beta/scgpt_tiny.json", cwd=project).stdout
    for part in ("evaluate@beta-scgpt_tiny", "pretrain@scgpt_tiny", "label@beta", "inputs/beta.h5ad", "seed: 0"):
        assert part in trace


def test_default_grid_is_the_committed_grid() -> None:
    params = yaml.safe_load((helpers.ROOT / "params.yaml").read_text())
    assert params["grid"] == params["grids"]["default"]
    assert params["seed"] == 0
