"""The pipeline's graph: what a change runs again, and that every stage names the code that its numbers come from."""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from tests.helpers import ROOT

PAGE = ROOT / "docs/reruns.md"
HEADING = """# What a change runs again

A change of a file or a setting runs the stages beside it. What follows runs again only if their results differ.
`tests/test_graph.py` makes this table from `dvc.yaml` and fails when it is out of date;
`python -m tests.test_graph` writes it.

| A change of | runs |
|---|---|
"""
CHANGES = (  # a file, or a settings file and a key of it
    "genept/core/files.py",
    "genept/downloads/hosts/geo.py",
    "stages/fetch.py",
    "data/reference.yaml",
    "data/manual/covid/labels.csv",
    "data/markers/mine.tsv",
    "genept/annotation/method.py",
    "genept/datasets/h5ad.py",
    "genept/data/genes.py",
    "genept/data/expression.py",
    "genept/data/splits.py",
    "genept/data/umap.py",
    "genept/engines/mine/embed.py",
    "genept/engines/encoder/local.py",
    "genept/engines/network/transformer.py",
    "genept/engines/gene_vectors/texts.py",
    "genept/engines/genept_w/embed.py",
    "genept/engines/genept_s/embed.py",
    "genept/engines/scgpt/tokens.py",
    "genept/engines/geneformer/ranking.py",
    "genept/engines/finetuned/training.py",
    "models/expression.py",
    "genept/metrics/clustering.py",
    "genept/plots/palette.py",
    "genept/report/paper.yaml",
    "data/covid.yaml: source",
    "data/covid.yaml: subset",
    "data/covid.yaml: title",
    "models/scgpt_mini.yaml: pretrain",
    "models/scgpt_mini.yaml: embed",
    "models/scgpt_mini.yaml: title",
    "models/genept_w_minilm.yaml: source",
    "models/genept_w_minilm.yaml: vectors",
    "models/genept_w_ft_minilm.yaml: finetune",
    "models/random_w.yaml: control",
    "models/random_w.yaml: draws",
    "models/sources/minilm.yaml",
    "models/trainings.csv",
    "params.yaml: seed",
    "params.yaml: threads",
    "params.yaml: device",
    "params.yaml: baseline",
    "params.yaml: annotate.resolution",
    "params.yaml: label.min_class_size",
    "params.yaml: label.missing_labels",
    "params.yaml: evaluate.repeats",
    "params.yaml: evaluate.split.test_size",
    "params.yaml: evaluate.knn.k",
    "params.yaml: protocols.authors",
    "params.yaml: plot.min_dist",
    "params.yaml: grid.pretrain",
    "params.yaml: grid.ensemble",
)
#: Settings, messages, reading and writing: they move numbers and make none.
PLUMBING = (
    "genept/__init__.py",
    "genept/core",
    "genept/data/__init__.py",
    "genept/data/cells.py",
    "genept/data/embeddings.py",
    "genept/data/parts.py",
    "genept/data/gene_vectors.py",
    "genept/data/hgnc.py",
    "genept/datasets/__init__.py",
    "genept/datasets/config.py",
    "genept/datasets/kinds.py",  # messages
    "genept/datasets/nested_config.py",
    "genept/downloads",
    "genept/engines/__init__.py",
    "genept/engines/config.py",
    "genept/engines/custom.py",
    "genept/engines/encoder/settings.py",
    "genept/engines/genept_w/config.py",
    "genept/engines/network/__init__.py",
    "genept/engines/network/job.py",
    "genept/engines/pretraining.py",  # settings
    "stages",
    "genept/repository",
)


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    """Return the stages of the default grid by name."""
    with Repo(os.fspath(ROOT)) as repo:
        return {stage.name: stage for stage in repo.index.stages if getattr(stage, "name", None)}


def is_within(path: str, names: Iterable[str]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in names)


def dependencies(stage: Any) -> list[tuple[str, list[str] | None]]:
    """Return the files and folders that a stage depends on, each with the keys of a settings file, else None."""
    root = os.fspath(ROOT)
    return [
        (Path(os.path.relpath(dep.fs_path, root)).as_posix(), list(dep.params) if hasattr(dep, "params") else None)
        for dep in stage.deps
    ]


def is_changed(stage: Any, change: str) -> bool:
    """Say whether a change makes a stage run."""
    path, _, key = change.partition(": ")
    for name, keys in dependencies(stage):
        if keys is None and is_within(path, [name]):
            return True
        if keys is not None and name == path and key:
            if any(f"{key}.".startswith(f"{one}.") or f"{one}.".startswith(f"{key}.") for one in keys):
                return True
    return False


def reruns(stages: dict[str, Any], change: str) -> list[str]:
    """Return the kinds of stages that a change runs, in the order of the graph; of a dataset or model only its own."""
    names = [name for name, stage in stages.items() if is_changed(stage, change)]
    families = list(dict.fromkeys(name.partition("@")[0] for name in names))
    found = []
    for family in families:
        members = [name for name in stages if name.partition("@")[0] == family]
        own = [name for name in names if name in members]
        found += [family] if own == members else own
    return found


def page(stages: dict[str, Any]) -> str:
    rows = [f"| `{change}` | {', '.join(reruns(stages, change)) or 'nothing'} |" for change in CHANGES]
    return HEADING + "\n".join(rows) + "\n"


