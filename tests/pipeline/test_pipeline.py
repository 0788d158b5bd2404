"""What `dvc repro`, `dvc exp run`, `dvc metrics` and `dvc plots` do with the tiny grid."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from tests import helpers
from tests.pipeline.project import Project
from tests.pipeline.site import OWN_FILE, Site, dataset, symbols

GRID = ("expression", "random_w", "genept_w_tiny", "scgpt_tiny", "genept_w_ft_tiny")
MODELS = (*GRID, "random_ft_tiny", "ensemble")
FLOORS = ("majority", "random_cells")
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


def test_every_pair_of_the_grid_has_scores_and_rows_and_the_dataset_pictures(finished: Project) -> None:
    assert set(finished.scores()) == {f"alpha/{model}.json" for model in MODELS}
    assert finished.rows("table_c4") == {("alpha", model) for model in (*MODELS, *FLOORS, "supervised")}
    assert (finished.path / "plots/umap/alpha/all_models.png").read_bytes().startswith(b"\x89PNG")


def test_headline_metrics_are_few_and_rounded(finished: Project) -> None:
    for path, values in finished.scores().items():
        assert 1 <= len(values) <= 6, path
        assert all(value == round(value, 3) for value in values.values()), path
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
    assert "all_models.png" in page
    assert 'src="http' not in page


def test_settings_for_a_run_leave_no_stale_row(small: Project) -> None:
    assert small.rows("table2") == {("alpha", model) for model in ("expression", "genept_w_tiny", *FLOORS)}
    assert small.scores().keys() == {"alpha/expression.json", "alpha/genept_w_tiny.json"}
    record = json.loads((small.path / "metrics/verification/alpha.json").read_text(encoding="utf-8"))
    assert record["cells"]["n_evaluated"] == 60
    tables = small.tables()
    assert not any(word in text for text in tables.values() for word in ("random_w", "scgpt_tiny"))
    assert "5 nearest neighbours" in tables["table_c4.md"]
    assert "10 nearest" not in tables["table_c4.md"]


def test_switching_back_restores_the_tables(finished: Project, small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "project")
    project.run(
        *("dvc", "exp", "run", "-S", "grid=${grids.tiny}"),
        *("-S", "data/alpha.yaml:subset.n_cells=80", "-S", "evaluate.knn.k=10"),
    )
    assert project.tables() == finished.tables()


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
    project.run("dvc", "exp", "run", "--temp", "-S", "label.min_class_size=9", "--name", "elsewhere", "label@alpha")
    assert "elsewhere" in project.run("dvc", "exp", "list", "--name-only")
    assert (project.path / "data/alpha/raw/notes.txt").is_file()
    assert project.scores() == before
    (project.path / OWN_FILE).write_text("other words\n", encoding="utf-8")
    assert "data/manual" in project.run("dvc", "status", "fetch@alpha")
    project.run("dvc", "repro", "--quiet", "--single-item", "fetch@alpha")
    assert (project.path / "data/alpha/raw/notes.txt").read_text(encoding="utf-8") == "other words\n"


def test_parts_that_an_experiment_elsewhere_has_made_serve_the_next_run(project: Project, site: Site) -> None:
    """`dvc exp run --temp` works in a folder that is removed at its end; parts stay in the repository's own cache."""
    helpers.write_counts(site.folder / "large.h5ad", symbols(), 33_000, seed=3)
    helpers.write_settings(project.path, datasets={"large": dataset("large", site.source(raw_h5ad="large.h5ad"))})
    params = yaml.safe_load((project.path / "params.yaml").read_text(encoding="utf-8"))
    project.change("params.yaml", {"grid": {**params["grids"]["small"], "datasets": ["large"]}})
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "a large dataset")
    stage = "embed_custom@large-expression"
    project.run("dvc", "exp", "run", "--temp", "--name", "elsewhere", stage)
    assert not (project.path / "data/large").is_dir()
    reference = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/elsewhere").strip()
    lock = yaml.safe_load(project.run("git", "show", f"{reference}:dvc.lock"))
    parts = [*(project.path / "data/cache/embed/large/expression/parts").glob("*.npz")]
    parts += (project.path / "data/cache/label/large").glob("*.zarr")
    assert len(parts) == 3 + 1 + 3, "three parts of vectors, sums of all, three parts of the cells"
    numbers = {path: path.stat().st_ino for path in parts}
    lost = min(parts[:4], key=lambda path: path.stat().st_size)
    lost.unlink()  # as if the run had been killed before it
    project.run("dvc", "repro", "--quiet", "--no-run-cache", stage)
    assert yaml.safe_load((project.path / "dvc.lock").read_text())["stages"][stage] == lock["stages"][stage]
    assert {path for path, number in numbers.items() if path.stat().st_ino != number} == {lost}


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