def test_the_page_says_what_a_change_runs(stages: dict[str, Any]) -> None:
    named = [change.partition(": ")[0] for change in CHANGES if "mine" not in change and "manual" not in change]
    assert [path for path in named if not (ROOT / path).is_file()] == []
    assert PAGE.read_text(encoding="utf-8") == page(stages), "python -m tests.test_graph writes it anew"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("genept/downloads/hosts/geo.py", []),
        ("stages/fetch.py", []),
        ("genept/engines/mine/embed.py", []),
        ("genept/plots/palette.py", ["plot", "report"]),  # both draw
        ("genept/engines/scgpt/tokens.py", ["pretrain_scgpt", "embed_scgpt_trained"]),
        ("data/markers/mine.tsv", ["fetch"]),  # which copies the tables that datasets name, and downloads nothing
        ("models/scgpt_mini.yaml: title", ["plot", "report"]),
        ("params.yaml: evaluate.repeats", ["evaluate", "report"]),  # heads are fitted to further splits by evaluate
        ("params.yaml: baseline", ["evaluate", "plot", "report"]),
    ],
)
def test_a_change_runs_what_depends_on_it_and_nothing_else(
    stages: dict[str, Any], change: str, expected: list[str]
) -> None:
    assert reruns(stages, change) == expected


def file_of(module: str) -> str | None:
    path = Path(*module.split("."))
    found = (one for one in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / one).is_file())
    return next((one.as_posix() for one in found), None)


@functools.cache
def imported(path: str) -> set[str]:
    """The project's files that a file imports, within its functions, too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module, f"{path}: a relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {found for name in names if name.startswith(("genept.", "stages.")) and (found := file_of(name))}


def reached(first: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    left = [*first]
    while left:
        if (path := left.pop()) not in seen:
            seen.add(path)
            left += imported(path)
    return seen


#: Loaded by a name in a settings file.
LOADED = {
    "vectors": ("genept/engines/gene_vectors", "genept/engines/encoder"),
    "pretrain_scgpt": ("genept/engines/scgpt/pretrain.py",),
    "pretrain_geneformer": ("genept/engines/geneformer/pretrain.py",),
    "embed_custom": ("models/expression.py",),
    "embed_controls": ("genept/engines/genept_w/embed.py",),
    "embed_genept_w": ("genept/engines/genept_w/embed.py",),
    "embed_genept_s": ("genept/engines/genept_s/embed.py",),
    "embed_scgpt_trained": ("genept/engines/scgpt/embed.py",),
    "embed_geneformer_trained": ("genept/engines/geneformer/embed.py",),
}


#: It reads the weights that pretraining writes.
NOT_USED = {"pretrain_scgpt": ("genept/engines/network/state_dict.py",)}


def families(stages: dict[str, Any]) -> dict[str, Any]:
    return {name.partition("@")[0]: stage for name, stage in stages.items()}


def test_a_stage_names_the_code_that_its_numbers_come_from(stages: dict[str, Any]) -> None:
    lacking = {}
    for name, stage in families(stages).items():
        if name.startswith("fetch"):
            continue  # files are known by their hashes, whatever code got them
        script = f"stages/{stage.cmd.split('-m stages.')[1].split()[0]}.py"
        loaded = [
            path.relative_to(ROOT).as_posix()
            for entry in LOADED.get(name, ())
            for path in ([ROOT / entry] if entry.endswith(".py") else (ROOT / entry).rglob("*.py"))
        ]
        named = [path for path, keys in dependencies(stage) if keys is None]
        first = loaded if name.startswith("embed") else [script, *loaded]  # stages.embed imports what it is asked for
        code = [path for path in reached(first) if not is_within(path, (*PLUMBING, *NOT_USED.get(name, ())))]
        lacking[name] = sorted(path for path in code if not is_within(path, named))
    assert {name: paths for name, paths in lacking.items() if paths} == {}


def test_the_committed_lock_is_of_the_default_grid_and_small(stages: dict[str, Any]) -> None:
    """DVC reads and writes it after every stage, and never removes a stage that is gone."""
    text = (ROOT / "dvc.lock").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["stages"].keys() == stages.keys()
    assert len(text) <= 55_000


#: A folder of the package imports from folders of earlier rows and from itself.
LAYERS = (
    ("core",),
    ("repository",),
    ("data",),
    ("downloads",),
    ("datasets", "engines"),
    ("annotation", "metrics", "plots"),
    ("report",),
    ("webpage",),
)


def layer(path: str) -> int:
    return next(row for row, names in enumerate(LAYERS) if path.split("/")[1] in names)


def test_imports_run_one_way() -> None:
    files = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "genept").rglob("*.py") if path.parent.name != "genept"
    ]
    arrows = {(path, name) for path in files for name in imported(path) if not name.endswith("__init__.py")}
    back = {(path, name) for path, name in arrows if name.startswith("stages/") or layer(name) > layer(path)}
    beside = {
        (path, name)
        for path, name in arrows - back
        if layer(name) == layer(path) and name.split("/")[1] != path.split("/")[1]
    }
    assert (back, beside) == (set(), set())


def test_no_file_imports_itself_in_a_circle() -> None:
    for path in (path.relative_to(ROOT).as_posix() for path in (ROOT / "genept").rglob("*.py")):
        further = {one for name in imported(path) - {path} for one in reached([name])}
        assert path not in further or path.endswith("__init__.py"), f"{path} imports itself in a circle"


def test_a_name_reaches_a_shell_only_if_a_file_is_called_so() -> None:
    """DVC refuses a stage with a missing dependency before any shell runs, and no file is called ``x'; rm -r ~; '``."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        needed = str([stage.get("deps", []), [list(one) for one in stage.get("params", []) if isinstance(one, dict)]])
        for item in set(re.findall(r"\$\{(.*?)\}", stage["cmd"])):
            assert re.search(rf"(data|models)/[^']*\$\{{{re.escape(item)}\}}", needed), (name, item)


if __name__ == "__main__":
    with Repo(os.fspath(ROOT)) as repo:
        everything = {stage.name: stage for stage in repo.index.stages if getattr(stage, "name", None)}
    PAGE.write_text(page(everything), encoding="utf-8")
